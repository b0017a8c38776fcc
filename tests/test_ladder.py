"""When a hint is followed, and how often: plain values, time as an argument."""

from __future__ import annotations

import math

import pytest

from trio_cursor.ladder import LAST, QUIET_SECONDS, STEPS, WEAK, Again, Ladder, SecondLooks

NEVER = -math.inf


def climbed(ladder, until=10.0):
    """The moments at which looks are due that never see a change."""
    moments = []
    while (now := ladder.next_due()) <= until:
        for database in ladder.due(now):
            ladder.looked(database, now, is_over=False)
            moments.append((database, round(now, 6)))
    return moments


def test_a_hint_is_followed_by_looks_further_and_further_apart_and_then_by_none():
    ladder = Ladder()
    assert ladder.next_due() == math.inf
    assert ladder.hint("a", 1.0, step=0, not_before=NEVER)
    assert climbed(ladder) == [("a", round(1.0 + step, 6)) for step in STEPS]
    assert len(ladder) == 0


def test_a_change_ends_the_looks():
    ladder = Ladder()
    ladder.hint("a", 1.0, step=0, not_before=NEVER)
    assert ladder.due(1.0) == ["a"]
    ladder.looked("a", 1.0, is_over=True)
    assert ladder.next_due() == math.inf
    ladder.looked("a", 1.0, is_over=True)  # twice is no mistake


def test_what_was_read_lately_is_not_looked_at_before_its_time():
    ladder = Ladder()
    ladder.hint("a", 1.0, step=0, not_before=1.25)
    assert ladder.due(1.24) == []
    assert ladder.due(1.25) == ["a"]


def test_a_weak_hint_waits_and_a_strong_one_overtakes_it_and_not_the_other_way_round():
    ladder = Ladder()
    ladder.hint("a", 1.0, step=WEAK, not_before=NEVER)
    assert ladder.due(1.0) == []
    assert ladder.hint("a", 1.005, step=0, not_before=NEVER)
    assert not ladder.hint("a", 1.005, step=WEAK, not_before=NEVER)
    assert ladder.due(1.005) == ["a"]


def test_a_hint_that_comes_while_a_look_is_under_way_is_not_forgotten_with_it():
    ladder = Ladder()
    ladder.hint("a", 1.0, step=0, not_before=NEVER)
    assert ladder.due(1.0) == ["a"]
    ladder.looked("a", 1.0, is_over=False)
    ladder.hint("a", 1.001, step=0, not_before=1.2)  # later than the look that is due anyway
    assert ladder.next_due() == 1.0 + STEPS[1]
    assert ladder.due(1.004) == ["a"]
    # Even a weak one: nobody knows what the look has seen.
    ladder.hint("a", 1.005, step=WEAK, not_before=NEVER)
    ladder.looked("a", 1.004, is_over=True)
    assert ladder.due(1.005) == []
    assert ladder.due(1.005 + STEPS[WEAK]) == ["a"]


@pytest.mark.parametrize("is_settled", [True, False])
def test_what_is_said_during_a_look_that_sees_a_change_waits_as_any_further_change_does(is_settled):
    ladder = Ladder()
    ladder.hint("a", 1.0, step=0, not_before=NEVER)
    assert ladder.due(1.0) == ["a"]
    if is_settled:
        ladder.settle("a", 1.001, patience=0.25, not_before=NEVER)
    else:
        ladder.hint("a", 1.001, step=0, not_before=NEVER)
    ladder.looked("a", 1.0, is_over=True, not_before=1.25)
    assert ladder.next_due() == 1.25


def test_only_what_is_due_before_all_others_wakes_anybody():
    ladder = Ladder()
    assert ladder.hint("a", 1.0, step=1, not_before=NEVER)
    assert not ladder.hint("b", 1.0, step=LAST, not_before=NEVER)
    assert ladder.hint("c", 1.0, step=0, not_before=NEVER)
    ladder.clear()
    assert ladder.next_due() == math.inf


def settled(ladder, *moments, not_before=NEVER):
    for now in moments:
        ladder.settle("a", now, patience=0.25, not_before=not_before)
    return round(ladder.next_due(), 6)


