"""The one door, with real files, real locks, real threads and the real clock.

Whoever owns a lock does so in another process (`owner.py`); connections of this process are made by the
same library as the door's, and are closed before it is opened: POSIX locks belong to the process.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import stat
import struct
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import attrs
import owner
import pytest
import trio
from cursor_files import unmeasured
from deadlines import until

from trio_cursor.cursor import filesystems, visits
from trio_cursor.cursor import guest as door
from trio_cursor.cursor.filesystems import filesystem_of, network_filesystem
from trio_cursor.cursor.guest import (
    Busy,
    Empty,
    Guest,
    NeedsRecovery,
    Page,
    Signature,
    TimedOut,
    Unchanged,
    Unreadable,
    signature_of,
)
from trio_cursor.cursor.jobs import CLAIMS, GivenUp, Job
from trio_cursor.cursor.opening import Surroundings, choose_way, open_claimed, read_header, uri_of
from trio_cursor.cursor.outcomes import FileStat, NotYet, Refused, RefusedForNow
from trio_cursor.cursor.private_copies import private_copy
from trio_cursor.cursor.reading import Transaction, harden, refusal_of
from trio_cursor.cursor.schemas import Query, Rows
from trio_cursor.cursor.visits import Visit
from trio_cursor.sqlite_library import HAS_OCTET_LENGTH, LIBRARY, file_uri, sqlite3

TABLES = {"ItemTable": frozenset({"key", "value"}), "numbers": frozenset({"n"})}
ITEM_TABLE = "CREATE TABLE ItemTable (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)"
A_KEY = Query("SELECT value FROM ItemTable WHERE key = ?", ("k0001",))
#: A cross join that nobody lives to see the end of.
ENDLESS = Query("SELECT count(*) FROM numbers a, numbers b, numbers c, numbers d, numbers e, numbers f")
A_NUMBER = Query("SELECT n FROM numbers LIMIT 1")
MANY = Query("SELECT a.n FROM numbers a, numbers b, numbers c, numbers d, numbers e, numbers f")
#: Long enough for any machine, short enough for a test that hangs.
PATIENCE = 20


def asking(*queries):
    """A scan whose page is the answers to these queries."""

    def make(_catalog):
        answers = []
        for query in queries:
            answer = yield query
            answers.append(answer)
        return lambda: answers

    return make


async def answered(guest, path, *queries):
    """A page with all answers: on a slow machine the lock budget ends one before the last query."""
    with trio.fail_after(PATIENCE):
        while True:
            page = await guest.read(str(path), asking(*queries))
            if all(answer.stopped != "budget" for answer in page.result):
                return page


def hanging(release, *, entered=None):
    """A scan that does not end before it is released, whatever is done to its connection."""

    def make(_catalog):
        rows = yield A_KEY
        if entered:
            entered.set()
        release.wait(PATIENCE)
        return lambda: rows

    return make


def build(path: Path, *statements: str, mode: str = "DELETE") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode={mode}").fetchall()
        for statement in statements or (ITEM_TABLE, "INSERT INTO ItemTable VALUES ('k0001', 'one')"):
            connection.execute(statement).fetchall()
    return path


def age(path: Path, seconds: float = 10) -> None:
    """Let it have been written a while ago."""
    for file in path.parent.glob(f"{path.name}*"):
        at = file.stat().st_mtime_ns - int(seconds * 1e9)
        os.utime(file, ns=(at, at))


def listing(directory: Path) -> dict[str, FileStat]:
    return {file.name: FileStat.of(file.lstat()) for file in directory.iterdir()}


@contextmanager
def owned(state: str, directory: Path):
    """A living owner in another process; `None` is one that has died."""
    directory.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, owner.__file__, "own", state, str(directory)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": unmeasured()}
    with subprocess.Popen(command, text=True, **pipes) as process:
        process.stdout.readline()
        yield process


def go_on(process) -> None:
    process.stdin.write("\n")
    process.stdin.flush()
    process.stdout.readline()


@pytest.fixture
def home(tmp_path):
    """A `User` directory; afterwards nothing of it is open or claimed any more."""
    root = tmp_path / "User"
    root.mkdir()
    yield root
    for _ in range(PATIENCE * 100):
        if not CLAIMS._holders:
            break
        time.sleep(0.01)
    assert CLAIMS._holders == {}
    descriptors = Path("/proc/self/fd")
    if descriptors.exists():
        links = [str(link.readlink()) for link in descriptors.iterdir() if link.is_symlink()]
        assert [link for link in links if link.startswith(str(tmp_path))] == []


@pytest.fixture
def a_guest(home):
    def make(**changes):
        rules = {
            "roots": [str(home)],
            "tables": TABLES,
            "deadline_seconds": 5,
            "max_concurrent": 4,
            "private_dir": str(home.parent / "private"),
        }
        return Guest(**rules | changes)

    return make


@pytest.fixture
def guest(a_guest):
    return a_guest()


@pytest.fixture
def database(home):
    return build(home / "workspaceStorage" / "w1" / "state.vscdb")


@pytest.fixture
def numbers(home):
    values = ", ".join(f"({n})" for n in range(1000))
    return build(
        home / "n" / "state.vscdb",
        ITEM_TABLE,
        "CREATE TABLE numbers (n)",
        f"INSERT INTO numbers VALUES {values}",
    )


# A page


async def test_a_page_says_what_was_read_and_how(guest, database):
    page = await guest.read(str(database), asking(A_KEY))
    assert page.result == [Rows([(b"one",)])]
    assert (page.way, page.journal_mode) == ("ro", "delete")
    assert page.signature.identity == (database.stat().st_dev, database.stat().st_ino)
    assert page.signature.database == signature_of(str(database)).database
    assert page.signature.wal is None
    assert page.held_seconds > 0


async def test_a_catalog_tells_of_the_tables_that_were_asked_for(guest, home):
    path = build(
        home / "state.vscdb",
        "CREATE TABLE itemtable (Key text primary key, Value blob)",
        "CREATE TABLE other (x)",
    )
    catalog = (await guest.read(str(path), asking())).catalog
    assert catalog.schema_version == 2
    assert set(catalog.tables) == {"ItemTable"}
    table = catalog.tables["ItemTable"]
    assert table.problem is None
    assert table.column_names() == {"key", "value"}
    assert [(column.name, column.primary_key, column.type) for column in table.columns] == [
        ("Key", 1, "TEXT"),
        ("Value", 0, "BLOB"),
    ]
    assert catalog.names == ("itemtable", "other")


async def test_a_catalog_is_made_once_for_each_layout(guest, database):
    first = (await guest.read(str(database), asking())).catalog
    assert (await guest.read(str(database), asking())).catalog is first
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE numbers (n)")
    assert set((await guest.read(str(database), asking())).catalog.tables) == {"ItemTable", "numbers"}


async def test_a_catalog_of_another_file_with_the_same_number_is_not_believed(guest, database):
    first = (await guest.read(str(database), asking())).catalog
    other = build(database.parent.parent / "w2" / "state.vscdb", "CREATE TABLE numbers (n)")
    database.write_bytes(other.read_bytes())  # the same inode, the same schema version
    second = (await guest.read(str(database), asking())).catalog
    assert second.schema_version == first.schema_version
    assert set(second.tables) == {"numbers"}


async def test_an_unchanged_database_is_not_opened(guest, database):
    age(database)
    signature = signature_of(str(database))
    assert signature.settled
    assert await guest.read(str(database), asking(A_KEY), unless=signature) == Unchanged(signature)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("INSERT INTO ItemTable VALUES ('k0001', 'two')")
        connection.commit()
    page = await guest.read(str(database), asking(A_KEY), unless=signature)
    assert page.result == [Rows([(b"two",)])]
    assert page.signature != signature


async def test_the_signature_of_a_file_just_written_becomes_another_by_itself(database):
    now = time.time_ns()
    os.utime(database, ns=(now, now))
    young = signature_of(str(database))
    await trio.sleep(0.03)
    old = signature_of(str(database))
    assert old.database == young.database
    assert old.settled
    assert old != young or young.settled  # a slow machine


async def test_a_log_is_part_of_the_signature(guest, home):
    with owned("WAL idle", home) as process:
        path = str(home / "state.vscdb")
        before = signature_of(path)
        assert before.wal is not None
        go_on(process)
        assert signature_of(path) != before
        page = await guest.read(path, asking(Query("SELECT count(*) FROM ItemTable")), unless=before)
        assert page.result == [Rows([(66,)])]
        process.stdin.close()


def test_a_signature_of_nothing_has_no_identity(tmp_path):
    assert signature_of(str(tmp_path / "none" / "state.vscdb")) == Signature(None, None)
    assert Signature(None, None).identity is None


async def test_values_come_as_they_are_stored(guest, home):
    path = build(
        home / "state.vscdb",
        ITEM_TABLE,
        "INSERT INTO ItemTable VALUES ('text', 'ü'), ('blob', x'00ff'), ('null', NULL), ('int', 7)",
        "INSERT INTO ItemTable VALUES (NULL, CAST(x'22c328' AS TEXT))",
    )
    page = await answered(guest, path, Query("SELECT key, value FROM ItemTable ORDER BY rowid"))
    assert page.result[0].rows == [
        (b"text", "ü".encode()),
        (b"blob", b"\x00\xff"),
        (b"null", None),
        (b"int", 7),
        (None, b'"\xc3('),
    ]


async def test_a_utf_16_database_reads_as_utf_8(guest, home):
    path = build(
        home / "state.vscdb",
        "PRAGMA encoding='UTF-16'",
        ITEM_TABLE,
        "INSERT INTO ItemTable VALUES ('k0001', 'ü')",
    )
    page = await guest.read(str(path), asking(A_KEY))
    assert page.result == [Rows([("ü".encode(),)])]
    assert "ItemTable" in page.catalog.tables


@pytest.mark.parametrize(
    "name", ["a ? b#c%20d&mode=rw", "ü\N{SNOWMAN}", os.fsdecode(b"\xff\xfe"), "-", "a\nb"]
)
@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
async def test_any_directory_name_will_do(guest, home, name, mode):
    path = build(home / name / "state.vscdb", mode=mode)
    before = listing(path.parent)
    page = await guest.read(str(path), asking(A_KEY))
    assert page.result == [Rows([(b"one",)])]
    assert listing(path.parent) == before
    assert [found.name for found in home.iterdir()] == [name]


async def test_the_page_is_made_after_the_file_was_closed(guest, database):
    def make(_catalog):
        yield A_KEY
        assert CLAIMS._holders
        return lambda: dict(CLAIMS._holders)

    assert (await guest.read(str(database), make)).result == {}


async def test_a_fault_in_a_scan_or_a_page_is_ours_and_comes_through(guest, database):
    def bad_make(_catalog):
        raise LookupError("make")

    def bad_scan(_catalog):
        yield A_KEY
        raise LookupError("scan")

    def bad_page(_catalog):
        yield A_KEY
        return lambda: {}["page"]

    for make in (bad_make, bad_scan, bad_page):
        with pytest.raises(LookupError):
            await guest.read(str(database), make)
    with pytest.raises(sqlite3.ProgrammingError):
        await guest.read(str(database), asking(Query("SELECT key FROM ItemTable WHERE key = ?")))
    assert isinstance(await guest.read(str(database), asking(A_KEY)), Page)


# What is not opened


def link(home, database):
    (home / "state.vscdb").symlink_to(database)


def fifo(home, _database):
    os.mkfifo(home / "state.vscdb")


def directory(home, _database):
    (home / "state.vscdb").mkdir()


def text(home, _database):
    (home / "state.vscdb").write_text("[]" * 1000)


def long_name(home, _database):
    return home / ("x" * 300)


def other_name(home, database):
    return shutil.copy(database, home / "state.vscdb.backup")


def outside(home, database):
    (home.parent / "elsewhere").mkdir()
    return shutil.copy(database, home.parent / "elsewhere" / "state.vscdb")


def linked_directory(home, database):
    place = outside(home, database).parent
    (home / "here").symlink_to(place)
    return home / "here" / "state.vscdb"


def linked_log(home, database):
    (home / "target").touch()
    shutil.copy(database, home / "state.vscdb")
    (home / "state.vscdb-wal").symlink_to(home / "target")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (link, "no regular file"),
        (fifo, "no regular file"),
        (directory, "no regular file"),
        (text, "no SQLite database"),
        (long_name, "File name too long"),
        (other_name, "name is not state.vscdb"),
        (outside, "outside"),
        (linked_directory, "outside"),
        (linked_log, "-wal is no regular file"),
    ],
)
async def test_what_is_not_a_database_of_ours_to_read_is_refused(guest, home, database, make, why):
    path = make(home, database) or home / "state.vscdb"
    outcome = await guest.read(str(path), asking(A_KEY))
    assert isinstance(outcome, Unreadable)
    assert why in outcome.why


async def test_a_directory_that_is_a_link_within_the_roots_is_followed(guest, home, database):
    (home / "here").symlink_to(database.parent)
    assert isinstance(await guest.read(str(home / "here" / "state.vscdb"), asking(A_KEY)), Page)


async def test_a_file_of_another_user_is_refused(guest, database, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: database.stat().st_uid + 1)
    assert await guest.read(str(database), asking()) == Unreadable("it belongs to another user")


@pytest.mark.parametrize("size", [None, 0, 100, 511])
async def test_a_database_without_a_page_is_empty(guest, home, size):
    if size is not None:
        (home / "state.vscdb").write_bytes(b"SQLite format 3\0".ljust(size, b"\0")[:size])
    assert isinstance(await guest.read(str(home / "state.vscdb"), asking()), Empty)


def test_a_file_that_was_replaced_meanwhile_is_not_read(database):
    seen = FileStat.of(database.stat())
    with pytest.raises(RefusedForNow):
        open_claimed(str(database), attrs.evolve(seen, inode=seen.inode + 1))
    with pytest.raises(RefusedForNow):
        read_header(str(database), None)


async def test_a_file_that_goes_away_is_looked_for_until_the_deadline(a_guest, home):
    """It is there when it is looked at, and gone when its header is to be read."""
    path = build(home / "state.vscdb", mode="WAL")

    def vanish(_path, _platform):
        path.unlink(missing_ok=True)
        raise FileNotFoundError

    assert isinstance(await a_guest(filesystem=vanish).read(str(path), asking()), Empty)


@pytest.mark.parametrize(
    ("code", "has_journal", "outcome", "again"),
    [
        (sqlite3.SQLITE_BUSY, False, Busy, True),
        (sqlite3.SQLITE_BUSY | 2 << 8, True, Busy, True),
        (sqlite3.SQLITE_LOCKED, False, Busy, True),
        (sqlite3.SQLITE_PROTOCOL, False, Busy, True),
        (sqlite3.SQLITE_READONLY, True, NeedsRecovery, False),
        (sqlite3.SQLITE_CANTOPEN, True, NeedsRecovery, False),
        (sqlite3.SQLITE_READONLY, False, Unreadable, True),
        (sqlite3.SQLITE_CANTOPEN, False, Unreadable, True),
        (sqlite3.SQLITE_IOERR, True, Unreadable, False),
        (sqlite3.SQLITE_CORRUPT, False, Unreadable, False),
        (sqlite3.SQLITE_NOTADB, False, Unreadable, False),
        (sqlite3.SQLITE_AUTH, False, Unreadable, False),
    ],
)
def test_an_error_of_sqlite_says_what_to_do(code, has_journal, outcome, again):
    error = sqlite3.OperationalError("text with \x1b[2J in it")
    error.sqlite_errorcode = code
    refused = refusal_of(error, has_journal=has_journal)
    assert isinstance(refused.outcome, outcome)
    assert isinstance(refused, RefusedForNow) is again
    assert refused.outcome.why.isprintable()


# Hostile databases


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT secret FROM ItemTable",
        "SELECT key FROM other",
        "SELECT name FROM sqlite_master",
        "SELECT key FROM ItemTable WHERE value LIKE 'a%'",
        "SELECT randomblob(8) FROM ItemTable",
        "SELECT load_extension('x')",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
        "PRAGMA journal_mode=WAL",
        "ATTACH ':memory:' AS more",
        "INSERT INTO ItemTable VALUES ('a', 'b', 'c')",
        "DELETE FROM ItemTable",
        "CREATE TABLE mine (x)",
        "COMMIT",
    ],
)
async def test_only_declared_columns_and_harmless_functions_can_be_used(guest, home, sql):
    path = build(
        home / "state.vscdb",
        "CREATE TABLE ItemTable (key TEXT, value BLOB, secret TEXT)",
        "CREATE TABLE other (key TEXT)",
        "INSERT INTO ItemTable VALUES ('k0001', 'one', 'token')",
    )
    before = listing(home)
    outcome = await guest.read(str(path), asking(Query(sql)))
    assert isinstance(outcome, Unreadable)
    assert "token" not in outcome.why
    assert listing(home) == before


@pytest.mark.parametrize(
    "declaration",
    ["key TEXT UNIQUE, value", "key INTEGER PRIMARY KEY, value", "id INTEGER PRIMARY KEY, key, value"],
)
async def test_what_schemas_ask_for_is_allowed(guest, home, declaration):
    path = build(
        home / "state.vscdb",
        f"CREATE TABLE ItemTable ({declaration})",
        "INSERT INTO ItemTable(key, value) VALUES (1, 'x')",
    )
    size = "octet_length" if HAS_OCTET_LENGTH else "length"
    page = await answered(
        guest,
        path,
        Query("SELECT count(*) FROM ItemTable"),
        Query("SELECT max(rowid), min(rowid) FROM ItemTable"),
        Query(
            f"SELECT rowid, {size}(value), substr(typeof(value), 1) FROM ItemTable WHERE rowid > ?",
            (0,),
        ),
        Query("SELECT _rowid_ FROM ItemTable WHERE rowid > ? AND +key >= ? ORDER BY rowid LIMIT 5", (0, 0)),
        Query("SELECT coalesce(json_valid(value), 0) FROM ItemTable"),
    )
    assert [answer.rows for answer in page.result] == [
        [(1,)],
        [(1, 1)],
        [(1, 1, b"text")],
        [(1,)],
        [(0,)],
    ]


@pytest.mark.parametrize(
    ("statements", "problem"),
    [
        (["CREATE VIEW ItemTable AS SELECT 1 AS key, 2 AS value"], "view"),
        (
            [
                "PRAGMA writable_schema=ON",
                "CREATE TABLE ItemTable (x)",
                "UPDATE sqlite_master SET rootpage = 0, sql = 'CREATE VIRTUAL TABLE ItemTable USING fts5(x)'",
            ],
            "virtual table",
        ),
        (
            [
                ITEM_TABLE,
                "PRAGMA writable_schema=ON",
                "INSERT INTO sqlite_master VALUES ('view', 'ITEMTABLE', 'x', 0, 'CREATE VIEW x AS SELECT 7')",
            ],
            "view",
        ),
    ],
)
async def test_what_would_run_code_of_the_file_is_named_and_not_read(guest, home, statements, problem):
    path = build(home / "state.vscdb", *statements)
    outcome = await guest.read(str(path), asking())
    if isinstance(outcome, Unreadable):  # some libraries find the list of tables malformed at once
        assert "malformed" in outcome.why
        return
    assert outcome.catalog.tables["ItemTable"].problem == problem
    assert isinstance(await guest.read(str(path), asking(A_KEY)), Unreadable)


async def test_a_generated_column_is_no_ordinary_one(guest, home):
    path = build(
        home / "state.vscdb",
        "CREATE TABLE ItemTable (key TEXT, value AS (zeroblob(400000000)), big AS (1) STORED)",
    )
    catalog = (await guest.read(str(path), asking())).catalog
    assert catalog.tables["ItemTable"].column_names() == {"key"}


async def test_names_with_any_byte_are_shown_and_never_used(guest, home):
    path = build(
        home / "state.vscdb",
        ITEM_TABLE,
        "CREATE TABLE x (y)",
        f'CREATE TABLE "{"z" * 500}" (y)',
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_master SET name = CAST(x'61006280' AS TEXT) WHERE name = 'x'",
    )
    page = await guest.read(str(path), asking(A_KEY))
    if isinstance(page, Unreadable):
        assert "malformed" in page.why
    else:
        assert len(page.catalog.names) == 3
        assert max(map(len, page.catalog.names)) == 100


async def test_a_list_of_tables_that_is_damaged_is_told(guest, home):
    path = build(
        home / "state.vscdb",
        ITEM_TABLE,
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_master SET sql = 'CREATE TABLE ItemTable (' || CAST(x'ff1b80' AS TEXT)",
    )
    outcome = await guest.read(str(path), asking())
    assert isinstance(outcome, Unreadable)
    assert outcome.why.isprintable()


async def test_a_huge_value_is_measured_without_being_read(guest, home):
    path = build(
        home / "state.vscdb", ITEM_TABLE, "INSERT INTO ItemTable VALUES ('k0001', zeroblob(40000000))"
    )
    size = Query("SELECT length(value) FROM ItemTable WHERE key = ?", ("k0001",))
    answer, value = (await answered(guest, path, size, A_KEY)).result
    assert answer.rows == [(40_000_000,)]
    if hasattr(sqlite3.Connection, "setlimit"):
        assert value == Rows([], "too big")


async def test_a_table_without_an_index_costs_the_budget_and_no_more(guest, numbers):
    page = await guest.read(str(numbers), asking(ENDLESS, A_KEY))
    assert page.result == [Rows([], "budget"), Rows([], "budget")]


def mutations(original: bytes, count: int):
    random_ = random.Random(20_261_121)
    for _ in range(count):
        data = bytearray(original)
        match random_.randrange(5):
            case 0:
                for _ in range(random_.randrange(1, 40)):
                    data[random_.randrange(len(data))] ^= 1 << random_.randrange(8)
            case 1:
                del data[random_.randrange(len(data)) :]
            case 2:
                first, second = (random_.randrange(len(data) // 4096) * 4096 for _ in range(2))
                data[first : first + 4096], data[second : second + 4096] = (
                    data[second : second + 4096],
                    data[first : first + 4096],
                )
            case 3:
                for _ in range(random_.randrange(1, 8)):
                    data[random_.randrange(16, 110)] = random_.randrange(256)
            case 4:
                at = random_.randrange(100, 4096)
                data[at : at + 200] = random_.randbytes(len(data[at : at + 200]))
        yield bytes(data), random_.choice([None, None, b"", random_.randbytes(5000)]), random_.random() < 0.3


async def test_a_mutated_database_harms_nobody(a_guest, home):
    original = build(
        home / "original" / "state.vscdb",
        ITEM_TABLE,
        "CREATE TABLE numbers (n)",
        *(f"INSERT INTO ItemTable VALUES ('k{n:04}', printf('%.2000c', 'x'))" for n in range(20)),
    ).read_bytes()
    guest = a_guest(deadline_seconds=5)
    outcomes = set()
    for number, (data, wal, shm) in enumerate(mutations(original, 200)):
        path = home / str(number) / "state.vscdb"
        path.parent.mkdir()
        path.write_bytes(data)
        if wal is not None:
            path.with_name("state.vscdb-wal").write_bytes(wal)
            if shm:
                path.with_name("state.vscdb-shm").write_bytes(bytes(32768))
        age(path)
        before = listing(path.parent), [file.read_bytes() for file in sorted(path.parent.iterdir())]
        with trio.fail_after(PATIENCE):
            outcome = await guest.read(
                str(path), asking(A_KEY, Query("SELECT key, value FROM ItemTable"), ENDLESS)
            )
        assert (listing(path.parent), [file.read_bytes() for file in sorted(path.parent.iterdir())]) == before
        outcomes.add(type(outcome))
        shutil.rmtree(path.parent)
    assert outcomes >= {Page, Unreadable}
    assert TimedOut not in outcomes


async def test_a_damaged_log_never_holds_a_thread(a_guest, home):
    """SQLite sleeps for ten seconds over a log with a bad header beside an index that nobody owns."""
    with owned("WAL crash", home):
        pass
    path = home / "state.vscdb"
    log, index = (path.with_name(f"state.vscdb-{name}") for name in ("wal", "shm"))
    sound, indexed = log.read_bytes(), index.read_bytes()
    random_ = random.Random(20_261_121)
    guest = a_guest(deadline_seconds=1)
    counts = set()
    for number in range(160):
        data = bytearray(sound)
        if number < 128:
            data[number // 4] ^= 1 << random_.randrange(8)
        else:
            del data[random_.randrange(100 if number % 2 else len(data)) :]
        log.write_bytes(data)
        index.write_bytes(indexed if random_.random() < 0.5 else bytes(random_.choice([0, 100, 32768])))
        age(path)
        before = listing(home), log.read_bytes(), index.read_bytes()
        outcome = await guest.read(str(path), asking(Query("SELECT count(*) FROM ItemTable")))
        assert (listing(home), log.read_bytes(), index.read_bytes()) == before
        if isinstance(outcome, Page):
            counts.add(outcome.result[0].rows[0][0])
        else:
            assert isinstance(outcome, Unreadable)
    # Without its log the database holds what was checkpointed; frames count up to the first damaged one.
    assert min(counts) == 40
    assert len(counts) > 3


async def test_an_error_that_is_no_text_is_an_outcome_too(guest, home):
    path = build(home / "state.vscdb", ITEM_TABLE, "CREATE TABLE damaged_name (x)")
    data = path.read_bytes().replace(b"damaged_name", b"d\xc1maged(name")
    path.write_bytes(data)
    outcome = await guest.read(str(path), asking())
    assert isinstance(outcome, Unreadable)
    assert "damaged" in outcome.why


# The lock budget


async def test_a_stop_keeps_the_rows_read_so_far(guest, numbers):
    page = await guest.read(str(numbers), asking(MANY, A_KEY))
    many, later = page.result
    assert many.stopped == "budget"
    assert len(many.rows) > 1
    assert later == Rows([], "budget")


async def test_the_first_query_always_makes_progress(guest, database):
    def make(_catalog):
        time.sleep(0.1)  # a machine that has better things to do
        first = yield A_KEY
        second = yield A_KEY
        return lambda: (first, second)

    page = await guest.read(str(database), make)
    assert page.result == (Rows([(b"one",)]), Rows([], "budget"))


async def test_the_list_of_tables_is_read_within_the_budget(home, a_guest, monkeypatch):
    monkeypatch.setattr("trio_cursor.cursor.visits.ROLLBACK_BUDGET_SECONDS", 0.0)
    path = build(home / "state.vscdb", "BEGIN", *(f"CREATE TABLE t{n} (x)" for n in range(500)), "COMMIT")
    outcome = await a_guest(deadline_seconds=0.1).read(str(path), asking())
    assert outcome == Busy("its list of tables took longer than the lock budget")


@pytest.mark.parametrize("big", [1, 2, 4])
def test_the_row_before_one_that_is_too_big_is_not_lost(tmp_path, big):
    path = build(
        tmp_path / "state.vscdb", "CREATE TABLE numbers (n)", "INSERT INTO numbers VALUES (1), (2), (3), (4)"
    )
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        transaction = Transaction(connection, Job(), 60)
        query = Query(
            "SELECT n, CASE n WHEN ? THEN zeroblob(2000000000) END FROM numbers ORDER BY rowid", (big,)
        )
        assert transaction.answer(query) == Rows([(n, None) for n in range(1, big)], "too big")


def test_where_the_too_big_row_cannot_be_found_nobody_is_blamed(tmp_path):
    path = build(
        tmp_path / "state.vscdb", "CREATE TABLE numbers (n)", "INSERT INTO numbers VALUES (1), (2), (3)"
    )
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        transaction = Transaction(connection, Job(), 60)
        assert transaction._before_the_too_big(Query("SELECT zeroblob(2000000000) FROM numbers"), 2) == Rows(
            [], "budget"
        )
        with pytest.raises(sqlite3.Error, match="no such column"):
            transaction._before_the_too_big(Query("SELECT x FROM numbers"), 2)


async def test_cursor_is_owed_a_gap(guest, database):
    opened = []

    def make(_catalog):
        opened.append(time.monotonic())
        yield A_KEY
        return lambda: None

    for _ in range(3):
        await guest.read(str(database), make)
    assert min(later - earlier for earlier, later in itertools.pairwise(opened)) >= 0.009
    age(database)
    await guest.read(str(database), make)
    assert guest._databases[str(database)].memory.gap_seconds == 0.001


@pytest.fixture
def looks(monkeypatch):
    """What became of each attempt."""
    found = []
    call = Visit.__call__

    def noting(visit, *args, **kwargs):
        try:
            page = call(visit, *args, **kwargs)
        except NotYet as wait:
            found.append(wait.outcome.why)
            raise
        found.append(type(page).__name__)
        return page

    monkeypatch.setattr(Visit, "__call__", noting)
    return found


class TestALogThatIsBeingWritten:
    """Its owner may be about to close it, and a reader then takes the closing checkpoint away."""

    @pytest.fixture
    def owner(self, home):
        with closing(sqlite3.connect(home / "state.vscdb", isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=WAL").fetchall()
            connection.execute(ITEM_TABLE)
            yield connection

    @pytest.fixture(autouse=True)
    def _slowly(self, monkeypatch):
        """However slow the machine is."""
        monkeypatch.setattr(visits, "QUIET_NS", 1_000_000_000)
        monkeypatch.setattr(visits, "QUIET_PATIENCE_SECONDS", 60)

    async def test_is_left_alone_until_it_is_quiet(self, guest, home, owner, looks, monkeypatch):
        monkeypatch.setattr(door, "LOG_PATIENCE_SECONDS", 60)
        owner.execute("INSERT INTO ItemTable VALUES ('a', 1)")
        assert isinstance(await guest.read(str(home / "state.vscdb"), asking()), Page)
        assert looks[-1] == "Page"
        assert set(looks[:-1]) == {"its log is being written"}

    async def test_is_read_at_once_when_it_is_quiet_or_of_another_time(self, guest, home, owner, looks):
        for seconds in (10, -10):  # a clock that was set back
            owner.execute("INSERT INTO ItemTable VALUES ('a', 1)")
            age(home / "state.vscdb-wal", seconds)
            assert isinstance(await guest.read(str(home / "state.vscdb"), asking()), Page)
        assert looks == ["Page", "Page"]

    async def test_is_read_without_a_lock_when_it_is_closed_meanwhile(self, guest, home, owner, looks):
        owner.execute("INSERT INTO ItemTable VALUES ('a', 1)")
        async with trio.open_nursery() as nursery:

            async def close():
                await until(lambda: looks)
                owner.close()

            nursery.start_soon(close)
            page = await guest.read(str(home / "state.vscdb"), asking())
        assert page.way == "immutable"
        assert not (home / "state.vscdb-wal").exists()

    async def test_is_read_in_the_end_and_its_pages_in_a_row(self, guest, home, owner, looks, monkeypatch):
        monkeypatch.setattr(visits, "QUIET_NS", 10**18)  # it is written all the time
        monkeypatch.setattr(visits, "QUIET_PATIENCE_SECONDS", 0.2)
        monkeypatch.setattr(visits, "IMPATIENT_SECONDS", 60)
        owner.execute("INSERT INTO ItemTable VALUES ('a', 1)")
        began = time.monotonic()
        assert isinstance(await guest.read(str(home / "state.vscdb"), asking()), Page)
        assert time.monotonic() - began >= 0.2
        memory = guest._databases[str(home / "state.vscdb")].memory
        del looks[:]
        for _ in range(3):
            until_then = memory.impatient_until
            assert isinstance(await guest.read(str(home / "state.vscdb"), asking()), Page)
            assert memory.impatient_until > until_then
        assert looks == ["Page"] * 3

    async def test_is_waited_for_anew_after_it_was_quiet_and_could_not_be_read(
        self, guest, home, owner, looks, monkeypatch
    ):
        path = home / "state.vscdb"
        owner.execute("INSERT INTO ItemTable VALUES ('a', 1)")

        def refused(*_):
            raise Refused(Unreadable("not now"))

        monkeypatch.setattr(Visit, "_read", refused)
        assert isinstance(await guest.read(str(path), asking()), Unreadable)
        assert "its log is being written" in looks
        assert guest._databases[str(path)].memory.waits_since is None

    async def test_is_waited_for_anew_after_somebody_was_cancelled_who_did(self, guest, home, owner, looks):
        owner.execute("INSERT INTO ItemTable VALUES ('a', 1)")
        with trio.move_on_after(60) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(guest.read, str(home / "state.vscdb"), asking())
                await until(lambda: looks)
                scope.cancel()
        memory = guest._databases[str(home / "state.vscdb")].memory
        assert memory.waits_since is not None
        memory.waits_since -= 1000
        del looks[:]
        age(home / "state.vscdb-wal", 0.5)
        assert isinstance(await guest.read(str(home / "state.vscdb"), asking()), Page)
        assert looks[0] == "its log is being written"


async def test_a_large_log_that_grows_gets_a_moment_without_us(guest, home):
    path = home / "state.vscdb"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL").fetchall()
        connection.execute("PRAGMA wal_autocheckpoint=0").fetchall()
        connection.execute(ITEM_TABLE)
        connection.execute("INSERT INTO ItemTable VALUES ('a', zeroblob(9000000))")
        assert isinstance(await guest.read(str(path), asking()), Page)
        connection.execute("INSERT INTO ItemTable VALUES ('b', zeroblob(9000000))")
        before = time.monotonic()
        assert isinstance(await guest.read(str(path), asking()), Page)
        assert time.monotonic() - before >= 0.049


# Ways in that are rare


async def test_a_private_copy_is_private_and_gone_afterwards(guest, home):
    with owned("WAL noshm", home):
        pass
    age(home / "state.vscdb")
    private = home.parent / "private"
    seen = {}

    def make(_catalog):
        yield A_KEY
        (copy,) = private.iterdir()
        for place in (private, copy, *copy.iterdir()):
            seen[place.name.split("-")[0] if place == copy else place.name] = stat.S_IMODE(
                place.stat().st_mode
            )
        return lambda: None

    assert (await guest.read(str(home / "state.vscdb"), make)).way == "private copy"
    assert seen["private"] == seen["copy"] == 0o700
    assert seen["state.vscdb"] == seen["state.vscdb-wal"] == 0o600
    assert list(private.iterdir()) == []

    def broken(_catalog):
        yield A_KEY
        raise LookupError

    with pytest.raises(LookupError):
        await guest.read(str(home / "state.vscdb"), broken)
    assert list(private.iterdir()) == []


async def test_what_a_killed_process_left_is_removed_with_the_next_copy(guest, home):
    with owned("WAL noshm", home):
        pass
    private = home.parent / "private"
    for name in ("copy-old", "copy-new", "other"):
        (private / name).mkdir(parents=True)
        (private / name / "state.vscdb").touch()
    os.utime(private / "copy-old", (0, 0))
    assert isinstance(await guest.read(str(home / "state.vscdb"), asking()), Page)
    assert sorted(found.name for found in private.iterdir()) == ["copy-new", "other"]


async def test_a_database_above_the_cap_waits_for_its_owner(a_guest, home):
    with owned("WAL noshm", home):
        pass
    guest = a_guest(private_cap_bytes=10_000)
    assert isinstance(await guest.read(str(home / "state.vscdb"), asking()), NeedsRecovery)


async def test_a_log_on_a_network_is_copied_or_refused(a_guest, home):
    def nfs(path, platform):
        assert (path, platform) == (str(home / "state.vscdb"), sys.platform)
        return "nfs4"

    with owned("WAL idle", home) as process:
        page = await a_guest(filesystem=nfs).read(str(home / "state.vscdb"), asking())
        assert page.way == "private copy"
        outcome = await a_guest(filesystem=nfs, private_cap_bytes=1000).read(
            str(home / "state.vscdb"), asking()
        )
        assert isinstance(outcome, Unreadable)
        assert "nfs4" in outcome.why
        process.stdin.close()


async def test_a_rollback_database_on_a_network_is_read_in_place(a_guest, database):
    assert (await a_guest(filesystem=lambda *_: "nfs").read(str(database), asking())).way == "ro"


async def test_windows_reads_a_log_with_its_shared_memory(a_guest, home):
    with owned("WAL idle", home) as process:
        page = await a_guest(platform="win32").read(str(home / "state.vscdb"), asking())
        assert (page.way, page.journal_mode) == ("ro", "wal")
        process.stdin.close()


async def test_a_database_that_changes_under_an_immutable_read_counts_for_nothing(a_guest, home):
    path = build(home / "state.vscdb", mode="WAL")
    seen = []

    def make(_catalog):
        seen.append((yield A_KEY))
        os.utime(path)
        return lambda: seen

    guest = a_guest(deadline_seconds=0.5)
    outcome = await guest.read(str(path), make)
    assert outcome == Busy("it changed while it was read")
    # The deadline may cut the last attempt short, after what it saw: that one was not refused.
    assert guest.meter.busy in (len(seen), len(seen) - 1)
    assert guest.meter.busy > 1
    assert guest.meter.outcomes["busy"] == 1


def test_a_database_that_changes_while_it_is_copied_counts_for_nothing(database, tmp_path):
    age(database)
    signature = signature_of(str(database))
    header = read_header(str(database), signature.database)

    def stop():
        os.utime(database)

    with (
        pytest.raises(RefusedForNow),
        private_copy(str(database), header, signature, directory=str(tmp_path / "p"), stop=stop),
    ):
        pass
    assert list((tmp_path / "p").iterdir()) == []


def surroundings(**changes):
    rollback = bytes(18) + b"\1\1" + bytes(80)
    wal = bytes(18) + b"\2\2" + bytes(80)
    changes["header"] = wal if changes.pop("wal") else rollback
    usual = {"wal_size": None, "has_shm": False, "journal_size": None, "log_header": b"", "size": 8192}
    return Surroundings(**usual | changes)


#: As at the start of a log: magic number, version, page size.
SOUND = bytes.fromhex("377f0682 002de218 00001000").ljust(32, b"\1")


@pytest.mark.parametrize(
    ("platform", "seen", "way"),
    [
        ("linux", {"wal": False}, "ro"),
        ("linux", {"wal": False, "journal_size": 512}, "ro"),
        ("linux", {"wal": True}, "immutable"),
        ("linux", {"wal": True, "wal_size": 0}, "immutable"),
        ("linux", {"wal": True, "has_shm": True}, "immutable"),
        ("linux", {"wal": True, "wal_size": 0, "has_shm": True}, "ro+readonly_shm"),
        ("linux", {"wal": True, "wal_size": 32, "has_shm": True, "log_header": SOUND}, "ro+readonly_shm"),
        ("linux", {"wal": True, "wal_size": 9, "has_shm": True, "log_header": bytes(9)}, "ro+readonly_shm"),
        ("linux", {"wal": True, "wal_size": 32, "has_shm": True, "log_header": bytes(32)}, "private copy"),
        (
            "linux",
            {
                "wal": True,
                "wal_size": 32,
                "has_shm": True,
                "log_header": SOUND[:8] + b"\0\0\3\0" + SOUND[12:],
            },
            "private copy",
        ),
        ("linux", {"wal": True, "wal_size": 32}, "private copy"),
        ("linux", {"wal": True, "wal_size": 32, "journal_size": 512}, "private copy"),
        ("linux", {"wal": False, "wal_size": 0}, "private copy"),
        ("linux", {"wal": False, "wal_size": 32, "journal_size": 0}, "private copy"),
        ("linux", {"wal": False, "wal_size": 32, "journal_size": 512}, Busy),
        ("linux", {"wal": True, "wal_size": 32, "size": 1 << 40}, NeedsRecovery),
        ("linux", {"wal": True, "network": "9p"}, "private copy"),
        ("linux", {"wal": True, "wal_size": 32, "has_shm": True, "network": "9p"}, "private copy"),
        ("linux", {"wal": True, "size": 1 << 40, "network": "9p"}, Unreadable),
        ("win32", {"wal": False}, "ro"),
        ("win32", {"wal": True}, "immutable"),
        ("win32", {"wal": True, "wal_size": 32}, "private copy"),
        ("win32", {"wal": True, "wal_size": 32, "has_shm": True}, "ro"),
        ("darwin", {"wal": True, "wal_size": 32, "has_shm": True}, "ro+readonly_shm"),
    ],
)
def test_the_way_in_is_chosen_by_what_lies_there(platform, seen, way):
    try:
        chosen = choose_way(surroundings(**seen), platform, 1 << 20)
    except Refused as refused:
        chosen = type(refused.outcome)
    assert chosen == way


@pytest.mark.parametrize(
    ("path", "way", "platform", "uri"),
    [
        ("/a b/?#%/state.vscdb", "ro", "linux", "file:///a%20b/%3F%23%25/state.vscdb?mode=ro"),
        (
            "C:\\Users\\Ü\\state.vscdb",
            "immutable",
            "win32",
            "file:///C:/Users/%C3%9C/state.vscdb?mode=ro&immutable=1",
        ),
        ("\\\\server\\a b\\state.vscdb", "ro", "win32", "file:////server/a%20b/state.vscdb?mode=ro"),
        ("/a/state.vscdb", "ro+readonly_shm", "darwin", "file:///a/state.vscdb?mode=ro&readonly_shm=1"),
        ("/a/state.vscdb", "private copy", "linux", "file:///a/state.vscdb?mode=rw"),
    ],
)
def test_a_path_is_encoded_for_the_uri(path, way, platform, uri):
    assert uri_of(path, way, platform) == uri


def test_sqlite_is_told_of_a_share_without_naming_a_host():
    for uri, words in (
        ("file://server/a/x", "authority"),
        (file_uri("\\\\server\\a\\x", "win32"), "unable to open"),
    ):
        with pytest.raises(sqlite3.OperationalError, match=words):
            sqlite3.connect(f"{uri}?mode=ro", uri=True)


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /home rw - nfs4 server:/home rw
31 30 8:2 / /home/me/local rw - xfs /dev/sdb rw
32 22 0:41 / /mnt/a\\040b rw - 9p C: rw
33 22 8:3 / /over rw - ext4 /dev/sdc rw
34 22 0:42 / /over rw - fuse.sshfs me@there: rw
"""


