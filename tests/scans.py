"""Runs scans of the schemas against real SQLite, with the lock budget under the test's control."""

from __future__ import annotations

import json
from contextlib import closing

from trio_cursor.cursor.schemas import Catalog, Column, FollowUp, Rows, Table
from trio_cursor.cursor.schemas.known import readable_columns
from trio_cursor.records import Session, Workspace
from trio_cursor.sqlite_library import sqlite3

#: VS Code's own statement.
ITEM_TABLE = "CREATE TABLE ItemTable (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)"
RING_KEY = "aiService.generations"
HAS_OCTET_LENGTH = sqlite3.sqlite_version_info >= (3, 43)
NOW_MS = 1_760_000_000_000


def workspace(name="w1", *, profile="/u", path=None, hash_=None):
    directory = "globalStorage" if name is None else f"workspaceStorage/{name}"
    return Workspace(f"{profile}/{directory}/state.vscdb", profile, name, path=path, hash=hash_)


def session(id_="scan_w1", database="/db", **other):
    """One of discovery's."""
    return Session(id_, database, "discovery", NOW_MS, **other)


def uuid(number):
    return f"{number:08x}-0000-4000-8000-000000000000"


def item(number, **other):
    """An item of the ring as Cursor writes it."""
    return {
        "unixMs": NOW_MS + number,
        "generationUUID": uuid(number),
        "type": "composer",
        "textDescription": f"ask {number}",
        **other,
    }


def memory(*statements):
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    return connection


def set_ring(connection, value):
    """Write the ring as Cursor does: a plain INSERT that replaces."""
    stored = json.dumps(value) if isinstance(value, list) else value
    connection.execute("INSERT INTO ItemTable VALUES (?, ?)", (RING_KEY, stored))


def catalog_of(connection, *, has_octet_length=HAS_OCTET_LENGTH):
    tables = {}
    for name in readable_columns():
        columns = connection.execute(
            "SELECT name, pk, type, hidden FROM pragma_table_xinfo(?)", (name,)
        ).fetchall()
        if columns:
            tables[name] = Table(name, tuple(Column(*column) for column in columns))
    (version,) = connection.execute("PRAGMA schema_version").fetchone()
    names = tuple(row[0] for row in connection.execute("SELECT name FROM sqlite_master"))
    return Catalog(version, tables, names, has_octet_length)


class Budget:
    """Answers the queries of one transaction until so many rows were read, as the guest does.

    The first query always begins, and has at least two rows before it is stopped.
    """

    def __init__(self, rows=None):
        self.left = rows
        self.has_begun = False
        self.queries = []

    def __call__(self, connection, query):
        self.queries.append(query)
        if self.left is not None and self.left <= 0 and self.has_begun:
            return Rows([], "budget")
        connection.text_factory = bytes
        with closing(connection.execute(query.sql, query.params)) as cursor:
            rows = cursor.fetchall()
        connection.text_factory = str
        if self.left is None:
            return Rows(rows)
        allowed = max(self.left, 0 if self.has_begun else 2)
        self.has_begun = True
        self.left -= len(rows)
        return Rows(rows) if len(rows) <= allowed else Rows(rows[:allowed], "budget")


def run(connection, scan, answer=None):
    """Answer a scan's queries; returns what it makes after the file was closed."""
    answer = answer or Budget()
    try:
        query = next(scan)
        while True:
            query = scan.send(answer(connection, query))
    except StopIteration as finished:
        return finished.value()


def look(
    connection,
    schema,
    position=None,
    *,
    rescan=False,
    verify=False,
    since_ms=None,
    answers=Budget,
    catalog=None,
):
    """One page, with all the further looks that it asks for; `answers` makes the budget of each look."""
    catalog = catalog or catalog_of(connection)
    scan = schema.scan(catalog, position, rescan=rescan, verify=verify, since_ms=since_ms)
    return follow(connection, run(connection, scan, answers()), answers=answers, catalog=catalog)


def follow(connection, step, *, answers=Budget, catalog=None):
    """The page that a step becomes after all the further looks that it asks for."""
    catalog = catalog or catalog_of(connection)
    for _ in range(10_000):
        if not isinstance(step, FollowUp):
            return step
        step = run(connection, step.make(catalog), answers())
    raise AssertionError("the page asks for further looks without end")


def walk(connection, schema, position=None, *, since_ms=None, answers=Budget, most=10_000):
    """Pages until there is no more to read."""
    pages = []
    for _ in range(most):
        page = look(connection, schema, position, since_ms=since_ms, answers=answers)
        pages.append(page)
        position = page.position
        if not page.more:
            return pages
    raise AssertionError("the walk does not end")


def ids(*pages):
    """Of everything that has one; places have none."""
    return [
        found.generation_id
        for page in pages
        for found in page.observations
        if hasattr(found, "generation_id")
    ]
