"""Stretches of time as people write them on a command line: `30`, `30s`, `5m`, `24h`, `7d`, `all`."""

from __future__ import annotations

import re

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([smhd]?)", re.IGNORECASE)

#: A hundred years: beyond it `all` is meant, and sooner or later arithmetic on dates stops working.
_LONGEST_SECONDS = 36_500 * 86_400.0


def parse_duration(text: str) -> float | None:
    """Read a duration, in seconds; None is `all`: without limit.

    A number without a unit counts seconds. Raises ValueError, with what to write instead.
    """
    wanted = text.strip()
    if wanted.lower() == "all":
        return None
    found = _DURATION.fullmatch(wanted)
    if found is None:
        raise ValueError(f"{text!r:.60} is not a duration: write 30s, 5m, 24h, 7d or all")
    seconds = float(found[1]) * _UNITS[found[2].lower()]
    if seconds > _LONGEST_SECONDS:
        raise ValueError(f"{text!r:.60} is longer than a hundred years: write all")
    return seconds
