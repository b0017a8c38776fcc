"""Where Cursor lives, and which folder each workspace is: every platform on this one, and every bad file."""

# What is tested speaks of paths as text, and odd names are bytes.
# ruff: noqa: PTH102, PTH103, PTH108, PTH118, PTH119, PTH211

import errno
import hashlib
import json
import os
import shutil
import sys
import threading
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_cursor.cursor import profiles
from trio_cursor.cursor.profiles import (
    Candidate,
    Folder,
    Lister,
    Note,
    candidate_user_dirs,
    fs_path,
    hides_its_folder,
    included,
    is_wsl,
    list_workspaces,
    read_workspace_json,
    user_dirs,
)
from trio_cursor.records import Workspace

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="links, FIFOs and odd names of POSIX")


def hashed(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.fixture
def user_dir(tmp_path):
    directory = tmp_path / "Cursor" / "User"
    (directory / "globalStorage").mkdir(parents=True)
    (directory / "workspaceStorage").mkdir()
    return directory


def add_workspace(user_dir, name, folder=None, *, database=True):
    directory = user_dir / "workspaceStorage" / name
    directory.mkdir()
    if folder is not None:
        (directory / "workspace.json").write_text(json.dumps({"folder": folder}))
    if database:
        (directory / "state.vscdb").write_bytes(b"")
    return directory


def age(path):
    """Give a directory a modification time that it did not have: file systems' clocks tick slowly."""
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1_000_000_000))


def ids(listing):
    return [workspace.id for workspace in listing.workspaces]


# -- Where to look -------------------------------------------------------------------------------------


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
    for user in ("ann", "bob"):
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
        for user in ("ann", "bob")
        for edition in ("Cursor", "Cursor Nightly")
    ]
    assert len(found) == 6
    assert found == candidate_user_dirs("linux", {}, "/home/me", wsl=True, mounts=str(mounts))


def test_only_wsl_looks_there(mounts):
    assert len(candidate_user_dirs("linux", {}, "/home/me", mounts=str(mounts))) == 2
    assert len(candidate_user_dirs("darwin", {}, "/Users/me", wsl=True, mounts=str(mounts))) == 2


@needs_posix
def test_a_linked_windows_profile_is_the_same_one_again(mounts):
    (mounts / "c" / "Users" / "All Users").symlink_to(mounts / "c" / "Users" / "ann")
    assert len(candidate_user_dirs("linux", {}, "/home/me", wsl=True, mounts=str(mounts))) == 6


def test_wsl_without_a_mounted_drive_is_like_any_linux(tmp_path):
    assert len(candidate_user_dirs("linux", {}, "/home/me", wsl=True, mounts=str(tmp_path / "none"))) == 2


def test_without_mounts_wsl_looks_at_nothing(monkeypatch):
    monkeypatch.setattr(profiles, "_windows_profiles", lambda mounts: pytest.fail("looked"))
    environ = {"WSL_DISTRO_NAME": "Ubuntu"}
    assert len(candidate_user_dirs("linux", environ, "/home/me", wsl=True, mounts=None)) == 2


def test_the_number_of_windows_profiles_looked_at_is_bounded(mounts, monkeypatch):
    monkeypatch.setattr(profiles, "_MOST_WINDOWS_USERS", 2)  # Public and ann
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


# -- URIs ----------------------------------------------------------------------------------------------

