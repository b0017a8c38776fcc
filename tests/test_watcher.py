"""The watching task of one workspace, in virtual time: guest and log are doubles with the same doors."""

from __future__ import annotations

import json
from itertools import pairwise

import attrs
import fakes
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_cursor.condition import Pace, backoff
from trio_cursor.cursor.guest import Busy, Empty, NeedsRecovery, Page, TimedOut, Unreadable
from trio_cursor.cursor.schemas import Rows
from trio_cursor.demand import Demand
from trio_cursor.errors import StateError
from trio_cursor.eventlog import Known
from trio_cursor.polling import Tools
from trio_cursor.sessions.registry import Registry
from trio_cursor.sink import Sink
from trio_cursor.states import WorkspaceState
from trio_cursor.watched import Watched
from trio_cursor.watcher import watch_workspace

PLACE = fakes.workspace("w1")
POLL, PROBE = 30.0, 0.25
TABLE = 'CREATE TABLE "aiService.generations" (uuid TEXT, data_version INTEGER, value TEXT, timestamp)'
ADD_ROW = 'INSERT INTO "aiService.generations" VALUES (?, ?, ?, ?)'


def item(number, **fields):
    """An item of the ring, a minute after the other."""
    id_ = f"00000000-0000-4000-8000-{number:012}"
    return {"unixMs": fakes.EPOCH_MS + 60_000 * number, "generationUUID": id_, "type": "cmdk"} | fields


def ids(*numbers):
    return [item(number)["generationUUID"] for number in numbers]


class World:
    def __init__(self, nursery):
        self.nursery = nursery
        self.guest, self.log = fakes.FakeGuest(), fakes.FakeLog()
        self.database = self.guest[PLACE.database]
        self.registry = Registry(inactive_ms=10**9, max_active=10)
        sends, messages = trio.open_memory_channel(1)
        self.watched = Watched(PLACE, self.database.signature)
        scanner = fakes.FakeScanner({PLACE.database: self.watched})
        assembler, freshness = fakes.make_assembler(scanner)
        self.demand = lambda registry: Demand(registry, assembler, scanner, fakes.now_ms)
        sink = Sink(
            self.log,
            assembler,
            self.registry,
            scanner,
            freshness,
            fakes.now_ms,
            "host",
            1 << 20,
            fakes.nobody,
        )
        nursery.start_soon(sink.deliver, messages)
        self.tools = Tools(
            guest=self.guest,
            log=self.log,
            demand=self.demand(self.registry),
            scanner=scanner,
            assembler=assembler,
            freshness=freshness,
            sends=sends,
            now_ms=fakes.now_ms,
            window_ms=None,
            pace=Pace(POLL, PROBE, 3, 2.0),
        )
        self.state = WorkspaceState(PLACE)
        #: When the first look was over.
        self.looked_at = []
        self.ended = trio.Event()

    def start(self, *, is_active=True, **options):
        if is_active:
            self.registry.sign_of_life(PLACE, fakes.now_ms())
        tools = attrs.evolve(self.tools, **options)
        self.nursery.start_soon(self._watch, tools)

    async def _watch(self, tools):
        def looked():
            self.looked_at.append(trio.current_time())

        await watch_workspace(self.watched, self.state, tools, looked)
        self.ended.set()

    async def sweep(self):
        """What the scan clock does when it sees another signature."""
        self.watched.signature = self.database.signature
        self.watched.wake()
        await wait_all_tasks_blocked()

    def visits(self):
        return [time for time, _ in self.guest.visits]


@pytest.fixture
async def world(nursery):
    return World(nursery)


# -- Reading -------------------------------------------------------------------------------------------


async def test_a_workspace_without_a_session_is_read_once_and_left(world, autojump_clock):
    world.start(is_active=False)
    await world.ended.wait()
    assert world.state.status == "synced"
    assert world.looked_at == [trio.current_time()]
    assert not world.watched.has_log  # the sweep need not look for one


async def test_a_workspace_that_shows_something_at_first_sight_is_watched_on(world, autojump_clock):
    world.database.set_ring(item(1))
    world.watched.signature = world.database.signature
    world.start(is_active=False)
    await trio.sleep(10)
    assert world.log.ids() == ids(1)
    assert not world.ended.is_set()
    world.database.set_ring(item(1), item(2))
    await world.sweep()
    assert world.log.ids() == ids(1, 2)


