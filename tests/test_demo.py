"""The fake Cursor: its files are as Cursor writes them, and its ledger is true."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from pathlib import Path
from random import Random

import pytest

from trio_cursor.demo import CANARIES, CANARY, FakeCursorError, FakeCursorProcess, read_ledger
from trio_cursor.demo import storage as storage_module
from trio_cursor.demo.command import add_arguments, main
from trio_cursor.demo.javascript import stringify
from trio_cursor.demo.ledger import Entry, LedgerWriter
from trio_cursor.demo.parent import is_alive
from trio_cursor.demo.ring import PROMPTS_KEY, RING_KEY, Prompts, Ring, RingItem, new_item
from trio_cursor.demo.storage import Storage, StorageBusyError
from trio_cursor.sqlite_library import sqlite3

COMPOSER_HEADERS = [
    (
        "CREATE TABLE composerHeaders (composerId TEXT PRIMARY KEY, workspaceId TEXT, createdAt INTEGER,"
        " lastUpdatedAt INTEGER, isArchived INTEGER, isSubagent INTEGER, recency INTEGER,"
        " checkpointAt INTEGER, value TEXT)"
    ),
    "CREATE INDEX idx_composerHeaders_0 ON composerHeaders (workspaceId, isSubagent, isArchived, recency)",
    "CREATE INDEX idx_composerHeaders_1 ON composerHeaders (recency, composerId)",
]

FAST = ("--rate", "1000", "--window-seconds", "0")


def databases(cursor_dir):
    """All databases of the tree, the global one last."""
    found = sorted(cursor_dir.glob("workspaceStorage/*/state.vscdb"))
    return [*found, cursor_dir / "globalStorage" / "state.vscdb"]


def query(database, sql, *parameters):
    # Not mode=ro, which would leave -wal and -shm beside a closed database.
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql, parameters).fetchall()


def item(database, key):
    rows = query(database, "SELECT value FROM ItemTable WHERE key = ?", key)
    return rows[0][0] if rows else None


def ring(database):
    return json.loads(item(database, RING_KEY) or "[]")


def run_to_its_end(directory, *options):
    with FakeCursorProcess(directory, *options) as cursor:
        assert cursor.wait(30) == 0
    return cursor


def wait_until(true, seconds=20):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """A tree of eight windows that lived for a moment and was closed in good order. Not to be changed."""
    directory = tmp_path_factory.mktemp("demo") / "cursor"
    options = ("--workspaces", "8", "--history", "60", "--generations", "200", "--seed", "3")
    return run_to_its_end(directory, *FAST, *options)


# --- the tree


def test_every_database_has_cursors_schema(closed):
    plain = "(key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)"
    for database in databases(closed.cursor_dir):
        tables = dict(query(database, "SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
        assert tables["ItemTable"] == f"CREATE TABLE ItemTable {plain}"
        assert tables["cursorDiskKV"] == f"CREATE TABLE cursorDiskKV {plain}"
        assert query(database, "PRAGMA user_version") == [(1,)]
        assert query(database, "PRAGMA page_size") == [(4096,)]
        assert query(database, "PRAGMA encoding") == [("UTF-8",)]
        assert query(database, "PRAGMA integrity_check") == [("ok",)]


def test_the_global_database_has_composer_headers(closed):
    database = databases(closed.cursor_dir)[-1]
    schema = [sql for (sql,) in query(database, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
    assert schema[2:] == COMPOSER_HEADERS


def test_values_are_text_although_the_column_says_blob(closed):
    for database in databases(closed.cursor_dir):
        assert query(database, "SELECT DISTINCT typeof(value) FROM ItemTable") == [("text",)]


def test_the_journal_mode_is_what_the_options_file_says(closed):
    modes = set()
    for database in databases(closed.cursor_dir):
        options = database.with_name("state.vscdb.options.json")
        version = 2 if options.exists() else 1
        assert database.read_bytes()[18:20] == bytes([version, version])
        # 0 in old files, INCREMENTAL in those of builds that know the WAL option
        assert query(database, "PRAGMA auto_vacuum") == [(2 if options.exists() else 0,)]
        if options.exists():
            assert options.read_bytes() == b'{\n  "useWAL": true\n}'
            assert options.stat().st_size == 20
        modes.add(version)
    assert modes == {1, 2}


@pytest.mark.parametrize(("journal", "version"), [("delete", 1), ("wal", 2)])
def test_one_journal_mode_for_all(tmp_path, journal, version):
    cursor = run_to_its_end(tmp_path / "cursor", *FAST, "--journal", journal, "--generations", "5")
    assert {database.read_bytes()[18] for database in databases(cursor.cursor_dir)} == {version}


def test_after_a_clean_close_the_backup_is_the_file_and_nothing_else_is_left(closed):
    for database in databases(closed.cursor_dir):
        assert database.with_name("state.vscdb.backup").read_bytes() == database.read_bytes()
        names = {path.name for path in database.parent.iterdir()}
        assert names <= {
            "state.vscdb",
            "state.vscdb.backup",
            "state.vscdb.options.json",
            "workspace.json",
        }


def test_directories_are_named_as_vs_code_names_them(closed):
    storage = closed.cursor_dir / "workspaceStorage"
    metas = {path.parent.name: json.loads(path.read_text()) for path in storage.glob("*/workspace.json")}
    remote = [(name, meta) for name, meta in metas.items() if "vscode-remote" in json.dumps(meta)]
    ((name, meta),) = remote
    assert meta == {"folder": "vscode-remote://ssh-remote%2Bbuild-host/srv/billing"}
    assert name == hashlib.md5(meta["folder"].encode()).hexdigest()
    ((name, meta),) = [(name, meta) for name, meta in metas.items() if "workspace" in meta]
    assert name == hashlib.md5(meta["workspace"].removeprefix("file://").encode()).hexdigest()
    (folderless,) = {path.name for path in storage.iterdir()} - set(metas)
    assert folderless.isdecimal()
    assert "Gr%C3%B6%C3%9Fen%20rechner" in "".join(meta.get("folder", "") for meta in metas.values())
    # Indented by two, as storageMain.ts has it stringified.
    assert (storage / name / "workspace.json").read_text() == (
        f'{{\n  "workspace": "{metas[name]["workspace"]}"\n}}'
    )


def test_secrets_stand_in_the_global_item_table_alone(closed):
    *workspaces, application = databases(closed.cursor_dir)
    for key, value in CANARIES.items():
        assert item(application, key) == value
        assert CANARY in value
    for database in workspaces:
        assert CANARY.encode() not in database.read_bytes()
    assert CANARY not in (closed.directory / "ledger.jsonl").read_text()


# --- the ring


def test_the_ledger_is_the_union_of_the_rings(closed):
    ledger = closed.ledger()
    written = {}
    for database in databases(closed.cursor_dir):
        entries = ring(database)
        assert len(entries) < 100, "this test needs rings from which nothing has fallen out"
        for entry in entries:
            name = database.relative_to(closed.directory).as_posix()
            written[entry["generationUUID"], name] = (
                entry["unixMs"],
                entry.get("type"),
                entry.get("textDescription"),
            )
    known = {
        (entry.generation_id, entry.database): (entry.unix_ms, entry.type, entry.text)
        for entry in ledger.entries
    }
    assert written == known
    assert not ledger.uncertain
    assert not ledger.incidents
    assert len(ledger.committed) == 260


def test_ledger_entries_name_their_place(closed):
    for entry in closed.ledger().entries:
        directory = closed.directory / Path(entry.database).parent
        meta = directory / "workspace.json"
        assert entry.workspace_id == (None if directory.name == "globalStorage" else directory.name)
        assert (entry.workspace is None) == (not meta.exists())
        assert entry.journal == ("wal" if (directory / "state.vscdb.options.json").exists() else "delete")
        assert entry.committed_ms >= entry.unix_ms


def test_some_ids_stand_in_two_rings_at_different_times(closed):
    copied = [entries for entries in closed.ledger().committed.values() if len(entries) > 1]
    assert copied
    for entries in copied:
        assert len({entry.database for entry in entries}) == len({entry.unix_ms for entry in entries}) == 2


def test_windows_without_a_folder_use_the_global_ring_too(closed):
    *workspaces, application = databases(closed.cursor_dir)
    assert ring(application)
    (folderless,) = [path for path in workspaces if path.parent.name.isdecimal()]
    assert ring(folderless)


def test_the_history_reaches_back_a_day_and_a_little_more(tmp_path):
    cursor = run_to_its_end(
        tmp_path / "cursor", "--rate", "0", "--history", "50", "--seconds", "0", "--seed", "1"
    )
    hours = [(time.time() - entry.unix_ms / 1000) / 3600 for entry in cursor.ledger().entries]
    assert len(hours) == 50
    assert 0 < len([age for age in hours if age > 25]) < 20
    assert len([age for age in hours if age < 23.5]) > 25
    for database in databases(cursor.cursor_dir):
        times = [entry["unixMs"] for entry in ring(database)]
        assert times == sorted(times)


def test_the_ring_keeps_the_newest_hundred_in_order(tmp_path):
    cursor = run_to_its_end(tmp_path / "cursor", *FAST, "--workspaces", "1", "--generations", "250")
    (database, _) = databases(cursor.cursor_dir)
    entries = cursor.ledger().entries
    assert len(entries) > 200
    assert [entry["generationUUID"] for entry in ring(database)] == [
        entry.generation_id for entry in entries[-100:]
    ]


def test_each_change_is_a_replace_with_a_new_rowid(tmp_path):
    with FakeCursorProcess(tmp_path / "cursor", "--rate", "30", "--workspaces", "1") as cursor:
        (database, _) = databases(cursor.cursor_dir)
        seen = {}
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            ((rowid, value),) = query(
                database, f"SELECT rowid, value FROM ItemTable WHERE key = '{RING_KEY}'"
            )
            seen[rowid] = value
            time.sleep(0.02)
    assert len(seen) > 3
    assert [len(value) for value in seen.values()] == sorted(len(value) for value in seen.values())
    assert list(seen) == sorted(seen)


def test_there_is_noise_even_when_nobody_asks(tmp_path):
    with FakeCursorProcess(tmp_path / "cursor", "--rate", "0") as cursor:
        paths = databases(cursor.cursor_dir)
        before = [query(path, "SELECT max(rowid) FROM ItemTable") for path in paths]
        rings = [item(path, RING_KEY) for path in paths]
        wait_until(
            lambda: all(
                query(path, "SELECT max(rowid) FROM ItemTable") > rowid
                for path, rowid in zip(paths, before, strict=True)
            )
        )
        assert [item(path, RING_KEY) for path in paths] == rings


def test_prompts_are_written_at_close(closed):
    assert any(json.loads(item(database, PROMPTS_KEY) or "[]") for database in databases(closed.cursor_dir))


def test_the_same_seed_gives_the_same_ids_and_texts(tmp_path):
    made = []
    for name in ("one", "two"):
        options = ("--seed", "5", "--history", "5", "--generations", "30")
        cursor = run_to_its_end(tmp_path / name, *FAST, *options)
        made.append({(entry.generation_id, entry.type, entry.text) for entry in cursor.ledger().entries})
    assert made[0] == made[1]
    assert len(made[0]) == 35


def test_windows_close_and_open_again(tmp_path):
    options = ("--workspaces", "1", "--journal", "wal", "--window-seconds", "0.5", "--rate", "50")
    with FakeCursorProcess(tmp_path / "cursor", *options) as cursor:
        (database, _) = databases(cursor.cursor_dir)
        wal = database.with_name("state.vscdb-wal")
        wait_until(wal.exists)
        wait_until(lambda: not wal.exists())
        wait_until(database.with_name("state.vscdb.backup").exists)
        wait_until(wal.exists, seconds=8)
    assert not cursor.ledger().incidents
    assert item(database, "__$__isNewStorageMarker") == "false"


def test_many_windows_may_be_closed_from_the_start(tmp_path):
    options = ("--workspaces", "200", "--open", "2", "--rate", "0", "--history", "200")
    with FakeCursorProcess(tmp_path / "cursor", *options) as cursor:
        assert len(list(cursor.cursor_dir.glob("workspaceStorage/*/state.vscdb"))) == 200
        assert len(cursor.ledger().committed) == 200
        assert len(list(cursor.cursor_dir.glob("workspaceStorage/*/state.vscdb.backup"))) == 198


# --- tables


@pytest.mark.parametrize(
    ("kind", "schema", "generations", "prompts"),
    [
        ("v1", "tables_v1", "aiService.generations", "aiService.prompts"),
        ("v2", "tables_v2", "ai.generations", "ai.prompts"),
        ("plain", "tables_plain", "generations", "prompts"),
    ],
)
def test_rows_of_tables_are_what_the_ledger_says(tmp_path, kind, schema, generations, prompts):
    options = ("--tables", kind, "--workspaces", "2", "--generations", "400", "--seed", "9")
    cursor = run_to_its_end(tmp_path / "cursor", *FAST, *options)
    entries = [entry for entry in cursor.ledger().entries if entry.schema == schema]
    (name,) = {entry.database for entry in entries}
    database = cursor.directory / name
    assert ring(database) == []
    rows = query(database, f'SELECT uuid, data_version, value, timestamp FROM "{generations}" ORDER BY rowid')
    texts = dict(query(database, f'SELECT uuid, text FROM "{prompts}"'))
    first = {}
    for row in rows:
        first.setdefault(row[0], row)
    assert set(first) - {None} == {entry.generation_id for entry in entries}
    assert None in first
    assert len(rows) > len(first)
    kinds = set()
    for entry in entries:
        _, data_version, value, timestamp = first[entry.generation_id]
        assert data_version == entry.data_version
        kinds.add(type(value))
        try:
            content = json.loads(value)
        except (TypeError, ValueError):
            assert timestamp == entry.unix_ms
            assert entry.model is entry.prompt_tokens is entry.response_text is entry.prompt_text is None
            continue
        assert content["model"] == (entry.model or "default")
        assert content["promptTokens"] == entry.prompt_tokens
        assert content["completionTokens"] == entry.completion_tokens
        assert content.get("responseText", content.get("text")) == entry.response_text
        assert content.get("promptId") == entry.prompt_id
        assert texts.get(entry.prompt_id) == entry.prompt_text
        assert content.get("tokensUsed", entry.tokens_used) == entry.prompt_tokens + entry.completion_tokens
    assert kinds == {str, bytes, type(None)}


def test_tables_go_on_counting_versions(tmp_path):
    options = ("--tables", "v1", "--workspaces", "1", "--generations", "30")
    first = run_to_its_end(tmp_path / "cursor", *FAST, *options).ledger().entries
    both = run_to_its_end(tmp_path / "cursor", *FAST, *options).ledger().entries
    versions = [entry.data_version for entry in both]
    assert versions == sorted(versions)
    assert len(both) > len(first) > 0
    assert versions[-1] > first[-1].data_version  # one may be used twice, the last of the first run too


# --- life and death


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_killed_one_goes_on_and_its_ledger_stays_true(tmp_path, journal):
    directory = tmp_path / "cursor"
    options = (*FAST, "--workspaces", "2", "--journal", journal, "--history", "0")
    for _ in range(3):
        with FakeCursorProcess(directory, *options) as cursor:
            seen = len(cursor.ledger().committed)
            wait_until(lambda cursor=cursor, seen=seen: len(cursor.ledger().committed) > seen + 50)
            cursor.kill()
    if journal == "wal":
        assert list(cursor.cursor_dir.rglob("state.vscdb-wal"))
    cursor = run_to_its_end(directory, "--rate", "0", "--seconds", "0", "--workspaces", "2")
    ledger = cursor.ledger()
    assert not ledger.unresolved
    assert not ledger.incidents
    for database in databases(cursor.cursor_dir)[:-1]:
        name = database.relative_to(directory).as_posix()
        committed = [entry.generation_id for entry in ledger.entries if entry.database == name]
        written = [entry["generationUUID"] for entry in ring(database)]
        assert set(written) <= set(committed)
        assert set(written) == set(committed[-100:])


def test_what_a_kill_left_in_doubt_is_cleared_up_by_the_next_run(tmp_path):
    directory = tmp_path / "cursor"
    for kind in ("ring", "tables_v1"):
        options = ("--tables", "v1", "--workspaces", "2")
        cursor = run_to_its_end(directory, *FAST, *options, "--generations", "40")
        entry = next(entry for entry in reversed(cursor.ledger().entries) if entry.schema == kind)
        path = directory / "ledger.jsonl"
        lines = path.read_text().splitlines(keepends=True)
        intents = [line for line in lines if entry.generation_id in line and '"intent"' in line]
        path.write_text(
            # The commit was not written down any more, and of another generation there was only the intent.
            "".join(line for line in lines if entry.generation_id not in line or '"intent"' in line)
            + intents[-1].replace(entry.generation_id, "never committed")
        )
        assert set(cursor.ledger().uncertain) == {entry.generation_id, "never committed"}
        cursor = run_to_its_end(directory, "--rate", "0", "--seconds", "0", *options)
        assert not cursor.ledger().uncertain
        assert entry.generation_id in cursor.ledger().committed
        assert "never committed" not in cursor.ledger().committed


def test_a_reader_at_the_wrong_moment_delays_the_opening_and_is_reported(tmp_path):
    run_to_its_end(tmp_path / "cursor", *FAST, "--journal", "delete", "--generations", "1")
    database = databases(tmp_path / "cursor" / "User")[-1]
    reading = threading.Event()

    def read():
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT * FROM ItemTable").fetchone()
            reading.set()
            # Gone before the owner tries a second time, 2 s after it has said so.
            wait_until(lambda: read_ledger(tmp_path / "cursor" / "ledger.jsonl").incidents, seconds=20)

    reader = threading.Thread(target=read)
    reader.start()
    reading.wait()
    with FakeCursorProcess(tmp_path / "cursor", "--rate", "0") as cursor:
        reader.join()
    (incident,) = cursor.ledger().incidents
    assert incident.what == "open_busy"
    assert cursor.directory / incident.database == database


def test_it_can_be_paused_in_the_middle(tmp_path):
    with FakeCursorProcess(tmp_path / "cursor", *FAST) as cursor:
        wait_until(lambda: len(cursor.ledger().committed) > 50)
        cursor.pause()
        time.sleep(0.1)
        before = len(cursor.ledger().committed)
        time.sleep(0.3)
        assert len(cursor.ledger().committed) == before
        cursor.resume()
        wait_until(lambda: len(cursor.ledger().committed) > before)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_closes_all_windows(tmp_path, number, code):
    with FakeCursorProcess(tmp_path / "cursor", *FAST) as cursor:
        os.kill(cursor.pid, number)
        assert cursor.wait(10) == code
    for database in databases(cursor.cursor_dir):
        assert database.with_name("state.vscdb.backup").read_bytes() == database.read_bytes()
    assert "all windows closed" in cursor.words()


def test_it_stays_when_told_to(tmp_path):
    options = (*FAST, "--generations", "20", "--history", "0", "--stay")
    with FakeCursorProcess(tmp_path / "cursor", *options) as cursor:
        wait_until(lambda: len(cursor.ledger().committed) == 20)
        with pytest.raises(FakeCursorError, match="still lives"):
            cursor.wait(0.3)
        assert cursor.stop() == 0
    assert len(cursor.ledger().committed) == 20


def test_it_does_not_outlive_its_parent(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as parent:
        command = [sys.executable, "-m", "trio_cursor.demo", str(tmp_path / "cursor"), "--json"]
        with subprocess.Popen([*command, "--parent", str(parent.pid)], stdout=subprocess.PIPE) as child:
            ready = json.loads(child.stdout.readline())
            assert ready["pid"] == child.pid
            assert Path(ready["cursor_dir"]) == tmp_path / "cursor" / "User"
            assert Path(ready["ledger"]) == tmp_path / "cursor" / "ledger.jsonl"
            parent.communicate(b"\n")
            assert child.wait(10) == 0


def test_a_process_that_was_waited_for_is_not_alive():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert is_alive(other.pid)
        other.communicate(b"\n")
    assert not is_alive(other.pid)
    assert is_alive(os.getppid())


# --- what it refuses


def test_a_directory_that_is_not_ours_is_left_alone(tmp_path):
    precious = tmp_path / "User"
    precious.mkdir()
    with pytest.raises(FakeCursorError, match="was not made by demo"), FakeCursorProcess(tmp_path):
        pass
    assert list(tmp_path.rglob("*")) == [precious]


def run_here(*options):
    parser = ArgumentParser()
    add_arguments(parser)
    return main(parser.parse_args(options))


def test_a_refusal_is_one_line_and_exit_2(tmp_path, capsys):
    (tmp_path / "something").touch()
    assert run_here(str(tmp_path)) == 2
    assert run_here(str(tmp_path / "something")) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert len(streams.err.splitlines()) == 2


def test_a_directory_is_for_one_demo_at_a_time(tmp_path, capsys):
    with FakeCursorProcess(tmp_path):
        assert run_here(str(tmp_path)) == 2
    assert "another demo is at work" in capsys.readouterr().err


def test_what_the_disk_refuses_is_one_line_too(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert run_here(str(tmp_path / "file" / "cursor")) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    "options",
    [
        ("--rate", "-1"),
        ("--rate", "nan"),
        ("--rate", "inf"),
        ("--rate", "often"),
        ("--workspaces", "0"),
        ("--history", "-1"),
        ("--journal", "memory"),
        ("--tables", "v3"),
        ("--parent", "0"),
    ],
)
def test_wrong_arguments_are_usage_errors(tmp_path, options, capsys):
    with pytest.raises(SystemExit) as stopped:
        run_here(str(tmp_path / "cursor"), *options)
    assert stopped.value.code == 2
    assert options[0] in capsys.readouterr().err
    assert not (tmp_path / "cursor").exists()


def test_the_ready_line_is_for_people_too(tmp_path):
    command = [sys.executable, "-m", "trio_cursor.demo", str(tmp_path / "new" / "cursor"), "--seconds", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 1
    assert str(tmp_path / "new" / "cursor" / "User") in done.stdout


# --- VS Code's storage service


@pytest.fixture
def incidents():
    return []


@pytest.fixture
def storage(tmp_path, incidents, monkeypatch):
    monkeypatch.setattr(storage_module, "BUSY_TIMEOUT_SECONDS", 0.02)
    return Storage(tmp_path / "state.vscdb", tables=(), report=lambda what, _detail: incidents.append(what))


def test_setting_the_same_value_again_writes_nothing(storage):
    storage.open()
    storage.set("key", "value")
    assert storage.flush_due is not None
    assert storage.flush()
    storage.set("key", "value")
    assert storage.flush_due is None
    storage.delete("key")
    storage.delete("never there")
    assert storage.flush()
    assert storage.query("SELECT * FROM ItemTable") == []
    storage.close()


def test_a_flush_of_many_keys_is_cut_at_256_parameters(storage):
    storage.open()
    for number in range(300):
        storage.set(f"key {number}", str(number))
    assert storage.flush()
    assert storage.query("SELECT count(*) FROM ItemTable") == [(300,)]
    storage.close()


def test_a_reader_in_the_way_of_a_commit_makes_the_storage_erroneous(storage, incidents, tmp_path):
    storage.open()
    storage.set("a", "1")
    storage.flush()
    inode = storage.path.stat().st_ino
    with contextlib.closing(sqlite3.connect(storage.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM ItemTable").fetchone()
        storage.set("b", "2")
        assert not storage.flush()
    assert storage.flush()
    assert incidents == ["flush_failed"]
    keep = tmp_path / "keep"  # so that the number of the deleted inode is not given out again
    os.link(storage.path, keep)
    assert not storage.close()
    assert incidents == ["flush_failed", "rebuilt"]
    assert storage.path.stat().st_ino != inode
    assert query(storage.path, "SELECT * FROM ItemTable ORDER BY key") == [("a", "1"), ("b", "2")]


def test_a_database_busy_twice_at_opening_gives_way_to_its_backup(storage, incidents):
    storage.open()
    storage.set("a", "1")
    storage.close()
    storage.open()
    storage.set("b", "not in the backup")
    storage.flush()
    storage._disconnect()  # as a crash: no new backup
    with contextlib.closing(sqlite3.connect(storage.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM ItemTable").fetchone()
        with pytest.raises(StorageBusyError):
            storage.open()
        storage.open(last_try=True)
    assert incidents == ["open_busy", "restored"]
    assert dict(storage.items) == {"a": "1"}
    storage.close()


def test_a_guest_that_stays_connected_takes_the_last_checkpoint_away(tmp_path, incidents):
    path = tmp_path / "state.vscdb"
    storage = Storage(path, tables=(), report=lambda what, _detail: incidents.append(what), use_wal=True)
    storage.open()
    with contextlib.closing(sqlite3.connect(path)) as guest:
        guest.execute("SELECT count(*) FROM ItemTable").fetchone()
        storage.close()
    assert incidents == ["wal_left"]


# --- values


def test_json_is_written_as_javascript_writes_it():
    assert stringify({"a": ["ä😀", None, 1.5]}) == '{"a":["ä😀",null,1.5]}'
    assert stringify("cut \ud83d") == '"cut \\ud83d"'


def test_ring_items_have_only_the_keys_they_need():
    assert RingItem("id", 1, None, None).as_json() == {"unixMs": 1, "generationUUID": "id"}
    made = [new_item(Random(number), 1) for number in range(2000)]
    assert {made_item.type for made_item in made} == {"composer", "cmdk", "chat", "apply", None}
    assert all(made_item.text is None for made_item in made if made_item.type == "chat")
    assert 0.01 < sum(m.text is None for m in made if m.type == "composer") / len(made) < 0.08
    for made_item in made:
        assert json.loads(stringify(made_item.as_json())) == made_item.as_json()


def test_a_ring_tells_what_fell_out():
    full = Ring(stringify([RingItem(str(number), number, None, None).as_json() for number in range(100)]))
    assert full.append(RingItem("new", 100, None, None)).generation_id == "0"
    assert "0" not in full.ids
    assert len(full.ids) == 100


def test_prompts_drop_fifty_beyond_three_hundred():
    prompts = Prompts(None)
    for number in range(301):
        for _ in range(2):  # the second time it is equal to the one before
            prompts.append(RingItem("id", 1, "composer", f"prompt {number}"))
    prompts.append(RingItem("id", 1, "apply", "file.py"))
    kept = json.loads(prompts.value())
    assert len(kept) == 251
    assert kept[0] == {"text": "prompt 50", "commandType": 4}


def test_a_ledger_survives_a_torn_line(tmp_path):
    path = tmp_path / "ledger.jsonl"
    assert read_ledger(path).entries == ()
    entry = Entry(generation_id="a", database="db", journal="wal", schema="ring", unix_ms=1, text="\ud83d")
    with contextlib.closing(LedgerWriter(path)) as writer:
        writer.intend([entry])
    path.write_bytes(path.read_bytes() + b'{"line": "commit", "gener')
    assert read_ledger(path).uncertain == {"a": (entry,)}
    with contextlib.closing(LedgerWriter(path)) as writer:
        writer.commit([entry], 1.5)
        writer.incident("wal_left", "db", "why")
    ledger = read_ledger(path)
    assert ledger.torn == 1
    assert not ledger.uncertain
    ((committed,),) = ledger.committed.values()
    assert (committed.text, committed.commit_took_ms) == ("\ud83d", 1.5)
    assert [incident.what for incident in ledger.incidents] == ["wal_left"]


def test_a_copy_in_doubt_is_unresolved_but_its_id_is_certain(tmp_path):
    path = tmp_path / "ledger.jsonl"
    entries = [
        Entry(generation_id="a", database=database, journal="wal", schema="ring", unix_ms=1)
        for database in ("one", "two")
    ]
    with contextlib.closing(LedgerWriter(path)) as writer:
        writer.intend(entries)
        writer.commit(entries[:1])
    ledger = read_ledger(path)
    assert set(ledger.committed) == {"a"}
    assert ledger.unresolved == (entries[1],)
    assert not ledger.uncertain


def test_intents_that_were_rolled_back_are_not_uncertain(tmp_path):
    path = tmp_path / "ledger.jsonl"
    entry = Entry(generation_id="a", database="db", journal="wal", schema="ring", unix_ms=1)
    with contextlib.closing(LedgerWriter(path)) as writer:
        writer.intend([entry])
        writer.rolled_back([entry])
    assert not read_ledger(path).uncertain
    assert not read_ledger(path).committed
