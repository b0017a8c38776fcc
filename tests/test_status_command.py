"""`status`: what it says of a service, to programs and to people, and how it ends."""

import json
import os
import time

import attrs
import pytest
from rich.cells import cell_len
from running import EVIL, SAFE, on_terminal

from trio_cursor.alarms import Episode
from trio_cursor.cli import main
from trio_cursor.cli.output import clock
from trio_cursor.state_dir import held
from trio_cursor.status import (
    OutputStatus,
    PrivacyStatus,
    ServerStatus,
    SourceStatus,
    UnmappedStatus,
    WorkspaceStatus,
    disabled,
)
from trio_cursor.status_file import FILE_NAME as STATUS_NAME
from trio_cursor.status_file import read_status, write_status

pytestmark = pytest.mark.usefixtures("home")

NOW = int(time.time() * 1000)


def status_of(state, /, **changes):
    known = {"state": "running", "started_at": NOW, "generations": 2, "last_sequence": 7, "searched": ("/c",)}
    return attrs.evolve(disabled(), **known | {"state_dir": str(state)} | changes)


def shown(state, /, **changes):
    """The text of a service that says this, and the code."""
    with held(state):
        write_status(state, status_of(state, **changes))
        code, text = on_terminal("status", "--no-color", "--state-dir", str(state))
    assert max(map(cell_len, text.splitlines())) <= 100
    return code, text


def session(id_, source="redis", **more):
    return {"id": id_, "source": source, "started_at": NOW, **more}


