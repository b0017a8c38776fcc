"""How `top` looks: at every size, in every state, with whatever texts."""

import re
from collections import Counter

import attrs
import pytest
from rich.cells import cell_len
from running import EVIL

from trio_cursor.cli.output import Style
from trio_cursor.cli.top_facts import Facts
from trio_cursor.cli.top_table import ORDERS, ago
from trio_cursor.cli.top_text import View, picture, scrolled
from trio_cursor.records import Event

PLAIN = Style(is_on=False)
NOW = 1_760_000_000_000
NASTY = f"{EVIL}\x9b31m\r\nこれは\u200b語🙂" * 9


def workspace(name, *, status="synced", sessions=1, changed=60, generations=3):
    return {
        "workspace_id": name,
        "workspace_hash": None,
        "workspace_path": f"/home/dev/{name}",
        "status": status,
        "sessions": [{"id": "s", "source": "redis", "started_at": NOW}] * sessions,
        "last_activity": None if changed is None else NOW - changed * 1000,
        "last_error": None,
        "generations": generations,
    }


def output(name="redis", *, state="connected", lag=0):
    return {"name": name, "state": state, "lag": lag, "last_error": None}


def status(**changes):
    known = {
        "state": "running",
        "version": "0.1.0",
        "started_at": NOW - 5000,
        "first_pass_done": True,
        "progress": [3, 3],
        "pending": 0,
        "alarms": [],
        "outputs": [output()],
        "workspaces": [
            workspace("site", changed=400),
            workspace("shop", changed=5),
            workspace("attic", sessions=0, changed=1),
        ],
    }
    return {**known, **changes}


def event(number=1, prompt="Why?", path="/home/dev/site"):
    return Event(
        sequence=number,
        event_id=f"e{number}",
        timestamp=NOW,
        session_id="s",
        metadata={"workspace_path": path},
        payload={"prompt_text": f"{prompt} {number}", "generation_type": "chat"},
    )


def facts(**changes):
    known = Facts(
        now_ms=NOW,
        directory="/state",
        service="running",
        trouble=None,
        silent_ms=0,
        status=status(),
        log_trouble=None,
        minute=Counter({"site": 2}),
        hour=Counter({"site": 2, "shop": 30}),
        by_minute=[0] * 58 + [30, 2],
        newest=[event(number) for number in range(1, 6)],
    )
    return attrs.evolve(known, **changes)


def shown(found=None, view=None, width=100, height=30, **changes):
    return picture(found or facts(**changes), view or View(), PLAIN, width, height)


def names(lines):
    head = next(number for number, line in enumerate(lines) if line.startswith("WORKSPACE"))
    rows = []
    for line in lines[head + 1 :]:
        if not line.startswith("/"):
            break
        rows.append(line.split()[0].rpartition("/")[2])
    return rows


def test_it_tells_health_rates_outputs_workspaces_and_the_newest_first():
    text = "\n".join(shown())
    assert "trio_cursor well" in text
    assert "2 in the last minute  32 in the last hour" in text
    assert "up to date: redis" in text
    assert re.search(r"/home/dev/shop +synced +1 +- +30 +3 +5 s", text)
    assert text.index("Why? 5") < text.index("Why? 1")
    assert text.splitlines()[-1].startswith("q quit  s by activity")


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("activity", ["shop", "site", "attic"]),  # nobody is in the attic any more
        ("rate", ["site", "shop", "attic"]),
        ("name", ["attic", "shop", "site"]),
    ],
)
def test_rows_can_be_in_three_orders(order, expected):
    assert names(shown(view=View(order))) == expected


def test_the_orders_follow_each_other_and_begin_at_the_top():
    view = View(first=2)
    seen = [(view := view.reordered()) for _ in ORDERS]
    assert [item.order for item in seen] == ["rate", "name", "activity"]
    assert {item.first for item in seen} == {0}


@pytest.mark.parametrize("width", [1, 2, 5, 19, 24, 35, 39, 55, 60, 79, 119, 250])
@pytest.mark.parametrize("height", [1, 2, 3, 5, 6, 7, 9, 11, 15, 23, 60])
@pytest.mark.parametrize("service", ["running", "silent", "none", "unknown"])
def test_it_fits_every_terminal_and_nothing_in_it_moves_the_cursor(width, height, service):
    found = facts(
        service=service,
        trouble=NASTY if service == "unknown" else None,
        status=None
        if service in ("none", "unknown")
        else status(
            alarms=[NASTY, "second " * 40, "third"],
            outputs=[output(NASTY, state=NASTY, lag=10**15), output()],
            workspaces=[workspace(NASTY, status=NASTY, generations=10**12), workspace("b"), workspace("c")],
            pending=10**9,
        ),
        newest=[event(number, NASTY, NASTY) for number in range(9)],
        directory=NASTY,
    )
    lines = shown(found, View(first=1), width, height)
    assert 1 <= len(lines) <= height
    assert max(map(cell_len, lines)) <= width
    assert all(line.isprintable() for line in lines)


