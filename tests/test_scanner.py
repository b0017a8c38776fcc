"""The sweep, on real directories, with real threads and the real clock; no database is opened."""

from __future__ import annotations

import json
import math
import os
import shutil
import threading
from functools import partial
from pathlib import Path

import attrs
import cursor_files
import pytest
import trio
from deadlines import within
from trio.testing import wait_all_tasks_blocked

from trio_cursor.cursor.guest import Signature, signature_of
from trio_cursor.cursor.listing import Lister
from trio_cursor.ladder import QUIET_SECONDS
from trio_cursor.scan_clock import scan_clock
from trio_cursor.scanner import Scanner
from trio_cursor.watched import Appeared, Changed, Swept, Watched

PROBE = 0.25


def everything(_workspace):
    return True


def touch(database, size=4096):
    """What a commit does to a file, as far as stat can tell; settled at once."""
    database.write_bytes(bytes(size))
    os.utime(database, ns=(cursor_files.LONG_AGO_NS, cursor_files.LONG_AGO_NS + size))


def seen(sightings):
    return sorted(
        (type(item).__name__, item.watched.workspace.id or "")
        for item in sightings
        if not isinstance(item, Swept)
    )


async def whole(scanner):
    """A sweep of everything, however long the last one is ago."""
    scanner.hurry()
    return await scanner.sweep(PROBE)


@pytest.fixture
def scanner(user_dir):
    return Scanner((str(user_dir),), lambda workspace: not workspace.is_global)


@within(30)
async def test_the_first_sweep_tells_what_is_there_and_that_it_is_over(scanner, user_dir):
    touch(cursor_files.make_workspace(user_dir, "w1"))
    cursor_files.make_workspace(user_dir, "w2")
    sightings = await scanner.sweep(PROBE)
    assert seen(sightings) == [("Appeared", "w1"), ("Appeared", "w2")]
    assert isinstance(sightings[-1], Swept)
    assert await whole(scanner) == []
    assert list(scanner.listings) == [str(user_dir)]


@within(30)
async def test_workspaces_come_change_go_and_come_back(scanner, user_dir):
    await whole(scanner)
    database = cursor_files.make_workspace(user_dir, "w1")
    assert seen(await whole(scanner)) == [("Appeared", "w1")]
    touch(database)
    assert seen(await whole(scanner)) == [("Changed", "w1")]
    touch(database.with_name("state.vscdb-wal"))
    assert seen(await whole(scanner)) == [("Changed", "w1")]
    shutil.rmtree(database.parent)
    assert seen(await whole(scanner)) == [("Vanished", "w1")]
    assert scanner.watched == {}
    touch(cursor_files.make_workspace(user_dir, "w1"))
    assert seen(await whole(scanner)) == [("Appeared", "w1")]


@within(30)
async def test_it_is_known_since_when_a_commit_may_wait_for_the_disk(scanner, user_dir):
    old, new = (cursor_files.make_workspace(user_dir, name) for name in ("w1", "w2"))
    logs = [database.with_name("state.vscdb-wal") for database in (old, new)]
    touch(logs[0])
    logs[1].write_bytes(bytes(4096))
    await whole(scanner)
    of_old, of_new = (scanner.watched[str(database)] for database in (old, new))
    assert of_old.logged_at is None
    began = of_new.logged_at
    assert began is not None
    # Written back, which does not say that nothing waits; and closed, which does.
    touch(new, 8192)
    await whole(scanner)
    assert of_new.logged_at == began
    logs[1].unlink()
    await whole(scanner)
    assert of_new.logged_at is None
    touch(logs[0], 8192)
    await whole(scanner)
    assert of_old.logged_at is not None


@within(30)
async def test_a_cursor_that_is_installed_later_is_found(tmp_path):
    user = tmp_path / "later" / "User"
    scanner = Scanner((str(tmp_path / "later"),), everything)
    assert [type(item) for item in await whole(scanner)] == [Swept]
    cursor_files.make_user_dir(tmp_path / "later")
    touch(cursor_files.make_workspace(user, "w1"))
    sightings = await whole(scanner)
    assert all(isinstance(item, Appeared) for item in sightings)
    assert {item.watched.workspace.id for item in sightings} == {None, "w1"}
    assert list(scanner.listings) == [str(user)]


