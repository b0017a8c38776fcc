"""First sync of 100,000 table rows of 2 KB into the event log, against a raw SELECT and a raw INSERT."""

import argparse
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path


def build(user: Path, rows: int) -> Path:
    """One workspace whose database has the table; WAL, cleanly closed."""
    folder = user / "workspaceStorage" / ("0" * 32)
    folder.mkdir(parents=True)
    (folder / "workspace.json").write_text('{"folder": "file:///home/demo/rows"}')
    database = folder / "state.vscdb"
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode=WAL")
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


def raw(database: Path, target: Path) -> float:
    """Seconds for reading every row and writing its bytes into a fresh table, 500 in a transaction."""
    began = time.perf_counter()
    source = sqlite3.connect(f"{database.as_uri()}?mode=ro&immutable=1", uri=True)
    sink = sqlite3.connect(target)
    sink.execute("PRAGMA journal_mode=WAL")
    sink.execute("PRAGMA synchronous=FULL")
    sink.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY, value TEXT)")
    cursor = source.execute('SELECT value FROM "aiService.generations"')
    while some := cursor.fetchmany(500):
        sink.executemany("INSERT INTO events (value) VALUES (?)", some)
        sink.commit()
    source.close()
    sink.close()
    return time.perf_counter() - began


def main() -> None:
    """Print both times, their ratio, and the peak memory of the service."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        database = build(place / "User", rows)
        floor = min(raw(database, place / f"raw{number}") for number in range(2))
        command = [
            sys.executable,
            "-m",
            "trio_cursor",
            "run",
            "--once",
            "--since",
            "all",
            "-q",
            "--http",
            "off",
        ]
        began = time.perf_counter()
        subprocess.run(
            [*command, "--cursor-dir", str(place / "User"), "--state-dir", str(place / "state")], check=True
        )
        ours = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"raw SELECT + INSERT  {floor:6.2f} s  {rows / floor:9.0f} rows/s")
    print(f"first sync           {ours:6.2f} s  {rows / ours:9.0f} rows/s  {floor / ours:.0%} of raw")
    print(f"peak memory of the service {peak:.0f} MB")


if __name__ == "__main__":
    main()
