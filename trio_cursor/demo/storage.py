"""VS Code's storage service for one `state.vscdb`, statement by statement.

After `src/vs/base/parts/storage/node/storage.ts` and `.../common/storage.ts` of VS Code: a cache of strings,
flushed 100 ms after a change; plain INSERTs into a table that replaces on conflict; a whole-file backup at
close; and, when the file cannot be opened, the recovery that throws the newest data away.
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from trio_cursor.errors import TrioCursorError
from trio_cursor.os_files import patiently
from trio_cursor.sqlite_library import sqlite3

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

DATABASE_NAME: Final = "state.vscdb"
OPTIONS_SUFFIX: Final = ".options.json"
BACKUP_SUFFIX: Final = ".backup"
#: `JSON.stringify(options, null, 2)`: the 20 bytes seen in the field since April 2026.
WAL_OPTIONS: Final = '{\n  "useWAL": true\n}'

#: `BUSY_OPEN_TIMEOUT`: how long the service waits before it opens a busy database a second time.
BUSY_OPEN_WAIT_SECONDS: Final = 2.0
#: node-sqlite3 sets it on every connection.
BUSY_TIMEOUT_SECONDS: Final = 1.0
#: `DEFAULT_FLUSH_DELAY`.
FLUSH_DELAY_SECONDS: Final = 0.1
#: `MAX_HOST_PARAMETERS`.
MAX_HOST_PARAMETERS: Final = 256

ITEM_TABLE: Final = "CREATE TABLE IF NOT EXISTS ItemTable (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)"
CURSOR_DISK_KV: Final = (
    "CREATE TABLE IF NOT EXISTS cursorDiskKV (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)"
)
#: Cursor 3.9 and later: the global database, and empty in some of the others.
COMPOSER_HEADERS: Final = (
    """CREATE TABLE IF NOT EXISTS composerHeaders (composerId TEXT PRIMARY KEY, workspaceId TEXT, \
createdAt INTEGER, lastUpdatedAt INTEGER, isArchived INTEGER, isSubagent INTEGER, recency INTEGER, \
checkpointAt INTEGER, value TEXT)""",
    """CREATE INDEX IF NOT EXISTS idx_composerHeaders_0 ON composerHeaders \
(workspaceId, isSubagent, isArchived, recency)""",
    "CREATE INDEX IF NOT EXISTS idx_composerHeaders_1 ON composerHeaders (recency, composerId)",
)

#: A database that says BUSY is opened again; one that is none is not.
_SQLITE_BUSY: Final = 5
_PRIMARY_CODE: Final = 0xFF


class StorageBusyError(TrioCursorError):
    """Opening ran into somebody's lock: wait `BUSY_OPEN_WAIT_SECONDS` and open again with `last_try`."""


