"""Files that change under the running service: what was committed is in its log once, whatever happens.

A Cursor that lives in a process of its own, in both journal modes, and a neighbour that nothing may hurt. The
full check comes only every half minute: what is found here is found because it was seen to change.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import Counter
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import attrs
import chats
import cursor_files
import killed_copies
import pytest
import scans
import trio
from cursor_files import ring_item
from deadlines import until, within
from living_owner import LivingOwner
from serving import by_id, id_of, running_service

from trio_cursor import parts
from trio_cursor.config import (
    AssemblyConfig,
    Config,
    CursorConfig,
    DatabaseMonitorConfig,
    HttpConfig,
    StateConfig,
)
from trio_cursor.cursor import visits
from trio_cursor.cursor.guest import QUARANTINED, Guest
from trio_cursor.cursor.listing import Lister
from trio_cursor.scanner import Scanner

MODES = ("delete", "wal")
#: Sooner than any full check.
SOON = 10
both_modes = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
def config(user_dir, tmp_path):
    return Config(
        http=HttpConfig(listen="off"),
        cursor=CursorConfig(dirs=(str(user_dir),)),
        state=StateConfig(dir=str(tmp_path / "state")),
        assembly=AssemblyConfig(ring_grace_seconds=0.1, conversation_wait_seconds=0.2),
        cursor_database_monitor=DatabaseMonitorConfig(
            probe_interval_seconds=0.05,
            retry_backoff_seconds=0.1,
            sync_window_hours=876_000,
        ),
    )


@attrs.define(eq=False)
class World:
    """The service, what it has reported, and what Cursor has committed."""

    handle: object
    user: Path
    received: Counter = attrs.field(factory=Counter)
    events: list = attrs.field(factory=list)
    committed: list = attrs.field(factory=list)
    _numbers: int = 0

    def items(self, count=1, *, now_ms=None, **fields):
        """Further items for a ring, which will be committed."""
        if now_ms is not None:
            fields["unixMs"] = now_ms
        made = [ring_item(self._numbers + number, **fields) for number in range(count)]
        self._numbers += count
        self.committed += made
        return made

    def state(self, name="w1"):
        return by_id(self.handle).get(name)

    async def is_reported(self, items=None):
        """Wait until these, or all that was ever committed, are in the log."""
        wanted = {id_of(item) for item in (self.committed if items is None else items)}
        try:
            await until(lambda: wanted <= self.received.keys(), SOON)
        except trio.TooSlowError:
            missing = len(wanted - self.received.keys())
            raise AssertionError(f"{missing} of {len(wanted)} missing; {self.state()}") from None

    async def reports(self, owner, items):
        """What an owner puts into its ring is in the log; the same items."""
        owner.set_ring(items)
        await self.is_reported()
        return items

    async def is_in_state(self, status, words="", name="w1"):
        def is_so():
            state = self.state(name)
            return state and state.status == status and words in (state.last_error or state.note or "")

        try:
            await until(is_so, SOON)
        except trio.TooSlowError:
            raise AssertionError(f"not {status} ({words}): {self.state(name)}") from None
        alarms = [alarm for alarm in self.handle.status().alarms if f"{name}:" in alarm]
        assert bool(alarms) == (status in ("error", "timeout", "locked")), alarms

    async def collect(self):
        async with self.handle.subscribe() as events:
            async for event in events:
                self.received[event.generation_id] += 1
                self.events.append(event)


@pytest.fixture
def world_of(config, user_dir):
    """Makes a world with a neighbour in it; at its end everything was reported once and all is well."""

    @asynccontextmanager
    async def make(mode, *, gaps=0, changed=config):
        with LivingOwner(user_dir / "workspaceStorage" / "neighbour" / "state.vscdb", mode) as neighbour:
            async with running_service(changed) as handle, trio.open_nursery() as nursery:
                world = World(handle, user_dir)
                nursery.start_soon(world.collect)
                neighbour.set_ring(near := world.items())
                await world.is_reported(near)
                yield world
                await world.reports(neighbour, [*near, *world.items()])
                await until(
                    lambda: {item.status for item in handle.status().workspaces} <= {"synced", "connected"}
                )
                assert world.received == Counter(map(id_of, world.committed))
                assert handle.status().gaps == gaps
                # A gap is an alarm for an hour.
                assert len(handle.status().alarms) == (gaps > 0)
                assert world.state("neighbour").errors == 0
                nursery.cancel_scope.cancel()

    return make


def database_of(world, name="w1"):
    return world.user / "workspaceStorage" / name / "state.vscdb"


# -- Another file under the same name ------------------------------------------------------------------


@both_modes
@within(30)
async def test_restored_from_its_backup_while_its_owner_is_at_work(world_of, mode):
    async with world_of(mode) as world:
        path = database_of(world)
        backup = path.with_name("state.vscdb.backup")
        with LivingOwner(path, mode) as owner:
            owner.set_ring(old := world.items(3))
            owner.execute("VACUUM INTO ?", (str(backup),))
            for _ in range(3):
                await world.reports(owner, [*old, *world.items()])
            owner.close()
        backup.replace(path)
        with LivingOwner(path, mode) as owner:
            for _ in range(3):
                old += world.items()
                owner.set_ring(old)
            await world.is_reported()
            await world.is_in_state("synced")


@both_modes
@within(30)
async def test_a_backup_that_is_copied_into_the_same_file(world_of, mode):
    """Not Cursor's way but a person's: the inode is the same, rowid and size of the ring may be too."""
    async with world_of(mode) as world:
        path = database_of(world)
        with LivingOwner(path, mode) as owner:
            owner.set_ring(old := world.items(3))
            owner.close()
        backup = path.with_name("old")
        cursor_files.copy_over(path, backup)
        with LivingOwner(path, mode) as owner:
            await world.reports(owner, [*old, *world.items()])
            owner.close()
        cursor_files.copy_over(backup, path)
        with LivingOwner(path, mode) as owner:
            await world.reports(owner, [*old, *world.items()])
            await world.is_in_state("synced")


@both_modes
@within(30)
async def test_vacuumed_into_another_file_that_takes_its_place(world_of, mode):
    async with world_of(mode) as world:
        path = database_of(world)
        other = path.with_name("vacuumed")
        ring = []
        for _ in range(3):
            with LivingOwner(path, mode) as owner:
                for number in range(20):
                    owner.execute(cursor_files.SET_ITEM, (f"k{number}", "x" * 3000))
                ring += world.items(2)
                owner.set_ring(ring)
                owner.execute("VACUUM INTO ?", (str(other),))
                owner.close()
            other.replace(path)
        await world.is_reported()
        with LivingOwner(path, mode) as owner:
            await world.reports(owner, [*ring, *world.items()])


@both_modes
@within(30)
async def test_made_anew_with_the_number_of_the_deleted_file(world_of, mode):
    """File systems give the number of a file that was deleted to the next one at once."""
    async with world_of(mode) as world:
        path = database_of(world)
        for _ in range(2):
            with LivingOwner(path, mode) as owner:
                await world.reports(owner, world.items(2))
                owner.close()
            path.unlink()


@both_modes
@within(30)
async def test_a_workspace_that_is_deleted_and_made_again_within_a_probe(world_of, mode):
    async with world_of(mode) as world:
        path = database_of(world)
        for _ in range(2):
            new = world.user / "new"
            new.mkdir()
            (new / "workspace.json").write_text('{"folder": "file:///home/demo/w1"}')
            with LivingOwner(new / "state.vscdb", mode) as owner:
                owner.set_ring(world.items(2))
                owner.close()
            if path.parent.exists():
                shutil.rmtree(path.parent)
            new.replace(path.parent)
            await world.is_reported()
            await world.is_in_state("synced")


@both_modes
@within(30)
async def test_a_workspace_that_is_deleted_and_made_again_in_place(world_of, mode):
    async with world_of(mode) as world:
        path = database_of(world)
        for _ in range(2):
            if path.parent.exists():
                shutil.rmtree(path.parent)
            with LivingOwner(path, mode) as owner:
                await world.reports(owner, world.items(2))


# -- The same file, spoilt -----------------------------------------------------------------------------


@both_modes
@within(30)
async def test_truncated_and_repaired(world_of, mode, tmp_path):
    async with world_of(mode) as world:
        path = database_of(world)
        whole = tmp_path / "whole"
        with LivingOwner(path, mode) as owner:
            owner.set_ring(ring := world.items(2))
            for number in range(50):
                owner.execute(cursor_files.SET_ITEM, (f"k{number}", "x" * 3000))
            owner.set_ring(ring)
            owner.close()
        await world.is_reported()
        cursor_files.copy_over(path, whole)
        for size in (5000, 600):
            os.truncate(path, size)
            await world.is_in_state("error")
            cursor_files.copy_over(whole, path)
            await world.is_in_state("synced")
        with LivingOwner(path, mode) as owner:
            await world.reports(owner, [*ring, *world.items()])


@both_modes
@within(30)
async def test_emptied_and_filled_again_with_the_same_and_with_more(world_of, mode, tmp_path):
    async with world_of(mode) as world:
        path = database_of(world)
        whole = tmp_path / "whole"
        with LivingOwner(path, mode) as owner:
            owner.set_ring(world.items(2))
            owner.close()
        await world.is_reported()
        cursor_files.copy_over(path, whole)
        os.truncate(path, 0)
        await world.is_in_state("connected", "0 bytes")
        cursor_files.copy_over(whole, path)
        await world.is_in_state("synced")
        os.truncate(path, 0)
        await world.is_in_state("connected", "0 bytes")
        with LivingOwner(path, mode) as owner:
            owner.set_ring(world.items(2))  # the same rowid, the same size
            await world.is_reported()


@both_modes
@within(30)
async def test_zero_bytes_at_first(world_of, mode):
    async with world_of(mode) as world:
        path = database_of(world)
        path.parent.mkdir()
        path.touch()
        await world.is_in_state("connected", "0 bytes")
        with LivingOwner(path, mode) as owner:
            await world.reports(owner, world.items(2))
            await world.is_in_state("synced")


# -- What is no file, and what is two ------------------------------------------------------------------


@both_modes
@within(30)
async def test_a_directory_in_place_of_the_file(world_of, mode):
    async with world_of(mode) as world:
        path = database_of(world)
        with LivingOwner(path, mode) as owner:
            ring = await world.reports(owner, world.items(2))
            owner.close()
        kept = path.with_name("kept")
        path.rename(kept)
        path.mkdir()
        await world.is_in_state("error", "no regular file")
        path.rmdir()
        kept.rename(path)
        await world.is_in_state("synced")
        if mode == "wal":  # in the other one a log is nothing to look for
            wal = path.with_name("state.vscdb-wal")
            wal.mkdir()
            await world.is_in_state("error", "-wal is no regular file")
            wal.rmdir()
            await world.is_in_state("synced")
        with LivingOwner(path, mode) as owner:
            await world.reports(owner, [*ring, *world.items()])


@both_modes
@within(30)
async def test_a_link_to_another_database_is_not_followed_wherever_it_leads(world_of, mode, tmp_path):
    async with world_of(mode) as world:
        path = database_of(world)
        with LivingOwner(path, mode) as owner:
            ring = await world.reports(owner, world.items(2))
            owner.close()
        others = [tmp_path / "one" / "state.vscdb", tmp_path / "two" / "state.vscdb"]
        for other in others:
            cursor_files.write_ring(other, [ring_item()], mode=mode)
        kept = path.with_name("kept")
        path.rename(kept)
        for other in others:
            link = path.with_name("link")
            link.symlink_to(other)
            link.replace(path)
            await world.is_in_state("error", "no regular file")
        kept.replace(path)
        await world.is_in_state("synced")
        # The directory, too.
        home = path.parent
        home.rename(tmp_path / "home")
        home.symlink_to(others[0].parent)
        await until(lambda: world.state() is None)
        home.unlink()
        (tmp_path / "home").rename(home)
        with LivingOwner(path, mode) as owner:
            await world.reports(owner, [*ring, *world.items()])
        # And the database of a neighbour.
        second = database_of(world, "w2")
        second.parent.mkdir()
        second.symlink_to(path)
        await world.is_in_state("error", "no regular file", name="w2")
        second.unlink()
        with LivingOwner(second, mode) as owner:
            await world.reports(owner, world.items())
            await world.is_in_state("synced", name="w2")


@pytest.fixture
def settled(monkeypatch):
    """Waits until directories were listed so often that only what has changed is looked at."""
    listed = []

    def list_and_count(lister, *, as_it_was=Lister.list):
        listed.append(lister)
        return as_it_was(lister)

    monkeypatch.setattr(Lister, "list", list_and_count)
    make_lister = partial(Lister, full_every=10**9)
    make = partial(Scanner, make_lister=make_lister, idle_every=0.05, heard_every=0.05)
    monkeypatch.setattr(parts, "Scanner", make)

    async def wait():
        before = len(listed)
        await until(lambda: len(listed) >= before + 5)

    return wait


@both_modes
@within(30)
async def test_a_database_that_is_reached_twice_until_it_is_two(world_of, mode, settled):
    async with world_of(mode) as world:
        path, other = database_of(world), database_of(world, "w2")
        with LivingOwner(path, mode) as owner:
            ring = await world.reports(owner, world.items(2))
            owner.close()
        other.parent.mkdir()
        other.hardlink_to(path)
        with LivingOwner(path, mode) as owner:
            await world.reports(owner, [*ring, *world.items()])
            owner.close()
        await settled()
        assert world.state("w2") is None
        # Now the second one is another file...
        with LivingOwner(path.with_name("new"), mode) as owner:
            owner.set_ring(world.items(2))
            owner.close()
        path.with_name("new").replace(other)
        await world.is_reported()
        await world.is_in_state("synced", name="w2")
        # ... the first one again, by another name, so that it does not stand there twice ...
        other.unlink()
        other.hardlink_to(path)
        with LivingOwner(path, mode) as owner:
            await world.reports(owner, [*ring, *world.items()])
            owner.close()
        await settled()
        # ... and the first way to it is gone.
        shutil.rmtree(path.parent)
        with LivingOwner(other, mode) as owner:
            await world.reports(owner, [*ring, *world.items()])
            await world.is_in_state("synced", name="w2")


@both_modes
@within(30)
async def test_the_first_of_two_ways_leads_to_another_file(world_of, mode, settled):
    async with world_of(mode) as world:
        path, other = database_of(world), database_of(world, "w2")
        with LivingOwner(path, mode) as owner:
            owner.set_ring(ring := world.items(2))
            owner.close()
        other.parent.mkdir()
        other.hardlink_to(path)
        await world.is_reported()
        await settled()
        with LivingOwner(path.with_name("new"), mode) as owner:
            owner.set_ring(world.items(2))
            owner.close()
        path.with_name("new").replace(path)
        await world.is_reported()
        with LivingOwner(other, mode) as owner:
            await world.reports(owner, [*ring, *world.items()])


# -- What a dead owner leaves --------------------------------------------------------------------------


def begin_and_spill(owner, items):
    """A transaction under way that has already been written in part."""
    owner.execute("PRAGMA cache_size=5")
    owner.execute("BEGIN")
    for number in range(60):
        owner.execute(cursor_files.SET_ITEM, (f"k{number}", "x" * 3000))
    owner.set_ring(items)
    for number in range(60, 90):
        owner.execute(cursor_files.SET_ITEM, (f"k{number}", "x" * 3000))


@both_modes
@within(30)
async def test_killed_in_a_transaction(world_of, mode):
    async with world_of(mode) as world:
        path = database_of(world)
        ring = []
        for _ in range(2):
            with LivingOwner(path, mode) as owner:
                ring += world.items(2)
                await world.reports(owner, ring)
                begin_and_spill(owner, [*ring, ring_item()])
                owner.kill()
            if mode == "delete":
                await world.is_in_state("error", "must roll it back")
            else:
                await world.is_in_state("synced")
        with LivingOwner(path, mode) as owner:
            owner.execute("SELECT count(*) FROM ItemTable")
            await world.is_in_state("synced")
            await world.reports(owner, [*ring, *world.items()])


@both_modes
@within(30)
async def test_killed_in_a_transaction_and_rolled_back_by_hand(world_of, mode):
    """The journal is moved away with what it would have undone: the database is what it is."""
    async with world_of(mode) as world:
        path = database_of(world)
        with LivingOwner(path, mode) as owner:
            ring = await world.reports(owner, world.items(2))
            owner.execute("VACUUM INTO ?", (str(path.with_name("whole")),))
            begin_and_spill(owner, [*ring, ring_item()])
            owner.kill()
        for suffix in ("-journal", "-wal", "-shm"):
            path.with_name(f"state.vscdb{suffix}").unlink(missing_ok=True)
        path.with_name("whole").replace(path)
        with LivingOwner(path, mode) as owner:
            await world.reports(owner, [*ring, *world.items()])
            await world.is_in_state("synced")


@within(30)
async def test_a_log_without_its_index(world_of, tmp_path):
    """Read from a private copy, of which nothing is left."""
    async with world_of("wal") as world:
        path = database_of(world)
        with LivingOwner(path, "wal") as owner:
            ring = await world.reports(owner, world.items(2))
            owner.set_ring([*ring, *(late := world.items(2))])
            owner.kill()
        path.with_name("state.vscdb-shm").unlink()
        await world.is_reported()
        await world.is_in_state("synced")
        assert killed_copies.copies_in(tmp_path / "state") == []
        with LivingOwner(path, "wal") as owner:
            await world.reports(owner, [*ring, *late, *world.items()])


@within(30)
async def test_a_log_without_its_index_too_large_to_be_copied(world_of, monkeypatch, tmp_path):
    monkeypatch.setattr(parts, "Guest", partial(Guest, private_cap_bytes=100_000))
    async with world_of("wal") as world:
        path = database_of(world)
        with LivingOwner(path, "wal") as owner:
            ring = await world.reports(owner, world.items(2))
            for number in range(50):
                owner.execute(cursor_files.SET_ITEM, (f"k{number}", "x" * 3000))
            await until(lambda: world.state().size)
            owner.kill()
        path.with_name("state.vscdb-shm").unlink()
        os.utime(path.with_name("state.vscdb-wal"))  # whatever was read before
        await world.is_in_state("error", "too large to copy")
        assert killed_copies.copies_in(tmp_path / "state") == []
        with LivingOwner(path, "wal") as owner:
            await world.reports(owner, [*ring, *world.items()])
            await world.is_in_state("synced")


@both_modes
@within(30)
async def test_a_log_that_is_none_of_its_own(world_of, mode):
    async with world_of(mode) as world:
        path = database_of(world)
        with LivingOwner(path, mode) as owner:
            ring = await world.reports(owner, world.items(2))
            owner.close()
        stray = path.with_name("state.vscdb-wal")
        stray.write_bytes(b"\x37\x7f\x06\x82" + bytes(range(256)) * 20)
        await until(lambda: world.state().status == "synced")
        stray.unlink()
        with LivingOwner(path, mode) as owner:
            await world.reports(owner, [*ring, *world.items()])
            await world.is_in_state("synced")


@within(30)
async def test_from_one_journal_mode_to_the_other_and_back(world_of):
    async with world_of("delete") as world:
        path = database_of(world)
        ring = []
        with LivingOwner(path, "delete") as owner:
            for mode in ("delete", "wal", "delete", "wal", "wal", "delete"):
                # A reader at that very moment is in the way; Cursor would try again, too.
                await until(lambda mode=mode: owner.execute(f"PRAGMA journal_mode={mode}") == [[mode]])
                for _ in range(3):
                    ring += world.items()
                    owner.set_ring(ring)
                await world.is_reported()
                await until(lambda mode=mode: world.state().journal_mode == mode)
            await world.is_in_state("synced")


@both_modes
@within(30)
async def test_locked_for_a_while(world_of, config, mode):
    monitor = attrs.evolve(config.cursor_database_monitor, query_timeout_seconds=0.5)
    async with world_of(mode, changed=attrs.evolve(config, cursor_database_monitor=monitor)) as world:
        path = database_of(world)
        with LivingOwner(path, mode) as owner:
            ring = await world.reports(owner, world.items(2))
            owner.execute("PRAGMA locking_mode=EXCLUSIVE")
            owner.execute("BEGIN EXCLUSIVE")
            owner.set_ring(ring := [*ring, *world.items(2)])
            if mode == "delete":
                os.utime(path)  # so that somebody looks
                await world.is_in_state("locked")
            owner.execute("COMMIT")
            owner.execute("PRAGMA locking_mode=NORMAL")
            await world.reports(owner, [*ring, *world.items()])
            await world.is_in_state("synced")


# -- What waits meanwhile ------------------------------------------------------------------------------


@both_modes
@within(30)
async def test_what_waits_is_reported_though_its_workspace_is_deleted(world_of, config, mode):
    slow = attrs.evolve(config, assembly=AssemblyConfig(conversation_wait_seconds=1))
    async with world_of(mode, changed=slow) as world:
        path = database_of(world)
        with LivingOwner(path, mode) as owner:
            owner.set_ring(world.items(2, now_ms=time.time_ns() // 1_000_000))
            await until(lambda: world.handle.status().pending == 2)
        shutil.rmtree(path.parent)
        await until(lambda: world.state() is None)
        await world.is_reported()


@both_modes
@pytest.mark.parametrize("how", ["renamed", "copied"])
@within(30)
async def test_conversations_restored_from_a_backup_in_the_middle_of_a_turn(
    world_of, config, user_dir, mode, how
):
    quick = attrs.evolve(
        config, assembly=AssemblyConfig(conversation_wait_seconds=0.2, settle_timeout_seconds=1)
    )
    path = user_dir / "globalStorage" / "state.vscdb"
    backup = path.with_name("state.vscdb.backup")
    async with world_of(mode, changed=quick) as world:

        async def are_reported(*numbers):
            world.committed += [{"generationUUID": scans.uuid(number)} for number in numbers]
            await world.is_reported()

        with LivingOwner(path, mode) as owner:
            owner.execute(chats.KV)
            chat = chats.Chat(owner, scans.uuid(900), at=time.time_ns() // 1_000_000).turn(1).write()
            await are_reported(1)
            owner.execute("VACUUM INTO ?", (str(backup),))
            chat.turn(2).write()
            await are_reported(2)
            chat.add(chats.USER, "why?", requestId=scans.uuid(3), createdAt="2026-01-01T00:00:00Z")
            chat.write(status="generating", generatingBubbleIds=["x"])
            await until(lambda: world.handle.status().pending == 1)
            owner.close()
        if how == "renamed":
            backup.replace(path)
        else:
            cursor_files.copy_over(backup, path)
        with LivingOwner(path, mode) as owner:
            other = chats.Chat(owner, scans.uuid(901), at=time.time_ns() // 1_000_000)
            for number in (4, 5):
                other.turn(number).write()
                await are_reported(number)
            await are_reported(3)  # asked, and seen to be
            # And what was restored goes on where it was.
            chat = chats.Chat(owner, scans.uuid(900)).turn(1).turn(6).write()
            await are_reported(6)
        await world.is_in_state("synced", name=None)


# -- What does not answer ------------------------------------------------------------------------------


@attrs.define(eq=False)
class Mount:
    """A place in the file system that does not answer to anybody's thread until it is let go."""

    dead: str | None = None
    back: threading.Event = attrs.field(factory=threading.Event)
    hung: int = 0

    def answer(self, path):
        if self.dead and self.dead in os.fspath(path) and threading.current_thread().name != "MainThread":
            self.hung += 1
            self.back.wait(20)

    def let_go(self):
        self.dead = None
        self.back.set()


