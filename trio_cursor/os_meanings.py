"""What an event in the directory of a database means: whether and when to look at it."""

from __future__ import annotations

import os

from trio_cursor.cursor import workspace_json
from trio_cursor.ladder import LAST, WEAK
from trio_cursor.os_events import OsEvent
from trio_cursor.scanner import Scanner


def hint(scanner: Scanner, event: OsEvent, database: str) -> bool:
    """Hint the scanner at a database; false: all directories are to be looked at for it."""
    name = event.name.removeprefix(os.path.basename(database))  # noqa: PTH119 - paths are text
    match name, event.kind:
        case "", "touched":
            scanner.hint(database, LAST)  # perhaps its times were set, by whoever copies it
        case "-wal", "touched":
            scanner.told(database)  # by ourselves: SQLite, run as root, sets its owner
        case "-wal", "removed":
            scanner.closed(database)
        case "-wal", _:
            scanner.settle(database)
        case "", _ if scanner.may_have_log(database):
            scanner.settle(database)  # perhaps its log is written back, and it is being closed
        case "-journal", "removed":
            scanner.hint(database)  # the moment of a commit
        case "", "written":
            # In the middle of a commit, which locks readers out; its end will be heard of. Unless the
            # journal is not removed then, or there is none: another program's habit.
            scanner.hint(database, WEAK)
        case "", _:
            scanner.hint(database)
        case _ if event.name == workspace_json.FILE_NAME:
            return False
    return True
