"""From Cursor's commit to a consumer in another process, through the service and a Redis of its own.

The service is the real one, as a child; the rows go into a table of generations, which are reported at once.
`read` is from the commit until the event was made, `sent` from there to the consumer. Then the same without
Cursor: from the append to our log, with its fsync, to the consumer.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from cursor_files import ITEM_TABLE, make_user_dir, make_workspace, new_id
from live import quantile
from log_events import event
from redis_outputs import config, following
from redis_server import own_server

from trio_cursor.eventlog import Entry
from trio_cursor.reader import open_reader

TABLE = '"aiService.generations"'
COLUMNS = "uuid TEXT, data_version INTEGER, value TEXT, timestamp INTEGER"
#: Seconds between two commits.
PAUSES = (0.02, 0.15)
ANSWER = "All of it, in the order in which it was asked for. " * 40
PATIENCE_SECONDS = 20
SEED = 5

#: When each generation came to the consumer, and when its event was made; nanoseconds.
Arrivals = dict[str, tuple[int, int]]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def consume(url: str) -> None:
    """In a process of its own: a line for each generation."""
    async with open_reader(url, group="bench") as reader:
        async for delivery in reader:
            at, got = time.time_ns(), delivery.event
            print(got.generation_id, at, got.metadata["captured_at"] * 1_000_000, flush=True)
            await delivery.ack()


@contextmanager
def child(*words: str, environment: dict[str, str] | None = None, out: Path | None = None) -> Iterator[None]:
    """A Python of its own, ended at the end."""
    stdout = subprocess.DEVNULL if out is None else out.open("wb")
    process = subprocess.Popen(
        [sys.executable, *words], stdout=stdout, env={**os.environ, **(environment or {})}
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def arrivals(file: Path, first: int, number: int) -> Arrivals:
    """Wait until so many lines are there; those from the first one on."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(lines := file.read_text(encoding="utf-8").splitlines()) < number:
        if time.monotonic() > deadline:
            raise SystemExit(f"{len(lines)} of {number} generations came to the consumer")
        time.sleep(0.01)
    found = [line.split() for line in lines[first:]]
    return {id_: (int(at), int(made)) for id_, at, made in found}


def through_all(url: str, place: Path, probe: float, journal: str, commits: int) -> list[tuple[float, float]]:
    """Milliseconds until the event was made, and until the consumer had it."""
    chance, committed = random.Random(SEED), {}
    database = make_workspace(make_user_dir(place), "a" * 32)
    owner = sqlite3.connect(database, isolation_level=None)
    owner.execute(f"PRAGMA journal_mode={journal}")
    owner.execute(ITEM_TABLE)
    owner.execute(f"CREATE TABLE {TABLE} ({COLUMNS})")

    def commit(number: int) -> str:
        id_, value = new_id(), json.dumps({"model": "gpt-5", "responseText": ANSWER})
        owner.execute(f"INSERT INTO {TABLE} VALUES (?, ?, ?, ?)", (id_, number, value, now_ms()))
        return id_

    words = ["run", "-q", "--cursor-dir", str(place / "User"), "--state-dir", str(place / "state")]
    words += ["--http", "off", "--redis-url", url]
    environment = {"TRIO_CURSOR_CURSOR_DATABASE_MONITOR__PROBE_INTERVAL_SECONDS": str(probe)}
    out = place / "arrived"
    service = child("-m", "trio_cursor", *words, environment=environment)
    with child(__file__, "--consume", url, out=out), service:
        commit(0)
        arrivals(out, 0, 1)
        time.sleep(2.5)  # a file that was not written for 2 s: as one whose user thinks
        for number in range(1, commits + 1):
            time.sleep(chance.uniform(*PAUSES))
            id_ = commit(number)
            committed[id_] = time.time_ns()
        came = arrivals(out, 1, commits + 1)
    owner.close()
    return [((came[id_][1] - at) / 1e6, (came[id_][0] - at) / 1e6) for id_, at in committed.items()]


def output_alone(url: str, place: Path, events: int) -> list[float]:
    """Milliseconds from the append to the consumer."""
    appended, chance, out = {}, random.Random(SEED), place / "arrived"

    async def append() -> None:
        async with following(place, config(url)) as (log, _):
            for number in range(events + 1):
                await trio.sleep(chance.uniform(*PAUSES))
                made = event(number, text=ANSWER)
                appended[made.generation_id] = time.time_ns()
                await log.append(Entry((((made.event_id,), made),)))
                if not number:  # now both sides are there
                    await trio.to_thread.run_sync(arrivals, out, 0, 1)
            await trio.to_thread.run_sync(arrivals, out, 0, events + 1)

    with child(__file__, "--consume", url, out=out):
        trio.run(append)
        came = arrivals(out, 1, events + 1)
    return [(came[id_][0] - appended[id_]) / 1e6 for id_ in came]


def show(what: str, values: list[float]) -> None:
    figures = (quantile(values, 0.5), quantile(values, 0.99), max(values))
    print(f"{what:42}" + "".join(f"{figure:9.1f}" for figure in figures) + f"{len(values):9}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=200)
    parser.add_argument("--journal", choices=["delete", "wal"], default="wal")
    parser.add_argument("--consume", metavar="URL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.consume:
        trio.run(consume, arguments.consume)
        return
    print(f"{'journal ' + arguments.journal:42}   p50 ms   p99 ms   max ms   number")
    for probe in (0.25, 0.05):
        with own_server() as server, tempfile.TemporaryDirectory() as place:
            took = through_all(
                server.tcp_url, Path(place), probe, arguments.journal, commits=arguments.commits
            )
        show(f"commit to consumer, probe every {probe} s", [all_ for _, all_ in took])
        show("  of it read", [read for read, _ in took])
        show("  of it sent", [all_ - read for read, all_ in took])
    with own_server() as server, tempfile.TemporaryDirectory() as place:
        show("append to consumer", output_alone(server.tcp_url, Path(place), arguments.commits))


if __name__ == "__main__":
    main()
