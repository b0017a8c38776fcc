"""The service as its host sees it: real files, real threads, the real clock; waits are for outcomes."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from itertools import pairwise
from pathlib import Path

import attrs
import cursor_files
import killed_copies
import pytest
import structlog
import trio
from deadlines import until, within
from serving import MONITOR, by_id, id_of, open_files, working_threads

import trio_cursor
from trio_cursor import asked as asked_module
from trio_cursor.asked import cursor_dirs, is_rolled_out, window_ms
from trio_cursor.config import (
    AlarmsConfig,
    Config,
    CursorConfig,
    DatabaseMonitorConfig,
    HttpConfig,
    JsonLinesConfig,
    LoggingConfig,
    OutputsConfig,
    StateConfig,
)
from trio_cursor.config.catalogue import KEYS
from trio_cursor.cursor import user_dirs
from trio_cursor.cursor.private_copies import place_for_copies
from trio_cursor.errors import AlreadyRunningError, ConfigError, StateError
from trio_cursor.records import Workspace
from trio_cursor.settings import Reloaded


@pytest.fixture
def config(user_dir, tmp_path):
    return Config(
        http=HttpConfig(listen="off"),
        cursor=CursorConfig(dirs=(str(user_dir),)),
        state=StateConfig(dir=str(tmp_path / "state")),
        cursor_database_monitor=MONITOR,
    )


async def receive(events, *ids):
    """Receive until all of these have come; none of them may come twice."""
    wanted, received = set(ids), []
    while not wanted <= set(received):
        received.append((await events.receive()).generation_id)
    assert len(received) == len(set(received))
    return received


# -- Embedding -----------------------------------------------------------------------------------------


def logging_as_it_is():
    root, ours = logging.getLogger(), logging.getLogger("trio_cursor")
    return [(item.level, list(item.handlers), item.disabled, item.propagate) for item in (root, ours)]


def signals_as_they_are():
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


@within(30)
async def test_the_ten_line_program_gets_events_and_leaves_nothing_behind(user_dir, config):
    items = [cursor_files.ring_item(number) for number in range(3)]
    cursor_files.make_workspace(user_dir, "w1", items)
    threads = working_threads()
    before = (open_files(), trio.lowlevel.current_statistics().tasks_living)
    as_it_was = (
        logging_as_it_is(),
        signals_as_they_are(),
        structlog.get_config(),
        Path.cwd(),
        os.umask(0o022),
    )
    os.umask(as_it_was[-1])

    received = []
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, config)
        async with handle.subscribe() as events:
            async for event in events:
                received.append(event.generation_id)
                if len(received) == 3:
                    break
        nursery.cancel_scope.cancel()

    assert received == [id_of(item) for item in items]
    assert (open_files(), trio.lowlevel.current_statistics().tasks_living) == before
    # A thread has told its task before it goes back to Trio's cache.
    await until(lambda: working_threads() <= threads)
    umask = os.umask(0o022)
    os.umask(umask)
    assert (
        logging_as_it_is(),
        signals_as_they_are(),
        structlog.get_config(),
        Path.cwd(),
        umask,
    ) == as_it_was
    assert handle.status().state == "stopped"
    assert handle.status().generations == 3


@within(30)
async def test_a_second_service_on_the_same_state_is_refused_and_hurts_nobody(user_dir, config):
    database = cursor_files.make_workspace(user_dir, "w1", [first := cursor_files.ring_item(1)])
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, config)
        refused = []
        try:
            async with trio.open_nursery() as second:
                await second.start(trio_cursor.serve, config)
        except* AlreadyRunningError as group:
            refused = group.exceptions
        assert len(refused) == 1
        assert config.state.dir in str(refused[0])
        async with handle.subscribe() as events:
            cursor_files.write_ring(database, [first, another := cursor_files.ring_item(2)])
            await receive(events, id_of(first), id_of(another))
        nursery.cancel_scope.cancel()
    # And afterwards the place is free.
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, config)
        await handle.synced()
        assert handle.status().generations == 0
        nursery.cancel_scope.cancel()


@within(30)
async def test_two_services_in_one_process_read_the_same_cursor(user_dir, config, tmp_path):
    database = cursor_files.make_workspace(user_dir, "w1", items := [cursor_files.ring_item(0)])
    other = attrs.evolve(config, state=StateConfig(dir=str(tmp_path / "other")))
    async with trio.open_nursery() as nursery:
        handles = [await nursery.start(trio_cursor.serve, one) for one in (config, other)]
        async with handles[0].subscribe() as first, handles[1].subscribe() as second:
            for number in range(1, 20):
                items.append(cursor_files.ring_item(number))
                cursor_files.write_ring(database, items)
            for events in (first, second):
                assert sorted(await receive(events, *map(id_of, items))) == sorted(map(id_of, items))
        nursery.cancel_scope.cancel()


@within(30)
async def test_a_disabled_service_gives_a_handle_and_nothing_else(config, tmp_path):
    off = attrs.evolve(config, cursor_database_monitor=DatabaseMonitorConfig(enabled=False))
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, off)
        assert handle.status().state == "disabled"
        async with handle.subscribe() as events:
            assert [event async for event in events] == []
    assert not (tmp_path / "state").exists()


@within(30)
async def test_where_nothing_runs_a_reload_changes_nothing(config):
    off = attrs.evolve(config, cursor_database_monitor=DatabaseMonitorConfig(enabled=False))
    other = attrs.evolve(config, state=StateConfig(dir="/elsewhere"), logging=LoggingConfig(level="debug"))
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, off)
        monitor = {key for key in KEYS if key.startswith("cursor_database_monitor.")}
        for _ in range(2):
            reloaded = handle.reload(other)
            assert reloaded.changed == {}
            assert {"cursor_database_monitor.enabled", "state.dir", "logging.level"} <= {*reloaded.restart}
            assert {*reloaded.restart} <= monitor | {"state.dir", "logging.level"}
            assert list(reloaded.restart) == [key for key in KEYS if key in reloaded.restart]
            assert handle.status().state == "disabled"
        assert handle.reload(off) == Reloaded({}, ())


@within(30)
async def test_a_host_that_uses_all_of_trios_threads_is_served_all_the_same(user_dir, config, tmp_path):
    cursor_files.make_workspace(user_dir, "w1", [item := cursor_files.ring_item(1)])
    lines = tmp_path / "events.jsonl"
    config = attrs.evolve(config, outputs=OutputsConfig(json_lines=JsonLinesConfig(path=str(lines))))
    limiter = trio.to_thread.current_default_thread_limiter()
    borrowers = [object() for _ in range(int(limiter.available_tokens))]
    for borrower in borrowers:
        limiter.acquire_on_behalf_of_nowait(borrower)
    try:
        async with trio.open_nursery() as nursery:
            handle = await nursery.start(trio_cursor.serve, config)
            async with handle.subscribe() as events:
                await receive(events, id_of(item))
            await until(lambda: lines.exists() and lines.read_bytes().endswith(b"\n"))
            nursery.cancel_scope.cancel()
    finally:
        for borrower in borrowers:
            limiter.release_on_behalf_of(borrower)
    assert json.loads(lines.read_text())["payload"]["generation_id"] == id_of(item)


@within(30)
async def test_context_variables_of_a_hosts_structlog_do_not_break_ours(user_dir, config, logged):
    cursor_files.make_workspace(user_dir, "w1", "not JSON")
    with structlog.contextvars.bound_contextvars(name="reserved", message="too", args=1):
        async with trio.open_nursery() as nursery:
            handle = await nursery.start(trio_cursor.serve, config)
            await handle.synced()
            nursery.cancel_scope.cancel()
    assert "database error" in logged()


@within(30)
async def test_a_state_directory_that_cannot_be_used_is_said_before_anything_starts(config, tmp_path):
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(StateError, match="--state-dir"):
        await trio_cursor.serve(config)


@within(30)
async def test_the_state_directory_is_named_so_that_it_can_be_found_from_anywhere(
    config, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    async with trio.open_nursery() as nursery:
        asked = attrs.evolve(config, state=StateConfig(dir="state"))
        handle = await nursery.start(trio_cursor.serve, asked)
        assert handle.status().state_dir == str(tmp_path / "state")
        nursery.cancel_scope.cancel()


@within(30)
async def test_a_state_directory_that_others_could_read_is_tightened_and_that_is_said(
    config, tmp_path, logged
):
    (tmp_path / "state").mkdir(mode=0o755)
    async with trio.open_nursery() as nursery:
        await nursery.start(trio_cursor.serve, config)
        nursery.cancel_scope.cancel()
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert any("0700" in message for message in logged())


@within(30)
async def test_a_webhook_that_cannot_be_one_is_refused_without_being_quoted(config):
    asked = attrs.evolve(config, alarms=AlarmsConfig(webhook="https://host:99999/secret"))
    with pytest.raises(ConfigError, match=r"^alarms\.webhook must be") as refused:
        await trio_cursor.serve(asked)
    assert "secret" not in str(refused.value)


@within(30)
async def test_without_a_configuration_the_users_own_counts(monkeypatch, tmp_path):
    """Nothing of Cursor is there, and the service waits for it."""
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("TRIO_CURSOR_CONFIG", raising=False)
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve)
        await handle.synced()
        status = handle.status()
        nursery.cancel_scope.cancel()
    assert status.workspaces == ()
    assert status.searched
    assert all(path.startswith(str(tmp_path)) for path in status.searched)


# -- What Cursor does ----------------------------------------------------------------------------------


@within(30)
async def test_workspaces_appear_vanish_and_come_back(user_dir, config):
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, config)
        await handle.synced()
        async with handle.subscribe() as events:
            one, two, three = (cursor_files.ring_item(number) for number in range(3))
            database = cursor_files.make_workspace(user_dir, "w1", [one])
            await receive(events, id_of(one))
            database.unlink()
            (database.parent / "workspace.json").unlink()
            database.parent.rmdir()
            await until(lambda: "w1" not in by_id(handle))
            cursor_files.make_workspace(user_dir, "w1", [one, two])
            assert await receive(events, id_of(two)) == [id_of(two)]
            cursor_files.write_ring(database, [one, two, three])
            assert await receive(events, id_of(three)) == [id_of(three)]
        nursery.cancel_scope.cancel()


@within(30)
async def test_a_database_that_gives_way_to_its_backup_is_read_on(user_dir, config):
    """Cursor unlinks it and renames the backup: another inode, older content."""
    one, two, three = (cursor_files.ring_item(number) for number in range(3))
    database = cursor_files.make_workspace(user_dir, "w1", [one])
    backup = database.with_name("state.vscdb.backup")
    cursor_files.write_ring(backup, [one])
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, config)
        async with handle.subscribe() as events:
            cursor_files.write_ring(database, [one, two])
            await receive(events, id_of(one), id_of(two))
            backup.replace(database)
            cursor_files.write_ring(database, [one, three])
            assert await receive(events, id_of(three)) == [id_of(three)]
        nursery.cancel_scope.cancel()


@within(30)
async def test_a_cursor_that_is_installed_later_is_found(config, user_dir):
    (user_dir / "globalStorage").rmdir()
    (user_dir / "workspaceStorage").rmdir()
    user_dir.rmdir()
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, config)
        await handle.synced()
        cursor_files.make_user_dir(user_dir.parent)
        cursor_files.make_workspace(user_dir, "w1", [item := cursor_files.ring_item(1)])
        async with handle.subscribe() as events:
            await receive(events, id_of(item))
        nursery.cancel_scope.cancel()


@within(30)
async def test_a_workspace_json_that_is_written_late_names_the_next_events(user_dir, config):
    one, two = (cursor_files.ring_item(number) for number in range(2))
    database = cursor_files.make_workspace(user_dir, "w1", [one])
    folder = database.with_name("workspace.json")
    folder.unlink()
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, config)
        async with handle.subscribe() as events:
            assert (await events.receive()).metadata["workspace_path"] is None
            folder.write_text(json.dumps({"folder": "file:///home/demo/late"}))
            await until(lambda: by_id(handle)["w1"].workspace_path)
            cursor_files.write_ring(database, [one, two])
            assert (await events.receive()).metadata["workspace_path"] == "/home/demo/late"
        nursery.cancel_scope.cancel()


@within(30)
async def test_what_is_excluded_is_not_read(user_dir, config):
    cursor_files.make_workspace(user_dir, "secret", [cursor_files.ring_item(1)])
    cursor_files.make_workspace(user_dir, "open", [item := cursor_files.ring_item(2)])
    excluding = CursorConfig(dirs=config.cursor.dirs, exclude=("/home/demo/secret",))
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, attrs.evolve(config, cursor=excluding))
        await handle.synced()
        assert set(by_id(handle)) == {"open", None}
        async with handle.subscribe() as events:
            assert await receive(events, id_of(item)) == [id_of(item)]
        assert handle.status().generations == 1
        nursery.cancel_scope.cancel()


@within(30)
async def test_it_is_known_from_the_start_what_an_output_has_and_it_gets_everything_once(
    user_dir, config, tmp_path
):
    items = [cursor_files.ring_item(number) for number in range(5)]
    cursor_files.make_workspace(user_dir, "w1", items)
    lines = tmp_path / "events.jsonl"
    to_file = OutputsConfig(json_lines=JsonLinesConfig(path=str(lines)))
    # A first run without the output: what it has stored goes to the output that comes later.
    for outputs, lag in ((OutputsConfig(), None), (to_file, 5), (to_file, 0)):
        async with trio.open_nursery() as nursery:
            handle = await nursery.start(trio_cursor.serve, attrs.evolve(config, outputs=outputs))
            for output in handle.status().outputs:
                assert output.lag == lag
            await handle.synced()
            await until(lambda handle=handle: not any(item.lag for item in handle.status().outputs))
            nursery.cancel_scope.cancel()
    written = [json.loads(line)["payload"]["generation_id"] for line in lines.read_text().splitlines()]
    assert written == [id_of(item) for item in items]


# -- Bad input -----------------------------------------------------------------------------------------

MANY = "00000000-0000-4000-8000-00000000000"


def spoil(user, name, kind):
    """Make a database that is broken in some way; a file that is none is not one to be opened either."""
    database = cursor_files.make_workspace(user, name)
    match kind:
        case "no SQLite":
            database.write_bytes(b"something else\n" * 1000)
        case "zero bytes":
            database.touch()
        case "no table":
            cursor_files.execute(database, ("CREATE TABLE other (a)", ()))
        case "no column":
            cursor_files.execute(database, ("CREATE TABLE ItemTable (key TEXT, valeur BLOB)", ()))
        case "a view":
            cursor_files.execute(database, ("CREATE VIEW ItemTable AS SELECT 1 AS key, 2 AS value", ()))
        case "no JSON":
            cursor_files.write_ring(database, '[{"unixMs": 1,')
        case "no list":
            cursor_files.write_ring(database, {"a": 1})
        case "NULL":
            cursor_files.write_ring(database, None)
    return database


BAD = {
    "no SQLite": ("error", "no SQLite database"),
    "zero bytes": ("connected", "0 bytes"),
    "no table": ("unknown_schema", "other"),
    "no column": ("unknown_schema", "valeur"),
    "a view": ("unknown_schema", "view"),
    "no JSON": ("error", "aiService.generations"),
    "no list": ("error", "not a list"),
    "NULL": ("error", "aiService.generations"),
}


@within(60)
async def test_bad_databases_are_shown_hurt_no_neighbour_and_are_read_as_soon_as_they_are_mended(
    user_dir, config
):
    well = cursor_files.make_workspace(user_dir, "well", [first := cursor_files.ring_item(0)])
    broken = {kind: spoil(user_dir, f"w{number}", kind) for number, kind in enumerate(BAD)}
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, config)
        await handle.synced()
        shown = by_id(handle)
        for kind, database in broken.items():
            state = shown[database.parent.name]
            status, words = BAD[kind]
            assert (kind, state.status) == (kind, status)
            assert words in (state.last_error or state.note)
            alarms = [alarm for alarm in handle.status().alarms if f"/{database.parent.name}:" in alarm]
            assert len(alarms) == (status != "connected")
        async with handle.subscribe() as events:
            cursor_files.write_ring(well, [first, second := cursor_files.ring_item(1)])
            await receive(events, id_of(first), id_of(second))
            mended = {}
            for number, database in enumerate(broken.values()):
                database.unlink()
                mended[database.parent.name] = item = cursor_files.ring_item(number)
                cursor_files.write_ring(database, [item])
            await receive(events, *map(id_of, mended.values()))
        await until(lambda: {by_id(handle)[name].status for name in mended} == {"synced"})
        assert handle.status().alarms == ()
        nursery.cancel_scope.cancel()


@within(30)
async def test_bad_entries_are_counted_and_the_good_ones_beside_them_reported(user_dir, config):
    far = cursor_files.ring_item(unixMs=4_102_444_800_000)
    timeless = cursor_files.ring_item()
    del timeless["unixMs"]
    twice = cursor_files.ring_item(1)
    nameless = [{"unixMs": 1}, {"generationUUID": None}, {"generationUUID": "a\nb"}, 7, None, "x"]
    cursor_files.make_workspace(user_dir, "w1", [far, twice, *nameless, timeless, twice])
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, config)
        async with handle.subscribe() as events:
            found = {}
            while len(found) < 3:
                event = await events.receive()
                found[event.generation_id] = event
        assert found.keys() == {id_of(far), id_of(timeless), id_of(twice)}
        assert found[id_of(far)].timestamp == 4_102_444_800_000
        assert found[id_of(timeless)].metadata["timestamp_source"] == "capture"
        assert by_id(handle)["w1"].status == "synced"
        assert sum(by_id(handle)["w1"].skipped.values()) == len(nameless) + 1
        nursery.cancel_scope.cancel()


# -- Small things --------------------------------------------------------------------------------------


def test_a_greater_share_holds_every_smaller_one():
    places = [Workspace(f"{number}/state.vscdb", "", str(number)) for number in range(1000)]
    shares = [
        {place.id for place in places if is_rolled_out(place, percent)} for percent in (0, 10, 50, 99, 100)
    ]
    assert all(smaller <= greater for smaller, greater in pairwise(shares))
    assert (len(shares[0]), len(shares[-1])) == (0, 1000)
    assert 60 < len(shares[1]) < 140


def test_the_window_of_the_configuration():
    assert window_ms(Config()) == 24 * 3_600_000
    assert window_ms(Config(cursor_database_monitor=MONITOR)) is None


def test_where_cursor_is_looked_for(monkeypatch, tmp_path):
    assert cursor_dirs(Config(cursor=CursorConfig(dirs=("/a", "/b")))) == ("/a", "/b")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert cursor_dirs(Config())


# -- What was left, and what does not answer -----------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "workspaces"])
@within(60)
async def test_the_copies_of_whoever_was_killed_are_gone_with_the_next_start(
    user_dir, config, tmp_path, command
):
    killed_copies.make_what_is_copied(user_dir)
    killed_copies.start_and_kill(command, user_dir, tmp_path / "state")
    assert len(killed_copies.copies_in(tmp_path / "state")) == 2
    nowhere = attrs.evolve(config, cursor=CursorConfig(dirs=(str(tmp_path / "nowhere"),)))
    async with trio.open_nursery() as nursery:
        await nursery.start(trio_cursor.serve, nowhere)
        assert killed_copies.copies_in(tmp_path / "state") == []
        nursery.cancel_scope.cancel()


@within(30)
async def test_copies_that_are_in_use_outlive_the_start_of_a_service(config, tmp_path):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    with place_for_copies(state) as place:
        (Path(place) / "copy-1").mkdir(parents=True)
        (Path(place) / "copy-1" / "state.vscdb").touch()
        async with trio.open_nursery() as nursery:
            await nursery.start(trio_cursor.serve, config)
            assert len(killed_copies.copies_in(state)) == 1
            nursery.cancel_scope.cancel()
    assert killed_copies.copies_in(state) == []


@within(30)
async def test_copies_that_cannot_be_removed_are_said_and_keep_nobody_from_starting(config, tmp_path, logged):
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "private").symlink_to(tmp_path)
    (tmp_path / "state" / "workspaces-0").touch()
    async with trio.open_nursery() as nursery:
        await nursery.start(trio_cursor.serve, config)
        nursery.cancel_scope.cancel()
    assert "private copies of Cursor's databases cannot be removed" in logged()
    assert "a place for copies cannot be looked at" in logged()


@within(30)
async def test_a_drive_of_windows_that_does_not_answer_keeps_nobody_from_starting(
    config, tmp_path, monkeypatch, logged
):
    back = threading.Event()

    def hang(_mounts):
        back.wait()
        return iter(())

    monkeypatch.setenv("WSL_DISTRO_NAME", "Ubuntu")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(user_dirs, "_windows_profiles", hang)
    monkeypatch.setattr(asked_module, "_FIND_SECONDS", 0.1)
    try:
        async with trio.open_nursery() as nursery:
            handle = await nursery.start(trio_cursor.serve, attrs.evolve(config, cursor=CursorConfig()))
            searched = handle.status().searched
            nursery.cancel_scope.cancel()
    finally:
        back.set()
    assert searched == tuple(f"{tmp_path}/config/{name}/User" for name in ("Cursor", "Cursor Nightly"))
    assert any("drives of Windows do not answer" in message for message in logged())
