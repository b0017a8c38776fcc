"""Sessions that end, move, or were another run's, at the worst of moments; announced by files."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
import uuid
from contextlib import closing

import attrs
import cursor_files
import pytest
import trio
from announced import Place, announced_config, in_mode, now_ms, session_is_open, sessions_of
from chats import ASSISTANT, KV, USER, Chat
from deadlines import until, within
from serving import by_id, reported, running_service, watchers

from trio_cursor import parts
from trio_cursor.config import StateConfig
from trio_cursor.demand import Demand


@pytest.fixture
def files(tmp_path):
    directory = tmp_path / "sessions"
    directory.mkdir()
    return directory


@pytest.fixture
def config(user_dir, tmp_path, files):
    return announced_config(user_dir, tmp_path)


async def open_session(handle, files, place, session_id="a"):
    words = {"CURSOR_SESSION_ID": session_id, "CURSOR_WORKSPACE_HASH": place.hash}
    (files / f"{place.hash}.json").write_text(json.dumps(words | {"workspace_path": place.path}))
    await session_is_open(handle, session_id)


async def end_session(handle, files, place):
    (files / f"{place.hash}.json").unlink()
    await until(lambda: not sessions_of(handle))


async def look_at_all(handle, files, user_dir):
    """Wait until all that is there now was looked at: what is newer has been seen, and reported."""
    newer = Place.made(user_dir, "newer")
    await open_session(handle, files, newer, "n")
    await reported(handle, newer.ask())


@pytest.fixture
def place(user_dir):
    return Place.made(user_dir, "mine")


@within(40)
async def test_what_was_pending_when_the_session_and_the_run_ended_is_read_by_the_next_run(
    config, files, place
):
    patient = attrs.evolve(config, assembly=attrs.evolve(config.assembly, conversation_wait_seconds=600))
    async with running_service(patient) as handle:
        await open_session(handle, files, place)
        asked = place.ask(kind="composer")  # a conversation may know of it
        await until(lambda: handle.status().pending == 1)
        await end_session(handle, files, place)
    await trio.sleep(0.5)  # the grace
    async with running_service(config) as handle:
        await handle.synced()
        assert (await reported(handle, asked))[asked].session_id == "a"
        await until(lambda: watchers() == 0)


@within(40)
async def test_what_waits_for_conversations_keeps_the_global_database_read_after_the_grace(
    user_dir, config, files, place
):
    database = user_dir / "globalStorage" / "state.vscdb"
    database.parent.mkdir(exist_ok=True)
    shutil.copy(place.database, database)
    config = attrs.evolve(config, assembly=attrs.evolve(config.assembly, conversation_wait_seconds=3))
    async with running_service(config) as handle:
        await open_session(handle, files, place)
        asked = place.ask(kind="composer")  # a conversation may know of it
        await until(lambda: handle.status().pending == 1)
        await end_session(handle, files, place)
        await trio.sleep(1)  # longer than the grace
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute("INSERT INTO ItemTable VALUES ('x', 'another window')")
        assert (await reported(handle, asked))[asked].session_id == "a"
        await until(lambda: watchers() == 0)


@within(40)
async def test_with_announced_sessions_alone_no_synthetic_one_of_another_run_counts(
    user_dir, config, files, place
):
    async with running_service(in_mode(config, "auto")) as handle:
        first = place.ask()
        assert (await reported(handle, first))[first].session_id == "scan_mine"
    async with running_service(config) as handle:
        await handle.synced()
        assert (sessions_of(handle), watchers()) == ({}, 0)
        second = place.ask()
        await look_at_all(handle, files, user_dir)
        assert handle.status().generations == 1
        await open_session(handle, files, place)
        assert (await reported(handle, second))[second].session_id == "a"


@within(40)
async def test_with_discovery_alone_no_announced_one_of_another_run_counts(config, files, place):
    async with running_service(in_mode(config, "auto")) as handle:
        await open_session(handle, files, place)
    async with running_service(in_mode(config, "discovery")) as handle:
        asked = place.ask()
        assert (await reported(handle, asked))[asked].session_id == "scan_mine"


async def leave_out(handle, other):
    """Reload, and wait until nothing is known of the workspace any more."""
    handle.reload(other)
    await until(lambda: "mine" not in by_id(handle))


async def take_in_again(handle, config, asked):
    assert "mine" not in by_id(handle)
    handle.reload(config)
    await session_is_open(handle, "a")
    assert (await reported(handle, asked))[asked].session_id == "a"


@within(40)
async def test_what_is_excluded_for_a_while_has_its_session_again(user_dir, config, files, place):
    other = attrs.evolve(config, cursor=attrs.evolve(config.cursor, exclude=("**/mine",)))
    async with running_service(config) as handle:
        await open_session(handle, files, place)
        await leave_out(handle, other)
        asked = place.ask()
        await look_at_all(handle, files, user_dir)
        assert handle.status().generations == 1
        await take_in_again(handle, config, asked)


@within(40)
async def test_who_is_switched_off_for_a_while_has_its_session_again(
    user_dir, tmp_path, config, files, place
):
    """Another service, which is not, says when there was time enough."""
    monitor = attrs.evolve(config.cursor_database_monitor, enabled=False)
    other = attrs.evolve(config, cursor_database_monitor=monitor)
    elsewhere = StateConfig(dir=str(tmp_path / "neighbour"))
    neighbours = attrs.evolve(in_mode(config, "discovery"), state=elsewhere)
    async with running_service(config) as handle, running_service(neighbours) as neighbour:
        await open_session(handle, files, place)
        await leave_out(handle, other)
        asked = place.ask()
        # Between two looks of one at all directories there is one of the other.
        for name in ("newer", "newest"):
            await reported(neighbour, asked, Place.made(user_dir, name).ask())
        assert handle.status().generations == 0
        await take_in_again(handle, config, asked)


@within(40)
async def test_when_its_directory_goes_the_session_moves_to_the_other_one_of_its_folder(
    user_dir, config, files, place
):
    """As when somebody has cloned a project again."""
    async with running_service(config) as handle:
        await open_session(handle, files, place)
        second = cursor_files.make_workspace(user_dir, "second", [], folder=place.path)
        await look_at_all(handle, files, user_dir)
        assert sessions_of(handle) == {"mine": {"a"}, "newer": {"n"}}
        shutil.rmtree(user_dir / "workspaceStorage" / "mine")
        await until(lambda: sessions_of(handle) == {"second": {"a"}, "newer": {"n"}})
        moved = Place(second, place.path)
        asked = moved.ask()
        assert (await reported(handle, asked))[asked].session_id == "a"


@within(40)
@pytest.mark.parametrize("is_first", [True, False])
async def test_of_two_directories_of_a_folder_the_sessions_are_where_somebody_works(
    user_dir, config, files, place, is_first
):
    """Whether Cursor makes the other one before its session starts, or after that."""
    async with running_service(config) as handle:
        await open_session(handle, files, place)
        await end_session(handle, files, place)
        long_ago = time.time() - 3600
        os.utime(place.database, (long_ago, long_ago))
        if not is_first:
            await open_session(handle, files, place, "b")
        second = Place(cursor_files.make_workspace(user_dir, "second", [], folder=place.path), place.path)
        await until(lambda: any(item.workspace_id for item in handle.status().workspaces))
        if is_first:
            await look_at_all(handle, files, user_dir)
            await open_session(handle, files, place, "b")
        asked = second.ask()
        assert (await reported(handle, asked))[asked].session_id == "b"
        assert sessions_of(handle)["second"] == {"b"}
        assert "mine" not in sessions_of(handle)


@within(40)
async def test_a_broken_database_is_left_when_nobody_works_there_any_more(config, files, place):
    place.database.write_bytes(b"not a database at all" * 100)
    async with running_service(config) as handle:
        await open_session(handle, files, place)
        await until(lambda: by_id(handle)["mine"].status == "error")
        await end_session(handle, files, place)
        await until(lambda: watchers() == 0)


@within(40)
async def test_the_first_pass_waits_for_a_workspace_that_only_its_database_tells_of(user_dir, config, files):
    session_id = str(uuid.uuid4())
    place = Place(cursor_files.make_workspace(user_dir, "w", []), "/somewhere/else")
    with closing(sqlite3.connect(place.database, isolation_level=None)) as connection:
        named = json.dumps({"allComposers": [{"composerId": session_id}]})
        connection.execute("INSERT INTO ItemTable VALUES ('composer.composerData', ?)", (named,))
    words = {"CURSOR_SESSION_ID": session_id, "CURSOR_WORKSPACE_HASH": place.hash}
    (files / f"{place.hash}.json").write_text(json.dumps(words))
    async with running_service(config) as handle:
        await handle.synced()
        assert sessions_of(handle) == {"w": {session_id}}


@within(40)
async def test_what_ended_while_nobody_ran_is_read_once_more(config, files, place):
    async with running_service(config) as handle:
        await open_session(handle, files, place)
    asked = place.ask()
    (files / f"{place.hash}.json").unlink()
    async with running_service(config) as handle:
        assert (await reported(handle, asked))[asked].session_id == "a"
        assert sessions_of(handle) == {}
        await until(lambda: watchers() == 0)


def held_turn(user_dir):
    """A finished turn of a conversation of which no workspace is known; its generation's id."""
    database = user_dir / "globalStorage" / "state.vscdb"
    database.parent.mkdir(exist_ok=True)
    generation_id = str(uuid.uuid4())
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(KV)
        chat = Chat(connection, "c", at=now_ms())
        chat.add(USER, "why?", requestId=generation_id)
        chat.add(ASSISTANT, "because")
        chat.write()
    return generation_id


