"""The commands that look and go: what they print, where, and how they end."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import attrs
import cursor_files
import killed_copies
import pytest
from running import move_home, on_terminal, start
from scans import session as a_session

from trio_cursor.cli import ending, main, workspaces_command
from trio_cursor.cursor import listing
from trio_cursor.cursor.private_copies import place_for_copies
from trio_cursor.errors import AlreadyRunningError, ConfigError, NotBuiltYetError, StateError
from trio_cursor.eventlog import FILE_NAME as LOG_NAME
from trio_cursor.eventlog import append_events, open_for_writing, transaction
from trio_cursor.events import build_event, build_gap
from trio_cursor.records import Gap, Generation, Workspace
from trio_cursor.sqlite_library import sqlite3
from trio_cursor.state_dir import held
from trio_cursor.status import FILE_NAME as STATUS_NAME
from trio_cursor.status import OutputStatus, WorkspaceStatus, disabled, write_status

NOW = int(time.time() * 1000)
CAPTURED = {"captured_at": NOW, "host": "h"}
HOUR = 3_600_000
SITE = Workspace(
    "/c/workspaceStorage/a1/state.vscdb", "/c", "a1", path="/home/ada/site", hash="0123456789abcdef"
)
SHOP = Workspace(
    "/c/workspaceStorage/b2/state.vscdb", "/c", "b2", path="/home/ada/shop", hash="fedcba9876543210"
)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of its own, so that nothing of this machine is read or written."""
    return move_home(tmp_path / "home", monkeypatch)


