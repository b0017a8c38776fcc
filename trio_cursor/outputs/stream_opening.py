"""The Redis outputs of a configuration, each with the cursor that it goes on from."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from trio_cursor.asked import marker_seconds
from trio_cursor.config import Config
from trio_cursor.eventlog import EventLog
from trio_cursor.logs import get_logger
from trio_cursor.outputs.foreign import ForeignEntries
from trio_cursor.outputs.redis_stream import NOTHING_SENT, RedisStream, StreamOptions
from trio_cursor.redis_address import address_of
from trio_cursor.redis_keys import MOST_SHARDS, keys_of
from trio_cursor.redis_tending import Bounds
from trio_cursor.states import OutputState

log = get_logger(__name__)


async def open_redis_streams(
    config: Config, events: EventLog, now_ms: Callable[[], int], foreign: Iterable[ForeignEntries] = ()
) -> list[tuple[RedisStream, OutputState]]:
    """The outputs for `[redis]`: one for each shard. Connects to nothing yet.

    Raises `ConfigError` and `StateError`. Each sends nothing before those of its stream's `foreign` entries
    are marked that are there already.
    """
    others = {one.keys.stream: one for one in foreign}
    redis, address = config.redis, address_of(config.redis)
    options = StreamOptions(
        shards=redis.shards,
        marker_seconds=marker_seconds(config),
        bounds=Bounds(redis.max_length, redis.trim_min_age_hours),
    )
    found = []
    for number, keys in enumerate(keys_of(redis.stream, redis.shards)):
        state = OutputState(f"redis_stream:{address} {keys.stream}")
        output = RedisStream(
            address,
            keys,
            number,
            options,
            events=events,
            state=state,
            now_ms=now_ms,
            others=others.get(keys.stream),
        )
        found.append((output, state))
    await _share_out(
        events,
        redis.stream,
        f"redis_stream:{address} ",
        [output.name for output, _ in found],
        since_ms=now_ms() - options.marker_seconds * 1000,
    )
    return found


async def _share_out(events: EventLog, stream: str, prefix: str, names: list[str], *, since_ms: int) -> None:
    """See that each output has a cursor.

    A new stream gets what was captured since then, within the life of the markers. If the number of shards
    has changed, all go on from where the last one of the former ones was, since a workspace may have moved
    to a shard that is farther. What is on a shard already is known there by its markers; what moved is there
    twice.
    """
    family = {keys.stream for keys in (*keys_of(stream, 1), *keys_of(stream, MOST_SHARDS))}
    known = await events.cursors(prefix)
    former = {name: cursor for name, cursor in known.items() if name.removeprefix(prefix) in family}
    if former.keys() == set(names):
        return
    if former:
        begin = min(sequence for sequence, _ in former.values())
        log.info("the number of shards has changed", stream=stream, shards=len(names), after=begin)
    elif begin := await events.sequence_before(since_ms):
        log.info(
            "what was captured long ago is not sent to a new stream; `replay` does that",
            stream=stream,
            events=begin,
        )
    await events.replace_cursors(
        set(former), {name: (begin, former[name][1] if name in former else NOTHING_SENT) for name in names}
    )
