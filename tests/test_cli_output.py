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
    ending,
    in_wait,
    indented,
    moment,
    padded,
    passed_over,
    plural,
    printable,
    size,
    span,
    table,
    terminal_width,
    wrapped,
)

NOW = 1_760_000_000_000


class TerminalText(io.StringIO):
    """A terminal that remembers what it was sent."""

    def isatty(self):
        return True


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


def test_what_is_indented_by_tabs_stays_so_where_lines_stay_lines():
    assert printable("if a:\r\n\tb", multiline=True) == "if a:\n\tb"


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


@given(st.text() | st.text("ab 語🙂\u200d\u0301"), st.integers(1, 30))
def test_the_end_of_a_text_fits_and_is_its_end(text, cells):
    shown = printable(text)
    kept = ending(shown, cells)
    assert cell_len(kept) <= cells
    assert kept == shown or (kept[0] == "…" and shown.endswith(kept[1:]))


def test_of_a_path_that_is_too_long_the_end_is_shown():
    assert ending("/home/dev/site", 14) == "/home/dev/site"
    assert ending("/home/dev/site", 9) == "…dev/site"
    assert ending("日本語", 5) == "…本語"
    assert ending("日本語", 4) == "…語"
    assert ending("abc", 1) == "…"


def test_lines_after_the_first_are_indented_further():
    assert indented("one two three", 12) == ["  one two", "    three"]
    assert indented("one two three", 10, by=0) == ["one two", "  three"]


def test_a_wrapped_text_breaks_between_words_and_within_those_that_are_too_long():
    assert wrapped("one two three", 8) == ["one two", "three"]
    assert wrapped("/home/dev/site and more", 6) == ["/home/", "dev/si", "te and", "more"]
    assert wrapped("日本語", 4) == ["日本", "語"]
    assert wrapped("", 9) == [""]


@given(st.text() | st.text("ab 語🙂  "), st.integers(2, 30))
def test_a_wrapped_text_fits_and_loses_nothing_but_spaces(text, cells):
    shown = printable(text)
    lines = wrapped(shown, cells)
    assert lines
    assert max(map(cell_len, lines)) <= cells
    assert "".join("".join(lines).split()) == "".join(shown.split())


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


# -- Numbers, times, tables ----------------------------------------------------------------------------


def test_the_clock_shows_the_date_only_of_other_days():
    local = time.localtime(NOW / 1000)
    assert clock(NOW, NOW) == time.strftime("%H:%M:%S", local)
    assert clock(NOW, NOW + 3 * 86_400_000) == time.strftime("%Y-%m-%d %H:%M:%S", local)


def test_a_moment_always_has_its_date():
    assert moment(NOW) == time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(NOW / 1000))
    assert moment(10**20) == f"{10**20} ms"


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1000, "1.0 s"),
        (3249, "3.2 s"),
        (9949, "9.9 s"),
        (9950, "10 s"),
        (59_499, "59 s"),
        (59_500, "1 min"),
        (72_000, "1 min 12 s"),
        (3_599_500, "1 h"),
        (7_380_000, "2 h 3 min"),
        (4_000_000_000, "1,111 h 6 min"),
    ],
)
def test_stretches_of_time_are_for_people(milliseconds, shown):
    assert span(milliseconds) == shown


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


def test_what_waits_is_singular_or_plural():
    assert in_wait(1) == "1 generation waits for a session of its workspace"
    assert in_wait(2000) == "2,000 generations wait for a session of their workspace"


def test_a_table_is_aligned_by_what_characters_take_on_the_screen():
    lines = table(["name", "value", ""], [["日本語", "1", "long " * 9], ["ab", "22", ""]])
    found = zip(lines, ["value", "1", "22"], strict=True)
    assert [cell_len(line[: line.index(value)]) for line, value in found] == [8, 8, 8]
    assert all(line == line.rstrip() for line in lines)


def test_the_width_is_the_terminals(monkeypatch):
    monkeypatch.setenv("COLUMNS", "123")
    assert terminal_width() == 123


def test_what_was_passed_over_is_said_by_reason_and_nothing_where_nothing_was():
    assert passed_over(0, 0, [{}, {"bubble too large to read": 0}]) == ""
    skipped = [{"bubble too large to read": 2}, {"bubble too large to read": 1000, "x\x1b[31m": 1}]
    assert passed_over(3, 1, skipped) == (
        "of workspaces that are left out (3), turn that nothing names (1), "
        "bubble too large to read (1,002), x\\u001b[31m (1)"
    )
    assert passed_over(1, 0, [], 2) == (
        "of workspaces that are left out (1), of no known workspace, and no session came (2)"
    )
