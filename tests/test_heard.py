"""What the operating system says, how far it is believed, and what follows where it says nothing."""

from __future__ import annotations

import math
import os
import sys
from functools import partial

import cursor_files
import pytest
import trio
from deadlines import until, within
from fakes import FakeScanner, workspace

from trio_cursor.cursor.filesystems import tells_of_changes
from trio_cursor.cursor.guest import FileStat, Signature
from trio_cursor.freshness import Freshness
from trio_cursor.heard import Heard
from trio_cursor.hints import Hints
from trio_cursor.os_events import OsEvent, open_os_events
from trio_cursor.scan_clock import scan_clock
from trio_cursor.scanner import Scanner
from trio_cursor.watched import Appeared, Changed, Watched

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="events come from inotify")
PROFILE = "/cursor/User"


class TestHeard:
    def test_vouches_for_what_was_looked_at_since_it_is_heard_of(self):
        heard = Heard()
        heard.begin("a", 5.0)
        assert not heard.vouches("a", 4.9)
        assert heard.vouches("a", 5.0)
        assert not heard.vouches("b", 5.0)
        heard.end("a")
        assert not heard.vouches("a", 6.0)

    def test_until_something_was_lost_and_again_after_the_next_look(self):
        heard = Heard()
        heard.begin("a", 5.0)
        heard.lost(7.0)
        assert not heard.vouches("a", 6.0)
        assert heard.vouches("a", 7.0)

    def test_knows_up_to_when_it_has_heard_all(self):
        answers = [True, False, True]
        heard = Heard(lambda: answers.pop(0))
        assert not heard.listen(1.0)  # nothing is heard of: nobody is asked
        heard.begin("a", 0.0)
        assert heard.listen(2.0)
        assert not heard.listen(3.0)
        assert heard.at == 2.0
        assert heard.listen(4.0)
        assert heard.at == 4.0

    def test_is_not_believed_any_more_after_the_second_change_that_it_did_not_tell_of(self):
        heard = Heard(lambda: True)
        heard.begin("a", 0.0)
        heard.doubt("a", 1.0)
        assert not heard.judge({"a": 0.5}, 2.0)
        assert heard.databases() == {"a"}
        heard.doubt("a", 3.0)
        assert heard.judge({"a": 0.5}, 4.0)
        assert not heard.judge({}, 5.0)  # no news
        assert not heard.databases()
        assert not heard.vouches("a", 1.0)
        assert not heard.listen(2.0)

    def test_gives_a_write_that_waits_for_the_disk_a_second_to_be_told_of(self):
        heard = Heard(lambda: True)
        heard.begin("a", 0.0)
        for at in (1.0, 10.0, 20.0, 30.0):
            heard.doubt("a", at)
            assert not heard.judge({"a": 0.5}, at + 0.9)
            assert not heard.judge({"a": at + 0.95}, at + 0.96)
            assert not heard.doubts
        heard.doubt("gone", 40.0)
        heard.doubt("gone as well", 40.0)
        assert not heard.judge({}, 50.0)
        assert heard.databases()


def test_only_what_nobody_writes_to_behind_the_kernel_is_relied_upon(tmp_path):
    assert tells_of_changes(str(tmp_path), "linux") or os.environ.get("CI") or sys.platform != "linux"
    assert not tells_of_changes("/proc/self", "linux")