class Storage:
    """One database and the cache in front of it. The owner calls `flush` when `flush_due` has come."""

    def __init__(
        self, path: Path, *, tables: Sequence[str], report: Callable[[str, str], None], use_wal: bool = False
    ) -> None:
        self.path = path
        #: Monotonic time; None if there is nothing to write.
        self.flush_due: float | None = None
        self._tables = tables
        self._report = report
        self._connection: sqlite3.Connection | None = None
        self._erroneous = False
        self._items: dict[str, str] = {}
        self._inserts: dict[str, str] = {}
        self._deletes: set[str] = set()
        self._statements: list[tuple[str, tuple[Any, ...]]] = []
        options = path.with_name(path.name + OPTIONS_SUFFIX)
        if use_wal and not path.exists():
            options.write_text(WAL_OPTIONS, encoding="ascii", newline="")
        self.use_wal = options.exists()

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    @property
    def items(self) -> Mapping[str, str]:
        """What the owner believes stands in the file."""
        return self._items

    def open(self, *, last_try: bool = False) -> None:
        """Connect and read all items; on the last try a database that stays busy gives way to its backup."""
        try:
            self._connection = self._connect()
        except sqlite3.Error as error:
            if not last_try and _is_busy(error):
                self._report("open_busy", str(error))
                raise StorageBusyError(str(error)) from error
            # VS Code's words: "best we can do is to recover from a backup if that exists".
            self._report("restored", str(error))
            patiently(self.path.unlink)
            with suppress(OSError):
                self._backup.replace(self.path)
            self._connection = self._connect()
        self._erroneous = False
        self._items = dict(self._connection.execute("SELECT * FROM ItemTable").fetchall())

    def set(self, key: str, value: str) -> None:
        if self._items.get(key) == value:
            return  # as VS Code does: the same value again is no write
        self._items[key] = value
        self._inserts[key] = value
        self._deletes.discard(key)
        self._schedule()

    def delete(self, key: str) -> None:
        if self._items.pop(key, None) is not None:
            self._inserts.pop(key, None)
            self._deletes.add(key)
            self._schedule()

    def execute(self, statement: str, *parameters: Any) -> None:
        """Have a statement for another table than ItemTable executed with the next flush."""
        self._statements.append((statement, parameters))
        self._schedule()

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._opened.execute(statement, parameters).fetchall()
        return rows

    def flush(self) -> bool:
        """Write what has changed, in one transaction; False: it failed and stays due.

        As with VS Code the transaction of a failed END stays open, and the connection counts as erroneous.
        Unlike there, nothing is dropped until the next change: the ledger must be able to say what is where.
        """
        self.flush_due = None
        if not (self._inserts or self._deletes or self._statements):
            return True
        try:
            self._update(self._opened)
        except sqlite3.Error as error:
            self._erroneous = True
            self._report("flush_failed", str(error))
            self._schedule()
            return False
        self._inserts.clear()
        self._deletes.clear()
        self._statements.clear()
        return True

    def close(self) -> bool:
        """Flush, close, copy to the backup; False: there were errors, and the file has been written anew.

        Rows of other tables than ItemTable do not survive that.
        """
        self.flush()
        self._disconnect()
        clean = not self._erroneous
        if not clean:
            self._rebuild()
        self._copy_to_backup()
        return clean

    def _rebuild(self) -> None:
        """Recovery, as in VS Code's doClose(): the file goes, a new one gets what the cache knows."""
        self._report("rebuilt", "there were errors while it was open")
        patiently(self.path.unlink)
        self._connection = self._connect()
        self._inserts = dict(self._items)
        self._deletes.clear()
        self._statements.clear()
        self.flush()
        self._disconnect()

    def _schedule(self) -> None:
        if self.flush_due is None:
            self.flush_due = time.monotonic() + FLUSH_DELAY_SECONDS

    @property
    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError(f"{self.path} is not open")
        return self._connection

    @property
    def _backup(self) -> Path:
        return self.path.with_name(self.path.name + BACKUP_SUFFIX)

    def _connect(self) -> sqlite3.Connection:
        is_new = not self.path.exists()
        connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
        try:
            if self.use_wal:
                if is_new:
                    # Builds that know the WAL option create their files so (wisdgod/cursor-chat-cleanup).
                    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA user_version = 1")
            for statement in (ITEM_TABLE, CURSOR_DISK_KV, *self._tables):
                connection.execute(statement)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _disconnect(self) -> None:
        self._opened.close()
        self._connection = None

    def _copy_to_backup(self) -> None:
        wal = self.path.with_name(self.path.name + "-wal")
        if wal.exists():
            self._report("wal_left", f"{wal.stat().st_size} bytes: somebody had the database open")
        shutil.copyfile(self.path, self._backup)

    def _update(self, connection: sqlite3.Connection) -> None:
        if not connection.in_transaction:
            connection.execute("BEGIN TRANSACTION")
        pairs = list(self._inserts.items())
        for chunk in _chunks(pairs, MAX_HOST_PARAMETERS // 2):
            values = ",".join(["(?,?)"] * len(chunk))
            parameters = [part for pair in chunk for part in pair]
            connection.execute(f"INSERT INTO ItemTable VALUES {values}", parameters)  # noqa: S608 only question marks
        for keys in _chunks(sorted(self._deletes), MAX_HOST_PARAMETERS):
            marks = ",".join("?" * len(keys))
            connection.execute(f"DELETE FROM ItemTable WHERE key IN ({marks})", keys)  # noqa: S608 as above
        while self._statements:  # each once only, even if the END below fails: the transaction stays open
            statement, values_of_it = self._statements[0]
            connection.execute(statement, values_of_it)
            del self._statements[0]
        connection.execute("END TRANSACTION")


def _chunks(values: list[Any], size: int) -> list[list[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def _is_busy(error: sqlite3.Error) -> bool:
    return error.sqlite_errorcode & _PRIMARY_CODE == _SQLITE_BUSY
