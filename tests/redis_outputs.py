"""A log with the Redis output behind it, and what has arrived."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager

import attrs
import trio
from deadlines import until
from log_events import event

from trio_cursor.config import Config, RedisConfig
from trio_cursor.eventlog import open_event_log
from trio_cursor.outputs.follower import follow
from trio_cursor.outputs.stream_opening import open_redis_streams
from trio_cursor.wire import from_fields

STREAM = "telemetry:events"


def now_ms():
    return time.time_ns() // 1_000_000


def config(url, **more):
    return Config(redis=RedisConfig(url=url, **more))


def numbered(first, last, *, workspaces=1, captured_at=None, text=None):
    """Events of a transaction, captured just now."""
    found = []
    for number in range(first, last + 1):
        made = event(number, text=text)
        place = {"captured_at": captured_at or now_ms(), "workspace_hash": f"{number % workspaces:016x}"}
        found.append(((made.event_id,), attrs.evolve(made, metadata=made.metadata | place)))
    return tuple(found)


def ids(*ranges):
    """Generation ids of such events."""
    return [event(number).generation_id for first, last in ranges for number in range(first, last + 1)]


def sent(server, stream=STREAM):
    """Generation ids, in the order of the stream."""
    return [from_fields(fields).generation_id for _, fields in server.call("XRANGE", stream, "-", "+")]


@asynccontextmanager
async def following(directory, where):
    """A log with the outputs of a configuration behind it, and their states."""
    async with open_event_log(directory) as log, trio.open_nursery() as nursery:
        outputs = await open_redis_streams(where, log, now_ms)
        for output, state in outputs:
            nursery.start_soon(follow, output, log, state)
        yield log, [state for _, state in outputs]
        nursery.cancel_scope.cancel()


async def everything_is_sent(log, states, seconds=20):
    """And no output is in trouble, which may have lost what it had."""
    await until(
        lambda: all(state.sequence == log.last_sequence and state.state != "error" for state in states),
        seconds,
    )
