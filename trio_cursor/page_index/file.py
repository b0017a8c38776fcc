"""The index's file: how it is made, opened and removed. Synchronous."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from trio_cursor.errors import StateError, TrioCursorError
from trio_cursor.eventlog import FILE_NAME as LOG_NAME
from trio_cursor.eventlog import created_at, last_sequence, open_for_reading, transaction
from trio_cursor.sqlite_library import file_uri, sqlite3
from trio_cursor.state_dir import create_private

FILE_NAME = "page-index.sqlite3"
#: Raised with every change of the layout below: an index of another one is made anew.
_FORMAT = "2"
_BUSY_SECONDS = 2.0
#: SQLite's memory for pages, in KiB: a search reads a few megabytes.
_CACHE_KIB = 16_384

_LAYOUT = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- Narrow, since counting reads all of it. Names are numbers of `names`.
CREATE TABLE facts (
  seq INTEGER PRIMARY KEY,
  timestamp INTEGER NOT NULL,
  workspace INTEGER NOT NULL,
  model INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  status INTEGER NOT NULL,
  duration INTEGER,
  tokens INTEGER
);
CREATE INDEX facts_by_time ON facts (timestamp, seq);
CREATE INDEX facts_by_workspace ON facts (workspace, timestamp, seq);
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
-- What a line of the list shows.
CREATE TABLE heads (seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL, head TEXT NOT NULL);
"""
_TEXTS = "CREATE VIRTUAL TABLE texts USING fts5(prompt, answer, tokenize='unicode61 remove_diacritics 2')"
#: Without one of them it is damaged, whatever SQLite says.
_TABLES = {"meta", "facts", "names", "heads", "texts", "texts_data", "texts_idx", "texts_content"}
_MARKS = ("high", "low", "deleted")
_NUMBER = re.compile("[0-9]{1,18}")
#: What Python's module says of bytes that are no UTF-8.
_NO_TEXT = "Could not decode to UTF-8"


def exists(directory: Path) -> bool:
    """Whether there is an index, of whatever state."""
    return (directory / FILE_NAME).exists()


def remove(directory: Path) -> None:
    """Delete the index and what SQLite keeps beside it; harmless if there is none. Raises OSError."""
    for ending in ("", "-wal", "-shm", "-journal"):
        (directory / f"{FILE_NAME}{ending}").unlink(missing_ok=True)


class UnusableIndexError(TrioCursorError):
    """There is no index, or one that is damaged, or of another layout, log or privacy mode."""


