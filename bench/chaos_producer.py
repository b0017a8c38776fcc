"""A producer to be killed: it takes generations into an event log, with the Redis output behind it.

How far it has come stands in the log, in the transaction that takes the events, as positions do.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import trio
from redis.connection import AbstractConnection

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from redis_outputs import everything_is_sent, following, numbered

from trio_cursor import redis_trouble
from trio_cursor.config import Config
from trio_cursor.eventlog import Entry, EventLog
from trio_cursor.outputs import redis_stream, stream_care
from trio_cursor.redis_append import StreamAppender
from trio_cursor.states import OutputState

WORKSPACES = 7
#: For all that a log holds to arrive, among faults.
SENT_SECONDS = 120
#: Where the blow falls, besides at random: before or after which call, and with which word in it.
POINTS = {
    "before sending": ("before", StreamAppender, "append", None),
    "sent, not answered": ("after", AbstractConnection, "send_command", "EVAL"),
    "answered": ("after", StreamAppender, "append", None),
    "before the cursor": ("before", EventLog, "save_cursor", None),
    "after the cursor": ("after", EventLog, "save_cursor", None),
}


@attrs.frozen
class Load:
    """What is to be taken in."""

    generations: int
    at_once: int = 5
    #: Between two transactions, so that there is time to be killed.
    pause: float = 0.0
    #: After so many in one life a producer waits to be killed; None: it does not.
    in_a_life: int | None = None


@attrs.frozen
class Blow:
    """The process kills itself the n-th time that it comes by a point."""

    point: str
    times: int


async def produce(directory: Path, config: Config, load: Load, blow: Blow | None = None) -> None:
    """Take in what is left, and return once every output has everything."""
    impatient()
    if blow is not None:
        await_blow(blow)
    async with following(directory, config) as (log, states):
        await take_in(log, load)
        await everything_is_sent(log, states, SENT_SECONDS)
        # A server that has lost something since is noticed when the output is idle.
        await trio.sleep(3 * redis_stream.RedisStream.idle_seconds)
        await everything_is_sent(log, states, SENT_SECONDS)
        note_rollbacks(directory, states)


def impatient() -> None:
    """No fault takes long here, so that there is time for many."""
    redis_trouble.LEAST_PAUSES.clear()
    redis_stream.RedisStream.idle_seconds = 0.1
    stream_care.TEND_SECONDS = 1.0


async def take_in(log: EventLog, load: Load) -> None:
    done = int((await log.known("db")).positions.get("ring", "0"))
    last = load.generations if load.in_a_life is None else min(done + load.in_a_life, load.generations)
    while done < last:
        first, done = done + 1, min(done + load.at_once, last)
        events = numbered(first, done, workspaces=WORKSPACES)
        await log.append(Entry(events, database="db", positions={"ring": str(done)}, identity=(1, 2)))
        await trio.sleep(load.pause)
    if load.in_a_life is not None:
        await trio.sleep_forever()


def note_rollbacks(directory: Path, states: Sequence[OutputState]) -> None:
    with (directory / "rollbacks").open("a", encoding="ascii") as file:
        file.write(f"{sum(state.rollbacks for state in states)}\n")


def rollbacks_noted(directory: Path) -> int:
    """By all producers that came to their end."""
    return sum(map(int, (directory / "rollbacks").read_text(encoding="ascii").split()))


def await_blow(blow: Blow) -> None:
    """Of this process."""
    moment, owner, name, word = POINTS[blow.point]
    real, left = getattr(owner, name), [blow.times]

    def come_by(now: str, words: Sequence[Any]) -> None:
        if now == moment and (word is None or word in words):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def passing(words: Sequence[Any]) -> Iterator[None]:
        come_by("before", words)
        yield
        come_by("after", words)

    def plain(*words: Any, **more: Any) -> Any:
        with passing(words):
            return real(*words, **more)

    async def waiting(*words: Any, **more: Any) -> Any:
        with passing(words):
            return await real(*words, **more)

    setattr(owner, name, waiting if inspect.iscoroutinefunction(real) else plain)
