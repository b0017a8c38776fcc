"""The Assembler: each generation once, with what is known of it, whatever the order of things."""

from __future__ import annotations

import itertools
import random

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scans import NOW_MS, uuid, workspace

from trio_cursor.assembly import Assembler, Change, key_of
from trio_cursor.records import Prompt, RingEntry, TableRow

WAIT_MS = 2000
W1, W2 = workspace("w1"), workspace("w2")


def entry(number, time=NOW_MS, *, id_=None, type_="composer", text="ask"):
    return RingEntry(id_ or uuid(number), time, type_, text, 5, {"unixMs": time})


def row(number, value=None, *, id_=None, **other):
    return TableRow("tables_v1", id_ or uuid(number), 9, 7, NOW_MS + 50, value or {}, **other)


def ids(change):
    return [generation.generation_id for generation in change.released]


@pytest.fixture
def assembler():
    return Assembler(wait_ms=WAIT_MS)


class TestKeys:
    def test_a_uuid_names_a_generation_everywhere(self):
        assert key_of(uuid(10).upper(), W1) == key_of(uuid(10), W2) == uuid(10)

    def test_any_other_id_only_within_its_scope(self):
        assert key_of("X", workspace("w1", hash_="abc")) == "abc/X"
        assert key_of("X", W1) == "w1/X"
        assert key_of("X", workspace(None)) == "global/X"


class TestRingEntries:
    def test_wait_for_the_other_rings_of_their_profile(self, assembler):
        change = assembler.observe(W1, [entry(1)], NOW_MS)
        assert (ids(change), [item.key for item in change.pending], change.settled) == ([], [uuid(1)], ())
        assert assembler.release(NOW_MS + WAIT_MS - 1) == Change()
        assembler.profile_read("/another")
        assert assembler.release(NOW_MS) == Change()
        assembler.profile_read(W1.profile)
        assert assembler.next_deadline_ms() == 0
        change = assembler.release(NOW_MS)
        assert (ids(change), change.settled) == ([uuid(1)], (uuid(1),))
        assert assembler.release(NOW_MS + 10**9) == Change()
        assert assembler.next_deadline_ms() is None

    def test_but_not_for_longer_than_the_grace(self, assembler):
        assembler.observe(W1, [entry(1)], NOW_MS)
        assembler.observe(W2, [entry(2)], NOW_MS + 5)
        assert assembler.next_deadline_ms() == NOW_MS + WAIT_MS
        assert ids(assembler.release(NOW_MS + WAIT_MS)) == [uuid(1)]
        assert assembler.next_deadline_ms() == NOW_MS + WAIT_MS + 5

    def test_go_out_at_once_when_their_profile_was_read(self, assembler):
        assembler.profile_read(W1.profile)
        change = assembler.observe(W1, [entry(1), entry(2)], NOW_MS)
        assert (ids(change), change.pending, change.settled) == ([uuid(1), uuid(2)], (), ())

    def test_are_unknown_in_status_and_know_only_what_a_ring_knows(self, assembler):
        assembler.profile_read(W1.profile)
        (generation,) = assembler.observe(W1, [entry(1)], NOW_MS).released
        assert (generation.key, generation.schema, generation.status) == (uuid(1), "ring", "unknown")
        assert (generation.timestamp, generation.timestamp_source) == (NOW_MS, "ring")
        assert (generation.generation_type, generation.prompt_text, generation.data_version) == (
            "composer",
            "ask",
            5,
        )
        assert (generation.model, generation.tokens_used, generation.tokens_source) == (None, None, None)
        assert generation.full_generation_data == {"unixMs": NOW_MS}

    def test_without_a_time_have_no_source_of_it(self, assembler):
        assembler.profile_read(W1.profile)
        (generation,) = assembler.observe(W1, [entry(1, None)], NOW_MS).released
        assert (generation.timestamp, generation.timestamp_source) == (None, None)

    def test_of_an_applied_suggestion_hold_a_file_name_and_no_prompt(self, assembler):
        assembler.profile_read(W1.profile)
        (generation,) = assembler.observe(W1, [entry(1, type_="apply", text="main.py")], NOW_MS).released
        assert generation.prompt_text is None

    def test_of_several_rings_the_earliest_counts_then_the_smallest_workspace(self, assembler):
        told = [(W2, None), (W2, NOW_MS + 9), (W1, NOW_MS + 9), (workspace(None), NOW_MS + 9)]
        for order in itertools.permutations(told):
            fresh = Assembler(wait_ms=WAIT_MS)
            for place, time in order:
                fresh.observe(place, [entry(1, time)], NOW_MS)
            fresh.profile_read(W1.profile)
            (generation,) = fresh.release(NOW_MS).released
            assert (generation.workspace, generation.timestamp) == (W1, NOW_MS + 9)

    def test_wait_from_when_the_first_of_them_was_seen(self, assembler):
        assembler.observe(W2, [entry(1, NOW_MS)], NOW_MS)
        change = assembler.observe(W1, [entry(1, NOW_MS - 5)], NOW_MS + 1500)
        assert [(item.key, item.seen_ms) for item in change.pending] == [(uuid(1), NOW_MS)]
        assert assembler.observe(W2, [entry(1, NOW_MS + 7)], NOW_MS + 1600) == Change()
        (generation,) = assembler.release(NOW_MS + WAIT_MS).released
        assert generation.timestamp == NOW_MS - 5

    def test_in_two_profiles_are_one(self, assembler):
        assembler.observe(W1, [entry(1)], NOW_MS)
        assembler.profile_read("/nightly")
        nightly = workspace("w0", profile="/nightly")
        change = assembler.observe(nightly, [entry(1, NOW_MS - 5)], NOW_MS)
        assert (ids(change), change.settled) == ([uuid(1)], (uuid(1),))
        assert assembler.release(NOW_MS + WAIT_MS) == Change()


