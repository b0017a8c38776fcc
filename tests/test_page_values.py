"""What the page is asked for, how it says how the service is, and texts that can do nothing but be read."""

from __future__ import annotations

import sys
from datetime import date

import attrs
import pytest
from markupsafe import Markup

from trio_cursor.harmless import printable
from trio_cursor.page_index import local
from trio_cursor.status import (
    OutputStatus,
    PrivacyStatus,
    SourceStatus,
    UnmappedStatus,
    WorkspaceStatus,
    disabled,
)
from trio_cursor.web import texts
from trio_cursor.web.asked import Asked, asked
from trio_cursor.web.health import AMBER, GREEN, RED, health, level_of
from trio_cursor.web.overview import day_name

DAY, TODAY = date(2026, 11, 21), date(2026, 11, 22)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({}, Asked()),
        ({"q": " a b ", "workspace": "", "day": "", "hour": ""}, Asked(q="a b")),
        # Not dropped in silence: of today.
        ({"day": "", "hour": "3"}, Asked(day=TODAY, hour=3)),
        ({"day": "2026-11-21", "hour": "15"}, Asked(day=DAY, hour=15)),
        ({"day": "2026-11-21", "hour": "24"}, Asked(day=DAY)),
        ({"day": "2026-11-31"}, Asked()),
        ({"day": "20261121"}, Asked()),
        ({"day": "9999-12-31"}, Asked()),
        ({"day": "0001-01-01"}, Asked()),
        (
            {"before": "-5.7", "after": "12", "of": "5.full", "model": "m", "kind": "k"},
            Asked(model="m", kind="k", before=(-5, 7), after=12, of="5.full"),
        ),
        ({"before": "x", "after": "-1"}, Asked()),
        ({"workspace": "w" * 5000}, Asked(workspace="w" * 4096)),
    ],
)
def test_an_address_says_what_is_asked_for(said, found):
    assert asked(said, TODAY) == found


def test_an_address_of_something_else_begins_at_its_beginning():
    here = Asked(q="a&b", workspace="/x y", day=DAY, hour=3, before=(1, 2), after=7)
    assert here.url() == "/?q=a%26b&workspace=%2Fx+y&day=2026-11-21&hour=3"
    assert here.url(day=None) == "/?q=a%26b&workspace=%2Fx+y"
    assert here.url(q="", workspace=None, day=None, before=(9, 8)) == "/?before=9.8"
    assert Asked().url() == "/"
    assert Asked(before=(1, 2)).is_everything
    assert not here.is_everything


EVIL = "\x1b[2J\u202e<b>\u2066&\x00\r\n\tx\u200d\u200b\U000e0041'\""


def test_a_value_shows_and_does_nothing():
    found = texts.plain(EVIL)
    assert isinstance(found, Markup)
    assert found == ("\\u001b[2J\\u202e&lt;b&gt;\\u2066&amp;\\u0000⏎ x\\u200d\\u200b\\U000e0041&#39;&#34;")
    assert texts.plain(7) == "7"


def test_a_text_marks_what_is_a_code():
    found = texts.shown(EVIL)
    assert '<span class="code" title="right-to-left override">\\u202e</span>&lt;b&gt;' in found
    assert '<span class="code" title="control character">\\u001b</span>[2J' in found
    assert "\r" not in found
    assert texts.shown("</pre><script>") == "&lt;/pre&gt;&lt;script&gt;"
    # Between letters and in emoji a joiner is part of what is written.
    family = "\U0001f469\u200d\U0001f4bb \u0646\u200c\u06cc"
    assert texts.shown(family) == family


def test_what_is_taken_as_it_is_only_shows():
    every = map(chr, {*range(sys.maxunicode + 1)} - {ord("\n"), ord("\t")})
    taken = [char for char in every if not texts._SUSPECT.match(char)]
    # In pairs: a code is one whatever comes after it.
    assert [char for char in taken if printable(char + "a") != char + "a"] == []
    assert {"é", "ж", "ש", "م", "अ", "あ", "数", "한", "😀"} <= set(taken)


def test_programs_are_told_from_prose():
    assert list(texts.parts("a\n```python\nx = 1\n\n```\nb\n```\ny")) == [
        (None, "a"),
        ("python", "x = 1"),
        (None, "b"),
        ("", "y"),
    ]
    assert list(texts.parts("plain ``` no fence")) == [(None, "plain ``` no fence")]
    assert list(texts.parts("")) == []
    # Quick, whatever stands there.
    assert len(list(texts.parts("```\n" * 20_000))) == 10_000


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1500, "1.5 s"),
        (42_400, "42 s"),
        (72_000, "1 min 12 s"),
        (7_380_000, "2 h 3 min"),
    ],
)
def test_spans_are_short(number, words):
    assert texts.span(number) == words


def test_what_is_not_known_is_said():
    assert (texts.span(None), texts.moment(None), texts.size(None)) == ("unknown",) * 3


