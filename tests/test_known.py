"""A whole database, scanned with every schema that matches."""

from __future__ import annotations

import json
from contextlib import closing
from functools import partial

import attrs
import pytest
import trio
from chats import HEADERS, KV, Chat, places, want
from scans import (
    ITEM_TABLE,
    NOW_MS,
    RING_KEY,
    Budget,
    catalog_of,
    follow,
    ids,
    item,
    memory,
    run,
    set_ring,
    uuid,
)

from trio_cursor.cursor.guest import Guest, Page
from trio_cursor.cursor.schemas import Catalog
from trio_cursor.cursor.schemas.composers import KEY as LIST_KEY
from trio_cursor.cursor.schemas.composers import PANES
from trio_cursor.cursor.schemas.known import SCHEMAS, readable_columns, reread_database, scan_database
from trio_cursor.observations import TurnContent, TurnGone
from trio_cursor.sqlite_library import sqlite3

V1_TABLE = 'CREATE TABLE "aiService.generations" (uuid TEXT, value TEXT)'
V2_TABLE = 'CREATE TABLE "ai.generations" (uuid TEXT, value TEXT)'


def scan(connection, positions=(), *, answer=None):
    made = scan_database(catalog_of(connection), dict(positions), rescan=False, verify=False, since_ms=None)
    return run(connection, made, answer)


def test_names_are_unique_and_every_table_is_declared_with_its_columns():
    assert [schema.name for schema in SCHEMAS] == [
        *("ring", "tables_v1", "tables_v2", "tables_plain"),
        *("composers", "conversations"),
    ]
    assert readable_columns() == {
        "ItemTable": {"key", "value"},
        "cursorDiskKV": {"key", "value"},
        "composerHeaders": {
            *("composerId", "workspaceId", "createdAt", "lastUpdatedAt", "isSubagent", "checkpointAt"),
        },
        **{
            name: {"uuid", "data_version", "value", "timestamp"}
            for name in ("aiService.generations", "ai.generations", "generations")
        },
        **{name: {"uuid", "text", "timestamp"} for name in ("aiService.prompts", "ai.prompts", "prompts")},
    }


def test_all_that_match_are_read_in_one_look_and_go_on_from_their_positions():
    database = memory(ITEM_TABLE, V1_TABLE, V2_TABLE, KV)
    set_ring(database, [item(1)])
    Chat(database, "c").turn(2).write()
    database.execute("""INSERT INTO "aiService.generations" VALUES ('a', '{}')""")
    database.execute("""INSERT INTO "ai.generations" VALUES ('b', '{}')""")
    first = scan(database)
    pages = {name: follow(database, step) for name, step in first.steps.items()}
    assert {name: ids(page) for name, page in pages.items()} == {
        "ring": [uuid(1)],
        "tables_v1": ["a"],
        "tables_v2": ["b"],
        "composers": [],
        "conversations": [uuid(2)],
    }
    assert first.unknown == ()
    again = scan(database, {name: page.position for name, page in pages.items()})
    assert all(follow(database, step).observations == () for step in again.steps.values())


def test_a_layout_that_nobody_knows_is_named_never_passed_over_in_silence():
    assert scan(memory()).unknown == ("no table that could hold generations; tables found: none",)
    (words,) = scan(memory("CREATE TABLE one (a)", "CREATE VIEW two AS SELECT 1")).unknown
    assert words == "no table that could hold generations; tables found: one, two"


def test_a_table_of_another_shape_is_named_beside_what_can_be_read():
    database = memory(ITEM_TABLE, 'CREATE TABLE "ai.generations" (id, body)')
    reading = scan(database)
    assert list(reading.steps) == ["ring", "composers"]
    assert reading.unknown == ("ai.generations lacks uuid or value; columns found: body, id",)


def test_a_broken_ring_does_not_stop_the_tables():
    database = memory(ITEM_TABLE, V1_TABLE)
    set_ring(database, "broken")
    database.execute("""INSERT INTO "aiService.generations" VALUES ('a', '{}')""")
    reading = scan(database)
    assert reading.steps["ring"].problem
    assert ids(reading.steps["tables_v1"]) == ["a"]


