"""Goals 3, 4 and 5: from a commit to the log and to Redis, and what the owner feels of it.

As a program it follows a stream and says when each entry came: `live_goals.py REDIS_URL`.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import latency
import redis
import trio
from figures import Figure, Measured, of_rounds, quantile, ratio, tail_of
from idle import build
from owner_compared import compare
from owner_workspaces import MODES
from sync_goals import NAIVE, NO_REDIS

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from log_events import event
from redis_outputs import STREAM, config, everything_is_sent, following
from redis_server import own_server, programs

from trio_cursor.eventlog import Entry

#: The naive poller's interval here, and how many times that it really waits.
NAIVE_SECONDS, NAIVE_TIMES = 2.0, 15
#: Without events of the system: the period of the sweep, and what goes with it.
SCAN_MS = 250 + 10
PAUSES = (0.02, 0.08)
TEXT = "All of it, in the order in which it was asked for. " * 40


def to_log(*, workspaces: int = 1000, commits: int = 60) -> Measured:
    """Goal 3: in both journal modes, with OS events and without; and the naive poller for comparison."""
    figures = []
    for on in (True, False):
        with tempfile.TemporaryDirectory() as name, latency.os_events(on=on):
            user = Path(name) / "User"
            build(user, workspaces)
            (user / "globalStorage").mkdir(exist_ok=True)
            paths = sorted(map(str, user.glob("workspaceStorage/*/state.vscdb")))[-2 * latency.ACTIVE :]
            active = {mode: paths[at::2] for at, mode in enumerate(MODES)}
            run = partial(latency.measure_modes, active=active, commits=commits)
            found = trio.run(run, Path(name) / "state")
        for mode, took in found.items():
            words = f"{mode}, events {'on' if on else 'off'}"
            if on:
                figures += [
                    tail_of(f"{words}, p50", took, 0.5, "ms", goal=5.0),
                    tail_of(f"{words}, p99", took, 0.99, "ms", goal=50.0),
                ]
            else:
                figures.append(tail_of(f"{words}, p50", took, 0.5, "ms", goal=SCAN_MS))
    return Measured((*figures, *naive_latency()))


def naive_latency(commits: int = 20) -> list[Figure]:
    """The naive poller on five workspaces, polling more often than it does; its median at its own pace."""
    if not programs():
        return []
    with tempfile.TemporaryDirectory() as name, own_server() as server:
        user = Path(name) / "User"
        build(user, latency.ACTIVE)
        paths = sorted(map(str, user.glob("workspaceStorage/*/state.vscdb")))
        words = [sys.executable, "-c", latency.OWNER, "delete", "FULL", *paths]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        poller = [sys.executable, NAIVE, str(user), server.tcp_url, "--every", str(NAIVE_SECONDS)]
        with subprocess.Popen(words, **pipes) as owner, subprocess.Popen(poller) as naive:
            owner.stdout.readline()
            committed, chance = {}, random.Random(3)
            for _ in range(commits):
                id_ = f"00000000-0000-4000-8000-{len(committed):012}"
                owner.stdin.write(f"{id_}\n")
                owner.stdin.flush()
                committed[id_] = json.loads(owner.stdout.readline())[2]
                time.sleep(chance.uniform(0.1, 0.4))
            time.sleep(NAIVE_SECONDS + 0.5)
            naive.terminate()
            owner.stdin.close()
        took = []
        for entry, fields in server.call("XRANGE", STREAM, "-", "+"):
            id_ = json.loads(fields[b"payload"])["generation_id"]
            took.append(int(entry.split(b"-")[0]) - committed[id_] / 1e6)
    behind = f"polls every {NAIVE_SECONDS:g} s here, every {NAIVE_SECONDS * NAIVE_TIMES:g} s in truth"
    middle = statistics.median(took) * NAIVE_TIMES
    least, most = min(took) * NAIVE_TIMES, max(took) * NAIVE_TIMES
    return [Figure("naive poller, p50, scaled", middle, least, most, "ms", behind=behind)]


def follow(url: str) -> None:
    """In a process of its own: id and time of each entry, by a blocked XREAD."""
    client, last = redis.Redis.from_url(url), "0"
    print("ready", flush=True)
    while True:
        for _, entries in client.xread({STREAM: last}, block=0) or ():
            at = time.time_ns()
            for number, fields in entries:
                last = number
                print(json.dumps([fields[b"event_id"].decode(), at]), flush=True)


async def append(place: Path, url: str, events: int) -> dict[str, int]:
    """When each event was in the log, nanoseconds."""
    appended, chance = {}, random.Random(5)
    async with following(place, config(url)) as (log, states):
        await log.append(Entry(numbered_one(0)))
        await everything_is_sent(log, states)
        for number in range(1, events + 1):
            await trio.sleep(chance.uniform(*PAUSES))
            made = numbered_one(number)
            await log.append(Entry(made))
            appended[made[0][1].event_id] = time.time_ns()
        await everything_is_sent(log, states)
    return appended


def numbered_one(number: int):
    made = event(number, text=TEXT)
    return (((made.event_id,), made),)


def to_stream(*, events: int = 200, rounds: int = 3) -> Measured:
    """Goal 4: from the log to whoever waits at the stream, against a bare XADD by a Redis client."""
    if not programs():
        return Measured(not_run=NO_REDIS)
    ours, bare, ratios = [], [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as place, own_server() as server:
            words = [sys.executable, __file__, server.tcp_url]
            with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as follower:
                follower.stdout.readline()
                client = redis.Redis.from_url(server.tcp_url)
                gone = {}
                for number in range(events):
                    time.sleep(0.005)
                    gone[f"bare {number}"] = time.time_ns()
                    client.xadd(STREAM, {"event_id": f"bare {number}", "payload": TEXT})
                client.close()
                came = dict(json.loads(follower.stdout.readline()) for _ in range(events))
                floor = [(came[name] - at) / 1e6 for name, at in gone.items()]
                server.call("DEL", STREAM)
                appended = trio.run(append, Path(place), server.tcp_url, events)
                found = dict(json.loads(follower.stdout.readline()) for _ in range(events + 1))
                follower.terminate()
            round_of_ours = [(found[name] - at) / 1e6 for name, at in appended.items()]
            ratios.append(quantile(round_of_ours, 0.5) / quantile(floor, 0.5))
            ours, bare = [*ours, *round_of_ours], [*bare, *floor]
    behind = (
        f"{len(ours)} events, a bare XADD p50 {quantile(bare, 0.5):.2f} ms, p99 {quantile(bare, 0.99):.2f} ms"
    )
    return Measured(
        (
            tail_of("log to stream, p99", ours, 0.99, "ms", goal=10.0, behind=behind),
            tail_of("log to stream, p50", ours, 0.5, "ms"),
            of_rounds("p50 against a bare XADD", ratios, "x"),
        )
    )


def owner(*, commits: int = 900, pause: float = 0.03) -> Measured:
    """Goal 5: the owner's commits beside the service, and beside a process that only stats."""
    figures: list[Figure] = []
    for mode, found in compare(commits, pause).items():
        ours, floor = found["us"], found["stat"]
        size = min(100, commits)
        parts = range(0, commits - size + 1, size)
        pairs = [[statistics.median(one.took[at : at + size]) for at in parts] for one in (ours, floor)]
        p99 = [quantile(one.took, 0.99) for one in (ours, floor)]
        behind = f"{p99[0]:.2f} ms, beside a stat {p99[1]:.2f} ms"
        # Either will do; what is met is shown.
        more = p99[0] - p99[1]
        tail = of_rounds(f"{mode}, p99", [p99[0] / p99[1]], "x", goal=1.25, behind=behind)
        if not tail.is_met and more <= 0.2:
            tail = of_rounds(f"{mode}, p99 above that of a stat", [more], "ms", goal=0.2, behind=behind)
        figures += [
            ratio(f"{mode}, p50", *pairs, goal=1.1),
            tail,
            of_rounds(f"{mode}, failed commits", [ours.failed], "", goal=0),
        ]
        if ours.wal and floor.wal:
            figures.append(ratio(f"{mode}, -wal size", [ours.wal], [floor.wal], goal=1.1))
    return Measured(tuple(figures))


if __name__ == "__main__":
    follow(sys.argv[1])
