"""What can be changed while the service runs, and what a configuration says of each workspace."""

from __future__ import annotations

import hashlib
import threading

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_cursor.asked import Sources, is_allowed, is_rolled_out, sources
from trio_cursor.config import Config, load_config
from trio_cursor.records import Workspace
from trio_cursor.settings import Reloaded, Settings

GLOBAL = Workspace("/c/globalStorage/state.vscdb", "/c", None)


def config(**values):
    """As from options, dots written as two underscores; nothing of this machine in it."""
    overrides = {key.replace("__", "."): value for key, value in values.items()}
    return load_config(environ={}, overrides={"state.dir": "/state", **overrides}, home="/home/dev")


def monitor(**values):
    return config(**{f"cursor_database_monitor__{key}": value for key, value in values.items()})


def place(number, folder="/home/dev/work"):
    path = f"{folder}/p{number}"
    hash_ = hashlib.sha256(path.encode()).hexdigest()[:16]
    return Workspace(f"/c/{number}/state.vscdb", "/c", str(number), path, f"file://{path}", hash_)


# -- what can be changed -------------------------------------------------------------------------------


def test_what_can_change_is_in_force_at_once_and_told_with_old_and_new_value():
    settings = Settings(config())
    told = []
    settings.on_change.append(lambda reloaded: told.append((reloaded, settings.config.cursor.exclude)))
    reloaded = settings.reload(
        config(
            cursor__exclude=["/home/dev/private"],
            cursor_database_monitor__rollout_percent=30,
            cursor_database_monitor__poll_interval_seconds=5,
            logging__level="debug",
        )
    )
    assert reloaded == Reloaded(
        {
            "cursor_database_monitor.rollout_percent": (100, 30),
            "cursor_database_monitor.poll_interval_seconds": (30, 5),
            "cursor.exclude": ([], ["/home/dev/private"]),
            "logging.level": ("info", "debug"),
        },
        (),
    )
    assert told == [(reloaded, ("/home/dev/private",))]
    assert settings.config.cursor_database_monitor.poll_interval_seconds == 5


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cursor_database_monitor.enabled", False),
        ("cursor_database_monitor.rollout_percent", 1.5),
        ("cursor_database_monitor.poll_interval_seconds", 1),
        ("cursor_database_monitor.probe_interval_seconds", 1),
        ("cursor_database_monitor.retry_backoff_seconds", 1),
        ("cursor_database_monitor.max_retries", 1),
        ("cursor.include", ["/a"]),
        ("cursor.exclude", ["/b"]),
        ("logging.level", "error"),
        ("logging.format", "json"),
    ],
)
def test_each_key_that_the_contract_names_can_change(key, value):
    settings = Settings(config())
    reloaded = settings.reload(config(**{key.replace(".", "__"): value}))
    assert (list(reloaded.changed), reloaded.restart) == ([key], ())
    assert reloaded.changed[key][1] == value
    assert settings.config.origins[key] == "option"


def test_what_needs_a_restart_is_named_each_time_and_keeps_its_old_value():
    settings = Settings(config(redis__url="redis://svc:secret@one"))
    told = []
    settings.on_change.append(told.append)
    new = config(
        redis__url="redis://svc:other@one",
        state__dir="/elsewhere",
        cursor__dirs=["/c"],
        cursor_database_monitor__sync_window_hours=1,
    )
    for _ in range(2):
        reloaded = settings.reload(new)
        assert reloaded == Reloaded(
            {}, ("cursor_database_monitor.sync_window_hours", "cursor.dirs", "state.dir", "redis.url")
        )
    assert "secret" not in repr(reloaded)
    assert settings.config.redis.url == "redis://svc:secret@one"
    assert settings.config.state.dir == "/state"
    assert told == []


def test_what_changes_beside_what_needs_a_restart_changes_all_the_same():
    settings = Settings(config())
    reloaded = settings.reload(config(http__listen="off", logging__level="error"))
    assert (list(reloaded.changed), reloaded.restart) == (["logging.level"], ("http.listen",))
    in_force = settings.config
    assert (in_force.logging.level, in_force.http.listen) == ("error", "127.0.0.1:8787")
    assert (in_force.origins["logging.level"], in_force.origins["http.listen"]) == ("option", "built-in")


def test_the_same_again_changes_nothing():
    settings = Settings(monitor(rollout_percent=30))
    before = settings.config
    assert settings.reload(monitor(rollout_percent=30)) == Reloaded({}, ())
    assert settings.config is before


def test_a_configuration_built_by_hand_can_be_reloaded_too():
    settings = Settings(Config())
    new = attrs.evolve(Config(), logging=attrs.evolve(Config().logging, level="error"))
    assert list(settings.reload(new).changed) == ["logging.level"]


def test_the_pace_is_the_same_object_with_the_new_values():
    settings = Settings(monitor(poll_interval_seconds=30))
    pace = settings.pace
    settings.reload(
        monitor(poll_interval_seconds=5, probe_interval_seconds=1, max_retries=7, retry_backoff_seconds=0.5)
    )
    assert settings.pace is pace
    assert (pace.poll_every, pace.probe_every, pace.max_retries, pace.retry_backoff) == (5, 1, 7, 0.5)


# -- what is said of workspaces ------------------------------------------------------------------------


