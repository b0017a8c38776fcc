"""Never a byte into Cursor's directories, even if that is what we are told."""

from __future__ import annotations

import sys
from pathlib import Path

import cursor_files
import pytest

from trio_cursor import state_dir
from trio_cursor.cli import main
from trio_cursor.cursor.grounds import cursor_directory_of
from trio_cursor.errors import StateError
from trio_cursor.eventlog import FILE_NAME, open_event_log
from trio_cursor.outputs.follower import OutputError
from trio_cursor.outputs.json_lines import JsonLinesFile

LINKS = pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")


@pytest.fixture
def user_dir(tmp_path):
    """What Cursor has, and everything in it before and after."""
    directory = cursor_files.make_user_dir(tmp_path / "Cursor")
    cursor_files.make_workspace(directory, "w", [cursor_files.ring_item()])
    before, modes = cursor_files.tree(directory), directory.stat().st_mode
    yield directory
    assert cursor_files.tree(directory) == before
    assert directory.stat().st_mode == modes


@pytest.mark.parametrize(
    "place", ["", "ours", "workspaceStorage", "workspaceStorage/w/ours", "globalStorage/an.extension/deep/x"]
)
def test_everything_below_a_user_directory_is_cursors(user_dir, place):
    assert cursor_directory_of(user_dir / place) == user_dir


def test_what_is_beside_it_is_not(user_dir, tmp_path):
    assert cursor_directory_of(tmp_path / "state") is None
    assert cursor_directory_of(tmp_path / "globalStorage") is None
    assert cursor_directory_of(user_dir.parent / "Cursor") == user_dir.parent


def test_a_new_edition_directory_without_any_database_is_cursors_too(tmp_path):
    (tmp_path / "Cursor Nightly" / "User").mkdir(parents=True)
    assert cursor_directory_of(tmp_path / "Cursor Nightly" / "User" / "x") == tmp_path / "Cursor Nightly"


def test_a_disk_that_does_not_tell_cases_apart_may_call_it_otherwise(tmp_path):
    (tmp_path / "cursor" / "User").mkdir(parents=True)
    assert cursor_directory_of(tmp_path / "cursor" / "x") == tmp_path / "cursor"


@LINKS
def test_links_are_followed(user_dir, tmp_path):
    (tmp_path / "link").symlink_to(user_dir / "workspaceStorage")
    assert cursor_directory_of(tmp_path / "link" / "state") == user_dir
    (tmp_path / "lines").symlink_to(user_dir / "new.jsonl")
    assert cursor_directory_of(tmp_path / "lines") == user_dir


@pytest.mark.parametrize("place", ["", "ours", "workspaceStorage/w"])
def test_no_state_directory_is_made_there(user_dir, place):
    with pytest.raises(StateError, match="Cursor's: nothing is ever written there"):
        state_dir.prepare(user_dir / place)


@pytest.mark.parametrize("place", ["new.jsonl", "workspaceStorage/w/state.vscdb"])
async def test_no_line_is_written_there(user_dir, place):
    output = JsonLinesFile(user_dir / place)
    for attempt in (output.resume(0, ""), output.write([])):
        with pytest.raises(OutputError, match="Cursor's: nothing is ever written there"):
            await attempt


async def test_no_line_is_written_into_a_database_wherever_it_is(tmp_path):
    path = tmp_path / "copy.vscdb"
    cursor_files.write_ring(path, [cursor_files.ring_item()])
    before = path.read_bytes()
    output = JsonLinesFile(path)
    for attempt in (output.resume(0, ""), output.write([])):
        with pytest.raises(OutputError, match="is a database"):
            await attempt
    assert path.read_bytes() == before


async def test_our_own_log_is_not_even_opened(tmp_path, monkeypatch):
    """That would drop the locks that this process has on it."""
    async with open_event_log(tmp_path):
        (tmp_path / "lines").symlink_to(tmp_path / FILE_NAME)
        monkeypatch.setattr(Path, "open", pytest.fail)
        for name in (FILE_NAME, f"{FILE_NAME}-wal", "lines"):
            with pytest.raises(OutputError, match="is a database"):
                await JsonLinesFile(tmp_path / name).write([])


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["run", "--once", "--state-dir", "{ours}"], 1),
        (["run", "--once", "--json-lines", "{lines}"], 0),
        (["doctor", "--state-dir", "{ours}"], 3),
        (["config", "init", "--config", "{lines}"], 1),
    ],
)
def test_every_command_says_so(user_dir, capsys, words, code):
    known = {"ours": user_dir / "ours", "lines": user_dir / "lines"}
    where = [] if words[0] == "config" else ["--cursor-dir", str(user_dir)]
    assert main([word.format(**known) for word in words] + where) == code
    assert "which is Cursor's" in "".join(capsys.readouterr())


@pytest.mark.usefixtures("home")
def test_replay_says_so(user_dir, capsys, tmp_path):
    where = ["--cursor-dir", str(user_dir), "--state-dir", str(tmp_path / "state")]
    assert main(["run", "--once", "--since", "all", *where]) == 0
    database = user_dir / "workspaceStorage" / "w" / "state.vscdb"
    assert main(["replay", "--json-lines", str(database), "--state-dir", str(tmp_path / "state")]) == 1
    assert "which is Cursor's" in capsys.readouterr().err
