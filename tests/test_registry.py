"""Sessions by workspace; time is an argument."""

from __future__ import annotations

import math
import time
import tracemalloc

import attrs
import fakes
import pytest

from trio_cursor.records import Session
from trio_cursor.sessions import book
from trio_cursor.sessions import registry as registry_module
from trio_cursor.sessions.announcements import Announcement
from trio_cursor.sessions.registry import MOST_OF_ONE, MOST_SESSIONS, Registry, synthetic

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
NOW = fakes.EPOCH_MS
A, B = "a" * 16, "b" * 16
W1, W2, W3 = (fakes.workspace(name) for name in ("w1", "w2", "w3"))
GLOBAL = fakes.workspace(None)


@pytest.fixture
def registry():
    return Registry(inactive_ms=12 * HOUR, max_active=2)


@pytest.fixture
def extension():
    """Without discovery, and with a window."""
    return Registry(inactive_ms=12 * HOUR, max_active=2, window_ms=HOUR, discovers=False)


def start(id_, heard=NOW, said=None, *, hash_=A, source="redis", path=None):
    return Announcement(True, id_, hash_, source, heard, said, path)


def end(id_, heard=NOW, said=None, **more):
    return attrs.evolve(start(id_, heard, said, **more), is_start=False)


def ids(sessions):
    return [session.session_id for session in sessions]


def unplaced(registry):
    """By hash."""
    return {name: registry.unplaced_of(name) for name in registry.unplaced_hashes()}


def opened(registry, home=W1, id_="s1", at=NOW, hash_=A):
    """A placed session."""
    registry.announce(start(id_, at, hash_=hash_), at)
    registry.place(hash_, home, at)


# Synthetic sessions.


def test_the_first_sign_of_life_opens_a_session_and_the_next_ones_do_not(registry):
    session = registry.sign_of_life(W1, 5)
    assert session == Session("scan_w1", W1.database, "discovery", 5, heard_at=5)
    assert registry.sign_of_life(W1, 6) is None
    assert registry.sessions() == [session]


def test_the_global_database_has_a_session_of_its_own_which_lives_by_what_belongs_to_it(registry):
    assert synthetic(GLOBAL, NOW).session_id == "scan_global"
    session, is_new = registry.session_for(GLOBAL, None, 0)
    assert (session.session_id, is_new) == ("scan_global", True)
    assert registry.session_for(GLOBAL, 5 * HOUR, 5 * HOUR) == (session, False)
    assert registry.expire(17 * HOUR - 1) == []
    assert ids(registry.expire(17 * HOUR)) == ["scan_global"]


def test_a_session_expires_without_a_sign_of_life_and_opens_again_under_the_same_id(registry):
    first = registry.sign_of_life(W1, 0)
    registry.sign_of_life(W1, HOUR)
    assert registry.expire(13 * HOUR - 1) == []
    (closed,) = registry.expire(13 * HOUR)
    assert (closed.session_id, closed.started_at, closed.ended_at) == (first.session_id, 0, HOUR)
    assert closed.heard_at == HOUR
    # Nothing has happened for hours: nothing is on its way either.
    assert registry.watching.with_session(13 * HOUR) == []
    assert not registry.watching.is_active(W1.database, 13 * HOUR)
    assert not registry.watching.may_finish(W1.database, 13 * HOUR)
    assert registry.sign_of_life(W1, 14 * HOUR).session_id == first.session_id


def test_an_event_without_a_session_opens_the_synthetic_one(registry):
    assert registry.session_of(W1, None, NOW) is None
    session, is_new = registry.session_for(W1, NOW - DAY, NOW)
    assert (session.session_id, session.started_at, is_new) == ("scan_w1", NOW, True)
    assert registry.session_for(W1, NOW - DAY, NOW + 1) == (session, False)
    registry.restore([Session("other", W2.database, "discovery", 0)], NOW)
    assert registry.session_of(W2, None, NOW).session_id == "other"


def test_without_discovery_there_are_no_synthetic_sessions(extension):
    assert extension.sign_of_life(W1, NOW) is None
    assert extension.session_for(W1, NOW, NOW) is None
    assert extension.session_for(GLOBAL, NOW, NOW) is None
    assert extension.sessions() == []


