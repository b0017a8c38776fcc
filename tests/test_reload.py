"""A hangup asks a daemon to read its configuration again: what changes, what does not, and what is said."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import cursor_files
import pytest
import trio
from deadlines import within
from running import move_home, start
from trio.testing import wait_all_tasks_blocked

from trio_cursor.cli.log_setup import logging_to_stderr
from trio_cursor.cli.run_command import Reloading
from trio_cursor.cli.run_report import Report
from trio_cursor.cli.stopping import Stop
from trio_cursor.cli.words import Words
from trio_cursor.config import Config, LoggingConfig, load_config
from trio_cursor.handle import Handle
from trio_cursor.settings import Reloaded, Settings
from trio_cursor.status import disabled, idle
from trio_cursor.status_file import read_status

pytestmark = pytest.mark.timeout(60)
posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


class Daemon:
    """`run` without a terminal, with a configuration file that can be written anew."""

    def __init__(self, directory, user_dir):
        self.file, self.state = directory / "c.toml", directory / "state"
        self.user_dir = user_dir
        self.process = None

    def configure(self, text):
        self.file.write_text(text)

    @contextlib.contextmanager
    def running(self, *, interpreter=("-m", "trio_cursor")):
        places = ["--cursor-dir", self.user_dir, "--state-dir", self.state, "--http", "off"]
        words = ("run", "-c", self.file, "--sessions", "discovery", *places)
        with start(*words, interpreter=[*map(str, interpreter)], stdin=subprocess.DEVNULL) as self.process:
            try:
                self.record("first pass done", "no workspace found")
                yield self
                self.process.send_signal(signal.SIGTERM)
                _, err = self.process.communicate(timeout=30)
                assert self.process.returncode == 0, err
            finally:
                self.process.kill()

    def reload(self, text):
        self.configure(text)
        self.process.send_signal(signal.SIGHUP)

    def record(self, *names):
        """Wait for the next record with one of these names on stderr."""
        for line in self.process.stderr:
            found = json.loads(line)
            if found["event"] in names:
                return found
        raise AssertionError(f"stderr ended before one of {names} was said")

    def generation(self):
        """Id of the next one that is reported."""
        return json.loads(self.process.stdout.readline())["payload"]["generation_id"]

    def status(self, state):
        """Wait until the status file says so."""
        while (found := read_status(self.state)) is None or found["state"] != state:
            time.sleep(0.01)
        return found


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    """A home of its own, so that nothing of this machine is read or written."""
    move_home(tmp_path / "home", monkeypatch)


@pytest.fixture
def daemon(tmp_path, user_dir):
    return Daemon(tmp_path, user_dir)


def items(*numbers):
    """Of the last hour."""
    unix_ms = int(time.time() * 1000) - 3_600_000
    return [
        cursor_files.ring_item(number, unixMs=unix_ms + number, generationUUID=id_of(number))
        for number in numbers
    ]


def id_of(number):
    return f"00000000-0000-4000-8000-{number:012}"


# -- a daemon ------------------------------------------------------------------------------------------


@posix
def test_what_is_left_out_is_left_alone_until_it_is_let_in_and_intervals_and_level_change_too(
    daemon, user_dir
):
    work, private = (cursor_files.make_workspace(user_dir, name, items()) for name in ("work", "private"))
    daemon.configure("")
    with daemon.running():
        daemon.reload("[cursor]\nexclude = ['/home/demo/private']\n")
        found = daemon.record("configuration changed")
        assert (found["key"], found["old"], found["new"]) == ("cursor.exclude", [], ["/home/demo/private"])
        while len(daemon.status("running")["workspaces"]) != 2:  # work, and the global database
            time.sleep(0.01)
        cursor_files.write_ring(private, items(1))
        cursor_files.write_ring(work, items(2))
        assert daemon.generation() == id_of(2)
        daemon.reload(
            "[logging]\nlevel = 'debug'\n"
            "[cursor_database_monitor]\npoll_interval_seconds = 5\nprobe_interval_seconds = 0.1\n"
        )
        changed = [daemon.record("configuration changed") for _ in range(4)]
        assert {item["key"]: item["new"] for item in changed} == {
            "cursor_database_monitor.poll_interval_seconds": 5,
            "cursor_database_monitor.probe_interval_seconds": 0.1,
            "cursor.exclude": [],
            "logging.level": "debug",
        }
        assert daemon.generation() == id_of(1)
        # Of the workspace that is let in; nobody says it at a higher level.
        assert daemon.record("database synced")["level"] == "debug"


@posix
def test_how_much_is_said_changes_at_once_and_in_what_form_too(daemon):
    daemon.configure("")
    with daemon.running():
        # That less is said from now on is still said, and so is that it is more again.
        for level in ("error", "info"):
            daemon.reload(f"[logging]\nlevel = '{level}'\n")
            assert daemon.record("configuration changed")["new"] == level
        daemon.reload("[logging]\nformat = 'console'\n")
        assert 'logging.format is "console" now; it was "auto".\n' in daemon.process.stderr
        daemon.reload("[logging]\nformat = 'json'\n")
        assert daemon.record("configuration changed")["new"] == "json"


@posix
def test_a_file_that_is_at_fault_is_refused_with_all_its_faults_and_changes_nothing(daemon, user_dir):
    database = cursor_files.make_workspace(user_dir, "a1", items())
    daemon.configure("")
    with daemon.running():
        daemon.reload("[cursor]\nexlude = []\ninclude = ['/nowhere']\n[logging]\nlevel = 'loud'\n")
        first, second = daemon.record("configuration refused")["faults"]
        assert "unknown key cursor.exlude; did you mean cursor.exclude?" in first
        assert "logging.level must be debug, info, warning, error or critical, not loud" in second
        daemon.file.unlink()
        daemon.process.send_signal(signal.SIGHUP)
        (fault,) = daemon.record("configuration refused")["faults"]
        assert "does not exist" in fault
        cursor_files.write_ring(database, items(1))
        assert daemon.generation() == id_of(1)
        daemon.configure("")
        for _ in range(20):
            daemon.process.send_signal(signal.SIGHUP)
        assert daemon.record("nothing has changed", "configuration changed")["event"] == "nothing has changed"


@posix
def test_what_needs_a_restart_is_named_each_time_but_not_what_an_option_decides(daemon):
    daemon.configure("[sessions]\nmode = 'auto'\n")
    with daemon.running():
        for _ in range(2):
            daemon.reload(
                "[assembly]\nsettle_timeout_seconds = 1\n[redis]\nurl = 'redis://svc:secret@host'\n"
                "[sessions]\nmode = 'extension'\n[http]\nlisten = '127.0.0.1:1'\n"
            )
            found = [daemon.record("change needs a restart", "nothing has changed") for _ in range(2)]
            assert [item["key"] for item in found] == ["assembly.settle_timeout_seconds", "redis.url"]
            assert "secret" not in json.dumps(found)


#: As the program itself; whatever it looks at below a directory is noted in a file.
NOTING = """
import os, sys
from trio_cursor.cli import main
_, place, notes, *words = sys.argv
def noting(look):
    def noted(path, *rest, **options):
        if str(path).startswith(place):
            with open(notes, "a") as file:
                print(path, file=file)
        return look(path, *rest, **options)
    return noted