async def test_a_change_is_read_at_once_and_silence_every_poll_interval(world, autojump_clock):
    world.database.set_ring(item(1))
    await world.sweep()
    world.start()
    await trio.sleep(10)
    world.database.set_ring(item(1), item(2))
    before = len(world.visits())
    await world.sweep()
    assert world.log.ids() == ids(1, 2)
    assert world.visits()[before:] == [trio.current_time()]
    await trio.sleep(100)
    # Nothing changed: a full check now and then, no more.
    assert 3 <= len(world.visits()[before + 1 :]) <= 4


async def test_a_change_while_it_is_read_is_not_missed(world, autojump_clock):
    world.start()

    def change():
        world.database.set_ring(item(1))
        world.watched.signature = world.database.signature
        world.watched.wake()
        return Busy("a moment")

    await wait_all_tasks_blocked()
    world.database.script = [change]
    await world.sweep()
    await trio.sleep(1)
    assert world.log.ids() == ids(1)


@pytest.mark.parametrize("found", [(), (2,)])
async def test_a_commit_that_can_be_read_only_when_the_disk_has_it_is_found(world, found, autojump_clock):
    world.database.set_ring(item(1))
    await world.sweep()
    world.start()
    await trio.sleep(1)
    # The log is written to, which tells of it; perhaps with a commit before it.
    world.database.set_ring(item(1), *map(item, found))
    world.watched.logged_at = trio.current_time()
    await world.sweep()
    await trio.sleep(0.9)
    assert world.log.ids() == ids(1, *found)
    # What holds up others did not wait for it.
    assert not found or world.watched.is_as_read
    world.database.set_ring(item(1), *map(item, found), item(3))
    world.database.version -= 1
    await trio.sleep(1)
    assert world.log.ids() == ids(1, *found, 3)


async def test_whoever_wakes_the_reader_meanwhile_does_not_take_the_late_look_away(world, autojump_clock):
    world.start()
    await world.sweep()
    await trio.sleep(1)
    world.database.set_ring(item(1))
    world.watched.logged_at = trio.current_time()
    await world.sweep()
    for _ in range(4):
        await trio.sleep(0.2)
        # Something is to be read again there, or nothing but its age has changed.
        world.watched.wake()
    world.database.set_ring(item(1), item(2))
    world.database.version -= 1
    await trio.sleep(1)
    assert world.log.ids() == ids(1, 2)


async def test_a_commit_that_leaves_the_same_signature_is_found_by_the_full_check(world, autojump_clock):
    world.database.set_ring(item(1))
    await world.sweep()
    world.start()
    await trio.sleep(1)
    world.database.set_ring(item(1), item(2))
    world.database.version -= 1
    await trio.sleep(POLL)
    assert world.log.ids() == ids(1, 2)


@pytest.mark.parametrize(("written_ns", "again"), [(10_000_000, True), (900_000_000, False)])
async def test_what_was_written_this_instant_is_looked_at_again(world, written_ns, again, autojump_clock):
    """Another commit may follow within the tick of the clock that stamps the file."""
    world.database.written_ns = fakes.EPOCH_MS * 1_000_000 - written_ns + 1
    world.start()
    await trio.sleep(1)
    assert len(world.visits()) == 1 + again


async def test_on_a_file_system_that_counts_whole_seconds_two_seconds_are_one_instant(world, autojump_clock):
    world.database.written_ns = (fakes.EPOCH_MS - 1000) * 1_000_000
    world.watched.signature = world.database.signature

    async def write_unseen():
        await trio.sleep(0.5)
        world.database.set_ring(item(1))
        world.database.version -= 1

    world.nursery.start_soon(write_unseen)
    world.start()
    await trio.sleep(2)
    assert world.log.ids() == ids(1)


async def test_many_rows_are_read_page_by_page_each_committed_before_the_next(world, autojump_clock):
    world.database.execute(TABLE)
    for number in range(1200):
        world.database.execute(ADD_ROW, f"row{number}", number, "{}", fakes.EPOCH_MS + number)
    await world.sweep()
    world.start()
    await trio.sleep(1)
    assert world.log.ids() == [f"row{number}" for number in range(1200)]
    assert world.log.writes >= 3
    assert world.state.status == "synced"