def test_a_real_session_takes_over_from_the_synthetic_one(registry):
    registry.sign_of_life(W1, NOW)
    registry.announce(start("s1", NOW + 500), NOW + 600)
    assert ids(registry.sessions()) == ["scan_w1", "s1"]  # not placed yet
    changed = registry.place(A, W1, NOW + 700)
    assert {session.session_id: session.ended_at for session in changed} == {"s1": None, "scan_w1": NOW + 500}
    assert registry.session_of(W1, NOW + 499, NOW + 700).session_id == "scan_w1"
    assert registry.session_of(W1, NOW + 500, NOW + 700).session_id == "s1"
    assert registry.sign_of_life(W1, NOW + 800) is None


def test_a_real_session_in_a_known_place_takes_over_at_once_and_never_before_the_synthetic_began(registry):
    opened(registry, at=NOW - HOUR)
    registry.announce(end("s1", NOW - HOUR + 1), NOW - HOUR + 1)
    registry.sign_of_life(W1, NOW)
    first, second = registry.announce(start("s2", NOW + 5, said=NOW - 5), NOW + 5)
    assert (first.session_id, first.database) == ("s2", W1.database)
    assert (second.session_id, second.started_at, second.ended_at) == ("scan_w1", NOW, NOW)


def test_of_two_that_start_together_the_real_one_counts(registry):
    for home in (W1, fakes.workspace("w1", "zzz")):  # whichever name comes first
        registry.sign_of_life(home, NOW)
        opened(registry, home)
        assert registry.session_of(home, NOW, NOW).session_id == "s1"


def test_no_synthetic_session_is_opened_in_the_grace_after_a_real_one(registry):
    opened(registry)
    registry.announce(end("s1"), NOW)
    assert registry.sign_of_life(W1, NOW + 29_999) is None
    assert registry.sign_of_life(W1, NOW + 30_000).session_id == "scan_w1"


# Announced sessions.


def test_start_a_start_b_end_a_leaves_b(registry):
    for heard in (start("a", NOW), start("b", NOW + 1), end("a", NOW + 2)):
        (session,) = registry.announce(heard, NOW + 2)
    registry.place(A, W1, NOW + 2)
    assert ids(registry.sessions()) == ["b"]
    assert (session.session_id, session.ended_at, session.heard_at) == ("a", NOW + 2, NOW + 2)
    assert registry.watching.is_active(W1.database, NOW + DAY)


def test_a_duplicate_start_is_a_sign_of_life_and_tells_what_was_not_known(registry):
    registry.announce(start("s1"), NOW)
    assert registry.announce(start("s1", NOW + 2 * HOUR, source="http"), NOW + 2 * HOUR) == []
    (told,) = registry.announce(start("s1", NOW + HOUR, path="/a"), NOW + 2 * HOUR)
    assert (told.workspace_path, told.source, told.heard_at) == ("/a", "redis", NOW + 2 * HOUR)
    assert registry.announce(start("s1", NOW, path="/b"), NOW + 2 * HOUR) == []
    assert registry.expire(NOW + 14 * HOUR - 1) == []
    assert ids(registry.expire(NOW + 14 * HOUR)) == ["s1"]


def test_that_a_session_is_alive_is_worth_storing_now_and_then(registry):
    registry.announce(start("s1"), NOW)
    assert registry.announce(start("s1", NOW + 3 * HOUR - 1), NOW + 3 * HOUR) == []
    (fresh,) = registry.announce(start("s1", NOW + 3 * HOUR), NOW + 3 * HOUR)
    assert fresh.heard_at == NOW + 3 * HOUR


def test_a_duplicate_opens_nothing_again_but_a_later_start_does(registry):
    opened(registry)
    registry.announce(end("s1", NOW + HOUR), NOW + HOUR)
    for source in ("redis", "http", "files"):
        assert registry.announce(start("s1", NOW, source=source), NOW + HOUR) == []
    assert registry.sessions() == []
    (session,) = registry.announce(start("s1", NOW + 2 * HOUR), NOW + 2 * HOUR)
    assert (session.started_at, session.ended_at, session.database) == (NOW + 2 * HOUR, None, W1.database)
    # Its former end, told by a slower source.
    late = end("s1", NOW + 3 * HOUR, NOW + HOUR, source="http")
    assert registry.announce(late, NOW + 3 * HOUR) == []
    assert registry.sessions() == [session]


