"""A service in this process, by the real clock: how it runs, what it says of itself, what it holds."""

from __future__ import annotations

import sys
import threading
from contextlib import asynccontextmanager
from pathlib import Path

import trio

import trio_cursor
from trio_cursor.config import DatabaseMonitorConfig

#: Quick, and back to the beginning.
MONITOR = DatabaseMonitorConfig(
    probe_interval_seconds=0.02,
    poll_interval_seconds=0.2,
    retry_backoff_seconds=0.1,
    sync_window_hours=876_000,
)


@asynccontextmanager
async def running_service(config):
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, config)
        yield handle
        nursery.cancel_scope.cancel()


def id_of(item):
    return item["generationUUID"]


def by_id(handle):
    return {item.workspace_id: item for item in handle.status().workspaces}


async def reported(handle, *ids, after=0):
    """Events with these ids and all before them, once they are there; none may come twice."""
    found = {}
    async with handle.subscribe(after) as events:
        while not set(ids) <= found.keys():
            event = await events.receive()
            assert event.generation_id not in found
            found[event.generation_id] = event
    return found


def watchers(task=None):
    """Databases that are watched, by the tasks that there are."""
    task = task or trio.lowlevel.current_root_task()
    children = [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return task.name.endswith("Supervisor._watch") + sum(map(watchers, children))


def working_threads():
    """Threads that do something; those that Trio keeps for later wait in its cache."""
    frames = sys._current_frames()
    return {
        thread.name
        for thread in threading.enumerate()
        if thread.ident in frames and "_thread_cache" not in frames[thread.ident].f_code.co_filename
    }


def open_files():
    """What this process has open, by number and by name."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.add((entry.name, str(entry.readlink())))
        except FileNotFoundError:  # the directory itself
            continue
    return found
