"""What a workspace's own table says about its conversations, read from real SQLite."""

from __future__ import annotations

import json

import pytest
from chats import Counting, named, places, reread, turns, want
from scans import ITEM_TABLE, Budget, catalog_of, follow, look, memory, uuid

from trio_cursor.cursor.schemas import Rows
from trio_cursor.cursor.schemas.composers import KEY, PANES, ComposersSchema
from trio_cursor.cursor.schemas.values import RING_LIMIT
from trio_cursor.observations import Place, TurnContent, TurnGone

COMPOSERS = ComposersSchema()
VIEW = "workbench.panel.aichat.view."


@pytest.fixture
def database():
    with_table = memory(ITEM_TABLE)
    yield with_table
    with_table.close()


def put(connection, key, value):
    stored = json.dumps(value) if isinstance(value, dict | list) else value
    connection.execute("INSERT INTO ItemTable VALUES (?, ?)", (key, stored))


def set_list(connection, *heads):
    put(connection, KEY, {"allComposers": list(heads), "selectedComposerId": "x"})


def set_pane(connection, name, *ids):
    put(connection, f"{PANES}{name}", {f"{VIEW}{id_}": {"collapsed": False} for id_ in ids} | {"other": 1})


def message(number, kind=1, **fields):
    return {"bubbleId": f"b{number}", "type": kind, "text": f"text {number}", **fields}


def test_each_conversation_in_the_list_belongs_here(database):
    set_list(database, {"composerId": "a"}, {"composerId": "b", "name": "B"})
    page = look(database, COMPOSERS)
    assert page.observations == (Place("a", 4), Place("b", 4))
    assert (page.backfill, page.more, page.problem, page.skipped) == (True, False, None, {})
    assert look(database, COMPOSERS, page.position).observations == ()


def test_messages_inside_are_turns(database):
    head = {"composerId": "a", "createdAt": 1_700_000_000_000, "status": "completed"}
    messages = [message(0), message(1, 2), message(2, requestId=uuid(1)), message(3, 2)]
    set_list(database, {**head, "conversation": messages}, {"composerId": "b", "conversation": []})
    page = look(database, COMPOSERS)
    assert named(page) == ["b0", uuid(1)]
    assert {(turn.schema, turn.is_settled) for turn in turns(page)} == {("composers", True)}
    assert places(page) == [Place("a", 4), Place("b", 4)]
    assert look(database, COMPOSERS, page.position, verify=True).observations == ()


def test_what_is_wanted_is_read_again(database):
    messages = [message(0), message(1, 2), message(2), message(3, 2)]
    set_list(database, {"composerId": "a", "status": "completed", "conversation": messages})
    wanted = [
        want("a", "b0", schema="composers"),
        want("a", "b2", schema="composers", with_content=False),
        want("a", "b1", schema="composers"),
        want("b", "b0", schema="composers"),
    ]
    content, turn, *gone = reread(database, *wanted)
    assert isinstance(content, TurnContent)
    assert (content.prompt_text, content.response_text, content.status) == ("text 0", "text 1", "completed")
    assert turn.generation_id == "b2"
    assert gone == [TurnGone(one.id) for one in wanted[2:]]
    set_list(database)
    assert reread(database, *wanted) == [TurnGone(one.id) for one in wanted]
    put(database, KEY, "{")
    assert reread(database, *wanted) == [TurnGone(one.id) for one in wanted]


def test_panes_name_conversations_unless_they_are_hidden(database):
    set_pane(database, "", "a")
    set_pane(database, ".1", "b", "a", "", "x" * 501)
    set_pane(database, ".1.hidden", "c")
    put(database, "workbench.panel.composerChatViewPanes", {f"{VIEW}d": {}})
    put(database, "workbench.panel.composerChatViewPand", {f"{VIEW}e": {}})
    page = look(database, COMPOSERS)
    assert page.observations == (Place("a", 5), Place("b", 5), Place("d", 5))


def test_only_what_changed_is_read_and_said(database):
    set_list(database, {"composerId": "a"})
    set_pane(database, ".1", "b")
    position = look(database, COMPOSERS).position
    counting = Counting()
    page = look(database, COMPOSERS, position, answers=counting)
    assert (page.observations, page.position, page.backfill) == ((), position, False)
    assert (counting.values, counting.looks) == ([], 1)
    set_pane(database, ".2", "c")
    page = look(database, COMPOSERS, position, answers=counting)
    assert set(page.observations) == {Place("b", 5), Place("c", 5)}
    set_list(database, {"composerId": "a", "name": "another"})
    assert look(database, COMPOSERS, page.position).observations == ()
    set_list(database, {"composerId": "a"}, {"composerId": "n"})
    assert look(database, COMPOSERS, page.position).observations == (Place("a", 4), Place("n", 4))
    assert look(database, COMPOSERS, position, rescan=True).backfill