@pytest.mark.parametrize(
    ("path", "filesystem"),
    [
        ("/etc", "ext4"),
        ("/", "ext4"),
        ("/home", "nfs4"),
        ("/homeless", "ext4"),
        ("/home/me/other", "nfs4"),
        ("/home/me/local/x", "xfs"),
        ("/mnt/a b/c", "9p"),
        ("/over/x", "fuse.sshfs"),
    ],
)
def test_the_longest_mount_point_tells_the_file_system(path, filesystem):
    assert filesystem_of(path, MOUNTS) == filesystem


def test_network_paths_are_told_from_local_ones(tmp_path, monkeypatch):
    assert network_filesystem(str(tmp_path / "state.vscdb"), "linux") is None
    assert network_filesystem("C:\\a\\state.vscdb", "win32") is None
    for share in ("\\\\server\\a", "//server/a", "\\\\?\\UNC\\server\\a", "\\\\wsl.localhost\\Ubuntu\\home"):
        assert network_filesystem(f"{share}\\state.vscdb", "win32") == "a network share"
    for disk in ("\\\\?\\C:\\a", "\\\\.\\C:\\a", "D:"):
        assert network_filesystem(f"{disk}\\state.vscdb", "win32") is None
    monkeypatch.setattr(Path, "read_text", lambda *_: MOUNTS)
    assert network_filesystem("/home/somebody/state.vscdb", "linux") == "nfs4"

    def missing(*_):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert network_filesystem("/somewhere/else/state.vscdb", "linux") is None


