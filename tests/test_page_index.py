"""The page's index: it follows the log in both directions, forgets what the log forgets, and finds things."""

from __future__ import annotations

import json
import random
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import invented_history as history
import pytest

from trio_cursor import page_index
from trio_cursor.errors import StateError
from trio_cursor.eventlog import FILE_NAME as LOG_NAME
from trio_cursor.eventlog import append_events, open_for_reading, open_for_writing, transaction
from trio_cursor.page_index import (
    Selected,
    Selection,
    UnusableIndexError,
    bounds,
    fill,
    make_index,
    open_index,
    progress,
    prune,
    prune_beside,
    slots,
    terms_of,
    workspace_of,
)
from trio_cursor.page_index.words import excerpt, stored
from trio_cursor.privacy import METADATA, Privacy
from trio_cursor.sqlite_library import sqlite3

SHOP = history.workspace("shop")
NOON_MS = 1_763_700_000_000
PAGE_BYTES = 4096


def made(number, *, place=SHOP, **fields):
    return history.generation(random.Random(number), NOON_MS + number * 1000, place, **fields)


def as_stored(event):
    return event


def append(state, *generations):
    with closing(open_for_writing(state)) as connection, transaction(connection):
        return append_events(connection, [((one.key,), history.event_of(one)) for one in generations])


def delete(state, *sequences):
    with closing(open_for_writing(state)) as connection:
        connection.executemany("DELETE FROM events WHERE seq = ?", [(one,) for one in sequences])


@contextmanager
def opened(state, mode="full"):
    """The index, made if need be."""
    try:
        with open_index(state, mode) as index:
            assert index is not None
    except UnusableIndexError:
        make_index(state, mode)
    with open_index(state, mode) as index:
        yield index


def filled(state, mode="full", outgoing=as_stored):
    """Everything taken in; the sequences that can be found."""
    with opened(state, mode) as index:
        while fill(index, outgoing, limit=2):
            pass
        prune(index)
        return sequences(index)


def sequences(index, **selection):
    return [line.sequence for line in Selected(index, Selection(**selection)).lines(1000)]


def search(state, text):
    with opened(state, "full") as index:
        return sequences(index, words=terms_of(text))


def test_without_a_log_there_is_nothing(state):
    with open_index(state, "full") as index:
        assert index is None
    make_index(state, "full")
    assert not page_index.exists(state)


def test_what_is_new_comes_first_then_what_was_there(state):
    append(state, *map(made, range(7)))
    with opened(state, "full") as index:
        assert progress(index) == page_index.Progress(7, 7)
        assert fill(index, as_stored, limit=3)
        assert sequences(index) == [7, 6, 5]
        append(state, made(7))
        assert fill(index, as_stored, limit=3)
        assert sequences(index) == [8, 7, 6, 5]
        assert progress(index).missing == 4
    # Where it was left it goes on, in another process as well.
    assert filled(state) == [8, 7, 6, 5, 4, 3, 2, 1]
    with opened(state, "full") as index:
        assert not fill(index, as_stored)
        assert progress(index) == page_index.Progress(0, 8)


def test_gap_records_and_rows_that_are_no_events_are_passed_over(state):
    append(state, made(1), made(2))
    with closing(open_for_writing(state)) as connection:
        connection.execute("UPDATE events SET body = '{' WHERE seq = 1")
        connection.execute(
            "INSERT INTO events SELECT 3, 'database_gap', timestamp, captured_at, NULL, NULL, NULL,"
            " session_id, NULL, body FROM events WHERE seq = 2"
        )
    assert filled(state) == [2]


def test_large_events_are_taken_in_a_few_at_a_time(state):
    append(state, *(made(number, response_text="x" * 2_100_000) for number in range(3)))
    with opened(state, "full") as index:
        assert fill(index, as_stored)
        assert sequences(index) == [3, 2]


def test_what_the_log_has_deleted_goes(state):
    append(state, *(made(number, prompt_text=f"word{number}", model=f"m{number}") for number in range(4)))
    assert filled(state) == [4, 3, 2, 1]
    delete(state, 2, 4)
    assert filled(state) == [3, 1]
    assert search(state, "word1") == []
    with opened(state, "full") as index:
        assert set(Selected(index, Selection()).facets().models) == {"m0", "m2"}
        assert index.execute("SELECT count(*) FROM texts").fetchone() == (2,)
    content = b"".join(path.read_bytes() for path in state.glob(f"{page_index.FILE_NAME}*"))
    assert b"word0" in content
    assert b"word1" not in content


