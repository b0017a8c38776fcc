"""Where silence was taken for an answer and was none, or where nobody was woken by what broke it."""

from __future__ import annotations

import math
import os
import shutil
import sys
from functools import partial
from types import SimpleNamespace

import cursor_files
import pytest
import trio
from deadlines import until, within
from fakes import FakeScanner, workspace

from trio_cursor.cursor.guest import FileStat, Signature
from trio_cursor.freshness import Freshness
from trio_cursor.hints import Hints
from trio_cursor.meters import Meters
from trio_cursor.os_events import open_os_events
from trio_cursor.records import ToBeRead
from trio_cursor.scan_clock import scan_clock
from trio_cursor.scanner import Scanner
from trio_cursor.sink import Counts
from trio_cursor.states import WorkspaceState
from trio_cursor.status_board import Board
from trio_cursor.supervisor import Supervisor
from trio_cursor.watched import Appeared, Changed, Watched

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="events come from inotify")
PROFILE = "/cursor/User"
PROBE = 0.05


@pytest.fixture
def watch(nursery, user_dir):
    """Everything is heard of, and no sweep comes by itself."""

    async def start(open_events=open_os_events, directory=user_dir):
        scanner = Scanner([str(directory)], lambda _: True, heard_every=3600.0)
        scanner.rhythm.idle_every = PROBE
        sends, sightings = trio.open_memory_channel(1000)
        nursery.start_soon(partial(scan_clock, scanner, sends, every=lambda: PROBE))
        await until(lambda: scanner.has_swept)
        hints = Hints(scanner, open=open_events)
        nursery.start_soon(hints.listen)
        await until(lambda: hints.are_complete() and not scanner.unheard() and not scanner.ladder)
        scanner.rhythm.full_at = scanner.rhythm.whole_at = trio.current_time() + 3600
        return scanner, hints, sightings

    return start


async def seen(sightings, kind, name):
    while True:
        found = await sightings.receive()
        if isinstance(found, kind) and found.watched.workspace.id == name:
            return


@on_linux
@within(30)
async def test_the_clock_is_not_late_while_it_sleeps_for_long(user_dir, watch):
    cursor_files.make_workspace(user_dir, "a", [])
    scanner, _, _ = await watch()
    await trio.sleep(5 * PROBE)
    assert scanner.expected_at > trio.current_time()


@on_linux
@within(10)
async def test_a_workspace_of_which_somebody_who_asked_was_told_is_found(user_dir, watch):
    scanner, _, sightings = await watch()
    await trio.sleep(0.1)
    path = cursor_files.make_workspace(user_dir, "b", [])
    # Before the loop has seen that there is anything to be read.
    assert scanner.heard.listen(trio.current_time())
    with trio.fail_after(3):
        await seen(sightings, Appeared, "b")
    assert str(path) in scanner.watched


async def test_what_is_read_is_told_soon_however_many_are_not_heard_of(autojump_clock):
    scanner, times = FakeScanner(), []
    for number in range(1000):
        item = Watched(workspace(f"w{number}"), Signature(FileStat(1, number, 4096, 1), None))
        scanner.watched[item.workspace.database] = item
        scanner.heard.begin(item.workspace.database, 0.0)
    scanner.heard.ask = lambda: True
    async with trio.open_nursery() as nursery:
        freshness = Freshness(scanner, renewed=lambda: times.append(trio.current_time()))
        nursery.start_soon(freshness.make_up)
        await trio.testing.wait_all_tasks_blocked()
        freshness.renew()
        assert freshness.rings(PROFILE) == -math.inf
        assert times == [0.0]
        await trio.sleep(0.05)
        freshness.renew(workspace("w1").database)
        freshness.renew(workspace("w2").database)
        await trio.sleep(5)
        assert times == pytest.approx([0.0, 0.2])
        nursery.cancel_scope.cancel()


@within(10)
async def test_what_a_look_finds_and_is_told_of_right_after_was_told_of(user_dir):
    paths = [cursor_files.make_workspace(user_dir, name, []) for name in ("a", "b", "c")]
    scanner = Scanner([str(user_dir)], lambda _: True)
    queue = []

    def ask():
        for database in queue:
            scanner.hint(database)
        queue.clear()
        return True

    scanner.heard.ask = ask
    await scanner.sweep(0.0)
    for path in paths:
        scanner.heard.begin(str(path), trio.current_time())
    scanner.rhythm.full_at = -math.inf
    await scanner.sweep(0.0)
    for path in paths:
        scanner.hint(str(path))
        await scanner.look_at_hinted()
        await trio.sleep(0.005)
        path.write_bytes(bytes(8192))
        queue.append(str(path))
        assert any(isinstance(found, Changed) for found in await scanner.look_at_hinted())
    assert scanner.heard.is_believed


