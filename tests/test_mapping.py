"""Which database an announced workspace is: five strategies, with real listings, files and databases."""

from __future__ import annotations

import json
import os
import sys

import attrs
import pytest
import trio
from cursor_files import ITEM_TABLE, SET_ITEM, execute, make_workspace, tree
from fakes import FakeScanner
from workspace_dirs import needs_posix

from trio_cursor.cursor import mapping as module
from trio_cursor.cursor import searching
from trio_cursor.cursor.folders import LONGEST_URI, fs_path, workspace_hash
from trio_cursor.cursor.guest import Busy, Empty, FileStat, Guest, NeedsRecovery, Page, Signature, Unreadable
from trio_cursor.cursor.hashes import digest_of
from trio_cursor.cursor.listing import Listing
from trio_cursor.cursor.mapping import KEPT_MS, STRATEGIES, Mapped, Mapper, Unmapped
from trio_cursor.cursor.schemas import Catalog
from trio_cursor.cursor.schemas.known import readable_columns
from trio_cursor.cursor.schemas.naming import Named
from trio_cursor.records import FoundMapping, Workspace
from trio_cursor.scanner import Scanner
from trio_cursor.watched import Watched

SESSION = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
UNKNOWN = "0123456789abcdef"
NOW = 1_800_000_000_000
PATIENCE = 30
PROFILE = "/cursor/User"
LIST, PROMPTS, RING = "composer.composerData", "aiService.prompts", "aiService.generations"


# -- At a glance ---------------------------------------------------------------------------------------


def place(name, uri=None, *, profile=PROFILE):
    path = fs_path(uri) if uri else None
    return Workspace(f"{profile}/workspaceStorage/{name}/state.vscdb", profile, name, path, uri)


def written(workspace, at_ms=1):
    stat = FileStat(1, hash(workspace.database) & 0xFFFF, 4096, at_ms * 1_000_000)
    return Watched(workspace, Signature(stat, None))


def scanner_of(*workspaces, left_out=()):
    """Knows these, each written a minute after the one before."""
    listings = {}
    for item in workspaces:
        listings.setdefault(item.profile, []).append(item)
    watched = {
        item.database: written(item, number * 60_000)
        for number, item in enumerate(workspaces, 1)
        if item not in left_out
    }
    return FakeScanner(
        watched=watched,
        listings={profile: Listing(profile, tuple(items)) for profile, items in listings.items()},
    )


class NoGuest:
    """At a glance nothing is read."""

    async def read(self, *arguments, **options):
        raise AssertionError("something was read")


def quick(scanner, announced, path=None, *, known=(), now_ms=NOW, platform="linux"):
    return Mapper(scanner, NoGuest(), known, platform=platform).quick(announced, path, now_ms)


LINUX = place("w1", "file:///home/demo/p")
OTHER = place("w2", "file:///home/demo/other")


def test_by_the_hash_of_the_folder():
    assert quick(scanner_of(LINUX, OTHER), workspace_hash("/home/demo/p")) == Mapped(LINUX, "workspace_json")
    assert quick(scanner_of(LINUX, OTHER), digest_of("/home/demo/p")) == Mapped(LINUX, "workspace_json")


@pytest.mark.parametrize(
    "path", ["/home/demo/p", "/home/demo/p/", "file:///home/demo/p", "file:///home/demo/%70/"]
)
def test_by_the_path_whatever_the_hash(path):
    assert quick(scanner_of(LINUX, OTHER), UNKNOWN, path) == Mapped(LINUX, "workspace_json")


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///c%3A/Users/Me/p", "C:\\users\\me\\P\\"),
        ("vscode-remote://wsl%2BUbuntu/home/x", "\\\\wsl.localhost\\Ubuntu\\home\\x"),
        ("file://wsl.localhost/Ubuntu/home/x", "vscode-remote://wsl+Ubuntu/home/x"),
        ("vscode-remote://ssh-remote%2Bbox/srv/p", "/srv/p"),
        ("file:///home/demo/all.code-workspace", "/home/demo/all.code-workspace"),
    ],
)
def test_folders_of_every_platform(uri, path):
    one = place("w1", uri)
    assert quick(scanner_of(one, OTHER), UNKNOWN, path) == Mapped(one, "workspace_json")


