"""`stats`: as text, as one JSON object and as CSV; what is unknown, hostile, or not there."""

import csv
import io
import json
import re
from contextlib import closing

import pytest
from rich.cells import cell_len
from running import EVIL, SAFE, on_terminal
from scans import uuid
from small_logs import NOW, generation, spoil, write_log

from trio_cursor.cli import main
from trio_cursor.cli.csv_cells import guarded, harmless_cell
from trio_cursor.cli.output import Style
from trio_cursor.cli.stats_text import stats_lines
from trio_cursor.eventlog import open_for_writing
from trio_cursor.figures import Fact, figures_of
from trio_cursor.records import Gap, Workspace

pytestmark = pytest.mark.usefixtures("home")

PLAIN = Style(is_on=False)
DAY_MS = 86_400_000
SHOP = Workspace("/c/b2/state.vscdb", "/c", "b2", path="/home/dev/shop", hash="fedcba9876543210")


def write_three(state):
    write_log(
        state,
        generation(uuid(1), model="sonnet", tokens_used=10, prompt_tokens=4, duration_ms=2500),
        generation(uuid(2), model="sonnet", status="aborted", generation_type="cmdk"),
        generation(uuid(3), workspace=SHOP, tokens_used=0, timestamp=NOW - 3 * DAY_MS),
        gaps=[Gap("ring", "missed", None, NOW)],
    )


def as_json(capsys, state, *words):
    assert main(["stats", "--utc", "--json", "--state-dir", str(state), *words]) == 0
    out, err = capsys.readouterr()
    assert (out.count("\n"), err) == (1, "")
    return json.loads(out)


def as_text(state, *words):
    code, text = on_terminal("stats", "--no-color", "--state-dir", str(state), *words)
    assert code == 0
    return text


def test_one_object_has_totals_and_every_distribution(capsys, state):
    write_three(state)
    found = as_json(capsys, state)
    assert (found["generations"], found["sessions"], found["time_zone"]) == (3, 1, "UTC")
    assert (found["first_timestamp"], found["last_timestamp"]) == (NOW - 3 * DAY_MS, NOW - 60_000)
    assert found["tokens_used"] == {"total": 10, "known": 2, "of": 3}
    assert found["prompt_tokens"] == {"total": 4, "known": 1, "of": 3}
    assert found["completion_tokens"] == {"total": None, "known": 0, "of": 3}
    assert found["duration_ms"] == {
        "known": 1,
        "of": 3,
        "total": 2500,
        "median": 2500,
        "percentile_90": 2500,
        "longest": 2500,
    }
    assert found["by_model"] == [
        {"model": "sonnet", "generations": 2, "tokens_used": {"total": 10, "known": 1, "of": 2}},
        {"model": None, "generations": 1, "tokens_used": {"total": 0, "known": 1, "of": 1}},
    ]
    assert [(row["workspace"], row["generations"]) for row in found["by_workspace"]] == [
        ("/home/dev/site", 2),
        ("/home/dev/shop", 1),
    ]
    assert [row["generations"] for row in found["by_day"]] == [1, 2]
    assert sum(row["generations"] for row in found["by_hour"]) == 3
    assert sum(sum(row["by_hour"]) for row in found["by_weekday"]) == 3
    assert [row for row in found["by_duration"] if row["generations"]] == [
        {"from_ms": 2000, "below_ms": 5000, "generations": 1}
    ]
    assert found["by_duration"][-1]["below_ms"] is None
    assert {row["status"]: row["generations"] for row in found["by_status"]} == {"completed": 2, "aborted": 1}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--since", "2d"], 2),
        (["--workspace", "shop"], 1),
        (["--session", "scan_a1"], 3),
        (["--since", "2d", "--workspace", "site"], 2),
    ],
)
def test_a_window_is_chosen_as_by_events(capsys, state, words, expected):
    write_three(state)
    assert as_json(capsys, state, *words)["generations"] == expected


def test_one_distribution_can_be_asked_for_alone(capsys, state):
    write_three(state)
    found = as_json(capsys, state, "--by", "type")
    assert [name for name in found if name.startswith("by_")] == ["by_type"]
    text = as_text(state, "--by", "type")
    assert re.findall("^by .*", text, re.MULTILINE) == ["by type"]


