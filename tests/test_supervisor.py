"""Which workspaces are watched, in virtual time; sessions and watchers are real, guest and log doubles."""

from __future__ import annotations

from types import SimpleNamespace

import attrs
import fakes
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_cursor.atlas import Atlas
from trio_cursor.condition import Pace
from trio_cursor.cursor.guest import Busy, TimedOut, Unreadable
from trio_cursor.demand import Demand
from trio_cursor.first_pass import FirstPass
from trio_cursor.polling import Tools
from trio_cursor.records import ToBeRead
from trio_cursor.sessions.placing import Placing
from trio_cursor.sessions.registry import Registry
from trio_cursor.sessions.tracker import Tracker
from trio_cursor.sink import Sink
from trio_cursor.supervisor import Supervisor
from trio_cursor.watched import Appeared, Changed, Swept, Vanished, Watched


class World:
    """The service without its edges: sightings go in, events come out."""

    def __init__(self, nursery, *, max_active=100, inactive_ms=12 * 3_600_000, ring_grace_ms=0):
        self.guest, self.log = fakes.FakeGuest(), fakes.FakeLog()
        self.scanner = fakes.FakeScanner()
        self.registry = Registry(inactive_ms=inactive_ms, max_active=max_active)
        self.first_pass = FirstPass(self.scanner)
        sends, messages = trio.open_memory_channel(16)
        assembler, freshness = fakes.make_assembler(self.scanner, ring_grace_ms=ring_grace_ms)
        self.sink = Sink(
            self.log,
            assembler,
            self.registry,
            self.scanner,
            freshness,
            fakes.now_ms,
            "host",
            1 << 20,
            fakes.nobody,
        )
        self.states = {}
        demand = Demand(self.registry, assembler, self.scanner, fakes.now_ms)
        self.tools = tools = Tools(
            guest=self.guest,
            log=self.log,
            demand=demand,
            sends=sends,
            now_ms=fakes.now_ms,
            window_ms=None,
            scanner=self.scanner,
            assembler=assembler,
            freshness=freshness,
            pace=Pace(30.0, 0.25, 3, 2.0),
        )
        supervisor = Supervisor(self.scanner, self.first_pass, tools, self.states)
        self.sends_sightings, sightings = trio.open_memory_channel(0)
        sends_changes, changes = trio.open_memory_channel(0)
        tracker = Tracker(
            registry=self.registry,
            demand=demand,
            log=self.log,
            atlas=Atlas(self.scanner, lambda _: True),
            # Nobody announces anything here.
            placing=Placing(self.registry, SimpleNamespace(edition=lambda: 0), self.log),
            first_pass=self.first_pass,
            now_ms=fakes.now_ms,
            changes=sends_changes,
        )
        nursery.start_soon(self.sink.deliver, messages)
        nursery.start_soon(supervisor.supervise, changes)
        nursery.start_soon(tracker.listen, sightings)
        nursery.start_soon(self.first_pass.announce, sends)

    async def see(self, sighting):
        await self.sends_sightings.send(sighting)
        await wait_all_tasks_blocked()

    async def appear(self, name="w1", *items):
        place = fakes.workspace(name)
        self.scanner.listings[place.profile] = None
        database = self.guest[place.database]
        if items:
            database.set_ring(*items)
        watched = Watched(place, database.signature)
        self.scanner.watched[place.database] = watched
        await self.see(Appeared(watched))
        return watched

    async def change(self, watched, *items):
        database = self.guest[watched.workspace.database]
        database.set_ring(*items)
        watched.signature = database.signature
        watched.wake()
        await self.see(Changed(watched))

    async def vanish(self, watched):
        del self.scanner.watched[watched.workspace.database]
        await self.see(Vanished(watched))

    def active(self):
        return sorted(item.workspace.id for item in self.scanner.watched.values() if item.active)


@pytest.fixture
async def world(nursery):
    return World(nursery)


