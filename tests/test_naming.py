"""Whether a database names a session or a folder: values of every kind, against real SQLite."""

import json

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scans import ITEM_TABLE, Budget, catalog_of, memory, run

from trio_cursor.cursor.schemas import Rows
from trio_cursor.cursor.schemas.naming import (
    LONGEST_SEARCHED,
    PATH_KEYS,
    SESSIONS_KEY,
    VALUE_LIMIT,
    Named,
    Sought,
    path_sought,
    scan_names,
    usable_ids,
    why_not_searched,
)

ID = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
RING, PROMPTS, LIST = PATH_KEYS
ROOM = 64 << 20


def database(**values):
    connection = memory(ITEM_TABLE)
    for key, value in values.items():
        name = {"ring": RING, "prompts": PROMPTS, "list": LIST}[key]
        stored = value if isinstance(value, str | bytes | int | None) else json.dumps(value)
        connection.execute("INSERT INTO ItemTable VALUES (?, ?)", (name, stored))
    return connection


def look(connection, sought, *, room=ROOM, answers=None, keys=None, has_octet_length=None):
    known = {} if has_octet_length is None else {"has_octet_length": has_octet_length}
    catalog = catalog_of(connection, **known)
    return run(connection, scan_names(catalog, sought, keys or sought.keys(), room), answers)


def of_sessions(*ids):
    return Sought(usable_ids(ids))


# -- sessions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "is_named"),
    [
        ({"allComposers": [{"composerId": ID}]}, True),
        ({"selectedComposerIds": ["other", ID]}, True),
        ({"sessions": {ID: {}}}, True),
        ({"allComposers": [{"composerId": ID.upper()}]}, True),
        ({"allComposers": [{"composerId": f"{ID}0"}]}, False),
        ({"allComposers": [{"composerId": f"task-{ID}"}]}, False),
        ({"name": f"what is {ID}?"}, False),
        ({"name": f'"{ID}"'}, False),
        ({"name": f'"{ID}'}, False),
        ([ID], True),
        ({}, False),
        (f'{{"composerId": "{ID}"', False),
        (f'\ufeff{{"composerId": "{ID}"}}', True),
    ],
)
@pytest.mark.parametrize("as_blob", [True, False])
def test_a_session_is_named_by_a_whole_string(stored, is_named, as_blob):
    text = stored if isinstance(stored, str) else json.dumps(stored)
    connection = database(list=text.encode() if as_blob else text)
    named = look(connection, of_sessions("another-session", ID))
    assert (named.has_session, named.has_path) == (is_named, False)


def test_an_id_that_is_no_uuid_is_compared_letter_by_letter():
    connection = database(list={"x": ["Session-\u00fc-1"]})
    assert look(connection, of_sessions("Session-\u00fc-1")).has_session
    assert not look(connection, of_sessions("session-\u00fc-1")).has_session


def test_ids_that_would_be_found_anywhere_are_not_looked_for():
    assert usable_ids(["", "a", "1234567", "x" * 201, "a\nb345678", "12345678"]) == {"12345678"}
    many = [f"session-{number:04}" for number in range(100)]
    assert usable_ids(many) == set(many[-32:])
    assert Sought(usable_ids(["short"])).keys() == ()


def test_the_session_is_looked_for_in_its_own_key_alone():
    connection = database(ring=[ID], prompts=[{"text": ID}])
    answers = Budget()
    assert not look(connection, of_sessions(ID), answers=answers).has_session
    assert [query.params[1] for query in answers.queries] == [SESSIONS_KEY]
    both = attrs.evolve(path_sought("/a/b"), session_ids=usable_ids([ID]))
    assert not look(connection, both).has_session


# -- paths ---------------------------------------------------------------------------------------------

LINUX = "/home/me/My p"
WINDOWS = "c:\\Users\\Me\\p"
SHARE = "\\\\server\\share\\p"
WSL = "\\\\wsl.localhost\\Ubuntu\\home\\me\\p"