def test_it_forgets_beside_a_service_as_well(state):
    assert prune_beside(state) == 0
    append(state, made(1), made(2))
    filled(state)
    delete(state, 1)
    with opened(state) as index:
        assert sequences(index) == [2, 1]
        assert prune_beside(state) == 1
        assert sequences(index) == [2]


def test_a_stricter_mode_leaves_nothing_of_the_texts(state):
    append(state, made(1, prompt_text="secretword"))
    assert filled(state) == [1]
    assert search(state, "secretword") == [1]
    veil = Privacy(METADATA, b"k" * 32).sent
    assert filled(state, METADATA, veil) == [1]
    with opened(state, METADATA) as index:
        assert sequences(index, words=terms_of("secretword")) == []
        [line] = Selected(index, Selection()).lines(10)
    assert (line.head["prompt"], line.head["prompt_length"], line.workspace) == ("", 10, "w-shop")
    assert not any(b"secretword" in path.read_bytes() for path in state.glob(f"{page_index.FILE_NAME}*"))


@pytest.mark.parametrize("damage", [b"no database at all" * 100, b""])
def test_a_damaged_index_is_begun_anew(state, damage):
    append(state, made(1))
    assert filled(state) == [1]
    (state / page_index.FILE_NAME).write_bytes(damage)
    assert filled(state) == [1]


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE facts",
        "DROP TABLE texts",
        "DELETE FROM meta WHERE key = 'low'",
        "DELETE FROM meta WHERE key = 'deleted'",
        "UPDATE meta SET value = 'x' WHERE key = 'high'",
        "UPDATE meta SET value = '\u00b2' WHERE key = 'low'",
        "UPDATE meta SET value = x'31' WHERE key = 'low'",
        "UPDATE meta SET value = '3' WHERE key = 'low'",
        "UPDATE heads SET event_id = x'ff'",
    ],
)
def test_an_index_that_lacks_something_is_begun_anew(state, damage):
    append(state, made(1))
    assert filled(state) == [1]
    with opened(state, "full") as index:
        index.execute(damage)
    with pytest.raises(UnusableIndexError), open_index(state, "full"):
        pass
    assert filled(state) == [1]


def test_an_index_of_another_log_or_layout_is_begun_anew(state):
    append(state, made(1), made(2))
    assert filled(state) == [2, 1]
    with opened(state, "full") as index:
        index.execute("UPDATE meta SET value = '0' WHERE key = 'format'")
    assert filled(state) == [2, 1]
    (state / "events.sqlite3").unlink()
    append(state, made(3))
    assert filled(state) == [1]
    assert len(search(state, made(3).prompt_text.split()[0])) == 1


def test_an_index_of_a_log_that_was_put_back_is_begun_anew(state, tmp_path):
    append(state, made(1))
    older = (state / "events.sqlite3").read_bytes()
    append(state, made(2, prompt_text="lost"), made(3))
    assert filled(state) == [3, 2, 1]
    (state / "events.sqlite3").write_bytes(older)
    append(state, made(4, prompt_text="other"), made(5))
    assert filled(state) == [3, 2, 1]
    assert (search(state, "lost"), search(state, "other")) == ([], [2])


def rewrite(state, sequence, **changes):
    """Put something else into a row of the log."""
    with closing(open_for_writing(state)) as connection:
        [body] = connection.execute("SELECT body FROM events WHERE seq = ?", (sequence,)).fetchone()
        body = json.dumps({**json.loads(body), **changes})
        connection.execute("UPDATE events SET body = ? WHERE seq = ?", (body, sequence))


def spoil(state, *pages):
    """Damage pages of the log's file, which nobody has open."""
    with (state / LOG_NAME).open("r+b") as file:
        for page in pages:
            file.seek(page * PAGE_BYTES)
            file.write(b"\xff" * PAGE_BYTES)


def page_with(state, text):
    return (state / LOG_NAME).read_bytes().index(text.encode()) // PAGE_BYTES