def test_numbers_and_names_read_well():
    assert [texts.size(number) for number in (5, 12_345, 1_234, 2 * 10**9, 10**13)] == [
        *("5 B", "12 kB", "1.2 kB", "2.0 GB", "10000 GB")
    ]
    assert (texts.plural(1, "day"), texts.plural(2000, "day"), texts.plural(2, "box", "boxes")) == (
        *("1 day", "2,000 days", "2 boxes"),
    )
    assert [texts.place_name(path) for path in ("/a/b c", "C:\\x\\y", "w1", "/")] == ["b c", "y", "w1", "/"]


def test_times_beyond_the_calendar_are_numbers():
    huge = 10**18
    assert (texts.moment(huge), texts.clock(huge), texts.iso(huge)) == (f"{huge} ms", "", "")
    assert texts.date_unless(huge, 0) == f"{huge} ms"


def test_a_date_stands_where_it_is_not_today():
    now = 1_795_300_000_000
    at = local(now)
    assert texts.date_unless(now, now) == ""
    assert texts.date_unless(now - 86_400_000 * 3, now).endswith(f" {local(now - 86_400_000 * 3):%b}")
    assert texts.date_unless(now - 86_400_000 * 400, now).startswith(f"{at.year - 1}-")
    today = date(2026, 11, 22)
    assert day_name(today, today) == "Today, Sunday 22 November"
    assert day_name(DAY, today) == "Yesterday, Saturday 21 November"
    assert day_name(date(2025, 1, 1), today) == "Wednesday 1 January 2025"


def workspace(**fields):
    values = dict.fromkeys(field.name for field in attrs.fields(WorkspaceStatus)) | {
        "status": "synced",
        "database": "/d",
        "workspace_id": "w1",
    }
    return WorkspaceStatus(**{**values, "sessions": (), "generations": 0, **fields})


def status(**fields):
    return attrs.evolve(
        disabled(), **{"state": "running", "first_pass_done": True, "workspaces": (workspace(),), **fields}
    )


def output(**fields):
    return OutputStatus(
        **{
            "name": "o",
            "state": "connected",
            "sequence": 0,
            "lag": 0,
            "errors": 0,
            "last_error": None,
            **fields,
        }
    )


def said(found):
    return found.level, [(item.level, item.words) for item in found.findings]


def test_all_is_well():
    found = health(status())
    assert (found.level, found.words, found.findings) == (GREEN, "1 workspace watched, all is well", ())


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (("w1", "w2", None), "2 workspaces and the global database watched"),
        (("w1", None, None), "1 workspace and 2 global databases watched"),
    ],
)
def test_a_global_database_is_no_workspace(ids, words):
    found = health(status(workspaces=tuple(workspace(workspace_id=id_) for id_ in ids)))
    assert found.words == f"{words}, all is well"


def test_red_is_what_does_not_pass_by_itself():
    broken = workspace(status="error", last_error="no database", workspace_path="/x")
    busy = workspace(status="locked", last_error="locked", workspace_path="/y")
    alarms = (
        "/y: locked: locked",
        "/x: error: no database",
        "output o: refused",
        "session source s: gone",
        "late",
    )
    found = health(
        status(
            workspaces=(broken, busy),
            outputs=(output(state="error", last_error="refused"),),
            sources=(SourceStatus("s", "error", 0, {}, 1, "gone"),),
            alarms=alarms,
        )
    )
    assert found.words == "3 things are wrong"
    assert [words for level, words in said(found)[1] if level == RED] == list(alarms[1:4])
    assert [words for level, words in said(found)[1] if level == AMBER] == [alarms[0], alarms[4]]
    assert [level_of(item) for item in (broken, busy, workspace())] == [RED, AMBER, GREEN]
    assert health(status(workspaces=(broken,), alarms=alarms[1:2])).words == "Something is wrong"


def test_the_log_itself_is_the_worst():
    assert said(health(status(log_error="full", alarms=("full",)))) == (RED, [(RED, "full")])


def test_amber_is_what_somebody_should_know():
    assert health(disabled()).level == AMBER
    assert (
        health(status(first_pass_done=False, progress=(1, 5))).findings[0].words.endswith("1 of 5 databases")
    )
    assert (
        "no workspace of Cursor found in /u"
        in health(status(workspaces=(), searched=("/u",))).findings[0].words
    )
    # A `User` directory in which nothing is yet: even the global database is only where it would be.
    assert health(status(workspaces=(workspace(workspace_id=None, size=None),))).level == AMBER
    assert health(status(workspaces=(workspace(workspace_id=None, size=4096),))).level == GREEN
    assert health(status(gaps=2)).level == AMBER
    # Of which it is told once.
    gap = "generations were missed 2 times since the start"
    assert said(health(status(gaps=2, alarms=(gap,)))) == (AMBER, [(AMBER, gap)])
    found = health(status(), "no room")
    assert (found.level, found.words) == (AMBER, "1 workspace watched, 1 thing to know")


def test_green_notes_do_not_worry():
    found = health(
        status(
            privacy=PrivacyStatus("metadata", 3),
            unmapped=(UnmappedStatus("0" * 16, None, (), {}),),
            os_events=attrs.make_class("Off", ["state"])("off"),
        )
    )
    assert (found.level, found.words) == (GREEN, "1 workspace watched, all is well")
    assert len(found.findings) == 3
