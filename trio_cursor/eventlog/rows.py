"""The statements of the sink and the outputs on the log: what they write, and find again. Synchronous."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from trio_cursor.assembly import Pending, from_text, to_text
from trio_cursor.eventlog.texts import exact, restored, searchable
from trio_cursor.events import to_json
from trio_cursor.observations import Place
from trio_cursor.records import Event, Position

#: What reading a row raises that was not written by us, or by another version.
_NOT_READ = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@attrs.frozen
class Known:
    """How far a database was read by the last committed batch."""

    positions: dict[str, Position] = attrs.field(factory=dict)
    #: (st_dev, st_ino) of the file; None: never read.
    identity: tuple[int, int] | None = None
    #: Where its first sync began, milliseconds; None: at the beginning of all, or never read.
    since_ms: int | None = None
    #: Under which ids that are no UUIDs were reported; None: nothing was yet.
    scope: str | None = None


def append_events(connection: Any, events: Sequence[tuple[tuple[str, ...], Event]]) -> list[int]:
    """Add events, each with its keys (none for a record that is no generation). Returns their sequences."""
    keys_of = [keys for keys, _ in events]
    if not keys_of:
        return []
    # One by one as they are written: as texts they would be in memory twice.
    connection.executemany(
        "INSERT INTO events (type, timestamp, captured_at, workspace_id, workspace_hash, workspace_path,"
        " session_id, generation_id, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (_row(event) for _, event in events),
    )
    # AUTOINCREMENT counts on by one.
    last = connection.execute("SELECT last_insert_rowid()").fetchone()[0]
    sequences = list(range(last - len(keys_of) + 1, last + 1))
    connection.executemany(
        "INSERT INTO keys VALUES (?, ?)",
        (
            (exact(key), sequence)
            for keys, sequence in zip(keys_of, sequences, strict=True)
            for key in dict.fromkeys(keys)
        ),
    )
    return sequences


def _row(event: Event) -> tuple[str | int | None, ...]:
    place = event.metadata
    texts = (
        place["workspace_id"],
        place["workspace_hash"],
        place["workspace_path"],
        event.session_id,
        event.generation_id or None,
    )
    indexed = (text and searchable(text) for text in texts)
    return (event.event_type, event.timestamp, place["captured_at"], *indexed, to_json(event))


def known_keys(connection: Any, keys: Iterable[str]) -> set[str]:
    """Those of the keys that were reported already."""
    wanted = [exact(key) for key in keys]
    known: set[str] = set()
    for start in range(0, len(wanted), 500):
        some = wanted[start : start + 500]
        marks = ",".join("?" * len(some))
        rows = connection.execute(f"SELECT key FROM keys WHERE key IN ({marks})", some)  # noqa: S608 - marks
        known.update(restored(row[0]) for row in rows)
    return known


def load_known(connection: Any, database: str) -> Known:
    """Positions of one database."""
    rows = connection.execute(
        "SELECT schema, position, identity, since_ms, scope FROM positions WHERE database = ?",
        (exact(database),),
    ).fetchall()
    if not rows:
        return Known()
    _, _, identity, since_ms, scope = rows[0]
    device, _, inode = identity.partition(":")
    return Known(
        {row[0]: row[1] for row in rows},
        (int(device), int(inode)),
        since_ms,
        None if scope is None else restored(scope),
    )


def save_positions(
    connection: Any,
    database: str,
    positions: dict[str, Position],
    *,
    identity: tuple[int, int],
    since_ms: int | None,
    scope: str | None,
) -> None:
    """Move the positions of one database; all of its schemas share file identity, beginning and scope."""
    name = exact(database)
    shared = (f"{identity[0]}:{identity[1]}", since_ms, None if scope is None else exact(scope))
    connection.executemany(
        "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?, ?)",
        [(name, schema, position, *shared) for schema, position in positions.items()],
    )
    connection.execute(
        "UPDATE positions SET identity = ?, since_ms = ?, scope = ? WHERE database = ?", (*shared, name)
    )


def save_pending(connection: Any, pending: Iterable[Pending], settled: Iterable[str]) -> None:
    """Store what waits, forget what waits no more."""
    connection.executemany("DELETE FROM pending WHERE key = ?", [(exact(key),) for key in settled])
    connection.executemany(
        "INSERT OR REPLACE INTO pending VALUES (?, ?)", [(exact(item.key), to_text(item)) for item in pending]
    )


def load_pending(connection: Any, unreadable: Callable[[str], None] | None = None) -> list[Pending]:
    """What an earlier run had observed and not released.

    `unreadable` is told the key of each row that is nothing of the kind, which is passed over; without it
    such a row raises.
    """
    found = []
    for key, body in connection.execute("SELECT key, CAST(body AS BLOB) FROM pending ORDER BY key"):
        try:
            found.append(from_text(body.decode()))
        except _NOT_READ:
            if unreadable is None:
                raise
            unreadable(restored(key))
    return found


def save_places(connection: Any, places: Iterable[tuple[str, Place]]) -> None:
    """Store what says where conversations belong, each with its profile, instead of what said so before."""
    connection.executemany(
        "INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?)",
        [
            (exact(profile), exact(place.conversation_id), place.rule, json.dumps(attrs.asdict(place)))
            for profile, place in places
        ],
    )


def load_places(connection: Any, unreadable: Callable[[str], None] | None = None) -> list[tuple[str, Place]]:
    """Everything that says where conversations belong, each with its profile; `unreadable` as above."""
    found = []
    rows = connection.execute(
        "SELECT profile, conversation_id, CAST(body AS BLOB) FROM places"
        " ORDER BY profile, conversation_id, rule"
    )
    for profile, conversation_id, body in rows:
        try:
            found.append((restored(profile), Place(**json.loads(body))))
        except _NOT_READ:
            if unreadable is None:
                raise
            unreadable(restored(conversation_id))
    return found
