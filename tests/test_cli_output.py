"""How things read on a terminal: widths, colours, and nothing that a prompt could do to it."""

import io
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from trio_cursor.cli.output import (
    Style,
    clock,
    cut,
    event_in_full,
    event_line,
    padded,
    plural,
    printable,
    size,
    table,
    terminal_width,
)
from trio_cursor.events import GAP_TYPE
from trio_cursor.records import Event

PLAIN = Style(is_on=False)
NOW = 1_760_000_000_000


class TerminalText(io.StringIO):
    """A terminal that remembers what it was sent."""

    def isatty(self):
        return True


def event(prompt="Explain this", answer=None, *, path="/home/ada/site", kind="chat", **payload):
    return Event(
        sequence=1,
        event_id="e",
        timestamp=NOW,
        session_id="s",
        metadata={"workspace_path": path, "workspace_id": "id"},
        payload={"generation_type": kind, "prompt_text": prompt, "response_text": answer, **payload},
    )


# -- Text that only shows ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, größer 日本語 🙂", "plain text, größer 日本語 🙂"),
        ("\x1b[31mred\x1b[0m", "\\u001b[31mred\\u001b[0m"),
        ("\x1b]0;title\x07", "\\u001b]0;title\\u0007"),
        ("\x9b31m", "\\u009b31m"),  # the same escape in one character
        ("a\x00b\x7f", "a\\u0000b\\u007f"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("a\u2028b", "a\\u2028b"),
        ("one\ntwo\tthree\r", "one⏎two three"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("dangling\u200d", "dangling\\u200d"),
    ],
)
def test_controls_and_marks_of_direction_stand_as_their_codes(text, shown):
    assert printable(text) == shown


def test_lines_stay_lines_where_several_are_wanted():
    assert printable("a\nb\x07", multiline=True) == "a\nb\\u0007"


@given(st.text(st.characters(exclude_categories=[]) | st.sampled_from("\x1b\u202e\ud800\r\n")))
def test_nothing_that_moves_the_cursor_or_turns_the_text_is_ever_printed(text):
    shown = printable(text)
    assert not {unicodedata.category(char) for char in shown if char not in "\u200c\u200d"} & {
        "Cc", "Cf", "Cs", "Zl", "Zp",
    }  # fmt: skip


@given(st.text() | st.text("ab 語🙂\u200d\u200c\ufe0f\u0301👩❤"), st.integers(1, 30))
def test_a_cut_text_fits_and_a_padded_one_fills_its_column(text, cells):
    shown = printable(text)
    assert cell_len(cut(shown, cells)) <= cells
    assert cell_len(padded(shown, cells)) == cells


def test_a_text_that_fits_is_not_cut():
    assert cut("日本", 4) == "日本"
    assert cut("日本語", 5) == "日本…"
    assert cut("日本語", 4) == "日…"


# -- Lines ---------------------------------------------------------------------------------------------


def test_a_line_tells_when_where_what_and_the_first_words():
    line = event_line(event(), PLAIN)
    assert line == f"{clock(NOW)}  site              chat      Explain this"


def test_a_line_tells_answer_model_and_tokens_if_they_are_known():
    line = event_line(event("Why?", "Because.", model="sonnet", tokens_used=1200), PLAIN)
    assert line.endswith("Why?  → Because.  [sonnet]  1200 tokens")
    assert "unknown" not in event_line(event(model="unknown"), PLAIN)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/home/ada/größer", "größer"),
        ("C:\\work\\site", "site"),
        ("/", "/"),
        ("/home/ada/a-very-long-name-of-a-folder", "a-very-long-nam…"),
        ("/home/\x1b[J", "\\u001b[J"),
    ],
)
def test_a_workspace_is_shown_by_the_name_of_its_folder(path, shown):
    assert event_line(event(path=path), PLAIN).split("  ")[1] == shown


@pytest.mark.parametrize(
    "place",
    [{"workspace_path": None, "workspace_id": "4f2a"}, {"workspace_path": None, "workspace_id": None}],
)
def test_a_workspace_without_a_folder_is_shown_by_its_id_and_the_global_one_as_such(place):
    shown = Event(
        sequence=1, event_id="e", timestamp=NOW, session_id="s", metadata=place, payload={"prompt_text": "?"}
    )
    assert (place["workspace_id"] or "global") in event_line(shown, PLAIN)


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize(
    "prompt", ["x" * 10_000, "語" * 5000, "🙂 " * 3000, "\x1b[31m" * 2000, "a\n" * 500, None]
)
@pytest.mark.parametrize("answer", [None, "y" * 9000, "短い答え" * 900, "yes"])
def test_a_line_fits_its_terminal(width, prompt, answer):
    line = event_line(event(prompt, answer, model="m" * 90, tokens_used=12), PLAIN, width)
    assert cell_len(line) <= width
    assert "\n" not in line


