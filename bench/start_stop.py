"""How long a person waits: `--help`, the first event on the screen, and ^C or SIGTERM to the end."""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from trio_cursor.demo.process import FakeCursorProcess

PROGRAM = [sys.executable, "-m", "trio_cursor"]
ROUNDS = 5


def spread(values: list[float]) -> str:
    """Minimum, median and maximum, in milliseconds."""
    return "  ".join(f"{value * 1e3:7.0f}" for value in (min(values), statistics.median(values), max(values)))


def help_time() -> float:
    """Seconds for `--help`."""
    began = time.perf_counter()
    subprocess.run([*PROGRAM, "--help"], check=True, capture_output=True)
    return time.perf_counter() - began


def one_run(cursor_dir: Path, state: Path, number: int) -> tuple[float, float, int]:
    """Seconds from the start to the first event, from the signal to the end, and the exit code."""
    began = time.perf_counter()
    command = [*PROGRAM, "run", "--cursor-dir", str(cursor_dir), "--state-dir", str(state), "--http", "off"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        if process.stdout is None:
            raise AssertionError
        json.loads(process.stdout.readline())
        first = time.perf_counter() - began
        time.sleep(1.0)
        asked = time.perf_counter()
        os.kill(process.pid, number)
        process.stdout.read()
        code = process.wait()
    return first, time.perf_counter() - asked, code


def main() -> None:
    """Print the figures."""
    print(f"{'ms':28}      min   median      max")
    print(f"{'--help':28}  {spread([help_time() for _ in range(ROUNDS)])}")
    with (
        tempfile.TemporaryDirectory() as name,
        FakeCursorProcess(Path(name) / "cursor", "--rate", "5") as cursor,
    ):
        for word, number in (("^C", signal.SIGINT), ("SIGTERM", signal.SIGTERM)):
            runs = [
                one_run(cursor.cursor_dir, Path(name) / f"{word}{index}", number) for index in range(ROUNDS)
            ]
            first, stop, codes = zip(*runs, strict=True)
            print(f"{'start to first event':28}  {spread(list(first))}")
            print(f"{word + ' to the end':28}  {spread(list(stop))}   exit {set(codes)}")


if __name__ == "__main__":
    main()
