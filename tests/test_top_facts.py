"""What `top` finds out: of a log that grows, is replaced or broken, and of a service that comes and goes."""

import json
import os
import time
from collections import Counter
from contextlib import closing

import attrs
import pytest
from test_cli import generation, write_log

from trio_cursor.cli.top_facts import Looking, alarms_of, facts_object
from trio_cursor.cli.top_log import LogLook, Rates
from trio_cursor.cli.top_status import StatusLook
from trio_cursor.eventlog import FILE_NAME as LOG_NAME
from trio_cursor.eventlog import open_for_writing
from trio_cursor.sqlite_library import sqlite3
from trio_cursor.state_dir import LOCK_NAME, held
from trio_cursor.status import OutputStatus, WorkspaceStatus, disabled
from trio_cursor.status_file import FILE_NAME as STATUS_NAME
from trio_cursor.status_file import confirm_status, write_status

HOUR = 3_600_000
#: When what `write_log` writes was captured.
NOW = int(time.time() * 1000)


class Clock:
    """A time that somebody moves."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def log(state, clock):
    with closing(LogLook(state, clock)) as look:
        yield look


@pytest.fixture
def service(state, clock):
    clock.now = int(time.time() * 1000)  # files are as old as they are
    return StatusLook(state, clock)


def prompts(log):
    return [event.generation_id for event in log.newest]


# -- Rates ---------------------------------------------------------------------------------------------


def test_a_generation_counts_for_a_minute_and_for_an_hour():
    rates = Rates()
    rates.add(NOW, "a", 2)
    rates.add(NOW - 50_000, None)
    rates.add(NOW - 30 * 60_000, "a", 5)
    rates.forget(NOW)
    assert (rates.minute(), rates.hour()) == (Counter(a=2) + Counter({None: 1}), Counter({"a": 7, None: 1}))
    assert len(rates.by_minute(NOW)) == 60
    assert rates.by_minute(NOW)[29] == 5
    rates.forget(NOW + 61_000)
    assert (rates.minute().total(), rates.hour().total()) == (0, 8)
    rates.forget(NOW + 2 * HOUR)
    assert rates.hour().total() == sum(rates.by_minute(NOW + 2 * HOUR)) == 0


# -- The log -------------------------------------------------------------------------------------------


def test_without_a_log_it_says_so_and_finds_it_when_it_is_there(state, log):
    assert log.check()
    assert log.trouble == f"no event log in {state} yet"
    assert not log.check()
    assert not log.look()
    write_log(state, [generation(1)])
    assert log.check()
    assert (log.trouble, prompts(log)) == (None, ["id1"])


def test_what_is_added_is_read_once(state, log):
    write_log(state, [generation(1), generation(2)])
    log.check()
    assert not log.look()
    write_log(state, [generation(3)])
    assert log.look()
    assert prompts(log) == ["id1", "id2", "id3"]
    assert log.rates.hour() == {"a1": 3}


def test_of_a_long_log_the_newest_are_kept_with_the_beginnings_of_their_texts(state, log):
    write_log(state, [generation(number, prompt="x" * 5000) for number in range(300)])
    log.check()
    assert prompts(log) == [f"id{number}" for number in range(100, 300)]
    assert {len(event.payload["prompt_text"]) for event in log.newest} == {1000}
    assert log.rates.minute().total() == 300


def test_what_was_captured_before_the_last_hour_does_not_count(state, log, clock):
    write_log(state, [generation(1)])
    clock.now += 2 * HOUR
    log.check()
    assert prompts(log) == ["id1"]
    assert log.rates.hour().total() == 0


def test_a_log_that_is_replaced_or_removed_is_begun_anew(state, log):
    write_log(state, [generation(1), generation(2)])
    log.check()
    for file in state.iterdir():
        file.unlink()
    assert log.check()
    assert (log.trouble, prompts(log), log.rates.hour().total()) == (f"no event log in {state} yet", [], 0)
    write_log(state, [generation(7)])
    log.check()
    assert (prompts(log), log.rates.hour().total()) == (["id7"], 1)


def test_an_older_copy_that_is_put_in_its_place_is_read_from_its_beginning(state, log):
    write_log(state, [generation(1), generation(2)])
    log.check()
    with closing(open_for_writing(state)) as connection:
        connection.execute("DELETE FROM events WHERE seq > 1")
        connection.execute("UPDATE sqlite_sequence SET seq = 1 WHERE name = 'events'")
    log.look()
    assert (prompts(log), log.rates.hour().total()) == (["id1"], 1)


def test_a_log_that_cannot_be_read_is_trouble_until_it_can(state, log):
    (state / LOG_NAME).write_text("no database" * 999)
    assert log.check()
    assert "cannot be used" in log.trouble
    (state / LOG_NAME).unlink()
    write_log(state, [generation(1)])
    log.check()
    assert log.trouble is None


def test_a_log_that_breaks_while_it_is_open_is_trouble(state, log):
    write_log(state, [generation(1)])
    log.check()
    with closing(sqlite3.connect(state / LOG_NAME)) as connection:
        connection.execute("ALTER TABLE events RENAME TO elsewhere")
    assert log.look()
    assert log.trouble.startswith("the event log cannot be read")


def test_a_row_that_is_no_event_is_passed_over(state, log):
    write_log(state, [generation(1), generation(2)])
    with closing(open_for_writing(state)) as connection:
        connection.execute("UPDATE events SET body = 'nonsense' WHERE seq = 1")
    log.check()
    assert prompts(log) == ["id2"]


# -- The service ---------------------------------------------------------------------------------------


def running(**changes):
    return attrs.evolve(disabled(), state="running", **changes)


def test_no_service_runs_until_one_does(state, service):
    assert not service.look()
    assert not service.is_running
    with held(state):
        assert service.look()
        assert (service.is_running, service.status) == (True, None)
        write_status(state, running(alarms=("one",)))
        assert service.look()
        assert service.status["alarms"] == ["one"]
        assert not service.look()
    assert service.look()
    assert (service.is_running, service.status) == (False, None)


def test_a_status_that_is_touched_is_no_news_but_a_sign_of_life(state, service, clock):
    with held(state):
        write_status(state, running())
        os.utime(state / STATUS_NAME, (1, 1))
        service.look()
        assert service.is_silent()
        confirm_status(state)
        before = service.status
        assert service.look()  # it speaks again
        assert service.status is before
        assert not service.is_silent()
        clock.now += 60_000
        assert service.is_silent()
        assert service.silent_ms() > 50_000


@pytest.mark.parametrize("text", ["{", "[1]", "7"])
def test_what_is_no_status_is_none(state, service, text):
    with held(state):
        (state / STATUS_NAME).write_text(text)
        service.look()
        assert (service.is_running, service.status) == (True, None)


def test_where_it_cannot_be_told_why_is_said(state, service):
    (state / LOCK_NAME).mkdir()
    assert service.look()
    assert (service.is_running, service.trouble is None) == (False, False)


# -- Both ----------------------------------------------------------------------------------------------


def workspace_status(**changes):
    known = dict.fromkeys(attrs.fields_dict(WorkspaceStatus))
    known |= {"database": "/c/a1", "workspace_id": "a1", "status": "synced", "sessions": ({"id": "s"},)}
    return WorkspaceStatus(**known | {"generations": 4} | changes)


def test_the_object_has_the_figures_and_no_texts(state, clock):
    write_log(state, [generation(1, prompt="a secret question")])
    with held(state), closing(Looking(state, now_ms=clock)) as looking:
        write_status(
            state,
            running(
                workspaces=(workspace_status(),),
                outputs=(OutputStatus("redis", "error", 1, 5, 2, "away"),),
                alarms=("redis is away",),
            ),
        )
        assert looking.look()
        found = facts_object(looking.facts())
    assert "secret" not in json.dumps(found)
    assert (found["service"], found["state"], found["log"]) == ("running", "running", True)
    assert (found["last_minute"], found["last_hour"], sum(found["by_minute"])) == (1, 1, 1)
    assert found["alarms"] == ["redis is away"]
    assert found["outputs"] == [{"name": "redis", "state": "error", "lag": 5, "last_error": "away"}]
    [workspace] = found["workspaces"]
    assert (workspace["sessions"], workspace["last_minute"], workspace["generations"]) == (1, 1, 4)


def test_without_a_service_the_log_alone_is_told(state, clock):
    write_log(state, [generation(1)])
    with closing(Looking(state, now_ms=clock)) as looking:
        looking.look()
        found = facts_object(looking.facts())
    assert (found["service"], found["state"], found["last_hour"]) == ("none", None, 1)
    assert (found["alarms"], found["outputs"], found["workspaces"]) == ([], [], [])


def test_between_two_seconds_only_the_log_is_looked_at(state, clock):
    seconds = [0.0]
    with closing(Looking(state, now_ms=clock, clock=lambda: seconds[0])) as looking:
        assert looking.look()
        with held(state):
            write_log(state, [generation(1)])
            seconds[0] = 0.5
            assert not looking.look()
            seconds[0] = 1.0
            assert looking.look()
            assert looking.facts().service == "running"
            write_log(state, [generation(2)])
            seconds[0] = 1.1
            assert looking.look()
            assert len(looking.facts().newest) == 2


def test_what_is_wrong_is_told_in_the_order_of_its_weight(state, clock):
    clock.now = int(time.time() * 1000)  # as above
    with held(state), closing(Looking(state, now_ms=clock)) as looking:
        write_status(state, running(alarms=("redis is away",)))
        looking.look()
        clock.now += 20_000
        found = alarms_of(attrs.evolve(looking.facts(), trouble="unknown"))
    assert [words[:30] for words in found] == ["unknown", "the service has not said anyth", "redis is away"]
