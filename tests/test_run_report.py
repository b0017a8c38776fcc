"""What a run says of sessions: that it waits for one, and what was left for want of one."""

import json
import logging
import time

import attrs
import cursor_files
import pytest
import trio

from trio_cursor.cli import main
from trio_cursor.cli.run_report import Report, server_begun
from trio_cursor.cli.words import Words
from trio_cursor.config import Config, LoggingConfig, RedisConfig, SessionsConfig
from trio_cursor.cursor.folders import workspace_hash
from trio_cursor.status import ServerStatus, UnmappedStatus, WorkspaceStatus, disabled

pytestmark = pytest.mark.usefixtures("home")

ELSEWHERE = "0123456789abcdef"
SERVER = ServerStatus("127.0.0.1:4321", "listening", None)
REDIS = RedisConfig(url="redis://:secret@example.org:6379")


@pytest.fixture
def sessions(tmp_path, monkeypatch):
    """Where session files are looked for."""
    (tmp_path / "sessions").mkdir()
    monkeypatch.setenv("TRIO_CURSOR_SESSIONS__FILES_DIR", str(tmp_path / "sessions"))
    return tmp_path / "sessions"


@pytest.fixture
def report(caplog):
    """The words of a run, as `run` has them on a terminal."""
    caplog.set_level(logging.INFO)

    def make(*, is_once=False, **config):
        settings = SessionsConfig(mode="extension", files_dir="/sessions")
        words = Words(LoggingConfig(format="console"))
        return Report(attrs.evolve(Config(), **{"sessions": settings, **config}), words, is_once=is_once)

    return make


def tell_of(directory, hash_, path):
    told = {"CURSOR_SESSION_ID": f"of {path}", "CURSOR_WORKSPACE_HASH": hash_, "workspace_path": path}
    (directory / f"{hash_}.json").write_text(json.dumps({**told, "updated_at": time.time()}))


# -- After the first pass ------------------------------------------------------------------------------


def once(user_dir, tmp_path):
    words = ["run", "--once", "--sessions", "extension", "--since", "all", "--log-format", "console"]
    places = ["--cursor-dir", str(user_dir), "--state-dir", str(tmp_path / "state")]
    return main([*words, *places])


def test_without_a_session_it_says_that_nothing_was_read_and_what_would_announce_one(
    capsys, user_dir, tmp_path, sessions
):
    cursor_files.make_workspace(user_dir, "a1", [cursor_files.ring_item()])
    tell_of(sessions, ELSEWHERE, "/elsewhere")
    assert once(user_dir, tmp_path) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert (
        "No session was announced, so nothing was read. One can be announced:\n"
        f"  by a file in {sessions}\n"
        "1 workspace announced that cannot be found here: `workspaces` says why.\n"
        "0 generations from 0 workspaces"
    ) in err


def test_with_a_session_it_says_what_was_read(capsys, user_dir, tmp_path, sessions):
    cursor_files.make_workspace(user_dir, "a1", [cursor_files.ring_item()])
    cursor_files.make_workspace(user_dir, "b2", [cursor_files.ring_item()])
    tell_of(sessions, workspace_hash("/home/demo/a1"), "/home/demo/a1")
    assert once(user_dir, tmp_path) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert "1 database read, 1 generation new." in err
    assert "announced" not in err


def test_where_there_is_no_cursor_that_is_what_is_said(capsys, tmp_path, sessions):
    once(tmp_path / "nowhere", tmp_path)
    assert f"No Cursor found. Looked for:\n  {tmp_path}/nowhere\n" in capsys.readouterr().err
    assert list(sessions.iterdir()) == []


