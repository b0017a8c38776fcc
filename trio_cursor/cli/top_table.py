"""The table of `top`: a line for each workspace, with as many columns as there is room for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import attrs
from rich.cells import cell_len

from trio_cursor.cli.event_words import place_name
from trio_cursor.cli.output import Style, cut, padded, printable
from trio_cursor.cli.top_facts import Facts
from trio_cursor.observations import JsonObject
from trio_cursor.status import TROUBLED

#: What the rows may be sorted by; the first one unless something else is asked for.
ORDERS: Final = ("activity", "rate", "name")
#: Who has done something since then works now.
_NOW_MS: Final = 120_000
_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000


@attrs.frozen
class _Column:
    """A column beside the workspace's name."""

    title: str
    cells: int
    value: Callable[[Facts, JsonObject], str]
    #: It is there from so many columns of the terminal on.
    since: int
    is_number: bool = True


def _since(facts: Facts, item: JsonObject) -> str:
    at = item["last_activity"]
    return "-" if at is None else ago(facts.now_ms - int(at))


_COLUMNS: Final = (
    _Column("STATUS", 14, lambda _, item: printable(item["status"]), 56, is_number=False),
    _Column("SESSIONS", 8, lambda _, item: str(len(item["sessions"]) or "-"), 66),
    _Column("1 MIN", 5, lambda facts, item: _number(facts.minute[item["workspace_id"]]), 24),
    _Column("1 HOUR", 6, lambda facts, item: _number(facts.hour[item["workspace_id"]]), 36),
    _Column("TOTAL", 7, lambda _, item: _number(int(item["generations"])), 76),
    _Column("CHANGED", 7, _since, 30),
)


def _number(number: int) -> str:
    return f"{number:,}" if number else "-"


def ago(milliseconds: int) -> str:
    """How long something is past, in a word: `now`, `12 s`, `3 min`, `2 h`, `5 d`."""
    for least, unit in ((_DAY_MS, "d"), (_HOUR_MS, "h"), (_MINUTE_MS, "min"), (1000, "s")):
        if milliseconds >= least:
            return f"{milliseconds // least:,} {unit}"
    return "now"


def ordered(facts: Facts, order: str) -> list[JsonObject]:
    """The workspaces of the status, in one of the orders. Raises KeyError if it is none."""
    items: list[JsonObject] = list((facts.status or {}).get("workspaces") or [])

    def name(item: JsonObject) -> tuple[str, ...]:
        # Each second of thousands: by the last part of a path of either kind, without any libraries.
        path = str(item["workspace_path"] or item["workspace_id"] or "global").casefold()
        return path.replace("\\", "/").rstrip("/").rpartition("/")[2], path

    def activity(item: JsonObject) -> tuple[Any, ...]:
        return not item["sessions"], -(item["last_activity"] or 0), *name(item)

    def rate(item: JsonObject) -> tuple[Any, ...]:
        id_ = item["workspace_id"]
        return -facts.minute[id_], -facts.hour[id_], *activity(item)

    keys: dict[str, Callable[[JsonObject], Any]] = {"activity": activity, "rate": rate, "name": name}
    return sorted(items, key=keys[order])


def table(facts: Facts, items: Sequence[JsonObject], style: Style, width: int) -> Iterator[str]:
    """A head and a line for each, none wider than `width`. Raises as `ordered`."""
    columns = [column for column in _COLUMNS if width >= column.since]
    room = max(width - sum(column.cells + 2 for column in columns), 1)
    paths = [printable(str(item["workspace_path"] or item["workspace_id"] or "global")) for item in items]
    if any(cell_len(path) > room for path in paths):
        paths = [place_name(item) for item in items]
    head = [padded("WORKSPACE", room), *(_aligned(column, column.title) for column in columns)]
    yield style("bold", "  ".join(head).rstrip())
    for item, path in zip(items, paths, strict=True):
        cells = [padded(path, room), *(_aligned(column, column.value(facts, item)) for column in columns)]
        line, colour = "  ".join(cells).rstrip(), _row_colour(facts, item)
        yield style(colour, line) if colour else line


def _aligned(column: _Column, text: str) -> str:
    text = cut(text, column.cells)
    return " " * (column.cells - cell_len(text)) + text if column.is_number else padded(text, column.cells)


def _row_colour(facts: Facts, item: JsonObject) -> str:
    if item["status"] in TROUBLED:
        return "red"
    at = item["last_activity"]
    if facts.minute[item["workspace_id"]] or (at is not None and facts.now_ms - at < _NOW_MS):
        return "green"
    return "" if item["sessions"] else "dim"
