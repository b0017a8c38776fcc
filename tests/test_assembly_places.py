"""The Assembler: whose generation a turn is."""

from __future__ import annotations

import itertools
import json

import attrs
import pytest
from assembly_world import GLOBAL, W1, W2, Everywhere, World, content, entry, new, turn
from scans import NOW_MS, uuid, workspace

from trio_cursor.assembly import Told
from trio_cursor.assembly.attribution import Places
from trio_cursor.observations import Place, Rule


def place(rule, workspace_id=None, of="c", **other):
    return Place(of, rule, workspace_id, **other)


BY_FOLDER = {"folder": "/w1"}
#: In the order in which they count; each says w1.
RULES = [
    place(2, "w1"),
    place(3, "w1"),
    place(4, "w1"),
    place(5, "w1"),
    place(6, **BY_FOLDER),
    place(7, **BY_FOLDER),
    place(8, "w1"),
]


def where(*found, home=GLOBAL, of="c", directory=None):
    places = Places(directory or Everywhere())
    for item in found:
        places.learn(home.profile, item)
    return places.workspace_of(home.profile, of, home)


def other(rule):
    """The same rule, saying w2."""
    return place(rule.rule, "w2" if rule.workspace_id else None, folder="/w2" if rule.folder else None)


@pytest.mark.parametrize(("earlier", "later"), list(itertools.pairwise(RULES)))
def test_a_smaller_rule_counts_before_a_greater(earlier, later):
    assert where(earlier) == where(later) == W1
    assert where(earlier, other(later)) == where(other(later), earlier) == W1
    assert where(other(earlier), later) == where(later, other(earlier)) == W2


def test_in_the_log_a_rule_is_its_number():
    written = json.dumps(attrs.asdict(Place("c", Rule.PARENT, parent_id="p")))
    assert json.loads(written)["rule"] == 9
    assert Place(**json.loads(written)) == Place("c", Rule.PARENT, parent_id="p")


def test_without_any_it_belongs_to_nobody():
    assert where() == where(place(2), place(6), place(7, folder="/nowhere")) == GLOBAL


@pytest.mark.parametrize("rule", RULES)
def test_what_stands_in_a_workspace_belongs_there_unless_a_row_of_its_own_says_otherwise(rule):
    assert where(rule, home=W2).id == ("w1" if rule.rule in (2, 3) else "w2")


@pytest.mark.parametrize("rule", [2, 3])
def test_what_cursor_has_changed_counts_as_it_was_said_last(rule):
    assert where(place(rule, "w1"), place(rule, "w2")) == W2
    assert where(place(rule, "w2"), place(rule, "w1")) == W1


@pytest.mark.parametrize("rule", [4, 5, 8])
def test_of_what_several_say_the_smallest_counts(rule):
    for found in itertools.permutations([place(rule, "w2"), place(rule, "w1"), place(rule, "w3")]):
        assert where(*found) == W1


@pytest.mark.parametrize("rule", [6, 7])
def test_of_several_folders_the_first_counts_that_is_a_workspace(rule):
    folders = [place(rule, folder=folder) for folder in ("/w2", "/a", "/w1")]
    for found in itertools.permutations(folders):
        assert where(*found) == W1


def test_a_workspace_that_is_gone_is_kept():
    assert where(place(2, "gone")) == workspace("gone")


def test_a_folder_counts_where_no_workspace_is_named():
    assert where(place(3, folder="/w1"), place(4, "w2")) == W1
    assert where(place(3, folder="/nowhere"), place(4, "w2")) == W2
    assert where(place(3, "gone", folder="/w1")) == workspace("gone")


