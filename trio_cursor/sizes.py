"""Sizes in words, for page and terminal alike."""

from __future__ import annotations


def size(number: int | None, *, unknown: str) -> str:
    """Bytes for people, in steps of a thousand; `unknown` is said of none."""
    if number is None:
        return unknown
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":  # noqa: PLR2004 - as the prefixes have it
            break
        value /= 1000
    is_whole = unit == "B" or value >= 10  # noqa: PLR2004 - two digits say enough
    return f"{value:.0f} {unit}" if is_whole else f"{value:.1f} {unit}"
