"""Event logs of older formats: read as they are, and brought to this format when they are written again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing

import attrs
import pytest
import trio
from log_events import HOME, PLACE, entry, event, pending, pending_turn, sequences
from scans import NOW_MS, uuid

from trio_cursor.errors import StateError
from trio_cursor.eventlog import (
    FILE_NAME,
    Filter,
    Known,
    find_event,
    last_sequence,
    open_event_log,
    open_for_reading,
    read_events,
    read_log,
)
from trio_cursor.events import event_id, to_json
from trio_cursor.records import Session
from trio_cursor.sqlite_library import sqlite3

#: The layout of format 1, as it was.
LAYOUT_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  type TEXT NOT NULL,
  timestamp INTEGER NOT NULL,
  captured_at INTEGER NOT NULL,
  workspace_id TEXT,
  workspace_hash TEXT,
  workspace_path TEXT,
  session_id TEXT NOT NULL,
  generation_id TEXT,
  body TEXT NOT NULL
);
CREATE INDEX events_by_time ON events (timestamp);
CREATE INDEX events_by_capture ON events (captured_at);
CREATE TABLE keys (key TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE pending (
  key TEXT PRIMARY KEY, workspace TEXT NOT NULL, entry TEXT NOT NULL, seen_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE positions (
  database TEXT NOT NULL, schema TEXT NOT NULL, position TEXT NOT NULL,
  identity TEXT NOT NULL, since_ms INTEGER, scope TEXT,
  PRIMARY KEY (database, schema)
) WITHOUT ROWID;
CREATE TABLE sessions (
  database TEXT NOT NULL, session_id TEXT NOT NULL, source TEXT NOT NULL,
  started_at INTEGER NOT NULL, ended_at INTEGER,
  PRIMARY KEY (database, session_id)
) WITHOUT ROWID;
CREATE TABLE cursors (name TEXT PRIMARY KEY, seq INTEGER NOT NULL, detail TEXT NOT NULL) WITHOUT ROWID;
PRAGMA application_id=1953653615;
PRAGMA user_version=1;
PRAGMA journal_mode=WAL;
"""
#: The layout of format 2, as it was.
LAYOUT_2 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  type TEXT NOT NULL,
  timestamp INTEGER NOT NULL,
  captured_at INTEGER NOT NULL,
  workspace_id TEXT,
  workspace_hash TEXT,
  workspace_path TEXT,
  session_id TEXT NOT NULL,
  generation_id TEXT,
  body TEXT NOT NULL
);
CREATE INDEX events_by_time ON events (timestamp);
CREATE INDEX events_by_capture ON events (captured_at);
CREATE TABLE keys (key TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE positions (
  database TEXT NOT NULL, schema TEXT NOT NULL, position TEXT NOT NULL,
  identity TEXT NOT NULL, since_ms INTEGER, scope TEXT,
  PRIMARY KEY (database, schema)
) WITHOUT ROWID;
CREATE TABLE sessions (
  database TEXT NOT NULL, session_id TEXT NOT NULL, source TEXT NOT NULL,
  started_at INTEGER NOT NULL, ended_at INTEGER,
  PRIMARY KEY (database, session_id)
) WITHOUT ROWID;
CREATE TABLE cursors (name TEXT PRIMARY KEY, seq INTEGER NOT NULL, detail TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE pending (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE places (
  profile TEXT NOT NULL, conversation_id TEXT NOT NULL, rule INTEGER NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (profile, conversation_id, rule)
) WITHOUT ROWID;
CREATE INDEX events_by_generation ON events (generation_id COLLATE NOCASE);
CREATE INDEX events_by_event_id ON events (substr(body, instr(body, '"event_id":"') + 12, 36));
PRAGMA application_id=1953653615;
PRAGMA user_version=2;
PRAGMA journal_mode=WAL;
"""
#: What waits, as format 2 wrote it.
HOME_2 = (
    '{"database":"/u/workspaceStorage/w1/state.vscdb","profile":"/u","id":"w1","path":"/home/me/project",'
    '"uri":null,"hash":"0123456789abcdef","problem":null,"first_scope":null}'
)
PENDING_2 = {
    "00000005-0000-4000-8000-000000000000": (
        '{"entry":{"key":"00000005-0000-4000-8000-000000000000","workspace":' + HOME_2 + ',"entry":'
        '{"generation_id":"00000005-0000-4000-8000-000000000000","unix_ms":1760000000000,"type":"composer",'
        r'"text":"a\ufffdb","rowid":5,"source":{"unixMs":[1,null,true]}},'
        '"seen_ms":1760000000001,"is_old":false,"since_ms":null,"earliest_ms":1760000000000}}'
    ),
    "/turn//u/workspaceStorage/w1/state.vscdb/c1/bubble": (
        '{"turn":{"workspace":' + HOME_2 + ',"turn":{"id":{"conversation_id":"c1","bubble_id":"bubble"},'
        '"schema":"conversations","generation_id":null,"is_named_by_bubble":false,"is_settled":false,'
        '"is_sub_agent":false,"created_ms":1760000000000,"timestamp":null,"timestamp_source":null,'
        '"newest_ms":null,"fingerprint":"f"},"seen_ms":1760000000001,"changed_ms":1760000000002,'
        '"since_ms":null,"row":null,"is_gone":false}}'
    ),
}
PLACE_2 = (
    '{"conversation_id": "conversation", "rule": 2, "workspace_id": "w1", "folder": null, "parent_id": null}'
)
#: A service that is killed when all of the step to format 3 is done but the end of the transaction.
KILLED = """
import os, signal, sys
from pathlib import Path
from trio_cursor.eventlog import file, formats
step = formats._STEPS[2]
formats._STEPS[2] = lambda connection: (step(connection), os.kill(os.getpid(), signal.SIGKILL))
file.open_for_writing(Path(sys.argv[1]))
"""
#: As the escaped path of format 1 reads.
ODD_PATH, ODD_PATH_1 = "/home/\udcff/state.vscdb", r"/home/\udcff/state.vscdb"


def write_format_1(directory):
    """Two events, two that wait, and what belongs to a database."""
    with closing(sqlite3.connect(directory / FILE_NAME, isolation_level=None)) as connection:
        connection.executescript(LAYOUT_1)
        connection.execute("INSERT INTO meta VALUES ('producer_id', 'the same for ever')")
        for number in (1, 2):
            connection.execute(
                "INSERT INTO events (type, timestamp, captured_at, session_id, generation_id, body)"
                " VALUES ('database_trace', ?, ?, 's', ?, ?)",
                (NOW_MS + number, NOW_MS, uuid(number), to_json(event(number))),
            )
            connection.execute("INSERT INTO keys VALUES (?, ?)", (uuid(number), number))
        for number in (5, 6):
            connection.execute(
                "INSERT INTO pending VALUES (?, ?, ?, ?)",
                (
                    uuid(number),
                    json.dumps(attrs.asdict(HOME)),
                    json.dumps(attrs.asdict(pending(number).entry, recurse=False)),
                    pending(number).seen_ms,
                ),
            )
        connection.execute("INSERT INTO positions VALUES ('/db', 'ring', 'p', '1:2', 5, 'scope')")
        connection.execute("INSERT INTO positions VALUES (?, 'ring', 'q', '1:3', NULL, NULL)", (ODD_PATH_1,))
        connection.execute("INSERT INTO sessions VALUES (?, 's', 'discovery', 7, NULL)", (ODD_PATH_1,))
        connection.execute("INSERT INTO cursors VALUES ('out', 1, 'detail'), (?, 2, '')", (ODD_PATH_1,))


def write_format_2(directory):
    """Two events, two that wait, a place, three sessions, and what belongs to a database."""
    with closing(sqlite3.connect(directory / FILE_NAME, isolation_level=None)) as connection:
        connection.executescript(LAYOUT_2)
        connection.execute("INSERT INTO meta VALUES ('producer_id', 'the same for ever')")
        for number in (1, 2):
            connection.execute(
                "INSERT INTO events (type, timestamp, captured_at, session_id, generation_id, body)"
                " VALUES ('database_trace', ?, ?, 's', ?, ?)",
                (NOW_MS + number, NOW_MS, uuid(number), to_json(event(number))),
            )
            connection.execute("INSERT INTO keys VALUES (?, ?)", (uuid(number), number))
        connection.executemany("INSERT INTO pending VALUES (?, ?)", PENDING_2.items())
        connection.execute("INSERT INTO places VALUES ('/u', 'conversation', 2, ?)", (PLACE_2,))
        connection.execute("INSERT INTO positions VALUES ('/db', 'ring', 'p', '1:2', 5, 'scope')")
        connection.executemany(
            "INSERT INTO sessions VALUES (?, ?, 'discovery', ?, ?)",
            [
                ("/db", "scan_w1", 7, 9),
                ("/db2", "scan_w2", 8, None),
                (b"/home/\xed\xb3\xbf/state.vscdb", "s", 6, None),
            ],
        )
        connection.execute("INSERT INTO cursors VALUES ('out', 1, 'detail')")


def content_of(directory):
    """Everything, as it is stored."""
    with closing(sqlite3.connect(directory / FILE_NAME)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: list(connection.execute(f"SELECT * FROM {table}")) for table in tables}


def layout_of(directory):
    with closing(sqlite3.connect(directory / FILE_NAME)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()
        return version, set(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))


class TestFormat1:
    @pytest.fixture
    def old(self, tmp_path):
        write_format_1(tmp_path)
        return tmp_path

    async def test_it_is_brought_to_this_format_when_it_is_opened_for_writing(self, old):
        for _ in range(2):
            async with open_event_log(old) as log:
                assert [item.generation_id for item in await log.read(0)] == [uuid(1), uuid(2)]
                assert log.last_sequence == 2
                assert await log.known_keys([uuid(1), uuid(2), uuid(3)]) == {uuid(1), uuid(2)}
                assert await log.pending() == [pending(5), pending(6)]
                assert await log.places() == []
                assert await log.known("/db") == Known({"ring": "p"}, (1, 2), 5, "scope")
                assert await log.known(ODD_PATH) == Known({"ring": "q"}, (1, 3))
                assert [(item.key, item.database, item.heard_at) for item in await log.sessions(0)] == [
                    ((ODD_PATH, "s"), ODD_PATH, 7)
                ]
                assert await log.cursor("out") == (1, "detail")
                assert await log.cursor(ODD_PATH) == (2, "")
        async with open_event_log(old) as log:
            step = attrs.evolve(entry(3), settled=(pending(5).key,), places=(("/u", PLACE),))
            assert await log.append(step) == [3]
            assert await log.pending() == [pending(6)]
        with closing(sqlite3.connect(old / FILE_NAME)) as connection:
            assert connection.execute("SELECT value FROM meta").fetchall() == [("the same for ever",)]

    async def test_then_it_is_laid_out_as_a_new_one(self, old, tmp_path):
        (tmp_path / "new").mkdir()
        for directory in (old, tmp_path / "new"):
            async with open_event_log(directory):
                pass
        assert layout_of(old) == layout_of(tmp_path / "new")

    async def test_readers_take_it_as_it_is(self, old):
        before = layout_of(old)
        assert sequences(read_log(old, Filter(), by_time=True)) == [1, 2]
        with closing(open_for_reading(old)) as connection:
            assert last_sequence(connection) == 2
            for text in (uuid(2), uuid(2)[:8], "#2", event_id(uuid(2))):
                assert sequences(find_event(connection, text)) == [2]
        assert layout_of(old) == before

    async def test_a_reader_that_has_it_open_goes_on(self, old):
        with closing(open_for_reading(old)) as connection:
            assert sequences(read_events(connection, Filter())) == [1, 2]
            async with open_event_log(old) as log:
                await log.append(entry(3))
                assert sequences(read_events(connection, Filter())) == [1, 2, 3]
                assert sequences(find_event(connection, uuid(3))) == [3]

    # The last names that are to be given in each step.
    @pytest.mark.parametrize("name", ["events_by_event_id", "mappings"])
    async def test_all_of_it_or_nothing(self, old, name):
        with closing(sqlite3.connect(old / FILE_NAME, isolation_level=None)) as connection:
            connection.execute(f"CREATE TABLE {name} (x)")
        before = layout_of(old)
        with pytest.raises(StateError, match="cannot be used"):
            async with open_event_log(old):
                pass
        assert layout_of(old) == before
        with closing(sqlite3.connect(old / FILE_NAME, isolation_level=None)) as connection:
            assert connection.execute("SELECT count(*) FROM pending").fetchone() == (2,)
            connection.execute(f"DROP TABLE {name}")
        async with open_event_log(old) as log:
            assert await log.pending() == [pending(5), pending(6)]

    @pytest.mark.parametrize("text", ["", "5", "[]", "{}", '{"other": 1}', "[" * 100_000])
    async def test_a_row_that_cannot_be_read_is_said_and_holds_nothing_up(self, old, logged, text):
        with closing(sqlite3.connect(old / FILE_NAME, isolation_level=None)) as connection:
            connection.execute("UPDATE pending SET entry = ? WHERE key = ?", (text, uuid(5)))
        async with open_event_log(old) as log:
            assert await log.pending() == [pending(6)]
        assert len([message for message in logged() if "cannot be read and is lost" in message]) == 1


class TestFormat2:
    @pytest.fixture
    def old(self, tmp_path):
        write_format_2(tmp_path)
        return tmp_path

    async def is_brought_over(self, directory):
        """All of it, the first time and ever after."""
        for _ in range(2):
            async with open_event_log(directory) as log:
                assert [item.generation_id for item in await log.read(0)] == [uuid(1), uuid(2)]
                assert await log.known_keys([uuid(1), uuid(2), uuid(3)]) == {uuid(1), uuid(2)}
                assert sorted(await log.pending(), key=str) == [pending(5), pending_turn("c1")]
                assert await log.places() == [("/u", PLACE)]
                assert await log.known("/db") == Known({"ring": "p"}, (1, 2), 5, "scope")
                assert await log.cursor("out") == (1, "detail")
                assert await log.mark("redis://localhost:6379 telemetry:events") is None
                assert await log.mappings() == []
                opened = [
                    Session("s", ODD_PATH, "discovery", 6, heard_at=6),
                    Session("scan_w2", "/db2", "discovery", 8, heard_at=8),
                ]
                closed = Session("scan_w1", "/db", "discovery", 7, 9, heard_at=9)
                assert await log.sessions(9) == [opened[0], closed, opened[1]]
                assert await log.sessions(10) == opened
        with closing(sqlite3.connect(directory / FILE_NAME)) as connection:
            assert connection.execute("SELECT value FROM meta").fetchall() == [("the same for ever",)]

    async def test_it_is_brought_to_this_format_when_it_is_opened_for_writing(self, old):
        await self.is_brought_over(old)

    async def test_sessions_of_then_end_and_what_waited_is_settled(self, old):
        async with open_event_log(old) as log:
            (session,) = [item for item in await log.sessions(10) if item.database == "/db2"]
            await log.save_sessions([attrs.evolve(session, ended_at=11, heard_at=11)])
            await log.append(attrs.evolve(entry(3), settled=tuple(PENDING_2)))
        async with open_event_log(old) as log:
            assert [item.session_id for item in await log.sessions(12)] == ["s"]
            assert await log.pending() == []

    async def test_then_it_is_laid_out_as_a_new_one(self, old, tmp_path):
        (tmp_path / "new").mkdir()
        for directory in (old, tmp_path / "new"):
            async with open_event_log(directory):
                pass
        assert layout_of(old) == layout_of(tmp_path / "new")

    async def test_readers_take_it_as_it_is(self, old):
        before = layout_of(old)
        assert sequences(read_log(old, Filter(), by_time=True)) == [1, 2]
        with closing(open_for_reading(old)) as connection:
            assert sequences(find_event(connection, uuid(2))) == [2]
        assert layout_of(old) == before

    async def test_what_fails_in_the_middle_leaves_it_whole(self, old):
        with closing(sqlite3.connect(old / FILE_NAME, isolation_level=None)) as connection:
            connection.execute("CREATE TABLE mappings (x)")  # the last name that is to be given
        before = layout_of(old), content_of(old)
        with pytest.raises(StateError, match="cannot be used"):
            async with open_event_log(old):
                pass
        assert (layout_of(old), content_of(old)) == before
        with closing(sqlite3.connect(old / FILE_NAME, isolation_level=None)) as connection:
            connection.execute("DROP TABLE mappings")
        await self.is_brought_over(old)

    @pytest.mark.skipif(os.name == "nt", reason="no SIGKILL on Windows")
    async def test_whoever_is_killed_in_the_middle_leaves_it_whole(self, old):
        before = layout_of(old), content_of(old)
        words = [sys.executable, "-c", KILLED, str(old)]
        ended = await trio.to_thread.run_sync(lambda: subprocess.run(words, check=False, timeout=30))
        assert ended.returncode == -signal.SIGKILL
        assert (layout_of(old), content_of(old)) == before
        await self.is_brought_over(old)
