"""Reading Cursor's databases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from trio_cursor.metrics.declaring import Metric, Sources, by, single

_DATABASE_STATES: Final = ("connected", "synced", "error", "timeout", "locked", "unknown_schema")


def _databases(it: Sources) -> Iterator[tuple[str, float]]:
    found = Counter(state.status for state in it.board.states.values())
    return ((status, found[status]) for status in _DATABASE_STATES)


METRICS: Final = (
    Metric(
        "trio_cursor_reads_total",
        "counter",
        "Reads of Cursor's databases, by what came of them.",
        lambda it: by(it.guest.meter.outcomes.items()),
        ("outcome",),
    ),
    Metric(
        "trio_cursor_read_retries_total",
        "counter",
        "Attempts made again within a read: Cursor was in the way, or it was not our turn yet.",
        lambda it: by((("busy", it.guest.meter.busy), ("not_yet", it.guest.meter.not_yet))),
        ("reason",),
    ),
    Metric(
        "trio_cursor_read_errors_total",
        "counter",
        "Looks at a database that failed, by workspace hash as for generations.",
        lambda it: by(it.errors.shares(it.meters.errors).items()),
        ("workspace",),
    ),
    Metric(
        "trio_cursor_lock_seconds",
        "histogram",
        "For how long a read held a lock on a database of Cursor's, by journal mode.",
        lambda it: [((mode,), found.copy()) for mode, found in it.guest.meter.locks.items()],
        ("journal_mode",),
    ),
    Metric(
        "trio_cursor_abandoned_reads_total",
        "counter",
        "Reads whose threads did not end in time and were left behind.",
        lambda it: single(it.guest.meter.abandoned),
    ),
    Metric(
        "trio_cursor_hanging_reads",
        "gauge",
        "Threads left behind that still hang.",
        lambda it: single(it.guest.abandoned),
    ),
    Metric(
        "trio_cursor_quarantined_databases",
        "gauge",
        "Databases that are left alone because their reads do not end.",
        lambda it: single(len(it.guest.quarantined())),
    ),
    Metric(
        "trio_cursor_databases",
        "gauge",
        "Databases read in this run, by how it stands with them.",
        lambda it: by(_databases(it)),
        ("status",),
    ),
    Metric(
        "trio_cursor_watched_databases",
        "gauge",
        "Databases that are read whenever they change.",
        lambda it: single(sum(one.active for one in it.board.scanner.watched.values())),
    ),
    Metric(
        "trio_cursor_databases_bytes",
        "gauge",
        "Size of the databases read in this run, together.",
        lambda it: single(sum(state.size or 0 for state in it.board.states.values())),
    ),
)
