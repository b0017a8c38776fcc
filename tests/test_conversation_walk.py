"""The walk through rows by rowid: nothing is passed over, nothing is read that need not be."""

from __future__ import annotations

import json
from contextlib import closing
from functools import partial

import pytest
import trio
from chats import ASSISTANT, HEADERS, KV, USER, Chat, Counting, kv, named, put, turns, want
from hypothesis import given, settings
from hypothesis import strategies as st
from scans import NOW_MS, Budget, catalog_of, follow, look, run, uuid, walk

from trio_cursor.cursor.guest import Guest, Page
from trio_cursor.cursor.schemas import FollowUp, Rows
from trio_cursor.cursor.schemas.conversation import Conversation
from trio_cursor.cursor.schemas.conversation_walk import Seen
from trio_cursor.cursor.schemas.conversations import ENOUGH_OLD, ConversationsSchema
from trio_cursor.cursor.schemas.documents import document_of
from trio_cursor.cursor.schemas.known import readable_columns, reread_database, scan_database
from trio_cursor.sqlite_library import sqlite3

CONVERSATIONS = ConversationsSchema()
DAY_MS = 86_400_000
SINCE_MS = NOW_MS - DAY_MS


@pytest.fixture
def database():
    with_tables = kv(HEADERS)
    yield with_tables
    with_tables.close()


def test_many_conversations_come_in_pages_and_all_of_the_first_sync_may_be_old(database):
    for number in range(50):
        Chat(database, f"c{number}").turn(number).write()
    pages = walk(database, CONVERSATIONS)
    assert named(*pages) == [uuid(number) for number in range(50)]
    assert [len(turns(page)) for page in pages] == [20, 20, 10]
    assert [page.more for page in pages] == [True, True, False]
    assert all(page.backfill for page in pages)


def test_many_rows_come_in_pages(database):
    chat = Chat(database, "c")
    for number in range(700):
        chat.turn(number)
    chat.write()
    pages = walk(database, CONVERSATIONS)
    assert [page.more for page in pages] == [True, True, False]
    assert sorted({turn.generation_id for turn in turns(*pages)}) == [uuid(number) for number in range(700)]


def test_rows_of_others_are_passed_over_without_their_values(database):
    for number in range(2000):
        put(database, f"agentKv:blob:{number}", b"\x00" * 100)
    Chat(database, "c").turn(1).write()
    counting = Counting()
    pages = walk(database, CONVERSATIONS, answers=counting)
    assert named(*pages) == [uuid(1)]
    assert len(counting.values) == 3


def test_the_window_says_how_much_is_read_not_the_file(database):
    for number in range(3000):
        at = NOW_MS - 100 * DAY_MS + number * 1000
        chat = Chat(database, f"c{number}", at=at, lastUpdatedAt=at)
        for turn in range(2):
            chat.turn(2 * number + turn)
        chat.write()
    for number in range(3000, 3010):
        Chat(database, f"c{number}", lastUpdatedAt=NOW_MS).turn(2 * number).write()
    counting = Counting()
    pages = walk(database, CONVERSATIONS, since_ms=SINCE_MS, answers=counting)
    found = set(named(*pages))
    assert found >= {uuid(2 * number) for number in range(3000, 3010)}
    assert len(found) <= 10 + 2 * ENOUGH_OLD
    # Each document of the window and the sixteen below it once in search of the floor; then those of the
    # window and of what lies above the floor, with the first and the last bubble of each turn.
    assert len(counting.values) <= 3 * (10 + ENOUGH_OLD) + 4 * ENOUGH_OLD
    assert sum(len(rows) for _, rows in counting.answered) < 2500
    assert all(page.backfill for page in pages)
    assert json.loads(pages[-1].position)["floor"] > 14_000
    position = pages[-1].position
    Chat(database, "new").turn(1).write()
    assert not look(database, CONVERSATIONS, position, since_ms=SINCE_MS).backfill


def test_no_document_is_read_that_is_not_needed_to_find_the_floor(database):
    for number in range(400):
        Chat(database, f"c{number}", at=NOW_MS - 100 * DAY_MS).write()
    counting = Counting()
    page = look(database, CONVERSATIONS, since_ms=SINCE_MS, answers=counting)
    assert len(counting.values) == ENOUGH_OLD
    assert (page.observations, page.more, page.backfill) == ((), True, True)


