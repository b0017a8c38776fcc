"""What a reader was asked for, and whether that can be done."""

from __future__ import annotations

from typing import Final

import attrs

from trio_cursor.config.checks import DAY_SECONDS, number, stream_name
from trio_cursor.errors import ConfigError
from trio_cursor.redis_keys import MOST_SHARDS

#: All of them are asked for, and named to the server, at once.
_MOST_PREFETCHED: Final = 10_000
_MOST_ATTEMPTS: Final = 1_000_000
#: A hundred years.
_LONGEST_SECONDS: Final = 36_500 * DAY_SECONDS
_SHORTEST_SECONDS: Final = 0.001


@attrs.frozen
class Rules:
    """What a reader was asked for."""

    #: Where a group begins that has to be made: `0` or `$`.
    start: str
    prefetch: int
    claim_after_seconds: float
    max_attempts: int
    marker_seconds: int

    @property
    def claim_after_ms(self) -> int:
        return int(self.claim_after_seconds * 1000)

    @property
    def uncounted(self) -> int:
        """How many deliveries that the server counts are no attempts.

        To the server the fetch is the first one, though nobody may come to try. Where there may be only one
        attempt, it must not be that: the server is told of the attempt besides, at the cost of a call.
        """
        return 1 if self.max_attempts == 1 else 0


def refuse_nonsense(group: object, consumer: object, stream: object, shards: object, rules: Rules) -> None:
    """Raise `ConfigError` for what no reader can do; nobody has looked at the types yet."""
    faults = [
        f"{name} must be a printable text that is not empty"
        for name, value in (("group", group), ("consumer", consumer), ("stream", stream))
        if not _is_name(value) and (value is not None or name == "group")
    ]
    if isinstance(stream, str) and not {"{", "}"}.isdisjoint(stream):
        faults.append(
            f"stream {stream_name(stream)}; of one that is split, give the name without, and shards"
        )
    faults += [
        f"{name} {fault}"
        for name, value, kind, least, most in (
            ("shards", shards, int, 1, MOST_SHARDS),
            ("prefetch", rules.prefetch, int, 1, _MOST_PREFETCHED),
            ("max_attempts", rules.max_attempts, int, 1, _MOST_ATTEMPTS),
            ("marker_seconds", rules.marker_seconds, int, 1, _LONGEST_SECONDS),
            ("claim_after_seconds", rules.claim_after_seconds, float, _SHORTEST_SECONDS, _LONGEST_SECONDS),
        )
        if (fault := _fault_of_number(value, kind, least, most))
    ]
    if rules.start not in ("0", "$"):
        faults.append('start must be "0" or "$"')
    if faults:
        raise ConfigError(tuple(faults))


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _fault_of_number(value: object, kind: type, low: float, high: float) -> str | None:
    """What is wrong, in words that follow the name."""
    if isinstance(value, bool) or not isinstance(value, (int, kind)):
        return f"must be a {'whole ' if kind is int else ''}number from {low:,} to {high:,}"
    return number(low, high)(value)
