"""Days and hours of a place, by the rules of its zone: a day may have 23, 24, 25 hours, or none. Pure.

`zone` None is the local time of this machine, as its system knows it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo

import attrs

_HOUR_SECONDS = 3600


@attrs.frozen
class Slot:
    """An hour of a day: mostly 60 minutes, and less where a clock was moved by less."""

    #: What the clock says at its beginning, `02:00`; twice on the day on which it is put back.
    label: str
    #: Milliseconds since the epoch.
    start_ms: int
    #: The first one that is not in it.
    end_ms: int


def moment_of(timestamp_ms: int, zone: tzinfo | None) -> datetime | None:
    """What calendar and clock say; None: no calendar goes that far."""
    try:
        # With a zone or without: its own rules, or those of the system.
        return datetime.fromtimestamp(timestamp_ms / 1000, zone)
    except (OSError, OverflowError, ValueError):
        return None


def day_of(timestamp_ms: int, zone: tzinfo | None) -> date | None:
    """Which day it is in the zone; None: no calendar goes that far."""
    found = moment_of(timestamp_ms, zone)
    return found and found.date()


def span_of_day(day: date, zone: tzinfo | None) -> tuple[int, int]:
    """First millisecond of a day, and the first one behind it. Equal: the zone has left the day out.

    Raises OverflowError, OSError or ValueError for a day at the end of what the calendar holds.
    """
    return _start(day, zone), _start(day + timedelta(days=1), zone)


def _start(day: date, zone: tzinfo | None) -> int:
    # A midnight that the clock leaves out is taken as by the offset before: the moment of the leap itself.
    return int(datetime.combine(day, time(), zone).timestamp()) * 1000


def hours_of(day: date, zone: tzinfo | None) -> tuple[Slot, ...]:
    """The hours that a day really has, in order and without a hole; none if the zone has left it out.

    Raises as `span_of_day`.
    """
    first, end = (at // 1000 for at in span_of_day(day, zone))
    slots: list[Slot] = []
    at = first
    while at < end:
        clock = datetime.fromtimestamp(at, zone)
        # From what the clock says to its next full hour, whatever is said then.
        after = min(at + _HOUR_SECONDS - clock.minute * 60 - clock.second, end)
        slots.append(Slot(f"{clock:%H:%M}", at * 1000, after * 1000))
        at = after
    return tuple(slots)


def offsets_of(days: Iterable[date], zone: tzinfo | None) -> tuple[str, ...]:
    """How far the clock was from UTC on these days: `UTC+01:00`; several where it was moved in between."""
    found = set()
    for day in days:
        try:
            offset = datetime.combine(day, time(12), zone).astimezone(zone).utcoffset()
        except (OSError, OverflowError, ValueError):  # no calendar goes that far
            continue
        if offset is not None:
            found.add(offset)
    return tuple(timezone(offset).tzname(None) for offset in sorted(found))


def zone_of(*, is_utc: bool) -> tzinfo | None:
    """UTC, or the local time of this machine."""
    return UTC if is_utc else None
