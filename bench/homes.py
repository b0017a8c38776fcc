"""Homes of 10, 1,000 and 10,000 workspaces, of which five are worked in: what the service holds and uses.

Memory, file descriptors and threads after the first pass, and the CPU while somebody works in five of them,
all of the service process; Linux.
"""

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import running
from idle import build, cpu_of, rss_of

ACTIVE = 5
#: Between two questions in one of the active workspaces.
PAUSE_SECONDS = 0.5


def is_up(state: Path, number: int) -> bool:
    """Whether the first pass over so many databases is over."""
    command = [sys.executable, "-m", "trio_cursor", "status", "--json", "--state-dir", str(state)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    looked, of_all = json.loads(said)["progress"] if said else (0, 0)
    return bool(looked == of_all >= number)


def entries(pid: int, what: str) -> int:
    """How many file descriptors or threads it has."""
    return sum(1 for _ in Path(f"/proc/{pid}/{what}").iterdir())


def commit(path: str) -> None:
    """A question, as it stands in the ring."""
    asked = {"unixMs": time.time_ns() // 10**6, "generationUUID": str(uuid.uuid4()), "type": "cmdk"}
    with sqlite3.connect(path) as connection:
        value = json.dumps([asked | {"textDescription": "x" * 100}])
        connection.execute("INSERT INTO ItemTable VALUES ('aiService.generations', ?)", (value,))
    connection.close()


def main() -> None:
    """Print a line for each home."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspaces", type=int, nargs="*", default=[10, 1000, 10_000])
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    print("workspaces  first pass s    RSS MB    fds  threads  CPU idle  CPU worked in  reported")
    for number in arguments.workspaces:
        with tempfile.TemporaryDirectory() as name:
            user, state = Path(name) / "User", Path(name) / "state"
            build(user, number)
            paths = sorted(map(str, user.glob("workspaceStorage/*/state.vscdb")))[:ACTIVE]
            began = time.monotonic()
            service = subprocess.Popen(running.command(user, state), stdout=subprocess.DEVNULL)
            while not is_up(state, number):
                time.sleep(0.2)
            first_pass = time.monotonic() - began
            time.sleep(2)
            idle, asked = cpu_of(service.pid), 0
            time.sleep(arguments.seconds)
            idle = (cpu_of(service.pid) - idle) / arguments.seconds
            busy, end = cpu_of(service.pid), time.monotonic() + arguments.seconds
            fds = threads = 0
            rss = rss_of(service.pid)
            while time.monotonic() < end:
                commit(paths[asked % ACTIVE])
                asked += 1
                fds = max(fds, entries(service.pid, "fd"))
                threads = max(threads, entries(service.pid, "task"))
                rss = max(rss, rss_of(service.pid))
                time.sleep(PAUSE_SECONDS / ACTIVE)
            busy = (cpu_of(service.pid) - busy) / arguments.seconds
            time.sleep(3)
            service.terminate()
            service.wait()
            reported = running.reported(state).total()
        print(
            f"{number:10,} {first_pass:13.1f} {rss:9.0f} {fds:6} {threads:8} {idle:9.2%} {busy:14.2%}"
            f" {reported:6} of {asked}",
            flush=True,
        )


if __name__ == "__main__":
    main()
