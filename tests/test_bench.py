"""The table of goals: its arithmetic, its words, and what is kept of it."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

BENCH = Path(__file__).parent.parent / "bench"
sys.path.append(str(BENCH))

import figures  # noqa: E402 - found there
import soak  # noqa: E402 - as above
import svg  # noqa: E402 - as above
from figures import Figure, Measured  # noqa: E402 - as above

RESULTS = BENCH / "results.json"


def test_a_ratio_is_the_median_of_pairs_with_smallest_and_largest():
    # Not the ratio of the medians, which would be 2: each round is compared with its own floor.
    found = figures.ratio("r", [2.0, 9.0, 4.0], [1.0, 3.0, 10.0], goal=2.0)
    assert (found.value, found.low, found.high, found.unit) == (2.0, 0.4, 3.0, "x")
    assert found.is_met is True
    assert figures.ratio("r", [2.1], [1.0], goal=2.0).is_met is False


@pytest.mark.parametrize(("ours", "floor"), [([1.0], [1.0, 2.0]), ([], [])])
def test_a_ratio_wants_pairs(ours, floor):
    with pytest.raises(ValueError, match="to compare them with"):
        figures.ratio("r", ours, floor)


def test_a_page_has_the_table_of_the_results_and_what_they_were_before():
    results: dict = {}
    for value in (1.5, 2.5):
        found = Measured((Figure("p50", value, 1.0, 3.0, "ms", goal=2.0), Figure("n", 7.0, 7.0, 7.0, "")))
        results = figures.with_row(results, 3, "commit to event", found, seconds=1, redis=None)
    results = figures.with_row(results, 4, "to Redis", Measured(not_run="none"), seconds=0, redis=None)
    page = f"above {figures.MARKS[0]} old {figures.MARKS[1]} below"
    page = figures.with_table(figures.with_table(page, results), results)
    assert page.startswith("above ")
    assert page.endswith(" below")
    assert [line for line in page.splitlines() if line.startswith("| ")][1:] == [
        "| 3 commit to event | p50, at most 2.00 ms | 2.50 ms (1.00 to 3.00 ms) | 1.50 ms | **no** |",
        "|  | n | 7.00 | 7.00 |  |",
        "| 4 to Redis | | none | | not run |",
    ]


def test_what_is_said_of_the_goals_is_what_was_measured():
    page = (BENCH.parent / "docs" / "performance.md").read_text(encoding="utf-8")
    assert figures.with_table(page, figures.read_results(RESULTS)) == page


def test_a_goal_may_be_at_least():
    assert figures.of_rounds("share", [0.4, 0.6, 0.7], "x", goal=0.5, direction=">=").is_met is True
    assert figures.of_rounds("share", [0.4, 0.45, 0.7], "x", goal=0.5, direction=">=").is_met is False
    assert figures.of_rounds("share", [0.4], "x").is_met is None


def test_a_quantile_is_a_value_that_was_measured_and_its_spread_that_of_the_thirds():
    values = [float(number) for number in range(1, 301)]
    assert figures.quantile(values, 0.99) == 298.0
    found = figures.tail_of("p99", values, 0.99, "ms")
    assert (found.value, found.low, found.high) == (298.0, 100.0, 300.0)
    assert figures.tail_of("p50", [3.0], 0.5, "ms").high == 3.0


def test_the_table_says_what_is_met_and_what_was_not_run():
    measured = Measured(
        (Figure("p50", 1.5, 1.0, 2.0, "ms", goal=5.0), Figure("p99", 60.0, 55.0, 70.0, "ms", goal=50.0))
    )
    lines = [*figures.lines_of(3, "commit to event", measured)]
    lines += figures.lines_of(4, "to Redis", Measured(not_run="no redis-server"))
    shown = figures.show([figures.HEADINGS, *lines]).splitlines()
    assert shown[1] == "3 commit to event"
    assert re.search(r"p50 <= 5\.00 ms +1\.50 ms +1\.00 to 2\.00 ms +yes$", shown[2])
    assert re.search(r"p99 <= 50\.0 ms +60\.0 ms +55\.0 to 70\.0 ms +NO$", shown[3])
    assert re.search(r"4 to Redis +no redis-server +not run$", shown[4])


def test_results_are_kept_by_row_and_a_row_measured_anew_replaces_its_own(tmp_path):
    file = tmp_path / "results.json"
    results = figures.read_results(file)
    for row, value in ((10, 1.0), (2, 2.0), (10, 3.0)):
        measured = Measured((Figure("f", value, value, value, "x", goal=2.0),))
        results = figures.with_row(results, row, "g", measured, seconds=1.0, redis=None)
    figures.write_results(file, results)
    rows = figures.read_results(file)["rows"]
    assert list(rows) == ["2", "10"]
    assert rows["10"]["figures"][0]["value"] == 3.0
    assert rows["10"]["figures"][0]["is_met"] is False
    assert rows["2"]["on"]["cores"] >= 1


def test_the_committed_results_have_every_row_and_tell_nothing_of_a_machine():
    text = RESULTS.read_text(encoding="utf-8")
    rows = json.loads(text)["rows"]
    assert [int(row) for row in rows] == list(range(1, 17))
    for row in rows.values():
        assert row["not_run"] or row["figures"]
        assert {"date", "python", "sqlite", "redis", "cores"} <= row["on"].keys()
    assert not re.search(r"(?<![\w.])(/(home|root|tmp|usr|var|work|Users)\b|[A-Za-z]:\\)", text)


def test_a_curve_is_well_formed_and_higher_values_lie_higher():
    panel = svg.Panel("a <b> & c, ms", {"up": [(10, 1.0), (100, 10.0), (1000, 100.0)]}, is_log=True)
    root = ET.fromstring(svg.chart("t", "x", [panel, svg.Panel("flat", {"zero": [(10, 0.0)]})]))
    lines = [one.get("points") for one in root.iter("{http://www.w3.org/2000/svg}polyline")]
    points = [tuple(map(float, point.split(","))) for point in lines[0].split()]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)
    # Powers of ten lie equally far from each other, in both directions.
    assert math.isclose(points[1][0] - points[0][0], points[2][0] - points[1][0], abs_tol=0.2)
    assert "a <b> & c, ms" in [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]


def test_what_grows_is_told_from_what_is_level():
    level = [(minute, 60.0 + minute % 2) for minute in range(20)]
    rising = [(minute, 60.0 + minute) for minute in range(20)]
    assert not soak.grown("rss_mb", level, 20).has_grown
    assert soak.grown("rss_mb", rising, 20).has_grown
    # What it makes while it comes up is no growth.
    assert not soak.grown("rss_mb", [(0, 10.0), (1, 30.0), *level[2:]], 20).has_grown
    with pytest.raises(ValueError, match="a third without"):
        soak.grown("rss_mb", level[:3], 20)
