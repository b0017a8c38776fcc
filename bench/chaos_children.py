"""Children to be killed, forked from a parent that has imported everything and started no thread."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import trio

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from redis_server import RedisServer

#: For what a child does by itself, at the longest.
PATIENCE_SECONDS = 300


class ChaosError(Exception):
    """A part cannot go on."""


def forked(servers: Sequence[RedisServer], work: Callable[..., Awaitable[None]], *args: Any) -> BaseProcess:
    """Run an async function in a child. All the servers that run are named."""
    child = multiprocessing.get_context("fork").Process(target=_run, args=(servers, work, args))
    child.start()
    return child


def _run(servers: Sequence[RedisServer], work: Callable[..., Awaitable[None]], args: Sequence[Any]) -> None:
    for server in servers:
        server.leave_to_the_parent()
    logging.disable()
    trio.run(_work, work, args)


async def _work(work: Callable[..., Awaitable[None]], args: Sequence[Any]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_end_with_the_parent)
        await work(*args)
        nursery.cancel_scope.cancel()


async def _end_with_the_parent() -> None:
    """The youngest ends first: it has inherited the parent's ends of the pipes of its elder siblings."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    await trio.lowlevel.wait_readable(parent.sentinel)
    os._exit(1)


def ended(child: BaseProcess) -> None:
    """Wait until a child has done its work."""
    child.join(PATIENCE_SECONDS)
    if child.exitcode != 0:
        what = "did not end" if child.exitcode is None else f"failed ({child.exitcode})"
        raise ChaosError(f"{child.name} {what}")


def killed(child: BaseProcess) -> None:
    """Kill a child, unless it has done so itself."""
    child.kill()
    child.join()
    if child.exitcode != -signal.SIGKILL:
        raise ChaosError(f"{child.name} ended by itself ({child.exitcode})")


def kill_all() -> None:
    """Leave no child behind."""
    for child in multiprocessing.active_children():
        child.kill()
        child.join()
