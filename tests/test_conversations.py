"""Conversations, read from real SQLite: which turns are said to stand how, whatever is in the rows."""

from __future__ import annotations

import json

import pytest
from chats import (
    ASSISTANT,
    HEADERS,
    USER,
    Chat,
    Counting,
    kv,
    named,
    places,
    put,
    reread,
    turns,
    want,
)
from scans import HAS_OCTET_LENGTH, NOW_MS, Budget, catalog_of, look, run, uuid, walk

from trio_cursor.cursor.schemas import Rows
from trio_cursor.cursor.schemas.conversations import ConversationsSchema
from trio_cursor.cursor.schemas.values import RING_LIMIT, ROW_LIMIT
from trio_cursor.observations import Place, Turn, TurnContent, TurnGone

CONVERSATIONS = ConversationsSchema()


@pytest.fixture
def database():
    with_tables = kv(HEADERS)
    yield with_tables
    with_tables.close()


def add_head(connection, id_, **columns):
    names = ", ".join(("composerId", *columns))
    marks = ", ".join("?" * (1 + len(columns)))
    connection.execute(f"INSERT INTO composerHeaders ({names}) VALUES ({marks})", (id_, *columns.values()))


def test_each_turn_is_said_once_in_a_first_look(database):
    Chat(database, "c").turn(1).turn(2).write()
    page = look(database, CONVERSATIONS)
    first, second = turns(page)
    assert (first.id.conversation_id, first.id.bubble_id) == ("c", "b0")
    assert (first.schema, first.generation_id, first.is_named_by_bubble) == ("conversations", uuid(1), True)
    assert (second.generation_id, first.is_settled, second.is_settled) == (uuid(2), True, True)
    assert (page.backfill, page.more, page.problem, page.skipped, page.gaps) == (True, False, None, {}, ())


def test_an_unchanged_table_is_neither_read_nor_reported(database):
    Chat(database, "c").turn(1).write()
    position = look(database, CONVERSATIONS).position
    counting = Counting()
    page = look(database, CONVERSATIONS, position, answers=counting)
    assert (page.observations, page.position, page.backfill) == ((), position, False)
    assert counting.values == []
    assert counting.looks == 1


def test_what_is_asked_live_takes_two_looks(database):
    chat = Chat(database, "c").turn(1).turn(2).write()
    position = look(database, CONVERSATIONS).position
    chat.turn(3)
    chat.write_bubble("b4")
    chat.write_document(status="generating")
    counting = Counting()
    page = look(database, CONVERSATIONS, position, answers=counting)
    assert counting.looks == 2
    assert {turn.generation_id: turn.is_settled for turn in turns(page)} == {uuid(2): True, uuid(3): False}
    assert not page.backfill
    chat.write_bubble("b5")
    chat.write_document()
    page = look(database, CONVERSATIONS, page.position)
    assert [(turn.generation_id, turn.is_settled) for turn in turns(page)] == [(uuid(3), True)]


def test_a_long_conversation_is_not_read_anew_for_its_last_turn(database):
    chat = Chat(database, "c")
    for number in range(100):
        chat.turn(number, answers=3)
    chat.write()
    position = look(database, CONVERSATIONS).position
    chat.add(ASSISTANT, "more")
    chat.write_bubble("b400")
    chat.write_document()
    counting = Counting()
    page = look(database, CONVERSATIONS, position, answers=counting)
    assert named(page) == [uuid(99)]
    assert len(counting.values) == 3  # document, question, last bubble
    assert sum(len(rows) for _, rows in counting.answered) < 30


def test_a_bubble_ahead_of_its_document_waits_for_it(database):
    chat = Chat(database, "c").turn(1).write()
    position = look(database, CONVERSATIONS).position
    chat.turn(2)
    chat.write_bubble("b2")
    early = look(database, CONVERSATIONS, position)
    assert named(early) == []
    chat.turn(3)
    chat.write_bubble("b3")
    early = look(database, CONVERSATIONS, early.position)
    chat.write_document()
    page = look(database, CONVERSATIONS, early.position)
    assert named(page) == [uuid(1), uuid(2)]


def test_bubbles_without_any_document_wait_too(database):
    chat = Chat(database, "c").turn(1).turn(2).turn(3)
    for message in chat.messages:
        chat.write_bubble(message["bubbleId"])
    early = look(database, CONVERSATIONS)
    assert early.observations == ()
    chat.write_document()
    assert named(look(database, CONVERSATIONS, early.position)) == [uuid(1), uuid(2), uuid(3)]