def test_a_stream_that_is_told_again_changes_nothing(registry):
    told = [start("s1"), end("s1", NOW + 5), start("s1", NOW + 9), start("s2", NOW + 10), end("s2", NOW + 11)]
    for heard in told:
        registry.announce(heard, NOW + 20)
    stored = registry.sessions()
    again = Registry(12 * HOUR, 2)
    again.restore(stored, NOW + 20)
    for one in (registry, again):
        for heard in told:
            one.announce(heard, NOW + 20)
        assert one.sessions() == stored
    assert ids(stored) == ["s1"]


def test_an_end_is_taken_whatever_time_it_tells(registry):
    for said in (NOW - DAY, NOW + DAY, None):
        registry.announce(start("s1", NOW, source="http"), NOW)
        (session,) = registry.announce(end("s1", NOW + 5, said, source="http"), NOW + 5)
        assert NOW <= session.ended_at <= NOW + 5
        registry = Registry(12 * HOUR, 2)


def test_no_session_starts_after_it_was_heard_of(registry):
    (session,) = registry.announce(start("s1", NOW, NOW + DAY), NOW)
    assert session.started_at == NOW


def test_an_end_before_its_start_leaves_nothing_open(registry):
    assert registry.announce(end("s1", NOW + 9), NOW + 9) == []
    (session,) = registry.announce(start("s1", NOW), NOW + 10)
    assert (session.started_at, session.ended_at, session.heard_at) == (NOW, NOW + 9, NOW + 9)
    assert registry.sessions() == []
    # One that is known to have ended ends again, between two starts that come late.
    registry.announce(end("s1", NOW + 30), NOW + 30)
    (session,) = registry.announce(start("s1", NOW + 20), NOW + 31)
    assert (session.started_at, session.ended_at) == (NOW + 20, NOW + 30)
    assert ids(registry.announce(start("s1", NOW + 31), NOW + 31)) == ["s1"]
    assert ids(registry.sessions()) == ["s1"]
    # Of two ends the later one counts, whichever is told first.
    registry.announce(end("s3", NOW + 20), NOW + 40)
    registry.announce(end("s3", NOW + 10), NOW + 40)
    (session,) = registry.announce(start("s3", NOW + 15), NOW + 40)
    assert session.ended_at == NOW + 20
    # One that begins at the moment of its end begins anew: windows reload as fast.
    registry.announce(end("s2", NOW), NOW)
    (session,) = registry.announce(start("s2", NOW), NOW)
    assert session.ended_at is None
    for heard in (end("s2", NOW), start("s2", NOW)):
        registry.announce(heard, NOW)
    assert "s2" in ids(registry.sessions())


def test_an_announcement_from_long_ago_is_closed_at_once_unless_its_database_has_changed(registry):
    opened(registry, W1, at=NOW - 13 * HOUR)
    opened(registry, W2, "s2", NOW - 13 * HOUR, B)
    registry.last_changed(W2.database, NOW - HOUR, NOW)
    assert ids(registry.expire(NOW)) == ["s1"]
    assert registry.next_ms(NOW) <= NOW + 11 * HOUR
    assert ids(registry.expire(NOW + 11 * HOUR)) == ["s2"]


def test_what_one_source_alone_has_told_is_doubted_until_it_tells_again(registry):
    registry.announce(start("s1"), NOW)
    registry.announce(start("s2"), NOW)
    registry.announce(start("s2", source="files"), NOW)
    registry.announce(start("s3", source="http"), NOW)
    (doubtful,) = registry.doubt("redis")
    assert (doubtful.session_id, doubtful.is_uncertain) == ("s1", True)
    assert registry.doubt("redis") == []
    (certain,) = registry.announce(start("s1", NOW + 1), NOW + 1)
    assert not certain.is_uncertain
    registry.doubt("http")
    (ended,) = registry.announce(end("s3"), NOW)
    assert not ended.is_uncertain


# Places.


def test_two_announced_workspaces_may_be_one_database(registry):
    opened(registry, W1, "s1", NOW, A)
    opened(registry, W1, "s2", NOW + 1, B)
    registry.announce(end("s2", NOW + 2, hash_=B), NOW + 2)
    assert registry.session_of(W1, NOW + 1, NOW + 5).session_id == "s2"
    assert registry.session_of(W1, NOW + 3, NOW + 5).session_id == "s1"


