"""The Assembler: of several turns with one id, which one is reported, and when."""

from __future__ import annotations

import pytest
from assembly_world import GLOBAL, SETTLE_TIMEOUT_MS, World, content, gone, new, turn
from scans import uuid, workspace

from trio_cursor.observations import Place

IN_FLIGHT = {"is_settled": False}


@pytest.fixture
def world():
    return World()


def tell(world, *found):
    return world.observe(GLOBAL, new(*found))


def keys(released):
    return [generation.key for generation in released]


class TestCopies:
    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ({"at": "z/b"}, {"at": "a/b", "is_sub_agent": True}),
            ({"at": "z/b"}, {"at": "a/b", "is_settled": False}),
            ({"at": "z/b", "is_settled": False}, {"at": "a/b", "is_sub_agent": True}),
            ({"at": "z/b", "created_ms": 1}, {"at": "a/b", "created_ms": 2}),
            ({"at": "z/b", "created_ms": 1}, {"at": "a/b", "created_ms": None}),
            ({"at": "a/b"}, {"at": "z/b"}),
            ({"at": "a/b"}, {"at": "a/z"}),
        ],
    )
    def test_of_which_one_is_reported_whatever_their_order(self, first, second):
        for told in ((first, second), (second, first)):
            world = World()
            tell(world, *(turn(1, newest_ms=None, **found) for found in told))
            world.wait(SETTLE_TIMEOUT_MS)
            assert world.wanted() == [first["at"]]
            (generation,) = tell(world, content(turn(1, **first)))
            assert generation.conversation_id == first["at"][0]
            assert world.log.pending == {}

    def test_leave_behind_every_name_that_may_change(self, world):
        tell(world, turn(1, at="a/b"), turn(1, at="c/d", is_named_by_bubble=False))
        (generation,) = tell(world, content(turn(1, at="a/b")))
        assert generation.aliases == ("/turn/c/d",)

    def test_of_a_whole_profile_go_with_the_one_that_was_reported(self, world):
        nightly = workspace(None, profile="/nightly")
        tell(world, turn(1, is_named_by_bubble=False))
        world.observe(nightly, new(turn(2, is_named_by_bubble=False, **IN_FLIGHT)))
        assert len(world.log.pending) == 2
        assert keys(tell(world, content(turn(1, is_named_by_bubble=False)))) == [uuid(1)]
        assert world.log.pending == {}

    def test_wait_for_all_profiles_in_which_they_stand(self, world):
        nightly = workspace(None, profile="/nightly")
        world.freshness.all_until(-1, "/nightly")
        tell(world, turn(1))
        assert world.wanted() == ["c/b"]
        world.observe(nightly, new(turn(1, at="d/b")))
        assert world.wanted() == []
        assert world.assembler.waits_for_freshness("/nightly")
        world.freshness.all_until(0, "/nightly")
        world.release()
        assert world.wanted() == ["c/b"]


class TestAgents:
    def listed(self, child="child", parent="parent"):
        return Place(child, 9, parent_id=parent)

    def test_are_known_by_the_conversation_that_lists_them(self, world):
        tell(world, self.listed(), turn(1, at="child/b", created_ms=1), turn(1, at="parent/b", created_ms=2))
        assert world.wanted() == ["parent/b"]

    def test_are_known_late(self, world):
        tell(world, turn(1, at="child/b", created_ms=1), turn(1, at="parent/b", created_ms=2))
        assert world.wanted() == ["child/b"]
        tell(world, self.listed())
        assert world.wanted() == ["parent/b"]

    def test_wait_while_their_parent_may_have_the_same_id(self, world):
        tell(world, self.listed(), turn(1, at="child/b"), turn(None, at="parent/b", **IN_FLIGHT))
        assert world.wanted() == []
        tell(world, turn(1, at="parent/b", fingerprint="2", **IN_FLIGHT))
        assert world.wanted() == []
        tell(world, turn(1, at="parent/b", fingerprint="3"))
        assert world.wanted() == ["parent/b"]

    @pytest.mark.parametrize("outcome", [turn(2, at="parent/b", fingerprint="2"), gone("parent/b")])
    def test_wait_no_longer(self, world, outcome):
        tell(world, self.listed(), turn(1, at="child/b"), turn(None, at="parent/b", **IN_FLIGHT))
        tell(world, outcome)
        assert "child/b" in world.wanted()

    def test_wait_for_a_parent_that_is_an_agent_itself_until_its_time_is_over(self, world):
        tell(world, self.listed(), self.listed("parent", "root"))
        tell(world, turn(1, at="child/b"), turn(1, at="parent/b", **IN_FLIGHT))
        world.wait(SETTLE_TIMEOUT_MS - 1)
        assert world.wanted() == []
        world.wait(1)
        assert world.wanted() == ["child/b"]

    def test_with_an_id_of_their_own_wait_for_nobody(self, world):
        tell(world, self.listed(), turn(1, at="child/b"), turn(2, at="parent/b", **IN_FLIGHT))
        assert world.wanted() == ["child/b"]
