"""How an event reads: on one line that fits, in full, and harmless."""

import time

import attrs
import pytest
from rich.cells import cell_len

from trio_cursor.cli.event_words import event_in_full, event_line, tool_calls
from trio_cursor.cli.output import Style, clock
from trio_cursor.events import GAP_TYPE
from trio_cursor.records import Event

PLAIN = Style(is_on=False)
NOW = 1_760_000_000_000
CALLS = [{"name": "read_file", "status": "completed"}, {"name": "edit", "status": None}]


def event(prompt="Explain this", answer=None, *, path="/home/dev/site", kind="chat", **payload):
    return Event(
        sequence=1,
        event_id="e",
        timestamp=NOW,
        session_id="s",
        metadata={"workspace_path": path, "workspace_id": "id"},
        payload={"generation_type": kind, "prompt_text": prompt, "response_text": answer, **payload},
    )


# -- Lines ---------------------------------------------------------------------------------------------


def test_a_line_tells_when_where_what_and_the_first_words():
    line = event_line(event(), PLAIN)
    assert line == f"{clock(NOW)}  site              chat      Explain this"


def test_a_line_tells_answer_model_and_tokens_if_they_are_known():
    line = event_line(event("Why?", "Because.", model="sonnet", tokens_used=1200), PLAIN)
    assert line.endswith("Why?  → Because.  [sonnet]  1200 tokens")
    assert "unknown" not in event_line(event(model="unknown"), PLAIN)


@pytest.mark.parametrize(
    ("lengths", "shown"),
    [
        ({"prompt_length": 1190, "response_length": 12}, "(1,190 → 12 characters)"),
        ({"prompt_length": 119, "response_length": None}, "(119 characters)"),
        ({"prompt_length": None, "response_length": 12}, "(→ 12 characters)"),
        ({"prompt_length": None, "response_length": None}, "(no prompt)"),
    ],
)
def test_where_no_texts_are_kept_their_lengths_are_shown(lengths, shown):
    assert event_line(event(None, **lengths), PLAIN).endswith(f"  {shown}")


def test_in_full_a_text_that_is_not_kept_is_named_by_length_and_digest():
    text = event_in_full(event(None, prompt_length=1, prompt_digest="0a1b"), PLAIN)
    assert text.splitlines()[1:] == ["  prompt:", "    1 character, not kept (digest 0a1b)"]


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/home/dev/größer", "größer"),
        ("C:\\work\\site", "site"),
        ("/", "/"),
        ("/home/dev/a-very-long-name-of-a-folder", "a-very-long-nam…"),
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


@pytest.mark.parametrize("width", [20, 35, 36, 59, 60, 80, 100, 200])
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


def test_on_a_terminal_that_is_narrower_still_kind_place_and_year_go():
    assert event_line(event(), PLAIN, 40) == f"{clock(NOW)[5:16]}  site        Explain this"
    assert event_line(event(), PLAIN, 30) == f"{clock(NOW)[5:16]}  Explain this"
    now = attrs.evolve(event(), timestamp=int(time.time() * 1000))
    assert event_line(now, PLAIN, 30) == f"{clock(now.timestamp)}  Explain this"
    gap = attrs.evolve(event(), event_type=GAP_TYPE, payload={"detail": "the ring rolled on"})
    assert event_line(gap, PLAIN, 30) == f"{clock(NOW)[5:16]}  gap  the ring ro…"


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


def test_in_full_the_tools_are_there_and_what_was_cut_says_so():
    text = event_in_full(event("one", "two", tool_calls=CALLS, truncated=["response_text"]), PLAIN)
    assert text.splitlines()[1:] == [
        *("  tools:", "    read_file completed", "    edit"),
        *("  prompt:", "    one", "  answer, cut:", "    two"),
    ]


@pytest.mark.parametrize("calls", [None, [], 7, "x", {"name": "x"}, [None, 7, "x"]])
def test_what_is_no_list_of_tool_calls_is_none(calls):
    assert tool_calls({"tool_calls": calls}) == []
    assert event_in_full(event(tool_calls=calls), PLAIN).splitlines()[1:] == ["  prompt:", "    Explain this"]


def test_the_name_of_a_tool_may_be_anything():
    calls = [{"name": "\x1b[2J\nx"}, {"status": "error"}, {"name": 7, "status": [1]}]
    assert tool_calls({"tool_calls": calls}) == ["\\u001b[2J x", "(no name) error", "(no name)"]


# -- Status, duration, tools ---------------------------------------------------------------------------


def test_a_line_tells_duration_and_number_of_tools_if_they_are_known():
    known = event("Why?", "Because.", model="m", duration_ms=3210, tokens_used=12, tool_calls=CALLS)
    assert event_line(known, PLAIN).endswith("Why?  → Because.  [m]  3.2 s  12 tokens  2 tools")
    assert event_line(event(duration_ms=None, tool_calls=None), PLAIN).endswith("Explain this")


@pytest.mark.parametrize(("status", "code"), [("aborted", "33"), ("incomplete", "33"), ("error", "31")])
def test_a_status_that_is_not_the_usual_one_is_shown_in_its_colour(status, code):
    shown = event("Why?", "Because.", status=status, model="m")
    assert event_line(shown, PLAIN).endswith(f"→ Because.  {status}  [m]")
    assert f"\x1b[{code}m{status}\x1b[0m" in event_line(shown, Style(is_on=True))


def test_the_usual_status_is_not_worth_a_word_and_an_unknown_one_is_dim():
    assert event_line(event(status="completed"), PLAIN).endswith("Explain this")
    assert event_line(event(status=None), PLAIN).endswith("Explain this")
    assert event_line(event(status="unknown", duration_ms=5), PLAIN).endswith("  5 ms  status unknown")
    assert "\x1b[2mstatus unknown\x1b[0m" in event_line(event(status="unknown"), Style(is_on=True))


def test_where_there_is_little_room_what_matters_least_goes_first_and_an_error_last():
    shown = event(
        "p" * 99, "a" * 99, status="error", model="m", duration_ms=5000, tokens_used=7, tool_calls=CALLS
    )
    before = cell_len(event_line(shown, PLAIN).partition("pp")[0])
    lines = [event_line(shown, PLAIN, before + room) for room in range(70, 9, -1)]
    ends = [line.partition("…  ")[2].rpartition("…")[2].strip() for line in lines]
    seen = list(dict.fromkeys(ends))
    assert seen == [
        "error  [m]  5.0 s  7 tokens  2 tools",
        "error  [m]  5.0 s  7 tokens",
        "error  [m]  5.0 s",
        "error  [m]",
        "error",
        "",
    ]


@pytest.mark.parametrize("width", [20, 35, 36, 59, 60, 80, 100, 200])
@pytest.mark.parametrize("status", ["error", "unknown", "\x1b[2J" * 50, 7])
@pytest.mark.parametrize("number", [10**400, -1, True, "many", None, 1.5])
def test_whatever_the_numbers_are_a_line_fits_its_terminal(width, status, number):
    shown = event("p" * 99, "a" * 99, model="m" * 90, status=status, duration_ms=number, tokens_used=number)
    line = event_line(shown, PLAIN, width)
    assert cell_len(line) <= width
    assert "\x1b" not in line


# -- Colours -------------------------------------------------------------------------------------------


def test_a_coloured_line_differs_by_its_colours_only():
    coloured = event_line(event("Why?", "Because."), Style(is_on=True), 80)
    for code in ("2", "33", "36", "0"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured == event_line(event("Why?", "Because."), PLAIN, 80)
