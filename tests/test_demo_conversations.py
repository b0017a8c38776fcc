"""The fake Cursor's conversations: shaped and streamed as Cursor's are, and the ledger knows every turn."""

import collections
import contextlib
import json
import time
from argparse import ArgumentParser
from itertools import pairwise
from urllib.parse import unquote

import attrs
import pytest

from trio_cursor.demo import FakeCursorProcess, read_ledger
from trio_cursor.demo import bubbles as bubbles_module
from trio_cursor.demo.command import add_arguments
from trio_cursor.demo.eras import of_age
from trio_cursor.demo.honest_reader import find, look
from trio_cursor.demo.javascript import stringify
from trio_cursor.demo.ledger import Entry, LedgerWriter
from trio_cursor.demo.rows import INSERT
from trio_cursor.demo.storage import Storage
from trio_cursor.demo.turn_plan import Part, plan_turn
from trio_cursor.demo.turns import Turn, with_rings
from trio_cursor.sqlite_library import sqlite3

#: `_v` of conversations by era (cursor-storage facts, section c).
VERSIONS = {
    "0.44": {None, 1},
    "0.50": {1, 3},
    "1": {3, 6, 8},
    "2": {9, 10},
    "3.0": {11, 14},
    "3.9": {14, 16},
    "3.15": {17},
}
WITH_HEADERS_TABLE = {"3.9", "3.15"}


class Global:
    """The global database of a tree, read as a person with `sqlite3` would."""

    def __init__(self, directory):
        self.path = directory / "User" / "globalStorage" / "state.vscdb"

    def query(self, sql, *parameters):
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(sql, parameters).fetchall()

    def rows(self, prefix):
        """Key -> value of all that begin so."""
        found = self.query(
            "SELECT key, value FROM cursorDiskKV WHERE key >= ? AND key < ?", prefix, prefix + "~"
        )
        return dict(found)

    def documents(self, prefix):
        return {key: json.loads(value) for key, value in self.rows(prefix).items() if value is not None}

    def composers(self):
        return {key.partition(":")[2]: value for key, value in self.documents("composerData:").items()}


def run_to_its_end(directory, *options):
    with FakeCursorProcess(directory, *options) as cursor:
        assert cursor.wait(30) == 0
    return cursor


def wait_until(true, seconds=10):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def what_differs(database, turns):
    """The turns of which a reader who comes now would report something else."""
    with contextlib.closing(sqlite3.connect(database.path)) as connection:

        def query(sql, *parameters):
            return connection.execute(sql, parameters).fetchall()

        def reported(turn):
            found = look(query, turn)
            if found is None or turn.schema == "conversations":
                return found
            return attrs.evolve(found, timestamp=turn.timestamp)  # the ring's goes first

        return [turn for turn in turns if reported(turn) != turn]


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """A year of conversations, and some hundred that were streamed in a hurry. Not to be changed."""
    directory = tmp_path_factory.mktemp("demo") / "cursor"
    options = ("--rate", "1000", "--window-seconds", "0", "--workspaces", "8", "--generations", "300")
    return run_to_its_end(directory, *options, "--bubbles", "1500", "--seed", "3")


@pytest.fixture(scope="module")
def database(closed):
    return Global(closed.directory)


@pytest.fixture(scope="module")
def turns(closed):
    return closed.ledger().turns


@pytest.fixture(scope="module")
def composers(database):
    return database.composers()


@pytest.fixture(scope="module")
def bubbles(database):
    """By conversation and bubble id, without tombstones and those of tool calls."""
    documents = database.documents("bubbleId:")
    return {tuple(key.split(":")[1:]): document for key, document in documents.items() if "\n" not in key}


def in_order(composers, bubbles, turn):
    """The bubbles of a turn's conversation in their order, inline ones too."""
    document = composers[turn.conversation_id]
    if "conversation" in document:
        return document["conversation"]
    headers = document["fullConversationHeadersOnly"]
    return [bubbles[turn.conversation_id, header["bubbleId"]] for header in headers]


