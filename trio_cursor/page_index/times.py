"""Local days and hours of the index: where they begin and end, and what falls into which."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta, tzinfo

import attrs

from trio_cursor.figures import hours_of, span_of_day
from trio_cursor.figures.days import moment_of

#: Every zone of this world is off by a multiple of it.
SLOT_MS = 900_000


def bounds(day: date, hour: int | None = None, days: int = 1, zone: tzinfo | None = None) -> tuple[int, int]:
    """First millisecond of local days, or of an hour of one, and the one behind the last.

    An hour that the clock passes twice is both of them, and one that it skips is empty.
    """
    if hour is None:
        return span_of_day(day, zone)[0], span_of_day(day + timedelta(days=days - 1), zone)[1]
    passed = [slot for slot in hours_of(day, zone) if int(slot.label[:2]) == hour]
    return (passed[0].start_ms, passed[-1].end_ms) if passed else (0, 0)


def local(milliseconds: int, zone: tzinfo | None = None) -> datetime | None:
    """What calendar and clock say, with how far that is off; None: no calendar goes that far."""
    found = moment_of(milliseconds, zone)
    try:
        return found and found.astimezone(zone)
    except (OSError, OverflowError, ValueError):
        return None


@attrs.frozen
class Slots:
    """How many generations began in each local hour, or on each local day."""

    hours: dict[int, int]
    days: dict[date, int]


def slots(counts: Mapping[int, int], zone: tzinfo | None = None) -> Slots:
    """Put quarters of an hour, by number since the epoch, into local hours and days."""
    hours: dict[int, int] = {}
    days: dict[date, int] = {}
    for slot, count in counts.items():
        at = moment_of(slot * SLOT_MS, zone)
        if at is not None:
            hours[at.hour] = hours.get(at.hour, 0) + count
            days[at.date()] = days.get(at.date(), 0) + count
    return Slots(hours, days)
