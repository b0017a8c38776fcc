"""The command line: one file for each group of commands."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    _prepare_streams()
    from trio_cursor.cli.parser import parse  # noqa: PLC0415 - the streams must be there when it complains

    arguments = parse(sys.argv[1:] if argv is None else list(argv))
    from trio_cursor.cli.ending import ended  # noqa: PLC0415 - `--help` must not wait for what commands need

    return ended(arguments)


def _prepare_streams() -> None:
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            # Started with it closed. The next file opened would get its number, and whatever is printed.
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - until the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A prompt may hold what this terminal cannot show.
            stream.reconfigure(errors="backslashreplace")
