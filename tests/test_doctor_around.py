"""`doctor`: what is around the service (its host, its address, events, clocks), and what it went through."""

import errno
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import attrs
import cursor_files
import otlp_receiver
import pytest
from running import on_terminal, run_once
from test_doctor import asked, doctor, running  # noqa: F401 - a fixture, by its name
from test_status_command import workspace_status

from trio_cursor.cli import main
from trio_cursor.config import load_config
from trio_cursor.doctor import examining, machine_checks, service_checks
from trio_cursor.doctor.check import Level
from trio_cursor.doctor.events_of_system import EventsLook, look_at_events
from trio_cursor.doctor.facts import Facts
from trio_cursor.doctor.hosting import HostLook, look_at_host
from trio_cursor.doctor.looking import CursorLook, Database
from trio_cursor.doctor.machine import this_machine
from trio_cursor.doctor.port import PortLook, look_at_port
from trio_cursor.doctor.state import OwnLook
from trio_cursor.doctor.stream import StreamLook
from trio_cursor.errors import HostError
from trio_cursor.hosts import unit_file
from trio_cursor.hosts.choosing import host_of
from trio_cursor.hosts.templates import Found
from trio_cursor.hosts.tools import Answer
from trio_cursor.os_events import NoEventsError, OsEventsStatus
from trio_cursor.page_index import file as index
from trio_cursor.records import Workspace
from trio_cursor.state_dir import held
from trio_cursor.status import OutputStatus, ServerStatus
from trio_cursor.status_file import FILE_NAME as STATUS_NAME
from trio_cursor.status_file import ServiceLook, write_status

pytestmark = pytest.mark.usefixtures("home")

NOW = int(time.time() * 1000)


@pytest.fixture
def facts(home, tmp_path):
    """Facts in which there is nothing yet."""
    config = load_config(None, overrides={"state.dir": str(tmp_path / "state")})
    return lambda **known: Facts(config, NOW, this_machine(), **known)


def one(checks):
    [found] = checks
    return found


# -- The host ------------------------------------------------------------------------------------------


def systemd(home):
    words = ("/usr/bin/python3", "-P", "-m", "trio_cursor", "run")
    return host_of("linux", words, environ={}, home=str(home), uid=1000)


def answering(**codes):
    """A tool whose answers are codes, by a word of the question."""
    return lambda words: Answer(next((code for word, code in codes.items() if word in " ".join(words)), 0))


def test_a_service_that_is_installed_and_does_not_run_is_a_finding(facts, tmp_path):
    host = systemd(tmp_path)
    assert look_at_host(lambda: host, answering(show=1)).found is Found.NOTHING
    unit_file.write(host)

    def said(**codes):
        return one(service_checks.host(facts(host=look_at_host(lambda: host, answering(**codes)))))

    assert (said().level, said().what) == (Level.OK, "installed (systemd user unit); runs")
    stopped = said(active=3)
    assert (stopped.level, stopped.what) == (
        Level.FINDING,
        "installed (systemd user unit), and it does not run",
    )
    assert "journalctl" in stopped.do
    assert "not started at logon" in said(enabled=1).what
    assert "could not be asked" in said(show=1).what


def test_what_else_may_be_known_of_a_host(facts, tmp_path):
    host = systemd(tmp_path)

    def said(look):
        return one(service_checks.host(facts(host=look)))

    assert "not installed" in said(HostLook(host)).what
    assert said(HostLook(host, Found.FOREIGN)).do == "see what it starts"
    assert "changed by hand" in said(HostLook(host, Found.EDITED, is_running=True)).what
    assert list(service_checks.host(facts())) == []

    def refuse():
        raise HostError("no service is known on plan9")

    assert said(look_at_host(refuse)).what == "no service is known on plan9"


# -- The address ---------------------------------------------------------------------------------------


def test_an_address_that_somebody_has_is_a_finding_unless_it_is_the_service(facts):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        config = load_config(None, overrides={"http.listen": taken})
        look = look_at_port(config)
        assert (look.address, look.is_taken) == (taken, True)
        assert one(service_checks.port(facts(port=look))).level is Level.FINDING
        status = {"http": attrs.asdict(ServerStatus(taken, "listening", None))}
        beside = facts(port=look, service=ServiceLook(is_running=True, status=status))
        assert one(service_checks.port(beside)).level is Level.OK
        status["http"]["state"] = "error"
        assert list(service_checks.port(beside)) == []
    assert look_at_port(config) == PortLook(taken)
    assert one(service_checks.port(facts(port=PortLook(taken)))).level is Level.OK


