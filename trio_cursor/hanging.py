"""Sweeps that hang in the kernel (a dead mount), and the paths that are left alone because of them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence

import attrs
import trio

from trio_cursor.cursor.listing import Listing
from trio_cursor.logs import get_logger
from trio_cursor.sweep import Sweep
from trio_cursor.threads import run_or_leave

log = get_logger(__name__)

#: A sweep takes milliseconds; one that takes this long hangs.
HANGS_AFTER_SECONDS = 5.0
#: Below one `User` directory so many paths may hang each by itself, then it is left alone as a whole.
_MOST_HANGING_BELOW = 2


@attrs.define(eq=False)
class Hanging:
    """Sweeps whose threads have not ended. Their paths are left alone until they do."""

    hangs_after: float
    _sweeps: list[Sweep] = attrs.field(factory=list, init=False)
    #: Own threads: a host that uses all of Trio's must not stop the sweep, nor hanging sweeps the host.
    _limiter: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1), init=False)

    def paths(self) -> tuple[str, ...]:
        """Those that do not answer."""
        return tuple(sorted({sweep.at for sweep in self._sweeps if sweep.at and not sweep.ended}))

    async def run(self, sweep: Sweep) -> bool:
        """Whether it has come to its end; one that has not is left to its thread."""
        self._limiter.total_tokens = len(self._sweeps) + 1
        with trio.move_on_after(self.hangs_after) as scope:
            await run_or_leave(sweep.run, limiter=self._limiter, leave=sweep.leave_behind)
        if scope.cancelled_caught:
            self._sweeps.append(sweep)
            log.warning("a path does not answer; it is left alone until it does", path=sweep.at)
        return not scope.cancelled_caught

    def welcome_back(self) -> bool:
        """Forget those that have ended meanwhile; returns whether there were any."""
        ended = [sweep for sweep in self._sweeps if sweep.ended]
        for sweep in ended:
            self._sweeps.remove(sweep)
            log.info("a path answers again", path=sweep.at)
        return bool(ended)

    def left_alone(self, listed: Mapping[str, Sequence[Listing]]) -> set[str]:
        """Paths that hang, and with them everything below a `User` directory in which they abound."""
        paths = {sweep.at for sweep in self._sweeps if sweep.at}
        for directory, listings in listed.items() if paths else ():
            homes = {directory, *(listing.user_dir for listing in listings)}
            below = sum(is_below(path, homes) for path in paths)
            if directory in paths or below >= _MOST_HANGING_BELOW:
                paths |= homes
        return paths


def is_below(path: str, places: Collection[str]) -> bool:
    """Whether a path is one of these, or inside one."""
    return any(path == place or path.startswith(place + os.sep) for place in places)
