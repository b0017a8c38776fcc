"""The Redis stream as an output: each event once, in order, whatever happens to us or to the server."""

from __future__ import annotations

import shutil
import threading
from collections import Counter

import attrs
import pytest
import redis_server
from deadlines import until
from log_events import gap
from redis_outputs import STREAM, config, everything_is_sent, following, ids, now_ms, numbered, sent
from redis_server import own_server

from trio_cursor import redis_append
from trio_cursor.eventlog import Entry, open_event_log
from trio_cursor.outputs.redis_stream import RedisStream
from trio_cursor.redis_keys import StreamKeys, keys_of
from trio_cursor.wire import to_fields

HOUR_MS = 3_600_000


pytestmark = pytest.mark.usefixtures("impatient")


async def test_every_event_once_and_in_order(tmp_path, server):
    async with following(tmp_path, config(server.url)) as (log, states):
        await log.append(Entry(events=numbered(1, 250)))
        await everything_is_sent(log, states)
        assert sent(server) == ids((1, 250))
        await log.append(Entry(events=numbered(251, 251)))
        await everything_is_sent(log, states)
    assert sent(server) == ids((1, 251))
    assert (states[0].state, states[0].errors, states[0].already_there) == ("connected", 0, 0)
    assert states[0].meter.taken == 251


async def test_gap_records_stay_at_home(tmp_path, server):
    async with following(tmp_path, config(server.url)) as (log, states):
        await log.append(Entry(events=(*numbered(1, 1), ((), gap()), *numbered(2, 2))))
        await everything_is_sent(log, states)
    assert sent(server) == ids((1, 2))
    assert states[0].meter.taken == 2


async def test_a_shard_that_has_had_nothing_yet_goes_on_where_it_was(tmp_path, server):
    where = config(server.url)
    async with following(tmp_path, where) as (log, states):
        # Captured just now: what is old would not be looked at, and nothing be written down.
        recent = attrs.evolve(gap(), metadata=gap().metadata | {"captured_at": now_ms()})
        await log.append(Entry(events=(((), recent),)))
        await everything_is_sent(log, states)
    assert server.call("EXISTS", STREAM) == 0
    async with following(tmp_path, where) as (log, states):
        await log.append(Entry(events=numbered(1, 2)))
        await everything_is_sent(log, states)
        assert states[0].rollbacks == 0
    assert sent(server) == ids((1, 2))


@pytest.mark.parametrize("version", redis_server.versions())
async def test_entries_are_as_the_contract_says_and_remembered(tmp_path, version):
    with own_server(version=version) as server:
        async with following(tmp_path, config(server.url)) as (log, states):
            ((_, event_),) = numbered(1, 1)
            await log.append(Entry(events=(((event_.event_id,), event_),)))
            await everything_is_sent(log, states)
            producer_id = await log.producer_id()
        ((id_, found),) = server.call("XRANGE", STREAM, "-", "+")
        fields = {name.decode(): value.decode() for name, value in found.items()}
        assert fields == to_fields(event_)
        keys = StreamKeys(STREAM)
        assert server.call("GET", keys.seen(event_.event_id)) == id_
        assert 0 < server.call("TTL", keys.seen(event_.event_id)) <= 48 * 3600
        mark = keys.high_water_mark(producer_id)
        assert server.call("GET", mark).decode() == f"1 {event_.event_id}"
        assert set(server.call("KEYS", "*")) == {
            name.encode() for name in (STREAM, mark, keys.seen(event_.event_id))
        }


async def test_a_run_that_could_not_note_what_it_had_sent_sends_nothing_twice(tmp_path, server):
    async with following(tmp_path, config(server.url)) as (log, states):
        await log.append(Entry(events=numbered(1, 3)))
        await everything_is_sent(log, states)
        name = states[0].name
        before = await log.cursor(name)
        await log.append(Entry(events=numbered(4, 130)))
        await everything_is_sent(log, states)
    async with open_event_log(tmp_path) as log:
        await log.save_cursor(name, *before)
        await log.append(Entry(events=numbered(131, 132)))
    async with following(tmp_path, config(server.url)) as (log, states):
        await everything_is_sent(log, states)
        assert (states[0].rollbacks, states[0].already_there) == (0, 0)
    assert sent(server) == ids((1, 132))


