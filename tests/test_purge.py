"""`purge`: what goes, what stays, who is asked, and that nothing of it is ever reported again."""

import contextlib
import io
import json
import sys
from contextlib import closing
from datetime import datetime

import pytest
import trio
from log_events import entry
from running import TerminalText
from scans import NOW_MS, uuid
from small_logs import HOSTS, NOW, generation, write_log

from trio_cursor import page_index
from trio_cursor.cli import main, purge_command
from trio_cursor.eventlog import (
    FILE_NAME,
    Filter,
    open_event_log,
    open_for_reading,
    open_for_writing,
    plan_purge,
    purge,
    read_log,
    transaction,
)
from trio_cursor.records import Gap, Workspace
from trio_cursor.state_dir import held

pytestmark = pytest.mark.usefixtures("home")

HOUR = 3_600_000
DAY_MS = 24 * HOUR
SHOP = Workspace("/c/b2/state.vscdb", "/c", "b2", path="/home/dev/shop", hash="fedcba9876543210")
PATIENCE = 30


def write_days(state, number=4):
    """One generation of each day until now, the last one of another workspace; and a gap record of now."""
    days = [generation(uuid(n), timestamp=NOW - n * DAY_MS - 60_000) for n in range(number - 1, 0, -1)]
    write_log(state, *days, generation(uuid(0), workspace=SHOP), gaps=[Gap("ring", "missed", None, NOW)])


def purged(state, *words, code=0):
    assert main(["purge", "--state-dir", str(state), *words]) == code


def left(state):
    return [event.sequence for event in read_log(state, Filter(event_type=None))]


def add_output(state, name, sequence):
    with closing(open_for_writing(state)) as connection, transaction(connection):
        connection.execute("INSERT INTO cursors VALUES (?, ?, '')", (name, sequence))


# -- What goes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--before", "36h"], [3, 4, 5]),
        (["--before", datetime.fromtimestamp((NOW - 36 * HOUR) / 1000).isoformat()], [3, 4, 5]),  # noqa: DTZ006 - local
        (["--workspace", "shop"], [1, 2, 3, 5]),
        (["--workspace", "site", "--before", "36h"], [3, 4, 5]),
        (["--session", "scan_a1", "--before", "60h"], [2, 3, 4, 5]),
        (["--session", "scan_a1"], []),
        (["--all"], []),
        (["--before", "9d"], [1, 2, 3, 4, 5]),
    ],
)
def test_what_is_asked_for_goes_and_the_rest_stays(state, words, expected):
    write_days(state)
    purged(state, "--yes", *words)
    assert left(state) == expected


def test_it_says_how_many(capsys, state):
    write_days(state)
    purged(state, "--yes", "--json", "--before", "36h")
    out, err = capsys.readouterr()
    assert json.loads(out) == {"deleted": 2, "kept_for_outputs": 0}
    assert err == "2 records deleted; nothing of it will be reported again\n"
    purged(state, "--yes", "--json", "--before", "36h")
    out, err = capsys.readouterr()
    assert json.loads(out) == {"deleted": 0, "kept_for_outputs": 0}
    assert err == f"nothing to delete in {state}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say what: --before WHEN"),
        (["--all", "--workspace", "x"], "or --all alone"),
        (["--all", "--before", "1d"], "or --all alone"),
    ],
)
def test_what_to_delete_has_to_be_said(capsys, state, words, said):
    write_days(state)
    purged(state, "--yes", *words, code=2)
    assert said in capsys.readouterr().err
    assert len(left(state)) == 5


@pytest.mark.parametrize("when", ["2026", "30", "all", "yesterday", "", "2026-13-01", "9" * 40])
def test_a_moment_that_is_none_is_refused(capsys, when):
    with pytest.raises(SystemExit) as ended:
        main(["purge", "--before", when])
    assert ended.value.code == 2
    assert "is neither a duration nor a date" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--workspace", "elsewhere"], ["--session", "nobody"]])
def test_what_is_unknown_fails(capsys, state, words):
    write_days(state)
    purged(state, "--yes", *words, code=1)
    kind, name = words[0].removeprefix("--"), words[1]
    assert capsys.readouterr().err == f"trio_cursor: no such {kind} in {state}: {name}\n"
    assert len(left(state)) == 5


def test_without_a_log_there_is_nothing_to_do_and_none_is_made(capsys, tmp_path):
    purged(tmp_path / "no", "--all", "--yes")
    assert "there is no event log yet" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


# -- Which workspace is meant ----------------------------------------------------------------------------


