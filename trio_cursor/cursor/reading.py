"""What one connection may read of somebody else's database, and for how long.

The rows come from an untrusted file. So a connection reads only the tables and columns that were
declared, calls only functions without side effects, runs no code that the file brings along (views,
generated columns, virtual tables, triggers), and stops when it has held the lock for long enough.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

import attrs

from trio_cursor.cursor.outcomes import Busy, NeedsRecovery, Refused, RefusedForNow, Unreadable
from trio_cursor.cursor.schemas import Catalog, Column, PageT, Query, Rows, Scan, Table
from trio_cursor.cursor.schemas.values import digest
from trio_cursor.sqlite_library import HAS_OCTET_LENGTH, sqlite3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trio_cursor.cursor.jobs import Job

#: Largest value that SQLite may build, where the library can be told (`setlimit`): 32 MiB and some slack.
LENGTH_LIMIT: Final = 33 << 20
#: Steps of SQLite's virtual machine between two looks at the clock, some tens of microseconds.
_OPCODES: Final = 1_000
#: What can wait does not begin after this share of the lock budget; a query that runs may use up all of it.
_AIM: Final = 0.2
_NAMES: Final = 50
_NAME_CHARACTERS: Final = 100
_FUNCTIONS: Final = frozenset(
    ("length", "octet_length", "substr", "typeof", "max", "min", "count", "json_valid", "coalesce")
)
_PRAGMAS: Final = (
    "PRAGMA query_only=1",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cell_size_check=ON",
    "PRAGMA mmap_size=0",
    "PRAGMA temp_store=MEMORY",
)


def harden(connection: sqlite3.Connection) -> None:
    """Make it a reader that trusts nothing; no lock is taken yet."""
    connection.text_factory = bytes  # undecoded: one invalid byte must not cost a batch
    # Neither is in every library: `setlimit` came with Python 3.11, `setconfig` with 3.12.
    if hasattr(connection, "setlimit"):
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LENGTH_LIMIT)
    if hasattr(connection, "setconfig"):
        for option, value in (("DEFENSIVE", True), ("TRUSTED_SCHEMA", False)):
            connection.setconfig(getattr(sqlite3, f"SQLITE_DBCONFIG_{option}"), value)
    for pragma in _PRAGMAS:
        connection.execute(pragma).close()


@attrs.frozen
class CachedCatalog:
    """A catalog, and what `sqlite_master` said when it was made."""

    #: Digest of it, and of whose it is: of ten thousand databases all would be kept.
    key: str
    catalog: Catalog


#: By what they say: most databases have the same tables, and share one.
_CATALOGS: WeakValueDictionary[str, Catalog] = WeakValueDictionary()


class Transaction:
    """The one read transaction of a connection; the lock is held from its first read until the close."""

    def __init__(self, connection: sqlite3.Connection, job: Job, seconds: float) -> None:
        self._connection = connection
        self._job = job
        self._seconds = seconds
        self._answered = False
        connection.execute("BEGIN").close()
        # Not `monotonic`: its steps on Windows (16 ms, before Python 3.13) are longer than the budget.
        self.began = time.perf_counter()
        connection.set_progress_handler(self._must_stop, _OPCODES)

    def _over_budget(self) -> bool:
        return time.perf_counter() - self.began > self._seconds

    def _must_stop(self) -> bool:
        return self._job.given_up or self._over_budget()

    def read_catalog(
        self,
        wanted: Mapping[str, frozenset[str]],
        identity: tuple[int, int] | None,
        cached: CachedCatalog | None,
    ) -> CachedCatalog:
        """Find out which of the wanted tables exist, and what they look like.

        The text of their definitions is part of the key: the number of a deleted file may come again,
        with the same schema version and another layout.
        """
        ((version,),) = self._set_up("PRAGMA schema_version")
        asked = tuple(wanted)
        found = self._set_up(
            "SELECT name, type, rootpage, substr(sql, 1, 8192), length(sql) FROM sqlite_master"  # noqa: S608
            " WHERE type IN ('table', 'view')"
            f" AND name COLLATE NOCASE IN ({', '.join('?' * len(asked))})",
            asked,
        )
        key = digest(repr((identity, version, found)))
        if cached and cached.key == key:
            return cached
        tables = {}
        for name in asked:
            rows = [row for row in found if _text(row[0]).lower() == name.lower()]
            if rows:
                tables[name] = self._table(name, next(filter(None, map(_problem, rows)), None))
        every = self._set_up(
            "SELECT substr(name, 1, ?) FROM sqlite_master WHERE type IN ('table', 'view') LIMIT ?",
            (_NAME_CHARACTERS, _NAMES),
        )
        names = tuple(_text(name) for (name,) in every)
        catalog = Catalog(version, tables, names, HAS_OCTET_LENGTH)
        return CachedCatalog(key, _CATALOGS.setdefault(repr(catalog), catalog))

    def _table(self, name: str, problem: str | None) -> Table:
        # A table goes by its own name among the indexes only if it is one itself.
        if not problem and self._set_up("SELECT 1 FROM pragma_index_info(?) LIMIT 1", (name,)):
            problem = "WITHOUT ROWID table"
        if problem:
            return Table(name, (), problem)
        columns = self._set_up("SELECT name, pk, type, hidden FROM pragma_table_xinfo(?)", (name,))
        return Table(
            name,
            tuple(
                Column(_text(column), key, _text(type_).upper(), hidden)
                for column, key, type_, hidden in columns
            ),
        )

    def _set_up(self, sql: str, params: tuple[int | str, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query of our own, of which there are few."""
        self._job.stop_if_given_up()
        try:
            with _legible_errors():
                return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            if _code(error) != sqlite3.SQLITE_INTERRUPT:
                raise
            self._job.stop_if_given_up()
            why = "its list of tables took longer than the lock budget"
            raise RefusedForNow(Busy(why)) from error

    def restrict(self, wanted: Mapping[str, frozenset[str]], catalog: Catalog) -> None:
        """From here on nothing can be read but the declared columns of ordinary tables."""
        readable: dict[str, set[str]] = {}
        for table in catalog.tables.values():
            if table.problem is None:
                columns = {column.lower() for column in wanted[table.name]} & table.column_names()
                # `count(*)` and `max(rowid)` read the column '', and a rowid is called after the INTEGER
                # PRIMARY KEY where there is one.
                keys = [column for column in table.columns if column.primary_key]
                rowid = keys[0].name.lower() if [column.type for column in keys] == ["INTEGER"] else "rowid"
                readable[table.name.lower()] = columns | {"", "rowid", rowid}

        def authorize(
            action: int, first: str | None, second: str | None, database: str | None, view: str | None
        ) -> int:
            match action:
                case sqlite3.SQLITE_SELECT:
                    allow = view is None
                case sqlite3.SQLITE_READ:
                    # The column '' comes without a database; nothing can be attached anyway.
                    columns = readable.get((first or "").lower(), set())
                    allow = view is None and database in ("main", None) and (second or "").lower() in columns
                case sqlite3.SQLITE_FUNCTION:
                    allow = (second or "").lower() in _FUNCTIONS
                case _:
                    allow = False
            return sqlite3.SQLITE_OK if allow else sqlite3.SQLITE_DENY

        self._connection.set_authorizer(authorize)

    def run(self, scan: Scan[PageT]) -> Callable[[], PageT]:
        """Answer a scan's queries until it returns the function that makes its page."""
        try:
            query = next(scan)
            while True:
                query = scan.send(self.answer(query))
        except StopIteration as finished:
            page: Callable[[], PageT] = finished.value
            return page
        finally:
            scan.close()

    def answer(self, query: Query) -> Rows:
        """Rows of one query, as many as the lock budget allows.

        Raises:
            GivenUp: Nobody waits any more.
            sqlite3.Error: SQLite could not, or would not.

        """
        self._job.stop_if_given_up()
        # The first query of a scan always begins: however slow the machine, each page makes some progress.
        share = _AIM if query.can_wait else 1.0
        if self._answered and time.perf_counter() - self.began > self._seconds * share:
            return Rows([], "budget")
        self._answered = True
        rows: list[tuple[Any, ...]] = []
        began = False
        cursor = self._connection.cursor()
        try:
            with _legible_errors():
                cursor.execute(query.sql, query.params)
                began = True
                for row in cursor:
                    rows.append(row)
                    # One row alone is no reason to stop: with it a keyed read is complete.
                    if len(rows) > 1 and self._must_stop():
                        self._job.stop_if_given_up()
                        return Rows(rows, "budget")
        except sqlite3.Error as error:
            match _code(error):
                case sqlite3.SQLITE_INTERRUPT:
                    self._job.stop_if_given_up()
                    return Rows(rows, "budget")
                case sqlite3.SQLITE_TOOBIG if not began:
                    return Rows(rows, "too big")
                case sqlite3.SQLITE_TOOBIG:
                    return self._before_the_too_big(query, len(rows) + 1)
                case _:
                    raise
        else:
            return Rows(rows)
        finally:
            cursor.close()  # an unfinished SELECT would keep its lock

    def _before_the_too_big(self, query: Query, count: int) -> Rows:
        """Read the rows before the one that is too big once more.

        Python's binding is always one step ahead: an error at row n + 1 takes row n with it. Without row n
        the scan would take that one for the culprit, and pass it over for ever.
        """
        rows: list[tuple[Any, ...]] = []
        try:
            again = f"SELECT * FROM ({query.sql}) LIMIT {count:d}"  # noqa: S608 - both are ours
            with _legible_errors():
                rows = self._connection.execute(again, query.params).fetchall()
        except sqlite3.Error as error:
            if _code(error) not in (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_TOOBIG):
                raise
            self._job.stop_if_given_up()
        return Rows(rows, "too big" if len(rows) == count else "budget")


