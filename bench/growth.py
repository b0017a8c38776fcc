"""How cost grows: with workspaces, with the size of a database, with the rate of generations; three curves.

Writes `bench/growth.json` and the three SVGs of docs/performance.md. `growth.py rate` measures one of them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import attrs
import latency
import one_row
import trio
from big import big, recent
from figures import machine, quantile
from first_day import first_sync
from idle import build
from idle_goals import homes, sweeps
from kept import cache
from svg import Panel, chart, write
from watching import service, until_up

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
WORKSPACES = (10, 100, 1000, 10_000)
RATES = (1, 10, 100, 1000)
#: Rows, and bytes of each. The largest has no more rows than the one before it, only longer ones.
SIZES = ((3_300, 3_000), (33_000, 3_000), (330_000, 3_000), (330_000, 30_000))
#: A database is built only where that many times its size is free.
ROOM = 2.5
#: Commits as told on the command line, evenly, and says when each was done.
OWNER = """
import json, sqlite3, sys, time
rate, seconds, *paths = sys.argv[1:]
owned = [sqlite3.connect(path, isolation_level=None, timeout=1) for path in paths]
for one in owned:
    one.execute("PRAGMA journal_mode=WAL")
    one.execute("PRAGMA synchronous=NORMAL")
    one.execute('CREATE TABLE IF NOT EXISTS "aiService.generations"'
                ' (uuid TEXT, data_version INTEGER, value TEXT, timestamp INTEGER)')