def write_places(state, *paths, **fields):
    """A generation of each."""
    places = [
        Workspace(f"/c/{n}/state.vscdb", "/c", f"w{n}", path=path, hash=f"{n:016x}")
        for n, path in enumerate(paths)
    ]
    write_log(state, *(generation(uuid(n), workspace=place, **fields) for n, place in enumerate(places)))


API, RAPID, SUB, OTHER = "/home/u/api", "/home/u/rapid-site", "/home/u/api/sub", "/srv/api"


@pytest.mark.parametrize(
    ("paths", "name", "gone"),
    [
        ([API, RAPID, SUB], "api", API),
        ([API, RAPID, SUB], API, API),
        ([API, RAPID, SUB], f"{API}/", API),
        ([API, OTHER], API, API),
        ([API, RAPID], "rapid", RAPID),
        ([API, RAPID], "w0", API),
        ([API, RAPID], f"{0:016x}", API),
        (["c:\\u\\api", "c:\\u\\api2"], "api", "c:\\u\\api"),
    ],
)
def test_a_workspace_that_is_called_so_goes_and_none_that_only_sounds_like_it(
    capsys, state, paths, name, gone
):
    write_places(state, *paths, *paths)  # twice: under another id
    purged(state, "--workspace", name, "--yes", "--json")
    is_by_path = not name.startswith(("w", "0"))
    out, err = capsys.readouterr()
    assert json.loads(out)["workspaces"] == [{"workspace": gone, "records": 1 + is_by_path}]
    assert err.startswith(f"{1 + is_by_path} of {gone}\n")
    kept = [event.metadata["workspace_path"] for event in read_log(state, Filter())]
    assert sorted(kept) == sorted([path for path in paths if path != gone] * 2 + [gone] * (not is_by_path))


@pytest.mark.parametrize("paths", [[API, OTHER], ["/home/u/apis", RAPID], [API, OTHER, SUB]])
@pytest.mark.parametrize("words", [["--yes"], []])
def test_a_name_that_may_mean_several_is_refused_where_nobody_is_asked(
    capsys, state, monkeypatch, paths, words
):
    write_places(state, *paths)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    # Also if only one of them has anything that old.
    write_places(state, paths[0], key="older", timestamp=NOW - 9 * DAY_MS)
    purged(state, "--workspace", "api", "--before", "5d", "--json", *words, code=1)
    out, err = capsys.readouterr()
    expected = {path: int(path == paths[0]) for path in sorted(paths)}
    assert err.splitlines() == [
        *(f"{count} of {path}" for path, count in expected.items()),
        f"trio_cursor: purge: api may mean {len(paths)} workspaces; name one by its whole path",
    ]
    assert json.loads(out) == {
        "deleted": 0,
        "kept_for_outputs": 0,
        "workspaces": [{"workspace": path, "records": count} for path, count in expected.items()],
    }
    assert len(left(state)) == len(paths) + 1


@pytest.mark.parametrize("name", ["api", "/code/api"])
def test_the_same_path_on_several_hosts_is_several_workspaces(capsys, state, name):
    write_log(state, *(generation(uuid(n), workspace=place) for n, place in enumerate(HOSTS)))
    purged(state, "--workspace", name, "--yes", code=1)
    remote = [place.uri for place in HOSTS[:2]]
    assert capsys.readouterr().err.splitlines()[:3] == ["1 of /code/api", *(f"1 of {uri}" for uri in remote)]
    purged(state, "--workspace", remote[0], "--yes")
    assert capsys.readouterr().err.startswith(f"1 of {remote[0]}\n")
    assert left(state) == [2, 3]
    purged(state, "--workspace", "f3", "--yes")
    purged(state, "--workspace", name, "--yes")
    assert left(state) == []


def test_on_a_terminal_all_that_a_name_may_mean_are_told_before_the_question(state, monkeypatch):
    write_places(state, *(f"/home/u/api-{n:02}\x1b" for n in range(25)), "/home/u/site")
    monkeypatch.setattr(sys, "stdin", TerminalText("y\n"))
    with contextlib.redirect_stderr(TerminalText()) as stderr:
        assert main(["purge", "--workspace", "api", "-q", "--no-color", "--state-dir", str(state)]) == 0
    said = stderr.getvalue().splitlines()
    assert said[:2] == ["1 of /home/u/api-00\\u001b", "1 of /home/u/api-01\\u001b"]
    assert said[20:] == ["and of 5 more", f"Delete 25 records from {state} for good? [y/N] "]
    assert left(state) == [26]


def test_in_an_empty_log_no_name_is_refused(capsys, state):
    write_days(state)
    purged(state, "--all", "--yes")
    capsys.readouterr()
    purged(state, "--workspace", "api", "--yes", "--json")
    out, err = capsys.readouterr()
    assert json.loads(out) == {"deleted": 0, "kept_for_outputs": 0, "workspaces": []}
    assert err == f"nothing to delete in {state}\n"


