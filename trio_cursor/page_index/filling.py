"""How the index follows the log: what is new first, then backwards, and what is deleted there goes here.

Synchronous, one step at a time: whoever calls decides how much of the machine it may take.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import closing
from operator import attrgetter
from pathlib import Path
from typing import Any

import attrs

from trio_cursor.cursor.schemas.values import clean_text
from trio_cursor.eventlog import transaction
from trio_cursor.events import EVENT_TYPE, from_json
from trio_cursor.observations import Json, JsonObject
from trio_cursor.page_index.file import FILE_NAME, connected, exists
from trio_cursor.page_index.words import stored
from trio_cursor.records import Event

#: Of each text so much can be searched, in characters.
_SEARCHED = 20_000
#: Of each text so much stands in a line of the list.
_HEAD = 240
_STEP_BYTES = 2_000_000

Outgoing = Callable[[Event], Event]


@attrs.frozen
class Progress:
    """How much of the log is in the index."""

    #: Records that are in the log and not here yet.
    missing: int
    total: int


def progress(connection: Any) -> Progress:
    """How far it is, by sequences."""
    high, low, newest, oldest = _marks(connection)
    below = max(low - oldest, 0) if oldest is not None else 0
    missing = below + newest - high
    total = 0 if oldest is None else newest - oldest + 1
    return Progress(min(missing, total), total)


def fill(connection: Any, outgoing: Outgoing, *, limit: int = 200) -> bool:
    """Take in one step of events, what is new first. Returns whether there is more to take in."""
    high, low, newest, oldest = _marks(connection)
    if high < newest:
        events, until = _read(connection, "seq > ? ORDER BY seq", high, limit)
        high = newest if until is None else until
    elif oldest is not None and oldest < low:
        events, until = _read(connection, "seq < ? ORDER BY seq DESC", low, limit)
        low = oldest if until is None else until
    else:
        return False
    with transaction(connection):
        # Upwards in any case: of an index of words each step back is a part of its own.
        for event in sorted(events, key=attrgetter("sequence")):
            _store(connection, outgoing(event))
        connection.executemany("UPDATE meta SET value = ? WHERE key = ?", [(high, "high"), (low, "low")])
    return high < newest or (oldest is not None and oldest < low)


def prune(connection: Any) -> int:
    """Delete what the log has no longer. Returns how many."""
    # Sequences have no holes but of what was deleted, so that there is mostly nothing to compare.
    deleted = connection.execute(
        "SELECT coalesce((SELECT seq FROM log.sqlite_sequence WHERE name = 'events'), 0)"
        " - (SELECT count(*) FROM log.events)"
    ).fetchone()[0]
    if str(deleted) == connection.execute("SELECT value FROM meta WHERE key = 'deleted'").fetchone()[0]:
        return 0
    gone = connection.execute(
        # The sign keeps it from walking through the events themselves, which an index spares.
        "SELECT seq FROM heads WHERE seq NOT IN (SELECT +seq FROM log.events)"
    ).fetchall()
    with transaction(connection):
        for table, column in (("facts", "seq"), ("heads", "seq"), ("texts", "rowid")):
            connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", gone)  # noqa: S608 - ours
        connection.execute(
            "DELETE FROM names WHERE id NOT IN (SELECT workspace FROM facts UNION SELECT model FROM facts"
            " UNION SELECT kind FROM facts UNION SELECT status FROM facts)"
        )
        connection.execute("UPDATE meta SET value = ? WHERE key = 'deleted'", (str(deleted),))
    # Deleted rows are overwritten in the file, not in the log of its changes beside it.
    connection.execute("PRAGMA main.wal_checkpoint(TRUNCATE)").fetchall()
    return len(gone)


def prune_beside(directory: Path) -> int:
    """The same beside a service, or without one; 0 where there is no index. Raises `sqlite3.Error`."""
    if not exists(directory):
        return 0
    with closing(connected(directory / FILE_NAME, directory)) as connection:
        return prune(connection)


def _marks(connection: Any) -> tuple[int, int, int, int | None]:
    """From which sequence on and up to which it is filled; the newest of the log; its oldest, if any."""
    known = dict(connection.execute("SELECT key, value FROM meta WHERE key IN ('high', 'low')"))
    newest, oldest = connection.execute(
        "SELECT (SELECT seq FROM log.sqlite_sequence WHERE name = 'events'),"
        " (SELECT min(seq) FROM log.events)"
    ).fetchone()
    return int(known["high"]), int(known["low"]), newest or 0, oldest


def _read(connection: Any, which: str, mark: int, limit: int) -> tuple[list[Event], int | None]:
    """Events on one side of a mark, and the next mark; None: there was nothing more."""
    found: list[Event] = []
    until, seen, size = None, 0, 0
    with closing(
        connection.execute(
            f"SELECT seq, type, CAST(body AS BLOB) FROM log.events WHERE {which} LIMIT ?",  # noqa: S608 - constants
            (mark, limit),
        )
    ) as rows:
        for seq, type_, body in rows:
            until, seen, size = seq, seen + 1, size + len(body)
            if type_ == EVENT_TYPE:
                found += _events(seq, body)
            if size >= _STEP_BYTES:
                return found, until
    return found, until if seen == limit else None


def _events(seq: int, body: bytes) -> Iterable[Event]:
    """The event, if the row is one: the log itself says what it passes over."""
    try:
        return (from_json(body, seq),)
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()


def _store(connection: Any, event: Event) -> None:
    payload, metadata, seq = event.payload, event.metadata, event.sequence
    prompt, answer = _text(payload.get("prompt_text")), _text(payload.get("response_text"))
    facts = (
        seq,
        event.timestamp,
        _named(connection, workspace_of(metadata)),
        _named(connection, _text(payload.get("model"))),
        _named(connection, _text(payload.get("generation_type"))),
        _named(connection, _text(payload.get("status"))),
        _number(payload.get("duration_ms")),
        _number(payload.get("tokens_used")),
    )
    connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", facts)
    head = json.dumps(_head(payload, prompt, answer), separators=(",", ":"))
    connection.execute("INSERT OR REPLACE INTO heads VALUES (?, ?, ?)", (seq, event.event_id, head))
    connection.execute("DELETE FROM texts WHERE rowid = ?", (seq,))
    connection.execute(
        "INSERT INTO texts (rowid, prompt, answer) VALUES (?, ?, ?)",
        (seq, stored(prompt[:_SEARCHED]), stored(answer[:_SEARCHED])),
    )


def workspace_of(metadata: JsonObject) -> str:
    """By which name a workspace is chosen: its path, else its id."""
    return _text(metadata.get("workspace_path")) or _text(metadata.get("workspace_id")) or "global"


def _head(payload: JsonObject, prompt: str, answer: str) -> JsonObject:
    tools = payload.get("tool_calls")
    return {
        "prompt": " ".join(prompt[: 2 * _HEAD].split())[:_HEAD],
        "answer": " ".join(answer[: 2 * _HEAD].split())[:_HEAD],
        "prompt_length": _number(payload.get("prompt_length")),
        "answer_length": _number(payload.get("response_length")),
        "tools": len(tools) if isinstance(tools, list) else 0,
        "tokens": _number(payload.get("tokens_used")),
    }


def _named(connection: Any, name: str) -> int:
    found = connection.execute("SELECT id FROM names WHERE name = ?", (name,)).fetchone()
    if found is None:
        return int(connection.execute("INSERT INTO names (name) VALUES (?)", (name,)).lastrowid)
    return int(found[0])


def _text(value: Json) -> str:
    """A text as SQLite takes it."""
    return clean_text(value) if isinstance(value, str) else ""


def _number(value: Json) -> int | None:
    is_one = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53
    return value if is_one and isinstance(value, int) else None