def workspace_status(**changes):
    known = WorkspaceStatus(
        database="/c/state.vscdb",
        workspace_id="a1",
        workspace_hash=None,
        workspace_path="/home/dev/\x1b[2Jsite",
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
    assert "/home/dev/\\u001b[2Jsite  synced  ring    2" in text


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


def test_an_alarm_says_since_when_and_one_that_is_gone_for_a_moment_is_still_one(capsys, state):
    lasting = Episode("output", 1_800_000_000_000, "output /full: \x1b[2J", is_present=True, number=1)
    flapping = Episode("hang", 1_800_000_000_000, "/x does not answer", is_present=False, number=2)
    with held(state):
        write_status(state, status_of(state, alarms=(lasting.words, "new"), episodes=(lasting, flapping)))
        _, text = on_terminal("status", "--no-color", "--state-dir", str(state))
        write_status(state, status_of(state, episodes=(flapping,)))
        assert main(["status", "--state-dir", str(state)]) == 3
    since = clock(1_800_000_000_000)
    assert text.splitlines()[-3:] == [
        f"alarm since {since}: output /full: \\u001b[2J",
        "alarm: new",
        f"alarm since {since}, gone for a moment: /x does not answer",
    ]
    assert json.loads(capsys.readouterr().out)["episodes"][0]["kind"] == "hang"


def test_a_service_without_a_workspace_says_where_it_looks(state):
    with held(state):
        write_status(state, status_of(state))
        code, text = on_terminal("status", "--no-color", "--state-dir", str(state))
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


# -- Who is working, and how that is heard -------------------------------------------------------------


def test_sources_and_the_server_have_a_line_each(state):
    sources = (
        SourceStatus("redis:telemetry:events", "connected", 1200, {f"no {EVIL}": 2, "too large": 1}, 0, None),
        SourceStatus("files", "waiting", 0, {}, 0, None),
        SourceStatus("http", "error", 0, {}, 3, "Address already in use"),
    )
    server = ServerStatus("127.0.0.1:8787", "error", "Address already in use")
    _, text = shown(state, sources=sources, http=server)
    assert text.splitlines()[-5:] == [
        f"sessions from redis:telemetry:events: connected, 1,200 taken, passed over: no {SAFE} (2),",
        "  too large (1)",
        "sessions from files: waiting, 0 taken",
        "sessions from http: error, 0 taken: Address already in use",
        "http on 127.0.0.1:8787: error: Address already in use",
    ]


def test_a_server_that_listens_and_one_that_is_switched_off_are_told_apart(state):
    assert shown(state, http=ServerStatus("127.0.0.1:8787", "listening", None))[1].endswith(
        "http on 127.0.0.1:8787: listening\n"
    )
    assert shown(state)[1].endswith("http: switched off\n")


def test_sessions_of_a_workspace_stand_below_it_with_who_has_told_of_them(state):
    sessions = (session("one", uncertain=True), session(EVIL), session("scan_a1", "discovery"))
    _, text = shown(state, workspaces=(workspace_status(sessions=sessions), workspace_status()))
    assert text.count("sessions:") == 1
    assert f"\n  sessions: one (redis, uncertain), {SAFE} (redis), scan_a1\n" in text


def test_of_many_or_long_sessions_the_beginning_is_shown(state):
    sessions = tuple(session(str(number) * 200) for number in range(9))
    _, text = shown(state, workspaces=(workspace_status(sessions=sessions),))
    assert "4" * 47 + "… (redis), and 4 more\n" in text
    assert "5" * 47 not in text


def test_announced_workspaces_that_were_not_found_say_why_by_strategy(state):
    unmapped = UnmappedStatus(
        "00112233445566aa", f"/home/{EVIL}", (session("one"),), {"cache": "nothing", "session_id": EVIL}
    )
    nameless = UnmappedStatus("ffffffffffffffff", None, (session("two"),), {})
    _, text = shown(state, unmapped=(unmapped, nameless))
    assert (
        f"announced, not found: /home/{SAFE}\n"
        "  hash 00112233445566aa\n"
        "  sessions: one (redis)\n"
        "  cache: nothing\n"
        f"  session_id: {SAFE}\n"
        "announced, not found: ffffffffffffffff\n"
        "  sessions: two (redis)\n  not looked for yet\n\n"
    ) in text


@pytest.mark.parametrize(("count", "more"), [(5, []), (7, ["and 2 more"]), (100, ["and at least 95 more"])])
def test_of_many_that_were_not_found_some_are_shown(state, count, more):
    items = [UnmappedStatus(f"{number:016x}", None, (session("one"),), {}) for number in range(count)]
    _, text = shown(state, unmapped=tuple(items))
    assert text.count("announced, not found:") == 5
    lines = [line.partition(",")[0] for line in text.splitlines()]
    assert [line for line in lines if line.startswith("and ")] == more


def test_what_waits_for_a_session_is_not_in_flight(state):
    assert (
        "by this run, 2 in flight\n63 generations wait for a session of their workspace\n"
        in (shown(state, pending=65, held=63)[1])
    )
    assert (
        "by this run\n1 generation waits for a session of its workspace\n"
        in (shown(state, pending=1, held=1)[1])
    )
    assert "1 in flight\n" in (text := shown(state, pending=1)[1])
    assert " session of " not in text


def test_what_will_never_be_reported_and_who_was_refused_is_said(state):
    _, text = shown(state, unattributed=3, refused=1)
    assert "passed over: of no known workspace, and no session came (3)\n" in text
    assert "\n1 start of sessions refused: too many are open\n" in text


def test_a_service_that_is_disabled_says_so_and_not_that_it_finds_nothing(state):
    unmapped = UnmappedStatus("ffffffffffffffff", None, (session("one"),), {})
    code, text = shown(state, state="disabled", unmapped=(unmapped,))
    assert code == 0
    assert "\ndisabled: the configuration says enabled = false, and nothing is watched\n" in text
    assert "found" not in text


def test_one_that_is_just_ending_says_so(state):
    assert "\nstopped\n" in shown(state, state="stopped", started_at=None)[1]


def test_where_sessions_are_announced_nobody_may_be_the_reason_for_nothing(state):
    _, text = shown(state, sources=(SourceStatus("files", "connected", 0, {}, 0, None),))
    assert "no workspace found in /c, or none that a session was announced for\n" in text


def test_long_paths_and_long_words_stay_within_the_terminal(state):
    bad = workspace_status(
        workspace_path="/home/" + "日本/" * 40 + "site", status="error", last_error="no " * 50 + "end"
    )
    output = OutputStatus("json_lines:/" + "x" * 150, "connected", 3, 0, 0, None)
    _, text = shown(state, workspaces=(bad, workspace_status()), outputs=(output,), alarms=("word " * 60,))
    row = next(line for line in text.splitlines() if "site" in line)
    assert row.startswith("…")
    assert "日本/site  error   ring" in row
    assert f"\n  {'no ' * 31}no\n" in text
    assert "no end\n" in text


# -- Services of other releases ------------------------------------------------------------------------


def rewritten(state, change):
    status = json.loads((state / STATUS_NAME).read_text())
    change(status)
    (state / STATUS_NAME).write_text(json.dumps(status))


def test_what_an_older_service_did_not_say_is_left_out(state):
    def older(status):
        for name in ("sources", "unmapped", "refused", "held", "unattributed", "http"):
            del status[name]

    with held(state):
        write_status(state, status_of(state, workspaces=(workspace_status(),), pending=2))
        rewritten(state, older)
        code, text = on_terminal("status", "--no-color", "--state-dir", str(state))
    assert code == 0
    assert "2 generations reported by this run, 2 in flight\n" in text
    assert "http" not in text


@pytest.mark.parametrize(
    "change",
    [
        {"sources": "many"},
        {"sources": [{"name": "files"}]},
        {"http": ["127.0.0.1", 8787]},
        {"unmapped": [{"workspace_hash": 7}]},
        {"unmapped": [{"workspace_hash": "a", "workspace_path": None, "sessions": [], "why": None}]},
        {"held": "some"},
    ],
)
def test_what_another_service_says_in_another_way_is_one_line_and_nothing_else(capsys, state, change):
    with held(state):
        write_status(state, status_of(state))
        rewritten(state, lambda status: status.update(change))
        code, text = on_terminal("status", "--state-dir", str(state))
        assert (code, text) == (1, "")
        assert "is the service of another one?" in capsys.readouterr().err
        assert main(["status", "--state-dir", str(state)]) == 0
    assert json.loads(capsys.readouterr().out).items() >= change.items()


def test_what_others_have_sent_is_shown(state):
    others = SourceStatus("telemetry:events", "error", 1_200, {"payload is not JSON": 2}, 1, f"NOPERM{EVIL}")
    _, text = shown(state, foreign=(others,))
    words = " ".join(text.split())
    assert "others on telemetry:events: error, 1,200 generations delivered" in words
    assert f"passed over: payload is not JSON (2): NOPERM{SAFE}" in words


def test_the_privacy_mode_is_told_and_what_is_stored_of_a_more_open_one(state):
    assert "privacy:" not in shown(state, privacy=PrivacyStatus("full", 0))[1]
    assert "privacy: redacted" in shown(state, privacy=PrivacyStatus("redacted", 0))[1]
    code, text = shown(state, privacy=PrivacyStatus("metadata", 3))
    assert code == 0
    assert "3 records stored in a privacy mode more open than metadata" in " ".join(text.split())


def test_an_output_says_what_was_there_what_it_had_lost_and_what_it_can_never_take(state):
    name = f"redis_stream:{EVIL}"
    output = OutputStatus(name, "connected", 9, 0, 0, None, already_there=1200, dead=1, rollbacks=2)
    words = " ".join(shown(state, outputs=(output,))[1].split())
    assert (
        f"output redis_stream:{SAFE}: connected, 0 events behind, 1,200 already there,"
        " sent again 2 times what it had lost, 1 can never be sent" in words
    )


@pytest.mark.parametrize("path", ["/home/me/größe", "/home/me/\udcff"])
def test_what_is_written_is_the_status_whatever_paths_are_called(state, path):
    said = status_of(
        state,
        workspaces=(workspace_status(workspace_path=path), workspace_status(last_error='"\x1b\n')),
        searched=(path,),
    )
    write_status(state, said)
    found = read_status(state)
    wanted = json.loads(json.dumps(said.to_object()))
    assert found | {"taken_at": None} == wanted | {"taken_at": None}
