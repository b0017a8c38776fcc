"""Events as words for a server, in batches that do not hold it up, and how a script adds them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from trio_cursor.records import Event
from trio_cursor.wire import to_fields

#: The server does nothing else while it appends so much.
BATCH_EVENTS: Final = 100
BATCH_BYTES: Final = 1_000_000

#: Adds an entry unless its marker is there; returns 1 or 0, or the error as it is: each version words one
#: that a script raises in its own way. The marker comes after the entry, so that a server that refuses the
#: entry remembers nothing of it.
ADD: Final = """
local function add(stream, marker, seconds, is_forced, first, last)
  if not is_forced and redis.call('GET', marker) then return 0 end
  local id = redis.pcall('XADD', stream, '*', unpack(ARGV, first, last))
  if type(id) == 'table' and id.err then return id end
  redis.call('SET', marker, id, 'EX', seconds)
  return 1
end
"""


@attrs.frozen
class StreamEntry:
    """An event as it goes to a server."""

    sequence: int
    event_id: str
    #: Names and values in turn.
    words: tuple[str, ...]
    #: About how many bytes that is: what may be no ASCII is short.
    size: int

    @classmethod
    def of(cls, event: Event) -> StreamEntry:
        words = tuple(word for pair in to_fields(event).items() for word in pair)
        return cls(event.sequence, event.event_id, words, sum(map(len, words)))


def batches(
    entries: Iterable[StreamEntry], *, most_bytes: int = BATCH_BYTES, alone: str | None = None
) -> Iterator[list[StreamEntry]]:
    """What is sent in one call: one that is larger by itself, and so is the event with the id `alone`."""
    batch: list[StreamEntry] = []
    size = 0
    for entry in entries:
        is_full = len(batch) == BATCH_EVENTS or size + entry.size > most_bytes
        if batch and (is_full or alone in (entry.event_id, batch[-1].event_id)):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry.size
    if batch:
        yield batch