@pytest.mark.parametrize(
    ("filesystem", "expected"),
    [
        ("apfs", None),
        ("hfs", None),
        ("", None),
        *((name, name) for name in ("smbfs", "nfs", "afpfs", "webdav")),
    ],
)
def test_on_macos_the_system_is_asked(filesystem, expected, monkeypatch):
    # As <sys/mount.h> has it: nine numbers, the type in 16 bytes, two paths of 1,024 bytes, eight numbers.
    structure = struct.pack(
        "=IiQQQQQqIIII16s1024s1024s8I", *range(12), filesystem.encode(), b"/", b"/dev", *range(8)
    )
    assert len(structure) == filesystems._STATFS_BYTES
    asked = []
    monkeypatch.setattr(filesystems, "_statfs", lambda directory: asked.append(directory) or structure)
    assert network_filesystem(f"/Users/_{filesystem}/state.vscdb", "darwin") == expected
    assert asked == [f"/Users/_{filesystem}"]


def test_a_directory_that_the_system_knows_nothing_of_counts_as_local():
    assert network_filesystem("/somewhere/else/entirely/state.vscdb", "darwin") is None


# Locks, turns and deadlines


@pytest.mark.parametrize("state", ["DELETE exclusive", "DELETE spill"])
async def test_a_busy_database_is_tried_until_the_deadline_and_read_when_it_is_free(a_guest, home, state):
    path = str(home / "state.vscdb")
    with owned(state, home) as process:
        assert isinstance(await a_guest(deadline_seconds=0.1).read(path, asking()), Busy)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, go_on, process)
            page = await a_guest(deadline_seconds=PATIENCE).read(
                path, asking(Query("SELECT count(*) FROM ItemTable"))
            )
        assert page.result[0].rows[0][0] >= 65  # its commit was waited for
        process.stdin.close()


