"""The watching task of one workspace: read its database, page by page, for as long as it is active."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TypeAlias, TypeVar

import attrs
import trio

from trio_cursor.cursor.guest import (
    Busy,
    Empty,
    Guest,
    NeedsRecovery,
    Outcome,
    Page,
    Signature,
    TimedOut,
    Unchanged,
    Unreadable,
)
from trio_cursor.cursor.schemas import Catalog, FollowUp, Scan, Step
from trio_cursor.cursor.schemas.known import Reading, scan_database
from trio_cursor.errors import StateError
from trio_cursor.eventlog import EventLog
from trio_cursor.eventlog_format import Known
from trio_cursor.logs import get_logger
from trio_cursor.records import Batch
from trio_cursor.records import Page as SchemaPage
from trio_cursor.scanner import Watched
from trio_cursor.sessions.registry import Registry
from trio_cursor.sink import Message, Submission
from trio_cursor.status import WorkspaceState, landmarks

log = get_logger(__name__)

T = TypeVar("T")
Failure: TypeAlias = Unchanged | Busy | NeedsRecovery | Empty | Unreadable | TimedOut

_BACKOFF_MOST_SECONDS = 600.0


@attrs.frozen
class Tools:
    """What every watcher works with."""

    guest: Guest
    log: EventLog
    registry: Registry
    sends: trio.abc.SendChannel[Message]
    now_ms: Callable[[], int]
    #: How far back the first sync of a database reaches, milliseconds; None: to the beginning.
    window_ms: int | None
    poll_every: float
    probe_every: float
    max_retries: int
    retry_backoff: float


async def watch_workspace(
    watched: Watched, state: WorkspaceState, tools: Tools, looked: Callable[[], None]
) -> None:
    """Poll a workspace's database until it is no longer active; never fails its neighbours.

    `looked` is called once everything that was there at first sight was read, or could not be.
    """
    failures = 0
    while True:
        poller = Poller(watched, state, tools, looked)
        try:
            await poller.poll()
        except StateError as error:
            # Not this workspace's fault: nothing is known of it while our own log cannot be read.
            why = str(error)
            log.warning("the event log cannot be read", workspace=watched.workspace.name, error=why)
        except Exception as error:  # the border of a workspace
            why = f"{type(error).__name__} in trio_cursor; please report it"
            log.exception("a watcher failed and starts again", workspace=watched.workspace.name)
            poller.first_look_is_over()
        else:
            return
        failures = 1 if poller.has_caught_up else failures + 1
        state.status, state.last_error, state.errors = "error", why, state.errors + 1
        await trio.sleep(backoff(tools.retry_backoff, failures))


def backoff(first: float, failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubled each time, with jitter."""
    doubled = first * 2.0 ** min(failures - 1, 20)
    return min(doubled, _BACKOFF_MOST_SECONDS) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter


@attrs.frozen
class _Rest:
    """What follows a look: how long to leave the database alone."""

    seconds: float
    #: A change ends the rest.
    until_changed: bool = True
    #: All that there is was read; if not, the next look is needed even if nobody works there.
    is_done: bool = True