def of_turn(composers, bubbles, turn):
    """The bubbles of one turn."""
    groups = []
    for bubble in in_order(composers, bubbles, turn):
        if bubble["type"] == 1:
            groups.append([])
        groups[-1].append(bubble)
    for group in groups:
        if turn.generation_id in {bubble.get("requestId") for bubble in group}:
            return group
    assert composers[turn.conversation_id]["latestChatGenerationUUID"] == turn.generation_id
    return groups[-1]


# --- the ledger's turns


def test_every_settled_turn_stands_in_the_database_with_its_final_text(turns, composers, bubbles):
    assert len(turns) > 500
    for turn in turns.values():
        answer = [bubble for bubble in of_turn(composers, bubbles, turn) if bubble["type"] == 2]
        texts = [bubble["text"] for bubble in answer if bubble["text"]]
        assert turn.response_text == ("\n\n".join(texts) or None)
        assert turn.response_text or turn.status != "completed"


def test_an_honest_reader_reports_what_the_ledger_says(closed, database, turns):
    assert what_differs(database, turns.values()) == []
    assert not closed.ledger().open_turns


def test_turns_end_in_every_way(turns):
    ways = collections.Counter(turn.status for turn in turns.values())
    assert set(ways) == {"completed", "aborted", "error"}
    assert ways["completed"] > 0.7 * len(turns)
    assert any(turn.response_text is None for turn in turns.values() if turn.status == "aborted")


def test_a_turn_in_a_ring_has_the_rings_id_time_type_and_workspace(closed, turns):
    committed = closed.ledger().committed
    in_rings = [turn for turn in turns.values() if turn.generation_id in committed]
    assert len(in_rings) > 150
    for turn in in_rings:
        entries = committed[turn.generation_id]
        first = min(entries, key=lambda entry: entry.unix_ms)
        assert (turn.schema, turn.timestamp, turn.type) == ("ring+conversations", first.unix_ms, first.type)
        assert turn.type in {"composer", "chat"}
        places = [entry for entry in entries if entry.workspace_id is not None]
        if places:
            assert turn.workspace_id == min(places, key=lambda entry: entry.unix_ms).workspace_id
            assert turn.attributed_by == 1


def test_nothing_else_than_composer_and_chat_has_a_conversation(closed, turns):
    kinds = collections.Counter()
    for generation_id, (entry, *_) in closed.ledger().committed.items():
        kinds[entry.type, generation_id in turns] += 1
    assert not kinds["cmdk", True]
    assert not kinds["apply", True]
    assert kinds["composer", True] > 5 * kinds["composer", False] > 0


def test_some_turns_are_known_to_no_ring_and_some_belong_nowhere(closed, turns):
    committed = closed.ledger().committed
    unknown = [turn for turn in turns.values() if turn.generation_id not in committed]
    assert {turn.schema for turn in unknown} == {"conversations"}
    assert {turn.attributed_by for turn in unknown} >= {None, 2, 3, 6, 7, 9}
    assert all((turn.workspace_id is None) == (turn.attributed_by is None) for turn in unknown)
    directories = {path.name for path in closed.cursor_dir.glob("workspaceStorage/*")}
    assert {turn.workspace_id for turn in unknown} - directories - {None}, "one workspace is gone"


def test_a_conversation_says_where_it_belongs_by_the_rule_of_the_ledger(database, turns, composers, bubbles):
    table = dict(database.query("SELECT composerId, workspaceId FROM composerHeaders"))
    metas = database.path.parent.parent.glob("workspaceStorage/*/workspace.json")
    folders = {path.parent.name: json.loads(path.read_text()).get("folder") for path in metas}
    for turn in turns.values():
        document = composers[turn.conversation_id]
        if turn.attributed_by == 2:
            assert table[turn.conversation_id] == turn.workspace_id
        elif turn.attributed_by == 3:
            assert document["workspaceIdentifier"]["id"] == turn.workspace_id
        elif turn.attributed_by == 6:
            contexts = database.documents(f"messageRequestContext:{turn.conversation_id}:").values()
            roots = {layout["rootPath"] for context in contexts for layout in context["projectLayouts"]}
            assert roots == {unquote(folders[turn.workspace_id]).removeprefix("file://")}
        elif turn.attributed_by == 7:
            user = of_turn(composers, bubbles, turn)[0]
            assert user["workspaceUris"] == [folders[turn.workspace_id]]


