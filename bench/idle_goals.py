"""Goals 1, 2 and 13: what watching costs while nothing happens, and in homes of ten thousand workspaces."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import raw
import trio
from figures import Figure, Measured, of_rounds, ratio
from homes import commit
from idle import PROBE_SECONDS, build
from kept import kept
from latency import OWNER
from watching import Watched, service, until_up

from trio_cursor.scanner import Scanner

#: Of `[cursor_database_monitor] max_concurrent_workspaces`, and what the service has besides.
MOST_THREADS, MOST_DESCRIPTORS = 10 + 6, 350
ACTIVE = 5


def homes(number: int) -> Path:
    """A `User` directory with so many idle workspaces; a question may come to be in some of them."""
    return kept(f"home-{number}", partial(_build, number=number)) / "User"


def _build(place: Path, number: int) -> None:
    build(place / "User", number)
    (place / "User" / "globalStorage").mkdir(exist_ok=True)


def sweeps(user: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of a whole sweep, and of one `os.stat` of each database, in turn."""
    paths = [str(path) for path in user.glob("workspaceStorage/*/state.vscdb")]
    return trio.run(_turns, user, paths, rounds)


async def _turns(user: Path, paths: list[str], rounds: int) -> tuple[list[float], list[float]]:
    scanner, took, floors = Scanner((str(user),), lambda _: True), [], []
    for _ in range(rounds + 1):
        scanner.hurry()  # a whole sweep each time
        began = time.perf_counter()
        await scanner.sweep(PROBE_SECONDS)
        took.append(time.perf_counter() - began)
        floors.append(raw.stats(paths))
    return took[1:], floors[1:]


def check(*, workspaces: int = 1000, rounds: int = 40) -> Measured:
    """Goal 1: a whole sweep and one `os.stat` of each database, in turn."""
    user = homes(workspaces)
    took, floors = sweeps(user, rounds)
    each = [value / workspaces * 1e6 for value in took]
    return Measured(
        (
            ratio("whole sweep against one os.stat of each", took, floors, goal=3.0),
            of_rounds("for one workspace", each, "us"),
        )
    )


def usage(user: Path, workspaces: int, active: list[str], *, events: bool, seconds: float) -> list[float]:
    """Percent of a core in three windows, after the active ones have been written to."""
    with tempfile.TemporaryDirectory() as state, service(user, Path(state) / "s", events=events) as child:
        until_up(Path(state) / "s", workspaces)
        words = [sys.executable, "-c", OWNER, "delete", "OFF", *active]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as owner:
            for number in range(len(active)):
                owner.stdin.write(f"{time.time_ns():032x}"[-32:] + f"{number}\n")
            owner.stdin.flush()
            time.sleep(4)
            found = []
            for _ in range(3):
                before, began = child.cpu(), time.monotonic()
                time.sleep(seconds / 3)
                found.append((child.cpu() - before) / (time.monotonic() - began) * 100)
            owner.stdin.close()
        return found


def cpu(*, workspaces: int = 1000, seconds: float = 30) -> Measured:
    """Goal 2: with events of the operating system, and by polling alone, a third as long.

    What comes by itself comes in it: a sweep every ten seconds, a full check of what is active every thirty.
    """
    figures = []
    with tempfile.TemporaryDirectory() as name:
        user = Path(name) / "User"
        build(user, workspaces)
        (user / "globalStorage").mkdir(exist_ok=True)
        active = sorted(map(str, user.glob("workspaceStorage/*/state.vscdb")))[:ACTIVE]
        for words, events, goal in (("with OS events", True, 0.1), ("by polling alone", False, 1.0)):
            found = usage(user, workspaces, active, events=events, seconds=seconds if events else seconds / 3)
            mean = sum(found) / len(found)
            figures.append(Figure(words, mean, min(found), max(found), "%", goal=goal))
    return Measured(tuple(figures))


def _highest(child: Watched, seconds: float, active: list[str]) -> tuple[float, int, int, int]:
    """Memory, descriptors and threads at their highest while it is asked in five; databases open before."""
    rss, descriptors, threads, idle_open = 0.0, 0, 0, 0
    end, asked = time.monotonic() + 1, 0
    while time.monotonic() < end:
        idle_open = max(idle_open, child.databases())
        time.sleep(0.02)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if asked % 5 == 0:
            commit(active[asked // 5 % len(active)])
        asked += 1
        rss, threads = max(rss, child.memory()), max(threads, child.threads())
        descriptors = max(descriptors, child.descriptors())
        time.sleep(0.02)
    return rss, descriptors, threads, idle_open


def many(*, few: int = 10, workspaces: int = 10_000, seconds: float = 4) -> Measured:
    """Goal 13: a home of ten, and one of ten thousand."""
    found = {}
    for number in (few, workspaces):
        with tempfile.TemporaryDirectory() as name:
            user = homes(number)
            active = sorted(map(str, user.glob("workspaceStorage/*/state.vscdb")))[:ACTIVE]
            with service(user, Path(name) / "state") as child:
                until_up(Path(name) / "state", number)
                time.sleep(3)  # what the end of the first pass brings
                found[number] = _highest(child, seconds, active)
    (small, *_), (large, descriptors, threads, idle_open) = found[few], found[workspaces]
    return Measured(
        (
            ratio(f"RSS, {workspaces:,} against {few}", [large], [small], goal=3.0, behind=f"{large:.0f} MB"),
            Figure("databases open between scans", idle_open, idle_open, idle_open, "", goal=0),
            Figure("file descriptors", descriptors, descriptors, descriptors, "", goal=MOST_DESCRIPTORS),
            Figure("threads", threads, threads, threads, "", goal=MOST_THREADS),
        )
    )