@within(30)
async def test_idle_databases_are_swept_once_a_second_and_active_ones_at_each_probe(scanner, user_dir):
    idle, active = (cursor_files.make_workspace(user_dir, name) for name in ("idle", "active"))
    await whole(scanner)
    scanner.watched[str(active)].active = True
    touch(idle)
    touch(active)
    assert seen(await scanner.sweep(0.01)) == [("Changed", "active")]
    assert seen(await whole(scanner)) == [("Changed", "idle")]


@within(30)
async def test_a_database_whose_log_is_being_written_is_left_alone_for_a_moment(user_dir, nursery):
    """A reader at the moment of a close takes its checkpoint away."""
    database = cursor_files.make_workspace(user_dir, "w1")
    scanner = Scanner((str(user_dir),), lambda place: not place.is_global)
    await scanner.sweep(0.25)
    scanner.watched[str(database)].active = True
    began = trio.current_time()
    touch(database)
    scanner.settle(str(database))
    assert await scanner.sweep(0.25) == []
    sends, sightings = trio.open_memory_channel(math.inf)
    nursery.start_soon(partial(scan_clock, scanner, sends, every=lambda: 0.01))
    assert seen([await sightings.receive()]) == [("Changed", "w1")]
    assert trio.current_time() - began >= QUIET_SECONDS
    touch(database, 8192)
    scanner.settle(str(database))
    scanner.hurry()  # somebody waits for what is there now
    assert seen(await scanner.sweep(0.25)) == [("Changed", "w1")]


@within(30)
async def test_a_database_that_was_closed_is_looked_at_at_once_unless_it_was_read_just_now(user_dir):
    database = str(cursor_files.make_workspace(user_dir, "w1"))
    scanner = Scanner((str(user_dir),), lambda place: not place.is_global)
    await scanner.sweep(1000)
    scanner.settle(database)
    assert scanner.ladder.next_due() > trio.current_time()
    scanner.closed(database)
    assert scanner.ladder.due(trio.current_time()) == [database]
    touch(Path(database))
    assert seen(await scanner.look_at_hinted()) == [("Changed", "w1")]
    scanner.closed(database)
    assert scanner.ladder.next_due() == scanner.watched[database].changed_at + 1000
    scanner.closed("/of/nobody")


@within(30)
async def test_a_database_without_a_log_needs_one_stat_until_it_changes(user_dir):
    looked = []

    def look(path):
        looked.append(path)
        return signature_of(path)

    scanner = Scanner((str(user_dir),), lambda place: not place.is_global, look=look)
    database = cursor_files.make_workspace(user_dir, "w1")
    touch(database)
    await whole(scanner)
    scanner.watched[str(database)].has_log = False
    del looked[:]
    assert await whole(scanner) == []
    assert looked == []
    touch(database, 8192)
    assert seen(await whole(scanner)) == [("Changed", "w1")]
    database.unlink()
    assert seen(await whole(scanner)) == [("Changed", "w1")]
    touch(database, 8192)
    assert seen(await whole(scanner)) == [("Changed", "w1")]
    assert looked == [str(database)] * 3


@pytest.mark.parametrize(("number", "seconds"), [(0, 0.75), (1000, 0.75), (3000, 2.25)])
def test_many_workspaces_are_swept_less_often_in_proportion(scanner, number, seconds):
    scanner.watched = dict.fromkeys(map(str, range(number)))
    assert scanner.rhythm.idle_seconds(scanner.watched) == seconds


@pytest.mark.parametrize(("number", "seconds"), [(1000, 10), (2000, 20), (10_000, 30)])
def test_those_that_are_heard_of_are_swept_seldom(scanner, number, seconds):
    scanner.watched = dict.fromkeys(map(str, range(number)))
    for database in scanner.watched:
        scanner.heard.begin(database, 0.0)
    # Nobody would tell of a new workspace.
    assert scanner.rhythm.idle_seconds(scanner.watched) == 0.75
    scanner.rhythm.hears_of_storage = lambda: True
    assert scanner.rhythm.idle_seconds(scanner.watched) == seconds
    # Another edition's directory may appear.
    scanner.rhythm.lacks_storage = lambda: True
    assert scanner.rhythm.idle_seconds(scanner.watched) == 5
    scanner.heard.end("0")
    assert scanner.rhythm.idle_seconds(scanner.watched) == 0.75


