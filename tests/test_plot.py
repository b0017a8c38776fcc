"""Drawings: as values, on terminals of any width, as SVG and as a page that stands alone."""

import io
import json
import os
import re
import stat
import time
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from rich.cells import cell_len
from running import EVIL, SAFE, on_terminal
from scans import uuid
from small_logs import HOSTS, NOW, generation, write_log

from trio_cursor.charts import KINDS, Bar, Bars, Grid, chart_of, page_of, svg_of
from trio_cursor.charts.names import percent, workspace_names
from trio_cursor.cli import main
from trio_cursor.cli.drawing import bar_of, columns_for, drawing_lines, print_lines
from trio_cursor.cli.output import Style
from trio_cursor.figures import OTHERS, Fact, Figures, Known, Share, figures_of
from trio_cursor.records import Workspace

pytestmark = pytest.mark.usefixtures("home")

PLAIN = Style(is_on=False)
DAY_MS = 86_400_000
MONDAY = int(datetime(2026, 6, 1, 9, tzinfo=UTC).timestamp() * 1000)
#: What would be a tag, a script, an attribute's end, and what no XML may have.
HOSTILE = f"{EVIL}<script>alert(1)</script>\"'&]]>\ufffe\x00"


def fact(at=MONDAY, **fields):
    values = dict.fromkeys(Fact._fields) | {"sequence": 1, "timestamp": at, "session_id": "s"}
    return Fact(**values | fields)


def chart(kind, *facts, **options):
    return chart_of(kind, figures_of(facts, UTC), "UTC", **options)


def labels(found):
    return [bar.label for bar in found.bars]


# -- What is drawn ---------------------------------------------------------------------------------------


def test_days_without_anything_are_drawn_as_well():
    found = chart("day", fact(), fact(MONDAY + 3 * DAY_MS, tokens=5), fact(MONDAY + 3 * DAY_MS))
    assert [(bar.label, bar.events) for bar in found.bars] == [
        ("2026-06-01", 1),
        ("2026-06-02", 0),
        ("2026-06-03", 0),
        ("2026-06-04", 2),
    ]
    assert found.bars[3].tokens == Known(5, 1, 2)
    assert found.summary.startswith("3 generations from 2026-06-01 to 2026-06-04, UTC")


@pytest.mark.parametrize(
    ("days", "most", "title", "first", "number"),
    [
        (10, 10, "Generations by day", "2026-06-01", 10),
        (11, 10, "Generations by week, from Monday", "2026-06-01", 2),
        (80, 10, "Generations by month", "2026-06-01", 3),
        (400, 10, "Generations by year", "2026-01-01", 2),
    ],
)
def test_what_does_not_fit_is_drawn_coarser_and_loses_nothing(days, most, title, first, number):
    found = chart("day", *(fact(MONDAY + day * DAY_MS) for day in range(days)), times_most=most)
    assert (found.title, found.bars[0].label, len(found.bars)) == (title, first, number)
    assert sum(bar.events for bar in found.bars) == days


def test_a_line_of_centuries_is_drawn_from_its_first_year_to_its_last():
    found = chart("day", fact(0), fact(253_000_000_000_000), times_most=10)
    assert found.title == "Generations by 1000 years"
    assert [(bar.label, bar.events) for bar in found.bars if bar.events] == [
        ("1000-01-01", 1),
        ("9000-01-01", 1),
    ]
    assert len(found.bars) == 9


def test_small_shares_are_drawn_together():
    found = chart("model", *(fact(model=f"m{n:02}", tokens=1) for n in range(30)))
    assert len(found.bars) == 21
    assert found.bars[-1] == Bar("10 others", 10, Known(10, 10, 10))


def test_workspaces_are_told_apart_by_as_much_of_the_path_as_that_needs():
    keys = ["/a/site", "/b/site", "/shop", "C:\\x\\shop", None, OTHERS, "/", "plain-id"]
    shares = [Share(key, 1, Known()) for key in keys]
    assert workspace_names(shares) == [
        *("a/site", "b/site", "/shop", "x\\shop", "global", "others", "/", "plain-id")
    ]


def test_workspaces_with_the_same_path_are_told_apart_by_their_hosts():
    shares = [Share(place.uri or place.path, 1, Known()) for place in HOSTS]
    assert workspace_names(shares) == ["ssh-remote%2Bone/code/api", "ssh-remote%2Btwo/code/api", "/code/api"]


def test_a_share_is_nothing_only_if_there_is_nothing():
    assert [percent(part, 1000) for part in (0, 1, 5, 6, 500, 1000)] == [
        *("0 %", "< 1 %", "< 1 %", "1 %", "50 %", "100 %")
    ]