LOCAL = [
    ("file:///home/me/p", "/home/me/p"),
    ("file:///Users/me/My%20Project", "/Users/me/My Project"),
    ("file:///Users/me/%C3%BC%E2%82%AC/%F0%9F%8E%89", "/Users/me/\u00fc\u20ac/\U0001f389"),
    ("file:///Users/me/\u00fc", "/Users/me/\u00fc"),
    ("file:///home/me/a%23b%3Fc%25d", "/home/me/a#b?c%d"),
    ("file:///home/me/a+b", "/home/me/a+b"),
    ("file:///home/me/p?query#fragment", "/home/me/p"),
    ("file:///", "/"),
    # Windows: the drive in any spelling
    ("file:///c%3A/Users/me/p", "c:\\Users\\me\\p"),
    ("file:///C%3A/Users/me/p", "c:\\Users\\me\\p"),
    ("file:///c:/Users/me/p", "c:\\Users\\me\\p"),
    ("file:///D:/Work/P", "d:\\Work\\P"),
    ("file:///c%3A/", "c:\\"),
    # a server's share, and WSL's folders as Windows sees them
    ("file://server/share/p", "\\\\server\\share\\p"),
    ("file://wsl.localhost/Ubuntu/home/me/p", "\\\\wsl.localhost\\Ubuntu\\home\\me\\p"),
    ("file://wsl%24/Ubuntu/home/me/p", "\\\\wsl$\\Ubuntu\\home\\me\\p"),
    # what is not UTF-8 stays as it is written, the rest is decoded
    ("file:///home/me/%FF", "/home/me/%FF"),
    ("file:///home/me/%FF%41", "/home/me/%FFA"),
    ("file:///home/me/%ED%A0%80x", "/home/me/%ED%A0%80x"),
    ("file:///home/me/100%", "/home/me/100%"),
    ("file:///home/me/%zz", "/home/me/%zz"),
    # no scheme, no slash, no path
    ("/home/me/p", "/home/me/p"),
    ("file:home/me/p", "/home/me/p"),
    ("file://server", "/"),
]

REMOTE = [
    ("vscode-remote://wsl%2BUbuntu/home/me/p", "/home/me/p"),
    ("vscode-remote://wsl+Ubuntu/home/me/p", "/home/me/p"),
    ("vscode-remote://ssh-remote%2Bexample.org/srv/my%20p", "/srv/my p"),
    ("vscode-remote://ssh-remote%2B7b22686f73744e616d65223a2278227d/p", "/p"),
    ("vscode-remote://dev-container%2B2f686f6d65/workspaces/p", "/workspaces/p"),
    ("vscode-remote://attached-container%2B7b7d/p", "/p"),
    ("vscode-remote://tunnel%2Bbox/c:/Users/me", "/c:/Users/me"),
    ("vscode-vfs://github/owner/repository", "/owner/repository"),
]


@pytest.mark.parametrize(("uri", "path"), LOCAL)
def test_a_local_folder_has_the_path_that_cursor_has_and_its_hash(uri, path, tmp_path):
    assert fs_path(uri) == path
    (tmp_path / "workspace.json").write_text(json.dumps({"folder": uri}))
    assert read_workspace_json(str(tmp_path / "workspace.json")) == Folder(path, uri, hashed(path))


@pytest.mark.parametrize(("uri", "path"), REMOTE)
def test_a_remote_folder_has_the_path_over_there_and_the_hash_of_its_uri(uri, path, tmp_path):
    assert fs_path(uri) == path
    (tmp_path / "workspace.json").write_text(json.dumps({"folder": uri}))
    assert read_workspace_json(str(tmp_path / "workspace.json")) == Folder(path, uri, hashed(uri))


def test_the_hash_is_the_one_that_anybody_can_compute():
    # As `sha256sum` says.
    assert profiles.workspace_hash("/home/me/p") == "aac8d87abc41d40d"


@pytest.mark.parametrize("key", ["folder", "workspace", "configuration"])
def test_folders_workspace_files_and_their_older_key_are_understood(key, tmp_path):
    (tmp_path / "workspace.json").write_text(json.dumps({key: "file:///home/me/all.code-workspace"}))
    path = "/home/me/all.code-workspace"
    assert read_workspace_json(str(tmp_path / "workspace.json")) == Folder(
        path, f"file://{path}", hashed(path)
    )


@given(st.text(st.characters(max_codepoint=0x3FF, exclude_categories=["Cs"]), max_size=30))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_whatever_a_folder_is_called_its_name_comes_back(name):
    path = f"/home/{name}"
    assert fs_path("file://" + quote(path, safe="/")) == path


@given(st.text("%:/?#afF0\\\n\u00fc\U0001f389 ", max_size=30))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_no_text_is_refused_as_a_uri(text):
    assert isinstance(fs_path(text), str)


# -- workspace.json ------------------------------------------------------------------------------------

