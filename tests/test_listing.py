"""Which workspaces there are, looked at again and again while everything changes."""

# What is tested speaks of paths as text, and odd names are bytes.
# ruff: noqa: PTH102, PTH103, PTH118, PTH119

import errno
import hashlib
import json
import os
import shutil
import sys
import threading

import cursor_files
import pytest
from workspace_dirs import add_workspace, needs_posix

from trio_cursor.cursor import listing as module
from trio_cursor.cursor.listing import Lister, Note, list_workspaces
from trio_cursor.records import Workspace


@pytest.fixture
def user_dir(tmp_path):
    return cursor_files.make_user_dir(tmp_path / "Cursor")


def hashed(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def age(path):
    """Give a directory a modification time that it did not have: file systems' clocks tick slowly."""
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1_000_000_000))


def ids(listing):
    return [workspace.id for workspace in listing.workspaces]


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


def test_where_files_have_no_numbers_none_is_taken_for_another(user_dir, monkeypatch):
    for name in ("w1", "w2"):
        cursor_files.make_workspace(user_dir, name, [cursor_files.ring_item()])

    class Unnumbered:
        st_ino = 0

        def __init__(self, found):
            self._found = found

        def __getattr__(self, name):
            return getattr(self._found, name)

    lstat = os.lstat
    monkeypatch.setattr(module.os, "lstat", lambda path: Unnumbered(lstat(path)))
    listing = list_workspaces(str(user_dir))
    monkeypatch.undo()
    assert ids(listing) == [None, "w1", "w2"]


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
@pytest.mark.parametrize("parted", ["first", "second"])
def test_databases_that_are_the_same_no_more_are_listed_at_once(user_dir, parted):
    homes = {"first": add_workspace(user_dir, "first")}
    homes["second"] = add_workspace(user_dir, "second", database=False)
    os.link(homes["first"] / "state.vscdb", homes["second"] / "state.vscdb")
    lister = Lister((str(user_dir),), full_every=10**9)
    for _ in range(5):
        assert ids(lister.list()[0]) == [None, "first"]
    (user_dir / "another").write_bytes(b"")
    (user_dir / "another").replace(homes[parted] / "state.vscdb")
    assert ids(lister.list()[0]) == [None, "first", "second"]


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
    monkeypatch.setattr(module, "_MOST_WORKSPACES", 3)
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
    monkeypatch.setattr(module, "read_workspace_json", refuse)
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
    monkeypatch.setattr(module, "_signature", lambda _: (1,))
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

        name = path = "w"

        def is_symlink(self):
            raise OSError(errno.EACCES, "Permission denied")

    assert module._why_not(Unknown()) == Note("w", "cannot be looked at (Permission denied)", is_trouble=True)
