"""What is drawn, whatever draws it: bars, or a grid of weekdays and hours. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Final, TypeAlias

import attrs

from trio_cursor.charts.names import duration_names, names_of, workspace_names
from trio_cursor.figures import Figures, Known, Share
from trio_cursor.figures.totals import Hours

#: Of more shares than that the small ones are drawn together.
_SHARES_MOST: Final = 20
#: More days than that are drawn as weeks, more weeks as months.
_TIMES_MOST: Final = 120
_WEEK = timedelta(days=7)


@attrs.frozen
class Bar:
    """So many generations."""

    #: Short and harmless.
    label: str
    events: int
    #: Their tokens; None: they were not summed up by this.
    tokens: Known | None = None


@attrs.frozen
class Bars:
    """Bars beside each other."""

    kind: str
    title: str
    #: What the whole says, in words.
    summary: str
    bars: tuple[Bar, ...]
    #: In the order of time, from left to right; else the largest first, or by class.
    is_timeline: bool = False


@attrs.frozen
class Grid:
    """7 rows from Monday of 24 hours."""

    kind: str
    title: str
    summary: str
    rows: tuple[Hours, ...]


Chart: TypeAlias = Bars | Grid


def chart_of(kind: str, figures: Figures, zone_name: str, times_most: int = _TIMES_MOST) -> Chart:
    """The drawing of one of `KINDS`.

    Args:
        kind: Which one.
        figures: Of what.
        zone_name: How the zone of days and hours is called: `local time`, `UTC`.
        times_most: So many bars a line of time may have, 10 at least.

    """
    return KINDS[kind](figures, zone_name, times_most)


def _days(figures: Figures, zone_name: str, most: int) -> Chart:
    title = "Generations by day"
    days = dict(figures.days)
    if not days:
        return Bars("day", title, _all(figures), (), is_timeline=True)
    first, last = min(days), max(days)
    starts, title = _starts(first, last, most)
    counted = {start: [0, 0, 0] for start in starts}
    ordered = iter([*starts[1:], date.max])
    start, after = starts[0], next(ordered)
    for day in sorted(days):
        while day >= after:
            start, after = after, next(ordered)
        share = days[day]
        counters = counted[start]
        counters[0] += share.events
        counters[1] += share.tokens.known
        counters[2] += share.tokens.total
    bars = tuple(
        Bar(start.isoformat(), events, Known(total, known, events))
        for start, (events, known, total) in counted.items()
    )
    undated = f"; {figures.undated:,} without a usable time" if figures.undated else ""
    words = f"{_all(figures)} from {first} to {last}, {zone_name}{undated}; {_tokens(figures)}"
    return Bars("day", title, words, bars, is_timeline=True)


def _starts(first: date, last: date, most: int) -> tuple[list[date], str]:
    """Where each bar begins: days, or weeks or months if there would be too many."""
    number = (last - first).days + 1
    if number <= most:
        return [first + timedelta(days=one) for one in range(number)], "Generations by day"
    monday = first - timedelta(days=first.weekday())
    weeks = (last - monday).days // 7 + 1
    if weeks <= most:
        return [monday + _WEEK * one for one in range(weeks)], "Generations by week, from Monday"
    months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    if len(months) <= most:
        return [date(month // 12, month % 12 + 1, 1) for month in months], "Generations by month"
    # One clock that was wrong is enough for that.
    step = next(step for step in (1, 10, 100, 1000) if last.year // step - first.year // step < most)
    years = range(first.year // step * step, last.year + 1, step)
    title = "Generations by year" if step == 1 else f"Generations by {step} years"
    return [date(max(year, 1), 1, 1) for year in years], title


def _hours(figures: Figures, zone_name: str, most: int) -> Chart:  # noqa: ARG001 - as all of them
    bars = tuple(Bar(f"{hour:02}", events) for hour, events in enumerate(figures.hours))
    words = f"{_all(figures)}, all days together, {zone_name}"
    return Bars("hour", "Generations by hour of the day", words, bars, is_timeline=True)


def _weekdays(figures: Figures, zone_name: str, most: int) -> Chart:  # noqa: ARG001 - as all of them
    words = f"{_all(figures)}, all weeks together, {zone_name}"
    return Grid("weekday", "Generations by weekday and hour", words, figures.punchcard)


def _durations(figures: Figures, zone_name: str, most: int) -> Chart:  # noqa: ARG001 - as all of them
    durations = figures.durations
    bars = tuple(map(Bar, duration_names(), durations.classes))
    words = f"{_all(figures)}; the duration of {durations.known:,} of them is known"
    return Bars("duration", "Generations by duration", words, bars)


def _shared(
    kind: str, of: Callable[[Figures], Sequence[Share]], names: Callable[[Sequence[Share]], list[str]]
) -> Callable[[Figures, str, int], Chart]:
    def draw(figures: Figures, zone_name: str, most: int) -> Chart:  # noqa: ARG001 - as all of them
        shares = of(figures)
        bars = [
            Bar(name, share.events, share.tokens) for name, share in zip(names(shares), shares, strict=True)
        ]
        rest = bars[_SHARES_MOST:]
        if len(rest) > 1:
            tokens = [bar.tokens or Known() for bar in rest]
            together = Known(
                *(sum(getattr(one, name) for one in tokens) for name in ("total", "known", "of"))
            )
            bars[_SHARES_MOST:] = [Bar(f"{len(rest):,} others", sum(bar.events for bar in rest), together)]
        words = f"{_all(figures)}; {_tokens(figures)}"
        return Bars(kind, f"Generations by {kind}", words, tuple(bars))

    return draw


def _all(figures: Figures) -> str:
    return f"{figures.events:,} generation{'' if figures.events == 1 else 's'}"


def _tokens(figures: Figures) -> str:
    return f"tokens are known of {figures.tokens.known:,} of them"


#: What can be drawn, and how.
KINDS: Final = {
    "day": _days,
    "hour": _hours,
    "weekday": _weekdays,
    "workspace": _shared("workspace", lambda figures: figures.workspaces, workspace_names),
    "model": _shared("model", lambda figures: figures.models, names_of),
    "type": _shared("type", lambda figures: figures.types, names_of),
    "status": _shared("status", lambda figures: figures.statuses, names_of),
    "duration": _durations,
}
