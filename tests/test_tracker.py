"""From what is announced, and what the sweep sees, to who is read; in virtual time."""

from __future__ import annotations

import attrs
import fakes
import pytest
import trio
from log_events import pending
from trio.testing import wait_all_tasks_blocked

from trio_cursor.atlas import Atlas
from trio_cursor.cursor.guest import FileStat, Signature
from trio_cursor.cursor.mapping import Mapped, Unmapped
from trio_cursor.demand import Demand
from trio_cursor.errors import StateError
from trio_cursor.first_pass import FirstPass
from trio_cursor.records import LookAgain, Session, StreamMark, ToBeRead, WorkspaceGone
from trio_cursor.sessions.announcements import Announcement
from trio_cursor.sessions.beginning import Beginning
from trio_cursor.sessions.placing import Placing
from trio_cursor.sessions.registry import Registry
from trio_cursor.sessions.tracker import Tracker
from trio_cursor.watched import Appeared, Changed, Swept, Vanished, Watched

HOUR = 3600.0
HOUR_MS = 3_600_000
H1, H2 = "11" * 8, "22" * 8


@attrs.define
class FakeMapper:
    """Knows what it is told; its search takes `seconds`."""

    known: dict = attrs.field(factory=dict)
    found: dict = attrs.field(factory=dict)
    seconds: float = 0.0
    searches: list = attrs.field(factory=list)
    remembered: list = attrs.field(factory=list)

    def quick(self, workspace_hash, path, now_ms):
        place = self.known.get(workspace_hash)
        return Mapped(place, "workspace_json") if place else Unmapped({"workspace_json": "no such folder"})

    async def search(self, workspace_hash, path, session_ids):
        self.searches.append((workspace_hash, path, session_ids))
        await trio.sleep(self.seconds)
        place = self.found.get(workspace_hash)
        return Mapped(place, "session_id") if place else Unmapped({"session_id": "named nowhere"})

    def is_there(self, database):
        return True

    def edition(self):
        return len(self.known)

    def remember(self, mapping):
        self.remembered.append(mapping)
        return True


class World:
    def __init__(self, *, discovers=True, sessions=(), awaited=()):
        self.registry = Registry(inactive_ms=12 * HOUR_MS, max_active=2, discovers=discovers)
        self.registry.restore(sessions, fakes.now_ms())
        self.log, self.mapper, self.scanner = fakes.FakeLog(), FakeMapper(), fakes.FakeScanner()
        self.first_pass = FirstPass(self.scanner)
        self.sees, self._sightings = trio.open_memory_channel(0)
        sends, self.changes = trio.open_memory_channel(100)
        self.placing = Placing(self.registry, self.mapper, self.log)
        self.readmitted = 0
        assembler, _ = fakes.make_assembler(self.scanner)
        self.tracker = Tracker(
            registry=self.registry,
            demand=Demand(self.registry, assembler, self.scanner, fakes.now_ms),
            log=self.log,
            atlas=Atlas(self.scanner, lambda _: True),
            placing=self.placing,
            first_pass=self.first_pass,
            now_ms=fakes.now_ms,
            changes=sends,
            changed=self._readmit,
            beginning=Beginning(set(awaited)),
        )

    def _readmit(self):
        self.readmitted += 1

    def run(self, nursery):
        nursery.start_soon(self.tracker.listen, self._sightings)
        nursery.start_soon(self.tracker.search)

    async def see(self, *sightings):
        """Send them, and return what the supervisor is told."""
        for sighting in sightings:
            match sighting:
                case Appeared(item):
                    self.scanner.watched[item.workspace.database] = item
                    self.scanner.listings[item.workspace.profile] = None
                case Vanished(item):
                    del self.scanner.watched[item.workspace.database]
            await self.sees.send(sighting)
        return await self.told()

    async def hear(self, *heard, mark=None):
        await self.tracker.announce(heard, mark)
        return await self.told()

    def opened(self, told):
        """Of workspaces that are to be read, and by which open sessions."""
        workspaces = dict.fromkeys(change.workspace for change in told if isinstance(change, ToBeRead))
        return [
            (workspace.id, session.session_id)
            for workspace in workspaces
            for session in self.registry.sessions()
            if session.database == workspace.database
        ]

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
    world.run(nursery)
    return world