def test_only_so_many_conversations_are_remembered_without_a_document(database):
    for number in range(300):
        put(database, f"bubbleId:task-{number}:b", {"type": 2})
    pages = walk(database, CONVERSATIONS)
    assert len(json.loads(pages[-1].position)["namings"]) == 100
    assert sum(len(page.observations) for page in pages) == 0


def test_a_bubble_that_the_headers_name_no_more_is_no_turn(database):
    chat = Chat(database, "c").turn(1).turn(2).write()
    position = look(database, CONVERSATIONS).position
    chat.messages = chat.messages[:2]
    chat.write_document()
    page = look(database, CONVERSATIONS, position)
    assert named(page) == [uuid(1)]
    put(database, chat.key("b2"), {"type": 1, "requestId": uuid(2)})
    page = look(database, CONVERSATIONS, page.position)
    assert page.observations == ()


def test_a_header_ahead_of_its_bubble_leaves_the_turn_before_it_the_last(database):
    chat = Chat(database, "c", status="generating").turn(1).write()
    position = look(database, CONVERSATIONS).position
    chat.add(USER, "later", requestId=uuid(2))
    chat.write_document(status="aborted")
    page = look(database, CONVERSATIONS, position)
    assert [(turn.generation_id, turn.is_settled) for turn in turns(page)] == [(uuid(1), True)]
    chat.write_bubble("b2")
    page = look(database, CONVERSATIONS, page.position)
    assert named(page) == [uuid(1), uuid(2)]


@pytest.mark.parametrize("as_blob", [False, True], ids=["TEXT", "BLOB"])
def test_text_and_blob_are_the_same(database, as_blob):
    Chat(database, "c").turn(1).write(as_blob=as_blob)
    assert named(look(database, CONVERSATIONS)) == [uuid(1)]
    (content,) = reread(database, want("c", "b0"))
    assert (content.prompt_text, content.response_text, content.data_version) == ("ask 1", "answer 1", 3)


def test_a_conversation_with_its_messages_inside(database):
    chat = Chat(database, "c").turn(1).turn(2)
    chat.write_document(inline=True)
    page = look(database, CONVERSATIONS)
    assert named(page) == [uuid(1), uuid(2)]
    chat.messages[1]["text"] = "changed"
    chat.write_document(inline=True)
    again = look(database, CONVERSATIONS, page.position)
    assert [turn.fingerprint for turn in turns(again)] != [turn.fingerprint for turn in turns(page)]
    contents = reread(database, want("c", "b0"), want("c", "b2"), want("c", "b4"))
    assert [getattr(content, "response_text", None) for content in contents] == ["changed", "answer 2", None]


def test_a_tombstone_is_no_conversation_and_no_bubble(database):
    chat = Chat(database, "c").turn(1).turn(2).write()
    Chat(database, "d").turn(3).write()
    position = walk(database, CONVERSATIONS)[-1].position
    put(database, chat.key("b3"), None)
    put(database, "composerData:d", None)
    page = look(database, CONVERSATIONS, position)
    assert [(turn.generation_id, turn.is_settled) for turn in turns(page)] == [(uuid(2), False)]
    assert page.skipped == {}
    assert reread(database, want("d", "b0")) == [TurnGone(want("d", "b0").id)]
    (stands,) = reread(database, want("c", "b2"))
    assert (stands.status, stands.response_text) == ("incomplete", None)


@pytest.mark.parametrize("id_", ["a:b:c", "task-x\ny", "task-1\n:2", "ä\U0001f600", "%_'\";--"])
def test_what_names_a_conversation_may_be_anything(database, id_):
    Chat(database, id_).turn(1).write()
    Chat(database, f"{id_}:").turn(2).write()
    page = look(database, CONVERSATIONS)
    assert [(turn.id.conversation_id, turn.generation_id) for turn in turns(page)] == [
        (id_, uuid(1)),
        (f"{id_}:", uuid(2)),
    ]
    assert [turn.is_sub_agent for turn in turns(page)] == [id_.startswith("task-")] * 2
    assert [found.prompt_text for found in reread(database, want(id_, "b0"))] == ["ask 1"]


@pytest.mark.parametrize("value", ["", "{", "[]", "null", "5", 5, 0.5, b"\xff", '{"a": NaN}', "[" * 1000])
def test_a_broken_document_is_counted_and_costs_no_other(database, value):
    Chat(database, "c").turn(1).write()
    put(database, "composerData:c", value)
    Chat(database, "d").turn(2).write()
    page = look(database, CONVERSATIONS)
    assert named(page) == [uuid(2)]
    assert page.skipped == {"conversation that is no JSON object": 1}
    assert reread(database, want("c", "b0")) == [TurnGone(want("c", "b0").id)]