async def test_it_waits_for_a_session_by_every_way_there_is(capsys, report, tmp_path):
    status = attrs.evolve(disabled(), searched=(str(tmp_path),), http=SERVER)
    assert not await report(redis=REDIS).what_is_there(status)
    assert capsys.readouterr().err.splitlines() == [
        "Waiting for a session: nothing is read before one is announced:",
        "  on the stream telemetry:events at redis://:***@example.org:6379",
        "  by a file in /sessions",
        "  by POST to http://127.0.0.1:4321/events",
        "The page is on http://127.0.0.1:4321/.",
        "^C stops.",
    ]
    settings = SessionsConfig(mode="extension", files_dir="/sessions", stream="own")
    unmapped = UnmappedStatus(ELSEWHERE, None, (), {})
    status = attrs.evolve(status, http=None, unmapped=(unmapped, unmapped))
    assert not await report(redis=REDIS, sessions=settings).what_is_there(status)
    assert capsys.readouterr().err.splitlines()[1:] == [
        "  on the stream own at redis://:***@example.org:6379",
        "  by a file in /sessions",
        "2 workspaces announced that cannot be found here: `workspaces` says why.",
        "^C stops.",
    ]


@pytest.mark.parametrize(
    ("place", "mode", "said"),
    [
        ("", "auto", "No workspace in "),
        ("", "extension", "Waiting for a session"),
        ("nowhere", "auto", "No Cursor found."),
    ],
)
async def test_where_the_page_is_is_told_before_there_is_anything_to_see(
    capsys, report, tmp_path, *, place, mode, said
):
    status = attrs.evolve(disabled(), searched=(str(tmp_path / place),), http=SERVER)
    await report(sessions=SessionsConfig(mode=mode)).what_is_there(status)
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert err.count("The page is on http://127.0.0.1:4321/.\n") == 1
    busy = attrs.evolve(status, http=attrs.evolve(SERVER, state="error"))
    await report(sessions=SessionsConfig(mode=mode)).what_is_there(busy)
    assert "The page" not in capsys.readouterr().err


@attrs.define
class Later:
    """A handle with one status after the other."""

    statuses: list

    def status(self):
        return self.statuses.pop(0)


async def test_a_page_that_is_about_to_be_there_is_waited_for_but_not_for_long(autojump_clock):
    begins = attrs.evolve(disabled(), http=attrs.evolve(SERVER, state="off"))
    for end in (SERVER, attrs.evolve(SERVER, state="error"), None):
        handle = Later([begins, begins, attrs.evolve(disabled(), http=end)])
        await server_begun(handle)
        assert handle.statuses == []
    began = trio.current_time()
    await server_begun(Later([begins] * 1000))
    assert trio.current_time() - began == pytest.approx(2)


@pytest.mark.parametrize(
    ("mode", "words"), [("extension", "A session was announced."), ("auto", "Cursor found.")]
)
async def test_when_it_need_not_wait_any_more_it_says_so(capsys, report, autojump_clock, mode, words):
    nothing = dict.fromkeys(attrs.fields_dict(WorkspaceStatus))
    read = attrs.evolve(disabled(), workspaces=(WorkspaceStatus(**nothing | {"workspace_id": "a1"}),))
    handle = Later([disabled(), disabled(), attrs.evolve(read, http=SERVER)])
    await report(sessions=SessionsConfig(mode=mode)).when_it_appears(handle)
    said = f"{words} The page is on http://127.0.0.1:4321/. Watching; ^C stops.\n"
    assert capsys.readouterr().err == said
    assert handle.statuses == []


# -- At the end ----------------------------------------------------------------------------------------


def summed_up(capsys, report, **changes):
    status = attrs.evolve(disabled(), **changes)
    report().summary(status, trouble=None, is_interrupted=False)
    return capsys.readouterr().err.splitlines()[:-1]


def test_what_waits_for_a_session_has_words_of_its_own(capsys, report):
    assert summed_up(capsys, report, pending=65, held=63) == [
        "63 generations wait for a session of their workspace: left for the next run.",
        "2 generations not finished yet: left for the next run.",
    ]
    assert summed_up(capsys, report, pending=1, held=1) == [
        "1 generation waits for a session of its workspace: left for the next run."
    ]
    assert summed_up(capsys, report, pending=1) == ["1 generation not finished yet: left for the next run."]
    assert summed_up(capsys, report) == []


def test_what_no_session_came_for_is_passed_over(capsys, report):
    assert summed_up(capsys, report, unattributed=3, nameless=1) == [
        "Passed over: of no known workspace, and no session came (3), turn that nothing names (1)."
    ]