@pytest.fixture
async def extension(nursery):
    """With announced sessions alone."""
    world = World(discovers=False)
    world.run(nursery)
    return world


def watched(name="w1", written_ms=fakes.EPOCH_MS):
    file = FileStat(1, 2, 4096, written_ms * 1_000_000)
    return Watched(fakes.workspace(name), Signature(file, None))


def start(session_id="a", hash_=H1, *, ago_ms=0, source="redis", path=None):
    at_ms = fakes.now_ms() - ago_ms
    return Announcement(True, session_id, hash_, source, at_ms, workspace_path=path)


def end(session_id="a", hash_=H1, *, source="redis"):
    return Announcement(False, session_id, hash_, source, fakes.now_ms())


class TestDiscovery:
    async def test_a_workspace_that_appears_is_to_be_looked_at_without_a_session(self, world, autojump_clock):
        item = watched()
        assert await world.see(Appeared(item)) == [ToBeRead(item.workspace)]
        assert world.first_pass.progress() == (0, 1)
        assert not world.log.sessions

    async def test_a_change_opens_a_session_that_survives_a_restart(self, world, autojump_clock):
        item = watched()
        await world.see(Appeared(item))
        assert await world.see(Changed(item)) == [ToBeRead(item.workspace)]
        (session,) = world.registry.sessions()
        assert (session.session_id, session.started_at) == ("scan_w1", fakes.EPOCH_MS)
        assert world.log.sessions == {item.workspace.database: session}

    async def test_a_change_of_what_nobody_watches_is_told_even_if_its_session_is_open(
        self, world, autojump_clock
    ):
        item = watched()
        await world.see(Appeared(item), Changed(item))
        item.active = True
        assert await world.see(Changed(item)) == []
        item.active = False
        assert await world.see(Changed(item)) == [ToBeRead(item.workspace)]

    async def test_a_workspace_that_vanishes_keeps_nobody_waiting(self, world, autojump_clock):
        item = watched()
        await world.see(Appeared(item))
        home = fakes.workspace(None).database
        assert await world.see(Vanished(item)) == [
            WorkspaceGone(item.workspace.database),
            LookAgain(home),
        ]
        assert world.first_pass.progress() == (1, 1)
        assert await world.see(Appeared(item)) == [ToBeRead(item.workspace)]
        assert world.first_pass.progress() == (1, 2)

    async def test_a_session_is_closed_after_hours_without_a_change_and_says_so(
        self, world, caplog, autojump_clock
    ):
        caplog.set_level("INFO", logger="trio_cursor")
        item = watched()
        await world.see(Appeared(item), Changed(item), Swept())
        await trio.sleep(11.9 * HOUR)
        assert await world.told() == []
        await trio.sleep(0.2 * HOUR)
        assert LookAgain(item.workspace.database) in await world.told()
        assert world.log.sessions[item.workspace.database].ended_at is not None
        assert world.registry.sessions() == []
        opened, closed = (record for record in caplog.records if record.message.startswith("session "))
        for line in (opened, closed):
            assert (line.workspace, line.session) == (item.workspace.name, "scan_w1")
        assert world.opened(await world.see(Changed(item))) == [("w1", "scan_w1")]

    async def test_a_sighting_that_arrives_with_the_expiry_is_not_lost(self, nursery, autojump_clock):
        """The supervisor is slow, so the expiry comes due while a sighting is on its way to it."""
        world = World()
        world.tracker.changes, slow = trio.open_memory_channel(0)
        world.run(nursery)
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

    async def test_a_session_that_cannot_be_stored_is_open_all_the_same(self, world, logged, autojump_clock):
        item = watched()
        await world.see(Appeared(item))
        world.log.failures = [StateError("disk full")]
        assert world.opened(await world.see(Changed(item))) == [("w1", "scan_w1")]
        assert any("could not be stored" in message for message in logged())
        assert not world.log.sessions
        # With the next change it is stored too.
        await world.see(Appeared(other := watched("w2")), Changed(other))
        assert len(world.log.sessions) == 2

    async def test_more_workspaces_than_may_be_active_are_said_once(self, world, logged, autojump_clock):
        for number in range(5):
            item = watched(f"w{number}")
            await world.see(Appeared(item), Changed(item))
        assert sum("max_active" in message for message in logged()) == 1

    async def test_a_change_of_the_global_database_is_read_and_opens_no_session_of_its_own(
        self, world, autojump_clock
    ):
        """It changes with everything that happens in any workspace."""
        item = watched(None)
        await world.see(Appeared(item))
        assert await world.see(Changed(item)) == [ToBeRead(item.workspace)]
        item.active = True
        assert await world.see(Changed(item)) == []
        assert (world.registry.sessions(), world.log.sessions) == ([], {})


