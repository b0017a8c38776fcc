"""What all commands that read the event log do with rows that are no events: name each once, and go on."""

import json
from contextlib import closing

import pytest
from small_logs import NOW, generation, spoil, write_log

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
