"""What a run tells systemd, on real sockets: ready, how it goes, alive, reloading, stopping."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import attrs
import cursor_files
import pytest
import trio
from running import move_home, start

import trio_cursor
from trio_cursor.cli import main, notifying
from trio_cursor.cli.notifying import Manager, words_of
from trio_cursor.cli.output import goes_nowhere
from trio_cursor.config import load_config
from trio_cursor.status import OutputStatus, idle

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(not hasattr(socket, "AF_UNIX") or os.name != "posix", reason="sockets of POSIX"),
]
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract sockets, and systemd")

SYNCED = attrs.evolve(idle(), first_pass_done=True, total=2, generations=1)
WORDS = "STATUS=2 databases watched, 1 generation reported"


class Listening:
    """A service manager's end."""

    def __init__(self, address, name):
        self.name = name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(30)

    def close(self):
        self._socket.close()

    def next(self):
        """The next message, as its lines."""
        return self._socket.recv(4096).decode().split("\n")

    def until(self, line):
        """Every message until one that has a line that matches."""
        found = []
        while not found or not any(re.fullmatch(line, one) for one in found[-1]):
            found.append(self.next())
        return found

    def waiting(self):
        """What has come by now."""
        found = []
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self._socket.recv(4096).decode().split("\n"))
        self._socket.settimeout(30)
        return found


@pytest.fixture
def address():
    """A path of a socket, which must not be long."""
    with tempfile.TemporaryDirectory() as directory:
        yield f"{directory}/n"


@pytest.fixture
def listening(address):
    listening = Listening(address, address)
    yield listening
    listening.close()


@pytest.fixture(params=["path", pytest.param("abstract", marks=linux)])
def manager_at(request):
    """A socket of each kind that systemd may name."""
    if request.param == "path":
        yield request.getfixturevalue("listening")
        return
    name = f"trio-cursor-{uuid.uuid4()}"
    listening = Listening(f"\0{name}", f"@{name}")
    yield listening
    listening.close()


def manager_of(listening, **environ):
    return Manager.of({"NOTIFY_SOCKET": listening.name, **environ}, platform="linux")


# -- The environment -----------------------------------------------------------------------------------


def test_the_variables_are_taken_out_so_that_no_child_is_taken_for_the_service(listening):
    environ = {"NOTIFY_SOCKET": listening.name, "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())}
    manager = Manager.of({**environ}, platform="linux")
    assert (manager.address, manager.watchdog_seconds) == (listening.name, 2.0)
    assert Manager.of(environ, platform="darwin").address is None
    assert environ == {}


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("500000", None, 0.5),
        ("500000", "{}", 0.5),
        ("500000", "1", None),
        ("", "{}", None),
        ("0", None, None),
        ("soon", None, None),
        ("-5", None, None),
        ("\u0663", None, None),
    ],
)
def test_the_watchdog_is_fed_only_where_we_are_watched(listening, usec, pid, seconds):
    environ = {"WATCHDOG_USEC": usec}
    if pid is not None:
        environ["WATCHDOG_PID"] = pid.format(os.getpid())
    assert manager_of(listening, **environ).watchdog_seconds == seconds


@pytest.mark.parametrize("name", ["", "vsock:2:1234", "relative", "@", "/"])
def test_an_address_of_another_kind_is_nobody(name, logged):
    assert Manager.of({"NOTIFY_SOCKET": name}, platform="linux").address is None
    assert bool(logged()) == bool(name)


async def test_without_a_manager_nothing_is_told_and_nobody_waits():
    manager = Manager.of({}, platform="linux")
    await manager.attend(lambda: SYNCED)
    manager.reloading()
    manager.reloaded()
    manager.will_not_run("no")


# -- In virtual time -----------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def attending(manager, progress):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(manager.attend, progress)
        await trio.testing.wait_all_tasks_blocked()
        yield
        nursery.cancel_scope.cancel()


async def test_it_is_ready_and_says_how_it_goes_and_that_it_stops(manager_at, autojump_clock):
    now = SYNCED
    async with attending(manager_of(manager_at), lambda: now):
        assert manager_at.waiting() == [["READY=1", WORDS]]
        await trio.sleep(15)
        assert manager_at.waiting() == []  # nothing new
        now = attrs.evolve(SYNCED, generations=2)
        await trio.sleep(10)
        assert manager_at.waiting() == [["STATUS=2 databases watched, 2 generations reported"]]
    assert manager_at.waiting() == [["STOPPING=1", "STATUS=stopping"]]


@pytest.mark.parametrize(
    ("change", "is_fed"),
    [
        ({}, True),
        ({"late_seconds": 4.0}, True),
        ({"late_seconds": 6.0}, False),
        ({"late_seconds": 600.0, "log_error": "disk full"}, True),  # a new start would mend nothing
    ],
)
async def test_the_watchdog_is_fed_while_the_sweep_goes_on(listening, autojump_clock, change, is_fed):
    now = attrs.evolve(SYNCED, **change)
    async with attending(manager_of(listening, WATCHDOG_USEC="10000000"), lambda: now):
        await trio.sleep(10.1)
        feeds = [message for message in listening.waiting() if "WATCHDOG=1" in message]
        assert len(feeds) == (5 if is_fed else 0)


async def test_what_a_slow_manager_did_not_take_is_told_again(listening, autojump_clock):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        filling = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                other.sendto(b"x", listening.name)
                filling += 1
    async with attending(manager_of(listening), lambda: SYNCED):
        await trio.sleep(1)
        assert listening.waiting() == [["x"]] * filling
        await trio.sleep(1)
        assert listening.waiting() == [["READY=1", WORDS]]