class TestRows:
    def test_go_out_at_once_and_are_completed(self, assembler):
        value = {
            "model": "gpt",
            "promptTokens": 3,
            "completionTokens": 4,
            "responseText": "because",
            "text": "never",
            "promptId": "p",
            "requestParameters": {"t": [1]},
        }
        prompt = Prompt("p", "why?", NOW_MS - 1)
        (generation,) = assembler.observe(W1, [row(1, value, prompt=prompt)], NOW_MS).released
        assert (generation.schema, generation.status, generation.model) == ("tables_v1", "completed", "gpt")
        assert (generation.timestamp, generation.timestamp_source) == (NOW_MS + 50, "row")
        assert (generation.prompt_tokens, generation.completion_tokens, generation.tokens_used) == (3, 4, 7)
        assert generation.tokens_source == "database"
        assert (generation.response_text, generation.prompt_text) == ("because", "why?")
        assert (generation.prompt_id, generation.prompt_timestamp) == ("p", NOW_MS - 1)
        assert (generation.request_parameters, generation.data_version) == ({"t": [1]}, 7)
        assert (generation.full_generation_data, generation.truncated) == (value, ())

    def test_of_which_nothing_is_known_are_generations(self, assembler):
        bare = TableRow("tables_v2", "x", 1, 1, None, None, raw="[1]", left_out=("response_text",))
        (generation,) = assembler.observe(W1, [bare], NOW_MS).released
        assert (generation.status, generation.timestamp, generation.timestamp_source) == (
            "completed",
            None,
            None,
        )
        assert (generation.model, generation.response_text, generation.tokens_source) == (None, None, None)
        assert (generation.full_generation_data, generation.truncated) == ("[1]", ("response_text",))

    @pytest.mark.parametrize("pending", [True, False])
    def test_are_joined_with_the_ring_entry_of_the_same_pass(self, assembler, pending):
        together = [row(1), entry(1)]
        if pending:
            assembler.observe(W2, [together.pop()], NOW_MS)
        change = assembler.observe(W1, together, NOW_MS)
        (generation,) = change.released
        assert change.settled == ((uuid(1),) if pending else ())
        assert (generation.timestamp, generation.timestamp_source) == (NOW_MS, "ring")
        assert (generation.generation_type, generation.prompt_text, generation.schema) == (
            "composer",
            "ask",
            "tables_v1",
        )
        assert generation.workspace == W1
        assert assembler.next_deadline_ms() is None

    def test_keep_their_own_time_where_the_ring_has_none(self, assembler):
        (generation,) = assembler.observe(W1, [entry(1, None), row(1)], NOW_MS).released
        assert (generation.timestamp, generation.timestamp_source) == (NOW_MS + 50, "row")

    def test_the_earlier_of_two_ring_entries_is_the_one_joined(self, assembler):
        assembler.observe(W2, [entry(1, NOW_MS - 9)], NOW_MS)
        (generation,) = assembler.observe(W1, [entry(1, NOW_MS), row(1)], NOW_MS).released
        assert generation.timestamp == NOW_MS - 9

    def test_the_first_of_several_counts(self, assembler):
        rows = [row(1, {"text": "first"}), row(1, {"text": "second"}, id_=uuid(1).upper())]
        (generation,) = assembler.observe(W1, rows, NOW_MS).released
        assert generation.response_text == "first"

    @pytest.mark.parametrize(
        ("value", "counts"),
        [
            ({"promptTokens": 0, "completionTokens": 0}, (None, None, None, None)),
            ({"promptTokens": 0, "completionTokens": 0, "tokensUsed": 0}, (None, None, None, None)),
            ({"promptTokens": 3, "completionTokens": 4, "tokensUsed": 9}, (3, 4, 9, "database")),
            ({"promptTokens": 3, "completionTokens": 0}, (3, 0, 3, "database")),
            ({"promptTokens": 3}, (3, None, None, "database")),
            ({"completionTokens": 4}, (None, 4, 4, "database")),
            ({"tokensUsed": 5}, (None, None, 5, "database")),
            ({"promptTokens": True, "completionTokens": "4", "tokensUsed": -1}, (None, None, None, None)),
            ({"promptTokens": 10**300, "completionTokens": 1e300}, (None, None, None, None)),
        ],
    )
    def test_counts_that_were_given_and_no_others(self, assembler, value, counts):
        (generation,) = assembler.observe(W1, [row(1, value)], NOW_MS).released
        found = attrs.astuple(generation, recurse=False, filter=lambda field, _: "tokens" in field.name)
        assert found == (counts[2], counts[0], counts[1], None, counts[3])

    @pytest.mark.parametrize("model", ["default", "", None, 5, ["m"], "m" * 201])
    def test_what_is_no_model(self, assembler, model):
        (generation,) = assembler.observe(W1, [row(1, {"model": model})], NOW_MS).released
        assert generation.model is None

    @pytest.mark.parametrize(
        ("value", "text"),
        [({"text": "b"}, "b"), ({"responseText": None, "text": "b"}, "b"), ({"responseText": ["a"]}, None)],
    )
    def test_response_texts(self, assembler, value, text):
        (generation,) = assembler.observe(W1, [row(1, value)], NOW_MS).released
        assert generation.response_text == text

    @pytest.mark.parametrize("is_too_large", [True, False])
    def test_a_prompt_without_text_leaves_it_to_the_ring(self, assembler, is_too_large):
        prompt = Prompt("p", None, None, is_too_large)
        (generation,) = assembler.observe(W1, [entry(1), row(1, prompt=prompt)], NOW_MS).released
        assert generation.prompt_text == "ask"
        assert generation.truncated == (("prompt_text",) if is_too_large else ())