class TestRestart:
    async def test_what_was_open_is_closed_after_the_first_sweep_unless_it_was_changed(
        self, nursery, autojump_clock
    ):
        idle, busy = watched("idle", fakes.EPOCH_MS - 20 * HOUR_MS), watched("busy", fakes.EPOCH_MS - 1000)
        long_ago = fakes.EPOCH_MS - 48 * HOUR_MS
        world = World(
            sessions=[Session("s", item.workspace.database, "discovery", long_ago) for item in (idle, busy)]
        )
        world.run(nursery)
        told = await world.see(Appeared(idle), Appeared(busy), Swept())
        assert LookAgain(idle.workspace.database) in told
        assert LookAgain(busy.workspace.database) not in told
        assert [session.database for session in world.registry.sessions()] == [busy.workspace.database]

    async def test_it_waits_for_the_sources(self, nursery, autojump_clock):
        """An end may have been announced meanwhile: what is open is not known before they have told."""
        world = World(awaited=["redis", "files"])
        world.run(nursery)
        await world.see(Swept())
        world.tracker.caught_up("redis")
        await world.told()
        assert not world.first_pass._is_swept
        world.tracker.caught_up("files")
        await world.told()
        assert world.first_pass._is_swept

    async def test_a_session_whose_database_is_gone_waits_for_a_place(self, nursery, autojump_clock):
        gone = fakes.workspace("gone").database
        world = World(
            discovers=False,
            sessions=[
                Session("a", gone, "redis", fakes.EPOCH_MS, workspace_hash=H1, heard_at=fakes.EPOCH_MS)
            ],
        )
        world.run(nursery)
        await world.see(Appeared(watched()), Swept())
        assert world.registry.unplaced_hashes() == [H1]
        assert world.log.stored[H1, "a"].database is None

    async def test_what_an_earlier_run_has_left_is_read_on(self, nursery, autojump_clock):
        item = watched()
        database = item.workspace.database
        world = World(
            discovers=False,
            sessions=[
                Session("a", database, "redis", fakes.EPOCH_MS, workspace_hash=H1, heard_at=fakes.EPOCH_MS)
            ],
        )
        world.run(nursery)
        assert await world.see(Appeared(item), Swept()) == [ToBeRead(item.workspace)]