def test_case_counts_but_on_macos():
    one = place("w1", "file:///Users/me/p")
    assert isinstance(quick(scanner_of(one), UNKNOWN, "/Users/Me/P"), Unmapped)
    assert quick(scanner_of(one), UNKNOWN, "/Users/Me/P", platform="darwin") == Mapped(one, "workspace_json")
    # The hash says that it is another one.
    two = place("w2", "file:///Users/ME/P")
    scanner = scanner_of(two, one)
    found = quick(scanner, workspace_hash("/Users/ME/P"), "/Users/Me/P", platform="darwin")
    assert found == Mapped(two, "workspace_json")


def test_the_hash_says_which_machine_s_folder_it_is():
    here, there = (
        place("a", "vscode-remote://ssh-remote%2Ba/srv/p"),
        place("b", "vscode-remote://ssh-remote%2Bb/srv/p"),
    )
    scanner = scanner_of(here, there)
    assert quick(scanner, workspace_hash(here.uri), "/srv/p").workspace == here
    assert quick(scanner, workspace_hash("/srv/p"), "/srv/p").workspace == there


def test_of_two_projects_one_s_path_is_the_other_s_prefix():
    short, long = place("a", "file:///home/demo/p"), place("b", "file:///home/demo/p2")
    deep = place("c", "file:///home/demo/p/deep")
    scanner = scanner_of(short, long, deep)
    for item in (short, long, deep):
        assert quick(scanner, UNKNOWN, item.path).workspace == item
        assert quick(scanner, workspace_hash(item.path), None).workspace == item


@pytest.mark.parametrize("profiles", [(PROFILE, "/nightly/User"), (PROFILE, PROFILE)])
def test_of_several_directories_of_one_folder_the_one_written_last(profiles):
    twins = [place(name, LINUX.uri, profile=profile) for name, profile in zip("ab", profiles, strict=True)]
    for announced, path in (
        (workspace_hash(LINUX.path), None),
        (workspace_hash(LINUX.path), LINUX.path),
        (UNKNOWN, LINUX.path),
    ):
        assert quick(scanner_of(*twins), announced, path).workspace == twins[1]
        assert quick(scanner_of(*reversed(twins)), announced, path).workspace == twins[0]


def test_of_two_spellings_of_one_folder_the_one_written_last():
    small, large = place("a", "file:///c%3A/work/p"), place("b", "file:///c%3A/Work/P")
    for path in ("c:\\work\\p", "c:\\Work\\P"):
        assert quick(scanner_of(small, large), workspace_hash(path), path).workspace == large
        assert quick(scanner_of(large, small), workspace_hash(path), path).workspace == small


def test_by_the_name_of_the_directory():
    one = place(f"{UNKNOWN}{'f' * 16}")
    assert quick(scanner_of(OTHER, one), UNKNOWN) == Mapped(one, "directory_name")
    assert quick(scanner_of(OTHER, one), UNKNOWN, "/home/demo/p") == Mapped(one, "directory_name")
    named = attrs.evolve(OTHER, id=one.id)
    assert quick(scanner_of(named), UNKNOWN) == Mapped(named, "directory_name")


def test_a_directory_of_that_name_whose_folder_is_another_one_is_not_taken():
    one = attrs.evolve(OTHER, id=f"x{UNKNOWN}")
    outcome = quick(scanner_of(one), UNKNOWN, "/home/demo/p")
    assert "names another folder" in outcome.why["directory_name"]
    # A file that lists folders may list this one.
    several = place(UNKNOWN, "file:///home/demo/all.code-workspace")
    assert quick(scanner_of(several), UNKNOWN, "/home/demo/p") == Mapped(several, "directory_name")


def test_a_workspace_json_that_is_written_late_is_seen():
    bare = place("w1")
    scanner = scanner_of(bare)
    mapper = Mapper(scanner, NoGuest())
    assert isinstance(mapper.quick(UNKNOWN, LINUX.path, NOW), Unmapped)
    scanner.listings = {PROFILE: Listing(PROFILE, (LINUX,))}
    scanner.watched[LINUX.database].workspace = LINUX
    assert mapper.quick(UNKNOWN, LINUX.path, NOW) == Mapped(LINUX, "workspace_json")


def test_the_global_database_is_nobody_s():
    shared = attrs.evolve(LINUX, id=None)
    assert isinstance(quick(scanner_of(shared), workspace_hash(LINUX.path), LINUX.path), Unmapped)


