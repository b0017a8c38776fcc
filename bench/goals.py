"""The table of goals beside today's figures: every row, or those that are named.

    goals.py            all of them; each takes less than a minute, once its big files are built; kept in
                        results.json, and written into docs/performance.md
    goals.py 1 6 8      single rows
    goals.py --small    little of everything, to see that it works; its figures say nothing, and are not kept

Each row is measured in a process of its own, so that none of them finds another's threads, memory or caches.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import attrs
from figures import HEADINGS, Measured, lines_of, read_results, show, with_row, with_table, write_results

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from redis_server import programs

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parent.parent / "docs" / "performance.md"


@attrs.frozen
class Row:
    """One goal, and what measures it."""

    goal: str
    module: str
    function: str
    #: Arguments for `--small`.
    small: dict[str, Any] = attrs.field(factory=dict)


ROWS = {
    1: Row("idle check of one workspace", "idle_goals", "check", {"workspaces": 50, "rounds": 3}),
    2: Row("idle CPU, 1,000 watched, 5 active", "idle_goals", "cpu", {"workspaces": 20, "seconds": 2}),
    3: Row("commit to event in the log", "live_goals", "to_log", {"workspaces": 20, "commits": 6}),
    4: Row("log to Redis stream", "live_goals", "to_stream", {"events": 10, "rounds": 1}),
    5: Row("owner's commits while we read", "live_goals", "owner", {"commits": 40, "pause": 0.01}),
    6: Row("one changed row among 300,000", "one_row", "measure", {"large": 6000, "small": 3000, "count": 5}),
    7: Row("first sync of 24 h, 2 GB", "first_day", "measure", {"large": 6000, "small": 3000, "count": 2}),
    8: Row("a ring of 100", "one_ring", "measure", {"count": 3}),
    9: Row("first sync of 100,000 rows, log", "sync_goals", "into_log", {"rows": 1000, "rounds": 1}),
    10: Row("the same into Redis", "sync_goals", "into_redis", {"rows": 1000, "rounds": 1}),
    11: Row("peak RSS of that sync", "sync_goals", "peak", {"rows": 1000, "few": 500}),
    12: Row("deadline on any query", "end_in_time", "measure", {"count": 3}),
    13: Row("10,000 watched workspaces", "idle_goals", "many", {"few": 5, "workspaces": 30, "seconds": 1}),
    14: Row("loop lag in a first sync", "sync_goals", "loop", {"rows": 1000, "rounds": 1}),
    15: Row("start", "start_goal", "measure", {"rounds": 2}),
    16: Row("Redis memory of an event", "memory_goal", "measure", {"events": 500, "rounds": 1}),
}


def measure(number: int, *, is_small: bool) -> tuple[Measured, float]:
    """What a row comes to, measured by a child; and the seconds that took."""
    began = time.monotonic()
    with tempfile.NamedTemporaryFile(suffix=".pickle") as answer:
        words = [sys.executable, __file__, "--answer", answer.name, str(number)]
        subprocess.run([*words, *(["--small"] * is_small)], check=True, stdout=sys.stderr)
        return pickle.load(answer), time.monotonic() - began


def answer(row: Row, place: Path, *, is_small: bool) -> None:
    """In the child."""
    function = getattr(importlib.import_module(row.module), row.function)
    found: Measured = function(**(row.small if is_small else {}))
    place.write_bytes(pickle.dumps(found))


def main() -> int:
    """Print the table; 1 if a script broke, which no figure is a reason for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", type=int, nargs="*", choices=[[], *ROWS], metavar="ROW")
    parser.add_argument("--small", action="store_true", help="little of everything; nothing is kept")
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    wanted = arguments.rows or list(ROWS)
    if arguments.answer:
        answer(ROWS[wanted[0]], arguments.answer, is_small=arguments.small)
        return 0
    broken, lines = [], [HEADINGS]
    for number in wanted:
        row = ROWS[number]
        try:
            found, seconds = measure(number, is_small=arguments.small)
        except subprocess.CalledProcessError:
            broken.append(number)
            continue
        if not arguments.small:
            known = read_results(RESULTS)
            redis = next(iter(programs()), None)
            known = with_row(known, number, row.goal, found, seconds=seconds, redis=redis)
            write_results(RESULTS, known)
            PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), known), encoding="utf-8")
        print(show(lines_of(number, row.goal, found)), f"\n   ({seconds:.0f} s)", file=sys.stderr, flush=True)
        lines += lines_of(number, row.goal, found)
    print(show(lines))
    if broken:
        print(f"broken: {json.dumps(broken)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
