"""Goal 15: `--help`, and the first event on the screen, against a Python that does nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import Measured, of_rounds, ratio
from start_stop import help_time, one_run

from trio_cursor.demo.process import FakeCursorProcess


def python_time() -> float:
    """Seconds for a Python that does nothing."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - began


def measure(*, rounds: int = 7) -> Measured:
    """In turn."""
    helps, pythons, firsts = [], [], []
    with (
        tempfile.TemporaryDirectory() as name,
        FakeCursorProcess(Path(name) / "cursor", "--rate", "5") as cursor,
    ):
        for number in range(rounds):
            pythons.append(python_time() * 1e3)
            helps.append(help_time() * 1e3)
            first, _, _ = one_run(cursor.cursor_dir, Path(name) / f"state{number}", signal.SIGTERM)
            firsts.append(first * 1e3)
    return Measured(
        (
            of_rounds("--help", helps, "ms", goal=150.0),
            ratio("--help against an empty Python", helps, pythons),
            of_rounds("start to the first event", firsts, "ms", goal=1000.0),
        )
    )
