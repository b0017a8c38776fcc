"""From what the sweep sees to sessions, in virtual time."""

from __future__ import annotations

import fakes
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_cursor.cursor.guest import FileStat, Signature
from trio_cursor.errors import StateError
from trio_cursor.first_pass import FirstPass
from trio_cursor.records import Session, SessionEnded, SessionStarted
from trio_cursor.sessions.discovery import Discovery
from trio_cursor.sessions.registry import Registry
from trio_cursor.watched import Appeared, Changed, Swept, Vanished, Watched

HOUR = 3600.0


class World:
    def __init__(self):
        self.registry = Registry(inactive_ms=12 * 3_600_000, max_active=2)
        self.log = fakes.FakeLog()
        self.first_pass = FirstPass(fakes.FakeScanner())
        self.discovery = Discovery(self.registry, self.log, fakes.now_ms, self.first_pass)
        self.sees, self._sightings = trio.open_memory_channel(0)
        self._sends, self.changes = trio.open_memory_channel(100)

    async def listen(self):
        await self.discovery.listen(self._sightings, self._sends)

    async def told(self):
        await wait_all_tasks_blocked()
        told = []
        while True:
            try:
                told.append(self.changes.receive_nowait())
            except trio.WouldBlock:
                return told


@pytest.fixture
async def world(nursery):
    world = World()
    nursery.start_soon(world.listen)
    return world


def watched(name="w1", written_ms=fakes.EPOCH_MS):
    file = FileStat(1, 2, 4096, written_ms * 1_000_000)
    return Watched(fakes.workspace(name), Signature(file, None))


async def test_a_workspace_that_appears_is_to_be_looked_at_without_a_session(world, autojump_clock):
    item = watched()
    await world.sees.send(Appeared(item))
    assert await world.told() == [SessionStarted(item.workspace, None)]
    assert world.first_pass.progress() == (0, 1)
    assert not world.log.sessions


async def test_a_change_opens_a_session_that_survives_a_restart(world, autojump_clock):
    item = watched()
    await world.sees.send(Changed(item))
    session = Session("scan_w1", item.workspace.database, "discovery", fakes.EPOCH_MS)
    assert await world.told() == [SessionStarted(item.workspace, session)]
    assert world.log.sessions == {item.workspace.database: session}


async def test_a_change_of_what_nobody_watches_is_told_even_if_its_session_is_open(world, autojump_clock):
    item = watched()
    await world.sees.send(Changed(item))
    item.active = True
    await world.sees.send(Changed(item))
    assert len(await world.told()) == 1
    item.active = False
    await world.sees.send(Changed(item))
    assert await world.told() == [SessionStarted(item.workspace, None)]


async def test_a_workspace_that_vanishes_keeps_nobody_waiting(world, autojump_clock):
    item = watched()
    await world.sees.send(Appeared(item))
    await world.sees.send(Vanished(item))
    assert (await world.told())[1:] == [SessionEnded(item.workspace.database, None)]
    assert world.first_pass.progress() == (1, 1)


async def test_a_session_is_closed_after_hours_without_a_change_and_says_so(world, logged, autojump_clock):
    item = watched()
    await world.sees.send(Changed(item))
    await world.told()
    await trio.sleep(11.9 * HOUR)
    assert await world.told() == []
    await trio.sleep(0.2 * HOUR)
    (ended,) = await world.told()
    assert ended.database == item.workspace.database
    assert ended.session.ended_at == world.log.sessions[item.workspace.database].ended_at is not None
    assert [message for message in logged() if "session closed" in message]
    await world.sees.send(Changed(item))
    assert (await world.told())[0].session.session_id == "scan_w1"


async def test_what_an_earlier_run_left_open_is_closed_after_the_first_sweep_unless_it_was_changed(
    world, autojump_clock
):
    idle, busy = watched("idle", fakes.EPOCH_MS - 20 * 3_600_000), watched("busy", fakes.EPOCH_MS - 1000)
    long_ago = fakes.EPOCH_MS - 48 * 3_600_000
    world.registry.restore(
        Session("s", item.workspace.database, "discovery", long_ago) for item in (idle, busy)
    )
    for sighting in (Appeared(idle), Appeared(busy), Swept()):
        await world.sees.send(sighting)
    assert [change.database for change in await world.told() if isinstance(change, SessionEnded)] == [
        idle.workspace.database
    ]
    assert busy.workspace.database in world.registry.open_databases()


async def test_a_sighting_that_arrives_with_the_expiry_is_not_lost(nursery, autojump_clock):
    """The supervisor is slow, so the expiry comes due while a sighting is on its way to it."""
    world = World()
    world._sends, slow = trio.open_memory_channel(0)
    nursery.start_soon(world.listen)
    items = [watched(f"w{number}") for number in range(4)]

    async def see():
        for item in items:
            await world.sees.send(Appeared(item))

    nursery.start_soon(see)
    told = []
    while len(told) < len(items):
        await trio.sleep(59.5)
        told.append(await slow.receive())
    assert [change.workspace for change in told] == [item.workspace for item in items]


async def test_a_session_that_cannot_be_stored_is_open_all_the_same(world, logged, autojump_clock):
    item = watched()
    world.log.failures = [StateError("disk full")]
    await world.sees.send(Changed(item))
    assert len(await world.told()) == 1
    assert item.workspace.database in world.registry.open_databases()
    assert any("could not be stored" in message for message in logged())


async def test_more_workspaces_than_may_be_active_are_said_once(world, logged, autojump_clock):
    for number in range(5):
        await world.sees.send(Changed(watched(f"w{number}")))
    assert len(await world.told()) == 5
    assert sum("max_active" in message for message in logged()) == 1


async def test_a_change_of_the_global_database_is_read_and_opens_no_session_of_its_own(world, autojump_clock):
    """It changes with everything that happens in any workspace."""
    item = watched(None)
    await world.sees.send(Appeared(item))
    await world.told()
    await world.sees.send(Changed(item))
    assert await world.told() == [SessionStarted(item.workspace, None)]
    item.active = True
    await world.sees.send(Changed(item))
    assert await world.told() == []
    assert (world.registry.sessions(), world.log.sessions) == ([], {})
