"""The event log with the real SQLite and real files: one transaction or nothing, and nothing twice."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import attrs
import cursor_files
import log_events
import pytest
import trio
import trio.testing
from log_events import EVENTS_AT_ONCE, HOME, PLACE, entry, event, gap, pending, pending_turn, sequences
from scans import NOW_MS, uuid

import trio_cursor
from trio_cursor.config import Config, CursorConfig, HttpConfig, StateConfig
from trio_cursor.errors import StateError
from trio_cursor.eventlog import (
    FILE_NAME,
    Entry,
    EventLog,
    Filter,
    Known,
    Retired,
    open_event_log,
    open_for_reading,
    open_for_writing,
    read_events,
    read_log,
    rows,
)
from trio_cursor.eventlog.access import Access
from trio_cursor.observations import Place
from trio_cursor.records import FoundMapping, Session, StreamMark
from trio_cursor.sqlite_library import sqlite3

AGENT = Place("child", 9, parent_id="conversation")
DAY_MS = 86_400_000
#: Long enough for any machine.
PATIENCE = 20


@pytest.fixture
async def log(tmp_path):
    async with open_event_log(tmp_path) as opened:
        yield opened


async def test_events_come_back_as_they_were_with_their_sequences(log):
    assert await log.append(entry(1, 2)) == [1, 2]
    written = await log.read(0)
    assert sequences(written) == [1, 2]
    assert [attrs.evolve(item, sequence=0) for item in written] == [event(1), event(2)]
    assert log.last_sequence == 2
    assert await log.known_keys([uuid(1), uuid(3)]) == {uuid(1)}


async def test_everything_of_an_entry_is_there_after_a_restart(tmp_path):
    session = Session("scan_w1", HOME.database, "discovery", NOW_MS)
    whole = attrs.evolve(
        entry(1),
        pending=(pending(5), pending(6), pending_turn("c")),
        places=(("/u", PLACE), ("/other", AGENT)),
        sessions=(session, Session("over", "/db", "discovery", 1, ended_at=2, heard_at=2)),
        database="/db",
        positions={"ring": "p1", "tables_v1": "p2"},
        identity=(2**63, 4),
        since_ms=NOW_MS,
    )
    async with open_event_log(tmp_path) as log:
        await log.append(whole)
        await log.append(Entry(settled=(pending(5).key,)))
        await log.save_cursor("out", 1, "detail")
    async with open_event_log(tmp_path) as log:
        assert log.last_sequence == 1
        assert await log.read(0) == [event_at(1, 1)]
        assert sorted(await log.pending(), key=repr) == sorted([pending(6), pending_turn("c")], key=repr)
        assert sorted(await log.places(), key=repr) == [("/other", AGENT), ("/u", PLACE)]
        assert await log.sessions(3) == [session]
        assert [item.session_id for item in await log.sessions(2)] == ["over", "scan_w1"]
        assert await log.known("/db") == Known({"ring": "p1", "tables_v1": "p2"}, (2**63, 4), NOW_MS)
        assert await log.known("/other") == Known()
        assert await log.cursor("out") == (1, "detail")
        assert await log.cursor("another") == (0, "")


def event_at(number, sequence):
    return attrs.evolve(event(number), sequence=sequence)


async def test_all_schemas_of_a_database_share_identity_and_beginning(log):
    await log.append(
        Entry(database="/db", positions={"ring": "a", "tables_v1": "b"}, identity=(1, 1), since_ms=5)
    )
    await log.append(Entry(database="/db", positions={"ring": "c"}, identity=(1, 2)))
    assert await log.known("/db") == Known({"ring": "c", "tables_v1": "b"}, (1, 2), None)


async def test_what_was_pending_is_replaced_by_what_is_told_later(log):
    await log.append(Entry(pending=(pending(5),)))
    later = attrs.evolve(pending(5), seen_ms=7)
    await log.append(Entry(pending=(later,)))
    assert await log.pending() == [later]


async def test_of_what_says_the_same_of_a_conversation_the_last_counts(log):
    other = attrs.evolve(PLACE, rule=7, workspace_id=None, folder="/home/me/project")
    await log.append(Entry(places=(("/u", PLACE), ("/u", other))))
    later = attrs.evolve(PLACE, workspace_id="w9")
    await log.append(Entry(places=(("/u", later), ("/v", PLACE))))
    assert await log.places() == [("/u", later), ("/u", other), ("/v", PLACE)]


async def test_every_key_of_an_event_is_known(log):
    written = await log.append(Entry(((("a", "turn/c/b", "a"), event(1)), ((), gap()), (("b",), event(2)))))
    assert written == [1, 2, 3]
    assert await log.known_keys(["turn/c/b", "b", "c", "a"]) == {"a", "b", "turn/c/b"}
    with pytest.raises(sqlite3.IntegrityError):
        await log.append(Entry(((("c", "turn/c/b"), event(3)),)))
    assert await log.known_keys(["c"]) == set()


async def test_a_session_that_is_closed_is_open_no_more(log):
    session = Session("s", "/db", "discovery", NOW_MS)
    await log.save_sessions([session])
    await log.save_sessions([attrs.evolve(session, ended_at=NOW_MS + 1)])
    assert await log.sessions(1) == []


async def test_sessions_and_how_far_their_stream_was_taken_in_are_stored_together(log):
    announced = Session(
        "s",
        None,
        "redis",
        NOW_MS,
        workspace_hash="ab" * 8,
        workspace_path="/home/\udcff",
        heard_at=NOW_MS,
        is_uncertain=True,
    )
    assert await log.mark("redis://host stream") is None
    await log.save_sessions([announced], StreamMark("redis://host stream", "7-1"))
    placed = attrs.evolve(announced, database="/db", is_uncertain=False)
    await log.save_sessions([placed, attrs.evolve(placed, session_id="t", workspace_hash="cd" * 8)])
    assert [item.key for item in await log.sessions(0)] == [("ab" * 8, "s"), ("cd" * 8, "t")]
    assert (await log.sessions(0))[0] == placed
    assert await log.mark("redis://host stream") == "7-1"
    assert await log.mark("redis://other stream") is None
    assert await log.cursor("redis://host stream") == (0, "")


async def test_where_announced_workspaces_were_found_is_kept(log):
    found = FoundMapping("ab" * 8, "/home/\udcff/state.vscdb", "workspace_json", None, 5)
    later = attrs.evolve(found, strategy="session_id", path="/home/\udcfe", found_at=6)
    await log.save_mapping(found)
    await log.save_mapping(later)
    assert await log.mappings() == [later]


async def test_closed_sessions_that_were_nowhere_go_after_a_day(log):
    day_ms = 86_400_000
    nowhere = Session("a", None, "redis", 1, ended_at=2, workspace_hash="ab" * 8, heard_at=NOW_MS)
    others = [
        attrs.evolve(nowhere, session_id="placed", database="/db"),
        attrs.evolve(nowhere, session_id="open", ended_at=None),
        attrs.evolve(nowhere, session_id="later", database="/db", heard_at=NOW_MS + day_ms),
    ]
    await log.save_sessions([nowhere, *others])
    await log.retire(before_ms=0, max_bytes=10**9, taken=None)
    assert len(await log.sessions(0)) == 4
    await log.save_sessions([attrs.evolve(others[2], heard_at=NOW_MS + day_ms + 1)])
    await log.retire(before_ms=0, max_bytes=10**9, taken=None)
    assert {session.session_id for session in await log.sessions(0)} == {"placed", "open", "later"}


async def test_closed_sessions_go_with_the_events_of_their_days(log):
    old = Session("old", "/db", "discovery", 1, ended_at=2, heard_at=2)
    await log.save_sessions([old, attrs.evolve(old, session_id="open", ended_at=None)])
    await log.retire(before_ms=2, max_bytes=10**9, taken=None)
    assert [item.session_id for item in await log.sessions(0)] == ["old", "open"]
    await log.retire(before_ms=3, max_bytes=10**9, taken=None)
    assert [item.session_id for item in await log.sessions(0)] == ["open"]


async def test_an_entry_that_fails_leaves_nothing_behind(log):
    await log.append(entry(1))
    twice = attrs.evolve(entry(2, 1), pending=(pending(5),), database="/db", positions={"ring": "p"})
    with pytest.raises(sqlite3.IntegrityError):
        await log.append(twice)
    assert [item.generation_id for item in await log.read(0)] == [uuid(1)]
    assert (await log.pending(), await log.known("/db"), log.last_sequence) == ([], Known(), 1)
    assert await log.append(entry(2)) == [2]


async def test_paths_that_are_not_utf_8(log):
    database, name = "/home/\udcff/state.vscdb", "json_lines:/tmp/\udcfe"
    place = attrs.evolve(HOME, database=database, profile="/home/\udcff")
    waiting = attrs.evolve(pending(5), workspace=place)
    session = Session("s", database, "discovery", NOW_MS)
    await log.append(
        Entry(
            pending=(waiting,),
            sessions=(session,),
            database=database,
            positions={"ring": "p"},
            identity=(1, 2),
        )
    )
    await log.save_cursor(name, 3)
    assert (await log.known(database)).positions == {"ring": "p"}
    assert await log.pending() == [waiting]
    assert await log.cursor(name) == (3, "")
    assert await log.sessions(0) == [session]
    assert read_log(log.directory, Filter(workspace="\udcff", session="\udcff")) == []


@pytest.mark.parametrize("strange", ["/home/\udcff\udcfe", "\ud800", "\udfff\0é"])
async def test_texts_that_are_not_utf_8_come_back_as_they_were_and_are_never_taken_for_others(log, strange):
    alike = strange.encode("utf-8", "backslashreplace").decode()
    waiting = pending_turn(strange, attrs.evolve(HOME, database=strange))
    found = attrs.evolve(PLACE, conversation_id=strange, folder=strange)
    literal = attrs.evolve(found, conversation_id=alike)
    both = ((strange, found), (alike, literal))
    place = attrs.evolve(HOME, id=strange, path=strange)
    reported = ((strange, f"turn/{strange}"), event(1, place=place, session=f"scan_{strange}"))
    await log.append(Entry((reported, ((alike,), event(2))), (waiting,), places=both))
    assert await log.known_keys([strange, f"turn/{strange}", alike, f"turn/{alike}"]) == {
        strange,
        f"turn/{strange}",
        alike,
    }
    assert sorted(await log.places()) == sorted(both)
    assert await log.pending() == [waiting]
    assert sequences(read_log(log.directory, Filter(workspace=strange))) == [1]
    assert sequences(read_log(log.directory, Filter(session=f"scan_{strange}"))) == [1]
    assert (await log.read(0))[0].metadata["workspace_path"] == strange
    moved = (("p", attrs.evolve(found, rule=2)),)
    await log.append(
        Entry(settled=(waiting.key,), places=((strange, attrs.evolve(found, folder=None)), *moved))
    )
    assert await log.pending() == []
    assert len(await log.places()) == 3
    assert (strange, attrs.evolve(found, folder=None)) in await log.places()


@pytest.mark.parametrize("body", ["", "[]", "{}", "null", "5", "[" * 100_000, '{"rule": 1}', b"\xff\xfe{"])
async def test_what_cannot_be_read_of_what_was_kept_for_later_stops_nobody_and_is_said(log, logged, body):
    await log.append(Entry(pending=(pending(5), pending(6)), places=(("/u", PLACE), ("/v", PLACE))))
    with closing(sqlite3.connect(log.directory / FILE_NAME, isolation_level=None)) as other:
        other.execute("UPDATE pending SET body = CAST(? AS TEXT) WHERE key = ?", (body, pending(5).key))
        other.execute("UPDATE places SET body = CAST(? AS TEXT) WHERE profile = '/v'", (body,))
    assert await log.pending() == [pending(6)]
    assert await log.places() == [("/u", PLACE)]
    said = [message for message in logged() if "cannot be read and is passed over" in message]
    assert len(said) == 2
    with closing(open_for_reading(log.directory)) as connection:
        for load in (rows.load_pending, rows.load_places):
            with pytest.raises((ValueError, KeyError, TypeError, AttributeError, RecursionError)):
                load(connection)


async def test_many_keys_at_once(log):
    await log.append(entry(*range(1100)))
    assert await log.known_keys(uuid(number) for number in range(50, 2000)) == {
        uuid(number) for number in range(50, 1100)
    }
    assert await log.known_keys([]) == set()


async def test_who_follows_is_woken_at_each_append(log):
    woken = trio.Event()

    async def wait():
        await log.appended.wait()
        woken.set()

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            await log.append(Entry(pending=(pending(1),)))
            await trio.testing.wait_all_tasks_blocked()
            assert not woken.is_set()  # nothing was published
            await log.append(entry(1))
            await woken.wait()


async def test_a_cancelled_append_is_finished_not_torn(log):
    with trio.CancelScope() as scope:
        scope.cancel()
        await log.append(entry(1))
    assert await log.read(0) == []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.append, entry(*range(200)))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert len(await log.read(0)) in (0, 200)
    assert log.last_sequence == len(await log.read(0))


async def test_a_closed_log_says_so(tmp_path):
    async with open_event_log(tmp_path) as log:
        pass
    with pytest.raises(trio.ClosedResourceError):
        await log.read(0)
    with pytest.raises(trio.ClosedResourceError):
        await log.append(entry(1))


async def test_it_is_closed_in_a_thread_even_if_cancelled(tmp_path):
    """What closing writes and waits for may take seconds, in which the host must go on."""
    closed_in = []

    class Connection:
        def close(self):
            closed_in.append(threading.get_ident())

    log = EventLog(Access(tmp_path, Connection(), Connection()), 0)
    with trio.CancelScope() as scope:
        scope.cancel()
        await log.aclose()
    assert len(closed_in) == 2
    assert threading.get_ident() not in closed_in
    with pytest.raises(trio.ClosedResourceError):
        await log.read(0)


async def test_a_log_works_for_a_host_that_uses_all_its_threads(log):
    everything = trio.to_thread.current_default_thread_limiter()
    for borrower in range(int(everything.total_tokens)):
        everything.acquire_on_behalf_of_nowait(borrower)
    try:
        with trio.fail_after(PATIENCE):
            await log.append(entry(1))
            assert len(await log.read(0)) == 1
    finally:
        for borrower in range(int(everything.total_tokens)):
            everything.release_on_behalf_of(borrower)


class TestTrouble:
    """The log knows by itself that it cannot be written or read, whoever asked, and until it can be again."""

    @staticmethod
    def damage(directory, table):
        """Overwrite the first page of a table; returns what mends it."""
        path = directory / FILE_NAME
        with closing(sqlite3.connect(path)) as connection:
            query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
            start = (connection.execute(query, (table,)).fetchone()[0] - 1) * 4096
        content = path.read_bytes()

        def write(page):
            with path.open("r+b") as file:
                file.seek(start)
                file.write(page)

        write(b"\x55" * 4096)
        return lambda: write(content[start : start + 4096])

    async def test_a_damaged_page_is_known_until_it_can_be_read(self, tmp_path):
        async with open_event_log(tmp_path) as log:
            assert log.trouble is None
            await log.append(Entry(database="/db", positions={"ring": "p"}, identity=(1, 2)))
        mend = self.damage(tmp_path, "positions")
        async with open_event_log(tmp_path) as log:
            with pytest.raises(StateError, match="malformed") as raised:
                await log.known("/db")
            assert log.trouble == str(raised.value)
            # What lies elsewhere can be read and written, and says nothing of it.
            await log.append(entry(1))
            assert len(await log.read(0)) == 1
            assert log.trouble == str(raised.value)
            mend()
            assert (await log.known("/db")).identity == (1, 2)
            assert log.trouble is None

    async def test_it_is_in_the_status_though_nothing_is_to_be_written(self, tmp_path, user_dir):
        state = tmp_path / "state"
        state.mkdir(mode=0o700)
        async with open_event_log(state) as log:
            await log.append(Entry(database="/db", positions={"ring": "p"}, identity=(1, 2)))
        self.damage(state, "positions")
        cursor_files.make_workspace(user_dir, "w1", [])
        config = Config(
            http=HttpConfig(listen="off"),
            cursor=CursorConfig(dirs=(str(user_dir),)),
            state=StateConfig(dir=str(state)),
        )
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                handle = await nursery.start(trio_cursor.serve, config)
                while handle.status().log_error is None:  # noqa: ASYNC110 - a status is looked at
                    await trio.sleep(0.01)
                status = handle.status()
                nursery.cancel_scope.cancel()
        assert "malformed" in status.log_error
        assert status.alarms[0] == status.log_error


class TestRetention:
    """Oldest first; never what an output has not taken, unless the size forces it; never a key."""

    async def fill(self, log, count, **options):
        await log.append(entry(*range(count), **options))

    async def test_what_is_past_its_days_goes_and_its_key_stays(self, log):
        await self.fill(log, 3, captured_at=NOW_MS - DAY_MS)
        await log.append(entry(7))
        retired = await log.retire(before_ms=NOW_MS, max_bytes=10**9, taken=None)
        assert retired == Retired(3, 0)
        assert sequences(await log.read(0)) == [4]
        assert await log.known_keys([uuid(0), uuid(7)]) == {uuid(0), uuid(7)}
        assert await log.retire(before_ms=NOW_MS, max_bytes=10**9, taken=None) == Retired()

    async def test_an_event_captured_by_a_clock_in_the_future_holds_nothing_up(self, log):
        await self.fill(log, 1, captured_at=4_102_444_800_000)
        await log.append(entry(7, captured_at=NOW_MS - DAY_MS))
        assert (await log.retire(before_ms=NOW_MS, max_bytes=10**9, taken=None)).events == 1
        assert sequences(await log.read(0)) == [1]

    async def test_an_output_that_lags_keeps_what_it_has_not_taken(self, log):
        await self.fill(log, 5, captured_at=NOW_MS - DAY_MS)
        assert await log.retire(before_ms=NOW_MS, max_bytes=10**9, taken=2) == Retired(2, 0)
        assert await log.retire(before_ms=NOW_MS, max_bytes=10**9, taken=2) == Retired()
        assert sequences(await log.read(0)) == [3, 4, 5]

    async def test_the_size_limit_forces_and_counts_what_was_not_taken(self, log):
        await self.fill(log, 40, text="x" * 10_000)
        total = Retired()
        while (retired := await log.retire(before_ms=0, max_bytes=300_000, taken=5)).events:
            total = Retired(total.events + retired.events, total.untaken + retired.untaken)
        left = sequences(await log.read(0))
        assert left == list(range(41 - len(left), 41))
        assert 15 <= len(left) <= 30  # as few as were needed
        assert total == Retired(40 - len(left), 40 - len(left) - 5)

    async def test_a_little_too_much_costs_little(self, log):
        await self.fill(log, 100, text="x" * 10_000)
        used = (log.directory / FILE_NAME).stat().st_size + (
            log.directory / f"{FILE_NAME}-wal"
        ).stat().st_size
        with closing(sqlite3.connect(log.directory / FILE_NAME)) as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
        assert used >= pages * 4096 - 4096
        retired = await log.retire(before_ms=0, max_bytes=pages * 4096 - 5000, taken=None)
        assert 1 <= retired.events <= 2

    async def test_keys_and_positions_take_no_more_than_half_of_the_limit_from_the_events(self, log):
        await self.fill(log, 30, text="x" * 10_000)
        await log.append(Entry(database="/db", positions={"ring": "p" * 900_000}, identity=(1, 2)))
        retired = await log.retire(before_ms=0, max_bytes=900_000, taken=None)
        assert retired == Retired(is_too_large=True)
        total = 0
        while (retired := await log.retire(before_ms=0, max_bytes=500_000, taken=None)).events:
            total += retired.events
        assert 5 <= total <= 18  # of 30: the empty tables and indexes count as theirs
        assert retired.is_too_large

    @pytest.mark.parametrize("kept", ["pending", "places"])
    async def test_what_is_kept_for_later_is_not_to_be_made_room_for_either(self, log, kept):
        await self.fill(log, 30, text="x" * 10_000)
        large = attrs.evolve(PLACE, folder="f" * 900_000)
        entry_ = attrs.evolve(pending(5).entry, text="t" * 900_000)
        more = {"places": (("/u", large),), "pending": (attrs.evolve(pending(5), entry=entry_),)}
        await log.append(Entry(**{kept: more[kept]}))
        assert await log.retire(before_ms=0, max_bytes=900_000, taken=None) == Retired(is_too_large=True)

    async def test_days_and_slices(self, log):
        await self.fill(log, 2500, captured_at=NOW_MS - DAY_MS)
        slices = []
        while (retired := await log.retire(before_ms=NOW_MS, max_bytes=10**9, taken=None)).events:
            slices.append(retired.events)
        assert slices == [1000, 1000, 500]

    async def test_a_sequence_is_never_used_again(self, tmp_path):
        async with open_event_log(tmp_path) as log:
            await self.fill(log, 3, captured_at=NOW_MS - DAY_MS)
            await log.retire(before_ms=NOW_MS, max_bytes=10**9, taken=None)
        async with open_event_log(tmp_path) as log:
            assert await log.read(0) == []
            assert log.last_sequence == 3
            assert await log.append(entry(9)) == [4]


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX's")
def test_a_log_that_is_killed_anywhere_has_each_transaction_whole_or_not_at_all(tmp_path):
    script = Path(log_events.__file__)
    command = [sys.executable, str(script), "append", str(tmp_path), "30"]
    # Whoever is killed says nothing of what it has executed.
    subprocess.run(command, check=True, timeout=60, env=cursor_files.unmeasured())
    with closing(open_for_writing(tmp_path)) as connection:
        done = int(rows.load_known(connection, "db").positions["ring"])
        found = read_events(connection, Filter())
        assert [item.generation_id for item in found] == [
            uuid(number) for number in range(done * EVENTS_AT_ONCE)
        ]
        assert sequences(found) == list(range(1, len(found) + 1))
        assert len(rows.known_keys(connection, (item.generation_id for item in found))) == len(found)
        assert [item.key for item in rows.load_pending(connection)] == [uuid(10**6 + done)]
    assert done >= 10


FULL_DISK = """
import resource, sys, trio
from pathlib import Path
from log_events import entry
from trio_cursor.errors import StateError
from trio_cursor.eventlog import open_event_log

async def main():
    async with open_event_log(Path(sys.argv[1])) as log:
        await log.append(entry(1))
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = max(path.stat().st_size for path in Path(sys.argv[1]).iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5000, limit[1]))
        try:
            await log.append(entry(*range(10, 400)))
        except StateError as error:
            print(error)
        assert len(await log.read(0)) == 1 and log.last_sequence == 1
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        await log.append(entry(*range(10, 400)))
        print(len(await log.read(0)), log.last_sequence)

trio.run(main)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit here")
def test_a_full_disk_is_an_error_after_which_it_goes_on(tmp_path):
    place = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=place)
    said, counted = done.stdout.splitlines()
    assert "the event log in" in said, done.stderr
    assert counted == "391 391"


async def test_two_writers_of_one_log_wait_for_each_other(tmp_path):
    """The lock of the directory forbids it, but `purge` of another process will write as well."""
    async with open_event_log(tmp_path) as first, open_event_log(tmp_path) as second:
        assert isinstance(first, EventLog)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(first.append, entry(*range(300)))
                nursery.start_soon(second.append, entry(*range(300, 600)))
        assert len(await first.read(0, limit=1000)) == 600
