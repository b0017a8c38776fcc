"""The figures, as values: what `stats` prints, `plot` draws and the page shows. Pure."""

from __future__ import annotations

from datetime import date
from typing import Final

import attrs

#: Where the classes of the distribution of durations begin, milliseconds; the last one has no end.
DURATION_EDGES_MS: Final = (
    *(0, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000),
    *(60_000, 120_000, 300_000, 600_000, 1_800_000),
)
#: The key of what is counted together because there are more different names than anybody could read.
OTHERS: Final = "\0others"

Hours = tuple[int, ...]


@attrs.frozen
class Known:
    """A sum over the generations of which the number is known: `known` of `of`."""

    total: int = 0
    known: int = 0
    of: int = 0

    @property
    def mean(self) -> float | None:
        """Of the known ones; None: there are none."""
        return self.total / self.known if self.known else None


@attrs.frozen
class Share:
    """One workspace, model, type, status or day among the others."""

    #: Its name; None: not known; `OTHERS`: the rest. As it was found: not harmless on a terminal or a page.
    key: str | None
    events: int
    tokens: Known


@attrs.frozen
class Durations:
    """How long generations took, of those of which it is known."""

    known: int = 0
    of: int = 0
    total_ms: int = 0
    #: Nearest rank: each is a duration that occurred. None: none is known.
    median_ms: int | None = None
    p90_ms: int | None = None
    longest_ms: int | None = None
    #: How many in each class, see `DURATION_EDGES_MS`.
    classes: tuple[int, ...] = (0,) * len(DURATION_EDGES_MS)


@attrs.frozen
class Figures:
    """Totals and distributions of a window of the log. Shares come by number, the largest first."""

    events: int = 0
    #: Different ones.
    sessions: int = 0
    #: The first and the last start, milliseconds since the epoch; None: there are no events.
    first_ms: int | None = None
    last_ms: int | None = None
    #: Generations whose time no calendar holds: in no day, no hour and no weekday.
    undated: int = 0
    #: By day as the zone has it, in order; days without any are left out (see `every_day`).
    days: tuple[tuple[date, Share], ...] = ()
    #: 7 rows from Monday of 24 hours from midnight, by the clock of the zone.
    punchcard: tuple[Hours, ...] = ((0,) * 24,) * 7
    workspaces: tuple[Share, ...] = ()
    models: tuple[Share, ...] = ()
    types: tuple[Share, ...] = ()
    statuses: tuple[Share, ...] = ()
    durations: Durations = Durations()
    tokens: Known = Known()
    prompt_tokens: Known = Known()
    completion_tokens: Known = Known()
    cached_tokens: Known = Known()
    lines_added: Known = Known()
    lines_removed: Known = Known()

    @property
    def hours(self) -> Hours:
        """By the hour of the day, 24 of them from midnight, all days together."""
        return tuple(map(sum, zip(*self.punchcard, strict=True)))

    @property
    def weekdays(self) -> Hours:
        """By weekday, 7 of them from Monday."""
        return tuple(map(sum, self.punchcard))
