"""By which hashes a workspace may be announced, and the index over them."""

import hashlib
import unicodedata

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trio_cursor.cursor.folders import fs_path, same_folder, workspace_hash
from trio_cursor.cursor.hashes import Names, digest_of, hashes_to, is_hash, spellings
from trio_cursor.records import Workspace


def workspace(name, uri=None, profile="/u"):
    path = fs_path(uri) if uri else None
    return Workspace(f"{profile}/workspaceStorage/{name}/state.vscdb", profile, name, path, uri)


def index(*workspaces, any_case=False):
    names = Names(any_case=any_case)
    names.update(workspaces)
    assert names.spell(len(workspaces))
    return names


@pytest.mark.parametrize(
    ("text", "good"),
    [
        *(("a" * 16, True), ("0" * 64, True), ("a" * 15, False), ("a" * 65, False), ("A" * 16, False)),
        *(("../" * 6, False), ("/" + "a" * 16, False), ("a" * 16 + "\n", False), ("\u0661" * 16, False)),
        ("", False),
    ],
)
def test_what_is_a_hash(text, good):
    assert is_hash(text) is good


LINUX = "file:///home/me/My%20p"
MAC = "file:///Users/me/%C3%BC"
WINDOWS = "file:///c%3A/Users/Me/p%2B"
SHARE = "file://server/share/p"
WSL = "vscode-remote://wsl%2BUbuntu/home/me/p"
WSL_SHARE = "file://wsl.localhost/Ubuntu/home/me/p"
SSH = "vscode-remote://ssh-remote%2Bexample.org/srv/my%20p"

WRITTEN = [
    (LINUX, "/home/me/My p"),
    (LINUX, "/home/me/My p/"),
    (LINUX, LINUX),
    (LINUX, f"{LINUX}/"),
    (LINUX, "file:///home/me/My p"),
    ("file:///home/me/p/", "/home/me/p"),
    ("file:///", "/"),
    (MAC, "/Users/me/\u00fc"),
    (MAC, "/Users/me/u\u0308"),
    (MAC, "file:///Users/me/u\u0308/"),
    (WINDOWS, "c:\\Users\\Me\\p+"),
    (WINDOWS, "C:\\Users\\Me\\p+"),
    (WINDOWS, "C:\\Users\\Me\\p+\\"),
    (WINDOWS, "c:/Users/Me/p+"),
    (WINDOWS, "C:/Users/Me/p+"),
    (WINDOWS, "/c:/Users/Me/p+"),
    (WINDOWS, "/C:/Users/Me/p+/"),
    (WINDOWS, "c:\\users\\me\\p+"),
    (WINDOWS, WINDOWS),
    (WINDOWS, "file:///C%3A/Users/Me/p%2B"),
    (WINDOWS, "file:///c:/Users/Me/p%2B"),
    (WINDOWS, "file:///C:/Users/Me/p+"),
    (SHARE, "\\\\server\\share\\p"),
    (SHARE, "//server/share/p"),
    (WSL, WSL),
    (WSL, "vscode-remote://wsl+Ubuntu/home/me/p"),
    (WSL, "/home/me/p"),
    (WSL, "\\home\\me\\p"),
    (WSL, "\\\\wsl.localhost\\Ubuntu\\home\\me\\p"),
    (WSL, "\\\\wsl$\\Ubuntu\\home\\me\\p"),
    (WSL_SHARE, "vscode-remote://wsl%2BUbuntu/home/me/p"),
    (WSL_SHARE, "\\\\wsl$\\Ubuntu\\home\\me\\p"),
    (WSL_SHARE, "/home/me/p"),
    (SSH, SSH),
    (SSH, "vscode-remote://ssh-remote+example.org/srv/my p"),
    (SSH, "/srv/my p"),
    ("file:///home/me/all.code-workspace", "/home/me/all.code-workspace"),
]