@pytest.fixture
def mount():
    mount = Mount()
    yield mount
    mount.let_go()


@pytest.fixture
def dead_lstat(mount, monkeypatch):
    def hanging(path, *, as_it_was=os.lstat, **options):
        mount.answer(path)
        return as_it_was(path, **options)

    monkeypatch.setattr(os, "lstat", hanging)
    monkeypatch.setattr(parts, "Scanner", partial(Scanner, hangs_after=0.2))


@both_modes
@pytest.mark.usefixtures("dead_lstat")
@within(30)
async def test_a_mount_that_hangs(world_of, config, tmp_path, mode, mount):
    far = cursor_files.make_user_dir(tmp_path / "far")
    dirs = (*config.cursor.dirs, str(far))
    async with world_of(mode, changed=attrs.evolve(config, cursor=CursorConfig(dirs=dirs))) as world:
        with LivingOwner(far / "workspaceStorage" / "w1" / "state.vscdb", mode) as owner:
            ring = await world.reports(owner, world.items(2))
            mount.dead = str(far)
            for _ in range(2):
                owner.set_ring(ring := [*ring, *world.items()])
                alarms = await until(lambda: world.handle.status().alarms)
                assert all("does not answer" in alarm or "w1: timeout" in alarm for alarm in alarms)
                with LivingOwner(database_of(world, "w2"), mode) as second:
                    second.set_ring(near := world.items(2))
                    await world.is_reported(near)
                shutil.rmtree(database_of(world, "w2").parent)
            assert mount.hung <= 4  # threads that wait with it
            mount.let_go()
            await world.is_reported()
            await world.reports(owner, [*ring, *world.items()])
            await world.is_in_state("synced")


