"""Appending events to a stream so that each is there once, whatever happens to us or to the server.

With the entries the server keeps a *mark*: the sequence and the id of the last event that this producer has
put there. A call says which mark it expects. If the server has another one, nothing is written: it has taken
a call whose answer never came, or it has lost its last seconds, or our log is an older state of itself. The
mark tells which. Entry, marker and mark are written as one, so the server has them all or has lost them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

import attrs
import trio
from redis.exceptions import ResponseError

from trio_cursor.records import Event
from trio_cursor.redis_address import RedisAddress
from trio_cursor.redis_batches import ADD, StreamEntry
from trio_cursor.redis_calls import call
from trio_cursor.redis_keys import StreamKeys
from trio_cursor.redis_link import Link
from trio_cursor.redis_nodes import KnownNodes
from trio_cursor.redis_trouble import StreamError, Trouble, is_forbidden

AnswerT = TypeVar("AnswerT")

#: The longest silence before an answer: a server that writes its data to a slow disk may take some.
ANSWER_SECONDS: Final = 10.0
#: A mark outlives a holiday, and not a laptop that was given away.
_MARK_SECONDS: Final = 90 * 86_400
#: The mark is written first, as it is: whoever may not, or finds the memory full, adds nothing either. For a
#: script that is stopped half-way there is no way back.
_SCRIPT: Final = (
    ADD
    + """
local mark = redis.call('GET', KEYS[2]) or ''
if mark ~= ARGV[1] then return {0, mark} end
local kept = redis.pcall('SET', KEYS[2], mark, 'EX', ARGV[3])
if kept.err then return kept end
local at, added = 5, 0
for number = 3, #KEYS do
  local last = at + tonumber(ARGV[at])
  local one = add(KEYS[1], KEYS[number], ARGV[4], false, at + 1, last)
  if type(one) == 'table' then return one end
  at, added = last + 1, added + one