@pytest.fixture
def state(tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path / "state"


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
    assert found["metadata"]["workspace_path"] == "/home/ada/site"
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


# -- status --------------------------------------------------------------------------------------------


def status_of(state, **changes):
    return attrs.evolve(
        disabled(),
        state="running",
        started_at=NOW,
        generations=2,
        last_sequence=7,
        searched=("/c",),
        state_dir=str(state),
        **changes,
    )


def workspace_status(**changes):
    known = WorkspaceStatus(
        database="/c/state.vscdb",
        workspace_id="a1",
        workspace_hash=None,
        workspace_path="/home/ada/\x1b[2Jsite",
        status="synced",
        schema="ring",
        sessions=(),
        last_check=NOW,
        last_activity=None,
        generations=2,
        position={"ring": NOW},
        entries={},
        skipped={},
        errors=0,
        last_error=None,
        note=None,
        journal_mode="wal",
        size=1,
    )
    return attrs.evolve(known, **changes)


def test_no_service_is_exit_4(capsys, state, tmp_path):
    for directory in (state, tmp_path / "nowhere"):
        assert main(["status", "--state-dir", str(directory)]) == 4
        assert capsys.readouterr() == ("", f"no service runs on {directory}; start one with `run`\n")


def test_what_a_service_left_behind_when_it_was_killed_is_no_service(capsys, state):
    with held(state):
        write_status(state, status_of(state))
    assert main(["status", "--state-dir", str(state)]) == 4
    assert capsys.readouterr().out == ""


def test_a_service_that_is_well_is_exit_0(capsys, state):
    with held(state):
        write_status(state, status_of(state, workspaces=(workspace_status(),)))
        assert main(["status", "--state-dir", str(state)]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["generations"], found["workspaces"][0]["status"]) == (2, "synced")
        code, text = on_terminal("status", "--no-color", "--state-dir", str(state))
    assert code == 0
    assert "2 generations reported by this run\n" in text
    assert "/home/ada/\\u001b[2Jsite  synced  ring    2" in text


def test_a_degraded_service_is_exit_3_and_says_what_is_wrong(state):
    bad = workspace_status(
        status="error", last_error="not a database", workspace_path=None, workspace_id=None
    )
    output = OutputStatus("json_lines:/full", "error", 3, 4, 1, "no space left")
    with held(state):
        write_status(
            state,
            status_of(
                state, workspaces=(bad,), outputs=(output,), alarms=("output /full: no space left",), gaps=1
            ),
        )
        code, text = on_terminal("status", "--no-color", "--state-dir", str(state))
    assert code == 3
    assert "global     error   ring    2    " in text
    assert text.rstrip().endswith(
        "output json_lines:/full: error, 4 events behind: no space left\nalarm: output /full: no space left"
    )
    assert "2 generations reported by this run, 1 gap\n" in text


def test_a_service_without_a_workspace_says_where_it_looks(state):
    with held(state):
        write_status(state, status_of(state))
        code, text = on_terminal("status", "--state-dir", str(state))
    assert code == 0
    assert "no workspace found in /c\n" in text


def test_a_service_that_hangs_is_exit_3(capsys, state):
    with held(state):
        write_status(state, status_of(state))
        os.utime(state / STATUS_NAME, (time.time() - 60, time.time() - 60))
        assert main(["status", "--state-dir", str(state)]) == 3
    [alarm] = json.loads(capsys.readouterr().out)["alarms"]
    assert alarm.startswith("the service has not said anything for 6")


def test_a_service_that_has_written_nothing_that_can_be_read_fails_in_one_line(capsys, state):
    with held(state):
        assert main(["status", "--state-dir", str(state)]) == 1
        (state / STATUS_NAME).write_text("{}")
        assert main(["status", "--state-dir", str(state)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"trio_cursor: a service runs on {state}, but has written no status that can be read",
        (
            f"trio_cursor: {state}/{STATUS_NAME} is not as this version writes it;"
            " is the service of another one?"
        ),
    ]


# -- workspaces ----------------------------------------------------------------------------------------


def test_workspaces_tells_what_was_found(capsys, user_dir):
    cursor_files.make_workspace(user_dir, "a1", [cursor_files.ring_item(number) for number in range(3)])
    assert main(["workspaces", "--cursor-dir", str(user_dir)]) == 0
    found = {item["id"]: item for item in map(json.loads, capsys.readouterr().out.splitlines())}
    site = found["a1"]
    assert (site["path"], site["uri"]) == ("/home/demo/a1", "file:///home/demo/a1")
    assert (site["schemas"], site["journal_mode"], site["entries"]) == (
        ["ring", "composers"],
        "delete",
        3,
    )
    assert site["last_activity"] == cursor_files.NOON_MS + 2
    assert site["size"] > 0
    assert len(site["hash"]) == 16
    assert site["why"] is None


def test_on_a_terminal_workspaces_is_for_people(user_dir):
    cursor_files.make_workspace(user_dir, "a1", [cursor_files.ring_item()], folder="file:///home/%1b%5b2J")
    code, text = on_terminal("workspaces", "--no-color", "--cursor-dir", str(user_dir))
    assert code == 0
    assert "/home/\\u001b[2J\n  1 entry, last 2025-" in text
    assert f"{user_dir}/workspaceStorage/a1/state.vscdb" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("make", "options", "why"),
    [
        (lambda user: cursor_files.make_workspace(user, "a1", []), [], "nothing was asked"),
        (lambda user: cursor_files.make_workspace(user, "a1"), [], "no such file"),
        (
            lambda user: cursor_files.make_workspace(user, "a1").write_text("x" * 5000),
            [],
            "no SQLite database",
        ),
        (lambda user: cursor_files.make_workspace(user, "a1", "{no json"), [], "JSON"),
        (
            lambda user: cursor_files.make_workspace(user, "a1", []),
            ["exclude"],
            "left out by include or exclude",
        ),
        (
            lambda user: cursor_files.make_workspace(user, "a1", []),
            ["rollout"],
            "left out by rollout_percent",
        ),
    ],
)
def test_workspaces_says_why_one_has_nothing(capsys, monkeypatch, user_dir, make, options, why):  # noqa: PLR0917
    make(user_dir)
    if options == ["exclude"]:
        monkeypatch.setenv("TRIO_CURSOR_CURSOR__EXCLUDE", '["**/a1"]')
    if options == ["rollout"]:
        monkeypatch.setenv("TRIO_CURSOR_CURSOR_DATABASE_MONITOR__ROLLOUT_PERCENT", "0")
    assert main(["workspaces", "--cursor-dir", str(user_dir)]) == 0
    [found] = [item for item in map(json.loads, capsys.readouterr().out.splitlines()) if item["id"] == "a1"]
    assert why in found["why"]


def test_of_a_large_table_only_the_beginning_is_counted_and_that_is_said(capsys, user_dir):
    database = cursor_files.make_workspace(user_dir, "a1")
    rows = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)"
        ' INSERT INTO "ai.generations"'
    )
    cursor_files.execute(
        database,
        (
            'CREATE TABLE "ai.generations" (uuid TEXT, data_version INTEGER, value TEXT, timestamp INTEGER)',
            (),
        ),
        (f"{rows} SELECT 'u' || i, i, '{{}}', ? FROM n", (cursor_files.NOON_MS,)),
    )
    main(["workspaces", "--cursor-dir", str(user_dir)])
    [found] = [item for item in map(json.loads, capsys.readouterr().out.splitlines()) if item["id"] == "a1"]
    assert found["schemas"] == ["tables_v2"]
    assert found["entries"] < 900
    assert f"more than {found['entries']} rows" in found["why"]


def test_without_a_cursor_workspaces_says_where_it_looked(capsys, tmp_path):
    assert main(["workspaces", "--cursor-dir", str(tmp_path / "nowhere")]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "No Cursor found. Looked for:",
        f"  {tmp_path}/nowhere",
        "If yours is elsewhere, name its User directory with --cursor-dir.",
    ]