@both_modes
@within(30)
async def test_reads_that_do_not_end_are_left_alone_for_a_while(world_of, config, mode, mount, monkeypatch):
    survey = visits.survey

    def hanging(path, *arguments):
        mount.answer(path)
        return survey(path, *arguments)

    monkeypatch.setattr(visits, "survey", hanging)
    monkeypatch.setattr(parts, "Guest", partial(Guest, quarantine_seconds=0.3))
    monitor = attrs.evolve(
        config.cursor_database_monitor, query_timeout_seconds=0.5, poll_interval_seconds=0.5, max_retries=1
    )
    async with world_of(mode, changed=attrs.evolve(config, cursor_database_monitor=monitor)) as world:
        path = database_of(world)
        with LivingOwner(path, mode) as owner:
            ring = await world.reports(owner, world.items(2))
            mount.dead = "/w1/"
            owner.set_ring(ring := [*ring, *world.items()])
            await until(lambda: mount.hung == 1)
            await world.is_in_state("timeout")
            mount.back.set()
            # The next one does not end either.
            mount.back = threading.Event()
            await world.is_in_state("error", QUARANTINED)
            with LivingOwner(database_of(world, "w2"), mode) as second:
                second.set_ring(near := world.items(2))
                await world.is_reported(near)
            assert mount.hung == 2
            mount.let_go()
            await world.is_reported()
            await world.is_in_state("synced")


