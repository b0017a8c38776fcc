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
from trio_cursor.redis_batches import ADD, StreamEntry, batches
from trio_cursor.redis_keys import StreamKeys
from trio_cursor.redis_link import Link

#: The longest silence before an answer.
ANSWER_SECONDS: Final = 5.0
_SCRIPT: Final = (
    ADD
    + """
local kept = redis.pcall('SET', KEYS[2], '', 'PX', 1)
if kept.err then return kept end
local at, added = 3, 0
for number = 3, #KEYS do
  local last = at + tonumber(ARGV[at])
  local one = add(KEYS[1], KEYS[number], ARGV[1], ARGV[2] == 'force', at + 1, last)
  if type(one) == 'table' then return one end
  at, added = last + 1, added + one
end
return added
"""
)


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
        for batch in batches(map(StreamEntry.of, events)):
            yield len(batch), self._link.run(partial(self._append, batch))

    def close(self) -> None:
        self._link.close()

    def _append(self, batch: list[StreamEntry]) -> int:
        # The second one is written to no end: whoever may not add markers adds no entries either.
        keys = [
            self._keys.stream,
            self._keys.seen("replay"),
            *(self._keys.seen(one.event_id) for one in batch),
        ]
        words: list[Any] = [*self._options]
        for entry in batch:
            words += [len(entry.words), *entry.words]
        return int(self._link.ask("EVAL", _SCRIPT, len(keys), *keys, *words))
