"""The event log's file: its layout, how it is opened, and the statements on it. Synchronous."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import attrs

from trio_cursor.assembly import Pending
from trio_cursor.errors import StateError
from trio_cursor.events import EVENT_TYPE, GAP_TYPE, from_json, to_json
from trio_cursor.records import Event, Position, RingEntry, Session, Workspace
from trio_cursor.sqlite_library import sqlite3
from trio_cursor.state_dir import create_private

FILE_NAME = "events.sqlite3"
FORMAT = 1
_APPLICATION_ID = 0x7472636F  # "trco"
_BUSY_SECONDS = 5.0
#: About what one reported generation takes for ever: a UUID and a number, in pages that are never full.
_KEY_BYTES = 100

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
-- What was ever reported; kept when the event has gone.
CREATE TABLE keys (key TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
-- Observed, but not released yet.
CREATE TABLE pending (
  key TEXT PRIMARY KEY, workspace TEXT NOT NULL, entry TEXT NOT NULL, seen_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE positions (
  database TEXT NOT NULL, schema TEXT NOT NULL, position TEXT NOT NULL,
  identity TEXT NOT NULL, since_ms INTEGER, scope TEXT,
  PRIMARY KEY (database, schema)
) WITHOUT ROWID;
CREATE TABLE sessions (
  database TEXT NOT NULL, session_id TEXT NOT NULL, source TEXT NOT NULL,
  started_at INTEGER NOT NULL, ended_at INTEGER,
  PRIMARY KEY (database, session_id)
) WITHOUT ROWID;
-- How far each output has taken the events.
CREATE TABLE cursors (name TEXT PRIMARY KEY, seq INTEGER NOT NULL, detail TEXT NOT NULL) WITHOUT ROWID;
"""


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


@attrs.frozen
class Filter:
    """Which events to read. Empty fields let everything through."""

    since_ms: int | None = None
    #: Part of the workspace's path, or its id or hash.
    workspace: str | None = None
    session: str | None = None
    #: `database_gap` instead of `database_trace`; None: both.
    event_type: str | None = EVENT_TYPE


def _connect(path: Path, *, read_only: bool) -> Any:
    mode = "ro" if read_only else "rw"
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("PRAGMA temp_store=MEMORY")
    return connection


def trouble(path: Path, error: Exception) -> StateError:
    """What to say of a file that SQLite or the system will not have."""
    return StateError(
        f"the event log {path} cannot be used ({error}); "
        "move it away to start a new one, or name another directory with --state-dir"
    )


@contextmanager
def guarded(path: Path) -> Iterator[ExitStack]:
    """Opening the log: what is on the stack stays open if all goes well, and is closed if anything fails.

    What SQLite and the system say of it becomes a `StateError`.
    """
    try:
        with ExitStack() as opened:
            yield opened
            opened.pop_all()
    except (OSError, sqlite3.Error) as error:
        raise trouble(path, error) from error


def open_for_writing(directory: Path, *, platform: str = sys.platform) -> Any:
    """Open the log in the directory, making it if need be. Raises `StateError`."""
    path = directory / FILE_NAME
    with guarded(path) as opened:
        create_private(path)
        connection = opened.enter_context(closing(_connect(path, read_only=False)))
        # A position must never be on the disk before what it has moved past.
        connection.execute("PRAGMA synchronous=FULL")
        if platform == "darwin":  # where fsync hands over to the drive, which may still change the order
            connection.execute("PRAGMA fullfsync=ON")
        _prepare(connection, path)
    return connection


def _prepare(connection: Any, path: Path) -> None:
    is_made = _is_made(connection, path)
    # Only now: the mode is written into the file, which might have turned out to be none of ours.
    connection.execute("PRAGMA journal_mode=WAL")
    if is_made:
        return
    with transaction(connection):
        if not _is_made(connection, path):  # nobody was faster
            for statement in _LAYOUT.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={FORMAT}")
            made = [("producer_id", str(uuid.uuid4())), ("created_at", str(int(time.time() * 1000)))]
            connection.executemany("INSERT INTO meta VALUES (?, ?)", made)


def _is_made(connection: Any, path: Path) -> bool:
    """Whether the log is there; False: the file is empty. Raises `StateError` if it is something else."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not (version or application or tables):
        return False
    if application != _APPLICATION_ID:
        raise StateError(
            f"{path} is not an event log of trio_cursor; name another directory with --state-dir"
        )
    if version > FORMAT:
        raise StateError(f"{path} was written by a newer trio_cursor (format {version}); update this one")
    return True


def open_for_reading(directory: Path) -> Any | None:
    """Open an existing log for reading beside its writer; None if there is none yet. Raises `StateError`."""
    path = directory / FILE_NAME
    with guarded(path) as opened:
        try:
            if path.stat().st_size == 0:
                return None
        except FileNotFoundError:
            return None
        connection = opened.enter_context(closing(_connect(path, read_only=True)))
        if _is_made(connection, path):
            return connection
        connection.close()  # made this instant by the service that is starting
    return None


@contextmanager
def transaction(connection: Any) -> Iterator[None]:
    """All or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have rolled back by itself already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def append_events(connection: Any, events: Iterable[tuple[str | None, Event]]) -> list[int]:
    """Add events, each with its key (None for a record that is no generation). Returns their sequences."""
    sequences = []
    for key, event in events:
        place = event.metadata
        sequence = connection.execute(
            "INSERT INTO events (type, timestamp, captured_at, workspace_id, workspace_hash, workspace_path,"
            " session_id, generation_id, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                event.event_type,
                event.timestamp,
                place["captured_at"],
                place["workspace_id"],
                place["workspace_hash"],
                place["workspace_path"],
                event.session_id,
                event.generation_id or None,
                to_json(event),
            ),
        ).lastrowid
        if key is not None:
            connection.execute("INSERT INTO keys VALUES (?, ?)", (key, sequence))
        sequences.append(sequence)
    return sequences


