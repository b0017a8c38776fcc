"""The Assembler: what rings and tables know, each generation once, whatever the order of things."""

from __future__ import annotations

import itertools
import math
import random
import sys

import attrs
import pytest
from assembly_world import (
    CONVERSATION_WAIT_MS,
    DAY_MS,
    GLOBAL,
    PROFILE,
    RING_GRACE_MS,
    W1,
    W2,
    Everywhere,
    World,
    entry,
    new,
    old,
    row,
    turn,
)
from scans import NOW_MS, uuid, workspace

from trio_cursor.assembly import key_of


@pytest.fixture
def world():
    return World()


def ids(released):
    return [generation.generation_id for generation in released]


class TestKeys:
    def test_a_uuid_names_a_generation_everywhere(self):
        assert key_of(uuid(10).upper(), W1) == key_of(uuid(10), W2) == uuid(10)

    def test_any_other_id_only_within_its_scope(self):
        assert key_of("X", workspace("w1", hash_="abc")) == "abc/X"
        assert key_of("X", W1) == "w1/X"
        assert key_of("X", workspace(None)) == "global/X"

    def test_that_the_log_is_asked_for(self, world):
        def keys(found, place=W1):
            return world.assembler.keys_of(place, found)

        assert keys(entry(1, id_="X")) == keys(row(1, id_="X")) == ("w1/X",)
        assert keys(turn(1, at="c/b"), GLOBAL) == (uuid(1), "/turn/c/b")
        assert keys(turn(None, at="c/b"), GLOBAL) == ("/turn/c/b",)