@within(30)
async def test_a_workspace_json_that_is_written_late_is_taken_in(scanner, user_dir):
    database = cursor_files.make_workspace(user_dir, "w1")
    folder = database.with_name("workspace.json")
    folder.unlink()
    await whole(scanner)
    item = scanner.watched[str(database)]
    assert item.workspace.path is None
    assert item.workspace.problem
    folder.write_text(json.dumps({"folder": "file:///home/demo/late"}))
    assert await whole(scanner) == []
    assert (item.workspace.path, item.workspace.problem) == ("/home/demo/late", None)


@within(30)
async def test_what_is_not_wanted_is_never_looked_at(user_dir):
    looked = []

    def look(path):
        looked.append(path)
        return signature_of(path)

    scanner = Scanner((str(user_dir),), lambda place: place.id == "w1", look=look)
    mine, secret = (cursor_files.make_workspace(user_dir, name) for name in ("w1", "secret"))
    assert seen(await whole(scanner)) == [("Appeared", "w1")]
    await whole(scanner)
    assert str(mine) in looked
    assert str(secret) not in looked


@within(30)
async def test_a_workspace_that_turns_out_not_to_be_wanted_is_left(user_dir):
    scanner = Scanner((str(user_dir),), lambda place: place.path != "/home/demo/secret")
    database = cursor_files.make_workspace(user_dir, "w1", folder="file:///home/demo/secret")
    folder = database.with_name("workspace.json")
    content = folder.read_text()
    folder.unlink()
    await whole(scanner)
    assert str(database) in scanner.watched
    folder.write_text(content)
    assert seen(await whole(scanner)) == [("Vanished", "w1")]


@within(30)
async def test_a_directory_named_twice_is_listed_once(user_dir, tmp_path):
    touch(cursor_files.make_workspace(user_dir, "w1"))
    link = tmp_path / "link"
    link.symlink_to(user_dir)
    scanner = Scanner((str(user_dir), str(link), str(user_dir.parent)), everything)
    assert seen(await whole(scanner)).count(("Appeared", "w1")) == 1
    assert await whole(scanner) == []


@within(30)
async def test_a_file_that_is_reached_twice_is_watched_once_until_the_first_way_is_gone(user_dir, tmp_path):
    other = cursor_files.make_user_dir(tmp_path / "other")
    first, second = (cursor_files.make_workspace(user, "w1") for user in (user_dir, other))
    touch(first)
    second.hardlink_to(first)
    scanner = Scanner((str(user_dir), str(other)), lambda place: not place.is_global)
    assert seen(await whole(scanner)) == [("Appeared", "w1")]
    assert await whole(scanner) == []
    shutil.rmtree(first.parent)
    await whole(scanner)
    await whole(scanner)
    assert list(scanner.watched) == [str(second)]


@within(30)
async def test_a_database_that_cannot_be_looked_at_stops_nobody(user_dir):
    refused = set()

    def look(path):
        if path in refused:
            raise PermissionError(path)
        return signature_of(path)

    broken, well = (cursor_files.make_workspace(user_dir, name) for name in ("broken", "well"))
    refused.add(str(broken))
    scanner = Scanner((str(user_dir),), lambda place: not place.is_global, look=look)
    assert seen(await whole(scanner)) == [("Appeared", "broken"), ("Appeared", "well")]
    assert scanner.watched[str(broken)].signature == Signature(None, None)
    touch(well)
    touch(broken)
    assert seen(await whole(scanner)) == [("Changed", "well")]
    refused.clear()
    assert seen(await whole(scanner)) == [("Changed", "broken")]
    refused.add(str(broken))
    assert await whole(scanner) == []
    # Nobody knows how it is by now.
    touch(broken, 8192)
    assert seen(await whole(scanner)) == []
    assert scanner.watched[str(broken)].swept_at < scanner.watched[str(well)].swept_at


class Mount:
    """A place in the file system that does not answer until it is let go."""

    def __init__(self):
        self.dead, self.back = set(), threading.Event()
        self.hung = 0

    def look(self, path):
        if any(place in path for place in self.dead):
            self.hung += 1
            self.back.wait(30)
        return signature_of(path)


@pytest.fixture
def mount():
    mount = Mount()
    yield mount
    mount.back.set()


