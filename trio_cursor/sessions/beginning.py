"""How far the beginning of a run has come: what is known decides what may be acted upon."""

from __future__ import annotations

import math

import attrs
import trio

#: So long nothing is read because a source has not told yet who works here.
_SOURCES_SECONDS = 10.0
#: So long the first pass waits for searches for what was announced before it.
_SEARCH_SECONDS = 5.0


@attrs.define(eq=False)
class Beginning:
    """Whose something is, is decided when it is reported: not before it is known who works there."""

    #: Names of the sources that have not told yet what was there at the start.
    awaited: set[str] = attrs.field(factory=set)
    #: It is known what is there and who works there: sessions are acted upon.
    has_begun: bool = False
    #: The first pass knows of all that it is to read.
    has_told: bool = False
    #: When what is there was known, on Trio's clock.
    _swept_at: float = attrs.field(default=math.inf, init=False)

    def swept(self) -> None:
        """Every database that there is was seen."""
        self._swept_at = trio.current_time()

    def may_begin(self) -> bool:
        """Whether the time has come to act upon sessions, which was not done yet."""
        return not self.has_begun and self._begins_at() <= trio.current_time()

    def may_tell(self, *, searches: bool) -> bool:
        """Whether all is known that the first pass is to read, or is not waited for any longer."""
        return self.has_begun and not self.has_told and self._tells_at(searches) <= trio.current_time()

    def next_at(self, *, searches: bool) -> float:
        """When the next step comes, on Trio's clock; infinite: not as things are."""
        if not self.has_begun:
            return self._begins_at()
        return math.inf if self.has_told else self._tells_at(searches)

    def _begins_at(self) -> float:
        return self._swept_at + (_SOURCES_SECONDS if self.awaited else 0)

    def _tells_at(self, searches: bool) -> float:  # noqa: FBT001 - as it was given
        return self._swept_at + (_SEARCH_SECONDS if searches else 0)