def item(number):
    id_ = f"00000000-0000-4000-8000-{number:012}"
    return {"unixMs": fakes.EPOCH_MS + number, "generationUUID": id_, "type": "cmdk"}


def ids(*numbers):
    return [item(number)["generationUUID"] for number in numbers]


async def test_each_workspace_is_looked_at_once_and_only_a_busy_one_is_watched(world, autojump_clock):
    await world.appear("idle")
    await world.appear("busy", item(1))
    await world.see(Swept())
    assert world.active() == ["busy"]
    assert sorted(world.states) == sorted(world.scanner.watched)
    assert world.log.ids() == ids(1)
    await world.first_pass.over.wait()


async def test_an_idle_workspace_costs_no_look_and_no_timer(world, autojump_clock):
    await world.appear("idle")
    visits = len(world.guest.visits)
    await trio.sleep(24 * 3600)
    assert len(world.guest.visits) == visits


async def test_a_change_brings_an_idle_workspace_back_to_life(world, autojump_clock):
    watched = await world.appear("idle")
    await world.see(Swept())
    await trio.sleep(3600)
    await world.change(watched, item(1))
    assert world.active() == ["idle"]
    assert world.log.ids() == ids(1)
    assert world.log.events[0].session_id == "scan_idle"


async def test_a_session_that_expires_ends_its_watcher_and_the_next_change_starts_another(
    nursery, autojump_clock
):
    world = World(nursery, inactive_ms=3_600_000)
    watched = await world.appear("w1", item(1))
    await world.see(Swept())
    await trio.sleep(2 * 3600)
    assert world.active() == []
    assert world.log.sessions[watched.workspace.database].ended_at is not None
    await world.change(watched, item(1), item(2))
    assert world.active() == ["w1"]
    assert world.log.ids() == ids(1, 2)
    assert world.log.sessions[watched.workspace.database].ended_at is None


async def test_a_change_at_the_very_moment_of_the_expiry_is_read(nursery, autojump_clock):
    """The watcher has been told to leave, and has not left yet."""
    world = World(nursery, inactive_ms=3_600_000)
    watched = await world.appear("w1", item(1))
    await world.see(Swept())
    await trio.sleep(3600)
    database = world.guest[watched.workspace.database]
    database.set_ring(item(1), item(2))
    # Slow enough that both arrive while it looks.
    database.script = [TimedOut("slow", abandoned=False)]
    watched.signature = database.signature
    watched.wake()
    for session in world.registry.expire(fakes.now_ms() + 10**9):
        assert session.database == watched.workspace.database
    await world.see(Changed(watched))
    await trio.sleep(60)
    assert world.log.ids() == ids(1, 2)
    assert world.active() == ["w1"]


async def test_a_workspace_that_vanishes_and_comes_back_under_its_path_is_read_anew(world, autojump_clock):
    watched = await world.appear("w1", item(1))
    await world.see(Swept())
    await world.vanish(watched)
    assert world.states == {}
    assert not watched.active
    again = world.guest[watched.workspace.database]
    again.inode = 2
    watched = await world.appear("w1", item(1), item(2))
    assert watched.active
    assert world.log.ids() == ids(1, 2)
    assert world.log.positions[watched.workspace.database].identity == (1, 2)


async def test_one_that_comes_back_while_its_old_watcher_still_unwinds_is_watched(world, autojump_clock):
    watched = await world.appear("w1", item(1))
    await world.see(Swept())
    database = watched.workspace.database
    del world.scanner.watched[database]
    world.guest[database].set_ring(item(1), item(2))
    world.guest[database].inode = 2
    fresh = Watched(watched.workspace, world.guest[database].signature)
    # Both in one breath: the old one's cancellation is not delivered before the new one begins.
    await world.sends_sightings.send(Vanished(watched))
    world.scanner.watched[database] = fresh
    await world.sends_sightings.send(Appeared(fresh))
    await wait_all_tasks_blocked()
    assert (watched.active, fresh.active) == (False, True)
    await world.change(fresh, item(1), item(2), item(3))
    assert world.log.ids() == ids(1, 2, 3)


