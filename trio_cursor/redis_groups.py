"""The door to a consumer group: every command that is about a group of one stream, over one connection.

After an error or a cancellation the connection is made anew at the next call. Entries are taken over one by
one, by XPENDING and XCLAIM, and an attempt is counted when somebody tries: whoever dies of one entry must not
have counted attempts for its neighbours, as XAUTOCLAIM would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import attrs
import trio
from redis.exceptions import ResponseError

from trio_cursor.records import Event
from trio_cursor.redis_address import RedisAddress
from trio_cursor.redis_calls import call
from trio_cursor.redis_link import Link
from trio_cursor.redis_nodes import KnownNodes
from trio_cursor.redis_steps import Member, Steps, Words, says_no_group, unless_no_group
from trio_cursor.redis_streams import PATIENCE_SECONDS, thread_limiter
from trio_cursor.wire import BadEntryError, from_fields, is_trace

AnswerT = TypeVar("AnswerT")

#: An entry that was handed back is as idle as anybody may ask for.
_HANDED_BACK_MS: Final = 7 * 24 * 3_600_000


@attrs.frozen
class Found:
    """An entry that is ours now."""

    id: str
    #: The event; why there is none, in words; None: it is about something else.
    content: Event | str | None
    #: How often it was delivered, with this time.
    attempts: int = 1


@attrs.frozen
class Pending:
    """An entry that somebody has and has not acknowledged."""

    id: str
    attempts: int


class Gone:
    """An entry that was deleted or trimmed before anybody acknowledged it."""


class GroupConnection:
    """One connection of a consumer, made when it is first needed; calls wait for each other.

    Every call raises `StreamError`, and `trio.ClosedResourceError` after `close`.

    Args:
        address: Where the server is.
        member: Who reads what.
        block_ms: The longest that `read` may wait for an entry.

    """

    def __init__(self, address: RedisAddress, member: Member, *, block_ms: int) -> None:
        self._address = address
        self._stream = member.keys.stream
        self._member = member
        self._group = member.group
        self._consumer = member.consumer
        self._block_ms = block_ms
        self._limiter, self._known_nodes = thread_limiter(), KnownNodes(address.hosts)
        self._lock = trio.Lock()
        self._link: Link | None = None
        self._is_closed = False
        self._steps = Steps()

    def close(self) -> None:
        """Close it for good, at once."""
        self._is_closed = True
        self._drop()

    async def make_group(self, start: str) -> bool:
        """Make the group, and the stream if there is none, to be read from behind an id (`$`: the end).

        Returns whether it was not there.
        """

        def work(link: Link) -> bool:
            try:
                link.ask("XGROUP", "CREATE", self._stream, self._group, start, "MKSTREAM")
            except ResponseError as error:
                if str(error).startswith("BUSYGROUP"):
                    return False
                raise
            return True

        return await self._call(work)

    async def has(self, id_: str) -> bool:
        """Whether an entry is on the stream."""
        return bool(await self._call(lambda link: link.ask("XRANGE", self._stream, id_, id_)))

    async def read(self, count: int, *, within: float) -> list[Found] | None:
        """Entries that nobody has had; none if none came for so many seconds. None: there is no group."""
        block_ms = min(max(int(within * 1000), 1), self._block_ms)  # 0 would be for ever
        words: Words = ("XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", count)
        words += ("BLOCK", block_ms, "STREAMS", self._stream, ">")

        def work(link: Link) -> list[Found] | None:
            try:
                reply = link.ask(*words)
            except ResponseError as error:
                if says_no_group(error):
                    return None
                raise
            return [] if reply is None else _found(link, reply[0][1], 1)

        return await self._call(work)

    async def pending(self, *, idle_ms: int | None, after: str | None = None, most: int) -> list[Pending]:
        """Entries that were not acknowledged, by id.

        Args:
            idle_ms: Of any consumer, for at least so long; None: of this one, however young.
            after: Behind this id.
            most: How many.

        """
        start = "-" if after is None else f"({after}"
        words: Words = ("XPENDING", self._stream, self._group)
        words += (
            ("IDLE", idle_ms, start, "+", most) if idle_ms is not None else (start, "+", most, self._consumer)
        )
        reply = await self._call(partial(unless_no_group, words=words))
        return [Pending(id_.decode(), int(attempts)) for id_, _, _, attempts in reply]

    async def take(self, entry: Pending, *, idle_ms: int, is_counted: bool) -> Found | Gone | None:
        """Make an entry ours if nobody has touched it for so long; None: somebody has, or it is done.

        Args:
            entry: Which.
            idle_ms: For how long.
            is_counted: As an attempt, now; else by `count`, when somebody tries.

        """
        words: Words = ("XCLAIM", self._stream, self._group, self._consumer, idle_ms, entry.id)
        if not is_counted:
            words += ("RETRYCOUNT", entry.attempts)

        def work(link: Link) -> Found | Gone | None:
            reply = unless_no_group(link, words=words)
            if reply and reply[0] is not None:
                return _found(link, reply, entry.attempts + 1)[0]
            if reply:  # 6.2 gives us what is gone
                link.ask("XACK", self._stream, self._group, entry.id)
                return Gone()
            # Later servers drop it without a word.
            return None if link.ask("XRANGE", self._stream, entry.id, entry.id) else Gone()

        return await self._call(work)

    async def keep(self, ids: Sequence[str]) -> None:
        """Say that we still work on them, so that nobody else takes them over."""
        await self._claim(ids, "JUSTID")

    async def count(self, id_: str, attempts: int) -> None:
        """Say how often an entry was delivered."""
        await self._claim([id_], "RETRYCOUNT", attempts, "JUSTID")

    async def hand_back(self, ids: Sequence[str], attempts: int) -> None:
        """Let others take them over at once, delivered as often as said."""
        await self._claim(ids, "IDLE", _HANDED_BACK_MS, "RETRYCOUNT", attempts, "JUSTID")

    async def skip(self, ids: Sequence[str]) -> None:
        """Acknowledge without a mark."""
        await self._call(lambda link: link.ask("XACK", self._stream, self._group, *ids))

    async def done(self, event_ids: Sequence[str]) -> list[bool]:
        """Which of the generations the group has dealt with."""
        words = [self._member.keys.done(self._group, event_id) for event_id in event_ids]
        reply = await self._call(lambda link: link.ask("MGET", *words))
        return [mark is not None for mark in reply]

    async def ack(self, ids: Sequence[str], event_id: str, *, marker_seconds: int) -> None:
        """Acknowledge the entries of a generation and leave a mark for others of it, in one step."""
        await self._call(
            lambda link: self._steps.ack(link, self._member, ids, event_id, marker_seconds=marker_seconds)
        )

    async def bury(self, id_: str, reason: str, attempts: int) -> bool:
        """Move an entry to the dead letters, unless the group is done with it; whether it was moved."""
        return await self._call(lambda link: self._steps.bury(link, self._member, id_, reason, attempts))

    async def forget_consumers(self, idle_ms: int) -> int:
        """Delete consumers that have nothing and were not heard of for so long; returns how many."""
        return await self._call(lambda link: self._steps.forget_consumers(link, self._member, idle_ms))

    async def _claim(self, ids: Sequence[str], *options: str | int) -> None:
        words = ("XCLAIM", self._stream, self._group, self._consumer, 0, *ids, *options)
        await self._call(partial(unless_no_group, words=words))

    async def _call(self, work: Callable[[Link], AnswerT]) -> AnswerT:
        async with self._lock:
            if self._is_closed:
                raise trio.ClosedResourceError
            link = self._link
            if link is None:
                seconds = self._block_ms / 1000 + PATIENCE_SECONDS
                link = Link(self._address, self._stream, answer_seconds=seconds, known=self._known_nodes)
                self._link = link
            is_well = False
            try:
                answer = await call(link, partial(work, link), limiter=self._limiter)
                is_well = True
                return answer
            finally:
                if not is_well:
                    self._drop()

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()


def _found(link: Link, entries: Any, attempts: int) -> list[Found]:
    """Parsed in the worker thread, since they may be large."""
    pairs = [(id_.decode(), dict(zip(words[::2], words[1::2], strict=True))) for id_, words in entries]
    link.understood()
    return [Found(id_, _content(fields), attempts) for id_, fields in pairs]


def _content(fields: dict[bytes, bytes]) -> Event | str | None:
    if not is_trace(fields):
        return None
    try:
        return from_fields(fields)
    except BadEntryError as error:
        return f"no event: {error}"
