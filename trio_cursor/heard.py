"""Of which databases the operating system says that they are written to, and how far that is believed."""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Set as AbstractSet

import attrs

#: So many changes that a sweep finds and nobody has told of are no chance any more. (One may be: whoever sets
#: the times of a file, as some copying programs do, writes nothing.)
_MOST_MISSED = 2


@attrs.define(eq=False)
class Heard:
    """What was said until a moment, and of what. Time is an argument, that of Trio's clock.

    The kernel puts an event into the queue before the write that it tells of returns. So to a database that
    was looked at after it began to be heard, nothing was committed up to the moment at which the queue was
    found empty, but for what the events in it have told.
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

    def missed(self) -> bool:
        """A sweep has found a change that nobody has told of. Returns whether that ends all belief."""
        self._missed += 1
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
