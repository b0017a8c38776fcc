"""From a commit to its event in the log, among many idle workspaces; with OS events and without.

The owner is another process; it commits rows of a generations table, which are reported at once, to five of
the workspaces in turn, to none more often than once a probe interval. Then nothing happens, and the CPU is
counted.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

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


async def measure(
    place: Path, *, active: list[str], mode: str, sync: str, commits: int, idle_seconds: float
) -> tuple[list[float], list[float], float]:
    """Milliseconds from commit to event, of each commit itself, and the share of a core while idle."""
    owner = await trio.lowlevel.open_process(
        [sys.executable, "-c", OWNER, mode, sync, *active], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert owner.stdin
    assert owner.stdout
    user = str(Path(active[0]).parents[2])
    overrides = {"cursor.dirs": [user], "state.dir": str(place), "http.listen": "off"}
    config = load_config(overrides=overrides)
    seen: dict[str, int] = {}
    said = bytearray()
    async with trio.open_nursery() as nursery:
        said += await owner.stdout.receive_some()  # "ready"
        handle = await nursery.start(serve, config)
        await handle.synced()
        await trio.sleep(2)

        async def note() -> None:
            async with handle.subscribe(after=handle.status().last_sequence) as events:
                async for event in events:
                    seen[event.generation_id] = time.time_ns()

        nursery.start_soon(note)
        await trio.sleep(0.5)
        for number in range(commits):
            await owner.stdin.send_all(f"00000000-0000-4000-8000-{number:012}\n".encode())
            said += await owner.stdout.receive_some()
            # Out of step with the probes.
            await trio.sleep(0.0611 if number % 2 else 0.0557)
        with trio.move_on_after(35):  # longer than any poll: what is not there then is lost
            while len(seen) < commits:  # noqa: ASYNC110 - it is looked at, it does not call
                await trio.sleep(0.1)
        await trio.sleep(1)
        before, began = time.process_time(), time.monotonic()
        await trio.sleep(idle_seconds)
        idle = (time.process_time() - before) / (time.monotonic() - began)
        owner.kill()
        nursery.cancel_scope.cancel()
    found = [json.loads(line) for line in said.decode().splitlines()[1:]]
    latency = [(seen[name] - after) / 1e6 for name, _, after in found if name in seen]
    missing = [name[-4:] for name, _, _ in found if name not in seen]
    assert not missing, f"not reported: {missing}"
    return latency, [(after - before_ns) / 1e6 for _, before_ns, after in found], idle


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
                (user / "globalStorage").mkdir()
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
