"""How values read on the page; nothing of a text can do more than be read. Pure, but for the clock's zone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import PurePosixPath, PureWindowsPath

from markupsafe import Markup, escape

from trio_cursor import sizes
from trio_cursor.harmless import printable
from trio_cursor.page_index import local

#: Everything but lines, and what shows whatever comes after it: of most scripts there is nothing to look at.
_SUSPECT = re.compile(
    "[^ -~\n\t\u00a0-\u00ac\u00ae-\u05ff\u0606-\u061b\u061d-\u06dc\u06de-\u070e\u0710-\u088f\u0892-\u08e1"
    "\u08e3-\u180d\u180f-\u200a\u2010-\u2027\u202f-\u205f\u2070-\ud7ff\ue000-\ufefe\uff00-\uffef\U0001f000-\U0001faff\U00020000-\U0003ffff]"
)
#: A program between two lines of three back quotes, as answers have them.
_FENCE = re.compile(
    r"^[ ]{0,3}```[ \t]*([\w+#.-]{0,30})[^\n`]*\n(.*?)(?:^[ ]{0,3}```[ \t]*$|\Z)", re.MULTILINE | re.DOTALL
)
_SECOND_MS = 1000


def plain(value: object) -> Markup:
    """A value that only shows, anywhere on the page, attributes included; on one line."""
    return escape(printable(str(value)))


def shown(text: str) -> Markup:
    """A text of several lines that only shows, where a code can be told from what somebody has written."""
    if text.isprintable():
        return escape(text)
    whole = str(escape(text.replace("\r\n", "\n")))

    def code(match: re.Match[str]) -> str:
        char, following = match[0], whole[match.end() : match.end() + 1]
        # As it is said where it stands: between letters a joiner is one of them.
        said = printable(char + following)
        if said.startswith(char):
            return char
        name = unicodedata.name(char, "control character").lower()
        return f'<span class="code" title="{name}">{printable(char)}</span>'

    # What is put in has no character that is looked at, and what is left none that must be escaped.
    return Markup(_SUSPECT.sub(code, whole))  # noqa: S704 - escaped


def parts(text: str) -> Iterator[tuple[str | None, str]]:
    """Prose and programs of a text in their order: the language (None: prose), and what stands there."""
    at = 0
    for found in _FENCE.finditer(text):
        if prose := text[at : found.start()].strip("\n"):
            yield None, prose
        yield found[1], found[2].rstrip("\n")
        at = found.end()
    if prose := text[at:].strip("\n"):
        yield None, prose


def place_name(path: str) -> str:
    """The last part of a path of either kind."""
    return (PureWindowsPath(path).name if "\\" in path else PurePosixPath(path).name) or path


def moment(milliseconds: int | None) -> str:
    """Local date and time of day."""
    if milliseconds is None:
        return "unknown"
    at = local(milliseconds)
    return f"{milliseconds} ms" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def clock(milliseconds: int) -> str:
    """Local hours and minutes."""
    at = local(milliseconds)
    return "" if at is None else f"{at:%H:%M}"


def date_unless(milliseconds: int, now_ms: int) -> str:
    """The local date, if it is not today's."""
    at, now = local(milliseconds), local(now_ms)
    if at is None or now is None:
        return moment(milliseconds)
    if at.date() == now.date():
        return ""
    return f"{at.day} {at:%b}" if at.year == now.year else f"{at:%Y-%m-%d}"


def iso(milliseconds: int) -> str:
    """As an attribute of an element for times."""
    at = local(milliseconds)
    return "" if at is None else at.isoformat(timespec="seconds")


def span(milliseconds: int | None) -> str:
    """How long something took: `85 ms`, `3.2 s`, `42 s`, `1 min 12 s`, `2 h 3 min`."""
    if milliseconds is None:
        return "unknown"
    if milliseconds < _SECOND_MS:
        return f"{milliseconds} ms"
    if milliseconds < 10 * _SECOND_MS - 50:
        return f"{milliseconds / _SECOND_MS:.1f} s"
    seconds = (milliseconds + _SECOND_MS // 2) // _SECOND_MS
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def size(number: int | None) -> str:
    """Bytes for people."""
    return sizes.size(number, unknown="unknown")


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """`1 workspace`, `2 workspaces`, `1,000 workspaces`."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"
