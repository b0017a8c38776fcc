"""What somebody wants deleted from the log, from beside its service or without one. Synchronous.

Keys stay: what was reported once is never reported again, whatever is deleted here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from trio_cursor.eventlog import file
from trio_cursor.eventlog.conditions import where
from trio_cursor.eventlog.delivery_rows import MARK, forget_the_dead, load_cursors
from trio_cursor.eventlog.mode_rows import empty_the_log_beside
from trio_cursor.eventlog.places import NAME, called
from trio_cursor.eventlog.reading import Filter, last_sequence

#: The service waits for no more than the deletion of so many.
_SLICE_EVENTS: Final = 1000
#: More than that is not copied in memory: its free space stays in the file and is used again.
_COPIED_MOST_BYTES: Final = 256_000_000
#: Less is not worth it.
_FREE_LEAST_BYTES: Final = 1_000_000


@attrs.frozen
class Purge:
    """What is to go: everything that is wanted, up to where the log ended when this was planned."""

    wanted: Filter
    newest: int
    #: Generations, and records of missed ones, that are wanted.
    generations: int
    gaps: int
    #: Of both, how many some output has not taken yet.
    untaken: int
    #: Up to where every output has everything; None: there are no outputs.
    taken: int | None
    #: How many of both each workspace has, by what it is called; nothing if no workspace was asked for.
    workspaces: Mapping[str, int]


def plan_purge(connection: Any, wanted: Filter, taken: int | None) -> Purge:
    """Count it."""
    newest = last_sequence(connection)
    condition, values = where(wanted)
    # A name may stand in the whole text of an event, which is not read for nothing.
    name = "NULL" if wanted.workspace is None and wanted.workspace_exactly is None else NAME
    rows = connection.execute(
        f"SELECT {name}, sum(type != 'database_gap'), sum(type = 'database_gap'), sum(seq > :taken)"  # noqa: S608 - constants
        f" FROM events WHERE seq <= :newest AND {condition} GROUP BY 1",
        {**values, "newest": newest, "taken": newest if taken is None else taken},
    ).fetchall()
    generations, gaps, untaken = (sum(int(row[number]) for row in rows) for number in (1, 2, 3))
    workspaces = {called(row[0]): int(row[1]) + int(row[2]) for row in rows if row[0] is not None}
    return Purge(wanted, newest, generations, gaps, untaken, taken, workspaces)


def purge(connection: Any, plan: Purge, *, is_forced: bool) -> Iterator[int]:
    """Delete it, and give how many at each step, which is on the disk then.

    What an output has not taken stays unless it is forced. Needs a connection for writing, not in a
    transaction.
    """
    last = plan.newest if is_forced or plan.taken is None else min(plan.newest, plan.taken)
    condition, values = where(plan.wanted)
    after = 0
    while True:
        with file.transaction(connection):
            rows = connection.execute(
                "SELECT seq FROM events WHERE seq > :after AND seq <= :last"  # noqa: S608 - constants
                f" AND {condition} ORDER BY seq LIMIT :limit",
                {**values, "after": after, "last": last, "limit": _SLICE_EVENTS},
            ).fetchall()
            connection.executemany("DELETE FROM events WHERE seq = ?", rows)
            if rows:
                forget_the_dead(connection)
        if not rows:
            return
        after = rows[-1][0]
        yield len(rows)


def give_back(connection: Any, *, is_alone: bool) -> int:
    """Overwrite what is left of the deleted beside the file, and give its free space back to the system.

    The second only if nobody else works with the log, and if what stays is not too much to be copied.
    Returns how many bytes are free in the file.
    """
    empty_the_log_beside(connection)
    size, pages, free = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_size", "page_count", "freelist_count")
    )
    if is_alone and free * size >= _FREE_LEAST_BYTES and (pages - free) * size <= _COPIED_MOST_BYTES:
        connection.execute("VACUUM")
        empty_the_log_beside(connection)
        return 0
    return int(free * size)


def outputs_taken(connection: Any) -> Mapping[str, int]:
    """Up to where each output that ever was has the events."""
    return {
        name: sequence
        for name, (sequence, _) in load_cursors(connection, "").items()
        if not name.startswith(MARK)
    }
