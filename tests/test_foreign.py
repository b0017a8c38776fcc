"""What others put on our stream is marked, on a real server that is stopped, emptied and trimmed under us."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import asynccontextmanager, closing

import attrs
import log_events
import pytest
import redis_outputs
import redis_server
import trio
import trio.testing
from deadlines import until, within
from foreign import theirs, told_of
from redis_server import own_server
from scans import uuid

import trio_cursor
from trio_cursor import redis_listening
from trio_cursor.config import Config, CursorConfig, HttpConfig, RedisConfig, SessionsConfig, StateConfig
from trio_cursor.eventlog import FILE_NAME, Entry, open_event_log
from trio_cursor.outputs import foreign, redis_stream
from trio_cursor.outputs.follower import follow
from trio_cursor.outputs.foreign import foreign_entries
from trio_cursor.outputs.stream_opening import open_redis_streams
from trio_cursor.redis_keys import StreamKeys
from trio_cursor.wire import from_fields, to_fields

STREAM = "telemetry:events"
KEYS = StreamKeys(STREAM)
EVENTS = [log_events.event(number) for number in range(300)]
DAY = 86_400


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(redis_listening, "BLOCK_MS", 200)
    monkeypatch.setattr(redis_listening, "MARK_SECONDS", 0.05)
    monkeypatch.setattr(redis_listening, "CHECK_SECONDS", 0.3)
    monkeypatch.setattr(redis_listening, "_QUICK_SECONDS", 60)


@asynccontextmanager
async def listening(server, directory, **redis):
    """Everybody who listens, until the end of the block, with a log that stays."""
    directory.mkdir(mode=0o700, exist_ok=True)
    config = Config(redis=RedisConfig(**{"url": server.url} | redis))
    with trio.fail_after(30):
        async with open_event_log(directory) as log, trio.open_nursery() as nursery:
            entries = await foreign_entries(config, log)
            for one in entries:
                nursery.start_soon(one.listen)
            yield entries
            nursery.cancel_scope.cancel()


def marked(server, stream=STREAM):
    """Event ids, each with the entry that the marker names."""
    prefix = f"{StreamKeys(stream).prefix}:seen:"
    keys = [key.decode() for key in server.call("KEYS", f"{prefix}*")]
    return {key.removeprefix(prefix): server.call("GET", key).decode() for key in keys}


def fill(server, events, *, stream=STREAM, form=theirs):
    pipe = server.client.pipeline(transaction=False)
    for event in events:
        pipe.xadd(stream, form(event))
    return [id_.decode() for id_ in pipe.execute()]


@pytest.mark.parametrize("version", redis_server.versions())
async def test_what_others_have_sent_before_us_and_send_now_is_marked_and_ours_is_not(version, tmp_path):
    with own_server(version=version) as server:
        ids = fill(server, EVENTS[:250])
        fill(server, EVENTS[250:260], form=to_fields)
        server.add(STREAM, {"event_type": "session_start"})
        async with listening(server, tmp_path / "log") as [one]:
            await one.settled.wait()
            expected = {event.event_id: id_ for event, id_ in zip(EVENTS, ids, strict=False)}
            assert marked(server) == expected
            assert one.state.taken == 250
            assert 2 * DAY - 60 < server.call("TTL", KEYS.seen(EVENTS[0].event_id)) <= 2 * DAY
            [id_] = fill(server, EVENTS[270:271])
            await until(lambda: marked(server) == expected | {EVENTS[270].event_id: id_})
            assert (one.state.state, one.state.last_error) == ("connected", None)


async def test_what_is_marked_already_stays_as_it_is_and_is_not_counted(server, tmp_path):
    server.call("SET", KEYS.seen(EVENTS[0].event_id), "ours")
    fill(server, EVENTS[:2])
    async with listening(server, tmp_path / "log") as [one]:
        await one.settled.wait()
        assert marked(server)[EVENTS[0].event_id] == "ours"
        assert one.state.taken == 1


async def test_another_run_goes_on_where_the_last_one_ended(server, tmp_path):
    fill(server, EVENTS[:20])
    async with listening(server, tmp_path / "log") as [one]:
        await one.settled.wait()
        last = server.add(STREAM, theirs(EVENTS[20]))
        await until(lambda: one.state.taken == 21)
        while await one.events.mark(f"others {one.address} {STREAM}") != last:
            pass
    server.call("DEL", *[KEYS.seen(event_id) for event_id in marked(server)])
    async with listening(server, tmp_path / "log") as [one]:
        await one.settled.wait()
        assert marked(server) == {}
        fill(server, EVENTS[21:22])
        await until(lambda: list(marked(server)) == [EVENTS[21].event_id])


async def test_a_stream_that_is_another_one_is_read_from_its_beginning(server, tmp_path):
    fill(server, EVENTS[:20])
    async with listening(server, tmp_path / "log") as [one]:
        await one.settled.wait()
        server.call("FLUSHALL")
        server.call("XADD", STREAM, "5-1", *sum(theirs(EVENTS[30]).items(), ()))
        await until(lambda: list(marked(server)) == [EVENTS[30].event_id])
        await until(lambda: one.state.taken == 21)


async def test_what_is_no_event_is_counted_and_said_once_for_each_kind(server, tmp_path, caplog):
    for _ in range(3):
        server.add(STREAM, {"event_type": "database_trace", "payload": "{"})
        server.add(STREAM, told_of("\x00"))
    server.add(STREAM, told_of(uuid(7)))
    async with listening(server, tmp_path / "log") as [one]:
        await one.settled.wait()
        assert list(marked(server)) == [EVENTS[7].event_id]
        assert dict(one.state.skipped) == {
            "payload is not JSON": 3,
            "it has no generation_id that can be used": 3,
        }
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 2


async def test_a_server_that_is_away_settles_nothing_and_is_read_when_it_comes(tmp_path):
    with own_server() as server:
        fill(server, EVENTS[:5])
        server.call("SAVE")
        server.kill()
        async with listening(server, tmp_path / "log") as [one]:
            await until(lambda: one.state.errors > 1)
            assert (one.state.state, one.settled.is_set()) == ("waiting", False)
            server.start()
            await one.settled.wait()
            assert len(marked(server)) == 5
            server.restart()
            fill(server, EVENTS[5:6])
            await until(lambda: len(marked(server)) == 6)


async def test_who_may_not_mark_holds_nobody_up(tmp_path):
    with own_server() as server:
        fill(server, EVENTS[:5])
        server.call("ACL", "SETUSER", "u", "on", ">p", "~*", "+@all", "-set")
        url = f"redis://u:p@127.0.0.1:{server.port}"
        async with listening(server, tmp_path / "log", url=url) as [one]:
            await one.settled.wait()
            assert one.state.state == "error"
            assert "NOPERM" in one.state.last_error


async def test_each_shard_has_its_own(server, tmp_path):
    streams = [f"{{{STREAM}:{number}}}" for number in range(3)]
    for number, stream in enumerate(streams):
        fill(server, EVENTS[number : number + 1], stream=stream)
    async with listening(server, tmp_path / "log", shards=3) as entries:
        for one in entries:
            await one.settled.wait()
        assert [list(marked(server, stream)) for stream in streams] == [
            [EVENTS[n].event_id] for n in range(3)
        ]


async def test_a_log_that_takes_no_position_stops_no_marking(server, tmp_path):
    fill(server, EVENTS[:5])
    async with listening(server, tmp_path / "log") as [one]:
        await one.settled.wait()
        with closing(sqlite3.connect(tmp_path / "log" / FILE_NAME)) as connection:
            connection.execute("ALTER TABLE cursors RENAME TO elsewhere")
            fill(server, EVENTS[5:6])
            await until(lambda: one.events.trouble)
            fill(server, EVENTS[6:7])
            await until(lambda: len(marked(server)) == 7)
            assert (one.state.state, one.state.errors) == ("connected", 0)
            connection.execute("ALTER TABLE elsewhere RENAME TO cursors")
        server.add(STREAM, {"event_type": "other"})
        await until(lambda: one.events.trouble is None)


async def test_a_cancelled_listener_leaves_no_connection(tmp_path):
    def clients():
        return server.call("INFO", "clients")["connected_clients"]

    with own_server() as server:
        before = clients()
        async with listening(server, tmp_path / "log") as [one]:
            await one.settled.wait()
            assert clients() == before + 1
        await until(lambda: clients() == before)


def just_now(events):
    """What was captured long ago is not sent to a stream that is new."""
    captured = {"captured_at": redis_outputs.now_ms()}
    fresh = [attrs.evolve(event, metadata=event.metadata | captured) for event in events]
    return Entry(tuple(((event.event_id,), event) for event in fresh))


@asynccontextmanager
async def sending(server, directory, events):
    """The output and the listener, started together; its state, and who listens."""
    config = Config(redis=RedisConfig(url=server.url))
    with trio.fail_after(30):
        async with open_event_log(directory) as log, trio.open_nursery() as nursery:
            await log.append(just_now(events))
            [one] = await foreign_entries(config, log)
            [(output, state)] = await open_redis_streams(config, log, redis_outputs.now_ms, [one])
            nursery.start_soon(follow, output, log, state)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(one.listen)
            yield log, state, one
            nursery.cancel_scope.cancel()


async def test_each_generation_is_on_the_stream_once_and_ours_stays_in_the_log(server, tmp_path):
    fill(server, EVENTS[:250])
    async with sending(server, tmp_path, EVENTS[:300]) as (log, state, one):
        await redis_outputs.everything_is_sent(log, [state])
        assert redis_outputs.sent(server) == [event.generation_id for event in EVENTS[:300]]
        assert (state.already_there, one.state.taken) == (250, 250)
        late = [log_events.event(number) for number in (400, 401)]
        fill(server, late[:1])
        await until(lambda: one.state.taken == 251)
        await log.append(just_now(late))
        await redis_outputs.everything_is_sent(log, [state])
        assert redis_outputs.sent(server)[300:] == [event.generation_id for event in late]
        assert len(await log.read(0)) == 302


async def test_for_who_does_not_find_out_it_is_waited_once_each_time(server, tmp_path, monkeypatch, caplog):
    """It may hang while the output could send."""
    monkeypatch.setattr(redis_stream, "OTHERS_SECONDS", 0.05)
    config = Config(redis=RedisConfig(url=server.url))

    def times():
        return caplog.text.count("some may come twice")

    async with open_event_log(tmp_path) as log, trio.open_nursery() as nursery:
        [hung] = await foreign_entries(config, log)
        [(output, state)] = await open_redis_streams(config, log, redis_outputs.now_ms, [hung])
        nursery.start_soon(follow, output, log, state)
        for first in (0, 10, 20):
            await log.append(just_now(EVENTS[first : first + 10]))
            await redis_outputs.everything_is_sent(log, [state])
            assert times() == 1
        hung.settled = trio.Event()  # it was there meanwhile
        await log.append(just_now(EVENTS[30:40]))
        await redis_outputs.everything_is_sent(log, [state])
        assert times() == 2
        nursery.cancel_scope.cancel()
    assert len(redis_outputs.sent(server)) == 40


async def test_theirs_after_ours_stands_beside_it_under_the_same_id(server, tmp_path):
    async with sending(server, tmp_path, EVENTS[:1]) as (log, state, one):
        await redis_outputs.everything_is_sent(log, [state])
        fill(server, EVENTS[:2])
        await until(lambda: one.state.taken == 1)
        found = [from_fields(fields).event_id for _, fields in server.client.xrange(STREAM)]
        assert found == [EVENTS[n].event_id for n in (0, 0, 1)]


@pytest.fixture
def config(user_dir, tmp_path, server):
    return Config(
        http=HttpConfig(listen="off"),
        cursor=CursorConfig(dirs=(str(user_dir),)),
        state=StateConfig(dir=str(tmp_path / "state")),
        sessions=SessionsConfig(mode="discovery"),
        redis=RedisConfig(url=server.url),
    )


@within(30)
async def test_the_service_marks_and_tells_how_many(config, server):
    fill(server, EVENTS[:5])
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, config)
        [one] = await until(lambda: [one for one in handle.status().foreign if one.taken >= 5])
        assert (one.name, one.state, one.taken) == (STREAM, "connected", 5)
        nursery.cancel_scope.cancel()


@within(30)
async def test_without_suppress_nothing_is_marked(config, server):
    fill(server, EVENTS[:5])
    config = attrs.evolve(config, redis=attrs.evolve(config.redis, suppress=False))
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, config)
        await handle.synced()
        assert handle.status().foreign == ()
        assert marked(server) == {}
        nursery.cancel_scope.cancel()


@within(30)
async def test_a_stream_that_is_none_is_an_alarm(config, server):
    server.call("SET", STREAM, "x")
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, config)
        alarms = await until(lambda: [one for one in handle.status().alarms if one.startswith("what others")])
        assert "WRONGTYPE" in alarms[0]
        nursery.cancel_scope.cancel()


async def test_large_entries_are_asked_for_one_by_one_and_others_have_their_turn_between_any_two(
    server, tmp_path, monkeypatch
):
    batches, turns = [], 0
    take = foreign.ForeignEntries.take

    async def spied(self, reader, entries, *, is_live):
        nonlocal turns
        before, turns = turns, 0
        is_stored = await take(self, reader, entries, is_live=is_live)
        batches.append((len(entries), turns))
        turns += before
        return is_stored

    async def turn():
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    monkeypatch.setattr(foreign.ForeignEntries, "take", spied)
    monkeypatch.setattr(trio_cursor.redis_streams.StreamReader, "remember", lambda *_, **__: remembered())
    fill(server, EVENTS[:12], form=lambda event: theirs(event, response_text="x" * 500_000))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turn)
        async with listening(server, tmp_path / "log") as [one]:
            await one.settled.wait()
        nursery.cancel_scope.cancel()
    assert [count for count, _ in batches[:3]] == [1, 3, 3]
    assert all(had >= count - 1 for count, had in batches)


async def remembered():
    return 0


async def test_what_is_too_large_is_counted_and_not_parsed(server, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(foreign, "ENTRY_LIMIT", 100_000)
    fill(server, EVENTS[:3], form=lambda event: theirs(event, response_text="x" * 100_000))
    fill(server, EVENTS[3:4])
    async with listening(server, tmp_path / "log") as [one]:
        await one.settled.wait()
        assert list(marked(server)) == [EVENTS[3].event_id]
        assert dict(one.state.skipped) == {"it is larger than 100000 bytes": 3}
    assert caplog.text.count("an entry of the stream is passed over") == 1