def test_csv_has_a_row_for_each_group(capsys, state):
    write_three(state)
    assert main(["stats", "--csv", "--utc", "--state-dir", str(state)]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["by", "key", "generations", "tokens", "tokens_known_of"]
    assert ["model", "sonnet", "2", "10", "1"] in rows
    assert ["model", "", "1", "0", "1"] in rows
    assert ["type", "cmdk", "1", "", "0"] in rows  # not known is no 0
    assert ["duration", "2000", "1", "", ""] in rows
    assert len([row for row in rows if row[0] == "weekday"]) == 7 * 24
    assert len([row for row in rows if row[0] == "hour"]) == 24


def test_on_a_terminal_everything_is_in_aligned_tables(state):
    write_three(state)
    text = as_text(state, "--utc")
    assert text.startswith("3 generations in 1 session, ")
    assert "(UTC)" in text
    assert "  tokens        10 (known of 2 of 3)\n    prompt      4 (known of 1 of 3)\n" in text
    assert "median 2.5 s, 90 % within 2.5 s, longest 2.5 s (known of 1 of 3)" in text
    assert re.search(r"^  lines         not given$", text, re.MULTILINE)
    assert re.search(r"^  sonnet     2 +10 tokens of 1  █+$", text, re.MULTILINE)
    assert re.search(r"^  cmdk       1 +tokens not given  █+$", text, re.MULTILINE)
    assert re.search(r"^  not known  1 ", text, re.MULTILINE)
    assert "by weekday and hour" in text


@pytest.mark.parametrize("width", [34, 40, 80, 120])
def test_nothing_is_wider_than_the_terminal_and_nothing_can_harm(width):
    facts = [
        Fact(1, NOW, EVIL, f"/home/{EVIL}/日本語プロジェクト{number}", EVIL, EVIL, EVIL, 5, *[10**12] * 6)
        for number in range(40)
    ]
    text = "\n".join(stats_lines(figures_of(facts, None), "local time", None, PLAIN, width))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", text)
    assert SAFE in text or width < 80
    assert max(map(cell_len, text.split("\n"))) <= width
    assert "(the first 8 of 21)" in text


def test_a_long_time_is_cut_to_the_last_days_unless_it_is_asked_for(state):
    write_log(state, *(generation(uuid(n), timestamp=NOW - n * DAY_MS) for n in range(20)))
    assert "by day (the last 14 of 20)" in as_text(state, "--utc")
    whole = as_text(state, "--utc", "--by", "day")
    assert len(re.findall(r"^  \d{4}-\d\d-\d\d ", whole, re.MULTILINE)) == 20


def test_one_clock_that_was_wrong_gives_no_million_lines(state):
    write_log(state, generation(uuid(1)), generation(uuid(2), timestamp=253_000_000_000_000))
    text = as_text(state, "--utc", "--by", "day")
    assert len(re.findall(r"^  \d{4}-\d\d-\d\d +1 ", text, re.MULTILINE)) == 2


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([(5, 1), (2, 0)], "+7 -1"),
        ([(5, 1), (None, None)], "+5 -1 (known of 1 of 2)"),
        ([(5, None)], "added 5, removed not given"),
        ([(5, None), (None, 4), (None, 0)], "added 5 (known of 1 of 3), removed 4 (known of 2 of 3)"),
        ([(None, None)], "not given"),
    ],
)
def test_lines_are_told_as_far_as_each_sum_is_known(lines, told):
    facts = [Fact(1, NOW, "s", None, None, None, None, None, *[None] * 4, *both) for both in lines]
    text = "\n".join(stats_lines(figures_of(facts, None), "UTC", None, PLAIN, 80))
    assert f"  lines         {told}\n" in text


def test_a_time_that_no_calendar_has_is_told_as_such():
    fact = Fact(1, 10**18, "s", *[None] * 11)
    text = "\n".join(stats_lines(figures_of([fact], None), "UTC", None, PLAIN, 80))
    assert "without time  1 of them" in text
    assert "by day\n  not given" in text


@pytest.mark.parametrize("command", ["stats", "plot", "export"])
def test_an_empty_or_missing_log_is_no_error(capsys, state, tmp_path, command):
    with closing(open_for_writing(state)):
        pass
    for directory, hint in ((state, ""), (tmp_path / "no", "; there is no event log yet: `run` makes one")):
        assert main([command, "--state-dir", str(directory)]) == 0
        out, err = capsys.readouterr()
        assert (out, err) == ("", f"no events in {directory}{hint}\n")


@pytest.mark.parametrize("command", ["stats", "plot", "export"])
def test_nothing_that_matches_is_said_as_by_events(capsys, state, command):
    write_three(state)
    assert main([command, "--workspace", "shop", "--since", "1d", "--state-dir", str(state)]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"no events that match in {state}\n")


@pytest.mark.parametrize("command", ["stats", "plot", "export"])
def test_what_is_no_event_is_named_once(capsys, state, command):
    write_three(state)
    spoil(state, "seq = 2")
    assert main([command, "--state-dir", str(state)]) == 0
    assert capsys.readouterr().err == "passed over: #2 of the event log cannot be understood\n"


@pytest.mark.parametrize("command", ["stats", "plot", "export"])
def test_a_damaged_log_fails_in_one_line(capsys, state, command):
    write_three(state)
    with closing(open_for_writing(state)) as connection:
        connection.execute("DROP TABLE events")
    assert main([command, "--state-dir", str(state)]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "cannot be read (no such table: events)" in err


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "  =1", "\r", "＝1"])  # noqa: RUF001 - meant
def test_a_formula_is_a_text_in_a_table(text):
    assert guarded(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a=1", "/home", "1", "'="])
def test_other_texts_stay_as_they_are(text):
    assert guarded(text) == text


def test_a_name_in_a_table_does_nothing_on_a_terminal():
    assert harmless_cell(f"={EVIL}") == f"'={SAFE}"
