"""A long run beside a fake Cursor at a realistic rate: whether anything grows.

    soak.py --minutes 20     what the README of the benches means by a soak; `--minutes 60` once by hand

Every few seconds: memory, descriptors, threads and CPU of the service, the size of its log. Of every
generation the time from the commit that settled it to a line of `tail`, of every read how long it held its
lock. Drawn as `docs/soak.svg`. What has grown from the first third to the last is said, and is the exit code.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import attrs
from figures import machine, quantile
from svg import Panel, chart, write
from watching import Watched, service, until_up

from trio_cursor.demo.process import FakeCursorProcess

HERE = Path(__file__).parent
#: What may be added between the first third and the last one: as a share, and in its own unit.
LEEWAY = {"rss_mb": (0.05, 2.0), "descriptors": (0.0, 1.0), "threads": (0.0, 2.0)}
LEEWAY |= {"latency_ms": (0.25, 50.0), "lock_p99_ms": (0.5, 0.5), "cpu_percent": (0.25, 1.0)}
#: A service that has just come up still makes what it keeps.
WARM_SHARE = 0.1
#: Long enough for everything that a generation waits for.
PATIENCE_SECONDS = 20


@attrs.frozen
class Sample:
    """At one moment."""

    minute: float
    rss_mb: float
    descriptors: int
    threads: int
    cpu_percent: float
    log_mb: float


@attrs.frozen
class Grown:
    """Something, from the first third to the last one."""

    what: str
    first: float
    last: float
    has_grown: bool


def grown(what: str, values: list[tuple[float, float]], minutes: float) -> Grown:
    """Compare the medians of both thirds, of values by minute; the warming up is left out."""
    warm = minutes * WARM_SHARE
    third = (minutes - warm) / 3
    first = [value for at, value in values if warm <= at < warm + third]
    last = [value for at, value in values if at >= minutes - third]
    if not first or not last:
        raise ValueError(f"{what}: a third without a value")
    share, absolute = LEEWAY[what]
    before, after = median(first), median(last)
    return Grown(what, before, after, after > before * (1 + share) + absolute)


def log_size(state: Path) -> float:
    """Megabytes of all that the service has written."""
    return sum(path.stat().st_size for path in state.rglob("*") if path.is_file()) / 1e6


def watch(child: Watched, state: Path, minutes: float, every: float) -> list[Sample]:
    """Look at it until the time is over."""
    found, began = [], time.monotonic()
    cpu, at = child.cpu(), began
    while (now := time.monotonic()) - began < minutes * 60:
        time.sleep(max(0.0, at + every - now))
        now, used = time.monotonic(), child.cpu()
        share = (used - cpu) / (now - at) * 100
        cpu, at = used, now
        minute = (now - began) / 60
        held = (child.memory(), child.descriptors(), child.threads())
        found.append(Sample(minute, *held, share, log_size(state)))
    return found


def soak(minutes: float, every: float, options: list[str]) -> dict[str, object]:
    """Everything that was seen."""
    with tempfile.TemporaryDirectory() as name, FakeCursorProcess(Path(name) / "c", *options) as cursor:
        state, locks = Path(name) / "state", Path(name) / "locks"
        with service(cursor.cursor_dir, state, "--since", "24h", locks=locks) as child:
            until_up(state, 1)
            words = [sys.executable, "-m", "trio_cursor", "tail", "--json", "--state-dir", str(state)]
            seen: dict[str, int] = {}
            with subprocess.Popen(words, stdout=subprocess.PIPE) as tail:

                def follow() -> None:
                    for line in tail.stdout:
                        id_ = json.loads(line)["payload"].get("generation_id")
                        seen.setdefault(id_, time.time_ns() // 10**6)

                threading.Thread(target=follow, daemon=True).start()
                time.sleep(3)
                since, skipped = time.time_ns() // 10**6, len(locks.read_text().split())
                samples = watch(child, state, minutes, every)
                until = time.time_ns() // 10**6
                read = [float(line) * 1e3 for line in locks.read_text().split()][skipped:]
                cursor.stop()
                time.sleep(PATIENCE_SECONDS)
                tail.terminate()
        ledger = cursor.ledger()
    turns = [
        (turn.generation_id, turn.committed_ms)
        for turn in ledger.turns.values()
        if turn.commit_took_ms is not None and since < (turn.committed_ms or 0) < until
    ]
    latency = [((at - since) / 6e4, float(seen[id_] - at)) for id_, at in turns if id_ in seen]
    slices = max(3, int(minutes * 60 / every / 6))
    size = max(1, len(read) // slices)
    by_time = [
        ((number + 0.5) * minutes / slices, quantile(read[number * size : (number + 1) * size], 0.99))
        for number in range(slices)
        if read[number * size :]
    ]
    return {
        "samples": [attrs.asdict(one) for one in samples],
        "latency_ms": sorted(latency),
        "lock_p99_ms": by_time,
        "lock_ms": {"p99": quantile(read, 0.99), "max": max(read), "reads": len(read)},
        "missing": sum(id_ not in seen for id_, _ in turns),
        "incidents": len(ledger.incidents),
    }


def draw(found: dict[str, object], minutes: float) -> str:
    """The curves, one below the other."""
    samples = found["samples"]

    def over(name: str) -> list[tuple[float, float]]:
        return [(one["minute"], one[name]) for one in samples]

    panels = [
        Panel("memory, MB", {"RSS": over("rss_mb")}),
        Panel("descriptors and threads", {"descriptors": over("descriptors"), "threads": over("threads")}),
        Panel("event log, MB", {"log": over("log_mb")}),
        Panel("commit to a line of tail, ms", {"latency": found["latency_ms"]}),
        Panel("lock held, ms", {"p99": found["lock_p99_ms"]}),
    ]
    return chart(f"{minutes:g} minutes beside a living Cursor", "minutes", panels, is_log=False)


def main() -> int:
    """Print what was seen; 1 if anything grew or is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks")
    parser.add_argument("--rate", type=float, default=0.5, help="generations a second over all windows")
    parser.add_argument("--workspaces", type=int, default=30)
    parser.add_argument("--open", type=int, default=5)
    parser.add_argument("--out", type=Path, help="where to write instead of bench/ and docs/")
    arguments = parser.parse_args()
    minutes = arguments.minutes
    options = ["--rate", str(arguments.rate), "--workspaces", str(arguments.workspaces)]
    options += ["--open", str(arguments.open)]
    found = soak(minutes, arguments.every, options)
    samples = found["samples"]
    series = {name: [(one["minute"], one[name]) for one in samples] for name in LEEWAY if name in samples[0]}
    series |= {name: found[name] for name in ("latency_ms", "lock_p99_ms")}
    verdicts = [grown(name, values, minutes) for name, values in series.items()]
    for one in verdicts:
        print(f"{one.what:12} {one.first:9.2f} -> {one.last:9.2f}  {'GREW' if one.has_grown else 'level'}")
    locks, latency = found["lock_ms"], [value for _, value in found["latency_ms"]]
    print(f"locks: {locks['reads']} reads, p99 {locks['p99']:.2f} ms, longest {locks['max']:.2f} ms")
    print(f"latency: p50 {median(latency):.0f} ms, p99 {quantile(latency, 0.99):.0f} ms of {len(latency)}")
    print(f"log: {samples[0]['log_mb']:.2f} -> {samples[-1]['log_mb']:.2f} MB")
    print(f"missing: {found['missing']}; owner's incidents: {found['incidents']}")
    summary = {"minutes": minutes, "on": machine(None), "thirds": [attrs.asdict(one) for one in verdicts]}
    summary |= {name: found[name] for name in ("lock_ms", "missing", "incidents")}
    place, docs = arguments.out or HERE, arguments.out or HERE.parent / "docs"
    write(place / "soak.json", json.dumps(summary, indent=1) + "\n")
    write(docs / "soak.svg", draw(found, minutes))
    return 1 if found["missing"] or any(one.has_grown for one in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
