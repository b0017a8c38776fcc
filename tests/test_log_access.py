"""What commands that read the event log do with rows that are no events, and with names that nobody knows."""

import json
from contextlib import closing

import attrs
import pytest
from running import EVIL, SAFE, start
from small_logs import NOW, SITE, generation, spoil, write_log

from trio_cursor.cli import main
from trio_cursor.cli.events_command import LogPosition
from trio_cursor.eventlog import Filter, open_for_reading, open_for_writing

pytestmark = pytest.mark.usefixtures("home")

SAID = "passed over: #{} of the event log cannot be understood\n"


def write(directory, count):
    """So many events, at most a thousand of which share a time."""
    write_log(
        directory,
        *(generation(f"id{number}", timestamp=NOW + number // 1000) for number in range(1, count + 1)),
    )


@pytest.mark.parametrize(
    ("options", "expected", "said"),
    [
        ([], ["id1", "id3"], SAID.format(2)),
        (["-n", "1"], ["id3"], ""),
        (["-n", "2"], ["id1", "id3"], SAID.format(2)),
    ],
)
def test_events_passes_over_a_row_that_is_no_event(capsys, state, options, expected, said):
    write(state, 3)
    spoil(state, "seq = 2")
    assert main(["events", "--state-dir", str(state), *options]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["payload"]["generation_id"] for line in out.splitlines()] == expected
    assert err == said


def test_many_of_them_are_each_named_once_and_keep_nothing_back(capsys, state):
    """In slices: some of them are read again with the next slice."""
    write(state, 1200)
    spoil(state, "seq % 100 = 0")
    assert main(["events", "--state-dir", str(state)]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1200 - 12
    assert err == "".join(SAID.format(100 * number) for number in range(1, 13))


def test_a_log_with_nothing_else_has_no_events(capsys, state):
    write(state, 1)
    spoil(state, "seq = 1")
    assert main(["events", "--state-dir", str(state)]) == 0
    assert capsys.readouterr() == ("", f"{SAID.format(1)}no events in {state}\n")


def test_tail_passes_over_a_row_that_is_no_event(capsys, state):
    write(state, 9)
    spoil(state, "seq IN (3, 8)")
    with closing(open_for_reading(state)) as connection:
        every = LogPosition(connection, Filter())
        assert [event.sequence for event in every.news()] == [1, 2, 4, 5, 6, 7, 9]
        last = LogPosition(connection, Filter())
        last.leap_to_last(3)
        assert [event.sequence for event in last.news()] == [6, 7, 9]
    assert capsys.readouterr() == ("", SAID.format(3) + 2 * SAID.format(8))


def test_tail_names_it_once_however_often_it_is_read(capsys, state):
    write(state, 1200)
    spoil(state, "seq = 1200")
    with closing(open_for_reading(state)) as connection:
        position = LogPosition(connection, Filter())
        assert len(list(position.news())) == 1199
        assert position.after == 1200
    assert capsys.readouterr().err == SAID.format(1200)


def test_tail_begins_anew_with_a_log_that_was_restored_in_place(state, tmp_path):
    older = tmp_path / "older"
    older.mkdir()
    write(older, 2)
    write(state, 9)
    with closing(open_for_reading(state)) as connection:
        position = LogPosition(connection, Filter())
        assert len(list(position.news())) == 9
        with closing(open_for_reading(older)) as copy, closing(open_for_writing(state)) as restored:
            copy.backup(restored)
        assert [event.sequence for event in position.news()] == [1, 2]
        write_log(state, generation("id3"))
        assert [event.sequence for event in position.news()] == [3]


# -- Names that nobody knows -----------------------------------------------------------------------------

READING = pytest.mark.parametrize("command", ["events", "stats", "plot", "export"])


@READING
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workspace", "stie"], "workspace in {}: stie; did you mean site?"),
        (
            ["--workspace", "/home/dev/sites"],
            "workspace in {}: /home/dev/sites; did you mean /home/dev/site?",
        ),
        (["--workspace", f"0000{EVIL}"], f"workspace in {{}}: 0000{SAFE}"),
        (["--session", "scan_a2"], "session in {}: scan_a2; did you mean scan_a1?"),
        (["--session", "0000", "--workspace", "site"], "session in {}: 0000"),
    ],
)
def test_a_workspace_or_session_that_nobody_knows_is_a_mistake(capsys, state, command, words, said):
    write(state, 2)
    assert main([command, *words, "--since", "1d", "--state-dir", str(state)]) == 1
    assert capsys.readouterr() == ("", f"trio_cursor: no such {said.format(state)}\n")


@READING
def test_one_that_is_known_may_have_nothing_in_the_window(capsys, state, command):
    write_log(state, generation("id1", timestamp=NOW - 7_200_000))
    for words in (["--workspace", "site"], ["--session", "scan_a1"]):
        assert main([command, *words, "--since", "1h", "--state-dir", str(state)]) == 0
        assert capsys.readouterr() == ("", f"no events that match in {state}\n")


@READING
def test_in_an_empty_log_everything_is_unknown_and_nothing_a_mistake(capsys, state, command):
    with closing(open_for_writing(state)):
        pass
    assert main([command, "--workspace", "site", "--state-dir", str(state)]) == 0
    assert capsys.readouterr() == ("", f"no events that match in {state}\n")


def test_tail_waits_for_a_workspace_that_may_come(state):
    write(state, 1)
    with start("tail", "--workspace", "later", "--state-dir", state) as process:
        place = attrs.evolve(SITE, id="b2", path="/home/dev/later")
        write_log(state, generation("id9", workspace=place))
        assert json.loads(process.stdout.readline())["payload"]["generation_id"] == "id9"
        process.terminate()
        process.wait(60)