@pytest.mark.parametrize("between", ["nothing", "tombstones", "broken", "without a time"])
@pytest.mark.parametrize("old", [ENOUGH_OLD - 1, ENOUGH_OLD])
def test_the_floor_lies_below_sixteen_old_conversations_in_a_row(database, between, old):
    Chat(database, "deep", lastUpdatedAt=NOW_MS).turn(1).write()
    for number in range(old):
        Chat(database, f"old{number}", at=NOW_MS - 9 * DAY_MS).turn(100 + number).write()
        if between != "nothing":
            value = {"tombstones": None, "broken": "{", "without a time": "{}"}[between]
            put(database, f"composerData:odd{number}", value)
    Chat(database, "top").turn(2).write()
    is_found = uuid(1) in named(*walk(database, CONVERSATIONS, since_ms=SINCE_MS))
    assert is_found == (old < ENOUGH_OLD or between == "without a time")


def test_the_table_of_headers_may_know_a_newer_time(database):
    for number in range(3 * ENOUGH_OLD):
        Chat(database, f"c{number}", at=NOW_MS - 9 * DAY_MS).turn(number).write()
        column = ("lastUpdatedAt", "checkpointAt")[number % 2]
        database.execute(
            f"INSERT INTO composerHeaders (composerId, {column}) VALUES (?, ?)", (f"c{number}", NOW_MS)
        )
    assert len(named(*walk(database, CONVERSATIONS, since_ms=SINCE_MS))) == 3 * ENOUGH_OLD


def test_an_empty_table_is_synced_and_what_comes_is_new(database):
    pages = walk(database, CONVERSATIONS, since_ms=SINCE_MS)
    Chat(database, "c").turn(1).write()
    page = look(database, CONVERSATIONS, pages[-1].position)
    assert (named(page), page.backfill) == ([uuid(1)], False)


@pytest.mark.parametrize("rowids", [[-(2**63), -5, 0], [1, 2**62, 2**63 - 1]])
def test_extreme_rowids(database, rowids):
    chat = Chat(database, "c").turn(1)
    values = [*((chat.key(one["bubbleId"]), json.dumps(one)) for one in chat.messages)]
    headers = [{"bubbleId": f"b{number}", "type": 1 + number} for number in range(2)]
    values.append(("composerData:c", json.dumps({**chat.fields, "fullConversationHeadersOnly": headers})))
    for rowid, row in zip(rowids, values, strict=True):
        database.execute("INSERT INTO cursorDiskKV (rowid, key, value) VALUES (?, ?, ?)", (rowid, *row))
    for since_ms in (None, SINCE_MS):
        pages = walk(database, CONVERSATIONS, since_ms=since_ms)
        assert named(*pages) == [uuid(1)]
        assert look(database, CONVERSATIONS, pages[-1].position).observations == ()
        pages = walk(database, CONVERSATIONS, since_ms=since_ms, answers=lambda: Budget(0))
        assert set(named(*pages)) == {uuid(1)}


def renumber(connection):
    """Deal the rowids anew from 1, as a dump does that is read in again, and as VACUUM may do."""
    connection.execute("CREATE TEMP TABLE held AS SELECT key, value FROM cursorDiskKV ORDER BY rowid")
    connection.execute("DELETE FROM cursorDiskKV")
    connection.execute("INSERT INTO cursorDiskKV SELECT key, value FROM held ORDER BY rowid")


@pytest.mark.parametrize("since_ms", [None, SINCE_MS])
@pytest.mark.parametrize("budget", [None, 0])
def test_when_rowids_are_dealt_anew_all_is_read_again(database, since_ms, budget):
    chats = [Chat(database, f"c{number}").turn(number).write() for number in range(30)]
    for chat in chats:
        chat.write()
    position = walk(database, CONVERSATIONS)[-1].position
    renumber(database)
    chats[3].turn(100).write()
    pages = walk(database, CONVERSATIONS, position, since_ms=since_ms, answers=lambda: Budget(budget))
    assert pages[0].backfill
    assert set(named(*pages)) == {uuid(number) for number in (*range(30), 100)}
    assert look(database, CONVERSATIONS, pages[-1].position).observations == ()


def test_vacuum_costs_nothing(tmp_path):
    with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as database:
        database.execute(KV)
        for number in [*range(30), *range(30)]:
            Chat(database, f"c{number}").turn(number).write()
        position = walk(database, CONVERSATIONS)[-1].position
        database.execute("VACUUM")
        Chat(database, "new").turn(100).write()
        assert uuid(100) in named(*walk(database, CONVERSATIONS, position))


