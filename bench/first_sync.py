"""First sync of 100,000 table rows of 2 KB into the event log, against a raw SELECT and a raw INSERT."""

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path

import attrs
import raw
from watching import Watched


def build(user: Path, rows: int, journal: str = "wal") -> Path:
    """One workspace whose database has the table; cleanly closed."""
    folder = user / "workspaceStorage" / ("0" * 32)
    folder.mkdir(parents=True)
    (folder / "workspace.json").write_text('{"folder": "file:///home/demo/rows"}')
    database = folder / "state.vscdb"
    connection = sqlite3.connect(database)
    connection.execute(f"PRAGMA journal_mode={journal}")
    connection.execute(
        'CREATE TABLE "aiService.generations"'
        " (uuid TEXT, data_version INTEGER, value TEXT, timestamp INTEGER)"
    )
    now = int(time.time() * 1000)
    text = "x" * 1900
    connection.executemany(
        'INSERT INTO "aiService.generations" VALUES (?, ?, ?, ?)',
        (
            (
                str(uuid.UUID(int=number + 1)),
                number,
                json.dumps({"model": "m", "promptTokens": 5, "completionTokens": 7, "responseText": text}),
                now - number,
            )
            for number in range(rows)
        ),
    )
    connection.commit()
    connection.close()
    return database


TABLE = '"aiService.generations"'


@attrs.frozen
class Run:
    """One first sync, from the start of the process to its end."""

    seconds: float
    #: Megabytes at the highest.
    peak: float


def sync(user: Path, state: Path, *options: str, **environment: str) -> Run:
    """Let `run --once` read everything, and send it where it is to be sent."""
    words = ["run", "--once", "--since", "all", "-q", "--http", "off", *options]
    places = ["--cursor-dir", str(user), "--state-dir", str(state)]
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "trio_cursor", *words, *places], env={**os.environ, **environment}
    )
    peak = 0.0
    while child.poll() is None:
        # Not `ru_maxrss`: a child begins with the highest of whoever has started it.
        with suppress(OSError, IndexError):
            peak = max(peak, Watched(child.pid).memory("VmHWM"))
        time.sleep(0.01)
    took = time.perf_counter() - began
    if child.returncode:
        raise SystemExit(f"the first sync ended with {child.returncode}")
    return Run(took, peak)


def idle_peak(place: Path) -> float:
    """Megabytes at the highest of a run that has nothing to read."""
    (place / "nothing" / "User" / "workspaceStorage").mkdir(parents=True)
    return sync(place / "nothing" / "User", place / "nothing" / "state").peak


def main() -> None:
    """Print both times, their ratio, and the peak memory of the service."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--journal", choices=["wal", "delete"], default="wal")
    arguments = parser.parse_args()
    rows = arguments.rows
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        database = build(place / "User", rows, arguments.journal)
        floor = min(raw.copy(database, place / f"raw{number}", TABLE) for number in range(2))
        ours = sync(place / "User", place / "state")
    print(f"raw SELECT + INSERT  {floor:6.2f} s  {rows / floor:9.0f} rows/s")
    print(f"first sync           {ours.seconds:6.2f} s  {rows / ours.seconds:9.0f} rows/s", end="  ")
    print(f"{floor / ours.seconds:.0%} of raw")
    print(f"peak memory of the service {ours.peak:.0f} MB")


if __name__ == "__main__":
    main()