async def test_a_server_that_hangs_under_a_call_gets_each_event_once(tmp_path, monkeypatch):
    monkeypatch.setattr(redis_append, "ANSWER_SECONDS", 0.3)
    with own_server() as server:
        async with following(tmp_path, config(server.url)) as (log, states):
            await log.append(Entry(events=numbered(1, 2)))
            await everything_is_sent(log, states)
            server.stall()
            await log.append(Entry(events=numbered(3, 4)))
            await until(lambda: states[0].state == "error")
            assert "TimeoutError: it does not answer" in states[0].last_error
            await until(lambda: states[0].errors >= 2)
            server.resume()
            await everything_is_sent(log, states)
            await log.append(Entry(events=numbered(5, 5)))
            await everything_is_sent(log, states)
        assert sent(server) == ids((1, 5))


@pytest.mark.parametrize("version", redis_server.versions())
async def test_a_server_that_was_killed_gets_again_what_it_had_not_saved(tmp_path, version, caplog):
    with own_server(version=version) as server:
        async with following(tmp_path, config(server.url)) as (log, states):
            await log.append(Entry(events=numbered(1, 5)))
            await everything_is_sent(log, states)
            server.call("SAVE")
            await log.append(Entry(events=numbered(6, 9)))
            await everything_is_sent(log, states)
            server.kill()
            server.start()
            # Nothing is sent: it shows all the same.
            await until(lambda: states[0].rollbacks == 1)
            await until(lambda: states[0].state == "connected" and states[0].sequence == 9)
            assert "lost events that it had taken" in caplog.text
        assert sent(server) == ids((1, 9))


async def test_a_server_that_was_emptied_gets_what_was_captured_of_late(tmp_path, server):
    long_ago = now_ms() - 49 * HOUR_MS
    async with open_event_log(tmp_path) as log:
        await log.append(Entry(events=numbered(1, 3, captured_at=long_ago)))
    async with following(tmp_path, config(server.url)) as (log, states):
        # Nor does a new server get what nobody would recognise there.
        await log.append(Entry(events=numbered(4, 6)))
        await everything_is_sent(log, states)
        assert sent(server) == ids((4, 6))
        server.call("FLUSHALL")
        await until(lambda: states[0].rollbacks == 1)
        await everything_is_sent(log, states)
        assert sent(server) == ids((4, 6))


@pytest.mark.parametrize(
    "stored", ["", "not JSON", "[1]", "7", '{"mark": null}', '{"mark": 7}', '{"place": 1}', "[" * 100_000]
)
async def test_what_was_stored_otherwise_costs_no_event_and_doubles_none(tmp_path, server, stored, caplog):
    where = config(server.url)
    async with following(tmp_path, where) as (log, states):
        await log.append(Entry(events=numbered(1, 5)))
        await everything_is_sent(log, states)
        name = states[0].name
    async with open_event_log(tmp_path) as log:
        await log.replace_cursors([name], {name: (5, stored)})
        await log.append(Entry(events=numbered(6, 7)))
    async with following(tmp_path, where) as (log, states):
        await everything_is_sent(log, states)
        assert (states[0].state, states[0].rollbacks) == ("connected", 0)
    assert sent(server) == ids((1, 7))
    assert ("cannot be read" in caplog.text) == ("mark" not in stored)


async def test_what_waited_for_the_server_for_long_is_sent_whatever_its_age(tmp_path, server):
    async with following(tmp_path, config(server.url)) as (log, states):
        await log.append(Entry(events=numbered(1, 1)))
        await everything_is_sent(log, states)
    async with open_event_log(tmp_path) as log:
        await log.append(Entry(events=numbered(2, 3, captured_at=now_ms() - 1000 * HOUR_MS)))
    server.call("FLUSHALL")
    async with following(tmp_path, config(server.url)) as (log, states):
        await everything_is_sent(log, states)
    assert sent(server) == ids((1, 3))


