"""The sink: alone writes events, pending and positions. Assemble, deduplicate, commit, in that order."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import attrs
import trio

from trio_cursor.assembly import Assembler, Change, Told
from trio_cursor.cursor.schemas.values import is_uuid
from trio_cursor.eventlog import Entry, EventLog, insist
from trio_cursor.events import build_event, build_gap
from trio_cursor.freshness import Freshness
from trio_cursor.logs import bound, get_logger
from trio_cursor.meters import Meters
from trio_cursor.observations import RingEntry, TableRow
from trio_cursor.passes import Passes, ProfileRead
from trio_cursor.privacy import FULL, Privacy
from trio_cursor.records import Batch, Event, Generation, Session, Workspace
from trio_cursor.scanner import Scanner
from trio_cursor.sessions.registry import Registry

log = get_logger(__name__)


@attrs.frozen
class Submission:
    """A batch on its way to the log; the event is set once it is there."""

    batch: Batch
    committed: trio.Event = attrs.field(factory=trio.Event)


@attrs.frozen
class Renewed:
    """Something was read, or found to be as it was: what waited for that may go out."""


#: Events built while nobody else has a turn, which takes a millisecond.
_AT_ONCE = 100
#: Nothing becomes of it.
_OPEN = Privacy(FULL, b"")

Message = Submission | ProfileRead | Renewed


@attrs.define(eq=False)
class Counts:
    """What the sink has done in this run."""

    generations: int = 0
    gaps: int = 0
    #: When the last of them was found, milliseconds since the epoch; None: there was none.
    gap_at: int | None = None
    duplicates: int = 0
    #: Generations of workspaces that are not to be monitored.
    excluded: int = 0
    #: Turns that were over and that nothing names.
    nameless: int = 0
    #: Generations of no known workspace, for which no session came.
    unattributed: int = 0
    #: Generations by database.
    by_database: Counter[str] = attrs.field(factory=Counter)


@attrs.frozen
class Sink:
    """What the sink works with."""

    log: EventLog
    assembler: Assembler
    registry: Registry
    scanner: Scanner
    freshness: Freshness
    now_ms: Callable[[], int]
    host: str
    max_text_bytes: int
    #: Something is wanted of a database that nobody reads.
    need: Callable[[Workspace], Awaitable[None]]
    #: What becomes of what was observed, before anything of it is stored.
    privacy: Privacy = _OPEN
    counts: Counts = attrs.field(factory=Counts)
    meters: Meters = attrs.field(factory=Meters)
    passes: Passes = attrs.field(init=False)
    #: Databases that were told that something is wanted of them.
    _called: set[str] = attrs.field(factory=set, init=False)

    @passes.default
    def _make_passes(self) -> Passes:
        return Passes(self.scanner, self.assembler, self.freshness)

    async def deliver(self, messages: trio.abc.ReceiveChannel[Message]) -> None:
        """Take in messages until cancelled, and release what has waited long enough."""
        while True:
            message = await self._next(messages)
            match message:
                case Submission(batch, committed):
                    await self._commit(batch)
                    committed.set()
                    if batch.answers:
                        # What is wanted from now on its poller has not seen yet.
                        self._called.discard(batch.workspace.database)
                case ProfileRead():
                    self.passes.begin(message)
                case _:
                    pass
            self.freshness.listen()
            fresh = self.passes.fresh()
            await self._release()
            if isinstance(message, Submission):
                self._hurry(message.batch.workspace.profile)
            await self._call()
            self.passes.finish(fresh)

    def waits(self) -> bool:
        """Whether anything would go out if more were known to be read."""
        return self.passes.are_waited_for or self.assembler.waits_for_freshness()

    async def _next(self, messages: trio.abc.ReceiveChannel[Message]) -> Message | None:
        """The next message; None if something is to be released first."""
        deadline = self.assembler.next_deadline_ms()
        if deadline is None:
            return await messages.receive()
        # A message that waits must not hold up what is due: in an unbroken stream it would for ever.
        if (left := (deadline - self.now_ms()) / 1000) > 0:
            with trio.move_on_after(left):
                return await messages.receive()
        return None

    async def _release(self) -> None:
        """Write what has waited long enough, step by step, all of it."""
        await self._write(self.assembler.release(self.now_ms(), trio.current_time()))
        while self.assembler.next_deadline_ms() == 0:
            await self._write(self.assembler.release(self.now_ms(), trio.current_time()))

    def _hurry(self, profile: str) -> None:
        """Ask for a sweep if that is all that something waits for."""
        if (
            self.assembler.waits_for_freshness(profile)
            and not self.freshness.is_blocked(profile)
            and self.freshness.rings(profile) > -math.inf
        ):
            self.scanner.await_look()

    async def _call(self) -> None:
        """Wake the pollers of databases in which something is to be read now; each once."""
        wanted = self.assembler.wanted_databases()
        self._called.intersection_update(wanted)
        for database in wanted - self._called:
            if (watched := self.scanner.watched.get(database)) is None:
                continue
            if watched.active:
                watched.wake()
                self._called.add(database)
            else:
                # Whoever starts to read looks at once.
                await self.need(watched.workspace)

    async def _commit(self, batch: Batch) -> None:
        with bound(workspace=batch.workspace.name):
            told = [await self._veiled(one) for one in await self._told(batch)]
            change = self.assembler.observe(batch.workspace, told, self.now_ms(), trio.current_time())
            await self._write(change, batch)

    async def _told(self, batch: Batch) -> list[Told]:
        """What the batch brought, and of each whether it was reported already."""
        found = [(self.assembler.keys_of(batch.workspace, told.observation), told) for told in _told(batch)]
        keys = {key for keys, _ in found for key in keys}
        if not keys:
            return [told for _, told in found]
        known = await insist(lambda: self.log.known_keys(keys), "generations")
        told = [
            told if known.isdisjoint(keys) else attrs.evolve(told, is_reported=True) for keys, told in found
        ]
        # A turn is told again with each change of its conversation, which makes no duplicate of it.
        self.counts.duplicates += sum(
            one.is_reported and isinstance(one.observation, RingEntry | TableRow) for one in told
        )
        return told

    async def _veiled(self, told: Told) -> Told:
        """As the privacy mode has it; what was reported already becomes nothing any more."""
        if told.is_reported or self.privacy.mode == FULL:
            return told
        # A page may hold many long texts: others have their turn in between.
        await trio.lowlevel.checkpoint()
        return attrs.evolve(told, observation=self.privacy.observed(told.observation))

    async def _write(self, change: Change, batch: Batch | None = None) -> None:
        change = await self._without_known(change)
        now = self.now_ms()
        opened: list[Session] = []
        events: list[tuple[tuple[str, ...], Event]] = []
        reported: list[Generation] = []
        for number, generation in enumerate(change.released, 1):
            if number % _AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            session = self._session(generation.workspace, generation.timestamp, now, opened)
            if session is None:
                self.counts.unattributed += 1
                continue
            event = build_event(
                generation,
                session=session,
                captured_at=now,
                host=self.host,
                max_text_bytes=self.max_text_bytes,
            )
            events.append(((generation.key, *generation.aliases), self.privacy.reported(event)))
            reported.append(generation)
        if batch is not None:
            events += self._gaps(batch, now, opened)
        events.sort(key=lambda pair: pair[1].timestamp)
        self.counts.excluded += change.excluded
        self.counts.nameless += change.nameless
        self.counts.unattributed += change.unattributed
        if not (events or change.pending or change.settled or change.places or (batch and batch.identity)):
            return
        entry = Entry(
            events=tuple(events),
            pending=change.pending,
            settled=change.settled,
            places=change.places,
            sessions=tuple(opened),
        )
        if batch is not None and batch.identity is not None:
            entry = attrs.evolve(
                entry,
                database=batch.workspace.database,
                positions={name: page.position for name, page in batch.pages.items()},
                identity=batch.identity,
                since_ms=batch.since_ms,
                scope=_scope(batch),
            )
        # A session may have changed before the log takes it.
        latest = self.registry.latest
        await insist(
            lambda: self.log.append(attrs.evolve(entry, sessions=tuple(map(latest, opened)))), "generations"
        )
        self.counts.generations += len(reported)
        self.counts.by_database.update(one.workspace.database for one in reported)
        self.meters.reported(reported)
        if gaps := len(events) - len(reported):
            self.counts.gaps += gaps
            self.counts.gap_at = now

    async def _without_known(self, change: Change) -> Change:
        """Leave out what was reported under a key that is asked about only now.

        Where a conversation belongs may turn out late, and an id that is no UUID has its key from there.
        """
        keys = [one.key for one in change.released if not is_uuid(one.key)]
        known = await insist(lambda: self.log.known_keys(keys), "generations") if keys else set()
        if not known:
            return change
        fresh = [one for one in change.released if one.key not in known]
        self.counts.duplicates += len(change.released) - len(fresh)
        return attrs.evolve(change, released=tuple(fresh))

    def _session(
        self, workspace: Workspace, time: int | None, now: int, opened: list[Session]
    ) -> Session | None:
        """To which session something belongs that happened then; None: its last one is forgotten by now."""
        found = self.registry.session_for(workspace, time, now)
        if found is None:
            return None
        session, is_new = found
        if is_new:
            opened.append(session)
        return session

    def _gaps(self, batch: Batch, now: int, opened: list[Session]) -> Iterator[tuple[tuple[str, ...], Event]]:
        for gap in (gap for page in batch.pages.values() for gap in page.gaps):
            session = self._session(batch.workspace, gap.before_ms, now, opened)
            log.warning(
                "generations were missed: the ring rolled on unseen",
                workspace=batch.workspace.name,
                session=session.session_id if session else None,
            )
            if session is not None:
                gap_record = build_gap(batch.workspace, gap, session=session, captured_at=now, host=self.host)
                yield (), self.privacy.reported(gap_record)


def _told(batch: Batch) -> Iterator[Told]:
    for page in batch.pages.values():
        for item in page.observations:
            yield Told(item, page.backfill, batch.since_ms)
    for item in batch.answers:
        yield Told(item, is_old=False, since_ms=None)


def _scope(batch: Batch) -> str | None:
    """The scope to be kept; while nothing was found under any it may still change."""
    found = any(page.observations for page in batch.pages.values())
    return batch.workspace.scope if found else batch.workspace.first_scope