async def until_answers(scanner):
    while scanner.hanging():  # noqa: ASYNC110 - a thread's end sets no event
        await trio.sleep(0.001)


@within(30)
async def test_a_path_that_hangs_is_left_alone_until_it_answers(user_dir, mount, logged, caplog):
    places = [cursor_files.make_workspace(user_dir, name) for name in ("dead", "well")]
    scanner = Scanner((str(user_dir),), everything, look=mount.look, hangs_after=0.1)
    await whole(scanner)
    mount.dead.add("/dead/")
    for place in places:
        touch(place)
    assert await whole(scanner) == []
    assert scanner.hanging() == (str(places[0]),)
    assert seen(await whole(scanner)) == [("Changed", "well")]
    for _ in range(20):
        assert await whole(scanner) == []
    assert mount.hung == 1
    mount.dead.clear()
    mount.back.set()
    await until_answers(scanner)
    assert seen(await whole(scanner)) == [("Changed", "dead")]
    assert [message for message in logged() if "answer" in message] == [
        "a path does not answer; it is left alone until it does",
        "a path answers again",
    ]
    # That it lasts is an alarm, and the ERROR; what hangs for a moment is none.
    assert "ERROR" not in {record.levelname for record in caplog.records}


@within(30)
async def test_a_directory_in_which_much_hangs_is_left_alone_as_a_whole_and_its_neighbour_is_not(
    user_dir, tmp_path, mount
):
    """However long a mount is dead, it costs a thread or two."""
    other = cursor_files.make_user_dir(tmp_path / "other")
    for number in range(20):
        cursor_files.make_workspace(user_dir, f"w{number}")
    well = cursor_files.make_workspace(other, "well")
    scanner = Scanner((str(user_dir), str(other)), everything, look=mount.look, hangs_after=0.1)
    await whole(scanner)
    mount.dead.add(str(user_dir))
    for _ in range(5):
        await whole(scanner)
    assert mount.hung == 2
    touch(well)
    assert seen(await whole(scanner)) == [("Changed", "well")]
    assert len(scanner.watched) == 23
    mount.dead.clear()
    mount.back.set()
    await until_answers(scanner)
    touch(user_dir / "workspaceStorage" / "w7" / "state.vscdb")
    assert seen(await whole(scanner)) == [("Changed", "w7")]


class SlowLister:
    """Lists no directory before it is let."""

    def __init__(self, mount, dirs):
        self._mount, self._dirs = mount, dirs

    def list(self):
        self._mount.look(f"{self._dirs[0]}/")
        return Lister(self._dirs).list()


@within(30)
async def test_a_directory_that_hangs_from_the_start_delays_only_itself(user_dir, tmp_path, mount):
    other = cursor_files.make_user_dir(tmp_path / "other")
    touch(cursor_files.make_workspace(user_dir, "dead"))
    touch(cursor_files.make_workspace(other, "well"))
    mount.dead.add(f"{user_dir}/")
    make = partial(SlowLister, mount)
    dirs = (str(user_dir), str(other))
    scanner = Scanner(dirs, lambda place: not place.is_global, make_lister=make, hangs_after=0.1)
    assert await whole(scanner) == []
    sightings = await whole(scanner)
    assert seen(sightings) == [("Appeared", "well")]
    assert isinstance(sightings[-1], Swept)
    assert scanner.hanging() == (str(user_dir),)
    mount.dead.clear()
    mount.back.set()
    await until_answers(scanner)
    assert seen(await whole(scanner)) == [("Appeared", "dead")]


class CountingLister:
    """Notes each time that it lists."""

    def __init__(self, listed, dirs):
        self._listed, self._lister = listed, Lister(dirs)

    def list(self):
        self._listed.append(threading.get_ident())
        return self._lister.list()


@within(30)
async def test_a_sweep_that_was_left_behind_never_goes_on_beside_its_successors(user_dir, tmp_path, mount):
    """Its thread wakes up in the middle of a directory, and leaves the next one's lister alone."""
    other = cursor_files.make_user_dir(tmp_path / "other")
    listed = []

    def make(dirs):
        return SlowLister(mount, dirs) if dirs == (str(user_dir),) else CountingLister(listed, dirs)

    mount.dead.add(f"{user_dir}/")
    scanner = Scanner((str(user_dir), str(other)), everything, make_lister=make, hangs_after=0.1)
    await whole(scanner)
    assert listed == []
    await whole(scanner)
    assert len(listed) == 1
    mount.dead.clear()
    mount.back.set()
    await until_answers(scanner)
    assert len(listed) == 1


