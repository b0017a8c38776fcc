"""The registry of sessions: who works where, and to which session an event belongs. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from trio_cursor.records import Session, Workspace


def scan_session_id(workspace: Workspace) -> str:
    """The synthetic session of a workspace that nobody announces; always the same."""
    return f"scan_{workspace.id or 'global'}"


@attrs.define
class _Open:
    session: Session
    #: Last sign of life, milliseconds.
    alive_ms: int


@attrs.define
class Registry:
    """Open sessions by workspace. Discovery is the only source so far, with one session per workspace."""

    #: A session without a sign of life for this long is closed.
    inactive_ms: int
    #: So many workspaces are watched at the same time; the least recently changed of more must wait.
    max_active: int
    _open: dict[str, _Open] = attrs.field(factory=dict)

    def restore(self, sessions: Iterable[Session]) -> None:
        """Take up sessions that an earlier run left open; nothing is known yet of a later sign of life."""
        for session in sessions:
            self._open[session.database] = _Open(session, session.started_at)

    def last_changed(self, database: str, changed_ms: int, now_ms: int) -> None:
        """A workspace was found whose database was last changed then: perhaps while nobody looked."""
        known = self._open.get(database)
        if known is not None:
            known.alive_ms = max(known.alive_ms, min(changed_ms, now_ms))

    def sign_of_life(self, workspace: Workspace, now_ms: int) -> Session | None:
        """Something happened in a workspace. Returns its session if this has opened one."""
        known = self._open.get(workspace.database)
        if known is not None:
            known.alive_ms = now_ms
            return None
        session = Session(scan_session_id(workspace), workspace.database, "discovery", now_ms)
        self._open[workspace.database] = _Open(session, now_ms)
        return session

    def open_databases(self) -> list[str]:
        """Where somebody works, as far as is known."""
        return list(self._open)

    def is_active(self, database: str) -> bool:
        """Whether the workspace is to be watched: it is open, and not too many changed later than it did."""
        known = self._open.get(database)
        if known is None or not self.is_crowded():
            return known is not None
        later = sum(other.alive_ms > known.alive_ms for other in self._open.values())
        return later < self.max_active

    def is_crowded(self) -> bool:
        """Whether more workspaces are open than may be active."""
        return len(self._open) > self.max_active

    def session_id(self, workspace: Workspace) -> str:
        """The session that an event released now belongs to."""
        known = self._open.get(workspace.database)
        return known.session.session_id if known else scan_session_id(workspace)

    def expire(self, now_ms: int) -> list[Session]:
        """Close what has shown no sign of life for too long. Returns the closed sessions."""
        late = [key for key, known in self._open.items() if known.alive_ms + self.inactive_ms <= now_ms]
        return [attrs.evolve(self._open.pop(key).session, ended_at=now_ms) for key in late]

    def sessions(self) -> list[Session]:
        """Those that are open, by start."""
        return sorted(
            (known.session for known in self._open.values()), key=lambda session: session.started_at
        )
