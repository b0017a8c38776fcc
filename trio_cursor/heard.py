"""Of which databases the operating system says that they are written to, and how far that is believed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

import attrs

#: So many changes that a sweep finds and nobody has told of are no chance any more. (One may be: whoever sets
#: the times of a file, as some copying programs do, writes nothing.)
_MOST_MISSED = 2
#: So long may a write take from the time that it gives the file until it is told of: a disk may be busy.
_TELLING_SECONDS = 1.0


@attrs.define(eq=False)
class Heard:
    """What was said until a moment, and of what. Time is an argument, that of Trio's clock.

    The kernel puts an event into the queue before the write that it tells of returns. So a database that was
    looked at after it began to be heard was not written to up to the moment at which the queue was found
    empty, but for what the events in it have told. (In WAL mode a commit can be read only later than its last
    write, when the disk has it: `SecondLooks` looks again.)
    """

    #: Take in all that was said; false: there is more, or nothing can be heard.
    ask: Callable[[], bool] = lambda: False
    #: Other databases are heard of than before, or all have to be looked at again.
    edition: int = 0
    is_believed: bool = True
    _at: float = attrs.field(default=-math.inf, init=False)
    #: By database.
    _since: dict[str, float] = attrs.field(factory=dict, init=False)
    _lost_at: float = attrs.field(default=-math.inf, init=False)
    _missed: int = attrs.field(default=0, init=False)
    #: Databases that were seen to have changed, and when, of which nothing had been told until then.
    doubts: dict[str, float] = attrs.field(factory=dict, init=False)

    def begin(self, database: str, now: float) -> None:
        """From now on it is heard of."""
        self._since[database] = now
        self.edition += 1

    def end(self, database: str) -> None:
        """It is not heard of any more."""
        if self._since.pop(database, None) is not None:
            self.edition += 1

    def lost(self, now: float) -> None:
        """Something was said that nobody has heard: what was not looked at since may have been written to."""
        self._lost_at = now
        self.edition += 1

    def doubt(self, database: str, changed_at: float) -> None:
        """A sweep has found a change that nobody has told of yet."""
        self.doubts.setdefault(database, changed_at)

    def judge(self, told_at: Mapping[str, float], now: float) -> bool:
        """All is heard that was said until now: what was not told of? Returns whether that ends all belief.

        `told_at` is when something was last said of each database that is watched still.
        """
        for database, changed_at in list(self.doubts.items()):
            is_untold = told_at.get(database, math.inf) < changed_at
            if is_untold and now < changed_at + _TELLING_SECONDS:
                continue
            del self.doubts[database]
            self._missed += is_untold
        if not self.is_believed or self._missed < _MOST_MISSED:
            return False
        self.disbelieve()
        return True

    def disbelieve(self) -> None:
        """From now on nothing is, as if nothing had ever been heard."""
        self.is_believed = False
        self.edition += 1

    def databases(self) -> AbstractSet[str]:
        """Those that are heard of, and believed."""
        return self._since.keys() if self.is_believed else frozenset()

    def listen(self, now: float) -> bool:
        """Take in what was said until now; returns whether that was all of it."""
        if self.is_believed and self._since and self.ask():
            self._at = now
            return True
        return False

    def vouches(self, database: str, looked_at: float) -> bool:
        """Whether a database that was looked at then has been heard of ever since."""
        since = self._since.get(database)
        return self.is_believed and since is not None and looked_at >= max(since, self._lost_at)

    @property
    def at(self) -> float:
        """Up to which moment everything was heard."""
        return self._at