def test_globs_say_what_is_read_and_what_they_say_can_change():
    settings = Settings(config(cursor__exclude=["/home/dev/private"]))
    work, private = place(1), place(2, "/home/dev/private")
    for _ in range(2):  # the second time from memory
        assert (settings.is_read(work), settings.is_read(private)) == (True, False)
        assert not settings.is_reported(private)
        assert not settings.is_allowed(private)
    assert not settings.admits_unknown()
    settings.reload(config(cursor__include=["/home/dev/private"]))
    assert (settings.is_read(work), settings.is_read(private)) == (False, True)
    assert not settings.admits_unknown()
    settings.reload(config())
    assert settings.is_read(work)
    assert settings.admits_unknown()


def test_the_global_database_is_read_as_long_as_anybody_is_monitored():
    settings = Settings(config(cursor__include=["/nowhere"]))
    assert settings.is_read(GLOBAL)
    settings.reload(monitor(rollout_percent=0))
    assert not settings.is_read(GLOBAL)


def test_what_is_switched_off_reads_nothing_and_still_reports_what_it_has_read():
    settings = Settings(config())
    assert settings.is_enabled()
    settings.reload(monitor(enabled=False))
    assert not settings.is_enabled()
    assert not settings.is_read(place(1))
    assert not settings.is_read(GLOBAL)
    assert settings.is_reported(place(1))
    settings.reload(config())
    assert settings.is_read(place(1))


def test_what_is_remembered_of_workspaces_is_bounded(monkeypatch):
    monkeypatch.setattr("trio_cursor.settings._MOST_JUDGED", 10)
    settings = Settings(config(cursor__exclude=["/home/dev/private"]))
    for number in range(25):
        assert settings.is_read(place(number))
        assert not settings.is_read(place(number, "/home/dev/private"))
    assert len(settings._in_force.allowed) <= 10


def test_an_answer_that_is_found_while_it_changes_is_not_remembered_for_later(monkeypatch):
    """A sweep asks in its thread; the answer that it is about to keep is that of before."""
    asking, has_changed, answers = threading.Event(), threading.Event(), []

    def slowly(config, workspace):
        asking.set()
        assert has_changed.wait(10)
        return is_allowed(config, workspace)

    monkeypatch.setattr("trio_cursor.settings.is_allowed", slowly)
    settings = Settings(config())
    thread = threading.Thread(target=lambda: answers.append(settings.is_read(place(1))))
    thread.start()
    assert asking.wait(10)
    settings.reload(config(cursor__exclude=["/home/dev/work"]))
    has_changed.set()
    thread.join(10)
    assert answers == [True]
    assert not settings.is_read(place(1))


# -- the share -----------------------------------------------------------------------------------------


def hashes(number):
    return [f"{hashlib.sha256(str(item).encode()).hexdigest()[:16]}" for item in range(number)]


def test_thirty_percent_of_ten_thousand_are_about_that_many():
    settings = Settings(monitor(rollout_percent=30))
    places = [attrs.evolve(place(1), hash=hash_) for hash_ in hashes(10_000)]
    assert 2_800 <= sum(map(settings.is_read, places)) <= 3_200


def test_raising_the_share_drops_none():
    places = [attrs.evolve(place(1), hash=hash_) for hash_ in hashes(10_000)]
    settings, before = Settings(monitor(rollout_percent=0)), set()
    for percent in (0, 0.1, 5, 30, 31, 99, 100):
        settings.reload(monitor(rollout_percent=percent))
        share = {item.hash for item in places if settings.is_read(item)}
        assert before <= share
        before = share
    assert len(before) == 10_000


@given(
    st.text("0123456789abcdef", min_size=16, max_size=16),
    st.floats(0, 100),
    st.floats(0, 100),
)
def test_whoever_is_in_a_share_is_in_every_greater_one(hash_, one, other):
    item = attrs.evolve(place(1), hash=hash_)
    smaller, greater = sorted((one, other))
    assert is_rolled_out(item, greater) or not is_rolled_out(item, smaller)
    assert is_rolled_out(item, 100)
    assert not is_rolled_out(item, 0)


def test_the_share_goes_by_the_hash_of_the_workspace_whoever_asks():
    """The sink knows the scope of its first entries, the sweep does not; where it lies is no matter."""
    for number in range(200):
        item = place(number)
        others = [
            attrs.evolve(item, first_scope="as it was at first"),
            attrs.evolve(item, database="/n/state.vscdb", profile="/n", id="another"),
        ]
        assert {is_rolled_out(other, 50) for other in others} == {is_rolled_out(item, 50)}


# -- what else is asked --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, Sources(redis=False, files=True, http=True, discovery=True)),
        ({"redis__url": "redis://host"}, Sources(redis=True, files=True, http=True, discovery=True)),
        ({"http__listen": "off"}, Sources(redis=False, files=True, http=False, discovery=True)),
        (
            {"sessions__mode": "extension", "redis__url": "redis://host"},
            Sources(redis=True, files=True, http=True, discovery=False),
        ),
        (
            {"sessions__mode": "discovery", "redis__url": "redis://host"},
            Sources(redis=False, files=False, http=False, discovery=True),
        ),
    ],
)
def test_the_mode_says_which_sources_are_listened_to(values, expected):
    assert sources(config(**values)) == expected
