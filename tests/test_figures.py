"""Figures of the log: totals beside those counted otherwise, days as a zone has them, what is unknown."""

import json
import random
import time
import tracemalloc
from collections import Counter
from contextlib import closing
from datetime import UTC, date, datetime
from itertools import pairwise
from statistics import median_low
from zoneinfo import ZoneInfo

import attrs
import pytest
from scans import uuid
from small_logs import HOSTS, NOW, generation, recorded, spoil, write_log

from trio_cursor.eventlog import (
    Filter,
    open_for_reading,
    open_for_writing,
    read_events,
    read_facts,
    read_log,
    transaction,
)
from trio_cursor.events import from_object, to_json
from trio_cursor.figures import (
    DURATION_EDGES_MS,
    OTHERS,
    Fact,
    Figures,
    Known,
    Share,
    day_of,
    fact_of,
    figures_of,
    hours_of,
    span_of_day,
)
from trio_cursor.privacy import Privacy
from trio_cursor.records import Event, Gap, Workspace

BERLIN = ZoneInfo("Europe/Berlin")
SHOP = Workspace("/c/b2/state.vscdb", "/c", "b2", path="/home/dev/shop", hash="fedcba9876543210")
NAMELESS = Workspace("/c/c3/state.vscdb", "/c", "c3")
NOWHERE = Workspace("/c/global/state.vscdb", "/c", None)


def fact(number=1, **fields):
    values = dict.fromkeys(Fact._fields) | {"sequence": number, "timestamp": NOW, "session_id": "s"}
    return Fact(**values | fields)


def facts(directory, wanted=None, **options):
    passed = []
    with closing(open_for_reading(directory)) as connection:
        found = list(read_facts(connection, wanted or Filter(), **{"unreadable": passed.append, **options}))
    return found, passed