@attrs.define(eq=False)
class Poller:
    """Reads one database whenever it changed, and every `poll_every` seconds whatever it seems."""

    watched: Watched
    state: WorkspaceState
    tools: Tools
    looked: Callable[[], None]
    known: Known = attrs.field(factory=Known, init=False)
    #: Signature that the last complete read is at least as new as; None: read in any case.
    read: Signature | None = attrs.field(default=None, init=False)
    #: There was a complete read, since this poller was made.
    has_caught_up: bool = attrs.field(default=False, init=False)
    #: On the way to the first complete read of the file as it is now.
    _is_catching_up: bool = attrs.field(default=True, init=False)
    #: Looks in a row that ended in a deadline or an error, and looks in a row that ended before a lock.
    failures: int = attrs.field(default=0, init=False)
    lockouts: int = attrs.field(default=0, init=False)
    #: What the last complete read had to say: status and, if it was not well, why.
    _verdict: tuple[str, str | None] = attrs.field(default=("connected", None), init=False)
    _verified_at: float = attrs.field(default=-math.inf, init=False)

    async def poll(self) -> None:
        """Returns once everything was read and the workspace is not active."""
        database = self.watched.workspace.database
        self.known = await self.tools.log.known(database)
        if self._reaches_behind():
            self.known = Known(scope=self.known.scope)
        self.state.position = landmarks(self.known.positions)
        while True:
            changes = self.watched.changes
            rest = await self._look()
            # No checkpoint from here to the return: what changes later finds that nobody watches.
            is_stale = self.watched.changes != changes
            if rest.is_done and not is_stale and not self.tools.registry.is_active(database):
                return
            if not rest.until_changed:
                await trio.sleep(rest.seconds)
            elif not is_stale:
                with trio.move_on_after(rest.seconds):
                    await self.watched.changed_since(changes)

    def first_look_is_over(self) -> None:
        """Nobody has to wait for this database any more."""
        if not self.state.looked:
            self.state.looked = True
            self.looked()

    def _since_ms(self) -> int | None:
        """Where the first sync begins."""
        window = self.tools.window_ms
        if self.known.identity is not None:
            return self.known.since_ms
        return None if window is None else self.tools.now_ms() - window

    def _reaches_behind(self) -> bool:
        """Whether more is asked for than was synced: then all is read again, and keys keep it harmless."""
        if self.known.identity is None or self.known.since_ms is None:
            return False
        window = self.tools.window_ms
        return window is None or self.tools.now_ms() - window < self.known.since_ms

    async def _look(self) -> _Rest:
        """Read all that is new."""
        while True:
            verify = trio.current_time() - self._verified_at >= self.tools.poll_every
            expected = self.watched.signature.identity
            rescan = self.known.identity is not None and self.known.identity != expected
            scan = partial(scan_database, positions=self.known.positions, rescan=rescan, verify=verify)
            outcome = await self._read(scan, unless=None if verify else self.read)
            if not isinstance(outcome, Page):
                return self._without_page(outcome)
            if outcome.signature.identity != expected:
                # Replaced between the sweep and the open: the positions are of another file.
                self.watched.signature = outcome.signature
                continue
            pages = {}
            for name, step in outcome.result.steps.items():
                completed = await self._complete(step)
                if not isinstance(completed, SchemaPage):
                    return self._without_page(completed)
                pages[name] = completed
            self._count_skipped(pages, is_rescan=rescan)
            await self._commit(pages, expected)
            if any(page.more for page in pages.values()):
                self.state.status = "connected"
                continue
            if verify:
                self._verified_at = trio.current_time()
            return self._caught_up(outcome, pages)

    async def _read(self, make: Callable[[Catalog], Scan[T]], *, unless: Signature | None) -> Outcome[T]:
        outcome = await self.tools.guest.read(self.watched.workspace.database, make, unless=unless)
        self.state.last_check = self.tools.now_ms()
        return outcome

    async def _complete(self, step: Step) -> SchemaPage | Failure:
        """Take the further looks that a page needs."""
        while isinstance(step, FollowUp):
            outcome = await self._read(step.make, unless=None)
            if not isinstance(outcome, Page):
                return outcome
            step = outcome.result
        return step

    def _count_skipped(self, pages: dict[str, SchemaPage], *, is_rescan: bool) -> None:
        """Count what was passed over: each entry once, however often the same place is read."""
        if is_rescan:
            self._is_catching_up = True
            self.state.skipped.clear()
        for name, page in pages.items():
            counts = self.state.skipped.setdefault(name, Counter())
            if not self._is_catching_up:
                if page.position == self.known.positions.get(name):
                    continue  # the same as before
                if page.entries is None and page.backfill:
                    continue  # a verification: counted when it was new
            if page.entries is not None:
                counts.clear()  # this schema reads its place as a whole
            counts.update(page.skipped)

    async def _commit(self, pages: dict[str, SchemaPage], identity: tuple[int, int] | None) -> None:
        """Hand the pages to the sink, and wait until they are in the log."""
        positions = {name: page.position for name, page in pages.items()}
        news = any(page.observations or page.gaps for page in pages.values())
        workspace = attrs.evolve(self.watched.workspace, first_scope=self.known.scope)
        known = attrs.evolve(
            self.known,
            scope=workspace.scope if any(page.observations for page in pages.values()) else self.known.scope,
            positions={**self.known.positions, **positions},
            identity=identity,
            since_ms=self._since_ms(),
        )
        if identity is None or not pages or (known == self.known and not news):
            return
        if not news and any(page.more for page in pages.values()):
            # A look for which the lock budget left no time, or that passed over everything. What follows
            # at once is committed; if it never comes to that, the next run looks there again.
            self.known = known
            return
        submission = Submission(Batch(workspace, pages, identity, known.since_ms))
        await self.tools.sends.send(submission)
        await submission.committed.wait()
        self.known = known
        self.state.position = landmarks(known.positions)
        if news:
            self.state.last_activity = self.tools.now_ms()

    def _caught_up(self, outcome: Page[Reading], pages: dict[str, SchemaPage]) -> _Rest:
        state = self.state
        self.failures = self.lockouts = 0
        self.has_caught_up = True
        self._is_catching_up = False
        state.schemas = tuple(pages)
        state.journal_mode = outcome.journal_mode
        self.watched.has_log = outcome.journal_mode == "wal"
        state.entries = {name: page.entries for name, page in pages.items() if page.entries is not None}
        found = outcome.signature.database
        state.size = found.size if found else None
        problems = [page.problem for page in pages.values() if page.problem]
        if outcome.result.unknown:
            self._verdict = ("unknown_schema", "; ".join((*outcome.result.unknown, *problems)))
        elif problems:
            self._verdict = ("error", "; ".join(problems))
        else:
            self._verdict = ("synced", None)
        state.errors += self._verdict[1] is not None
        self._turn(*self._verdict)
        self.first_look_is_over()
        self.read = outcome.signature
        return self._rest(outcome.signature)

    def _rest(self, signature: Signature) -> _Rest:
        """Until the file changes, or could change without a trace: within one tick of its clock."""
        if signature.settled:
            return _Rest(self.tools.poll_every)
        return _Rest(self.tools.probe_every, is_done=False)

    def _without_page(self, outcome: Failure) -> _Rest:
        """Nothing could be read, or nothing had to be."""
        tools = self.tools
        match outcome:
            case Unchanged():
                # What was in the way of the looks in between is gone.
                self.failures = self.lockouts = 0
                self._turn(*self._verdict)
                return self._rest(outcome.signature)
            case Busy():
                self.lockouts += 1
                if self.lockouts > tools.max_retries:
                    self.first_look_is_over()
                self._turn("locked", outcome.why)
                return _Rest(tools.probe_every, until_changed=False, is_done=False)
            case TimedOut():
                self._fail()
                if self.failures >= tools.max_retries:
                    self._turn("timeout", outcome.why)
                    self.first_look_is_over()
                # Whatever changes meanwhile: a place that does not answer is not asked more often.
                pause = backoff(tools.retry_backoff, self.failures)
                return _Rest(pause, until_changed=False, is_done=False)
            case Empty():
                self.failures = self.lockouts = 0
                self._turn("connected", None)
                self.state.note = outcome.why
                self.first_look_is_over()
                return _Rest(tools.poll_every)
            case NeedsRecovery() | Unreadable():
                self._fail()
                self._turn("error", outcome.why)
                self.first_look_is_over()
                # A change says that somebody has mended it, at once; the full check finds what leaves no
                # trace, such as permissions.
                return _Rest(tools.poll_every, is_done=False)

    def _fail(self) -> None:
        self.failures += 1
        self.state.errors += 1

    def _turn(self, status: str, why: str | None) -> None:
        """One log line for each change of state."""
        state = self.state
        state.note = None
        if (state.status, state.last_error) == (status, why):
            return
        say = log.warning if why else log.debug
        if state.last_error and not why:
            say = log.info
        say(
            f"database {status}",
            workspace=self.watched.workspace.name,
            database=self.watched.workspace.database,
            **({"why": why} if why else {}),
        )
        state.status, state.last_error = status, why