@pytest.fixture(params=[60, 0])
def time_for_what_was_left(request, monkeypatch):
    """Whether the time in which a new run reads whatever an earlier one has left is over."""
    make = lambda *args, left_until_ms: Demand(*args, now_ms() + request.param * 1000)  # noqa: E731
    monkeypatch.setattr(parts, "Demand", make)


@pytest.mark.usefixtures("time_for_what_was_left")
@within(40)
async def test_a_ring_that_is_written_late_has_the_turn_of_its_session_read(user_dir, config, files, place):
    assembly = attrs.evolve(config.assembly, conversation_wait_seconds=2, settle_timeout_seconds=60)
    async with running_service(attrs.evolve(config, assembly=assembly)) as handle:
        await open_session(handle, files, place)
        generation_id = held_turn(user_dir)
        await until(lambda: handle.status().held == 1)
        await end_session(handle, files, place)
        await trio.sleep(0.5)  # the grace
        place.items.append(cursor_files.ring_item(type="composer", generationUUID=generation_id))
        place.items[-1]["unixMs"] = now_ms() - 2000
        cursor_files.write_ring(place.database, place.items)
        event = (await reported(handle, generation_id))[generation_id]
        assert (event.session_id, event.payload["response_text"]) == ("a", "because")


@within(40)
async def test_who_was_killed_in_the_grace_reads_once_more(config, files, place):
    async with running_service(config) as handle:
        await open_session(handle, files, place)
        await end_session(handle, files, place)
    asked = place.ask(ago_ms=200)
    await trio.sleep(0.5)  # the grace
    async with running_service(config) as handle:
        assert (await reported(handle, asked))[asked].session_id == "a"
        await until(lambda: watchers() == 0)