def _storable(text: str) -> str:
    """Paths may hold bytes that are not UTF-8, which Python writes as lone surrogates and SQLite refuses."""
    return text.encode("utf-8", "backslashreplace").decode()


def known_keys(connection: Any, keys: Iterable[str]) -> set[str]:
    """Those of the keys that were reported already."""
    wanted = list(keys)
    known: set[str] = set()
    for start in range(0, len(wanted), 500):
        some = wanted[start : start + 500]
        marks = ",".join("?" * len(some))
        rows = connection.execute(f"SELECT key FROM keys WHERE key IN ({marks})", some)  # noqa: S608 - marks
        known.update(row[0] for row in rows)
    return known


def load_known(connection: Any, database: str) -> Known:
    """Positions of one database."""
    rows = connection.execute(
        "SELECT schema, position, identity, since_ms, scope FROM positions WHERE database = ?",
        (_storable(database),),
    ).fetchall()
    if not rows:
        return Known()
    device, _, inode = rows[0][2].partition(":")
    return Known({row[0]: row[1] for row in rows}, (int(device), int(inode)), *rows[0][3:])


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
    database, shared = (
        _storable(database),
        (f"{identity[0]}:{identity[1]}", since_ms, scope and _storable(scope)),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?, ?)",
        [(database, schema, position, *shared) for schema, position in positions.items()],
    )
    connection.execute(
        "UPDATE positions SET identity = ?, since_ms = ?, scope = ? WHERE database = ?", (*shared, database)
    )


def save_pending(connection: Any, pending: Iterable[Pending], settled: Iterable[str]) -> None:
    """Store what waits, forget what waits no more."""
    connection.executemany("DELETE FROM pending WHERE key = ?", [(key,) for key in settled])
    connection.executemany(
        "INSERT OR REPLACE INTO pending VALUES (?, ?, ?, ?)",
        [
            (
                item.key,
                json.dumps(attrs.asdict(item.workspace)),
                json.dumps(attrs.asdict(item.entry, recurse=False)),
                item.seen_ms,
            )
            for item in pending
        ],
    )


def load_pending(connection: Any) -> list[Pending]:
    """What an earlier run had observed and not released."""
    return [
        Pending(key, Workspace(**json.loads(workspace)), RingEntry(**json.loads(entry)), seen_ms)
        for key, workspace, entry, seen_ms in connection.execute(
            "SELECT key, workspace, entry, seen_ms FROM pending ORDER BY key"
        )
    ]


def save_session(connection: Any, session: Session) -> None:
    """Store a session that was opened, opened again or closed."""
    connection.execute(
        "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?)",
        (
            _storable(session.database),
            session.session_id,
            session.source,
            session.started_at,
            session.ended_at,
        ),
    )


def load_open_sessions(connection: Any) -> list[Session]:
    """Sessions that an earlier run left open."""
    return [
        Session(session_id, database, source, started_at)
        for database, session_id, source, started_at in connection.execute(
            "SELECT database, session_id, source, started_at FROM sessions WHERE ended_at IS NULL"
        )
    ]


def load_cursor(connection: Any, name: str) -> tuple[int, str]:
    """Sequence up to which an output has the events, and what else it stored."""
    row = connection.execute("SELECT seq, detail FROM cursors WHERE name = ?", (_storable(name),)).fetchone()
    return (row[0], row[1]) if row else (0, "")


def save_cursor(connection: Any, name: str, sequence: int, detail: str) -> None:
    """Remember how far an output is."""
    connection.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", (_storable(name), sequence, detail))


