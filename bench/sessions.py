"""Announced sessions: how soon they count, how soon the service hears again after a fault, how it ends."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import cursor_files
from redis_server import RedisServer

import trio_cursor
from trio_cursor.config import (
    AssemblyConfig,
    Config,
    CursorConfig,
    HttpConfig,
    RedisConfig,
    SessionsConfig,
    StateConfig,
)
from trio_cursor.cursor.folders import workspace_hash
from trio_cursor.handle import Handle

STREAM = "telemetry:events"
ROUNDS = 15


class Bench:
    """A service with announced sessions alone, a Redis, and one workspace for each session."""

    def __init__(self, directory: Path, server: RedisServer) -> None:
        self.server, self.user = server, cursor_files.make_user_dir(directory / "cursor")
        self.config = Config(
            http=HttpConfig(listen="off"),
            cursor=CursorConfig(dirs=(str(self.user),)),
            state=StateConfig(dir=str(directory / "state")),
            redis=RedisConfig(url=server.tcp_url),
            sessions=SessionsConfig(
                mode="extension", files_dir=str(directory / "files"), end_grace_seconds=0.5
            ),
            assembly=AssemblyConfig(ring_grace_seconds=0.0),
        )
        self.places = {}
        for number in range(ROUNDS + 10):
            folder = f"/home/demo/w{number}"
            self.places[folder] = cursor_files.make_workspace(self.user, f"w{number}", [], folder=folder)
        self.folders = iter(self.places)

    def say(self, kind: str, session_id: str, folder: str) -> None:
        self.server.add(
            STREAM,
            {
                "event_type": kind,
                "payload": json.dumps({"session_id": session_id, "workspace_path": folder}),
                "metadata": json.dumps({"workspace_hash": workspace_hash(folder)}),
            },
        )

    def ask(self, folder: str) -> str:
        item = cursor_files.ring_item(unixMs=int(time.time() * 1000), type="cmdk")
        cursor_files.write_ring(self.places[folder], [item])
        return item["generationUUID"]

    async def opened(self, handle: Handle, session_id: str) -> float:
        """Seconds until the session is open."""
        began = trio.current_time()
        while session_id not in open_ids(handle):  # noqa: ASYNC110 - a status is looked at
            await trio.sleep(0.001)
        return trio.current_time() - began

    async def reported(self, handle: Handle, id_: str) -> float:
        """Seconds until the generation is in the log."""
        began = trio.current_time()
        async with handle.subscribe() as events:
            async for event in events:
                if event.generation_id == id_:
                    break
        return trio.current_time() - began


def open_ids(handle: Handle) -> set[str]:
    return {session["id"] for item in handle.status().workspaces for session in item.sessions}


def spread(name: str, seconds: list[float]) -> None:
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    print(f"{name:52} {low * 1e3:8.0f} {middle * 1e3:8.0f} {high * 1e3:8.0f} ms")


def watchers(task: trio.lowlevel.Task) -> int:
    children = [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return task.name.endswith("Supervisor._watch") + sum(map(watchers, children))


async def sessions(bench: Bench) -> None:
    """From announcements to events, and to the end of the watching."""
    opened, reported, ended = [], [], []
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, bench.config)
        await handle.synced()
        for number in range(ROUNDS):
            folder = next(bench.folders)
            bench.say("session_start", f"s{number}", folder)
            opened.append(await bench.opened(handle, f"s{number}"))
            await trio.sleep(0.05)
            reported.append(await bench.reported(handle, bench.ask(folder)))
            bench.say("session_end", f"s{number}", folder)
            began = trio.current_time()
            root = trio.lowlevel.current_root_task()
            while watchers(root):  # noqa: ASYNC110 - tasks do not say that they have ended
                await trio.sleep(0.005)
            ended.append(trio.current_time() - began)
        nursery.cancel_scope.cancel()
    spread("session_start to open", opened)
    spread("commit in Cursor to event", reported)
    spread("last session_end to no watcher (grace 500 ms)", ended)


async def faults(bench: Bench) -> None:
    """From the end of a fault of Redis to a session that was announced after it."""
    server = bench.server

    def kill() -> None:
        server.kill()

    def start() -> None:
        server.start()

    def flush() -> None:
        server.call("FLUSHALL")

    def trim() -> None:
        server.call("XTRIM", STREAM, "MAXLEN", 0)

    def nothing() -> None:
        pass

    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, bench.config)
        await handle.synced()
        for name, begin, end, seconds in (
            ("killed and restarted empty, 8 s down", kill, start, 8),
            ("hangs for 8 s", server.stall, server.resume, 8),
            ("emptied", flush, nothing, 1),
            ("trimmed", trim, nothing, 1),
        ):
            begin()
            await trio.sleep(seconds)
            end()
            folder = next(bench.folders)
            bench.say("session_start", name, folder)
            spread(f"Redis {name}: next session open after", [await bench.opened(handle, name)])
        nursery.cancel_scope.cancel()


async def cancelled(bench: Bench) -> None:
    """The host's nursery is cancelled while XREAD blocks."""
    took, left = [], []
    for _ in range(5):
        async with trio.open_nursery() as nursery:
            handle = await nursery.start(trio_cursor.serve, bench.config)
            await handle.synced()
            await trio.sleep(0.3)
            began = trio.current_time()
            nursery.cancel_scope.cancel()
        took.append(trio.current_time() - began)
        await trio.sleep(2)
        # Trio keeps idle threads for a while; those of ours have names.
        left.append(sum(thread.name.startswith("trio_cursor") for thread in threading.enumerate()))
    spread("cancelling the host in a blocked XREAD", took)
    print(f"threads of ours left 2 s later: {max(left)}")


def main() -> None:
    server = RedisServer()
    try:
        with tempfile.TemporaryDirectory() as directory:
            bench = Bench(Path(directory), server)
            print(f"{'':52} {'min':>8} {'median':>8} {'max':>8}")
            trio.run(sessions, bench)
            trio.run(cancelled, bench)
            trio.run(faults, bench)
    finally:
        server.close()


if __name__ == "__main__":
    main()
