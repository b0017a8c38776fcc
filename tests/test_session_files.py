"""Session files on a real disk, with all that may lie in such a directory."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from trio_cursor.records import Session
from trio_cursor.sessions import file_look, session_files
from trio_cursor.sessions.session_files import watch_session_files
from trio_cursor.states import SourceState
from trio_cursor.threads import run_or_leave

H1, H2 = "a1" * 8, "b2" * 8
HOUR = 3_600_000
needs_posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such thing")


@attrs.define(eq=False)
class NotingDesk:
    """Keeps what is handed in."""

    heard: list = attrs.field(factory=list)
    batches: list = attrs.field(factory=list)
    #: Raised by the next calls.
    failures: list = attrs.field(factory=list)

    async def announce(self, heard, mark=None):
        await trio.lowlevel.checkpoint()
        if self.failures:
            raise self.failures.pop()
        self.batches.append(len(heard))
        self.heard += heard

    async def doubt(self, source):
        raise AssertionError("files are never doubted")

    def words(self):
        return [
            ("start" if one.is_start else "end", one.workspace_hash, one.session_id) for one in self.heard
        ]


@attrs.define(eq=False)
class World:
    directory: object
    desk: NotingDesk
    state: SourceState
    caught_up: list = attrs.field(factory=list)
    shift_ms: int = 0

    def now_ms(self):
        return time.time_ns() // 1_000_000 + self.shift_ms

    def write(self, name, session_id="s1", **more):
        target = self.directory / f"{name}.json"
        target.write_text(json.dumps({"CURSOR_SESSION_ID": session_id} | more))
        return target

    async def until(self, condition):
        with trio.fail_after(20):
            while not condition():  # noqa: ASYNC110 - of a thread and a disk
                await trio.sleep(0.005)

    async def said(self, *words):
        await self.until(lambda: len(self.desk.heard) >= len(words))
        assert self.desk.words() == list(words)

    async def looks(self, count=4):
        """So many whole looks from now on."""
        for number in range(count):
            # A name that is looked at is seen after the look that is in hand.
            mark = self.directory / f"{'f' * 16}{number:x}.json"
            before = len(self.desk.heard)
            mark.write_text('{"CURSOR_SESSION_ID": "mark"}')
            await self.until(lambda before=before: len(self.desk.heard) > before)
            assert self.desk.heard.pop().session_id == "mark"


@pytest.fixture
def world(tmp_path):
    directory = tmp_path / "cursor-session"
    directory.mkdir()
    return World(directory, NotingDesk(), SourceState("files"))


@asynccontextmanager
async def watching(world, **options):
    async with trio.open_nursery() as nursery:
        run = lambda: watch_session_files(  # noqa: E731
            world.directory,
            world.desk,
            world.state,
            now_ms=world.now_ms,
            caught_up=lambda: world.caught_up.append(len(world.desk.heard)),
            **{"every": 0.01, "inactive_ms": 12 * HOUR} | options,
        )
        nursery.start_soon(run)
        yield
        nursery.cancel_scope.cancel()


async def test_a_file_starts_a_session_and_ends_it_when_it_is_removed(world):
    updated = world.now_ms() - HOUR
    target = world.write(
        H1, CURSOR_WORKSPACE_HASH=H1.upper(), workspace_path="/home/demo/a", updated_at=updated
    )
    async with watching(world):
        await world.said(("start", H1, "s1"))
        (start,) = world.desk.heard
        assert (start.source, start.workspace_path) == ("files", "/home/demo/a")
        assert (start.heard_ms, start.said_ms) == (updated, None)
        await world.until(lambda: world.caught_up)
        assert world.caught_up == [1]
        assert world.state.state == "connected"
        target.unlink()
        await world.said(("start", H1, "s1"), ("end", H1, "s1"))
        assert world.desk.heard[1].heard_ms > updated + HOUR - 1
        await world.looks()
    assert world.desk.words() == [("start", H1, "s1"), ("end", H1, "s1")]
    assert world.caught_up == [1]
    assert world.state.skipped == {}


async def test_a_file_without_a_time_was_alive_when_it_was_written_and_never_later_than_now(world):
    os.utime(world.write(H1), (1_000_000, 1_000_000))
    ahead = world.now_ms() + 24 * HOUR
    os.utime(world.write(H2, updated_at=ahead), (ahead / 1000, ahead / 1000))
    async with watching(world):
        await world.until(lambda: len(world.desk.heard) == 2)
    heard = {one.workspace_hash: one.heard_ms for one in world.desk.heard}
    assert heard[H1] == 1_000_000_000
    assert 0 <= world.now_ms() - heard[H2] < HOUR


async def test_an_update_is_told_and_one_that_is_too_old_ends_the_session(world):
    world.write(H1, updated_at=world.now_ms() - HOUR)
    async with watching(world):
        await world.said(("start", H1, "s1"))
        updated = world.now_ms() - 1000
        world.write(H1, updated_at=updated)
        await world.said(("start", H1, "s1"), ("start", H1, "s1"))
        assert world.desk.heard[1].heard_ms == updated
        world.shift_ms = 12 * HOUR
        await world.until(lambda: len(world.desk.heard) == 3)
        assert world.desk.words()[2] == ("end", H1, "s1")
        await world.looks()
        assert len(world.desk.heard) == 3
        world.write(H1, updated_at=world.now_ms())
        await world.until(lambda: len(world.desk.heard) == 4)
    assert world.desk.words()[3] == ("start", H1, "s1")


async def test_what_is_too_old_from_the_beginning_is_not_announced(world):
    world.write(H1, updated_at="2001-01-01T00:00:00Z")
    async with watching(world):
        await world.looks()
    assert world.desk.heard == []


async def test_a_file_that_names_another_session_starts_that_and_ends_the_former(world):
    world.write(H1, "s1")
    async with watching(world):
        await world.said(("start", H1, "s1"))
        world.write(H1, "s2")
        await world.said(("start", H1, "s1"), ("start", H1, "s2"), ("end", H1, "s1"))
        world.write(H1, "")
        await world.until(lambda: len(world.desk.heard) == 4)
        assert world.desk.words()[3] == ("end", H1, "s2")
    assert world.state.skipped == {"no session_id": 1}


async def test_a_file_that_is_back_starts_its_session_anew_however_old_its_words_are(world):
    updated = world.now_ms() - HOUR
    target = world.write(H1, updated_at=updated)
    async with watching(world):
        await world.said(("start", H1, "s1"))
        content = target.read_bytes()
        target.unlink()
        await world.until(lambda: len(world.desk.heard) == 2)
        target.write_bytes(content)
        await world.said(("start", H1, "s1"), ("end", H1, "s1"), ("start", H1, "s1"))
    assert world.desk.heard[2].heard_ms >= world.desk.heard[1].heard_ms


async def test_what_was_told_by_files_before_a_restart_ends_with_its_file(world):
    def told(id_, hash_=H1, source="files", ended_at=None):
        return Session(id_, None, source, 5, ended_at, hash_)

    world.write(H2, "kept")
    known = [
        told("gone"),
        told("another"),
        told("kept", H2),
        told("former", H2),
        told("not ours", source="redis"),
        told("over", ended_at=9),
        Session("scan_w1", "/w1/state.vscdb", "discovery", 5),
    ]
    async with watching(world, known=known):
        await world.until(lambda: world.caught_up)
        assert world.caught_up == [4]
    # A file that is being replaced is not there for a moment.
    assert world.desk.words()[:2] == [("start", H2, "kept"), ("end", H2, "former")]
    assert sorted(world.desk.words()) == [
        ("end", H1, "another"),
        ("end", H1, "gone"),
        ("end", H2, "former"),
        ("start", H2, "kept"),
    ]


async def test_a_directory_that_is_not_there_is_waited_for_and_not_made(world):
    world.directory.rmdir()
    async with watching(world):
        await world.until(lambda: world.caught_up)
        assert (world.state.state, world.state.errors) == ("waiting", 0)
        assert world.state.last_error == "no such directory (yet)"
        assert not world.directory.exists()
        world.directory.mkdir()
        target = world.write(H1)
        await world.said(("start", H1, "s1"))
        assert world.state.state == "connected"
        target.unlink()
        world.directory.rmdir()
        await world.said(("start", H1, "s1"), ("end", H1, "s1"))
        await world.until(lambda: world.state.state == "waiting")
    assert world.state.errors == 0


async def test_a_file_in_the_place_of_the_directory_is_said_and_ends_nothing(world, logged):
    world.directory.rmdir()
    world.directory.write_text("")
    async with watching(world, known=[Session("s1", None, "files", 5, None, H1)]):
        await world.until(lambda: world.state.errors > 2)
        assert (world.state.state, world.desk.heard, world.caught_up) == ("error", [], [0])
        assert world.state.last_error
        assert len([line for line in logged() if "cannot be looked at" in line]) == 1
        world.directory.unlink()
        await world.said(("end", H1, "s1"))
        assert world.state.state == "waiting"


@needs_posix
async def test_the_directory_may_be_a_link_which_is_said(world, tmp_path, logged):
    link = tmp_path / "link"
    link.symlink_to(world.directory)
    world.write(H1)
    world.directory = link
    async with watching(world):
        await world.said(("start", H1, "s1"))
        await world.looks()
    assert len([line for line in logged() if "symbolic link" in line]) == 1


@needs_posix
async def test_what_is_no_small_regular_file_with_a_right_name_is_left_alone(world, tmp_path, logged):
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text('{"CURSOR_SESSION_ID": "stolen"}')
    (world.directory / f"{'1' * 16}.json").symlink_to(elsewhere)
    os.mkfifo(world.directory / f"{'2' * 16}.json")
    (world.directory / f"{'3' * 16}.json").mkdir()
    world.write("4" * 16, text="x" * file_look.FILE_LIMIT)
    for name in ("cafe", "g" * 16, "5" * 65, "readme"):
        world.write(name)
    (world.directory / f"{'6' * 16}.json.tmp").write_text('{"CURSOR_SESSION_ID": "s"}')
    (world.directory / f"{'7' * 16}.json").write_text("[1]")
    world.write("8" * 16, CURSOR_WORKSPACE_HASH=H1)
    world.write("9" * 16, CURSOR_WORKSPACE_HASH=["9" * 16])
    world.write("d" * 16, "s" * 201)
    async with watching(world):
        await world.looks()
    assert world.desk.heard == []
    assert world.state.skipped == {
        "it is not a regular file": 3,
        f"it is larger than {file_look.FILE_LIMIT} bytes": 1,
        "it is not a JSON object": 1,
        "CURSOR_WORKSPACE_HASH is not that of its name": 2,
        "session_id is not usable": 1,
    }
    assert len([line for line in logged() if "passed over" in line]) == 5


@needs_posix
async def test_a_pipe_that_takes_the_place_of_a_file_keeps_nobody_waiting(world, monkeypatch):
    look = os.lstat(world.write(H1))
    (world.directory / f"{H1}.json").unlink()
    os.mkfifo(world.directory / f"{H1}.json")
    real = os.lstat
    monkeypatch.setattr(os, "lstat", lambda path: look if str(path).endswith(f"{H1}.json") else real(path))
    async with watching(world):
        await world.until(lambda: world.state.skipped)
    assert world.state.skipped == {"it cannot be read (EINVAL)": 1}
    assert world.desk.heard == []


async def test_a_half_written_file_ends_nothing_and_is_counted_only_if_it_stays_so(world, logged):
    target = world.write(H1)
    async with watching(world):
        await world.said(("start", H1, "s1"))
        whole = target.read_bytes()
        target.write_bytes(whole[:5])
        await world.until(lambda: world.state.skipped)
        await world.looks()
        assert world.state.skipped == {"it is not JSON": 1}
        target.write_bytes(whole.replace(b"s1", b"s2"))
        await world.until(lambda: len(world.desk.heard) == 3)
        assert world.desk.words()[1:] == [("start", H1, "s2"), ("end", H1, "s1")]
    assert len([line for line in logged() if "passed over" in line]) == 1


async def test_half_of_a_file_is_read_again_until_it_is_whole(world, monkeypatch):
    target, half, real = world.directory / f"{H1}.json", b'{"CURSOR_SESSION_ID": ', file_look._read
    found = []

    def read(path):
        """The other half is written as soon as somebody has read the first."""
        found.append(real(path))
        if found[-1] == half:
            with target.open("ab") as file:
                file.write(b'"s1"}')
        return found[-1]

    monkeypatch.setattr(file_look, "_read", read)
    async with watching(world):
        await world.until(lambda: world.caught_up)
        (world.directory / "new").write_bytes(half)
        (world.directory / "new").rename(target)
        await world.said(("start", H1, "s1"))
    assert found[0] == half
    assert world.state.skipped == {}


async def test_a_file_that_may_not_be_read_is_counted_and_read_once_it_may(world, monkeypatch):
    target, real, is_denied = str(world.write(H1)), os.open, [True]

    def deny(path, *more, **named):
        if path == target and is_denied:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, *more, **named)

    monkeypatch.setattr(file_look.os, "open", deny)
    async with watching(world):
        await world.until(lambda: world.state.skipped)
        assert world.state.skipped == {"it cannot be read (EACCES)": 1}
        is_denied.clear()
        os.utime(target)
        await world.said(("start", H1, "s1"))


@pytest.mark.parametrize("call", ["lstat", "open"])
async def test_a_file_that_goes_while_it_is_looked_at_is_gone(world, monkeypatch, call):
    target, real = str(world.write(H1)), getattr(os, call)

    def remove(path, *more, **named):
        if path == target:
            os.unlink(path)  # noqa: PTH108 - a path is a text here
        return real(path, *more, **named)

    monkeypatch.setattr(file_look.os, call, remove)
    async with watching(world):
        await world.until(lambda: world.caught_up)
        await world.looks()
    assert (world.desk.heard, world.state.skipped) == ([], {})


async def test_bytes_that_are_not_utf_8_are_replaced(world):
    (world.directory / f"{H1}.json").write_bytes(b'{"CURSOR_SESSION_ID": "s1", "workspace_path": "/a\xff"}')
    async with watching(world):
        await world.said(("start", H1, "s1"))
    assert world.desk.heard[0].workspace_path == "/a\ufffd"


async def test_of_too_many_files_the_known_ones_are_looked_at_and_it_is_said_once(world, monkeypatch, logged):
    monkeypatch.setattr(file_look, "MOST_FILES", 20)
    names = [f"{number:016x}" for number in range(15)]
    for name in names:
        world.write(name)
    async with watching(world):
        await world.until(lambda: len(world.desk.heard) == 15)
        for number in range(15, 300):
            world.write(f"{number:016x}")
        await world.until(lambda: len(world.desk.heard) >= 20)
        target = world.write("0" * 16, "another")
        await world.until(lambda: len(world.desk.heard) >= 22)
        target.unlink()
        await world.until(lambda: len(world.desk.heard) >= 24)
    assert {("start", name, "s1") for name in names} <= set(world.desk.words())
    ends = [word for word in world.desk.words() if word[0] == "end"]
    assert ends == [("end", "0" * 16, "s1"), ("end", "0" * 16, "another")]
    assert len([one for one in world.desk.heard if one.is_start]) == 22
    assert list(world.state.skipped.values()) == [1]
    assert len([line for line in logged() if "some session files are passed over" in line]) == 1


async def test_many_files_are_handed_in_bit_by_bit(world):
    for number in range(250):
        world.write(f"{number:016x}")
    async with watching(world):
        await world.until(lambda: world.caught_up)
    assert world.desk.batches == [100, 100, 50]
    assert world.state.taken == 250


async def test_a_directory_that_hangs_is_left_to_its_thread_and_looked_at_when_it_answers(
    world, monkeypatch, logged
):
    answer, real = threading.Event(), os.lstat
    names, places = [], []

    def lstat(path):
        names.append(path)
        answer.wait(20)
        return real(path)

    async def run(work, *, limiter, leave):
        places.append(limiter)
        await run_or_leave(work, limiter=limiter, leave=leave)

    world.write(H1)
    world.write(H2)
    monkeypatch.setattr(file_look.os, "lstat", lstat)
    monkeypatch.setattr(session_files, "run_or_leave", run)
    try:
        async with watching(world, hangs_after=0.05):
            await world.until(lambda: world.caught_up)
            assert (world.state.state, world.state.last_error) == ("error", "it does not answer")
            # Nobody else is sent after it: the next look waits for the only place.
            await world.until(lambda: places[0].statistics().tasks_waiting)
            assert (len(names), len(places)) == (1, 1)
            answer.set()
            await world.until(lambda: len(world.desk.heard) == 2)
            assert world.state.state == "connected"
            assert world.caught_up == [0, 0]  # when it hung, and when it came back
    finally:
        answer.set()
    assert len([line for line in logged() if "cannot be looked at" in line]) == 1


async def test_the_end_waits_for_no_thread_that_hangs(world, monkeypatch):
    answer, begun, real = threading.Event(), threading.Event(), os.lstat
    before = threading.active_count()

    def lstat(path):
        begun.set()
        answer.wait(20)
        return real(path)

    world.write(H1)
    monkeypatch.setattr(file_look.os, "lstat", lstat)
    try:
        with trio.fail_after(10):
            async with watching(world):
                await world.until(begun.is_set)
    finally:
        answer.set()
    # Trio keeps idle threads for later; this one is not stuck.
    await world.until(lambda: threading.active_count() <= before + 1)
    assert world.desk.heard == []


async def test_a_mistake_of_ours_is_said_and_the_files_are_read_again(world, logged):
    world.desk.failures = [RuntimeError("a mistake")]
    world.write(H1)
    async with watching(world):
        await world.said(("start", H1, "s1"))
        await world.until(lambda: world.state.state == "connected")
    assert world.caught_up == [0]
    assert world.state.errors == 1
    assert "a source of sessions failed and starts again" in logged()


async def test_a_mistake_that_comes_again_and_again_is_told_once(world, caplog):
    caplog.set_level("INFO", logger="trio_cursor")

    def told():
        return sorted((record.levelname, bool(record.exc_info)) for record in caplog.records)

    once = [("ERROR", True), ("INFO", False), ("WARNING", False)]
    world.desk.failures = [RuntimeError("a mistake")] * 10_000
    target = world.write(H1)
    async with watching(world):
        await world.until(lambda: world.state.errors > 5)
        assert world.state.state == "error"
        assert told() == once
        world.desk.failures.clear()
        await world.until(lambda: world.state.state == "connected")
        await world.said(("start", H1, "s1"))
        assert told() == sorted([*once, ("INFO", False)])
        world.desk.failures = [RuntimeError("a mistake")] * 10_000
        target.unlink()
        await world.until(lambda: told().count(("ERROR", True)) == 2)  # after a time that was good it is news


async def test_names_that_differ_in_case_alone_are_one_workspace(world):
    world.write("AB" * 8, "s1")
    async with watching(world):
        await world.said(("start", "ab" * 8, "s1"))
        (world.directory / f"{'AB' * 8}.json").unlink()
        await world.said(("start", "ab" * 8, "s1"), ("end", "ab" * 8, "s1"))


async def test_of_two_names_that_differ_in_case_alone_it_is_always_the_same_that_counts(world):
    world.write("AB" * 8, "capital")
    world.write("ab" * 8, "small")
    if len(list(world.directory.iterdir())) == 1:
        pytest.skip("here they are one file")
    async with watching(world):
        await world.said(("start", "ab" * 8, "small"))
        await world.looks()
        assert len(world.desk.heard) == 1


def test_a_look_that_is_left_behind_looks_no_further(world, monkeypatch):
    world.write(H1)
    world.write(H2)
    look = file_look.Look(str(world.directory), {}, 0)
    look.is_left_behind = True
    look.run()
    assert look.files == {}
    look, real = file_look.Look(str(world.directory), {}, 0), os.lstat

    def leave(path):
        look.is_left_behind = path.endswith(".json")
        return real(path)

    monkeypatch.setattr(file_look.os, "lstat", leave)
    look.run()
    assert len(look.files) == 1


async def test_what_was_ended_is_not_remembered_for_ever(world, monkeypatch):
    monkeypatch.setattr(session_files, "MOST_FILES", 2)
    updated = world.now_ms() - HOUR
    async with watching(world):
        for number in range(4):
            world.write(H1, f"s{number}", updated_at=updated)
            await world.until(lambda number=number: ("start", H1, f"s{number}") in world.desk.words())
        await world.looks()
        world.write(H1, "s0", updated_at=updated)
        await world.until(lambda: world.desk.words().count(("start", H1, "s0")) == 2)
    assert [one.heard_ms for one in world.desk.heard if one.session_id == "s0" and one.is_start] == [
        updated
    ] * 2


async def test_nothing_is_opened_that_has_not_changed(world, monkeypatch):
    target = world.write(H1)
    os.utime(target, (1_700_000_000, 1_700_000_000))
    opened, real = [], os.open
    monkeypatch.setattr(
        file_look.os, "open", lambda path, *more, **named: opened.append(path) or real(path, *more, **named)
    )
    async with watching(world):
        await world.said(("start", H1, "s1"))
        await world.looks()
    assert [path for path in opened if path.endswith(f"{H1}.json")] == [str(target)]