def last_sequence(connection: Any) -> int:
    """Highest sequence ever given, whether its event is still here or not."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return int(row[0]) if row else 0


def read_events(
    connection: Any,
    wanted: Filter,
    *,
    after: int = 0,
    limit: int = -1,
    max_bytes: int | None = None,
    by_time: bool = False,
    newest: bool = False,
    unreadable: Callable[[int], None] | None = None,
) -> list[Event]:
    """Events behind a sequence; `newest`: the last `limit` of them, still in ascending order.

    `max_bytes`: stop after the event with which the texts read have so many. `unreadable` is told the
    sequence of each row that is no event, which is passed over; without it such a row raises as `from_json`.
    """
    if limit == 0:
        return []
    order = "timestamp, seq" if by_time else "seq"
    descending = "timestamp DESC, seq DESC" if by_time else "seq DESC"
    # As bytes: of a text that is not UTF-8 SQLite's error would look like one of the whole log. No LIMIT:
    # nothing is sorted, so rows come one by one, and a row that is passed over does not count.
    rows = connection.execute(
        "SELECT seq, CAST(body AS BLOB) FROM events WHERE seq > :after"  # noqa: S608 - the order is one of four constants
        " AND (:since IS NULL OR timestamp >= :since)"
        " AND (:type IS NULL OR type = :type)"
        " AND (:session IS NULL OR session_id = :session)"
        " AND (:workspace IS NULL OR workspace_id = :workspace OR workspace_hash = :workspace"
        "      OR instr(workspace_path, :workspace) > 0)"
        f" ORDER BY {descending if newest else order}",
        {
            "after": after,
            "since": wanted.since_ms,
            "type": wanted.event_type,
            "session": None if wanted.session is None else _storable(wanted.session),
            "workspace": None if wanted.workspace is None else _storable(wanted.workspace),
        },
    )
    found: list[Event] = []
    size = 0
    with closing(rows):
        for sequence, body in rows:
            try:
                found.append(from_json(body, sequence))
            except (ValueError, KeyError, TypeError, RecursionError):
                if unreadable is None:
                    raise
                unreadable(sequence)
                continue
            size += len(body)
            if len(found) == limit or (max_bytes is not None and size >= max_bytes):
                break
    return found[::-1] if newest else found


def totals(connection: Any) -> dict[str, int]:
    """Counts for `status`: generations and gap records that the log holds now."""
    found = dict(connection.execute("SELECT type, count(*) FROM events GROUP BY type"))
    return {"generations": found.get(EVENT_TYPE, 0), "gaps": found.get(GAP_TYPE, 0)}


@attrs.frozen
class Retired:
    """What the retention deleted."""

    events: int = 0
    #: Of these, how many an output had not taken yet: lost for it.
    untaken: int = 0
    #: What is kept for ever leaves too little room: the log is above its limit and stays there.
    is_too_large: bool = False


def retire(
    connection: Any, *, before_ms: int, max_bytes: int, taken: int | None, slice_events: int = 1000
) -> Retired:
    """Delete one slice of the oldest events that are past their days, or above the size limit.

    `taken`: the sequence that every output has; None: there are no outputs. What an output has not
    taken goes only when the size limit forces it. Keys stay for ever, and events are not deleted for them.
    """
    used = _used_bytes(connection)
    excess, is_too_large = 0, False
    if used > max_bytes:
        # Deleting events frees nothing of the rest: half of the limit is theirs, whatever the rest takes.
        rest = _kept_bytes(connection)
        room = max(max_bytes - rest, max_bytes // 2)
        excess, is_too_large = used - rest - room, rest + room > max_bytes
    if excess > 0:
        rows = _oldest(connection, slice_events, excess)
    else:
        rows = connection.execute(
            "SELECT seq FROM events WHERE captured_at < ? AND (? IS NULL OR seq <= ?)"
            " ORDER BY captured_at LIMIT ?",
            (before_ms, taken, taken, slice_events),
        ).fetchall()
    connection.executemany("DELETE FROM events WHERE seq = ?", rows)
    untaken = 0 if taken is None else sum(row[0] > taken for row in rows)
    return Retired(len(rows), untaken, is_too_large)


def _used_bytes(connection: Any) -> int:
    page = connection.execute("PRAGMA page_size").fetchone()[0]
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    free = connection.execute("PRAGMA freelist_count").fetchone()[0]
    return int((pages - free) * page)


def _kept_bytes(connection: Any) -> int:
    """About what no retention can delete. Keys by the last sequence: to count them is to read them all."""
    texts = connection.execute(
        "SELECT (SELECT total(length(database) + length(position)) FROM positions)"
        " + (SELECT total(length(key) + length(workspace) + length(entry)) FROM pending)"
    ).fetchone()[0]
    return last_sequence(connection) * _KEY_BYTES + int(texts)


def _oldest(connection: Any, limit: int, size: int) -> list[tuple[int]]:
    """As many of the oldest events as hold so many bytes, at most `limit`."""
    oldest: list[tuple[int]] = []
    with closing(
        connection.execute("SELECT seq, length(body) FROM events ORDER BY seq LIMIT ?", (limit,))
    ) as rows:
        for sequence, length in rows:
            oldest.append((sequence,))
            size -= length
            if size <= 0:
                break
    return oldest


def read_log(directory: Path, wanted: Filter, **options: Any) -> list[Event] | None:
    """Read events of a log once; None if there is no log. For commands that look and go."""
    connection = open_for_reading(directory)
    if connection is None:
        return None
    with closing(connection):
        return read_events(connection, wanted, **options)