# -- Clocks --------------------------------------------------------------------------------------------

DAY_MS = 86_400_000


@pytest.fixture
def clock(monkeypatch):
    """The wall clock, to be set."""

    @attrs.define
    class Clock:
        ahead_ms: int = 0

        def now_ms(self):
            return time.time_ns() // 1_000_000 + self.ahead_ms

    clock = Clock()
    monkeypatch.setattr(parts, "_now_ms", clock.now_ms)
    return clock


def stamp(path, ahead_ms):
    """As a clock that was set stamps what is written."""
    now = time.time_ns() + ahead_ms * 1_000_000
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            os.utime(f"{path}{suffix}", ns=(now, now))


@pytest.mark.parametrize("jump_ms", [DAY_MS, -DAY_MS])
@both_modes
@within(30)
async def test_a_clock_that_jumps_while_it_runs(world_of, mode, clock, jump_ms):
    async with world_of(mode) as world:
        path = database_of(world)
        with LivingOwner(path, mode) as owner:
            ring = []
            for ahead_ms in (0, jump_ms, 0):
                clock.ahead_ms = ahead_ms
                for _ in range(3):
                    ring += world.items(1, now_ms=clock.now_ms())
                    owner.set_ring(ring)
                    stamp(path, ahead_ms)
                await world.is_reported()
                await world.is_in_state("synced")


