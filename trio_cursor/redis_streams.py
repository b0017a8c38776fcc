"""One stream read in a worker thread, and what is remembered of its entries beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeAlias, TypeVar

import attrs
import trio
from redis.exceptions import ResponseError

from trio_cursor.redis_address import RedisAddress
from trio_cursor.redis_calls import call
from trio_cursor.redis_link import Link
from trio_cursor.redis_nodes import KnownNodes

AnswerT = TypeVar("AnswerT")
#: Id and fields.
Entry: TypeAlias = tuple[str, dict[bytes, bytes]]

#: How much longer we wait for any answer.
PATIENCE_SECONDS: Final = 2.0
#: Threads of one reader and its successors: one at work, the others hang in a look-up of a name.
MOST_THREADS: Final = 4
_ID = re.compile(rb"[0-9]{1,20}-[0-9]{1,20}")


@attrs.frozen
class StreamInfo:
    """What a server says about a stream."""

    length: int
    #: Id of the oldest entry that is left; None: there is none.
    first_id: str | None
    #: Id of the newest entry there ever was.
    last_generated_id: str
    #: How many entries there ever were; None: the server does not count them (before 7.0).
    entries_added: int | None
    #: The newest entry that was deleted by name, which trimming is not; None as above, or there was none.
    max_deleted_id: str | None


def id_numbers(id_: str) -> tuple[int, int]:
    """Milliseconds and number of an id, to be compared."""
    time, _, number = id_.partition("-")
    return int(time), int(number or 0)


def thread_limiter() -> trio.CapacityLimiter:
    """The places for threads of one reader and its successors, never Trio's default ones."""
    return trio.CapacityLimiter(MOST_THREADS)


class StreamReader:
    """Reads one stream over one connection of its own, made when it is first needed.

    One call at a time. After an error or a cancellation the connection is of no use any more: close the
    reader and make another one. A cancellation is obeyed within some 40 ms, whatever the thread does; one
    that hangs in a look-up of a name or a connect closes its connection itself when it ends.

    Args:
        address: Where the server is.
        stream: The stream's key.
        limiter: As of `thread_limiter`; kept from reader to reader, so that hanging threads stay few.
        block_ms: How long the server waits for an entry before it answers that there is none.
        known: As of `Link`; kept from reader to reader, too.

    """

    def __init__(
        self,
        address: RedisAddress,
        stream: str,
        *,
        limiter: trio.CapacityLimiter,
        block_ms: int,
        known: KnownNodes | None = None,
    ) -> None:
        self._stream = stream
        self._limiter = limiter
        self._block_ms = block_ms
        self._link = Link(address, stream, answer_seconds=block_ms / 1000 + PATIENCE_SECONDS, known=known)

    async def info(self) -> StreamInfo | None:
        """What the server says about the stream; None: it has no such key. Raises `StreamError`."""
        return await self._in_thread(partial(_info, self._link, self._stream))

    async def read(self, after: str, count: int = 100) -> list[Entry]:
        """The next entries after an id; none if none came for `block_ms`. Raises `StreamError`."""
        words = ("XREAD", "COUNT", count, "BLOCK", self._block_ms, "STREAMS", self._stream, after)
        return await self._in_thread(partial(_entries, self._link, words))

    async def remember(self, markers: Sequence[tuple[str, str]], *, seconds: int) -> int:
        """Set keys beside the stream that are not there yet; they go after so many seconds.

        Returns how many were not there. Raises `StreamError`.
        """
        commands = [("SET", key, value, "EX", seconds, "NX") for key, value in markers]
        answers = await self._in_thread(partial(self._link.ask_all, commands))
        return sum(answer is not None for answer in answers)

    async def aclose(self) -> None:
        """Close the connection; without a wait for anybody."""
        self._link.close()
        await trio.lowlevel.checkpoint()

    async def _in_thread(self, work: Callable[[], AnswerT]) -> AnswerT:
        return await call(self._link, work, limiter=self._limiter)


def _info(link: Link, stream: str) -> StreamInfo | None:
    try:
        reply = link.ask("XINFO", "STREAM", stream)
    except ResponseError as error:
        if type(error) is ResponseError and str(error).endswith("no such key"):
            return None
        raise
    found = dict(zip(reply[::2], reply[1::2], strict=True))
    first = found[b"first-entry"]
    deleted = found.get(b"max-deleted-entry-id", b"0-0")
    return StreamInfo(
        length=int(found[b"length"]),
        first_id=None if first is None else _id(first[0]),
        last_generated_id=_id(found[b"last-generated-id"]),
        entries_added=int(found[b"entries-added"]) if b"entries-added" in found else None,
        max_deleted_id=None if deleted == b"0-0" else _id(deleted),
    )


def _entries(link: Link, words: tuple[str | int, ...]) -> list[Entry]:
    reply = link.ask(*words)
    if reply is None:
        return []
    ((_, found),) = reply
    return [(_id(id_), dict(zip(fields[::2], fields[1::2], strict=True))) for id_, fields in found]


def _id(value: bytes) -> str:
    if not _ID.fullmatch(value):
        raise ValueError("not the id of an entry")
    return value.decode()
