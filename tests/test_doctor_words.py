"""`doctor`: what is said of facts that no test can bring about in earnest: full disks, other platforms."""

import time
from pathlib import Path

import attrs
import pytest
from test_doctor import running

from trio_cursor.config import load_config
from trio_cursor.cursor.guest import Busy, Empty
from trio_cursor.doctor import cursor_checks, own_checks
from trio_cursor.doctor.check import Level
from trio_cursor.doctor.facts import Facts
from trio_cursor.doctor.looking import CursorLook, Database
from trio_cursor.doctor.machine import this_machine
from trio_cursor.doctor.port import look_at_port
from trio_cursor.doctor.state import OwnLook
from trio_cursor.errors import StateError
from trio_cursor.eventlog import formats
from trio_cursor.records import Workspace
from trio_cursor.status import ServerStatus
from trio_cursor.status_file import ServiceLook

pytestmark = pytest.mark.usefixtures("home")

NOW = int(time.time() * 1000)
STATE = Path("/home/dev/state")
GIGABYTE = 1_000_000_000


@pytest.fixture
def facts(home):
    config = load_config(None, overrides={"state.dir": str(home / "state")})
    return lambda **known: Facts(config, NOW, this_machine(), **known)


def said(checks):
    """By level: what is said, and what to do."""
    return [(item.level, item.what, item.do or "") for item in checks]


def test_a_disk_that_is_full_is_a_finding_and_a_small_one_a_note(facts):
    full = said(own_checks.state(facts(own=OwnLook(STATE, free_bytes=20_000_000))))[-1]
    assert full[:2] == (Level.FINDING, "only 20 MB are free on its disk")
    assert "free some" in full[2]
    small = said(own_checks.state(facts(own=OwnLook(STATE, free_bytes=200_000_000))))[-1]
    assert small[0] is Level.NOTE
    assert "max_megabytes" in small[2]
    nowhere = OwnLook(STATE, no_copies="Permission denied", free_bytes=100 * GIGABYTE)
    assert "cannot be copied there: Permission denied" in said(own_checks.state(facts(own=nowhere)))[1][1]
    assert said(own_checks.state(facts())) == []


def test_a_log_that_is_old_or_too_large_to_be_looked_through(facts):
    old = OwnLook(STATE, log_format=formats.FORMAT - 1, log_bytes=5 * GIGABYTE, events=7)
    words = [what for _, what, _ in said(own_checks.event_log(facts(own=old)))]
    assert words[0] == "7 records, 5,000.0 MB"
    assert "too large" in words[1]
    assert f"brings it to {formats.FORMAT}" in words[2]
    broken = attrs.evolve(old, pages="row 3 missing from index")
    assert said(own_checks.event_log(facts(own=broken)))[0][0] is Level.FINDING
    assert said(own_checks.event_log(facts())) == said(own_checks.page_index(facts())) == []


def service(facts, status=None, **look):
    return said(own_checks.service(facts(service=ServiceLook(is_running=True, status=status, **look))))


def test_what_a_running_service_may_say(facts):
    status = {
        **running().to_object(),
        "version": "0.0.9",
        "first_pass_done": False,
        "progress": (3, 9),
        "refused": 4,
        "alarms": [{"kind": "log", "words": "/c does not answer"}],
        "http": attrs.asdict(ServerStatus("127.0.0.1:1", "error", "Permission denied")),
    }
    found = service(facts, status)
    words = [what for _, what, _ in found]
    assert "it is of version 0.0.9" in words[0]
    assert "still at its first look: 3 of 9 databases" in words
    # An alarm of a version that says more of each than words.
    assert (Level.FINDING, "/c does not answer") in [item[:2] for item in found]
    assert "HTTP on 127.0.0.1:1: Permission denied" in words
    assert any(what.startswith("4 starts of sessions were refused") for what in words)
    off = service(facts, {**status, "state": "disabled"})
    assert "it runs switched off, and watches nothing" in [what for _, what, _ in off]