def test_what_an_earlier_run_left_is_released_in_this_one(assembler):
    assembler.observe(W1, [entry(1), entry(2)], NOW_MS)
    stored = assembler.observe(W2, [entry(3)], NOW_MS).pending
    later = Assembler(wait_ms=WAIT_MS)
    later.restore(stored, NOW_MS + 10**6)
    assert later.next_deadline_ms() == NOW_MS + 10**6 + WAIT_MS  # no ring was read in this run yet
    assert ids(later.release(NOW_MS + 10**6 + WAIT_MS)) == [uuid(3)]


class TestVeryMany:
    """A first pass over a thousand workspaces leaves a hundred thousand entries pending."""

    def test_go_out_in_steps_and_in_the_order_of_time_over_all_workspaces(self, assembler):
        numbers = list(range(1200))
        random.Random(1).shuffle(numbers)
        for place, some in ((W1, numbers[::2]), (W2, numbers[1::2])):
            assembler.observe(place, [entry(number, NOW_MS + number) for number in some], NOW_MS)
        assembler.observe(W2, [entry(5000, None)], NOW_MS)
        assembler.profile_read(W1.profile)
        steps = []
        while assembler.next_deadline_ms() == 0:
            steps.append(assembler.release(NOW_MS))
        assert [len(step.released) for step in steps] == [500, 500, 201]
        assert [id_ for step in steps for id_ in ids(step)] == [
            uuid(number) for number in (*range(1200), 5000)
        ]
        assert all(step.settled == tuple(ids(step)) for step in steps)
        assert assembler.next_deadline_ms() is None

    def test_go_out_in_steps_as_well_when_their_grace_is_over(self, assembler):
        assembler.observe(W1, [entry(number) for number in range(501)], NOW_MS)
        assert len(assembler.release(NOW_MS + WAIT_MS).released) == 500
        assert assembler.next_deadline_ms() == 0
        assert len(assembler.release(NOW_MS + WAIT_MS).released) == 1
        assert assembler.next_deadline_ms() is None

    def test_between_two_steps_the_earliest_entry_still_counts_and_counts_once(self, assembler):
        assembler.observe(W1, [entry(number, NOW_MS + number) for number in range(600)], NOW_MS)
        assembler.profile_read(W1.profile)
        assembler.release(NOW_MS)
        assert assembler.observe(W2, [entry(550, NOW_MS + 551)], NOW_MS) == Change()
        change = assembler.observe(W2, [entry(560, NOW_MS + 559)], NOW_MS)
        assert ([item.timestamp for item in change.released], change.settled) == (
            [NOW_MS + 559],
            (uuid(560),),
        )
        elsewhere = workspace("w3", profile="/nightly")
        assembler.observe(elsewhere, [entry(570, NOW_MS + 1)], NOW_MS)
        rest = assembler.release(NOW_MS)
        assert {item.generation_id: item.timestamp for item in rest.released} == {
            uuid(number): NOW_MS + (1 if number == 570 else number)
            for number in range(500, 600)
            if number != 560
        }
        assert assembler.next_deadline_ms() is None

    def test_cost_each_message_the_same_however_much_is_pending(self):
        def questions(workspaces):
            """How often anybody asked an entry whether it is its time."""
            asked = 0

            class Profile(str):
                __slots__ = ()

                def __hash__(self):
                    nonlocal asked
                    asked += 1
                    return super().__hash__()

            class Time(int):
                def __add__(self, other):
                    nonlocal asked
                    asked += 1
                    return int(self) + other

            assembler, profile = Assembler(wait_ms=WAIT_MS), Profile("/u")
            for number in range(workspaces):
                place = workspace(f"w{number}", profile=profile)
                assembler.observe(place, [entry(10 * number + at) for at in range(10)], Time(NOW_MS))
                assembler.next_deadline_ms()
                assembler.release(Time(NOW_MS + 1))
            assembler.profile_read(profile)
            while assembler.next_deadline_ms() == 0:
                assembler.release(Time(NOW_MS + 1))
            return asked

        assert questions(200) <= 2 * questions(100) + 10

    def test_clocks_that_were_set_back_hold_up_nothing(self, assembler):
        assembler.observe(W1, [entry(1)], NOW_MS + 3_600_000)
        assembler.observe(W1, [entry(2)], NOW_MS)
        assert assembler.next_deadline_ms() == NOW_MS + WAIT_MS
        assert ids(assembler.release(NOW_MS + WAIT_MS)) == [uuid(2)]
        assert assembler.next_deadline_ms() == NOW_MS + 3_600_000 + WAIT_MS