def test_sessions_without_a_database_wait_for_one(registry):
    registry.announce(start("s2", NOW, NOW - 1), NOW)
    registry.announce(start("s1", NOW, NOW - 2), NOW)
    registry.announce(start("s3", NOW, hash_=B), NOW)
    assert {name: ids(found) for name, found in unplaced(registry).items()} == {A: ["s1", "s2"], B: ["s3"]}
    assert registry.place("c" * 16, W1, NOW) == []
    assert sorted(ids(registry.place(A, W1, NOW))) == ["s1", "s2"]
    assert registry.place(A, W1, NOW) == []
    assert (registry.unplaced_of(A), ids(registry.unplaced_of(B))) == ((), ["s3"])
    assert registry.unplaced_of("c" * 16) == ()


def test_a_database_that_vanishes_leaves_its_sessions_waiting(registry):
    opened(registry)
    registry.announce(start("s2", NOW + 1), NOW + 1)
    registry.announce(end("s2", NOW + 2), NOW + 2)
    registry.sign_of_life(W2, NOW)
    changed = registry.unplace(W1.database)
    assert [(session.session_id, session.database) for session in changed] == [("s2", None), ("s1", None)]
    assert registry.unplace(W2.database) == []
    assert ids(registry.sessions()) == ["scan_w2", "s1"]
    assert not registry.watching.is_active(W1.database, NOW + MINUTE)
    assert registry.quieted(NOW + HOUR) == [W1.database]
    # It is found again, elsewhere.
    registry.place(A, W3, NOW + 5)
    assert registry.session_of(W3, NOW + 1, NOW + 5).session_id == "s2"
    assert registry.session_of(W1, NOW + 1, NOW + 5) is None


def test_a_session_that_has_ended_before_its_database_was_found_has_its_grace(registry):
    registry.announce(start("s1"), NOW)
    registry.announce(end("s1", NOW + 5), NOW + 5)
    assert ids(registry.place(A, W1, NOW + 9)) == ["s1"]
    assert registry.watching.is_active(W1.database, NOW + 9)
    assert registry.session_of(W1, NOW, NOW + 9).session_id == "s1"


# Which session.


def test_the_session_of_an_event_is_by_its_start(extension):
    opened(extension, W1, "first", NOW)
    for heard in (
        start("second", NOW + 10 * MINUTE),
        end("second", NOW + 20 * MINUTE),
        end("first", NOW + 30 * MINUTE),
    ):
        extension.announce(heard, NOW + 30 * MINUTE)
    now = NOW + 31 * MINUTE

    def of(minutes, seconds=0):
        found = extension.session_of(W1, NOW + round(minutes * MINUTE + seconds * SECOND), now)
        return found and found.session_id

    assert of(-61) is None  # the next one begins too late
    assert of(-60) == "first"
    assert of(0) == of(9.9) == "first"
    assert of(10) == of(20) == "second"
    assert of(20.1) == of(30) == "first"
    assert of(30, 30) == "first"  # late writes
    assert of(30, 30.1) is None
    extension.announce(start("third", NOW + 80 * MINUTE), NOW + 80 * MINUTE)
    assert of(30, 31) == "third"
    assert of(20 - 0.01) == "second"


def test_late_writes_are_those_of_the_session_also_if_its_own_clock_is_slow(extension):
    opened(extension, at=NOW - HOUR)
    extension.announce(end("s1", NOW, NOW - 20 * MINUTE), NOW)
    assert extension.session_of(W1, NOW + 30_000, NOW + MINUTE).session_id == "s1"
    assert extension.session_of(W1, NOW + 30_001, NOW + MINUTE) is None


def test_without_a_window_the_next_session_may_come_whenever(registry, extension):
    assert extension.hold_until(5, 9) == 5 + HOUR
    assert extension.hold_until(None, 9) == 9 + HOUR
    assert registry.hold_until(5, 9) == math.inf
    for one, expected in ((registry, "s1"), (extension, None)):
        opened(one)
        found = one.session_of(W1, NOW - DAY, NOW)
        assert (found and found.session_id) == expected


# Who is watched.