async def test_rows_are_joined_with_their_prompts_in_further_looks(world, autojump_clock):
    world.database.execute(TABLE)
    world.database.execute('CREATE TABLE "aiService.prompts" (uuid TEXT, text TEXT, timestamp)')
    world.database.execute(ADD_ROW, "row", 1, json.dumps({"promptId": "p"}), 1)
    world.database.execute('INSERT INTO "aiService.prompts" VALUES (?, ?, ?)', "p", "why?", 1)
    await world.sweep()
    # The second look, at the prompts, is refused once: then all is read again.
    world.database.script = [None, Busy("a moment")]
    world.start()
    await trio.sleep(1)
    assert [event.payload["prompt_text"] for event in world.log.events] == ["why?"]


# -- Positions and files -------------------------------------------------------------------------------


async def test_a_watcher_goes_on_where_the_last_one_stopped(world, autojump_clock):
    world.database.set_ring(item(1))
    await world.sweep()
    world.start(is_active=False)
    await trio.sleep(1)
    written = world.log.positions[PLACE.database]
    other = World(world.nursery)
    other.log.positions[PLACE.database] = written
    other.guest.databases[PLACE.database] = other.database = world.database
    world.database.set_ring(item(1), item(2))
    await other.sweep()
    other.start()
    await trio.sleep(1)
    assert other.log.ids() == ids(2)


async def test_a_file_that_was_replaced_is_read_anew_and_nothing_is_reported_twice(world, autojump_clock):
    world.database.set_ring(item(1), item(2))
    await world.sweep()
    world.start()
    await trio.sleep(1)
    # The backup was put in its place: an older ring, and then life goes on.
    world.database.inode = 2
    world.database.set_ring(item(1))
    await world.sweep()
    assert world.log.positions[PLACE.database].identity == (1, 2)
    world.database.set_ring(item(1), item(3))
    await world.sweep()
    assert world.log.ids() == ids(1, 2, 3)


async def test_a_file_that_was_written_over_is_read_anew(world, autojump_clock):
    """Rowid and size of the ring are those of before, and so is the number of the file."""
    world.database.set_ring(item(1), item(2))
    await world.sweep()
    world.start()
    await trio.sleep(1)
    world.database.execute("UPDATE ItemTable SET value = ?", json.dumps([item(1), item(3)]))
    await world.sweep()
    assert world.log.ids() == ids(1, 2)  # a commit, of which nobody believes that it is one of Cursor's
    world.database.version -= 1
    world.database.written_ns += 1
    await world.sweep()
    assert world.log.ids() == ids(1, 2, 3)


async def test_a_file_that_was_gone_is_read_anew_whatever_it_has_counted(world, autojump_clock):
    world.database.set_ring(item(1), item(2))
    await world.sweep()
    world.start()
    await trio.sleep(1)
    world.database.script = [Empty("there is no such file")]
    world.database.written_ns += 1
    await world.sweep()
    world.database.execute("UPDATE ItemTable SET value = ?", json.dumps([item(1), item(3)]))
    await world.sweep()
    assert world.log.ids() == ids(1, 2, 3)


async def test_a_file_replaced_between_sweep_and_look_is_seen_as_another_one(world, autojump_clock):
    world.database.set_ring(item(1))
    await world.sweep()
    world.start()
    await trio.sleep(1)
    world.database.inode = 2
    world.database.set_ring(item(2))
    world.watched.wake()  # the sweep has not seen it yet
    await trio.sleep(1)
    assert world.log.ids() == ids(1, 2)
    assert world.log.positions[PLACE.database].identity == (1, 2)
    assert world.watched.signature.identity == (1, 2)


async def test_a_longer_window_than_was_synced_is_read_from_its_beginning(world, autojump_clock):
    world.database.set_ring(item(-100), item(-1))
    await world.sweep()
    world.log.positions[PLACE.database] = Known({}, (1, 1), None)
    hour = 3_600_000
    world.log.positions = {}
    world.start(window_ms=hour)
    await trio.sleep(1)
    assert world.log.ids() == ids(-1)
    assert world.log.positions[PLACE.database].since_ms == fakes.EPOCH_MS - hour
    longer = World(world.nursery)
    longer.log, longer.guest = world.log, world.guest
    for window, expected in [(hour, ids(-1)), (24 * hour, ids(-1, -100))]:
        state = WorkspaceState(PLACE)
        nobody = world.demand(Registry(10**9, 1))
        tools = attrs.evolve(world.tools, window_ms=window, demand=nobody)
        await watch_workspace(Watched(PLACE, world.database.signature), state, tools, lambda: None)
        await wait_all_tasks_blocked()
        assert world.log.ids() == expected