def test_an_address_of_another_machine_is_a_finding(facts, home):
    config = load_config(None, overrides={"http.listen": "off"})
    assert look_at_port(config) is None
    token = home / "token"
    home.mkdir(exist_ok=True)
    token.write_text("x" * 40)
    elsewhere = {"http.listen": "192.0.2.1:8787", "http.token_file": str(token)}
    look = look_at_port(load_config(None, overrides=elsewhere))
    assert not look.is_taken
    assert "nobody can listen there" in one(service_checks.port(facts(port=look))).what


# -- Events of the system ------------------------------------------------------------------------------


def test_without_room_for_watches_it_is_said_how_to_raise_the_limit(facts, monkeypatch, tmp_path):
    paths = [str(tmp_path / name / "state.vscdb") for name in ("a", "b")]
    for name in ("a", "b"):
        (tmp_path / name).mkdir()

    class Full:
        def __init__(self, error):
            self.error = error

        def add(self, directory):
            if directory.endswith("b"):
                raise OSError(self.error, "no")
            return 1

        def close(self):
            pass

    def told(error):
        monkeypatch.setattr("trio_cursor.doctor.events_of_system.open_os_events", lambda: Full(error))
        return one(machine_checks.events(facts(events=look_at_events(paths))))

    full = told(errno.ENOSPC)
    assert "limit of inotify watches is reached: 1 of 2 directories" in full.what
    assert "fs.inotify.max_user_watches" in full.do
    assert "in 1 of 2 directories" in told(errno.EACCES).what

    def refuse():
        raise NoEventsError("inotify cannot be used ([Errno 24] Too many open files)")

    monkeypatch.setattr("trio_cursor.doctor.events_of_system.open_os_events", refuse)
    none = one(machine_checks.events(facts(events=look_at_events(paths))))
    assert "max_user_instances" in none.do
    assert "does not tell of changes" in none.what
    assert one(machine_checks.events(facts(events=EventsLook(2, 2)))).level is Level.OK
    assert list(machine_checks.events(facts())) == []


def test_limits_that_cannot_be_read_are_not_told(monkeypatch, tmp_path):
    monkeypatch.setattr("trio_cursor.doctor.events_of_system._LIMITS", tmp_path)
    (tmp_path / "max_user_watches").write_text("many")
    assert look_at_events([]).limits == {}


def test_what_the_running_service_hears_counts(facts):
    def told(state, note):
        status = {"os_events": attrs.asdict(OsEventsStatus(state, 3, 1, note))}
        look = ServiceLook(is_running=True, status=status)
        return one(machine_checks.events(facts(service=look, events=EventsLook(4, 4))))

    assert told("on", None).what == "the running service hears of 3 directories from the system"
    assert "fs.inotify" in told("partial", "the system's limit of inotify watches is reached").do
    assert told("off", "not built for darwin").do is None


# -- Clocks --------------------------------------------------------------------------------------------


def test_clocks_that_do_not_agree(facts, tmp_path):
    def told(redis_ms=0, disk_ms=0, written_ms=0):
        database = Database(Workspace("/c", str(tmp_path / "state.vscdb"), "a1"), written_ms=written_ms)
        known = {
            "cursor": CursorLook((), (), (database,)),
            "own": OwnLook(tmp_path, ahead_ms=disk_ms),
            "streams": [StreamLook("s", "redis://r", ahead_ms=redis_ms)],
        }
        return one(machine_checks.clock(facts(**known)))

    assert told(redis_ms=-1500).what.endswith("within 1.5 s")
    assert (told(redis_ms=5000).level, told(redis_ms=5000).what) == (
        Level.NOTE,
        "the Redis server redis://r is 5 s ahead of this machine",
    )
    behind = told(disk_ms=-7_200_000)
    assert (behind.level, behind.what) == (
        Level.FINDING,
        "the disk of the state directory is 2 hours behind this machine",
    )
    assert "timedatectl" in behind.do
    assert "was written to 3 days from now" in told(written_ms=NOW + 3 * 86_400_000 + 1000).what
    assert list(machine_checks.clock(facts())) == []


# -- What the service went through ---------------------------------------------------------------------


def test_errors_that_are_over_are_told(doctor, state):  # noqa: F811 - the fixture
    outputs = tuple(OutputStatus(f"json_lines:/{n}", "connected", 3, 0, n, None) for n in range(1, 7))
    troubled = attrs.evolve(workspace_status(), errors=9, last_error="locked: busy")
    with held(state):
        write_status(state, running(outputs=outputs, workspaces=(troubled,)))
        found = doctor().of("service.recent", "note")
    assert found[0]["what"] == "9 errors since the start; the last: locked: busy"
    assert [item["subject"] for item in found[1:3]] == ["output json_lines:/6", "output json_lines:/5"]
    assert found[1]["what"] == "6 errors since the start, none of them now"
    assert found[-1]["what"] == "2 more had errors: see `status`"


