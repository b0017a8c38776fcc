"""A producer to be killed: it takes generations into an event log, with the Redis output behind it.

Its children are forked from a parent that has imported everything and started no thread. How far it has come
stands in the log, in the transaction that takes the events, as positions do.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import trio

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from log_events import event
from redis_server import RedisServer

from trio_cursor import redis_trouble
from trio_cursor.config import Config
from trio_cursor.eventlog import Entry, EventLog, open_event_log
from trio_cursor.outputs import redis_stream, stream_care
from trio_cursor.outputs.follower import follow
from trio_cursor.outputs.stream_opening import open_redis_streams
from trio_cursor.records import Event
from trio_cursor.redis_append import StreamAppender
from trio_cursor.redis_link import Link
from trio_cursor.states import OutputState

WORKSPACES = 7
#: Where the blow falls, besides at random.
POINTS = ("before sending", "sent, not answered", "answered", "before the cursor", "after the cursor")


@attrs.frozen
class Load:
    """What is to be taken in."""

    generations: int
    at_once: int = 5
    #: Between two transactions, so that there is time to be killed.
    pause: float = 0.0
    #: After so many in one life a producer waits to be killed; None: it does not.
    in_a_life: int | None = None


def generation(number: int) -> Event:
    """The same in every run; captured now."""
    made = event(number)
    place = {"captured_at": time.time_ns() // 1_000_000, "workspace_hash": workspace_of(number)}
    return attrs.evolve(made, metadata=made.metadata | place)


def workspace_of(number: int) -> str:
    return f"{number % WORKSPACES:016x}"


def impatient() -> None:
    """No fault takes long here, so that there is time for many, and nothing is said of any."""
    logging.disable()
    redis_trouble.LEAST_PAUSES.clear()
    redis_stream.RedisStream.idle_seconds = 0.1
    stream_care.TEND_SECONDS = 1.0


async def produce(directory: Path, config: Config, load: Load, parent: int) -> None:
    """Take in what is left, and return once every output has everything."""
    async with open_event_log(directory) as log, trio.open_nursery() as nursery:
        nursery.start_soon(end_with, parent)
        outputs = await open_redis_streams(config, log, lambda: time.time_ns() // 1_000_000)
        for output, state in outputs:
            nursery.start_soon(follow, output, log, state)
        await take_in(log, load)
        await has_everything(log, [state for _, state in outputs])
        # A server that has lost something since is noticed when the output is idle.
        await trio.sleep(3 * redis_stream.RedisStream.idle_seconds)
        await has_everything(log, [state for _, state in outputs])
        nursery.cancel_scope.cancel()


async def end_with(parent: int) -> None:
    while os.getppid() == parent:  # noqa: ASYNC110 - nobody calls
        await trio.sleep(0.5)
    os._exit(1)


async def has_everything(log: EventLog, states: list[OutputState]) -> None:
    while any(state.sequence < log.last_sequence or state.state == "error" for state in states):  # noqa: ASYNC110 - it is looked at
        await trio.sleep(0.01)


async def take_in(log: EventLog, load: Load) -> None:
    done = int((await log.known("db")).positions.get("ring", "0"))
    last = load.generations if load.in_a_life is None else min(done + load.in_a_life, load.generations)
    while done < last:
        numbers = range(done + 1, min(done + load.at_once, last) + 1)
        done = numbers[-1]
        events = tuple(((made.event_id,), made) for made in map(generation, numbers))
        step = Entry(events, database="db", positions={"ring": str(done)}, identity=(1, 2))
        await log.append(step)
        await trio.sleep(load.pause)
    if load.in_a_life is not None:
        await trio.sleep_forever()


def forked(
    servers: Sequence[RedisServer],
    directory: Path,
    config: Config,
    load: Load,
    *prepare: Callable[[], None],
) -> int:
    """Start a producer in a child; gives its process id. All the servers that run are named."""
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        for server in servers:
            server.leave_to_the_parent()
        impatient()
        for step in prepare:
            step()
        trio.run(produce, directory, config, load, parent)
        code = 0
    except BaseException:  # noqa: BLE001 - the child ends with it
        traceback.print_exc()
    finally:
        os._exit(code)


def killed_at(point: str, chance: random.Random) -> Callable[[], None]:
    """Make the process kill itself at a named point, the n-th time that it comes by."""
    times = chance.randrange(1, 4)

    def prepare() -> None:
        match point:
            case "before sending":
                _before(StreamAppender, "_by_script", times)
            case "sent, not answered":
                _between_sending_and_answer(times)
            case "answered":
                _after(StreamAppender, "_by_script", times)
            case "before the cursor":
                _before(EventLog, "save_cursor", times)
            case "after the cursor":
                _after_waiting(EventLog, "save_cursor", times)

    return prepare


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _before(owner: Any, name: str, times: int) -> None:
    real, left = getattr(owner, name), [times]

    def dying(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            _die()
        return real(*args, **kwargs)

    setattr(owner, name, dying)


def _after(owner: Any, name: str, times: int) -> None:
    real, left = getattr(owner, name), [times]

    def dying(*args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        left[0] -= 1
        if not left[0]:
            _die()
        return result

    setattr(owner, name, dying)


def _after_waiting(owner: Any, name: str, times: int) -> None:
    real, left = getattr(owner, name), [times]

    async def dying(*args: Any, **kwargs: Any) -> Any:
        result = await real(*args, **kwargs)
        left[0] -= 1
        if not left[0]:
            _die()
        return result

    setattr(owner, name, dying)


def _between_sending_and_answer(times: int) -> None:
    real, left = Link.answer, [times]

    def dying(link: Any, *words: Any) -> Any:
        if words[0] != "EVAL":
            return real(link, *words)
        left[0] -= 1
        if left[0]:
            return real(link, *words)
        link._connection.send_command(*words)  # noqa: SLF001 - the first half
        _die()
        return None

    Link.answer = dying  # type: ignore[method-assign]
