"""The one door to Cursor's databases: open, read a page, close, and leave no trace.

Nothing else may open, or even read, a `state.vscdb`. A page is read by one thread, from a connection that
the same thread opens and closes; no connection outlives a read, because in WAL mode even an idle one
keeps Cursor from tidying up, and in rollback mode a lock held for seconds makes it delete its database.
"""

from __future__ import annotations

import math
import random
import sys
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import attrs
import trio

from trio_cursor.cursor.filesystems import network_filesystem
from trio_cursor.cursor.jobs import Job
from trio_cursor.cursor.opening import signature_of
from trio_cursor.cursor.outcomes import (
    Busy,
    Empty,
    FileStat,
    NeedsRecovery,
    NotYet,
    Refusal,
    Refused,
    RefusedForNow,
    Signature,
    TimedOut,
    Unreadable,
)
from trio_cursor.cursor.read_meter import ReadMeter
from trio_cursor.cursor.schemas import Catalog, PageT, Scan
from trio_cursor.cursor.visits import Memory, Page, Rules, Unchanged, Visit
from trio_cursor.threads import soon

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "Busy",
    "Empty",
    "FileStat",
    "Guest",
    "NeedsRecovery",
    "Outcome",
    "Page",
    "Signature",
    "TimedOut",
    "Unchanged",
    "Unreadable",
    "signature_of",
]

Outcome: TypeAlias = Page[PageT] | Unchanged | Busy | NeedsRecovery | Empty | Unreadable | TimedOut

#: How long a cancelled read may take to end by itself before its thread is left alone.
GRACE_SECONDS: Final = 0.04
#: A path whose reads had to be abandoned this often in a row is quarantined.
STRIKES: Final = 2
QUARANTINE_SECONDS: Final = 60.0
LONGEST_QUARANTINE_SECONDS: Final = 3600.0
#: Without a number: whoever shows it takes other words for another state, and says so each time.
QUARANTINED: Final = "quarantined: its reads do not end; it is tried again now and then"
#: Up to this number, threads that hang do not take the places of those that work.
MOST_ABANDONED: Final = 32
#: Between two attempts at a busy database: shortest, longest.
BUSY_PAUSE_SECONDS: Final = (0.005, 0.05)
#: Longest wait for a large log to stop growing.
LOG_PATIENCE_SECONDS: Final = 1.0
SHUTDOWN_SECONDS: Final = 1.0
#: A larger database is not copied.
PRIVATE_CAP_BYTES: Final = 64 << 20


@attrs.define(eq=False)
class _Database:
    """What the door knows of one path."""

    #: How long the first quarantine lasts, and the next.
    first_quarantine: float
    next_quarantine: float = attrs.field(init=False)
    #: Reads of the same path wait for each other here, in order.
    lock: trio.Lock = attrs.field(factory=trio.Lock)
    memory: Memory = attrs.field(factory=Memory)
    #: On Trio's clock: not to be opened again before.
    not_before: float = -math.inf
    #: Reads abandoned in a row, and those of them that still hang.
    strikes: int = 0
    hanging: set[Job] = attrs.field(factory=set)
    quarantined_until: float = -math.inf

    def __attrs_post_init__(self) -> None:
        self.next_quarantine = self.first_quarantine

    def is_quarantined(self, now: float) -> bool:
        """Whether it is left alone: for a while, and as long as reads of it hang."""
        return self.strikes >= STRIKES and (now < self.quarantined_until or bool(self.hanging))

    def strike(self, now: float) -> None:
        """Count a read that did not end."""
        self.strikes += 1
        if self.strikes >= STRIKES:
            self.quarantined_until = now + self.next_quarantine
            self.next_quarantine = min(2 * self.next_quarantine, LONGEST_QUARANTINE_SECONDS)

    def absolve(self) -> None:
        """A read ended by itself; while an earlier one hangs that proves nothing."""
        if not self.hanging:
            self.strikes = 0
            self.next_quarantine = self.first_quarantine


@attrs.define(eq=False)
class _Turn:
    """A place in the limiter; the deadline starts when it is free. Trio's threads take it as a limiter."""

    limiter: trio.CapacityLimiter
    seconds: float
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    began: float | None = None

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        await self.limiter.acquire_on_behalf_of(borrower)
        self.began = trio.current_time()
        self.scope.deadline = self.began + self.seconds

    def release_on_behalf_of(self, borrower: object) -> None:
        self.limiter.release_on_behalf_of(borrower)

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.scope.deadline - trio.current_time()

    def no_deadline(self) -> None:
        self.scope.deadline = math.inf


