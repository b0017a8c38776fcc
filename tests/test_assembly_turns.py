"""The Assembler: when turns of conversations go out."""

from __future__ import annotations

import math

import attrs
import pytest
from assembly_world import (
    CONVERSATION_WAIT_MS,
    DAY_MS,
    GLOBAL,
    PROFILE,
    SETTLE_TIMEOUT_MS,
    W1,
    W2,
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
from scans import NOW_MS, uuid

from trio_cursor.assembly import from_text
from trio_cursor.observations import Place, TurnId, Wanted

IN_FLIGHT = {"is_settled": False}


@pytest.fixture
def world():
    return World()


def tell(world, *found):
    return world.observe(GLOBAL, new(*found))


def keys(released):
    return [generation.key for generation in released]


class TestSettledTurns:
    def test_are_read_when_they_are_due_and_go_out_then(self, world):
        assert tell(world, turn(1, at="c/b")) == []
        assert list(world.log.pending) == [f"/turn/{GLOBAL.database}/c/b"]
        assert world.assembler.wanted(GLOBAL.database) == (
            Wanted("conversations", TurnId("c", "b"), with_content=True),
        )
        assert world.assembler.wanted_databases() == {GLOBAL.database}
        (generation,) = tell(world, content(turn(1, at="c/b"), "aborted"))
        assert (generation.key, generation.status, generation.conversation_id) == (uuid(1), "aborted", "c")
        assert (generation.schema, generation.workspace, generation.aliases) == ("conversations", GLOBAL, ())
        assert (world.log.pending, world.assembler.wanted_databases()) == ({}, set())
        assert world.assembler.next_deadline_ms() is None

    @pytest.mark.parametrize(
        ("said", "status"),
        [
            (["aborted", None], "aborted"),
            (["error", None, None], "error"),
            (["none", None], "completed"),
            (["aborted", "none", None], "completed"),
            (["aborted", "none"], "completed"),
            ([None], "completed"),
        ],
    )
    def test_what_their_conversation_said_of_them_is_remembered_when_it_has_gone_on(
        self, world, said, status
    ):
        world.freshness.all_until(-math.inf)  # a ring is locked
        for outcome in said:
            assert tell(world, turn(1, outcome=outcome)) == []
        world.restart()
        world.freshness.all_until(math.inf)
        world.release()
        (generation,) = tell(world, content(turn(1, outcome=said[-1]), "completed"))
        assert generation.status == status

    def test_wait_for_rings_that_were_read_since(self, world):
        world.freshness.all_until(-math.inf)
        world.now_ms += 5000
        tell(world, turn(1))
        for rings, conversations in ((4.9, 5), (5, -math.inf), (-math.inf, 5)):
            world.freshness.of_rings[PROFILE] = rings
            world.freshness.of_conversations[PROFILE] = conversations
            assert world.release() == []
            assert world.wanted() == []
            assert world.assembler.waits_for_freshness(PROFILE)
        world.freshness.of_rings[PROFILE], world.freshness.of_conversations[PROFILE] = 5, 0
        assert world.assembler.next_deadline_ms() == 0
        world.release()
        assert world.wanted() == ["c/b"]
        assert not world.assembler.waits_for_freshness()

    def test_are_not_taken_from_an_answer_to_an_older_question(self, world):
        world.freshness.all_until(-1)
        tell(world, turn(1))
        assert tell(world, content(turn(1))) == []
        world.freshness.all_until(0)
        assert world.release() == []
        assert keys(tell(world, content(turn(1)))) == [uuid(1)]
        assert tell(world, content(turn(1))) == []

    def test_are_not_released_while_a_ring_is_not_up_to_date_any_more(self, world):
        tell(world, turn(1))
        world.freshness.of_rings[PROFILE] = -math.inf
        assert tell(world, content(attrs.evolve(turn(1), fingerprint="changed"))) == []
        assert world.wanted() == []

    def test_are_joined_with_their_ring_entry_whichever_comes_first(self):
        for order in (1, -1):
            world = World()
            world.freshness.all_until(-math.inf)
            told = [(W1, entry(1, NOW_MS - 7)), (GLOBAL, turn(1, time=NOW_MS))][::order]
            for place, found in told:
                world.observe(place, new(found))
            world.freshness.all_until(math.inf)
            world.release()
            (generation,) = tell(world, content(turn(1)))
            assert (generation.schema, generation.workspace) == ("ring+conversations", W1)
            assert (generation.timestamp, generation.generation_type) == (NOW_MS - 7, "composer")
            assert world.log.pending == {}

    def test_keep_their_ring_entry_from_going_out_alone(self, world):
        world.freshness.all_until(-math.inf)
        world.observe(W1, old(entry(1, None)))
        tell(world, turn(1))
        world.freshness.all_until(math.inf)
        assert world.wait(CONVERSATION_WAIT_MS) == []
        assert world.wanted() == ["c/b"]

    def test_are_wanted_in_the_order_of_their_time_and_no_more_than_asked_for(self, world):
        world.freshness.all_until(-1)
        for at in (3, 1, 2):
            tell(world, turn(at, at=f"c/b{at}", time=NOW_MS + at))
        world.freshness.all_until(0)
        world.release()
        assert world.wanted() == ["c/b1", "c/b2", "c/b3"]
        assert [item.id.bubble_id for item in world.assembler.wanted(GLOBAL.database, 2)] == ["b1", "b2"]
        assert world.assembler.wanted(W1.database) == ()

    def test_without_a_name_are_never_reported(self, world):
        tell(world, turn(None))
        assert (world.log.pending, world.wanted()) == ({}, [])
        tell(world, turn(None, **IN_FLIGHT))
        assert len(world.log.pending) == 1
        tell(world, turn(None))
        assert world.log.pending == {}

    def test_that_say_nothing_new_are_not_written_again(self, world):
        tell(world, turn(1))
        change = world.assembler.observe(GLOBAL, new(turn(1)), NOW_MS + 9, 0.0)
        assert (change.pending, change.settled) == ((), ())

    def test_are_forgotten_if_they_turn_out_to_be_reported(self, world):
        tell(world, turn(1, at="c/b", **IN_FLIGHT))
        world.log.keys.add(uuid(2))
        assert tell(world, turn(2, at="c/b")) == []
        assert (world.log.pending, world.wanted()) == ({}, [])

    def test_whose_answer_turns_out_to_be_reported_are_asked_for_no_more(self, world):
        tell(world, turn(1))
        world.log.keys.add(uuid(1))
        assert tell(world, content(turn(1))) == []
        assert (world.log.pending, world.wanted()) == ({}, [])

    def test_that_nobody_asked_for_go_by(self, world):
        assert tell(world, content(turn(1)), gone()) == []
        assert world.log.pending == {}

    def test_do_not_wait_anew_with_every_change(self, world):
        world.freshness.all_until(-1)
        tell(world, turn(1))
        world.now_ms += 1000
        tell(world, turn(1, fingerprint="2"))
        world.freshness.all_until(0)
        world.release()
        assert world.wanted() == ["c/b"]

    def test_wait_for_rings_read_since_though_their_entry_waited_before(self, world):
        world.freshness.all_until(-1)
        world.observe(W1, old(entry(1, None)))
        world.now_ms += 1000
        tell(world, turn(1))
        world.freshness.all_until(0.5)
        world.release()
        assert world.wanted() == []
        world.freshness.all_until(1)
        world.release()
        assert world.wanted() == ["c/b"]

    def test_are_not_taken_from_what_is_said_of_another_copy(self, world):
        tell(world, turn(1, at="a/b"), turn(1, at="c/b"))
        assert tell(world, content(turn(1, at="c/b"))) == []
        assert world.wanted() == ["a/b"]


class TestTurnsInFlight:
    def test_wait_until_nothing_has_changed_for_long(self, world):
        tell(world, turn(1, fingerprint="1", **IN_FLIGHT))
        assert world.wait(SETTLE_TIMEOUT_MS - 1) == []
        tell(world, turn(1, fingerprint="2", **IN_FLIGHT))
        assert world.assembler.next_deadline_ms() == world.now_ms + SETTLE_TIMEOUT_MS
        world.wait(SETTLE_TIMEOUT_MS - 1)
        assert world.wanted() == []
        world.wait(1)
        assert world.wanted() == ["c/b"]
        (generation,) = tell(world, content(turn(1, fingerprint="2", **IN_FLIGHT), "incomplete"))
        assert generation.status == "incomplete"

    def test_that_have_changed_when_they_are_read_wait_on(self, world):
        tell(world, turn(1, **IN_FLIGHT))
        world.wait(SETTLE_TIMEOUT_MS)
        assert tell(world, content(turn(1, fingerprint="2", **IN_FLIGHT), "incomplete")) == []
        assert (world.wanted(), len(world.log.pending)) == ([], 1)
        world.wait(SETTLE_TIMEOUT_MS)
        assert keys(tell(world, content(turn(1, fingerprint="2", **IN_FLIGHT), "incomplete"))) == [uuid(1)]

    def test_that_are_settled_when_they_are_read_go_out(self, world):
        tell(world, turn(1, **IN_FLIGHT))
        world.wait(SETTLE_TIMEOUT_MS)
        assert keys(tell(world, content(turn(1, fingerprint="2")))) == [uuid(1)]

    @pytest.mark.parametrize(
        ("newest_ms", "left_ms"),
        [
            (None, 0),
            (NOW_MS + 1, 0),
            (NOW_MS, SETTLE_TIMEOUT_MS),
            (NOW_MS - 1000, SETTLE_TIMEOUT_MS - 1000),
            (NOW_MS - SETTLE_TIMEOUT_MS, 0),
        ],
    )
    def test_of_a_first_sync_have_stood_as_long_as_their_times_say(self, world, newest_ms, left_ms):
        world.observe(GLOBAL, old(turn(1, newest_ms=newest_ms, **IN_FLIGHT)))
        if left_ms:
            world.wait(left_ms - 1)
            assert world.wanted() == []
            world.wait(1)
        assert world.wanted() == ["c/b"]

    def test_wait_from_the_time_of_their_ring_entry_if_that_is_later(self, world):
        world.observe(W1, old(entry(1, NOW_MS - 1000)))
        world.observe(GLOBAL, old(turn(1, newest_ms=NOW_MS - 10**9, **IN_FLIGHT)))
        assert world.wanted() == []
        world.wait(SETTLE_TIMEOUT_MS - 1000)
        assert world.wanted() == ["c/b"]

    def test_that_have_changed_stand_no_longer_because_they_are_read_anew(self, world):
        tell(world, turn(1, fingerprint="1", **IN_FLIGHT))
        world.observe(GLOBAL, old(turn(1, fingerprint="2", newest_ms=None, **IN_FLIGHT)))
        assert world.wanted() == []

    def test_belong_where_the_ring_of_another_says_before_they_have_a_name(self):
        world = World(directory=Everywhere(excluded=frozenset([None])))
        world.observe(W1, new(entry(1)))
        world.observe(GLOBAL, old(turn(1, at="c/a"), turn(None, newest_ms=None, **IN_FLIGHT)))
        assert "c/b" in world.wanted()

    def test_are_looked_at_again_others_each_time(self, world):
        for at in range(5):
            tell(world, turn(at, at=f"c/b{at}", **IN_FLIGHT))
        tell(world, turn(9, at="c/b9"))
        seen = [world.assembler.unsettled(GLOBAL.database, 2) for _ in range(5)]
        assert [[found.id.bubble_id for found in some] for some in seen] == [
            ["b0", "b1"],
            ["b2", "b3"],
            ["b4", "b0"],
            ["b1", "b2"],
            ["b3", "b4"],
        ]
        assert not seen[0][0].with_content
        assert world.assembler.unsettled(W1.database) == ()

    def test_may_get_their_name_late_and_another_one(self, world):
        tell(world, turn(None, **IN_FLIGHT))
        tell(world, turn(1, fingerprint="2", is_named_by_bubble=False, **IN_FLIGHT))
        tell(world, turn(2, fingerprint="3"))
        assert world.wanted() == ["c/b"]
        assert keys(tell(world, content(turn(2, fingerprint="3")))) == [uuid(2)]
        assert world.log.pending == {}

    def test_that_are_called_by_their_bubble_in_the_end_keep_that_name(self, world):
        at = f"c/{uuid(9)}"
        unnamed = turn(None, at=at, **IN_FLIGHT)
        named = content(attrs.evolve(unnamed, generation_id=uuid(9), is_named_by_bubble=False), "incomplete")
        tell(world, unnamed)
        world.wait(SETTLE_TIMEOUT_MS)
        # Under that name there may be something in a ring that was not read since.
        world.freshness.of_rings[PROFILE] = world.at - 1
        assert tell(world, named) == []
        tell(world, unnamed)
        assert [from_text(text).turn.generation_id for text in world.log.pending.values()] == [uuid(9)]
        world.freshness.of_rings[PROFILE] = world.at
        world.release()
        (generation,) = tell(world, named)
        assert (generation.key, generation.aliases) == (uuid(9), (f"/turn/{at}",))

    def test_are_never_reported_again_under_another_name(self, world):
        tell(world, turn(1, is_named_by_bubble=False))
        (generation,) = tell(world, content(turn(1, is_named_by_bubble=False)))
        assert generation.aliases == ("/turn/c/b",)
        assert tell(world, turn(2)) == []
        assert world.log.pending == {}

    def test_may_rest_for_a_day_and_no_longer(self, world):
        tell(world, turn(1, **IN_FLIGHT))
        for number in range(0, DAY_MS, SETTLE_TIMEOUT_MS // 2):
            world.wait(SETTLE_TIMEOUT_MS // 2)
            tell(world, turn(1, fingerprint=str(number), **IN_FLIGHT))
        assert world.wanted() == ["c/b"]
        assert keys(tell(world, content(turn(1, fingerprint="x", **IN_FLIGHT), "incomplete"))) == [uuid(1)]


class TestAfterADay:
    def test_a_turn_goes_out_though_rings_cannot_be_read(self, world):
        world.freshness.all_until(-math.inf)
        tell(world, turn(1))
        world.wait(DAY_MS - 1)
        assert world.wanted() == []
        world.wait(1)
        assert world.wanted() == ["c/b"]
        assert keys(tell(world, content(turn(1)))) == [uuid(1)]

    def test_a_turn_goes_out_without_its_texts_if_nobody_can_read_them(self, world):
        world.observe(W1, new(entry(1, text="why")))
        tell(world, turn(1))
        assert world.wait(DAY_MS) != []
        (generation,) = world.log.generations
        assert (generation.status, generation.schema) == ("incomplete", "ring+conversations")
        assert (generation.prompt_text, generation.tool_calls) == ("why", None)
        assert world.log.pending == {}

    def test_a_run_that_starts_later_asks_first(self, world):
        tell(world, turn(1))
        world.now_ms += 2 * DAY_MS
        world.restart()
        assert world.release() == []
        assert world.wanted() == ["c/b"]
        assert world.wait(SETTLE_TIMEOUT_MS - 1) == []
        assert keys(world.wait(1)) == [uuid(1)]


class TestTurnsThatAreGone:
    def test_are_reported_as_far_as_they_are_known(self, world):
        tell(world, turn(1))
        assert tell(world, gone()) == []
        (generation,) = world.release()
        assert (generation.key, generation.status, generation.schema) == (
            uuid(1),
            "incomplete",
            "conversations",
        )
        assert (generation.response_text, generation.timestamp) == (None, NOW_MS)
        assert world.log.pending == {}

    def test_wait_for_the_rings_like_others_over_a_restart_too(self, world):
        world.freshness.all_until(-1)
        tell(world, turn(1, **IN_FLIGHT))
        tell(world, gone())
        world.restart()
        assert world.release() == []
        world.freshness.all_until(0)
        assert keys(world.release()) == [uuid(1)]

    def test_leave_their_ring_entry_to_go_out_alone(self, world):
        world.observe(W1, new(entry(1)))
        tell(world, turn(1))
        tell(world, gone())
        assert list(world.log.pending) == [uuid(1)]
        (generation,) = world.wait(CONVERSATION_WAIT_MS)
        assert (generation.status, generation.schema) == ("unknown", "ring")

    def test_leave_a_ring_entry_that_is_found_after_them(self, world):
        world.freshness.all_until(-1)
        tell(world, turn(1))
        tell(world, gone())
        world.observe(W1, new(entry(1)))
        assert list(world.log.pending) == [uuid(1)]

    def test_leave_what_is_said_to_another_copy(self, world):
        tell(world, turn(1, at="a/b"), turn(1, at="c/b"))
        assert world.wanted() == ["a/b"]
        tell(world, gone("a/b"))
        assert world.wanted() == ["c/b"]
        assert len(world.log.pending) == 1

    def test_without_a_name_leave_nothing(self, world):
        tell(world, turn(None, **IN_FLIGHT))
        tell(world, gone())
        assert (world.wait(DAY_MS), world.log.pending) == ([], {})

    def test_may_come_back(self, world):
        world.freshness.all_until(-1)
        tell(world, turn(1))
        tell(world, gone())
        tell(world, turn(1))
        world.freshness.all_until(0)
        assert world.release() == []
        assert world.wanted() == ["c/b"]


class TestWindows:
    SINCE = NOW_MS - 3_600_000

    def tell(self, world, *found):
        world.observe(GLOBAL, old(*found, since_ms=self.SINCE))

    def test_drop_what_lies_far_outside_at_once(self, world):
        self.tell(world, turn(1, time=self.SINCE - 60_001))
        assert world.log.pending == {}
        self.tell(world, turn(1, time=None))
        assert len(world.log.pending) == 1

    def test_drop_what_proves_to_lie_outside(self, world):
        self.tell(world, turn(1, time=self.SINCE - 1))
        assert tell(world, content(turn(1, time=self.SINCE - 1))) == []
        assert (world.log.pending, world.log.keys) == ({}, set())

    @pytest.mark.parametrize(("ring_ms", "is_inside"), [(SINCE, True), (SINCE - 1, False)])
    def test_go_by_the_ring_if_there_is_an_entry(self, world, ring_ms, is_inside):
        world.observe(W1, old(entry(1, ring_ms), since_ms=self.SINCE))
        time = self.SINCE - 1 if is_inside else self.SINCE
        self.tell(world, turn(1, time=time))
        assert len(tell(world, content(turn(1, time=time)))) == is_inside
        assert world.log.pending == {}

    def test_survive_a_restart(self, world):
        self.tell(world, turn(1, time=self.SINCE - 1))
        world.restart()
        world.release()
        assert tell(world, content(turn(1, time=self.SINCE - 1))) == []


class TestRows:
    def test_make_their_turn_due_at_once_and_go_out_with_it(self, world):
        world.freshness.all_until(-math.inf)
        tell(world, turn(1, **IN_FLIGHT))
        assert world.observe(W1, new(row(1, {"responseText": "r", "tokensUsed": 5}))) == []
        world.restart()
        assert world.wanted() == ["c/b"]
        (generation,) = tell(world, content(turn(1, **IN_FLIGHT), "incomplete", prompt_text="p"))
        assert (generation.schema, generation.status, generation.workspace) == ("tables_v1", "incomplete", W1)
        assert (generation.prompt_text, generation.response_text, generation.tokens_used) == ("p", "r", 5)
        assert world.log.pending == {}

    def test_of_which_the_turn_is_gone_go_out_alone(self, world):
        tell(world, turn(1))
        world.observe(W1, new(row(1), row(1)))
        (generation,) = tell(world, gone())
        assert (generation.schema, generation.status) == ("tables_v1", "completed")
        assert (world.release(), world.log.pending) == ([], {})

    def test_do_not_wait_for_a_turn_that_is_gone(self, world):
        world.freshness.all_until(-1)
        tell(world, turn(1))
        tell(world, gone())
        (generation,) = world.observe(W1, new(row(1)))
        assert (generation.status, generation.conversation_id) == ("completed", None)
        assert world.log.pending == {}

    def test_find_another_copy_if_theirs_is_gone(self, world):
        tell(world, turn(1, at="a/b"), turn(1, at="c/b"))
        world.observe(W1, new(row(1)))
        assert tell(world, gone("a/b")) == []
        assert world.wanted() == ["c/b"]
        (generation,) = tell(world, content(turn(1, at="c/b")))
        assert generation.schema == "tables_v1"

    def test_go_out_when_their_turn_gets_another_name(self, world):
        tell(world, turn(1, is_named_by_bubble=False, **IN_FLIGHT))
        world.observe(W1, new(row(1)))
        (generation,) = tell(world, turn(2, fingerprint="2", **IN_FLIGHT))
        assert (generation.key, generation.schema) == (uuid(1), "tables_v1")
        assert world.wanted() == []
        assert len(world.log.pending) == 1


def test_what_is_not_to_be_reported_is_not_read():
    world = World(directory=Everywhere(excluded=frozenset(["w2"])))
    tell(world, Place("c", 2, "w2"), turn(1))
    assert (world.wanted(), world.excluded, world.log.pending) == ([], 1, {})
    world.observe(W2, new(entry(2)))
    tell(world, turn(2, at="d/b"))
    assert (world.wanted(), world.excluded, world.log.pending) == ([], 2, {})


def test_a_turn_knows_its_database(world):
    world.observe(W1, new(turn(1, schema="composers")))
    assert world.assembler.wanted_databases() == {W1.database}
    assert world.assembler.holds(W1.database)
    (generation,) = world.observe(W1, new(content(turn(1, schema="composers"))))
    assert (generation.schema, generation.workspace) == ("conversations", W1)
    assert not world.assembler.holds(W1.database)