@pytest.mark.parametrize(
    "changes",
    [
        {"timestamp": 10**30},
        {"timestamp": -(10**30)},
        {"timestamp": None},
        {"event_id": "\ud800"},
        {"event_id": "caf\u00e9"},
    ],
)
def test_a_row_that_cannot_be_stored_is_passed_over(state, changes):
    append(state, *map(made, range(3)))
    rewrite(state, 3, **changes)
    seen = []
    with opened(state) as index:
        while fill(index, as_stored, seen.append):
            pass
    assert seen == [3]
    # What comes after it, and whoever opens it then, is not stopped by it either.
    append(state, made(4))
    rewrite(state, 4, **changes)
    with open_index(state, "full") as index:
        while fill(index, as_stored, seen.append):
            pass
        assert (sequences(index), seen) == ([2, 1], [3, 4])


def test_a_sequence_that_the_log_never_gave_does_not_move_the_marks(state):
    append(state, made(0))
    assert filled(state) == [1]
    append(state, *map(made, range(1, 4)))
    with closing(open_for_writing(state)) as connection:
        connection.execute("UPDATE events SET seq = 1000000 WHERE seq = 4")
    for _ in range(2):
        with open_index(state, "full") as index:
            while fill(index, as_stored, limit=1):
                pass
            assert sequences(index)[1:] == [3, 2, 1]


@pytest.mark.parametrize("size", [10, 9000])
def test_a_damaged_page_of_the_log_costs_no_more_than_what_is_on_it(state, size):
    append(state, *(made(number, prompt_text=f"word{number}." + "x" * size) for number in range(60)))
    spoil(state, page_with(state, "word30."))
    seen = []
    with opened(state) as index:
        while fill(index, as_stored, seen.append):
            pass
        found = sequences(index)
    # Up to which the index goes is not damaged: it is the same one.
    assert {60, 1} < set(found)
    assert 31 not in found
    assert 60 - 6 < len(found) < 60
    assert sorted({*found, *seen}) == list(range(1, 61))
    append(state, *(made(number) for number in range(60, 70)))
    spoil(state, page_with(state, "word40."))
    with open_index(state, "full") as index:
        assert fill(index, as_stored) is False
        assert sequences(index)[0] == 70


def test_a_log_that_cannot_be_read_is_not_the_indexs_fault(state):
    append(state, *(made(number, prompt_text=f"word{number}." + "x" * 9000) for number in range(20)))
    filled(state)
    with closing(open_for_reading(state)) as log:
        indexes = [
            root - 1 for (root,) in log.execute("SELECT rootpage FROM sqlite_master WHERE type = 'index'")
        ]
    delete(state, 3)
    whole = (state / LOG_NAME).read_bytes()
    spoil(state, *indexes)
    with open_index(state, "full") as index, pytest.raises(StateError, match="event log cannot be read"):
        prune(index)
    (state / LOG_NAME).write_bytes(whole)
    with closing(open_for_reading(state)) as log:
        [root] = log.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()
    spoil(state, root - 1)
    with pytest.raises(StateError, match="event log cannot be read"), open_index(state, "full"):
        pass
    (state / LOG_NAME).write_bytes(whole)
    with open_index(state, "full") as index:
        assert prune(index) == 1


def test_what_is_gone_goes_whatever_was_noted_of_it(state):
    append(state, *map(made, range(3)))
    filled(state)
    delete(state, 1)
    with opened(state) as index:
        index.execute("DELETE FROM meta WHERE key = 'deleted'")
        assert prune(index) == 1
        assert sequences(index) == [3, 2]


def test_trouble_that_is_not_the_files_is_told(state, monkeypatch):
    append(state, made(1))
    filled(state)
    with opened(state, "full") as index:
        index.execute("UPDATE meta SET value = '0' WHERE key = 'low'")
        index.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr("trio_cursor.page_index.file._BUSY_SECONDS", 0.01)
        with opened(state, "full") as other, pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("UPDATE meta SET value = '0' WHERE key = 'low'")