def test_a_deleted_maximum_and_its_rowid_used_again_cost_nothing(database):
    for number in range(30):
        Chat(database, f"c{number}").turn(number).write()
    put(database, "inlineDiff:1", "{}")
    position = walk(database, CONVERSATIONS)[-1].position
    database.execute("DELETE FROM cursorDiskKV WHERE key = 'inlineDiff:1'")
    counting = Counting()
    page = look(database, CONVERSATIONS, position, answers=counting)
    assert (page.observations, page.backfill, counting.values) == ((), False, [])
    Chat(database, "new").turn(50).write()  # begins with the rowid that was the maximum
    for known in (position, page.position):
        later = look(database, CONVERSATIONS, known)
        assert (named(later), later.backfill) == ([uuid(50)], False)


def test_when_all_the_newest_rows_are_gone_the_walk_steps_back_and_no_further(database):
    for number in range(300):
        Chat(database, f"c{number}").turn(number).write()
    busy = Chat(database, "busy")
    for number in range(100):
        busy.turn(1000 + number)
    busy.write()
    position = walk(database, CONVERSATIONS)[-1].position
    database.execute("DELETE FROM cursorDiskKV WHERE key LIKE 'bubbleId:busy:%' OR key = 'composerData:busy'")
    counting = Counting()
    pages = walk(database, CONVERSATIONS, position, answers=counting)
    assert not any(page.backfill for page in pages)
    assert sum(len(rows) for _, rows in counting.answered) < 1200
    busy.write()
    pages = walk(database, CONVERSATIONS, pages[-1].position)
    assert set(named(*pages)) == {uuid(1000 + number) for number in range(100)}


def test_a_table_that_was_emptied_is_read_anew(database):
    Chat(database, "c").turn(1).write()
    position = walk(database, CONVERSATIONS)[-1].position
    database.execute("DELETE FROM cursorDiskKV")
    assert walk(database, CONVERSATIONS, position)[-1].observations == ()
    Chat(database, "d").turn(2).write()
    assert named(*walk(database, CONVERSATIONS, position)) == [uuid(2)]


@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("since_ms", [None, SINCE_MS])
def test_however_short_the_looks_are_everything_is_read(database, rows, since_ms):
    for number in range(5):
        chat = Chat(database, f"c{number}")
        for turn in range(8):
            chat.turn(10 * number + turn, answers=4)
        chat.write()
    whole = walk(database, CONVERSATIONS, since_ms=since_ms)
    pages = walk(database, CONVERSATIONS, since_ms=since_ms, answers=lambda: Budget(rows))
    assert set(turns(*pages)) == set(turns(*whole))
    chat.turn(99).write()
    pages = walk(database, CONVERSATIONS, pages[-1].position, answers=lambda: Budget(rows))
    assert named(*pages)[-1] == uuid(99)
    position, found = pages[-1].position, []
    for _ in range(10):
        page = look(database, CONVERSATIONS, position, verify=True, answers=lambda: Budget(rows))
        position = page.position
        found += named(page)
    assert uuid(99) in found


def test_a_look_that_never_answers_is_a_problem_and_loses_nothing(database):
    Chat(database, "c").turn(1).write()
    never = lambda: lambda *_: Rows([], "budget")  # noqa: E731
    page = look(database, CONVERSATIONS, since_ms=SINCE_MS, answers=never)
    assert page.problem == "cursorDiskKV could not be read within the lock budget"
    assert (page.more, page.observations) == (False, ())
    pages = walk(database, CONVERSATIONS, page.position, since_ms=SINCE_MS)
    assert named(*pages) == [uuid(1)]
    again = look(database, CONVERSATIONS, pages[-1].position, answers=never)
    assert again.problem
    assert again.position == pages[-1].position


class Without(Budget):
    """As if the table had no index: what is asked for by a key is never found in time."""

    column = "key"

    def __call__(self, connection, query):
        if f"WHERE {self.column} " in query.sql:
            return Rows([], "budget")
        return super().__call__(connection, query)


class WithoutHeads(Without):
    column = "composerId"


