"""The queue of deadlines against a plain dictionary."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from trio_cursor.assembly.deadlines import Queue

keys = st.sampled_from("abcdefgh")
times = st.integers(0, 5)
steps = st.one_of(
    st.tuples(st.just("put"), keys, times),
    st.tuples(st.just("drop"), keys),
    st.tuples(st.just("take"), times),
    st.tuples(st.just("put all"), st.lists(st.tuples(keys, times), max_size=9)),
    st.just(("pop",)),
)


@settings(derandomize=True, deadline=None, max_examples=500)
@given(st.lists(steps, max_size=40))
def test_it_is_a_dictionary_that_knows_its_smallest_value(history):
    queue, known = Queue(), {}
    for step in history:
        match step:
            case ("put", key, when):
                queue.put(key, when)
                known[key] = when
            case ("drop", key):
                queue.drop(key)
                known.pop(key, None)
            case ("take", until):
                found = {key for key, when in known.items() if when <= until}
                taken = queue.take(until)
                assert len(taken) == len(found)
                assert set(taken) == found
                known = {key: when for key, when in known.items() if key not in found}
            case ("put all", items):
                queue.put_all(items)
                known.update(items)
            case ("pop",) if known:
                when = min(known.values())
                key = queue.pop()
                assert known.pop(key) == when
        assert queue.first() == min(known.values(), default=None)


def test_very_many_are_taken_at_once():
    queue = Queue()
    queue.put_all([(str(number), number) for number in range(1000)])
    assert sorted(map(int, queue.take(899))) == list(range(900))
    assert (queue.first(), queue.pop(), len(queue.take(10**9)), queue.first()) == (900, "900", 99, None)


def test_what_was_moved_again_and_again_does_not_pile_up():
    queue = Queue()
    for when in range(10_000):
        queue.put("a", when)
        queue.put(f"b{when}", when)
        queue.drop(f"b{when}")
    assert len(queue._heap) < 200
    assert (queue.pop(), queue.first()) == ("a", None)