def test_a_workspace_is_watched_a_while_longer_and_finished_after_that(registry):
    opened(registry)
    registry.announce(end("s1", NOW + 5, NOW - DAY, source="http"), NOW + 5)
    over = NOW + 5
    assert registry.next_ms(over) == over + 30_000
    assert registry.quieted(over + 29_999) == []
    assert registry.watching.is_active(W1.database, over + 29_999)
    assert registry.watching.with_session(over + 29_999) == [W1.database]
    assert registry.quieted(over + 30_000) == [W1.database]
    assert registry.quieted(over + 30_001) == []
    assert not registry.watching.is_active(W1.database, over + 30_000)
    assert registry.watching.may_finish(W1.database, over + 299_999)
    assert registry.next_ms(over + 30_001) == over + 300_000
    assert registry.quieted(over + 300_000) == [W1.database]
    assert not registry.watching.may_finish(W1.database, over + 300_000)
    assert registry.next_ms(over + 300_000) in (None, NOW + 12 * HOUR)


def test_a_profile_is_read_to_the_end_where_sessions_are_or_were_a_while_ago(extension):
    extension.last_changed(W2.database, NOW, NOW)  # nobody has announced it
    opened(extension)
    assert extension.watching.finishing(NOW + DAY) == [W1.database]
    extension.announce(end("s1"), NOW)
    assert extension.watching.finishing(NOW + 299_999) == [W1.database]
    assert extension.watching.finishing(NOW + 300_000) == []


def test_with_discovery_everything_is_somebodys(registry, extension):
    for one in (registry, extension):
        opened(one)
        assert one.admits(W1, NOW, NOW)
    assert registry.admits(W2, NOW, NOW)
    assert not extension.admits(W2, NOW, NOW)


def test_the_grace_runs_from_when_the_last_end_came_to_us(registry):
    opened(registry)
    registry.announce(start("s2"), NOW)
    registry.announce(end("s1", NOW + 100), NOW + 200)
    registry.announce(end("s2", NOW + 50), NOW + 200)
    assert registry.watching.is_active(W1.database, NOW + 30_199)
    assert registry.quieted(NOW + 30_199) == []
    assert registry.quieted(NOW + 30_200) == [W1.database]


def test_what_has_ended_while_nobody_listened_is_watched_for_the_grace_all_the_same():
    registry = Registry(12 * HOUR, 10, window_ms=24 * HOUR)
    for age, is_read in ((HOUR, True), (23 * HOUR, True), (25 * HOUR, False)):
        place = fakes.workspace(f"w{age}")
        hash_ = f"{age:016x}"
        registry.announce(start("s", NOW - age - HOUR, hash_=hash_), NOW)
        registry.place(hash_, place, NOW)
        registry.announce(end("s", NOW - age, hash_=hash_), NOW)
        assert registry.watching.is_active(place.database, NOW + 29_999) is is_read
        assert not registry.watching.is_active(place.database, NOW + 30_000)
        # That it came late says nothing of when it was.
        registry.discovers = False
        assert registry.session_of(place, NOW - age + 31_000, NOW) is None


def test_nobody_is_told_that_it_is_quiet_where_somebody_has_come_back(registry):
    opened(registry)
    registry.announce(end("s1", NOW + 5), NOW + 5)
    registry.announce(start("s2", NOW + 9), NOW + 9)
    assert registry.quieted(NOW + HOUR) == []
    assert registry.watching.is_active(W1.database, NOW + HOUR)


def test_what_never_had_a_session_may_be_finished(registry):
    assert registry.watching.may_finish(W1.database, NOW)
    registry.last_changed(W1.database, NOW, NOW)
    assert registry.watching.may_finish(W1.database, NOW)


def test_of_too_many_workspaces_the_least_recently_changed_is_not_active(registry):
    homes = (W1, W2, W3)

    def active(now):
        return [registry.watching.is_active(home.database, now) for home in homes]

    registry.sign_of_life(W1, 0)
    registry.sign_of_life(W2, 1)
    assert not registry.watching.is_crowded()
    registry.sign_of_life(W3, 2)
    assert registry.watching.is_crowded()
    assert active(2) == [False, True, True]
    assert not registry.watching.may_finish(W1.database, 2)
    registry.sign_of_life(W1, 3)
    assert active(3) == [True, False, True]
    assert registry.watching.with_session(3) == [home.database for home in homes]
    # Of those that are equal no more either.
    for home in homes:
        registry.sign_of_life(home, 9)
    assert sum(active(9)) == 2
    opened(registry, fakes.workspace("w4"), at=10)
    assert sum(active(10)) == 1
    # Those in their grace are watched as well.
    registry.announce(end("s1", 11), 11)
    assert sum(active(11)) == 1
    registry.quieted(11 + 30_000)
    assert sum(active(11 + 30_000)) == 2


