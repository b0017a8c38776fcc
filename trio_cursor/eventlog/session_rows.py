"""The statements about who works: sessions, and which database an announced workspace is. Synchronous."""

from __future__ import annotations

from typing import Any

from trio_cursor.eventlog.texts import exact, restored
from trio_cursor.records import FoundMapping, Session

#: What never had a database has no events either, and may be somebody's flood.
_NOWHERE_KEPT_MS = 86_400_000


def save_session(connection: Any, session: Session) -> None:
    """Store a session that was opened, opened again, placed or closed."""
    workspace, session_id = session.key
    connection.execute(
        "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            exact(workspace),
            exact(session_id),
            _exact(session.database),
            session.source,
            session.started_at,
            session.ended_at,
            session.workspace_hash,
            _exact(session.workspace_path),
            session.heard_at,
            session.is_uncertain,
        ),
    )


def load_sessions(connection: Any, since_ms: int) -> list[Session]:
    """Sessions that an earlier run left open, and those whose end was heard of since then."""
    return [
        Session(
            session_id=restored(session_id),
            database=_restored(database),
            source=source,
            started_at=started_at,
            ended_at=ended_at,
            workspace_hash=hash_,
            workspace_path=_restored(path),
            heard_at=heard_at,
            is_uncertain=bool(is_uncertain),
        )
        for session_id, database, source, started_at, ended_at, hash_, path, heard_at, is_uncertain in (
            connection.execute(
                "SELECT session_id, database, source, started_at, ended_at, hash, path, heard_at,"
                " is_uncertain FROM sessions WHERE ended_at IS NULL OR heard_at >= ?"
                " ORDER BY started_at, session_id",
                (since_ms,),
            )
        )
    ]


def forget_sessions(connection: Any, before_ms: int) -> None:
    """Delete closed ones whose end was heard of before that, and those without a database after a day.

    Events bear the ids of their sessions all the same.
    """
    connection.execute("DELETE FROM sessions WHERE ended_at IS NOT NULL AND heard_at < ?", (before_ms,))
    connection.execute(
        "DELETE FROM sessions WHERE ended_at IS NOT NULL AND database IS NULL"
        " AND heard_at < (SELECT max(heard_at) FROM sessions) - ?",
        (_NOWHERE_KEPT_MS,),
    )
    connection.execute("DELETE FROM mappings WHERE found_at < ?", (before_ms,))


def save_mapping(connection: Any, mapping: FoundMapping) -> None:
    """Store which database an announced workspace was found to be."""
    connection.execute(
        "INSERT OR REPLACE INTO mappings VALUES (?, ?, ?, ?, ?)",
        (
            mapping.workspace_hash,
            exact(mapping.database),
            mapping.strategy,
            _exact(mapping.path),
            mapping.found_at,
        ),
    )


def load_mappings(connection: Any) -> list[FoundMapping]:
    """All of them, however old."""
    rows = connection.execute("SELECT workspace_hash, database, strategy, path, found_at FROM mappings")
    return [
        FoundMapping(hash_, restored(database), strategy, _restored(path), found_at)
        for hash_, database, strategy, path, found_at in rows
    ]


def _exact(text: str | None) -> str | bytes | None:
    return None if text is None else exact(text)


def _restored(value: str | bytes | None) -> str | None:
    return None if value is None else restored(value)
