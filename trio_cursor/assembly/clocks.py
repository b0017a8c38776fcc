"""Two clocks that do not always go together: the machine sleeps, and the wall clock is set."""

from __future__ import annotations

import math

import attrs

#: The wall clock is corrected by less than this all the time.
_JUMP_MS, _BACK_MS = 60_000, 1000


@attrs.define
class Clocks:
    """Compares the wall clock, in milliseconds, with a monotonic one, in seconds."""

    #: Moment of the monotonic clock at which a jump was noticed last: since then both go alike.
    alike_since: float = attrs.field(default=-math.inf, init=False)
    _ahead_ms: float | None = attrs.field(default=None, init=False)

    def tell(self, now_ms: int, at: float) -> bool:
        """Take in what both say now. Returns whether the wall clock was set back."""
        ahead_ms = now_ms - at * 1000
        before_ms = ahead_ms if self._ahead_ms is None else self._ahead_ms
        self._ahead_ms = ahead_ms
        if abs(ahead_ms - before_ms) > _JUMP_MS:
            self.alike_since = at
        return ahead_ms - before_ms < -_BACK_MS