async def test_nothing_is_written_where_nothing_is_new(world, autojump_clock):
    world.database.set_ring(item(1))
    await world.sweep()
    world.start()
    await trio.sleep(1)
    writes = world.log.writes
    world.database.execute("INSERT INTO ItemTable VALUES ('noise', 'x')")
    await world.sweep()
    await trio.sleep(5 * POLL)
    assert world.log.writes == writes


class SpentGuest(fakes.FakeGuest):
    """In its transactions the lock budget is spent before anything was read."""

    is_spent = True

    async def read(self, path, make, *, unless=None):
        if not self.is_spent:
            return await super().read(path, make, unless=unless)
        await trio.lowlevel.checkpoint()
        self.visits.append((trio.current_time(), path))
        database = self[path]
        scan = make(database.catalog())
        try:
            next(scan)
            while True:
                scan.send(Rows([], "budget"))
        except StopIteration as done:
            return Page(
                done.value(), database.signature, database.catalog(), "ro", "delete", 0.0, database.version
            )


async def test_looks_that_could_read_nothing_are_one_commit_and_not_one_each(world, autojump_clock):
    world.database.execute(TABLE)
    world.database.execute(ADD_ROW, "row1", 1, "{}", fakes.EPOCH_MS)
    guest = SpentGuest()
    guest.databases = world.guest.databases
    await world.sweep()
    world.start(guest=guest)
    await trio.sleep(10 * POLL)
    assert world.state.status == "error"
    assert len(guest.visits) > 15
    assert world.log.writes == 1
    guest.is_spent = False
    await trio.sleep(2 * POLL)
    assert world.log.ids() == ["row1"]
    assert world.state.status == "synced"


# -- What goes wrong -----------------------------------------------------------------------------------


async def test_a_busy_database_delays_and_is_no_failure(world, autojump_clock):
    world.database.set_ring(item(1))
    await world.sweep()
    world.database.script = [Busy("locked")] * 20
    world.start(is_active=False)
    await trio.sleep(PROBE * 2)
    assert (world.state.status, world.state.last_error, world.state.errors) == ("locked", "locked", 0)
    assert world.looked_at == []
    await trio.sleep(PROBE * 10)
    # Nobody has to wait for it, but it is not given up either.
    assert len(world.looked_at) == 1
    assert not world.ended.is_set()
    await trio.sleep(PROBE * 10)
    assert world.log.ids() == ids(1)
    assert (world.state.status, world.state.last_error) == ("synced", None)


async def test_a_lock_that_went_without_a_change_leaves_no_trace_in_the_status(world, autojump_clock):
    world.start()
    await trio.sleep(1)
    world.database.script = [Busy("locked")]
    await world.sweep()
    assert world.state.status == "locked"
    await trio.sleep(PROBE * 2)
    assert (world.state.status, world.state.last_error) == ("synced", None)


async def test_deadlines_are_retried_with_a_doubling_pause_and_marked_after_max_retries(
    world, logged, autojump_clock
):
    world.database.set_ring(item(1))
    await world.sweep()
    world.database.script = [TimedOut("no answer", abandoned=True)] * 5
    world.start(is_active=False)
    await trio.sleep(1)
    assert (world.state.status, world.state.errors) == ("connected", 1)
    await trio.sleep(300)
    visits = world.visits()
    pauses = [after - before for before, after in pairwise(visits)]
    for pause, expected in zip(pauses, (2, 4, 8, 16, 32), strict=False):
        assert 0.75 * expected <= pause <= 1.25 * expected
    # Marked at the third failure in a row, and nobody waits for it from then on.
    assert world.looked_at == [pytest.approx(visits[2])]
    assert sum("database timeout" in message for message in logged()) == 1
    assert world.log.ids() == ids(1)
    assert (world.state.status, world.state.last_error) == ("synced", None)
    assert world.state.errors == 5