async def test_a_workspace_that_vanishes_before_it_was_read_keeps_nobody_waiting(world, autojump_clock):
    place = fakes.workspace("w1")
    world.guest[place.database].script = [TimedOut("hangs", abandoned=True)] * 1000
    watched = await world.appear("w1")
    await world.see(Swept())
    assert not world.first_pass.over.is_set()
    await world.vanish(watched)
    assert world.first_pass.over.is_set()


async def test_a_workspace_that_is_gone_before_its_turn_is_not_started(world, autojump_clock):
    watched = Watched(fakes.workspace("w1"), world.guest["x"].signature)
    await world.see(Appeared(watched))
    assert world.states == {}
    assert world.guest.visits == []


async def test_a_broken_neighbour_never_stops_the_others(world, logged, autojump_clock):
    for number, trouble in enumerate([ZeroDivisionError(), TimedOut("hangs", abandoned=True)]):
        world.guest[fakes.workspace(f"bad{number}").database].script = [trouble] * 1000
        await world.appear(f"bad{number}")
    good = await world.appear("good", item(1))
    await world.see(Swept())
    await trio.sleep(60)
    await world.change(good, item(1), item(2))
    assert world.log.ids() == ids(1, 2)
    assert world.first_pass.over.is_set()
    assert {state.workspace.id: state.status for state in world.states.values()} == {
        "bad0": "error",
        "bad1": "timeout",
        "good": "synced",
    }


async def test_of_too_many_workspaces_the_least_recently_changed_wait_and_nothing_is_lost(
    nursery, autojump_clock
):
    world = World(nursery, max_active=2)
    items = {name: await world.appear(name) for name in ("w1", "w2", "w3")}
    await world.see(Swept())
    for number, watched in enumerate(items.values()):
        await world.change(watched, item(number))
        await trio.sleep(1)
    await trio.sleep(60)
    assert world.active() == ["w2", "w3"]
    # It is not watched, but its change is read as any other, and another one waits now.
    await world.change(items["w1"], item(0), item(10))
    await trio.sleep(60)
    assert world.active() == ["w1", "w3"]
    assert world.log.ids() == ids(0, 1, 2, 10)


async def test_first_looks_at_very_many_workspaces_take_turns_and_hold_up_no_sighting(world, autojump_clock):
    places = [fakes.workspace(f"w{number}") for number in range(1500)]
    gate = world.guest.gate = trio.Event()
    for place in places:
        world.scanner.listings[place.profile] = None
        watched = Watched(place, world.guest[place.database].signature)
        world.scanner.watched[place.database] = watched
        with trio.fail_after(1):
            await world.sends_sightings.send(Appeared(watched))
    await world.see(Swept())
    assert world.first_pass.progress() == (0, 1500)
    assert len(world.guest.visits) == len(world.active()) == 200
    # One whose turn has not come may go again, and leaves its turn to the others.
    await world.vanish(watched)
    gate.set()
    await world.first_pass.over.wait()
    assert world.first_pass.progress() == (1500, 1500)
    assert {path for _, path in world.guest.visits} == {place.database for place in places[:-1]}
    await wait_all_tasks_blocked()
    assert world.active() == []


async def test_a_first_look_that_is_called_off_leaves_its_turn_to_the_next(world, autojump_clock):
    world.guest.gate = trio.Event()
    watched = [await world.appear(f"w{number}") for number in range(201)]
    assert len(world.guest.visits) == 200
    await world.vanish(watched[0])
    assert world.guest.visits[-1][1] == watched[200].workspace.database


async def test_one_whose_turn_has_not_come_may_go_and_come_back(world, autojump_clock):
    gate = world.guest.gate = trio.Event()
    for number in range(200):
        await world.appear(f"w{number}")
    last = await world.appear("last", item(1))
    await world.vanish(last)
    last = await world.appear("last", item(2))
    await world.see(Swept())
    gate.set()
    await world.first_pass.over.wait()
    assert world.log.ids() == ids(2)
    assert world.active() == ["last"]