@pytest.mark.parametrize("value", ["", "{", "[]", "null", 5, b"\xff"])
def test_a_broken_bubble_is_there_and_is_counted(database, value):
    chat = Chat(database, "c").turn(1).write()
    put(database, chat.key("b1"), value)
    page = look(database, CONVERSATIONS)
    assert [(turn.generation_id, turn.is_settled) for turn in turns(page)] == [(uuid(1), True)]
    assert page.skipped == {"bubble that is no JSON object": 1}


def test_values_that_are_too_large_are_left_out(database):
    chat = Chat(database, "c").turn(1).write()
    put(database, chat.key("b1"), json.dumps({"type": 2, "text": "x" * ROW_LIMIT}))
    Chat(database, "d").turn(2).write()
    database.execute("INSERT INTO cursorDiskKV VALUES ('composerData:d', zeroblob(?))", (RING_LIMIT + 1,))
    page = look(database, CONVERSATIONS)
    assert named(page) == [uuid(1)]
    assert page.skipped == {
        "bubble too large to read": 1,
        "conversation that is too large to read": 1,
    }
    (content,) = reread(database, want("c", "b0"))
    assert (content.response_text, content.left_out) == (None, ("response_text",))


def test_what_sqlite_refuses_to_read_is_too_large(database):
    Chat(database, "c").turn(1).write()

    class Refusing(Budget):
        def __call__(self, connection, query):
            if "THEN value" in query.sql and query.params[-1] in ("bubbleId:c:b1", "composerData:d"):
                return Rows([], "too big")
            return super().__call__(connection, query)

    Chat(database, "d").turn(2).write()
    page = look(database, CONVERSATIONS, answers=Refusing)
    assert named(page) == [uuid(1)]
    assert sum(page.skipped.values()) == 2


def test_keys_that_are_none_are_counted(database):
    for key in (None, None, b"bubbleId:c:b", "bubbleId:", "bubbleId:c", "bubbleId::b", "composerData:", 5):
        put(database, key, "{}")
    database.execute("INSERT INTO cursorDiskKV VALUES (CAST(? AS TEXT), '{}')", (b"bubbleId:\xff:b",))
    put(database, "bubbleId:" + "x" * 1000 + ":b", "{}")
    put(database, "agentKv:blob:0", b"\x00")
    database.execute("INSERT INTO cursorDiskKV VALUES (CAST(? AS TEXT), '{}')", (b"\xff\xfe",))
    Chat(database, "c").turn(1).write()
    page = look(database, CONVERSATIONS)
    assert named(page) == [uuid(1)]
    assert page.skipped == {"row of cursorDiskKV without a usable key": 9}
    assert look(database, CONVERSATIONS, page.position).observations == ()
    assert named(look(database, CONVERSATIONS, page.position, verify=True)) == [uuid(1)]


def test_a_key_without_text_in_the_middle_of_a_list_stops_nothing(database):
    chat = Chat(database, "c").turn(1)
    chat.write_bubble("b0")
    database.execute("INSERT INTO cursorDiskKV VALUES (CAST(? AS TEXT), '{}')", (b"bubbleId:c:\xff",))
    position = look(database, CONVERSATIONS).position
    chat.write_bubble("b1")
    position = look(database, CONVERSATIONS, position).position
    chat.write_document()
    assert named(look(database, CONVERSATIONS, position)) == [uuid(1)]


def test_no_rowids_and_no_unique_index_mean_the_newest_row_counts():
    damaged = kv()
    damaged.execute("DROP TABLE cursorDiskKV")
    damaged.execute("CREATE TABLE cursorDiskKV (key TEXT, value BLOB)")
    chat = Chat(damaged, "c").turn(1).write()
    chat.turn(2).write()
    assert named(look(damaged, CONVERSATIONS))[-1] == uuid(2)


def test_the_table_of_headers_says_where_and_whose(database):
    Chat(database, "c").turn(1).write()
    add_head(database, "c", workspaceId="w", isSubagent=1, checkpointAt=NOW_MS + 5)
    page = look(database, CONVERSATIONS)
    assert places(page) == [Place("c", 2, "w")]
    (turn,) = turns(page)
    assert turn.is_sub_agent
    assert turn.newest_ms == NOW_MS + 5