async def test_waiting_for_a_busy_database_can_be_cancelled(a_guest, home):
    with owned("DELETE exclusive", home) as process:
        with trio.fail_after(PATIENCE), trio.move_on_after(0.05) as scope:
            await a_guest(deadline_seconds=1000).read(str(home / "state.vscdb"), asking())
        assert scope.cancelled_caught
        process.stdin.close()


async def test_reads_of_the_same_file_take_turns_under_any_name(guest, database, home):
    alias = home / "alias" / "state.vscdb"
    alias.parent.mkdir()
    os.link(database, alias)
    inside, most, pages = [], [], []

    def make(_catalog):
        inside.append(1)
        most.append(len(inside))
        yield A_KEY
        time.sleep(0.01)
        inside.pop()
        return lambda: None

    async def read(path):
        pages.append(await guest.read(str(path), make))

    async with trio.open_nursery() as nursery:
        for path in (database, alias) * 3:
            nursery.start_soon(read, path)
    assert [type(page) for page in pages] == [Page] * 6
    assert set(most) == {1}


async def test_waiting_for_a_thread_does_not_count(a_guest, database, numbers):
    guest = a_guest(max_concurrent=1, deadline_seconds=0.2)
    release, entered = threading.Event(), threading.Event()

    def slow(_catalog):
        yield A_KEY
        return lambda: (entered.set(), release.wait(PATIENCE))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(guest.read, str(database), slow)
        await until(entered.is_set)

        async def late():
            await trio.sleep(0.4)  # twice the deadline, for both
            release.set()

        nursery.start_soon(late)
        assert isinstance(await guest.read(str(numbers), asking(A_KEY)), Page)