class TestRingEntries:
    def test_wait_for_a_conversation_that_knows_of_them(self, world):
        assert world.observe(W1, new(entry(1, NOW_MS - 1000))) == []
        assert list(world.log.pending) == [uuid(1)]
        assert world.assembler.next_deadline_ms() == NOW_MS - 1000 + CONVERSATION_WAIT_MS
        assert world.wait(CONVERSATION_WAIT_MS - 1001) == []
        (generation,) = world.wait(1)
        assert (generation.schema, generation.status) == ("ring", "unknown")
        assert (world.log.pending, world.assembler.next_deadline_ms()) == ({}, None)

    @pytest.mark.parametrize("type_", ["cmdk", "apply"])
    def test_that_no_conversation_will_know_of_wait_for_the_rings_alone(self, world, type_):
        world.freshness.of_conversations[PROFILE] = -math.inf
        world.observe(W1, new(entry(1, type_=type_)))
        assert world.wait(RING_GRACE_MS - 1) == []
        assert ids(world.wait(1)) == [uuid(1)]

    @pytest.mark.parametrize(
        ("time", "is_old", "wait_ms"),
        [
            (None, True, 0),
            (None, False, CONVERSATION_WAIT_MS),
            (NOW_MS + 10**9, True, 0),
            (NOW_MS + 10**9, False, 0),
            (NOW_MS + 1, True, 0),
            (NOW_MS - 10**9, False, 0),
        ],
    )
    def test_wait_from_their_own_time(self, world, time, is_old, wait_ms):
        world.observe(W1, (old if is_old else new)(entry(1, time)))
        if wait_ms:
            assert world.wait(wait_ms - 1) == []
            world.now_ms += 1
        assert ids(world.release()) == [uuid(1)]

    def test_are_old_only_if_they_were_there_in_all_rings(self, world):
        world.freshness.all_until(-1)
        world.observe(W1, old(entry(1, None)))
        world.observe(W2, new(entry(1, None)))
        world.freshness.all_until(math.inf)
        assert world.release() == []
        assert world.assembler.next_deadline_ms() == NOW_MS + CONVERSATION_WAIT_MS

    def test_of_a_clock_a_little_ahead_of_ours_are_not_long_past(self, world):
        world.observe(W1, new(entry(1, NOW_MS + 30_000)))
        assert world.assembler.next_deadline_ms() == NOW_MS + CONVERSATION_WAIT_MS

    @pytest.mark.parametrize(
        ("rings", "conversations"), [(59.9, math.inf), (math.inf, 59.9), (-math.inf, 60), (60, -math.inf)]
    )
    def test_need_rings_and_conversations_read_after_their_wait(self, world, rings, conversations):
        world.observe(W1, new(entry(1)))
        world.freshness.of_rings[PROFILE] = rings
        world.freshness.of_conversations[PROFILE] = conversations
        assert world.wait(CONVERSATION_WAIT_MS) == []
        assert world.assembler.waits_for_freshness()
        assert world.assembler.waits_for_freshness(PROFILE)
        assert not world.assembler.waits_for_freshness("/another")
        assert world.assembler.next_deadline_ms() == NOW_MS + DAY_MS
        world.freshness.all_until(60)
        assert world.assembler.next_deadline_ms() == 0
        assert ids(world.release()) == [uuid(1)]
        assert not world.assembler.waits_for_freshness()

    @pytest.mark.parametrize("type_", ["cmdk", "apply"])
    def test_of_these_types_wait_for_a_locked_ring_for_their_grace_alone(self, world, type_):
        world.freshness.all_until(-math.inf)
        world.observe(W1, old(entry(1, None, type_=type_)))
        assert world.wait(RING_GRACE_MS - 1) == []
        assert world.assembler.waits_for_freshness()
        # In a run that has just begun no ring was read yet, and it begins anew.
        world.restart()
        assert world.wait(RING_GRACE_MS - 1) == []
        assert ids(world.wait(1)) == [uuid(1)]

    def test_wait_for_nothing_a_day_after_they_were_seen(self, world):
        world.freshness.all_until(-math.inf)
        world.observe(W1, old(entry(1)))
        world.wait(DAY_MS - 1)
        assert world.release() == []
        assert ids(world.wait(1)) == [uuid(1)]

    def test_of_several_rings_the_earliest_counts_then_the_smallest_workspace(self):
        told = [(W2, None), (W2, NOW_MS + 9), (W1, NOW_MS + 9), (GLOBAL, NOW_MS + 3)]
        for order in itertools.permutations(told):
            fresh = World()
            for place, time in order:
                fresh.observe(place, old(entry(1, time)))
            (generation,) = fresh.wait(CONVERSATION_WAIT_MS + 9)
            assert (generation.workspace, generation.timestamp) == (W1, NOW_MS + 3)

    def test_of_the_global_ring_belong_to_no_workspace(self, world):
        world.observe(GLOBAL, old(entry(1, None)))
        (generation,) = world.release()
        assert generation.workspace == GLOBAL

    def test_wait_for_a_day_from_when_the_first_of_them_was_seen(self, world):
        world.freshness.all_until(-math.inf)
        world.observe(W2, old(entry(1, NOW_MS)))
        world.now_ms += 1500
        world.observe(W1, old(entry(1, NOW_MS - 5)))
        assert world.assembler.next_deadline_ms() < NOW_MS + DAY_MS
        world.wait(CONVERSATION_WAIT_MS)
        assert world.assembler.next_deadline_ms() == NOW_MS + DAY_MS

    def test_that_say_nothing_new_are_not_written_again(self, world):
        world.observe(W1, new(entry(1)))
        change = world.assembler.observe(
            W1, new(entry(1), entry(1, NOW_MS + 5), entry(1, rowid=9)), NOW_MS, 0.0
        )
        assert (change.pending, change.settled) == ((), ())

    def test_in_two_profiles_are_one_and_wait_for_the_first_of_them(self, world):
        nightly = workspace("w0", profile="/nightly")
        world.freshness.all_until(-math.inf)
        world.observe(W1, old(entry(1, NOW_MS - 10**6)))
        world.observe(nightly, old(entry(1, NOW_MS - 10**7)))
        assert ids(world.release()) == [uuid(1)]
        assert world.log.pending == {}

    def test_of_an_excluded_workspace_are_counted_and_not_released(self):
        world = World(directory=Everywhere(excluded=frozenset(["w2"])))
        world.observe(W2, old(entry(1, None)))
        assert (world.release(), world.excluded, world.log.pending) == ([], 1, {})
        assert world.log.keys == set()


