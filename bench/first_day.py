"""Goal 7: the first sync of the last 24 hours of a big global database, against reading those rows by key.

In turn: the door reads what belongs to the last day, texts included; and a plain connection reads the same
rows, whose keys it is told. The same day lies on top of a smaller file, too.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import raw
import trio
from big import DAY_MS, RECENT, TURNS, big, recent
from figures import Measured, of_rounds, ratio
from looks import Looker, door, turns_of

LARGE, SMALL, ROW_BYTES = 480_000, 48_000, 3_000


async def first_sync(path: Path, private: Path) -> tuple[float, int, int]:
    """Seconds, generations, and how often it was opened."""
    looker = Looker(door(path.parents[1], private), str(path))
    began = time.perf_counter()
    since = int(time.time() * 1000) - DAY_MS
    found, _ = await looker.look(since_ms=since)
    # The walk passes a few that are older, to know that it has come to the end; their texts are not read.
    contents = await looker.contents([turn for turn in turns_of(found) if (turn.newest_ms or 0) >= since])
    return time.perf_counter() - began, len(contents), looker.opened


def measure(*, large: int = LARGE, small: int = SMALL, count: int = 7) -> Measured:
    """Build both if they are not there, and read them in turn."""
    paths = [big(small, ROW_BYTES), big(large, ROW_BYTES)]
    keys = [recent(path, ROW_BYTES) for path in paths]
    took: list[list[float]] = [[], []]
    floor: list[list[float]] = [[], []]
    parsed: list[float] = []
    opened = 0
    with tempfile.TemporaryDirectory() as private:
        for number in range(count + 1):
            for at, path in enumerate(paths):
                seconds, generations, opened = trio.run(first_sync, path, Path(private))
                if generations != RECENT * TURNS:
                    raise AssertionError(f"{generations} generations of {RECENT * TURNS}")
                read = raw.keyed(path, keys[at])
                parse = raw.keyed(path, keys[at], use=json.loads)
                if number:  # the first one warms up
                    took[at].append(seconds * 1e3)
                    floor[at].append(read * 1e3)
                    parsed += [parse * 1e3] * at
    size = paths[1].stat().st_size
    words = f"{RECENT * TURNS} generations, {len(keys[1])} rows, {opened} opens of {size / 1e9:.2f} GB"
    return Measured(
        (
            ratio("against raw reading of the same rows", took[1], floor[1], goal=2.0, behind=words),
            ratio("against raw reading and `json.loads`", took[1], parsed),
            ratio(f"{large:,} rows against {small:,}", took[1], took[0], goal=1.25),
            of_rounds("ours", took[1], "ms"),
            of_rounds("raw", floor[1], "ms"),
        )
    )
