"""What one transaction of the sink writes. Synchronous."""

from __future__ import annotations

from typing import Any

import attrs

from trio_cursor.assembly import Pending
from trio_cursor.eventlog import rows, session_rows
from trio_cursor.observations import Place
from trio_cursor.records import Event, Position, Session


@attrs.frozen
class Entry:
    """All of it, or nothing."""

    #: Each with its keys, all of which are known from then on; none for a record that is no generation.
    events: tuple[tuple[tuple[str, ...], Event], ...] = ()
    pending: tuple[Pending, ...] = ()
    #: Keys that are pending no more.
    settled: tuple[str, ...] = ()
    #: What says where conversations belong, each with its profile.
    places: tuple[tuple[str, Place], ...] = ()
    sessions: tuple[Session, ...] = ()
    database: str | None = None
    positions: dict[str, Position] = attrs.field(factory=dict)
    identity: tuple[int, int] = (0, 0)
    since_ms: int | None = None
    scope: str | None = None

    def write(self, connection: Any) -> list[int]:
        """Write it, in a transaction of the caller's. Returns the sequences of the events."""
        sequences = rows.append_events(connection, self.events)
        rows.save_pending(connection, self.pending, self.settled)
        rows.save_places(connection, self.places)
        for session in self.sessions:
            session_rows.save_session(connection, session)
        if self.database is not None:
            rows.save_positions(
                connection,
                self.database,
                self.positions,
                identity=self.identity,
                since_ms=self.since_ms,
                scope=self.scope,
            )
        return sequences