class TestFreshness:
    """In virtual time: the moment of what was heard is the moment of now."""

    def profile(self, *names):
        scanner = FakeScanner()
        scanner.heard.ask = lambda: True
        for name in names:
            seen = Signature(FileStat(1, len(scanner.watched), 4096, 1), None)
            item = Watched(workspace(name), seen, read=seen, read_at=0.0, swept_at=0.0)
            scanner.watched[item.workspace.database] = item
            scanner.heard.begin(item.workspace.database, 0.0)
        freshness = Freshness(scanner)
        return scanner, freshness

    async def test_moves_on_without_a_sweep_where_nothing_was_said(self, autojump_clock):
        _, freshness = self.profile("a", None)
        await trio.sleep(5)
        freshness.listen()
        assert freshness.rings(PROFILE) == freshness.conversations(PROFILE) == trio.current_time()
        await trio.sleep(5)
        assert freshness.rings(PROFILE) == trio.current_time() - 5  # nobody has asked
        freshness.listen()
        assert freshness.rings(PROFILE) == trio.current_time()

    async def test_stops_at_what_is_to_be_looked_at(self, autojump_clock):
        scanner, freshness = self.profile("a", "b")
        await trio.sleep(5)
        freshness.listen()
        assert freshness.rings(PROFILE) == trio.current_time()
        began = scanner.watched[workspace("a").database].swept_at
        scanner.ladder.hint(workspace("a").database, trio.current_time(), step=0, not_before=-math.inf)
        freshness.listen()
        assert freshness.rings(PROFILE) == max(began, 0.0)
        scanner.ladder.clear()
        freshness.listen()
        assert freshness.rings(PROFILE) == trio.current_time()

    async def test_stops_at_what_was_written_to_until_it_is_read(self, autojump_clock):
        scanner, freshness = self.profile("a", "b")
        item = scanner.watched[workspace("a").database]
        await trio.sleep(5)
        freshness.listen()
        freshness.rings(PROFILE)
        item.signature = Signature(FileStat(1, 77, 8192, 2), None)
        freshness.renew(item.workspace.database)
        assert freshness.rings(PROFILE) == 0.0
        item.read, item.read_at = item.signature, trio.current_time()
        item.is_blocked = True
        freshness.renew(item.workspace.database)
        assert freshness.is_blocked(PROFILE)
        item.is_blocked = False
        freshness.renew(item.workspace.database)
        assert not freshness.is_blocked(PROFILE)
        await trio.sleep(1)
        freshness.listen()
        assert freshness.rings(PROFILE) == trio.current_time()

    async def test_does_not_move_while_there_is_more_to_be_heard(self, autojump_clock):
        scanner, freshness = self.profile("a")
        await trio.sleep(5)
        freshness.listen()
        assert freshness.rings(PROFILE) == 5.0
        scanner.heard.ask = lambda: False
        await trio.sleep(5)
        freshness.listen()
        assert freshness.rings(PROFILE) == 5.0

    async def test_after_a_loss_it_waits_for_the_next_look(self, autojump_clock):
        scanner, freshness = self.profile("a")
        await trio.sleep(5)
        freshness.listen()
        assert freshness.rings(PROFILE) == 5.0
        scanner.heard.lost(5.0)
        freshness.listen()
        assert freshness.rings(PROFILE) == 0.0
        scanner.watched[workspace("a").database].swept_at = 6.0
        await trio.sleep(2)
        freshness.listen()
        assert freshness.rings(PROFILE) == 7.0

    async def test_of_what_has_vanished_nothing_is_left(self, autojump_clock):
        scanner, freshness = self.profile("a")
        await trio.sleep(5)
        freshness.listen()
        assert freshness.rings(PROFILE) == 5.0
        (database,) = scanner.watched
        scanner.watched.clear()
        scanner.has_swept = True
        freshness.renew(database)
        assert freshness.rings(PROFILE) == math.inf


class Silent:
    """The real thing, that keeps everything to itself."""

    def __init__(self):
        self.real = open_os_events()
        self.says = lambda event: False

    def __getattr__(self, name):
        return getattr(self.real, name)

    def read(self):
        found = self.real.read()
        return found if found is None else [event for event in found if self.says(event)]


@pytest.fixture
def watch(nursery, user_dir):
    async def start(open_events, **options):
        (user_dir / "globalStorage").mkdir(parents=True, exist_ok=True)
        scanner = Scanner([str(user_dir)], lambda _: True, **options)
        sends, sightings = trio.open_memory_channel(1000)
        nursery.start_soon(partial(scan_clock, scanner, sends, every=lambda: 0.05))
        hints = Hints(scanner, open=open_events)
        await until(lambda: scanner.has_swept)
        nursery.start_soon(hints.listen)
        await until(lambda: not scanner.unheard() and not scanner.ladder)
        return scanner, hints, sightings

    return start


async def seen(sightings, name):
    while True:
        found = await sightings.receive()
        if isinstance(found, Changed) and found.watched.workspace.id == name:
            return


@on_linux
@within(30)
async def test_what_is_not_told_of_is_found_by_a_sweep_and_then_polled_for(
    user_dir, watch, logged, monkeypatch
):
    monkeypatch.setattr("trio_cursor.heard._TELLING_SECONDS", 0.05)
    paths = [cursor_files.make_workspace(user_dir, name, []) for name in ("a", "b", "c")]
    scanner, hints, sightings = await watch(Silent, heard_every=0.2)
    assert hints.status().state == "on"
    for number, path in enumerate(paths):
        path.write_bytes(bytes(8192))
        await seen(sightings, path.parent.name)
        await until(lambda: not scanner.heard.doubts)
        assert scanner.heard.is_believed == (number == 0)
    assert len([line for line in logged() if "changes of files are not told of here" in line]) == 1
    assert len(scanner.unheard()) == 4
    status = hints.status()
    assert (status.state, status.note) == ("partial", "changes of files are not told of here")
    # Polled for: nothing else would find this.
    scanner.rhythm.full_at = math.inf
    paths[0].write_bytes(bytes(12_288))
    await seen(sightings, "a")


