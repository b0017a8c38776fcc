"""What is told of an output that takes events, and should be looked at all the same."""

from __future__ import annotations

import pytest

from trio_cursor.alarm_facts import output_alarms
from trio_cursor.states import OutputState

NOW = 1_800_000_000_000
MINUTE = 60_000


def alarms(lag=0, **more):
    state = OutputState("o")
    for name, value in more.items():
        setattr(state, name, value)
    return list(output_alarms(state, lag, NOW))


def test_an_output_that_has_all_or_is_a_moment_behind_is_no_alarm():
    assert alarms() == []
    assert alarms(9_999, oldest_ms=NOW - MINUTE + 1) == []
    # What it had to wait for is done.
    assert alarms(0, oldest_ms=NOW - 60 * MINUTE) == []


def test_one_that_is_far_behind_says_by_how_much():
    assert alarms(10_000, oldest_ms=NOW) == ["10000 events behind"]
    assert alarms(3, oldest_ms=NOW - 7 * MINUTE) == ["3 events behind, the oldest of them captured 7 min ago"]


@pytest.mark.parametrize(("ago", "count"), [(1, 1), (60 * MINUTE - 1, 1), (60 * MINUTE, 0)])
def test_what_a_server_had_lost_and_what_can_never_be_sent_is_told_for_an_hour(ago, count):
    assert len(alarms(rolled_back_at=NOW - ago)) == count
    said = ["2 events can never be sent: `doctor` says which, and why"]
    assert alarms(dead=2, dead_at=NOW - ago) == said * count


def test_what_could_never_be_sent_long_ago_is_no_alarm_for_ever():
    assert alarms(dead=2) == []


def test_what_endangers_a_stream_is_told_for_as_long_as_it_is_so():
    assert alarms(alarms={"eviction": "why"}) == ["why"]
