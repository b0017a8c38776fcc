"""Layouts of a `state.vscdb` that hold generations, as generators of queries. Pure: no file is opened here.

A *scan* yields queries, is sent their rows, and returns a function that makes the page. All queries of
one scan run in one short read transaction; the function is called after the file was closed, so that
no JSON is parsed while a lock is held.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

import attrs

from trio_cursor.observations import Wanted
from trio_cursor.records import Page, Position

PageT = TypeVar("PageT")

#: SQLite's name for the number of a row that nobody calls a column, unlike `rowid` and `oid`.
ROWID = "_rowid_"


@attrs.frozen
class Query:
    """One SELECT. Its text is a constant of ours; whatever comes from outside is a parameter."""

    sql: str
    params: tuple[int | str | bytes | None, ...] = ()
    #: A look of its own will do as well, if this one has held the lock for some time.
    can_wait: bool = False


@attrs.frozen
class Rows:
    """The answer to a query. TEXT and BLOB come as bytes, undecoded."""

    rows: list[tuple[Any, ...]]
    #: None: complete. `budget`: the lock budget ended it, the rows so far are here. `too big`: the next
    #: row is larger than SQLite was allowed to read.
    stopped: Literal["budget", "too big"] | None = None


Scan: TypeAlias = Generator[Query, Rows, Callable[[], PageT]]


@attrs.frozen
class Column:
    name: str
    #: Position in the primary key from 1, 0 if it is not part of it.
    primary_key: int = 0
    #: Declared type, upper case.
    type: str = ""
    #: `table_xinfo`'s: 0 ordinary; else hidden or generated, never to be read.
    hidden: int = 0


@attrs.frozen
class Table:
    """A name in `sqlite_master` that some schema asks for."""

    name: str
    columns: tuple[Column, ...]
    #: None: an ordinary table with rowids. Else what it is instead (`view`, `virtual table`).
    problem: str | None = None

    def column_names(self) -> frozenset[str]:
        """Names of the ordinary columns, in lower case as SQLite compares them."""
        return frozenset(column.name.lower() for column in self.columns if not column.hidden)

    def misfit(self, needed: frozenset[str]) -> str | None:
        """Why it cannot be read by rowid and by these columns, in words; None: it can."""
        if self.problem:
            return f"{self.name} is a {self.problem}, not a table with rowids"
        if not self.column_names() >= needed:
            found = ", ".join(sorted(self.column_names()))
            return f"{self.name} lacks {' or '.join(sorted(needed))}; columns found: {found}"
        if any(column.name.lower() == ROWID for column in self.columns):
            return f"{self.name} has a column called {ROWID}, which hides the number of the row"
        return None


@attrs.frozen
class Catalog:
    """What a database has, as far as any schema asks."""

    #: `PRAGMA schema_version`: changes with every change of the layout.
    schema_version: int
    #: Those of `TABLES` that exist, by name.
    tables: Mapping[str, Table]
    #: Names of all tables and views, cut to 50, for the words of an alarm.
    names: tuple[str, ...] = ()
    #: `octet_length()` tells the size of a TEXT unread; before SQLite 3.43 there is only `length()`.
    has_octet_length: bool = True


@attrs.frozen
class FollowUp:
    """A page that needs another look at the database before it is complete."""

    make: Callable[[Catalog], Scan[Step]]


Step: TypeAlias = Page | FollowUp


class Schema(Protocol):
    """One layout. A new one is a file in this folder and its line in `known.SCHEMAS`."""

    @property
    def name(self) -> str:
        """As reported in an event's metadata."""

    @property
    def readable(self) -> Mapping[str, frozenset[str]]:
        """Tables, with their columns, that the scan may read; everything else is denied by SQLite."""

    def matches(self, catalog: Catalog) -> bool | str:
        """Whether the database has this layout; words if it has something of that name in another shape."""

    def scan(
        self,
        catalog: Catalog,
        position: Position | None,
        *,
        rescan: bool,
        verify: bool,
        since_ms: int | None,
    ) -> Scan[Step]:
        """Read what changed since the position.

        `rescan`: the file is another one than the position was made for. `verify`: look also at what
        the position says is known, for changes that leave no trace in it. `since_ms`: what is older need
        not be read where nothing is known yet; None: everything is to be read.
        """


@runtime_checkable
class TurnSchema(Schema, Protocol):
    """One that finds turns, which somebody will want to look at again."""

    def reread(self, catalog: Catalog, wanted: tuple[Wanted, ...]) -> Scan[Step]:
        """Read single turns of this schema, whether or not they seem changed.

        The page at the end says of each how it stands now (`Turn`), everything of it (`TurnContent`), or that
        it is no more (`TurnGone`). Some may be left unanswered, to be asked for again, but never all.
        """
