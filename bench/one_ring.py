"""Goal 8: a ring of 100, nothing new and one appended, against a raw read of its value.

Once on a connection that is open already (what looking costs), once through the door (with open and close).
"""

from __future__ import annotations

import json
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import raw
import trio
from figures import Measured, of_rounds, quantile, ratio
from looks import Looker, door

from trio_cursor.cursor.jobs import Job
from trio_cursor.cursor.reading import Transaction, harden
from trio_cursor.cursor.schemas.known import readable_columns, scan_database
from trio_cursor.sqlite_library import sqlite3

READ = "SELECT value FROM ItemTable WHERE key = 'aiService.generations'"
SET = "INSERT INTO ItemTable VALUES ('aiService.generations', ?)"
AT_ONCE = 200
#: Longer than a file is left alone between two reads.
GAP_SECONDS = 0.02


def item(number: int) -> dict[str, object]:
    asked = {"unixMs": time.time_ns() // 10**6, "generationUUID": str(uuid.uuid4()), "type": "composer"}
    return asked | {"textDescription": f"question {number} " + "x" * 120}


def build(user: Path) -> tuple[Path, list[dict[str, object]]]:
    workspace = user / "workspaceStorage" / ("0" * 32)
    workspace.mkdir(parents=True)
    path, ring = workspace / "state.vscdb", [item(number) for number in range(100)]
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE ItemTable (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)")
    connection.execute(SET, (json.dumps(ring),))
    connection.close()
    return path, ring


def scans(connection: Any, positions: dict[str, str], times: int) -> tuple[float, int]:
    """Seconds of one scan of many on an open connection, and what the last one found."""
    job, found = Job(), 0
    transaction = Transaction(connection, job, 3600)
    known = transaction.read_catalog(readable_columns(), None, None)
    scan = partial(scan_database, known.catalog, rescan=False, verify=False, since_ms=None)
    began = time.perf_counter()
    for _ in range(times):
        reading = transaction.run(scan(positions=positions))()
        found = sum(len(step.observations) for step in reading.steps.values())
    took = (time.perf_counter() - began) / times
    connection.set_progress_handler(None, 0)
    connection.execute("ROLLBACK")
    return took, found


def plain(connection: Any, times: int, use: Callable[[bytes], object]) -> float:
    """Seconds of one raw read, and of what is done with it."""
    began = time.perf_counter()
    for _ in range(times):
        use(connection.execute(READ).fetchone()[0])
    return (time.perf_counter() - began) / times


async def rounds(place: Path, count: int) -> dict[str, list[float]]:
    """Milliseconds of each kind of look, in turn."""
    kinds = ("raw", "parsed", "same", "one", "raw door", "same door", "one door")
    took: dict[str, list[float]] = {name: [] for name in kinds}
    path, ring = build(place / "User")
    looker = Looker(door(place / "User", place / "private"), str(path))

    async def look() -> float:
        _, first = await looker.look(since_ms=None)
        await trio.sleep(GAP_SECONDS)
        return first

    await look()
    for number in range(count):
        before = dict(looker.positions)
        with closing(opened(path)) as connection:
            same, nothing = scans(connection, before, AT_ONCE)
            took["raw"].append(plain(connection, AT_ONCE, len))
            took["parsed"].append(plain(connection, AT_ONCE, json.loads))
        took["same door"].append(await look())
        ring = [*ring[1:], item(100 + number)]
        write(path, json.dumps(ring))
        with closing(opened(path)) as connection:
            one, found = scans(connection, before, AT_ONCE)
        took["raw door"].append(raw.select(path, READ))
        took["one door"].append(await look())
        took["same"].append(same)
        took["one"].append(one)
        if (nothing, found) != (0, 1):
            raise AssertionError(f"found {nothing} and {found}")
    return {name: [value * 1e3 for value in values] for name, values in took.items()}


def measure(*, count: int = 40) -> Measured:
    """A raw read, nothing new, one appended; and the same with open and close."""
    with tempfile.TemporaryDirectory() as place:
        took = trio.run(rounds, Path(place), count)
    plainly, parsed = (quantile(took[name], 0.5) for name in ("raw", "parsed"))
    behind = f"raw read {plainly:.3f} ms, with `json.loads` {parsed:.3f} ms"
    return Measured(
        (
            of_rounds("nothing new", took["same"], "ms", goal=0.02, behind=behind),
            ratio("one appended, against the raw read", took["one"], took["raw"], goal=3.0),
            ratio("one appended, against raw read and `json.loads`", took["one"], took["parsed"]),
            ratio("nothing new, all in, against raw open, read, close", took["same door"], took["raw door"]),
            of_rounds("one appended, all in", took["one door"], "ms"),
        )
    )


def opened(path: Path) -> Any:
    """A connection as the door makes it."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
    harden(connection)
    return connection


def write(path: Path, value: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(SET, (value,))
