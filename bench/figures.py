"""Figures beside their goals: medians, spreads, the printed table, and `results.json`."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs

from trio_cursor.sqlite_library import LIBRARY, VERSION

#: What a goal may be: at most, or at least.
Direction = Literal["<=", ">="]


def quantile(values: Iterable[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@attrs.frozen
class Figure:
    """One number that a goal speaks of, with what it was made of."""

    what: str
    #: The median of its rounds, or a quantile that `what` names.
    value: float
    #: Smallest and largest of the rounds.
    low: float
    high: float
    #: `x`, `ms`, `%`, `MB`, `B` or nothing.
    unit: str
    #: None: it is told for comparison, nobody has set a goal.
    goal: float | None = None
    direction: Direction = "<="
    #: Absolute figures behind it, in words.
    behind: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.direction == "<=" else self.value >= self.goal


@attrs.frozen
class Measured:
    """What one row of the goals came to."""

    figures: tuple[Figure, ...] = ()
    #: Why it could not be measured here, in words.
    not_run: str = ""


def of_rounds(what: str, values: Sequence[float], unit: str, **more: Any) -> Figure:
    """The median of some rounds, with the smallest and the largest."""
    return Figure(what, statistics.median(values), min(values), max(values), unit, **more)


def ratio(what: str, ours: Sequence[float], floor: Sequence[float], **more: Any) -> Figure:
    """Pairs that were measured in turn: the median of their ratios, with the smallest and the largest."""
    if len(ours) != len(floor) or not ours:
        raise ValueError(f"{what}: {len(ours)} of ours, {len(floor)} to compare them with")
    pairs = [mine / other for mine, other in zip(ours, floor, strict=True)]
    return of_rounds(what, pairs, "x", **more)


def tail_of(what: str, values: Sequence[float], share: float, unit: str, **more: Any) -> Figure:
    """A quantile of single values; its spread is that of the same quantile in each third of them."""
    size = max(1, len(values) // 3)
    thirds = [quantile(values[at : at + size], share) for at in range(0, size * 3, size) if values[at:]]
    return Figure(what, quantile(values, share), min(thirds), max(thirds), unit, **more)


def number(value: float, unit: str) -> str:
    """As it stands in a table: three digits that mean something."""
    digits = (
        0 if abs(value) >= 100 or value == 0 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 4
    )
    return f"{value:,.{digits}f} {unit}".rstrip()


def lines_of(row: int, goal: str, measured: Measured) -> list[tuple[str, str, str, str]]:
    """Lines of the table: goal, today, spread, met; the first one bears the words of the row."""
    if measured.not_run:
        return [(f"{row} {goal}", measured.not_run, "", "not run")]
    lines = [(f"{row} {goal}", "", "", "")]
    for one in measured.figures:
        wanted = "" if one.goal is None else f" {one.direction} {number(one.goal, one.unit)}"
        met = {None: "", True: "yes", False: "NO"}[one.is_met]
        spread = f"{number(one.low, '').rstrip()} to {number(one.high, one.unit)}"
        lines.append((f"   {one.what}{wanted}", number(one.value, one.unit), spread, met))
        if one.behind:
            lines.append((f"      {one.behind}", "", "", ""))
    return lines


def show(lines: Sequence[tuple[str, str, str, str]]) -> str:
    """Columns of the widths that they need; words that explain run on."""
    widths = [max((len(line[at]) for line in lines if any(line[1:])), default=0) for at in range(4)]
    padded = ("  ".join(f"{cell:{width}}" for cell, width in zip(one, widths, strict=True)) for one in lines)
    return "\n".join(line.rstrip() for line in padded)


#: Around the table in `docs/performance.md`.
MARKS = ("<!-- goals: written by bench/goals.py -->", "<!-- /goals -->")
_SIGNS = {"<=": "at most", ">=": "at least"}

HEADINGS = ("goal", "today", "ratio spread", "met")


def machine(redis: str | None) -> dict[str, Any]:
    """Versions, cores and date: what figures were measured on; nothing that tells whose it is."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "sqlite": f"{LIBRARY} {'.'.join(map(str, VERSION))}",
        "redis": redis,
        "system": platform.system(),
        "cores": os.cpu_count(),
    }


def read_results(path: Path) -> dict[str, Any]:
    """What was measured before; nothing if it never was."""
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"rows": {}}
    return known


def with_row(
    results: dict[str, Any], row: int, goal: str, measured: Measured, *, seconds: float, redis: str | None
) -> dict[str, Any]:
    """The results with what a row came to; the others stay, each with the versions it was measured with.

    Each figure has beside it what the same was `before`, at the measurement that these results are of.
    `redis`: the version of the server; None where there is none.
    """
    known = results.get("rows", {})
    before = {one["what"]: one["value"] for one in known.get(str(row), {}).get("figures", ())}
    entry = {
        "goal": goal,
        "not_run": measured.not_run,
        "seconds": round(seconds, 1),
        "on": machine(redis),
        "figures": [{**_entry(one), "before": before.get(one.what)} for one in measured.figures],
    }
    rows = {**known, str(row): entry}
    return {**results, "rows": {name: rows[name] for name in sorted(rows, key=int)}}


def _entry(one: Figure) -> dict[str, Any]:
    rounded = {name: float(f"{getattr(one, name):.4g}") for name in ("value", "low", "high")}
    return {**attrs.asdict(one), **rounded, "is_met": one.is_met}


def page_table(results: dict[str, Any]) -> str:
    """The results as a table of Markdown: each figure with its spread, and the measurement before it."""
    lines = ["| goal | | today (spread) | before | met |", "|---|---|---|---|---|"]
    for row, entry in results["rows"].items():
        head = f"{row} {entry['goal']}"
        if entry["not_run"]:
            lines.append(f"| {head} | | {entry['not_run']} | | not run |")
        for one in entry["figures"]:
            unit, goal, before = one["unit"], one["goal"], one.get("before")
            wanted = "" if goal is None else f", {_SIGNS[one['direction']]} {number(goal, unit)}"
            spread = f"{number(one['low'], '').rstrip()} to {number(one['high'], unit)}"
            today = number(one["value"], unit) + (f" ({spread})" if one["low"] != one["high"] else "")
            met = {None: "", True: "yes", False: "**no**"}[one["is_met"]]
            was = "" if before is None else number(before, unit)
            lines.append(f"| {head} | {one['what']}{wanted} | {today} | {was} | {met} |")
            head = ""
    return "\n".join(lines)


def with_table(page: str, results: dict[str, Any]) -> str:
    """A page with the table of the results between its two marks."""
    before, rest = page.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    return f"{before}{MARKS[0]}\n\n{page_table(results)}\n\n{MARKS[1]}{after}"


def write_results(path: Path, results: dict[str, Any]) -> None:
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
