"""The page's index: what the page lists, counts and searches, in a file of its own beside the event log.

It holds nothing that is not in the log, and of that only what may leave it (`EventLog.outgoing`). It may be
deleted at any time, and is filled anew. The log knows nothing of it.
"""

from trio_cursor.page_index.asking import DURATIONS, Facets, Line, Selected, Selection
from trio_cursor.page_index.file import (
    FILE_NAME,
    Edition,
    UnusableIndexError,
    edition,
    exists,
    make_index,
    of_the_log,
    open_index,
    remove,
)
from trio_cursor.page_index.filling import Progress, fill, progress, prune, prune_beside, workspace_of
from trio_cursor.page_index.times import SLOT_MS, Slots, bounds, local, slots
from trio_cursor.page_index.words import Terms, terms_of

__all__ = [
    "DURATIONS",
    "FILE_NAME",
    "SLOT_MS",
    "Edition",
    "Facets",
    "Line",
    "Progress",
    "Selected",
    "Selection",
    "Slots",
    "Terms",
    "UnusableIndexError",
    "bounds",
    "edition",
    "exists",
    "fill",
    "local",
    "make_index",
    "of_the_log",
    "open_index",
    "progress",
    "prune",
    "prune_beside",
    "remove",
    "slots",
    "terms_of",
    "workspace_of",
]