@within(30)
async def test_a_sweep_that_was_left_behind_looks_at_no_further_database(user_dir, mount):
    looked = []

    def look(path):
        looked.append(path)
        return mount.look(path)

    for name in ("dead", "well"):
        touch(cursor_files.make_workspace(user_dir, name))
    scanner = Scanner((str(user_dir),), lambda place: not place.is_global, look=look, hangs_after=0.1)
    await whole(scanner)
    scanner.watched = dict(sorted(scanner.watched.items()))  # the dead one first, whatever the listing said
    for item in scanner.watched.values():
        item.signature = attrs.evolve(item.signature, settled=False)  # not to be passed over
    scanner.rhythm.full_at = -math.inf  # in this order
    mount.dead.add("/dead/")
    del looked[:]
    assert await whole(scanner) == []
    mount.dead.clear()
    mount.back.set()
    await until_answers(scanner)
    assert len(looked) == 1


@within(30)
async def test_the_scan_clock_goes_on_while_a_path_hangs(user_dir, mount, nursery):
    dead, well = (cursor_files.make_workspace(user_dir, name) for name in ("dead", "well"))
    scanner = Scanner((str(user_dir),), everything, look=mount.look, hangs_after=0.05)
    sends, sightings = trio.open_memory_channel(0)
    nursery.start_soon(partial(scan_clock, scanner, sends, every=lambda: 0.01))
    while not isinstance(await sightings.receive(), Swept):
        pass
    mount.dead.add("/dead/")
    scanner.watched[str(dead)].active = scanner.watched[str(well)].active = True
    for size in (1, 2, 3):
        touch(well, size)
        sighting = await sightings.receive()
        assert isinstance(sighting, Changed)
        assert sighting.watched.workspace.id == "well"
    assert mount.hung == 1


@within(30)
async def test_a_cancelled_sweep_leaves_its_thread_at_once(user_dir, mount):
    cursor_files.make_workspace(user_dir, "dead")
    mount.dead.add("/dead/")
    scanner = Scanner((str(user_dir),), everything, look=mount.look)
    with trio.move_on_after(0.1) as scope:
        await scanner.sweep(PROBE)
    assert scope.cancelled_caught


@within(30)
async def test_a_host_that_uses_all_threads_does_not_stop_the_sweep(user_dir):
    cursor_files.make_workspace(user_dir, "w1")
    limiter = trio.to_thread.current_default_thread_limiter()
    borrowers = [object() for _ in range(int(limiter.total_tokens))]
    for borrower in borrowers:
        limiter.acquire_on_behalf_of_nowait(borrower)
    try:
        assert ("Appeared", "w1") in seen(await Scanner((str(user_dir),), everything).sweep(PROBE))
    finally:
        for borrower in borrowers:
            limiter.release_on_behalf_of(borrower)


@within(30)
async def test_whoever_waits_for_a_change_sees_it_even_if_it_came_before():
    item = Watched(None, Signature(None, None))
    assert item.changed_ms is None
    before = item.changes
    item.wake()
    await item.changed_since(before)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(item.changed_since, item.changes)
        await wait_all_tasks_blocked()
        item.wake()


@within(10)
async def test_whoever_waits_for_a_sweep_gets_a_whole_one_at_once(user_dir, nursery):
    cursor_files.make_workspace(user_dir, "a", [])
    scanner = Scanner([str(user_dir)], everything)
    sends, _sightings = trio.open_memory_channel(100)
    swept = []
    # So seldom that nothing but haste can bring a second sweep.
    clock = partial(scan_clock, scanner, sends, every=lambda: 3600.0)
    nursery.start_soon(partial(clock, swept=lambda: swept.append(trio.current_time())))
    while len(swept) < 3:
        await trio.sleep(0.01)
        if swept:
            scanner.hurry()
    (item,) = (item for item in scanner.watched.values() if item.workspace.id == "a")
    assert item.swept_at >= swept[0]
    nursery.cancel_scope.cancel()


