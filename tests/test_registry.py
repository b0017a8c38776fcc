"""Sessions by workspace; time is an argument."""

from __future__ import annotations

import fakes
import pytest

from trio_cursor.records import Session
from trio_cursor.sessions.registry import Registry, scan_session_id

HOUR = 3_600_000


@pytest.fixture
def registry():
    return Registry(inactive_ms=12 * HOUR, max_active=2)


def databases(sessions):
    return [session.database for session in sessions]


def test_the_first_sign_of_life_opens_a_session_and_the_next_ones_do_not(registry):
    place = fakes.workspace("w1")
    session = registry.sign_of_life(place, 5)
    assert session == Session("scan_w1", place.database, "discovery", 5)
    assert registry.sign_of_life(place, 6) is None
    assert registry.sessions() == [session]


def test_the_global_database_has_a_session_of_its_own(registry):
    assert registry.sign_of_life(fakes.workspace(None), 0).session_id == "scan_global"


def test_a_session_expires_without_a_sign_of_life_and_opens_again_under_the_same_id(registry):
    place = fakes.workspace("w1")
    first = registry.sign_of_life(place, 0)
    registry.sign_of_life(place, HOUR)
    assert registry.expire(13 * HOUR - 1) == []
    (closed,) = registry.expire(13 * HOUR)
    assert (closed.session_id, closed.started_at, closed.ended_at) == (first.session_id, 0, 13 * HOUR)
    assert place.database not in registry.open_databases()
    assert not registry.is_active(place.database)
    assert registry.sign_of_life(place, 14 * HOUR).session_id == first.session_id


def test_an_event_without_an_open_session_belongs_to_the_synthetic_one(registry):
    place = fakes.workspace("w1")
    assert registry.session_id(place) == scan_session_id(place) == "scan_w1"
    registry.restore([Session("other", place.database, "discovery", 0)])
    assert registry.session_id(place) == "other"


def test_a_restored_session_lives_on_only_if_its_database_was_changed_since(registry):
    old, changed, ahead = (fakes.workspace(name) for name in ("old", "changed", "ahead"))
    registry.restore(Session("s", place.database, "discovery", 0) for place in (old, changed, ahead))
    now = 20 * HOUR
    registry.last_changed(old.database, HOUR, now)
    registry.last_changed(changed.database, 19 * HOUR, now)
    # A file from the future must not keep its session open until then.
    registry.last_changed(ahead.database, 900 * HOUR, now)
    registry.last_changed("/not/open", 900 * HOUR, now)
    assert databases(registry.expire(now)) == [old.database]
    assert databases(registry.expire(31 * HOUR)) == [changed.database]
    assert databases(registry.expire(32 * HOUR)) == [ahead.database]


def test_an_older_change_does_not_take_a_sign_of_life_back(registry):
    place = fakes.workspace("w1")
    registry.sign_of_life(place, 10 * HOUR)
    registry.last_changed(place.database, HOUR, 10 * HOUR)
    assert registry.expire(22 * HOUR - 1) == []


def test_of_too_many_workspaces_the_least_recently_changed_is_not_active(registry):
    first, second, third = (fakes.workspace(name) for name in ("w1", "w2", "w3"))
    for now, place in enumerate((first, second)):
        registry.sign_of_life(place, now)
    assert not registry.is_crowded()
    registry.sign_of_life(third, 2)
    assert registry.is_crowded()
    assert [registry.is_active(place.database) for place in (first, second, third)] == [False, True, True]
    registry.sign_of_life(first, 3)
    assert [registry.is_active(place.database) for place in (first, second, third)] == [True, False, True]
    assert all((place.database in registry.open_databases()) for place in (first, second, third))