@pytest.mark.parametrize("is_begun", [True, False])
@pytest.mark.parametrize("jump_ms", [DAY_MS, -DAY_MS])
@within(30)
async def test_a_clock_that_jumps_while_a_turn_is_in_flight(world_of, config, clock, jump_ms, is_begun):
    """Nothing goes out half finished because of it."""
    slow = attrs.evolve(
        config, assembly=AssemblyConfig(conversation_wait_seconds=60, settle_timeout_seconds=300)
    )
    mode = "wal" if is_begun else "delete"
    shared = Path(config.cursor.dirs[0]) / "globalStorage" / "state.vscdb"
    with LivingOwner(shared, mode) as conversations:
        conversations.execute(chats.KV)
        async with world_of(mode, changed=slow) as world:
            with LivingOwner(database_of(world), mode) as owner:
                (item,) = asked = world.items(1, now_ms=clock.now_ms())
                owner.set_ring(asked)
                chat = chats.Chat(conversations, scans.uuid(900), at=clock.now_ms())
                chat.add(chats.USER, "why?", requestId=id_of(item))
                if is_begun:
                    chat.write(status="generating")
                await until(lambda: world.handle.status().pending == 1)
                clock.ahead_ms = jump_ms
                # Whatever is reported now has been found to be due by the clock of now.
                owner.set_ring([*asked, *(more := world.items(1, type="cmdk"))])
                await world.is_reported(more)
                await until(lambda: world.handle.status().pending == 1)
                chat.add(chats.ASSISTANT, "because")
                chat.write(status="completed")
                await world.is_reported()
                (event,) = [one for one in world.events if one.generation_id == id_of(item)]
                assert (event.payload["status"], event.payload["response_text"]) == ("completed", "because")