# --- documents


def test_conversations_have_the_keys_of_their_era(turns, composers):
    seen = collections.defaultdict(set)
    for turn in turns.values():
        document = composers[turn.conversation_id]
        seen[turn.era].add(document.get("_v"))
        assert document["composerId"] == turn.conversation_id
        assert isinstance(document["createdAt"], int)
        assert document["status"] in {"completed", "aborted", "error"}
        assert document["generatingBubbleIds"] == []
        assert document["conversationMap"] == {}
        assert ("conversation" in document) == (turn.era == "0.44")
        assert ("fullConversationHeadersOnly" in document) == (turn.era != "0.44")
        assert ("modelConfig" in document) == (turn.era in {"2", "3.0", "3.9", "3.15"})
        if turn.era == "3.15" and turn.workspace_id is not None and turn.parent_id is None:
            assert "workspaceIdentifier" in document
    assert dict(seen) == VERSIONS
    stamped = sum("lastUpdatedAt" in document for document in composers.values())
    assert 0.5 < stamped / len(composers) < 0.9


def test_headers_name_the_bubbles_and_give_the_order(composers, bubbles):
    named = collections.Counter()
    for composer_id, document in composers.items():
        for header in document.get("fullConversationHeadersOnly", ()):
            assert set(header) in ({"bubbleId", "type"}, {"bubbleId", "type", "createdAt"})
            bubble = bubbles[composer_id, header["bubbleId"]]
            assert (bubble["bubbleId"], bubble["type"]) == (header["bubbleId"], header["type"])
            named[composer_id] += 1
    assert len(bubbles) > sum(named.values()), "orphans after a rewind"
    assert any(not named[composer_id] for composer_id in composers), "drafts"
    assert max(named.values()) > 20


def test_bubbles_are_messages_thoughts_and_tool_steps(bubbles):
    kinds = collections.Counter()
    for bubble in bubbles.values():
        kinds[bubble["type"], bubble.get("capabilityType")] += 1
        assert bubble.get("_v") in {None, 2, 3}
        assert len(bubble) > 50
        assert isinstance(bubble["text"], str)
        assert bubble["unifiedMode"] == 2
        if bubble.get("capabilityType") == 15:
            data = bubble["toolFormerData"]
            assert data["status"] in {"completed", "error", "cancelled"}
            assert bubble["text"] == ""
            assert isinstance(json.loads(data["rawArgs"]), dict)
            assert isinstance(json.loads(data["params"]), dict)
            assert ("result" in data) == (data["status"] == "completed")
            assert ("error" in data) == (data["status"] == "error")
        if bubble.get("capabilityType") == 30:
            assert set(bubble["thinking"]) == {"text", "signature"}
    assert set(kinds) == {(1, None), (2, None), (2, 15), (2, 30)}
    tools = [bubble["toolFormerData"] for bubble in bubbles.values() if "toolFormerData" in bubble]
    assert 0.2 < sum("name" not in data for data in tools) / len(tools) < 0.5


def test_bubbles_are_some_kilobytes(database):
    sizes = [len(value) for value in database.rows("bubbleId:").values() if value is not None]
    assert 3_000 < sum(sizes) / len(sizes) < 10_000


def test_request_ids_stand_on_the_question_or_the_last_answer(turns, composers, bubbles):
    places = set()
    for turn in turns.values():
        group = of_turn(composers, bubbles, turn)
        bearing = [number for number, bubble in enumerate(group) if bubble.get("requestId")]
        assert set(bearing) <= {0, len(group) - 1}
        places.add((0 in bearing, len(group) - 1 in bearing))
        if not bearing:
            assert all("requestId" not in bubble for bubble in group)
            assert turn.era in {"0.44", "0.50"}
    assert places == {(True, False), (False, True), (True, True), (False, False)}


