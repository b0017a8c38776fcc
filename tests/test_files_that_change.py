"""Files that change under the running service: what was committed is in its log once, whatever happens.

A Cursor that lives in a process of its own, in both journal modes, and a neighbour that nothing may hurt. The
full check comes only every half minute: what is found here is found because it was seen to change.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import cursor_files
import pytest
import trio
from cursor_files import ring_item
from deadlines import until, within
from living_owner import LivingOwner
from serving import by_id, id_of, running_service

from trio_cursor.config import (
    AssemblyConfig,
    Config,
    CursorConfig,
    DatabaseMonitorConfig,
    HttpConfig,
    StateConfig,
)

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
    committed: list = attrs.field(factory=list)
    _numbers: int = 0

    def items(self, count=1):
        """Further items for a ring, which will be committed."""
        made = [ring_item(self._numbers + number) for number in range(count)]
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
                neighbour.set_ring([*near, *world.items()])
                await world.is_reported()
                await until(
                    lambda: {item.status for item in handle.status().workspaces} <= {"synced", "connected"}
                )
                assert world.received == Counter(map(id_of, world.committed))
                assert handle.status().gaps == gaps
                assert handle.status().alarms == ()
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
            owner.execute("VACUUM INTO ?", str(backup))
            for _ in range(5):
                owner.set_ring([*old, *world.items()])
                await world.is_reported()
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
            owner.set_ring([*old, *world.items()])
            await world.is_reported()
            owner.close()
        cursor_files.copy_over(backup, path)
        with LivingOwner(path, mode) as owner:
            owner.set_ring([*old, *world.items()])
            await world.is_reported()
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
                    owner.execute(cursor_files.SET_ITEM, f"k{number}", "x" * 3000)
                ring += world.items(2)
                owner.set_ring(ring)
                owner.execute("VACUUM INTO ?", str(other))
                owner.close()
            other.replace(path)
        await world.is_reported()
        with LivingOwner(path, mode) as owner:
            owner.set_ring([*ring, *world.items()])
            await world.is_reported()


@both_modes
@within(30)
async def test_made_anew_with_the_number_of_the_deleted_file(world_of, mode):
    """File systems give the number of a file that was deleted to the next one at once."""
    async with world_of(mode) as world:
        path = database_of(world)
        for _ in range(4):
            with LivingOwner(path, mode) as owner:
                owner.set_ring(world.items(2))
                await world.is_reported()
                owner.close()
            path.unlink()


@both_modes
@within(30)
async def test_a_workspace_that_is_deleted_and_made_again_within_a_probe(world_of, mode):
    async with world_of(mode) as world:
        path = database_of(world)
        for _ in range(4):
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
        for _ in range(4):
            if path.parent.exists():
                shutil.rmtree(path.parent)
            with LivingOwner(path, mode) as owner:
                owner.set_ring(world.items(2))
                await world.is_reported()


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
                owner.execute(cursor_files.SET_ITEM, f"k{number}", "x" * 3000)
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
            owner.set_ring([*ring, *world.items()])
            await world.is_reported()


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
            owner.set_ring(world.items(2))
            await world.is_reported()
            await world.is_in_state("synced")