@within(10)
async def test_whoever_asks_when_everything_was_switched_off_gets_an_answer(user_dir):
    cursor_files.make_workspace(user_dir, "a", [])
    enabled = True
    scanner = Scanner([str(user_dir)], lambda _: True, is_enabled=lambda: enabled)
    scanner.heard.ask = lambda: True
    await scanner.sweep(0.0)
    for database in scanner.watched:
        scanner.heard.begin(database, trio.current_time())
    freshness = Freshness(scanner)
    (profile,) = {item.workspace.profile for item in scanner.watched.values()}
    assert freshness.rings(profile) == -math.inf  # it was never read
    enabled = False
    await scanner.sweep(0.0)
    freshness.listen()
    assert freshness.rings(profile) == -math.inf


@on_linux
@within(20)
async def test_that_the_times_of_a_log_are_set_by_hand_is_told_of(user_dir, watch):
    paths = [cursor_files.make_workspace(user_dir, name, []) for name in ("a", "b", "c")]
    for path in paths:
        path.with_name("state.vscdb-wal").touch()
    scanner, _, sightings = await watch()
    for path in paths:
        os.utime(path.with_name("state.vscdb-wal"), (1_000, 1_000))
    await trio.sleep(0.2)
    scanner.rhythm.full_at = -math.inf
    scanner.hurry()
    for path in paths:
        await seen(sightings, Changed, path.parent.name)
    assert scanner.heard.is_believed


@on_linux
@within(30)
@pytest.mark.parametrize("place", ["globalStorage", "workspaceStorage", "", ".."])
async def test_a_directory_that_is_replaced_is_heard_of(tmp_path, watch, place):
    home = tmp_path / "config"
    home.mkdir()
    user = cursor_files.make_user_dir(home)
    path = cursor_files.make_workspace(user, "a", [])
    scanner, hints, _ = await watch(directory=user)
    copy, real = tmp_path / "copy", (user / place).resolve()
    await trio.to_thread.run_sync(shutil.copytree, real, copy)
    real.rename(tmp_path / "away")
    copy.rename(real)
    watched = str(path) if place != "globalStorage" else str(user / "globalStorage" / "state.vscdb")
    scanner.heard.listen(trio.current_time())
    assert not scanner.heard.vouches(watched, scanner.watched[watched].swept_at)
    with trio.fail_after(5):
        await until(lambda: hints.are_complete() and not scanner.unheard() and not scanner.ladder)
    assert scanner.heard.is_believed


@on_linux
@within(30)
async def test_a_directory_that_went_while_it_was_added_is_not_relied_upon(user_dir, watch):
    path = cursor_files.make_workspace(user_dir, "a", [])
    real = open_os_events()

    class Slow:
        is_done = False

        def __getattr__(self, name):
            return getattr(real, name)

        def add(self, directory):
            watch = real.add(directory)
            if directory == str(path.parent) and not self.is_done:
                self.is_done = True
                path.parent.rename(user_dir / "elsewhere")
                cursor_files.make_workspace(user_dir, "a", [])
                trio.from_thread.run(trio.sleep, 0.1)  # everything is taken in meanwhile
            return watch

    _, _, sightings = await watch(Slow)
    while sightings.statistics().current_buffer_used:
        await sightings.receive()
    path.write_bytes(bytes(8192))
    with trio.fail_after(5):
        await seen(sightings, Changed, "a")


@on_linux
@within(20)
async def test_a_folder_that_was_named_before_anything_was_heard_of_is_known_soon(user_dir, watch):
    path = cursor_files.make_workspace(user_dir, "a", [])
    named = path.with_name("workspace.json")
    words = named.read_text()
    named.unlink()
    real = open_os_events()

    class Slow:
        def __getattr__(self, name):
            return getattr(real, name)

        def add(self, directory):
            if directory == str(path.parent):
                named.write_text(words)
            return real.add(directory)

    scanner, _, _ = await watch(Slow)
    with trio.fail_after(5):
        await until(lambda: scanner.watched[str(path)].workspace.path == "/home/demo/a")


