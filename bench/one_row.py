"""Goal 6: one changed row of `cursorDiskKV`, among 300,000 and among 3,000; and what LIKE would cost.

An owner in another process rewrites one bubble, in both databases in turn; each is then read by the door.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import raw
import trio
from big import big, recent
from figures import Figure, Measured, of_rounds, ratio, tail_of
from looks import Looker, door, turns_of

#: Writes one row anew for each key on stdin, as Cursor does.
OWNER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode=WAL")
connection.execute("SELECT 1 FROM cursorDiskKV LIMIT 1").fetchall()
print("ready", flush=True)
for line in sys.stdin:
    key = line.strip()
    (value,) = connection.execute("SELECT value FROM cursorDiskKV WHERE key=?", (key,)).fetchone()
    connection.execute("INSERT INTO cursorDiskKV VALUES (?, ?)", (key, value[:-2] + '."}'))
    top, = connection.execute("SELECT max(rowid) FROM cursorDiskKV").fetchone()
    print(top, flush=True)
"""
LARGE, SMALL, ROW_BYTES = 300_000, 3_000, 3_000
#: A log is left alone until it was not written for 50 ms; that is another goal's.
QUIET_SECONDS = 0.08
HOUR_MS = 3_600_000
LIKE = "SELECT rowid, key FROM cursorDiskKV WHERE key LIKE 'bubbleId:%' AND value IS NOT NULL"


class Owner:
    """Has a database open, and changes one row at a time."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = stack.enter_context(
            subprocess.Popen([sys.executable, "-c", OWNER, str(path)], **pipes)
        )
        stack.callback(self.process.stdin.close)
        self.process.stdout.readline()

    def change(self, key: str) -> int:
        """The rowid that it has now."""
        self.process.stdin.write(f"{key}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


async def rounds(paths: list[Path], keys: list[list[str]], count: int) -> dict[str, list[list[float]]]:
    """Seconds of each kind of look, by database."""
    took: dict[str, list[list[float]]] = {
        what: [[] for _ in paths] for what in ("door", "all", "raw", "like")
    }
    with ExitStack() as stack, tempfile.TemporaryDirectory() as private:
        owners = [Owner(path, stack) for path in paths]
        since = int(time.time() * 1000) - HOUR_MS
        lookers = [Looker(door(path.parents[1], Path(private)), str(path)) for path in paths]
        for looker in lookers:
            await looker.look(since_ms=since)
        for number in range(count):
            for at, path in enumerate(paths):
                key = keys[at][-2 - 2 * (number % 5)]  # answers of the newest conversation
                rowid = owners[at].change(key)
                await trio.sleep(QUIET_SECONDS)
                began = time.perf_counter()
                found, first = await lookers[at].look(since_ms=since)
                took["all"][at].append(time.perf_counter() - began)
                took["door"][at].append(first)
                names = {turn.id.conversation_id for turn in turns_of(found)}
                if names != {key.split(":")[1]}:
                    raise AssertionError(f"round {number}: {names}")
                newer = "SELECT rowid, key FROM cursorDiskKV WHERE rowid > ? ORDER BY rowid"
                took["raw"][at].append(raw.select(path, newer, (rowid - 1,)))
                if number % 5 == 0:
                    took["like"][at].append(raw.select(path, LIKE))
    return took


def measure(*, large: int = LARGE, small: int = SMALL, count: int = 30) -> Measured:
    """Build both if they are not there, and look at them in turn."""
    paths = [big(small, ROW_BYTES), big(large, ROW_BYTES)]
    keys = [recent(path, ROW_BYTES) for path in paths]
    took = trio.run(rounds, paths, keys, count)
    found = {what: [[value * 1e3 for value in one] for one in both] for what, both in took.items()}
    less, more = found["door"]
    return Measured(
        (
            tail_of(f"found among {large:,}", more, 0.5, "ms", goal=1.0, behind="open, look, close, thread"),
            ratio(f"{large:,} against {small:,}", more, less, goal=1.5),
            ratio("against a raw open and `rowid > ?`", more, found["raw"][1]),
            of_rounds("with its whole turn looked at", found["all"][1], "ms"),
            like_figure(found, large),
        )
    )


def like_figure(found: dict[str, list[list[float]]], large: int) -> Figure:
    like = found["like"][1]
    ours = found["door"][1][:: max(1, len(found["door"][1]) // len(like))][: len(like)]
    return ratio(f"LIKE among {large:,} costs", like, ours, behind=f"LIKE: {min(like):.0f} ms")