def test_tokens_times_and_durations_are_rare_and_where_they_belong(turns, composers, bubbles):
    counted = 0
    for turn in turns.values():
        *others, last = of_turn(composers, bubbles, turn)
        assert all(bubble["tokenCount"] == {"inputTokens": 0, "outputTokens": 0} for bubble in others)
        if last["tokenCount"]["inputTokens"]:
            counted += 1
            assert turn.status == "completed"
            assert turn.era in {"0.50", "1", "2"}
            assert turn.tokens_used == sum(last["tokenCount"].values())
        else:
            assert turn.prompt_tokens is turn.completion_tokens is turn.tokens_used is None
        assert ("turnDurationMs" in last) == (turn.status == "completed" and turn.era.startswith("3."))
        if "timingInfo" in last:
            assert {type(time) for time in last["timingInfo"].values()} == {float}
        for bubble in (*others, last):
            assert "createdAt" not in bubble or turn.era not in {"0.44", "0.50", "1"}
    assert 0 < counted < 0.2 * len(turns)
    assert any(turn.duration_ms for turn in turns.values() if turn.era in {"0.50", "1"})
    assert any(turn.prompt_timestamp is None for turn in turns.values() if turn.era == "3.15")


def test_questions_stand_in_text_or_in_rich_text_alone(bubbles):
    forms = collections.Counter()
    for bubble in bubbles.values():
        if bubble["type"] == 1:
            is_lexical = bubble["richText"].startswith('{"root":')
            forms[bool(bubble["text"]), is_lexical] += 1
    assert forms[True, True] > 3 * forms[False, True] > forms[False, False] > 0
    assert not forms[True, False]


def test_auto_is_not_the_name_of_a_model(turns, composers):
    for turn in turns.values():
        assert turn.model != "default"
    names = {document.get("modelConfig", {}).get("modelName") for document in composers.values()}
    assert "default" in names
    assert len({turn.model for turn in turns.values()}) > 3


def test_the_table_of_headers_has_rows_of_its_own_era_alone(database, turns):
    rows = database.query("SELECT composerId, isSubagent, lastUpdatedAt, value FROM composerHeaders")
    table = {composer_id: columns for composer_id, *columns in rows}
    for turn in turns.values():
        assert (turn.conversation_id in table) == (turn.era in WITH_HEADERS_TABLE)
        if turn.conversation_id in table:
            assert table[turn.conversation_id][0] == (turn.parent_id is not None)
    stamps = [stamp for _, stamp, _ in table.values()]
    assert 0.2 < stamps.count(None) / len(stamps) < 0.6
    assert 0 in stamps
    assert all(json.loads(value)["composerId"] == key for key, (_, _, value) in table.items())


# --- what grows out of conversations


def test_forks_copy_turns_under_new_bubble_ids(turns, composers, bubbles):
    places = collections.defaultdict(set)
    for (composer_id, bubble_id), bubble in bubbles.items():
        if bubble.get("requestId"):
            places[bubble["requestId"]].add((composer_id, bubble_id))
    copied = {key: found for key, found in places.items() if len({composer for composer, _ in found}) > 1}
    forked = [key for key in copied if turns[key].parent_id is None]
    assert len(forked) > 5
    for generation_id in forked:
        holders = {composer_id for composer_id, _ in copied[generation_id]} & set(composers)
        first = min(holders, key=lambda each: (composers[each]["createdAt"], each))
        assert turns[generation_id].conversation_id == first


def test_agents_start_agents_which_their_conversation_lists(database, turns, composers):
    listed = {
        sub_agent: composer_id
        for composer_id, document in composers.items()
        for sub_agent in document.get("subagentComposerIds", ())
    }
    with_own_id = {turn.conversation_id: turn.parent_id for turn in turns.values() if turn.parent_id}
    assert with_own_id
    assert with_own_id.items() <= listed.items()
    shared = [composers[each] for each in set(listed) - set(with_own_id)]
    assert shared
    for document in shared:
        parent = turns[document["latestChatGenerationUUID"]]
        assert parent.conversation_id != document["composerId"]
        assert parent.parent_id is None