HOSTILE = [
    "../../../etc/passwd",
    "/etc/passwd",
    "/home/demo/x/../p",
    "/home/demo/p\0",
    "file:///home/demo/x/../p",
    "\\\\?\\c:\\",
    "%2fhome%2fdemo%2fp",
    "/home/demo/*",
    "/home/demo/_",
    "\ud800",
    "",
    "/" + "p" * LONGEST_URI,
    "/" * 1000,
]


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
async def test_what_is_no_folder_of_anybody_is_not_found_and_words_say_so(path):
    mapper = Mapper(scanner_of(LINUX, OTHER), NoGuest())
    outcome = mapper.quick(UNKNOWN, path, NOW)
    assert list(outcome.why) == ["cache", "workspace_json", "directory_name"]
    outcome = await mapper.search(UNKNOWN, path, ["short"])
    assert tuple(outcome.why) == STRATEGIES
    assert all(len(words) < 200 and words.isprintable() for words in outcome.why.values())


@pytest.mark.parametrize("announced", ["", "abc", "../../../../etc", "G" * 16, "a" * 65, "%" * 20, "w1"])
async def test_what_is_no_hash_finds_nothing_not_even_with_a_path(announced):
    mapper = Mapper(scanner_of(LINUX), NoGuest())
    outcome = mapper.quick(announced, LINUX.path, NOW)
    assert "no hash" in outcome.why["workspace_json"]
    assert await mapper.search(announced, LINUX.path, [SESSION]) == outcome


async def test_one_that_is_left_out_is_not_found_elsewhere_either():
    named = place(UNKNOWN, "file:///home/demo/z")
    mapper = Mapper(
        scanner_of(LINUX, place(workspace_hash(LINUX.path)), named, left_out=(LINUX, named)), NoGuest()
    )
    for outcome in (
        mapper.quick(workspace_hash(LINUX.path), None, NOW),
        await mapper.search(workspace_hash(LINUX.path), LINUX.path, [SESSION]),
    ):
        assert outcome.is_left_out
        assert "exclude" in outcome.why["workspace_json"]
    assert mapper.quick(UNKNOWN, None, NOW).is_left_out


# -- What was found before -----------------------------------------------------------------------------


def found(workspace, strategy="workspace_json", *, announced=UNKNOWN, path=None, at=NOW):
    return FoundMapping(announced, workspace.database, strategy, path, at)


def test_what_was_found_before_holds_for_thirty_days():
    mapping = found(LINUX, path=LINUX.path)
    assert quick(scanner_of(LINUX), UNKNOWN, None, known=[mapping]) == Mapped(LINUX, "cache")
    assert quick(scanner_of(LINUX), UNKNOWN, None, known=[mapping], now_ms=NOW + KEPT_MS).strategy == "cache"
    outcome = quick(scanner_of(LINUX), UNKNOWN, None, known=[mapping], now_ms=NOW + KEPT_MS + 1)
    assert "30 days" in outcome.why["cache"]
    # Found anew it is news again.
    mapper = Mapper(scanner_of(LINUX), NoGuest(), [mapping])
    again = mapper.quick(UNKNOWN, LINUX.path, NOW + KEPT_MS + 1)
    assert again == Mapped(LINUX, "workspace_json")
    assert mapper.remember(found(LINUX, path=LINUX.path, at=NOW + KEPT_MS + 1))


@pytest.mark.parametrize("strategy", ["session_id", "path_in_keys"])
def test_what_took_a_search_is_not_searched_again(strategy):
    bare = place("w1")
    mapping = found(bare, strategy, path="/home/demo/p")
    assert quick(scanner_of(bare), UNKNOWN, "/home/demo/p", known=[mapping]) == Mapped(bare, "cache")
    assert quick(scanner_of(bare), UNKNOWN, None, known=[mapping]) == Mapped(bare, "cache")


@pytest.mark.parametrize("strategy", ["workspace_json", "directory_name", "session_id", "path_in_keys"])
def test_what_says_something_else_now_does_not_hold(strategy):
    mapping = found(OTHER, strategy, path="/home/demo/p")
    mapper = Mapper(scanner_of(OTHER), NoGuest(), [mapping])
    assert "another folder" in mapper.quick(UNKNOWN, None, NOW).why["cache"]


