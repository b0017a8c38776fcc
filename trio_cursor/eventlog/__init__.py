"""The event log: our own SQLite file, in the service and beside it."""

from trio_cursor.eventlog.delivery_rows import DeadEvent, cursor_names, newest_dead
from trio_cursor.eventlog.entry import Entry
from trio_cursor.eventlog.fact_rows import count_events, read_facts
from trio_cursor.eventlog.file import FILE_NAME, open_for_reading, open_for_writing, transaction
from trio_cursor.eventlog.formats import FORMAT
from trio_cursor.eventlog.insisting import insist
from trio_cursor.eventlog.log import EventLog, open_event_log
from trio_cursor.eventlog.mode_rows import load_key, load_modes
from trio_cursor.eventlog.places import holds, last_part, narrowed, paths_in, sessions_in, workspaces_in
from trio_cursor.eventlog.purging import Purge, give_back, outputs_taken, plan_purge, purge
from trio_cursor.eventlog.reading import (
    Filter,
    created_at,
    events_called,
    find_event,
    last_sequence,
    read_events,
    read_log,
)
from trio_cursor.eventlog.retention import Retired
from trio_cursor.eventlog.rows import Known, append_events, load_pending

__all__ = [
    "FILE_NAME",
    "FORMAT",
    "DeadEvent",
    "Entry",
    "EventLog",
    "Filter",
    "Known",
    "Purge",
    "Retired",
    "append_events",
    "count_events",
    "created_at",
    "cursor_names",
    "events_called",
    "find_event",
    "give_back",
    "holds",
    "insist",
    "last_part",
    "last_sequence",
    "load_key",
    "load_modes",
    "load_pending",
    "narrowed",
    "newest_dead",
    "open_event_log",
    "open_for_reading",
    "open_for_writing",
    "outputs_taken",
    "paths_in",
    "plan_purge",
    "purge",
    "read_events",
    "read_facts",
    "read_log",
    "sessions_in",
    "transaction",
    "workspaces_in",
]