async def test_making_the_page_has_no_deadline(a_guest, database):
    def make(_catalog):
        yield A_KEY
        return lambda: time.sleep(0.5)

    assert isinstance(await a_guest(deadline_seconds=0.2).read(str(database), make), Page)


async def test_a_scan_that_does_not_end_is_interrupted_at_the_deadline(a_guest, numbers):
    def make(_catalog):
        while True:
            yield ENDLESS

    guest = a_guest(deadline_seconds=0.1)
    outcome = await guest.read(str(numbers), make)
    assert outcome == TimedOut("no answer within 0.1 s", abandoned=False)
    assert guest.abandoned == 0


@pytest.mark.parametrize(
    "ask",
    [
        lambda transaction: transaction.answer(ENDLESS),
        lambda transaction: transaction.answer(MANY),
        lambda transaction: transaction._set_up(ENDLESS.sql),
        lambda transaction: transaction._before_the_too_big(ENDLESS, 2),
        lambda transaction: [transaction.answer(A_NUMBER) for _ in itertools.count()],
    ],
)
def test_a_job_that_was_given_up_stops_wherever_it_is(tmp_path, ask):
    values = ", ".join(f"({n})" for n in range(1000))
    path = build(tmp_path / "state.vscdb", "CREATE TABLE numbers (n)", f"INSERT INTO numbers VALUES {values}")
    job, told = Job(), []
    with job.connection(uri_of(str(path), "ro")) as connection:
        harden(connection)
        transaction = Transaction(connection, job, 3600)
        timer = threading.Timer(0.05, job.give_up, [lambda: told.append(1)])
        timer.start()
        with pytest.raises(GivenUp):
            ask(transaction)
        timer.join()
    assert not told
    assert job.run(lambda _job: 7) == 7
    assert told == [1]
    job.give_up(lambda: told.append(2))
    assert told == [1, 2]