BAD = [
    (b"", "is empty"),
    (b" \n", "is empty"),
    (b"\0" * 100, "not JSON"),
    (b'{"folder": "file:///ho', "not JSON"),
    (b'{"folder": "file:///\xff"}', "not JSON"),
    (b"[" * 100_000, "not JSON"),
    (b'{"a":' * 100_000, "not JSON"),
    (b'{"a": ' + b"9" * 5_000 + b"}", "not JSON"),
    (b"null", "not an object"),
    (b'["file:///p"]', "not an object"),
    (b'"file:///p"', "not an object"),
    (b"{}", "names no folder"),
    (b'{"folder": null}', "names no folder"),
    (b'{"folder": 7}', "no URI"),
    (b'{"folder": ""}', "no URI"),
    (b'{"folder": {"path": "/p"}}', "no URI"),
    (b'{"folder": "file:///' + b"x" * 300_000 + b'"}', "too long"),
    (b'{"folder": "file:///' + b"x" * (2 << 20) + b'"}', "larger than 1 MiB"),
]


@pytest.mark.parametrize(("content", "problem"), BAD, ids=range(len(BAD)))
def test_a_bad_workspace_json_is_a_problem_in_words(content, problem, tmp_path):
    (tmp_path / "workspace.json").write_bytes(content)
    folder = read_workspace_json(str(tmp_path / "workspace.json"))
    assert (folder.path, folder.uri, folder.hash) == (None, None, None)
    assert problem in folder.problem


def test_a_byte_order_mark_does_no_harm(tmp_path):
    (tmp_path / "workspace.json").write_bytes(b'\xef\xbb\xbf{"folder": "file:///p"}')
    assert read_workspace_json(str(tmp_path / "workspace.json")).path == "/p"


def test_lone_surrogates_never_get_further(tmp_path):
    (tmp_path / "workspace.json").write_text('{"folder": "file:///home/\\ud800x"}')
    folder = read_workspace_json(str(tmp_path / "workspace.json"))
    assert folder == Folder("/home/\ufffdx", "file:///home/\ufffdx", hashed("/home/\ufffdx"))


def test_a_missing_workspace_json_is_a_problem_in_words(tmp_path):
    assert "no workspace.json" in read_workspace_json(str(tmp_path / "workspace.json")).problem


def test_a_directory_in_its_place_is_a_problem_in_words(tmp_path):
    (tmp_path / "workspace.json").mkdir()
    assert "not a regular file" in read_workspace_json(str(tmp_path / "workspace.json")).problem


@needs_posix
def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "secret").write_text('{"folder": "file:///p"}')
    (tmp_path / "workspace.json").symlink_to(tmp_path / "secret")
    assert "not a regular file" in read_workspace_json(str(tmp_path / "workspace.json")).problem


@needs_posix
def test_a_fifo_in_its_place_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "workspace.json")
    assert "not a regular file" in read_workspace_json(str(tmp_path / "workspace.json")).problem


