"""A filter as a condition in SQL: only what is asked for, so that the index of times is used if it helps."""

from __future__ import annotations

from typing import Final

from trio_cursor.eventlog.formats import REMOTE_URI
from trio_cursor.eventlog.reading import Filter
from trio_cursor.eventlog.texts import searchable

_CONDITIONS: Final = {
    "since": "timestamp >= :since",
    "until": "timestamp < :until",
    "type": "type = :type",
    "session": "session_id = :session",
    "workspace": "(workspace_id = :workspace OR workspace_hash = :workspace"
    " OR instr(workspace_path, :workspace) > 0)",
    "exactly": ":exactly IN (workspace_path, workspace_id, workspace_hash)",
}
#: Only for what may be one: it stands in the whole text of an event.
_URI_CONDITIONS: Final = {
    "workspace": f"instr({REMOTE_URI}, :workspace) > 0",
    "exactly": f"{REMOTE_URI} = :exactly",
}


def where(wanted: Filter) -> tuple[str, dict[str, object]]:
    """The condition, made of constants, and its values."""
    values: dict[str, object] = {
        "since": wanted.since_ms,
        "until": wanted.until_ms,
        "type": wanted.event_type,
        "session": None if wanted.session is None else searchable(wanted.session),
        "workspace": None if wanted.workspace is None else searchable(wanted.workspace),
        "exactly": None if wanted.workspace_exactly is None else searchable(wanted.workspace_exactly),
    }
    given = [
        _URI_CONDITIONS[name] if name in _URI_CONDITIONS and "://" in str(value) else _CONDITIONS[name]
        for name, value in values.items()
        if value is not None
    ]
    return " AND ".join(given) or "TRUE", values