async def test_an_older_state_of_the_log_is_another_producer(tmp_path, server, caplog):
    directory, copy = tmp_path / "state", tmp_path / "copy"
    directory.mkdir()
    async with following(directory, config(server.url)) as (log, states):
        await log.append(Entry(events=numbered(1, 3)))
        await everything_is_sent(log, states)
    shutil.copytree(directory, copy)
    async with following(directory, config(server.url)) as (log, states):
        await log.append(Entry(events=numbered(4, 6)))
        await everything_is_sent(log, states)
    # Restored, it captures 4 again under another sequence, and goes beyond that of the lost one.
    async with open_event_log(copy) as log:
        await log.append(Entry(events=numbered(7, 8)))
        await log.append(Entry(events=(*numbered(4, 4), *numbered(9, 12))))
    async with following(copy, config(server.url)) as (log, states):
        await everything_is_sent(log, states)
        assert "is an older one" in caplog.text
        await log.append(Entry(events=numbered(13, 13)))
        await everything_is_sent(log, states)
    assert sent(server) == ids((1, 8), (9, 13))


async def test_a_log_that_was_deleted_doubles_nothing(tmp_path, server):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        async with following(tmp_path / name, config(server.url)) as (log, states):
            await log.append(Entry(events=numbered(1, 5)))
            await everything_is_sent(log, states)
    assert (states[0].already_there, states[0].meter.taken) == (5, 0)
    assert sent(server) == ids((1, 5))


async def test_producers_at_the_same_time_put_each_generation_there_once(tmp_path, server):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    where = config(server.url)
    async with following(tmp_path / "a", where) as one, following(tmp_path / "b", where) as other:
        for first in range(1, 200, 20):
            for log, _ in (one, other):
                await log.append(Entry(events=numbered(first, first + 19)))
        for log, states in (one, other):
            await everything_is_sent(log, states)
        assert one[1][0].already_there + other[1][0].already_there == 200
    assert sorted(sent(server)) == sorted(ids((1, 200)))


async def test_shards_keep_each_workspace_together_and_in_order(tmp_path, server, monkeypatch):
    looks, real = Counter(), RedisStream.idle

    async def idle(self):
        looks[self.name] += 1
        await real(self)

    monkeypatch.setattr(RedisStream, "idle", idle)
    async with following(tmp_path, config(server.url, shards=3)) as (log, states):
        await log.append(Entry(events=numbered(1, 60, workspaces=8)))
        await everything_is_sent(log, states)
        assert len({state.name for state in states}) == 3
        # Nothing was ever sent where nothing belongs; that is no loss.
        looks.clear()
        await until(lambda: all(looks[state.name] > 2 for state in states))
        assert [state.rollbacks for state in states] == [0, 0, 0]
    found = [sent(server, keys.stream) for keys in keys_of(STREAM, 3)]
    assert [state.meter.taken for state in states] == [len(shard) for shard in found]
    assert sorted(id_ for shard in found for id_ in shard) == sorted(ids((1, 60)))
    for workspace in range(8):
        mine = [id_ for number, id_ in enumerate(ids((1, 60)), 1) if number % 8 == workspace]
        assert any([id_ for id_ in shard if id_ in mine] == mine for shard in found)


async def test_cancelled_while_the_server_hangs_it_leaves_no_thread(tmp_path):
    with own_server() as server:
        async with following(tmp_path, config(server.url)) as (log, states):
            await log.append(Entry(events=numbered(1, 1)))
            await everything_is_sent(log, states)
            server.stall()
            await log.append(Entry(events=numbered(2, 2)))
            await until(lambda: "trio_cursor redis" in {thread.name for thread in threading.enumerate()})
        await until(lambda: "trio_cursor redis" not in {thread.name for thread in threading.enumerate()})