async def test_a_cancelled_read_leaves_a_thread_that_hangs_and_its_file_stays_claimed(
    a_guest, database, numbers
):
    guest = a_guest(max_concurrent=1)
    release = threading.Event()
    with trio.fail_after(PATIENCE), trio.move_on_after(0.1) as scope:
        await guest.read(str(database), hanging(release))
    assert scope.cancelled_caught
    assert guest.abandoned == 1
    # Nobody else may open or even read the file before that thread has closed it; others go on.
    assert await guest.read(str(database), asking(A_KEY)) == TimedOut(
        "an earlier read of it still hangs", abandoned=False
    )
    assert isinstance(await guest.read(str(numbers), asking(A_KEY)), Page)
    release.set()
    with trio.fail_after(PATIENCE):
        await guest.aclose()
    assert guest.abandoned == 0
    assert isinstance(await guest.read(str(database), asking(A_KEY)), Page)


async def test_a_read_that_is_cancelled_before_its_turn_never_starts(a_guest, database, numbers):
    guest = a_guest(max_concurrent=1)
    release, entered = threading.Event(), threading.Event()
    made = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(guest.read, str(database), hanging(release, entered=entered))
        await until(entered.is_set)
        with trio.move_on_after(0.05) as scope:
            await guest.read(str(numbers), made.append)
        assert scope.cancelled_caught
        release.set()
    assert made == []
    assert guest.abandoned == 0


