"""The output of a configuration behind an event log, and what is put into it."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager

import attrs
import trio
from deadlines import until
from log_events import event

from trio_cursor.config import Config, OtlpConfig, OutputsConfig
from trio_cursor.discretion import enter_mode
from trio_cursor.eventlog import Entry, open_event_log
from trio_cursor.outputs import otlp_posting
from trio_cursor.outputs.follower import follow
from trio_cursor.outputs.otlp_address import collector_of
from trio_cursor.outputs.otlp_opening import open_otlp

USED = "gen_ai.client.inference.usage.input_tokens"


def now_ms():
    return time.time_ns() // 1_000_000


def counted(first, last, **payload):
    """Events of one transaction, captured just now; the n-th has used n tokens."""
    found = []
    for number in range(first, last + 1):
        made = event(number, text="an answer")
        made = attrs.evolve(
            made,
            metadata=made.metadata | {"captured_at": now_ms()},
            payload=made.payload | {"prompt_tokens": number, "duration_ms": 1000} | payload,
        )
        found.append(((made.event_id,), made))
    return Entry(tuple(found))


def ids(first, last):
    return [event(number).event_id for number in range(first, last + 1)]


def make(directory, name):
    (directory / name).mkdir(mode=0o700)
    return directory / name


def tokens(receiver):
    """The total as it was told last."""
    return sum(point.as_int for point in receiver.points(USED))


@asynccontextmanager
async def following(directory, receiver, *, environ=None, mode=None, **options):
    """A log with the output of a configuration behind it, and its state."""
    otlp = OtlpConfig(enabled=True, endpoint=receiver.url, **options)
    config = Config(outputs=OutputsConfig(otlp=otlp))
    async with open_event_log(directory) as log, trio.open_nursery() as nursery:
        if mode is not None:
            await enter_mode(log, mode, "/home/me")
        output, state = await open_otlp(config, log, now_ms, environ or {})
        nursery.start_soon(follow, output, log, state)
        yield log, state
        nursery.cancel_scope.cancel()


async def all_sent(log, state):
    await until(lambda: state.sequence == log.last_sequence and state.state == "connected")


def posting(receiver, clock):
    collector = collector_of(OtlpConfig(endpoint=receiver.url), {})
    return otlp_posting.Poster(collector, clock), collector.traces
