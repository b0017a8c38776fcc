"""How one database is polled: read it page by page, whenever it changed, and what others want of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import attrs
import trio

from trio_cursor.assembly import Assembler
from trio_cursor.condition import Condition, Failure, Pace, Rest
from trio_cursor.cursor.guest import Empty, FileStat, Guest, Outcome, Page, Signature, Unchanged
from trio_cursor.cursor.schemas import Catalog, FollowUp, Scan, Step
from trio_cursor.cursor.schemas.known import reread_database, scan_database
from trio_cursor.demand import Demand
from trio_cursor.eventlog import EventLog, Known
from trio_cursor.freshness import Freshness
from trio_cursor.ladder import QUIET_PATIENCE_SECONDS
from trio_cursor.meters import Meters
from trio_cursor.observations import Wanted
from trio_cursor.records import Batch, Workspace
from trio_cursor.records import Page as SchemaPage
from trio_cursor.scanner import Scanner
from trio_cursor.sink import Message, Submission
from trio_cursor.states import WorkspaceState
from trio_cursor.status import landmarks
from trio_cursor.watched import Watched

T = TypeVar("T")

#: Above all that a header can count to.
_NEVER_COUNTED = 1 << 32


@attrs.frozen
class Tools:
    """What every watcher works with."""

    guest: Guest
    log: EventLog
    demand: Demand
    scanner: Scanner
    assembler: Assembler
    freshness: Freshness
    sends: trio.abc.SendChannel[Message]
    now_ms: Callable[[], int]
    #: How far back the first sync of a database reaches, milliseconds; None: to the beginning.
    window_ms: int | None
    pace: Pace
    meters: Meters = attrs.field(factory=Meters)


@attrs.define(eq=False)
class Poller:
    """Reads one database whenever it changed, and every `poll_every` seconds whatever it seems."""

    watched: Watched
    state: WorkspaceState
    tools: Tools
    condition: Condition
    known: Known = attrs.field(factory=Known, init=False)
    #: Signature that the last complete read is at least as new as; None: read in any case.
    read: Signature | None = attrs.field(default=None, init=False)
    #: The database as the last page saw it, and its change counter.
    _stood: tuple[FileStat | None, int] | None = attrs.field(default=None, init=False)
    #: On the way to the first complete read of the file as it is now.
    _is_catching_up: bool = attrs.field(default=True, init=False)
    _verified_at: float = attrs.field(default=-math.inf, init=False)
    #: Of the last look.
    _is_verified: bool = attrs.field(default=False, init=False)

    async def poll(self) -> None:
        """Returns once everything was read and nobody needs the database."""
        self.known = await self.tools.log.known(self.watched.workspace.database)
        if self._reaches_behind():
            self.known = Known(scope=self.known.scope)
        self.state.position = landmarks(self.known.positions)
        while True:
            changes = self.watched.changes
            rest = await self._look()
            if self.condition.is_readable:
                rest = await self._answer() or rest
            # No checkpoint from here to the return: what changes later finds that nobody watches.
            is_stale = self.watched.changes != changes
            if not is_stale and self._may_leave(rest) and not self.tools.demand.wants(self.watched.workspace):
                # What was read and cannot be understood stays so; and what is cancelled has not left.
                if not self.condition.is_readable:
                    self.state.left()
                return
            if not rest.until_changed:
                await trio.sleep(rest.seconds)
            elif not is_stale:
                with trio.move_on_after(rest.seconds):
                    await self.watched.changed_since(changes)
                    continue
                await self._quiet(changes)

    async def _quiet(self, changes: int) -> None:
        """Whoever writes to its log is left alone for the moment; the scanner says when it is over."""
        if self.tools.scanner.ladder.waits_for_quiet(self.watched.workspace.database):
            with trio.move_on_after(QUIET_PATIENCE_SECONDS):
                await self.watched.changed_since(changes)

    def _may_leave(self, rest: Rest) -> bool:
        # What cannot be read is tried again for as long as it takes where everything is to be read once.
        return rest.is_done or not (self.condition.is_readable or self.tools.demand.registry.discovers)

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

    async def _look(self) -> Rest:
        """Read all that is new."""
        while True:
            began = trio.current_time()
            verify = began - self._verified_at >= self.tools.pace.poll_every
            expected = self.watched.signature.identity
            rescan = self.known.identity is not None and self.known.identity != expected
            scan = partial(
                scan_database,
                positions=self.known.positions,
                rescan=rescan,
                verify=verify,
                since_ms=self._since_ms(),
            )
            outcome = await self._read(scan, unless=None if verify else self.read)
            if isinstance(outcome, Unchanged):
                return self.condition.unchanged(outcome, began)
            is_written_over = self._is_written_over(outcome)
            if not isinstance(outcome, Page):
                return self.condition.without_page(outcome)
            if outcome.signature.identity != expected or (is_written_over and not verify):
                # Replaced between the sweep and the open, or written over: the positions are of another file.
                self.watched.signature = outcome.signature
                self.tools.scanner.touched.add(self.watched.workspace.database)
                self._verified_at = -math.inf
                continue
            pages = {}
            for name, step in outcome.result.steps.items():
                completed = await self._complete(step)
                if not isinstance(completed, SchemaPage):
                    return self.condition.without_page(completed)
                pages[name] = completed
            self._count_skipped(pages, is_rescan=rescan)
            await self._commit(pages, expected)
            self.tools.meters.committed(outcome.signature.written_ms, pages.values())
            if any(page.more for page in pages.values()):
                self.state.status = "connected"
                continue
            if verify:
                self._verified_at, self._is_verified = began, True
            self._is_catching_up = False
            is_given_up = any(page.is_given_up for page in pages.values())
            rest = self.condition.caught_up(outcome, pages, began)
            self.read = None if is_given_up or self.condition.is_to_be_repeated else outcome.signature
            return rest

    def _is_written_over(self, outcome: Outcome[T]) -> bool:
        """Whether a backup may have been copied into the file, or a new file have got its number.

        Rowids and sizes may then be those of other rows. A commit advances the counter: a file that was
        written to without that was written by no commit. Or by a checkpoint; then it does no harm to verify.
        """
        if isinstance(outcome, Empty):
            self._stood = (None, _NEVER_COUNTED)  # whatever comes next is not what was there
        if not isinstance(outcome, Page):
            return False
        stood, self._stood = self._stood, (outcome.signature.database, outcome.change_counter)
        return stood is not None and stood[0] != self._stood[0] and stood[1] >= self._stood[1]

    async def _answer(self) -> Rest | None:
        """Read what the Assembler wants; None unless it could not be read."""
        assembler, database = self.tools.assembler, self.watched.workspace.database
        if self._is_verified:
            # Turns in flight whose rows were changed in place, which nothing else would show.
            self._is_verified = False
            unsettled = assembler.unsettled(database)
            if unsettled and (failure := await self._read_again(unsettled)):
                return self.condition.without_page(failure)
        while wanted := assembler.wanted(database):
            if failure := await self._read_again(wanted):
                return self.condition.without_page(failure)
            if assembler.wanted(database) == wanted:
                # It did not get an answer that it could use. Not at once, for ever.
                return Rest(self.tools.pace.probe_every, until_changed=False, is_done=False)
        return None

    async def _read_again(self, wanted: tuple[Wanted, ...]) -> Failure | None:
        outcome = await self._read(partial(reread_database, wanted=wanted), unless=None)
        completed = await self._complete(outcome.result) if isinstance(outcome, Page) else outcome
        if not isinstance(completed, SchemaPage):
            return completed
        await self._submit(Batch(self._workspace(), {}, answers=completed.observations))
        return None

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
            if not self._is_catching_up:
                if page.position == self.known.positions.get(name):
                    continue  # the same as before
                if page.entries is None and page.backfill:
                    continue  # a verification: counted when it was new
            if page.entries is not None:
                self.state.skipped.pop(name, None)  # this schema reads its place as a whole
            if page.skipped:
                self.state.skipped.setdefault(name, Counter()).update(page.skipped)

    def _workspace(self) -> Workspace:
        return attrs.evolve(self.watched.workspace, first_scope=self.known.scope)

    async def _commit(self, pages: dict[str, SchemaPage], identity: tuple[int, int] | None) -> None:
        """Hand the pages to the sink, and wait until they are in the log."""
        positions = {name: page.position for name, page in pages.items()}
        news = any(page.observations or page.gaps for page in pages.values())
        workspace = self._workspace()
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
        await self._submit(Batch(workspace, pages, identity, known.since_ms))
        self.known = known
        self.state.position = landmarks(known.positions)
        if news:
            self.state.last_activity = self.tools.now_ms()

    async def _submit(self, batch: Batch) -> None:
        submission = Submission(batch)
        await self.tools.sends.send(submission)
        await submission.committed.wait()