@contextmanager
def of_the_log() -> Iterator[None]:
    """What SQLite says in here it says of the log: the index is as good as it was.

    Raises `StateError`.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise StateError(f"the event log cannot be read: {error}") from error


@contextmanager
def open_index(directory: Path, mode: str) -> Iterator[Any | None]:
    """The index beside the log, with that attached for reading as `log`; None: there is no log yet.

    Raises `UnusableIndexError` if it is to be made anew, `sqlite3.Error` if it is only busy or the like,
    `StateError` of the log.
    """
    found = _log_of(directory, mode)
    if found is None:
        yield None
        return
    path = directory / FILE_NAME
    # Never opened but by SQLite: a descriptor that is closed takes the locks of all others with it.
    if not path.exists():
        raise UnusableIndexError("there is no index yet")
    try:
        connection = connected(path, directory)
        with closing(connection):
            if not _is_of(connection, found[0]):
                raise UnusableIndexError("the index is of something else, or incomplete")
            yield connection
    except sqlite3.DatabaseError as error:
        if not isinstance(error, sqlite3.OperationalError):
            raise UnusableIndexError(f"the index is damaged: {error}") from error
        if _NO_TEXT in str(error):  # not quoted: it has the text in it
            raise UnusableIndexError("the index is damaged: a text in it is none") from None
        raise  # busy, or no room: nothing is wrong with the file


def make_index(directory: Path, mode: str) -> None:
    """Begin the index anew, with nothing in it. Nobody of this process may have it open.

    Raises OSError, `sqlite3.Error` and `StateError`.
    """
    remove(directory)
    found = _log_of(directory, mode)
    if found is None:
        return
    path = directory / FILE_NAME
    create_private(path)
    with closing(connected(path, directory)) as connection:
        _make(connection, *found)


@attrs.frozen
class Edition:
    """Which records an index can have: what has others is of another one."""

    #: Of which log, in which privacy mode.
    of: str = ""
    #: How many the log has deleted; "0": none, or it has not been looked for yet.
    deleted: str = "0"


def edition(connection: Any) -> Edition:
    """That of an open index."""
    found = dict(connection.execute("SELECT key, value FROM main.meta"))
    return Edition(f"{found['log']}.{found['mode']}", found["deleted"])


def _log_of(directory: Path, mode: str) -> tuple[dict[str, str], int] | None:
    """What an index must have been made of, and the last sequence of the log; None: there is none."""
    reading = open_for_reading(directory)
    if reading is None:
        return None
    with closing(reading), of_the_log():
        return _identity(reading, mode), last_sequence(reading)


def _identity(log: Any, mode: str) -> dict[str, str]:
    """What an index must have been made of to be of use."""
    return {"format": _FORMAT, "log": created_at(log), "mode": mode}


def connected(path: Path, directory: Path) -> Any:
    """A connection to an index that is there, with the log attached. Raises `sqlite3.Error`."""
    uri = f"{file_uri(str(path.absolute()))}?mode=rw"
    connection = sqlite3.connect(
        uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        connection.execute("PRAGMA journal_mode=WAL")
        # What a power cut takes is read again.
        connection.execute("PRAGMA synchronous=NORMAL")
        log_uri = f"{file_uri(str((directory / LOG_NAME).absolute()))}?mode=ro"
        with of_the_log():
            connection.execute("ATTACH ? AS log", (log_uri,))
    except BaseException:
        connection.close()
        raise
    return connection


def _make(connection: Any, identity: dict[str, str], newest: int) -> None:
    with transaction(connection):
        for statement in [*_LAYOUT.split(";\n"), _TEXTS]:
            connection.execute(statement)
        # What is deleted is gone from the words as well; libraries before 3.42 know nothing of it.
        with suppress(sqlite3.OperationalError):
            connection.execute("INSERT INTO texts (texts, rank) VALUES ('secure-delete', 1)")
        # Filled upwards from here with what comes, and downwards with what was.
        marks = {**identity, "high": str(newest), "low": str(newest + 1), "deleted": "0"}
        connection.executemany("INSERT INTO meta VALUES (?, ?)", marks.items())


def _is_of(connection: Any, identity: dict[str, str]) -> bool:
    there = {name for (name,) in connection.execute("SELECT name FROM main.sqlite_master")}
    if not there >= _TABLES:
        return False
    found = dict(connection.execute("SELECT key, value FROM main.meta"))
    marks = [found.get(mark) for mark in _MARKS]
    if not identity.items() <= found.items() or not all(map(_is_number, marks)):
        return False
    high, low = int(found["high"]), int(found["low"])
    if low > high + 1:
        return False
    # A log that was put back to an older state gives its sequences again, to other events.
    with of_the_log():
        newest = connection.execute("SELECT seq FROM log.sqlite_sequence WHERE name = 'events'").fetchone()
    return high <= (newest[0] if newest else 0) and _knows_the_last(connection)


def _is_number(mark: object) -> bool:
    return isinstance(mark, str) and _NUMBER.fullmatch(mark) is not None


def _knows_the_last(connection: Any) -> bool:
    """Whether the newest line is that of the event that the log has there; it may have been deleted."""
    row = connection.execute("SELECT seq, event_id FROM heads ORDER BY seq DESC LIMIT 1").fetchone()
    if row is None:
        return True
    with of_the_log():
        beginning = connection.execute(
            "SELECT substr(CAST(body AS BLOB), 1, 1000) FROM log.events WHERE seq = ?", (row[0],)
        ).fetchone()
    return beginning is None or (isinstance(row[1], str) and row[1].encode() in beginning[0])
