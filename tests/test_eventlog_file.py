"""The event log's file: what can be read of it beside its service, and what is no log."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from contextlib import closing

import attrs
import pytest
import trio
from log_events import entry, event, gap, sequences
from scans import NOW_MS, uuid, workspace

from trio_cursor.errors import StateError
from trio_cursor.eventlog import (
    FILE_NAME,
    FORMAT,
    Entry,
    Filter,
    find_event,
    open_event_log,
    open_for_reading,
    open_for_writing,
    read_events,
    read_log,
)
from trio_cursor.eventlog.file import guarded
from trio_cursor.events import event_id
from trio_cursor.sqlite_library import sqlite3

#: Long enough for any machine.
PATIENCE = 20


@pytest.fixture
async def log(tmp_path):
    async with open_event_log(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize(("platform", "expected"), [("darwin", 1), ("linux", 0)])
def test_only_on_macos_the_drive_has_to_be_asked_as_well(tmp_path, platform, expected):
    with closing(open_for_writing(tmp_path, platform=platform)) as connection:
        assert connection.execute("PRAGMA fullfsync").fetchone()[0] == expected


class TestReading:
    @pytest.fixture
    async def filled(self, log):
        other = workspace("w2", path="/home/me/other", hash_="ffff")
        await log.append(entry(5))
        await log.append(Entry((((), gap()),)))
        await log.append(entry(4, place=other, session="scan_w2"))
        await log.append(entry(3, place=workspace(None), session="scan_global"))
        return log.directory

    def read(self, directory, *, wanted=None, **options):
        return sequences(read_log(directory, wanted or Filter(), **options))

    async def test_by_sequence_from_anywhere(self, filled):
        assert self.read(filled) == [1, 3, 4]
        assert self.read(filled, after=1) == [3, 4]
        assert self.read(filled, after=4) == []
        assert self.read(filled, limit=2) == [1, 3]

    async def test_by_time(self, filled):
        assert self.read(filled, by_time=True) == [4, 3, 1]

    async def test_the_newest_in_ascending_order(self, filled):
        assert self.read(filled, limit=2, newest=True) == [3, 4]
        assert self.read(filled, limit=2, newest=True, by_time=True) == [3, 1]
        assert self.read(filled, limit=0, newest=True) == []

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            (Filter(since_ms=NOW_MS + 4), [1, 3]),
            (Filter(workspace="project"), [1]),
            (Filter(workspace="/home/me"), [1, 3]),
            (Filter(workspace="w2"), [3]),
            (Filter(workspace="ffff"), [3]),
            (Filter(workspace="fff"), []),
            (Filter(workspace="%"), []),
            (Filter(session="scan_w2"), [3]),
            (Filter(session="scan"), []),
            (Filter(event_type="database_gap"), [2]),
            (Filter(event_type=None), [1, 2, 3, 4]),
            (Filter(since_ms=NOW_MS + 4, workspace="other", session="scan_w2"), [3]),
        ],
    )
    async def test_filters(self, filled, wanted, found):
        assert self.read(filled, wanted=wanted) == found

    async def test_in_the_service_gaps_are_among_the_events(self, filled):
        async with open_event_log(filled) as log:
            assert sequences(await log.read(0)) == [1, 2, 3, 4]
            assert sequences(await log.read(1, limit=1)) == [2]
            assert sequences(await log.read(0, event_type="database_gap")) == [2]

    async def test_a_batch_ends_with_the_event_that_fills_it(self, filled):
        assert self.read(filled, max_bytes=1) == [1]
        assert self.read(filled, max_bytes=10**6) == [1, 3, 4]

    @pytest.mark.parametrize(
        "body", ["", "[]", "{}", "[" * 100_000, '{"metadata": 1}', b"\xff\xfe{", b'{"event_id": "\xff"}']
    )
    async def test_a_row_that_is_no_event_stops_nobody_and_is_said_once(self, log, logged, body):
        await log.append(entry(1, 2, 3, 4))
        with closing(sqlite3.connect(log.directory / FILE_NAME, isolation_level=None)) as other:
            other.execute("UPDATE events SET body = CAST(? AS TEXT) WHERE seq IN (1, 2, 4)", (body,))
        for _ in range(2):
            assert sequences(await log.read(0, limit=1)) == [3]
            assert await log.read(3) == []
        said = [message for message in logged() if "is no event" in message]
        assert len(said) == 3
        assert log.trouble is None

    @pytest.mark.parametrize("options", [{}, {"by_time": True}, {"newest": True, "by_time": True}])
    async def test_nothing_is_sorted_so_that_memory_holds_what_is_asked_for(self, filled, options):
        plans = []

        class Explained:
            def __init__(self, connection):
                self.connection = connection

            def execute(self, sql, values):
                plans.extend(self.connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall())
                return self.connection.execute(sql, values)

        with closing(open_for_reading(filled)) as connection:
            read_events(Explained(connection), Filter(since_ms=1), **options)
        assert plans
        assert not any("TEMP B-TREE" in row[-1] for row in plans)

    async def test_large_events_come_in_small_batches(self, log):
        await log.append(entry(*range(6), text="x" * 6_000_000))
        assert [len(await log.read(after)) for after in (0, 3, 6)] == [3, 3, 0]

    async def test_where_there_is_no_log(self, tmp_path):
        assert read_log(tmp_path, Filter()) is None
        assert read_log(tmp_path / "nowhere", Filter()) is None
        (tmp_path / FILE_NAME).write_bytes(b"")
        assert read_log(tmp_path, Filter()) is None
        sqlite3.connect(tmp_path / FILE_NAME).execute("PRAGMA journal_mode=WAL").connection.close()
        assert read_log(tmp_path, Filter()) is None

    async def test_other_processes_read_while_it_is_written(self, log):
        code = (
            "import sys; from pathlib import Path; from trio_cursor.eventlog import *\n"
            "connection = open_for_reading(Path(sys.argv[1]))\n"
            "found = []\n"
            "while len(found) < 300:\n"
            "    found = [event.sequence for event in read_events(connection, Filter())]\n"
            "    assert found == list(range(1, len(found) + 1)) and len(found) % 3 == 0, found\n"
        )
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                command = [sys.executable, "-c", code, str(log.directory)]
                process = await nursery.start(trio.run_process, command)
                for number in range(0, 300, 3):
                    await log.append(entry(number, number + 1, number + 2))
        assert process.returncode == 0


class TestFinding:
    @pytest.fixture
    async def find(self, log):
        """Reports generations by their ids, and finds."""

        class Finder:
            async def report(self, *ids):
                found = []
                for id_ in ids:
                    template = event(1)
                    made = attrs.evolve(
                        template, event_id=event_id(id_), payload={**template.payload, "generation_id": id_}
                    )
                    found.append(((), made))
                await log.append(Entry(tuple(found)))

            def __call__(self, text, unreadable=None):
                with closing(open_for_reading(log.directory)) as connection:
                    return sequences(find_event(connection, text, unreadable))

        return Finder()

    @pytest.fixture
    async def filled(self, find):
        await find.report(uuid(0xABCDEF01), uuid(0xABCDEF02).upper(), "Word-1", "word-1", "Word-1", "wordy")
        return find

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            (uuid(0xABCDEF01), [1]),
            (uuid(0xABCDEF01).upper(), [1]),
            (uuid(0xABCDEF02), [2]),
            (uuid(0xABCDEF02).upper(), [2]),
            ("Word-1", [3, 5]),
            ("word-1", [4]),
            ("WORD-1", []),
            (event_id("wordy"), [6]),
            (event_id(uuid(0xABCDEF01)).upper(), [1]),
            ("#2", [2]),
            ("#0002", [2]),
            ("#7", []),
            ("#", []),
            ("#-1", []),
            ("#" + "9" * 18, []),
            ("#" + "9" * 5000, []),
            ("2", []),
            ("", []),
            ("\udcff", []),
            ("abcdef\udcff", []),
            ("%", []),
            (uuid(0xABCDEF03), []),
        ],
    )
    async def test_by_id_or_sequence(self, filled, text, found):
        assert filled(text) == found

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("abcdef01", [1]),
            ("ABCDEF01-0", [1]),
            ("abcdef02-", [2]),
            ("ABCDEF02-0000-4000-8000-00000000000", [2]),
            ("abcdef0", []),  # several begin so
            ("abcdef", []),
            ("abcde", []),
            ("abcdef011", []),
            ("Word-", []),  # too short
            ("Word-1-", []),
        ],
    )
    async def test_by_the_beginning_of_one_id_alone(self, filled, text, found):
        assert filled(text) == found

    async def test_the_beginning_of_an_id_that_is_no_uuid_counts_as_it_is_written(self, find):
        await find.report("Wording-1", "wording-2", "Wording-1")
        assert find("Wording") == [1, 3]
        assert find("wording") == [2]
        assert find("WORDING") == []

    async def test_an_id_that_another_one_begins_with_is_meant_itself(self, find):
        await find.report("wording", "wordings")
        assert find("wording") == [1]
        assert find("wordin") == []

    async def test_one_generation_is_one_in_whatever_case_it_was_reported(self, find):
        await find.report(uuid(0xABCDEF01), uuid(0xABCDEF01).upper())
        assert find("abcdef") == [1, 2]

    async def test_the_newest_of_many(self, find):
        await find.report(*["generation"] * 30)
        assert find("generation") == list(range(11, 31))
        assert find("genera") == list(range(11, 31))

    async def test_a_gap_record_by_its_sequence(self, log, find):
        await log.append(Entry((((), gap()),)))
        assert find("#1") == [1]

    async def test_a_text_inside_another_event_is_not_its_id(self, log, find):
        await log.append(entry(1, text=f'"event_id":"{event_id("x")}"'))
        assert find(event_id("x")) == []

    async def test_a_row_that_is_no_event_is_told_or_raises(self, log, filled):
        with closing(sqlite3.connect(log.directory / FILE_NAME, isolation_level=None)) as other:
            other.execute("UPDATE events SET body = '{}' WHERE seq = 3")
        with pytest.raises(KeyError):
            filled("Word-1")
        told = []
        assert filled("Word-1", told.append) == [5]
        assert told == [3]

    async def test_the_whole_log_is_never_read_for_it(self, filled, log):
        plans = []

        class Explained:
            def __init__(self, connection):
                self.connection = connection

            def execute(self, sql, values):
                plans.extend(self.connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall())
                return self.connection.execute(sql, values)

        with closing(open_for_reading(log.directory)) as connection:
            for text in (uuid(0xABCDEF01), event_id("wordy"), "abcdef01", "#2"):
                find_event(Explained(connection), text)
        assert {row[-1].split()[0] for row in plans} == {"SEARCH"}


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
async def test_every_file_is_private_whatever_the_umask_says(tmp_path):
    before = os.umask(0)
    try:
        async with open_event_log(tmp_path) as log:
            await log.append(entry(1))
            found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert found == dict.fromkeys((FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"), 0o600)


def test_whoever_looks_while_the_log_is_made_finds_none_or_all_of_it(tmp_path):
    """A service and a `status` that are started in one breath."""
    looks = 0
    for number in range(60):
        directory = tmp_path / str(number)
        directory.mkdir()
        maker = threading.Thread(target=lambda place=directory: open_for_writing(place).close())
        maker.start()
        while maker.is_alive():
            connection = open_for_reading(directory)
            looks += 1
            if connection is not None:
                connection.close()
        maker.join()
    assert looks > 60


class TestWhatIsNoLog:
    async def refused(self, directory, words):
        before = (directory / FILE_NAME).read_bytes() if (directory / FILE_NAME).is_file() else None
        with pytest.raises(StateError, match=words):
            async with open_event_log(directory):
                pass
        with pytest.raises(StateError, match=words):
            read_log(directory, Filter())
        if before is not None:
            assert (directory / FILE_NAME).read_bytes() == before

    async def test_a_newer_format(self, tmp_path):
        async with open_event_log(tmp_path):
            pass
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
            connection.execute(f"PRAGMA user_version={FORMAT + 1}")
        await self.refused(tmp_path, r"written by a newer trio_cursor \(format 5\)")

    @pytest.mark.parametrize(
        "statement", ["CREATE TABLE theirs (x)", "PRAGMA application_id=5", "PRAGMA user_version=1"]
    )
    async def test_a_database_of_somebody_else(self, tmp_path, statement):
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
            connection.execute(statement)
            connection.commit()
        await self.refused(tmp_path, "is not an event log of trio_cursor")

    @pytest.mark.parametrize("version", [0, -1])
    async def test_a_format_that_never_was(self, tmp_path, version):
        async with open_event_log(tmp_path):
            pass
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
            connection.execute(f"PRAGMA user_version={version}")
        await self.refused(tmp_path, "is not an event log of trio_cursor")

    async def test_a_file_that_is_no_database(self, tmp_path):
        (tmp_path / FILE_NAME).write_bytes(b"no database at all" * 500)
        await self.refused(tmp_path, "move it away")

    @pytest.mark.parametrize(
        ("error", "do"),
        [
            (sqlite3.OperationalError("database or disk is full"), "free some space"),
            (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "free some space"),
            (PermissionError(errno.EACCES, os.strerror(errno.EACCES)), "mend its permissions"),
            (sqlite3.OperationalError("attempt to write a readonly database"), "mend its permissions"),
            (sqlite3.OperationalError("database is locked"), "see which program"),
        ],
    )
    def test_one_that_is_well_is_not_to_be_moved_away(self, tmp_path, error, do):
        with pytest.raises(StateError, match=f"; {do}") as raised, guarded(tmp_path / FILE_NAME):
            raise error
        assert "move it away" not in str(raised.value)

    async def test_a_directory_in_its_place(self, tmp_path):
        (tmp_path / FILE_NAME).mkdir()
        await self.refused(tmp_path, "cannot be used")

    async def test_a_directory_that_is_none(self, tmp_path):
        (tmp_path / "file").write_text("")
        await self.refused(tmp_path / "file", "cannot be used")

    async def test_a_damaged_log_is_an_error_that_names_it(self, tmp_path):
        async with open_event_log(tmp_path) as log:
            await log.append(entry(*range(200)))
        path = tmp_path / FILE_NAME
        content = bytearray(path.read_bytes())
        content[8192:] = b"\x55" * (len(content) - 8192)
        path.write_bytes(content)
        with pytest.raises(StateError, match=r"the event log .* cannot be used"):
            async with open_event_log(tmp_path):
                pass

    async def test_damage_behind_the_first_pages_is_an_error_when_it_is_met(self, tmp_path):
        async with open_event_log(tmp_path) as log:
            await log.append(entry(*range(200)))
        path = tmp_path / FILE_NAME
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(size // 2)
            file.write(b"\x55" * (size - size // 2))
        async with open_event_log(tmp_path) as log:
            with pytest.raises(StateError, match=r"the event log in .* failed"):
                await log.read(0)