NAMED = [
    (LINUX, LINUX),
    (LINUX, f"{LINUX}/"),
    (f"{LINUX}/", f"see {LINUX}/src/x.py:3"),
    (LINUX, f"open {LINUX}, then"),
    (LINUX, f"open {LINUX}."),
    (LINUX, f"({LINUX})"),
    (LINUX, f"@{LINUX}/x"),
    (LINUX, f"{LINUX} please"),
    (LINUX, "file:///home/me/My%20p/x.py"),
    (LINUX, "file:///home/me/My%20p%2Fx.py"),
    (LINUX, "file:///home/me/My p"),
    (LINUX, "vscode-remote://ssh-remote%2Bbox/home/me/My%20p"),
    ("file:///home/me/My%20p", f"cd {LINUX}\nls"),
    ("/a/\u00fc", "/a/u\u0308/x"),
    ("/a/\u00fc", "file:///a/%C3%BC"),
    ("/a/\u00fc", "file:///a/%c3%bc/x"),
    ("/a/\u65e5\u672c", "in /a/\u65e5\u672c/x"),
    (WINDOWS, "c:\\Users\\Me\\p\\x.py"),
    (WINDOWS, "C:\\users\\me\\P"),
    (WINDOWS, "C:/Users/Me/p/x"),
    (WINDOWS, "file:///c%3A/Users/Me/p"),
    (WINDOWS, "file:///C:/Users/Me/p/x"),
    (WINDOWS, json.dumps({"path": "c:\\Users\\Me\\p\\x"})),
    (WINDOWS, json.dumps(json.dumps("c:\\Users\\Me\\p"))),
    ("C:/Users/Me/p/", "c:\\Users\\Me\\p"),
    (SHARE, "\\\\server\\share\\p\\x"),
    (SHARE, "file://server/share/p"),
    (SHARE, "//SERVER/share/p"),
    (WSL, "vscode-remote://wsl%2BUbuntu/home/me/p/x"),
    (WSL, "vscode-remote://wsl+Ubuntu/home/me/p"),
    (WSL, "\\\\wsl$\\Ubuntu\\home\\me\\p"),
    ("vscode-remote://wsl+Ubuntu/home/me/p", "\\\\wsl.localhost\\Ubuntu\\home\\me\\p"),
    ("vscode-remote://wsl+Ubuntu/home/me/p", "see /home/me/p/x"),
    ("vscode-remote://ssh-remote+box/srv/p", "vscode-remote://ssh-remote%2Bbox/srv/p/x"),
]

NOT_NAMED = [
    ("/a/b", "/a/b2"),
    ("/a/b", "/a/b-2/x"),
    ("/a/b", "/a/b.git"),
    ("/a/b", "/a/b_"),
    ("/a/b", "/a/b~"),
    ("/a/b", "/a/b%20c"),
    ("/a/b", "file:///a/b%20c/x"),
    ("/a/b", "/a/b\u00fc"),
    ("/a/b", "/x/a/b"),
    ("/a/b", "./a/b"),
    ("/a/b", "x/a/b"),
    ("/a/b", "https://example.org/a/b"),
    ("/a/b", "/a//b"),
    ("/a/b", "/A/b"),
    ("/a/b", "\\a\\b"),
    ("/a/b", "/a"),
    ("/a/b", "a/b"),
    ("/home/%", "/home/x"),
    ("/home/_ab", "/home/xab"),
    ("/a.c/d*e", "/abc/dde"),
    (WINDOWS, "c:\\Users\\Me\\p2"),
    (WINDOWS, "c:\\Users\\Me"),
    (WINDOWS, "d:\\Users\\Me\\p"),
    (WINDOWS, "abc:\\Users\\Me\\p"),
    (SHARE, "\\\\server\\share\\p.old"),
    (SHARE, "/server/share/p"),
    (WSL, "/home/me/p"),
    (WSL, "vscode-remote://wsl+Debian/home/me/p"),
    ("vscode-remote://ssh-remote+box/srv/p", "vscode-remote://ssh-remote+other/srv/p"),
]