def test_durations_and_hours_have_all_their_classes():
    found = chart("duration", fact(duration_ms=999), fact(duration_ms=10**9), fact())
    assert [(bar.label, bar.events) for bar in (found.bars[0], found.bars[-1])] == [
        ("under 1 s", 1),
        ("30 min or more", 1),
    ]
    assert "the duration of 2 of them is known" in found.summary
    assert [bar.events for bar in chart("hour", fact()).bars] == [0] * 9 + [1] + [0] * 14
    assert isinstance(chart("weekday", fact()), Grid)


# -- On a terminal ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "bar"), [(0, ""), (1e-9, "▏"), (0.5, "██"), (0.53, "██▏"), (1, "████")])
def test_a_bar_is_as_long_as_its_share_and_to_be_seen(share, bar):
    assert bar_of(share, 4) == bar


@pytest.mark.parametrize("width", [10, 32, 80, 120])
@pytest.mark.parametrize("kind", KINDS)
def test_a_drawing_is_never_wider_than_the_terminal_and_harms_nobody(kind, width):
    facts = [
        fact(
            MONDAY + n * DAY_MS // 3,
            model=f"{n}{HOSTILE}",
            workspace=f"/日本{EVIL}/{n % 3}",
            duration_ms=n**3,
        )
        for n in range(130)
    ]
    found = chart(kind, *facts, times_most=columns_for(width))
    lines = list(drawing_lines(found, PLAIN, width))
    assert max(map(cell_len, lines)) <= max(width, 32)
    assert not re.search("[\x00-\x1f\x7f\u202e]", "".join(lines))


def test_columns_are_as_high_as_their_numbers():
    found = Bars("hour", "t", "s", tuple(Bar(f"{n:02}", n) for n in (0, 5, 10)), is_timeline=True)
    lines = list(drawing_lines(found, PLAIN, 40, with_summary=False))
    assert lines[1] == "10 ┤        ███"
    assert lines[6] == " 5 ┤    ███ ███"
    assert lines[10] == "   ┤    ███ ███"
    assert lines[12] == "    00  05  10"


def test_an_hour_of_the_week_is_shaded_by_its_share_of_the_most():
    rows = [[0] * 24 for _ in range(7)]
    rows[0][:5] = [0, 1, 2, 3, 4]
    found = Grid("weekday", "t", "s", tuple(map(tuple, rows)))
    lines = list(drawing_lines(found, PLAIN, 80, with_summary=False))
    assert lines[2].startswith("Mon ··░░▒▒▓▓██··")
    assert lines[2].endswith("  10")
    assert lines[9].endswith("██ to 100 % of 4 in one hour")


def test_totals_of_weekdays_are_left_out_where_there_is_no_room():
    found = Grid("weekday", "t", "s", ((1_000_000,) * 24,) * 7)
    lines = list(drawing_lines(found, PLAIN, 32, with_summary=False))
    assert lines[2:9] == [f"{day} {'█' * 24}" for day in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")]
    assert list(drawing_lines(found, PLAIN, 64, with_summary=False))[2].endswith("█  24,000,000")


@pytest.mark.parametrize("kind", KINDS)
def test_of_nothing_a_drawing_is_empty_and_not_an_error(kind):
    found = chart_of(kind, Figures(), "UTC")
    assert list(drawing_lines(found, PLAIN, 80))
    ET.fromstring(svg_of(found))


def test_a_terminal_without_blocks_gets_other_characters():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", write_through=True)
    print_lines(["██▏ ░░ ┤"], stream)
    assert stream.buffer.getvalue() == b"##. :: |" + os.linesep.encode()


def test_plot_draws_days_unless_something_else_is_asked_for(state):
    write_log(state, generation(uuid(1), model="sonnet"))
    code, text = on_terminal("plot", "--no-color", "--state-dir", str(state))
    assert (code, text.split("\n")[0]) == (0, "Generations by day")
    code, text = on_terminal("plot", "model", "--no-color", "--state-dir", str(state))
    assert code == 0
    assert re.search("^sonnet  █+ 1 100 %$", text, re.MULTILINE)


def test_as_json_it_is_what_stats_says_of_that_alone(capsys, state):
    write_log(state, generation(uuid(1), model="sonnet"))
    assert main(["plot", "model", "--json", "--state-dir", str(state)]) == 0
    drawn = capsys.readouterr().out
    assert main(["stats", "--by", "model", "--json", "--state-dir", str(state)]) == 0
    assert capsys.readouterr().out == drawn
    assert '"by_model": [{"model": "sonnet"' in drawn


# -- Into a file -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_svg_is_xml_with_words_for_whoever_does_not_see_it(kind):
    facts = [fact(model=HOSTILE, workspace=HOSTILE, type=HOSTILE, status=HOSTILE, duration_ms=5)]
    text = svg_of(chart(kind, *facts))
    root = ET.fromstring(text)
    svg = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img"
    titled, described = root.get("aria-labelledby").split()
    assert root.find(f"{svg}title").get("id") == titled
    said = root.find(f"{svg}desc")
    assert said.get("id") == described
    assert "1 generation" in said.text
    assert "Most: " in said.text
    drawn = ("svg", "title", "desc", "style", "rect", "text", "tspan", "line", "circle")
    assert {element.tag for element in root.iter()} <= {f"{svg}{name}" for name in drawn}
    assert "prefers-color-scheme: dark" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e\ufffe]", text)


