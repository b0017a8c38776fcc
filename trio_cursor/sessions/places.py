"""Databases that sessions are in: which of them are worked in, and which changed last. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

import attrs

from trio_cursor.sessions.history import History


@attrs.define(eq=False)
class Place:
    """A database as far as sessions go. Milliseconds since the epoch; 0: never."""

    database: str
    history: History = attrs.field(factory=History)
    #: When the database was last changed, as far as is known.
    changed_ms: int = 0
    #: The last sign of life of any kind.
    alive_ms: int = 0
    #: When the last of its ends was heard of; None: none has ended here.
    ended_ms: int | None = None
    #: When those who watch it are to be told that there is less to do: end of the grace, of the settling.
    dues: list[int] = attrs.field(factory=list)
    #: As it was when that was last decided.
    was_open: bool = False
    quiet_ms: int | None = None

    def is_watched(self, now_ms: int, grace_ms: int) -> bool:
        """Whether a session is open here, or the last has ended a moment ago."""
        return self.history.open_count > 0 or self.has_ended_within(grace_ms, now_ms)

    def has_ended_within(self, span_ms: int, now_ms: int) -> bool:
        return self.ended_ms is not None and now_ms < self.ended_ms + span_ms


@attrs.define(eq=False)
class Ranking:
    """Databases by their last sign of life, so that the rank of one is found without a look at all."""

    _times: dict[str, int] = attrs.field(factory=dict)
    _sorted: list[tuple[int, str]] = attrs.field(factory=list)

    def __len__(self) -> int:
        return len(self._sorted)

    def __contains__(self, database: str) -> bool:
        return database in self._times

    def put(self, database: str, time_ms: int) -> None:
        if self._times.get(database) != time_ms:
            self.drop(database)
            self._times[database] = time_ms
            insort(self._sorted, (time_ms, database))

    def drop(self, database: str) -> None:
        time_ms = self._times.pop(database, None)
        if time_ms is not None:
            del self._sorted[bisect_left(self._sorted, (time_ms, database))]

    def later_than(self, database: str, time_ms: int) -> int:
        """How many come after it; at the same moment the names decide, so that no two are equal."""
        return len(self._sorted) - bisect_right(self._sorted, (time_ms, database))
