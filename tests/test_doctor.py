"""`doctor`: what it finds of Cursor, of our own files and of the service, and what it says to do."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing

import attrs
import cursor_files
import log_events
import pytest
from rich.cells import cell_len
from running import EVIL, SAFE, command, on_terminal, run_once, until
from scans import session as a_session
from test_cli import SITE
from test_status_command import workspace_status

from trio_cursor import status_file
from trio_cursor.cli import main
from trio_cursor.cli.doctor_text import lines_of
from trio_cursor.cli.output import Style
from trio_cursor.cursor import listing
from trio_cursor.cursor.guest import QUARANTINED
from trio_cursor.doctor import looking
from trio_cursor.doctor.check import Check, Level
from trio_cursor.doctor.examining import Section
from trio_cursor.eventlog import FILE_NAME as LOG_NAME
from trio_cursor.eventlog import append_events, delivery_rows, open_for_writing, transaction
from trio_cursor.events import build_gap
from trio_cursor.records import Gap
from trio_cursor.state_dir import held
from trio_cursor.status import OutputStatus, PrivacyStatus, WebhookStatus, disabled
from trio_cursor.status_file import FILE_NAME as STATUS_NAME
from trio_cursor.status_file import write_status

pytestmark = pytest.mark.usefixtures("home")

NOW = int(time.time() * 1000)


@pytest.fixture
def doctor(capsys, user_dir, state):
    """Examine; the checks by their names and the code."""

    def examine(*options, cursor_dir=user_dir):
        places = ["--cursor-dir", str(cursor_dir), "--state-dir", str(state)]
        code = main(["doctor", *places, *options])
        return Examined(code, [json.loads(line) for line in capsys.readouterr().out.splitlines()])

    return examine


@attrs.frozen
class Examined:
    code: int
    checks: list

    def of(self, check, level=None):
        return [item for item in self.checks if item["check"] == check and level in (None, item["level"])]

    def the(self, check, level="finding"):
        [one] = self.of(check, level)
        return one

    @property
    def findings(self):
        return [item for item in self.checks if item["level"] == "finding"]


def asked(minutes_ago=5):
    return cursor_files.ring_item(unixMs=int(time.time() * 1000) - minutes_ago * 60_000)


# -- Cursor's directories ------------------------------------------------------------------------------


def test_what_is_well_is_exit_0_and_nothing_of_cursors_is_touched(doctor, user_dir):
    cursor_files.make_workspace(user_dir, "a1", [asked(), asked(3)])
    before = cursor_files.tree(user_dir)
    found = doctor()
    assert (found.code, found.findings) == (0, [])
    assert cursor_files.tree(user_dir) == before
    assert found.the("cursor.directory", "ok")["what"] == "1 workspace"
    assert found.the("databases", "ok")["what"] == "1 could be read: 1 with a rollback journal"
    assert re.fullmatch("2 are listed, the newest [0-9]+ minutes ago", found.the("activity", "ok")["what"])
    assert "none runs" in found.the("service", "note")["what"]
    assert all(set(item) == {"check", "subject", "level", "what", "do", "facts"} for item in found.checks)


def test_without_a_cursor_it_says_where_it_looked_and_what_to_do(capsys, home):
    assert main(["doctor"]) == 3
    found = Examined(3, [json.loads(line) for line in capsys.readouterr().out.splitlines()])
    assert [item["level"] for item in found.of("cursor.directory")] == ["note", "note"]
    assert "start Cursor once" in found.the("cursor")["do"]
    assert len(found.findings) == 1
    (home / ".cursor-server").mkdir()
    main(["doctor"])
    assert "the remote side of a Cursor window" in capsys.readouterr().out


def test_a_directory_that_was_named_must_be_there_and_be_one_of_cursors(doctor, tmp_path):
    assert (
        doctor(cursor_dir=tmp_path / "nowhere").the("cursor.directory")["what"]
        == "there is no such directory"
    )
    note = doctor().the("cursor.directory", "note")
    assert note["what"] == "neither a workspace nor a conversation is in it"
    (tmp_path / "other").mkdir()
    found = doctor(cursor_dir=tmp_path / "other")
    assert found.the("cursor.directory")["what"] == "neither a workspace nor a conversation is in it"
    assert found.the("databases", "note")["what"].startswith("there is nothing to read yet")


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_what_this_user_may_not_read_is_a_finding(doctor, user_dir):
    database = cursor_files.make_workspace(user_dir, "a1", [asked()])
    # To root nothing is forbidden, and nobody else can give a file away.
    if is_root := os.getuid() == 0:
        os.chown(database, 12_345, -1)
    else:
        database.chmod(0)
    refused = doctor().the("database")
    assert (
        refused["what"] == f"unreadable: {'it belongs to another user' if is_root else 'Permission denied'}"
    )
    assert "run as the user who runs Cursor" in refused["do"]


def test_what_cannot_be_listed_is_a_finding_and_what_was_passed_over_a_note(doctor, monkeypatch, user_dir):
    (user_dir / "workspaceStorage/cannot be").write_text("a file with a name like a sentence")
    assert "passed over: not a directory" in [
        item["what"] for item in doctor().of("cursor.directory", "note")
    ]

    def refuse(path):
        raise OSError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    refused = doctor().the("cursor.directory")
    assert refused["what"] == "cannot be listed (Permission denied)"
    assert refused["do"].startswith("run as the user who runs Cursor")


def test_a_directory_that_does_not_answer_is_a_finding_and_no_hang(doctor, monkeypatch, user_dir):
    cursor_files.make_workspace(user_dir, "a1", [asked()])
    back = threading.Event()
    monkeypatch.setattr(listing.Lister, "list", lambda _: back.wait())
    monkeypatch.setattr(looking, "LIST_SECONDS", 0.2)
    try:
        found = doctor()
    finally:
        back.set()
    assert found.the("cursor.directory")["what"] == "it does not answer"
    assert "disk or mount" in found.the("cursor.directory")["do"]


def test_each_of_several_directories_has_its_own_workspaces(doctor, user_dir, tmp_path):
    cursor_files.make_workspace(user_dir, "a1", [asked()])
    other = cursor_files.make_user_dir(tmp_path / "other")
    for name in ("b1", "b2"):
        cursor_files.make_workspace(other, name, [asked()])
    found = doctor("--cursor-dir", str(other.parent))
    assert [item["what"] for item in found.of("cursor.directory")] == ["1 workspace", "2 workspaces"]


# -- Databases -----------------------------------------------------------------------------------------


def killed_within_a_transaction(user):
    database = cursor_files.make_workspace(user, "a1", [asked()])
    program = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('PRAGMA cache_size=2'); c.execute('BEGIN');"
        "[c.execute('INSERT INTO ItemTable VALUES (?, ?)', (str(n), 'x' * 500)) for n in range(2000)];"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(database)], check=False)


def unknown_table(user):
    database = cursor_files.make_workspace(user, "a1")
    cursor_files.execute(database, ("CREATE TABLE aiStore (a)", ()))


def damaged(user):
    database = cursor_files.make_workspace(user, "a1", [asked()])
    content = bytearray(database.read_bytes())
    content[100:4000] = b"\xff" * 3900
    database.write_bytes(content)


def another_file(user):
    cursor_files.make_workspace(user, "a1").write_text("x" * 5000)


def no_json(user):
    cursor_files.write_ring(cursor_files.make_workspace(user, "a1"), "{no json")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("make", "check", "what", "do"),
    [
        (killed_within_a_transaction, "database", "its owner died", "open this folder in Cursor"),
        (unknown_table, "schema", "tables found: aiStore", "update trio_cursor"),
        (damaged, "database", "malformed", "start Cursor"),
        (another_file, "database", "no SQLite database", "start Cursor"),
        (no_json, "schema", "it is not JSON", "ask Cursor's AI"),
    ],
)
def test_what_cannot_be_read_is_a_finding_with_what_to_do(doctor, user_dir, make, check, what, do):  # noqa: PLR0917 - the table's columns
    make(user_dir)
    found = doctor()
    assert found.code == 3
    assert what in found.the(check)["what"]
    assert do in found.the(check)["do"]
    assert found.the(check)["subject"] == f"{user_dir}/workspaceStorage/a1/state.vscdb"


def test_a_database_that_is_locked_all_the_while_is_a_finding(doctor, monkeypatch, user_dir):
    database = cursor_files.make_workspace(user_dir, "a1", [asked()])
    monkeypatch.setenv("TRIO_CURSOR_CURSOR_DATABASE_MONITOR__QUERY_TIMEOUT_SECONDS", "0.2")
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('BEGIN EXCLUSIVE'); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        owner.stdout.readline()
        found = doctor()
        owner.communicate()
    assert found.the("database")["what"].startswith("locked for all of 0.2 s")


def test_what_is_left_out_is_counted_and_not_opened(doctor, monkeypatch, user_dir):
    another_file(user_dir)
    cursor_files.make_workspace(user_dir, "b2", [asked()])
    monkeypatch.setenv("TRIO_CURSOR_CURSOR__EXCLUDE", '["**/a1"]')
    found = doctor()
    assert (found.code, found.of("database", "finding")) == (0, [])
    left_out = found.the("databases", "note")
    assert left_out["what"] == "1 left out by include or exclude"
    assert "cursor.exclude = ['**/a1'] (environment" in left_out["do"]
    monkeypatch.setenv("TRIO_CURSOR_CURSOR__EXCLUDE", '["**"]')
    monkeypatch.setenv("TRIO_CURSOR_CURSOR_DATABASE_MONITOR__ROLLOUT_PERCENT", "50")
    nothing = doctor().the("databases")
    assert nothing["what"] == "nothing is reported: the configuration leaves out all 2 workspaces"
    assert "cursor_database_monitor.rollout_percent = 50" in nothing["do"]


def test_requests_from_before_the_window_are_why_nothing_is_reported(doctor, user_dir):
    cursor_files.make_workspace(user_dir, "a1", [asked(minutes_ago=3 * 1440 + 60)])
    note = doctor().the("activity", "note")
    assert "before the 24 h that a first sync reaches back" in note["what"]
    assert "--since 4d" in note["do"]


def test_a_workspace_whose_folder_is_not_known_is_a_note(doctor, user_dir):
    database = cursor_files.make_workspace(user_dir, "a1", [asked()])
    database.with_name("workspace.json").write_text('{"folder": "file:///ho')
    found = doctor()
    assert found.code == 0
    assert found.the("workspace", "note")["what"].startswith("workspace.json is not JSON")


# -- Sessions ------------------------------------------------------------------------------------------


def test_what_was_announced_and_is_not_here_is_a_finding(doctor, user_dir, state, tmp_path, monkeypatch):
    cursor_files.make_workspace(user_dir, "a1", [asked()])
    (tmp_path / "sessions").mkdir()
    told = {"CURSOR_SESSION_ID": "s1", "CURSOR_WORKSPACE_HASH": "0123456789abcdef", "workspace_path": "/else"}
    (tmp_path / "sessions/0123456789abcdef.json").write_text(json.dumps({**told, "updated_at": time.time()}))
    settings = {
        "TRIO_CURSOR_SESSIONS__MODE": "extension",
        "TRIO_CURSOR_SESSIONS__FILES_DIR": str(tmp_path / "sessions"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert "none is announced" in doctor().the("sessions")["what"]
    run_once(user_dir, state, **settings)
    unmapped = doctor().the("workspace.unmapped")
    assert unmapped["subject"] == "/else"
    assert unmapped["what"].startswith("announced, and no database of it was found: ")
    assert "open that folder in Cursor" in unmapped["do"]


# -- Our own files -------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_permissions_of_the_state_directory(doctor, state):
    state.chmod(0o755)
    assert "it is 0700 now" in doctor().the("state", "note")["what"]
    state.chmod(0o777)
    refused = doctor().the("state")
    assert "can be written by other users" in refused["what"]
    assert "chmod 700" in refused["do"]


def test_a_state_directory_on_a_network_is_said(doctor, monkeypatch):
    assert not doctor().of("state.network")
    monkeypatch.setattr("trio_cursor.doctor.state.network_filesystem", lambda _path: "nfs4")
    assert "nfs4" in doctor().the("state.network", "note")["what"]


def test_an_event_log_that_cannot_be_used_is_a_finding(doctor, state):
    with closing(open_for_writing(state)) as connection:
        assert doctor().the("log", "ok")["what"].startswith("0 records")
        connection.execute("PRAGMA user_version=99")
    newer = doctor().the("log")
    assert "written by a newer trio_cursor (format 99)" in newer["what"]
    assert newer["do"] == "update this one"
    (state / LOG_NAME).write_bytes(b"no log" * 1000)
    assert "cannot be used" in doctor().the("log")["what"]


def test_what_was_missed_is_said(doctor, state):
    gap = build_gap(SITE, Gap("ring", 1, 2, "rolled out"), session=a_session("s"), captured_at=NOW, host="h")
    with closing(open_for_writing(state)) as connection, transaction(connection):
        append_events(connection, [((), gap)])
    found = doctor()
    assert found.the("log.gaps", "note")["what"].startswith("1 times generations left Cursor's list of 100")
    assert found.code == 0


def test_a_damaged_event_log_is_found(doctor, state):
    with closing(open_for_writing(state)) as connection:
        rows = [(f"k{number}" * 20, number) for number in range(3000)]
        with transaction(connection):
            connection.executemany("INSERT INTO keys VALUES (?, ?)", rows)
    with (state / LOG_NAME).open("r+b") as file:
        file.seek(20 * 4096)
        file.write(b"\xee" * 4096)
    assert "move" in doctor().the("log")["do"]


@pytest.mark.skipif(sys.platform == "win32", reason="FIFOs of POSIX")
def test_a_file_for_json_lines_that_cannot_be_written(doctor, monkeypatch, tmp_path):
    def written_to(path):
        monkeypatch.setenv("TRIO_CURSOR_OUTPUTS__JSON_LINES__PATH", str(path))
        return doctor().of("json_lines")[0]

    assert written_to(tmp_path / "new.jsonl")["level"] == "ok"
    assert not (tmp_path / "new.jsonl").exists()
    assert "is not there" in written_to(tmp_path / "none" / "x")["what"]
    os.mkfifo(tmp_path / "fifo")
    assert "it is not a regular file" in written_to(tmp_path / "fifo")["what"]


def test_what_is_switched_off_is_a_finding(doctor, monkeypatch):
    monkeypatch.setenv("TRIO_CURSOR_CURSOR_DATABASE_MONITOR__ENABLED", "false")
    assert doctor().the("service")["do"] == "set enabled = true"


def test_a_webhook_that_cannot_be_used_is_a_finding(doctor, monkeypatch):
    monkeypatch.setenv("TRIO_CURSOR_ALARMS__WEBHOOK", "https://host/hook")
    assert doctor().of("alarms") == []
    monkeypatch.setenv("TRIO_CURSOR_ALARMS__WEBHOOK", "https://host:99999/secret")
    (found,) = doctor().of("alarms", "finding")
    assert found["what"] == "alarms.webhook must be an http:// or https:// URL in ASCII"


def test_a_collector_that_cannot_be_used_is_a_finding(doctor, monkeypatch):
    monkeypatch.setenv("TRIO_CURSOR_OUTPUTS__OTLP__ENABLED", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")
    (found,) = doctor().of("otlp", "finding")
    assert found["what"] == "OTEL_EXPORTER_OTLP_ENDPOINT must be an http:// or https:// URL"


# -- The service ---------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_beside_a_running_service(doctor, user_dir, state):
    cursor_files.make_workspace(user_dir, "a1", [asked()])
    service = subprocess.Popen(
        command(user_dir, state, "--json-lines", state / "out.jsonl"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with service:
        until((state / STATUS_NAME).exists, service)
        found = doctor("--prove")
        service.send_signal(signal.SIGTERM)
    assert (found.code, found.findings, service.returncode) == (0, [], 0)
    assert f"runs (process {service.pid})" in found.the("service", "ok")["what"]
    assert found.of("service.output")


def running(**changes):
    known = {"state": "running", "first_pass_done": True, "searched": ("/c",), "taken_at": NOW}
    return attrs.evolve(disabled(), **known | changes)


def test_what_the_service_says_is_wrong_is_a_finding_each(doctor, state):
    output = OutputStatus("json_lines:/full", "error", 3, 4, 1, "no space left")
    alarms = (f"/home/dev: timeout: {QUARANTINED}", "output json_lines:/full: no space left", "else")
    with held(state):
        write_status(state, running(alarms=alarms, outputs=(output,)))
        found = doctor()
    says = [(item["what"], item["do"]) for item in found.of("service.alarm")]
    assert [what for what, _ in says] == list(alarms)
    assert "disk or mount" in says[0][1]
    assert "events wait in the event log" in says[1][1]
    assert "`status`" in says[2][1]
    assert found.the("service.output", "note")["what"] == "4 events behind (error)"


@pytest.mark.parametrize(
    ("alarm", "do"),
    [
        ("output redis_stream:redis://r s: TimeoutError: it does not answer", "events wait in the event log"),
        ("output redis_stream:redis://r s: the consumer group 'quarantined: ' has not", "XGROUP DESTROY"),
        ("output redis_stream:redis://r s: its maxmemory-policy is allkeys-lru", "noeviction"),
        ("output otlp: 1 event can never be sent: `doctor` says which, and why", "output.dead"),
        ("output otlp: it had lost what it had taken (a failover?); it was sent again", "nothing is lost"),
        ("output otlp: http://c does not take the metrics: HTTP 404", "send none of them"),
        ("output otlp: the collector did not take 3 of 5 spans (#1 to #5): old", "`replay --otlp`"),
        ("output o: 12 events behind, the oldest of them captured 2 min ago", "is sent by itself"),
        ("output o: 1 events behind, the oldest of them captured 2 min ago", "is sent by itself"),
        ("the size limit deleted 2 events since the start before every output had", "max_megabytes"),
        ("output json_lines:/the event log : no space left", "events wait in the event log"),
        ("session source files: permission denied", "its directory"),
        ("session source http: Address already in use", "--http"),
        ("session source redis:s: TimeoutError: it does not answer", "under Redis"),
        ("what others send to s is not known and may be there twice: NOPERM", "under Redis"),
        ("the event log in /s failed: disk I/O error", "free some space"),
        ("/home/output event log: unknown_schema: tables found: a", "update trio_cursor"),
        (f"/home/session source: timeout: {QUARANTINED}", "it is tried again by itself"),
        ("/home/output does not answer", "disk or mount answers"),
        ("Cursor's files have not been looked at for 3 min", "start it again"),
        ("the first pass has not ended in 30 min: 3 of 10 databases", "start it again"),
        ("generations were missed once since the start: Cursor's list had rolled on", "events --gaps"),
    ],
)
def test_of_each_alarm_what_is_said_to_do_fits_what_it_is_about(doctor, state, alarm, do):
    with held(state):
        write_status(state, running(alarms=(alarm,)))
        assert do in doctor().the("service.alarm")["do"]


def test_what_was_lost_is_told_when_the_alarm_is_over_too(doctor, state):
    webhook = WebhookStatus("https://h/***: HTTP 404", 3)
    with held(state):
        write_status(state, running(lost=1200, webhook=webhook))
        found = doctor()
    assert found.the("service.lost", "note")["what"].startswith("1,200 events were deleted by the size limit")
    broken, lost = [item["what"] for item in found.of("service.webhook", "note")]
    assert broken == "alarms cannot be posted: https://h/***: HTTP 404"
    assert lost.startswith("3 alarms, raised or over, were given up")


def test_which_events_can_never_be_sent_and_why(doctor, state):
    assert doctor().of("output.dead") == []
    events = [log_events.event(number) for number in range(12)]
    newest = int(time.time() * 1000) - 75_000
    with closing(open_for_writing(state)) as connection, transaction(connection):
        for number, one in enumerate(events):
            buried = attrs.evolve(one, sequence=number + 1)
            at = newest - 60_000 * (11 - number)
            delivery_rows.bury(connection, "otlp", buried, f"reason {number}", at)
    note = doctor().the("output.dead", "note")
    assert note["what"].startswith(
        "12 events can never be sent; the newest: #12 to otlp, 1 minute ago: reason 11;"
    )
    assert note["facts"]["number"] == 12
    assert len(note["facts"]["newest"]) == 10
    assert note["facts"]["newest"][0] == {
        "output": "otlp",
        "sequence": 12,
        "event_id": events[11].event_id,
        "reason": "reason 11",
        "at": newest,
    }


def test_a_disk_of_which_nothing_can_be_told_ends_nothing(doctor, monkeypatch):
    def refuse(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("shutil.disk_usage", refuse)
    found = doctor()
    assert found.the("state.disk", "note")["what"] == "how much is free on its disk cannot be told"
    assert found.findings == []


def test_a_service_with_other_options_is_told(doctor, state):
    output = OutputStatus("redis_stream:redis://elsewhere s", "connected", 3, 0, 0, None)
    with held(state):
        write_status(state, running(outputs=(output,), privacy=PrivacyStatus("metadata", 3)))
        found = doctor()
    assert found.code == 0
    assert [item["what"] for item in found.of("service.differs")] == [
        "its privacy mode is metadata, and here it is full",
        "it watches what was not looked at here: /c",
    ]
    assert "has redis_stream:redis://elsewhere s" in found.the("redis", "note")["what"]
    assert "3 records" in found.the("service.privacy", "note")["what"]


def test_a_service_that_is_silent_or_says_what_nobody_understands(doctor, monkeypatch, state):
    monkeypatch.setattr(status_file, "_PATIENCE_SECONDS", 0.1)
    with held(state):
        write_status(state, running(workspaces=(workspace_status(),)))
        os.utime(state / STATUS_NAME, (1, 1))
        assert "has not said anything for" in doctor().the("service")["what"]
        (state / STATUS_NAME).write_text("{}")
        assert "of another version" in doctor().the("service")["what"]
        (state / STATUS_NAME).write_text('{"taken_at": "noon", "outputs": ["all"]}')
        assert "of another version" in doctor().the("service")["what"]


# -- For a person --------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 130])
def test_on_a_terminal_it_is_for_people(monkeypatch, user_dir, state, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    another_file(user_dir)
    cursor_files.make_workspace(user_dir, "b2", [asked()])
    places = ["--cursor-dir", str(user_dir), "--state-dir", str(state)]
    code, text = on_terminal("doctor", "--no-color", *places)
    assert code == 3
    lines = text.splitlines()
    assert all(cell_len(line) <= columns for line in lines if str(state.parent) not in line)
    place = lines.index(f"  ✗ {user_dir}/workspaceStorage/a1/state.vscdb")
    assert lines[place + 1] == "    unreadable: it is no SQLite database"
    assert lines[place + 2].startswith("    → start Cursor")
    assert lines[-1] == "1 finding, each with what to do."


def described(*checks, encoding="utf-8"):
    return list(lines_of([Section("Some", checks)], Style(is_on=False), 60, encoding))


def test_of_many_alike_the_first_are_shown():
    alike = [Check("database", f"/c/{number}", Level.FINDING, "bad", "mend") for number in range(25)]
    lines = described(*alike)
    assert sum("✗" in line for line in lines) == 10
    assert "    and 15 more like these: -v shows them" in lines
    assert lines[-1] == "25 findings, each with what to do."


def test_what_a_name_could_do_to_a_terminal_it_does_not():
    assert described(Check("database", f"/c/{EVIL}", Level.NOTE, "x")) == [
        "Some",
        f"  • /c/{SAFE}: x",
        "",
        "Nothing wrong was found.",
    ]


def test_where_signs_cannot_be_shown_others_stand():
    assert described(Check("a", "b", Level.FINDING, "c", "d"), encoding="ascii")[1:3] == [
        "  ! b: c",
        "    > d",
    ]
    assert described(Check("a", "b", Level.NOTE, "c", "d"))[-1] == (
        "Nothing wrong was found. 1 note with what could be done."
    )