class TestBeginning:
    async def test_the_end_of_the_sweep_has_nobody_read_twice(self, world, autojump_clock):
        assert len(await world.see(Appeared(watched()))) == 1
        assert await world.see(Swept()) == []

    async def test_with_sources_nothing_is_read_before_they_have_told(self, nursery, autojump_clock):
        """What goes out before that would be somebody else's."""
        world, item = World(awaited=["redis"]), watched()
        world.run(nursery)
        world.mapper.known[H1] = item.workspace
        assert await world.see(Appeared(item), Changed(item), Swept()) == []
        assert await world.hear(start(ago_ms=1000)) == []
        world.tracker.caught_up("redis")
        assert world.opened(await world.told()) == [("w1", "a")]

    async def test_but_not_for_ever(self, nursery, autojump_clock):
        world, item = World(awaited=["redis"]), watched()
        world.run(nursery)
        assert await world.see(Appeared(item), Swept()) == []
        await trio.sleep(10.1)
        assert await world.told() == [ToBeRead(item.workspace)]

    async def test_of_those_announced_alone_nobody_is_read_before_it_is_known_who_is_over(
        self, nursery, autojump_clock
    ):
        world = World(discovers=False, awaited=["redis"])
        world.run(nursery)
        alive, dead = watched("w1"), watched("w2")
        world.mapper.known |= {H1: alive.workspace, H2: dead.workspace}
        await world.see(Appeared(alive), Appeared(dead), Swept())
        assert await world.hear(start("dead", H2, ago_ms=70 * HOUR_MS), start("alive", H1)) == []
        world.tracker.caught_up("redis")
        assert world.opened(await world.told()) == [("w1", "alive")]
        dead_session = world.log.stored[H2, "dead"]
        assert dead_session.ended_at == dead_session.started_at

    async def test_what_has_ended_while_we_were_away_is_read_once_more(self, nursery, autojump_clock):
        item = watched()
        began = fakes.EPOCH_MS - HOUR_MS
        session = Session("a", item.workspace.database, "redis", began, workspace_hash=H1, heard_at=began)
        world = World(discovers=False, awaited=["redis"], sessions=[session])
        world.run(nursery)
        await world.see(Appeared(item), Swept())
        await world.hear(attrs.evolve(start(ago_ms=600_000), is_start=False))
        world.tracker.caught_up("redis")
        told = await world.told()
        assert ToBeRead(item.workspace) in told
        await trio.sleep(31)
        assert LookAgain(item.workspace.database) in await world.told()

    async def test_the_first_pass_waits_for_searches_for_what_was_announced_before(
        self, nursery, autojump_clock
    ):
        world, item = World(discovers=False, awaited=["redis"]), watched()
        world.run(nursery)
        world.mapper.found[H2], world.mapper.seconds = item.workspace, 2.0
        await world.hear(start("a", H1), start("b", H2))
        await world.see(Appeared(item), Swept())
        world.tracker.caught_up("redis")
        await world.told()
        assert not world.first_pass._is_swept
        await trio.sleep(4.1)
        assert world.opened(await world.told()) == [("w1", "b")]
        assert world.first_pass._is_swept

    async def test_but_not_for_those_of_a_thousand_other_machines(self, nursery, autojump_clock):
        world = World(discovers=False)
        world.run(nursery)
        world.mapper.seconds = 2.0
        for number in range(20):
            await world.hear(start(hash_=f"{number:016x}"))
        await world.see(Swept())
        await trio.sleep(4.9)
        assert not world.first_pass._is_swept
        await trio.sleep(0.2)
        assert world.first_pass._is_swept

    async def test_a_workspace_with_something_pending_is_read(self, nursery, autojump_clock):
        """Its session has ended, and the run that had seen it."""
        world, item, home = World(discovers=False), watched(), watched(None)
        world.run(nursery)
        world.tracker.demand.assembler.restore(
            [attrs.evolve(pending(5), workspace=item.workspace)], [], fakes.now_ms(), trio.current_time()
        )
        world.tracker.demand.left_until_ms = fakes.now_ms() + 300_000
        told = await world.see(Appeared(item), Appeared(home), Swept())
        assert {change.workspace.id for change in told} == {"w1", None}