def test_a_long_line_of_time_has_an_axis_and_labels_inside():
    root = ET.fromstring(svg_of(chart("day", *(fact(MONDAY + n % 90 * DAY_MS) for n in range(9000)))))
    texts = [element for element in root.iter() if element.get("class") == "soft"]
    assert [text.text for text in texts[1:4]] == ["0", "50", "100"]
    dates = [text for text in texts if re.fullmatch(r"\d{4}-\d\d-\d\d", text.text)]
    places = [float(text.get("x")) for text in dates]
    assert dates[0].text == "2026-06-01"
    assert len(places) > 5
    assert min(after - before for before, after in pairwise(places)) > 85
    assert max(places) < 860 - 40


def test_the_marks_of_svg_are_as_large_as_their_numbers():
    root = ET.fromstring(svg_of(chart("model", *[fact(model="a")] * 4, fact(model="b"))))
    marks = [element for element in root.iter() if element.get("class") == "mark"]
    widths = [float(mark.get("width")) for mark in marks]
    assert widths[0] == pytest.approx(4 * widths[1], abs=0.2)
    root = ET.fromstring(svg_of(chart("weekday", *[fact()] * 4, fact(MONDAY + DAY_MS))))
    radii = [float(element.get("r")) for element in root.iter() if element.get("class") == "mark"]
    assert radii[0] == pytest.approx(2 * radii[1])  # by area