def test_another_path_with_the_same_hash_does_not_make_it_forget():
    bare = place("w1", "file:///home/demo/all.code-workspace")
    named = place("w2", "file:///home/demo/p")
    mapper = Mapper(scanner_of(bare, named), NoGuest(), [found(bare, "session_id", path="/home/demo/part")])
    assert mapper.quick(UNKNOWN, "/home/demo/p", NOW) == Mapped(named, "workspace_json")
    assert mapper.quick(UNKNOWN, "/home/demo/part", NOW) == Mapped(bare, "cache")


@pytest.mark.parametrize("strategy", ["workspace_json", "directory_name"])
def test_what_speaks_for_it_no_more_does_not_hold(strategy):
    bare = place("w1")
    outcome = quick(scanner_of(bare), UNKNOWN, None, known=[found(bare, strategy, path="/home/demo/p")])
    assert isinstance(outcome, Unmapped)
    assert "not what is likeliest" in outcome.why["cache"]


def test_what_is_gone_left_out_or_never_was_there_does_not_hold():
    poisoned = attrs.evolve(found(LINUX), database="/etc/state.vscdb")
    shared = attrs.evolve(LINUX, id=None)
    no_file = scanner_of(LINUX)
    no_file.watched[LINUX.database].signature = Signature(None, None)
    for scanner, mapping in (
        (scanner_of(OTHER), found(LINUX, "session_id")),
        (scanner_of(LINUX, left_out=(LINUX,)), found(LINUX, "session_id")),
        (scanner_of(LINUX), attrs.evolve(poisoned, strategy="session_id")),
        (scanner_of(shared), found(shared, "session_id")),
        (no_file, found(LINUX, "session_id")),
    ):
        outcome = quick(scanner, UNKNOWN, None, known=[mapping])
        assert "gone" in outcome.why["cache"]


def test_of_several_directories_what_was_found_stays_while_both_are_in_use():
    twins = [place(name, LINUX.uri) for name in "ab"]
    scanner = scanner_of(*twins)
    mapping = found(twins[0], path=LINUX.path)
    assert quick(scanner, UNKNOWN, LINUX.path, known=[mapping]) == Mapped(twins[1], "workspace_json")
    scanner.watched[twins[0].database] = written(twins[0], 119_000)
    assert quick(scanner, UNKNOWN, LINUX.path, known=[mapping]) == Mapped(twins[0], "cache")


def test_a_folder_that_is_known_goes_before_what_was_guessed():
    bare = place("w9")
    mapping = found(bare, "path_in_keys", path=LINUX.path)
    outcome = quick(scanner_of(bare, LINUX), UNKNOWN, LINUX.path, known=[mapping])
    assert outcome == Mapped(LINUX, "workspace_json")
    assert "not what is likeliest" in outcome.why["cache"]


def test_what_is_news():
    mapper = Mapper(scanner_of(LINUX), NoGuest())
    assert mapper.remember(found(LINUX))
    assert not mapper.remember(found(LINUX, at=NOW + 5))
    assert not mapper.remember(found(LINUX, "cache"))
    assert not mapper.remember(found(LINUX, "made up"))
    assert mapper.remember(found(LINUX, "session_id"))
    assert not mapper.remember(found(LINUX, "session_id"))


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MOST_KNOWN", 3)
    rows = [found(LINUX, announced=f"{number:016x}", at=number) for number in (5, 3, 4, 2, 6)]
    mapper = Mapper(scanner_of(LINUX), NoGuest(), rows)
    forgotten = [
        row.found_at
        for row in rows
        if mapper.quick(row.workspace_hash, None).why.get("cache") == "nothing was found before"
    ]
    assert forgotten == [3, 2]


def test_what_was_tried_is_said_in_words_in_its_order():
    mapper = Mapper(scanner_of(LINUX), NoGuest())
    why = mapper.quick(UNKNOWN, "/home/demo/x", NOW).why
    assert list(why) == ["cache", "workspace_json", "directory_name"]
    assert why["workspace_json"] == "none of 1 workspace.json has the hash or names the announced path"
    assert mapper.quick(UNKNOWN, "/home/demo/p", NOW).why == {"cache": "nothing was found before"}


def test_which_databases_are_there_for_an_announced_workspace():
    shared = attrs.evolve(place("global"), id=None)
    scanner = scanner_of(LINUX, OTHER, shared, left_out=(OTHER,))
    mapper = Mapper(scanner, NoGuest())
    places = (LINUX, OTHER, shared, place("w9"))
    assert [mapper.is_there(item.database) for item in places] == [True, False, False, False]
    scanner.watched[LINUX.database].signature = Signature(None, None)
    assert not mapper.is_there(LINUX.database)