@on_linux
@within(20)
async def test_a_place_above_that_was_renamed_while_it_was_added_is_not_relied_upon(tmp_path, watch):
    home = tmp_path / "config"
    home.mkdir()
    user = cursor_files.make_user_dir(home)
    path = cursor_files.make_workspace(user, "a", [])
    real = open_os_events()

    class Slow:
        is_done = False

        def __getattr__(self, name):
            return getattr(real, name)

        def add(self, directory):
            watch = real.add(directory)
            if directory == str(path.parent) and not self.is_done:
                self.is_done = True
                home.rename(tmp_path / "away")
                shutil.copytree(tmp_path / "away", home)
                trio.from_thread.run(trio.sleep, 0.1)  # everything is taken in meanwhile
            return watch

    _, _, sightings = await watch(Slow, directory=user)
    while sightings.statistics().current_buffer_used:
        await sightings.receive()
    path.write_bytes(bytes(8192))
    with trio.fail_after(5):
        await seen(sightings, Changed, "a")


@on_linux
@within(20)
async def test_a_database_that_is_written_to_by_another_name_is_not_relied_upon(user_dir, tmp_path, nursery):
    path = cursor_files.make_workspace(user_dir, "a", [])
    other = tmp_path / "other"
    other.hardlink_to(path)
    scanner = Scanner([str(user_dir)], lambda _: True)
    await scanner.sweep(PROBE)
    hints = Hints(scanner)
    nursery.start_soon(hints.listen)
    await until(hints.are_complete)
    assert scanner.unheard() == {str(path)}


@on_linux
@within(20)
async def test_an_event_that_breaks_us_breaks_nobody_who_asks(user_dir, watch, logged):
    cursor_files.make_workspace(user_dir, "a", [])
    real = open_os_events()

    class Broken:
        is_broken = False

        def __getattr__(self, name):
            return getattr(real, name)

        def read(self):
            if self.is_broken:
                raise ValueError("ours")
            return real.read()

    broken = Broken()
    scanner, _, _ = await watch(lambda: broken)
    broken.is_broken = True
    assert not scanner.heard.listen(trio.current_time())
    assert not scanner.heard.is_believed
    assert any("polling alone" in line for line in logged())


async def test_a_short_look_at_a_workspace_at_rest_shows_in_the_status():
    scanner, place = FakeScanner(), workspace("a")
    scanner.watched[place.database] = Watched(place, Signature(None, None))
    state = WorkspaceState(place, looked=True, last_check=1, status="synced")
    unused = dict.fromkeys(
        ["settings", "events", "registry", "first_pass", "outputs", "placing", "privacy", "os_events"]
    )
    board = Board(
        started_at=0,
        now_ms=lambda: 0,
        scanner=scanner,
        sink=SimpleNamespace(counts=Counts()),
        states={place.database: state},
        **unused,
    )
    said = board._workspace(state, [])
    assert board._workspace(state, []) is said
    # It was read, and is at rest again.
    state.last_check, state.status, state.last_error = 2, "error", "broken"
    said = board._workspace(state, [])
    assert (said.last_check, said.status, said.last_error) == (2, "error", "broken")


@within(10)
async def test_what_becomes_active_and_is_not_heard_of_is_looked_at_at_the_next_probe(
    user_dir, nursery, monkeypatch
):
    path = cursor_files.make_workspace(user_dir, "a", [])
    scanner = Scanner([str(user_dir)], lambda _: True, idle_every=3600.0)
    sends, sightings = trio.open_memory_channel(100)
    nursery.start_soon(partial(scan_clock, scanner, sends, every=lambda: PROBE))
    await until(lambda: scanner.has_swept)
    sends_changes, changes = trio.open_memory_channel(1)

    async def work(*_):
        await trio.sleep_forever()

    monkeypatch.setattr("trio_cursor.supervisor.watch_workspace", work)
    # Looked at before, so that it is not waited for anybody's turn.
    states = {str(path): WorkspaceState(workspace("a"), looked=True)}
    supervisor = Supervisor(scanner, None, SimpleNamespace(meters=Meters()), states)
    nursery.start_soon(supervisor.supervise, changes)
    await trio.testing.wait_all_tasks_blocked(0.1)
    await sends_changes.send(ToBeRead(scanner.watched[str(path)].workspace))
    path.write_bytes(bytes(8192))
    with trio.fail_after(3):
        await seen(sightings, Changed, "a")