class Guest:
    """Reads pages of Cursor's databases. One for each service; it knows nothing of what is read.

    Args:
        roots: Cursor's `User` directories; nothing outside them is opened.
        tables: The tables that any schema may read, and their columns; SQLite refuses everything else.
        deadline_seconds: For one page, not counting the time it waits for its turn.
        max_concurrent: Databases open at the same moment.
        private_dir: Where a database is copied to that cannot be read in place; created with mode 0700.
        private_cap_bytes: Nothing larger is copied.
        platform: As `sys.platform`.
        filesystem: Of a path and a platform, the type of a network file system; None for a local one.
        quarantine_seconds: How long a path is left alone at first when its reads do not end; it doubles.

    """

    def __init__(
        self,
        *,
        roots: Sequence[str],
        tables: Mapping[str, frozenset[str]],
        deadline_seconds: float,
        max_concurrent: int,
        private_dir: str,
        private_cap_bytes: int = PRIVATE_CAP_BYTES,
        platform: str = sys.platform,
        filesystem: Callable[[str, str], str | None] = network_filesystem,
        quarantine_seconds: float = QUARANTINE_SECONDS,
    ) -> None:
        self._rules = Rules(tuple(roots), tables, private_dir, private_cap_bytes, platform, filesystem)
        self._deadline_seconds = deadline_seconds
        self._max_concurrent = max_concurrent
        self._limiter = trio.CapacityLimiter(max_concurrent)
        self._quarantine_seconds = quarantine_seconds
        self._databases: dict[str, _Database] = {}
        self._abandoned: dict[Job, trio.Event] = {}
        self.meter = ReadMeter()

    @property
    def abandoned(self) -> int:
        """How many threads were left behind and have not ended."""
        return len(self._abandoned)

    def quarantined(self) -> tuple[str, ...]:
        """Paths that are left alone because their reads do not end."""
        now = trio.current_time()
        return tuple(path for path, database in self._databases.items() if database.is_quarantined(now))

    async def aclose(self) -> None:
        """Wait for abandoned threads, a second at most and even if cancelled; what hangs longer is left."""
        with trio.move_on_after(SHUTDOWN_SECONDS, shield=True):
            for ended in tuple(self._abandoned.values()):
                await ended.wait()

    async def read(
        self,
        path: str,
        make: Callable[[Catalog], Scan[PageT]],
        *,
        unless: Signature | None = None,
    ) -> Outcome[PageT]:
        """Read one page of a database.

        `make` is told what the database has and returns the scan. The scan's queries run in one read
        transaction; the function it returns is called after the database was closed, and has no deadline.
        All of it happens in one worker thread. With `unless`, an unchanged database is not opened at all.

        Waiting for a turn (another read of the same file, a free thread, the gap that Cursor is owed) does
        not count for the deadline. A cancellation is obeyed within some 40 ms, whatever the thread does.

        Raises:
            Exception: What `make`, the scan or its function raises: that is no fault of the file's.

        """
        return self.meter.counted(await self._read(path, make, unless))

    async def _read(
        self, path: str, make: Callable[[Catalog], Scan[PageT]], unless: Signature | None
    ) -> Outcome[PageT]:
        database = self._databases.setdefault(path, _Database(self._quarantine_seconds))
        visit = Visit(path, make, unless, self._rules, database.memory)
        left, patience = self._deadline_seconds, LOG_PATIENCE_SECONDS
        refusal: Refusal | None = None
        async with database.lock:
            while True:
                if database.is_quarantined(trio.current_time()):
                    return Unreadable(QUARANTINED)
                await trio.sleep_until(database.not_before)
                turn = _Turn(self._limiter, left)
                try:
                    return await self._attempt(visit, database, turn, refusal, patient=patience > 0)
                except NotYet as wait:
                    self.meter.not_yet += 1
                    pause = wait.pause_seconds
                    patience -= pause
                except RefusedForNow as refused:
                    self.meter.busy += 1
                    refusal = refused.outcome
                    pause = random.uniform(*BUSY_PAUSE_SECONDS)  # noqa: S311 - jitter keeps no secret
                    left = turn.left - pause
                    if left <= 0:
                        return refusal
                except Refused as refused:
                    return refused.outcome
                await trio.sleep(pause)

    async def _attempt(
        self,
        visit: Visit[PageT],
        database: _Database,
        turn: _Turn,
        refusal: Refusal | None,
        *,
        patient: bool,
    ) -> Outcome[PageT]:
        job = Job()
        token = trio.lowlevel.current_trio_token()
        work = partial(visit, patient=patient, closed=partial(soon, token, turn.no_deadline))
        with turn.scope:
            try:
                return await trio.to_thread.run_sync(
                    job.run,
                    work,
                    thread_name="trio_cursor guest",
                    abandon_on_cancel=True,
                    limiter=cast("trio.CapacityLimiter", turn),
                )
            except trio.Cancelled:
                if turn.began is not None:
                    await self._give_up(job, database)
                raise
            finally:
                database.not_before = trio.current_time() + database.memory.gap_seconds
                if turn.began is not None and not job.given_up:
                    database.absolve()
        if refusal and not job.abandoned:
            return refusal  # this is what took the time, not the last attempt that was cut short
        return TimedOut(f"no answer within {self._deadline_seconds:g} s", abandoned=job.abandoned)

    async def _give_up(self, job: Job, database: _Database) -> None:
        """Interrupt a job, and let its thread go on alone if that does not help soon."""
        ended = trio.Event()
        token = trio.lowlevel.current_trio_token()
        job.give_up(partial(soon, token, partial(self._has_ended, job, database, ended)))
        with trio.move_on_after(GRACE_SECONDS, shield=True):
            await ended.wait()
        if ended.is_set():
            return
        job.abandoned = True
        self.meter.abandoned += 1
        self._abandoned[job] = ended
        self._make_room()
        if not job.file_closed:
            database.hanging.add(job)
            database.strike(trio.current_time())

    def _has_ended(self, job: Job, database: _Database, ended: trio.Event) -> None:
        ended.set()
        database.hanging.discard(job)
        if self._abandoned.pop(job, None) is not None:
            self._make_room()

    def _make_room(self) -> None:
        self._limiter.total_tokens = self._max_concurrent + min(len(self._abandoned), MOST_ABANDONED)
