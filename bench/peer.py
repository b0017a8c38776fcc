"""A new turn in a global database of about a gigabyte: what it costs codeburn to show it, and us.

    npm install codeburn
    peer.py node_modules/codeburn/dist/cli.js

codeburn answers when it is asked, so it is asked before and after two turns were made, and its own count of
calls says whether it saw them. We watch: counted is all CPU from before the turns until both are in the log
and half a second more. Both see the same fake Cursor, one after the other, round by round.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from big_global import build
from kept import kept
from watching import service

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from running import reported

#: Bubbles of some 9 KB each.
BUBBLES = 110_000
ROUNDS = 5
TURNS = 2


def made(tree: Path) -> None:
    """Two more turns; the windows are closed when it returns."""
    words = [
        sys.executable,
        "-m",
        "trio_cursor",
        "demo",
        str(tree),
        "--rate",
        "5",
        "--generations",
        str(TURNS),
    ]
    subprocess.run([*words, "-q"], check=True, stdout=subprocess.DEVNULL)


def asked(program: list[str], home: Path) -> tuple[int, float, float]:
    """How many calls codeburn counts; seconds, and seconds of CPU."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    answer = subprocess.run(
        [*program, "status", "--format", "json"],
        check=True,
        capture_output=True,
        env={**os.environ, "HOME": str(home)},
    )
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(answer.stdout)["month"]["calls"], took, cpu


def until(is_so: Callable[[], bool]) -> None:
    """Wait."""
    end = time.monotonic() + 300
    while not is_so():
        if time.monotonic() > end:
            raise SystemExit("what was made does not come")
        time.sleep(0.05)


def main() -> None:
    """Print what each round came to, and the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program", help="codeburn's dist/cli.js")
    parser.add_argument("--node", default="node", help="of version 22 at least")
    parser.add_argument("--bubbles", type=int, default=BUBBLES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    program = [given.node, given.program]
    theirs: list[tuple[float, float]] = []
    ours: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        tree, home, state = (Path(name) / one for one in ("tree", "home", "state"))
        shutil.copytree(kept(f"demo-{given.bubbles}", lambda place: build(place, given.bubbles)), tree)
        user = tree / "User"
        (home / ".config" / "Cursor").mkdir(parents=True)
        (home / ".config" / "Cursor" / "User").symlink_to(user)
        calls, took, cpu = asked(program, home)
        print(f"global database {(user / 'globalStorage' / 'state.vscdb').stat().st_size / 1e9:.2f} GB")
        print(f"codeburn, the first time: {took:.2f} s, {cpu:.2f} s of CPU, {calls} calls")
        with service(user, state, "--since", "24h") as child:
            until(lambda: bool(reported(state)))
            time.sleep(5)
            known = len(reported(state))
            print(f"we, the first time: {child.cpu():.2f} s of CPU, {known} generations")
            for number in range(given.rounds):
                before = child.cpu()
                made(tree)
                until(lambda wanted=known + TURNS: len(reported(state)) >= wanted)
                time.sleep(0.5)
                known += TURNS
                ours.append(child.cpu() - before)
                was = calls
                # What was just written counts for it from the next time it is asked on, if it is too fresh.
                calls, took, cpu = asked(program, home)
                theirs.append((took, cpu))
                words = f"{calls - was} calls more, {took:.2f} s, {cpu:.2f} s of CPU"
                print(f"round {number + 1}: codeburn {words}; we {ours[-1]:.3f} s of CPU", flush=True)
    took, cpu = (statistics.median(one[at] for one in theirs) for at in (0, 1))
    mine = statistics.median(ours)
    print(f"medians: codeburn {took:.2f} s, {cpu:.2f} s of CPU; we {mine:.3f} s of CPU: {cpu / mine:.0f} x")


if __name__ == "__main__":
    main()
