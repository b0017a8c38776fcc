"""The ring, read from real SQLite: what is new, what is missing, what is none."""

from __future__ import annotations

import json
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scans import (
    HAS_OCTET_LENGTH,
    ITEM_TABLE,
    NOW_MS,
    RING_KEY,
    Budget,
    catalog_of,
    ids,
    item,
    look,
    memory,
    run,
    set_ring,
    uuid,
)

from trio_cursor.cursor.schemas import Catalog, Column, Rows, Table
from trio_cursor.cursor.schemas.ring import CAPACITY, MOST_ENTRIES, RingSchema
from trio_cursor.cursor.schemas.values import RING_LIMIT

RING = RingSchema()


@pytest.fixture
def database():
    with_ring = memory(ITEM_TABLE)
    yield with_ring
    with_ring.close()


def items(*numbers):
    return [item(number) for number in numbers]


def uuids(*numbers):
    return [uuid(number) for number in numbers]


def test_the_first_look_is_a_first_sync_with_everything(database):
    set_ring(database, items(1, 2, 3))
    page = look(database, RING)
    assert ids(page) == uuids(1, 2, 3)
    assert page.backfill
    assert page.entries == 3
    assert (page.gaps, page.skipped, page.problem, page.more) == ((), {}, None, False)
    entry = page.observations[0]
    assert (entry.unix_ms, entry.type, entry.text) == (NOW_MS + 1, "composer", "ask 1")
    assert entry.timestamp == entry.unix_ms
    assert entry.source == item(1)
    assert entry.rowid == database.execute("SELECT rowid FROM ItemTable").fetchone()[0]


def test_what_appears_afterwards_is_new_whatever_its_time_says(database):
    set_ring(database, items(1))
    first = look(database, RING)
    set_ring(database, [*items(1), item(2, unixMs=1_000_000_000_000)])
    page = look(database, RING, first.position)
    assert ids(page) == uuids(2)
    assert not page.backfill


def test_an_unchanged_ring_is_neither_read_nor_reported(database):
    set_ring(database, items(1, 2))
    position = look(database, RING).position
    rows = []

    def answer(connection, query):
        answered = Budget()(connection, query)
        rows.extend(answered.rows)
        return answered

    page = look(database, RING, position, answers=lambda: answer)
    assert page.observations == ()
    assert page.position == position
    assert page.entries == 2
    assert [row[2] for row in rows] == [None]  # not even the value was read


def test_one_query_does_it(database):
    """Only the first query of a transaction is sure to be answered within the lock budget."""
    set_ring(database, items(1))
    assert ids(look(database, RING, answers=lambda: Budget(0))) == uuids(1)


def test_a_rewrite_that_keeps_rowid_and_size_is_seen_by_verification(database):
    set_ring(database, items(1))
    position = look(database, RING).position
    database.execute("UPDATE ItemTable SET value = ?", (json.dumps(items(2)),))
    assert ids(look(database, RING, position)) == []
    assert ids(look(database, RING, position, verify=True)) == uuids(2)


def test_another_rewrite_under_the_same_rowid_is_seen_by_its_size(database):
    set_ring(database, items(1))
    position = look(database, RING).position
    database.execute("UPDATE ItemTable SET value = ?", (json.dumps(items(1, 2)),))
    assert ids(look(database, RING, position)) == uuids(2)


def test_another_file_is_read_anew(database):
    set_ring(database, items(1, 2))
    position = look(database, RING).position
    page = look(database, RING, position, rescan=True)
    assert ids(page) == uuids(1, 2)
    assert page.backfill


def test_no_such_key_means_nothing_was_asked_and_what_comes_is_new(database):
    page = look(database, RING)
    assert (page.observations, page.entries, page.problem) == ((), 0, None)
    set_ring(database, items(1))
    later = look(database, RING, page.position)
    assert ids(later) == uuids(1)
    assert not later.backfill