def test_what_is_deleted_is_null(database, turns):
    tombstones = {key for key, value in database.rows("composerData:").items() if value is None}
    assert len(tombstones) > 3
    assert not tombstones & {f"composerData:{turn.conversation_id}" for turn in turns.values()}
    assert any(value is None for value in database.rows("bubbleId:").values())


def test_some_values_are_blobs_and_some_keys_are_odd(database):
    classes = "SELECT DISTINCT typeof(value) FROM cursorDiskKV WHERE key >= ? AND key < ? || '~'"
    for prefix in ("composerData:", "bubbleId:"):
        assert set(database.query(classes, prefix, prefix)) == {("text",), ("blob",), ("null",)}
    assert ("blob",) in database.query(classes, "agentKv:blob:", "agentKv:blob:")
    assert any("\n" in key for key in database.rows("bubbleId:task-"))
    assert any("\n" in key for key in database.rows("composerData:task-"))
    assert database.query("SELECT count(*) > 0 FROM cursorDiskKV WHERE key IS NULL") == [(1,)]
    kinds = {
        key.partition(":")[0] for (key,) in database.query("SELECT key FROM cursorDiskKV WHERE key > ''")
    }
    assert kinds == {"agentKv", "bubbleId", "checkpointId", "composerData", "messageRequestContext"}


def test_the_year_before_has_conversations_of_all_ages(tmp_path):
    options = ("--bubbles", "2000", "--rate", "0", "--seconds", "0", "--history", "0", "--seed", "1")
    cursor = run_to_its_end(tmp_path / "cursor", *options)
    database, turns = Global(cursor.directory), cursor.ledger().turns
    assert 1_700 < len(database.rows("bubbleId:")) < 4_000
    ages = [
        (time.time() - document["createdAt"] / 1000) / 86_400 for document in database.composers().values()
    ]
    assert 0 < min(ages) < 7
    assert 300 < max(ages) < 366
    assert not [age for age in ages if 0.85 < age < 1.1]
    assert {turn.era for turn in turns.values()} == set(VERSIONS)
    assert not cursor.ledger().committed
    rerun = run_to_its_end(tmp_path / "cursor", *options)
    assert rerun.ledger().turns == turns, "it is written once"


# --- streaming


class Poller:
    """What somebody sees who looks at the global database again and again."""

    def __init__(self, path):
        self.path = path
        #: Texts of each bubble by rowid.
        self.texts = collections.defaultdict(dict)
        self.statuses = set()
        #: How often a header had no bubble.
        self.dangling = 0

    def grown(self):
        return [versions for versions in self.texts.values() if len(set(versions.values())) > 3]

    def look(self):
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            rows = connection.execute("SELECT rowid, key, value FROM cursorDiskKV WHERE key > ''").fetchall()
        keys = {key for _, key, _ in rows}
        for rowid, key, value in rows:
            if value is not None and key.startswith("bubbleId:"):
                self.texts[key][rowid] = json.loads(value)["text"]
            elif value is not None and key.startswith("composerData:"):
                self.see(json.loads(value), keys)
        return self.dangling and self.grown() and self.statuses >= {"generating", "completed"}

    def see(self, document, keys):
        named = [header["bubbleId"] for header in document["fullConversationHeadersOnly"]]
        if document["status"] == "generating":
            (bubble_id,) = document["generatingBubbleIds"]
            assert bubble_id in named
        else:
            assert document["generatingBubbleIds"] == []
        self.statuses.add(document["status"])
        self.dangling += any(f"bubbleId:{document['composerId']}:{each}" not in keys for each in named)


def test_a_poller_sees_texts_grow_and_headers_ahead_of_their_bubbles(tmp_path):
    with FakeCursorProcess(tmp_path / "cursor", "--rate", "10", "--history", "0", "--seed", "2") as cursor:
        poller = Poller(Global(cursor.directory).path)
        wait_until(poller.look)
    for versions in poller.grown():
        shown = [versions[rowid] for rowid in sorted(versions)]
        assert all(later.startswith(earlier) for earlier, later in pairwise(shown))
    assert any(min(versions.items())[1] == "" for versions in poller.grown()), "the first bubble begins empty"


