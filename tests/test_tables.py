"""The specification's tables, read from real SQLite: upwards by rowid, whatever was done to them."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scans import (
    HAS_OCTET_LENGTH,
    NOW_MS,
    Budget,
    catalog_of,
    ids,
    look,
    memory,
    run,
    uuid,
    walk,
)

from trio_cursor.cursor.schemas import Catalog, Column, Rows, Table
from trio_cursor.cursor.schemas.tables import PLAIN, V1, V2
from trio_cursor.cursor.schemas.values import ROW_LIMIT
from trio_cursor.sqlite_library import sqlite3

GENERATIONS = (
    'CREATE TABLE "aiService.generations" (uuid TEXT, data_version INTEGER, value TEXT, timestamp INTEGER)'
)
PROMPTS = 'CREATE TABLE "aiService.prompts" (uuid TEXT, text TEXT, timestamp INTEGER)'
LEAST, MOST = -(2**63), 2**63 - 1


@pytest.fixture
def database():
    with_tables = memory(GENERATIONS, PROMPTS)
    yield with_tables
    with_tables.close()


def add(connection, number, rowid=None, **value):
    stored = json.dumps({"model": "m", **value})
    sql = 'INSERT INTO "aiService.generations" (rowid, uuid, value, timestamp, data_version)'
    sql += " VALUES (?, ?, ?, ?, 7)"
    connection.execute(sql, (rowid, uuid(number), stored, NOW_MS + number))


def add_row(connection, **columns):
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    connection.execute(
        f'INSERT INTO "aiService.generations" ({names}) VALUES ({marks})', tuple(columns.values())
    )


def add_prompt(connection, id_, text, time=None, rowid=None):
    sql = 'INSERT INTO "aiService.prompts" (rowid, uuid, text, timestamp) VALUES (?, ?, ?, ?)'
    connection.execute(sql, (rowid, id_, text, time))


def uuids(*numbers):
    return [uuid(number) for number in numbers]


def test_a_row_with_everything(database):
    add(database, 1, promptId="p1", timestamp=NOW_MS, secret="never")
    add_prompt(database, "p1", "why?", "2025-10-09T08:53:19Z")
    page = look(database, V1)
    (row,) = page.observations
    assert (row.schema, row.generation_id, row.rowid, row.data_version) == ("tables_v1", uuid(1), 1, 7)
    assert row.timestamp == NOW_MS  # the value's own goes before the column's
    assert row.value == {"model": "m", "promptId": "p1", "timestamp": NOW_MS}
    assert (row.raw, row.left_out) == (None, ())
    assert (row.prompt.uuid, row.prompt.text, row.prompt.timestamp) == ("p1", "why?", NOW_MS - 1000)
    assert page.backfill
    assert (page.more, page.skipped, page.problem) == (False, {}, None)


def test_what_appears_afterwards_is_new(database):
    add(database, 1)
    first = look(database, V1)
    assert look(database, V1, first.position).observations == ()
    add(database, 2)
    page = look(database, V1, first.position)
    assert (ids(page), page.backfill) == (uuids(2), False)


def test_a_table_that_was_empty_at_first_sight_is_synced(database):
    empty = look(database, V1)
    assert (empty.observations, empty.entries) == ((), 0)
    add(database, 1)
    assert not look(database, V1, empty.position).backfill


def test_many_rows_come_in_pages_and_all_of_the_first_sync_may_be_old(database):
    for number in range(1201):
        add(database, number)
    pages = walk(database, V1)
    assert [len(page.observations) for page in pages] == [500, 500, 201]
    assert [page.more for page in pages] == [True, True, False]
    assert all(page.backfill for page in pages)
    assert ids(*pages) == uuids(*range(1201))


def test_without_data_version_and_timestamp_the_row_says_what_it_can():
    bare = memory('CREATE TABLE "ai.generations" (value BLOB, uuid)')
    bare.execute(
        'INSERT INTO "ai.generations" (rowid, value, uuid) VALUES (41, ?, ?)',
        (b'{"timestamp": 1760000000}', "x"),
    )
    (row,) = look(bare, V2).observations
    assert (row.schema, row.data_version, row.timestamp, row.value) == (
        "tables_v2",
        41,
        NOW_MS,
        {"timestamp": 1760000000},
    )


@pytest.mark.parametrize(
    ("stored", "value", "raw"),
    [
        (None, None, None),
        ("", None, ""),
        ("not JSON", None, "not JSON"),
        ("[1]", None, "[1]"),
        ("null", None, "null"),
        ('{"a": NaN}', None, '{"a": NaN}'),
        ('{"a": 1e400}', None, '{"a": 1e400}'),
        (b"\xff\x00", None, "\ufffd\x00"),
        (b'{"model": "m"}', {"model": "m"}, None),
        (r'{"model": "\ud800"}', {"model": "\ufffd"}, None),
        ("{}", {}, None),
        (5, None, "5"),
        (0.5, None, "0.5"),
        ("[" * 100_000, None, "[" * 100_000),
        ('{"model": ' + "9" * 5000 + "}", None, '{"model": ' + "9" * 5000 + "}"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_whatever_the_value_is_the_row_is_a_generation(database, stored, value, raw):
    add_row(database, uuid="x", value=stored)
    (row,) = look(database, V1).observations
    assert (row.value, row.raw) == (value, raw)


def test_a_value_in_a_column_without_a_type_stays_what_it_is():
    untyped = memory("CREATE TABLE generations (uuid, value, data_version, timestamp)")
    untyped.execute("INSERT INTO generations VALUES ('x', 5, 'seven', ?)", (b"1760000000000",))
    untyped.execute("INSERT INTO generations VALUES (5, NULL, 5.0, 1)")
    untyped.execute("INSERT INTO generations VALUES (CAST('y' AS BLOB), 0.5, NULL, 'noon')")
    page = look(untyped, PLAIN)
    found = [(row.generation_id, row.raw, row.data_version, row.timestamp) for row in page.observations]
    assert found == [("x", "5", 1, NOW_MS), ("y", "0.5", 3, None)]
    assert page.skipped == {"row of generations without a usable id": 1}


@pytest.mark.parametrize("id_", [None, "", "a\nb", "x" * 201, b"", "\U0001f600" * 10_000])
def test_a_row_without_a_usable_id_is_counted(database, id_):
    add_row(database, uuid=id_, value="{}")
    add(database, 1)
    page = look(database, V1)
    assert ids(page) == uuids(1)
    assert page.skipped == {"row of aiService.generations without a usable id": 1}
    assert look(database, V1, page.position).observations == ()


def test_the_longest_id_of_all(database):
    add_row(database, uuid="\U0001f600" * 200, value="{}")
    assert ids(look(database, V1)) == ["\U0001f600" * 200]


def test_repeated_ids_and_versions_are_all_observed_in_order(database):
    for time in (1, 2):
        add_row(database, uuid="x", value="{}", data_version=3, timestamp=NOW_MS + time)
    assert [row.timestamp for row in look(database, V1).observations] == [NOW_MS + 1, NOW_MS + 2]


def test_negative_sparse_and_extreme_rowids(database):
    rowids = [LEAST, LEAST + 1, -5, 0, 1, 10**12, MOST]
    for number, rowid in enumerate(rowids):
        add(database, number, rowid)
    page = look(database, V1)
    assert [row.rowid for row in page.observations] == rowids
    assert not page.more
    assert look(database, V1, page.position).observations == ()
    assert ids(look(database, V1, page.position, verify=True)) == ids(page)


def test_the_least_rowid_of_all_alone(database):
    add(database, 1, LEAST)
    (page,) = walk(database, V1)
    assert ids(page) == uuids(1)
    assert look(database, V1, page.position).observations == ()


def test_the_guard_notices_a_maximum_rowid_that_was_used_again(database):
    for number in (1, 2):
        add(database, number)
    position = look(database, V1).position
    database.execute('DELETE FROM "aiService.generations" WHERE rowid = 2')
    add(database, 3)
    assert database.execute('SELECT max(rowid) FROM "aiService.generations"').fetchone() == (2,)
    page = look(database, V1, position)
    assert uuid(3) in ids(page)
    assert page.backfill


def test_a_table_that_shrank_is_read_anew(database):
    for number in (1, 2, 3):
        add(database, number)
    position = look(database, V1).position
    database.execute('DELETE FROM "aiService.generations" WHERE rowid > 1')
    add(database, 4)
    assert ids(look(database, V1, position)) == uuids(1, 4)


def test_a_table_that_was_emptied_starts_over(database):
    add(database, 1)
    position = look(database, V1).position
    database.execute('DELETE FROM "aiService.generations"')
    emptied = look(database, V1, position)
    assert emptied.entries == 0
    add(database, 2)
    page = look(database, V1, emptied.position)
    assert (ids(page), page.backfill) == (uuids(2), False)


def test_a_deleted_last_row_is_no_reason_to_start_over(database):
    for number in (1, 2):
        add(database, number)
    position = look(database, V1).position
    add(database, 3)
    database.execute('DELETE FROM "aiService.generations" WHERE rowid = 2')
    assert ids(look(database, V1, position)) == uuids(3)


def test_rowids_dealt_anew_by_vacuum(tmp_path):
    path = tmp_path / "state.vscdb"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(GENERATIONS)
    for number in range(1, 6):
        add(connection, number, 100 * number)
    position = look(connection, V1).position
    add(connection, 6)
    connection.execute("VACUUM")
    connection.execute('UPDATE "aiService.generations" SET rowid = 500 + rowid - 4 WHERE rowid >= 501')
    page = look(connection, V1, position)
    assert uuid(6) in ids(page)
    connection.close()


def test_rows_that_appear_below_the_position_are_found_by_verification(database):
    for number in range(1200):
        add(database, number, 10 + number)
    (*_, last) = walk(database, V1)
    add(database, 5000, 1)
    add(database, 5001, -7)
    database.execute('DELETE FROM "aiService.generations" WHERE uuid = ?', (uuid(700),))
    add(database, 5002, 710)
    assert look(database, V1, last.position).observations == ()
    position, found = last.position, []
    for _ in range(3):
        page = look(database, V1, position, verify=True)
        assert page.backfill
        assert not page.more
        position = page.position
        found += ids(page)
    assert set(uuids(5000, 5001, 5002)) <= set(found)
    assert len(found) == 1202
    assert len(look(database, V1, position, verify=True).observations) == 500  # and over again
    add(database, 5003)
    page = look(database, V1, position, verify=True)
    assert (ids(page), page.backfill) == (uuids(5003), False)  # news goes first


def test_another_file_is_read_anew(database):
    add(database, 1)
    position = look(database, V1).position
    page = look(database, V1, position, rescan=True)
    assert (ids(page), page.backfill) == (uuids(1), True)


@pytest.mark.parametrize("has_octet_length", [True, False] if HAS_OCTET_LENGTH else [False])
def test_a_value_beyond_the_limit_leaves_a_generation_of_which_nothing_is_known(database, has_octet_length):
    add_row(database, uuid="big", value="x" * (ROW_LIMIT + 1))
    add(database, 1)
    page = look(database, V1, catalog=catalog_of(database, has_octet_length=has_octet_length))
    assert ids(page) == ["big", uuid(1)]
    assert [(row.value is None, row.raw, row.left_out) for row in page.observations] == [
        (True, None, ("full_generation_data", "response_text")),
        (False, None, ()),
    ]


def test_a_row_that_sqlite_refuses_to_read_is_passed_over_without_its_value(database):
    for number in (1, 2, 3):
        add(database, number)

    def answer(connection, query):
        """As SQLite with a small limit of length, for which row 2 is too big."""
        answered = Budget()(connection, query)
        if "LIMIT 500" in query.sql:
            rows = answered.rows
            before = [row for row in rows if row[0] < 2]
            return (
                Rows(before, "too big") if len(before) < len(rows) and rows[len(before)][0] == 2 else answered
            )
        return answered

    pages = walk(database, V1, answers=lambda: answer)
    assert ids(*pages) == uuids(1, 2, 3)
    large = pages[0].observations[1]
    assert (large.value, large.left_out) == (None, ("full_generation_data", "response_text"))


def test_a_table_without_time_left_is_asked_again_at_once_but_not_for_ever(database):
    add(database, 1)
    spent = lambda *_: Rows([], "budget")  # noqa: E731
    pages = walk(database, V1, answers=lambda: spent)
    assert len(pages) == 10
    assert [page.problem for page in pages[:-1]] == [None] * 9
    assert "lock budget" in pages[-1].problem
    page = look(database, V1, pages[-1].position)
    assert (ids(page), page.backfill, page.problem) == (uuids(1), True, None)
    assert look(database, V1, page.position, answers=lambda: spent).more  # the count starts over


def test_a_table_without_time_left_moves_its_position_no_more_once_that_is_said(database):
    add(database, 1)
    spent = lambda *_: Rows([], "budget")  # noqa: E731
    said = walk(database, V1, answers=lambda: spent)[-1]
    again = look(database, V1, said.position, answers=lambda: spent)
    assert (again.position, again.more, again.problem) == (said.position, False, said.problem)


@pytest.mark.parametrize("answered", [1, 2])
def test_a_budget_that_ends_between_two_queries_loses_nothing(database, answered):
    add(database, 1)
    position = look(database, V1).position
    add(database, 2)

    def answers():
        left = iter([True] * answered)
        return lambda *asked: Budget()(*asked) if next(left, False) else Rows([], "budget")

    page = look(database, V1, position, answers=answers)
    assert (page.observations, page.more) == ((), True)
    assert ids(look(database, V1, page.position)) == uuids(2)


class TestPrompts:
    """Joined by a second query, by the id alone."""

    def test_a_row_without_its_prompt(self, database):
        for number, id_ in enumerate(["gone", "", 5, None, "x" * 201]):
            add(database, number, promptId=id_)
        assert [row.prompt for row in look(database, V1).observations] == [None] * 5

    @pytest.mark.parametrize(
        ("text", "read"), [("why?", "why?"), (None, None), (b"caf\xc3", "caf\ufffd"), ("", ""), (5, "5")]
    )
    def test_texts(self, database, text, read):
        add(database, 1, promptId="p")
        add_prompt(database, "p", text, True)
        (row,) = look(database, V1).observations
        assert (row.prompt.text, row.prompt.timestamp, row.prompt.is_too_large) == (read, None, False)

    def test_of_several_with_one_id_the_first_counts(self, database):
        add(database, 1, promptId="p")
        add_prompt(database, "p", "first")
        add_prompt(database, "p", "second")
        assert look(database, V1).observations[0].prompt.text == "first"

    def test_one_for_several_rows(self, database):
        add_prompt(database, "p", "why?")
        for number in (1, 2):
            add(database, number, promptId="p")
        assert [row.prompt.text for row in look(database, V1).observations] == ["why?", "why?"]

    def test_a_text_beyond_the_limit_is_not_read(self, database):
        add(database, 1, promptId="p")
        add_prompt(database, "p", "x" * (ROW_LIMIT + 1), NOW_MS)
        (row,) = look(database, V1).observations
        assert (row.prompt.text, row.prompt.timestamp, row.prompt.is_too_large) == (None, NOW_MS, True)

    @pytest.mark.parametrize("rows", [40, 130, 500])
    @pytest.mark.parametrize("index", [True, False])
    def test_interrupted_at_any_point_it_gives_the_same(self, database, rows, index):
        if index:
            database.execute('CREATE UNIQUE INDEX by_uuid ON "aiService.prompts" (uuid)')
        database.execute("BEGIN")
        for number in range(450):
            add(database, number, promptId=f"p{number}")
            if number % 3:
                add_prompt(database, f"p{number}", f"ask {number}", rowid=10_000 - 20 * number)
        database.execute("COMMIT")
        pages = walk(database, V1, answers=lambda: Budget(rows))
        found = [row.prompt.text if row.prompt else None for page in pages for row in page.observations]
        assert found == [f"ask {number}" if number % 3 else None for number in range(450)]

    def slow(self, database, walks):
        """Keyed lookups are never done; of a walk these many rows are read in each look."""

        def answers():
            def answer(connection, query):
                if "WHERE uuid IN" in query.sql:
                    return Rows([], "budget")
                answered = Budget()(connection, query)
                if '"aiService.prompts"' in query.sql and len(answered.rows) > walks:
                    return Rows(answered.rows[:walks], "budget")
                return answered

            return answer

        return walk(database, V1, answers=answers)

    def test_a_table_without_an_index_is_walked_through(self, database):
        add(database, 1, promptId="p7")
        add(database, 2, promptId="never")
        for number in range(20):
            add_prompt(database, f"p{number}", f"ask {number}", rowid=LEAST + number)
        (page,) = self.slow(database, walks=2)
        assert [row.prompt and row.prompt.text for row in page.observations] == ["ask 7", None]

    def test_a_walk_that_does_not_get_on_is_given_up(self, database):
        add(database, 1, promptId="p0")
        add_prompt(database, "p0", "ask")
        (page,) = self.slow(database, walks=0)
        assert (ids(page), page.observations[0].prompt) == (uuids(1), None)

    def test_a_walk_passes_over_what_sqlite_refuses_to_read(self, database):
        add(database, 1, promptId="p2")
        for number in (1, 2):
            add_prompt(database, f"p{number}", f"ask {number}")

        def answer(connection, query):
            if "WHERE uuid IN" in query.sql:
                return Rows([], "too big")
            answered = Budget()(connection, query)
            if query.sql.endswith("LIMIT 2000") and answered.rows[:1] and answered.rows[0][0] == 1:
                return Rows([], "too big")
            return answered

        (page,) = walk(database, V1, answers=lambda: answer)
        assert page.observations[0].prompt.text == "ask 2"

    @pytest.mark.parametrize(
        "layout",
        [
            "CREATE TABLE prompts (text TEXT)",
            "CREATE TABLE prompts (uuid TEXT, text TEXT, _rowid_ TEXT)",
            None,
        ],
    )
    def test_without_a_usable_table_rows_are_reported_all_the_same(self, layout):
        database = memory("CREATE TABLE generations (uuid, value)", *([layout] if layout else []))
        database.execute("""INSERT INTO generations VALUES ('x', '{"promptId": "p"}')""")
        page = look(database, PLAIN)
        assert (ids(page), page.observations[0].prompt) == (["x"], None)

    def test_a_table_of_ids_alone(self):
        database = memory("CREATE TABLE generations (uuid, value)", "CREATE TABLE prompts (uuid)")
        database.execute("""INSERT INTO generations VALUES ('x', '{"promptId": "p"}')""")
        database.execute("INSERT INTO prompts VALUES ('p')")
        prompt = look(database, PLAIN).observations[0].prompt
        assert (prompt.uuid, prompt.text, prompt.timestamp) == ("p", None, None)

    @pytest.mark.parametrize("walking", [True, False])
    def test_a_table_that_goes_away_meanwhile(self, database, walking):
        add(database, 1, promptId="p")
        catalog = catalog_of(database)
        scan = V1.scan(catalog, None, rescan=False, verify=False, since_ms=None)
        step = run(database, scan)
        if walking:
            step = run(database, step.make(catalog), lambda *_: Rows([], "budget"))
        gone = Catalog(2, {V1.generations: catalog.tables[V1.generations]})
        page = run(database, step.make(gone))
        assert (ids(page), page.observations[0].prompt) == (uuids(1), None)


@pytest.mark.parametrize(
    ("schema", "tables", "match"),
    [
        (V1, {}, False),
        (V1, {V1.generations: ("UUID", "value")}, True),
        (V2, {V1.generations: ("uuid", "value")}, False),
        (PLAIN, {"generations": ("uuid", "value", "more")}, True),
        (PLAIN, {"generations": ("uuid", "value"), V1.generations: ()}, False),
        (PLAIN, {"generations": ("uuid", "value"), V2.generations: ("uuid", "value")}, False),
        (V2, {V2.generations: ("uuid", "b")}, "ai.generations lacks uuid or value; columns found: b, uuid"),
        (
            V2,
            {V2.generations: ("uuid", "value", "_ROWID_")},
            "ai.generations has a column called _rowid_, which hides the number of the row",
        ),
    ],
)
def test_which_databases_have_these_tables(schema, tables, match):
    catalog = Catalog(1, {name: Table(name, tuple(map(Column, columns))) for name, columns in tables.items()})
    assert schema.matches(catalog) == match


def test_a_view_is_no_table():
    assert V1.matches(Catalog(1, {V1.generations: Table(V1.generations, (), "view")})) == (
        "aiService.generations is a view, not a table with rowids"
    )


rowids = st.integers(-20, 60) | st.sampled_from([LEAST, LEAST + 1, MOST])


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.sets(rowids, max_size=40), st.lists(st.integers(0, 12), min_size=1, max_size=6))
def test_a_walk_interrupted_anywhere_gives_the_same_rows(places, budgets):
    database = memory(GENERATIONS, PROMPTS)
    for number, rowid in enumerate(sorted(places)):
        add(database, number, rowid, promptId=f"p{number % 5}")
    for number in range(4):
        add_prompt(database, f"p{number}", f"ask {number}")
    undisturbed = [row for page in walk(database, V1) for row in page.observations]
    moments = itertools.cycle([*budgets, 50])  # now and then there is time enough to get on
    interrupted, position = [], None
    for _ in range(2000):
        page = look(database, V1, position, answers=lambda: Budget(next(moments)))
        interrupted += page.observations
        position = page.position
        if not page.more and page.problem is None:
            break
    else:
        raise AssertionError("no end")
    assert interrupted == undisturbed
    database.close()


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["append", "insert", "delete last", "delete", "replace"]), st.integers(-5, 30)
        ),
        max_size=25,
    ),
    st.data(),
)
def test_whatever_was_done_a_verification_of_the_whole_table_finds_every_row(changes, data):
    database = memory(GENERATIONS)
    position, observed = None, set()
    for number, (change, rowid) in enumerate(changes):
        table = '"aiService.generations"'
        match change:
            case "append":
                add(database, number)
            case "insert" if not database.execute(
                f"SELECT 1 FROM {table} WHERE rowid = ?", (rowid,)
            ).fetchall():
                add(database, number, rowid)
            case "delete last":
                database.execute(f"DELETE FROM {table} WHERE rowid = (SELECT max(rowid) FROM {table})")
            case "delete":
                database.execute(f"DELETE FROM {table} WHERE rowid = ?", (rowid,))
            case "replace":
                database.execute(f"DELETE FROM {table} WHERE rowid = ?", (rowid,))
                add(database, number, rowid)
            case _:
                pass
        if data.draw(st.booleans()):
            page = look(database, V1, position)
            observed.update(ids(page))
            position = page.position
    for verify in (False, True):
        page = look(database, V1, position, verify=verify)
        observed.update(ids(page))
        position = page.position
    left = {row[0] for row in database.execute('SELECT uuid FROM "aiService.generations"')}
    assert left <= observed
    database.close()