@contextmanager
def _legible_errors() -> Iterator[None]:
    """SQLite quotes names from the file in its messages; Python fails to decode some, and hides the error."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise Refused(Unreadable("damaged: SQLite names what is wrong in bytes that are no text")) from error


def refusal_of(error: sqlite3.Error, *, has_journal: bool) -> Refused:
    """What an error of SQLite means for the caller.

    Only primary codes are looked at: not every library knows the extended ones. An error without a code
    is none of the database's but a wrong call of ours; it is raised again.
    """
    why = _printable(str(error))
    match _code(error):
        case None:
            raise error
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
            return RefusedForNow(Busy(why))
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN if has_journal:
            return Refused(NeedsRecovery("its owner died within a transaction and must roll it back"))
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN:
            # The header could be read a moment ago: the owner has just come or gone. If not, it stays so.
            return RefusedForNow(Unreadable(why))
        case _:
            return Refused(Unreadable(why))


def _code(error: sqlite3.Error) -> int | None:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _problem(row: tuple[Any, ...]) -> str | None:
    _, kind, rootpage, _, _ = row
    if kind != b"table":
        return "view"
    # Page 1 holds the list of tables itself; a virtual table has no page at all.
    return None if isinstance(rootpage, int) and rootpage > 1 else "virtual table"


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _printable(text: str) -> str:
    """SQLite's messages quote names from the file."""
    return "".join(character if character.isprintable() else "?" for character in text)[:200]
