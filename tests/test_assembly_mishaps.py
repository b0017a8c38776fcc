"""The Assembler: turns that nobody can name, keys that change late, clocks that jump."""

from __future__ import annotations

import math

import attrs
import pytest
from assembly_world import (
    CONVERSATION_WAIT_MS,
    DAY_MS,
    GLOBAL,
    SETTLE_TIMEOUT_MS,
    W1,
    Everywhere,
    World,
    content,
    entry,
    gone,
    new,
    old,
    row,
    turn,
)
from scans import uuid, workspace

from trio_cursor.assembly.recent import Recent
from trio_cursor.observations import Place

IN_FLIGHT = {"is_settled": False, "is_named_by_bubble": False}
READING_MS = 300_000
OTHER_GLOBAL = workspace(None, profile="/p2")


@pytest.fixture
def world():
    return World()


@pytest.fixture
def unread():
    world = World()
    world.freshness.all_until(-math.inf)
    return world


def tell(world, *found, place=GLOBAL):
    return world.observe(place, new(*found))


def keys(released):
    return [generation.key for generation in released]


class TestNamelessTurns:
    def test_are_dropped_once_they_were_read(self, world):
        unnamed = turn(None, at="c/b", **IN_FLIGHT)
        tell(world, unnamed)
        world.wait(SETTLE_TIMEOUT_MS)
        assert world.wanted() == ["c/b"]
        assert tell(world, content(unnamed, "incomplete")) == []
        assert (world.wanted(), world.log.pending, world.nameless) == ([], {}, 1)
        assert world.assembler.next_deadline_ms() is None

    def test_are_not_taken_up_again_until_they_change(self, world):
        unnamed = turn(None, at="c/b", **IN_FLIGHT)
        tell(world, unnamed)
        world.wait(SETTLE_TIMEOUT_MS)
        tell(world, content(unnamed, "incomplete"))
        tell(world, unnamed)
        assert (world.log.pending, world.nameless) == ({}, 1)
        tell(world, attrs.evolve(unnamed, fingerprint="g"))
        assert len(world.log.pending) == 1
        tell(world, turn(1, at="c/b"))
        assert keys(tell(world, content(turn(1, at="c/b")))) == [uuid(1)]

    def test_are_dropped_when_they_settle_without_a_name(self, world):
        tell(world, turn(None, at="c/b", **IN_FLIGHT))
        tell(world, turn(None, at="c/b"))
        assert (world.log.pending, world.nameless) == ({}, 1)

    def test_are_never_given_out(self, world):
        tell(world, turn(None, at="c/b", **IN_FLIGHT))
        world.wait(SETTLE_TIMEOUT_MS)
        assert world.wait(DAY_MS) == []
        assert (world.log.pending, world.nameless, len(world.assembler)) == ({}, 1, 0)

    @pytest.mark.parametrize("is_read", [True, False])
    def test_hold_their_agents_no_longer(self, world, is_read):
        parent = turn(None, at="p/b", **IN_FLIGHT)
        tell(world, parent, Place("kid", 9, parent_id="p"))
        tell(world, turn(7, at="kid/b", is_sub_agent=True))
        world.wait(SETTLE_TIMEOUT_MS)
        assert world.wanted() == ["p/b"]
        if is_read:
            tell(world, content(parent, "incomplete"))
        else:
            world.wait(DAY_MS)
        assert world.wanted() == ["kid/b"]
        assert keys(tell(world, content(turn(7, at="kid/b", is_sub_agent=True)))) == [uuid(7)]


class TestTwins:
    def test_under_two_names_go_out_once_when_both_are_gone(self, world):
        for profile in (GLOBAL.profile, OTHER_GLOBAL.profile):
            world.freshness.all_until(-math.inf, profile)
        for number, place in ((1, GLOBAL), (2, OTHER_GLOBAL)):
            tell(world, turn(number, is_named_by_bubble=False), place=place)
            tell(world, gone(), place=place)
        for profile in (GLOBAL.profile, OTHER_GLOBAL.profile):
            world.freshness.all_until(math.inf, profile)
        assert len(world.wait(1000)) == 1
        assert (world.log.pending, len(world.assembler)) == ({}, 0)

    def test_under_two_names_go_out_once_when_nobody_answers(self, world):
        tell(world, turn(1, is_named_by_bubble=False))
        tell(world, turn(2, is_named_by_bubble=False), place=OTHER_GLOBAL)
        assert len(world.wait(DAY_MS + SETTLE_TIMEOUT_MS)) == 1
        assert (world.log.pending, len(world.assembler)) == ({}, 0)


