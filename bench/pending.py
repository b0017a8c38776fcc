"""What a first pass costs the event loop in the Assembler: many workspaces, each with a full ring."""

import argparse
import time

from trio_cursor.assembly import Assembler
from trio_cursor.records import RingEntry, Workspace

NOW_MS = 1_760_000_000_000
PROFILE = "/cursor/User"


def page(workspace: int, entries: int) -> tuple[Workspace, list[RingEntry]]:
    """A ring, whose times lie among those of the others."""
    place = Workspace(f"{PROFILE}/workspaceStorage/{workspace}/state.vscdb", PROFILE, str(workspace))
    found = [
        RingEntry(
            f"{workspace:08x}-0000-4000-8000-{at:012x}", NOW_MS + 1000 * at + workspace, "cmdk", "", 1, {}
        )
        for at in range(entries)
    ]
    return place, found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspaces", type=int, default=1000)
    parser.add_argument("--entries", type=int, default=100)
    arguments = parser.parse_args()
    pages = [page(number, arguments.entries) for number in range(arguments.workspaces)]
    assembler = Assembler(wait_ms=10**9)
    began = time.perf_counter()
    for place, found in pages:
        assembler.observe(place, found, NOW_MS)
        assembler.next_deadline_ms()
    observed = time.perf_counter()
    assembler.profile_read(PROFILE)
    read = time.perf_counter()
    steps = []
    while assembler.next_deadline_ms() == 0:
        step = time.perf_counter()
        assembler.release(NOW_MS)
        steps.append(time.perf_counter() - step)
    total = arguments.workspaces * arguments.entries
    print(
        f"{total} entries: {observed - began:.2f} s to take them in, {(read - observed) * 1e3:.0f} ms to sort"
    )
    print(f"{len(steps)} steps to release them: {sum(steps):.2f} s, the longest {max(steps) * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
