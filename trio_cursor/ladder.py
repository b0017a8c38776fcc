"""When to look at a database of which the operating system says that it was written to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import attrs

#: Seconds from the hint to each look, for as long as no look sees a change: an event may come before what it
#: tells of, and a file may change twice within one tick of the clock that stamps it.
STEPS: Final = (0.0, 0.004, 0.016, 0.064)
#: Where to begin with what is weak: more is to come, or nothing is known.
WEAK: Final = 2
LAST: Final = len(STEPS) - 1
#: A database in WAL mode is left alone until nothing was written to its log for so long. Whoever closes it
#: does so right after a last commit, and a reader at that moment takes the closing checkpoint away: the log
#: stays, and a copy of the file alone lacks what is in it (without this, at one such close in ten).
QUIET_SECONDS: Final = 0.064
#: For so long at most, whatever the probe interval is.
QUIET_PATIENCE_SECONDS: Final = 0.5
#: Opens that a database may have in hand, and how long after a look that was in vain the next one comes.
_MOST_IN_HAND: Final = 4.0
_AGAIN_SECONDS: Final = 0.016
#: After a change of the log one more look comes so late. Its writes are told of before the commit that they
#: are of can be read: SQLite has to wait for the disk in between, and what ends that wait leaves no trace.
_LATE_SECONDS: Final = 1.0
#: Which of the looks that follow the first is the one that would be due anyway, and which comes late.
_DUE: Final = 2
_LATE: Final = 3


@attrs.define
class _Climb:
    """One database on the ladder."""

    hinted_at: float
    step: int
    due: float
    #: It is due when nothing was written for a moment.
    waits_for_quiet: bool = False
    #: It is being looked at: what is said of it meanwhile may be of later.
    is_in_hand: bool = False


@attrs.define(eq=False)
class Ladder:
    """Which databases were hinted at, and when each is due. Time is an argument."""

    _climbs: dict[str, _Climb] = attrs.field(factory=dict, init=False)
    #: When the next one is due; None: to be found out. Of ten thousand hints each would ask all others.
    _next_due: float | None = attrs.field(default=None, init=False)

    def __len__(self) -> int:
        return len(self._climbs)

    def __iter__(self) -> Iterator[str]:
        return iter(self._climbs)

    def hint(self, database: str, now: float, *, step: int, not_before: float) -> bool:
        """Take a hint, to be followed from that step and moment on; whether it is due before all others."""
        due = max(now + STEPS[step], not_before)
        known = self._climbs.get(database)
        if known is not None and known.due <= due and not known.is_in_hand:
            return False
        return self._put(database, _Climb(now, step, due))

    def settle(self, database: str, now: float, *, patience: float, not_before: float) -> bool:
        """Take a hint of what is best looked at when it is quiet, after `patience` seconds at the latest."""
        known = self._climbs.get(database)
        began = known.hinted_at if known is not None and known.waits_for_quiet else now
        due = max(min(now + QUIET_SECONDS, began + patience), not_before)
        if known and not (known.waits_for_quiet or known.is_in_hand) and known.due <= due:
            return False
        return self._put(database, _Climb(began, LAST, due, waits_for_quiet=True))

    def _put(self, database: str, climb: _Climb) -> bool:
        next_due = self.next_due()
        known, self._climbs[database] = self._climbs.get(database), climb
        if known is not None and known.due <= next_due < climb.due:
            self._next_due = None  # it was the next one, and is later now
        else:
            self._next_due = min(next_due, climb.due)
        return climb.due < next_due

    def waits_for_quiet(self, database: str) -> bool:
        """Whether it is to be left alone for the moment."""
        climb = self._climbs.get(database)
        return climb is not None and climb.waits_for_quiet

    def next_due(self) -> float:
        """When the next look is due; inf: nobody was hinted at."""
        if self._next_due is None:
            self._next_due = min((climb.due for climb in self._climbs.values()), default=math.inf)
        return self._next_due

    def due(self, now: float) -> list[str]:
        """The databases to be looked at now, by whoever says so when it is done (`looked`)."""
        found = [database for database, climb in self._climbs.items() if climb.due <= now]
        for database in found:
            self._climbs[database].is_in_hand = True
        return found

    def looked(self, database: str, now: float, *, is_over: bool, not_before: float = -math.inf) -> None:
        """It was looked at: over, if it has changed or is not watched; else the next step is due.

        If it was hinted at anew meanwhile, it is due again, not before that moment.
        """
        climb = self._climbs.get(database)
        if climb is None:
            return
        self._next_due = None
        if not climb.is_in_hand:
            climb.due = max(climb.due, not_before)
            return
        climb.is_in_hand = False
        if is_over or climb.step == LAST:
            del self._climbs[database]
        else:
            climb.step += 1
            climb.due = max(climb.hinted_at, now - STEPS[climb.step - 1]) + STEPS[climb.step]

    def clear(self) -> None:
        """Nothing is watched any more."""
        self._climbs.clear()
        self._next_due = None


@attrs.frozen
class Again:
    """One more look."""

    seconds: float
    #: Until then nobody may rely on it that nothing can appear any more.
    is_early: bool


@attrs.define(eq=False)
class SecondLooks:
    """Whether a database in WAL mode is read once more although its files did not change since.

    After a look in vain soon, then when the next read would be due anyway, and after any look late: what it
    found may be the commit before. Bounded: a database is opened once a probe interval on average, and a few
    times more only after a pause.
    """

    _in_hand: float = attrs.field(default=_MOST_IN_HAND, init=False)
    _looked_at: float = attrs.field(default=-math.inf, init=False)
    _changed_at: float = attrs.field(default=-math.inf, init=False)
    _step: int = attrs.field(default=0, init=False)

    def after(self, began: float, *, logged_at: float | None, found: bool, every: float) -> Again | None:
        """The next look, after one that began then; None: it was late enough, or is not in WAL mode.

        `logged_at` is when the `-wal` was last seen to have changed, None if there is none.
        """
        gained = (began - self._looked_at) / every if every else _MOST_IN_HAND
        self._in_hand = min(_MOST_IN_HAND, self._in_hand + gained) - 1
        self._looked_at = began
        if logged_at is None or (left := logged_at + max(every, _LATE_SECONDS) - began) < _AGAIN_SECONDS:
            return None
        if logged_at != self._changed_at:
            self._changed_at, self._step = logged_at, 0
        # Whoever was woken by somebody else looks out of turn: the late one is due by the clock all the same.
        self._step = _LATE if found else self._step + 1
        if self._step < _DUE and self._in_hand >= 1:
            return Again(_AGAIN_SECONDS, is_early=True)
        if self._step <= _DUE:
            self._step = _DUE
            return Again(every, is_early=True)
        return Again(left, is_early=False)
