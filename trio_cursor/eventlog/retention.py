"""What is deleted from the log: the oldest events, by age and by the size of all. Synchronous."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import attrs

from trio_cursor.eventlog.delivery_rows import forget_the_dead
from trio_cursor.eventlog.reading import last_sequence
from trio_cursor.eventlog.session_rows import forget_sessions

#: About what one reported generation takes for ever: a UUID and a number, in pages that are never full.
_KEY_BYTES = 100


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
    if rows:
        forget_the_dead(connection)
    forget_sessions(connection, before_ms)
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
        " + (SELECT total(length(key) + length(body)) FROM pending)"
        " + (SELECT total(length(profile) + length(conversation_id) + length(body)) FROM places)"
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
