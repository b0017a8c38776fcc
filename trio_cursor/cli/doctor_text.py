"""What a doctor has found, as lines for a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from trio_cursor.cli.output import Style, plural, printable, wrapped
from trio_cursor.doctor.check import Check, Level
from trio_cursor.doctor.examining import Section

#: A mark and its colour, and what stands for the mark where it cannot be shown.
_MARKS: Final = {
    Level.OK: ("✓", "green", "+"),
    Level.NOTE: ("•", "cyan", "-"),
    Level.FINDING: ("✗", "red", "!"),
}
_ARROW: Final = ("→", ">")
#: Of one kind, so many are shown.
_MOST_SHOWN: Final = 10
#: Longer lines are hard to read, however wide the terminal is.
_WIDEST: Final = 110
_INDENT: Final = 4


def lines_of(
    sections: Sequence[Section],
    style: Style,
    width: int,
    encoding: str | None,
    *,
    with_details: bool = False,
) -> Iterator[str]:
    """Section by section, and what it comes to."""
    width = min(width, _WIDEST)
    is_plain = not _can_show("".join(mark for mark, _, _ in _MARKS.values()) + _ARROW[0], encoding)
    for section in sections:
        shown = [check for check in section.checks if with_details or not check.is_detail]
        if not shown:
            continue
        yield style("bold", section.title)
        for _, group in groupby(shown, key=lambda check: (check.check, check.level)):
            alike = list(group)
            most = len(alike) if with_details else _MOST_SHOWN
            for check in alike[:most]:
                yield from _described(check, section.title, style, width, is_plain=is_plain)
            if (more := len(alike) - most) > 0:
                yield style("dim", f"    and {more:,} more like these: -v shows them")
        yield ""
    yield _sum(sections, style)


def _described(check: Check, title: str, style: Style, width: int, *, is_plain: bool) -> Iterator[str]:
    mark, color, plain_mark = _MARKS[check.level]
    mark = style(color, plain_mark if is_plain else mark)
    subject, what = printable(check.subject), printable(check.what)
    # Where there is but one its name says no more than the section.
    lines = wrapped(what if subject.lower() in title.lower() else f"{subject}: {what}", width - _INDENT)
    if len(lines) > 1 and _is_place(subject):
        # On a line of its own, and whole: somebody will want to copy it.
        lines = [subject, *wrapped(what, width - _INDENT)]
    yield f"  {mark} {lines[0]}"
    yield from (f"    {line}" for line in lines[1:])
    if check.do:
        arrow = _ARROW[1] if is_plain else _ARROW[0]
        first, *others = wrapped(printable(check.do), width - _INDENT - 2)
        name = "yellow" if check.level is Level.FINDING else "dim"
        yield "    " + style(name, f"{arrow} {first}")
        yield from ("      " + style(name, line) for line in others)


def _is_place(subject: str) -> bool:
    """Whether it is a path or an address."""
    return "/" in subject or "\\" in subject


def _sum(sections: Iterable[Section], style: Style) -> str:
    checks = [check for section in sections for check in section.checks if not check.is_detail]
    if found := sum(check.level is Level.FINDING for check in checks):
        return style("red", f"{plural(found, 'finding')}, each with what to do.")
    notes = sum(check.level is Level.NOTE and bool(check.do) for check in checks)
    advice = f" {plural(notes, 'note')} with what could be done." if notes else ""
    return style("green", "Nothing wrong was found.") + advice


def _can_show(text: str, encoding: str | None) -> bool:
    try:
        text.encode(encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
