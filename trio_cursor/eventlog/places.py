"""Which workspaces and sessions the log has anything of, by the names that a person gives. Synchronous."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs

from trio_cursor.eventlog.conditions import where
from trio_cursor.eventlog.formats import REMOTE_URI
from trio_cursor.eventlog.reading import Filter
from trio_cursor.eventlog.texts import searchable

#: How a workspace is called where it needs one name; NULL: it is none. Two hosts may have the same path. As
#: bytes: of a text that is not UTF-8 SQLite's error would look like one of the whole log.
NAME: Final = f"CAST(coalesce({REMOTE_URI}, workspace_path, workspace_id, workspace_hash) AS BLOB)"
_SEPARATORS: Final = re.compile(r"[/\\]")


def holds(connection: Any, wanted: Filter) -> bool:
    """Whether there is anything of it."""
    condition, values = where(wanted)
    row = connection.execute(f"SELECT EXISTS (SELECT 1 FROM events WHERE {condition})", values).fetchone()  # noqa: S608 - constants
    return bool(row[0])


def workspaces_in(connection: Any, wanted: Filter) -> list[str]:
    """The workspaces of what is wanted: each by its URI if it is remote, else its path, id or hash."""
    condition, values = where(wanted)
    rows = connection.execute(f"SELECT DISTINCT {NAME} FROM events WHERE {condition} ORDER BY 1", values)  # noqa: S608 - constants
    return [called(name) for (name,) in rows if name is not None]


def called(name: bytes) -> str:
    """What is read as `NAME`."""
    return name.decode("utf-8", "replace")


def paths_in(connection: Any) -> list[str]:
    """The paths of everything."""
    rows = connection.execute("SELECT DISTINCT workspace_path FROM events ORDER BY 1")
    return [str(path) for (path,) in rows if path is not None]


def sessions_in(connection: Any) -> list[str]:
    """The sessions of everything."""
    rows = connection.execute("SELECT DISTINCT session_id FROM events ORDER BY 1")
    return [str(name) for (name,) in rows]


def last_part(path: str) -> str:
    """What a folder is called, by the rules of any system."""
    return _SEPARATORS.split(path.rstrip("/\\"))[-1]


def narrowed(connection: Any, wanted: Filter) -> Filter:
    """Only the workspace that is called so, whole or by the last part of its path, if that is one alone.

    Else as it was: each that has the name anywhere in its path.
    """
    if wanted.workspace is None:
        return wanted
    exactly = _one_called(connection, wanted.workspace)
    return wanted if exactly is None else attrs.evolve(wanted, workspace=None, workspace_exactly=exactly)


def _one_called(connection: Any, name: str) -> str | None:
    for whole in (name, name.rstrip("/\\")):  # as a shell completes a directory
        found = workspaces_in(connection, Filter(event_type=None, workspace_exactly=whole)) if whole else []
        if len(found) > 1 and _SEPARATORS.search(whole):
            return None  # the same path, here and on other hosts
        if found:
            return whole
    having = workspaces_in(connection, Filter(event_type=None, workspace=name))
    ending = [place for place in having if last_part(place) == searchable(name)]
    return ending[0] if len(ending) == 1 else None