value = json.dumps({"model": "m", "responseText": "x" * 1500})
said, number, began = [], 0, time.monotonic()
while (at := number / float(rate)) < float(seconds):
    time.sleep(max(0, began + at - time.monotonic()))
    id_ = f"00000000-0000-4000-8000-{number:012}"
    row = (id_, number, value, time.time_ns() // 10**6)
    owned[number % len(owned)].execute('INSERT INTO "aiService.generations" VALUES (?, ?, ?, ?)', row)
    said.append([id_, time.time_ns()])
    number += 1
print(json.dumps(said))
"""


def by_workspaces(numbers: tuple[int, ...]) -> list[dict[str, float]]:
    """A whole sweep, and the memory of the service after its first pass."""
    found = []
    for number in numbers:
        user = homes(number)
        took, floor = sweeps(user, 15)
        with tempfile.TemporaryDirectory() as state, service(user, Path(state) / "s") as child:
            until_up(Path(state) / "s", number)
            time.sleep(2)
            rss = child.memory()
        one = {"workspaces": number, "sweep_ms": median(took) * 1e3, "stat_ms": median(floor) * 1e3}
        found.append(one | {"rss_mb": rss})
        print(json.dumps(found[-1]), flush=True)
    return found


def by_size(sizes: tuple[tuple[int, int], ...]) -> list[dict[str, float]]:
    """One changed row, and the first look of the last 24 hours, whose rows are the same in every size."""
    found = []
    for rows, row_bytes in sizes:
        cache().mkdir(parents=True, exist_ok=True)
        if not (cache() / f"global-{rows}-{row_bytes}").exists():
            free = shutil.disk_usage(cache()).free
            if free < ROOM * rows * row_bytes:
                print(f"{rows * row_bytes / 1e9:.1f} GB: not built, {free / 1e9:.0f} GB are free", flush=True)
                continue
        path = big(rows, row_bytes)
        keys = recent(path, 3_000)
        with tempfile.TemporaryDirectory() as private:
            day = [trio.run(first_sync, path, Path(private))[0] * 1e3 for _ in range(4)][1:]
        took = trio.run(one_row.rounds, [path], [keys], 15)
        one = {"mb": path.stat().st_size / 1e6, "rows": rows, "row_bytes": row_bytes}
        one |= {"one_row_ms": median(took["door"][0]) * 1e3, "like_ms": median(took["like"][0]) * 1e3}
        found.append(one | {"first_day_ms": median(day)})
        print(json.dumps(found[-1]), flush=True)
    return found


async def at_rate(place: Path, paths: list[str], rate: int, seconds: float) -> dict[str, float]:
    """Latency to the log, and what the process with the service in it used."""
    async with latency.serving(Path(paths[0]).parents[2], place) as seen:
        words = [sys.executable, "-c", OWNER, str(rate), str(seconds), *paths]
        before, began = time.process_time(), time.monotonic()
        done = await trio.run_process(words, capture_stdout=True)
        committed = json.loads(done.stdout)
        await latency.until_seen(seen, len(committed))
        used = (time.process_time() - before) / (time.monotonic() - began) * 100
    took = [(seen[id_] - at) / 1e6 for id_, at in committed if id_ in seen]
    reached = len(committed) / seconds
    found = {"rate": rate, "reached": reached, "missing": len(committed) - len(took), "cpu_percent": used}
    return found | {"p50_ms": quantile(took, 0.5), "p99_ms": quantile(took, 0.99)}


def by_rate(rates: tuple[int, ...], seconds: float) -> list[dict[str, float]]:
    """Ten workspaces in WAL mode, written to in turn."""
    found = []
    for rate in rates:
        with tempfile.TemporaryDirectory() as name:
            user = Path(name) / "User"
            build(user, 10)
            (user / "globalStorage").mkdir(exist_ok=True)
            paths = sorted(map(str, user.glob("workspaceStorage/*/state.vscdb")))
            longer = seconds * 2 if rate < 10 else seconds
            found.append(trio.run(at_rate, Path(name) / "state", paths, rate, longer))
        print(json.dumps(found[-1]), flush=True)
    return found


@attrs.frozen
class Curves:
    """What was measured, by kind."""

    known: dict[str, list[dict[str, float]]]

    def series(self, kind: str, x: str, y: str) -> list[tuple[float, float]]:
        return [(one[x], one[y]) for one in self.known[kind]]

    def workspaces(self) -> str:
        at = [self.series("workspaces", "workspaces", name) for name in ("sweep_ms", "stat_ms", "rss_mb")]
        panels = [
            Panel("one whole sweep, ms", {"sweep": at[0], "os.stat of each": at[1]}, is_log=True),
            Panel("memory of the service, MB", {"RSS": at[2]}),
        ]
        return chart("What workspaces cost", "workspaces watched", panels)

    def sizes(self) -> str:
        at = [self.series("sizes", "mb", name) for name in ("one_row_ms", "like_ms", "first_day_ms")]
        panels = [
            Panel("one changed row, ms", {"found": at[0], "by LIKE": at[1]}, is_log=True),
            Panel("first look of 24 hours, ms", {"first look": at[2]}),
        ]
        return chart("What the size of a database costs", "megabytes", panels)

    def rates(self) -> str:
        at = [self.series("rate", "reached", name) for name in ("p50_ms", "p99_ms", "cpu_percent")]
        panels = [
            Panel("commit to event, ms", {"p50": at[0], "p99": at[1]}, is_log=True),
            Panel("CPU, % of a core", {"service": at[2]}),
        ]
        return chart("What generations cost", "generations a second, in ten workspaces", panels)


def main() -> None:
    """Measure, keep, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", choices=["workspaces", "sizes", "rate", []], metavar="KIND")
    parser.add_argument("--small", action="store_true", help="little of everything")
    parser.add_argument("--out", type=Path, help="where to write instead of bench/ and docs/")
    parser.add_argument("--workspaces", type=int, nargs="+", default=WORKSPACES, metavar="N")
    parser.add_argument("--largest", type=float, default=12_000, help="megabytes of a database, at most")
    parser.add_argument("--seconds", type=float, default=10.0, help="at each rate")
    arguments = parser.parse_args()
    small, kept_at = arguments.small, arguments.out or HERE
    sizes = tuple((rows, size) for rows, size in SIZES if rows * size <= arguments.largest * 1e6)
    kinds = {
        "workspaces": lambda: by_workspaces((5, 20) if small else tuple(arguments.workspaces)),
        "sizes": lambda: by_size(((1_000, 1_000), (3_000, 1_000)) if small else sizes),
        "rate": lambda: by_rate((2, 20) if small else RATES, 2.0 if small else arguments.seconds),
    }
    file = kept_at / "growth.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for kind in arguments.kinds or kinds:
        known[kind] = [{name: float(f"{value:.4g}") for name, value in one.items()} for one in kinds[kind]()]
        known["on"] = machine(None)
        # After each: they take long.
        write(file, json.dumps(known, indent=1) + "\n")
    curves, docs = Curves(known), arguments.out or DOCS
    for kind, draw in (("workspaces", curves.workspaces), ("sizes", curves.sizes), ("rate", curves.rates)):
        if kind in known:
            write(docs / f"growth-{kind}.svg", draw())


if __name__ == "__main__":
    main()
