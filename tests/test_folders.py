"""Which folder a workspace is: URIs and paths of every platform, and every bad file."""

# What is tested speaks of paths as text.
# ruff: noqa: PTH108, PTH211

import hashlib
import json
import os
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workspace_dirs import BAD_FILES, needs_posix

from trio_cursor.cursor.folders import (
    asked_keys,
    folder_keys,
    fs_path,
    is_list_of_folders,
    same_folder,
    workspace_hash,
    wsl_folder,
)
from trio_cursor.cursor.workspace_json import Folder, read_workspace_json
from trio_cursor.records import Workspace


def hashed(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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
    # the file of a window with several folders
    ("file:///home/me/all.code-workspace", "/home/me/all.code-workspace"),
    ("file:///c%3A/Users/me/all.code-workspace", "c:\\Users\\me\\all.code-workspace"),
    ("file://server/share/all.code-workspace", "\\\\server\\share\\all.code-workspace"),
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
    ("vscode-remote://wsl%2BUbuntu/home/me/all.code-workspace", "/home/me/all.code-workspace"),
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
    assert workspace_hash("/home/me/p") == "aac8d87abc41d40d"


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


def test_a_name_full_of_escapes_that_mean_nothing_is_decoded_all_the_same():
    # Tried again from each escape on, as VS Code does it, this would take hours.
    assert fs_path("file:///home/" + "%FF" * 98_000 + "%41") == "/home/" + "%FF" * 98_000 + "A"
    assert fs_path("file:///home/" + "%zz" * 98_000 + "%41") == "/home/" + "%zz" * 98_000 + "A"


def slowly_decoded(text):
    """As VS Code does it: what fails is kept up to its first escape, and the rest tried again."""
    kept = ""
    while text:
        try:
            return kept + bytes(int(escape, 16) for escape in text.split("%")[1:]).decode()
        except ValueError:
            kept, text = kept + text[:3], text[3:]
    return kept


@given(st.lists(st.sampled_from(["%C3", "%BC", "%41", "%E2", "%82", "%AC", "%ed", "%a0", "%zz", "%F0"])))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_what_is_decoded_and_what_is_kept_is_as_in_vs_code(escapes):
    text = "".join(escapes)
    assert fs_path(f"file:///{text}") == "/" + slowly_decoded(text)


# -- The same folder -----------------------------------------------------------------------------------

LINUX = "file:///home/me/My%20p"
WINDOWS = "file:///c%3A/Users/Me/p%2B"
SHARE = "file://server/share/p"
SSH = "vscode-remote://ssh-remote%2Bexample.org/srv/my%20p"
TUNNEL = "vscode-remote://tunnel%2Bbox/c:/Users/me"

SAME = [
    (LINUX, "/home/me/My p"),
    (LINUX, "/home/me/My p/"),
    (LINUX, "file:///home/me/My p"),
    (LINUX, "file:///home/me/%4Dy%20%70"),
    (LINUX, "FILE:///home/me/My%20p/"),
    ("file:///home/me/%C3%BC", "/home/me/u\u0308"),  # macOS's spelling and the keyboard's
    ("file:///", "/"),
    (WINDOWS, "c:\\Users\\Me\\p+"),
    (WINDOWS, "C:\\users\\ME\\P+\\"),
    (WINDOWS, "C:/Users/Me/p+"),
    (WINDOWS, "/c:/Users/me/p+"),  # `path` of a URI, as Cursor stores it beside `fsPath`
    (WINDOWS, "/C:/Users/Me/p+"),
    (WINDOWS, "file:///C:/users/me/p+"),
    ("file:///c%3A/", "C:\\"),
    (SHARE, "\\\\Server\\Share\\P"),
    (SHARE, "//server/share/p"),
    (SHARE, "file://SERVER/share/p/"),
    (SSH, "/srv/my p"),
    (SSH, "\\srv\\my p"),  # `fsPath` where a Windows Cursor has opened it
    (SSH, "vscode-remote://ssh-remote+example.org/srv/my p"),
    (SSH, "vscode-remote://SSH-remote%2bExample.org/srv/my%20p/"),
    (TUNNEL, "vscode-remote://tunnel+box/C%3A/users/ME"),
    (TUNNEL, "C:\\Users\\me"),
    ("file:///home/\ufffdx", "/home/\ud800x"),
]

OTHERS = [
    (LINUX, ""),
    (LINUX, "/"),
    (LINUX, "/home/me"),
    (LINUX, "/home/me/my P"),
    (LINUX, "/home/me/My p/deeper"),
    (LINUX, "/home/me/My%20p"),  # a path has no escapes
    (LINUX, "My p"),
    (LINUX, "file:///home/me/other"),
    (LINUX, "vscode-remote://wsl%2BUbuntu/home/me/My%20p"),
    ("file:///home/me/a%5Cb", "/home/me/a/b"),
    (WINDOWS, "d:\\Users\\Me\\p+"),
    (WINDOWS, "c:\\Users\\Me"),
    (WINDOWS, "file:///Users/Me/p+"),
    (SHARE, "/server/share/p"),
    (SHARE, "file:///server/share/p"),
    (SHARE, "file://other/share/p"),
    (SSH, "file:///srv/my%20p"),
    (SSH, "vscode-remote://ssh-remote%2Bother.org/srv/my%20p"),
    (SSH, "vscode-remote://ssh-remote%2Bexample.org/srv/My%20p"),
    (SSH, "vscode-vfs://ssh-remote%2Bexample.org/srv/my%20p"),
]


def workspace_of(uri):
    return Workspace("db", "profile", "id", fs_path(uri), uri, "hash")


@pytest.mark.parametrize(("uri", "text"), SAME)
def test_a_folder_is_known_by_every_name_that_it_has(uri, text):
    assert same_folder(text, workspace_of(uri))


@pytest.mark.parametrize(("uri", "text"), OTHERS)
def test_another_folder_is_another_one(uri, text):
    assert not same_folder(text, workspace_of(uri))


def test_a_workspace_without_a_folder_is_no_folder():
    for text in ("", "/", "None", "file:///"):
        assert not same_folder(text, Workspace("db", "profile", "id"))


def test_a_name_longer_than_any_folder_s_is_no_folder_and_not_looked_at():
    assert not same_folder("file:///" + "%FF" * 3_000_000, workspace_of(LINUX))


@given(st.text("%:/?#afF0\\\n\u00fc\U0001f389\ud800 ", max_size=30))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_text_may_be_asked_about(text):
    assert same_folder(text, workspace_of(LINUX)) is False


# -- workspace.json ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("content", "problem"), BAD_FILES, ids=range(len(BAD_FILES)))
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


def make_fifo(path):
    os.mkfifo(path)


@needs_posix
@pytest.mark.parametrize("replace", [make_fifo, lambda path: os.symlink("/dev/zero", path)])
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


# -- Keys of folders -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("uri", "text"), SAME)
def test_a_folder_is_filed_under_what_is_asked_for(uri, text):
    assert folder_keys(workspace_of(uri)) & asked_keys(text)


@pytest.mark.parametrize(("uri", "text"), OTHERS)
def test_another_folder_is_filed_under_something_else(uri, text):
    assert not folder_keys(workspace_of(uri)) & asked_keys(text)


def test_what_is_no_folder_has_no_keys():
    assert folder_keys(Workspace("db", "profile", "id")) == frozenset()
    assert asked_keys("file:///" + "%FF" * 3_000_000) == frozenset()


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("\\\\wsl.localhost\\Ubuntu\\home\\me", ("Ubuntu", "/home/me")),
        ("\\\\WSL$\\Debian", ("Debian", "")),
        ("//wsl$/Ubuntu/home/me", ("Ubuntu", "/home/me")),
        ("file://wsl.localhost/Ubuntu/home/me", ("Ubuntu", "/home/me")),
        ("vscode-remote://wsl%2BUbuntu/home/me", ("Ubuntu", "/home/me")),
        ("vscode-remote://ssh-remote%2Bbox/home/me", None),
        ("https://wsl.localhost/Ubuntu/home", None),
        ("/home/wsl.localhost/Ubuntu", None),
        ("\\\\server\\wsl$\\Ubuntu", None),
    ],
)
def test_a_folder_of_wsl_is_known_from_inside_and_outside(text, folder):
    assert wsl_folder(text) == folder


def test_which_files_list_folders():
    for path in (
        "/home/me/all.code-workspace",
        "/u/Workspaces/17/workspace.json",
        "c:\\u\\17\\workspace.json",
    ):
        assert is_list_of_folders(path)
    for path in ("/home/me/p", "/home/me/code-workspace", "workspace.json"):
        assert not is_list_of_folders(path)
