"""What the page says of what is chosen: counts by day and hour, and what the generations are. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from itertools import pairwise

import attrs

from trio_cursor.page_index import DURATIONS, Facets, Selected, bounds, slots
from trio_cursor.web.asked import Asked
from trio_cursor.web.texts import place_name, plural, span

_DAYS = 30
#: Of a distribution so many are shown; the rest is one.
_MOST_BARS = 6
#: How high, or long, a bar is: of this many.
FULL = 100


@attrs.frozen
class Bar:
    """One bar of a drawing, which stands for some generations."""

    label: str
    #: All of it in words, for who does not see the drawing.
    words: str
    count: int
    #: Of `FULL`.
    length: int
    url: str | None
    is_chosen: bool = False
    #: Not every label has room.
    is_minor: bool = False


@attrs.frozen
class Chart:
    """A row of bars, or a list of them."""

    title: str
    bars: tuple[Bar, ...]

    @property
    def most(self) -> int:
        return max((bar.count for bar in self.bars), default=0)


def by_day(selected: Selected, asked: Asked, today: date) -> Chart:
    """The days up to today, or around the chosen one."""
    last = today
    if asked.day is not None and not today - timedelta(days=_DAYS) < asked.day <= today:
        last = asked.day + timedelta(days=_DAYS // 2)
        last = min(last, today) if asked.day <= today else last
    first = last - timedelta(days=_DAYS - 1)
    counts = slots(selected.quarters(*bounds(first, days=_DAYS))).days
    most = max(counts.values(), default=0)
    bars = []
    for number in range(_DAYS):
        day = first + timedelta(days=number)
        count = counts.get(day, 0)
        name = f"{day:%A} {day.day} {day:%B}"
        bars.append(
            Bar(
                label=str(day.day),
                words=f"{name}: {plural(count, 'generation')}",
                count=count,
                length=_length(count, most),
                url=asked.url(day=day, hour=None),
                is_chosen=day == asked.day,
                is_minor=(_DAYS - 1 - number) % 7 != 0,
            )
        )
    return Chart(f"{first.day} {first:%B} to {last.day} {last:%B}", tuple(bars))


def by_hour(selected: Selected, asked: Asked, today: date) -> Chart:
    """The hours of the chosen day, or of today."""
    day = asked.day or today
    counts = slots(selected.quarters(*bounds(day))).hours
    most = max(counts.values(), default=0)
    bars = tuple(
        Bar(
            label=f"{hour:02}",
            words=f"{hour:02}:00 to {(hour + 1) % 24:02}:00: {plural(counts.get(hour, 0), 'generation')}",
            count=counts.get(hour, 0),
            length=_length(counts.get(hour, 0), most),
            url=asked.url(day=day, hour=hour),
            is_chosen=asked.day is not None and hour == asked.hour,
            is_minor=hour % 3 != 0,
        )
        for hour in range(24)
    )
    return Chart(day_name(day, today), bars)


def day_name(day: date, today: date) -> str:
    """A day as people call it."""
    near = {0: "Today, ", 1: "Yesterday, "}.get((today - day).days, "")
    year = "" if day.year == today.year else f" {day.year}"
    return f"{near}{day:%A} {day.day} {day:%B}{year}"


def distributions(facets: Facets, asked: Asked) -> Iterator[Chart]:
    """What the chosen ones are; a bar chooses those that it stands for."""
    yield _chart("Models", facets.models, asked, "model", str)
    yield _chart("Workspaces", facets.workspaces, asked, "workspace", place_name)
    yield _chart("Types", facets.kinds, asked, "kind", str)
    yield _chart("How they ended", facets.statuses, asked, None, str)
    if not facets.total:
        return
    names = ["unknown", *_duration_names()]
    counts = {names[key + 1]: facets.durations.get(key, 0) for key in range(len(DURATIONS) + 1)}
    if unknown := facets.durations.get(-1, 0):
        counts["unknown"] = unknown
    yield Chart("How long they took", tuple(_bars(counts.items(), asked, None, str)))


def _duration_names() -> Iterator[str]:
    yield f"under {span(DURATIONS[0]).replace('.0', '')}"
    for low, high in pairwise(DURATIONS):
        yield f"{_short(low)} to {_short(high)}"
    yield f"{_short(DURATIONS[-1])} and more"


def _short(milliseconds: int) -> str:
    minutes, seconds = divmod(milliseconds // 1000, 60)
    return f"{minutes} min" if minutes else f"{seconds} s"


def _chart(
    title: str, counts: dict[str, int], asked: Asked, field: str | None, name: Callable[[str], str]
) -> Chart:
    """The largest ones, and the rest as one."""
    largest = list(counts.items())[:_MOST_BARS]
    bars = list(_bars(largest, asked, field, name))
    if len(counts) > _MOST_BARS:
        rest = sum(counts.values()) - sum(count for _, count in largest)
        most = max(count for _, count in largest)
        others = f"{len(counts) - _MOST_BARS:,} others"
        bars.append(Bar(others, f"{others}: {rest:,}", rest, min(_length(rest, most), FULL), None))
    return Chart(title, tuple(bars))


def _bars(
    counts: Iterable[tuple[str, int]], asked: Asked, field: str | None, name: Callable[[str], str]
) -> Iterator[Bar]:
    items = list(counts)
    most = max((count for _, count in items), default=0)
    for value, count in items:
        label = name(value) or "not given"
        is_chosen = field is not None and getattr(asked, field) == value
        url = asked.url(**{field: None if is_chosen else value}) if field and value else None
        yield Bar(label, f"{value or label}: {count:,}", count, _length(count, most), url, is_chosen)


def _length(count: int, most: int) -> int:
    """Of `FULL`; whatever there is can be seen."""
    return max(round(FULL * count / most), 2) if count else 0