def test_on_a_narrow_terminal_the_prompt_goes_before_everything_else():
    line = event_line(event("p" * 90, "answer", model="sonnet", tokens_used=5), PLAIN, 60)
    assert line.endswith("ppppppppp…")
    assert cell_len(line) <= 60


def test_an_answer_without_a_prompt_has_the_line_to_itself():
    line = event_line(event(None, "y" * 90), PLAIN, 100)
    assert "chat      → yyy" in line
    assert cell_len(line) == 100


def test_without_any_words_the_line_says_so():
    assert event_line(event(None), PLAIN).endswith("  (no prompt)")
    assert event_line(event(None), PLAIN, 80).endswith("  (no prompt)")


def test_a_short_answer_leaves_its_room_to_the_prompt():
    line = event_line(event("p" * 300, "yes"), PLAIN, 100)
    assert line.endswith("p…  → yes")
    assert cell_len(line) == 100


def test_columns_are_aligned_behind_wide_characters():
    wide, narrow = event_line(event(path="/日本語"), PLAIN), event_line(event(path="/abc"), PLAIN)
    assert cell_len(wide.partition("chat")[0]) == cell_len(narrow.partition("chat")[0])


def test_a_gap_is_told_with_what_is_missing():
    gap = Event(
        sequence=1,
        event_id="e",
        timestamp=NOW,
        session_id="s",
        metadata={"workspace_path": "/a/site"},
        payload={"detail": "the ring rolled on " * 20},
        event_type=GAP_TYPE,
    )
    assert "gap  the ring rolled on" in event_line(gap, PLAIN)
    assert 70 < cell_len(event_line(gap, PLAIN, 80)) <= 80


def test_in_full_every_line_of_prompt_and_answer_is_there_and_harmless():
    text = event_in_full(event("one\ntwo\x1b[2J", "three"), PLAIN)
    assert text.splitlines()[1:] == ["  prompt:", "    one", "    two\\u001b[2J", "  answer:", "    three"]


def test_in_full_without_texts_is_the_line():
    assert event_in_full(event(None), PLAIN, 80) == event_line(event(None), PLAIN, 80)


# -- Colours -------------------------------------------------------------------------------------------


def test_colours_are_for_terminals():
    assert Style.of(TerminalText(), no_color=False, environ={})("red", "x") == "\x1b[31mx\x1b[0m"
    assert Style.of(io.StringIO(), no_color=False, environ={})("red", "x") == "x"


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_switched_off(environ):
    assert not Style.of(TerminalText(), no_color=False, environ=environ).is_on
    assert not Style.of(TerminalText(), no_color=True, environ={}).is_on


def test_an_empty_no_color_says_nothing():
    assert Style.of(TerminalText(), no_color=False, environ={"NO_COLOR": ""}).is_on


def test_a_coloured_line_differs_by_its_colours_only():
    coloured = event_line(event("Why?", "Because."), Style(is_on=True), 80)
    for code in ("2", "33", "36", "0"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured == event_line(event("Why?", "Because."), PLAIN, 80)


# -- Numbers, times, tables ----------------------------------------------------------------------------


def test_the_clock_shows_the_date_only_of_other_days():
    local = time.localtime(NOW / 1000)
    assert clock(NOW, NOW) == time.strftime("%H:%M:%S", local)
    assert clock(NOW, NOW + 3 * 86_400_000) == time.strftime("%Y-%m-%d %H:%M:%S", local)


def test_a_time_beyond_the_calendar_is_shown_as_it_is():
    assert clock(10**20) == f"{10**20} ms"


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (205_312_000, "205 MB"),
        (5 * 10**12, "5000 GB"),
    ],
)
def test_sizes_are_for_people(number, shown):
    assert size(number) == shown


def test_one_is_singular():
    assert [plural(number, "event") for number in (0, 1, 2000)] == ["0 events", "1 event", "2,000 events"]
    assert plural(2, "entry", "entries") == "2 entries"


def test_a_table_is_aligned_by_what_characters_take_on_the_screen():
    lines = table(["name", "value", ""], [["日本語", "1", "long " * 9], ["ab", "22", ""]])
    found = zip(lines, ["value", "1", "22"], strict=True)
    assert [cell_len(line[: line.index(value)]) for line, value in found] == [8, 8, 8]
    assert all(line == line.rstrip() for line in lines)


def test_the_width_is_the_terminals(monkeypatch):
    monkeypatch.setenv("COLUMNS", "123")
    assert terminal_width() == 123
