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

from trio_cursor.cursor.schemas.values import clean_text, is_uuid
from trio_cursor.errors import StateError
from trio_cursor.eventlog import transaction
from trio_cursor.events import EVENT_TYPE, from_json
from trio_cursor.observations import Json, JsonObject
from trio_cursor.page_index.file import FILE_NAME, connected, exists, of_the_log
from trio_cursor.page_index.words import stored
from trio_cursor.records import Event
from trio_cursor.sqlite_library import sqlite3

#: Of each text so much can be searched, in characters.
_SEARCHED = 20_000
#: Of each text so much stands in a line of the list.
_HEAD = 240
_STEP_BYTES = 2_000_000
#: SQLite's integers have 64 bits.
_MOST = 1 << 63

Outgoing = Callable[[Event], Event]
#: Is told the sequence of what the log has and the index cannot take.
PassOver = Callable[[int], object]


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


def fill(
    connection: Any, outgoing: Outgoing, pass_over: PassOver = lambda _: None, *, limit: int = 200
) -> bool:
    """Take in one step of events, what is new first. Returns whether there is more to take in.

    Nothing stops at a row for ever: one that cannot be read or stored is passed over. Raises `StateError`
    if the log cannot be read for another reason than damage.
    """
    high, low, newest, oldest = _marks(connection)
    if high < newest:
        events, until = _read_over(connection, _Side("seq > ? ORDER BY seq", high, 1), limit, pass_over)
        high = newest if until is None else min(until, newest)
    elif oldest is not None and oldest < low:
        events, until = _read_over(connection, _Side("seq < ? ORDER BY seq DESC", low, -1), limit, pass_over)
        low = oldest if until is None else max(until, oldest)
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
    with of_the_log():
        # Sequences have no holes but of what was deleted, so that there is mostly nothing to compare.
        deleted = connection.execute(
            "SELECT max(coalesce((SELECT seq FROM log.sqlite_sequence WHERE name = 'events'), 0)"
            " - (SELECT count(*) FROM log.events), 0)"
        ).fetchone()[0]
    if (str(deleted),) == connection.execute("SELECT value FROM meta WHERE key = 'deleted'").fetchone():
        return 0
    gone = _gone(connection)
    with transaction(connection):
        for table, column in (("facts", "seq"), ("heads", "seq"), ("texts", "rowid")):
            connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", gone)  # noqa: S608 - ours
        connection.execute(
            "DELETE FROM names WHERE id NOT IN (SELECT workspace FROM facts UNION SELECT model FROM facts"
            " UNION SELECT kind FROM facts UNION SELECT status FROM facts)"
        )
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('deleted', ?)", (str(deleted),))
    # Deleted rows are overwritten in the file, not in the log of its changes beside it.
    connection.execute("PRAGMA main.wal_checkpoint(TRUNCATE)").fetchall()
    return len(gone)


def _gone(connection: Any) -> list[tuple[int]]:
    """Sequences of what is here, and in the log no longer."""
    # What is taken in meanwhile is not compared with what was there before.
    newest = connection.execute("SELECT max(seq) FROM heads").fetchone()[0]
    connection.execute("CREATE TEMP TABLE kept (seq INTEGER PRIMARY KEY)")
    try:
        with of_the_log():
            # The sign keeps it from walking through the events themselves, which an index spares.
            connection.execute("INSERT INTO temp.kept SELECT +seq FROM log.events")
        found: list[tuple[int]] = connection.execute(
            "SELECT seq FROM heads WHERE seq <= ? AND seq NOT IN (SELECT seq FROM temp.kept)", (newest,)
        ).fetchall()
    finally:
        connection.execute("DROP TABLE temp.kept")
    return found


def prune_beside(directory: Path) -> int:
    """The same beside a service, or without one; 0 where there is no index.

    Raises `sqlite3.Error`, and `StateError` of the log.
    """
    if not exists(directory):
        return 0
    with closing(connected(directory / FILE_NAME, directory)) as connection:
        return prune(connection)


def _marks(connection: Any) -> tuple[int, int, int, int | None]:
    """From which sequence on and up to which it is filled; the newest of the log; its oldest, if any."""
    known = dict(connection.execute("SELECT key, value FROM meta WHERE key IN ('high', 'low')"))
    with of_the_log():
        newest, oldest = connection.execute(
            "SELECT (SELECT seq FROM log.sqlite_sequence WHERE name = 'events'),"
            " (SELECT min(seq) FROM log.events)"
        ).fetchone()
    return int(known["high"]), int(known["low"]), newest or 0, oldest


@attrs.frozen
class _Side:
    """Of a mark."""

    which: str
    mark: int
    #: To the next sequence.
    step: int


def _read_over(
    connection: Any, side: _Side, limit: int, pass_over: PassOver
) -> tuple[list[Event], int | None]:
    """As `_read`, or, where the file is damaged, the next event alone, or the place behind it."""
    for wanted in (limit, 1):
        try:
            return _read(connection, side, wanted, pass_over)
        except StateError as error:
            if not _is_damage(error.__cause__):
                raise
    # Of a row that cannot be read the sequence cannot be, either: there are no holes but of what was deleted.
    beyond = side.mark + side.step
    pass_over(beyond)
    return [], beyond


def _is_damage(error: BaseException | None) -> bool:
    """Whether it does not pass by itself, as what SQLite says of locks and devices may."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)


def _read(connection: Any, side: _Side, limit: int, pass_over: PassOver) -> tuple[list[Event], int | None]:
    """Events on one side of a mark, and the next mark; None: there was nothing more."""
    found: list[Event] = []
    until, seen, size = None, 0, 0
    with (
        of_the_log(),
        closing(
            connection.execute(
                f"SELECT seq, type = ?, CAST(body AS BLOB) FROM log.events WHERE {side.which} LIMIT ?",  # noqa: S608 - constants
                (EVENT_TYPE, side.mark, limit),
            )
        ) as rows,
    ):
        for seq, is_event, body in rows:
            until, seen, size = seq, seen + 1, size + len(body)
            if is_event:
                found += _events(seq, body, pass_over)
            if size >= _STEP_BYTES:
                return found, until
    return found, until if seen == limit else None


def _events(seq: int, body: bytes, pass_over: PassOver) -> Iterable[Event]:
    """The event, if the row is one that can be stored."""
    try:
        found = from_json(body, seq)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass_over(seq)
        return ()
    # The id is looked for in the log's text of it, where it stands so only if it is one of ours.
    if not is_uuid(found.event_id) or not -_MOST <= found.timestamp < _MOST:
        pass_over(seq)
        return ()
    return (found,)


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
    """By which name a workspace is chosen: its URI if it is on another host, else its path, else its id."""
    uri = _text(metadata.get("workspace_uri"))
    # Paths alone are the same on many hosts.
    remote = "" if uri.startswith("file:") else uri
    return remote or _text(metadata.get("workspace_path")) or _text(metadata.get("workspace_id")) or "global"


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