end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
return {1, added}
"""
)


@attrs.frozen
class Mark:
    """The last event of a producer that a server has."""

    sequence: int
    event_id: str

    def __str__(self) -> str:
        return f"{self.sequence} {self.event_id}"

    @classmethod
    def of(cls, entry: StreamEntry) -> Mark:
        return cls(entry.sequence, entry.event_id)

    @classmethod
    def parsed(cls, text: str) -> Mark | None:
        """The reverse of `str`; None for what is no mark."""
        sequence, _, event_id = text.partition(" ")
        is_well = sequence.isascii() and sequence.isdigit() and len(sequence) < 19 and event_id  # noqa: PLR2004 - 64 bits
        return cls(int(sequence), event_id) if is_well else None


class MovedMarkError(Exception):
    """The server has another mark than was expected; nothing was written."""


class StreamAppender:
    """Appends to one stream over one connection of its own, made when it is first needed.

    One call at a time. After an error or a cancellation, and what became of the call is not known, the
    connection is of no use any more: close the appender and make another one.

    Args:
        address: Where the server is.
        keys: The stream.
        producer_id: By which the server knows us.
        marker_seconds: How long the server remembers that an event is on the stream.
        limiter: As of `redis_streams.thread_limiter`.
        known: Sentinels or nodes that were heard of; kept from one appender to the next.

    """

    def __init__(
        self,
        address: RedisAddress,
        keys: StreamKeys,
        producer_id: str,
        *,
        marker_seconds: int,
        limiter: trio.CapacityLimiter,
        known: KnownNodes | None = None,
    ) -> None:
        self._keys = keys
        self._mark_key = keys.high_water_mark(producer_id)
        self._marker_seconds = marker_seconds
        self._limiter = limiter
        self._link = Link(address, keys.stream, answer_seconds=ANSWER_SECONDS, known=known)
        self._may_script = True

    async def mark(self) -> str:
        """The mark that the server has, as it stands there; empty: none. Raises `StreamError`."""
        found = await self.in_thread(partial(self.ask, "GET", self._mark_key))
        return "" if found is None else found.decode("utf-8", "replace")

    async def entries_of(self, events: Sequence[Event]) -> list[StreamEntry]:
        """Events as they go to the server; of megabytes this takes a while, and so it is done in a thread."""
        return await self.in_thread(lambda: [StreamEntry.of(event) for event in events])

    async def append(self, entries: Sequence[StreamEntry], expected: str) -> int:
        """Append entries, all or, if it raises, perhaps some, never one twice.

        Args:
            entries: In order; a batch.
            expected: The mark that the server should have.

        Returns:
            How many were added: the others were there.

        Raises:
            MovedMarkError: The server has another mark.
            StreamError: It could not be done, or was and the answer did not come.

        """
        return await self.in_thread(partial(self._append, entries, expected))

    async def in_thread(self, work: Callable[[], AnswerT]) -> AnswerT:
        """Work with `ask` in a thread. Raises `StreamError`."""
        return await call(self._link, work, limiter=self._limiter)

    def ask(self, *words: str | int) -> Any:
        """Send a command; only in `in_thread`. Raises what redis-py raises."""
        return self._link.ask(*words)

    def close(self) -> None:
        """Close the connection, without a wait for anybody."""
        self._link.close()

    def _append(self, entries: Sequence[StreamEntry], before: str) -> int:
        markers = [self._keys.seen(entry.event_id) for entry in entries]
        after = str(Mark.of(entries[-1]))
        if self._may_script:
            try:
                return self._by_script(entries, markers, before, after)
            except ResponseError as error:
                if not is_forbidden(error):
                    raise
                self._may_script = False
        return self._by_transaction(entries, markers, before, after)

    def _by_script(self, entries: Sequence[StreamEntry], markers: list[str], before: str, after: str) -> int:
        keys = [self._keys.stream, self._mark_key, *markers]
        words: list[str | int] = [before, after, _MARK_SECONDS, self._marker_seconds]
        for entry in entries:
            words += [len(entry.words), *entry.words]
        is_done, rest = self._link.ask("EVAL", _SCRIPT, len(keys), *keys, *words)
        if not is_done:
            raise MovedMarkError
        return int(rest)

    def _by_transaction(
        self, entries: Sequence[StreamEntry], markers: list[str], before: str, after: str
    ) -> int:
        """The same for a server that allows no scripts, in two calls."""
        stream = self._keys.stream
        _, found, *seen, _ = self._link.ask_all(
            [
                ("WATCH", self._mark_key, *markers),
                ("GET", self._mark_key),
                *(("GET", marker) for marker in markers),
                # In a transaction what follows a refused entry is done all the same: find out before.
                ("XREAD", "COUNT", 1, "STREAMS", stream, "$"),
            ]
        )
        if (b"" if found is None else found).decode("utf-8", "replace") != before:
            raise MovedMarkError
        fresh = [
            pair for pair, known in zip(zip(entries, markers, strict=True), seen, strict=True) if not known
        ]
        words: list[tuple[str | int, ...]] = [("MULTI",)]
        for entry, marker in fresh:
            words += [
                ("XADD", stream, "*", *entry.words),
                ("SET", marker, after, "EX", self._marker_seconds),
            ]
        words += [("SET", self._mark_key, after, "EX", _MARK_SECONDS), ("EXEC",)]
        try:
            *_, answer = self._link.ask_all(words)
        except ResponseError:
            # If the key has become something else in between, nothing must remember what is not there.
            undo = [("SET", marker, "", "PX", 1) for _, marker in fresh]
            with suppress(ResponseError):
                self._link.ask_all([*undo, ("SET", self._mark_key, before, "EX", _MARK_SECONDS)])
            raise
        if answer is None:
            raise StreamError(Trouble.AWAY, "somebody else has written the same at the same time")
        return len(fresh)
