"""A living fake Cursor and the service beside it: latency from commit to event, and the owner's own commits.

Latency is counted from the commit that settles a turn.

The owner's commit times are compared with those of the same fake Cursor while nobody reads.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import trio

from trio_cursor import load_config, serve
from trio_cursor.demo.process import FakeCursorProcess


def quantile(values: list[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def commits(
    place: Path, journal: str, seconds: float, rate: float, *, watched: bool
) -> tuple[list[float], list[float], int]:
    """Run for a while; the owner's commit times and our latencies (ms), and the owner's incidents."""
    options = ["--rate", str(rate), "--journal", journal, "--workspaces", "5", "--window-seconds", "0"]
    with FakeCursorProcess(place / "cursor", *options, "--seed", "1", "--history", "0") as cursor:
        seen: dict[str, int] = {}
        if watched:
            seen = trio.run(watch, cursor.cursor_dir, place / "state", seconds)
        else:
            time.sleep(seconds)
    ledger = cursor.ledger()
    took, latency = [], []
    for entries in ledger.committed.values():
        first = min(entries, key=lambda entry: entry.committed_ms or 0)
        if first.commit_took_ms is not None:
            took.append(first.commit_took_ms)
    for turn in ledger.turns.values():
        # From the commit that settled it. What no conversation knows waits on purpose.
        if turn.commit_took_ms is not None:
            took.append(turn.commit_took_ms)
        if turn.generation_id in seen and turn.committed_ms:
            latency.append(float(seen[turn.generation_id] - turn.committed_ms))
    return took, latency, len(ledger.incidents)


async def watch(cursor_dir: Path, state: Path, seconds: float) -> dict[str, int]:
    """When each generation was in the log (milliseconds), as its event says."""
    seen = {}
    config = load_config(
        overrides={"cursor.dirs": [str(cursor_dir)], "state.dir": str(state), "http.listen": "off"}
    )
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            handle = await nursery.start(serve, config)
            await handle.synced()
            async with handle.subscribe(after=handle.status().last_sequence) as events:
                async for event in events:
                    seen[event.generation_id] = time.time_ns() // 1_000_000
    return seen


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    print("journal  what                          p50 ms   p99 ms   max ms   number")
    for journal in ("delete", "wal"):
        alone: list[float] = []
        beside: list[float] = []
        latency: list[float] = []
        incidents = 0
        for _ in range(arguments.rounds):
            for watched in (False, True):
                with tempfile.TemporaryDirectory() as place:
                    took, seen, bad = commits(
                        Path(place), journal, arguments.seconds, arguments.rate, watched=watched
                    )
                (beside if watched else alone).extend(took)
                latency += seen
                incidents += bad
        for name, values in (
            ("commit to event", latency),
            ("owner's commit, alone", alone),
            ("owner's commit, watched", beside),
        ):
            print(
                f"{journal:8} {name:28} {statistics.median(values):7.2f} {quantile(values, 0.99):8.2f}"
                f" {max(values):8.2f} {len(values):8}"
            )
        print(f"{journal:8} owner's failed or slow openings: {incidents}")


if __name__ == "__main__":
    main()
