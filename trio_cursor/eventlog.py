"""The event log in the service: one write connection behind one lock, one for reading, both in threads.

Everything that must survive us goes through here. A batch is one transaction: released events with
their keys, what is pending, positions. A position never moves past what is in neither.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any, TypeVar

import attrs
import trio
from trio_util import RepeatedEvent

from trio_cursor import eventlog_format as layout
from trio_cursor.assembly import Pending
from trio_cursor.errors import StateError
from trio_cursor.eventlog_format import Filter, Known, Retired
from trio_cursor.events import numbered
from trio_cursor.records import Event, Position, Session
from trio_cursor.sqlite_library import sqlite3

T = TypeVar("T")

#: A reader holds one batch in memory, whatever the events are like.
_BATCH_BYTES = 16_000_000


@attrs.frozen
class Entry:
    """What one transaction of the sink writes."""

    #: Each with its key; None for a record that is no generation.
    events: tuple[tuple[str | None, Event], ...] = ()
    pending: tuple[Pending, ...] = ()
    settled: tuple[str, ...] = ()
    sessions: tuple[Session, ...] = ()
    database: str | None = None
    positions: dict[str, Position] = attrs.field(factory=dict)
    identity: tuple[int, int] = (0, 0)
    since_ms: int | None = None


class EventLog:
    """Open log; made by `open_event_log`."""

    def __init__(self, directory: Path, writer: Any, reader: Any, last_sequence: int) -> None:
        self.directory = directory
        self._writer, self._writing = writer, trio.Lock()
        self._reader, self._reading = reader, trio.Lock()
        # Never the default limiter: a host that uses all of its threads must not stop the log.
        self._limiter = trio.CapacityLimiter(2)
        self._is_closed = False
        self.last_sequence = last_sequence
        #: Wakes whoever follows the log, at each append.
        self.appended = RepeatedEvent()

    async def _write(self, work: Callable[[Any], T]) -> T:
        def in_thread() -> T:
            with layout.transaction(self._writer):
                return work(self._writer)

        return await self._run(in_thread, self._writing)

    async def _read(self, work: Callable[[Any], T]) -> T:
        return await self._run(lambda: work(self._reader), self._reading)

    async def _run(self, work: Callable[[], T], lock: trio.Lock) -> T:
        async with lock:
            if self._is_closed:
                raise trio.ClosedResourceError
            try:
                # Not abandoned when cancelled: the transaction in hand is short and must be finished.
                return await trio.to_thread.run_sync(work, limiter=self._limiter)
            except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
                raise  # a mistake of ours; trying again would not mend it
            except sqlite3.DatabaseError as error:
                raise StateError(f"the event log in {self.directory} failed: {error}") from error

    async def append(self, entry: Entry) -> list[Event]:
        """Write all of it or nothing. Returns the events with their sequences. Raises `StateError`."""

        def work(connection: Any) -> list[int]:
            sequences = layout.append_events(connection, entry.events)
            layout.save_pending(connection, entry.pending, entry.settled)
            for session in entry.sessions:
                layout.save_session(connection, session)
            if entry.database is not None:
                layout.save_positions(
                    connection, entry.database, entry.positions, entry.identity, entry.since_ms
                )
            return sequences

        sequences = await self._write(work)
        if sequences:
            self.last_sequence = sequences[-1]
            self.appended.set()
        return [numbered(event, at) for (_, event), at in zip(entry.events, sequences, strict=True)]

    async def known_keys(self, keys: Iterable[str]) -> set[str]:
        """Those of the keys that were reported already."""
        wanted = list(keys)
        return await self._read(lambda connection: layout.known_keys(connection, wanted))

    async def known(self, database: str) -> Known:
        """How far a database was read."""
        return await self._read(lambda connection: layout.load_known(connection, database))

    async def pending(self) -> list[Pending]:
        return await self._read(layout.load_pending)

    async def open_sessions(self) -> list[Session]:
        return await self._read(layout.load_open_sessions)

    async def save_sessions(self, sessions: Iterable[Session]) -> None:
        """Store sessions that were opened or closed without an event."""
        changed = tuple(sessions)

        def work(connection: Any) -> None:
            for session in changed:
                layout.save_session(connection, session)

        await self._write(work)

    async def cursor(self, name: str) -> tuple[int, str]:
        """Sequence up to which an output has the events, and what else it stored with it."""
        return await self._read(lambda connection: layout.load_cursor(connection, name))

    async def save_cursor(self, name: str, sequence: int, detail: str = "") -> None:
        await self._write(lambda connection: layout.save_cursor(connection, name, sequence, detail))

    async def read(self, after: int, *, limit: int = 500, event_type: str | None = None) -> list[Event]:
        """The next events behind a sequence, at most `limit`, fewer if they are large."""
        wanted = Filter(event_type=event_type)
        return await self._read(
            lambda connection: layout.read_events(
                connection, wanted, after=after, limit=limit, max_bytes=_BATCH_BYTES
            )
        )

    async def totals(self) -> dict[str, int]:
        return await self._read(layout.totals)

    async def retire(self, *, before_ms: int, max_bytes: int, taken: int | None) -> Retired:
        """Delete one slice of events by the rules of retention."""
        return await self._write(
            lambda connection: layout.retire(
                connection, before_ms=before_ms, max_bytes=max_bytes, taken=taken
            )
        )

    async def aclose(self) -> None:
        """Close, after what is in hand; later calls raise `trio.ClosedResourceError`."""
        with trio.CancelScope(shield=True):
            async with self._writing, self._reading:
                self._is_closed = True
                self._reader.close()
                self._writer.close()


@asynccontextmanager
async def open_event_log(directory: Path) -> AsyncIterator[EventLog]:
    """Open the log in a prepared and held directory. Raises `StateError`."""
    # Not the host's threads: it may be using all of them.
    log = await trio.to_thread.run_sync(_open, directory, limiter=trio.CapacityLimiter(1))
    try:
        yield log
    finally:
        await log.aclose()


def _open(directory: Path) -> EventLog:
    with ExitStack() as opened:
        writer = opened.enter_context(closing(layout.open_for_writing(directory)))
        reader = layout.open_for_reading(directory)
        if reader is None:
            raise StateError(f"the event log in {directory} was taken away while it was opened")
        opened.enter_context(closing(reader))
        try:
            last_sequence = layout.last_sequence(writer)
        except sqlite3.Error as error:
            raise layout.trouble(directory / layout.FILE_NAME, error) from error
        opened.pop_all()  # from here on `aclose` closes them
    return EventLog(directory, writer, reader, last_sequence)