def test_what_is_an_alarm_is_not_told_twice(doctor, state):  # noqa: F811 - the fixture
    output = OutputStatus("json_lines:/full", "error", 3, 4, 1, "no space left")
    with held(state):
        write_status(state, running(alarms=("output json_lines:/full: no space left",), outputs=(output,)))
        found = doctor()
    assert (len(found.of("service.alarm")), found.of("service.recent")) == (1, [])


def test_how_the_last_service_ended_is_told(doctor, state):  # noqa: F811 - the fixture
    write_status(state, running(alarms=("the event log in /s failed: disk I/O error",)))
    killed, said = [item["what"] for item in doctor().of("service.last")]
    assert killed.startswith(f"the last one (process {os.getpid()}) was killed, or crashed, ")
    assert said == "it had said: the event log in /s failed: disk I/O error"
    write_status(state, running(state="stopped"))
    assert "was stopped" in doctor().the("service.last", "note")["what"]
    (state / STATUS_NAME).write_text(json.dumps({"state": "running", "pid": "none"}))
    assert doctor().of("service.last") == []


# -- The page's index ----------------------------------------------------------------------------------


def test_the_index_of_the_page(doctor, user_dir, state):  # noqa: F811 - the fixture
    cursor_files.make_workspace(user_dir, "a1", [asked()])
    assert doctor().of("page_index") == []
    run_once(user_dir, state)
    index.make_index(state, "full")
    assert "1 records are not in it yet" in doctor().the("page_index", "note")["what"]
    with closing(index.connected(state / index.FILE_NAME, state)) as connection:
        connection.execute("UPDATE meta SET value = '1' WHERE key = 'low'")
    assert "has everything" in doctor().the("page_index", "ok")["what"]
    with closing(index.connected(state / index.FILE_NAME, state)) as connection:
        connection.execute("DROP TABLE heads")
    assert "or incomplete; the service makes it anew" in doctor().the("page_index", "note")["what"]
    (state / index.FILE_NAME).write_bytes(b"no index" * 1000)
    assert "the index is damaged" in doctor().the("page_index", "note")["what"]
    (state / index.FILE_NAME).unlink()
    (state / index.FILE_NAME).mkdir()
    assert "cannot be looked at now" in doctor().the("page_index", "note")["what"]


# -- The collector -------------------------------------------------------------------------------------


def test_a_collector_is_asked(doctor):  # noqa: F811 - the fixture
    with otlp_receiver.receiving() as receiver:
        found = doctor("--otlp", receiver.url)
        assert (found.code, len(found.of("otlp", "ok")), receiver.spans) == (0, 2, [])
        receiver.always = otlp_receiver.Answer(status=401)
        refused = doctor("--otlp", receiver.url).of("otlp", "finding")
        assert [item["what"] for item in refused] == ["it refuses: HTTP 401"] * 2
    gone = doctor("--otlp", receiver.url).of("otlp", "finding")
    assert gone[0]["subject"].startswith(receiver.url)
    assert gone[0]["what"] == "Connection refused"
    assert "start the collector" in gone[0]["do"]


@pytest.mark.parametrize(
    ("answer", "what", "do"),
    [
        ({"status": 401}, "HTTP 401", "mend its headers"),
        ({"status": 404}, "HTTP 404", "mend its address"),
        (
            {"status": 308, "headers": {"Location": "https://a.example/v1/traces"}},
            "HTTP 308 (to https://a.example)",
            "mend its address",
        ),
        ({"body": b"<p>", "content_type": "text/html"}, "a page for people", "mend its address"),
        (
            {"status": 400, "body": b"Client sent an HTTP request to an HTTPS server.", "content_type": None},
            "encrypts: https:// instead of http://?",
            "mend its address",
        ),
        (
            {
                "status": 400,
                "body": b"<p>The plain HTTP request was sent to HTTPS port</p>",
                "content_type": "text/html",
            },
            "encrypts: https:// instead of http://?",
            "mend its address",
        ),
        ({"status": 503}, "HTTP 503", "start the collector"),
    ],
)
def test_what_is_said_to_do_fits_what_it_says(doctor, answer, what, do):  # noqa: F811 - the fixture
    with otlp_receiver.receiving() as receiver:
        receiver.always = otlp_receiver.Answer(**answer)
        found = doctor("--otlp", receiver.url).of("otlp", "finding")
    assert len(found) == 2
    for item in found:
        assert what in item["what"]
        assert item["do"].startswith(do)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_collector_that_refuses_a_request_for_being_empty_is_well(doctor, status):  # noqa: F811 - the fixture
    with otlp_receiver.receiving() as receiver:
        receiver.always = otlp_receiver.Answer(status=status)
        found = doctor("--otlp", receiver.url)
    assert (len(found.of("otlp", "ok")), found.of("otlp", "finding")) == (2, [])
    # Not: it takes what it is sent.
    assert {item["what"] for item in found.of("otlp")} == {
        f"answers; a request with nothing in it was refused (HTTP {status}), as some do"
    }


