"""The sessions of one database through time, and to which of them a moment belongs. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable

import attrs

from trio_cursor.records import Session


@attrs.define(eq=False)
class Known:
    """A session, and what is known of it besides what is stored. Milliseconds since the epoch."""

    session: Session
    #: The last announcement of it, on our clock.
    alive_ms: int
    #: Who has told of it.
    sources: set[str]
    #: It was open before: its end then, which may be told again. Else -1.
    former_end_ms: int = -1
    #: When its end came to us, which may be long after it was said, or when this run began; 0: too late.
    received_ms: int = 0

    @property
    def is_open(self) -> bool:
        return self.session.ended_at is None

    @property
    def is_announced(self) -> bool:
        return self.session.workspace_hash is not None


def _start(known: Known) -> int:
    return known.session.started_at


def _order(known: Known) -> tuple[int, bool, tuple[str, str]]:
    """By start; at the same moment an announced one counts as the later. The same after a restart."""
    return (known.session.started_at, known.is_announced, known.session.key)


def _end(known: Known) -> tuple[int, tuple[int, bool, tuple[str, str]]]:
    return (known.session.ended_at or 0, _order(known))


def by_start(known: Iterable[Known]) -> list[Session]:
    """Sessions in the order in which they are shown."""
    return sorted((one.session for one in known), key=lambda session: (session.started_at, session.key))


@attrs.define(eq=False)
class History:
    """Sessions by start, the open ones and those that have ended.

    A session must not change while it is in here: it is taken out, changed, and put back.
    """

    _by_start: list[Known] = attrs.field(factory=list)
    #: How many of them are open.
    open_count: int = 0

    def add(self, known: Known) -> None:
        insort(self._by_start, known, key=_order)
        self.open_count += known.is_open

    def remove(self, known: Known) -> None:
        """Take out one that is in here."""
        del self._by_start[bisect_left(self._by_start, _order(known), key=_order)]
        self.open_count -= known.is_open

    def session_at(self, time_ms: int, *, until_ms: int | None, grace_ms: int) -> Known | None:
        """Which session something belongs to that began then.

        Of those that were open, the one started last; else the first one started after it, up to
        `until_ms` (None: whenever); else the last that ended, if that was at most `grace_ms` before, or
        was heard of at most so long before.
        """
        after = bisect_right(self._by_start, time_ms, key=_start)
        # An open one covers all that comes after its start, so the search is as long as there are ended ones.
        for index in range(after - 1, -1, -1):
            ended_at = self._by_start[index].session.ended_at
            if ended_at is None or time_ms <= ended_at:
                return self._by_start[index]
        if after < len(self._by_start):
            follower = self._by_start[after]
            if until_ms is None or follower.session.started_at <= until_ms:
                return follower
        # All of those before it have ended.
        last = max(self._by_start[:after], key=_end, default=None)
        if last is None:
            return None
        session = last.session
        return last if time_ms <= max(session.ended_at or 0, session.heard_at) + grace_ms else None