def test_what_is_being_written_is_looked_at_when_it_is_quiet_and_when_patience_is_over():
    assert settled(Ladder(), 1.0) == round(1.0 + QUIET_SECONDS, 6)
    assert settled(Ladder(), 1.0, 1.05, 1.06) == round(1.06 + QUIET_SECONDS, 6)
    assert settled(Ladder(), 1.0, 1.05, 1.1, 1.15, 1.2, 1.24) == 1.25
    assert settled(Ladder(), 1.0, 1.05, not_before=1.4) == 1.4


def test_a_look_ends_the_wait_for_quiet_whether_or_not_it_saw_anything():
    for is_over in (True, False):
        ladder = Ladder()
        due = settled(ladder, 1.0, 1.2)
        assert ladder.waits_for_quiet("a")
        assert not ladder.waits_for_quiet("b")
        assert ladder.due(due + 0.001) == ["a"]
        ladder.looked("a", due + 0.001, is_over=is_over)
        assert not ladder.waits_for_quiet("a")
        assert settled(ladder, 2.0) == round(2.0 + QUIET_SECONDS, 6)


def test_of_an_ordinary_hint_and_a_wait_for_quiet_the_sooner_counts():
    ladder = Ladder()
    ladder.hint("a", 1.0, step=WEAK, not_before=NEVER)
    assert settled(ladder, 1.0) == round(1.0 + STEPS[WEAK], 6)
    ladder = Ladder()
    settled(ladder, 1.0)
    ladder.hint("a", 1.0, step=WEAK, not_before=NEVER)
    assert round(ladder.next_due(), 6) == round(1.0 + STEPS[WEAK], 6)


SOON, DUE = Again(0.016, is_early=True), Again(0.25, is_early=True)


def test_a_look_that_was_in_vain_is_repeated_soon_after_a_probe_interval_and_late():
    looks = SecondLooks()
    assert looks.after(10.0, logged_at=10.0, found=False, every=0.25) == SOON
    assert looks.after(10.0625, logged_at=10.0, found=False, every=0.25) == DUE
    assert looks.after(10.5, logged_at=10.0, found=False, every=0.25) == Again(0.5, is_early=False)
    assert looks.after(11.0, logged_at=10.0, found=False, every=0.25) is None


def test_what_a_look_has_found_may_be_of_the_commit_before():
    looks = SecondLooks()
    looks.after(10.0, logged_at=10.0, found=False, every=0.25)
    assert looks.after(10.0625, logged_at=10.0, found=True, every=0.25) == Again(0.9375, is_early=False)
    assert looks.after(11.0, logged_at=10.0, found=True, every=0.25) is None
    assert looks.after(30.0, logged_at=30.0, found=True, every=2.0) == Again(2.0, is_early=False)
    assert looks.after(31.0, logged_at=30.0, found=False, every=2.0) == Again(1.0, is_early=False)
    assert looks.after(32.0, logged_at=30.0, found=False, every=2.0) is None


def test_looks_out_of_turn_are_not_the_late_one():
    looks = SecondLooks()
    looks.after(10.0, logged_at=10.0, found=True, every=0.25)
    for moment in (10.125, 10.25, 10.5, 10.75):
        left = 11.0 - moment
        assert looks.after(moment, logged_at=10.0, found=False, every=0.25) == Again(left, is_early=False)
    assert looks.after(11.0, logged_at=10.0, found=False, every=0.25) is None


def test_nothing_is_repeated_if_it_is_not_the_log_that_has_changed():
    looks = SecondLooks()
    assert looks.after(10.0, logged_at=None, found=False, every=0.25) is None


def test_whoever_writes_without_end_is_read_once_a_probe_interval_on_average():
    looks, now, opened, every = SecondLooks(), 10.0, 0, 0.25
    while now < 110.0:
        changed_at = now
        again = looks.after(now, logged_at=changed_at, found=False, every=every)
        opened += 1
        while again is not None and again.seconds < every:
            again = looks.after(now + again.seconds, logged_at=changed_at, found=False, every=every)
            opened += 1
        now += every
    assert opened <= 100.0 / every + 4