def at(text, zone=BERLIN, fold=0):
    """Milliseconds of what a clock says."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp() * 1000)


# -- From the log ----------------------------------------------------------------------------------------


def a_mixture(number):
    chance = random.Random(5)
    places = [generation(uuid(0)).workspace, SHOP, NAMELESS, NOWHERE]
    for one in range(number):
        tokens = chance.choice([None, None, 0, 5, 700])
        yield generation(
            uuid(one),
            workspace=chance.choice(places),
            timestamp=NOW - chance.randrange(40 * 86_400_000),
            model=chance.choice(["sonnet", "gpt", None]),
            generation_type=chance.choice(["composer", "cmdk", None]),
            status=chance.choice(["completed", "aborted", "unknown"]),
            duration_ms=chance.choice([None, chance.randrange(4_000_000)]),
            tokens_used=tokens,
            completion_tokens=tokens,
        )


@pytest.mark.parametrize("zone", [UTC, BERLIN, None])
def test_what_is_counted_agrees_with_the_events_themselves(state, zone):
    events = recorded(state, *a_mixture(800))
    figures = figures_of(facts(state)[0], zone)
    payloads = [event.payload for event in events]
    whens = [datetime.fromtimestamp(event.timestamp / 1000, zone) for event in events]
    known = [payload["tokens_used"] for payload in payloads if payload["tokens_used"] is not None]
    assert figures.events == 800
    assert (figures.first_ms, figures.last_ms) == (
        min(event.timestamp for event in events),
        max(event.timestamp for event in events),
    )
    assert figures.tokens == figures.completion_tokens == Known(sum(known), len(known), 800)
    assert 0 < len(known) < 800
    assert figures.prompt_tokens == figures.lines_added == Known(0, 0, 800)
    assert {day: share.events for day, share in figures.days} == Counter(when.date() for when in whens)
    assert [day for day, _ in figures.days] == sorted({when.date() for when in whens})
    assert {share.key: share.events for share in figures.models} == {
        None if name == "unknown" else name: count
        for name, count in Counter(payload["model"] for payload in payloads).items()
    }
    assert {share.key: share.events for share in figures.types} == Counter(
        payload["generation_type"] for payload in payloads
    )
    assert {share.key: share.events for share in figures.statuses} == Counter(
        payload["status"] for payload in payloads
    )
    assert {share.key: share.events for share in figures.workspaces} == Counter(
        event.metadata["workspace_path"] or event.metadata["workspace_id"] for event in events
    )
    assert figures.hours == tuple(sum(when.hour == hour for when in whens) for hour in range(24))
    assert figures.weekdays == tuple(sum(when.weekday() == day for when in whens) for day in range(7))
    assert figures.punchcard[2][13] == sum((when.weekday(), when.hour) == (2, 13) for when in whens)
    durations = sorted(d for payload in payloads if (d := payload["duration_ms"]) is not None)
    assert figures.durations.median_ms == median_low(durations)
    assert figures.durations.p90_ms == next(
        d for d in durations if sum(e <= d for e in durations) >= 0.9 * len(durations)
    )
    assert (figures.durations.longest_ms, figures.durations.total_ms) == (durations[-1], sum(durations))
    assert (figures.durations.known, figures.durations.of) == (len(durations), 800)
    edges = [*DURATION_EDGES_MS, float("inf")]
    assert figures.durations.classes == tuple(
        sum(low <= d < high for d in durations) for low, high in pairwise(edges)
    )


def test_what_is_taken_out_of_the_text_is_what_the_whole_event_has(state):
    events = recorded(state, *a_mixture(100))
    assert facts(state)[0] == [fact_of(event) for event in events]


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(since_ms=NOW - 10 * 86_400_000),
        Filter(until_ms=NOW - 10 * 86_400_000),
        Filter(since_ms=NOW - 20 * 86_400_000, until_ms=NOW - 10 * 86_400_000, workspace="shop"),
        Filter(workspace="c3"),
        Filter(workspace="fedcba9876543210"),
        Filter(session="scan_a1"),
        Filter(session="other"),
        Filter(workspace="\ud800"),
    ],
)
def test_a_window_has_the_same_generations_as_that_of_events(state, wanted):
    write_log(state, *a_mixture(200))
    with closing(open_for_reading(state)) as connection:
        expected = {event.sequence for event in read_events(connection, wanted)}
    assert {fact.sequence for fact in facts(state, wanted)[0]} == expected
    assert len(expected) < 200 or wanted == Filter(session="scan_a1")


def test_both_ends_of_a_window_are_meant_exactly(state):
    write_log(state, *(generation(uuid(n), timestamp=NOW + n) for n in range(4)))
    found, _ = facts(state, Filter(since_ms=NOW + 1, until_ms=NOW + 3))
    assert sorted(fact.timestamp for fact in found) == [NOW + 1, NOW + 2]


def test_gap_records_are_no_generations(state):
    write_log(state, generation(uuid(1)), gaps=[Gap("ring", "missed", None, NOW)])
    assert [fact.sequence for fact in facts(state)[0]] == [1]


def test_what_is_no_event_is_named_and_passed_over(state):
    write_log(state, *(generation(uuid(n)) for n in range(5)))
    spoil(state, "seq = 2")
    with closing(open_for_writing(state)) as connection, transaction(connection):
        connection.execute("UPDATE events SET body = '{' WHERE seq = 3")
        connection.execute("UPDATE events SET body = CAST(x'ff' AS TEXT) WHERE seq = 4")
    found, passed = facts(state)
    assert [fact.sequence for fact in found] == [1, 5]
    assert passed == [2, 3, 4]


def test_what_only_the_standard_library_reads_counts_as_well(state):
    (event,) = recorded(state, generation(uuid(1), tokens_used=7, model="NaN?"))
    body = {**json.loads(_body(state)), "timestamp": event.timestamp}
    body["payload"]["model"] = "\ud800"
    with closing(open_for_writing(state)) as connection, transaction(connection):
        connection.execute("UPDATE events SET body = ?", (json.dumps(body),))
    (found,), passed = facts(state)
    assert (found.model, found.tokens, passed) == ("\ud800", 7, [])


def _body(directory):
    with closing(open_for_reading(directory)) as connection:
        return connection.execute("SELECT body FROM events").fetchone()[0]


@pytest.mark.parametrize("value", [None, "5", -1, True, 1.5, [], {}, 10**30, 2**63])
def test_a_number_of_another_kind_is_not_known(state, value):
    (event,) = recorded(state, generation(uuid(1)))
    fields = ("tokens_used", "duration_ms", "lines_added")
    event.payload.update(dict.fromkeys(fields, value))
    assert (fact_of(event).tokens, fact_of(event).duration_ms, fact_of(event).lines_added) == (None,) * 3
    body = json.loads(_body(state))
    body["payload"].update(dict.fromkeys(fields, value))
    with closing(open_for_writing(state)) as connection, transaction(connection):
        connection.execute("UPDATE events SET body = ?", (json.dumps(body),))
    assert facts(state)[0] == [fact_of(event)]


def test_the_same_path_on_two_hosts_is_two_workspaces(state):
    places = [attrs.evolve(place, id="f0") for place in HOSTS]  # what is veiled alike is veiled once
    events = recorded(state, *(generation(uuid(n), workspace=places[n % 3]) for n in range(6)))
    expected = [place.uri or place.path for place in HOSTS]
    assert [fact.workspace for fact in facts(state)[0]] == expected * 2
    for veil, names in (
        (Privacy("redacted", b"", "/home/dev").sent, expected),
        (Privacy("metadata", b"k" * 32, "/home/dev").sent, ["f0"] * 3),
    ):
        found = [fact.workspace for fact in facts(state, veil=veil)[0]]
        assert found == [fact_of(veil(event)).workspace for event in events] == names * 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("/code/api", [1, 2, 3, 4]),
        ("vscode-remote://ssh-remote%2Bone/code/api", [1]),
        ("remote://", [1, 2]),
        ("://ssh-remote%2Btwo", [2]),
        ("remote://elsewhere", []),
    ],
)
def test_a_remote_folder_is_chosen_by_the_name_that_figures_give_it(state, name, expected):
    name_of_another = {"workspace_uri": "vscode-remote://elsewhere"}
    fields = {"prompt_text": json.dumps(name_of_another), "full_generation_data": name_of_another}
    places = [*HOSTS, attrs.evolve(HOSTS[2], id="f4")]
    write_log(state, *(generation(uuid(n), workspace=place, **fields) for n, place in enumerate(places)))
    wanted = Filter(workspace=name)
    assert [fact.sequence for fact in facts(state, wanted)[0]] == expected
    assert [event.sequence for event in read_log(state, wanted)] == expected
    whole = attrs.evolve(wanted, workspace=None, workspace_exactly=name)
    exactly = expected if name.endswith("api") else []
    assert [fact.sequence for fact in facts(state, whole)[0]] == exactly
    assert [event.sequence for event in read_log(state, whole)] == exactly


def test_names_of_another_kind_are_not_known():
    event = Event(
        1, "e", NOW, "s", {"workspace_path": 5}, {"model": ["x"], "generation_type": "", "status": 7}
    )
    found = fact_of(event)
    assert (found.workspace, found.model, found.type, found.status) == (None,) * 4


def test_a_veil_is_on_before_anything_is_counted(state):
    write_log(state, generation(uuid(1), model="write to me@example.org"), generation(uuid(2)))
    spoil(state, "seq = 2")
    (found,), passed = facts(state, veil=Privacy("metadata", b"k" * 32, "/home/dev").sent)
    assert (found.model, found.workspace, passed) == (None, "a1", [2])


@pytest.mark.parametrize("mode", ["redacted", "metadata"])
def test_under_a_veil_everything_is_counted_as_of_the_veiled_events(state, mode, monkeypatch):
    monkeypatch.setattr("trio_cursor.eventlog.fact_rows._NAMES_MOST", 5)
    odd = generation(uuid(500), model="me@example.org", generation_type="x y", status="odd")
    events = recorded(state, *a_mixture(100), odd)
    body = json.loads(to_json(events[0]))
    body["payload"]["model"] = ["no name"]
    with closing(open_for_writing(state)) as connection, transaction(connection):
        connection.execute("UPDATE events SET body = ? WHERE seq = 1", (json.dumps(body),))
    events[0] = from_object(body, 1)
    veil = Privacy(mode, b"k" * 32, "/home/dev").sent
    assert facts(state, veil=veil)[0] == [fact_of(veil(event)) for event in events]


# -- Sums, and what is not known -------------------------------------------------------------------------


def test_of_nothing_everything_is_nothing():
    assert figures_of([], UTC) == Figures()
    assert Figures().hours == (0,) * 24
    assert Known().mean is None


def test_an_unknown_count_is_not_a_zero():
    figures = figures_of([fact(tokens=0), fact(tokens=10), fact()], UTC)
    assert figures.tokens == Known(10, 2, 3)
    assert figures.tokens.mean == 5
    assert figures.models == (Share(None, 3, Known(10, 2, 3)),)


def test_the_largest_share_comes_first_and_what_is_not_known_last():
    models = [None, None, None, "b", "a", "c", "c"]
    found = figures_of([fact(model=model) for model in models], UTC).models
    assert [share.key for share in found] == ["c", "a", "b", None]


def test_thousands_of_names_are_counted_together():
    models = [f"m{number}" for number in range(3000)]
    found = figures_of([fact(model=model) for model in [*models, "m1", None]], UTC).models
    assert len(found) == 1002
    assert (found[0].key, found[0].events) == ("m1", 2)
    assert (found[-2].key, found[-2].events) == (OTHERS, 2000)
    assert (found[-1].key, found[-1].events) == (None, 1)


def test_a_time_that_no_calendar_has_is_counted_beside_the_days():
    figures = figures_of([fact(timestamp=10**18), fact(timestamp=NOW)], UTC)
    assert (figures.events, figures.undated, sum(figures.hours)) == (2, 1, 1)
    assert day_of(10**18, None) is None


@pytest.mark.parametrize(("percent", "expected"), [("median_ms", 2), ("p90_ms", 4)])
def test_a_percentile_is_a_duration_that_occurred(percent, expected):
    durations = figures_of([fact(duration_ms=ms) for ms in (4, 1, 3, 2)], UTC).durations
    assert getattr(durations, percent) == expected


def test_more_generations_take_no_more_memory_than_their_durations():
    one = [fact(number, model=f"m{number % 7}", duration_ms=number) for number in range(100)]

    def peak(times):
        tracemalloc.start()
        try:
            assert figures_of((item for _ in range(times) for item in one), UTC).events == 100 * times
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # Eight bytes for each, in an array that grows ahead, and once more to put them in order.
    assert peak(150) - peak(20) < 13_000 * 40


# -- Days and hours --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 7, 1), 24)]
)
def test_a_day_has_as_many_hours_as_its_clock_says(day, hours):
    slots = hours_of(day, BERLIN)
    assert len(slots) == hours
    first, end = span_of_day(day, BERLIN)
    assert (end - first) == hours * 3_600_000
    assert [slots[0].start_ms, *(slot.end_ms for slot in slots)] == [*(slot.start_ms for slot in slots), end]
    assert first == slots[0].start_ms


def test_the_hour_that_is_left_out_is_not_there_and_the_one_said_twice_is_there_twice():
    assert [slot.label for slot in hours_of(date(2026, 3, 29), BERLIN)][1:4] == ["01:00", "03:00", "04:00"]
    twice = hours_of(date(2026, 10, 25), BERLIN)[1:5]
    assert [slot.label for slot in twice] == ["01:00", "02:00", "02:00", "03:00"]
    assert twice[1].start_ms == at("2026-10-25T02:00", fold=0)
    assert twice[2].start_ms == at("2026-10-25T02:00", fold=1)


@pytest.mark.parametrize(
    ("zone", "day", "labels"),
    [
        # Half an hour forth and back.
        ("Australia/Lord_Howe", date(2026, 10, 4), ["00:00", "01:00", "02:30", "03:00"]),
        ("Australia/Lord_Howe", date(2026, 4, 5), ["00:00", "01:00", "01:30", "02:00"]),
        # A day that begins at one o'clock, and one whose first hour comes twice.
        ("America/Sao_Paulo", date(2018, 11, 4), ["01:00", "02:00", "03:00", "04:00"]),
        ("America/Havana", date(2025, 11, 2), ["00:00", "00:00", "01:00", "02:00"]),
        ("Asia/Kolkata", date(2026, 1, 1), ["00:00", "01:00", "02:00", "03:00"]),
        # Left out altogether.
        ("Pacific/Apia", date(2011, 12, 30), []),
    ],
)
def test_days_of_odd_zones(zone, day, labels):
    zone = ZoneInfo(zone)
    slots = hours_of(day, zone)
    assert [slot.label for slot in slots][:4] == labels
    first, end = span_of_day(day, zone)
    assert sum(slot.end_ms - slot.start_ms for slot in slots) == end - first
    assert {day_of(moment, zone) for slot in slots for moment in (slot.start_ms, slot.end_ms - 1)} == (
        {day} if labels else set()
    )


def test_a_generation_is_counted_in_the_day_and_hour_that_its_clock_said():
    moments = [
        at("2026-03-28T23:59:59"),
        at("2026-03-29T01:59:59"),
        at("2026-03-29T03:00:00"),  # a second later
        at("2026-10-25T02:30:00", fold=0),
        at("2026-10-25T02:30:00", fold=1),
    ]
    figures = figures_of([fact(timestamp=moment) for moment in moments], BERLIN)
    assert [(day.isoformat(), share.events) for day, share in figures.days] == [
        ("2026-03-28", 1),
        ("2026-03-29", 2),
        ("2026-10-25", 2),
    ]
    sunday = figures.punchcard[6]
    assert (sunday[1], sunday[2], sunday[3]) == (1, 2, 1)
    assert figures.punchcard[5][23] == 1


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system takes no zone from the environment")
def test_the_local_time_of_the_machine_is_that_of_its_zone(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        moments = [at("2026-03-29T03:00:00"), at("2026-10-25T02:30:00", fold=1)]
        local = [fact(timestamp=moment) for moment in moments]
        assert figures_of(local, None) == figures_of(local, BERLIN)
        for day in (date(2026, 3, 29), date(2026, 10, 25)):
            assert hours_of(day, None) == hours_of(day, BERLIN)
    time.tzset()
