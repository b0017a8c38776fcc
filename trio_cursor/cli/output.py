"""How things read on a terminal: one line for each generation, nothing that a prompt could do to it."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
import unicodedata
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import TextIO

from rich.cells import cell_len, set_cell_size

from trio_cursor.events import GAP_TYPE
from trio_cursor.records import Event, Json

_PLACE_WIDTH = 16
_KIND_WIDTH = 8
_MODEL_WIDTH = 24
#: Of a prompt and of an answer, where no terminal sets a limit.
_TEXT_WIDTH = 60
#: Less is not worth an answer, model or tokens beside it.
_WORDS_WIDTH = 24
#: On a terminal too narrow for anything.
_LEAST_WIDTH = 10
_ARROW = "→ "
#: A prompt may have megabytes, and only its beginning is shown.
_LOOKED_AT = 1000
_SHOWN = {"\n": "⏎", "\r": "", "\t": " "}
#: Format characters that languages and emoji need between their letters, and that move nothing there.
_JOINERS = "\u200c\u200d"

_CODES = {"dim": "2", "bold": "1", "cyan": "36", "yellow": "33", "red": "31", "green": "32"}


class Style:
    """Colours, where they are wanted and can be shown."""

    def __init__(self, *, is_on: bool) -> None:
        self.is_on = is_on

    @classmethod
    def of(cls, stream: TextIO, *, no_color: bool, environ: Mapping[str, str] = os.environ) -> Style:
        """On for a terminal, unless the option, `NO_COLOR` or a dumb terminal says otherwise."""
        wanted = not no_color and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        return cls(is_on=wanted and stream.isatty())

    def __call__(self, name: str, text: str) -> str:
        return f"\x1b[{_CODES[name]}m{text}\x1b[0m" if self.is_on and text else text


def terminal_width() -> int:
    """Columns of the terminal, 80 where it does not say; it may change at any time."""
    return shutil.get_terminal_size().columns


def printable(text: str, *, multiline: bool = False) -> str:
    """Text that only shows: controls, escape sequences and bidirectional marks stand as their codes."""
    if text.isprintable():
        return text

    def shown(match: re.Match[str]) -> str:
        char = match[0]
        if char in _SHOWN:
            return char if multiline and char == "\n" else _SHOWN[char]
        joins = (
            char in _JOINERS and unicodedata.category(text[match.end() : match.end() + 1] or " ")[0] in "LMS"
        )
        if joins or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            return char
        return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"  # noqa: PLR2004

    return re.sub(r"[^ -~]", shown, text)


def cut(text: str, cells: int) -> str:
    """As much of the text as fits into so many columns, with a mark where something is missing."""
    return (
        text
        if cell_len(text) <= cells
        else set_cell_size(text, max(cells - 1, 0)).rstrip(f" {_JOINERS}") + "…"
    )


def padded(text: str, cells: int) -> str:
    """The text in a column of exactly this width: wide characters take two cells, marks none."""
    return set_cell_size(cut(text, cells), cells)


def clock(milliseconds: int, now_ms: int | None = None) -> str:
    """Local time of day, with the date if it is not today."""
    try:
        then = time.localtime(milliseconds / 1000)
    except (OSError, OverflowError, ValueError):
        return f"{milliseconds} ms"  # beyond what this platform's calendar holds
    now = time.localtime(time.time() if now_ms is None else now_ms / 1000)
    day = "" if then[:3] == now[:3] else time.strftime("%Y-%m-%d ", then)
    return day + time.strftime("%H:%M:%S", then)


def event_line(event: Event, style: Style, width: int | None = None) -> str:
    """Time, workspace, kind, first words of prompt and answer, model and tokens if known.

    Fits into `width` columns if that is given.
    """
    payload, place = event.payload, event.metadata
    is_gap = event.event_type == GAP_TYPE
    when = clock(event.timestamp)
    where = padded(_name(place.get("workspace_path") or place.get("workspace_id") or "global"), _PLACE_WIDTH)
    kind = "gap" if is_gap else padded(_beginning(payload.get("generation_type")) or "-", _KIND_WIDTH)
    room = None if width is None else width - cell_len(f"{when}  {where}  {kind}  ")
    words = _beginning(payload.get("detail")) if is_gap else _words(payload, style, room)
    if is_gap and room is not None:
        words = cut(words, max(room, _LEAST_WIDTH))
    head = [style("dim", when), style("cyan", where), style("red" if is_gap else "yellow", kind)]
    return "  ".join([*head, words])


def _words(payload: Mapping[str, Json], style: Style, room: int | None) -> str:
    prompt, answer = (_beginning(payload.get(name)) for name in ("prompt_text", "response_text"))
    notes = []
    if payload.get("model") not in (None, "unknown"):
        notes.append(f"[{cut(_beginning(payload['model']), _MODEL_WIDTH)}]")
    if payload.get("tokens_used") is not None:
        notes.append(f"{payload['tokens_used']} tokens")
    if room is None:
        of_prompt = of_answer = _TEXT_WIDTH
    else:
        while notes and room - sum(2 + cell_len(note) for note in notes) < _WORDS_WIDTH:
            notes.pop()  # the words matter more
        room = max(room - sum(2 + cell_len(note) for note in notes), _LEAST_WIDTH)
        if prompt and room < _WORDS_WIDTH:
            answer = ""
        of_prompt, of_answer = _shares(room, cell_len(prompt), cell_len(answer))
    words = [cut(prompt, of_prompt)] if prompt else []
    if answer:
        words.append(style("dim", _ARROW + cut(answer, of_answer)))
    if not words:
        words.append(style("dim", cut("(no prompt)", of_answer)))
    return "  ".join([*words, *(style("dim", note) for note in notes)])


def _shares(room: int, prompt: int, answer: int) -> tuple[int, int]:
    """One half for each, and what the other does not need."""
    if answer:
        room -= len(_ARROW) + (2 if prompt else 0)
    of_prompt = min(prompt, max(room // 2, room - answer))
    return of_prompt, room - of_prompt


def event_in_full(event: Event, style: Style, width: int | None = None) -> str:
    """The line, and below it the whole texts."""
    lines = [event_line(event, style, width)]
    for title, name in (("prompt", "prompt_text"), ("answer", "response_text")):
        text = event.payload.get(name)
        if isinstance(text, str) and text:
            lines.append(style("dim", f"  {title}:"))
            lines += [f"    {line}" for line in printable(text, multiline=True).split("\n")]
    return "\n".join(lines)


def _name(path: Json) -> str:
    """The last part of a path of either kind."""
    text = path if isinstance(path, str) else ""
    return _beginning((PureWindowsPath(text).name if "\\" in text else PurePosixPath(text).name) or text)


def _beginning(text: Json) -> str:
    """First words of a text, on one line."""
    return printable(" ".join(text[:_LOOKED_AT].split())) if isinstance(text, str) else ""


def size(number: int | None) -> str:
    """Bytes for people."""
    if number is None:
        return "-"
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":  # noqa: PLR2004 - as the prefixes have it
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"  # noqa: PLR2004


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """`1 workspace`, `2 workspaces`, `1,000 workspaces`."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


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
