"""`show`: one generation in full, for a person and for a program, and what is said if there is none."""

import json
import re
from contextlib import closing
from uuid import NAMESPACE_URL, uuid5

import pytest
from rich.cells import cell_len
from running import on_terminal
from small_logs import NOW, generation, write_log

from trio_cursor.cli import main
from trio_cursor.cli.output import Style, moment
from trio_cursor.cli.show_command import event_in_words
from trio_cursor.eventlog import open_for_writing, transaction
from trio_cursor.records import Event, Gap, Workspace

pytestmark = pytest.mark.usefixtures("home")

PLAIN = Style(is_on=False)
SHOP = Workspace("/c/b2/state.vscdb", "/c", "b2", path="/home/dev/shop", hash="fedcba9876543210")
FIRST = "8D0C1f2e-0000-4000-8000-000000000001"
SECOND = "8D0C1f2e-0000-4000-8000-000000000002"


def shown_as_json(capsys, state, id_):
    assert main(["show", id_, "--state-dir", str(state)]) == 0
    out, err = capsys.readouterr()
    assert (out.count("\n"), err) == (1, "")
    return json.loads(out)


# -- Which one -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("id_", [SECOND, SECOND.lower(), SECOND.upper(), f" {SECOND}\n", "#2", "other-"])
def test_a_generation_is_found_by_its_id_in_any_case_its_sequence_and_its_beginning(capsys, state, id_):
    write_log(state, generation(FIRST), generation(SECOND), generation("other-3"))
    expected = "other-3" if id_ == "other-" else SECOND
    assert shown_as_json(capsys, state, id_)["payload"]["generation_id"] == expected


def test_an_event_is_found_by_its_own_id_and_printed_as_by_events(capsys, state):
    write_log(state, generation(FIRST), generation(SECOND))
    main(["events", "-n", "1", "--state-dir", str(state)])
    expected = json.loads(capsys.readouterr().out)
    assert shown_as_json(capsys, state, expected["event_id"].upper()) == expected
    assert expected["sequence"] == 2


def test_json_can_be_asked_for_on_a_terminal(state):
    write_log(state, generation(FIRST))
    code, text = on_terminal("show", FIRST, "--json", "--state-dir", str(state))
    assert (code, json.loads(text)["payload"]["generation_id"]) == (0, FIRST)