# -- Gaps ----------------------------------------------------------------------------------------------


@both_modes
@within(30)
async def test_a_gap_is_recorded_once_where_entries_were_missed_and_nowhere_else(world_of, mode, mount):
    async with world_of(mode, gaps=1) as world:
        path = database_of(world)
        with LivingOwner(path, mode) as owner:
            ring = await world.reports(owner, world.items(100))
            ring = [*ring, *world.items(60)][-100:]
            await world.reports(owner, ring)
            assert world.handle.status().gaps == 0
            owner.close()
        kept = path.with_name("kept")
        path.rename(kept)
        await world.is_in_state("connected", "no such file")
        with LivingOwner(kept, mode) as owner:
            for _ in range(15):
                ring = [*ring, *[ring_item(1000 + number) for number in range(10)]][-100:]
                owner.set_ring(ring)
            owner.set_ring(ring := world.items(100))
            owner.close()
        kept.rename(path)
        await world.is_reported()
        with LivingOwner(path, mode) as owner:
            await world.reports(owner, [*ring, *world.items(5)][-100:])


@both_modes
@within(30)
async def test_no_gap_is_recorded_for_a_backup_nor_for_what_it_gives_way_to(world_of, mode):
    async with world_of(mode) as world:
        path = database_of(world)
        backup, kept = path.with_name("backup"), path.with_name("kept")
        with LivingOwner(path, mode) as owner:
            old = await world.reports(owner, world.items(100))
            owner.execute("VACUUM INTO ?", (str(backup),))
            ring = old
            for _ in range(2):
                ring = [*ring, *world.items(70)][-100:]
                await world.reports(owner, ring)
            owner.close()
        path.rename(kept)
        backup.rename(path)
        await until(lambda: world.state().position["ring"] == old[-1]["unixMs"])
        # The better one is found again, with all that was there.
        kept.replace(path)
        with LivingOwner(path, mode) as owner:
            await world.reports(owner, [*ring, *world.items(5)][-100:])