@needs_posix
@pytest.mark.parametrize("replace", [os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_a_file_that_becomes_something_else_after_the_look_does_no_harm(replace, tmp_path, monkeypatch):
    path = str(tmp_path / "workspace.json")
    (tmp_path / "workspace.json").write_text("{}")
    look = os.lstat

    def look_and_replace(looked_at):
        found = look(looked_at)
        if looked_at == path:
            os.unlink(path)
            replace(path)
        return found

    monkeypatch.setattr(os, "lstat", look_and_replace)
    folder = read_workspace_json(path)
    assert "not a regular file" in folder.problem or "cannot be read" in folder.problem


@needs_posix
def test_an_unreadable_workspace_json_is_a_problem_in_words(tmp_path):
    name = "x" * 300  # too long for any file system: an error that even root gets
    assert "cannot be read" in read_workspace_json(str(tmp_path / name)).problem


# -- Listings ------------------------------------------------------------------------------------------


def test_the_global_database_and_every_workspace_are_listed(user_dir):
    add_workspace(user_dir, "b" * 32, "file:///home/me/b")
    add_workspace(user_dir, "a" * 32, "vscode-remote://wsl%2BUbuntu/home/me/a", database=False)
    add_workspace(user_dir, "1700000000000")
    listing = list_workspaces(str(user_dir))
    profile = os.path.realpath(user_dir)
    storage = os.path.join(profile, "workspaceStorage")
    assert listing.user_dir == profile
    assert listing.notes == ()
    assert listing.workspaces == (
        Workspace(os.path.join(profile, "globalStorage", "state.vscdb"), profile, None),
        Workspace(
            os.path.join(storage, "1700000000000", "state.vscdb"),
            profile,
            "1700000000000",
            problem="no workspace.json: a window without a folder, or not written yet",
        ),
        Workspace(
            os.path.join(storage, "a" * 32, "state.vscdb"),
            profile,
            "a" * 32,
            "/home/me/a",
            "vscode-remote://wsl%2BUbuntu/home/me/a",
            hashed("vscode-remote://wsl%2BUbuntu/home/me/a"),
        ),
        Workspace(
            os.path.join(storage, "b" * 32, "state.vscdb"),
            profile,
            "b" * 32,
            "/home/me/b",
            "file:///home/me/b",
            hashed("/home/me/b"),
        ),
    )


def test_a_user_directory_that_does_not_exist_has_notes_and_nothing_else(tmp_path):
    listing = list_workspaces(str(tmp_path / "none"))
    assert listing.workspaces == ()
    assert [note.reason for note in listing.notes] == ["does not exist (yet)", "no such directory (yet)"]


def test_a_fresh_cursor_has_its_global_database_before_it_is_written(tmp_path):
    (tmp_path / "User").mkdir()
    listing = list_workspaces(str(tmp_path / "User"))
    assert ids(listing) == [None]
    assert [note.reason for note in listing.notes] == ["no such directory (yet)"]


def test_stray_files_are_passed_over_and_named(user_dir):
    add_workspace(user_dir, "w")
    (user_dir / "workspaceStorage" / ".DS_Store").write_bytes(b"\0")
    listing = list_workspaces(str(user_dir))
    assert ids(listing) == [None, "w"]
    stray = os.path.join(os.path.realpath(user_dir), "workspaceStorage", ".DS_Store")
    assert listing.notes == (Note(stray, "not a directory"),)


@needs_posix
def test_linked_directories_are_named_and_not_read(user_dir, tmp_path):
    add_workspace(user_dir, "w")
    (user_dir / "workspaceStorage" / "link").symlink_to(user_dir / "workspaceStorage" / "w")
    (user_dir / "workspaceStorage" / "dangling").symlink_to(tmp_path / "nowhere")
    listing = list_workspaces(str(user_dir))
    assert ids(listing) == [None, "w"]
    assert [os.path.basename(note.path) for note in listing.notes] == ["dangling", "link"]
    assert {note.reason for note in listing.notes} == {"a symbolic link, which is not followed"}


@needs_posix
def test_linked_storage_is_named_and_not_followed(user_dir, tmp_path):
    for name in ("globalStorage", "workspaceStorage"):
        (user_dir / name).rename(tmp_path / name)
        (user_dir / name).symlink_to(tmp_path / name)
    listing = list_workspaces(str(user_dir))
    assert listing.workspaces == ()
    assert [os.path.basename(note.path) for note in listing.notes] == ["globalStorage", "workspaceStorage"]


@needs_posix
def test_a_database_reached_twice_is_listed_once(user_dir, tmp_path):
    first = add_workspace(user_dir, "first")
    second = add_workspace(user_dir, "second", database=False)
    os.link(first / "state.vscdb", second / "state.vscdb")
    other = tmp_path / "Other" / "User"
    shutil.copytree(user_dir, other)
    third = other / "workspaceStorage" / "first" / "state.vscdb"
    third.unlink()
    os.link(first / "state.vscdb", third)
    here, there = Lister((str(user_dir), str(other))).list()
    assert ids(here) == [None, "first"]
    assert ids(there) == [None, "second"]  # of which copytree made a file of its own
    real = os.path.realpath(first / "state.vscdb")
    assert [note.reason for note in here.notes + there.notes] == [
        f"the same file as {real}, where it is read"
    ] * 2


@needs_posix
def test_what_is_no_file_is_never_the_same_database(user_dir):
    for name in ("a", "b"):
        (add_workspace(user_dir, name, database=False) / "state.vscdb").symlink_to("/dev/null")
    assert ids(list_workspaces(str(user_dir))) == [None, "a", "b"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_cursor_does_not_give_are_passed_over(user_dir):
    storage = os.fsencode(user_dir / "workspaceStorage")
    for name in (b"not \xff utf-8", b"two\nlines", b"\x1b[31mred"):
        os.mkdir(os.path.join(storage, name))
    for name in ("with space", "\u00fcml\u00e4ut", "empty-window", "-rf", "..."):
        add_workspace(user_dir, name)
    listing = list_workspaces(str(user_dir))
    assert ids(listing) == [None, "-rf", "...", "empty-window", "with space", "\u00fcml\u00e4ut"]
    assert [note.reason for note in listing.notes] == ["has a name that Cursor does not give"] * 3


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_user_directory_whose_name_no_database_could_hold_is_named(tmp_path):
    directory = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"caf\xe9", b"User"))
    os.makedirs(directory)
    lister = Lister((directory,))
    listing = lister.list()[0]
    assert listing.workspaces == ()
    assert [note.reason for note in listing.notes] == ["its name is not valid Unicode"]
    assert lister.list()[0] is listing


def test_the_number_of_workspaces_is_bounded(user_dir, monkeypatch):
    monkeypatch.setattr(profiles, "_MOST_WORKSPACES", 3)
    for number in range(5):
        add_workspace(user_dir, str(number))
    listing = list_workspaces(str(user_dir))
    assert len(listing.workspaces) == 1 + 3
    assert listing.notes[0].reason == "has more than 3 entries; the others are not read"


# -- Listing again -------------------------------------------------------------------------------------


def test_as_long_as_nothing_changes_the_same_listing_comes_back_unread(user_dir, monkeypatch):
    add_workspace(user_dir, "w", "file:///p")
    lister = Lister((str(user_dir),))
    first = lister.list()[0]
    assert lister.list()[0] is first

    def refuse(_):
        raise AssertionError("looked although nothing had changed")

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(profiles, "read_workspace_json", refuse)
    for _ in range(20):
        assert lister.list()[0] is first


def test_workspaces_come_and_go(user_dir):
    lister = Lister((str(user_dir),))
    assert ids(lister.list()[0]) == [None]
    directory = add_workspace(user_dir, "w")
    age(user_dir / "workspaceStorage")
    assert ids(lister.list()[0]) == [None, "w"]
    shutil.rmtree(directory)
    age(user_dir / "workspaceStorage")
    assert ids(lister.list()[0]) == [None]


def test_a_second_change_in_the_same_tick_of_the_clock_is_seen(user_dir):
    storage = user_dir / "workspaceStorage"
    frozen = storage.stat().st_mtime_ns
    lister = Lister((str(user_dir),))
    lister.list()
    add_workspace(user_dir, "w")
    os.utime(storage, ns=(frozen, frozen))
    if storage.stat().st_ctime_ns == frozen:
        pytest.skip("this file system has no change time of its own")
    assert ids(lister.list()[0]) == [None, "w"]


def test_times_that_never_move_only_delay(user_dir, monkeypatch):
    lister = Lister((str(user_dir),), full_every=5)
    monkeypatch.setattr(profiles, "_signature", lambda _: (1,))
    for _ in range(3):
        lister.list()
    add_workspace(user_dir, "w")
    seen = [len(lister.list()[0].workspaces) for _ in range(5)]
    assert seen == [1, 1, 2, 2, 2]


def test_a_workspace_json_that_was_missing_or_half_written_is_read_when_it_is_whole(user_dir):
    missing = add_workspace(user_dir, "missing")
    half = add_workspace(user_dir, "half")
    (half / "workspace.json").write_text('{"folder": "fi')
    fine = add_workspace(user_dir, "fine", "file:///fine")
    lister = Lister((str(user_dir),))
    for _ in range(3):
        before = lister.list()[0]
    assert [workspace.problem is None for workspace in before.workspaces] == [True, True, False, False]
    for directory in (missing, half):
        (directory / "workspace.json").write_text(json.dumps({"folder": f"file:///{directory.name}"}))
    after = lister.list()[0]
    assert [workspace.path for workspace in after.workspaces] == [None, "/fine", "/half", "/missing"]
    assert lister.list()[0] is after
    assert fine.is_dir()


def test_a_folder_that_changes_is_seen_at_the_next_full_look(user_dir):
    directory = add_workspace(user_dir, "w", "file:///old")
    lister = Lister((str(user_dir),))
    assert lister.list()[0].workspaces[1].path == "/old"
    (directory / "workspace.json").write_text(json.dumps({"folder": "file:///quite-new"}))
    assert lister.list()[0].workspaces[1].path == "/quite-new"


def test_the_database_of_a_known_workspace_may_appear_later(user_dir):
    directory = add_workspace(user_dir, "w", "file:///p", database=False)
    lister = Lister((str(user_dir),))
    before = lister.list()[0]
    (directory / "state.vscdb").write_bytes(b"")
    assert lister.list()[0] is before  # it was listed already


def test_a_cursor_that_is_installed_later_is_found(tmp_path):
    root = tmp_path / "data"
    lister = Lister((str(root),))
    for _ in range(3):
        assert lister.list()[0].workspaces == ()
    (root / "User" / "workspaceStorage" / "w").mkdir(parents=True)
    listing = lister.list()[0]
    assert listing.user_dir == os.path.realpath(root / "User")
    assert ids(listing) == [None, "w"]


def test_a_workspace_that_vanishes_between_two_looks_is_no_error(user_dir):
    directory = add_workspace(user_dir, "w")
    lister = Lister((str(user_dir),))
    for _ in range(3):
        lister.list()
    profile = next(iter(lister._profiles.values()))
    shutil.rmtree(directory)
    assert profile._examine("w") is None
    assert profile._look_at_problems() is False
    age(user_dir / "workspaceStorage")
    assert ids(lister.list()[0]) == [None]


def test_directories_that_come_and_go_all_the_time_are_no_error(user_dir):
    storage = user_dir / "workspaceStorage"

    def churn():
        for number in range(300):
            directory = storage / f"w{number % 7}"
            directory.mkdir()
            (directory / "workspace.json").write_text('{"folder": "file:///p"}')
            shutil.rmtree(directory)

    lister = Lister((str(user_dir),))
    thread = threading.Thread(target=churn)
    thread.start()
    seen = set()
    while thread.is_alive():
        seen |= {workspace.path for workspace in lister.list()[0].workspaces}
    thread.join()
    assert seen <= {None, "/p"}


def test_an_error_that_passes_forgets_nothing(user_dir, monkeypatch):
    add_workspace(user_dir, "w", "file:///p")
    lister = Lister((str(user_dir),))
    before = lister.list()[0]
    with monkeypatch.context() as broken:

        def fail(_):
            raise OSError(errno.EIO, "Input/output error")

        broken.setattr(os, "scandir", fail)
        during = lister.list()[0]
    assert during.workspaces == before.workspaces
    assert [note.reason for note in during.notes] == ["cannot be listed (Input/output error)"]
    assert lister.list()[0] == before


def test_an_entry_that_cannot_be_looked_at_is_named():
    class Unknown:
        """As `os.DirEntry` where the directory does not tell the kind of its entries."""

        name = "w"

        def is_symlink(self):
            raise OSError(errno.EACCES, "Permission denied")

    assert profiles._why_not(Unknown()) == "cannot be looked at (Permission denied)"


# -- Which ones ----------------------------------------------------------------------------------------


def local(path):
    return Workspace("db", "profile", "id", path, f"file://{quote(path)}", hashed(path))


MATCHES = [
    ("/home/me/work/p", "/home/me/work/p", True),
    ("/home/me/work/p", "/home/me/work/*", True),
    ("/home/me/work/p", "/home/me/work/**", True),
    ("/home/me/work", "/home/me/work/**", True),
    ("/home/me/work", "/home/me/work/", True),
    ("/home/me/work/p", "/home/me/work", True),  # what is below a folder that is named
    ("/home/me/workshop", "/home/me/work", False),
    ("/home/me/work", "/home/me/work/p", False),
    ("/home/me/work/p", "~/work", True),
    ("/home/me/work/p", "~", True),
    ("/home/you/work/p", "~/work", False),
    ("/home/me/a/b/c", "/home/**/c", True),
    ("/home/c", "/home/**/c", True),
    ("/home/xc", "/home/**/c", False),
    ("/home/me/a/b/x/c", "/home/**/b/**/c", True),
    ("/home/me/secret-1", "**/secret-*", True),
    ("/home/me/secret-1/deep/er", "**/secret-*", True),
    ("/home/me/p1", "/home/me/p[0-9]", True),
    ("/home/me/px", "/home/me/p[!0-9]", True),
    ("/home/me/p", "/home/me/?", True),
    ("/home/me/P", "/home/me/p", False),
    ("/anything", "/", True),
    ("/anything", "**", True),
    ("/two\nlines/x", "/two*", True),
    ("/home/me/p", "file:///home/me/*", True),
    ("/home/me/my p", "file:///home/me/my p", True),
    ("/home/me/my p", "file:///home/me/my%20p", True),
    ("/home/me/u\u0308", "/home/me/\u00fc", True),  # macOS's spelling and the keyboard's
]


@pytest.mark.parametrize(("path", "glob", "expected"), MATCHES)
def test_globs_name_folders_and_what_is_below_them(path, glob, expected):
    assert included(local(path), [glob], [], home="/home/me") is expected
    assert included(local(path), [], [glob], home="/home/me") is not expected


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("C:\\Users\\Me\\*", True),
        ("c:/users/me/**", True),
        ("c:\\users\\ME", True),
        ("c:\\users\\you", False),
        ("file:///C:/Users/me/p", True),
        ("file:///c%3A/users/*", True),
    ],
)
def test_windows_paths_are_compared_as_windows_does(glob, expected):
    workspace = Workspace("db", "profile", "id", "c:\\Users\\me\\p", "file:///c%3A/Users/me/p", "hash")
    assert included(workspace, [glob], []) is expected


