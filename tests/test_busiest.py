"""Which workspaces have a count of their own: never too many, never less than before, nothing lost."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from trio_cursor.busiest import NAMELESS, OTHER, Busiest


def test_all_have_their_place_while_there_is_room():
    assert Busiest(2).shares({"a": 1, "b": 2}) == {"a": 1, "b": 2, OTHER: 0}


def test_whoever_has_counted_nothing_needs_no_place():
    assert Busiest(2).shares({"a": 0}) == {OTHER: 0}


def test_the_busiest_come_first():
    counts = {f"w{number:03}": number + 1 for number in range(300)}
    told = Busiest(100).shares(counts)
    assert told.keys() == {f"w{number:03}" for number in range(200, 300)} | {OTHER}
    assert all(told[name] == counts[name] for name in told.keys() - {OTHER})
    assert told[OTHER] == sum(range(1, 201))


def test_those_without_a_name_take_nobodys_place():
    assert Busiest(1).shares({None: 3, "a": 1}) == {NAMELESS: 3, "a": 1, OTHER: 0}


def test_a_place_is_taken_by_much_more_alone_and_for_good():
    busiest = Busiest(1)
    assert busiest.shares({"a": 4, "b": 3}) == {"a": 4, OTHER: 3}
    assert busiest.shares({"a": 4, "b": 8}) == {"a": 4, OTHER: 8}
    # What it has counted before stays where it was told, with the others.
    assert busiest.shares({"a": 4, "b": 9}) == {"b": 0, OTHER: 13}
    assert busiest.shares({"a": 90, "b": 11}) == {"b": 2, OTHER: 99}


def test_without_places_all_are_others():
    assert Busiest(0).shares({"a": 4, "b": 9}) == {OTHER: 13}


STEPS = st.lists(st.dictionaries(st.sampled_from([*"abcdefgh", None]), st.integers(0, 50)), max_size=20)


@given(st.integers(0, 4), STEPS)
def test_nothing_goes_down_and_nothing_is_lost(places, steps):
    busiest, counts, highest = Busiest(places), Counter(), Counter()
    for step in steps:
        counts.update(step)
        told = busiest.shares(counts)
        assert sum(told.values()) == counts.total()
        assert len(told.keys() - {OTHER, NAMELESS}) <= places
        assert all(value >= highest[name] for name, value in told.items())
        highest.update({name: value - highest[name] for name, value in told.items()})