def test_a_key_that_goes_and_comes_back_brings_nothing_twice(database):
    set_ring(database, items(1, 2))
    position = look(database, RING).position
    database.execute("DELETE FROM ItemTable")
    gone = look(database, RING, position)
    assert gone.entries == 0
    set_ring(database, items(1, 2, 3))
    assert ids(look(database, RING, gone.position)) == uuids(3)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "it is NULL"),
        (5, "a number (int)"),
        (5.5, "a number (float)"),
        ("", "not JSON"),
        ("{}", "not a list"),
        ("null", "not a list"),
        ('"text"', "not a list"),
        ("[1, NaN]", "NaN"),
        ("[1e400]", "bounds"),
        ("[" + "9" * 5000 + "]", "digits"),
        ("[" * 100_000, "nested too deeply"),
        ('[{"generationUUID": "a"', "not JSON"),
        (b"\x00\xff", "not JSON"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_broken_ring_is_a_problem_until_it_is_whole_again(database, value, why):
    set_ring(database, items(1))
    position = look(database, RING).position
    set_ring(database, value)
    broken = look(database, RING, position)
    assert broken.observations == ()
    assert RING_KEY in broken.problem
    assert why in broken.problem
    again = look(database, RING, broken.position)
    assert again.problem == broken.problem  # said again without reading it again
    set_ring(database, items(1, 2))
    whole = look(database, RING, again.position)
    assert (ids(whole), whole.problem, whole.backfill) == (uuids(2), None, False)


def test_a_ring_that_was_broken_from_the_beginning_is_synced_when_it_is_first_read(database):
    set_ring(database, "nothing")
    broken = look(database, RING)
    set_ring(database, items(*range(CAPACITY)))
    page = look(database, RING, broken.position)
    assert len(page.observations) == CAPACITY
    assert page.backfill  # the sync window counts: all of it may be old
    assert page.gaps == ()


def test_a_ring_beyond_all_bounds_is_not_read(database):
    database.execute("INSERT INTO ItemTable VALUES (?, zeroblob(?))", (RING_KEY, RING_LIMIT + 1))
    budget = Budget()
    page = look(database, RING, answers=lambda: budget)
    assert f"{RING_LIMIT + 1} bytes" in page.problem
    assert look(database, RING, page.position).problem == page.problem


def test_what_sqlite_refuses_to_read_is_a_problem(database):
    set_ring(database, items(1))
    position = look(database, RING).position
    set_ring(database, items(1, 2))
    page = look(database, RING, position, answers=lambda: lambda *_: Rows([], "too big"))
    assert "larger than" in page.problem
    assert ids(look(database, RING, page.position)) == uuids(2)


def test_a_lookup_that_is_too_slow_is_a_problem_and_is_done_again(database):
    set_ring(database, items(1))
    slow = lambda *_: Rows([], "budget")  # noqa: E731
    first = look(database, RING, answers=lambda: slow)
    assert "lock budget" in first.problem
    page = look(database, RING, first.position)
    assert ids(page) == uuids(1)
    assert page.backfill
    again = look(database, RING, page.position, answers=lambda: slow)
    set_ring(database, items(1, 2))
    assert ids(look(database, RING, again.position)) == uuids(2)


def test_items_that_cannot_be_used_are_counted_and_cost_no_other(database):
    odd = [
        *("text", 5, None, True, ["a"]),
        {},
        *({"generationUUID": bad, "unixMs": NOW_MS} for bad in ("", None, 5, True, ["x"], "x" * 201, "a\nb")),
    ]
    set_ring(database, [item(1), *odd, item(2), item(1), item(1, generationUUID=uuid(1).upper())])
    page = look(database, RING)
    assert ids(page) == uuids(1, 2)
    assert page.skipped == {
        "ring item is not an object": 5,
        "ring item without a usable id": 8,
        "ring item repeats an id": 2,
    }


def test_of_a_repeated_id_the_earliest_entry_counts(database):
    times = [None, NOW_MS + 5, NOW_MS, "not a time", NOW_MS + 1]
    set_ring(database, [item(1, unixMs=time) for time in times])
    page = look(database, RING)
    assert [entry.unix_ms for entry in page.observations] == [NOW_MS]


def test_ids_that_are_no_uuids_differ_in_case(database):
    set_ring(database, [item(1, generationUUID="abc"), item(2, generationUUID="ABC")])
    first = look(database, RING)
    assert ids(first) == ["abc", "ABC"]
    set_ring(database, [item(1, generationUUID="abc"), item(3, generationUUID="Abc")])
    assert ids(look(database, RING, first.position)) == ["Abc"]


@pytest.mark.parametrize(
    ("stored", "time"),
    [
        (4_102_444_800_000, 4_102_444_800_000),
        ("2100-01-01T00:00:00Z", 4_102_444_800_000),
        (1_760_000_000, NOW_MS),
        (True, None),
        (None, None),
        (0, None),
        (-1, None),
        ("soon", None),
        ([1], None),
        ({"a": {"b": []}}, None),
        (1e300, None),
    ],
)
def test_times_that_are_none_leave_the_entry_without_one(database, stored, time):
    set_ring(database, [item(1, unixMs=stored)])
    (entry,) = look(database, RING).observations
    assert entry.unix_ms == time
    assert entry.source["unixMs"] == stored


def test_a_missing_time_type_and_text_are_unknown(database):
    set_ring(database, [{"generationUUID": "x", "secret": "never", "type": 5, "textDescription": ["a"]}])
    (entry,) = look(database, RING).observations
    assert (entry.unix_ms, entry.type, entry.text) == (None, None, None)
    assert entry.source == {"generationUUID": "x", "type": 5, "textDescription": ["a"]}
    set_ring(database, [{"generationUUID": "y", "type": ""}, {"generationUUID": "z", "type": "t" * 101}])
    assert [entry.type for entry in look(database, RING).observations] == [None, None]


@pytest.mark.parametrize("as_blob", [False, True], ids=["TEXT", "BLOB"])
def test_hostile_texts_come_out_clean(database, as_blob):
    stored = json.dumps([item(1, textDescription="a\ud83d"), item(2)]).replace("ask 2", "ask \u20ac").encode()
    stored = stored.replace("\u20ac".encode(), b"\xe2\x82")  # cut inside a character
    database.execute(
        "INSERT INTO ItemTable VALUES (?, " + ("?" if as_blob else "CAST(? AS TEXT)") + ")",
        (RING_KEY, stored),
    )
    page = look(database, RING)
    assert [entry.text for entry in page.observations] == ["a\ufffd", "ask \ufffd"]


def test_without_its_unique_index_the_newest_row_counts():
    damaged = memory("CREATE TABLE ItemTable (key TEXT, value BLOB)")
    set_ring(damaged, items(1))
    set_ring(damaged, items(1, 2))
    assert ids(look(damaged, RING)) == uuids(1, 2)


@pytest.mark.parametrize("has_octet_length", [True, False] if HAS_OCTET_LENGTH else [False])
def test_both_ways_to_measure_a_value(database, has_octet_length):
    catalog = catalog_of(database, has_octet_length=has_octet_length)
    set_ring(database, items(1))
    page = look(database, RING, catalog=catalog)
    assert ids(page) == uuids(1)
    assert look(database, RING, page.position, catalog=catalog).position == page.position


class TestGaps:
    """A ring that is full and shares nothing with what was seen has lost entries."""

    @pytest.fixture
    def full(self, database):
        set_ring(database, items(*range(CAPACITY)))
        return look(database, RING).position

    def gaps_after(self, database, position, ring, **options):
        set_ring(database, ring)
        return look(database, RING, position, **options).gaps

    def test_one_record_for_a_ring_that_rolled_on_unseen(self, database, full):
        (gap,) = self.gaps_after(database, full, items(*range(500, 600)))
        assert gap.schema == "ring"
        assert "was there at the last look" in gap.detail
        assert (gap.after_ms, gap.before_ms) == (NOW_MS + CAPACITY - 1, NOW_MS + 500)
        page = look(database, RING, look(database, RING, full).position)
        assert page.gaps == ()  # once

    def test_also_in_a_replaced_file(self, database, full):
        assert len(self.gaps_after(database, full, items(*range(500, 600)), rescan=True)) == 1

    def test_also_after_it_was_broken_in_between(self, database, full):
        set_ring(database, "broken")
        broken = look(database, RING, full).position
        assert len(self.gaps_after(database, broken, items(*range(500, 600)))) == 1

    def test_also_after_an_empty_one(self, database):
        set_ring(database, [])
        (gap,) = self.gaps_after(database, look(database, RING).position, items(*range(CAPACITY)))
        assert "was empty" in gap.detail
        assert (gap.after_ms, gap.before_ms) == (None, NOW_MS)

    def test_also_if_a_single_time_lies_in_the_future(self, database):
        set_ring(database, [*items(*range(99)), item(99, unixMs=4_102_444_800_000)])
        seen = look(database, RING).position
        assert len(self.gaps_after(database, seen, items(*range(500, 600)))) == 1

    def test_entries_that_cannot_be_used_fill_the_ring_as_well(self, database, full):
        assert len(self.gaps_after(database, full, [*items(*range(500, 599)), None])) == 1

    def test_none_on_a_first_sync(self, database):
        assert self.gaps_after(database, None, items(*range(500, 600))) == ()

    def test_none_while_one_entry_is_shared(self, database, full):
        assert self.gaps_after(database, full, items(*range(99, 199))) == ()

    def test_none_while_there_was_room(self, database, full):
        assert self.gaps_after(database, full, items(*range(500, 599))) == ()

    def test_none_when_older_content_was_put_back(self, database):
        set_ring(database, items(*range(500, 600)))
        seen = look(database, RING).position
        assert self.gaps_after(database, seen, items(*range(CAPACITY)), rescan=True) == ()

    def test_none_when_what_gave_way_to_older_content_comes_back(self, database):
        set_ring(database, items(*range(500, 600)))
        seen = look(database, RING).position
        set_ring(database, items(*range(CAPACITY)))
        older = look(database, RING, seen, rescan=True).position
        assert self.gaps_after(database, older, items(*range(550, 650))) == ()
        # And if it does not, it rolls on as any other.
        set_ring(database, items(*range(50, 150)))
        further = look(database, RING, older).position
        assert self.gaps_after(database, further, items(*range(599, 699))) == ()
        assert len(self.gaps_after(database, further, items(*range(700, 800)))) == 1

    def test_none_when_it_was_empty_for_a_while(self, database, full):
        set_ring(database, [])
        emptied = look(database, RING, full)
        assert emptied.entries == 0
        set_ring(database, items(*range(1, 101)))
        page = look(database, RING, emptied.position)
        assert page.gaps == ()
        assert ids(page) == uuids(100)


@pytest.mark.parametrize(
    ("table", "match"),
    [
        (None, False),
        (Table("ItemTable", (Column("KEY"), Column("value"), Column("more"))), True),
        (Table("ItemTable", (), "view"), "ItemTable is a view, not a table with rowids"),
        (
            Table("ItemTable", (Column("key"), Column("val"))),
            "ItemTable lacks key or value; columns found: key, val",
        ),
        (
            Table("ItemTable", (Column("key"), Column("value", hidden=2))),
            "ItemTable lacks key or value; columns found: key",
        ),
    ],
)
def test_which_databases_have_a_ring(table, match):
    assert RING.matches(Catalog(1, {"ItemTable": table} if table else {})) == match


def test_a_column_that_hides_the_rowid_is_another_layout():
    hidden = memory("CREATE TABLE ItemTable (key TEXT, value BLOB, _rowid_ TEXT)")
    assert "hides the number of the row" in RING.matches(catalog_of(hidden))
    plain = memory("CREATE TABLE ItemTable (rowid TEXT, key TEXT, value BLOB)")
    plain.execute("INSERT INTO ItemTable VALUES ('odd', ?, ?)", (RING_KEY, json.dumps(items(1))))
    assert RING.matches(catalog_of(plain)) is True
    (entry,) = look(plain, RING).observations
    assert entry.rowid == 1


def test_an_interrupted_scan_leaves_nothing_behind(database):
    set_ring(database, items(1))
    scan = RING.scan(catalog_of(database), None, rescan=False, verify=False, since_ms=None)
    next(scan)
    scan.close()
    assert (
        run(
            database, RING.scan(catalog_of(database), None, rescan=False, verify=False, since_ms=None)
        ).entries
        == 1
    )


#: Each state of a ring: absent, broken, or numbers of entries, some of them twice.
states = st.lists(
    st.one_of(
        st.none(),
        st.just("broken"),
        st.lists(st.integers(0, 12), max_size=8),
    ),
    min_size=1,
    max_size=12,
)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(states, st.data())
def test_whatever_is_in_the_ring_at_some_look_is_observed_and_nothing_twice_after_deduplication(
    history, data
):
    database = memory(ITEM_TABLE)
    draw = partial(data.draw, st.booleans())
    position, was_there, observed = None, set(), []
    for state in history:
        if state is None:
            database.execute("DELETE FROM ItemTable")
        else:
            set_ring(database, items(*state) if isinstance(state, list) else state)
        if not draw():
            continue
        page = look(database, RING, position, rescan=draw(), verify=draw())
        was_there.update(uuids(*state) if isinstance(state, list) else ())
        if draw():  # else we were killed before the page was committed
            position = page.position
            observed += ids(page)
        else:
            was_there = set(observed)
            continue
        assert len(ids(page)) == len(set(ids(page)))
        assert json.loads(position)  # a position is JSON text that comes through the log as it is
        assert look(database, RING, position).observations == ()
    assert set(observed) == was_there
    database.close()


def test_a_ring_beyond_all_measure_is_cut_to_its_newest_entries(database):
    """A damaged or hostile file must not make its neighbours wait."""
    set_ring(database, items(*reversed(range(1, MOST_ENTRIES + 3))))
    page = look(database, RING)
    assert set(ids(page)) == set(uuids(*range(3, MOST_ENTRIES + 3)))
    assert page.skipped == {f"ring item beyond the newest {MOST_ENTRIES}": 2}
