"""What an owner's commits cost while we read its database, against a process that only stats its files.

One owner commits to two databases of each journal mode in turn, in an order drawn anew each time: one of each
is watched by the service, the other by a process that looks at its size. So whatever else this machine does
meets both alike. A commit is what Cursor does most: the ring of 100 generations written anew with one more.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import running
from live import quantile
from owner_workspaces import MODES, build

OWNER = """
import json, os, random, sqlite3, sys, time, uuid
pause, number, *paths = sys.argv[1:]
random.seed(1)
#: node-sqlite3 waits a second for a lock.
owned = [sqlite3.connect(path, isolation_level=None, timeout=1) for path in paths]
largest = dict.fromkeys(paths, 0)
ring = []
for count in range(int(number)):
    id_ = str(uuid.UUID(int=random.getrandbits(128)))
    asked = {"unixMs": time.time_ns() // 10**6, "generationUUID": id_, "type": "cmdk"}
    ring.append(asked | {"textDescription": "x" * 120})
    del ring[:-100]
    value = json.dumps(ring)
    for index in random.sample(range(len(paths)), len(paths)):
        began, failed = time.perf_counter_ns(), 0
        try:
            owned[index].execute("INSERT INTO ItemTable VALUES ('aiService.generations', ?)", (value,))
        except sqlite3.OperationalError:
            failed = 1
        took = time.perf_counter_ns() - began
        wal = paths[index] + "-wal"
        size = os.path.getsize(wal) if os.path.exists(wal) else 0
        print(json.dumps([index, took, failed, size]), flush=True)
    time.sleep(float(pause) * random.uniform(0.5, 1.5))
"""
#: The least that anybody can do who wants to know of a change.
STATTER = """
import os, sys, time
while True:
    for path in sys.argv[2:]:
        for name in (path, path + "-wal"):
            try: os.stat(name)
            except OSError: pass
    time.sleep(float(sys.argv[1]))
"""


@contextmanager
def beside(command: list[str]) -> Iterator[None]:
    """Let something run."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def service(user: Path, state: Path) -> list[str]:
    """The command."""
    run = [sys.executable, "-m", "trio_cursor", "run", "-q", "--http", "off"]
    return [*run, "--cursor-dir", str(user), "--state-dir", str(state)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=1000, help="to each database")
    parser.add_argument("--pause", type=float, default=0.03, help="seconds between two commits to one")
    parser.add_argument("--place", help="a directory on the disk to be measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.place) as name, ExitStack() as stack:
        place = Path(name)
        watched = [build(place / "watched", mode) for mode in MODES]
        stat_only = [build(place / "stat", mode) for mode in MODES]
        stack.enter_context(beside(service(place / "watched", place / "state")))
        stack.enter_context(beside([sys.executable, "-c", STATTER, "0.25", *map(str, stat_only)]))
        time.sleep(3)
        paths = [*map(str, watched), *map(str, stat_only)]
        command = [sys.executable, "-c", OWNER, str(arguments.pause), str(arguments.commits), *paths]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        time.sleep(5)  # an entry waits for the other rings of its profile
        stack.close()
        events = running.reported(place / "state").total()
    rows = [json.loads(line) for line in said.splitlines()]
    print(f"{arguments.commits} commits to each, {os.cpu_count()} cores; {events} events reported")
    print("journal  beside    p50 ms  p90 ms  p99 ms  max ms  failed  largest -wal")
    for number, mode in enumerate(MODES):
        parts = {}
        for index, beside_what in ((number + len(MODES), "stat"), (number, "us")):
            mine = [(took / 1e6, failed, wal) for at, took, failed, wal in rows if at == index]
            took = parts[beside_what] = [one[0] for one in mine]
            print(
                f"{mode:8} {beside_what:8} {statistics.median(took):7.3f} {quantile(took, 0.9):7.3f}"
                f" {quantile(took, 0.99):7.3f} {max(took):7.3f} {sum(one[1] for one in mine):7}"
                f" {max(one[2] for one in mine):13,}"
            )
        ratios = [
            statistics.median(parts["us"][first : first + 100])
            / statistics.median(parts["stat"][first : first + 100])
            for first in range(0, arguments.commits - 99, 100)
        ]
        print(
            f"{mode:8} p50 {statistics.median(ratios):.2f} x"
            f" ({min(ratios):.2f} to {max(ratios):.2f} by hundreds),"
            f" p99 {quantile(parts['us'], 0.99) / quantile(parts['stat'], 0.99):.2f} x,"
            f" {quantile(parts['us'], 0.99) - quantile(parts['stat'], 0.99):+.2f} ms"
        )


if __name__ == "__main__":
    main()