@pytest.mark.parametrize(("uri", "text"), WRITTEN)
@pytest.mark.parametrize("digits", [16, 17, 40, 64])
def test_a_workspace_is_found_by_the_hash_of_every_way_to_write_its_folder(uri, text, digits):
    announced = hashlib.sha256(text.encode()).hexdigest()[:digits]
    one, other = workspace("w1", uri), workspace("w2", "file:///home/other")
    assert text in spellings(one.path, one.uri)
    assert index(one, other).by_hash(announced) == [one]


@pytest.mark.parametrize(
    ("uri", "text"),
    [(LINUX, "/home/me/my p"), (LINUX, "/home/me"), (WINDOWS, "d:\\Users\\Me\\p+"), (SSH, "/srv/my%20p")],
)
def test_the_hash_of_another_folder_finds_nothing(uri, text):
    assert index(workspace("w1", uri)).by_hash(digest_of(text)[:16]) == []


def test_more_digits_than_sixteen_count_too():
    one = workspace("w1", LINUX)
    true = digest_of(one.path)
    wrong = true[:30] + ("0" if true[30] != "0" else "1")
    assert index(one).by_hash(true[:31]) == [one]
    assert index(one).by_hash(wrong) == []


NAMES = st.text(st.sampled_from(list("aB\u00fc\u00e9 .-_%+~#\u0308\U0001f389")), min_size=1, max_size=8)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@given(PATHS, st.sampled_from(["/home/", "c:/", "D:/"]), st.booleans())
@settings(max_examples=150, deadline=None, derandomize=True)
@example("a", "c:/", True)
def test_whatever_a_folder_is_called_whoever_hashes_its_path_is_understood(rest, root, backwards):
    path = f"{root}{rest}"
    uri = "file:///" + "".join(f"%{byte:02x}" for byte in path.lstrip("/").encode())
    one = workspace("w1", uri)
    text = path.replace("/", "\\") if backwards and root != "/home/" else path
    for written in (text, text.rstrip("/\\"), unicodedata.normalize("NFD", text)):
        assert one in index(one).by_hash(digest_of(written)[:16])
    assert hashes_to(digest_of(text), spellings(one.path, one.uri))


@given(st.text(max_size=40), st.none() | st.text(max_size=40))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_text_has_spellings_and_is_one_of_them(path, uri):
    assert path in spellings(path, uri)
    assert len(spellings(path, uri)) < 200


# -- folders -------------------------------------------------------------------------------------------


def test_two_folders_of_which_one_s_name_begins_like_the_other_s():
    short, long, below = (workspace(name, f"file:///a/{name}") for name in ("b", "b2", "b/c"))
    names = index(short, long, below)
    assert names.by_folder("/a/b") == [short]
    assert names.by_folder("/a/b2/") == [long]
    assert names.by_folder("/a") == []


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        (WSL, "\\\\wsl.localhost\\Ubuntu\\home\\me\\p"),
        (WSL, "\\\\wsl$\\ubuntu\\home\\me\\p\\"),
        (WSL, "//wsl.localhost/Ubuntu/home/me/p"),
        (WSL_SHARE, "vscode-remote://wsl+Ubuntu/home/me/p"),
        (WSL_SHARE, "file://wsl%24/Ubuntu/home/me/p"),
    ],
)
def test_a_folder_of_wsl_is_the_same_from_inside_and_outside(uri, text):
    one = workspace("w1", uri)
    assert index(one).by_folder(text) == [one]
    assert index(one).by_folder(text.replace("me", "Me")) == []


def test_case_counts_but_on_macos():
    small, large = workspace("w1", "file:///Users/me/p"), workspace("w2", "file:///Users/me/P")
    other = workspace("w3", "vscode-remote://ssh-remote%2Bbox/Users/me/q")
    nameless = workspace("w4")
    assert index(small).by_folder("/Users/Me/P") == []
    assert index(small, other, nameless, any_case=True).by_folder("/Users/Me/P") == [small]
    assert index(small, any_case=True).by_folder("file:///Users/Me/P") == [small]
    # The very name goes before.
    assert index(small, large, any_case=True).by_folder("/Users/me/P") == [large]
    # Another machine has a disk of its own.
    assert index(other, any_case=True).by_folder("/Users/me/Q") == []


