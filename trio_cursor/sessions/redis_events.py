"""Sessions that are announced on a Redis stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NoReturn

import attrs
import trio

from trio_cursor.logs import get_logger
from trio_cursor.records import REDIS, StreamMark
from trio_cursor.redis_address import RedisAddress
from trio_cursor.redis_listening import listen_to_stream
from trio_cursor.redis_pages import BEGINNING
from trio_cursor.redis_streams import Entry, StreamReader, id_numbers
from trio_cursor.sessions.announcements import Announcement, Desk, stream_announcement
from trio_cursor.states import SourceState

log = get_logger(__name__)

#: So many entries are looked at between two moments for the other tasks.
_STRIDE: Final = 10


async def listen_to_redis(
    address: RedisAddress,
    stream: str,
    *,
    after: str | None,
    desk: Desk,
    state: SourceState,
    caught_up: Callable[[], None],
    now_ms: Callable[[], int],
) -> NoReturn:
    """Hand in every session that the stream announces, in order. Never returns unless cancelled.

    Args:
        address: Where the server is.
        stream: The stream's key.
        after: Id of the last mark that was stored under `mark_name`; None: there is none, and the stream is
            read from its beginning.
        desk: Where announcements are handed in, with the mark that they reach up to.
        state: What is said of this source.
        caught_up: Called once: when all that was in the stream at the start has been handed in, or when
            the server cannot be reached for now.
        now_ms: The wall clock.

    """
    announcing = _Announcing(stream, mark_name(address, stream), desk, state, caught_up, now_ms)
    await listen_to_stream(address, stream, after=after, taker=announcing, state=state)


def mark_name(address: RedisAddress, stream: str) -> str:
    """What the position in a stream of a server is stored under."""
    return f"{address} {stream}"


@attrs.define(eq=False)
class _Announcing:
    """Hands in what entries announce; everything else is passed over."""

    stream: str
    #: Of the mark.
    name: str
    desk: Desk
    state: SourceState
    tell_caught_up: Callable[[], None]
    now_ms: Callable[[], int]
    has_told: bool = False

    async def take(self, reader: StreamReader, entries: list[Entry], *, is_live: bool) -> bool:  # noqa: ARG002 - nothing is written to the server
        heard = []
        now_ms = self.now_ms()
        for number, (id_, fields) in enumerate(entries):
            if number % _STRIDE == _STRIDE - 1:
                await trio.lowlevel.checkpoint()
            added_ms = id_numbers(id_)[0]
            # What comes while we wait for it is heard now, whatever the server's clock says.
            heard_ms = now_ms if is_live else min(added_ms, now_ms)
            found = stream_announcement(fields, source=REDIS, heard_ms=heard_ms)
            if isinstance(found, Announcement):
                heard.append(found if found.said_ms is not None else attrs.evolve(found, said_ms=added_ms))
            elif found is not None and self.state.skip(found):
                log.warning("an entry of the stream is passed over", stream=self.stream, id=id_, why=found)
        if heard:
            await self.desk.announce(heard, StreamMark(self.name, entries[-1][0]))
            self.state.taken += len(heard)
        return bool(heard)

    async def store(self, position: str) -> None:
        await self.desk.announce((), StreamMark(self.name, position))

    async def begin_again(self) -> None:
        """What is announced twice counts once; an end that was missed leaves a doubt."""
        await self.desk.doubt(REDIS)
        await self.store(BEGINNING)

    def caught_up(self) -> None:
        if not self.has_told:
            self.has_told = True
            self.tell_caught_up()

    def lost(self, *, is_away: bool) -> None:  # noqa: ARG002 - whoever waits for us does not wait for a server
        self.caught_up()