def test_a_collector_that_does_not_answer(doctor, monkeypatch):  # noqa: F811 - the fixture
    monkeypatch.setattr("trio_cursor.doctor.collector._SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = doctor("--otlp", f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert {item["what"] for item in found.of("otlp")} == {"it does not answer within 0.2 s"}


# -- All of it -----------------------------------------------------------------------------------------


def test_what_hangs_is_told_and_waited_for_no_longer(doctor, monkeypatch):  # noqa: F811 - the fixture
    back = threading.Event()
    monkeypatch.setattr(examining, "look_at_host", lambda _: back.wait())
    monkeypatch.setattr(examining, "_ASIDE_SECONDS", 0.1)
    try:
        found = doctor()
    finally:
        back.set()
    assert found.the("host", "note")["what"] == "no answer within 0.1 s"


def test_each_database_is_told_of_to_who_asks_for_more(user_dir, state):
    for number in range(12):
        cursor_files.make_workspace(user_dir, f"a{number}", [asked()] if number else None)
    cursor_files.execute(user_dir / "workspaceStorage/a0/state.vscdb", (cursor_files.ITEM_TABLE, ()))
    places = ["--cursor-dir", str(user_dir), "--state-dir", str(state)]
    code, text = on_terminal("doctor", "-v", "--no-color", *places)
    assert code == 0
    assert text.count("requests: 1, the newest 5 minutes ago") == 11
    assert text.count("no request is listed: nothing yet") == 1
    assert "layouts" not in on_terminal("doctor", "--no-color", *places)[1]


def test_figures_are_told_to_programs(doctor, user_dir):  # noqa: F811 - the fixture
    database = cursor_files.make_workspace(user_dir, "a1", [asked()])
    known = doctor().the("database", "ok")["facts"]
    assert known["bytes"] == database.stat().st_size
    assert (known["journal_mode"], known["requests"], "ring" in known["schemas"]) == ("delete", 1, True)
    assert abs(known["last_request_ms"] - (int(time.time() * 1000) - 300_000)) < 60_000
    versions = doctor().the("platform", "ok")["facts"]
    assert {"trio_cursor", "trio", "redis-py", "python", "sqlite"} <= versions.keys()


def test_a_bad_configuration_is_told_as_everything_else_is(capsys, tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text("[redis]\nurll = 'x'\n[http]\nlisten = 5\n")
    assert main(["doctor", "--config", str(file)]) == 78
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [item["check"] for item in found] == ["configuration"] * 2
    assert "redis.urll" in found[0]["what"]
    assert found[0]["do"].startswith("mend that")


def test_two_hundred_workspaces_do_not_hang_and_are_all_told_of(doctor, user_dir):  # noqa: F811 - the fixture
    # In one child, which is quick.
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import cursor_files, sqlite3, pathlib, json, time\n"
        "for n in range(200):\n"
        "  home = pathlib.Path(sys.argv[2]) / 'workspaceStorage' / f'w{n}'; home.mkdir()\n"
        "  (home / 'workspace.json').write_text(json.dumps({'folder': f'file:///home/demo/{n}'}))\n"
        "  c = sqlite3.connect(home / 'state.vscdb'); c.execute(cursor_files.ITEM_TABLE)\n"
        "  ring = [cursor_files.ring_item(unixMs=int(time.time() * 1000))]\n"
        "  c.execute(cursor_files.SET_ITEM, (cursor_files.RING_KEY, json.dumps(ring))); c.commit()\n"
        "  c.close()\n"
    )
    tests = str(Path(__file__).parent)
    subprocess.run([sys.executable, "-c", program, tests, str(user_dir)], check=True)
    before = cursor_files.tree(user_dir)
    found = doctor()
    assert (found.code, len(found.of("database", "ok"))) == (0, 200)
    assert cursor_files.tree(user_dir) == before
