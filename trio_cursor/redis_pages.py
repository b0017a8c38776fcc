"""A stream from some entry to its present end, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Final

from trio_cursor.redis_address import RedisAddress
from trio_cursor.redis_streams import Entry, StreamInfo, StreamReader, id_numbers, thread_limiter

#: Where a stream begins.
BEGINNING: Final = "0-0"
#: A page is so many entries, fewer if they are large, and one as long as nothing is known of them: each may
#: have any size, and the server gives no part of one.
PAGE_ENTRIES: Final = 100
FIRST_ENTRIES: Final = 1
#: So many times as many as were just seen.
_GROWTH: Final = 4
_PAGE_BYTES: Final = 2_000_000
#: What was there may be gone by now, and is then not waited for; 0 would mean for ever.
_BLOCK_MS: Final = 1


def next_count(entries: list[Entry]) -> int:
    """How many entries to ask for, if those to come are as large."""
    size = sum(size_of(fields) for _, fields in entries)
    most = min(PAGE_ENTRIES, _GROWTH * len(entries))
    return max(1, min(most, _PAGE_BYTES * len(entries) // max(size, 1)))


def size_of(fields: Mapping[bytes, bytes]) -> int:
    """Bytes of an entry."""
    return sum(len(name) + len(value) for name, value in fields.items())


async def read_to_end(
    address: RedisAddress, stream: str, *, after: str, take: Callable[[StreamInfo, list[Entry]], None]
) -> StreamInfo | None:
    """Give `take` every page, with what the server said before the first one; returns that, too.

    None: there is no such stream. Raises `StreamError`.
    """
    reader = StreamReader(address, stream, limiter=thread_limiter(), block_ms=_BLOCK_MS)
    async with aclosing(reader):
        info = await reader.info()
        if info is None:
            return None
        position, count = after, FIRST_ENTRIES
        while id_numbers(position) < id_numbers(info.last_generated_id):
            entries = await reader.read(position, count)
            if not entries:
                break
            take(info, entries)
            position, count = entries[-1][0], next_count(entries)
        return info


def covered_from_ms(info: StreamInfo) -> int:
    """Since when the stream has all that was added; 0: since ever."""
    if info.entries_added == info.length or info.last_generated_id == BEGINNING:
        return 0
    return id_numbers(info.first_id or info.last_generated_id)[0]