# -- Searching -----------------------------------------------------------------------------------------


@pytest.fixture
def make_guest(tmp_path):
    def make(user_dir, **options):
        return Guest(
            roots=[str(user_dir)],
            tables=readable_columns(),
            max_concurrent=4,
            private_dir=str(tmp_path / "private"),
            **{"deadline_seconds": 1.5, **options},
        )

    return make


@pytest.fixture
async def search(user_dir, make_guest):
    """Searches what lies there."""
    scanner = Scanner((str(user_dir),), lambda workspace: workspace.path != "/home/demo/secret")
    guest = make_guest(user_dir)
    mapper = Mapper(scanner, guest, platform="linux")

    async def do(path=None, session_ids=(), *, announced=UNKNOWN):
        scanner.hurry()
        await scanner.sweep(0.25)
        with trio.fail_after(PATIENCE):
            return await mapper.search(announced, path, session_ids)

    do.mapper, do.scanner, do.guest = mapper, scanner, guest
    yield do
    await guest.aclose()


def fill(database, *, mode="delete", at=None, **values):
    """Write keys of ItemTable; `at`: seconds since the epoch when that was."""
    rows = [
        (
            SET_ITEM,
            (
                {"list": LIST, "prompts": PROMPTS, "ring": RING}.get(key, key),
                value if isinstance(value, str | None) else json.dumps(value),
            ),
        )
        for key, value in values.items()
    ]
    execute(database, (f"PRAGMA journal_mode={mode}", ()), (ITEM_TABLE, ()), *rows)
    for file in database.parent.glob(f"{database.name}*"):
        if at is not None:
            os.utime(file, (at, at))
    return database


def bare(user_dir, name, **values):
    """A workspace without a folder."""
    database = make_workspace(user_dir, name)
    (database.parent / "workspace.json").unlink()
    return fill(database, **values)


@pytest.mark.parametrize("mode", ["delete", "wal"])
async def test_by_a_session_that_a_database_names(user_dir, search, mode):
    fill(make_workspace(user_dir, "w1"), mode=mode, list={"allComposers": [{"composerId": "another-one"}]})
    named = fill(make_workspace(user_dir, "w2"), mode=mode, list={"allComposers": [{"composerId": SESSION}]})
    fill(make_workspace(user_dir, "w3"), mode=mode, list={"name": f"about {SESSION}"})
    before = tree(user_dir)
    outcome = await search("/home/elsewhere/p", ("x", SESSION))
    assert (outcome.workspace.database, outcome.strategy) == (str(named), "session_id")
    assert list(outcome.why) == ["cache", "workspace_json", "directory_name"]
    assert isinstance(await search(None, ("unknown-session",)), Unmapped)
    assert tree(user_dir) == before


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("key", ["list", "prompts", "ring"])
async def test_by_a_path_in_the_keys_of_a_window_without_a_folder(user_dir, search, mode, key):
    texts = [{"text": "look at /home/elsewhere/p/x.py"}]
    bare(user_dir, "w1", mode=mode, list=[{"text": "/home/elsewhere/p2"}])
    named = bare(user_dir, "w2", mode=mode, **{key: texts})
    # This one has a folder of its own, and only talks of the other.
    fill(make_workspace(user_dir, "w3"), mode=mode, **{key: texts})
    before = tree(user_dir)
    outcome = await search("/home/elsewhere/p", (SESSION,))
    assert (outcome.workspace.database, outcome.strategy) == (str(named), "path_in_keys")
    assert "3 looked at" in outcome.why["session_id"]
    outcome = await search("/home/elsewhere/p", ())
    assert (outcome.strategy, outcome.why["session_id"][:10]) == ("path_in_keys", "no session")
    assert tree(user_dir) == before


async def test_a_window_with_a_list_of_folders_may_be_any(user_dir, search):
    folder = "file:///home/demo/all.code-workspace"
    named = fill(make_workspace(user_dir, "w1", folder=folder), prompts=["/home/elsewhere/p/x"])
    outcome = await search("/home/elsewhere/p")
    assert (outcome.workspace.database, outcome.strategy) == (str(named), "path_in_keys")