def test_removing_it_is_harmless(state):
    page_index.remove(state)
    append(state, made(1))
    filled(state)
    page_index.remove(state)
    assert not page_index.exists(state)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        *(("Größe", [1]), ("grosse", []), ("große", [1]), ("grö", [1]), ("gr", [])),
        *(
            ("answer", [3, 2]),
            ("ANSWER two", [2]),
            ('"two answer"', []),
            ('"answer two"', [2]),
            ('"answer thr', [3]),
        ),
        *(("get_data", [3]), ("get data", [3]), ("getdata", []), ("++", [2]), ("c ++", [2]), ("-- ++", [])),
        *(
            ("数据库", [4]),
            ("据库", [4]),
            ("库据", []),
            ("数据库 slow", [4]),
            ("été", [5]),
            ("e\u0301te", [5]),
        ),
        *(
            ("NOT", []),
            ("answer OR x", []),
            ("prompt:answer", []),
            ('a"b', []),
            ("*", []),
            ("(", []),
            ("100%", [5]),
        ),
        *(("\ud800", []), ("\0", [5, 4, 3, 2, 1]), ("w " * 3000, [])),
    ],
)
def test_words_find_what_has_them(state, text, found):
    append(
        state,
        made(1, prompt_text="Wie groß ist die Größe? große", response_text="x"),
        made(2, prompt_text="c ++", response_text="answer two"),
        made(3, prompt_text="rename get_data", response_text="answer three"),
        made(4, prompt_text="数据库为什么 slow", response_text=None),
        made(5, prompt_text="été at 100%", response_text=None),
    )
    filled(state)
    assert search(state, text) == found


def test_an_excerpt_shows_where_the_words_are():
    def shown(words, *texts):
        found = excerpt(terms_of(words), *map(stored, texts))
        return found and (
            found.of,
            "".join(f"[{piece}]" if is_hit else piece for piece, is_hit in found.pieces),
        )

    assert shown("été", "un ETE chaud") == (0, "un [ETE] chaud")
    assert shown("two fou", "one", "one two three four") == (1, "one [two] three [four]")
    assert shown("fo", "fo four") == (0, "[fo] four")
    assert shown("++", "a", "c ++ d") == (1, "c [++] d")
    assert shown("据库", "数据库慢") == (0, "数[据][库]慢")
    assert shown("far", f"{'x ' * 200}far{' y' * 300} far") == (0, f"…{'x ' * 35}[far]{' y' * 73} …")
    assert shown("nothing", "one", "two") is None


def test_lines_come_by_time_in_pages(state):
    numbers = [5, 1, 9, 3, 7]
    append(state, *map(made, numbers))
    filled(state)
    with opened(state, "full") as index:
        selected = Selected(index, Selection())
        first = selected.lines(2)
        assert [line.sequence for line in first] == [3, 5]
        second = selected.lines(2, before=(first[-1].timestamp, first[-1].sequence))
        assert [line.sequence for line in second] == [1, 4]
        assert [line.sequence for line in selected.lines(9, after_sequence=3)] == [5, 4]
        assert selected.neighbours(1) == (4, 5)
        assert selected.neighbours(3) == (5, None)
        assert selected.neighbours(77) == (None, None)


def test_what_is_chosen_is_counted(state):
    note = history.workspace("note")
    append(
        state,
        made(1, model="a", duration_ms=10, tokens_used=5),
        made(2, model="a", duration_ms=None, tokens_used=None, place=note),
        made(3, model="b", duration_ms=60_000, tokens_used=7, generation_type="cmdk"),
        made(4, model=None, duration_ms=900_000, tokens_used=None),
    )
    filled(state)
    with opened(state, "full") as index:
        found = Selected(index, Selection()).facets()
        assert (found.total, found.tokens, found.tokens_known) == (4, 12, 2)
        assert found.models == {"a": 2, "b": 1, "unknown": 1}
        assert found.workspaces == {SHOP.path: 3, note.path: 1}
        assert found.durations == {0: 1, -1: 1, 4: 1, 5: 1}
        assert Selected(index, Selection()).workspaces() == sorted([SHOP.path, note.path])
        assert sequences(index, workspace=note.path) == [2]
        assert sequences(index, model="a", workspace=SHOP.path) == [1]
        assert sequences(index, kind="cmdk") == [3]
        assert sequences(index, since_ms=NOON_MS + 2000, until_ms=NOON_MS + 4000) == [3, 2]
        assert sequences(index, model="nobody's") == []
        window = Selected(index, Selection(since_ms=0, until_ms=1))
        assert (window.lines(9), window.count_ever(), window.high()) == ([], 4, 4)
        quarters = Selected(index, Selection(model="a")).quarters(NOON_MS, NOON_MS + 3_600_000)
        assert sum(quarters.values()) == 2


