"""How `top` looks: the lines of one picture, for any size of terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import attrs
from rich.cells import cell_len

from trio_cursor.cli.drawing import sparkline
from trio_cursor.cli.event_words import event_line
from trio_cursor.cli.output import Style, clock, cut, plural, printable, wrapped
from trio_cursor.cli.top_facts import Facts, alarms_of
from trio_cursor.cli.top_table import ORDERS, ordered, table
from trio_cursor.observations import JsonObject

#: On fewer rows: no footer, no outputs that are well, no empty lines between.
_ROWS_WITH_FOOTER, _ROWS_WITH_OUTPUTS, _ROWS_WITH_GAPS = 6, 12, 16
#: With fewer rows left below what is said first: no last generations.
_BODY_WITH_EVENTS: Final = 6
#: On fewer columns a line of a generation says nothing.
_COLUMNS_WITH_EVENTS: Final = 18
#: On fewer columns words are shorter.
_ROOMY: Final = 60
#: What the name of an output that is a file begins with.
_FILE: Final = "json_lines"
#: The state of an output that needs no word.
_GOES: Final = "connected"

#: A piece of a line: colour (empty: none) and text.
Piece = tuple[str, str]


@attrs.frozen
class View:
    """What the person has chosen."""

    order: str = ORDERS[0]
    #: The first row of the table that is shown.
    first: int = 0

    def reordered(self) -> View:
        """The next order, from the top."""
        return View(ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)])


def picture(facts: Facts, view: View, style: Style, width: int, height: int) -> list[str]:
    """The lines, at most `height`, none wider than `width`.

    Raises KeyError, TypeError, ValueError or AttributeError if the status is none of this version.
    """
    top = [*_top(facts, style, width, height)]
    items = ordered(facts, view.order)
    footer = height >= _ROWS_WITH_FOOTER
    body = max(height - len(top) - footer, 0)
    gap = [""] if height >= _ROWS_WITH_GAPS else []
    body -= len(gap)
    events = facts.newest[::-1] if body >= _BODY_WITH_EVENTS and width >= _COLUMNS_WITH_EVENTS else []
    table_most = 1 + len(items) if items else 0
    events_most = len(gap) + 1 + len(events) if events else 0
    events_rows = min(events_most, max(body - table_most, body // 2))
    table_rows = min(table_most, body - events_rows)
    first = _first_row(view, len(items), table_rows - 1)
    lines = [*top, *gap]
    if table_rows > 0:
        lines += table(facts, items[first : first + table_rows - 1], style, width)
    if events and events_rows > len(gap) + 1:
        lines += [*(gap if table_rows > 0 else []), style("bold", cut("LAST GENERATIONS", width))]
        lines += (event_line(event, style, width) for event in events[: events_rows - len(gap) - 1])
    if footer:
        lines = lines[: height - 1]
        lines += [""] * (height - 1 - len(lines))
        lines.append(_footer(view, range(first, first + table_rows - 1), len(items), style, width))
    return lines[:height]


def scrolled(facts: Facts, view: View, rows: int) -> View:
    """So many rows further down, or up."""
    count = len((facts.status or {}).get("workspaces") or [])
    return attrs.evolve(view, first=min(max(view.first + rows, 0), max(count - 1, 0)))


def _first_row(view: View, count: int, rows: int) -> int:
    return max(min(view.first, count - max(rows, 1)), 0)


# -- Above the table -----------------------------------------------------------------------------------


def _top(facts: Facts, style: Style, width: int, height: int) -> Iterator[str]:
    yield _title(facts, style, width)
    colour = "yellow" if facts.service == "none" else "red"
    yield from (style(colour, line) for line in _words(facts, width, max(height // 5, 1)))
    yield _rates(facts, style, width)
    outputs = (facts.status or {}).get("outputs") or []
    if outputs and (height >= _ROWS_WITH_OUTPUTS or any(item["lag"] for item in outputs)):
        yield _fitting([piece for item in outputs for piece in _output(item)], style, width)


def _title(facts: Facts, style: Style, width: int) -> str:
    health, found = _health(facts), facts.status
    pieces: list[Piece] = [("bold", "trio_cursor "), health]
    if found is not None:
        began = f"since {clock(found['started_at'], facts.now_ms)}" if found["started_at"] else ""
        pieces += [("", f"  {began}")] if began else []
        pieces += [("dim", f"  {len(found['workspaces']):,} watched")]
    now = clock(facts.now_ms, facts.now_ms)
    left = _fitting(pieces, style, max(width - len(now) - 2, 1))
    used = _cells(pieces, max(width - len(now) - 2, 1))
    return left + " " * (width - used - len(now)) + style("dim", now) if width > used + len(now) else left


def _health(facts: Facts) -> Piece:
    if facts.service == "none":
        return "yellow", "not running"
    if facts.service == "unknown":
        return "red", "not known"
    found = facts.status
    if found is None:
        return "yellow", "starting"
    if alarms := alarms_of(facts):
        return "red", plural(len(alarms), "alarm")
    if found["state"] != "running":
        return "yellow", printable(found["state"])
    if not found["first_pass_done"]:
        looked, total = found["progress"]
        return "yellow", f"first sync, {int(looked):,} of {int(total):,}"
    return "green", "well"


def _words(facts: Facts, width: int, most: int) -> Iterator[str]:
    """What is wrong, in so many lines."""
    if facts.service == "none":
        words = [f"no service runs on {facts.directory}; start one with `run`. Waiting for one."]
        words += [facts.log_trouble] if facts.log_trouble else []
    else:
        words = alarms_of(facts)
    left = most
    for index, text in enumerate(words):
        if index == most - 1 < len(words) - 1:
            yield cut(f"! and {len(words) - index} more: `status` has them", width)
            return
        # One that is alone may have the room of all.
        room = left - (len(words) - index - 1)
        lines = wrapped(printable(" ".join(text.split())), max(width - 2, 2))
        shown = lines[: max(room, 1)]
        if len(lines) > len(shown):
            shown[-1] = cut(f"{shown[-1]} {lines[len(shown)]}", max(width - 2, 1))
        left -= len(shown)
        yield from (cut(("! " if not at else "  ") + line, width) for at, line in enumerate(shown))


def _rates(facts: Facts, style: Style, width: int) -> str:
    minute, hour = facts.minute.total(), facts.hour.total()
    the = "the last " if width >= _ROOMY else "1 "
    pieces: list[Piece] = [
        ("bold", f"{minute:,}"), ("", f" in {the}minute  "), ("bold", f"{hour:,}"), ("", f" in {the}hour"),
    ]  # fmt: skip
    if pending := (facts.status or {}).get("pending"):
        pieces.append(("dim", f"  {int(pending):,} in flight"))
    room = width - _cells(pieces, width) - 2
    bars = next((number for number in (60, 30, 15) if number <= room), 0)
    if bars:
        pieces.append(("cyan", f"  {sparkline(facts.by_minute[-bars:])}"))
    return _fitting(pieces, style, width)


def _output(item: JsonObject) -> Iterator[Piece]:
    lag = int(item["lag"])
    yield ("green", "up to date") if not lag else ("yellow", f"{lag:,} behind")
    if item["state"] != _GOES:
        yield "red" if item["state"] == "error" else "yellow", f", {printable(item['state'])}"
    yield "", f": {_short(str(item['name']))}   "


def _short(name: str) -> str:
    """The name of an output; of a file's path the last part."""
    kind, _, path = name.partition(":")
    last = path.replace("\\", "/").rpartition("/")[2]
    return printable(f"{kind}:{last}" if kind == _FILE else name)


# -- Lines of pieces -----------------------------------------------------------------------------------


def _footer(view: View, shown: range, count: int, style: Style, width: int) -> str:
    pieces: list[Piece] = [
        ("bold", "q"), ("dim", " quit  "), ("bold", "s"), ("dim", f" by {view.order}  "),
    ]  # fmt: skip
    if 0 < len(shown) < count:
        pieces += [("bold", "↑↓"), ("dim", f" {shown.start + 1:,} to {shown.stop:,} of {count:,}")]
    return _fitting(pieces, style, width)


def _fitting(pieces: Sequence[Piece], style: Style, width: int) -> str:
    """The pieces in a row, cut where they no longer fit."""
    line, left = "", width
    for colour, text in pieces:
        shown = cut(text, left) if left > 0 else ""
        left -= cell_len(shown)
        line += style(colour, shown) if colour else shown
        if shown != text:
            break
    return line


def _cells(pieces: Sequence[Piece], width: int) -> int:
    return min(sum(cell_len(text) for _, text in pieces), width)