class TestWindows:
    SINCE = NOW_MS - 3_600_000

    @pytest.mark.parametrize(
        ("time", "is_inside"),
        [(SINCE, True), (SINCE - 1, False), (SINCE - 60_000, False), (SINCE - 60_001, False), (None, True)],
    )
    def test_let_old_entries_through_that_lie_inside(self, world, time, is_inside):
        world.observe(W1, old(entry(1, time), since_ms=self.SINCE))
        assert ids(world.release()) == [uuid(1)] * is_inside
        assert (world.log.pending, world.excluded) == ({}, 0)

    def test_count_for_what_is_old_alone(self, world):
        world.observe(W1, new(entry(1, self.SINCE - 10**9)))
        assert ids(world.release()) == [uuid(1)]

    def test_do_not_count_if_anything_of_it_is_new(self, world):
        world.observe(W1, old(entry(1, self.SINCE - 10), since_ms=self.SINCE))
        world.observe(W2, new(entry(1, self.SINCE - 5)))
        assert ids(world.release()) == [uuid(1)]

    def test_are_not_left_by_being_seen_once_more(self, world):
        world.observe(W1, old(entry(1, self.SINCE - 10), since_ms=self.SINCE))
        world.observe(W1, new(entry(1, self.SINCE - 10)))
        assert world.release() == []

    @pytest.mark.parametrize(("time", "is_inside"), [(SINCE, True), (SINCE - 1, False), (None, True)])
    def test_let_rows_through_that_lie_inside(self, world, time, is_inside):
        assert len(world.observe(W1, old(row(1, time=time), since_ms=self.SINCE))) == is_inside
        assert len(world.observe(W1, new(row(2, time=time)))) == 1


class TestRows:
    def test_go_out_at_once(self, world):
        world.freshness.all_until(-math.inf)
        assert ids(world.observe(W1, new(row(1)))) == [uuid(1)]
        assert world.assembler.next_deadline_ms() is None

    @pytest.mark.parametrize("is_pending", [True, False])
    def test_are_joined_with_a_ring_entry(self, world, is_pending):
        together = [row(1), entry(1)]
        if is_pending:
            world.observe(W2, new(together.pop()))
        change = world.assembler.observe(W1, new(*together), NOW_MS, 0.0)
        (generation,) = change.released
        assert change.settled == ((uuid(1),) if is_pending else ())
        assert (generation.timestamp, generation.workspace, generation.schema) == (NOW_MS, W1, "tables_v1")
        assert world.assembler.next_deadline_ms() is None

    def test_of_the_global_database_belong_where_the_ring_says(self, world):
        world.observe(W2, new(entry(1)))
        (generation,) = world.observe(GLOBAL, new(row(1)))
        assert generation.workspace == W2
        (generation,) = world.observe(GLOBAL, new(row(2)))
        assert generation.workspace == GLOBAL

    def test_the_earlier_of_two_ring_entries_is_the_one_joined(self, world):
        world.observe(W2, new(entry(1, NOW_MS - 9)))
        (generation,) = world.observe(W1, new(entry(1, NOW_MS), row(1)))
        assert generation.timestamp == NOW_MS - 9

    def test_the_first_of_several_counts(self, world):
        rows = [row(1, {"text": "first"}), row(1, {"text": "second"}, id_=uuid(1).upper())]
        (generation,) = world.observe(W1, new(*rows))
        assert generation.response_text == "first"

    def test_that_were_reported_already_change_nothing(self, world):
        world.observe(W1, new(row(1)))
        assert world.observe(W2, new(row(1), entry(1))) == []
        assert world.log.pending == {}

    def test_of_an_excluded_workspace_are_counted_and_not_released(self):
        world = World(directory=Everywhere(excluded=frozenset(["w2"])))
        assert (world.observe(W2, new(row(1))), world.excluded) == ([], 1)


