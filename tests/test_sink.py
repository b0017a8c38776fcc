"""Assemble, deduplicate, commit, in virtual time: the log is a double with the same door."""

from __future__ import annotations

import fakes
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_cursor.assembly import PendingEntry, key_of
from trio_cursor.cursor.guest import Signature
from trio_cursor.errors import StateError
from trio_cursor.observations import Prompt, RingEntry, TableRow
from trio_cursor.passes import ProfileRead
from trio_cursor.records import Batch, Gap, Page
from trio_cursor.sessions.announcements import Announcement
from trio_cursor.sessions.registry import Registry
from trio_cursor.sink import Sink, Submission
from trio_cursor.watched import Watched

PLACE = fakes.workspace("w1")
ONE, TWO, THREE = (f"{number}0000000-0000-4000-8000-000000000000" for number in "abc")
GRACE_SECONDS = 2.0


#: So long ago that no conversation is waited for.
LONG_AGO_MS = fakes.EPOCH_MS - 10_000_000


def entry(id_, unix_ms=LONG_AGO_MS):
    return RingEntry(id_, unix_ms, "cmdk", "question", 1, {"generationUUID": id_})


def row(id_, timestamp=fakes.EPOCH_MS, **values):
    return TableRow("tables_v1", id_, 7, 7, timestamp, values, prompt=Prompt("p", "asked", None))


def batch(*observations, place=PLACE, since_ms=None, schema="ring", **page):
    return Batch(place, {schema: Page(observations, "position", **page)}, (1, 2), since_ms)


class World:
    def __init__(self):
        self.log = fakes.FakeLog()
        self.registry = Registry(inactive_ms=10**9, max_active=100)
        self.watched = Watched(PLACE, Signature(None, None))
        self.scanner = fakes.FakeScanner({PLACE.database: self.watched})
        self.assembler, self.freshness = fakes.make_assembler(
            self.scanner, ring_grace_ms=int(GRACE_SECONDS * 1000)
        )
        self.sink = Sink(
            self.log,
            self.assembler,
            self.registry,
            self.scanner,
            self.freshness,
            fakes.now_ms,
            "host",
            1 << 20,
            fakes.nobody,
        )
        self.sends, self.messages = trio.open_memory_channel(0)

    async def run(self):
        await self.sink.deliver(self.messages)

    async def submit(self, *batches):
        for item in batches:
            submission = Submission(item)
            await self.sends.send(submission)
            await submission.committed.wait()
            await wait_all_tasks_blocked()  # what is due goes out after that

    async def profile_read(self, profile=PLACE.profile):
        """All rings of the profile were read just now."""
        self.watched.read_at = float("inf")
        self.freshness.renew()
        message = ProfileRead(profile)
        await self.sends.send(message)
        await message.done.wait()


@pytest.fixture
async def world(nursery):
    world = World()
    nursery.start_soon(world.run)
    return world


async def test_a_row_is_reported_at_once_together_with_its_position(world, autojump_clock):
    await world.submit(batch(row(ONE), schema="tables_v1"))
    assert world.log.ids() == [ONE]
    assert world.log.writes == 1
    known = world.log.positions[PLACE.database]
    assert (known.positions, known.identity) == ({"tables_v1": "position"}, (1, 2))
    assert world.sink.counts.by_database == {PLACE.database: 1}


async def test_a_ring_entry_waits_until_every_ring_of_its_profile_was_read(world, autojump_clock):
    await world.submit(batch(entry(ONE)))
    assert world.log.ids() == []
    assert list(world.log.pending_items) == [ONE]
    await world.profile_read()
    assert world.log.ids() == [ONE]
    assert world.log.pending_items == {}
    await world.submit(batch(entry(TWO)))
    assert world.log.ids() == [ONE, TWO]


async def test_a_ring_entry_waits_for_a_slow_profile_no_longer_than_its_grace(world, autojump_clock):
    await world.submit(batch(entry(ONE)))
    await trio.sleep(GRACE_SECONDS - 0.1)
    assert world.log.ids() == []
    await trio.sleep(0.2)
    assert world.log.ids() == [ONE]


async def test_what_an_earlier_run_left_pending_is_released(world, autojump_clock):
    left = PendingEntry(ONE, PLACE, entry(ONE), fakes.EPOCH_MS - 10**6)
    world.assembler.restore([left], [], fakes.EPOCH_MS, trio.current_time())
    world.log.pending_items = {ONE: None}
    await world.submit(batch(entry(TWO)))
    await trio.sleep(GRACE_SECONDS + 0.1)
    assert sorted(world.log.ids()) == [ONE, TWO]
    assert world.log.pending_items == {}


async def test_of_an_id_in_two_rings_the_earliest_entry_counts_once(world, autojump_clock):
    other = fakes.workspace("w2")
    await world.submit(batch(entry(ONE, 500)), batch(entry(ONE, 400), place=other))
    await world.profile_read()
    (event,) = world.log.events
    assert (event.timestamp, event.session_id) == (400, "scan_w2")


async def test_what_was_reported_is_never_reported_again_however_it_is_written(world, autojump_clock):
    await world.profile_read()
    await world.submit(batch(entry(ONE)), batch(entry(ONE.upper())), batch(row(ONE), schema="tables_v1"))
    assert world.log.ids() == [ONE]
    assert world.sink.counts.duplicates == 2
    # Pending, released, and twice nothing new, but the position moves all the same.
    assert world.log.writes == 4