def test_shares_are_windows_paths_too():
    workspace = Workspace("db", "profile", "id", "\\\\Server\\Share\\p", "file://Server/Share/p", "hash")
    assert included(workspace, ["\\\\server\\share"], [])
    assert not included(workspace, [], ["//SERVER/share/**"])


def test_a_remote_folder_is_named_by_its_uri_with_or_without_escapes():
    uri = "vscode-remote://ssh-remote%2Bexample.org/srv/p"
    workspace = Workspace("db", "profile", "id", "/srv/p", uri, hashed(uri))
    assert included(workspace, [uri], [])
    assert included(workspace, ["vscode-remote://ssh-remote+example.org/**"], [])
    assert not included(workspace, [], ["vscode-remote://**"])


def test_exclude_goes_before_include():
    assert not included(local("/home/me/p"), ["/home/**"], ["/home/me/p"])
    assert included(local("/home/me/q"), ["/home/**"], ["/home/me/p"])
    assert not included(local("/srv/p"), ["/home/**"], ["/home/me/p"])


def test_without_globs_everything_is_included():
    assert included(local("/home/me/p"), [], [])


def test_a_window_without_a_folder_is_in_no_include_and_in_no_exclude(user_dir):
    add_workspace(user_dir, "w1")
    (folderless,) = [item for item in list_workspaces(str(user_dir)).workspaces if item.id]
    assert not hides_its_folder(folderless)
    assert included(folderless, [], ["/home/**"])
    assert not included(folderless, ["/home/**", "**"], [])


@pytest.mark.parametrize("content", [content for content, _ in BAD], ids=range(len(BAD)))
def test_a_workspace_json_that_cannot_be_understood_may_name_what_is_excluded(content, user_dir):
    directory = add_workspace(user_dir, "w1")
    (directory / "workspace.json").write_bytes(content)
    (unknown,) = [item for item in list_workspaces(str(user_dir)).workspaces if item.id]
    assert hides_its_folder(unknown)
    assert not included(unknown, [], ["/home/secret"])
    assert included(unknown, [], [])


def test_a_workspace_json_that_is_no_file_or_not_ours_may_name_what_is_excluded_too(user_dir):
    (add_workspace(user_dir, "w1") / "workspace.json").mkdir()
    (unknown,) = [item for item in list_workspaces(str(user_dir)).workspaces if item.id]
    assert not included(unknown, [], ["/home/secret"])


def test_the_global_database_belongs_to_no_folder_and_is_always_included():
    assert included(Workspace("db", "profile", None), ["/home/**"], ["**"])