for name in ("stat", "lstat", "scandir", "listdir", "open"):
    setattr(os, name, noting(getattr(os, name)))
sys.exit(main(words))
"""


@posix
def test_switched_off_it_looks_at_nothing_and_switched_on_it_finds_what_happened(daemon, user_dir, tmp_path):
    database = cursor_files.make_workspace(user_dir, "a1", items(1))
    daemon.configure("")
    notes = tmp_path / "notes"
    with daemon.running(interpreter=("-c", NOTING, user_dir, notes)):
        assert daemon.generation() == id_of(1)
        daemon.reload("[cursor_database_monitor]\nenabled = false\n")
        daemon.record("watching stopped")
        while (before := daemon.status("disabled"))["workspaces"]:
            time.sleep(0.01)
        assert str(database) in notes.read_text()
        notes.write_text("")
        command = [sys.executable, "-m", "trio_cursor", "status", "--state-dir", str(daemon.state)]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        assert json.loads(asked.stdout)["state"] == "disabled"
        cursor_files.write_ring(database, items(1, 2))
        while (after := daemon.status("disabled"))["taken_at"] == before["taken_at"]:
            time.sleep(0.01)
        assert (after["last_sequence"], after["generations"], notes.read_text()) == (1, 1, "")
        daemon.reload("")
        daemon.record("watching goes on")
        assert daemon.generation() == id_of(2)
        while daemon.status("running")["generations"] != 2:
            time.sleep(0.01)


@posix
def test_a_hangup_that_comes_while_it_starts_is_obeyed_once_it_has(daemon, user_dir):
    """It waits for its configuration to be written into a pipe, and is told meanwhile to read it again."""
    cursor_files.make_workspace(user_dir, "a1", items(1))
    os.mkfifo(daemon.file)
    words = [
        "--cursor-dir",
        user_dir,
        "--state-dir",
        daemon.state,
        "--http",
        "off",
        "--sessions",
        "discovery",
    ]
    with start("run", "-c", daemon.file, *words, stdin=subprocess.DEVNULL) as daemon.process:
        with daemon.file.open("w") as pipe:  # somebody reads
            daemon.process.send_signal(signal.SIGHUP)
            pipe.write("[logging]\nlevel = 'info'\n")
        daemon.record("started")
        daemon.configure("[logging]\nlevel = 'debug'\n")
        assert daemon.record("configuration changed", "nothing has changed")["new"] == "debug"
        daemon.process.send_signal(signal.SIGTERM)
        _, err = daemon.process.communicate(timeout=30)
        assert daemon.process.returncode == 0, err


# -- the parts of it -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, ". Nothing leaves this machine."),
        ({"http.listen": "localhost:0"}, ". Nothing leaves this machine."),
        (
            {"redis.url": "redis://svc:secret@host"},
            " and to the stream telemetry:events at redis://svc:***@host. Sessions are read from there too.",
        ),
        (
            {
                "redis.url": "redis://host",
                "sessions.stream": "s",
                "redis.shards": 3,
                "outputs.json_lines.path": "-",
            },
            (
                " and to standard output and to 3 shards of the stream telemetry:events at redis://host."
                " Sessions are read from the stream s there."
            ),
        ),
        (
            {"redis.url": "redis://host", "sessions.mode": "discovery"},
            (
                " and to the stream telemetry:events at redis://host."
                " With sessions.mode discovery no sessions are read from there."
            ),
        ),
        (
            {"http.listen": "0.0.0.0:80", "http.token_file": "/token"},
            ". Health and status are served on 0.0.0.0:80 to whoever shows the token.",
        ),
        (
            {"alarms.webhook": "https://hooks.example.org/secret"},
            ". Alarms are posted to https://hooks.example.org/***, with paths.",
        ),
        (
            {"alarms.webhook": "https://hooks.example.org/secret", "privacy.mode": "redacted"},
            (
                ", with secrets, addresses and home taken out of texts."
                " Alarms are posted to https://hooks.example.org/***, without paths."
            ),
        ),
    ],
)
def test_at_the_start_it_is_said_what_is_beyond_this_machine(capsys, values, said):
    overrides = {"state.dir": "/state", "logging.format": "console", **values}
    config = load_config(environ={}, overrides=overrides)
    handle = Handle(lambda _: disabled(), idle, None, trio.Event(), Settings(config).reload)
    with logging_to_stderr(config.logging, colors=False):
        Report(config, Words(config.logging), is_once=False).introduce(handle)
    assert capsys.readouterr().err == f"Events go to the event log in /state{said}\n"


def test_to_a_person_each_change_is_a_line(capsys):
    config = LoggingConfig(format="console")
    report = Report(Config(), Words(config), is_once=False)
    with logging_to_stderr(config, colors=False):
        report.reloaded(
            Reloaded({"cursor_database_monitor.enabled": (True, False)}, ("redis.url", "state.dir"))
        )
        report.reloaded(Reloaded({"cursor_database_monitor.enabled": (False, True)}, ()))
        report.reloaded(Reloaded({}, ()))
        report.refused(("file c: one", "file c: two"))
    assert capsys.readouterr().err.splitlines() == [
        "cursor_database_monitor.enabled is false now; it was true.",
        "redis.url has changed too, but needs a restart: the old value stays.",
        "state.dir has changed too, but needs a restart: the old value stays.",
        "enabled = false: watching stopped; SIGHUP starts it again",
        "cursor_database_monitor.enabled is true now; it was false.",
        "enabled = true: watching goes on",
        "The configuration was read again: nothing has changed.",
        "The configuration was read again and refused; the old values stay:",
        "  file c: one",
        "  file c: two",
    ]


async def hangups(*numbers):
    for number in numbers:
        await trio.lowlevel.checkpoint()
        yield number


@posix
async def test_a_hangup_is_the_end_unless_it_asks_for_something_else(autojump_clock):
    asked = []
    stop = Stop(60, lambda: None)
    with trio.CancelScope() as scope:
        await stop.obey(hangups(signal.SIGHUP, signal.SIGHUP), scope, lambda: asked.append(1))
    assert (asked, scope.cancel_called) == ([1, 1], False)
    await stop.obey(hangups(signal.SIGHUP), scope, None)
    stop.settled()
    assert scope.cancel_called


@within(30)
async def test_a_file_that_does_not_answer_keeps_nobody_and_several_requests_are_one(nursery):
    is_read, may_go_on = threading.Event(), threading.Event()

    def load():
        is_read.set()
        may_go_on.wait(30)
        return Config()

    with logging_to_stderr(LoggingConfig(), colors=False) as lines:
        reloading = Reloading(load, lines)
        for _ in range(3):
            reloading.ask()
        assert await reloading.asked.receive() is None
        with pytest.raises(trio.WouldBlock):
            reloading.asked.receive_nowait()
        with trio.CancelScope() as scope:
            nursery.start_soon(_cancel_when_read, is_read, scope)
            await reloading.read()
        assert scope.cancelled_caught
        may_go_on.set()
        assert await reloading.read() == Config()


async def _cancel_when_read(is_read, scope):
    while not is_read.is_set():
        await wait_all_tasks_blocked()
    scope.cancel()
