"""The real thing: a living fake Cursor in one process, the service in another or in this one."""

from __future__ import annotations

from collections import Counter

import attrs
import cursor_files
import pytest
import running
import trio
from deadlines import until, within
from otlp_receiver import Receiver, values

import trio_cursor
from trio_cursor.config import (
    AssemblyConfig,
    Config,
    CursorConfig,
    DatabaseMonitorConfig,
    HttpConfig,
    OtlpConfig,
    OutputsConfig,
    StateConfig,
)
from trio_cursor.demo.canaries import CANARY
from trio_cursor.demo.process import FakeCursorProcess

pytestmark = pytest.mark.usefixtures("unmeasured")


def config_of(cursor, state_dir):
    return Config(
        http=HttpConfig(listen="off"),
        cursor=CursorConfig(dirs=(str(cursor.cursor_dir),)),
        state=StateConfig(dir=str(state_dir)),
        assembly=AssemblyConfig(conversation_wait_seconds=1, ring_grace_seconds=0.2),
        cursor_database_monitor=DatabaseMonitorConfig(sync_window_hours=876_000, probe_interval_seconds=0.05),
    )


def has_rows(ledger, tables):
    return not tables or any(entry.schema == f"tables_{tables}" for entry in ledger.entries)


@pytest.mark.parametrize(
    ("tables", "journal"),
    [(None, "delete"), (None, "wal"), ("v1", "wal"), ("v2", "delete"), ("plain", "wal")],
)
@within(60)
async def test_every_generation_of_the_ledger_is_received_exactly_once(tmp_path, journal, tables):
    options = ["--rate", "80", "--workspaces", "6", "--journal", journal, "--window-seconds", "1.5"]
    options += ["--generations", "80", "--stay", *(["--tables", tables] if tables else [])]
    received = Counter()
    with FakeCursorProcess(tmp_path / "cursor", *options) as cursor:
        async with trio.open_nursery() as nursery:
            handle = await nursery.start(trio_cursor.serve, config_of(cursor, tmp_path / "state"))
            async with handle.subscribe() as events:
                with trio.move_on_after(0.7):
                    async for event in events:
                        received[event.generation_id] += 1
                # On a machine under load it has done little by then.
                await until(lambda: has_rows(cursor.ledger(), tables))
                await trio.to_thread.run_sync(cursor.stop)
                ledger = cursor.ledger()
                while not received.keys() >= ledger.committed.keys() | ledger.turns.keys():
                    received[(await events.receive()).generation_id] += 1
            nursery.cancel_scope.cancel()
    running.assert_exactly_once(received, ledger)
    running.assert_exactly_once(running.reported(tmp_path / "state"), ledger)
    running.assert_owner_unhurt(ledger)


@within(60)
async def test_the_spans_of_a_collector_are_the_ledger(tmp_path):
    receiver = Receiver()

    def received():
        found = (values(span.attributes)["cursor.generation.id"] for span in receiver.spans)
        return Counter(found)

    with (
        receiver.listening(),
        FakeCursorProcess(tmp_path / "cursor", "--rate", "80", "--window-seconds", "1", "--stay") as cursor,
    ):
        otlp = OtlpConfig(enabled=True, endpoint=receiver.url)
        config = attrs.evolve(config_of(cursor, tmp_path / "state"), outputs=OutputsConfig(otlp=otlp))
        async with trio.open_nursery() as nursery:
            await nursery.start(trio_cursor.serve, config)
            await until(lambda: len(receiver.spans) > 50)
            await trio.to_thread.run_sync(cursor.stop)
            ledger = cursor.ledger()
            await until(lambda: received().keys() >= ledger.committed.keys() | ledger.turns.keys())
            nursery.cancel_scope.cancel()
    running.assert_exactly_once(received(), ledger)


def test_once_and_once_more(tmp_path):
    with FakeCursorProcess(tmp_path / "cursor", "--history", "300", "--rate", "0") as cursor:
        cursor.stop()
        for _ in range(2):
            assert running.run_once(cursor.cursor_dir, tmp_path / "state") == ""
            running.assert_exactly_once(running.reported(tmp_path / "state"), cursor.ledger())


def quiet(cursor):
    """Stop the owner at a moment when it is in no transaction."""
    while True:
        cursor.pause()
        if not list(cursor.cursor_dir.rglob("*-journal")):
            return
        cursor.resume()


@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("owner", ["running", "closed", "crashed"])
def test_not_a_byte_of_cursors_directory_changes(tmp_path, journal, owner):
    options = ("--journal", journal, "--workspaces", "4", "--history", "40", "--rate", "50")
    with FakeCursorProcess(tmp_path / "cursor", *options) as cursor:
        match owner:
            case "running":
                quiet(cursor)
            case "closed":
                cursor.stop()
            case "crashed":
                cursor.kill()
        before = cursor_files.tree(cursor.directory)
        running.run_once(cursor.cursor_dir, tmp_path / "state")
        assert cursor_files.tree(cursor.directory) == before
        reported = running.reported(tmp_path / "state")
        assert reported.total() >= 40
        if owner == "running":
            cursor.resume()
            cursor.stop()
        ledger = cursor.ledger()
    turns = ledger.turns.keys() | ledger.open_turns.keys()
    assert reported.keys() <= ledger.committed.keys() | ledger.uncertain.keys() | turns
    running.assert_owner_unhurt(ledger)


@within(60)
async def test_no_secret_leaves_the_database_and_no_file_is_left_beside_it(tmp_path):
    with FakeCursorProcess(tmp_path / "cursor", "--rate", "50", "--window-seconds", "1") as cursor:
        before = {path for path in cursor.cursor_dir.rglob("*") if path.is_dir()}
        async with trio.open_nursery() as nursery:
            handle = await nursery.start(trio_cursor.serve, config_of(cursor, tmp_path / "state"))
            async with handle.subscribe() as events:
                for _ in range(60):
                    await events.receive()
            status = repr(handle.status())
            nursery.cancel_scope.cancel()
        cursor.stop()
    assert CANARY not in status
    for path in (tmp_path / "state").rglob("*"):
        assert path.is_dir() or CANARY.encode() not in path.read_bytes()
    assert {path for path in cursor.cursor_dir.rglob("*") if path.is_dir()} == before
    # A log may be left at a close that coincides with a read, as any reader may cause it.
    is_left = any(incident.what == "wal_left" for incident in cursor.ledger().incidents)
    assert {path.name for path in cursor.cursor_dir.rglob("*") if path.is_file()} <= {
        *(("state.vscdb-wal", "state.vscdb-shm") if is_left else ()),
        "state.vscdb",
        "state.vscdb.backup",
        "state.vscdb.options.json",
        "workspace.json",
    }