def test_what_cannot_be_told_of_a_service(facts):
    assert "no status that can be read" in service(facts)[0][1]
    assert service(facts, {}, age_ms=60_000)[0][2].startswith("if that stays so, end it")
    assert service(facts, trouble=StateError("the lock is broken; mend it"))[0][1:] == (
        "the lock is broken",
        "mend it",
    )
    assert said(own_checks.service(facts())) == []
    windows = attrs.evolve(facts(), machine=attrs.evolve(this_machine(), platform="win32"))
    hung = attrs.evolve(windows, service=ServiceLook(is_running=True, status={"pid": 7}, age_ms=60_000))
    assert "taskkill /F /PID 7" in said(own_checks.service(hung))[0][2]


def test_who_has_no_room_to_say_anything_does_not_hang(facts):
    silent = ServiceLook(is_running=True, status={"pid": 7}, age_ms=60_000)
    [full] = said(own_checks.service(facts(service=silent, own=OwnLook(STATE, free_bytes=4096))))
    assert full[1].endswith(
        "not said anything for 60 s: it cannot: there is no room on the disk of the state directory"
    )
    assert "free some" in full[2]
    assert "kill" not in full[2]
    for own in (OwnLook(STATE, free_bytes=GIGABYTE), OwnLook(STATE)):
        [hung] = said(own_checks.service(facts(service=silent, own=own)))
        assert hung[1].endswith("for 60 s: it hangs")
        assert "kill -9 7" in hung[2]


def test_one_alarm_was_given_up(facts):
    status = {**running().to_object(), "webhook": {"last_error": None, "lost": 1}}
    assert "1 alarm, raised or over, was given up: not taken by the webhook" in [
        what for _, what, _ in service(facts, status)
    ]


def test_that_nobody_asked_anything_is_not_said_of_what_could_not_be_read(facts):
    workspace = Workspace("/c/state.vscdb", "/c", "a1")
    read = Database(workspace, was_looked_at=True)

    def words(failure):
        other = Database(workspace, was_looked_at=True, failure=failure)
        [found] = said(cursor_checks.activity(facts(cursor=CursorLook((), (), (read, other)))))
        return found[1:]

    assert words(Empty("there is no such file"))[0].startswith(
        "no request to Cursor's AI is listed in any workspace"
    )
    what, do = words(Busy("database is locked"))
    assert what.startswith("no request to Cursor's AI is listed in what was read")
    assert do.startswith("mend what is said of the others")


def test_what_is_promised_elsewhere(facts):
    machine = attrs.evolve(this_machine(), platform="win32", is_wsl=True, has_octet_length=False)
    words = [what for _, what, _ in said(own_checks.machine(attrs.evolve(facts(), machine=machine)))]
    assert len(words) == 4
    assert "older than 3.43" in words[1]
    assert "shared-memory" in words[2]
    assert "WSL" in words[3]


def test_of_what_is_not_known_nothing_is_said(facts):
    assert said(cursor_checks.directories(facts())) == said(cursor_checks.databases(facts())) == []
    assert said(cursor_checks.activity(facts())) == []
    unread = Database(Workspace("/c/state.vscdb", "/c", "a1"))
    [silent] = said(cursor_checks.databases(facts(cursor=CursorLook((), (), (unread,)))))
    assert silent[:2] == (Level.FINDING, "there was no time to look at it")
    empty = Database(
        Workspace("/c/state.vscdb", "/c", "a1"), was_looked_at=True, journal_mode="wal", size=2_500_000
    )
    words = [what for _, what, _ in said(cursor_checks.databases(facts(cursor=CursorLook((), (), (empty,)))))]
    assert words[-1] == "2.5 MB, journal wal; nothing of Cursor's AI is in it yet"


def test_a_port_is_asked_for_as_servers_of_windows_do(home):
    # There `SO_REUSEADDR` would let two have it.
    free = load_config(None, overrides={"http.listen": "127.0.0.1:0"})
    assert look_at_port(free, "win32").trouble is None