def test_a_rewrite_that_keeps_rowids_and_sizes_is_seen_by_verification(database):
    set_list(database, {"composerId": "a"})
    set_pane(database, ".1", "b")
    position = look(database, COMPOSERS).position
    database.execute("UPDATE ItemTable SET value = replace(replace(value, '\"a\"', '\"c\"'), '.b', '.d')")
    assert look(database, COMPOSERS, position).observations == ()
    page = look(database, COMPOSERS, position, verify=True)
    assert page.observations == (Place("c", 4), Place("d", 5))


@pytest.mark.parametrize(
    "value", [None, "{}", "[]", "5", '"text"', '{"allComposers": 5}', '{"allComposers": {}}']
)
def test_a_list_that_is_none_says_nothing(database, value):
    put(database, KEY, value)
    page = look(database, COMPOSERS)
    assert (page.observations, page.problem) == ((), None)


@pytest.mark.parametrize(
    ("value", "why"), [("{", "not JSON"), (5, "a number"), (b"\xff", "not JSON"), ("[" * 9999, "deeply")]
)
def test_a_broken_list_is_a_problem_until_it_is_whole_again(database, value, why):
    set_pane(database, ".1", "b")
    put(database, KEY, value)
    page = look(database, COMPOSERS)
    assert why in page.problem
    assert KEY in page.problem
    assert page.observations == (Place("b", 5),)
    assert look(database, COMPOSERS, page.position).problem == page.problem
    set_list(database, {"composerId": "a"})
    whole = look(database, COMPOSERS, page.position)
    assert (whole.observations, whole.problem) == ((Place("a", 4),), None)


def test_a_list_beyond_all_bounds_is_not_read(database):
    database.execute("INSERT INTO ItemTable VALUES (?, zeroblob(?))", (KEY, RING_LIMIT + 1))
    page = look(database, COMPOSERS)
    assert f"{RING_LIMIT + 1} bytes" in page.problem
    assert look(database, COMPOSERS, page.position).problem == page.problem


def test_hostile_heads_and_panes_are_counted_and_cost_no_other(database):
    odd = [5, None, "a", [], {}, {"composerId": 5}, {"composerId": ""}, {"composerId": "x" * 501}]
    set_list(
        database,
        *odd,
        {"composerId": "a", "conversation": "text"},
        {"composerId": "b", "conversation": [5, {"type": "x"}, message(1, requestId=uuid(1))]},
        {"composerId": "a"},
    )
    put(database, f"{PANES}.1", "[")
    put(database, f"{PANES}.2", "[]")
    put(database, f"{PANES}.3", None)
    database.execute("INSERT INTO ItemTable VALUES (?, zeroblob(?))", (f"{PANES}.4", (1 << 20) + 1))
    database.execute("INSERT INTO ItemTable VALUES (CAST(? AS TEXT), '{}')", (PANES.encode() + b".\xff",))
    put(database, f"{PANES}.5", {f"{VIEW}p": None})
    page = look(database, COMPOSERS)
    assert {place.conversation_id for place in places(page)} == {"a", "b", "p"}
    assert uuid(1) in named(page)
    assert page.skipped["conversation without a usable composerId"] == 8
    assert page.skipped["pane that cannot be read"] == 3
    assert "message that is not a JSON object" in page.skipped


def test_many_panes(database):
    for number in range(1200):
        set_pane(database, f".{number}", f"c{number}")
    page = look(database, COMPOSERS)
    assert {place.conversation_id for place in places(page)} == {f"c{number}" for number in range(200, 1200)}
    assert look(database, COMPOSERS, page.position).observations == ()


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_however_short_the_looks_are_everything_is_read(database, rows):
    set_list(database, {"composerId": "a"})
    for number in range(20):
        set_pane(database, f".{number}", f"c{number}")
    page = look(database, COMPOSERS, answers=lambda: Budget(rows))
    assert len(page.observations) == 21
    assert look(database, COMPOSERS, page.position, answers=lambda: Budget(rows)).observations == ()


def test_a_look_that_never_answers_is_a_problem_and_is_taken_again(database):
    set_list(database, {"composerId": "a"})
    page = look(database, COMPOSERS, answers=lambda: lambda *_: Rows([], "budget"))
    assert page.problem == "a row of ItemTable could not be read within the lock budget"
    assert look(database, COMPOSERS, page.position).observations == (Place("a", 4),)


def test_a_table_of_another_shape_is_left_to_the_ring():
    assert COMPOSERS.matches(catalog_of(memory())) is False
    assert COMPOSERS.matches(catalog_of(memory("CREATE TABLE ItemTable (a)"))) is False
    other = memory("CREATE TABLE ItemTable (a)")
    made = COMPOSERS.reread(catalog_of(other), (want("a", "b"),))
    with pytest.raises(StopIteration) as finished:
        next(made)
    assert follow(other, finished.value.value()).observations == (TurnGone(want("a", "b").id),)