def test_a_turn_in_flight_is_open_in_the_ledger_and_half_in_the_database(tmp_path):
    with FakeCursorProcess(tmp_path / "cursor", "--rate", "20", "--history", "0") as cursor:
        wait_until(lambda: len(cursor.ledger().open_turns) > 10 and cursor.ledger().turns)
        cursor.pause()
        database, ledger = Global(cursor.directory), cursor.ledger()
        partial = 0
        for turn in ledger.open_turns.values():
            assert (turn.status, turn.completed_timestamp, turn.committed_ms) == ("generating", None, None)
            found = look(database.query, turn)
            assert found is None or turn.prompt_text == (found.prompt_text or turn.prompt_text)
            partial += found is not None and found.status == "incomplete"
        assert partial
        assert what_differs(database, ledger.turns.values()) == []
        cursor.resume()


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_killed_cursor_leaves_half_a_turn_which_the_next_one_leaves_as_it_is(tmp_path, journal):
    directory, database = tmp_path / "cursor", Global(tmp_path / "cursor")
    options = ("--rate", "40", "--journal", journal, "--history", "0")
    with FakeCursorProcess(directory, *options) as cursor:
        wait_until(lambda: len(cursor.ledger().open_turns) > 20 and cursor.ledger().turns)
        cursor.kill()
        before = cursor.ledger()
    with FakeCursorProcess(directory, *options, "--seconds", "0.5") as cursor:
        ledger = cursor.ledger()
        resolved = {key: ledger.turns[key] for key in before.open_turns if key in ledger.turns}
        assert not set(before.open_turns) & set(ledger.open_turns)
        assert {turn.status for turn in resolved.values()} >= {"incomplete"}
        assert all(turn.commit_took_ms is None for turn in resolved.values())
        cursor.wait(10)
    after = cursor.ledger()
    assert set(after.turns) > set(before.turns) | set(resolved), "it has gone on"
    assert not after.open_turns
    assert not after.incidents
    assert what_differs(database, after.turns.values()) == []
    for turn in resolved.values():
        if turn.status == "incomplete":
            assert find(database.query, turn.conversation_id, turn.generation_id).is_last


def test_quitting_aborts_what_runs(tmp_path):
    with FakeCursorProcess(tmp_path / "cursor", "--rate", "20", "--history", "0") as cursor:
        wait_until(lambda: len(cursor.ledger().open_turns) > 5)
        running = set(cursor.ledger().open_turns)
    ledger = cursor.ledger()
    assert not ledger.open_turns
    assert "aborted" in {ledger.turns[key].status for key in running}
    statuses = {document["status"] for document in Global(cursor.directory).composers().values()}
    assert "generating" not in statuses


def test_a_window_that_closes_aborts_what_runs_in_it(tmp_path):
    options = ("--rate", "30", "--window-seconds", "0.3", "--workspaces", "1", "--history", "0", "--stay")
    with FakeCursorProcess(tmp_path / "cursor", *options, "--generations", "40") as cursor:
        wait_until(lambda: any(turn.status == "aborted" for turn in cursor.ledger().turns.values()))
    assert not cursor.ledger().open_turns


def test_all_that_was_asked_is_answered_while_it_stays(tmp_path):
    options = ("--rate", "200", "--generations", "10", "--stay", "--window-seconds", "0", "--seed", "4")
    with FakeCursorProcess(tmp_path / "cursor", *options) as cursor:
        wait_until(lambda: cursor.ledger().turns and not cursor.ledger().open_turns)
        steps = [turn.duration_ms for turn in cursor.ledger().turns.values() if turn.duration_ms]
    assert steps


