"""`compare`: what is the same, what only one side has and what differs, on a real server and a real log."""

from __future__ import annotations

import json
from contextlib import closing

import attrs
import log_events
import pytest
import redis_server
import scans
from foreign import theirs, told_of
from redis_server import own_server
from running import EVIL, SAFE, on_terminal
from small_logs import NOW, generation, recorded

from trio_cursor.cli import main
from trio_cursor.eventlog import open_for_writing, transaction
from trio_cursor.eventlog.rows import save_pending
from trio_cursor.events import to_json
from trio_cursor.privacy import Privacy
from trio_cursor.wire import to_fields

pytestmark = pytest.mark.usefixtures("home")

STREAM = "telemetry:events"
IDS = [scans.uuid(number) for number in range(20)]


def words(server, state, *more):
    return ["compare", "--redis-url", server.url, "--state-dir", str(state), *more]


def compared(capsys, server, state, *more, code):
    """The differences, and the summary."""
    assert main(words(server, state, "--json", *more)) == code
    out, err = capsys.readouterr()
    assert err == ""
    *found, summary = map(json.loads, out.splitlines())
    assert summary["kind"] == "summary"
    return found, summary


def test_the_same_on_both_sides_is_the_same_and_what_we_have_sent_is_not_theirs(capsys, server, state):
    events = recorded(state, *(generation(id_, model="gpt", tokens_used=5) for id_ in IDS))
    for event in events:
        server.add(STREAM, to_fields(event))
        server.add(STREAM, theirs(event))
        server.add(STREAM, {"event_type": "session_start"})
    found, summary = compared(capsys, server, state, code=0)
    assert found == []
    assert (summary["ours"], summary["theirs"], summary["same"]) == (20, 20, 20)
    assert summary["producers"] == {"hook": 20}


def test_what_only_one_has_and_what_differs_is_told(capsys, server, state):
    events = recorded(state, *(generation(id_, model="gpt", response_text="Yes, it is.") for id_ in IDS[:3]))
    ids = [server.add(STREAM, theirs(events[0], model="opus", response_text="Yes, it was.", tokens_used=7))]
    ids += [server.add(STREAM, theirs(events[1])), server.add(STREAM, told_of(IDS[9]))]
    found, summary = compared(capsys, server, state, code=3)
    differs, only_theirs, only_ours = found
    assert (differs["kind"], differs["generation_id"], differs["producer"]) == ("differs", IDS[0], "hook")
    assert differs["fields"] == {
        "model": {"ours": "gpt", "theirs": "opus"},
        "tokens_used": {"ours": None, "theirs": 7},
        "response_text": {"ours": "Yes, it is.", "theirs": "Yes, it was."},
    }
    assert (only_theirs["kind"], only_theirs["generation_id"]) == ("only_theirs", IDS[9])
    assert only_theirs["timestamp"] == int(ids[2].partition("-")[0])
    assert (only_ours["kind"], only_ours["event"]["payload"]["generation_id"]) == ("only_ours", IDS[2])
    counts = {name: summary[name] for name in ("both", "same", "differing", "only_ours", "only_theirs")}
    assert counts == {"both": 2, "same": 1, "differing": 1, "only_ours": 1, "only_theirs": 1}
    assert summary["fields"] == {"model": 1, "tokens_used": 1, "response_text": 1}


