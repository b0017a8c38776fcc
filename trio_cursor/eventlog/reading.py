"""Which events the log holds: by filter, in any of its orders, or one by its id. Synchronous."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs

from trio_cursor.cursor.schemas.values import canonical_id, is_uuid
from trio_cursor.eventlog.file import open_for_reading
from trio_cursor.eventlog.formats import EVENT_ID, REMOTE_URI
from trio_cursor.eventlog.texts import searchable
from trio_cursor.events import EVENT_TYPE, from_json
from trio_cursor.records import Event

_SEQUENCE = re.compile("#([0-9]{1,18})")
_PREFIX_LENGTH = 6
_FOUND_AT_MOST = 20
_BY_EVENT_ID = f"SELECT seq FROM events WHERE {EVENT_ID} = ? ORDER BY seq DESC LIMIT ?"  # noqa: S608 - a constant
_BY_ID = (
    "SELECT seq FROM events WHERE generation_id = :id COLLATE NOCASE AND (:is_uuid OR generation_id = :id)"
    " ORDER BY seq DESC LIMIT :limit"
)
_BY_BEGINNING = (
    "SELECT generation_id FROM events"
    " WHERE generation_id >= :first COLLATE NOCASE AND generation_id < :last COLLATE NOCASE"
)


@attrs.frozen
class Filter:
    """Which events to read. Empty fields let everything through."""

    since_ms: int | None = None
    #: Part of the workspace's path, or its id or hash; or part of the URI of a remote folder, with its `://`.
    workspace: str | None = None
    session: str | None = None
    #: `database_gap` instead of `database_trace`; None: both.
    event_type: str | None = EVENT_TYPE
    #: The first moment that is not wanted.
    until_ms: int | None = None
    #: All of a workspace's path or URI, or its id or hash.
    workspace_exactly: str | None = None


def last_sequence(connection: Any) -> int:
    """Highest sequence ever given, whether its event is still here or not."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return int(row[0]) if row else 0


def created_at(connection: Any) -> str:
    """When the log was made, in digits; by that it is told from another one in its place."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'created_at'").fetchone()
    return str(row and row[0])


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
    is_wanted: Callable[[Event], bool] | None = None,
) -> list[Event]:
    """Events behind a sequence; `newest`: the last `limit` of them, still in ascending order.

    `max_bytes`: stop after the event with which the texts read have so many. `unreadable` is told the
    sequence of each row that is no event, which is passed over; without it such a row raises as `from_json`.
    `is_wanted`: of those that the filter lets through only these; one that is not wanted does not count.
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
        " AND (:until IS NULL OR timestamp < :until)"
        " AND (:type IS NULL OR type = :type)"
        " AND (:session IS NULL OR session_id = :session)"
        " AND (:workspace IS NULL OR workspace_id = :workspace OR workspace_hash = :workspace"
        "      OR instr(workspace_path, :workspace) > 0"
        f"     OR (instr(:workspace, '://') AND instr({REMOTE_URI}, :workspace) > 0))"
        " AND (:exactly IS NULL OR :exactly IN (workspace_path, workspace_id, workspace_hash)"
        f"     OR (instr(:exactly, '://') AND {REMOTE_URI} = :exactly))"
        f" ORDER BY {descending if newest else order}",
        {
            "after": after,
            "since": wanted.since_ms,
            "until": wanted.until_ms,
            "type": wanted.event_type,
            "session": None if wanted.session is None else searchable(wanted.session),
            "workspace": None if wanted.workspace is None else searchable(wanted.workspace),
            "exactly": None if wanted.workspace_exactly is None else searchable(wanted.workspace_exactly),
        },
    )
    found: list[Event] = []
    size = 0
    with closing(rows):
        for event, length in _events_of(rows, unreadable):
            if is_wanted is not None and not is_wanted(event):
                continue
            found.append(event)
            size += length
            if len(found) == limit or (max_bytes is not None and size >= max_bytes):
                break
    return found[::-1] if newest else found


def _events_of(
    rows: Iterable[tuple[int, bytes]], unreadable: Callable[[int], None] | None
) -> Iterator[tuple[Event, int]]:
    """Events with the lengths of their texts."""
    for sequence, body in rows:
        try:
            event = from_json(body, sequence)
        except (ValueError, KeyError, TypeError, RecursionError):
            if unreadable is None:
                raise
            unreadable(sequence)
            continue
        yield event, len(body)


def find_event(connection: Any, text: str, unreadable: Callable[[int], None] | None = None) -> list[Event]:
    """What a person means by an id: at most 20 events, the newest last; `unreadable` as for `read_events`.

    Generation id or event id, with UUIDs in any case; sequence as `#12`; or, if it is none of these, the
    beginning of one generation id alone, six characters or more. Several events can share an id that is
    no UUID: it names a generation within its workspace.
    """
    id_ = searchable(canonical_id(text))
    sequences = _with_id(connection, id_)
    if is_uuid(id_):
        sequences += [row[0] for row in connection.execute(_BY_EVENT_ID, (id_, _FOUND_AT_MOST))]
    if sequence := _SEQUENCE.fullmatch(text):
        sequences.append(int(sequence[1]))
    if not sequences and len(id_) >= _PREFIX_LENGTH and (whole := _only_id_from(connection, id_)):
        sequences = _with_id(connection, whole)
    newest = sorted(set(sequences))[-_FOUND_AT_MOST:]
    marks = ",".join("?" * len(newest))
    with closing(
        connection.execute(
            f"SELECT seq, CAST(body AS BLOB) FROM events WHERE seq IN ({marks}) ORDER BY seq",  # noqa: S608 - marks
            newest,
        )
    ) as rows:
        return [event for event, _ in _events_of(rows, unreadable)]


def events_called(
    connection: Any, event_ids: Iterable[str], unreadable: Callable[[int], None] | None = None
) -> dict[str, Event]:
    """Generations by their event ids, some hundreds at most; `unreadable` as for `read_events`."""
    wanted = list(event_ids)
    marks = ",".join("?" * len(wanted))
    with closing(
        connection.execute(
            f"SELECT seq, CAST(body AS BLOB) FROM events WHERE {EVENT_ID} IN ({marks}) AND type = ?",  # noqa: S608 - marks
            [*wanted, EVENT_TYPE],
        )
    ) as rows:
        return {event.event_id: event for event, _ in _events_of(rows, unreadable)}


def _with_id(connection: Any, id_: str) -> list[int]:
    """Sequences of the newest events of a generation id."""
    wanted = {"id": id_, "is_uuid": is_uuid(id_), "limit": _FOUND_AT_MOST}
    return [row[0] for row in connection.execute(_BY_ID, wanted)]


def _only_id_from(connection: Any, beginning: str) -> str | None:
    """The generation id that begins so, if all that begin so are one."""
    found = None
    # The greatest character is behind all that may follow.
    wanted = {"first": beginning, "last": f"{beginning}\U0010ffff"}
    with closing(connection.execute(_BY_BEGINNING, wanted)) as rows:
        for (generation_id,) in rows:
            id_ = canonical_id(generation_id)
            if not id_.startswith(beginning.lower() if is_uuid(id_) else beginning):
                continue
            if found not in (None, id_):
                return None
            found = id_
    return found


def read_log(directory: Path, wanted: Filter, **options: Any) -> list[Event] | None:
    """Read events of a log once; None if there is no log. For commands that look and go."""
    connection = open_for_reading(directory)
    if connection is None:
        return None
    with closing(connection):
        return read_events(connection, wanted, **options)