async def test_a_place_that_does_not_answer_is_not_asked_more_often_because_it_changes(world, autojump_clock):
    world.database.script = [TimedOut("no answer", abandoned=True)] * 100
    world.start()
    for _ in range(100):
        await trio.sleep(0.1)
        await world.sweep()
    assert len(world.visits()) <= 4


def test_the_pause_grows_to_ten_minutes_and_no_further():
    assert 1.5 <= backoff(2, 1) <= 2.5
    assert 3 <= backoff(2, 2) <= 5
    assert 450 <= backoff(2, 10_000) <= 750


@pytest.mark.parametrize("outcome", [Unreadable("it is no SQLite database"), NeedsRecovery("hot journal")])
async def test_what_cannot_be_read_is_marked_at_once_and_read_as_soon_as_it_is_mended(
    world, outcome, autojump_clock
):
    world.start()
    await trio.sleep(1)
    world.database.set_ring(item(1))
    world.database.script = [outcome] * 3
    await world.sweep()
    assert (world.state.status, world.state.last_error) == ("error", outcome.why)
    before = len(world.visits())
    await trio.sleep(POLL * 0.7)
    assert len(world.visits()) == before  # not again and again meanwhile
    await world.sweep()
    await world.sweep()
    assert world.state.errors == 3
    await world.sweep()
    assert world.log.ids() == ids(1)
    assert (world.state.status, world.state.last_error) == ("synced", None)


async def test_what_cannot_be_read_at_first_sight_is_tried_again_though_nobody_works_there(
    world, autojump_clock
):
    """A permission that was mended leaves no trace that a stat could see."""
    world.database.set_ring(item(1))
    await world.sweep()
    world.database.script = [Unreadable("permission denied")] * 3
    world.start(is_active=False)
    await wait_all_tasks_blocked()
    assert len(world.looked_at) == 1
    await trio.sleep(600)
    assert world.log.ids() == ids(1)
    assert len(world.looked_at) == 1


@pytest.mark.parametrize("outcome", [Empty("it has 0 bytes"), Unreadable("it is no SQLite database")])
async def test_a_file_that_was_well_before_is_not_asked_without_a_pause(world, outcome, autojump_clock):
    world.start()
    await trio.sleep(1)
    world.database.script = [outcome] * 100
    before = len(world.visits())
    world.database.version += 1
    await world.sweep()
    await trio.sleep(5)
    assert len(world.visits()) == before + 1


async def test_an_empty_file_is_no_error_and_read_when_something_is_in_it(world, autojump_clock):
    world.database.script = [Empty("it has 0 bytes")]
    world.start()
    await trio.sleep(1)
    assert (world.state.status, world.state.last_error) == ("connected", None)
    assert (world.state.note, world.state.errors) == ("it has 0 bytes", 0)
    world.database.set_ring(item(1))
    await world.sweep()
    assert world.log.ids() == ids(1)
    assert world.state.note is None


async def test_a_layout_that_nobody_knows_names_what_was_found(world, autojump_clock):
    world.database.execute("DROP TABLE ItemTable")
    world.database.execute("CREATE TABLE somethingElse (a)")
    await world.sweep()
    world.start(is_active=False)
    await world.ended.wait()
    assert world.state.status == "unknown_schema"
    assert "somethingElse" in world.state.last_error


async def test_a_broken_ring_is_said_and_read_when_it_is_mended(world, autojump_clock):
    world.database.execute("INSERT INTO ItemTable VALUES ('aiService.generations', '{')")
    await world.sweep()
    world.start()
    await trio.sleep(1)
    assert world.state.status == "error"
    assert "aiService.generations" in world.state.last_error
    # Unchanged is what it was, not well.
    world.watched.wake()
    await trio.sleep(1)
    assert world.state.status == "error"
    world.database.set_ring(item(1))
    await world.sweep()
    assert world.log.ids() == ids(1)
    assert (world.state.status, world.state.last_error) == ("synced", None)


