"""An owner's commits to databases that we watch, and to such that are only looked at; see `owner.py`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import running
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


@attrs.define
class Commits:
    """To one database."""

    #: Milliseconds of each.
    took: list[float] = attrs.field(factory=list)
    failed: int = 0
    #: The largest log that was seen, bytes.
    wal: int = 0


def compare(commits: int, pause: float, place: str | None = None) -> dict[str, dict[str, Commits]]:
    """By journal mode, then `stat` and `us`: an owner that commits to all four databases in turn."""
    with tempfile.TemporaryDirectory(dir=place) as name, ExitStack() as stack:
        home = Path(name)
        watched = [build(home / "watched", mode) for mode in MODES]
        stat_only = [build(home / "stat", mode) for mode in MODES]
        stack.enter_context(beside(service(home / "watched", home / "state")))
        stack.enter_context(beside([sys.executable, "-c", STATTER, "0.25", *map(str, stat_only)]))
        time.sleep(3)
        paths = [*map(str, watched), *map(str, stat_only)]
        command = [sys.executable, "-c", OWNER, str(pause), str(commits), *paths]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        time.sleep(5)  # an entry waits for the other rings of its profile
        stack.close()
        events = running.reported(home / "state").total()
    if not events:
        raise SystemExit("the service has reported nothing: nothing was measured")
    found = {mode: {"stat": Commits(), "us": Commits()} for mode in MODES}
    for at, took, failed, wal in map(json.loads, said.splitlines()):
        one = found[MODES[at % len(MODES)]]["us" if at < len(MODES) else "stat"]
        one.took.append(took / 1e6)
        one.failed += failed
        one.wal = max(one.wal, wal)
    return found
