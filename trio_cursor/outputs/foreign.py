"""What other producers put on our stream counts as delivered: it is marked, and our output skips it.

Of two that report a generation the first one counts. If theirs comes when ours is there already, the stream
has both, and consumers tell by the event's id that it is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NoReturn

import attrs
import trio

from trio_cursor.asked import marker_seconds
from trio_cursor.config import Config
from trio_cursor.errors import StateError
from trio_cursor.eventlog import EventLog
from trio_cursor.logs import get_logger
from trio_cursor.records import StreamMark
from trio_cursor.redis_address import RedisAddress, address_of
from trio_cursor.redis_keys import StreamKeys, keys_of
from trio_cursor.redis_listening import listen_to_stream
from trio_cursor.redis_pages import BEGINNING, size_of
from trio_cursor.redis_streams import Entry, StreamReader
from trio_cursor.states import SourceState
from trio_cursor.wire import BadEntryError, from_fields, is_trace, looks_like_ours

log = get_logger(__name__)

#: A larger entry is not parsed: for so long the other tasks would stand still.
ENTRY_LIMIT: Final = 8 << 20
#: So many bytes are looked at between two moments for the other tasks; what is around them counts, too.
_STRIDE_BYTES: Final = 100_000
_AROUND_BYTES: Final = 10_000


@attrs.define(eq=False)
class ForeignEntries:
    """Other producers' entries on one stream.

    Its state's `taken` are the generations that count as delivered because of them.
    """

    address: RedisAddress
    keys: StreamKeys
    events: EventLog
    #: How long the server remembers.
    marker_seconds: int
    state: SourceState
    #: The position that an earlier run has stored; None: none has.
    after: str | None
    #: What others had put there before us is marked, or cannot be: an output that sends earlier sends much of
    #: it again. Not set because the server is away, since the output needs the same one.
    settled: trio.Event = attrs.field(factory=trio.Event)

    async def listen(self) -> NoReturn:
        """Mark what is there and what comes. Never returns unless cancelled."""
        stream = self.keys.stream
        await listen_to_stream(self.address, stream, after=self.after, taker=self, state=self.state)

    async def take(self, reader: StreamReader, entries: list[Entry], *, is_live: bool) -> bool:  # noqa: ARG002 - when they came does not matter
        markers = []
        stride = 0
        for id_, fields in entries:
            size = size_of(fields)
            stride += size + _AROUND_BYTES
            if stride > _STRIDE_BYTES:
                await trio.lowlevel.checkpoint()
                stride = size + _AROUND_BYTES
            # Most are those of our like, from other machines: not worth a look at what may be a megabyte.
            if not is_trace(fields) or looks_like_ours(fields):
                continue
            try:
                markers.append((self.keys.seen(_event_id(fields, size)), id_))
            except BadEntryError as error:
                if self.state.skip(str(error)):
                    log.warning(
                        "an entry of the stream is passed over", stream=self.keys.stream, id=id_, why=error
                    )
        if markers:
            self.state.taken += await reader.remember(markers, seconds=self.marker_seconds)
        return False

    async def store(self, position: str) -> None:
        try:
            await self.events.save_mark(StreamMark(_mark_name(self.address, self.keys), position))
        except StateError:
            # It says so itself. What is read again is marked again.
            log.debug("the position in the stream was not stored", stream=self.keys.stream)

    async def begin_again(self) -> None:
        await self.store(BEGINNING)

    def caught_up(self) -> None:
        self.settled.set()

    def lost(self, *, is_away: bool) -> None:
        if not is_away:
            self.settled.set()
        elif self.settled.is_set():
            # Others may send while neither of us is there.
            self.settled = trio.Event()


def _event_id(fields: Mapping[bytes, bytes], size: int) -> str:
    """Which event an entry is. Raises `BadEntryError`."""
    if size > ENTRY_LIMIT:
        raise BadEntryError(f"it is larger than {ENTRY_LIMIT} bytes")
    return from_fields(fields).event_id


async def foreign_entries(config: Config, events: EventLog) -> list[ForeignEntries]:
    """Those on each of the output's streams; nothing runs yet. Raises `ConfigError`, `StateError`."""
    address, seconds = address_of(config.redis), marker_seconds(config)
    return [
        ForeignEntries(
            address,
            keys,
            events,
            seconds,
            SourceState(keys.stream),
            after=await events.mark(_mark_name(address, keys)),
        )
        for keys in keys_of(config.redis.stream, config.redis.shards)
    ]


def _mark_name(address: RedisAddress, keys: StreamKeys) -> str:
    """Not that of the sessions, which may be announced on the same stream."""
    return f"others {address} {keys.stream}"
