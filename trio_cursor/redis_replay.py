"""Stored events put on a stream once more, by whoever is asked to and has nothing else to do meanwhile.

Not the output's way: nothing here reads or moves what the server knows of how far the output is. What keeps a
generation from being there twice is the same, its marker, and so both may run at the same time. Synchronous.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

from trio_cursor.records import Event
from trio_cursor.redis_address import RedisAddress
from trio_cursor.redis_keys import StreamKeys
from trio_cursor.redis_link import Link
from trio_cursor.wire import to_fields

#: The longest silence before an answer.
ANSWER_SECONDS: Final = 5.0
#: The server does nothing else while it appends so much.
_BATCH_EVENTS: Final = 100
_BATCH_BYTES: Final = 1_000_000
#: XADD comes before what remembers it. Its error is handed on as it is: each version words one that a script
#: raises in its own way.
_SCRIPT: Final = """
local at, added = 3, 0
for number = 2, #KEYS do
  local count = tonumber(ARGV[at])
  if ARGV[2] == 'force' or not redis.call('GET', KEYS[number]) then
    local id = redis.pcall('XADD', KEYS[1], '*', unpack(ARGV, at + 1, at + count))
    if type(id) == 'table' and id.err then return id end
    redis.call('SET', KEYS[number], id, 'EX', ARGV[1])
    added = added + 1
  end
  at = at + count + 1
end
return added
"""


class StreamReplay:
    """Puts events on one stream over a connection of its own, made when it is first needed.

    Args:
        address: Where the server is.
        keys: The stream.
        marker_seconds: How long the server remembers that an event is on the stream.
        is_forced: It is put there whether the server remembers it or not.

    """

    def __init__(
        self, address: RedisAddress, keys: StreamKeys, *, marker_seconds: int, is_forced: bool
    ) -> None:
        self._keys = keys
        self._options = marker_seconds, "force" if is_forced else ""
        self._link = Link(address, keys.stream, answer_seconds=ANSWER_SECONDS)

    def send(self, events: Sequence[Event]) -> Iterator[tuple[int, int]]:
        """Put events on the stream, in order. Of each batch: how many it has, and how many were not there.

        Raises `StreamError`; what became of the batch in hand is not known then, but none is there twice if
        it is sent again.
        """
        for batch in _batches(events):
            yield len(batch), self._link.run(partial(self._append, batch))

    def close(self) -> None:
        self._link.close()

    def _append(self, batch: list[tuple[str, list[str]]]) -> int:
        keys = [self._keys.stream, *(self._keys.seen(event_id) for event_id, _ in batch)]
        words: list[Any] = [*self._options]
        for _, entry in batch:
            words += [len(entry), *entry]
        return int(self._link.ask("EVAL", _SCRIPT, len(keys), *keys, *words))


def _batches(events: Sequence[Event]) -> Iterator[list[tuple[str, list[str]]]]:
    """Ids and entries, so many that they do not hold up the server; one that is larger by itself."""
    batch: list[tuple[str, list[str]]] = []
    size = 0
    for event in events:
        entry = [word for pair in to_fields(event).items() for word in pair]
        # In bytes: what is no ASCII stands in the objects as escapes, and else is short.
        bytes_ = sum(map(len, entry))
        if batch and (len(batch) == _BATCH_EVENTS or size + bytes_ > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((event.event_id, entry))
        size += bytes_
    if batch:
        yield batch
