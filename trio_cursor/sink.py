"""The sink: alone writes events, pending and positions. Assemble, deduplicate, commit, in that order."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs
import trio

from trio_cursor.assembly import Assembler, Change, key_of
from trio_cursor.errors import StateError
from trio_cursor.eventlog import Entry, EventLog
from trio_cursor.events import build_event, build_gap
from trio_cursor.logs import get_logger
from trio_cursor.records import Batch, Event, Observation, Page, RingEntry, Session, Workspace
from trio_cursor.sessions.registry import Registry

log = get_logger(__name__)

T = TypeVar("T")

_RETRY_FIRST_SECONDS, _RETRY_MOST_SECONDS = 0.1, 5.0


@attrs.frozen
class Submission:
    """A batch on its way to the log; the event is set once it is there."""

    batch: Batch
    committed: trio.Event = attrs.field(factory=trio.Event)


@attrs.frozen
class ProfileRead:
    """Every ring of a profile that can be read was read in this run."""

    profile: str
    #: Set once what waited for it is in the log.
    done: trio.Event = attrs.field(factory=trio.Event)


Message = Submission | ProfileRead


@attrs.define(eq=False)
class Counts:
    """What the sink has done in this run."""

    generations: int = 0
    gaps: int = 0
    duplicates: int = 0
    #: By database.
    by_database: dict[str, int] = attrs.field(factory=dict)


@attrs.frozen
class Sink:
    """What the sink works with."""

    log: EventLog
    assembler: Assembler
    registry: Registry
    now_ms: Callable[[], int]
    host: str
    max_text_bytes: int
    counts: Counts = attrs.field(factory=Counts)

    async def deliver(self, messages: trio.abc.ReceiveChannel[Message]) -> None:
        """Take in messages until cancelled, and release what has waited long enough."""
        while True:
            message = await self._next(messages)
            match message:
                case Submission(batch, committed):
                    await self._commit(batch)
                    committed.set()
                case ProfileRead(profile, done):
                    self.assembler.profile_read(profile)
                    await self._release()
                    done.set()
                case None:
                    await self._release()

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
        await self._write(self.assembler.release(self.now_ms()))
        while self.assembler.next_deadline_ms() == 0:
            await self._write(self.assembler.release(self.now_ms()))

    async def _commit(self, batch: Batch) -> None:
        fresh = await self._fresh(batch)
        change = self.assembler.observe(batch.workspace, fresh, self.now_ms())
        await self._write(change, batch)

    async def _fresh(self, batch: Batch) -> list[Observation]:
        """What lies inside the window and was never reported."""
        inside = [
            (key_of(item.generation_id, batch.workspace), item)
            for page in batch.pages.values()
            for item in page.observations
            if _is_inside(item, page, batch.since_ms)
        ]
        if not inside:
            return []
        known = await self._insist(lambda: self.log.known_keys(key for key, _ in inside))
        self.counts.duplicates += sum(key in known for key, _ in inside)
        return [item for key, item in inside if key not in known]

    async def _write(self, change: Change, batch: Batch | None = None) -> None:
        now = self.now_ms()
        opened: list[Session] = []
        events: list[tuple[str | None, Event]] = []
        for generation in change.released:
            opened += self._alive(generation.workspace, now)
            event = build_event(
                generation,
                session_id=self.registry.session_id(generation.workspace),
                captured_at=now,
                host=self.host,
                max_text_bytes=self.max_text_bytes,
            )
            events.append((generation.key, event))
        for item in change.pending:
            opened += self._alive(item.workspace, now)
        if batch is not None:
            events += self._gaps(batch, now)
        events.sort(key=lambda pair: pair[1].timestamp)
        if not (events or change.pending or change.settled or batch):
            return
        entry = Entry(tuple(events), change.pending, change.settled, tuple(opened))
        if batch is not None:
            entry = attrs.evolve(
                entry,
                database=batch.workspace.database,
                positions={name: page.position for name, page in batch.pages.items()},
                identity=batch.identity,
                since_ms=batch.since_ms,
                scope=_scope(batch),
            )
        await self._insist(lambda: self.log.append(entry))
        self._count(change, events)

    def _alive(self, workspace: Workspace, now: int) -> list[Session]:
        session = self.registry.sign_of_life(workspace, now)
        return [session] if session else []

    def _gaps(self, batch: Batch, now: int) -> list[tuple[str | None, Event]]:
        session_id = self.registry.session_id(batch.workspace)
        gaps = [
            build_gap(batch.workspace, gap, session_id=session_id, captured_at=now, host=self.host)
            for page in batch.pages.values()
            for gap in page.gaps
        ]
        for _ in gaps:
            log.warning("generations were missed: the ring rolled on unseen", workspace=batch.workspace.name)
        return [(None, gap) for gap in gaps]

    def _count(self, change: Change, events: list[tuple[str | None, Event]]) -> None:
        self.counts.generations += len(change.released)
        self.counts.gaps += len(events) - len(change.released)
        for generation in change.released:
            database = generation.workspace.database
            self.counts.by_database[database] = self.counts.by_database.get(database, 0) + 1

    async def _insist(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Try until the log takes it: meanwhile the channel fills, the pollers wait, and nothing is lost."""
        pause = _RETRY_FIRST_SECONDS
        is_in_trouble = False
        while True:
            try:
                result = await operation()
            except StateError as error:
                if not is_in_trouble:
                    log.error("the event log cannot be written; trying again until it can", error=str(error))  # noqa: TRY400 - one line
                is_in_trouble = True
                await trio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause = min(pause * 2, _RETRY_MOST_SECONDS)
                continue
            if is_in_trouble:
                log.info("the event log is written again")
            return result


def _scope(batch: Batch) -> str | None:
    """The scope to be kept; while nothing was found under any it may still change."""
    found = any(page.observations for page in batch.pages.values())
    return batch.workspace.scope if found else batch.workspace.first_scope


def _is_inside(item: Observation, page: Page, since_ms: int | None) -> bool:
    """What has no time is inside every window; what appears in a file already synced is new."""
    time = item.unix_ms if isinstance(item, RingEntry) else item.timestamp
    return not page.backfill or since_ms is None or time is None or time >= since_ms