def test_colours_change_nothing_but_colours():
    found = facts(status=status(alarms=["x"], workspaces=[workspace("site", status="locked")]))
    coloured = picture(found, View(), Style(is_on=True), 80, 24)
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in coloured] == shown(found, width=80, height=24)
    assert "\x1b[31m" in "".join(coloured)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"service": "none", "status": None}, "trio_cursor not running"),
        ({"service": "none", "status": None}, "! no service runs on /state; start one with `run`. Waiting"),
        ({"service": "none", "status": None, "log_trouble": "no event log"}, "! no event log"),
        ({"service": "unknown", "status": None, "trouble": "cannot be looked at"}, "! cannot be looked at"),
        ({"service": "running", "status": None}, "trio_cursor starting"),
        ({"service": "silent", "silent_ms": 17_400}, "! the service has not said anything for 17 s"),
        ({"log_trouble": "no event log in /state yet"}, "! no event log in /state yet"),
        ({"status": status(alarms=["a", "b"])}, "trio_cursor 2 alarms"),
        ({"status": status(state="disabled", workspaces=[])}, "trio_cursor disabled"),
        ({"status": status(first_pass_done=False, progress=[3, 1200])}, "first sync, 3 of 1,200"),
        ({"status": status(started_at=None)}, "well  3 watched"),
        ({"status": status(pending=7)}, "7 in flight"),
        ({"status": status(outputs=[output(lag=1200)])}, "1,200 behind: redis"),
        ({"status": status(outputs=[output(state="error", lag=3)])}, "3 behind, error: redis"),
        ({"status": status(outputs=[output("json_lines:/a/b/c.jsonl")])}, "up to date: json_lines:c.jsonl"),
        ({"status": status(outputs=[output("json_lines:C:\\a\\c.jsonl")])}, "date: json_lines:c.jsonl"),
        ({"status": status(workspaces=[workspace("x", changed=None, sessions=0)])}, "  -"),
    ],
)
def test_every_state_has_its_words(changes, said):
    assert said in "\n".join(shown(**changes))


def test_of_many_alarms_the_first_ones_are_shown_and_the_rest_is_counted():
    lines = shown(status=status(alarms=[f"alarm number {number}" for number in range(9)]), height=20)
    assert [line for line in lines if line.startswith("!")] == [
        "! alarm number 0",
        "! alarm number 1",
        "! alarm number 2",
        "! and 6 more: `status` has them",
    ]


def test_an_alarm_that_is_alone_may_be_longer_than_a_line():
    lines = shown(status=status(alarms=["one two three four five"]), width=15, height=20)
    assert lines[1:3] == ["! one two three", "  four five"]


def test_on_a_low_terminal_an_output_is_told_of_only_if_it_is_behind():
    assert "up to date" not in "\n".join(shown(height=10))
    assert "4 behind: redis" in "\n".join(shown(status=status(outputs=[output(lag=4)]), height=10))


def test_what_does_not_fit_can_be_scrolled_to():
    many = facts(status=status(workspaces=[workspace(f"w{number:02}") for number in range(30)]), newest=[])
    view = scrolled(many, View("name"), 5)
    lines = shown(many, view, height=14)
    assert names(lines)[0] == "w05"
    assert lines[-1].endswith("↑↓ 6 to 14 of 30")
    end = shown(many, scrolled(many, view, 1000), height=14)
    assert names(end)[-1] == "w29"
    assert len(names(end)) == len(names(lines))
    assert scrolled(many, view, -1000).first == 0


def test_where_paths_do_not_fit_names_stand_for_them():
    [row] = [line for line in shown(width=30) if "shop" in line]
    assert row.startswith("shop ")


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(-5, "now"), (999, "now"), (1000, "1 s"), (119_999, "1 min"), (7_300_000, "2 h"), (10**12, "11,574 d")],
)
def test_what_is_past_is_told_in_a_word(milliseconds, words):
    assert ago(milliseconds) == words
