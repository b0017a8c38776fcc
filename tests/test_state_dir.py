"""Our own directory: private, and held by one service at a time."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from trio_cursor import state_dir
from trio_cursor.errors import AlreadyRunningError, StateError

POSIX = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
HOLD = """
import sys
from pathlib import Path
from trio_cursor import state_dir
with state_dir.held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the directory."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


@POSIX
@pytest.mark.usefixtures("open_umask")
def test_everything_made_is_private_whatever_the_umask_says(tmp_path):
    directory = tmp_path / "state" / "trio-cursor"
    assert state_dir.prepare(directory) is None
    state_dir.create_private(directory / "file")
    with state_dir.held(directory):
        pass
    assert mode(directory) == mode(directory.parent) == 0o700
    assert mode(directory / "file") == mode(directory / state_dir.LOCK_NAME) == 0o600


def test_a_directory_that_is_there_and_private_stays_as_it_is(tmp_path):
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    (directory / "kept").write_text("x")
    assert state_dir.prepare(directory) is None
    assert (directory / "kept").read_text() == "x"


@POSIX
@pytest.mark.parametrize("before", [0o755, 0o750, 0o701, 0o744])
def test_a_directory_that_others_can_read_is_tightened_and_that_is_said(tmp_path, before):
    directory = tmp_path / "state"
    directory.mkdir()
    directory.chmod(before)
    assert "it is 0700 now" in state_dir.prepare(directory)
    assert mode(directory) == 0o700


@POSIX
@pytest.mark.parametrize("before", [0o777, 0o770, 0o1777, 0o702])
def test_a_directory_that_others_can_write_is_refused(tmp_path, before):
    directory = tmp_path / "state"
    directory.mkdir()
    directory.chmod(before)
    with pytest.raises(StateError, match="written by other users"):
        state_dir.prepare(directory)
    assert mode(directory) == before


@POSIX
@pytest.mark.skipif(os.name == "posix" and os.getuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_refused(tmp_path):
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    os.chown(directory, 12345, -1)
    with pytest.raises(StateError, match="belongs to another user"):
        state_dir.prepare(directory)


@POSIX
@pytest.mark.skipif(os.name == "posix" and os.getuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_refused(tmp_path):
    directory = tmp_path / "state"
    directory.mkdir(mode=0o500)
    with pytest.raises(StateError, match="cannot be written"):
        state_dir.prepare(directory)


def test_a_file_in_its_place_is_refused_with_a_hint(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"is not a directory.*--state-dir"):
        state_dir.prepare(tmp_path / "file")
    with pytest.raises(StateError, match=r"cannot be made.*--state-dir"):
        state_dir.prepare(tmp_path / "file" / "state")


@POSIX
def test_a_link_into_the_void_is_refused(tmp_path):
    (tmp_path / "state").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StateError, match="is not a directory"):
        state_dir.prepare(tmp_path / "state")


@pytest.mark.skipif(sys.platform != "linux", reason="a directory whose mode nobody can change is Linux's")
def test_a_directory_that_cannot_be_tightened_is_refused():
    with pytest.raises(StateError, match="can be read by others and not be tightened"):
        state_dir.prepare(Path("/proc/self"))


@POSIX
def test_a_file_that_others_can_read_is_tightened_and_keeps_what_it_holds(tmp_path):
    path = tmp_path / "log"
    path.write_text("x")
    path.chmod(0o644)
    state_dir.create_private(path)
    assert (mode(path), path.read_text()) == (0o600, "x")


@POSIX
def test_no_link_is_followed_to_somebody_elses_file(tmp_path):
    (tmp_path / "target").write_text("x")
    (tmp_path / "log").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        state_dir.create_private(tmp_path / "log")
    (tmp_path / state_dir.LOCK_NAME).symlink_to(tmp_path / "target")
    with pytest.raises(StateError, match="cannot be opened"), state_dir.held(tmp_path):
        pass


def test_a_second_instance_is_refused_and_the_first_one_stays(tmp_path, holder):
    with pytest.raises(AlreadyRunningError, match="another trio_cursor holds"), state_dir.held(tmp_path):
        pass
    assert state_dir.is_held(tmp_path)
    holder.stdin.close()
    assert holder.wait(10) == 0
    assert not state_dir.is_held(tmp_path)


@POSIX
def test_the_system_lets_go_of_the_directory_of_a_killed_instance(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait(10)
    with state_dir.held(tmp_path, tries=1):
        assert state_dir.is_held(tmp_path)
    assert not state_dir.is_held(tmp_path)


def test_looking_whether_it_is_held_makes_nothing(tmp_path):
    assert not state_dir.is_held(tmp_path)
    assert not state_dir.is_held(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    assert not state_dir.is_held(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_looked_at_is_said(tmp_path):
    with pytest.raises(StateError, match="cannot be looked at"):
        state_dir.is_held(tmp_path / ("x" * 5000))


def test_an_error_inside_lets_go_as_well(tmp_path):
    def fail():
        with state_dir.held(tmp_path):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not state_dir.is_held(tmp_path)