async def test_an_id_that_is_no_uuid_counts_within_its_workspace(world, autojump_clock):
    await world.profile_read()
    other = fakes.workspace("w2")
    await world.submit(batch(entry("7")), batch(entry("7"), place=other), batch(entry("7")))
    assert world.log.keys == [key_of("7", PLACE), key_of("7", other)]


async def test_the_window_counts_for_the_first_sync_alone(world, autojump_clock):
    await world.profile_read()
    old, timeless, new, far = entry(ONE, 1), entry(TWO, None), entry(THREE, 100), entry("2100", 2**42)
    await world.submit(batch(old, timeless, new, far, since_ms=50, backfill=True))
    assert sorted(world.log.ids()) == sorted(["2100", TWO, THREE])
    await world.submit(batch(old, since_ms=50))
    assert ONE in world.log.ids()


async def test_a_batch_is_in_the_order_of_its_times(world, autojump_clock):
    await world.submit(batch(row(ONE, 30), row(TWO, 10), row(THREE, 20), schema="tables_v1"))
    assert world.log.ids() == [TWO, THREE, ONE]


async def test_an_event_opens_the_session_of_its_workspace_in_the_same_transaction(world, autojump_clock):
    await world.submit(batch())
    assert not world.log.sessions
    await world.submit(batch(entry(ONE)))
    assert not world.log.sessions
    writes = world.log.writes
    await world.profile_read()
    assert world.log.events[0].session_id == "scan_w1"
    assert world.log.sessions[PLACE.database].session_id == "scan_w1"
    assert world.log.writes == writes + 1


async def test_a_gap_is_a_record_and_said_aloud(world, logged, autojump_clock):
    gap = Gap("ring", "rolled on", 5, 9)
    await world.submit(batch(gaps=(gap,)))
    (record,) = world.log.events
    assert (record.event_type, record.payload["detail"], record.timestamp) == ("database_gap", "rolled on", 9)
    assert (world.sink.counts.gaps, world.sink.counts.generations) == (1, 0)
    assert any("missed" in message for message in logged())


async def test_what_is_nobodys_where_sessions_are_announced_is_counted_and_said_but_no_session_is_made_up(
    world, logged, autojump_clock
):
    world.registry.discovers = False
    await world.submit(batch(row(ONE), gaps=(Gap("ring", "rolled on", 5, 9),), schema="tables_v1"))
    assert (world.log.events, world.log.sessions) == ([], {})
    assert world.log.positions[PLACE.database].positions == {"tables_v1": "position"}
    counts = world.sink.counts
    assert (counts.unattributed, counts.generations, counts.gaps, counts.by_database) == (1, 0, 0, {})
    assert any("missed" in message for message in logged())


async def test_a_gap_is_that_of_the_session_in_which_it_is_over(world, autojump_clock):
    world.registry.discovers = False
    for session_id, start_ms in (("early", 1000), ("late", 5000)):
        heard = Announcement(True, session_id, "hash", "redis", start_ms)
        world.registry.announce(heard, start_ms)
    world.registry.place("hash", PLACE, 5000)
    await world.submit(batch(gaps=(Gap("ring", "rolled on", 1200, 2000),)))
    assert [event.session_id for event in world.log.events] == ["early"]


async def test_a_log_that_cannot_be_written_makes_everybody_wait_and_loses_nothing(
    world, nursery, logged, autojump_clock
):
    await world.profile_read()
    # First the look for known keys fails, then the write.
    world.log.failures = [StateError("disk full")] * 7
    nursery.start_soon(world.submit, batch(entry(ONE)))
    await wait_all_tasks_blocked()
    assert len([message for message in logged() if "event log" in message]) == 1
    # The channel is full, so that whoever reads Cursor waits.
    with pytest.raises(trio.WouldBlock):
        world.sends.send_nowait(Submission(batch(entry(TWO))))
    nursery.start_soon(world.submit, batch(entry(TWO)))
    await trio.sleep(60)
    assert world.log.ids() == [ONE, TWO]
    assert [message for message in logged() if "event log" in message] == [
        "the event log cannot be written; trying again until it can",
        "the event log is written again",
    ]


async def test_trying_again_is_never_more_than_five_seconds_away(world, nursery, autojump_clock):
    world.log.failures = [StateError("disk full")] * 1000
    nursery.start_soon(world.submit, batch())
    await trio.sleep(3600)
    left = len(world.log.failures)
    assert 0 < left < 1000 - 3600 / 5
    del world.log.failures[:]
    await trio.sleep(5.1)
    assert world.log.writes == 1


async def test_a_fault_of_the_log_is_survived_by_what_is_released_without_a_message(world, autojump_clock):
    await world.submit(batch(entry(ONE)))
    world.log.failures = [StateError("disk full")] * 3
    await trio.sleep(60)
    assert world.log.ids() == [ONE]


async def test_nothing_is_written_where_nothing_is_to_be_said(world, autojump_clock):
    await world.profile_read()
    assert world.log.writes == 0


async def test_what_turns_out_to_be_known_just_before_it_is_written_is_left_out(world, autojump_clock):
    """Of an id that is no UUID the key may change until it is released."""
    await world.submit(batch(entry("7")))
    world.log.keys.append(key_of("7", PLACE))
    await world.profile_read()
    assert (world.log.ids(), world.log.pending_items, world.sink.counts.duplicates) == ([], {}, 1)