# Restarts.


def test_a_restored_session_lives_on_only_if_its_database_was_changed_since(registry):
    old, changed, ahead = (fakes.workspace(name) for name in ("old", "changed", "ahead"))
    now = 20 * HOUR
    registry.restore((Session("s", place.database, "discovery", 0) for place in (old, changed, ahead)), now)
    registry.last_changed(old.database, HOUR, now)
    registry.last_changed(changed.database, 19 * HOUR, now)
    # A file from the future must not keep its session open until then.
    registry.last_changed(ahead.database, 900 * HOUR, now)
    registry.last_changed("/not/open", 900 * HOUR, now)
    assert [session.database for session in registry.expire(now)] == [old.database]
    assert [session.database for session in registry.expire(31 * HOUR)] == [changed.database]
    assert [session.database for session in registry.expire(32 * HOUR)] == [ahead.database]


def test_an_older_change_does_not_take_a_sign_of_life_back(registry):
    registry.sign_of_life(W1, 10 * HOUR)
    registry.last_changed(W1.database, HOUR, 10 * HOUR)
    assert registry.expire(22 * HOUR - 1) == []


def test_nothing_is_lost_or_comes_back_by_a_restart_in_the_middle_of_fifty_sessions(registry):
    stored = {}
    hashes = [f"{number:016x}" for number in range(10)]
    homes = [fakes.workspace(f"w{number}") for number in range(10)]
    told = [start(f"s{number}", NOW + number, hash_=hashes[number % 10]) for number in range(50)]
    told += [end(f"s{number}", NOW + 100, hash_=hashes[number % 10]) for number in range(0, 50, 3)]
    for heard in told:
        stored |= {session.key: session for session in registry.announce(heard, NOW + 100)}
    for hash_, home in zip(hashes[:8], homes, strict=False):
        stored |= {session.key: session for session in registry.place(hash_, home, NOW + 100)}
    again = Registry(12 * HOUR, 2)
    again.restore(stored.values(), NOW + 101)
    assert again.sessions() == registry.sessions()
    assert len(again.sessions()) == 33
    assert unplaced(again) == unplaced(registry)
    for heard in told:
        again.announce(heard, NOW + 101)
    assert again.sessions() == registry.sessions()
    for home in homes:
        for at in range(NOW - 1, NOW + 102):
            assert again.session_of(home, at, NOW + 102) == registry.session_of(home, at, NOW + 102)


def test_what_ended_in_the_window_before_a_restart_is_watched_through_another_grace():
    registry = Registry(12 * HOUR, 10, window_ms=24 * HOUR)
    late, early = (fakes.workspace(name) for name in ("late", "early"))
    now = 100 * HOUR
    registry.restore(
        [
            Session("l", late.database, "redis", 1, 2, A, heard_at=now - 24 * HOUR),
            Session("e", early.database, "redis", 1, 2, B, heard_at=now - 24 * HOUR - 1),
        ],
        now,
    )
    watching = registry.watching
    assert [watching.is_active(place.database, now) for place in (late, early)] == [True, False]
    assert not watching.is_active(late.database, now + 30_000)
    assert watching.may_finish(late.database, now + 30_000)
    assert registry.session_of(late, now, now) is None


def test_what_was_let_go_elsewhere_says_nothing_of_a_place(registry):
    registry.restore(
        [
            Session("old", W1.database, "redis", 1, 2, A, heard_at=2),
            Session("new", W2.database, "redis", 3, None, A, heard_at=3),
        ],
        5,
    )
    assert registry.session_of(W2, 5, 5).session_id == "new"
    assert registry.session_of(W1, 5, 5) is None


# Too much of everything.


def test_of_a_workspace_few_ended_sessions_are_kept_and_none_of_them_comes_back(registry, monkeypatch):
    monkeypatch.setattr(book, "KEPT_ENDED", 2)
    registry.announce(start("open"), NOW)
    registry.place(A, W1, NOW)
    for number in range(4):
        registry.announce(start(f"s{number}", NOW + 10 * number), NOW + 100)
        registry.announce(end(f"s{number}", NOW + 10 * number + 5), NOW + 100)
    assert registry.session_of(W1, NOW + 3, NOW + 100).session_id == "open"
    assert registry.session_of(W1, NOW + 23, NOW + 100).session_id == "s2"
    registry.announce(start("s0"), NOW + 100)
    assert ids(registry.sessions()) == ["open"]


