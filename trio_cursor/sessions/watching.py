"""Which databases are to be watched, by the sessions that are open in them or have ended of late. Pure.

All times are milliseconds since the epoch, and what time it is is an argument.
"""

from __future__ import annotations

import attrs

from trio_cursor.sessions.book import Book


@attrs.define(eq=False)
class Watching:
    """Looks things up in the book of sessions, and changes nothing in it."""

    _book: Book
    #: So many workspaces are watched at the same time; the least recently changed of more must wait.
    max_active: int

    def is_active(self, database: str, now_ms: int) -> bool:
        """Whether the workspace is to be watched.

        A session is open there, or has ended a moment ago, and not too many others were alive later.
        """
        if not self.has_session(database, now_ms):
            return False
        later = self._book.ranking.later_than(database, self._book.places[database].alive_ms)
        return later < self.max_active

    def may_finish(self, database: str, now_ms: int) -> bool:
        """Whether what is pending there is to be read: it is active, or was a while ago, or never was."""
        place = self._book.places.get(database)
        if place is None or self.is_active(database, now_ms):
            return True
        if place.history.open_count:
            return False
        return place.ended_ms is None or place.has_ended_within(self._book.settle_ms, now_ms)

    def has_session(self, database: str, now_ms: int) -> bool:
        """Whether somebody works there, or did a moment ago."""
        return self._is_watched(database, now_ms, self._book.end_grace_ms)

    def with_session(self, now_ms: int) -> list[str]:
        """Where somebody works or did a moment ago, however many that are."""
        return [database for database in self._book.places if self.has_session(database, now_ms)]

    def is_finishing(self, database: str, now_ms: int) -> bool:
        """Whether a session is open there, or has ended so lately that what is pending is still read."""
        return self._is_watched(database, now_ms, self._book.settle_ms)

    def finishing(self, now_ms: int) -> list[str]:
        """Where a session is open, or has ended so lately that what is pending is still read."""
        return [database for database in self._book.places if self.is_finishing(database, now_ms)]

    def is_crowded(self) -> bool:
        """Whether more workspaces are to be watched than may be active."""
        return len(self._book.ranking) > self.max_active

    def _is_watched(self, database: str, now_ms: int, span_ms: int) -> bool:
        place = self._book.places.get(database)
        return place is not None and place.is_watched(now_ms, span_ms)