async def test_who_was_looked_at_before_does_not_wait_for_first_looks(world, autojump_clock):
    early = await world.appear("early")
    gate = world.guest.gate = trio.Event()
    for number in range(300):
        await world.appear(f"w{number}")
    assert len(world.active()) == 200
    visits = len(world.guest.visits)
    await world.change(early, item(1))
    assert "early" in world.active()
    assert [path for _, path in world.guest.visits[visits:]] == [early.workspace.database]
    gate.set()
    await wait_all_tasks_blocked()
    assert world.log.ids() == ids(1)


async def test_the_first_pass_is_over_when_all_that_waited_for_it_is_in_the_log(nursery, autojump_clock):
    """It goes out in steps, in the order of time over all workspaces."""
    world = World(nursery, ring_grace_ms=2000)
    gate = world.guest.gate = trio.Event()
    for number in range(6):
        # Of an hour ago: nobody has to wait for anything but the other rings.
        old = [item(6 * at + number) for at in range(100)]
        await world.appear(f"w{number}", *({**one, "unixMs": one["unixMs"] - 3_600_000} for one in old))
    gate.set()
    await world.sends_sightings.send(Swept())
    await world.first_pass.over.wait()
    assert world.log.ids() == ids(*range(600))


# -- Where nobody works any more -----------------------------------------------------------------------


class Wanted:
    """Who says whether a database is wanted, where sessions are announced."""

    registry = SimpleNamespace(discovers=False)

    def __init__(self):
        self.is_wanted = True

    def wants(self, _):
        return self.is_wanted


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Busy("database is locked"), "locked"),
        (Unreadable("not a database"), "error"),
        (TimedOut("no answer", abandoned=False), "timeout"),
    ],
)
async def test_a_database_that_is_read_no_more_is_in_no_trouble(
    world, nursery, autojump_clock, outcome, status
):
    demand, states = Wanted(), {}
    tools = attrs.evolve(world.tools, demand=demand)
    sends, changes = trio.open_memory_channel(0)
    nursery.start_soon(Supervisor(world.scanner, world.first_pass, tools, states).supervise, changes)
    place = fakes.workspace("w1")
    database = world.guest[place.database]
    database.script = [outcome] * 1000
    watched = world.scanner.watched[place.database] = Watched(place, database.signature)
    await sends.send(ToBeRead(place))
    await trio.sleep(60)
    state = states[place.database]
    assert (state.status, bool(state.last_error)) == (status, True)
    why = state.last_error
    # Its last session ends, and nobody will look whether it can be read again.
    demand.is_wanted = False
    await trio.sleep(700)
    assert not watched.active
    assert (state.status, state.last_error) == ("connected", None)
    assert state.note == f"{status} when it was last read: {why}"
    # Somebody comes back, and it is as it was.
    demand.is_wanted = True
    await sends.send(ToBeRead(place))
    await trio.sleep(60)
    assert (state.status, state.last_error, state.note) == (status, why, None)


async def test_what_is_wrong_at_the_end_of_a_run_is_still_said(world, autojump_clock):
    demand, states = Wanted(), {}
    tools = attrs.evolve(world.tools, demand=demand)
    sends, changes = trio.open_memory_channel(0)
    place = fakes.workspace("w1")
    async with trio.open_nursery() as run:
        run.start_soon(Supervisor(world.scanner, world.first_pass, tools, states).supervise, changes)
        database = world.guest[place.database]
        database.script = [Unreadable("not a database")] * 1000
        world.scanner.watched[place.database] = Watched(place, database.signature)
        await sends.send(ToBeRead(place))
        await trio.sleep(60)
        run.cancel_scope.cancel()
    assert (states[place.database].status, states[place.database].last_error) == ("error", "not a database")