@pytest.mark.parametrize(
    "table",
    [
        None,
        "CREATE TABLE composerHeaders (composerId TEXT PRIMARY KEY)",
        "CREATE TABLE composerHeaders (id TEXT, workspaceId TEXT)",
        "CREATE TABLE composerHeaders (composerId TEXT PRIMARY KEY, workspaceId TEXT) WITHOUT ROWID",
        "CREATE VIEW composerHeaders AS SELECT 'c' AS composerId, 'w' AS workspaceId",
    ],
)
def test_without_a_usable_table_of_headers_conversations_are_read(table):
    database = kv(*((table,) if table else ()))
    Chat(database, "c").turn(1).write()
    assert named(look(database, CONVERSATIONS)) == [uuid(1)]


def test_hostile_columns_of_the_headers_are_unknown(database):
    Chat(database, "c").turn(1).write()
    add_head(
        database, "c", workspaceId="x" * 10_000, isSubagent="maybe", checkpointAt=b"\xff", createdAt=1e300
    )
    page = look(database, CONVERSATIONS)
    assert places(page) == []
    (turn,) = turns(page)
    assert (turn.is_sub_agent, turn.newest_ms) == (False, NOW_MS)  # when the conversation was made


def test_document_bubbles_and_agents_say_where_they_belong(database):
    identifier = {"id": "w", "uri": {"fsPath": "/home/p"}}
    Chat(database, "c", workspaceIdentifier=identifier, subagentComposerIds=["a", "c", 5, "a"]).turn(
        1, workspaceUris=["file:///home/p"]
    ).write()
    assert places(look(database, CONVERSATIONS)) == [
        Place("c", 3, "w", "/home/p"),
        Place("c", 7, folder="file:///home/p"),
        Place("a", 9, parent_id="c"),
    ]


def test_the_context_of_prompts_counts_where_nothing_better_is_known(database):
    layouts = {"projectLayouts": [json.dumps({"rootPath": "/one"}), {"rootPath": "/two"}, 5, "{", None]}
    put(database, "messageRequestContext:c:b", layouts)
    put(database, "messageRequestContext:c:c", "[")
    put(database, "messageRequestContext:d:b", layouts)
    Chat(database, "c").turn(1).write()
    Chat(database, "d", workspaceIdentifier={"id": "w"}).turn(2).write()
    counting = Counting()
    page = look(database, CONVERSATIONS, answers=counting)
    assert places(page) == [Place("c", 6, folder="/one"), Place("c", 6, folder="/two"), Place("d", 3, "w")]
    assert all("messageRequestContext:d:" not in str(sql) for sql, _ in counting.answered)


def test_the_id_of_a_turn_may_stand_in_any_of_its_bubbles(database):
    chat = Chat(database, "c")
    chat.add(USER, "ask")
    for number in range(30):
        chat.add(ASSISTANT, "a", **({"requestId": uuid(7)} if number == 17 else {}))
    chat.add(USER, "next", requestId=uuid(8))
    chat.write()
    page = look(database, CONVERSATIONS)
    assert named(page) == [uuid(7), uuid(8)]
    assert [turn.is_named_by_bubble for turn in turns(page)] == [True, True]


def test_the_first_id_counts_as_it_does_in_the_content(database):
    chat = Chat(database, "c")
    chat.add(USER, "ask")
    chat.add(ASSISTANT, "a", requestId=uuid(1))
    chat.add(ASSISTANT, "b", requestId=uuid(2))
    chat.write()
    (content,) = reread(database, want("c", "b0"))
    assert named(look(database, CONVERSATIONS)) == [content.turn.generation_id] == [uuid(1)]
    assert turns(look(database, CONVERSATIONS)) == [content.turn]


def test_the_latest_id_is_not_that_of_an_earlier_turn(database):
    chat = Chat(database, "c", latestChatGenerationUUID=uuid(1), status="generating")
    chat.add(USER, "ask")
    chat.add(ASSISTANT, "a")
    chat.add(ASSISTANT, "b", requestId=uuid(1))
    chat.add(ASSISTANT, "c")
    chat.add(USER, "next")
    chat.write()
    page = look(database, CONVERSATIONS)
    assert named(page) == [uuid(1), None]
    chat.write_document(latestChatGenerationUUID=uuid(2))
    assert named(look(database, CONVERSATIONS, page.position)) == [uuid(2)]


def test_a_settled_turn_without_an_id_is_counted(database):
    chat = Chat(database, "c")
    lost = chat.add(USER)
    chat.add(ASSISTANT, "to a question that is lost")
    chat.turn(1)
    chat.write()
    put(database, chat.key(lost), None)
    page = look(database, CONVERSATIONS)
    assert named(page) == [None, uuid(1)]
    assert page.skipped == {"turn without an id": 1}


