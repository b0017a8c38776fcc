"""The event log's file: how it is opened, for whom, and what a transaction is. Synchronous."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

from trio_cursor.errors import StateError
from trio_cursor.eventlog import formats
from trio_cursor.sqlite_library import file_uri, sqlite3
from trio_cursor.state_dir import create_private

FILE_NAME = "events.sqlite3"
_BUSY_SECONDS = 5.0


def _connect(path: Path, *, read_only: bool) -> Any:
    mode = "ro" if read_only else "rw"
    uri = f"{file_uri(str(path.absolute()))}?mode={mode}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("PRAGMA temp_store=MEMORY")
    return connection


#: By what SQLite or the system says; the first that fits. The log of who has no room or no right is well.
_REMEDIES: Final = {
    "is full": "free some space on its disk",
    "No space left": "free some space on its disk",
    "ermission denied": "mend its permissions (ls -l)",
    "readonly database": "mend its permissions (ls -l)",
    "is locked": "see which program holds it (`fuser FILE`, `lsof FILE`) and end that one",
}


def trouble(path: Path, error: Exception) -> StateError:
    """What to say of a file that SQLite or the system will not have."""
    said = str(error)
    do = next((do for words, do in _REMEDIES.items() if words in said), "move it away to start a new one")
    return StateError(
        f"the event log {path} cannot be used ({said}); {do}, or name another directory with --state-dir"
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
    """Open the log in the directory, making it or bringing it to this format if need be.

    Raises `StateError`.
    """
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
    found = _format(connection, path)
    # Only now: the mode is written into the file, which might have turned out to be none of ours.
    connection.execute("PRAGMA journal_mode=WAL")
    if found == formats.FORMAT:
        return
    with transaction(connection):
        # Again: somebody may have been faster.
        if _format(connection, path) == 0:
            formats.make(connection)
        else:
            formats.migrate(connection)


def _format(connection: Any, path: Path) -> int:
    """The log's format; 0: the file is empty. Raises `StateError` if it is something else."""
    # One statement, so one moment: between two a service may have made the log.
    version, application, tables = connection.execute(
        "SELECT user_version, application_id, (SELECT count(*) FROM sqlite_master)"
        " FROM pragma_user_version, pragma_application_id"
    ).fetchone()
    if not (version or application or tables):
        return 0
    if application != formats.APPLICATION_ID or version < 1:
        raise StateError(
            f"{path} is not an event log of trio_cursor; name another directory with --state-dir"
        )
    if version > formats.FORMAT:
        raise StateError(f"{path} was written by a newer trio_cursor (format {version}); update this one")
    return int(version)


def open_for_reading(directory: Path) -> Any | None:
    """Open an existing log for reading beside its writer; None if there is none yet. Raises `StateError`.

    Of an older format the events can be read as of this one; only a writer brings it to this format.
    """
    path = directory / FILE_NAME
    with guarded(path) as opened:
        try:
            if path.stat().st_size == 0:
                return None
        except FileNotFoundError:
            return None
        connection = opened.enter_context(closing(_connect(path, read_only=True)))
        if _format(connection, path):
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