async def test_a_page_that_was_given_up_while_it_was_made_harms_nobody(a_guest, database):
    guest = a_guest()
    release = threading.Event()

    def make(_catalog):
        yield A_KEY
        return lambda: release.wait(PATIENCE)

    for _ in range(3):
        with trio.move_on_after(0.1):
            await guest.read(str(database), make)
    assert guest.abandoned == guest.meter.abandoned == 3
    assert guest.quarantined() == ()
    assert isinstance(await guest.read(str(database), asking(A_KEY)), Page)
    release.set()
    await guest.aclose()
    assert (guest.abandoned, guest.meter.abandoned) == (0, 3)


async def test_a_path_whose_reads_do_not_end_is_quarantined_for_a_while(a_guest, database):
    guest = a_guest(deadline_seconds=0.1, quarantine_seconds=0.5)
    path = str(database)
    for strike in (1, 2):
        release = threading.Event()
        outcome = await guest.read(path, hanging(release))
        assert outcome == TimedOut("no answer within 0.1 s", abandoned=True)
        if strike == 1:
            assert guest.quarantined() == ()
            release.set()
            await guest.aclose()
    assert guest.quarantined() == (path,)
    outcome = await guest.read(path, asking(A_KEY))
    assert outcome == Unreadable(door.QUARANTINED)
    await trio.sleep(0.6)  # its time is over, but its thread still hangs
    assert await guest.read(path, asking(A_KEY)) == outcome
    release.set()
    await guest.aclose()
    assert guest.quarantined() == ()
    assert guest._databases[path].next_quarantine == 1.0  # if the next one does not end either
    assert isinstance(await guest.read(path, asking(A_KEY)), Page)
    assert guest._databases[path].next_quarantine == 0.5


