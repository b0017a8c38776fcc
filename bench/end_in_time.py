"""Goal 12: how late a read returns that does not end, and one that cannot even be interrupted.

The first keeps SQLite busy, which listens; the second stands in a thread, where nothing can end it.
"""

from __future__ import annotations

import sqlite3
import tempfile
import threading
import time
from pathlib import Path

import trio
from figures import Figure, Measured, tail_of
from one_ring import READ, build

from trio_cursor.cursor.guest import Guest, TimedOut
from trio_cursor.cursor.schemas import Query

DEADLINE_SECONDS = 0.2
#: Far more rows than anybody lives to see.
ENDLESS = Query("SELECT count(*) FROM numbers a, numbers b, numbers c, numbers d, numbers e, numbers f")
A_ROW = Query(READ)
THREAD = "trio_cursor guest"
TABLES = {"ItemTable": frozenset({"key", "value"}), "numbers": frozenset({"n"})}


def numbers(user: Path) -> Path:
    """A database with a ring and a thousand numbers."""
    path, _ = build(user)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE numbers (n)")
    connection.executemany("INSERT INTO numbers VALUES (?)", ((n,) for n in range(1000)))
    connection.close()
    return path


def endless(_catalog):
    while True:
        yield ENDLESS


async def late(path: Path, place: Path, count: int) -> tuple[list[float], list[float], int, int]:
    """Milliseconds late of both kinds; threads left in the end, and how many had to be left for a while."""
    rules = {"roots": [str(path.parents[2])], "tables": TABLES, "max_concurrent": 4}
    lateness: tuple[list[float], list[float]] = ([], [])
    abandoned = 0

    async def one(make, into: list[float]) -> Guest:
        guest = Guest(**rules, deadline_seconds=DEADLINE_SECONDS, private_dir=str(place / "private"))
        began = time.perf_counter()
        outcome = await guest.read(str(path), make)
        into.append((time.perf_counter() - began - DEADLINE_SECONDS) * 1e3)
        if not isinstance(outcome, TimedOut):
            raise SystemExit(f"it ended: {outcome}")
        return guest

    for _ in range(count):
        await (await one(endless, lateness[0])).aclose()
        release = threading.Event()

        def hanging(_catalog, release: threading.Event = release):
            rows = yield A_ROW
            release.wait(60)
            return lambda: rows

        guest = await one(hanging, lateness[1])
        abandoned += guest.abandoned
        release.set()
        await guest.aclose()
        if guest.abandoned:
            raise AssertionError("a thread that could end did not")
    return *lateness, await leaked(), abandoned


async def leaked() -> int:
    """Threads that still bear the door's name: Trio gives each its own name back when its work is over."""
    left = 0
    for _ in range(100):
        left = sum(thread.name.startswith(THREAD) for thread in threading.enumerate())
        if not left:
            break
        await trio.sleep(0.01)
    return left


def measure(*, count: int = 40) -> Measured:
    """Both kinds in turn."""
    with tempfile.TemporaryDirectory() as name:
        path = numbers(Path(name) / "User")
        listening, deaf, lost, abandoned = trio.run(late, path, Path(name), count)
    words = f"of {count} each; {abandoned} threads were left alone and ended later"
    return Measured(
        (
            tail_of("interruptible, late, p99", listening, 0.99, "ms", goal=10.0, behind=words),
            tail_of("not interruptible, late, p99", deaf, 0.99, "ms", goal=50.0),
            Figure("threads leaked", lost, lost, lost, "", goal=0),
        )
    )