def test_without_an_index_the_position_stays_before_what_was_not_read(database):
    for since_ms in (None, SINCE_MS):
        Chat(database, "c").turn(1).write()
        page = look(database, CONVERSATIONS, since_ms=since_ms, answers=Without)
        assert page.problem == "a row of cursorDiskKV could not be read within the lock budget"
        assert named(*walk(database, CONVERSATIONS, page.position)) == [uuid(1)]


def test_headers_that_cannot_be_read_cost_no_conversation(database):
    Chat(database, "c").turn(1).write()
    assert named(look(database, CONVERSATIONS, answers=WithoutHeads)) == [uuid(1)]


def test_a_look_that_failed_may_be_begun_again(database):
    Chat(database, "c").turn(1).write()
    catalog = catalog_of(database)
    step = run(database, CONVERSATIONS.scan(catalog, None, rescan=False, verify=False, since_ms=None))
    for _ in range(3):
        broken_off = step.make(catalog)
        next(broken_off)
        broken_off.close()
    assert named(follow(database, step)) == [uuid(1)]


def test_a_position_survives_being_written_down():
    seen = Seen(
        at=5,
        guards=((1, "a"), (5, "b")),
        anchors=((1, "a"),),
        floor=0,
        namings={"x": (3, "y")},
        verified="00",
    )
    assert Seen.from_position(seen.to_position()) == seen


def test_rows_far_below_are_kept_by_few():
    seen = Seen()
    for number in range(1, 20_000):
        seen = seen.walked([(number, b"key")])
    assert 10 < len(seen.anchors) < 60
    assert seen.anchors[0][0] < 10_000


def whole_truth(database):
    """How every turn stands, from a full read."""
    rows = {}
    for rowid, key, value in database.execute("SELECT rowid, key, value FROM cursorDiskKV"):
        rows[key] = (rowid, value)
    found = {}
    for key, (rowid, value) in rows.items():
        if not key.startswith("composerData:") or value is None:
            continue
        conversation = Conversation(document_of(key[13:], json.loads(value)), rowid, "conversations")
        ids = [header.bubble_id for span in conversation.spans for header in span.headers]
        conversation.context_folders = ()
        talk = conversation.ask_bubbles(ids)
        try:
            asks = next(talk)
            while True:
                asks = talk.send([run(database, answered(database, ask))() for ask in asks])
        except StopIteration:
            pass
        for span in conversation.spans:
            if (turn := conversation.turn(span)) is not None:
                found[turn.id] = turn
    return found


def answered(database, ask):
    answer = yield from ask.read(catalog_of(database), 1 << 40)
    return lambda: answer.make


chats = st.integers(0, 1)
numbers = st.integers(0, 5)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("bubble"), chats, numbers, st.booleans()),
        st.tuples(st.just("gone"), chats, numbers),
        st.tuples(
            st.just("document"),
            chats,
            st.one_of(st.integers(0, 6).map(range), st.lists(numbers, unique=True)),
            st.sampled_from(["completed", "generating", "aborted"]),
        ),
        st.tuples(st.just("tombstone"), chats),
        st.tuples(st.sampled_from(["noise", "delete noise"]), st.integers(0, 9)),
        st.tuples(st.just("look"), st.sampled_from([0, 1, 2, 5, 20, None])),
        st.tuples(st.just("look to the end"), st.sampled_from([0, 3, None])),
    ),
    min_size=20,
    max_size=50,
)


def kind_of(number):
    return USER if number % 2 == 0 else ASSISTANT


def write(database, step):
    match step:
        case ("bubble", chat, number, has_id):
            fields = {"requestId": uuid(100 * chat + number)} if has_id else {}
            put(database, f"bubbleId:c{chat}:b{number}", {"type": kind_of(number), "text": "t", **fields})
        case ("gone", chat, number):
            put(database, f"bubbleId:c{chat}:b{number}", None)
        case ("document", chat, numbers, status):
            headers = [{"bubbleId": f"b{number}", "type": kind_of(number)} for number in sorted(numbers)]
            value = {"status": status, "createdAt": NOW_MS, "fullConversationHeadersOnly": headers}
            put(database, f"composerData:c{chat}", value)
        case ("tombstone", chat):
            put(database, f"composerData:c{chat}", None)
        case ("noise", number):
            put(database, f"agentKv:blob:{number}", b"\x00")
        case ("delete noise", number):
            database.execute("DELETE FROM cursorDiskKV WHERE key = ?", (f"agentKv:blob:{number}",))