async def test_a_quarantine_says_the_same_at_each_look(a_guest, database):
    """Other words are another state, and each change of state is a line in somebody's log."""
    guest = a_guest(deadline_seconds=0.1)
    path = str(database)
    for _ in range(2):
        release = threading.Event()
        assert isinstance(await guest.read(path, hanging(release)), TimedOut)
        release.set()
        await guest.aclose()
    said = []
    for left in (57, 9):
        guest._databases[path].quarantined_until = trio.current_time() + left
        said.append((await guest.read(path, asking(A_KEY))).why)
    assert said[0] == said[1]
    assert said[0].startswith("quarantined: its reads do not end")
    assert not any(letter.isdigit() for letter in said[0])


async def test_closing_waits_a_second_for_threads_that_hang_and_no_longer(guest, database, monkeypatch):
    monkeypatch.setattr(door, "SHUTDOWN_SECONDS", 0.1)
    release = threading.Event()
    with trio.move_on_after(0.05):
        await guest.read(str(database), hanging(release))
    with trio.fail_after(PATIENCE), trio.CancelScope() as scope:
        scope.cancel()
        await guest.aclose()
    assert guest.abandoned == 1
    release.set()
    await until(lambda: guest.abandoned == 0)


def test_a_thread_that_outlives_the_run_ends_in_peace(a_guest, database):
    release = threading.Event()

    async def main():
        with trio.move_on_after(0.1):
            await a_guest().read(str(database), hanging(release))

    trio.run(main)
    assert CLAIMS._holders
    release.set()


async def test_many_cancelled_reads_leave_nothing_behind(a_guest, numbers):
    guest = a_guest(max_concurrent=2)

    def make(_catalog):
        while True:
            yield ENDLESS

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(guest.read, str(numbers), make)
        await until(lambda: guest._limiter.borrowed_tokens)  # of one file there is one reader
        nursery.cancel_scope.cancel()
    await until(lambda: guest.abandoned == 0)
    assert guest._limiter.total_tokens == 2
    await until(lambda: guest._limiter.borrowed_tokens == 0)
    assert isinstance(await guest.read(str(numbers), asking(A_KEY)), Page)


def test_the_library_is_the_one_of_this_process():
    assert sqlite3.__name__ == LIBRARY
