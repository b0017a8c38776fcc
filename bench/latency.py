"""From a commit to its event in the log, among many idle workspaces; with OS events and without.

The owner is another process; it commits rows of a generations table, which are reported at once, to five of
the workspaces in turn, to none more often than once a probe interval. Then nothing happens, and the CPU is
counted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import attrs
import trio
from idle import build
from live import quantile

from trio_cursor import load_config, parts, serve
from trio_cursor.hints import Hints
from trio_cursor.os_events import NoEventsError, OsEvents

ACTIVE = 5
OWNER = """
import json, random, sqlite3, sys, time
mode, sync, *paths = sys.argv[1:]
owned = [sqlite3.connect(path, isolation_level=None) for path in paths]
for one in owned:
    one.execute(f"PRAGMA journal_mode={mode}")
    one.execute(f"PRAGMA synchronous={sync}")
    one.execute('CREATE TABLE IF NOT EXISTS "aiService.generations"'
                ' (uuid TEXT, data_version INTEGER, value TEXT, timestamp INTEGER)')
print("ready", flush=True)
for number, line in enumerate(sys.stdin):
    value = json.dumps({"model": "m", "responseText": "x" * 1500})
    now = time.time_ns()
    row = (line.strip(), number, value, now // 10**6)
    owned[number % len(owned)].execute('INSERT INTO "aiService.generations" VALUES (?, ?, ?, ?)', row)
    print(json.dumps([line.strip(), now, time.time_ns()]), flush=True)
"""


def no_events() -> OsEvents:
    """What a machine without them has."""
    raise NoEventsError("switched off")


@contextmanager
def os_events(*, on: bool) -> Iterator[None]:
    """With them or without."""
    if not on:
        parts.Hints = partial(Hints, open=no_events)
    try:
        yield
    finally:
        parts.Hints = Hints


async def measure_modes(
    place: Path, *, active: dict[str, list[str]], commits: int, sync: str = "FULL"
) -> dict[str, list[float]]:
    """Milliseconds from commit to event by journal mode, each of whose databases is committed to in turn."""
    owners = {mode: await Owner.start(mode, sync, paths) for mode, paths in active.items()}
    user = Path(next(iter(active.values()))[0]).parents[2]
    async with serving(user, place) as seen:
        for number in range(commits):
            for at, owner in enumerate(owners.values()):
                await owner.commit(f"0000000{at}-0000-4000-8000-{number:012}")
                # Out of step with the probes.
                await trio.sleep(0.0611 if number % 2 else 0.0557)
        await until_seen(seen, commits * len(owners))
    for owner in owners.values():
        owner.process.kill()
    return {mode: owner.latency(seen) for mode, owner in owners.items()}


@attrs.define
class Owner:
    """The process that commits."""

    process: trio.Process
    #: Id, and nanoseconds before and after the commit.
    said: list[tuple[str, int, int]] = attrs.field(factory=list)

    @classmethod
    async def start(cls, mode: str, sync: str, paths: list[str]) -> Owner:
        words = [sys.executable, "-c", OWNER, mode, sync, *paths]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        made = cls(await trio.lowlevel.open_process(words, **pipes))
        await made.line()  # "ready"
        return made

    async def line(self) -> bytes:
        """What it says next: one line for each that it is told."""
        said = b""
        while not said.endswith(b"\n"):
            said += await self.process.stdout.receive_some()
        return said

    async def commit(self, id_: str) -> None:
        await self.process.stdin.send_all(f"{id_}\n".encode())
        self.said.append(json.loads(await self.line()))

    def latency(self, seen: dict[str, int]) -> list[float]:
        """Milliseconds from each commit to its event; all must be there."""
        missing = [name for name, _, _ in self.said if name not in seen]
        assert not missing, f"not reported: {missing}"
        return [(seen[name] - after) / 1e6 for name, _, after in self.said]


@asynccontextmanager
async def serving(user: Path, place: Path) -> AsyncIterator[dict[str, int]]:
    """A service that has synced; when each event was seen in its log, nanoseconds."""
    overrides = {"cursor.dirs": [str(user)], "state.dir": str(place), "http.listen": "off"}
    seen: dict[str, int] = {}
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(serve, load_config(overrides=overrides))
        await handle.synced()
        await trio.sleep(2)

        async def note() -> None:
            async with handle.subscribe(after=handle.status().last_sequence) as events:
                async for event in events:
                    seen[event.generation_id] = time.time_ns()

        nursery.start_soon(note)
        await trio.sleep(0.5)
        yield seen
        nursery.cancel_scope.cancel()


async def until_seen(seen: dict[str, int], number: int) -> None:
    """Wait for so many events, longer than any poll: what is not there then is lost."""
    with trio.move_on_after(35):
        while len(seen) < number:  # noqa: ASYNC110 - it is looked at, it does not call
            await trio.sleep(0.1)


async def measure(
    place: Path, *, active: list[str], mode: str, sync: str, commits: int, idle_seconds: float
) -> tuple[list[float], list[float], float]:
    """Milliseconds from commit to event, of each commit itself, and the share of a core while idle."""
    owner = await Owner.start(mode, sync, active)
    async with serving(Path(active[0]).parents[2], place) as seen:
        for number in range(commits):
            await owner.commit(f"00000000-0000-4000-8000-{number:012}")
            await trio.sleep(0.0611 if number % 2 else 0.0557)  # out of step with the probes
        await until_seen(seen, commits)
        await trio.sleep(1)
        before, began = time.process_time(), time.monotonic()
        await trio.sleep(idle_seconds)
        idle = (time.process_time() - before) / (time.monotonic() - began)
        owner.process.kill()
    return owner.latency(seen), [(after - before_ns) / 1e6 for _, before_ns, after in owner.said], idle


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspaces", type=int, default=1000)
    parser.add_argument("--commits", type=int, default=100)
    parser.add_argument("--idle-seconds", type=float, default=4.0)
    parser.add_argument("--sync", default="FULL", help="SQLite's `synchronous`")
    arguments = parser.parse_args()
    print("journal events  p50 ms  p90 ms  p99 ms  max ms   commit p50   idle CPU")
    for mode in ("delete", "wal"):
        for on in (True, False):
            with tempfile.TemporaryDirectory() as name, os_events(on=on):
                user = Path(name) / "User"
                build(user, arguments.workspaces)
                (user / "globalStorage").mkdir(exist_ok=True)
                paths = sorted(map(str, user.glob("workspaceStorage/*/state.vscdb")))
                run = partial(measure, active=paths[-ACTIVE:], mode=mode, sync=arguments.sync)
                run = partial(run, commits=arguments.commits, idle_seconds=arguments.idle_seconds)
                latency, took, idle = trio.run(run, Path(name) / "state")
            print(
                f"{mode:7} {'on' if on else 'off':6} {statistics.median(latency):7.1f}"
                f" {quantile(latency, 0.9):7.1f} {quantile(latency, 0.99):7.1f} {max(latency):7.1f}"
                f" {statistics.median(took):9.1f} ms {idle:9.2%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
