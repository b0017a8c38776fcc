"""Hints: real directories and the real inotify where there is one, doubles of it for its faults."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from functools import partial

import attrs
import cursor_files
import owner
import pytest
import trio
from deadlines import until, within

from trio_cursor.hints import Hints
from trio_cursor.ladder import STEPS
from trio_cursor.os_events import NoEventsError, OsEvent, open_os_events
from trio_cursor.scan_clock import scan_clock
from trio_cursor.scanner import Scanner
from trio_cursor.watched import Changed, Swept

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="events come from inotify")
PROBE = 0.25


class InlineScanner(Scanner):
    """Sweeps without a thread, for tests in virtual time."""

    async def _run(self, sweep):
        await trio.lowlevel.checkpoint()
        sweep.run()
        return True


noted = []


class NotingScanner(Scanner):
    """Notes what it is hinted at."""

    def hint(self, database, step=0):
        noted.append(("hint", database))

    def settle(self, database):
        noted.append(("settle", database))

    def closed(self, database):
        noted.append(("closed", database))


class Source:
    """What the operating system would say; readable for as long as there is something to be read."""

    def __init__(self, *, most=1000):
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.most, self.refused, self.queue = most, None, []
        self.watches, self.endless = {}, ()
        self.hangs_at, self.let_go = None, threading.Event()
        self.is_closed = False

    def fileno(self):
        return self.near.fileno()

    def guard(self, directory):
        raise FileNotFoundError(directory)

    def add(self, directory):
        if self.hangs_at and self.hangs_at in directory:
            self.let_go.wait(30)
        if self.refused:
            raise OSError(self.refused, os.strerror(self.refused))
        if len(self.watches) >= self.most:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.watches[directory] = len(self.watches) + 1
        return self.watches[directory]

    def remove(self, watch):
        self.watches = {place: number for place, number in self.watches.items() if number != watch}

    def read(self):
        if self.endless:
            return self.endless
        found, self.queue = self.queue, []
        with suppress(BlockingIOError):
            self.near.recv(100)
        return found or None

    def close(self):
        self.is_closed = True
        self.near.close()
        self.far.close()

    def say(self, kind, database, name="state.vscdb"):
        watch = self.watches[str(database.parent)] if database else -1
        self.queue.append(OsEvent(kind, watch, name))
        self.far.send(b".")


@pytest.fixture
def source():
    source = Source()
    yield source
    source.let_go.set()
    source.close()


@pytest.fixture
def watch(nursery, user_dir):
    """Start to watch: sweeps come so seldom that nothing but hints can bring a sighting."""

    async def start(source, scanner=None, every=3600.0):
        scanner = scanner or Scanner([str(user_dir)], lambda place: not place.is_global)
        sends, sightings = trio.open_memory_channel(1000)
        nursery.start_soon(partial(scan_clock, scanner, sends, every=lambda: every))
        hints = Hints(scanner, open=source if callable(source) else lambda: source)
        while not isinstance(await sightings.receive(), Swept):
            pass
        # As if probes came as often as ever: the clock above only must not bring any.
        scanner._probe_seconds = PROBE
        nursery.start_soon(hints.listen)
        return scanner, hints, sightings

    return start


async def change_of(sightings, name):
    while not (
        isinstance(found := await sightings.receive(), Changed) and found.watched.workspace.id == name
    ):
        pass


@on_linux
@within(60)
@pytest.mark.parametrize("mode", ["delete", "wal"])
async def test_a_commit_is_seen_without_a_sweep(user_dir, watch, mode):
    path = cursor_files.make_workspace(user_dir, "a")
    cursor_files.write_ring(path, [], mode=mode)
    scanner, hints, sightings = await watch(open_os_events)
    await until(lambda: hints.status().state == "on")
    await until(lambda: not scanner.ladder)
    for number in range(3):
        ring = [cursor_files.ring_item(number)]
        await trio.to_thread.run_sync(partial(cursor_files.write_ring, path, ring, mode=mode))
        await change_of(sightings, "a")
    assert hints.status().directories == 2


@on_linux
@within(60)
@pytest.mark.parametrize("state", ["DELETE idle", "WAL idle"])
async def test_the_commits_of_an_owner_that_stays_are_seen_without_a_sweep(user_dir, watch, state):
    path = cursor_files.make_workspace(user_dir, "a")
    command = [sys.executable, owner.__file__, "own", state, str(path.parent)]
    process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert b"ready" in await process.stdout.receive_some()
        scanner, hints, sightings = await watch(open_os_events)
        await until(lambda: hints.status().state == "on")
        await until(lambda: not scanner.ladder)
        for _ in range(3):
            await process.stdin.send_all(b"\n")
            await change_of(sightings, "a")
    finally:
        process.kill()
        await process.wait()


@on_linux
@within(60)
async def test_nothing_in_the_watched_directories_changes(user_dir, watch):
    cursor_files.make_workspace(user_dir, "a", [])
    before = await trio.to_thread.run_sync(cursor_files.tree, user_dir)
    _, hints, _ = await watch(open_os_events)
    await until(lambda: hints.status().state == "on")
    assert await trio.to_thread.run_sync(cursor_files.tree, user_dir) == before


@on_linux
@within(60)
async def test_a_directory_that_is_deleted_and_made_again_is_watched_again(user_dir, watch):
    path = cursor_files.make_workspace(user_dir, "a", [])
    scanner, hints, sightings = await watch(open_os_events)
    await until(lambda: hints.status().state == "on")
    for number in range(3):
        shutil.rmtree(path.parent)
        # Its going was an event of the directory above.
        await until(lambda: not scanner.watched)
        cursor_files.make_workspace(user_dir, "a", [cursor_files.ring_item(number)])
        await until(lambda: scanner.watched and hints.status().state == "on")
        await until(lambda: not scanner.ladder)
        ring = [cursor_files.ring_item(number), cursor_files.ring_item(7)]
        await trio.to_thread.run_sync(cursor_files.write_ring, path, ring)
        await change_of(sightings, "a")


@on_linux
@within(30)
async def test_a_workspace_that_appears_is_found_and_watched(user_dir, watch):
    cursor_files.make_workspace(user_dir, "a", [])
    scanner, hints, sightings = await watch(open_os_events)
    await until(lambda: hints.status().state == "on")
    path = cursor_files.make_workspace(user_dir, "b", [])
    await until(lambda: str(path) in scanner.watched and hints.status().directories == 3)
    await until(lambda: not scanner.ladder)
    await trio.to_thread.run_sync(cursor_files.write_ring, path, [cursor_files.ring_item()])
    await change_of(sightings, "b")


async def test_a_hint_is_followed_again_and_again_until_something_is_seen(user_dir, nursery, autojump_clock):
    path = cursor_files.make_workspace(user_dir, "a", [])
    looked = []
    scanner = InlineScanner([str(user_dir)], lambda place: not place.is_global)
    await scanner.sweep(PROBE)
    # Unsettled, however long it took to make it: what has settled needs no second stat.
    seen = attrs.evolve(scanner.watched[str(path)].signature, settled=False)
    scanner.watched[str(path)].signature = seen
    scanner.look = lambda _: looked.append(trio.current_time()) or seen
    sends, sightings = trio.open_memory_channel(100)
    nursery.start_soon(partial(scan_clock, scanner, sends, every=lambda: 3600.0))
    await trio.sleep(10)
    looked.clear()
    scanner.hint(str(path))
    await trio.sleep(10)
    assert looked == pytest.approx([10 + step for step in STEPS])
    # What the event came before is there at the second look.
    looked.clear()
    began = trio.current_time()
    scanner.hint(str(path))
    await trio.sleep(0.001)
    scanner.look = lambda _: looked.append(trio.current_time()) or cursor_signature(path)
    path.write_bytes(bytes(8192))
    await trio.sleep(10)
    assert looked == pytest.approx([began, began + STEPS[1]])
    assert [type(item) for item in drained(sightings)][-1] is Changed
    scanner.hint("/nobody/knows/state.vscdb")
    assert not scanner.ladder


def cursor_signature(path):
    from trio_cursor.cursor.guest import signature_of  # noqa: PLC0415 - one test's

    return signature_of(str(path))


def drained(channel):
    while True:
        try:
            yield channel.receive_nowait()
        except trio.WouldBlock:
            return


async def test_whoever_writes_all_the_time_is_read_once_a_probe_interval(user_dir, nursery, autojump_clock):
    path = cursor_files.make_workspace(user_dir, "a", [])
    scanner = InlineScanner([str(user_dir)], lambda place: not place.is_global)
    sends, sightings = trio.open_memory_channel(1000)
    nursery.start_soon(partial(scan_clock, scanner, sends, every=lambda: PROBE))
    await trio.sleep(1)
    scanner.watched[str(path)].active = True
    list(drained(sightings))
    for size in range(1, 1001):
        path.write_bytes(bytes(size))
        scanner.hint(str(path))
        scanner.hint(str(path))
        await trio.sleep(0.01)
    assert 20 <= len(list(drained(sightings))) <= 10 / PROBE + 1


@within(30)
async def test_when_the_limit_of_watches_is_reached_the_others_are_polled_and_it_is_said_once(
    user_dir, watch, source, logged
):
    paths = [cursor_files.make_workspace(user_dir, name, []) for name in ("a", "b", "c", "d")]
    source.most = 2
    scanner, hints, sightings = await watch(source)
    # Before the first try none is watched.
    await until(lambda: hints.status().directories == 2)
    status = await until(lambda: (found := hints.status()).note and found)
    assert (status.state, status.directories) == ("partial", 2)
    assert status.unwatched >= 2
    assert "max_user_watches" in status.note
    assert not hints.are_complete()
    scanner.reshaped.set()
    await trio.testing.wait_all_tasks_blocked(0.05)
    assert len([line for line in logged() if "polling alone" in line]) == 1
    # Nothing is missed by polling.
    polled = [path for path in paths if str(path.parent) not in source.watches]
    assert len(polled) >= 2
    for path in polled:
        path.write_bytes(bytes(8192))
    scanner.hurry()
    for path in polled:
        await change_of(sightings, path.parent.name)


@within(30)
@pytest.mark.parametrize(
    ("what", "has_log", "follows"),
    [
        ("written state.vscdb", False, "hint"),
        ("made state.vscdb", False, "hint"),
        ("written state.vscdb", True, "settle"),
        ("made state.vscdb", True, "settle"),
        ("written state.vscdb-wal", True, "settle"),
        ("made state.vscdb-wal", False, "settle"),
        ("removed state.vscdb-wal", True, "closed"),
        ("removed state.vscdb-journal", False, "hint"),
        ("made state.vscdb-journal", False, None),
        ("written state.vscdb-journal", False, None),
        ("written state.vscdb-shm", True, None),
        ("made state.vscdb.backup", False, None),
        ("written workspace.json", False, None),
    ],
)
async def test_which_file_is_written_to_counts(user_dir, source, what, has_log, follows):
    kind, name = what.split()
    path = cursor_files.make_workspace(user_dir, "a", [])
    scanner = NotingScanner([str(user_dir)], lambda place: not place.is_global)
    await scanner.sweep(PROBE)
    scanner.watched[str(path)].has_log = has_log
    hints = Hints(scanner, open=lambda: source)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hints.listen)
        await until(hints.are_complete)
        noted.clear()
        source.say(kind, path, name)
        await until(lambda: not source.queue)
        nursery.cancel_scope.cancel()
    assert noted == ([(follows, str(path))] if follows else [])


@within(30)
async def test_lost_events_are_made_up_for_by_a_sweep(user_dir, watch, source):
    path = cursor_files.make_workspace(user_dir, "a", [])
    _, hints, sightings = await watch(source)
    await until(hints.are_complete)
    path.write_bytes(bytes(8192))
    source.say("lost", None)
    await change_of(sightings, "a")


@within(30)
async def test_a_flood_of_events_starves_nobody(user_dir, watch, source):
    path = cursor_files.make_workspace(user_dir, "a", [])
    _, hints, sightings = await watch(source)
    await until(hints.are_complete)
    home = str(path.parent)
    source.endless = [OsEvent("written", source.watches[home], "state.vscdb-wal")] * 500
    source.far.send(b".")
    for size in (1, 2, 3):
        path.write_bytes(bytes(size))
        await change_of(sightings, "a")


@within(30)
@pytest.mark.parametrize(
    ("why", "note"),
    [
        (NoEventsError("not built for beos"), "not built for beos"),
        (OSError(errno.EMFILE, "Too many open files"), "OSError in trio_cursor; please report it"),
    ],
)
async def test_without_events_the_service_polls_and_says_so_once(user_dir, watch, logged, why, note):
    def fail():
        raise why

    cursor_files.make_workspace(user_dir, "a", [])
    _, hints, _ = await watch(fail)
    await until(lambda: hints.status().note)
    assert (hints.status().state, hints.status().note) == ("off", note)
    assert len([line for line in logged() if "polling alone" in line]) == 1


def test_elsewhere_there_are_none():
    with pytest.raises(NoEventsError, match="darwin"):
        open_os_events("darwin")


def test_a_library_that_is_missing_is_no_misfortune(monkeypatch):
    monkeypatch.setitem(sys.modules, "inotify_simple", None)  # Python's own way to make an import fail
    with pytest.raises(NoEventsError, match="missing"):
        open_os_events("linux")


@within(30)
async def test_what_breaks_while_it_is_heard_stops_only_the_hints(user_dir, watch, source, logged):
    path = cursor_files.make_workspace(user_dir, "a", [])
    scanner, hints, sightings = await watch(source)
    await until(hints.are_complete)
    source.read = lambda: 1 / 0
    source.far.send(b".")
    await until(lambda: hints.status().state == "off")
    assert source.is_closed
    path.write_bytes(bytes(8192))
    scanner.hurry()
    await change_of(sightings, "a")


@within(30)
async def test_a_directory_that_cannot_be_watched_yet_is_tried_again(user_dir, watch, source, monkeypatch):
    monkeypatch.setattr("trio_cursor.hints._RETRY_SECONDS", 0.01)
    cursor_files.make_workspace(user_dir, "a", [])
    source.refused = errno.EACCES
    _, hints, _ = await watch(source)
    assert (await until(lambda: hints.status().note)) == "some directories cannot be watched"
    source.refused = None
    await until(hints.are_complete)


@within(30)
async def test_a_directory_that_is_not_there_is_not_missed_and_is_watched_once_it_is(
    user_dir, watch, source, monkeypatch
):
    monkeypatch.setattr("trio_cursor.hints._RETRY_SECONDS", 0.01)
    cursor_files.make_workspace(user_dir, "a", [])
    source.refused = errno.ENOENT
    _, hints, _ = await watch(source)
    await until(hints.are_complete)
    assert hints.status().directories == 0
    source.refused = None
    await until(lambda: hints.status().directories == 2)


@within(30)
async def test_a_directory_that_hangs_delays_nobody(user_dir, watch, source):
    for name in ("dead", "well"):
        cursor_files.make_workspace(user_dir, name, [])
    source.hangs_at = "dead"
    scanner = Scanner([str(user_dir)], lambda place: not place.is_global)
    hints = Hints(scanner, open=lambda: source, hangs_after=0.05)
    await scanner.sweep(PROBE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hints.listen)
        await until(lambda: hints.status().note)
        assert hints.status().state == "partial"
        assert "does not answer" in hints.status().note
        nursery.cancel_scope.cancel()
    assert source.is_closed


@within(30)
async def test_what_is_watched_no_longer_is_let_go_of(user_dir, watch, source):
    for name in ("a", "b"):
        cursor_files.make_workspace(user_dir, name, [])
    wanted = {"a", "b"}
    scanner = Scanner([str(user_dir)], lambda place: place.id in wanted)
    _, hints, _ = await watch(source, scanner)
    await until(lambda: len(source.watches) == 3)
    wanted.discard("b")
    scanner.reconsider()
    await until(lambda: len(source.watches) == 2)
    assert hints.are_complete()


@within(30)
async def test_a_host_that_uses_all_threads_does_not_stop_the_hints(user_dir, watch, source):
    cursor_files.make_workspace(user_dir, "a", [])
    limiter = trio.to_thread.current_default_thread_limiter()
    borrowers = [object() for _ in range(int(limiter.total_tokens))]
    for borrower in borrowers:
        limiter.acquire_on_behalf_of_nowait(borrower)
    try:
        _, hints, _ = await watch(source)
        await until(hints.are_complete)
    finally:
        for borrower in borrowers:
            limiter.release_on_behalf_of(borrower)
