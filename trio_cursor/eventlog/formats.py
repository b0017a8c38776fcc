"""What is in the log's file: its layout, and how one of an older format becomes one of this."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from trio_cursor.assembly import PendingEntry, to_text
from trio_cursor.eventlog.texts import exact
from trio_cursor.logs import get_logger
from trio_cursor.observations import RingEntry
from trio_cursor.records import Workspace

log = get_logger(__name__)

FORMAT = 4
APPLICATION_ID = 0x7472636F  # "trco"
#: An event's id, which stands at the beginning of its text. Of a text that is no event this is anything.
EVENT_ID = """substr(body, instr(body, '"event_id":"') + 12, 36)"""
_URI_AT = """instr(body, '"workspace_uri":')"""
#: The URI of a remote folder, else NULL. Every event has one, or null, before what others have written.
REMOTE_URI = f"""CASE WHEN {_URI_AT} AND substr(body, {_URI_AT} + 16, 1) = '"'
 THEN substr(body, {_URI_AT} + 17, instr(substr(body, {_URI_AT} + 17), '"') - 1) END"""

#: How format 1 wrote a byte of a path that is no UTF-8.
_ESCAPED_BYTE = re.compile(r"\\u(dc[89a-f][0-9a-f])")

_LAYOUT = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- What is published, in order. AUTOINCREMENT: a sequence is never used again, whatever was deleted.
CREATE TABLE events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  type TEXT NOT NULL,
  timestamp INTEGER NOT NULL,
  captured_at INTEGER NOT NULL,
  workspace_id TEXT,
  workspace_hash TEXT,
  workspace_path TEXT,
  session_id TEXT NOT NULL,
  generation_id TEXT,
  body TEXT NOT NULL
);
CREATE INDEX events_by_time ON events (timestamp);
CREATE INDEX events_by_capture ON events (captured_at);
-- What was ever reported, under each of its names; kept when the event has gone.
CREATE TABLE keys (key TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE positions (
  database TEXT NOT NULL, schema TEXT NOT NULL, position TEXT NOT NULL,
  identity TEXT NOT NULL, since_ms INTEGER, scope TEXT,
  PRIMARY KEY (database, schema)
) WITHOUT ROWID;
-- How far each output has taken the events, and up to where each stream of announcements was taken in.
CREATE TABLE cursors (name TEXT PRIMARY KEY, seq INTEGER NOT NULL, detail TEXT NOT NULL) WITHOUT ROWID;
"""
#: What format 2 has and format 1 had not, or not so.
_LAYOUT_2 = f"""
-- Observed, but not released yet.
CREATE TABLE pending (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
-- What says where a conversation belongs.
CREATE TABLE places (
  profile TEXT NOT NULL, conversation_id TEXT NOT NULL, rule INTEGER NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (profile, conversation_id, rule)
) WITHOUT ROWID;
CREATE INDEX events_by_generation ON events (generation_id COLLATE NOCASE);
CREATE INDEX events_by_event_id ON events ({EVENT_ID});
"""
#: What format 3 has and format 2 had not, or not so.
_LAYOUT_3 = """
-- `workspace`: as announced (its hash), or the database of a session that nobody announced.
CREATE TABLE sessions (
  workspace TEXT NOT NULL, session_id TEXT NOT NULL, database TEXT, source TEXT NOT NULL,
  started_at INTEGER NOT NULL, ended_at INTEGER, hash TEXT, path TEXT,
  heard_at INTEGER NOT NULL, is_uncertain INTEGER NOT NULL,
  PRIMARY KEY (workspace, session_id)
) WITHOUT ROWID;
CREATE INDEX sessions_by_sign ON sessions (heard_at);
-- Which database an announced workspace was found to be.
CREATE TABLE mappings (
  workspace_hash TEXT PRIMARY KEY, database TEXT NOT NULL, strategy TEXT NOT NULL, path TEXT,
  found_at INTEGER NOT NULL
) WITHOUT ROWID;
"""
#: What format 4 has and format 3 had not.
_LAYOUT_4 = """
-- Events that an output can never take, and why.
CREATE TABLE dead (
  output TEXT NOT NULL, seq INTEGER NOT NULL, event_id TEXT NOT NULL, reason TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (output, seq)
) WITHOUT ROWID;
"""


def make(connection: Any) -> None:
    """Fill an empty file, in a transaction of the caller's."""
    _execute(connection, _LAYOUT + _LAYOUT_2 + _LAYOUT_3 + _LAYOUT_4)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={FORMAT}")
    made = [("producer_id", str(uuid.uuid4())), ("created_at", str(int(time.time() * 1000)))]
    connection.executemany("INSERT INTO meta VALUES (?, ?)", made)


def migrate(connection: Any) -> None:
    """Bring a log of an older format to this one, in a transaction of the caller's."""
    for older in range(format_of(connection), FORMAT):
        _STEPS[older](connection)
        log.info("the event log was brought to a newer format", format=older + 1)
    connection.execute(f"PRAGMA user_version={FORMAT}")


def format_of(connection: Any) -> int:
    """Which format the file says that it has; 0: none."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _from_1_to_2(connection: Any) -> None:
    waiting = connection.execute("SELECT key, workspace, entry, seen_ms FROM pending").fetchall()
    connection.execute("DROP TABLE pending")
    _execute(connection, _LAYOUT_2)
    for key, workspace, entry, seen_ms in waiting:
        try:
            item = PendingEntry(
                key, Workspace(**json.loads(workspace)), RingEntry(**json.loads(entry)), seen_ms
            )
        except (ValueError, TypeError, RecursionError):
            log.error("what was pending in the event log cannot be read and is lost", key=key)  # noqa: TRY400 - one line
            continue
        connection.execute("INSERT INTO pending VALUES (?, ?)", (key, to_text(item)))
    for table, column in (("positions", "database"), ("sessions", "database"), ("cursors", "name")):
        for (text,) in connection.execute(f"SELECT DISTINCT {column} FROM {table}").fetchall():  # noqa: S608 - ours
            path = _ESCAPED_BYTE.sub(lambda found: chr(int(found[1], 16)), text)
            if path != text:
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (exact(path), text))  # noqa: S608 - ours


def _from_2_to_3(connection: Any) -> None:
    known = connection.execute(
        "SELECT database, session_id, source, started_at, ended_at FROM sessions"
    ).fetchall()
    connection.execute("DROP TABLE sessions")
    _execute(connection, _LAYOUT_3)
    connection.executemany(
        "INSERT INTO sessions VALUES (?1, ?2, ?1, ?3, ?4, ?5, NULL, NULL, coalesce(?5, ?4), 0)", known
    )


def _from_3_to_4(connection: Any) -> None:
    _execute(connection, _LAYOUT_4)


_STEPS: dict[int, Callable[[Any], None]] = {1: _from_1_to_2, 2: _from_2_to_3, 3: _from_3_to_4}


def _execute(connection: Any, statements: str) -> None:
    """Not `executescript`, which would commit what the caller has begun."""
    for statement in statements.split(";\n"):
        connection.execute(statement)