async def test_a_manager_that_is_away_hears_it_all_when_it_is_back(address, autojump_clock, logged):
    manager = Manager.of({"NOTIFY_SOCKET": address}, platform="linux")
    async with attending(manager, lambda: SYNCED):
        await trio.sleep(5)
        assert logged() == ["the service manager cannot be told anything"]
        back = Listening(address, address)
        await trio.sleep(1)
        assert back.waiting() == [["READY=1", WORDS]]
        back.close()


async def test_a_reload_begins_at_a_moment_and_ends(listening, autojump_clock):
    manager = manager_of(listening)
    async with attending(manager, lambda: SYNCED):
        listening.waiting()
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        manager.reloading()
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        [[reloading, usec]] = listening.waiting()
        assert reloading == "RELOADING=1"
        assert before <= int(usec.removeprefix("MONOTONIC_USEC=")) <= after
        manager.reloaded()
        await trio.sleep(30)
        assert listening.waiting() == [["READY=1"]]


def test_words_about_how_it_goes():
    assert words_of(attrs.evolve(idle(), looked=3, total=10)) == "first pass: 3 of 10 databases read"
    behind = OutputStatus("json_lines:/a\nREADY=1", "connected", 1, 2, 0, None)
    assert (
        words_of(attrs.evolve(SYNCED, outputs=(behind,)))
        == "2 databases watched, 1 generation reported; json_lines:/a⏎READY=1 is 2 events behind"
    )
    assert words_of(attrs.evolve(SYNCED, log_error="full\n")) == "the event log cannot be used: full⏎"


def test_where_there_are_no_such_sockets_it_is_one_line(monkeypatch, logged):
    monkeypatch.setattr(notifying.sys, "platform", "win32")
    Manager("/x").will_not_run("no")
    assert logged() == ["the service manager cannot be told anything"]


# -- A run ---------------------------------------------------------------------------------------------


@pytest.fixture
def places(user_dir, tmp_path, monkeypatch):
    move_home(tmp_path / "home", monkeypatch)
    return ["--cursor-dir", str(user_dir), "--state-dir", str(tmp_path / "state"), "--http", "off"]


@linux
def test_a_service_tells_all_of_it(listening, places, user_dir, tmp_path):
    items = [cursor_files.ring_item(unixMs=int(time.time() * 1000) - 3_600_000, textDescription="a secret")]
    cursor_files.make_workspace(user_dir, "a1", items)
    (tmp_path / "c.toml").touch()
    environ = {**os.environ, "NOTIFY_SOCKET": listening.name, "WATCHDOG_USEC": "400000"}
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "env": environ}
    with start("run", "-c", tmp_path / "c.toml", *places, **options) as process:
        try:
            first = listening.next()
            assert first[0] == "READY=1"
            listening.until(r"STATUS=\d databases? watched, \d generations? reported")
            listening.until("WATCHDOG=1")
            (tmp_path / "c.toml").write_text("[cursor_database_monitor]\npoll_interval_seconds = 9\n")
            process.send_signal(signal.SIGHUP)
            listening.until("RELOADING=1")
            listening.until("READY=1")
            process.terminate()
            listening.until("STOPPING=1")
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0
    assert '"event": "configuration changed"' in err
    assert all(line.startswith("{") for line in err.splitlines())
    assert "a secret" not in err


@linux
def test_a_sweep_that_stands_still_starves_the_watchdog(listening, places, user_dir, tmp_path):
    """The event loop lives on, but nobody takes what the sweep has seen."""
    cursor_files.make_workspace(user_dir, "a1")
    program = """
import sys, trio
from trio_cursor.sessions.tracker import Tracker
async def listen(self, sightings):
    await trio.sleep_forever()
Tracker.listen = listen
from trio_cursor.cli import main
sys.exit(main(sys.argv[1:]))
"""
    environ = {**os.environ, "NOTIFY_SOCKET": listening.name, "WATCHDOG_USEC": "200000"}
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "env": environ}
    with start("run", *places, interpreter=("-c", program), **options) as process:
        try:
            assert listening.next()[0] == "READY=1"
            time.sleep(0.5)
            listening.waiting()
            time.sleep(0.5)
            assert [message for message in listening.waiting() if "WATCHDOG=1" in message] == []
            assert process.poll() is None
        finally:
            process.kill()


@linux
def test_a_service_that_is_switched_off_was_started_all_the_same(listening, places, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", listening.name)
    monkeypatch.setenv("TRIO_CURSOR_CURSOR_DATABASE_MONITOR__ENABLED", "false")
    assert main(["run", *places]) == 0
    assert listening.waiting() == [["READY=1", "STATUS=enabled = false in the configuration"]]
    assert "NOTIFY_SOCKET" not in os.environ


async def test_an_embedding_host_keeps_its_socket_for_itself(listening, user_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", listening.name)
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    keys = {"cursor.dirs": [str(user_dir)], "state.dir": str(tmp_path / "state"), "http.listen": "off"}
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, load_config(overrides=keys))
        await handle.synced()
        assert handle.progress().late_seconds < 5
        nursery.cancel_scope.cancel()
    assert listening.waiting() == []
    assert os.environ["NOTIFY_SOCKET"] == listening.name


def test_the_null_device_is_known(tmp_path, capfd):
    with Path(os.devnull).open("w") as null, (tmp_path / "f").open("w") as file:
        assert (goes_nowhere(null), goes_nowhere(file), goes_nowhere(sys.stdout)) == (True, False, False)