def test_what_an_earlier_run_left_is_released_in_this_one(world):
    world.observe(W1, new(entry(1), entry(2)))
    world.restart()
    assert len(world.assembler) == 2
    assert world.assembler.holds(W1.database)
    assert not world.assembler.holds(W2.database)
    assert ids(world.wait(CONVERSATION_WAIT_MS)) == [uuid(1), uuid(2)]
    assert not world.assembler.holds(W1.database)


class TestVeryMany:
    """A first pass over a thousand workspaces leaves a hundred thousand entries pending."""

    def test_go_out_in_steps_and_in_the_order_of_time_over_all_workspaces(self, world):
        numbers = list(range(1200))
        random.Random(1).shuffle(numbers)
        world.freshness.all_until(-math.inf)
        for place, some in ((W1, numbers[::2]), (W2, numbers[1::2])):
            world.observe(place, old(*(entry(number, NOW_MS - 10**9 + number) for number in some)))
        world.observe(W2, old(entry(5000, None)))
        assert world.release() == []
        world.freshness.all_until(0)
        steps = []
        while world.assembler.next_deadline_ms() == 0:
            steps.append(world.assembler.release(NOW_MS, 0.0))
        assert [len(step.released) for step in steps] == [500, 500, 201]
        assert [id_ for step in steps for id_ in ids(step.released)] == [
            uuid(number) for number in (*range(1200), 5000)
        ]
        assert all(step.settled == tuple(ids(step.released)) for step in steps)
        assert world.assembler.next_deadline_ms() is None

    def test_between_two_steps_the_earliest_entry_still_counts_and_counts_once(self, world):
        then = NOW_MS - 10**9
        world.observe(W1, old(*(entry(number, then + number) for number in range(600))))
        change = world.assembler.release(NOW_MS, 0.0)
        world.log.commit(change)
        assert world.observe(W2, old(entry(550, then + 551), entry(560, then + 559))) == []
        rest = {found.generation_id: found.timestamp for found in world.release()}
        assert rest == {uuid(number): then + (559 if number == 560 else number) for number in range(500, 600)}

    def test_cost_each_call_the_same_however_much_is_pending(self):
        def calls(many):
            """How much is done by calls that find nothing to do, and by one that brings one thing."""
            world = World()
            world.freshness.all_until(-math.inf)
            for at in range(many):
                of = attrs.evolve(turn(10**6 + at, at=f"c{at % 7}/b{at}"), is_settled=at % 2 == 0)
                world.observe(GLOBAL, old(of))
                world.observe(W1, old(entry(at, NOW_MS - at)))
            world.release()
            done = 0

            def count(*_):
                nonlocal done
                done += 1

            assembler = world.assembler
            sys.setprofile(count)
            assembler.next_deadline_ms()
            assembler.release(NOW_MS, 0.0)
            assembler.wanted(GLOBAL.database)
            assembler.wanted_databases()
            assembler.unsettled(GLOBAL.database, 10)
            assembler.waits_for_freshness()
            assembler.waits_for_freshness("/u")
            assembler.holds(W1.database)
            assembler.observe(W1, new(entry(10**7)), NOW_MS, 0.0)
            sys.setprofile(None)
            return done

        assert calls(400) <= calls(100) + 20

    def test_clocks_that_were_set_back_hold_up_nothing(self, world):
        world.now_ms += 3_600_000
        world.observe(W1, new(entry(1, None)))
        world.now_ms -= 3_600_000
        world.observe(W1, new(entry(2, None)))
        assert world.assembler.next_deadline_ms() == NOW_MS + CONVERSATION_WAIT_MS
        assert ids(world.wait(CONVERSATION_WAIT_MS)) == [uuid(2)]
        assert ids(world.wait(3_600_000)) == [uuid(1)]
