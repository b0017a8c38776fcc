"""What is nobody's waits for a session of its workspace, and only so long."""

from __future__ import annotations

import math

import attrs
import pytest
from assembly_world import GLOBAL, W1, W2, World, content, entry, new, old, row, turn
from scans import NOW_MS, uuid

from trio_cursor.observations import Place, Rule

DAY_MS = 24 * 3_600_000


@attrs.define
class Sessions:
    """Admits what started from a moment on, by workspace."""

    since: dict = attrs.field(factory=dict)
    window_ms: float = DAY_MS

    def admits(self, workspace, time_ms, now_ms):
        return workspace.id in self.since and (time_ms or now_ms) >= self.since[workspace.id]

    def hold_until(self, time_ms, seen_ms):
        return (seen_ms if time_ms is None else time_ms) + self.window_ms


@pytest.fixture
def sessions():
    return Sessions({"w1": 0})


@pytest.fixture
def world(sessions):
    world = World(admission=sessions)
    world.freshness.all_until(math.inf)
    world.assembler._book.learn("/u", Place("c", Rule.LISTED, workspace_id="w1"))
    world.assembler._book.learn("/u", Place("d", Rule.IDENTIFIER, workspace_id="w2"))
    return world


def released(world, *turns):
    """What goes out once the contents of these are read."""
    return [one.key for one in world.observe(GLOBAL, new(*map(content, turns)))]


def test_a_turn_of_a_workspace_without_a_session_is_held_and_its_texts_are_not_asked_for(world):
    mine, other = turn(1), turn(2, at="d/b")
    world.observe(GLOBAL, new(mine, other))
    world.release()
    assert world.wanted() == ["c/b"]
    assert released(world, mine, other) == [uuid(1)]
    assert (len(world.assembler), world.assembler.held()) == (1, 1)
    assert not world.assembler.holds(GLOBAL.database)


def test_it_goes_out_once_a_session_starts(world, sessions):
    other = turn(2, at="d/b")
    world.observe(GLOBAL, new(other))
    world.wait(3_600_000)
    assert world.wanted() == []
    sessions.since["w2"] = 0
    world.release()
    assert world.wanted() == []  # nobody has said that anything has changed
    world.assembler.readmit()
    world.release()
    assert world.assembler.holds(GLOBAL.database)
    assert released(world, other) == [uuid(2)]
    assert world.assembler.held() == 0


def test_after_its_window_it_is_given_up(world, sessions):
    world.observe(GLOBAL, new(turn(2, at="d/b")))
    world.wait(DAY_MS - 1000)
    assert world.assembler.held() == 1
    world.wait(1000)
    assert (world.assembler.held(), len(world.assembler), world.excluded) == (0, 0, 1)
    assert world.log.pending == {}
    sessions.since["w2"] = 0
    world.assembler.readmit()
    assert world.release() == []


def test_what_is_of_no_known_workspace_is_counted_as_that(world):
    world.observe(GLOBAL, new(turn(3, at="e/b"), turn(4, at="e/b2", time=None)))
    world.wait(DAY_MS)
    assert (world.unattributed, world.excluded) == (2, 0)


def test_one_that_turns_out_to_belong_to_somebody_goes_out(world):
    lost = turn(3, at="e/b")
    world.observe(GLOBAL, new(lost))
    world.release()
    world.observe(W1, new(Place("e", Rule.LISTED, workspace_id="w1")))
    world.release()
    assert released(world, lost) == [uuid(3)]


def test_an_entry_that_nobody_has_asked_for_is_held_like_a_turn(world, sessions):
    sessions.since["w2"] = NOW_MS + 5000
    world.observe(W2, new(entry(5, type_="cmdk"), entry(6, time=NOW_MS + 6000, type_="cmdk")))
    assert [one.key for one in world.wait(60_000)] == [uuid(6)]
    assert world.assembler.held() == 1
    sessions.since["w2"] = 0
    world.assembler.readmit()
    assert [one.key for one in world.release()] == [uuid(5)]


def test_a_row_goes_out_at_once_or_never(world):
    assert [one.key for one in world.observe(W1, new(row(7)))] == [uuid(7)]
    assert world.observe(W2, new(row(8))) == []
    assert (world.excluded, len(world.assembler)) == (1, 0)


def test_what_is_held_is_held_after_a_restart_too(world, sessions):
    other = turn(2, at="d/b")
    world.observe(GLOBAL, old(other, since_ms=NOW_MS - DAY_MS))
    world.restart()
    world.assembler._book.learn("/u", Place("d", Rule.IDENTIFIER, workspace_id="w2"))
    world.release()
    assert released(world, other) == []
    assert world.assembler.held() == 1
    sessions.since["w2"] = 0
    world.assembler.readmit()
    world.release()
    assert released(world, other) == [uuid(2)]


def test_a_session_that_is_over_when_the_texts_come_holds_it_again(world, sessions):
    mine = turn(1)
    world.observe(GLOBAL, new(mine))
    world.release()
    del sessions.since["w1"]
    assert released(world, mine) == []
    assert world.assembler.held() == 1