def test_the_workspaces_where_something_was_asked_last_can_be_chosen(state):
    places = [history.workspace(name) for name in ("c", "a", "b", "d")]
    append(state, *(made(number, place=place) for number, place in enumerate(places)))
    filled(state)
    with opened(state) as index:
        selected = Selected(index, Selection(workspace="/x"))
        assert selected.workspaces() == sorted(place.path for place in places)
        assert selected.workspaces(2) == [places[2].path, places[3].path]


@pytest.mark.parametrize("selection", [{}, {"workspace": SHOP.path}, {"since_ms": 0, "until_ms": 10**15}])
def test_what_was_reported_since_costs_no_walk_through_what_was_before(state, selection):
    def cost(index, after):
        """In SQLite's instructions."""
        count = []
        index.set_progress_handler(lambda: count.append(1), 1)
        found = Selected(index, Selection(**selection)).lines(3, after_sequence=after)
        index.set_progress_handler(None, 0)
        return len(count), [line.sequence for line in found]

    # The older by sequence, the newer by time.
    append(state, *(made(-number) for number in range(300)))
    filled(state)
    with opened(state) as index:
        few, found = cost(index, 297)
        assert found == [298, 299, 300]
        assert cost(index, 0) == (pytest.approx(few, rel=0.2), found)


def test_the_same_path_on_two_hosts_is_two_workspaces(state):
    there = {"workspace_path": "/home/me/shop", "workspace_id": "w"}
    one, other = (f"vscode-remote://ssh-remote%2B{host}/home/me/shop" for host in ("one", "other"))
    assert workspace_of({**there, "workspace_uri": one}) == one
    assert workspace_of({**there, "workspace_uri": None}) == "/home/me/shop"
    assert workspace_of({**there, "workspace_uri": "file:///home/me/shop"}) == "/home/me/shop"
    append(state, *map(made, range(2)))
    rewrite(state, 1, metadata={**there, "workspace_uri": one})
    rewrite(state, 2, metadata={**there, "workspace_uri": other})
    filled(state)
    with opened(state) as index:
        assert Selected(index, Selection()).workspaces() == [one, other]
        assert sequences(index, workspace=one) == [1]


def test_quarters_are_put_into_the_hours_and_days_of_the_zone():
    zone = ZoneInfo("Europe/Berlin")
    moments = [
        datetime(2026, 10, 24, 23, 59, tzinfo=zone),
        datetime(2026, 10, 25, 2, 10, tzinfo=zone),
        datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=zone),
        datetime(2026, 10, 25, 3, 0, tzinfo=zone),
    ]
    counts = {int(at.timestamp()) // 900: 1 for at in moments}
    found = slots({**counts, 10**12: 5}, zone)
    assert found.hours == {23: 1, 2: 2, 3: 1}
    assert found.days == {date(2026, 10, 24): 1, date(2026, 10, 25): 3}


def test_a_day_and_an_hour_end_where_the_next_begins():
    zone = ZoneInfo("Europe/Berlin")
    autumn, spring = date(2026, 10, 25), date(2026, 3, 29)
    hour_ms = 3_600_000
    assert [
        (end - start) / hour_ms for start, end in (bounds(autumn, zone=zone), bounds(spring, zone=zone))
    ] == [25, 23]
    assert [
        bounds(autumn, hour, zone=zone)[1] - bounds(autumn, hour, zone=zone)[0] for hour in (1, 2, 3)
    ] == [
        hour_ms,
        2 * hour_ms,
        hour_ms,
    ]
    assert bounds(spring, 2, zone=zone) == (0, 0)
    start, end = bounds(date(2026, 1, 1), days=30, zone=UTC)
    assert timedelta(milliseconds=end - start) == timedelta(days=30)
    assert page_index.local(10**18) is None
    assert page_index.local(NOON_MS, UTC).tzinfo is UTC