@on_linux
@within(30)
async def test_that_times_are_set_by_hand_is_told_of(user_dir, watch):
    path = cursor_files.make_workspace(user_dir, "a", [])
    scanner, _, sightings = await watch(open_os_events)
    for stamp in (1_000, 2_000, 3_000):
        os.utime(path, (stamp, stamp))
        await seen(sightings, "a")
    assert scanner.heard.is_believed


@on_linux
@within(30)
async def test_a_workspace_that_takes_the_place_of_another_is_heard_of_in_its_place(user_dir, watch):
    path = cursor_files.make_workspace(user_dir, "a", [])
    scanner, hints, sightings = await watch(open_os_events)
    path.parent.rename(user_dir / "elsewhere")
    cursor_files.make_workspace(user_dir, "a", [])
    await seen(sightings, "a")
    await until(lambda: not scanner.unheard() and not scanner.ladder)
    scanner.rhythm.full_at = scanner.rhythm.whole_at = trio.current_time()
    path.write_bytes(bytes(8192))
    await seen(sightings, "a")
    # The one that was moved away says nothing to anybody.
    (user_dir / "elsewhere" / "state.vscdb").write_bytes(bytes(512))
    await trio.testing.wait_all_tasks_blocked(0.05)
    assert hints.status().directories == 3


@on_linux
@within(30)
async def test_what_was_lost_is_made_up_for_by_a_look_at_everything(user_dir, watch):
    path = cursor_files.make_workspace(user_dir, "a", [])
    silent = Silent()
    scanner, hints, sightings = await watch(lambda: silent, heard_every=3600.0)
    path.write_bytes(bytes(8192))
    await trio.sleep(0.2)
    assert not scanner.heard.vouches(str(path), -math.inf)
    assert scanner.heard.vouches(str(path), scanner.watched[str(path)].swept_at)
    hints._take(OsEvent("lost", -1, ""), silent)
    await seen(sightings, "a")
    assert scanner.heard.vouches(str(path), scanner.watched[str(path)].swept_at)


@on_linux
@within(30)
async def test_a_listening_that_fails_leaves_everything_to_polling(user_dir, watch, logged):
    path = cursor_files.make_workspace(user_dir, "a", [])
    silent = Silent()
    scanner, hints, sightings = await watch(lambda: silent)

    def broken(event):
        raise OSError(5, "Input/output error")

    silent.says = broken
    path.write_bytes(bytes(8192))
    await until(lambda: not scanner.heard.listen(trio.current_time()))
    await seen(sightings, "a")
    assert hints.status().state in {"off", "partial"}
    assert len(scanner.unheard()) == 2
    assert any("polling alone" in line for line in logged())


@on_linux
@within(30)
async def test_a_clock_that_rests_because_nothing_is_said_is_not_late(user_dir, watch):
    """Who feeds a watchdog goes by this."""
    cursor_files.make_workspace(user_dir, "a", [])
    scanner, _, _ = await watch(open_os_events)
    await until(lambda: scanner.expected_at > trio.current_time() + 5)


@on_linux
@within(30)
async def test_a_profile_that_is_not_there_keeps_nobody_from_resting(user_dir, tmp_path, nursery):
    cursor_files.make_workspace(user_dir, "a", [])
    (user_dir / "globalStorage").mkdir(parents=True, exist_ok=True)
    missing = tmp_path / "Nightly" / "User"
    scanner = Scanner([str(user_dir), str(missing)], lambda _: True)
    sends, sightings = trio.open_memory_channel(1000)
    nursery.start_soon(partial(scan_clock, scanner, sends, every=lambda: 0.05))
    await until(lambda: scanner.has_swept)
    nursery.start_soon(Hints(scanner).listen)
    await until(lambda: scanner.expected_at > trio.current_time() + 3)
    assert scanner.rhythm.idle_seconds(scanner.watched) == 5
    cursor_files.make_workspace(missing, "b", [])
    scanner.hurry()  # or five seconds later
    while not (
        isinstance(found := await sightings.receive(), Appeared) and found.watched.workspace.id == "b"
    ):
        pass


@within(30)
@pytest.mark.parametrize("what", ["hurry", "lost"])
async def test_who_hurries_while_a_sweep_is_under_way_gets_another_one_after_it(user_dir, what):
    path = cursor_files.make_workspace(user_dir, "a", [])
    swept = []

    class Interrupted(Scanner):
        async def _run(self, sweep):
            swept.append(any(item[0] == str(path) for item in sweep.due))
            if len(swept) == 2:
                getattr(self, what)()
            return await super()._run(sweep)

    scanner = Interrupted([str(user_dir)], lambda _: True)
    await scanner.sweep(0.05)
    scanner.heard.begin(str(path), trio.current_time())
    scanner.rhythm.whole_at = -math.inf
    await scanner.sweep(0.05)
    assert scanner.is_hurried()
    await scanner.sweep(0.05)
    assert not scanner.is_hurried()
    # After a loss nothing is left out.
    assert swept[2] == (what == "lost")