class TestAnnounced:
    async def test_only_the_announced_workspace_is_read_and_the_global_one_with_it(
        self, extension, autojump_clock
    ):
        world, home = extension, watched(None)
        mine, other = watched("w1"), watched("w2")
        assert await world.see(Appeared(home), Appeared(mine), Appeared(other), Swept()) == []
        assert await world.see(Changed(home), Changed(mine), Changed(other)) == []
        world.mapper.known[H1] = mine.workspace
        told = await world.hear(start(path="/home/demo/w1"))
        assert [change.workspace.id for change in told] == ["w1", None]
        assert world.opened(told) == [("w1", "a")]
        assert world.first_pass.progress() == (0, 2)
        assert world.readmitted
        assert await world.see(Changed(home)) == [ToBeRead(home.workspace)]
        (mapping,) = world.log.mappings.values()
        assert (mapping.workspace_hash, mapping.database, mapping.path) == (
            H1,
            mine.workspace.database,
            "/home/demo/w1",
        )

    async def test_announcements_and_mark_are_stored_together_and_insisted_on(
        self, world, logged, autojump_clock
    ):
        world.log.failures = [StateError("disk full")] * 3
        await world.hear(start(), mark=StreamMark("stream", "5-0"))
        assert world.log.stored[H1, "a"].source == "redis"
        assert world.log.marks == {"stream": "5-0"}
        assert [message for message in logged() if "event log" in message] == [
            "the event log cannot be written; trying again until it can",
            "the event log is written again",
        ]

    async def test_a_mark_alone_is_stored(self, world, autojump_clock):
        await world.hear(mark=StreamMark("stream", "6-0"))
        assert world.log.marks == {"stream": "6-0"}

    async def test_one_that_was_cancelled_and_is_told_again_is_stored_and_acted_upon(
        self, world, autojump_clock
    ):
        item = watched()
        await world.see(Appeared(item))
        world.mapper.known[H1] = item.workspace
        world.log.failures = [StateError("disk full")] * 1000
        heard = start()
        with trio.move_on_after(5):
            await world.tracker.announce([heard])
        assert not world.log.stored
        world.log.failures = []
        assert world.opened(await world.hear(heard)) == [("w1", "a")]
        assert world.log.stored[H1, "a"].database == item.workspace.database

    async def test_the_end_of_one_of_two_changes_nothing_for_the_workspace(self, extension, autojump_clock):
        world, item = extension, watched()
        await world.see(Appeared(item), Swept())
        world.mapper.known[H1] = item.workspace
        await world.hear(start("a"), start("b"), end("a"))
        await trio.sleep(3600)
        assert await world.see(Changed(item)) == [ToBeRead(item.workspace)]
        item.active = True
        assert await world.hear(end("b")) == [LookAgain(item.workspace.database)]

    async def test_after_the_grace_its_reader_is_told_to_look_whether_it_is_needed(
        self, extension, autojump_clock
    ):
        world, item, home = extension, watched(), watched(None)
        await world.see(Appeared(item), Appeared(home), Swept())
        world.mapper.known[H1] = item.workspace
        await world.hear(start())
        await world.hear(end())
        await trio.sleep(29)
        assert await world.see(Changed(item)) == [ToBeRead(item.workspace)]
        await trio.sleep(2)
        assert await world.told() == [
            LookAgain(item.workspace.database),
            LookAgain(home.workspace.database),
        ]
        assert await world.see(Changed(item)) == []

    async def test_a_synthetic_session_hands_over(self, world, autojump_clock):
        item = watched()
        await world.see(Appeared(item), Changed(item))
        await trio.sleep(60)
        world.mapper.known[H1] = item.workspace
        told = await world.hear(start())
        assert {LookAgain(item.workspace.database), ToBeRead(item.workspace)} <= set(told)
        assert world.log.sessions[item.workspace.database].ended_at is not None
        assert [session.session_id for session in world.registry.sessions()] == ["a"]
        assert await world.see(Changed(item)) == [ToBeRead(item.workspace)]

    async def test_one_that_began_too_long_ago_is_closed_with_the_first_pass(self, nursery, autojump_clock):
        world = World(awaited=["redis"])
        world.run(nursery)
        item = watched()
        world.mapper.known[H1] = item.workspace
        await world.see(Appeared(item), Swept())
        assert await world.hear(start(ago_ms=13 * HOUR_MS)) == []
        world.tracker.caught_up("redis")
        await world.told()
        assert world.registry.sessions() == []

    async def test_what_may_have_been_missed_is_marked_and_said(self, world, logged, autojump_clock):
        await world.hear(start(), start("b", source="files"))
        await world.tracker.doubt("redis")
        assert world.log.stored[H1, "a"].is_uncertain
        assert not world.log.stored[H1, "b"].is_uncertain
        assert any("may have been missed" in message for message in logged())
        await world.tracker.doubt("redis")
        assert sum("may have been missed" in message for message in logged()) == 1