# -- Who is asked ----------------------------------------------------------------------------------------


def asked(state, monkeypatch, answer):
    monkeypatch.setattr(sys, "stdin", TerminalText(answer))
    with contextlib.redirect_stderr(TerminalText()) as stderr:
        code = main(["purge", "--all", "--no-color", "--state-dir", str(state)])
    return code, stderr.getvalue()


@pytest.mark.parametrize("answer", ["y\n", "YES \n"])
def test_on_a_terminal_somebody_is_asked(state, monkeypatch, answer):
    write_days(state)
    code, said = asked(state, monkeypatch, answer)
    assert (code, left(state)) == (0, [])
    assert f"Delete 5 records from {state} for good? [y/N] " in said


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yeah\n"])
def test_anything_but_yes_is_no(state, monkeypatch, answer):
    write_days(state)
    code, said = asked(state, monkeypatch, answer)
    assert (code, len(left(state))) == (1, 5)
    assert said.endswith("nothing was deleted\n")


def test_without_a_terminal_nothing_is_deleted_unless_it_is_said(capsys, state, monkeypatch):
    write_days(state)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    purged(state, "--all", code=1)
    assert "5 records would be deleted; add --yes" in capsys.readouterr().err
    assert len(left(state)) == 5


# -- What stays ------------------------------------------------------------------------------------------


def test_keys_stay_so_that_nothing_is_reported_again(state):
    write_days(state)

    def keys():
        with closing(open_for_reading(state)) as connection:
            return connection.execute("SELECT key, seq FROM keys ORDER BY key").fetchall()

    before = keys()
    purged(state, "--all", "--yes")
    assert keys() == before
    assert len(before) == 4


async def test_the_sequence_goes_on_after_everything_was_deleted(state):
    async with open_event_log(state) as log:
        await log.append(entry(1, 2, 3))
    await trio.to_thread.run_sync(purged, state, "--all", "--yes")
    async with open_event_log(state) as log:
        assert log.last_sequence == 3
        assert await log.known_keys([uuid(2)]) == {uuid(2)}
        assert await log.append(entry(4)) == [4]


def test_what_an_output_has_not_taken_stays_unless_it_is_forced(capsys, state):
    write_days(state)
    add_output(state, "json_lines:/x\x1b", 3)
    add_output(state, "announced:stream", 0)  # no output's
    purged(state, "--all", "--yes", "--json")
    out, err = capsys.readouterr()
    assert json.loads(out) == {"deleted": 3, "kept_for_outputs": 2}
    assert "2 records not taken yet by json_lines:/x\\u001b: kept; --force deletes them all the same" in err
    assert left(state) == [4, 5]
    purged(state, "--all", "--yes", "--force")
    assert (
        "2 records not taken yet by json_lines:/x\\u001b: it will never get them" in capsys.readouterr().err
    )
    assert left(state) == []


def test_an_output_that_is_configured_and_never_ran_has_taken_nothing(capsys, state, tmp_path, monkeypatch):
    write_days(state)
    monkeypatch.setenv("TRIO_CURSOR_OUTPUTS__JSON_LINES__PATH", str(tmp_path / "x.jsonl"))
    purged(state, "--all")
    assert f"5 records not taken yet by json_lines:{tmp_path / 'x.jsonl'}: kept" in capsys.readouterr().err
    assert len(left(state)) == 5


def test_notes_of_what_an_output_never_took_go_with_the_event(state):
    write_days(state)
    with closing(open_for_writing(state)) as connection, transaction(connection):
        connection.executemany("INSERT INTO dead VALUES ('o', ?, 'e', 'r', 1)", [(1,), (4,)])
    purged(state, "--before", "36h", "--yes")
    with closing(open_for_reading(state)) as connection:
        assert connection.execute("SELECT seq FROM dead").fetchall() == [(4,)]


# -- The file --------------------------------------------------------------------------------------------


def test_no_text_is_left_in_the_files_and_their_space_is_given_back(state):
    canary = "canary-7d1f04"
    write_log(state, *(generation(uuid(n), prompt_text=canary * 500) for n in range(1000)))
    before = (state / FILE_NAME).stat().st_size
    purged(state, "--all", "--yes", "-q")
    assert (state / FILE_NAME).stat().st_size < before / 10
    assert not any(canary.encode() in path.read_bytes() for path in state.iterdir())


