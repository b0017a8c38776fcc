"""The names of everything that we keep on a Redis server. Pure.

All keys of a stream are in the slot of the stream itself, so that one script may use them together in a
cluster: that of a stream without a hash tag is the slot of its name, which the tag of its keys repeats.
"""

from __future__ import annotations

import zlib

import attrs

from trio_cursor.records import Event

#: The most that a configuration may ask for.
MOST_SHARDS = 1024


@attrs.frozen
class StreamKeys:
    """One stream, and what belongs to it."""

    #: The stream's own key: `telemetry:events`, or of a shard `{telemetry:events:0}`.
    stream: str

    @property
    def prefix(self) -> str:
        """How all other keys begin."""
        return self.stream if self.stream.startswith("{") else f"{{{self.stream}}}"

    @property
    def dead_letters(self) -> str:
        """The stream of what consumers could not work with."""
        return f"{self.prefix}:dlq"

    def seen(self, event_id: str) -> str:
        """Says that a generation is on the stream, whoever has put it there."""
        return f"{self.prefix}:seen:{event_id}"

    def high_water_mark(self, producer_id: str) -> str:
        """The last of its events that a producer has put on the stream, for this server to remember."""
        return f"{self.prefix}:hwm:{producer_id}"

    def done(self, group: str, key: str) -> str:
        """Says that a consumer group has dealt with a generation."""
        return f"{self.prefix}:done:{group}:{key}"


def keys_of(stream: str, shards: int) -> tuple[StreamKeys, ...]:
    """The streams that a configured stream is split into; the stream itself if it is not split."""
    if shards == 1:
        return (StreamKeys(stream),)
    return tuple(StreamKeys(f"{{{stream}:{number}}}") for number in range(shards))


def shard_of(event: Event, shards: int) -> int:
    """The shard of an event: all of a workspace are in the same, and so in order."""
    name = event.metadata.get("workspace_hash") or event.session_id
    return zlib.crc32(str(name).encode()) % shards
