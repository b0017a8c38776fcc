"""Where Cursor lives: every platform on this one."""

# What is tested speaks of paths as text.

import os
import sys

import pytest

from trio_cursor.cursor import user_dirs as module
from trio_cursor.cursor.user_dirs import Candidate, candidate_user_dirs, is_wsl, user_dirs

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="links, FIFOs and odd names of POSIX")


@pytest.fixture
def user_dir(tmp_path):
    directory = tmp_path / "Cursor" / "User"
    (directory / "workspaceStorage").mkdir(parents=True)
    return directory


@pytest.mark.parametrize(
    ("platform", "environ", "home", "expected"),
    [
        ("darwin", {}, "/Users/me", "/Users/me/Library/Application Support/{}/User"),
        ("darwin", {"XDG_CONFIG_HOME": "/x"}, "/Users/me", "/Users/me/Library/Application Support/{}/User"),
        ("linux", {}, "/home/me", "/home/me/.config/{}/User"),
        ("freebsd14", {}, "/home/me", "/home/me/.config/{}/User"),
        ("linux", {"XDG_CONFIG_HOME": "/data/config"}, "/home/me", "/data/config/{}/User"),
        ("linux", {"XDG_CONFIG_HOME": "relative"}, "/home/me", "/home/me/.config/{}/User"),
        ("linux", {"XDG_CONFIG_HOME": ""}, "/home/me", "/home/me/.config/{}/User"),
        ("win32", {"APPDATA": "D:\\Roam"}, "C:\\Users\\me", "D:\\Roam\\{}\\User"),
        ("win32", {}, "C:\\Users\\me", "C:\\Users\\me\\AppData\\Roaming\\{}\\User"),
    ],
)
def test_each_platform_has_a_place_for_stable_and_for_nightly(platform, environ, home, expected):
    assert candidate_user_dirs(platform, environ, home) == [
        Candidate(expected.format(edition), edition) for edition in ("Cursor", "Cursor Nightly")
    ]


@pytest.fixture
def mounts(tmp_path):
    """What WSL shows of Windows: drives, users, and things that are neither."""
    users = tmp_path / "mnt" / "c" / "Users"
    for user in ("a1", "b2"):
        (users / user / "AppData" / "Roaming").mkdir(parents=True)
    (users / "Public").mkdir()
    (users / "desktop.ini").write_text("")
    (tmp_path / "mnt" / "d").mkdir()
    (tmp_path / "mnt" / "wsl" / "Users" / "x" / "AppData" / "Roaming").mkdir(parents=True)
    return tmp_path / "mnt"


def test_wsl_also_looks_into_the_profiles_of_windows(mounts):
    found = candidate_user_dirs("linux", {"WSL_DISTRO_NAME": "Ubuntu"}, "/home/me", mounts=str(mounts))
    assert [candidate.user_dir for candidate in found if candidate.through_wsl] == [
        f"{mounts}/c/Users/{user}/AppData/Roaming/{edition}/User"
        for user in ("a1", "b2")
        for edition in ("Cursor", "Cursor Nightly")
    ]
    assert len(found) == 6
    assert found == candidate_user_dirs("linux", {}, "/home/me", wsl=True, mounts=str(mounts))


def test_only_wsl_looks_there(mounts):
    assert len(candidate_user_dirs("linux", {}, "/home/me", mounts=str(mounts))) == 2
    assert len(candidate_user_dirs("darwin", {}, "/Users/me", wsl=True, mounts=str(mounts))) == 2


@needs_posix
def test_a_linked_windows_profile_is_the_same_one_again(mounts):
    (mounts / "c" / "Users" / "All Users").symlink_to(mounts / "c" / "Users" / "a1")
    assert len(candidate_user_dirs("linux", {}, "/home/me", wsl=True, mounts=str(mounts))) == 6


def test_wsl_without_a_mounted_drive_is_like_any_linux(tmp_path):
    assert len(candidate_user_dirs("linux", {}, "/home/me", wsl=True, mounts=str(tmp_path / "none"))) == 2


def test_without_mounts_wsl_looks_at_nothing(monkeypatch):
    monkeypatch.setattr(module, "_windows_profiles", lambda mounts: pytest.fail("looked"))
    environ = {"WSL_DISTRO_NAME": "Ubuntu"}
    assert len(candidate_user_dirs("linux", environ, "/home/me", wsl=True, mounts=None)) == 2


def test_the_number_of_windows_profiles_looked_at_is_bounded(mounts, monkeypatch):
    monkeypatch.setattr(module, "_MOST_WINDOWS_USERS", 2)  # Public and a1
    assert len(candidate_user_dirs("linux", {}, "/home/me", wsl=True, mounts=str(mounts))) == 4


@pytest.mark.parametrize(
    ("environ", "release", "expected"),
    [
        ({"WSL_DISTRO_NAME": "Ubuntu"}, "", True),
        ({}, "5.15.153.1-microsoft-standard-WSL2", True),
        ({}, "4.4.0-19041-Microsoft", True),
        ({}, "6.1.0-18-amd64", False),
    ],
)
def test_wsl_is_known_by_its_variable_or_its_kernel(environ, release, expected):
    assert is_wsl(environ, release) is expected


def test_a_user_directory_and_a_user_data_root_are_both_accepted(user_dir):
    real = os.path.realpath(user_dir)
    assert user_dirs([str(user_dir)]) == (real,)
    assert user_dirs([str(user_dir.parent)]) == (real,)
    assert user_dirs([str(user_dir), str(user_dir.parent), f"{user_dir}{os.sep}"]) == (real,)


def test_a_directory_inside_a_user_directory_that_is_called_user_is_no_user_directory(user_dir):
    (user_dir / "User").mkdir()
    assert user_dirs([str(user_dir)]) == (os.path.realpath(user_dir),)


def test_a_directory_that_does_not_exist_yet_is_kept(tmp_path):
    missing = os.path.realpath(tmp_path / "later")
    assert user_dirs([missing]) == (missing,)


@needs_posix
def test_a_user_directory_reached_through_a_link_goes_by_its_real_name(user_dir, tmp_path):
    (tmp_path / "link").symlink_to(user_dir)
    assert user_dirs([str(tmp_path / "link"), str(user_dir)]) == (os.path.realpath(user_dir),)