@pytest.mark.parametrize(
    "payload",
    [
        {"tokens_used": 0, "prompt_tokens": 0, "response_text": "", "prompt_timestamp": ""},
        {"model": "unknown", "request_parameters": {}},
        {"generation_timestamp": str(NOW - 60_000)},
        {"generation_timestamp": (NOW - 60_000) // 1000},
        {"generation_timestamp": str((NOW - 60_000) / 1000)},
        {"data_version": 9, "generation_type": "x", "status": None, "unheard_of": 1},
        {"prompt_text": "Why", "truncated": ["prompt_text"]},
    ],
)
def test_another_way_to_write_the_same_is_no_difference(capsys, server, state, payload):
    [event] = recorded(state, generation(IDS[0]))
    server.add(STREAM, theirs(event, **payload))
    assert compared(capsys, server, state, code=0)[1]["same"] == 1


def test_what_we_have_cut_is_compared_as_far_as_it_goes(capsys, server, state):
    cut = [
        generation(id_, response_text="Yes, it", truncated=("response_text",), request_parameters={"a": 1})
        for id_ in IDS[:2]
    ]
    events = recorded(state, *cut)
    server.add(STREAM, theirs(events[0], response_text="Yes, it is."))
    server.add(STREAM, theirs(events[1], response_text="Yes. It is."))
    [differs], summary = compared(capsys, server, state, code=3)
    assert (differs["generation_id"], summary["same"]) == (IDS[1], 1)


@pytest.mark.parametrize("mode", ["redacted", "metadata"])
def test_texts_that_we_may_not_keep_are_not_compared_and_the_rest_is(capsys, server, state, mode):
    asked = {"prompt_text": "Ask someone@example.org", "request_parameters": {"to": "someone@example.org"}}
    full = [
        generation(id_, response_text="of /home/someone", model=model, tokens_used=5, **asked)
        for id_, model in zip(IDS[:3], ["gpt", "my own, at home", "gpt"], strict=True)
    ]
    events = recorded(state, *full)
    veiled = Privacy(mode, b"k" * 32)
    with closing(open_for_writing(state)) as connection, transaction(connection):
        for event in events:
            body = to_json(veiled.sent(event))
            connection.execute("UPDATE events SET body = ? WHERE seq = ?", (body, event.sequence))
    for event, tokens in zip(events, [5, 5, 6], strict=True):
        server.add(STREAM, theirs(event, tokens_used=tokens))
    [differs], summary = compared(capsys, server, state, code=3)
    assert (differs["generation_id"], list(differs["fields"])) == (IDS[2], ["tokens_used"])
    assert (summary["same"], summary["texts_not_compared"]) == (2, 3)
    _, shown = on_terminal(*words(server, state, "--no-color"))
    assert "3 of both without texts" in shown


@pytest.mark.parametrize(
    "payload",
    [{"prompt_text": "Why"}, {"model": "x"}, {"tokens_used": True}, {"generation_timestamp": NOW - 58_000}],
)
def test_another_value_is_one(capsys, server, state, payload):
    [event] = recorded(state, generation(IDS[0]))
    server.add(STREAM, theirs(event, **payload))
    [differs], _ = compared(capsys, server, state, code=3)
    assert list(differs["fields"]) == list(payload)


def test_the_window_is_that_of_either_time(capsys, server, state):
    hour = 3_600_000
    events = recorded(
        state,
        generation(IDS[0], timestamp=NOW - 5 * hour),
        generation(IDS[1], timestamp=NOW - 2 * hour - 600_000),
        generation(IDS[2], timestamp=NOW - hour),
    )
    old, before, inside = events
    server.call("XADD", STREAM, f"{NOW - 5 * hour}-0", *sum(told_of(IDS[10]).items(), ()))
    server.add(STREAM, theirs(old, model="x"))
    server.add(STREAM, {**theirs(before), "timestamp": str(NOW - 2 * hour + 600_000)})
    server.add(STREAM, theirs(inside))
    found, summary = compared(capsys, server, state, "--since", "2h", code=0)
    assert (found, summary["both"], summary["same"]) == ([], 2, 2)


def test_what_is_in_flight_came_twice_is_no_event_or_may_have_been_trimmed_is_no_difference(
    capsys, server, state
):
    [old, event] = recorded(
        state, generation(IDS[0], timestamp=NOW - 90_000), generation(IDS[1], timestamp=NOW - 60_000)
    )
    with closing(open_for_writing(state)) as connection, transaction(connection):
        turns = [
            attrs.evolve(item, turn=attrs.evolve(item.turn, generation_id=id_))
            for item, id_ in ((log_events.pending_turn("c"), IDS[6]), (log_events.pending_turn("d"), None))
        ]
        save_pending(connection, [log_events.pending(5), *turns], [])
    server.add(STREAM, theirs(old))
    server.add(STREAM, theirs(event))
    server.add(STREAM, theirs(event))
    server.add(STREAM, told_of(scans.uuid(5)))
    server.add(STREAM, told_of(IDS[6]))
    server.add(STREAM, {"event_type": "database_trace", "payload": "{"})
    server.call("XTRIM", STREAM, "MAXLEN", "=", 5)
    # What we captured before the oldest entry that is left.
    with closing(open_for_writing(state)) as connection, transaction(connection):
        connection.execute("UPDATE events SET body = replace(body, ?, ?)", (str(NOW), str(NOW - 80_000)))
    found, summary = compared(capsys, server, state, code=0)
    names = ("in_flight", "repeated", "not_judged", "same")
    assert [summary[name] for name in names] == [2, 1, 1, 1]
    assert summary["unusable"] == {"payload is not JSON": 1}
    assert found == []


def test_on_a_terminal_a_text_is_its_length_and_a_few_words_and_shows_only(server, state):
    text = "The same for a long while, and then " + "x" * 40
    [event, _] = recorded(state, generation(IDS[0], response_text=text), generation(IDS[1]))
    other = {"tokens_used": 7, "model": "opus"}
    server.add(STREAM, theirs(event, response_text=text[:36] + EVIL + "y" * 40, source="ts" + EVIL, **other))
    server.add(STREAM, {"event_type": "database_trace", "payload": "{"})
    server.add(STREAM, told_of(IDS[5]))
    code, shown = on_terminal(*words(server, state, "--no-color"))
    assert code == 3
    assert EVIL not in shown
    assert SAFE in shown
    assert f"ours {len(text)} characters '…nd then x" in shown.replace("\n", " ").replace("    ", "")
    assert "tokens_used: ours not known, theirs 7" in shown
    assert "model: ours not known, theirs 'opus'" in shown
    assert "only ours 1, only theirs 1" in shown
    assert "1 entries that are no events: payload is not JSON (1)" in shown
    assert f"ts{SAFE} 1" in shown
    assert text not in shown


@pytest.mark.parametrize("version", redis_server.versions())
def test_many_large_entries_in_pages_and_shards(capsys, version, state, monkeypatch):
    monkeypatch.setenv("TRIO_CURSOR_REDIS__SHARDS", "2")
    events = recorded(
        state, *(generation(scans.uuid(number), response_text="x" * 30_000) for number in range(300))
    )
    with own_server(version=version) as server:
        pipe = server.client.pipeline(transaction=False)
        for number, event in enumerate(events):
            pipe.xadd(f"{{{STREAM}:{number % 2}}}", theirs(event))
        pipe.execute()
        server.call(
            "XDEL",
            f"{{{STREAM}:1}}",
            *[id_ for id_, _ in server.client.xrevrange(f"{{{STREAM}:1}}", count=1)],
        )
        _, summary = compared(capsys, server, state, code=0)
    assert (summary["same"], summary["not_judged"]) == (299, 1)


def failed(capsys, *line, code=1):
    assert main(list(line)) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_what_cannot_be_compared_is_said_in_one_line(capsys, server, state):
    assert "no event log in" in failed(capsys, *words(server, state))
    recorded(state, generation(IDS[0]))
    assert f"has no stream {STREAM}" in failed(capsys, *words(server, state))
    assert "has no stream other" in failed(capsys, *words(server, state, "--stream", "other"))
    server.call("SET", STREAM, "x")
    assert "WRONGTYPE: the key holds no stream" in failed(capsys, *words(server, state))
    url = f"redis://127.0.0.1:{redis_server.free_port()}"
    line = failed(capsys, "compare", "--redis-url", url, "--state-dir", str(state))
    assert line.startswith(f"trio_cursor: could not compare: {url}: ConnectionRefusedError")
    assert "add --redis-url URL" in failed(capsys, "compare", "--state-dir", str(state), code=78)


def test_who_may_not_read_is_told(capsys, state):
    recorded(state, generation(IDS[0]))
    with own_server() as server:
        server.call("ACL", "SETUSER", "u", "on", ">p", "~*", "+@all", "-xread", "-xinfo")
        url = f"redis://u:p@127.0.0.1:{server.port}"
        assert "NOPERM" in failed(capsys, "compare", "--redis-url", url, "--state-dir", str(state))