class Page(HTMLParser):
    """Tags with their attributes, and cells of tables."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.cells, self._in_cell = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._in_cell = tag in ("td", "th")

    def handle_data(self, data):
        if self._in_cell:
            self.cells.append(data)
            self._in_cell = False


def test_the_page_has_every_drawing_also_as_a_table_and_loads_nothing():
    figures = figures_of([fact(model=HOSTILE, tokens=7), fact(model="quiet")], UTC)
    text = page_of([chart_of(kind, figures, "UTC") for kind in KINDS], "T<i>", "w<b>")
    page = Page(text)
    names = [tag for tag, _ in page.tags]
    assert names.count("svg") == names.count("table") == len(KINDS)
    assert names.count("h1") == names.count("main") == 1
    # Nothing that somebody has called a model is a tag, and nothing that we wrote loads or runs anything.
    assert not {"script", "img", "i", "b", "iframe", "object"} & set(names)
    assert [attributes["href"] for tag, attributes in page.tags if tag == "link"] == ["data:,"]
    assert not any(name.startswith("on") or name == "src" for _, found in page.tags for name in found)
    # A browser asks nobody for an icon, and has nothing to complain of.
    assert "default-src 'none'; img-src data:;" in text
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [cell for cell in page.cells if SAFE in cell]
    assert "7" in page.cells
    assert "not known" in page.cells
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", text)


def test_a_file_is_made_for_its_owner_and_replaces_what_was_there(capsys, state, tmp_path):
    write_log(state, generation(uuid(1), model="sonnet"))
    for name in ("a.svg", "b.HTML"):
        path = tmp_path / name
        path.write_text("old")
        assert main(["plot", "--out", str(path), "--state-dir", str(state)]) == 0
        assert capsys.readouterr().err == f"drawn into {path}\n"
        assert "old" not in path.read_text(encoding="utf-8")
        if os.name == "posix":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    page = (tmp_path / "b.HTML").read_text(encoding="utf-8")
    assert page.count("<svg") == len(KINDS)
    assert main(["plot", "type", "--out", str(tmp_path / "c.html"), "-q", "--state-dir", str(state)]) == 0
    assert (tmp_path / "c.html").read_text(encoding="utf-8").count("<svg") == 1
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["a.svg", "b.HTML", "c.html"]


@pytest.mark.parametrize("name", ["x.png", "x", "-", ""])
def test_a_file_of_another_kind_is_refused(capsys, state, tmp_path, name):
    write_log(state, generation(uuid(1)))
    assert main(["plot", "--out", name and str(tmp_path / name), "--state-dir", str(state)]) == 2
    assert "name a file that ends with .svg or .html" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "2026-06-01 05:00 to 2026-06-01 05:00 (local time, UTC-04:00)"),
        (["--utc"], "2026-06-01 09:00 to 2026-06-01 09:00 (UTC)"),
    ],
)
@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system takes no zone from the environment")
def test_the_page_tells_times_of_the_zone_that_it_names(state, tmp_path, monkeypatch, words, said):
    write_log(state, generation(uuid(1), timestamp=MONDAY))
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        assert main(["plot", "--out", str(tmp_path / "a.html"), "--state-dir", str(state), *words]) == 0
    time.tzset()
    assert said in (tmp_path / "a.html").read_text(encoding="utf-8")


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system takes no zone from the environment")
@pytest.mark.parametrize(
    ("back", "zone"),
    [
        ([0], "local time, UTC-04:00"),
        ([0, 150], "local time, UTC-05:00 and UTC-04:00"),
        ([0, 365, 150], "local time, UTC-05:00 and UTC-04:00"),
        ([0, 365 * 200], "local time, UTC-04:56:02 and UTC-04:00"),
        ([0, 150, 365 * 200], "local time, UTC-05:00 to UTC-04:00"),
    ],
)
def test_a_file_for_others_tells_every_distance_from_utc_that_its_days_had(
    state, tmp_path, monkeypatch, back, zone
):
    write_log(state, *(generation(uuid(n), timestamp=MONDAY - n * DAY_MS) for n in back))
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        for name in ("a.svg", "a.html"):
            assert main(["plot", "day", "--out", str(tmp_path / name), "--state-dir", str(state)]) == 0
    time.tzset()
    assert f"({zone})" in (tmp_path / "a.html").read_text(encoding="utf-8")
    assert f", {zone}; " in (tmp_path / "a.svg").read_text(encoding="utf-8")


def test_a_time_that_no_calendar_has_is_told_as_a_number(state, tmp_path):
    write_log(state, generation(uuid(1), timestamp=10**18))
    assert main(["plot", "--out", str(tmp_path / "a.html"), "--state-dir", str(state)]) == 0
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert f"{10**18} ms to {10**18} ms" in text


def test_nothing_is_drawn_into_a_file_of_nothing_and_what_was_there_stays(capsys, state, tmp_path):
    path = tmp_path / "a.svg"
    path.write_text("old")
    assert main(["plot", "--out", str(path), "--state-dir", str(state)]) == 0
    assert path.read_text() == "old"
    assert capsys.readouterr().err.splitlines()[1:] == [f"{path} was left as it was"]
    assert main(["plot", "--out", str(tmp_path / "b.svg"), "--state-dir", str(state)]) == 0
    assert "left" not in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == ["a.svg"]


@pytest.mark.parametrize(("name", "kinds"), [("a.svg", ["day"]), ("a.html", list(KINDS))])
def test_what_is_drawn_into_a_file_is_printed_as_well_if_that_is_asked_for(
    capsys, state, tmp_path, name, kinds
):
    place = Workspace("/c/a1/state.vscdb", "/c", "a1", path="/home/dev/secret", hash="0" * 16)
    write_log(state, generation(uuid(1), workspace=place, model="me@example.org"))
    words = ["--out", str(tmp_path / name), "--state-dir", str(state), "--json"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIO_CURSOR_PRIVACY__MODE", "redacted")
        assert main(["plot", *words]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert [key for key in found if key.startswith("by_")] == [f"by_{kind}" for kind in kinds]
    assert (found["generations"], found["time_zone"], out.count("\n")) == (1, "local", 1)
    assert err == f"drawn into {tmp_path / name}\n"
    assert "me@example.org" not in out  # not more of it than the drawing has
    assert (tmp_path / name).exists()


def test_a_drawing_for_others_has_not_more_than_the_privacy_mode(state, tmp_path):
    place = Workspace("/c/a1/state.vscdb", "/c", "a1", path="/home/dev/secret-project", hash="0" * 16)
    write_log(state, generation(uuid(1), workspace=place, timestamp=NOW))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIO_CURSOR_PRIVACY__MODE", "metadata")
        path = tmp_path / "a.html"
        words = ["plot", "--out", str(path), "--state-dir", str(state)]
        assert main(words) == 1  # the log has no key yet, as for `replay`
        assert not path.exists()
        patch.setenv("TRIO_CURSOR_PRIVACY__MODE", "redacted")
        assert main(words) == 0
    assert path.exists()


@pytest.mark.parametrize("place", ["User/workspaceStorage/x.svg", "User/x.svg"])
def test_nothing_is_drawn_into_directories_of_cursors(capsys, state, user_dir, place):
    write_log(state, generation(uuid(1)))
    path = user_dir / place.removeprefix("User/")
    before = sorted(user_dir.rglob("*"))
    assert main(["plot", "--out", str(path), "--state-dir", str(state)]) == 1
    assert "which is Cursor's: nothing is ever written there" in capsys.readouterr().err
    assert sorted(user_dir.rglob("*")) == before
