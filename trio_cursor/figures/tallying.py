"""From facts to figures in one pass. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import date, tzinfo
from typing import Any, Final

from trio_cursor.figures.days import moment_of
from trio_cursor.figures.facts import Fact
from trio_cursor.figures.totals import DURATION_EDGES_MS, OTHERS, Durations, Figures, Known, Share

#: Of more different names than that the rest is counted together: nobody reads them.
_NAMES_MOST: Final = 1000
#: From here on the fields of a fact are numbers that are summed up.
_FIRST_SUM: Final = Fact._fields.index("tokens")
_SUMS: Final = Fact._fields[_FIRST_SUM:]
_NOTHING: Final = (None,) * len(_SUMS)


class _Counter:
    """Generations, and the sum of their tokens as far as they are known."""

    __slots__ = ("events", "known", "total")

    def __init__(self) -> None:
        self.events = self.known = self.total = 0

    def add(self, tokens: int | None) -> None:
        self.events += 1
        if tokens is not None:
            self.known += 1
            self.total += tokens

    def share(self, key: str | None) -> Share:
        return Share(key, self.events, Known(self.total, self.known, self.events))


class Tally:
    """What was counted until now; give it facts by `add`, and ask for `figures` when there are no more."""

    def __init__(self, zone: tzinfo | None) -> None:
        """`zone`: whose days and hours; None: the local time of this machine."""
        self._zone = zone
        self._events = self._undated = 0
        self._first: int | None = None
        self._last: int | None = None
        self._sessions: set[str] = set()
        self._days: dict[date, _Counter] = {}
        self._punchcard = [[0] * 24 for _ in range(7)]
        self._groups: dict[str, dict[str | None, _Counter]] = {
            name: {} for name in ("workspace", "model", "type", "status")
        }
        self._durations = array("q")
        self._known = dict.fromkeys(_SUMS, 0)
        self._totals = dict.fromkeys(_SUMS, 0)

    def add(self, fact: Fact) -> None:
        """Count one generation."""
        self._events += 1
        at, tokens = fact.timestamp, fact.tokens
        if self._first is None or at < self._first:
            self._first = at
        if self._last is None or at > self._last:
            self._last = at
        self._sessions.add(fact.session_id)
        moment = moment_of(at, self._zone)
        if moment is None:
            self._undated += 1
        else:
            day = moment.date()
            counter = self._days.get(day)
            if counter is None:
                counter = self._days[day] = _Counter()
            counter.add(tokens)
            self._punchcard[moment.weekday()][moment.hour] += 1
        groups = self._groups
        _count(groups["workspace"], fact.workspace, tokens)
        _count(groups["model"], fact.model, tokens)
        _count(groups["type"], fact.type, tokens)
        _count(groups["status"], fact.status, tokens)
        if fact.duration_ms is not None:
            self._durations.append(fact.duration_ms)
        counts: tuple[Any, ...] = fact[_FIRST_SUM:]
        if counts != _NOTHING:  # as most are
            for name, value in zip(_SUMS, counts, strict=True):
                if value is not None:
                    self._known[name] += 1
                    self._totals[name] += value

    def figures(self) -> Figures:
        """What it comes to."""
        return Figures(
            events=self._events,
            sessions=len(self._sessions),
            first_ms=self._first,
            last_ms=self._last,
            undated=self._undated,
            days=tuple((day, self._days[day].share(day.isoformat())) for day in sorted(self._days)),
            punchcard=tuple(map(tuple, self._punchcard)),
            workspaces=_shares(self._groups["workspace"]),
            models=_shares(self._groups["model"]),
            types=_shares(self._groups["type"]),
            statuses=_shares(self._groups["status"]),
            durations=_durations(self._durations, self._events),
            **{name: Known(self._totals[name], self._known[name], self._events) for name in _SUMS},
        )


def figures_of(facts: Iterable[Fact], zone: tzinfo | None) -> Figures:
    """Totals and distributions of all of them, with days and hours as the zone has them; None: local time."""
    tally = Tally(zone)
    for fact in facts:
        tally.add(fact)
    return tally.figures()


def _count(group: dict[str | None, _Counter], key: str | None, tokens: int | None) -> None:
    counter = group.get(key)
    if counter is None:
        if len(group) >= _NAMES_MOST and key is not None:
            key = OTHERS
        counter = group.setdefault(key, _Counter())
    counter.add(tokens)


def _shares(group: Mapping[str | None, _Counter]) -> tuple[Share, ...]:
    """The largest first; of equal ones by name; what is counted together, or not known, behind all others."""
    shares = [counter.share(key) for key, counter in group.items()]
    return tuple(
        sorted(
            shares, key=lambda share: (share.key is None, share.key == OTHERS, -share.events, share.key or "")
        )
    )


def _durations(found: array[int], events: int) -> Durations:
    if not found:
        return Durations(of=events)
    ordered = sorted(found)
    classes = [0] * len(DURATION_EDGES_MS)
    for duration in ordered:
        classes[bisect_right(DURATION_EDGES_MS, duration) - 1] += 1
    return Durations(
        known=len(ordered),
        of=events,
        total_ms=sum(ordered),
        median_ms=_ranked(ordered, 50),
        p90_ms=_ranked(ordered, 90),
        longest_ms=ordered[-1],
        classes=tuple(classes),
    )


def _ranked(ordered: list[int], percent: int) -> int:
    """The smallest one that so many of a hundred are not above."""
    return ordered[max(-(-len(ordered) * percent // 100), 1) - 1]