@pytest.mark.parametrize(
    ("id_", "said"),
    [
        ("nothing-like-it", "must be that of one alone"),
        ("8d0c1f2e", "must be that of one alone"),  # the beginning of two
        ("8d0c", "takes at least 6 characters"),
        ("", "takes at least 6 characters"),
        ("#9", "must be that of one alone"),
        ("#" + "9" * 30, "must be that of one alone"),
        ("x" * 100_000, "…'"),
        ("\x1b[2J\ud800'\n", "\\u001b[2J\\ud800"),
        ("%%%%%%", "must be that of one alone"),
    ],
)
def test_what_is_not_there_fails_in_one_line_with_a_hint(capsys, state, id_, said):
    write_log(state, generation(FIRST), generation(SECOND))
    assert main(["show", id_, "--state-dir", str(state)]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err
    assert str(state) in err
    assert len(err) < 600


def test_without_a_log_that_is_the_hint(capsys, tmp_path):
    assert main(["show", FIRST, "--state-dir", str(tmp_path / "nowhere")]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "there is no event log yet" in err


def test_of_several_with_the_same_id_the_candidates_are_named(capsys, state):
    write_log(state, generation("id\x1b7", key="a"), generation("id\x1b7", key="b", workspace=SHOP))
    assert main(["show", "id\x1b7", "--state-dir", str(state)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "\x1b" not in err
    told, *candidates = err.splitlines()
    assert "name one by its #sequence" in told
    assert [re.findall(r"#\d|site|shop", line) for line in candidates] == [["#1", "site"], ["#2", "shop"]]


def test_a_row_that_is_no_event_is_named_and_not_found(capsys, state):
    write_log(state, generation(FIRST))
    with closing(open_for_writing(state)) as connection, transaction(connection):
        connection.execute("UPDATE events SET body = '[]'")
    assert main(["show", FIRST, "--state-dir", str(state)]) == 1
    assert capsys.readouterr().err.startswith("passed over: #1 of the event log cannot be understood\n")


def test_a_log_that_is_damaged_fails_in_one_line(capsys, state):
    write_log(state, generation(FIRST))
    with closing(open_for_writing(state)) as connection:
        connection.execute("DROP TABLE events")
    assert main(["show", FIRST, "--state-dir", str(state)]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "cannot be read (no such table: events)" in err


# -- For a person --------------------------------------------------------------------------------------


def test_on_a_terminal_everything_that_is_known_is_there_and_texts_stay_as_they_are(state, monkeypatch):
    monkeypatch.setenv("COLUMNS", "90")
    known = {
        "generation_type": "composer",
        "conversation_id": "c0ffee",
        "model": "sonnet",
        "tokens_used": 1234,
        "prompt_tokens": 1000,
        "completion_tokens": 234,
        "tokens_source": "database",
        "prompt_text": "one\n\n    two " + "long " * 40,
        "response_text": "```\nif a:\n\tb\n```",
        "completed_timestamp": NOW - 50_000,
        "duration_ms": 9100,
        "truncated": ("response_text",),
    }
    write_log(state, generation(FIRST, **known))
    event_id = uuid5(NAMESPACE_URL, f"cursor:generation:{FIRST.lower()}")
    code, text = on_terminal("show", FIRST, "--no-color", "--state-dir", str(state))
    assert code == 0
    assert text == "\n".join(
        [
            f"composer in site, {moment(NOW - 60_000)}",
            f"  id            {FIRST}",
            "  status        completed",
            "  model         sonnet",
            "  type          composer",
            f"  time          {moment(NOW - 60_000)} (from ring)",
            f"  finished      {moment(NOW - 50_000)}",
            "  duration      9.1 s",
            "  tokens        1,234 (1,000 prompt, 234 completion, from database)",
            "  workspace     /home/dev/site",
            "  hash          0123456789abcdef",
            "  conversation  c0ffee",
            "  session       scan_a1",
            "  schema        ring+conversations",
            f"  captured at   {moment(NOW)}",
            f"  event id      {event_id}",
            "  sequence      #1",
            "  cut           response_text",
            "",
            "prompt",
            "one",
            "",
            "    two " + "long " * 40,
            "",
            "answer, cut",
            "```",
            "if a:",
            "\tb",
            "```",
            "",
        ]
    )


def event(**payload):
    metadata = {"workspace_path": "/home/dev/site", "workspace_id": "id", "timestamp_source": "ring"}
    return Event(1, "e", NOW, "s", metadata, {"generation_id": "g", **payload})


def field(text, name):
    """The value of a field."""
    return re.search(rf"^  {name} +(.*)$", text, re.MULTILINE)[1]


def test_what_is_not_known_is_not_given_and_never_made_up():
    text = event_in_words(event(model="unknown", status="unknown"), PLAIN, 80)
    for name in ("model", "type", "duration", "tokens", "hash", "conversation", "schema", "captured at"):
        assert field(text, name) == "not given"
    assert field(text, "status") == "unknown"
    assert "finished" not in text
    assert text.startswith("generation in site, ")
    assert text.endswith("sequence      #1")


@pytest.mark.parametrize(
    ("tokens", "shown"),
    [
        ({"tokens_used": 0}, "0"),
        ({"tokens_used": 7, "tokens_source": "hook"}, "7 (from hook)"),
        ({"prompt_tokens": 5}, "not given (5 prompt)"),
        ({"tokens_used": 9, "cached_tokens": 4}, "9 (4 cached)"),
        ({"tokens_used": "many", "prompt_tokens": -1, "completion_tokens": True}, "not given"),
    ],
)
def test_tokens_are_told_as_far_as_they_are_known(tokens, shown):
    assert field(event_in_words(event(**tokens), PLAIN, 80), "tokens") == shown


@pytest.mark.parametrize(
    ("status", "code"),
    [("completed", 32), ("aborted", 33), ("incomplete", 33), ("error", 31), ("unknown", 2), ("odd", 2)],
)
def test_each_status_has_its_colour(status, code):
    assert f"\x1b[{code}m{status}\x1b[0m" in event_in_words(event(status=status), Style(is_on=True), 80)


def test_tools_are_one_line_each_before_the_texts():
    calls = [{"name": "read_file", "status": "completed"}, {"name": "edit", "status": "error"}]
    text = event_in_words(event(tool_calls=calls, prompt_text="p"), PLAIN, 80)
    assert text.endswith("\n\ntools\nread_file completed\nedit error\n\nprompt\np")


def test_a_remote_folder_is_told_with_its_uri_and_lines_if_they_are_counted():
    remote = event(lines_added=3, lines_removed=None)
    remote.metadata["workspace_uri"] = "vscode-remote://wsl%2BUbuntu/home/dev/site"
    text = event_in_words(remote, PLAIN, 80)
    assert "/home/dev/site\n                vscode-remote://wsl%2BUbuntu/home/dev/site\n" in text
    assert field(text, "lines") == "+3 -0"


def test_the_time_of_capture_is_called_so():
    captured = event()
    captured.metadata["timestamp_source"] = "capture"
    assert field(event_in_words(captured, PLAIN, 80), "time").endswith(" (when it was captured)")


def test_a_gap_record_tells_what_is_missing(state):
    write_log(state, gaps=[Gap("ring", "100 entries, none known", None, NOW)])
    code, text = on_terminal("show", "#1", "--no-color", "--state-dir", str(state))
    assert code == 0
    assert text.startswith("gap in site, ")
    assert field(text, "missed") == "100 entries, none known"
    assert (field(text, "after"), field(text, "before")) == ("not given", moment(NOW))


EVIL = "\x1b[2J\u202e\ud800\r\x07" + "日本 " * 60


@pytest.mark.parametrize("width", [1, 30, 80, 200])
def test_nothing_in_it_can_harm_and_fields_fit_the_terminal(width):
    names = ["generation_id", "status", "model", "generation_type", "conversation_id", "tokens_source"]
    payload = dict.fromkeys([*names, "prompt_text", "response_text"], EVIL)
    hostile = Event(
        10**18,
        EVIL,
        10**20,
        EVIL,
        dict.fromkeys(
            ["workspace_path", "workspace_uri", "workspace_hash", "schema", "timestamp_source"], EVIL
        ),
        {**payload, "tokens_used": 1, "truncated": [EVIL], "tool_calls": [{"name": EVIL, "status": EVIL}]},
    )
    text = event_in_words(hostile, PLAIN, width)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e\ud800]", text)
    fields = text.partition("\n\n")[0].splitlines()
    assert max(map(cell_len, fields)) <= max(width, 26)


@pytest.mark.parametrize("value", [None, 7, True, [], {}, [{}], 1.5, ""])
def test_no_value_of_another_type_is_too_much(value):
    names = [
        *("generation_id", "status", "model", "generation_type", "conversation_id", "tokens_source"),
        *("tokens_used", "duration_ms", "completed_timestamp", "lines_added", "truncated", "tool_calls"),
        *("prompt_text", "response_text", "prompt_tokens"),
    ]
    places = [
        "workspace_path",
        "workspace_uri",
        "workspace_hash",
        "schema",
        "timestamp_source",
        "captured_at",
    ]
    odd = Event(1, "e", NOW, "s", dict.fromkeys(places, value), dict.fromkeys(names, value))
    assert "sequence      #1" in event_in_words(odd, PLAIN, 80)
