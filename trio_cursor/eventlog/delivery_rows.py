"""The statements of the outputs on the log: how far each is, and what it can never take. Synchronous."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from trio_cursor.eventlog.formats import EVENT_ID
from trio_cursor.eventlog.reading import last_sequence
from trio_cursor.eventlog.texts import exact, restored
from trio_cursor.records import Event

#: Begins the name of a cursor that is no output's.
MARK = "announced:"


def load_cursor(connection: Any, name: str) -> tuple[int, str]:
    """Sequence up to which an output has the events, and what else it stored with it."""
    row = connection.execute("SELECT seq, detail FROM cursors WHERE name = ?", (exact(name),)).fetchone()
    return (row[0], row[1]) if row else (0, "")


def cursor_names(connection: Any) -> list[str]:
    """Of all outputs that ever were."""
    return [restored(name) for (name,) in connection.execute("SELECT name FROM cursors")]


def save_cursor(connection: Any, name: str, sequence: int, detail: str) -> None:
    """Move the cursor of an output."""
    connection.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", (exact(name), sequence, detail))


def load_cursors(connection: Any, prefix: str) -> dict[str, tuple[int, str]]:
    """All cursors whose names begin so."""
    rows = connection.execute("SELECT name, seq, detail FROM cursors")
    return {name: (row[1], row[2]) for row in rows if (name := restored(row[0])).startswith(prefix)}


def replace_cursors(connection: Any, old: Iterable[str], new: Mapping[str, tuple[int, str]]) -> None:
    """Forget some cursors, and have others instead."""
    connection.executemany("DELETE FROM cursors WHERE name = ?", [(exact(name),) for name in old])
    for name, (sequence, detail) in new.items():
        save_cursor(connection, name, sequence, detail)


def load_producer_id(connection: Any) -> str:
    """By which servers know this log."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'producer_id'").fetchone()
    return str(row[0])


def renew_producer_id(connection: Any) -> str:
    """Be another producer from now on: what servers remember of the old one is not of this log."""
    fresh = str(uuid.uuid4())
    connection.execute("UPDATE meta SET value = ? WHERE key = 'producer_id'", (fresh,))
    return fresh


def event_id_at(connection: Any, sequence: int) -> str | None:
    """The id of an event by its sequence; None: there is none, or it has gone."""
    row = connection.execute(f"SELECT {EVENT_ID} FROM events WHERE seq = ?", (sequence,)).fetchone()  # noqa: S608 - a constant
    return None if row is None else str(row[0])


def sequence_before(connection: Any, captured_ms: int) -> int:
    """The sequence behind which everything was captured since then."""
    # By capture, as the index has it: the sequence of the first one since is not the lowest of all since
    # then if the clock was put back, so the lowest is asked for.
    row = connection.execute("SELECT min(seq) FROM events WHERE captured_at >= ?", (captured_ms,)).fetchone()
    if row[0] is not None:
        return int(row[0]) - 1
    return last_sequence(connection)


@attrs.frozen
class DeadEvent:
    """An event that an output can never take."""

    output: str
    sequence: int
    event_id: str
    #: Why, in words.
    reason: str
    #: When that was found out, milliseconds since the epoch.
    at: int


def bury(connection: Any, output: str, event: Event, reason: str, now_ms: int) -> bool:
    """Note that an output can never take an event; harmless if it is noted. Returns whether it is news."""
    row = (exact(output), event.sequence, event.event_id, reason, now_ms)
    return bool(connection.execute("INSERT OR IGNORE INTO dead VALUES (?, ?, ?, ?, ?)", row).rowcount)


def bury_all(connection: Any, output: str, events: Iterable[Event], reason: str, now_ms: int) -> int:
    """The same of several. Returns of how many it is news."""
    rows = [(exact(output), event.sequence, event.event_id, reason, now_ms) for event in events]
    return int(connection.executemany("INSERT OR IGNORE INTO dead VALUES (?, ?, ?, ?, ?)", rows).rowcount)


def count_dead(connection: Any, output: str) -> int:
    """How many events an output could never take."""
    return int(
        connection.execute("SELECT count(*) FROM dead WHERE output = ?", (exact(output),)).fetchone()[0]
    )


def newest_dead(connection: Any, limit: int) -> list[DeadEvent]:
    """Those that were found out last, of all outputs, the newest first."""
    rows = connection.execute(
        "SELECT output, seq, event_id, reason, at FROM dead ORDER BY at DESC, seq DESC LIMIT ?", (limit,)
    )
    return [DeadEvent(restored(output), *rest) for output, *rest in rows]


def forget_the_dead(connection: Any) -> None:
    """Forget what is known of events that were deleted. Of as many as there are each is looked for once."""
    connection.execute("DELETE FROM dead WHERE NOT EXISTS (SELECT 1 FROM events WHERE events.seq = dead.seq)")