class Reader:
    """Takes one look at a time; whatever happens between two of them."""

    def __init__(self, database):
        self.database, self.position, self.step, self.last = database, None, None, {}
        self.is_done = False

    def look(self, rows):
        catalog = catalog_of(self.database)
        how = {"rescan": False, "verify": False, "since_ms": None}
        scan = self.step.make(catalog) if self.step else CONVERSATIONS.scan(catalog, self.position, **how)
        step = run(self.database, scan, Budget(rows))
        self.step = step if isinstance(step, FollowUp) else None
        if self.step is None:
            assert step.problem is None
            self.last.update({turn.id: turn for turn in turns(step)})
            self.position, self.is_done = step.position, not step.more

    def look_to_the_end(self, rows):
        for _ in range(10_000):
            self.look(rows)
            if self.step is None and self.is_done:
                return
        raise AssertionError("the walk does not end")


@settings(deadline=None, max_examples=200)
@given(steps, st.sampled_from([0, 3, None]))
def test_whatever_was_written_in_whatever_order_the_last_word_on_each_turn_is_said(script, rows):
    with closing(kv()) as database:
        reader = Reader(database)
        for step in script:
            match step:
                case ("look", budget):
                    reader.look(budget)
                case ("look to the end", budget):
                    reader.look_to_the_end(budget)
                case _:
                    write(database, step)
        reader.look_to_the_end(rows)  # the page under way
        reader.look_to_the_end(rows)
        truth = whole_truth(database)
        assert {id_: telling(reader.last[id_]) if id_ in reader.last else None for id_ in truth} == {
            id_: telling(turn) for id_, turn in truth.items()
        }


def telling(turn):
    """The fingerprint holds rowids, so exactly the last state is meant.

    Of a turn that is not settled only question and last bubble are read: another may bear its id.
    """
    name = (turn.generation_id, turn.is_named_by_bubble) if turn.is_settled else None
    return (name, turn.is_settled, turn.fingerprint)


#: Larger than SQLite may read.
HUGE = 40 << 20


async def test_the_door_lets_every_query_through(tmp_path):
    path = tmp_path / "User" / "globalStorage" / "state.vscdb"
    path.parent.mkdir(parents=True)
    guest = Guest(
        roots=(str(tmp_path / "User"),),
        tables=readable_columns(),
        deadline_seconds=20,
        max_concurrent=1,
        private_dir=str(tmp_path / "private"),
    )

    async def finish(make):
        while True:
            outcome = await guest.read(str(path), make, unless=None)
            assert isinstance(outcome, Page), outcome
            step = outcome.result
            if hasattr(step, "steps"):
                step = step.steps["conversations"]
            if not hasattr(step, "make"):
                return step
            make = step.make

    async def all_pages(position=None, **how):
        pages = []
        while not pages or pages[-1].more:
            positions = {"conversations": position} if position else {}
            how = {"rescan": False, "verify": False, "since_ms": None, **how}
            pages.append(await finish(partial(scan_database, positions=positions, **how)))
            position = pages[-1].position
        return pages

    def writing():
        return closing(sqlite3.connect(path, isolation_level=None))

    with trio.fail_after(60):
        with writing() as database:
            database.execute(KV)
            database.execute(HEADERS)
            chat = Chat(database, "c").turn(1).turn(2).write()
            database.execute("INSERT INTO cursorDiskKV VALUES (?, ?)", (chat.key("b1"), "x" * HUGE))
            database.execute("INSERT INTO cursorDiskKV VALUES ('composerData:d', zeroblob(?))", (HUGE,))
            chat.turn(3)
            chat.write_bubble("b4")
        pages = await all_pages(since_ms=SINCE_MS)
        assert set(named(*pages)) == {uuid(1), uuid(2)}
        assert pages[-1].problem is None
        with writing() as database:
            chat.connection = database
            chat.write_document()
        pages = await all_pages(pages[-1].position)
        assert named(*pages) == [uuid(2), uuid(3)]
        assert await all_pages(pages[-1].position, verify=True)
        content = await finish(partial(reread_database, wanted=(want("c", "b0"),)))
        assert [one.left_out for one in content.observations] == [("response_text",)]
        with writing() as database:
            renumber(database)
        assert set(named(*await all_pages(pages[-1].position))) == {uuid(1), uuid(2), uuid(3)}
        await guest.aclose()