async def test_a_session_goes_before_a_path_and_the_last_written_before_others(user_dir, search):
    named = {"selectedComposerIds": [SESSION]}
    fill(make_workspace(user_dir, "w1"), list=named, at=1_000)
    newer = fill(make_workspace(user_dir, "w2"), list=named, at=2_000)
    bare(user_dir, "w3", prompts=["/home/elsewhere/p"], at=3_000)
    newest = bare(user_dir, "w4", prompts=["/home/elsewhere/p"], at=4_000)
    outcome = await search("/home/elsewhere/p", (SESSION,))
    assert (outcome.workspace.database, outcome.strategy) == (str(newer), "session_id")
    outcome = await search("/home/elsewhere/p", ("unknown-session",))
    assert (outcome.workspace.database, outcome.strategy) == (str(newest), "path_in_keys")


async def test_the_global_database_and_what_is_left_out_are_not_searched(user_dir, search):
    named = {"allComposers": [{"composerId": SESSION}]}
    fill(user_dir / "globalStorage" / "state.vscdb", list=named)
    fill(make_workspace(user_dir, "w1", folder="file:///home/demo/secret"), list=named)
    make_workspace(user_dir, "w2")
    outcome = await search("/home/elsewhere/p", (SESSION,))
    assert isinstance(outcome, Unmapped)
    assert "(0 looked at)" in outcome.why["session_id"]


async def test_what_is_there_at_a_glance_is_not_searched_for(user_dir, search):
    database = make_workspace(user_dir, "w1")
    outcome = await search("/home/demo/w1", (SESSION,))
    assert outcome == Mapped(search.scanner.watched[str(database)].workspace, "workspace_json")


async def test_a_search_remembered_is_not_made_again(user_dir, search):
    database = bare(user_dir, "w1", prompts=["/home/elsewhere/p/x"])
    outcome = await search("/home/elsewhere/p")
    assert search.mapper.remember(
        FoundMapping(UNKNOWN, str(database), outcome.strategy, "/home/elsewhere/p", NOW)
    )
    assert search.mapper.quick(UNKNOWN, "/home/elsewhere/p", NOW) == Mapped(outcome.workspace, "cache")
    # Its workspace.json appears, and names another folder.
    (database.parent / "workspace.json").write_text('{"folder": "file:///home/demo/other"}')
    outcome = await search("/home/elsewhere/p")
    assert "another folder" in outcome.why["cache"]
    assert "no database without a folder" in outcome.why["path_in_keys"]


@needs_posix
async def test_a_link_out_of_the_directories_is_not_followed(user_dir, search, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "workspace.json").write_text('{"folder": "file:///home/demo/outside"}')
    fill(outside / "state.vscdb", list=[SESSION])
    (user_dir / "workspaceStorage" / UNKNOWN).symlink_to(outside)
    half = make_workspace(user_dir, "w1")
    half.symlink_to(outside / "state.vscdb")
    outcome = await search("/home/demo/outside", (SESSION,))
    assert isinstance(outcome, Unmapped)
    assert "regular file" in outcome.why["session_id"]


SECRET = "canary-0f8b1c"


@pytest.mark.parametrize("mode", ["delete", "wal"])
async def test_no_secret_is_ever_read(user_dir, search, mode, logged, monkeypatch):
    secrets = {
        'secret://{"extensionId":"x","key":"y"}': f"{SECRET} {SESSION} /home/elsewhere/p",
        "cursorAuth/accessToken": [SECRET, SESSION, "/home/elsewhere/p"],
        "cursorAuth/refreshToken": [SECRET, SESSION, "/home/elsewhere/p"],
        "history.entries": ["/home/elsewhere/p"],
    }
    bare(user_dir, "w1", mode=mode, list={"x": "y"}, **secrets)
    values = []
    parse = searching.scan_names

    def watching(*arguments, **options):
        scan = parse(*arguments, **options)
        answer = None
        try:
            while True:
                query = scan.send(answer)
                answer = yield query
                values.append((query.params, answer.rows))
        except StopIteration as finished:
            return finished.value

    monkeypatch.setattr(searching, "scan_names", watching)
    outcome = await search("/home/elsewhere/p", (SESSION,))
    assert isinstance(outcome, Unmapped)
    assert {params[1] for params, _ in values} == {LIST, PROMPTS, RING}
    assert SECRET not in repr(values)
    assert SECRET not in repr(outcome)
    assert SECRET not in "".join(logged())