class TestKeysThatChangeLate:
    """An id that is no UUID, of a workspace whose folder nobody knew at first."""

    W1_AT_FOLDER = attrs.evolve(W1, path="/w1", hash="abc")
    TURN = turn(None, id_="x1", at="c/b")

    def known_too_late(self, world, *more):
        """Restored before the first sweep, and then the workspace is found."""
        world.directory.known = (self.W1_AT_FOLDER,)
        tell(world, self.TURN, Place("c", 2, "w1"), *more)
        world.directory.known = ()
        world.restart()
        world.directory.known = (self.W1_AT_FOLDER,)

    def test_a_turn_is_released_under_the_key_that_it_has_when_it_is_read(self, world):
        self.known_too_late(world)
        assert keys(tell(world, content(self.TURN))) == ["abc/x1"]
        assert (world.wanted(), world.log.pending) == ([], {})

    def test_a_turn_that_is_told_again_as_it_was_gets_the_key(self, world):
        self.known_too_late(world)
        tell(world, self.TURN)
        assert list(world.assembler._book.groups) == ["abc/x1"]
        assert keys(tell(world, content(self.TURN))) == ["abc/x1"]

    def test_a_turn_that_is_gone_is_released_under_the_key_too(self, unread):
        self.known_too_late(unread, gone("c/b"))
        unread.freshness.all_until(math.inf)
        assert keys(unread.release()) == ["abc/x1"]
        assert (unread.log.pending, len(unread.assembler)) == ({}, 0)

    def test_what_the_log_knows_under_the_late_key_may_be_left_out(self, unread):
        tell(unread, turn(None, id_="x1", at="d/b2"), gone("d/b2"))
        tell(unread, Place("d", 2, "w1"))
        unread.freshness.all_until(math.inf)
        change = unread.assembler.release(unread.now_ms, unread.at)
        assert keys(change.released) == ["w1/x1"]
        unread.log.commit(attrs.evolve(change, released=()))
        assert (unread.log.pending, len(unread.assembler)) == ({}, 0)
        assert unread.assembler.next_deadline_ms() is None
        assert tell(unread, turn(None, id_="x1", at="e/b3")) == []

    def test_two_that_turn_out_to_bear_one_key_go_out_once_in_one_step(self, world):
        world.observe(W1, new(entry(1)))
        tell(world, Place("d", 2, "w1"))
        first, asks, second = (
            turn(None, id_="x1", at="d/b"),
            turn(1, at="c/b1"),
            turn(None, id_="x1", at="c/b2"),
        )
        tell(world, first, asks, second)
        assert keys(tell(world, content(first), content(asks), content(second))) == ["w1/x1", uuid(1)]
        assert (world.log.pending, len(world.assembler)) == ({}, 0)


class TestADayWithoutUs:
    def test_is_followed_by_time_to_read(self, unread):
        unread.observe(W1, new(entry(1)))
        unread.now_ms += 3 * DAY_MS
        unread.restart()
        assert unread.wait(READING_MS - 1) == []
        unread.freshness.all_until(math.inf)
        unread.observe(GLOBAL, old(turn(1)))
        assert unread.wanted() == ["c/b"]
        assert keys(tell(unread, content(turn(1)))) == [uuid(1)]

    def test_is_over_when_nothing_could_be_read_in_that_time(self, unread):
        unread.observe(W1, new(entry(1)))
        unread.now_ms += 3 * DAY_MS
        unread.restart()
        assert unread.wait(READING_MS - 1) == []
        assert keys(unread.wait(1)) == [uuid(1)]

    def test_ends_by_the_ordinary_rules_when_all_is_read(self, unread):
        unread.observe(W1, new(entry(1)))
        unread.now_ms += 3 * DAY_MS
        unread.restart()
        unread.freshness.all_until(math.inf)
        assert keys(unread.release()) == [uuid(1)]

    def test_counts_as_well_when_the_machine_slept(self, unread):
        unread.observe(W1, new(entry(1)))
        unread.wait(2 * READING_MS)
        unread.jump(3 * DAY_MS)
        assert unread.release() == []
        assert unread.wait(READING_MS - 1) == []
        assert keys(unread.wait(1)) == [uuid(1)]

    def test_does_not_make_a_text_unreadable(self, world):
        tell(world, turn(1))
        world.wait(SETTLE_TIMEOUT_MS - 1)
        world.jump(3 * DAY_MS)
        assert world.release() == []
        assert world.wanted() == ["c/b"]
        assert world.wait(SETTLE_TIMEOUT_MS - 1) == []
        assert keys(world.wait(1)) == [uuid(1)]


