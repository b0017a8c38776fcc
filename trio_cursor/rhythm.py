"""How often databases are looked at, and which of them nothing but a sweep would find written to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import attrs

from trio_cursor.heard import Heard
from trio_cursor.watched import Watched

#: Idle databases, and the list of directories, are looked at this often, so that even what happens first
#: in a quiet window is in the log within a second; up to this many workspaces, above that in proportion.
IDLE_SECONDS = 0.75
_IDLE_WORKSPACES = 1000
#: A Cursor directory that is not there (another edition's, mostly) is looked for this often.
_ABSENT_SECONDS = 5.0
#: Those of which the operating system tells when they are written to are looked at this often, to be sure.
HEARD_SECONDS, _HEARD_MOST_SECONDS = 10.0, 30.0


@attrs.define(eq=False)
class Rhythm:
    """When the next sweep is due. Time is an argument, that of Trio's clock."""

    #: What the operating system tells of.
    heard: Heard
    #: Whether it tells of workspaces that come and go.
    hears_of_storage: Callable[[], bool] = lambda: False
    #: Whether workspaces may come where nothing is yet.
    lacks_storage: Callable[[], bool] = lambda: False
    idle_every: float = IDLE_SECONDS
    heard_every: float = HEARD_SECONDS
    #: When the last sweep began that looked at all that are not heard of, and the last that left out none.
    whole_at: float = attrs.field(default=-math.inf, init=False)
    full_at: float = attrs.field(default=-math.inf, init=False)
    #: Those that are not heard of; None: to be found out.
    _unheard: set[str] | None = attrs.field(default=None, init=False)
    _edition: int = attrs.field(default=0, init=False)

    def reshape(self) -> None:
        """Other databases are watched than before."""
        self._unheard = None

    def unheard(self, watched: Mapping[str, Watched]) -> set[str]:
        """Databases that only a sweep finds to have been written to."""
        if self._unheard is None or self._edition != self.heard.edition:
            self._unheard = set(watched.keys() - self.heard.databases())
            self._edition = self.heard.edition
        return self._unheard

    def idle_seconds(self, watched: Mapping[str, Watched]) -> float:
        """How often the idle databases are swept too."""
        unheard = len(self.unheard(watched))
        if not unheard and self.hears_of_storage():
            seconds = self._heard_seconds(watched)
            return min(seconds, _ABSENT_SECONDS) if self.lacks_storage() else seconds
        return self.idle_every * max(1.0, unheard / _IDLE_WORKSPACES)

    def is_whole_due(self, watched: Mapping[str, Watched], now: float, probe_seconds: float) -> bool:
        """Whether all that are not heard of are to be looked at, and directories to be listed."""
        # Half a probe early rather than half a probe late.
        return now + probe_seconds / 2 > self.whole_at + self.idle_seconds(watched)

    def is_full_due(self, watched: Mapping[str, Watched], now: float, probe_seconds: float) -> bool:
        """Whether none is to be left out."""
        return now + probe_seconds / 2 > self.full_at + self._heard_seconds(watched)

    def begin(self, now: float, *, is_whole: bool, is_full: bool) -> Callable[[], None]:
        """A sweep begins; returns what is to be called if it does not come to its end.

        Written down now and not at its end: whoever hurries meanwhile wants another one after it.
        """
        before = self.whole_at, self.full_at
        self.whole_at = now if is_whole else self.whole_at
        self.full_at = now if is_full else self.full_at

        def undo() -> None:
            self.whole_at, self.full_at = min(self.whole_at, before[0]), min(self.full_at, before[1])

        return undo

    def next_sweep(self, watched: Mapping[str, Watched], ended: float, probe_seconds: float) -> float:
        """When the next sweep is due after one that ended then, if nobody hurries.

        Those that are worked in, and would not be heard of, are looked at each time.
        """
        soon = ended + probe_seconds
        if any(watched[database].active for database in self.unheard(watched)):
            return soon
        full = self.full_at + self._heard_seconds(watched)
        return max(soon, min(self.whole_at + self.idle_seconds(watched), full))

    def _heard_seconds(self, watched: Mapping[str, Watched]) -> float:
        seconds = self.heard_every * max(1.0, len(watched) / _IDLE_WORKSPACES)
        return min(seconds, _HEARD_MOST_SECONDS)
