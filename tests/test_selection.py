"""Which workspaces may be opened."""

from urllib.parse import quote

import cursor_files
import pytest
from workspace_dirs import BAD_FILES, add_workspace

from trio_cursor.cursor.folders import workspace_hash
from trio_cursor.cursor.listing import list_workspaces
from trio_cursor.cursor.selection import hides_its_folder, included
from trio_cursor.records import Workspace


@pytest.fixture
def user_dir(tmp_path):
    return cursor_files.make_user_dir(tmp_path / "Cursor")


def local(path):
    return Workspace("db", "profile", "id", path, f"file://{quote(path)}", workspace_hash(path))


MATCHES = [
    ("/home/me/code/p", "/home/me/code/p", True),
    ("/home/me/code/p", "/home/me/code/*", True),
    ("/home/me/code/p", "/home/me/code/**", True),
    ("/home/me/code", "/home/me/code/**", True),
    ("/home/me/code", "/home/me/code/", True),
    ("/home/me/code/p", "/home/me/code", True),  # what is below a folder that is named
    ("/home/me/codeshop", "/home/me/code", False),
    ("/home/me/code", "/home/me/code/p", False),
    ("/home/me/code/p", "~/code", True),
    ("/home/me/code/p", "~", True),
    ("/home/you/code/p", "~/code", False),
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


def test_on_macos_the_case_of_a_local_folder_does_not_let_it_slip_through():
    local = Workspace("db", "profile", "id", "/Users/me/Secret", "file:///Users/me/Secret", "hash")
    uri = "vscode-remote://ssh-remote%2Bbox/Users/me/Secret"
    remote = Workspace("db", "profile", "id", "/Users/me/Secret", uri, "hash")
    for glob in ("~/secret", "/users/ME/*", "file:///users/me/secret"):
        assert not included(local, [], [glob], home="/Users/me", platform="darwin")
        assert included(local, [glob], [], home="/Users/me", platform="darwin")
        assert included(local, [], [glob], home="/Users/me", platform="linux")
    assert included(remote, [], ["/users/me/secret"], platform="darwin")


def test_a_remote_folder_is_named_by_its_uri_with_or_without_escapes():
    uri = "vscode-remote://ssh-remote%2Bexample.org/srv/p"
    workspace = Workspace("db", "profile", "id", "/srv/p", uri, workspace_hash(uri))
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


@pytest.mark.parametrize("content", [content for content, _ in BAD_FILES], ids=range(len(BAD_FILES)))
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