@pytest.mark.parametrize(("path", "text"), NAMED)
def test_a_path_is_named_in_every_way_to_write_it(path, text):
    assert look(database(prompts=[{"text": text}]), path_sought(path)).has_path


@pytest.mark.parametrize(("path", "text"), NOT_NAMED)
def test_a_part_of_another_path_is_not_the_path(path, text):
    assert not look(database(prompts=[{"text": text}]), path_sought(path)).has_path


def test_a_folder_whose_name_goes_on_after_a_space_is_another_one():
    text = database(prompts=[{"text": "look at /a/My Project/x"}])
    assert look(text, path_sought("/a/My")).has_path
    others = ["/a/My Project", "/a/My", "/a/My/deeper", "/b/c"]
    assert not look(text, path_sought("/a/My", others)).has_path
    assert look(text, path_sought("/a/My Project", others)).has_path
    assert look(database(prompts=["/a/My/deeper, /a/My thing"]), path_sought("/a/My", others)).has_path
    windows = database(prompts=["c:\\a\\My Project\\x"])
    assert not look(windows, path_sought("C:\\a\\My", ["c:\\A\\my project\\y"])).has_path


@pytest.mark.parametrize("key", ["ring", "prompts", "list"])
def test_a_path_is_looked_for_in_three_keys(key):
    assert look(database(**{key: [{"textDescription": "in /a/b/c"}]}), path_sought("/a/b")).has_path


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "not absolute"),
        ("a/b", "not absolute"),
        ("~/p", "not absolute"),
        ("../../etc/passwd", "not absolute"),
        ("/home/me/../other", "not one that a folder has"),
        ("/home/./me", "not one that a folder has"),
        ("c:\\a\\..\\b", "not one that a folder has"),
        ("/home/me\0/x", "not one that a folder has"),
        ("/", "too short"),
        ("/app", "too short"),
        ("c:\\", "too short"),
        ("c:\\x", "too short"),
        ("/a" * LONGEST_SEARCHED, "longer than"),
    ],
)
def test_what_is_no_path_of_a_folder_is_not_looked_for(path, words):
    assert words in why_not_searched(path)


@pytest.mark.parametrize("path", [LINUX, WINDOWS, SHARE, WSL, "file:///a/b", "vscode-remote://x/a/b"])
def test_what_is_one_can_be(path):
    assert why_not_searched(path) is None


NAMES = st.text(st.sampled_from(list("aB1\u00fc .-_%+*[({\\^$|?\u65e5")), min_size=1, max_size=6)


@given(
    st.lists(NAMES, min_size=2, max_size=4),
    st.sampled_from(["", "/x", '"', "\n"]),
    st.sampled_from(["c", "2", "-", "_"]),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_whatever_a_folder_is_called_it_is_found_whole_and_only_whole(names, end, more):
    path = "/" + "/".join(names)
    assume(why_not_searched(path) is None and not path.endswith("\\"))
    assert look(database(prompts=[f"see {path}{end}"]), path_sought(path)).has_path
    assert not look(database(prompts=[f"see {path}{more}"]), path_sought(path)).has_path


# -- what may stand there ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stored",
    [
        None,
        b"",
        "",
        "null",
        "[",
        '"' + "/a/b",
        b"\xff/a/b\xff",
        "[" * 100_000 + "/a/b",
        7,
        "/a/b",
        '{"x": NaN, "y": "/a/b"}',
    ],
)
def test_values_of_every_kind_do_no_harm(stored):
    sought = path_sought("/a/b")
    named = look(database(ring=stored, prompts=["/a/b/c"]), sought)
    assert named.has_path
    assert not look(database(ring=stored), sought).has_path


