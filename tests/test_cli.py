"""The commands that look and go: what they print, where, and how they end."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import attrs
import cursor_files
import pytest
from running import on_terminal, start
from scans import session as a_session

from trio_cursor.cli import ending, main
from trio_cursor.errors import AlreadyRunningError, ConfigError, StateError
from trio_cursor.eventlog import FILE_NAME as LOG_NAME
from trio_cursor.eventlog import append_events, open_for_writing, transaction
from trio_cursor.events import build_event, build_gap
from trio_cursor.records import Gap, Generation, Workspace
from trio_cursor.sqlite_library import sqlite3

pytestmark = pytest.mark.usefixtures("home")

NOW = int(time.time() * 1000)
CAPTURED = {"captured_at": NOW, "host": "h"}
HOUR = 3_600_000
SITE = Workspace(
    "/c/workspaceStorage/a1/state.vscdb", "/c", "a1", path="/home/dev/site", hash="0123456789abcdef"
)
SHOP = Workspace(
    "/c/workspaceStorage/b2/state.vscdb", "/c", "b2", path="/home/dev/shop", hash="fedcba9876543210"
)


def generation(number, *, workspace=SITE, hours_ago=1.0, prompt="Why?"):
    return Generation(
        key=f"key{number}",
        generation_id=f"id{number}",
        workspace=workspace,
        schema="ring",
        status="completed",
        timestamp=NOW - int(hours_ago * HOUR),
        prompt_text=prompt,
    )


def write_log(directory, generations, gaps=()):
    connection = open_for_writing(directory)
    events = [
        (
            (item.key,),
            build_event(
                item, session=a_session(f"scan_{item.workspace.id}"), **CAPTURED, max_text_bytes=9**9
            ),
        )
        for item in generations
    ]
    events += [((), build_gap(SITE, gap, session=a_session("scan_a1"), **CAPTURED)) for gap in gaps]
    with transaction(connection):
        append_events(connection, events)
    connection.close()


def ids(capsys, *words):
    assert main(list(words)) == 0
    return [json.loads(line)["payload"]["generation_id"] for line in capsys.readouterr().out.splitlines()]


# -- events --------------------------------------------------------------------------------------------


def test_events_are_json_lines_by_time_where_no_terminal_is(capsys, state):
    write_log(state, [generation(1, hours_ago=1), generation(2, hours_ago=3), generation(3, hours_ago=2)])
    assert ids(capsys, "events", "--state-dir", str(state)) == ["id2", "id3", "id1"]


def test_an_event_is_printed_whole_with_its_sequence(capsys, state):
    write_log(state, [generation(1)])
    main(["events", "--state-dir", str(state)])
    found = json.loads(capsys.readouterr().out)
    assert found["sequence"] == 1
    assert found["event_type"] == "database_trace"
    assert found["metadata"]["workspace_path"] == "/home/dev/site"
    assert found["payload"]["prompt_text"] == "Why?"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["-n", "1"], ["id3"]),
        (["-n", "9"], ["id1", "id2", "id3"]),
        (["--since", "2h"], ["id3"]),
        (["--since", "all"], ["id1", "id2", "id3"]),
        (["--workspace", "shop"], ["id2"]),
        (["--workspace", "b2"], ["id2"]),
        (["--workspace", "fedcba9876543210"], ["id2"]),
        (["--session", "scan_a1"], ["id1", "id3"]),
        (["--session", "scan_a1", "-n", "1"], ["id3"]),
    ],
)
def test_events_can_be_chosen(capsys, state, options, expected):
    write_log(
        state,
        [generation(1, hours_ago=5), generation(2, hours_ago=4, workspace=SHOP), generation(3, hours_ago=1)],
    )
    assert ids(capsys, "events", "--state-dir", str(state), *options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--model", "CLAUDE"], ["id1", "id3"]),
        (["--type", "chat"], ["id1"]),
        (["--status", "error"], ["id3"]),
        (["--model", "claude", "--status", "completed"], ["id1"]),
        (["--model", "claude", "-n", "1"], ["id3"]),
        (["--type", "cha"], []),
    ],
)
def test_events_can_be_chosen_by_what_they_are(capsys, state, options, expected):
    kinds = [
        {"model": "claude-4.5-sonnet", "generation_type": "chat"},
        {"model": None},
        {"model": "claude-4.5-opus", "generation_type": "composer", "status": "error"},
    ]
    write_log(state, [attrs.evolve(generation(at), **more) for at, more in enumerate(kinds, 1)])
    assert ids(capsys, "events", "--state-dir", str(state), *options) == expected


def test_tail_chooses_in_the_same_way(state):
    kinds = [{"model": "gpt"}, {"model": "claude"}, {"model": "gpt", "status": "error"}]
    write_log(state, [attrs.evolve(generation(at), **more) for at, more in enumerate(kinds, 1)])
    with start("tail", "--state-dir", state, "--model", "gpt", "-n", "1") as process:
        first = json.loads(process.stdout.readline())
        write_log(state, [generation(4), attrs.evolve(generation(5), model="gpt-5")])
        second = json.loads(process.stdout.readline())
        process.terminate()
        assert process.wait(60) == 0
    assert [item["payload"]["generation_id"] for item in (first, second)] == ["id3", "id5"]


def test_a_log_of_any_size_is_read_whole_and_in_order(capsys, state):
    """In slices: also where more events share a time than a slice holds."""
    write_log(
        state,
        [generation(number, hours_ago=5 if number < 1200 else 4 - number / 10_000) for number in range(1700)],
    )
    assert ids(capsys, "events", "--state-dir", str(state)) == [f"id{number}" for number in range(1700)]


def test_gaps_are_shown_instead_of_events(capsys, state):
    write_log(state, [generation(1)], [Gap("ring", "100 entries, none known", NOW - HOUR, NOW)])
    main(["events", "--gaps", "--state-dir", str(state)])
    found = json.loads(capsys.readouterr().out)
    assert (found["event_type"], found["payload"]["detail"]) == ("database_gap", "100 entries, none known")
    assert "100 entries, none known" in on_terminal("events", "--gaps", "--state-dir", str(state))[1]


def test_on_a_terminal_events_are_lines_that_fit_and_do_no_harm(state, monkeypatch):
    monkeypatch.setenv("COLUMNS", "90")
    write_log(state, [generation(1, prompt="\x1b[2J\u202e" + "語" * 9999)])
    code, text = on_terminal("events", "--no-color", "--state-dir", str(state))
    assert code == 0
    assert "\\u001b[2J\\u202e語語" in text
    assert "\x1b" not in text
    assert text.count("\n") == 1


def test_on_a_terminal_json_can_be_asked_for(state):
    write_log(state, [generation(1)])
    assert json.loads(on_terminal("events", "--json", "--state-dir", str(state))[1])["sequence"] == 1


def test_colours_stand_on_terminals_only_where_they_are_wanted(state, monkeypatch):
    write_log(state, [generation(1)])
    assert "\x1b[36m" in on_terminal("events", "--state-dir", str(state))[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in on_terminal("events", "--state-dir", str(state))[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "no events in {}"),
        (["--gaps"], "no gap records in {}"),
        (["--workspace", "nowhere"], "no events that match in {}"),
    ],
)
def test_an_empty_log_prints_nothing_and_says_so(capsys, state, options, said):
    write_log(state, [])
    assert main(["events", "--state-dir", str(state), *options]) == 0
    assert capsys.readouterr() == ("", said.format(state) + "\n")


def test_a_missing_log_prints_nothing_and_says_so(capsys, tmp_path):
    assert main(["events", "--state-dir", str(tmp_path / "nowhere")]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"no events in {tmp_path}/nowhere; there is no event log yet")


@pytest.mark.parametrize("damage", ["not a database" * 99, None])
def test_a_log_that_is_none_fails_in_one_line(capsys, state, damage):
    if damage is None:
        sqlite3.connect(state / LOG_NAME).execute("PRAGMA user_version=1").connection.close()
    else:
        (state / LOG_NAME).write_text(damage)
    assert main(["events", "--state-dir", str(state)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "--state-dir" in err


# -- version, config -----------------------------------------------------------------------------------


def test_version_names_everything_that_matters(capsys):
    assert main(["version", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["trio_cursor", "python", "platform", "trio", "redis", "sqlite"]
    assert found["sqlite"].startswith(sqlite3.sqlite_version)
    assert main(["version"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(found)


def test_config_takes_the_common_options(capsys, tmp_path):
    assert main(["--state-dir", str(tmp_path / "s"), "config", "show", "--json"]) == 0
    rows = map(json.loads, capsys.readouterr().out.splitlines())
    assert {"key": "state.dir", "value": str(tmp_path / "s"), "origin": "option"} in rows


# -- How commands end ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ["run", "--once"],
        ["run", "--demo"],
        ["events"],
        ["tail"],
        ["workspaces"],
        ["status"],
        ["config", "check"],
    ],
)
def test_every_mistake_in_the_configuration_is_told_at_once(capsys, tmp_path, command):
    file = tmp_path / "c.toml"
    file.write_text('[redis]\nulr = "x"\n[cursor_database_monitor]\npoll_interval_seconds = "7"\n')
    assert main([*command, "--config", str(file)]) == 78
    out, err = capsys.readouterr()
    assert out == ""
    first, second = err.splitlines()
    assert "redis.ulr; did you mean redis.url?" in first
    assert "poll_interval_seconds must be a number" in second


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError(("one", "two")), 78, "trio_cursor: one\ntrio_cursor: two\n"),
        (AlreadyRunningError("another"), 75, "trio_cursor: another\n"),
        (StateError("the log \x1b[2J is bad"), 1, "trio_cursor: the log \\u001b[2J is bad\n"),
        (OSError(28, "No space left on device"), 1, "trio_cursor: No space left on device\n"),
        (OSError(13, "Permission denied", "/x"), 1, "trio_cursor: Permission denied: /x\n"),
        (BrokenPipeError(32, "Broken pipe"), 0, ""),
        (ExceptionGroup("", [BrokenPipeError(32, "Broken pipe")]), 0, ""),
        (KeyboardInterrupt(), 130, ""),
        (BaseExceptionGroup("", [ValueError("x"), KeyboardInterrupt()]), 130, ""),
        (ExceptionGroup("", [ExceptionGroup("", [StateError("deep")])]), 1, "trio_cursor: deep\n"),
        (
            KeyError("x"),
            1,
            "trio_cursor: a mistake of ours, please report it with what -v shows: KeyError: 'x'\n",
        ),
    ],
)
def test_however_deep_an_error_lies_it_is_one_line_and_the_right_code(capsys, error, code, said):
    assert ending._code_for(error, with_trace=False) == code
    assert capsys.readouterr() == ("", said)


def test_the_trace_of_an_error_comes_with_verbose_only(capsys, tmp_path):
    words = ["events", "--state-dir", str(tmp_path), "-c", str(tmp_path / "missing.toml")]
    assert main(words) == 78
    assert "Traceback" not in capsys.readouterr().err
    assert main([*words, "-v"]) == 78
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Traceback")
    assert "ExceptionGroup" not in err
    assert err.splitlines()[-1].startswith("trio_cursor: file ")


def test_a_reader_that_has_enough_ends_a_command_without_a_word(state):
    write_log(state, [generation(number, prompt="x" * 900) for number in range(600)])
    with start("events", "--state-dir", state, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert (process.wait(60), process.stderr.read()) == (0, "")


@pytest.mark.parametrize("command", ["version", "workspaces", "config show", "events"])
def test_a_reader_that_was_never_there_is_no_trouble(state, user_dir, unmeasured, command):
    cursor_files.make_workspace(user_dir, "a1", [])
    write_log(state, [generation(1)])
    common = ["--state-dir", state, "--cursor-dir", user_dir]
    reads, writes = os.pipe()
    os.close(reads)
    with start(*command.split(), *common, stdout=writes) as process:
        os.close(writes)
        assert (process.wait(60), process.stderr.read()) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_stdout_fails_in_one_line(state):
    write_log(state, [generation(1)])
    with Path("/dev/full").open("w") as full, start("events", "--state-dir", state, stdout=full) as process:
        assert (process.wait(60), process.stderr.read()) == (1, "trio_cursor: No space left on device\n")


@pytest.mark.skipif(os.name != "posix", reason="closed descriptors are a matter of POSIX shells")
def test_streams_that_were_closed_by_the_caller_are_no_trouble(state):
    write_log(state, [generation(1)])
    command = [sys.executable, "-m", "trio_cursor", "events", "--state-dir", str(state)]
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" <&- >&- 2>&-', "sh", *command], check=False, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_what_the_terminal_cannot_show_is_written_as_its_code(state):
    write_log(state, [generation(1, prompt="größer 語")])
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    program = (
        "import sys; from trio_cursor.cli import main; sys.stdout.isatty = lambda: True; main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "events", "--no-color", "--state-dir", str(state)],
        env=environ, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert rb"gr\xf6\xdfer \u8a9e" in done.stdout
    assert done.stderr == b""