@pytest.mark.parametrize(
    "value", [None, "", "[", "null", "7", "[" * 10_000, '{"x": NaN}', "\\", '"' + "x" * 300_000], ids=range(9)
)
async def test_hostile_values_do_no_harm_to_others(user_dir, search, value):
    for number, key in enumerate(("list", "prompts", "ring")):
        bare(user_dir, f"bad{number}", **{key: value, "other": f"{SESSION} /home/elsewhere/p"})
    good = bare(user_dir, "good", at=1_000, prompts=["/home/elsewhere/p"])
    outcome = await search("/home/elsewhere/p", (SESSION,))
    assert (outcome.workspace.database, outcome.strategy) == (str(good), "path_in_keys")


async def test_a_value_of_32_mb_is_not_read(user_dir, search):
    database = bare(user_dir, "w1")
    blob = "INSERT INTO ItemTable VALUES (?, zeroblob(32000000))"
    execute(database, *((blob, (key,)) for key in (LIST, PROMPTS, RING)))
    outcome = await search("/home/elsewhere/p", (SESSION,))
    assert "larger than 8 MiB" in outcome.why["session_id"]


async def test_databases_that_are_none_do_no_harm(user_dir, search):
    for name, content in (("w1", b""), ("w2", b"x" * 5000), ("w3", b"SQLite format 3\0" + b"\xff" * 5000)):
        make_workspace(user_dir, name).write_bytes(content)
    execute(make_workspace(user_dir, "w4"), ("CREATE VIEW ItemTable AS SELECT 1 AS key, 2 AS value", ()))
    execute(make_workspace(user_dir, "w5"), ("CREATE TABLE numbers (n)", ()))
    named = fill(make_workspace(user_dir, "w6"), list=[SESSION], at=1_000)
    outcome = await search(None, (SESSION,))
    assert outcome.workspace.database == str(named)
    outcome = await search(None, ())
    assert (outcome.why["session_id"][:10], outcome.why["path_in_keys"][:7]) == ("no session", "no path")
    outcome = await search(None, ("unknown-session",))
    assert "3 looked at; " in outcome.why["session_id"]
    assert "no SQLite database" in outcome.why["session_id"]
    assert "no ItemTable that can be read" in outcome.why["session_id"]


LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print(flush=True)
sys.stdin.readline()
"""


async def test_a_locked_database_is_passed_over_and_words_say_so(user_dir, search, monkeypatch):
    monkeypatch.setattr(searching, "DATABASE_SECONDS", 0.1)
    locked = bare(user_dir, "locked", list=[SESSION])
    named = bare(user_dir, "w1", list=[SESSION], at=1_000)
    owner = await trio.lowlevel.open_process([sys.executable, "-c", LOCK, str(locked)], stdin=-1, stdout=-1)
    async with owner.stdin, owner.stdout:
        with trio.fail_after(PATIENCE):
            await owner.stdout.receive_some(1)
        outcome = await search(None, (SESSION,))
        assert outcome.workspace.database == str(named)
        outcome = await search(None, ("unknown-session",))
        assert "1 looked at; 1 passed over: locked or slow" in outcome.why["session_id"]
    await owner.wait()
    assert (await search(None, (SESSION,))).workspace.database == str(locked)


# -- Bounds, without files -----------------------------------------------------------------------------


class Library:
    """Answers in place of the door: what each database has, or what comes of reading it."""

    def __init__(self, outcomes=()):
        self.outcomes, self.visits, self.at_once, self.most_at_once = dict(outcomes), [], 0, 0
        self.seconds = 0.0

    async def read(self, path, make, *, unless=None):
        self.visits.append(path)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await trio.sleep(self.seconds)
        finally:
            self.at_once -= 1
        outcome = self.outcomes.get(path)
        return Empty("nothing") if outcome is None else outcome


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Busy("database is locked"), "2 passed over: locked"),
        (NeedsRecovery("its owner died"), "2 passed over: its owner died"),
        (Unreadable("damaged"), "2 passed over: damaged"),
    ],
)
async def test_what_cannot_be_read_is_said(outcome, words):
    scanner = scanner_of(place("a"), place("b"), place("c"))
    guest = Library(dict.fromkeys(list(scanner.watched)[:2], outcome))
    result = await Mapper(scanner, guest).search(UNKNOWN, "/home/demo/p", [SESSION])
    assert f"(1 looked at; {words})" in result.why["session_id"]
    assert f"(1 looked at; {words})" in result.why["path_in_keys"]


def page(**named):
    return Page(Named(**named), Signature(None, None), Catalog(1, {}), "ro", "delete", 0.0, 1)


async def test_what_needs_many_looks_is_given_up():
    scanner = scanner_of(place("a"))
    guest = Library({place("a").database: page(rest=("aiService.prompts",))})
    outcome = await Mapper(scanner, guest).search(UNKNOWN, "/home/demo/p", [])
    assert "(0 looked at; 1 passed over: locked or slow)" in outcome.why["path_in_keys"]
    assert len(guest.visits) == 3


async def test_when_enough_was_read_the_search_ends(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    scanner = scanner_of(*(place(name) for name in "abc"))
    guest = Library(dict.fromkeys(scanner.watched, page(size=50)))
    outcome = await Mapper(scanner, guest).search(UNKNOWN, None, [SESSION])
    assert "(2 looked at; 1 passed over: left when enough was read)" in outcome.why["session_id"]
    assert len(guest.visits) == 2


async def test_thousands_of_spellings_are_tried_in_a_search_at_the_latest():
    ones = [place(f"w{number}", f"file:///home/demo/p{number}") for number in range(450)]
    mapper = Mapper(scanner_of(*ones), NoGuest())
    announced = workspace_hash("/home/demo/p449/")
    assert isinstance(mapper.quick(announced, None, NOW), Unmapped)
    assert await mapper.search(announced, None, []) == Mapped(ones[449], "workspace_json")


async def test_thousands_of_spellings_are_tried_at_a_glance_once_all_are_hashed():
    ones = [place(f"w{number}", f"file:///home/demo/p{number}") for number in range(450)]
    mapper = Mapper(scanner_of(*ones), NoGuest())
    await mapper.spell_all()
    for number in (0, 449):
        assert mapper.quick(workspace_hash(f"/home/demo/p{number}/"), None).workspace is ones[number]


async def test_only_so_many_databases_are_searched():
    scanner = scanner_of(*(place(f"{number:04}") for number in range(230)))
    guest = Library()
    outcome = await Mapper(scanner, guest).search(UNKNOWN, None, [SESSION])
    assert guest.visits == list(reversed(scanner.watched))[:200]
    assert "200 looked at; 30 passed over: written longer ago" in outcome.why["session_id"]


async def test_a_search_takes_only_so_long(autojump_clock):
    scanner = scanner_of(*(place(f"{number:04}") for number in range(50)))
    guest = Library()
    guest.seconds = 100
    began = trio.current_time()
    outcome = await Mapper(scanner, guest).search(UNKNOWN, None, [SESSION])
    assert trio.current_time() - began == pytest.approx(5)
    assert "stopped after 5 s" in outcome.why["session_id"]
    assert len(guest.visits) == 10


async def test_one_search_at_a_time(autojump_clock):
    scanner = scanner_of(place("a"))
    guest = Library()
    guest.seconds = 0.1
    mapper = Mapper(scanner, guest)
    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(mapper.search, f"{number:016x}", None, [f"session-{number}"])
    assert (len(guest.visits), guest.most_at_once) == (5, 1)


async def test_what_was_searched_in_vain_is_read_again_only_once_it_has_changed():
    one, two = place("a"), place("b")
    scanner = scanner_of(one, two)
    guest = Library()
    mapper = Mapper(scanner, guest)
    for _ in range(3):
        outcome = await mapper.search(UNKNOWN, None, [SESSION])
        assert "(2 looked at)" in outcome.why["session_id"]
    assert guest.visits == [two.database, one.database]
    scanner.watched[one.database] = written(one, 500_000)
    await mapper.search(UNKNOWN, None, [SESSION])
    assert guest.visits[2:] == [one.database]
    await mapper.search(UNKNOWN, None, [SESSION, "another-session"])
    assert len(guest.visits) == 5
    for number in range(100):
        await mapper.search(UNKNOWN, None, [f"session-{number}"])
    assert len(mapper._vain) == 64


async def test_no_more_is_read_than_a_search_may(user_dir, search, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 2500)
    for number in range(5):
        bare(user_dir, f"w{number}", list=["x" * 1000])
    outcome = await search(None, (SESSION,))
    assert "more bytes than a search may read" in outcome.why["session_id"]