class TestAClockThatJumpsWhileSomethingWaits:
    """A machine that slept, or a clock that was set: Cursor has had no time to write on."""

    @pytest.mark.parametrize("jump_ms", [3 * DAY_MS, -3 * DAY_MS])
    def test_lets_a_turn_in_flight_have_its_time(self, world, jump_ms):
        tell(world, turn(1, **IN_FLIGHT))
        world.wait(1000)
        world.jump(jump_ms)
        assert world.release() == []
        assert world.wait(SETTLE_TIMEOUT_MS - 1) == []
        assert world.wanted() == []
        world.wait(1)
        assert world.wanted() == ["c/b"]

    @pytest.mark.parametrize("jump_ms", [3 * DAY_MS, -3 * DAY_MS])
    def test_lets_an_entry_have_its_time(self, world, jump_ms):
        world.observe(W1, new(entry(1)))
        world.wait(1000)
        world.jump(jump_ms)
        assert world.release() == []
        assert world.wait(CONVERSATION_WAIT_MS - 1) == []
        assert keys(world.wait(1)) == [uuid(1)]

    def test_is_nothing_to_what_comes_later(self, world):
        world.release()
        world.jump(3 * DAY_MS)
        assert world.release() == []
        world.observe(W1, old(entry(1)))
        assert keys(world.release()) == [uuid(1)]


class TestAClockThatIsSetBack:
    YEARS_MS = 3650 * DAY_MS

    @pytest.mark.parametrize("is_restarted", [True, False])
    def test_makes_no_entry_wait_longer(self, unread, is_restarted):
        unread.observe(W1, new(entry(1, None)))
        unread.jump(-self.YEARS_MS)
        if is_restarted:
            unread.restart()
        assert unread.release() == []
        assert unread.wait(DAY_MS - 1) == []
        assert keys(unread.wait(1)) == [uuid(1)]

    @pytest.mark.parametrize("is_restarted", [True, False])
    def test_makes_no_turn_wait_longer(self, world, is_restarted):
        tell(world, turn(1, **IN_FLIGHT))
        world.jump(-self.YEARS_MS)
        if is_restarted:
            world.restart()
        world.release()
        world.wait(SETTLE_TIMEOUT_MS - 1)
        assert world.wanted() == []
        world.wait(1)
        assert world.wanted() == ["c/b"]

    def test_is_stored_so_that_no_restart_begins_the_wait_anew(self, world):
        tell(world, turn(1, **IN_FLIGHT))
        world.jump(-self.YEARS_MS)
        world.restart()
        for _ in range(4):
            world.wait(SETTLE_TIMEOUT_MS // 4)
            world.restart()
        assert world.wanted() == ["c/b"]

    def test_by_little_changes_nothing_that_is_stored(self, world):
        tell(world, turn(1, **IN_FLIGHT))
        stored = dict(world.log.pending)
        world.wait(1000)
        world.jump(-500)
        world.restart()
        assert world.release() == []
        assert world.log.pending == stored


class TestExcludedGenerations:
    def test_are_counted_once_however_often_they_are_met(self):
        world = World(directory=Everywhere(excluded=frozenset(["w1"])))
        for _ in range(3):
            tell(world, turn(1), Place("c", 2, "w1"))
            world.observe(W1, new(row(2)))
            assert world.log.pending == {}
        assert world.excluded == 2

    def test_are_remembered_within_bounds(self):
        recent = Recent(limit=2)
        assert [recent.add(key) for key in "abacab"] == [True, True, False, True, False, True]
        assert "c" not in recent
