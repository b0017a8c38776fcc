"""What Windows does differently with files, on any platform.

The module is loaded a second time under Windows' name, and below it lies a double of `msvcrt` that does what
Microsoft's page on `_locking` says: one byte from the position of the file on, held by an open file, not by
a process, and refused with EACCES.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import sys
import types

import pytest

from trio_cursor import os_files, state_dir
from trio_cursor.demo import home
from trio_cursor.errors import AlreadyRunningError, StateError


class Msvcrt(types.ModuleType):
    LK_UNLCK, LK_LOCK, LK_NBLCK = 0, 1, 2

    def __init__(self):
        super().__init__("msvcrt")
        #: By file and byte, the descriptor that holds it.
        self.held = {}
        #: What `locking` fails with, if with anything.
        self.trouble = None

    def locking(self, descriptor, mode, count):
        if self.trouble is not None:
            raise self.trouble
        assert count == 1
        found = os.fstat(descriptor)
        byte = (found.st_dev, found.st_ino, os.lseek(descriptor, 0, os.SEEK_CUR))
        holder = self.held.get(byte)
        if holder is not None and not self._is_open(holder, byte):
            del self.held[byte]
            holder = None
        if mode == self.LK_NBLCK and holder is None:
            self.held[byte] = descriptor
        elif mode == self.LK_UNLCK and holder == descriptor:
            del self.held[byte]
        else:
            raise PermissionError(errno.EACCES, "Permission denied")

    def _is_open(self, descriptor, byte):
        try:
            found = os.fstat(descriptor)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == byte[:2]


@pytest.fixture
def msvcrt():
    return Msvcrt()


@pytest.fixture
def on_windows(monkeypatch, msvcrt):
    """The module as Windows loads it."""
    spec = importlib.util.spec_from_file_location("os_files_on_windows", os_files.__file__)
    module = importlib.util.module_from_spec(spec)
    with monkeypatch.context() as pretence:
        pretence.setitem(sys.modules, "msvcrt", msvcrt)
        pretence.setattr(sys, "platform", "win32")
        spec.loader.exec_module(module)
    for user in (state_dir, home):
        for name in {"lock", "unlock", "make_private"} & vars(user).keys():
            monkeypatch.setattr(user, name, getattr(module, name))
    return module


@pytest.fixture(params=["here", "windows"])
def either(request):
    """The module as this platform has it, and as Windows does."""
    return os_files if request.param == "here" else request.getfixturevalue("on_windows")


@pytest.fixture
def opened(tmp_path):
    """Descriptors of one file, as many as are asked for."""
    path, found = tmp_path / "file", []
    path.write_bytes(b"content")

    def open_one():
        found.append(os.open(path, os.O_RDWR))
        return found[-1]

    yield open_one
    for descriptor in found:
        try:
            os.close(descriptor)
        except OSError:
            continue


@pytest.mark.parametrize("at", [0, 1 << 20])
def test_who_has_locked_it_has_it_until_he_lets_go(either, opened, at):
    one, other = opened(), opened()
    assert either.lock(one, at=at)
    assert not either.lock(other, at=at)
    either.unlock(one, at=at)
    assert either.lock(other, at=at)


def test_a_file_that_is_closed_is_let_go(either, opened):
    one, other = opened(), opened()
    assert either.lock(one)
    os.close(one)
    assert either.lock(other)


def test_wherever_in_the_file_somebody_has_read_the_same_byte_is_locked(on_windows, msvcrt, opened):
    one, other = opened(), opened()
    os.read(one, 5)
    assert on_windows.lock(one)
    assert not on_windows.lock(other)
    assert [byte[2] for byte in msvcrt.held] == [0]
    assert os.read(one, 5) == b"nt"
    on_windows.unlock(one)
    assert not msvcrt.held


def test_letting_go_of_what_is_not_held_is_no_error(either, opened):
    either.unlock(opened())


def test_on_windows_one_service_holds_the_state_directory(on_windows, tmp_path):
    assert not state_dir.is_held(tmp_path)
    with state_dir.held(tmp_path):
        assert state_dir.is_held(tmp_path)
        with (
            pytest.raises(AlreadyRunningError, match="another trio_cursor"),
            state_dir.held(tmp_path, tries=2),
        ):
            pass
        assert state_dir.is_held(tmp_path)
    assert not state_dir.is_held(tmp_path)
    state_dir.create_private(tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == b""


def test_on_windows_a_disk_without_locks_is_said(on_windows, msvcrt, tmp_path):
    msvcrt.trouble = OSError(errno.EINVAL, "Invalid argument")
    with pytest.raises(StateError, match=r"cannot be locked.*local disk"), state_dir.held(tmp_path):
        pass


def test_on_windows_one_demo_works_in_a_directory_and_others_can_read_its_marker(
    on_windows, msvcrt, tmp_path
):
    place = tmp_path / "demo"
    with home.claim(place) as number:
        assert number == 1
        assert [byte[2] for byte in msvcrt.held] == [1 << 20]
        with pytest.raises(home.NotOursError, match="another demo"), home.claim(place):
            pass
    with home.claim(place) as number:
        assert number == 2
    assert (place / home.MARKER_NAME).read_text() == "run 1\nrun 2\n"


class Held:
    """Work that is refused for a while, as long as somebody has the file open."""

    def __init__(self, times):
        self.times = times

    def __call__(self):
        if self.times:
            self.times -= 1
            raise PermissionError(errno.EACCES, "The process cannot access the file")
        return "done"


def test_on_windows_a_file_that_somebody_has_open_is_waited_for():
    assert os_files.patiently(Held(3), platform="win32") == "done"
    with pytest.raises(PermissionError):
        os_files.patiently(Held(100), platform="win32")


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_elsewhere_a_refusal_is_for_good(platform):
    work = Held(1)
    with pytest.raises(PermissionError):
        os_files.patiently(work, platform=platform)
    assert work.times == 0


@pytest.mark.parametrize(
    ("error", "linux", "windows"),
    [
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), True, True),
        (OSError(errno.EINVAL, "Invalid argument"), False, True),
        (OSError(errno.EINVAL, "Invalid argument", "a<b"), False, False),
        (OSError(errno.ENOSPC, "No space left on device"), False, False),
        (ValueError(), False, False),
    ],
)
def test_a_pipe_that_nobody_reads_has_two_names_on_windows(error, linux, windows):
    assert os_files.is_broken_pipe(error, "linux") is linux
    assert os_files.is_broken_pipe(error, "win32") is windows


@pytest.mark.skipif(sys.platform == "win32", reason="numbers of POSIX")
def test_who_we_are(on_windows):
    assert os_files.own_uid() == os.getuid()
    assert on_windows.own_uid() is None