def test_the_same_seed_gives_the_same_turns(tmp_path):
    made = []
    for name in ("one", "two"):
        options = ("--rate", "1000", "--window-seconds", "0", "--seed", "5", "--generations", "60")
        cursor = run_to_its_end(tmp_path / name, *options)
        turns = [turn for turn in cursor.ledger().turns.values() if turn.parent_id is None]
        made.append(
            {(turn.generation_id, turn.prompt_text, turn.response_text, turn.status) for turn in turns}
        )
    assert made[0] == made[1]
    assert len(made[0]) > 20


def test_without_conversations_the_global_database_has_none(tmp_path):
    options = ("--rate", "1000", "--generations", "500", "--conversations", "0", "--window-seconds", "0")
    cursor = run_to_its_end(tmp_path / "cursor", *options)
    database = Global(cursor.directory)
    assert database.query("SELECT count(*) FROM cursorDiskKV") == [(0,)]
    assert database.query("SELECT count(*) FROM composerHeaders") == [(0,)]
    assert not cursor.ledger().turns
    assert len(cursor.ledger().committed) > 450


def test_conversations_listed_in_a_window_are_those_of_the_global_database(closed, composers):
    listed = set()
    for path in closed.cursor_dir.glob("workspaceStorage/*/state.vscdb"):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            rows = connection.execute(
                "SELECT value FROM ItemTable WHERE key = 'composer.composerData'"
            ).fetchall()
        for (value,) in rows:
            listed |= {head["composerId"] for head in json.loads(value).get("allComposers", ())}
    assert len(listed & set(composers)) > 5


@pytest.mark.parametrize("share", ["-0.1", "1.1", "all"])
def test_a_share_is_between_0_and_1(share, capsys):
    parser = ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["somewhere", "--conversations", share])
    assert "--conversations" in capsys.readouterr().err


# --- values


def entry(generation_id, workspace_id, unix_ms):
    return Entry(
        generation_id=generation_id,
        database=f"{workspace_id}/state.vscdb",
        workspace_id=workspace_id,
        journal="wal",
        schema="ring",
        unix_ms=unix_ms,
        type="composer",
    )


def turn(generation_id, conversation_id="c", **fields):
    known = {"database": "db", "era": "2", "status": "completed"} | fields
    return Turn(generation_id=generation_id, conversation_id=conversation_id, **known)


def test_of_several_rings_the_earliest_counts_and_the_global_one_is_no_workspace():
    rings = {"a": [entry("a", "w2", 20), entry("a", "w1", 10)], "b": [entry("b", None, 5)]}
    joined = with_rings([turn("a", timestamp=99), turn("b", "d")], rings)
    assert (joined["a"].workspace_id, joined["a"].timestamp, joined["a"].attributed_by) == ("w1", 10, 1)
    assert (joined["b"].workspace_id, joined["b"].timestamp, joined["b"].attributed_by) == (None, 5, None)
    assert joined["b"].schema == "ring+conversations"


def test_what_says_nothing_itself_is_where_its_conversation_or_its_parent_is():
    rings = {"a": [entry("a", "w1", 10)]}
    made = [turn("a"), turn("b"), turn("sub", "s", parent_id="c"), turn("c", "listed", listed_in="w3")]
    joined = with_rings(made, rings)
    assert {key: (each.workspace_id, each.attributed_by) for key, each in joined.items()} == {
        "a": ("w1", 1),
        "b": ("w1", 8),
        "sub": ("w1", 9),
        "c": ("w3", 4),
    }
    named = turn("d", "named", listed_in="w3", workspace_id="w4", attributed_by=2)
    assert with_rings([named], {})["d"].workspace_id == "w4"


def test_turns_in_the_ledger_are_open_until_their_commit(tmp_path):
    path = tmp_path / "ledger.jsonl"
    begun, settled = (
        turn("a", status="generating"),
        turn("a", tool_calls=(("read", "completed"), (None, "error"))),
    )
    with contextlib.closing(LedgerWriter(path)) as writer:
        writer.intend_turns([begun, turn("lost", status="generating")])
        assert set(read_ledger(path).open_turns) == {"a", "lost"}
        writer.intend_turns([settled])
        assert not read_ledger(path).turns
        writer.commit_turns([settled], 1.5)
        writer.rolled_back_turn(turn("lost"))
    ledger = read_ledger(path)
    assert not ledger.open_turns
    assert ledger.turns["a"].tool_calls == (("read", "completed"), (None, "error"))
    assert ledger.turns["a"].commit_took_ms == 1.5
    assert ledger.entries == ()