def test_what_was_changed_in_place_is_found_by_verification(database):
    chat = Chat(database, "c", status="generating").turn(1).turn(2).write()
    position = walk(database, CONVERSATIONS)[-1].position
    database.execute(
        "UPDATE cursorDiskKV SET value = ? WHERE key = ?",
        (json.dumps({"type": 1, "requestId": uuid(9)}), chat.key("b2")),
    )
    assert look(database, CONVERSATIONS, position).observations == ()
    page = look(database, CONVERSATIONS, position, verify=True)
    assert named(page) == [uuid(1), uuid(9)]
    assert (page.backfill, page.more, page.skipped) == (True, False, {})


def test_verification_comes_round(database):
    ids = [f"c{number:02}" for number in range(45)]
    for number, id_ in enumerate(ids):
        Chat(database, id_).turn(number).write()
    position, seen = walk(database, CONVERSATIONS)[-1].position, []
    for _ in range(6):
        page = look(database, CONVERSATIONS, position, verify=True)
        seen += [turn.id.conversation_id for turn in turns(page)]
        position = page.position
    assert seen == ids * 2


def test_another_file_is_read_anew(database):
    Chat(database, "c").turn(1).write()
    position = walk(database, CONVERSATIONS)[-1].position
    page = look(database, CONVERSATIONS, position, rescan=True)
    assert named(page) == [uuid(1)]
    assert page.backfill


def test_what_is_wanted_is_said_whether_or_not_it_changed(database):
    chat = Chat(database, "c").turn(1).turn(2).write()
    found = reread(
        database,
        want("c", "b0"),
        want("c", "b2", with_content=False),
        want("c", "b1"),
        want("c", "b9"),
        want("none", "b0"),
    )
    assert [type(one) for one in found] == [TurnContent, Turn, TurnGone, TurnGone, TurnGone]
    assert found[0].turn.id == want("c", "b0").id
    assert (found[0].status, found[0].prompt_text, found[0].response_text) == (
        "completed",
        "ask 1",
        "answer 1",
    )
    for bubble_id in ("b0", "b1"):
        put(database, chat.key(bubble_id), None)
    assert reread(database, want("c", "b0")) == [TurnGone(want("c", "b0").id)]


def test_wanted_texts_that_are_large_are_left_for_another_time(database):
    chat = Chat(database, "c")
    for number in range(40):
        chat.add(USER, "x" * 500_000, requestId=uuid(number))
    chat.write()
    Chat(database, "d").turn(50).write()
    wanted = [want("c", f"b{2 * number}") for number in range(20)] + [want("d", "b0")]
    answered = []
    for _ in range(20):
        found = reread(database, *wanted)
        assert 0 < sum(len(one.prompt_text) for one in found) < 20_000_000
        answered += found
        wanted = [one for one in wanted if one.id not in {content.turn.id for content in found}]
        if not wanted:
            break
    assert len(answered) == 21


def test_one_look_reads_only_so_many_bytes(database):
    for number in range(30):
        Chat(database, f"c{number}", padding="x" * 1_000_000).turn(number).write()
    sizes = []

    class Weighing(Budget):
        def __init__(self):
            super().__init__()
            sizes.append(0)

        def __call__(self, connection, query):
            rows = super().__call__(connection, query)
            sizes[-1] += sum(len(cell) for row in rows.rows for cell in row if isinstance(cell, bytes))
            return rows

    pages = walk(database, CONVERSATIONS, answers=Weighing)
    assert named(*pages) == [uuid(number) for number in range(30)]
    assert max(sizes) < 4.5 * 2**20


def test_without_octet_length_all_is_the_same(database):
    Chat(database, "ä").turn(1).write()
    catalog = catalog_of(database, has_octet_length=False)
    assert named(look(database, CONVERSATIONS, catalog=catalog)) == [uuid(1)]


@pytest.mark.skipif(not HAS_OCTET_LENGTH, reason="sizes of TEXT cost its reading there")
def test_sizes_are_bytes(database):
    Chat(database, "c", name="ä" * 100).turn(1).write()
    scan = CONVERSATIONS.scan(catalog_of(database), None, rescan=False, verify=False, since_ms=None)
    asked = Counting()
    run(database, scan, asked())
    assert all("octet_length" in sql for sql, _ in asked.answered)


def test_a_table_of_another_shape_is_named():
    database = kv()
    assert CONVERSATIONS.matches(catalog_of(database)) is True
    database.execute("DROP TABLE cursorDiskKV")
    assert CONVERSATIONS.matches(catalog_of(database)) is False
    database.execute("CREATE TABLE cursorDiskKV (name TEXT, value BLOB)")
    words = CONVERSATIONS.matches(catalog_of(database))
    assert words == "cursorDiskKV lacks key or value; columns found: name, value"
