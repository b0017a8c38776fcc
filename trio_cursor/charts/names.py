"""How shares are called on a drawing: short, different from each other, harmless. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from trio_cursor.figures import DURATION_EDGES_MS, OTHERS, Share
from trio_cursor.harmless import printable

WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
NOT_KNOWN: Final = "not known"
#: What stands for no workspace.
NOWHERE: Final = "global"


def names_of(shares: Iterable[Share], nobody: str = NOT_KNOWN) -> list[str]:
    """Each as it is; what is not known is called `nobody`."""
    return [_special(share.key, nobody) or printable(share.key or "") for share in shares]


def workspace_names(shares: Iterable[Share]) -> list[str]:
    """Last parts of paths, with as much before them as tells two from each other."""
    keys = [share.key for share in shares]
    paths = [key for key in keys if key is not None and key != OTHERS]
    lengths = dict.fromkeys(paths, 1)
    while True:
        called = {path: _last_parts(path, lengths[path]) for path in paths}
        times = Counter(called.values())
        longer = [path for path in paths if times[called[path]] > 1 and lengths[path] < len(_parts(path))]
        if not longer:
            return [_special(key, NOWHERE) or printable(called[key or ""]) for key in keys]
        for path in longer:
            lengths[path] += 1


def _special(key: str | None, nobody: str) -> str | None:
    return nobody if key is None else "others" if key == OTHERS else None


def _parts(path: str) -> tuple[str, ...]:
    kind = PureWindowsPath if "\\" in path else PurePosixPath
    return kind(path).parts


def _last_parts(path: str, number: int) -> str:
    parts = _parts(path)
    if number >= len(parts):
        return path
    return ("\\" if "\\" in path else "/").join(parts[-number:])


def duration_names() -> list[str]:
    """Of the classes of durations."""
    edges = [_short(edge) for edge in DURATION_EDGES_MS]
    middle = [f"{low} to {high}" for low, high in pairwise(edges[1:])]
    return [f"under {edges[1]}", *middle, f"{edges[-1]} or more"]


def _short(milliseconds: int) -> str:
    seconds = milliseconds // 1000
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min"  # noqa: PLR2004 - as a minute has them


def percent(part: int, whole: int) -> str:
    """The share, which is 0 only for nothing."""
    share = round(100 * part / whole)
    return "< 1 %" if part and not share else f"{share} %"