@given(
    st.text("%:/\\.?#aAc\n\u00fc\U0001f389\ud800 ", max_size=12),
    st.sampled_from([LINUX, WINDOWS, SHARE, SSH, "/"]),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_the_index_says_what_same_folder_says(text, start):
    for uri in (LINUX, WINDOWS, SHARE, SSH, "file:///", "file:////server/share/p"):
        one = workspace("w1", uri)
        for asked in (text, start + text, one.path + text, one.path[: len(one.path) // 2] + text):
            assert (index(one).by_folder(asked) == [one]) is same_folder(asked, one), asked


# -- directories, and listings that change -------------------------------------------------------------


def test_a_workspace_is_found_by_the_name_of_its_directory():
    announced = "0123456789abcdef"
    ones = [
        workspace(name)
        for name in ("f" * 32, f"aa{announced}", announced.upper(), f"{announced}-{announced}")
    ]
    found = index(*ones).by_directory(announced)
    assert sorted(found, key=ones.index) == ones[1:]
    # Never across the end of a name.
    halves = [workspace(announced[:8]), workspace(announced[8:])]
    assert index(*halves).by_directory(announced) == []
    assert Names().by_directory(announced) == []


@given(st.text("0123456789abcdef", min_size=16, max_size=40), st.integers(0, 24), st.integers(16, 64))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_wherever_in_the_name_a_hash_stands_it_is_found(name, start, digits):
    announced = name[start : start + digits]
    if is_hash(announced):
        assert index(workspace(name), workspace("e" * 32)).by_directory(announced)[0].id == name


def test_thousands_of_spellings_are_hashed_by_and_by():
    ones = [workspace(f"w{number}", f"file:///home/demo/p{number}") for number in range(7)]
    ones = [attrs.evolve(item, hash=workspace_hash(item.path)) for item in ones]
    names = Names()
    names.update(ones)
    by_slash = [digest_of(f"{item.path}/")[:16] for item in ones]
    assert [names.by_hash(item.hash) for item in ones] == [[item] for item in ones]
    assert [names.by_hash(hash_) for hash_ in by_slash] == [[]] * 7
    assert not names.spell(3)
    assert [bool(names.by_hash(hash_)) for hash_ in by_slash] == [True] * 3 + [False] * 4
    names.update(ones[2:6])
    assert names.spell(3)
    assert [names.by_hash(hash_) for hash_ in by_slash] == [[], [], *([item] for item in ones[2:6]), []]
    assert [names.by_hash(item.hash) for item in ones[2:6]] == [[item] for item in ones[2:6]]
    names.update([])
    assert not names._by_prefix
    assert not names._by_key
    assert not names._by_piece


def test_what_comes_goes_and_changes_is_seen():
    one, two = workspace("w1", LINUX), workspace("w2")
    names = index(one, two)
    named = attrs.evolve(two, path=one.path, uri=one.uri)
    names.update([one, named])
    names.spell(2)
    assert names.by_folder(one.path) == [one, named]
    assert names.by_hash(digest_of(one.path)) == [one, named]
    names.update([named])
    assert names.by_folder(one.path) == [named]
    assert (len(names), list(names.workspaces())) == (1, [named])
    names.update([])
    assert names.by_hash(digest_of(one.path)) == []


def test_the_global_database_is_nobody_s_folder():
    shared = attrs.evolve(workspace("w1", LINUX), id=None)
    assert len(index(shared)) == 0


def test_very_many_of_one_folder_come_and_go():
    many = [workspace(f"{number:032x}", LINUX) for number in range(2000)]
    names = index(*many)
    assert len(names.by_folder("/home/me/My p")) == 2000
    names.update(many[:1])
    assert names.by_folder("/home/me/My p") == many[:1]