def test_a_budget_that_the_ring_has_spent_leaves_the_tables_for_the_next_look():
    database = memory(ITEM_TABLE, V1_TABLE)
    set_ring(database, [item(1)])
    database.execute("""INSERT INTO "aiService.generations" VALUES ('a', '{}')""")
    steps = scan(database, answer=Budget(0)).steps
    assert ids(steps["ring"]) == [uuid(1)]
    assert (ids(steps["tables_v1"]), steps["tables_v1"].more) == ([], True)


def test_what_is_wanted_is_answered_by_its_schema():
    database = memory(ITEM_TABLE, KV)
    Chat(database, "c").turn(2).write()
    catalog = catalog_of(database)
    wanted = (want("c", "b0"), want("c", "b9"), want("i", "m", schema="composers"))
    page = follow(database, run(database, reread_database(catalog, wanted)))
    content, gone = page.observations
    assert isinstance(content, TurnContent)
    assert content.prompt_text == "ask 2"
    assert gone == TurnGone(wanted[1].id)
    page = follow(database, run(database, reread_database(catalog, wanted[2:])))
    assert page.observations == (TurnGone(wanted[2].id),)
    of_a_schema_that_is_no_more = (want("c", "b0", schema="other"),)
    page = follow(database, run(database, reread_database(catalog, of_a_schema_that_is_no_more)))
    assert page.observations == (TurnGone(wanted[0].id),)
    assert run(database, reread_database(catalog, ())).observations == ()
    no_tables = Catalog(1, {})
    assert run(database, reread_database(no_tables, wanted)).observations == tuple(
        TurnGone(one.id) for one in wanted[:2]
    )


def test_nothing_is_asked_of_a_database_without_any_of_our_tables():
    with pytest.raises(StopIteration):
        next(scan_database(Catalog(1, {}), {}, rescan=False, verify=False, since_ms=None))


HOSTILE = {
    "a view": (
        "CREATE VIEW ItemTable AS SELECT 'aiService.generations' AS key, '[]' AS value",
        "ItemTable is a view, not a table with rowids",
    ),
    "a table without rowids": (
        "CREATE TABLE ItemTable (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID",
        "ItemTable is a WITHOUT ROWID table, not a table with rowids",
    ),
    "a generated column": (
        "CREATE TABLE ItemTable (key TEXT, value BLOB GENERATED ALWAYS AS (zeroblob(1000)) VIRTUAL)",
        "ItemTable lacks key or value; columns found: key",
    ),
    "a column that hides the rowid": (
        "CREATE TABLE ItemTable (key TEXT, value BLOB, _rowid_ TEXT)",
        "ItemTable has a column called _rowid_, which hides the number of the row",
    ),
    "a view instead of conversations": (
        "CREATE VIEW cursorDiskKV AS SELECT 'composerData:c' AS key, '{}' AS value",
        "cursorDiskKV is a view, not a table with rowids",
    ),
    "a virtual table": (
        "CREATE VIRTUAL TABLE ItemTable USING fts5(key, value)",
        "ItemTable is a virtual table, not a table with rowids",
    ),
}


@pytest.fixture
def read(tmp_path):
    """Reads a file through the real door; gives the pages of all schemas."""
    home = tmp_path / "User" / "workspaceStorage" / "w1"
    home.mkdir(parents=True)
    path = home / "state.vscdb"

    async def read_through_the_door(*statements, since_ms=None):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for statement, *params in statements:
                connection.execute(statement, params)
        guest = Guest(
            roots=(str(tmp_path / "User"),),
            tables=readable_columns(),
            deadline_seconds=20,
            max_concurrent=1,
            private_dir=str(tmp_path / "private"),
        )
        pages, positions = {}, {}
        with trio.fail_after(30):
            # On a slow machine the lock budget ends a look before it has come to everything. Only the first
            # verifies: the next ones would find once more what was found.
            while not pages or any(page.more for page in pages.values()):
                make = partial(
                    scan_database, positions=positions, rescan=False, verify=not pages, since_ms=since_ms
                )
                outcome = await guest.read(str(path), make, unless=None)
                assert isinstance(outcome, Page), outcome
                for name, step in outcome.result.steps.items():
                    while hasattr(step, "make"):
                        further = await guest.read(str(path), step.make, unless=None)
                        step = further.result  # noqa: PLW2901 - until it is a page
                    earlier = pages[name].observations if name in pages else ()
                    pages[name] = attrs.evolve(step, observations=(*earlier, *step.observations))
                    positions[name] = step.position
            await guest.aclose()
        return pages, outcome.result.unknown

    return read_through_the_door


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_is_no_ordinary_table_is_named_and_not_read(read, name):
    statement, words = HOSTILE[name]
    pages, unknown = await read(
        (statement,), (V1_TABLE,), ("""INSERT INTO "aiService.generations" VALUES ('a', '{}')""",)
    )
    assert unknown == (words,)
    assert {name: ids(page) for name, page in pages.items()} == {"tables_v1": ["a"]}


