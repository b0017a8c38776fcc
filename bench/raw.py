"""The floors: the least that anybody pays for the same bytes. `os.stat`, SELECT, INSERT, Redis itself."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

#: Rows in one transaction.
BATCH = 500


def stats(paths: Sequence[str]) -> float:
    """Seconds for one `os.stat` of each."""
    began = time.perf_counter()
    for path in paths:
        os.stat(path)  # noqa: PTH116 - the floor itself
    return time.perf_counter() - began


def opened(database: Path) -> sqlite3.Connection:
    """To read; of a database that its owner has closed nothing is created beside it."""
    has_owner = Path(f"{database}-wal").exists()
    flags = "mode=ro" if has_owner else "mode=ro&immutable=1"
    return sqlite3.connect(f"{database.as_uri()}?{flags}", uri=True, isolation_level=None)


def select(database: Path, sql: str, params: Sequence[object] = ()) -> float:
    """Seconds to open, read all rows of a query, and close, as a guest that changes nothing."""
    began = time.perf_counter()
    connection = opened(database)
    connection.execute(sql, params).fetchall()
    connection.close()
    return time.perf_counter() - began


def keyed(database: Path, keys: Sequence[str], *, use: Callable[[str], object] = len) -> float:
    """Seconds to read the rows of these keys of `cursorDiskKV`, on one connection, and use each."""
    began = time.perf_counter()
    connection = opened(database)
    for key in keys:
        use(connection.execute("SELECT value FROM cursorDiskKV WHERE key = ?", (key,)).fetchone()[0])
    connection.close()
    return time.perf_counter() - began


def copy(database: Path, target: Path, table: str) -> float:
    """Seconds for reading every value and writing its bytes into a fresh table, 500 in a transaction."""
    began = time.perf_counter()
    source = opened(database)
    sink = sqlite3.connect(target)
    sink.execute("PRAGMA journal_mode=WAL")
    sink.execute("PRAGMA synchronous=FULL")
    sink.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY, value TEXT)")
    cursor = source.execute(f"SELECT value FROM {table}")
    while some := cursor.fetchmany(BATCH):
        sink.executemany("INSERT INTO events (value) VALUES (?)", some)
        sink.commit()
    source.close()
    sink.close()
    return time.perf_counter() - began


def redis_benchmark(port: int, requests: int = 30_000, size: int = 2000) -> float | None:
    """XADDs a second of so many bytes, 100 in a pipeline, by Redis's own program; None where it is not."""
    program = shutil.which("redis-benchmark")
    if program is None:
        return None
    words = [program, "-p", str(port), "-n", str(requests), "-P", "100", "-c", "1", "-q"]
    words += ["XADD", "floor", "*", "payload", "x" * size]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"([\d.]+) requests per second", said)
    return float(found[-1]) if found else None
