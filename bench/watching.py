"""A service as a child, and what it uses: CPU in nanoseconds, memory, descriptors, threads. Linux.

As a program it is that child, which runs the service as `run` does, and takes what measuring needs besides:
`--no-events` (of the operating system), `--locks FILE` (of each read, the seconds that it held its lock).
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

from trio_cursor.cursor.guest import Guest, Page

#: Linux: the clock of another process's CPU time (`clock_getcpuclockid`).
_CPUCLOCK_SCHED = 2


class Watched:
    """What a process uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def cpu(self) -> float:
        """Seconds so far, of all its threads."""
        return time.clock_gettime(((~self.pid) << 3) | _CPUCLOCK_SCHED)

    def memory(self, name: str = "VmRSS") -> float:
        """Megabytes: `VmRSS` now, `VmHWM` at the highest."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split(f"{name}:")[1].split()[0]) * 1024 / 1e6

    def threads(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.pid}/task").iterdir())

    def descriptors(self) -> int:
        return len(self._links())

    def databases(self) -> int:
        """Descriptors of Cursor's databases that are open at this moment."""
        return sum("state.vscdb" in link for link in self._links())

    def _links(self) -> list[str]:
        found = []
        for link in Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                found.append(str(link.readlink()))
            except OSError:  # closed meanwhile
                continue
        return found


@contextmanager
def service(
    user: Path,
    state: Path,
    *options: str,
    events: bool = True,
    locks: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Watched]:
    """The service over a `User` directory; ended politely."""
    words = [sys.executable, __file__, "--cursor-dir", str(user), "--state-dir", str(state)]
    words += ["--http", "off", "-q", *options]
    words += [] if events else ["--no-events"]
    words += ["--locks", str(locks)] if locks else []
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, env={**os.environ, **(environment or {})})
    try:
        yield Watched(child.pid)
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
        child.wait(30)


def until_up(state: Path, workspaces: int, patience: float = 300) -> float:
    """Seconds until the first pass over so many is over."""
    from homes import is_up  # noqa: PLC0415 - which wants this module

    began = time.monotonic()
    while not is_up(state, workspaces):
        if time.monotonic() - began > patience:
            raise SystemExit(f"the first pass over {workspaces} workspaces took more than {patience} s")
        time.sleep(0.2)
    return time.monotonic() - began


@contextmanager
def counted_locks(file: Path | None) -> Iterator[None]:
    """Have each read of the door say how long it held its lock."""
    read = Guest.read
    with file.open("w", buffering=1, encoding="ascii") if file else nullcontext() as out:

        async def counted(*args, **kwargs):
            outcome = await read(*args, **kwargs)
            # An immutable file and a copy of our own hold up nobody.
            if isinstance(outcome, Page) and out and outcome.way in ("ro", "ro+readonly_shm"):
                print(f"{outcome.held_seconds:.6f}", file=out)
            return outcome

        if file:
            Guest.read = counted
        try:
            yield
        finally:
            Guest.read = read


def main() -> int:
    """Run the service."""
    from latency import os_events  # noqa: PLC0415 - only the child needs it

    from trio_cursor.cli import main as trio_cursor  # noqa: PLC0415 - as above

    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--no-events", action="store_true")
    parser.add_argument("--locks", type=Path)
    ours, words = parser.parse_known_args()
    with os_events(on=not ours.no_events), counted_locks(ours.locks):
        return trio_cursor(["run", *words])


if __name__ == "__main__":
    sys.exit(main())