@within(10)
async def test_that_a_signature_has_settled_is_no_change_to_anybody_but_its_reader(user_dir):
    path = cursor_files.make_workspace(user_dir, "a", [])
    scanner = Scanner([str(user_dir)], everything)
    await scanner.sweep(0.0)
    item = scanner.watched[str(path)]
    item.signature = attrs.evolve(item.signature, settled=False)
    await trio.sleep(0.05)  # more than a tick of the file system's clock
    changes = item.changes
    scanner.hurry()
    assert await scanner.sweep(0.0) == []
    assert item.changes == changes + 1


@within(30)
async def test_what_is_wanted_is_asked_anew_when_it_may_have_changed(user_dir):
    for name in ("a", "b", "c"):
        cursor_files.make_workspace(user_dir, name, [])
    wanted = {"a", "b"}
    scanner = Scanner([str(user_dir)], lambda workspace: workspace.id in wanted)
    assert seen(await whole(scanner)) == [("Appeared", "a"), ("Appeared", "b")]
    wanted ^= {"a", "c"}
    assert await whole(scanner) == []  # nobody has asked
    (kept,) = (item for item in scanner.watched.values() if item.workspace.id == "b")
    changes = kept.changes
    scanner.reconsider()
    assert scanner.is_hurried()
    assert kept.changes == changes + 1
    assert seen(await scanner.sweep(0.0)) == [("Appeared", "c"), ("Vanished", "a")]
    assert {item.workspace.id for item in scanner.watched.values()} == {"b", "c"}
    assert not scanner.is_hurried()
    assert await whole(scanner) == []


@within(30)
async def test_a_sweep_that_was_under_way_does_not_count_as_asking_anew(user_dir):
    for name in ("a", "b"):
        cursor_files.make_workspace(user_dir, name, [])
    is_asked, may_go_on, wanted = threading.Event(), threading.Event(), {"a"}

    def is_wanted(workspace):
        answer = workspace.id in wanted
        is_asked.set()
        assert may_go_on.wait(20)
        return answer

    scanner = Scanner([str(user_dir)], is_wanted)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scanner.sweep, PROBE)
        assert await trio.to_thread.run_sync(is_asked.wait, 20)
        wanted ^= {"a", "b"}
        scanner.reconsider()
        may_go_on.set()
    assert scanner.is_hurried()
    await scanner.sweep(0.0)
    assert {item.workspace.id for item in scanner.watched.values()} == {"b"}


@within(30)
async def test_what_is_switched_off_looks_at_nothing_and_what_is_switched_on_again_at_everything(user_dir):
    database = cursor_files.make_workspace(user_dir, "a", [])
    touch(database)
    looked = []

    def look(path):
        looked.append(path)
        return signature_of(path)

    def make_lister(dirs):
        lister = Lister(dirs)

        class Counting:
            def list(self):
                looked.append("listing")
                return lister.list()

        return Counting()

    enabled = True
    scanner = Scanner(
        [str(user_dir)], lambda item: item.id is not None, look, make_lister, is_enabled=lambda: enabled
    )
    first = await whole(scanner)
    assert isinstance(first[-1], Swept)
    enabled = False
    scanner.reconsider()
    looked.clear()
    assert seen(await scanner.sweep(0.0)) == [("Vanished", "a")]
    assert await whole(scanner) == []
    assert (looked, scanner.watched, scanner.has_swept) == ([], {}, False)
    touch(database, 8192)
    enabled = True
    scanner.reconsider()
    again = await scanner.sweep(0.0)
    assert seen(again) == [("Appeared", "a")]
    assert isinstance(again[-1], Swept)
    assert again[0].watched.signature.database.size == 8192


@within(10)
async def test_the_interval_of_the_scan_clock_may_change(user_dir, nursery):
    scanner = Scanner([str(user_dir)], everything)
    sends, _sightings = trio.open_memory_channel(100)
    sends_ticks, ticks = trio.open_memory_channel(100)
    every = 3600.0
    clock = partial(scan_clock, scanner, sends, every=lambda: every)
    nursery.start_soon(partial(clock, swept=lambda: sends_ticks.send_nowait(every)))
    assert await ticks.receive() == 3600.0
    every = 0.02
    scanner.reconsider()
    for _ in range(5):
        assert await ticks.receive() == 0.02
    nursery.cancel_scope.cancel()
