"""What is stored and sent in each privacy mode: of observations, of what is pending, of events, in files."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from urllib.parse import quote

import attrs
import chats
import cursor_files
import log_events
import pytest
import running
import trio
from deadlines import until, within
from scans import NOW_MS, session, uuid

import trio_cursor
from trio_cursor.assembly import PendingEntry, from_text, to_text
from trio_cursor.assembly.generations import Parts
from trio_cursor.assembly.pending import Row
from trio_cursor.config import (
    Config,
    CursorConfig,
    HttpConfig,
    JsonLinesConfig,
    OutputsConfig,
    PrivacyConfig,
    StateConfig,
)
from trio_cursor.discretion import enter_mode
from trio_cursor.eventlog import open_event_log
from trio_cursor.events import build_event, build_gap
from trio_cursor.observations import Prompt, RingEntry, Sealed, TableRow, TurnContent, TurnGone
from trio_cursor.privacy import METADATA, MODES, REDACTED, Privacy, more_open_ranges
from trio_cursor.records import Gap, Generation

TOKEN = f"ghp_{'aB3dE5gH7j' * 4}"
ASKED = f"Why is {TOKEN} refused for someone@example.org in /home/someone/project?"
SCRUBBED = "Why is [REDACTED:github-token] refused for [REDACTED:e-mail] in ~/project?"
HOME = log_events.HOME
DIGEST_LENGTH = 32


def privacy(mode, key=b"k" * 32):
    return Privacy(mode, key, "/srv/someone")


def entry(text=ASKED, type_="composer"):
    return RingEntry(uuid(1), NOW_MS, type_, text, 5, {"textDescription": text})


def content():
    turn = attrs.evolve(log_events.pending_turn("c").turn, generation_id=uuid(1))
    calls = ({"name": "read_file", "status": "completed"}, {"name": f"mcp {TOKEN}", "status": None})
    return TurnContent(
        turn, "completed", 1, "gpt-5.5", 5, 6, ASKED, "because", tool_calls=calls, source={"x": ASKED}
    )


def row(**value):
    prompt = Prompt("p", "a prompt of a table", NOW_MS)
    return TableRow("tables_v1", uuid(1), 1, 1, NOW_MS, value or None, None if value else ASKED, prompt)


VALUE = {
    "model": "gpt-5.5",
    "promptTokens": 5,
    "completionTokens": ASKED,
    "promptId": "p",
    "responseText": ASKED,
    "requestParameters": {"apiKey": "x", "text": ASKED, "number": 1},
    "timestamp": ASKED,
}


def reported(mode, observation, place=HOME):
    """The event of one observation, as the sink makes it."""
    found = privacy(mode).observed(observation)
    match found:
        case RingEntry():
            parts = Parts(entry=PendingEntry(found.generation_id, place, found, NOW_MS))
        case TableRow():
            parts = Parts(row=Row(place, found))
        case TurnContent():
            parts = Parts(turn=found.turn, content=found)
    generation = parts.generation(uuid(1), place)
    event = build_event(
        generation, session=session(), captured_at=NOW_MS, host="alices-laptop", max_text_bytes=10**6
    )
    return privacy(mode).reported(event)


@pytest.mark.parametrize("observation", [entry(), row(**VALUE), row(), content()])
def test_nothing_changes_in_full(observation):
    assert privacy("full").observed(observation) is observation
    event = reported("full", observation)
    assert "full_generation_data" in event.payload
    assert event.metadata["host"] == "alices-laptop"
    assert "privacy" not in event.metadata
    assert not any(name.endswith(("_length", "_digest")) for name in event.payload)


@pytest.mark.parametrize("mode", [REDACTED, METADATA])
@pytest.mark.parametrize("observation", [entry(), row(**VALUE), row(), content()])
def test_nothing_of_a_secret_is_in_an_observation_or_its_event(mode, observation):
    for left in (repr(privacy(mode).observed(observation)), json.dumps(reported(mode, observation).payload)):
        assert not [word for word in (TOKEN, "someone", "aB3dE5gH7j") if word in left]
        assert ("refused" in left) == (mode == REDACTED and observation != row())


@pytest.mark.parametrize("observation", [entry(), row(**VALUE), content()])
def test_redacted_texts_say_what_stood_there(observation):
    payload = reported(REDACTED, observation).payload
    texts = (payload["prompt_text"], payload["response_text"])
    assert SCRUBBED in texts
    assert "full_generation_data" not in payload
    assert "prompt_length" not in payload
    if payload["request_parameters"]:
        assert payload["request_parameters"] == {"apiKey": "[REDACTED:secret]", "text": SCRUBBED, "number": 1}


def test_metadata_has_a_length_and_a_digest_for_each_text():
    of_ring, of_turn = (reported(METADATA, one).payload for one in (entry(), content()))
    assert of_ring["prompt_text"] is of_turn["prompt_text"] is of_turn["response_text"] is None
    assert of_ring["prompt_length"] == len(ASKED)
    assert of_turn["response_length"] == len("because")
    assert len(of_ring["prompt_digest"]) == DIGEST_LENGTH
    # Equal texts are found to be equal, wherever they stood; without the key nobody can.
    assert of_ring["prompt_digest"] == of_turn["prompt_digest"] != of_turn["response_digest"]
    other = Privacy(METADATA, b"o" * 32).observed(entry()).text
    assert other.digest != of_ring["prompt_digest"]
    # What is not known has no length either, and names of texts are there all the same.
    assert (of_ring["response_length"], of_ring["request_parameters_digest"]) == (None, None)
    of_row = reported(METADATA, row(**VALUE)).payload
    assert of_row["request_parameters"] is None
    assert of_row["request_parameters_length"] > len(ASKED)
    assert (of_row["prompt_tokens"], of_row["completion_tokens"], of_row["prompt_id"]) == (5, None, "p")
    assert (of_row["model"], of_row["prompt_length"]) == ("gpt-5.5", len("a prompt of a table"))


def test_a_cut_text_has_its_whole_length_and_a_secret_at_the_cut_is_found():
    for mode in (REDACTED, METADATA):
        found = privacy(mode).observed(entry(f"{'a' * 90} {TOKEN}"))
        generation = Parts(entry=PendingEntry(uuid(1), HOME, found, NOW_MS)).generation(uuid(1), HOME)
        event = build_event(generation, session=session(), captured_at=1, host="h", max_text_bytes=100)
        assert "ghp_" not in json.dumps(event.payload)
    assert event.payload["prompt_length"] == len(f"{'a' * 90} {TOKEN}")
    assert "truncated" not in event.payload


def test_names_that_are_no_names_are_texts():
    tools = reported(METADATA, content()).payload["tool_calls"]
    assert tools == [{"name": "read_file", "status": "completed"}, {"name": None, "status": None}]
    (_, tool) = reported(REDACTED, content()).payload["tool_calls"]
    assert tool == {"name": "mcp [REDACTED:github-token]", "status": None}
    assert reported(METADATA, entry(type_="what I asked")).payload["generation_type"] is None
    assert reported(METADATA, entry()).payload["generation_type"] == "composer"


def test_ids_and_hashes_stay_paths_and_host_do_not():
    place = attrs.evolve(
        HOME, path="/home/someone/project", uri="vscode-remote://ssh-remote%2Bbox/home/someone/project"
    )
    full, redacted, bare = (reported(mode, entry(), place).metadata for mode in MODES)
    assert (full["workspace_path"], redacted["workspace_path"], bare["workspace_path"]) == (
        "/home/someone/project",
        "~/project",
        None,
    )
    assert redacted["workspace_uri"] == "vscode-remote://ssh-remote%2Bbox~/project"
    assert bare["workspace_uri"] is None
    assert redacted["host"] == "alices-laptop"
    assert len(bare["host"]) == DIGEST_LENGTH
    assert (redacted["privacy"], bare["privacy"]) == (REDACTED, METADATA)
    for name in ("workspace_hash", "workspace_id", "captured_at", "schema"):
        assert full[name] == redacted[name] == bare[name]
    gap = build_gap(
        place, Gap("ring", "missed", None, 5), session=session(), captured_at=5, host="alices-laptop"
    )
    assert privacy(METADATA).reported(gap).metadata["host"] == bare["host"]
    assert privacy(REDACTED).reported(gap).payload == gap.payload


@pytest.mark.parametrize("mode", [REDACTED, METADATA])
def test_what_is_pending_waits_without_texts_and_is_the_same_when_it_is_released(mode):
    turn = attrs.evolve(log_events.pending_turn("c"), row=Row(HOME, row(**VALUE)))
    for item in (PendingEntry(uuid(1), HOME, entry(), NOW_MS), turn):
        veiled = privacy(mode).pending(item)
        stored = to_text(veiled)
        assert not [word for word in (TOKEN, "someone", "aB3dE5gH7j") if word in stored]
        assert from_text(stored) == veiled
    assert from_text(to_text(privacy(METADATA).pending(turn))).row.row.sealed["response_text"].length == len(
        ASKED
    )


def test_of_a_turn_without_its_content_only_the_fingerprint_could_tell():
    turn = content().turn
    assert privacy(REDACTED).observed(turn) == turn
    veiled = privacy(METADATA).observed(turn)
    assert attrs.evolve(veiled, fingerprint=turn.fingerprint) == turn
    assert veiled.fingerprint != turn.fingerprint
    gone = TurnGone(turn.id)
    assert privacy(METADATA).observed(gone) is gone
    for item in (PendingEntry(uuid(1), HOME, entry(), NOW_MS), log_events.pending_turn("c")):
        assert privacy("full").pending(item) is item


def test_what_a_gap_says_of_itself_and_what_was_cut_is_veiled_too():
    gap = build_gap(HOME, Gap("ring", f"after {ASKED}", None, 5), session=session(), captured_at=5, host="h")
    assert privacy(REDACTED).reported(gap).payload["detail"] == f"after {SCRUBBED}"
    event = build_event(
        Generation(
            uuid(1), uuid(1), HOME, "ring", "completed", NOW_MS, "ring",
            prompt_text=ASKED, truncated=("prompt_text", "full_generation_data"),
        ),
        session=session(), captured_at=1, host="h", max_text_bytes=10**6,
    )  # fmt: skip
    assert privacy(REDACTED).sent(event).payload["truncated"] == ["prompt_text"]


@pytest.mark.parametrize("mode", [REDACTED, METADATA])
def test_a_stored_event_is_sent_as_the_mode_of_now_has_it(mode):
    generation = Generation(
        uuid(1), uuid(1), HOME, "ring", "completed", NOW_MS, "ring", "composer",
        model="gpt-5.5", prompt_text=ASKED, request_parameters={"a": [ASKED]},
        full_generation_data={"x": ASKED},
        tool_calls=({"name": "read_file", "status": "completed"},), truncated=("full_generation_data",),
    )  # fmt: skip
    event = build_event(generation, session=session(), captured_at=1, host="h", max_text_bytes=10**6)
    assert privacy("full").sent(event) is event
    sent = privacy(mode).sent(event)
    assert privacy(mode).sent(sent) is sent
    left = json.dumps([sent.payload, sent.metadata])
    assert not [word for word in (TOKEN, "someone", "full_generation_data") if word in left]
    assert sent.payload["tool_calls"] == [{"name": "read_file", "status": "completed"}]
    assert sent.payload["model"] == "gpt-5.5"
    if mode == METADATA:
        assert sent.payload["prompt_length"] == len(ASKED)
        # From redacted to metadata; never back.
        redacted = privacy(REDACTED).sent(event)
        assert privacy(METADATA).sent(redacted).payload["prompt_length"] == len(SCRUBBED)
        assert privacy(REDACTED).sent(sent) is sent


def test_modes_of_a_log_and_what_is_more_open_than_one():
    history = ((1, "full"), (10, "metadata"), (20, "redacted"), (30, "full"))
    assert more_open_ranges(history, "full") == []
    assert more_open_ranges(history, "redacted") == [(1, 10), (30, None)]
    assert more_open_ranges(history, "metadata") == [(1, 10), (20, 30), (30, None)]


# -- the log -------------------------------------------------------------------------------------------


def waiting(text=ASKED):
    return PendingEntry(uuid(9), HOME, entry(text), NOW_MS)


@within(30)
async def test_a_stricter_mode_counts_what_is_stored_and_rewrites_what_is_pending(tmp_path, caplog):
    async with open_event_log(tmp_path) as log:
        # As a release wrote it that knew of no modes.
        await log.append(attrs.evolve(log_events.entry(1, 2, 3, text=ASKED), pending=(waiting(),)))
    async with open_event_log(tmp_path) as log:
        assert (await enter_mode(log, "full")).more_open == 0
    for _ in range(2):
        async with open_event_log(tmp_path) as log:
            found = await enter_mode(log, METADATA, "/srv/someone")
            assert found.more_open == 3
            assert isinstance(found.pending[0].entry.text, Sealed)
            assert found.pending == await log.pending()
            # The file beside the log too, while it is open.
            assert not [path for path in tmp_path.iterdir() if b"ask " in path.read_bytes()]
            assert [event.payload["response_text"] for event in await log.read(0)] == [None] * 3
            key = await log.privacy_key()
    assert "more open privacy mode" in caplog.text
    async with open_event_log(tmp_path) as log:
        await log.append(log_events.entry(4))
        assert (await enter_mode(log, REDACTED)).more_open == 3
        assert (await enter_mode(log, "full")).more_open == 0
        assert await log.privacy_key() == key
        assert isinstance((await log.pending())[0].entry.text, Sealed)


@within(30)
async def test_a_text_that_was_pending_is_nowhere_in_the_directory_afterwards(tmp_path):
    async with open_event_log(tmp_path) as log:
        await enter_mode(log, "full")
        await log.append(log_events.Entry(pending=(waiting(f"{ASKED} {'long ' * 5000}"),)))
        await enter_mode(log, REDACTED)
        for path in tmp_path.iterdir():
            assert TOKEN.encode() not in path.read_bytes()


# -- a service over real files -------------------------------------------------------------------------

WORDS = ("zebrafish", "wolverine", "albatross", "porcupine", "salamander", "nightingale")


def private_cursor(directory):
    """One of every kind of text; some of it is in flight, and waits."""
    user = cursor_files.make_user_dir(directory)
    now = int(time.time() * 1000)
    items = [
        cursor_files.ring_item(generationUUID=uuid(1), textDescription=f"{WORDS[0]} {ASKED}"),
        cursor_files.ring_item(generationUUID=uuid(2), unixMs=now, textDescription=f"{WORDS[1]} {ASKED}"),
    ]
    database = cursor_files.make_workspace(user, "a1", items, folder="file:///home/someone/project")
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        columns = "(uuid TEXT, data_version INTEGER, value TEXT, timestamp INTEGER)"
        connection.execute(f'CREATE TABLE "aiService.generations" {columns}')
        connection.execute('CREATE TABLE "aiService.prompts" (uuid TEXT, text TEXT, timestamp INTEGER)')
        connection.execute(
            'INSERT INTO "aiService.prompts" VALUES (?, ?, ?)', ("p", f"{WORDS[2]} {ASKED}", NOW_MS)
        )
    add_row(user, 3)
    with closing(sqlite3.connect(user / "globalStorage/state.vscdb", isolation_level=None)) as connection:
        connection.execute(chats.KV)
        done = chats.Chat(connection, "c1")
        done.add(chats.USER, f"{WORDS[4]} {ASKED}", requestId=uuid(4))
        done.add(chats.ASSISTANT, f"{WORDS[5]} {ASKED}")
        done.write(workspaceIdentifier={"id": "a1"})
        flying = chats.Chat(connection, "c2", at=now, status="generating", lastUpdatedAt=now)
        flying.add(chats.USER, f"{WORDS[4]} {ASKED}", requestId=uuid(5))
        flying.write(workspaceIdentifier={"id": "a1"}, generatingBubbleIds=["x"])
    return user


def add_row(user, number):
    value = {"promptId": "p", "responseText": f"{WORDS[3]} {ASKED}", "requestParameters": {"x": ASKED}}
    statement = 'INSERT INTO "aiService.generations" VALUES (?, 1, ?, ?)'
    database = user / "workspaceStorage/a1/state.vscdb"
    cursor_files.execute(database, (statement, (uuid(number), json.dumps(value), NOW_MS)))


def files(directory):
    return {path.name: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def assert_nowhere(words, directory):
    for name, held in files(directory).items():
        assert [word for word in words if word.encode() in held or quote(word).encode() in held] == [], name


@pytest.mark.parametrize("mode", MODES)
def test_texts_get_into_our_files_as_the_mode_has_them_and_by_no_other_way(tmp_path, unmeasured, mode):
    user, state = private_cursor(tmp_path / "cursor"), tmp_path / "state"
    environ = {"TRIO_CURSOR_PRIVACY__MODE": mode}
    running.run_once(user, state, **environ)
    with closing(sqlite3.connect(state / "events.sqlite3")) as connection:
        assert len(connection.execute("SELECT body FROM pending").fetchall()) == 2
    # Of a turn that waits, and that goes out with it.
    add_row(user, 5)
    if mode == "full":
        # What the other modes must not have is there: this test would find it.
        held = files(state)["events.sqlite3"]
        assert [word for word in (*WORDS, TOKEN) if word.encode() not in held] == []
        # Now a stricter mode comes, while something waits.
        environ = {"TRIO_CURSOR_PRIVACY__MODE": METADATA}
        said = running.run_once(user, state, **environ)
        assert "more open privacy mode" in said
        with closing(sqlite3.connect(state / "events.sqlite3")) as connection:
            waits = [body for (body,) in connection.execute("SELECT body FROM pending")]
        assert [body for body in waits if any(word in body for word in WORDS)] == []
    else:
        assert_nowhere([TOKEN, "someone@example", "aB3dE5gH7j"], state)
        if mode == METADATA:
            assert_nowhere(WORDS, state)
    running.run_once(user, state, **environ, **running.AT_ONCE)
    events = {event.generation_id: event for event in running.logged_events(state)}
    assert events.keys() == {uuid(number) for number in range(1, 6)}
    if mode == REDACTED:
        assert_nowhere([TOKEN, "someone@example", "aB3dE5gH7j"], state)
        assert events[uuid(2)].payload["prompt_text"] == f"{WORDS[1]} {SCRUBBED}"
        assert events[uuid(4)].payload["response_text"] == f"{WORDS[5]} {SCRUBBED}"
        assert events[uuid(5)].payload["response_text"] == f"{WORDS[3]} {SCRUBBED}"
        assert events[uuid(4)].metadata["workspace_path"] == "~/project"
        return
    later = [events[uuid(number)].payload for number in ((2, 5) if mode == "full" else range(1, 6))]
    assert [one["prompt_text"] for one in later] == [None] * len(later)
    assert events[uuid(2)].payload["prompt_length"] == len(f"{WORDS[1]} {ASKED}")
    assert events[uuid(5)].payload["response_length"] == len(f"{WORDS[3]} {ASKED}")
    if mode == METADATA:
        assert_nowhere([*WORDS, TOKEN, "someone@example"], state)
        of_row, of_turn = events[uuid(3)].payload, events[uuid(4)].payload
        assert of_row["response_digest"] == events[uuid(5)].payload["response_digest"]
        assert of_turn["prompt_digest"] == events[uuid(5)].payload["prompt_digest"] != of_row["prompt_digest"]


@within(30)
async def test_an_embedding_program_gets_no_more_than_the_mode_of_now_allows(tmp_path):
    user, state = private_cursor(tmp_path / "cursor"), tmp_path / "state"
    running.run_once(user, state)
    config = Config(
        http=HttpConfig(listen="off"),
        cursor=CursorConfig(dirs=(str(user),)),
        state=StateConfig(dir=str(state)),
        privacy=PrivacyConfig(mode=REDACTED),
        outputs=OutputsConfig(json_lines=JsonLinesConfig(path=str(tmp_path / "lines"))),
    )
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, config)
        async with handle.subscribe() as events:
            found = [await events.receive() for _ in range(3)]
        assert (handle.status().privacy.mode, handle.status().privacy.more_open) == (REDACTED, 3)
        await until(lambda: handle.progress().outputs[0].lag == 0)
        nursery.cancel_scope.cancel()
    written = (tmp_path / "lines").read_text()
    assert written.count("\n") == 3
    for left in (written, json.dumps([event.payload for event in found])):
        assert "refused" in left
        assert not [word for word in (TOKEN, "someone@example", "full_generation_data") if word in left]