def test_while_a_service_runs_nothing_is_left_either_and_the_space_is_used_again(capsys, state):
    canary = "canary-7d1f04"
    write_log(state, *(generation(uuid(n), prompt_text=canary * 500) for n in range(1000)))
    before = (state / FILE_NAME).stat().st_size
    with held(state):
        purged(state, "--all", "--yes")
    assert "MB are free in the file for what comes" in capsys.readouterr().err
    assert (state / FILE_NAME).stat().st_size == before
    assert not any(canary.encode() in path.read_bytes() for path in state.iterdir())


async def test_beside_a_service_that_writes_all_the_time_both_get_on(state):
    async def write(log):
        for number in range(50):
            await log.append(entry(*range(100 + number * 20, 120 + number * 20), captured_at=NOW_MS))

    with trio.fail_after(PATIENCE):
        async with open_event_log(state) as log:
            await log.append(entry(*range(50)))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write, log)
                for _ in range(5):
                    await trio.to_thread.run_sync(purged, state, "--all", "--yes", "-q")
            assert log.last_sequence == 1050
            await trio.to_thread.run_sync(purged, state, "--all", "--yes", "-q")
            assert await log.read(0) == []
            assert len(await log.known_keys(uuid(n) for n in range(1200))) == 1050


def test_what_comes_after_the_plan_is_not_deleted(state):
    write_days(state)
    with closing(open_for_writing(state)) as connection:
        planned = plan_purge(connection, Filter(event_type=None), None)
        assert (planned.generations, planned.gaps, planned.untaken) == (4, 1, 0)
        write_log(state, generation(uuid(77)))
        assert list(purge(connection, planned, is_forced=False)) == [5]
    assert left(state) == [6]


def test_it_deletes_in_slices(state):
    write_log(state, *(generation(uuid(n)) for n in range(2500)))
    with closing(open_for_writing(state)) as connection:
        planned = plan_purge(connection, Filter(event_type=None), None)
        assert list(purge(connection, planned, is_forced=False)) == [1000, 1000, 500]


def test_interrupted_it_says_how_much_is_gone(capsys, state, monkeypatch):
    write_log(state, *(generation(uuid(n)) for n in range(1500)))

    def interrupted(*arguments, **options):
        steps = purge(*arguments, **options)
        yield next(steps)
        raise KeyboardInterrupt

    monkeypatch.setattr(purge_command, "purge", interrupted)
    purged(state, "--all", "--yes", code=130)
    assert capsys.readouterr().err == "1,000 records deleted until then; the rest is still there\n"
    assert len(left(state)) == 500


def test_a_service_of_another_version_is_not_migrated_under_its_feet(capsys, state):
    write_days(state)
    with closing(open_for_writing(state)) as connection:
        connection.execute("DROP TABLE dead")
        connection.execute("PRAGMA user_version=3")
    with held(state):
        purged(state, "--all", "--yes", code=1)
    assert "is of another version; stop it, then purge" in capsys.readouterr().err
    assert len(left(state)) == 5
    purged(state, "--all", "--yes")
    assert left(state) == []


def test_a_log_that_stays_locked_is_said_in_one_line(capsys, state, monkeypatch):
    write_days(state)
    monkeypatch.setattr("trio_cursor.eventlog.file._BUSY_SECONDS", 0.05)
    with closing(open_for_writing(state)) as other, transaction(other):
        purged(state, "--all", "--yes", code=1)
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "locked" in err
    assert len(left(state)) == 5


# -- The page's index ------------------------------------------------------------------------------------


def test_the_page_finds_no_longer_what_is_gone(capsys, state):
    write_days(state)
    page_index.make_index(state, "full")
    with page_index.open_index(state, "full") as index:
        while page_index.fill(index, lambda event: event):
            pass
    purged(state, "--yes", "--workspace", "shop")
    with page_index.open_index(state, "full") as index:
        found = page_index.Selected(index, page_index.Selection()).lines(10)
    assert [line.sequence for line in found] == [3, 2, 1]


@pytest.mark.parametrize("damage", ["DROP TABLE heads", "DROP TABLE meta", None])
def test_an_index_that_cannot_let_go_goes_itself_unless_a_service_has_it(capsys, state, damage):
    write_days(state)
    file = state / page_index.FILE_NAME
    page_index.make_index(state, "full")
    if damage is None:
        file.write_bytes(b"damaged" * 1000)
    else:
        with page_index.open_index(state, "full") as index:
            index.execute(damage)
    with held(state):
        purged(state, "--yes", "--workspace", "shop")
        assert file.exists()
        assert "the page's index still has what was deleted" in capsys.readouterr().err
    purged(state, "--yes", "--all")
    assert left(state) == []
    assert not file.exists()
    assert "index" not in capsys.readouterr().err
