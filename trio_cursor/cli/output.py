"""How things read on a terminal: widths, colours, numbers, and nothing that a prompt could do to it."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TextIO

from rich.cells import cell_len, chop_cells, set_cell_size

from trio_cursor import sizes
from trio_cursor.cli.console import understands_escapes
from trio_cursor.harmless import JOINERS
from trio_cursor.harmless import printable as printable  # noqa: PLC0414 - the commands ask for it here

_SECOND_MS = 1000

_CODES = {"dim": "2", "bold": "1", "cyan": "36", "yellow": "33", "red": "31", "green": "32"}


class Style:
    """Colours, where they are wanted and can be shown."""

    def __init__(self, *, is_on: bool) -> None:
        self.is_on = is_on

    @classmethod
    def of(cls, stream: TextIO, *, no_color: bool, environ: Mapping[str, str] = os.environ) -> Style:
        """On for a terminal, unless the option, `NO_COLOR` or a dumb terminal says otherwise."""
        wanted = not no_color and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        return cls(is_on=wanted and stream.isatty() and understands_escapes(stream))

    def __call__(self, name: str, text: str) -> str:
        return f"\x1b[{_CODES[name]}m{text}\x1b[0m" if self.is_on and text else text


def goes_nowhere(stream: TextIO) -> bool:
    """Whether what is written there is thrown away: the null device, which every service has for stdout."""
    if sys.platform == "win32":
        return stream.name == os.devnull  # a file of ours; of the system's own it cannot be told
    else:  # noqa: RET505 - the type checker must see that this is not for Windows
        try:
            found, null = os.fstat(stream.fileno()), os.stat(os.devnull)  # noqa: PTH116 - a descriptor beside a path
        except OSError:  # also of a stream in memory
            return False
        return stat.S_ISCHR(found.st_mode) and found.st_rdev == null.st_rdev


def terminal_width() -> int:
    """Columns of the terminal, 80 where it does not say; it may change at any time."""
    return shutil.get_terminal_size().columns


def cut(text: str, cells: int) -> str:
    """As much of the text as fits into so many columns, with a mark where something is missing."""
    return (
        text
        if cell_len(text) <= cells
        else set_cell_size(text, max(cells - 1, 0)).rstrip(f" {JOINERS}") + "…"
    )


def ending(text: str, cells: int) -> str:
    """As much of the end of the text as fits, with a mark where something is missing: for paths."""
    if cell_len(text) <= cells:
        return text
    kept = text[-max(cells - 1, 0) :] if cells > 1 else ""
    while cell_len(kept) > cells - 1 and kept:
        kept = kept[1:]
    return f"…{kept}"


def padded(text: str, cells: int) -> str:
    """The text in a column of exactly this width: wide characters take two cells, marks none."""
    return set_cell_size(cut(text, cells), cells)


def wrapped(text: str, cells: int) -> list[str]:
    """The text in lines of at most so many columns, broken between words where that is possible."""
    cells = max(cells, 2)  # the widest character
    lines = [""]
    for word in re.findall(r"\S+\s*|\s+", text):
        if cell_len(lines[-1]) + cell_len(word.rstrip()) <= cells:
            lines[-1] += word
        else:
            lines += chop_cells(word, cells)
    return [line.rstrip() for line in lines if line.strip()] or [""]


def indented(text: str, cells: int, *, by: int = 2) -> list[str]:
    """The text in lines that are indented and with that not wider than so many columns; later ones more."""
    first, later = " " * by, " " * (by + 2)
    lines = wrapped(text, cells - by - 2)
    return [(later if number else first) + line for number, line in enumerate(lines)]


def clock(milliseconds: int, now_ms: int | None = None) -> str:
    """Local time of day, with the date if it is not today."""
    now = time.localtime(time.time() if now_ms is None else now_ms / 1000)
    then = moment(milliseconds)
    return then.removeprefix(time.strftime("%Y-%m-%d ", now))


def moment(milliseconds: int) -> str:
    """Local date and time of day."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(milliseconds / 1000))
    except (OSError, OverflowError, ValueError):
        return f"{milliseconds} ms"  # beyond what this platform's calendar holds


def size(number: int | None) -> str:
    """Bytes for people."""
    return sizes.size(number, unknown="-")


def span(milliseconds: int) -> str:
    """How long something took: `85 ms`, `3.2 s`, `42 s`, `1 min 12 s`, `2 h 3 min`."""
    if milliseconds < _SECOND_MS:
        return f"{milliseconds} ms"
    if milliseconds < 10 * _SECOND_MS - 50:
        return f"{milliseconds / _SECOND_MS:.1f} s"
    seconds = (milliseconds + _SECOND_MS // 2) // _SECOND_MS
    if seconds < 60:  # noqa: PLR2004 - as a minute has them
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours:,} h", f"{minutes} min"] if hours else [f"{minutes} min", f"{seconds} s"]
    return " ".join(part for part in parts if not part.startswith("0 "))


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """`1 workspace`, `2 workspaces`, `1,000 workspaces`."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def in_wait(number: int) -> str:
    """How many generations nobody's session covers yet."""
    if number == 1:
        return "1 generation waits for a session of its workspace"
    return f"{number:,} generations wait for a session of their workspace"


def passed_over(
    excluded: int, nameless: int, skipped: Iterable[Mapping[str, int]], unattributed: int = 0
) -> str:
    """What was seen and will never be reported, in words; empty if there is nothing."""
    counts = Counter(
        {
            "of workspaces that are left out": excluded,
            "of no known workspace, and no session came": unattributed,
            "turn that nothing names": nameless,
        }
    )
    for some in skipped:
        counts.update(some)
    return ", ".join(f"{printable(reason)} ({count:,})" for reason, count in counts.items() if count)


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Aligned columns; the last one may be as long as it likes."""
    widths = [max(cell_len(row[column]) for row in [head, *rows]) for column in range(len(head) - 1)]
    return [
        "  ".join(
            [*(set_cell_size(cell, width) for cell, width in zip(row, widths, strict=False)), row[-1]]
        ).rstrip()
        for row in [head, *rows]
    ]


def say(*lines: str) -> None:
    """Words for a person: on stderr, since stdout is for data."""
    for line in lines:
        print(line, file=sys.stderr, flush=True)
