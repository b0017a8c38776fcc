"""The event log in the service: one write connection behind one lock, one for reading, both in threads.

Everything that must survive us goes through here. A batch is one transaction: released events with
their keys, what is pending, positions. A position never moves past what is in neither.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import trio
from trio_util import RepeatedEvent

from trio_cursor.assembly import Pending
from trio_cursor.errors import StateError
from trio_cursor.eventlog import delivery_rows, file, mode_rows, reading, retention, rows, session_rows
from trio_cursor.eventlog.access import Access
from trio_cursor.eventlog.delivery_rows import MARK
from trio_cursor.eventlog.entry import Entry
from trio_cursor.eventlog.reading import Filter
from trio_cursor.eventlog.retention import Retired
from trio_cursor.eventlog.rows import Known
from trio_cursor.logs import get_logger
from trio_cursor.observations import Place
from trio_cursor.privacy import History
from trio_cursor.records import Event, FoundMapping, Session, StreamMark

log = get_logger(__name__)

#: A reader holds one batch in memory, whatever the events are like.
_BATCH_BYTES = 16_000_000


class EventLog:
    """Open log; made by `open_event_log`."""

    def __init__(self, access: Access, last_sequence: int, created_at: str = "") -> None:
        self._access = access
        self._write, self._read = access.write, access.read
        #: Rows that are no events, by sequence.
        self._unreadable: set[int] = set()
        #: No other log has the same.
        self.created_at = created_at
        self.last_sequence = last_sequence
        #: What outputs and subscribers get of an event that is stored; called in a thread.
        self.outgoing: Callable[[Event], Event] = _as_stored
        #: Wakes whoever follows the log, at each append.
        self.appended = RepeatedEvent()

    @property
    def directory(self) -> Path:
        """Where its file is."""
        return self._access.directory

    @property
    def trouble(self) -> str | None:
        """Why the log cannot be written or read at the moment; None: it can."""
        return self._access.trouble

    def _pass_over(self, sequence: int) -> None:
        """Called in the reading thread, one at a time, at every reading of the row."""
        if sequence not in self._unreadable:
            self._unreadable.add(sequence)
            log.error("a row of the event log is no event and is passed over", sequence=sequence)

    async def append(self, entry: Entry) -> list[int]:
        """Write all of it or nothing. Returns the sequences of its events. Raises `StateError`."""
        sequences = await self._write(entry.write)
        if sequences:
            self.last_sequence = sequences[-1]
            self.appended.set()
        return sequences

    async def known_keys(self, keys: Iterable[str]) -> set[str]:
        """Those of the keys that were reported already."""
        wanted = list(keys)
        return await self._read("known_keys", lambda connection: rows.known_keys(connection, wanted))

    async def known(self, database: str) -> Known:
        """How far a database was read."""
        return await self._read("known", lambda connection: rows.load_known(connection, database))

    async def pending(self) -> list[Pending]:
        """What an earlier run had observed and not released."""
        return await self._read("pending", lambda connection: rows.load_pending(connection, _pass_over_key))

    async def places(self) -> list[tuple[str, Place]]:
        """What says where conversations belong, each with its profile."""
        return await self._read("places", lambda connection: rows.load_places(connection, _pass_over_key))

    async def sessions(self, since_ms: int) -> list[Session]:
        """Sessions that an earlier run left open, and those whose end was heard of since then."""
        return await self._read(
            "sessions", lambda connection: session_rows.load_sessions(connection, since_ms)
        )

    async def save_sessions(self, sessions: Iterable[Session], mark: StreamMark | None = None) -> None:
        """Store sessions that have changed without an event, and up to where that was announced."""
        changed = tuple(sessions)

        def work(connection: Any) -> None:
            for session in changed:
                session_rows.save_session(connection, session)
            if mark is not None:
                delivery_rows.save_cursor(connection, MARK + mark.name, 0, mark.id)

        await self._write(work)

    async def save_mark(self, mark: StreamMark) -> None:
        """Store up to where a stream was taken in that no session came of."""
        await self.save_sessions((), mark)

    async def mark(self, name: str) -> str | None:
        """Id up to which a stream was taken in; None: it never was."""
        return (await self.cursor(MARK + name))[1] or None

    async def mappings(self) -> list[FoundMapping]:
        """Which databases announced workspaces were found to be."""
        return await self._read("mappings", session_rows.load_mappings)

    async def save_mapping(self, mapping: FoundMapping) -> None:
        await self._write(lambda connection: session_rows.save_mapping(connection, mapping))

    async def cursor(self, name: str) -> tuple[int, str]:
        """Sequence up to which an output has the events, and what else it stored with it."""
        return await self._read("cursor", lambda connection: delivery_rows.load_cursor(connection, name))

    async def save_cursor(self, name: str, sequence: int, detail: str = "") -> None:
        await self._write(lambda connection: delivery_rows.save_cursor(connection, name, sequence, detail))

    async def cursors(self, prefix: str) -> dict[str, tuple[int, str]]:
        """The cursors of all outputs whose names begin so, whether they are asked for today or not."""
        return await self._read("cursor", lambda connection: delivery_rows.load_cursors(connection, prefix))

    async def replace_cursors(self, old: Iterable[str], new: Mapping[str, tuple[int, str]]) -> None:
        """Forget some cursors, and have others instead."""
        await self._write(lambda connection: delivery_rows.replace_cursors(connection, old, new))

    async def producer_id(self) -> str:
        """By which servers know this log; another one in each log."""
        return await self._read("producer_id", delivery_rows.load_producer_id)

    async def renew_producer_id(self) -> str:
        """Be another producer: what servers remember of this one is of a log that we have no longer."""
        return await self._write(delivery_rows.renew_producer_id)

    async def event_id_at(self, sequence: int) -> str | None:
        """The id of an event by its sequence; None: there is none, or it has gone."""
        return await self._read("event", lambda connection: delivery_rows.event_id_at(connection, sequence))

    async def sequence_before(self, captured_ms: int) -> int:
        """The sequence behind which is all that was captured since then."""
        return await self._read(
            "event", lambda connection: delivery_rows.sequence_before(connection, captured_ms)
        )

    async def bury(self, output: str, event: Event, reason: str, now_ms: int) -> bool:
        """Note that an output can never take an event, and why. Returns whether it is news."""
        return await self._write(
            lambda connection: delivery_rows.bury(connection, output, event, reason, now_ms)
        )

    async def bury_all(self, output: str, events: Sequence[Event], reason: str, now_ms: int) -> int:
        """The same of several at once. Returns of how many it is news."""
        return await self._write(
            lambda connection: delivery_rows.bury_all(connection, output, events, reason, now_ms)
        )

    async def count_dead(self, output: str) -> int:
        """How many events an output could never take."""
        return await self._read("dead", lambda connection: delivery_rows.count_dead(connection, output))

    async def read(
        self,
        after: int,
        *,
        limit: int = 500,
        event_type: str | None = None,
        max_bytes: int = _BATCH_BYTES,
    ) -> list[Event]:
        """The next events behind a sequence, at most `limit`, fewer if they are large (`max_bytes`).

        A row that is no event is passed over, and logged once: nothing may stop at it for ever.
        """
        wanted = Filter(event_type=event_type)

        def work(connection: Any) -> list[Event]:
            found = reading.read_events(
                connection,
                wanted,
                after=after,
                limit=limit,
                max_bytes=max_bytes,
                unreadable=self._pass_over,
            )
            return [self.outgoing(event) for event in found]

        return await self._read("events", work)

    async def privacy_key(self) -> bytes:
        """The key of all digests in this log, made when it is first asked for."""
        known = await self._read("privacy_key", mode_rows.load_key)
        return await self._write(mode_rows.make_key) if known is None else known

    async def modes(self) -> History:
        """In which privacy modes the log was written; empty: it was never said."""
        return await self._read("modes", mode_rows.load_modes)

    async def enter_mode(self, modes: History, pending: Iterable[Pending] | None) -> None:
        """Store the modes, now with another one, and what is pending in place of what was; None: that stays.

        What was deleted is nowhere in the file or beside it then, unless somebody is reading it.
        """
        items = None if pending is None else list(pending)

        def work(connection: Any) -> None:
            mode_rows.save_modes(connection, modes)
            if items is not None:
                connection.execute("DELETE FROM pending")
                rows.save_pending(connection, items, ())

        await self._write(work)
        if items is not None:
            # Deleted rows are overwritten in the file, not in the log of its changes beside it.
            await self._access.write_alone(mode_rows.empty_the_log_beside)

    async def count_between(self, ranges: Iterable[tuple[int, int | None]]) -> int:
        """How many records are stored with sequences in the ranges: first, and the one behind the last."""
        wanted = list(ranges)
        return await self._read("count", lambda connection: mode_rows.count_between(connection, wanted))

    async def retire(self, *, before_ms: int, max_bytes: int, taken: int | None) -> Retired:
        """Delete one slice of events by the rules of retention."""
        return await self._write(
            lambda connection: retention.retire(
                connection, before_ms=before_ms, max_bytes=max_bytes, taken=taken
            )
        )

    async def aclose(self) -> None:
        """Close, after what is in hand; later calls raise `trio.ClosedResourceError`."""
        await self._access.aclose()


def _as_stored(event: Event) -> Event:
    return event


def _pass_over_key(key: str) -> None:
    log.error("a row of the event log cannot be read and is passed over", key=key)


@asynccontextmanager
async def open_event_log(directory: Path) -> AsyncIterator[EventLog]:
    """Open the log in a prepared and held directory. Raises `StateError`."""
    # Not the host's threads: it may be using all of them.
    opened = await trio.to_thread.run_sync(_open, directory, limiter=trio.CapacityLimiter(1))
    try:
        yield opened
    finally:
        await opened.aclose()


def _open(directory: Path) -> EventLog:
    # From the end of the block on `aclose` closes them.
    with file.guarded(directory / file.FILE_NAME) as opened:
        writer = opened.enter_context(closing(file.open_for_writing(directory)))
        reader = file.open_for_reading(directory)
        if reader is None:
            raise StateError(f"the event log in {directory} was taken away while it was opened")
        opened.enter_context(closing(reader))
        last_sequence, created_at = reading.last_sequence(writer), reading.created_at(writer)
    return EventLog(Access(directory, writer, reader), last_sequence, created_at)