class TestParents:
    def child(self, child="c", parent="p"):
        return Place(child, 9, parent_id=parent)

    def test_say_where_their_agents_belong(self):
        assert where(self.child(), place(7, of="p", folder="/w1")) == W1
        assert where(self.child(), self.child("p", "q"), place(2, "w1", of="q")) == W1
        assert where(self.child(), place(2, "w1", of="p"), place(8, "w2")) == W2

    def test_do_not_lead_in_circles(self):
        assert where(self.child("c", "c")) == GLOBAL
        circle = [self.child("c", "p"), self.child("p", "q"), self.child("q", "c")]
        assert where(*circle) == GLOBAL
        assert where(*circle, place(4, "w1", of="q")) == W1

    def test_of_several_the_smallest_counts(self):
        places = Places(Everywhere())
        assert places.learn("/u", self.child(parent="b"))
        assert not places.learn("/u", self.child(parent="d"))
        assert places.learn("/u", self.child(parent="a"))
        assert (places.parent("/u", "c"), places.children("/u", "a")) == ("a", ("c",))
        assert places.children("/u", "b") == ()

    def test_know_all_below_them(self):
        places = Places(Everywhere())
        for child, parent in (("b", "a"), ("c", "b"), ("d", "a"), ("a", "c")):
            places.learn("/u", self.child(child, parent))
        assert sorted(places.below("/u", "a")) == ["a", "b", "c", "d"]
        assert places.below("/v", "a") == ["a"]


def test_what_is_known_is_not_learned_again():
    places = Places(Everywhere())
    assert places.learn("/u", place(2, "w1"))
    assert not places.learn("/u", place(2, "w1"))
    assert places.learn("/v", place(2, "w1"))
    assert not places.learn("/u", Place("c", 9))


class TestInTheAssembler:
    @pytest.fixture
    def world(self):
        return World()

    def release(self, world, found):
        (generation,) = world.observe(GLOBAL, new(content(found)))
        return generation

    def test_the_ring_with_its_own_id_counts_first(self, world):
        world.observe(W1, new(entry(1)))
        world.observe(GLOBAL, new(place(2, "w2"), turn(1)))
        assert self.release(world, turn(1)).workspace == W1

    def test_an_entry_in_the_global_ring_gives_a_time_alone(self, world):
        world.observe(GLOBAL, new(entry(1, NOW_MS - 9), place(2, "w2"), turn(1)))
        generation = self.release(world, turn(1))
        assert (generation.workspace, generation.timestamp) == (W2, NOW_MS - 9)
        assert generation.schema == "ring+conversations"

    @pytest.mark.parametrize("rule", [4, 5])
    def test_what_a_workspace_shows_belongs_to_it(self, world, rule):
        world.observe(GLOBAL, new(Place("c", rule), turn(1)))
        assert world.log.places == {}
        world.observe(W2, new(Place("c", rule)))
        assert self.release(world, turn(1)).workspace == W2

    def test_facts_survive_a_restart(self, world):
        world.observe(GLOBAL, new(place(2, "w2"), turn(1)))
        world.restart()
        world.release()
        assert self.release(world, turn(1)).workspace == W2

    def test_the_ring_of_another_turn_counts_that_is_released_or_still_waits(self, world):
        world.observe(W2, new(entry(1)))
        both = [turn(1, at="c/a"), turn(2, at="c/b")]
        world.observe(GLOBAL, new(*both))
        assert self.release(world, both[1]).workspace == W2
        assert self.release(world, both[0]).workspace == W2
        assert world.log.places == {("/u", "c", 8): ("/u", place(8, "w2"))}
        world.restart()
        world.observe(GLOBAL, new(turn(3, at="c/d")))
        assert self.release(world, turn(3, at="c/d")).workspace == W2

    def test_an_agents_turn_belongs_where_its_parents_ring_says(self, world):
        world.observe(W2, new(entry(1)))
        both = [turn(1, at="p/a"), turn(2, at="c/b")]
        world.observe(GLOBAL, new(Place("c", 9, parent_id="p"), *both))
        assert self.release(world, both[1]).workspace == W2