def test_a_value_that_is_no_json_is_said():
    assert "not JSON" in look(database(list=f"{ID}"), of_sessions(ID)).problem


@pytest.mark.parametrize("has_octet_length", [True, False])
def test_a_huge_value_is_not_read(has_octet_length):
    if has_octet_length and not catalog_of(memory()).has_octet_length:
        pytest.skip("this SQLite has no octet_length")
    connection = database(list="x" * (VALUE_LIMIT + 1), ring=["/a/b/c"])
    named = look(connection, path_sought("/a/b"), has_octet_length=has_octet_length)
    assert named.has_path
    assert "larger than 8 MiB" in named.problem
    assert named.size < 100


def test_what_sqlite_itself_refuses_to_read_is_passed_over():
    connection = database(ring=["/a/b/c"])

    class TooBig(Budget):
        def __call__(self, connection, query):
            return Rows([], "too big") if query.params[1] == LIST else super().__call__(connection, query)

    named = look(connection, path_sought("/a/b"), answers=TooBig())
    assert (named.has_path, named.problem) == (True, f"{LIST} is larger than 8 MiB")


def test_no_more_is_read_than_there_is_room_for():
    connection = database(list=["x" * 600], prompts=["/a/b" + " " * 600])
    assert look(connection, path_sought("/a/b"), room=2000).has_path
    answers = Budget()
    named = look(connection, path_sought("/a/b"), room=1000, answers=answers)
    assert [query.params[0] for query in answers.queries] == [1000, 396, 396]
    assert (named.has_path, named.size) == (False, 604)
    assert "more bytes" in named.problem


def test_what_the_lock_budget_leaves_is_asked_for_again():
    connection = database(list=["x"], ring=["y"], prompts=["/a/b/c"])

    class OneByOne(Budget):
        def __call__(self, connection, query):
            if self.queries:
                return Rows([], "budget")
            return super().__call__(connection, query)

    sought, keys = path_sought("/a/b"), path_sought("/a/b").keys()
    seen = []
    for _ in range(3):
        named = look(connection, sought, answers=OneByOne(), keys=keys)
        seen.append((named.has_path, named.problem))
        keys = named.rest
    assert keys == ()
    assert seen == [(False, None), (False, None), (True, None)]


def test_a_lookup_that_takes_the_whole_budget_is_given_up():
    class Slow(Budget):
        def __call__(self, connection, query):
            return Rows([], "budget")

    named = look(database(list=[]), path_sought("/a/b"), answers=Slow())
    assert named == Named(rest=(RING, PROMPTS), problem="no answer within the lock budget")


@pytest.mark.parametrize(
    ("statements", "problem"),
    [
        ((), None),
        (("CREATE TABLE ItemTable (key TEXT)",), "no ItemTable that can be read"),
    ],
)
def test_a_database_without_the_table_names_nothing(statements, problem):
    connection = memory(*statements)
    assert look(connection, path_sought("/a/b")) == Named(problem=problem)


def test_in_a_damaged_table_the_newest_row_counts():
    connection = memory("CREATE TABLE ItemTable (key TEXT, value BLOB)")
    for value in (f'["{ID}"]', "[]"):
        connection.execute("INSERT INTO ItemTable VALUES (?, ?)", (LIST, value))
    assert not look(connection, of_sessions(ID)).has_session


def test_nothing_that_was_announced_is_in_a_query():
    answers = Budget()
    look(database(list=[]), Sought(usable_ids([ID]), *_pattern("/a/secret%_place")), answers=answers)
    assert {query.params[1] for query in answers.queries} == set(PATH_KEYS)
    asked = repr([(query.sql, query.params) for query in answers.queries])
    assert ID not in asked
    assert "secret" not in asked
    assert "LIKE" not in asked


def _pattern(path):
    sought = path_sought(path)
    return sought.pattern, sought.anchor