@pytest.fixture
def storage(tmp_path):
    made = Storage(tmp_path / "state.vscdb", tables=(), report=lambda *_: None)
    made.open()
    yield made
    made.close()


def put(storage, headers, bubbles, **fields):
    document = {"status": "completed", "generatingBubbleIds": [], "createdAt": 1} | fields
    document["fullConversationHeadersOnly"] = [{"bubbleId": key, "type": kind} for key, kind in headers]
    storage.execute(INSERT, "composerData:c", stringify(document))
    for key, kind, content in bubbles:
        bubble = {
            "bubbleId": key,
            "type": kind,
            "text": "",
            "tokenCount": {"inputTokens": 0, "outputTokens": 0},
        }
        storage.execute(INSERT, f"bubbleId:c:{key}", stringify(bubble | content))
    storage.flush()


USER = ("u", 1, {"requestId": "a", "text": "why?"})


@pytest.mark.parametrize(
    ("headers", "bubbles", "fields", "status"),
    [
        ([("u", 1), ("x", 2)], [USER, ("x", 2, {"text": "so"})], {}, "completed"),
        ([("u", 1), ("x", 2)], [USER, ("x", 2, {"text": "so"})], {"status": "generating"}, "incomplete"),
        (
            [("u", 1), ("x", 2)],
            [USER, ("x", 2, {"text": "so"})],
            {"generatingBubbleIds": ["x"]},
            "incomplete",
        ),
        ([("u", 1), ("x", 2)], [USER, ("x", 2, {"text": "so"})], {"status": "error"}, "error"),
        ([("u", 1), ("x", 2), ("y", 2)], [USER, ("x", 2, {"text": "so"})], {}, "incomplete"),
        ([("u", 1)], [USER], {}, "incomplete"),
        ([("u", 1), ("x", 2)], [], {"latestChatGenerationUUID": "a"}, None),
        ([("u", 1), ("x", 2), ("v", 1)], [USER, ("x", 2, {}), ("v", 1, {})], {}, "aborted"),
        ([("u", 1), ("x", 2), ("v", 1)], [USER, ("x", 2, {"thinking": {}}), ("v", 1, {})], {}, "completed"),
        ([("u", 1)], [("u", 1, {})], {"latestChatGenerationUUID": "a", "status": "aborted"}, "aborted"),
    ],
)
def test_what_an_honest_reader_makes_of_what_a_kill_left(storage, headers, bubbles, fields, status):
    put(storage, headers, bubbles, **fields)
    found = look(storage.query, turn("a"))
    assert (found and found.status) == status


def test_a_tombstone_is_nothing(storage):
    assert look(storage.query, turn("a")) is None
    storage.execute(INSERT, "composerData:c", None)
    storage.flush()
    assert look(storage.query, turn("a")) is None


def test_a_part_grows_to_its_end():
    assert [len(shown) for shown in Part("text", "x" * 80).growth()] == [26, 53, 80]
    assert len(Part("thinking", "x" * 9_999).growth()) == 8
    assert Part("text", "short").growth() == ["short"]


def test_a_plan_depends_on_its_id_alone():
    era = of_age(0)
    made = plan_turn("an id", "why?", era, alone=True, agents=True)
    assert made == plan_turn("an id", "why?", era, alone=True, agents=True)
    assert made.parts != plan_turn("another", "why?", era, alone=True, agents=True).parts


def test_rich_text_is_a_lexical_state_with_line_breaks():
    (paragraph,) = json.loads(bubbles_module.lexical("one\n\ntwo"))["root"]["children"]
    assert [node["type"] for node in paragraph["children"]] == ["text", "linebreak", "linebreak", "text"]