class TestIdsThatAreNoUuids:
    """They are unique within a workspace, which only the conversation's places tell."""

    @pytest.fixture
    def world(self):
        return World()

    @pytest.mark.parametrize("places_first", [True, False])
    def test_are_joined_within_their_workspace(self, world, places_first):
        told = [[place(2, "w1")], [turn(id_="X")]][:: 1 if places_first else -1]
        world.freshness.all_until(-1)
        world.observe(W1, new(entry(1, id_="X")))
        world.observe(W2, new(entry(1, id_="X")))
        for found in told:
            world.observe(GLOBAL, new(*found))
        world.freshness.all_until(0)
        world.release()
        (generation,) = world.observe(GLOBAL, new(content(turn(id_="X"))))
        assert (generation.key, generation.schema) == ("w1/X", "ring+conversations")
        assert generation.aliases == ("/turn/c/b",)
        assert list(world.log.pending) == ["w2/X"]

    def test_of_two_workspaces_are_two(self, world):
        world.observe(GLOBAL, new(place(2, "w1", of="a"), place(2, "w2", of="b")))
        turns = [turn(id_="X", at="a/b"), turn(id_="X", at="b/b")]
        world.observe(GLOBAL, new(*turns))
        released = world.observe(GLOBAL, new(*map(content, turns)))
        assert [found.key for found in released] == ["w1/X", "w2/X"]

    def test_are_released_only_under_a_key_that_the_log_was_asked_for(self, world):
        world.observe(GLOBAL, new(turn(id_="X")))
        world.log.keys.add("w1/X")
        assert world.observe(GLOBAL, new(place(2, "w1"), content(turn(id_="X")))) == []
        assert world.wanted() == ["c/b"]
        assert world.observe(GLOBAL, new(content(turn(id_="X")))) == []
        assert (world.log.pending, world.log.generations) == ({}, [])

    def test_follow_the_parent_that_is_known_late(self, world):
        world.observe(GLOBAL, new(turn(id_="X"), place(2, "w1", of="p")))
        world.observe(GLOBAL, new(Place("c", 9, parent_id="p")))
        (generation,) = world.observe(GLOBAL, new(content(turn(id_="X"))))
        assert generation.key == "w1/X"

    def test_may_look_like_anything(self, world):
        odd = [
            turn(id_=id_, at=f"{id_}/b{at}")
            for at, id_ in enumerate(["turn/x", "a/b", "\u20ac", uuid(1).upper()])
        ]
        world.observe(GLOBAL, new(*odd))
        released = world.observe(GLOBAL, new(*map(content, odd)))
        assert [found.key for found in released] == ["global/turn/x", "global/a/b", "global/\u20ac", uuid(1)]


@pytest.mark.parametrize("folder", ["/secret", "file:///secret", "vscode-remote://ssh-remote%2Bhost/secret"])
def test_a_workspace_that_is_gone_is_excluded_by_the_folder_that_only_the_conversation_knows(folder):
    world = World(directory=Everywhere(excluded=frozenset(["/secret"])))
    world.observe(GLOBAL, new(turn(1), Place("c", 3, "gone", folder)))
    assert (world.wanted(), world.excluded, world.log.pending) == ([], 1, {})
    world.observe(GLOBAL, new(turn(2, at="d/b"), Place("d", 3, "gone", "/open")))
    assert world.wanted() == ["d/b"]


class TestExcludedFolders:
    """What is excluded is never read, so that it cannot say what belongs to it."""

    @pytest.fixture
    def world(self):
        return World(directory=Everywhere(excluded=frozenset(["/secret"]), reports_unknown=False))

    @pytest.mark.parametrize("rule", [3, 6, 7])
    def test_named_by_the_conversation(self, world, rule):
        world.observe(GLOBAL, new(turn(1), Place("c", rule, folder="/secret")))
        assert (world.wanted(), world.excluded, world.log.pending) == ([], 1, {})

    def test_named_by_its_parent(self, world):
        parent = (Place("p", 3, "gone", "/secret"), Place("p", 2, "gone"), Place("c", 9, parent_id="p"))
        world.observe(GLOBAL, new(turn(1), *parent))
        assert (world.wanted(), world.excluded) == ([], 1)

    def test_named_by_nobody(self, world):
        world.observe(GLOBAL, new(turn(1)))
        assert (world.wanted(), world.excluded) == ([], 1)

    def test_unless_a_window_without_a_folder_asked(self, world):
        world.observe(GLOBAL, new(entry(1)))
        world.observe(GLOBAL, new(turn(1)))
        assert world.wanted() == ["c/b"]

    def test_another_folder_is_reported_though_no_workspace_is_known_for_it(self, world):
        world.observe(GLOBAL, new(turn(1), Place("c", 7, folder="/open")))
        assert world.wanted() == ["c/b"]


@pytest.mark.parametrize("settled", [True, False])
def test_a_turn_of_long_ago_is_no_newer_because_its_conversation_was_touched(settled):
    world = World()
    told = Told(turn(1, time=NOW_MS - 10**9, is_settled=settled), is_old=False, since_ms=NOW_MS - 10**8)
    world.observe(GLOBAL, [told])
    # One that is being answered now is new, whatever its time says.
    assert len(world.log.pending) == (not settled)