def test_of_all_workspaces_no_more_ended_sessions_are_kept_than_so_many(registry, monkeypatch):
    monkeypatch.setattr(book, "KEPT_ENDED_IN_ALL", 3)
    monkeypatch.setattr(book, "KEPT_ENDS", 2)
    for number in range(6):
        hash_, at = f"{number:016x}", NOW + number
        registry.announce(start("s", at, hash_=hash_), at)
        registry.announce(end("s", at, hash_=hash_), at)
    assert len(registry._book.groups) == 3
    # Of the first even the end is forgotten.
    again = [ids(registry.announce(start("s", NOW, hash_=f"{number:016x}"), NOW + 9)) for number in range(6)]
    assert again[0] == ["s"]
    assert ids(registry.sessions()) == ["s"]


def test_of_too_many_sessions_the_unplaced_one_heard_of_longest_ago_is_dropped(registry, monkeypatch):
    monkeypatch.setattr(registry_module, "MOST_SESSIONS", 3)
    opened(registry)
    registry.announce(start("s2", hash_=B), NOW)
    registry.announce(start("s3", hash_=B), NOW)
    registry.announce(start("s2", NOW + 1, hash_=B), NOW + 1)
    new, dropped = registry.announce(start("s4", hash_=B), NOW + 2)
    assert (new.session_id, dropped.session_id, dropped.ended_at) == ("s4", "s3", NOW + 2)
    assert (ids(registry.sessions()), registry.refused) == (["s1", "s2", "s4"], 1)
    # It was no mistake: whoever tells of it again opens it.
    assert ids(registry.announce(start("s3", hash_=B), NOW + 3)) == ["s3", "s2"]
    registry.place(B, W2, NOW + 4)
    assert registry.announce(start("s5", hash_=B), NOW + 5) == []
    assert registry.refused == 3
    # Synthetic sessions are as many as there are databases.
    assert registry.sign_of_life(W3, NOW + 6).session_id == "scan_w3"
    assert registry.announce(start("s5", hash_=B), NOW + 5) == []


def test_of_a_flood_in_one_workspace_the_other_ones_notice_nothing(registry):
    opened(registry, W1, "real", NOW, B)
    for number in range(3 * MOST_OF_ONE):
        registry.announce(start(f"fake{number}", NOW + number), NOW + number)
    assert len(registry.sessions()) == MOST_OF_ONE + 1
    assert registry.refused == 2 * MOST_OF_ONE
    assert registry.session_of(W1, NOW, NOW).session_id == "real"


@pytest.mark.parametrize(("starts", "ends"), [(40_000, False), (25_000, True)])
def test_tens_of_thousands_of_fake_starts_are_bounded_in_time_and_memory(starts, ends):
    registry = Registry(12 * HOUR, 1000)
    opened(registry, W1, "real", NOW, B)
    began = time.process_time()
    for number in range(starts):
        hash_ = f"{number:016x}"
        registry.announce(start("fake", NOW, hash_=hash_, path=f"/home/demo/{number}"), NOW)
        if ends:
            registry.announce(end("fake", NOW + 1, hash_=hash_), NOW + 1)
    # A hundredth of it is what it takes; the rest is for machines that are busy.
    assert time.process_time() - began < 25
    assert len(registry.sessions()) == (1 if ends else MOST_SESSIONS)
    assert registry.watching.with_session(NOW) == [W1.database]
    inside = registry._book
    assert len(inside._known) <= MOST_SESSIONS + book.KEPT_ENDED_IN_ALL
    assert len(inside.groups) <= MOST_SESSIONS + book.KEPT_ENDED_IN_ALL
    assert len(inside._ends) <= book.KEPT_ENDS
    assert len(inside.places) == 1


def test_ends_of_unknown_sessions_fill_no_memory(registry):
    tracemalloc.start()
    try:
        for number in range(30_000):
            registry.announce(end(f"s{number}"), NOW)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 16 * 2**20
    assert registry.sessions() == []