async def test_entries_that_were_passed_over_are_counted_once_however_often_they_are_read(
    world, autojump_clock
):
    world.database.set_ring(item(1), {"no": "id"}, 7)
    world.database.execute(TABLE)
    world.database.execute(ADD_ROW, None, 1, "{}", 1)
    await world.sweep()
    world.start()
    await trio.sleep(10 * POLL)
    world.database.set_ring(item(1), item(2), {"no": "id"})
    world.database.execute(ADD_ROW, "", 1, "{}", 1)
    await world.sweep()
    await trio.sleep(10 * POLL)
    skipped = {name: counts for name, counts in world.state.skipped.items() if counts}
    assert skipped == {
        "ring": {"ring item without a usable id": 1},
        "tables_v1": {"row of aiService.generations without a usable id": 2},
    }
    # In another file they are others.
    world.database.inode = 2
    await world.sweep()
    await trio.sleep(POLL * 3)
    assert world.state.skipped["tables_v1"] == {"row of aiService.generations without a usable id": 2}


async def test_a_mistake_of_ours_is_caught_at_the_border_and_the_watcher_starts_again(
    world, logged, caplog, autojump_clock
):
    world.database.set_ring(item(1))
    await world.sweep()
    world.database.script = [ZeroDivisionError("ours"), ZeroDivisionError("ours"), None]
    world.start(is_active=False)
    await wait_all_tasks_blocked()
    assert (world.state.status, world.state.errors) == ("error", 1)
    assert world.state.last_error == "ZeroDivisionError in trio_cursor; please report it"
    assert len(world.looked_at) == 1
    await trio.sleep(1)
    assert len(world.visits()) == 1
    await trio.sleep(10)
    assert world.log.ids() == ids(1)
    assert world.state.status == "synced"
    failed = [record for record in caplog.records if "starts again" in record.message]
    assert [record.workspace for record in failed] == [world.state.workspace.name] * 2
    # After a good while the pause is short again.
    world.state.errors = 1000
    world.database.script = [ZeroDivisionError("ours")]
    await world.sweep()
    await trio.sleep(3)
    assert world.state.status == "synced"


async def test_a_log_that_cannot_be_read_is_not_the_workspaces_fault(world, logged, autojump_clock):
    world.database.set_ring(item(1))
    await world.sweep()
    world.log.failures = [StateError("disk I/O error")] * 2
    world.start(is_active=False)
    await wait_all_tasks_blocked()
    assert world.state.last_error == "disk I/O error"
    assert world.looked_at == []
    await trio.sleep(20)
    assert world.log.ids() == ids(1)
    assert world.state.status == "synced"
    assert not any("starts again" in message for message in logged())


async def test_a_crowded_out_workspace_is_left_once_it_was_read(world, autojump_clock):
    registry = Registry(inactive_ms=10**9, max_active=1)
    registry.sign_of_life(PLACE, 1)
    world.start(demand=world.demand(registry))
    await trio.sleep(1)
    registry.sign_of_life(fakes.workspace("w2"), 2)
    assert not world.ended.is_set()
    world.database.set_ring(item(1))
    await world.sweep()
    assert world.ended.is_set()
    assert world.log.ids() == ids(1)


@pytest.mark.parametrize("script", [[], [Busy("locked")], [TimedOut("no answer", abandoned=False)]])
async def test_a_watcher_ends_at_once_wherever_it_waits(script, autojump_clock):
    """For a change, for a lock, for a place that does not answer."""
    async with trio.open_nursery() as nursery:
        world = World(nursery)
        world.database.script = script
        world.start()
        await wait_all_tasks_blocked()
        began = trio.current_time()
        nursery.cancel_scope.cancel()
    assert trio.current_time() == began
    assert not world.ended.is_set()


async def test_an_id_that_is_no_uuid_keeps_its_key_when_the_folder_becomes_known_late(world, autojump_clock):
    """Cursor does not wait for `workspace.json`, and the key of what was reported must never change."""
    known = world.watched.workspace
    world.watched.workspace = attrs.evolve(known, hash=None)
    world.database.execute(TABLE)
    world.database.execute(ADD_ROW, "plain-1", 1, "{}", fakes.EPOCH_MS)
    await world.sweep()
    world.start()
    await trio.sleep(1)
    world.watched.workspace = attrs.evolve(known, hash="0123456789abcdef")
    world.database.inode += 1  # all of it is read again
    await world.sweep()
    await trio.sleep(3 * POLL)
    assert world.log.ids() == ["plain-1"]