class TestPlacing:
    async def test_one_that_goes_and_comes_back_has_its_sessions_again(self, extension, autojump_clock):
        """As one does that was left out for a while."""
        world, item = extension, watched()
        world.mapper.known[H1] = item.workspace
        await world.see(Appeared(item), Swept())
        assert world.opened(await world.hear(start())) == [("w1", "a")]
        del world.mapper.known[H1]
        await world.see(Vanished(item))
        assert world.registry.unplaced_hashes() == [H1]
        world.mapper.known[H1] = item.workspace
        assert world.opened(await world.see(Appeared(item))) == [("w1", "a")]

    async def test_a_workspace_that_appears_later_is_found_at_once(self, extension, autojump_clock):
        world = extension
        await world.see(Swept())
        await world.hear(start())
        assert world.placing.why(H1) == {"workspace_json": "no such folder"}
        item = watched()
        world.mapper.known[H1] = item.workspace
        assert world.opened(await world.see(Appeared(item))) == [("w1", "a")]
        assert world.placing.why(H1) == {}

    async def test_what_is_not_found_at_a_glance_is_searched_for_ever_less_often(self, world, autojump_clock):
        await world.hear(start(path="/home/demo/w1"), start("b"))
        await trio.sleep(0.9)
        assert world.mapper.searches == []
        await trio.sleep(60)
        assert world.mapper.searches[0] == (H1, "/home/demo/w1", ("a", "b"))
        assert len(world.mapper.searches) == 3
        await trio.sleep(6000)
        assert 10 < len(world.mapper.searches) < 20
        assert world.placing.why(H1) == {
            "workspace_json": "no such folder",
            "session_id": "named nowhere",
        }

    async def test_what_a_search_finds_is_read(self, extension, autojump_clock):
        world, item = extension, watched()
        await world.see(Appeared(item), Swept())
        world.mapper.found[H1] = item.workspace
        await world.hear(start())
        await trio.sleep(2)
        assert world.opened(await world.told()) == [("w1", "a")]
        assert world.log.mappings[H1].strategy == "session_id"

    async def test_those_of_other_machines_cost_next_to_nothing(self, world, autojump_clock):
        """A stream that many share is full of workspaces that are nowhere here."""
        world.mapper.seconds = 2.0
        for number in range(300):
            await world.hear(start(hash_=f"{number:016x}"))
        began = trio.current_time()
        await trio.sleep(HOUR)
        assert len(world.mapper.searches) * world.mapper.seconds < 0.025 * (trio.current_time() - began)

    async def test_one_whose_session_has_ended_is_searched_for_no_more(self, world, autojump_clock):
        await world.hear(start())
        await world.hear(end())
        await trio.sleep(HOUR)
        assert world.mapper.searches == []

    async def test_of_very_many_all_are_looked_up_at_once_but_not_with_each_workspace(
        self, world, autojump_clock
    ):
        for number in range(200):
            await world.hear(start(hash_=f"{number:016x}"))
        item = watched()
        world.mapper.known[f"{7:016x}"] = item.workspace
        assert world.opened(await world.see(Appeared(item))) == [("w1", "a")]
        world.mapper.known[f"{8:016x}"] = item.workspace
        await world.see(Appeared(watched("w2")))
        assert len(world.registry.unplaced_hashes()) == 199
        await trio.sleep(2)
        await world.see(Appeared(watched("w3")))
        assert len(world.registry.unplaced_hashes()) == 198