places = st.sampled_from([W1, W2, workspace(None), workspace("w3", profile="/nightly")])
times = st.none() | st.integers(NOW_MS, NOW_MS + 3)
observations = st.lists(
    st.one_of(
        st.builds(entry, st.integers(0, 5), times, id_=st.none() | st.sampled_from(["a", "A"])),
        st.builds(row, st.integers(0, 5), id_=st.none() | st.sampled_from(["a", "A"])),
    ),
    max_size=4,
)
steps = st.one_of(
    st.tuples(st.just("page"), places, observations),
    st.tuples(st.just("read"), st.sampled_from([W1.profile, "/nightly"])),
    st.tuples(st.just("wait"), st.integers(0, 3000)),
    st.just(("crash",)),
    st.just(("killed before the commit", W1, [entry(0), row(1)])),
)


class Log:
    """What the event log keeps: keys, and what is pending. A change is committed whole or not at all."""

    def __init__(self):
        self.keys, self.pending, self.observed = [], {}, set()

    def commit(self, change):
        for key in change.settled:
            del self.pending[key]
        self.pending.update({item.key: item for item in change.pending})
        self.keys += [generation.key for generation in change.released]

    def fresh(self, place, found):
        self.observed |= {key_of(item.generation_id, place) for item in found}
        return [item for item in found if key_of(item.generation_id, place) not in self.keys]


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.lists(steps, max_size=25))
def test_whatever_happens_each_key_goes_out_once_and_nothing_waits_for_ever(history):
    log, assembler, now = Log(), Assembler(wait_ms=WAIT_MS), NOW_MS
    for step in history:
        match step:
            case ("page", place, found):
                log.commit(assembler.observe(place, log.fresh(place, found), now))
            case ("read", profile):
                assembler.profile_read(profile)
                log.commit(assembler.release(now))
            case ("wait", milliseconds):
                now += milliseconds
                log.commit(assembler.release(now))
            case ("killed before the commit", place, found):
                unseen = [item for item in found if key_of(item.generation_id, place) not in log.keys]
                assembler.observe(place, unseen, now)
                assembler = Assembler(wait_ms=WAIT_MS)
                assembler.restore(log.pending.values(), now)
            case ("crash",):
                assembler = Assembler(wait_ms=WAIT_MS)
                assembler.restore(log.pending.values(), now)
        assert len(log.keys) == len(set(log.keys))
        assert not set(log.keys) & set(log.pending)
        waiting = assembler.next_deadline_ms()
        assert (waiting is None) == (not log.pending)
    now += WAIT_MS
    log.commit(assembler.release(now))
    assert not log.pending
    assert set(log.keys) == log.observed


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.sampled_from([W1, W2, workspace("w3")]), times), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_within_a_first_pass_the_order_of_the_files_makes_no_difference(rings, chance):
    def outcome(order):
        assembler = Assembler(wait_ms=WAIT_MS)
        for place, time in order:
            assembler.observe(place, [entry(1, time)], NOW_MS)
        assembler.profile_read(W1.profile)
        return assembler.release(NOW_MS).released

    shuffled = rings[:]
    chance.shuffle(shuffled)
    (generation,) = outcome(rings)
    assert outcome(shuffled) == (generation,)
    known = [time for _, time in rings if time is not None]
    assert generation.timestamp == min(known, default=None)
