"""One visit to a database: look, claim, open, read, close; from start to end in one worker thread."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, Generic, Literal

import attrs

from trio_cursor.cursor.jobs import CLAIMS, Job
from trio_cursor.cursor.opening import (
    Surroundings,
    Way,
    choose_way,
    look_at,
    survey,
    uri_of,
    verify_unchanged,
)
from trio_cursor.cursor.outcomes import Busy, NotYet, Refused, RefusedForNow, Signature, TimedOut, Unreadable
from trio_cursor.cursor.private_copies import private_copy
from trio_cursor.cursor.reading import CachedCatalog, Transaction, harden, refusal_of
from trio_cursor.cursor.schemas import Catalog, PageT, Scan
from trio_cursor.sqlite_library import sqlite3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: Lock budgets. In WAL mode a snapshot delays no commit, it only keeps the log from being reset; a copy
#: and an immutable file hold up nobody, but a page stays a page.
ROLLBACK_BUDGET_SECONDS: Final = 0.005
WAL_BUDGET_SECONDS: Final = 0.020
UNLOCKED_BUDGET_SECONDS: Final = 0.050
#: Gap that a database in rollback mode is owed after each read, since a reader holds up commits there.
GAP_SECONDS: Final = 0.001
GAP_WHILE_WRITTEN_SECONDS: Final = 0.010
WRITTEN_LATELY_NS: Final = 2_000_000_000
#: Beyond this size a log that grows needs a moment without readers to start over.
LARGE_LOG_BYTES: Final = 8 << 20
LOG_PAUSE_SECONDS: Final = 0.05
#: A log that was not written for so long is quiet. When it is looked at again, how long it is waited for, and
#: for how long it is not asked any more.
QUIET_NS: Final = 50_000_000
QUIET_PAUSE_SECONDS: Final = 0.02
QUIET_PATIENCE_SECONDS: Final = 0.4
IMPATIENT_SECONDS: Final = 0.1
CLAIM_PAUSE_SECONDS: Final = 0.002


@attrs.frozen
class Page(Generic[PageT]):
    """What one open-read-close brought."""

    result: PageT
    #: Taken before the database was opened: the rows are at least as new.
    signature: Signature
    catalog: Catalog
    way: Way
    #: As the file's header says.
    journal_mode: Literal["wal", "delete"]
    #: From the first read of the transaction until the connection was closed.
    held_seconds: float
    #: Of commits, as the file's header counts them; in WAL mode not every one of them.
    change_counter: int


@attrs.frozen
class Unchanged:
    """Nothing was committed since the signature that the caller knows; the database was not opened."""

    signature: Signature


@attrs.frozen
class Rules:
    """What holds for every visit of a service; see `Guest`."""

    roots: tuple[str, ...]
    tables: Mapping[str, frozenset[str]]
    private_dir: str
    private_cap_bytes: int
    platform: str
    filesystem: Callable[[str, str], str | None]


@attrs.define(eq=False)
class Memory:
    """What is remembered of a database from one visit to the next."""

    catalog: CachedCatalog | None = None
    wal_size: int | None = None
    #: Since when it is waited until its log is quiet, and until when it is not; on the monotonic clock.
    waits_since: float | None = None
    impatient_until: float = -math.inf
    #: Seconds to leave it alone after the last visit.
    gap_seconds: float = 0.0


@attrs.frozen
class Visit(Generic[PageT]):
    """A read that was asked for; each attempt is a call, in a thread of its own."""

    path: str
    make: Callable[[Catalog], Scan[PageT]]
    unless: Signature | None
    rules: Rules
    memory: Memory

    def __call__(self, job: Job, *, patient: bool, closed: Callable[[], None]) -> Page[PageT] | Unchanged:
        """Read a page. `closed` is called when the file has been let go of, before the page is made.

        Raises:
            Refused: There is no page, for a reason that is an outcome.
            GivenUp: Nobody waits any more.

        """
        self.memory.gap_seconds = 0.0
        with _refusing_os_errors():
            path, signature = look_at(self.path, self.rules.roots, self.rules.platform)
        grows = self._log_grows(signature)
        if signature == self.unless:
            return Unchanged(signature)
        if grows and patient:
            raise NotYet(Busy("its log is large and grows"), LOG_PAUSE_SECONDS)
        if patient and self._is_being_written(signature):
            raise NotYet(Busy("its log is being written"), QUIET_PAUSE_SECONDS)
        with _claimed(signature, job):
            make_page = self._read(path, signature, job)
        # Counted anew from each page: those of a long sync follow each other.
        self.memory.waits_since, self.memory.impatient_until = None, time.monotonic() + IMPATIENT_SECONDS
        job.file_closed = True
        closed()
        return make_page()

    def _log_grows(self, signature: Signature) -> bool:
        size, before = signature.wal.size if signature.wal else 0, self.memory.wal_size
        self.memory.wal_size = size
        return before is not None and size > max(before, LARGE_LOG_BYTES)

    def _is_being_written(self, signature: Signature) -> bool:
        """Whether its owner may be about to close it, which is done right after a last commit.

        A reader at that moment takes the closing checkpoint away: the log stays, and a copy of the file
        alone, which Cursor's backup is, lacks what is in it. Not asked of each page of many.
        """
        log, memory, now = signature.wal, self.memory, time.monotonic()
        if now < memory.impatient_until:
            return False
        if log is not None and log.size and 0 <= time.time_ns() - log.mtime_ns < QUIET_NS:
            since = memory.waits_since
            if since is None or now - since > 2 * QUIET_PATIENCE_SECONDS:  # whoever waited was cancelled
                since = memory.waits_since = now
            return now - since < QUIET_PATIENCE_SECONDS
        memory.waits_since = None  # whatever becomes of the read: the next wait is another one
        return False

    def _read(self, path: str, signature: Signature, job: Job) -> Callable[[], Page[PageT]]:
        rules = self.rules
        with ExitStack() as stack:
            with _refusing_os_errors():
                seen = survey(path, signature, lambda: rules.filesystem(path, rules.platform))
                way = choose_way(seen, rules.platform, rules.private_cap_bytes)
                target = path
                if way == "private copy":
                    copying = private_copy(
                        path, seen.header, signature, directory=rules.private_dir, stop=job.stop_if_given_up
                    )
                    target = stack.enter_context(copying)
                elif way == "immutable":
                    # Whatever came of it, rows or an error: it counts only if nobody wrote meanwhile.
                    stack.callback(_verify, path, seen.header, signature)
            if way == "ro" and not seen.in_wal_mode and signature.database:
                lately = time.time_ns() - signature.database.mtime_ns < WRITTEN_LATELY_NS
                self.memory.gap_seconds = GAP_WHILE_WRITTEN_SECONDS if lately else GAP_SECONDS
            try:
                with job.connection(uri_of(target, way, rules.platform)) as connection:
                    harden(connection)
                    transaction = Transaction(connection, job, _budget(seen, way))
                    found = transaction.read_catalog(rules.tables, signature.identity, self.memory.catalog)
                    self.memory.catalog = found
                    transaction.restrict(rules.tables, found.catalog)
                    make_result = transaction.run(self.make(found.catalog))
                held = time.perf_counter() - transaction.began
            except sqlite3.Error as error:
                raise refusal_of(error, has_journal=seen.has_journal) from error
        mode: Literal["wal", "delete"] = "wal" if seen.in_wal_mode else "delete"
        counter = seen.change_counter
        return lambda: Page(make_result(), signature, found.catalog, way, mode, held, counter)


def _verify(path: str, header: bytes, signature: Signature) -> None:
    with _refusing_os_errors():
        verify_unchanged(path, header, signature)


def _budget(seen: Surroundings, way: Way) -> float:
    if way in ("immutable", "private copy"):
        return UNLOCKED_BUDGET_SECONDS
    return WAL_BUDGET_SECONDS if seen.wal_size is not None else ROLLBACK_BUDGET_SECONDS


@contextmanager
def _claimed(signature: Signature, job: Job) -> Iterator[None]:
    identity = signature.identity
    holder = CLAIMS.take(identity, job)
    if holder is not job:
        if holder.abandoned:
            raise Refused(TimedOut("an earlier read of it still hangs", abandoned=False))
        raise NotYet(Busy("another read of the same file is under way"), CLAIM_PAUSE_SECONDS)
    try:
        yield
    finally:
        CLAIMS.give_back(identity)


@contextmanager
def _refusing_os_errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise RefusedForNow(Busy("a file went away while we looked")) from error
    except OSError as error:
        raise Refused(Unreadable(error.strerror or type(error).__name__)) from error
