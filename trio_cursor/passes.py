"""When a first pass is over: all that was there when a profile had been looked at is in the log."""

from __future__ import annotations

import math

import attrs
import trio

from trio_cursor.assembly import Assembler
from trio_cursor.freshness import Freshness
from trio_cursor.scanner import Scanner

#: How long a first pass waits for a moment at which nothing else is to be done.
_PATIENCE_SECONDS = 2.0


@attrs.define(eq=False)
class ProfileRead:
    """Every database of a profile was looked at in this run."""

    profile: str
    #: Set once everything that was there is in the log, but for what has to wait longer.
    done: trio.Event = attrs.field(factory=trio.Event)
    #: When that was, on Trio's clock.
    began: float = attrs.field(factory=trio.current_time)
    #: When all of it was known to be read, so that the sink had asked for what it wants of it.
    fresh_at: float | None = None


@attrs.frozen
class Passes:
    """Those that are under way."""

    scanner: Scanner
    assembler: Assembler
    freshness: Freshness
    _unfinished: list[ProfileRead] = attrs.field(factory=list, init=False)

    @property
    def are_waited_for(self) -> bool:
        """Whether any is under way."""
        return bool(self._unfinished)

    def begin(self, told: ProfileRead) -> None:
        """A profile was looked at."""
        self._unfinished.append(told)

    def fresh(self) -> set[str]:
        """Profiles of which everything was read that was there when they had been looked at."""
        return {told.profile for told in self._unfinished if self._is_fresh(told)}

    def _is_fresh(self, told: ProfileRead) -> bool:
        profile, freshness = told.profile, self.freshness
        if freshness.is_blocked(profile) or not self.assembler.waits_for_freshness(profile):
            return True
        return min(freshness.rings(profile), freshness.conversations(profile)) >= told.began

    def finish(self, fresh: set[str]) -> None:
        """Tell those of which all is in the log.

        In a Cursor that works there is always something new; nobody waits for that for long. `fresh` are the
        profiles that were so before the last release, which has asked for all that it wants of them.
        """
        now = trio.current_time()
        for told in list(self._unfinished):
            profile = told.profile
            if told.fresh_at is None and profile in fresh:
                told.fresh_at = now
            if told.fresh_at is None:
                continue
            wanted_since = self._wanted_since(profile)
            is_quiet = wanted_since == math.inf and not self.assembler.waits_for_freshness(profile)
            # What was read may have got another name by that, and waits once more under it.
            is_over = wanted_since > told.fresh_at and now >= told.fresh_at + _PATIENCE_SECONDS
            if is_quiet or is_over or self.freshness.is_blocked(profile):
                self._unfinished.remove(told)
                told.done.set()

    def _wanted_since(self, profile: str) -> float:
        """Since when the first content is wanted that can be read now; inf if none is."""
        found = ((name, self.scanner.watched.get(name)) for name in self.assembler.wanted_databases())
        return min(
            (
                self.assembler.wanted_since(name)
                for name, item in found
                # What is absent or broken may be mended: what is wanted of it is left for the next run.
                if item is not None and item.nothing is None and item.workspace.profile == profile
            ),
            default=math.inf,
        )