def test_a_directory_that_is_not_a_user_directory_is_doubted(capsys, tmp_path):
    assert main(["workspaces", "--cursor-dir", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[-1].startswith(f"No workspace in {tmp_path}: is it a Cursor User directory")
    assert json.loads(out)["why"] == "there is no such file"


def workspaces_of(capsys, user_dir, *options):
    assert main(["workspaces", "--cursor-dir", str(user_dir), *options]) == 0
    return {item["id"]: item for item in map(json.loads, capsys.readouterr().out.splitlines())}


def test_what_may_be_excluded_is_not_read_and_workspaces_says_why(capsys, monkeypatch, user_dir):
    database = cursor_files.make_workspace(user_dir, "torn", [cursor_files.ring_item()])
    database.with_name("workspace.json").write_text('{"folder": "file:///ho')
    folderless = cursor_files.make_workspace(user_dir, "folderless", [cursor_files.ring_item()])
    folderless.with_name("workspace.json").unlink()
    monkeypatch.setenv("TRIO_CURSOR_CURSOR__EXCLUDE", '["/home/secret"]')
    found = workspaces_of(capsys, user_dir)
    assert found["torn"]["entries"] is None
    assert found["torn"]["why"] == (
        "workspace.json is not JSON; left out: its folder is not known, and exclude is set"
    )
    assert found["folderless"]["entries"] == 1


def test_what_has_to_be_copied_is_copied_below_the_state_directory_and_removed(capsys, user_dir, tmp_path):
    killed_copies.make_what_is_copied(user_dir)
    state = tmp_path / "state"
    for _ in range(2):
        killed_copies.start_and_kill("workspaces", user_dir, state)
        assert len(killed_copies.copies_in(state)) == 2
    assert workspaces_of(capsys, user_dir, "--state-dir", str(state))["w1"]["entries"] == 1
    assert killed_copies.copies_in(state) == []
    assert [path.name for path in state.iterdir()] == ["workspaces-0"]


def test_two_that_look_at_the_same_time_do_not_take_each_others_copies(capsys, user_dir, state):
    killed_copies.make_what_is_copied(user_dir)
    with place_for_copies(state) as place:
        Path(place).mkdir()
        assert workspaces_of(capsys, user_dir, "--state-dir", str(state))["w1"]["entries"] == 1
        assert Path(place).exists()
    assert not Path(place).exists()


def test_without_a_state_directory_workspaces_tells_what_can_be_seen(capsys, user_dir, tmp_path):
    killed_copies.make_what_is_copied(user_dir)
    cursor_files.make_workspace(user_dir, "w2", [cursor_files.ring_item()])
    (tmp_path / "file").touch()
    assert main(["workspaces", "--cursor-dir", str(user_dir), "--state-dir", str(tmp_path / "file")]) == 0
    out, err = capsys.readouterr()
    found = {item["id"]: item for item in map(json.loads, out.splitlines())}
    assert err.startswith("nothing can be copied in order to be read: ")
    assert "too large to copy" in found["w1"]["why"]
    assert found["w2"]["entries"] == 1


@pytest.mark.parametrize("is_late", [False, True])
def test_a_directory_that_does_not_answer_is_named_and_the_others_are_shown(
    capsys, monkeypatch, user_dir, tmp_path, is_late
):
    cursor_files.make_workspace(user_dir, "a1", [cursor_files.ring_item()])
    dead = cursor_files.make_user_dir(tmp_path / "dead")
    back, looks = threading.Event(), []
    look = listing.Lister.list

    def hang(lister):
        looks.append(lister)
        if str(dead) in lister.dirs and (not is_late or len(looks) > 2):
            back.wait()
        return look(lister)

    monkeypatch.setattr(listing.Lister, "list", hang)
    monkeypatch.setattr(workspaces_command, "_LIST_SECONDS", 1.0)
    try:
        assert main(["workspaces", "--cursor-dir", str(user_dir), "--cursor-dir", str(dead)]) == 0
    finally:
        back.set()
    out, err = capsys.readouterr()
    assert f"passed over: {dead}: it does not answer" in err
    # When all of them are listed together nobody can tell any more which one it is.
    assert ('"id": "a1"' in out) is not is_late
    assert (f"passed over: {user_dir}: it does not answer" in err) is is_late


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_directory_that_does_not_answer_does_not_keep_ctrl_c_from_ending_it(user_dir, state):
    program = """
import sys, time
from trio_cursor.cli import main, workspaces_command
from trio_cursor.cursor import listing

workspaces_command._LIST_SECONDS = 600

def hang(_):
    print("hangs", flush=True)
    time.sleep(600)

listing.Lister.list = hang
sys.exit(main(sys.argv[1:]))
"""
    words = ["workspaces", "--cursor-dir", str(user_dir), "--state-dir", str(state)]
    with subprocess.Popen(
        [sys.executable, "-c", program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"")


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
        (NotBuiltYetError("redis.url: not built yet"), 2, "trio_cursor: redis.url: not built yet\n"),
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
def test_a_reader_that_was_never_there_is_no_trouble(state, user_dir, command):
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
