"""What a stream needs besides entries: that it does not grow for ever, and a server that forgets nothing.

Trimming never takes what is younger than a certain age, or what a consumer group has not acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs
from redis.exceptions import ResponseError

from trio_cursor.redis_trouble import is_forbidden

#: Sends a command and gives the answer; raises what redis-py raises.
Ask = Callable[..., Any]
_NOT_EVICTING: Final = "noeviction"
_HOUR_MS: Final = 3_600_000


@attrs.frozen
class Trimmed:
    """What came of trimming a stream."""

    #: Entries that are left.
    length: int
    removed: int = 0
    #: The consumer group because of which the stream stays longer than it should; None: it does not.
    holder: str | None = None
    #: The user's rules do not allow to find out what may be removed, or to remove it.
    is_forbidden: bool = False


@attrs.frozen
class Bounds:
    """How long a stream may be, and what is never removed."""

    #: 0: as long as it gets.
    max_length: int
    min_age_hours: float


def trim(ask: Ask, stream: str, bounds: Bounds) -> Trimmed:
    """Trim a stream down to its length, as far as may be. Raises what redis-py raises."""
    try:
        return _trim(ask, stream, bounds)
    except ResponseError as error:
        if not is_forbidden(error):
            raise
        return Trimmed(0, is_forbidden=True)


def _trim(ask: Ask, stream: str, bounds: Bounds) -> Trimmed:
    try:
        found = _pairs(ask("XINFO", "STREAM", stream))
    except ResponseError as error:
        if type(error) is ResponseError and str(error).endswith("no such key"):
            return Trimmed(0)
        raise
    length = int(found[b"length"])
    excess = length - bounds.max_length
    if not bounds.max_length or excess <= 0:
        return Trimmed(length)
    server_ms = _server_ms(ask, newest_ms=_id(found[b"last-generated-id"])[0])
    bound = (max(0, server_ms - int(bounds.min_age_hours * _HOUR_MS)), 0)
    holder = None
    for name, first in unread(ask, stream):
        if first < bound:
            bound, holder = first, name
    removed = int(ask("XTRIM", stream, "MINID", "~", f"{bound[0]}-{bound[1]}", "LIMIT", excess))
    is_held = length - removed > bounds.max_length + _node_entries(removed)
    return Trimmed(length - removed, removed, holder if is_held else None)


def _server_ms(ask: Ask, *, newest_ms: int) -> int:
    """What time it is for the server, whose clock the ids are of; ours may be ahead.

    Who may not ask knows that it is not before the newest entry.
    """
    try:
        seconds, microseconds = ask("TIME")
    except ResponseError as error:
        if not is_forbidden(error):
            raise
        return newest_ms
    return int(seconds) * 1000 + int(microseconds) // 1000


def _node_entries(removed: int) -> int:
    """What is left over because only whole nodes are removed, each of a hundred entries."""
    return 100 if removed else 0


def unread(ask: Ask, stream: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """Each consumer group with the id of the first entry that it has not acknowledged."""
    for group in map(_pairs, ask("XINFO", "GROUPS", stream)):
        name = group[b"name"]
        time, number = _id(group[b"last-delivered-id"])
        first = (time, number + 1)
        if int(group[b"pending"]):
            _, oldest, *_ = ask("XPENDING", stream, name)
            first = min(first, _id(oldest)) if oldest is not None else first
        yield name.decode("utf-8", "replace"), first


def evicting(ask: Ask) -> str | None:
    """The policy by which the server may drop our keys when its memory is full; None: it drops nothing."""
    try:
        answer = ask("INFO", "memory")
    except ResponseError as error:
        if not is_forbidden(error):
            raise
        return None
    found = dict(line.split(":", 1) for line in answer.decode("utf-8", "replace").splitlines() if ":" in line)
    policy = found.get("maxmemory_policy", _NOT_EVICTING)
    return None if policy == _NOT_EVICTING or found.get("maxmemory", "0") == "0" else policy


def _pairs(answer: list[Any]) -> dict[bytes, Any]:
    return dict(zip(answer[::2], answer[1::2], strict=True))


def _id(value: bytes) -> tuple[int, int]:
    time, _, number = value.partition(b"-")
    return int(time), int(number)
