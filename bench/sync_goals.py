"""Goals 9, 10, 11 and 14: the first sync of a long table, into log and Redis; its memory, and its loop.

As a program it is the process whose loop is watched: `sync_goals.py USER STATE [idle]`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import raw
import trio
from figures import Figure, Measured, of_rounds, quantile, ratio
from first_sync import TABLE, build, idle_peak, sync
from kept import kept

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from redis_server import RedisServer, own_server, programs

from trio_cursor import load_config, serve

ROWS = 100_000
#: Between two looks at the clock.
TICK_SECONDS = 0.002
NAIVE = str(Path(__file__).with_name("naive_poller.py"))
NO_REDIS = "no redis-server on PATH and none in a wheel"


def table(rows: int, journal: str) -> Path:
    """The `User` directory; its file is quiet."""
    return kept(f"table-{rows}-{journal}", lambda place: build(place / "User", rows, journal)) / "User"


def database_of(user: Path) -> Path:
    return next(user.glob("workspaceStorage/*/state.vscdb"))


def into_log(*, rows: int = ROWS // 2, rounds: int = 4) -> Measured:
    """Goal 9: both journal modes, against a raw SELECT and a raw INSERT."""
    figures = []
    for journal in ("wal", "delete"):
        user, ours, floor = table(rows, journal), [], []
        for number in range(rounds):
            with tempfile.TemporaryDirectory() as place:
                # In turn: whoever comes second finds the file in memory.
                if number % 2:
                    floor.append(raw.copy(database_of(user), Path(place) / "raw", TABLE))
                ours.append(sync(user, Path(place) / "state").seconds)
                if not number % 2:
                    floor.append(raw.copy(database_of(user), Path(place) / "raw", TABLE))
        behind = f"{rows / quantile(ours, 0.5):,.0f} rows/s, raw {rows / quantile(floor, 0.5):,.0f}"
        words = f"{rows:,} rows, {journal}: share of the raw rate"
        figures.append(ratio(words, floor, ours, goal=0.5, direction=">=", behind=behind))
    return Measured(tuple(figures))


def peak(*, rows: int = ROWS, few: int = 10_000) -> Measured:
    """Goal 11: the highest memory, of a short table and of a long one."""
    figures = []
    with tempfile.TemporaryDirectory() as place:
        idle = idle_peak(Path(place))
        for number in (few, rows):
            found = sync(table(number, "wal"), Path(place) / f"state{number}").peak
            behind = f"{found:.0f} MB, with nothing to read {idle:.0f}"
            words = f"{number:,} rows, above idle"
            figures.append(
                Figure(words, found - idle, found - idle, found - idle, "MB", goal=40.0, behind=behind)
            )
    return Measured(tuple(figures))


def naive(user: Path, url: str) -> float:
    """Seconds of the naive poller, one poll."""
    began = time.perf_counter()
    words = [sys.executable, NAIVE, str(user), url, "--once", "--max-length", "0"]
    subprocess.run(words, check=True)
    return time.perf_counter() - began


def sent(server: RedisServer) -> list[bytes]:
    """Which generations the stream has."""
    found = []
    for _, fields in server.call("XRANGE", "telemetry:events", "-", "+"):
        found.append(json.loads(fields[b"payload"])["generation_id"])
    return found


def into_redis(*, rows: int = 40_000, rounds: int = 3) -> Measured:
    """Goal 10: end to end, from the start of the process to its end; against the naive poller."""
    if not programs():
        return Measured(not_run=NO_REDIS)
    user, ours, theirs, bench = table(rows, "wal"), [], [], None
    for _ in range(rounds):
        with own_server() as server, tempfile.TemporaryDirectory() as place:
            options = ("--redis-url", server.tcp_url)
            run = sync(user, Path(place) / "state", *options, TRIO_CURSOR_REDIS__MAX_LENGTH="0")
            ours.append(run.seconds)
            found = sent(server)
            if len(found) != rows or len(set(found)) != rows:
                raise AssertionError(f"{len(found)} entries, {len(set(found))} generations, of {rows}")
        with own_server() as server:
            theirs.append(naive(user, server.tcp_url))
            bench = bench or raw.redis_benchmark(server.port)
    rates = [rows / quantile(seconds, 0.5) for seconds in (ours, theirs)]
    floor = f", redis-benchmark {bench:,.0f} XADD/s of 2 kB" if bench else ""
    behind = f"{rates[0]:,.0f} rows/s, naive {rates[1]:,.0f}{floor}"
    words = f"{rows:,} rows: rate against the naive poller"
    return Measured((ratio(words, theirs, ours, goal=3.0, direction=">=", behind=behind),))


async def watch_loop(user: Path | None, state: Path) -> tuple[list[float], float]:
    """Milliseconds that the loop was late while it synced, or for two seconds of nothing; and its seconds."""
    late: list[float] = []

    async def tick() -> None:
        while True:
            due = trio.current_time() + TICK_SECONDS
            await trio.sleep_until(due)
            late.append((trio.current_time() - due) * 1e3)

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        if user is None:
            await trio.sleep(2)
        else:
            overrides = {"cursor.dirs": [str(user)], "state.dir": str(state), "http.listen": "off"}
            overrides["cursor_database_monitor.sync_window_hours"] = 24 * 365 * 10
            handle = await nursery.start(serve, load_config(overrides=overrides))
            late.clear()  # starting imports things
            await handle.synced()
            if handle.status().last_sequence < 1:
                raise AssertionError("nothing was read")
        nursery.cancel_scope.cancel()
    return late, time.perf_counter() - began


def loop(*, rows: int = ROWS, rounds: int = 2) -> Measured:
    """Goal 14: how late the loop is, in a process of its own, against one that has nothing to do."""
    busy, calm = [], []
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as place:
            words = [sys.executable, __file__, str(table(rows, "wal")), str(Path(place) / f"state{number}")]
            for into, more in ((busy, []), (calm, ["idle"])):
                said = subprocess.run([*words, *more], capture_output=True, text=True, check=True).stdout
                into.append(json.loads(said))
    p99 = [quantile(one, 0.99) for one in busy]
    behind = f"largest {max(map(max, busy)):.1f} ms; with nothing to do p99 {quantile(calm[0], 0.99):.2f} ms"
    return Measured((of_rounds("loop late, p99", p99, "ms", goal=10.0, behind=behind),))


def main() -> None:
    """Print how late the loop was, as JSON."""
    user, state, *idle = sys.argv[1:]
    late, _ = trio.run(watch_loop, None if idle else Path(user), Path(state))
    print(json.dumps(late))


if __name__ == "__main__":
    main()