async def test_the_door_lets_every_query_of_every_schema_through(read):
    value = json.dumps({"promptId": "p", "timestamp": NOW_MS})
    columns = "n INTEGER PRIMARY KEY, uuid, data_version, value, timestamp"
    tables = [
        statement
        for number, name in enumerate(("aiService", "ai"))
        for statement in (
            (f'CREATE TABLE "{name}.generations" ({columns})',),
            (f'CREATE TABLE "{name}.prompts" (uuid, text, timestamp)',),
            (f'INSERT INTO "{name}.generations" VALUES (?, ?, 1, ?, 1)', 2**63 - 1, f"g{number}", value),
            (f'INSERT INTO "{name}.prompts" VALUES (?, ?, 1)', "p", f"ask {number}"),
        )
    ]
    message = {"bubbleId": "m", "type": 1, "requestId": uuid(4), "text": "inline"}
    head = {"composerId": "i", "conversation": [message]}
    header = {"bubbleId": "b", "type": 1}
    rows = [
        ("composerData:c", json.dumps({"fullConversationHeadersOnly": [header]})),
        ("bubbleId:c:b", json.dumps({"type": 1, "requestId": uuid(5)})),
        ("composerData:d", json.dumps({"fullConversationHeadersOnly": [header]})),
        ("messageRequestContext:d:b", json.dumps({"projectLayouts": [{"rootPath": "/p"}]})),
    ]
    pages, unknown = await read(
        (ITEM_TABLE,),
        ("INSERT INTO ItemTable VALUES (?, ?)", RING_KEY, json.dumps([item(1)])),
        ("INSERT INTO ItemTable VALUES (?, ?)", "cursorAuth/accessToken", "secret"),
        ("INSERT INTO ItemTable VALUES (?, ?)", LIST_KEY, json.dumps({"allComposers": [head]})),
        ("INSERT INTO ItemTable VALUES (?, ?)", PANES, json.dumps({"workbench.panel.aichat.view.c": {}})),
        *tables,
        (KV,),
        (HEADERS,),
        ("INSERT INTO composerHeaders (composerId, workspaceId) VALUES ('c', 'w')",),
        *(("INSERT INTO cursorDiskKV VALUES (?, ?)", *row) for row in rows),
    )
    assert unknown == ()
    assert {name: ids(page) for name, page in pages.items()} == {
        "ring": [uuid(1)],
        "tables_v1": ["g0"],
        "tables_v2": ["g1"],
        "composers": [uuid(4)],
        "conversations": [uuid(5)],
    }
    assert {(place.rule, place.conversation_id) for place in places(*pages.values())} == {
        (2, "c"),
        (4, "i"),
        (5, "c"),
        (6, "d"),
    }
    assert [pages[name].observations[0].prompt.text for name in ("tables_v1", "tables_v2")] == [
        "ask 0",
        "ask 1",
    ]


async def test_prompts_without_rowids_cost_no_generation(read):
    pages, _ = await read(
        (V1_TABLE,),
        ('CREATE TABLE "aiService.prompts" (uuid TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID',),
        ("""INSERT INTO "aiService.generations" VALUES ('a', '{"promptId": "p"}')""",),
    )
    assert ids(pages["tables_v1"]) == ["a"]
