"""The listener on a real server that is stopped, emptied, trimmed and flooded under it."""

from __future__ import annotations

import json
import threading
import time
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import redis_server
import trio
from deadlines import until
from redis_sentinels import own_sentinels
from redis_server import own_server

from trio_cursor import redis_listening, redis_trouble
from trio_cursor.config.output_sections import RedisConfig
from trio_cursor.redis_address import address_of
from trio_cursor.redis_trouble import StreamError, Trouble
from trio_cursor.sessions.announcements import FIELD_LIMIT
from trio_cursor.sessions.redis_events import listen_to_redis, mark_name
from trio_cursor.states import SourceState

STREAM = "telemetry:events"
NOW_MS = 1_800_000_000_000
HASH = "0123456789abcdef"


class FakeDesk:
    """Takes everything, and remembers it."""

    def __init__(self):
        self.heard = []
        self.marks = []
        self.batches = []
        self.doubts = 0
        self.is_open = trio.Event()
        self.is_open.set()
        #: Of each call that waits for it, the ids.
        self.waiting = []
        self.failures = []

    async def announce(self, heard, mark=None):
        self.waiting.append([announcement.session_id for announcement in heard])
        await self.is_open.wait()
        self.waiting.pop()
        if self.failures:
            raise self.failures.pop()
        self.heard += heard
        self.batches.append(len(heard))
        self.marks.append(mark)

    async def doubt(self, source):
        assert source == "redis"
        await trio.lowlevel.checkpoint()
        self.doubts += 1

    @property
    def ids(self):
        return [announcement.session_id for announcement in self.heard]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Marks and looks at once, however slow the machine, and short waits; the pauses are the service's."""
    monkeypatch.setattr(redis_listening, "BLOCK_MS", 200)
    monkeypatch.setattr(redis_listening, "MARK_SECONDS", 0.2)
    monkeypatch.setattr(redis_listening, "CHECK_SECONDS", 0.3)
    monkeypatch.setattr(redis_listening, "_QUICK_SECONDS", 60)


@pytest.fixture
def _long_reads(monkeypatch):
    """Whatever waits for an entry still does when the test goes on."""
    monkeypatch.setattr(redis_listening, "BLOCK_MS", 60_000)


class Listening:
    """One listener and what it said."""

    def __init__(self, server, desk, **more):
        self.desk = desk
        self.state = SourceState(f"redis:{STREAM}")
        self.caught_up = 0
        self.address = address_of(RedisConfig(url=more.get("url") or server.url))
        self.after = more.get("after")

    def count(self):
        self.caught_up += 1

    async def run(self):
        await listen_to_redis(
            self.address,
            STREAM,
            after=self.after,
            desk=self.desk,
            state=self.state,
            caught_up=self.count,
            now_ms=lambda: NOW_MS,
        )


@asynccontextmanager
async def listening(server, **more):
    listener = Listening(server, FakeDesk(), **more)
    with trio.fail_after(40):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run)
            yield listener
            nursery.cancel_scope.cancel()


def calls(server, command):
    """How often it has carried out a command, whatever words came after it."""
    counted = server.call("INFO", "commandstats")
    return sum(one["calls"] for name, one in counted.items() if name.split("|")[0] == f"cmdstat_{command}")


async def asks(server, times):
    """Wait until it was asked so often from now on, so that all answers but the last were acted upon."""
    count = calls(server, "xinfo") + times
    await until(lambda: calls(server, "xinfo") >= count)


async def blocks(server, *, asked=0):
    """Wait until the server was asked so often since its start, and then a read waits for an entry."""
    await until(lambda: calls(server, "xinfo") >= asked)
    await until(lambda: server.call("INFO", "clients")["blocked_clients"] == 1)


def entry(session_id="s1", *, kind="session_start", **more):
    payload = {"session_id": session_id, "workspace_path": "/home/demo/project"}
    return {
        "event_type": kind,
        "hook_type": "extension",
        "payload": json.dumps(payload),
        "metadata": json.dumps({"workspace_hash": HASH}),
        **more,
    }


def trace(number=0):
    """An entry of our own."""
    return {"event_type": "database_trace", "payload": "{not even JSON", "metadata": str(number)}


def fill(server, entries, *, ids=None):
    """Many entries at once."""
    pipe = server.client.pipeline(transaction=False)
    for number, fields in enumerate(entries):
        pipe.xadd(STREAM, fields, id=ids[number] if ids else "*")
    return [id_.decode() for id_ in pipe.execute()]


def warnings(caplog):
    return [record for record in caplog.records if record.levelname == "WARNING"]


async def test_what_was_announced_before_us_counts_and_then_we_are_caught_up(server):
    ids = fill(server, [entry(f"s{number}") for number in range(250)])
    async with listening(server) as listener:
        assert listener.caught_up == 0
        await until(lambda: listener.caught_up)
        assert listener.desk.ids == [f"s{number}" for number in range(250)]
        assert listener.desk.batches == [1, 4, 16, 64, 100, 65]
        assert listener.desk.marks[-1].id == ids[-1]
        assert listener.desk.marks[-1].name == mark_name(listener.address, STREAM)
        server.add(STREAM, entry("s0", kind="session_end"))
        await until(lambda: len(listener.desk.heard) == 251)
        assert listener.desk.heard[-1].is_start is False
        assert listener.desk.heard[-1].workspace_path == "/home/demo/project"
        assert listener.state.taken == 251
        assert (listener.state.state, listener.state.last_error) == ("connected", None)
        assert listener.caught_up == 1
        assert listener.desk.doubts == 0


@pytest.mark.parametrize("version", redis_server.versions())
async def test_it_goes_on_after_the_mark(version):
    with own_server(version=version) as server:
        ids = fill(server, [entry("old"), trace(), entry("new")])
        async with listening(server, after=ids[0]) as listener:
            await until(lambda: listener.caught_up)
            assert listener.desk.ids == ["new"]
            assert listener.desk.doubts == 0


async def test_nothing_there_is_caught_up_at_once(server):
    async with listening(server) as listener:
        await until(lambda: listener.caught_up)
        assert listener.state.state in ("waiting", "connected")
        server.add(STREAM, entry())
        await until(lambda: listener.desk.ids == ["s1"])


async def test_what_was_there_and_is_deleted_is_not_waited_for(server):
    ids = fill(server, [entry("s1"), entry("s2")])
    server.call("XDEL", STREAM, ids[1])
    async with listening(server) as listener:
        await until(lambda: listener.caught_up)
        assert listener.desk.ids == ["s1"]


async def test_it_is_heard_when_the_server_took_it_but_never_in_the_future(server):
    fill(server, [entry("s1"), entry("s2")], ids=["1700000000000-0", f"{NOW_MS + 86_400_000}-0"])
    async with listening(server) as listener:
        await until(lambda: len(listener.desk.heard) == 2)
        assert [one.heard_ms for one in listener.desk.heard] == [1_700_000_000_000, NOW_MS]


async def test_entries_of_others_cost_no_transaction_each_and_the_mark_is_not_forgotten(server):
    ids = fill(server, [trace(number) for number in range(1000)])
    async with listening(server) as listener:
        await until(lambda: listener.caught_up)
        await until(lambda: listener.desk.marks and listener.desk.marks[-1].id == ids[-1])
        assert len(listener.desk.marks) < 10
        assert listener.desk.heard == []
        assert listener.state.skipped == {}


async def test_what_cannot_be_used_is_counted_and_said_once_for_each_kind(server, caplog):
    bomb = "[" * 20_000
    fill(
        server,
        [
            entry(payload="{"),
            entry(payload=b"\xff\xfe"),
            entry(payload=bomb),
            entry(payload="[]"),
            entry(payload="x" * (FIELD_LIMIT + 1)),
            entry(payload=json.dumps({"session_id": "s", "workspace_path": "/" + "x" * 1_000_000})),
            entry(payload="{}"),
            entry(metadata="{}", payload='{"session_id": "s"}'),
            entry(metadata='{"workspace_hash": "../../etc/passwd"}'),
            {b"event_type": b"\xff\xff"},
            {"event_type": "x" * 100_000},
            {"nothing": ""},
            entry("good"),
        ],
    )
    async with listening(server) as listener:
        await until(lambda: listener.caught_up)
        assert listener.desk.ids == ["good"]
        assert listener.state.skipped == {
            "payload is not JSON": 3,
            "payload is not an object": 1,
            f"payload is larger than {FIELD_LIMIT} bytes": 2,
            "no session_id": 1,
            "no workspace_hash": 1,
            "workspace_hash is not 16 to 64 hex digits": 1,
        }
        assert len(warnings(caplog)) == len(listener.state.skipped)


async def test_a_flood_of_fake_starts_is_read_in_batches(server):
    """What 100,000 cost is measured by bench/redis_listener.py."""
    script = """for n = 1, 6000 do redis.call('XADD', KEYS[1], '*', 'event_type', 'session_start',
        'payload', '{"session_id": "fake' .. n .. '"}', 'metadata', ARGV[1]) end"""
    server.call("EVAL", script, 1, STREAM, json.dumps({"workspace_hash": HASH}))
    async with listening(server) as listener:
        await until(lambda: listener.caught_up)
        assert len(set(listener.desk.ids)) == 6_000
        assert max(listener.desk.batches) == 100


def reader_seconds(server):
    """Of each connection whose last command was a read, how long ago that was, in whole seconds."""
    return [int(one["idle"]) for one in server.call("CLIENT LIST") if one["cmd"] == "xread"]


async def test_while_the_log_cannot_be_written_nothing_more_is_read(server):
    async with listening(server) as listener:
        await until(lambda: listener.caught_up)
        listener.desk.is_open = trio.Event()
        ids = fill(server, [entry(f"s{number}") for number in range(300)])
        await until(lambda: listener.desk.waiting)
        # For a whole second the connection that has read says nothing.
        await until(lambda: any(reader_seconds(server)))
        assert (len(listener.desk.waiting), listener.desk.heard) == (1, [])
        listener.desk.is_open.set()
        await until(lambda: len(listener.desk.heard) == 300)
        assert listener.desk.marks[-1].id == ids[-1]
        assert listener.desk.doubts == 0


@pytest.mark.usefixtures("_long_reads")
async def test_a_cancelled_listener_leaves_no_thread_and_no_connection(server):
    before = server.call("INFO", "clients")["connected_clients"]
    async with listening(server) as listener:
        await until(lambda: listener.caught_up)
        await blocks(server)
    with trio.fail_after(10):
        await until(lambda: not [one for one in threading.enumerate() if "redis" in one.name])
        await until(lambda: server.call("INFO", "clients")["connected_clients"] == before)


# --- faults ---


async def test_a_server_that_is_not_there_is_not_waited_for_and_found_when_it_comes(caplog):
    with own_server() as server:
        server.kill()
        async with listening(server) as listener:
            await until(lambda: listener.caught_up)
            assert listener.state.state == "waiting"
            assert "FileNotFoundError" in listener.state.last_error
            await until(lambda: listener.state.errors >= 3)
            server.start()
            server.add(STREAM, entry())
            await until(lambda: listener.desk.ids == ["s1"])
            assert listener.state.state == "connected"
            assert listener.caught_up == 1
            assert len(warnings(caplog)) == 1


async def test_a_server_restarted_under_an_idle_listener_loses_nothing():
    with own_server() as server:
        server.add(STREAM, entry("s1"))
        async with listening(server) as listener:
            await until(lambda: listener.desk.ids == ["s1"])
            server.restart()
            server.add(STREAM, entry("s2"))
            await until(lambda: listener.desk.ids == ["s1", "s2"])
            assert listener.desk.doubts == 0


async def test_a_server_that_lost_its_last_seconds():
    with own_server() as server:
        server.add(STREAM, entry("s1"), "5-0")
        server.call("SAVE")
        async with listening(server) as listener:
            server.add(STREAM, entry("s2"), "6-0")
            await until(lambda: listener.desk.ids == ["s1", "s2"])
            server.kill()
            server.start()
            await until(lambda: listener.desk.doubts)
            await until(lambda: listener.desk.ids == ["s1", "s2", "s1"])
            server.add(STREAM, entry("s3"), "5-1")
            await until(lambda: listener.desk.ids[-1] == "s3")
            assert listener.desk.doubts == 1


async def test_a_server_that_stalls(monkeypatch):
    monkeypatch.setattr("trio_cursor.redis_streams.PATIENCE_SECONDS", 0.2)
    with own_server() as server:
        async with listening(server) as listener:
            await until(lambda: listener.state.state == "connected")
            server.stall()
            await until(lambda: listener.state.state == "waiting")
            assert "TimeoutError" in listener.state.last_error
            server.resume()
            server.add(STREAM, entry())
            await until(lambda: listener.desk.ids == ["s1"])
            assert listener.desk.doubts == 0


async def test_a_wrong_password_is_tried_again_late(monkeypatch, caplog):
    monkeypatch.setattr(redis_trouble, "LEAST_PAUSES", {Trouble.DENIED: 0.3})
    with own_server("--requirepass", "right") as server:
        async with listening(server, url=f"unix://:wrong@{server.path}") as listener:
            await until(lambda: listener.state.errors == 2)
            assert listener.state.state == "error"
            assert listener.caught_up == 1
            server.call("CONFIG", "SET", "requirepass", "wrong")
            server.call("XADD", STREAM, "*", *(word for pair in entry().items() for word in pair))
            await until(lambda: listener.desk.ids == ["s1"])
            assert len(warnings(caplog)) == 1
    assert not [record for record in caplog.records if "wrong@" in str(vars(record))]


async def test_whom_a_server_denies_waits_half_a_minute_and_else_some_seconds(autojump_clock, monkeypatch):
    """In virtual time, so without a thread: who is asked raises at once."""
    asked = []

    class Refusing:
        def __init__(self, *_, **__):
            pass

        async def info(self):
            asked.append(trio.current_time())
            raise StreamError(trouble, "no")

        async def aclose(self):
            await trio.lowlevel.checkpoint()

    monkeypatch.setattr(redis_listening, "StreamReader", Refusing)
    for trouble, word, shortest, longest in (
        (Trouble.DENIED, "error", 15, 30),
        (Trouble.REFUSED, "error", 2.5, 5),
        (Trouble.AWAY, "waiting", 2.25, 4.5),
    ):
        asked.clear()
        listener = Listening(None, FakeDesk(), url="redis://localhost")
        with trio.move_on_after(100):
            await listener.run()
        settled = asked[8:] if trouble is Trouble.AWAY else asked
        assert len(settled) > 3
        assert all(shortest <= after - before <= longest for before, after in pairwise(settled))
        assert listener.state.state == word
        assert listener.caught_up == 1
        if trouble is Trouble.AWAY:
            assert asked[1] - asked[0] <= 0.1


async def test_after_a_while_that_went_well_it_is_tried_again_soon(autojump_clock, monkeypatch):
    """As above; the server comes for one read."""
    asked = []

    class Coming:
        def __init__(self, *_, **__):
            pass

        async def info(self):
            asked.append(trio.current_time())
            if len(asked) != 10:
                raise StreamError(Trouble.AWAY, "no")

        async def read(self, *_):
            await trio.sleep(1)
            return []

        async def aclose(self):
            await trio.lowlevel.checkpoint()

    monkeypatch.setattr(redis_listening, "StreamReader", Coming)
    with trio.move_on_after(60):
        await Listening(None, FakeDesk(), url="redis://localhost").run()
    pauses = [after - before for before, after in pairwise(asked)]
    assert pauses[8] > 2  # before it came
    assert pauses[9] == pytest.approx(1)  # while it was there
    assert pauses[10] <= 0.1
    assert pauses[20] > 2


@pytest.mark.usefixtures("impatient")
async def test_a_key_that_holds_something_else_is_left_alone(server):
    server.call("LPUSH", STREAM, "x")
    async with listening(server) as listener:
        await until(lambda: listener.state.state == "error")
        assert "WRONGTYPE" in listener.state.last_error
        assert server.call("LLEN", STREAM) == 1
        server.call("DEL", STREAM)
        server.add(STREAM, entry())
        await until(lambda: listener.desk.ids == ["s1"])


@pytest.mark.parametrize("version", redis_server.versions())
async def test_emptied_while_we_listen_and_filled_by_an_older_clock(version):
    with own_server(version=version) as server:
        server.add(STREAM, entry("s1"), "1000-0")
        async with listening(server) as listener:
            await until(lambda: listener.desk.ids == ["s1"])
            server.call("FLUSHALL")
            await until(lambda: listener.desk.doubts and listener.desk.marks[-1].id == "0-0")
            server.add(STREAM, entry("s2"), "500-0")
            await until(lambda: listener.desk.ids == ["s1", "s2"])
            server.call("MULTI")
            server.call("DEL", STREAM)
            server.call("XADD", STREAM, "400-0", *(word for pair in entry("s3").items() for word in pair))
            server.call("EXEC")
            await until(lambda: listener.desk.ids == ["s1", "s2", "s3"])
            assert listener.desk.doubts == 2


async def test_emptied_while_we_were_away(server, caplog):
    fill(server, [entry("s2"), entry("s3")], ids=["500-0", "600-0"])
    async with listening(server, after="1000-0") as listener:
        await until(lambda: listener.caught_up)
        assert listener.desk.ids == ["s2", "s3"]
        assert listener.desk.doubts == 1
        assert len(warnings(caplog)) == 1
    server.call("DEL", STREAM)
    async with listening(server, after="1000-0") as listener:
        await until(lambda: listener.caught_up)
        assert listener.desk.doubts == 1


@pytest.mark.parametrize("version", redis_server.versions())
async def test_trimmed_beyond_us_while_we_were_away(version):
    with own_server(version=version) as server:
        fill(server, [entry(f"s{n}") for n in range(1, 10)], ids=[f"{n}-0" for n in range(1, 10)])
        server.call("XTRIM", STREAM, "MAXLEN", "3")
        async with listening(server, after="6-0") as listener:
            await until(lambda: listener.caught_up)
            assert (listener.desk.ids, listener.desk.doubts) == (["s7", "s8", "s9"], 1)
        async with listening(server, after="7-0") as listener:
            await until(lambda: listener.caught_up)
            assert (listener.desk.ids, listener.desk.doubts) == (["s8", "s9"], 0)
        server.call("XTRIM", STREAM, "MAXLEN", "0")
        async with listening(server, after="8-0") as listener:
            await until(lambda: listener.caught_up)
            assert (listener.desk.ids, listener.desk.doubts) == ([], 1)
            await asks(server, 3)
            assert listener.desk.doubts == 1
        async with listening(server, after="9-0") as listener:
            await until(lambda: listener.caught_up)
            assert listener.desk.doubts == 0


async def test_trimmed_beyond_us_while_we_lag(server):
    async with listening(server) as listener:
        fill(server, [entry(f"s{number}") for number in range(150)])
        await until(lambda: len(listener.desk.heard) == 150)
        listener.desk.is_open = trio.Event()
        server.add(STREAM, entry("held"))
        await until(lambda: listener.desk.waiting == [["held"]])
        fill(server, [entry(f"t{number}") for number in range(20)])
        server.call("XTRIM", STREAM, "MAXLEN", "5")
        listener.desk.is_open.set()
        await until(lambda: listener.desk.doubts)
        await until(lambda: listener.desk.ids[-1] == "t19")
        assert listener.desk.ids[-6:] == ["held", "t15", "t16", "t17", "t18", "t19"]
        assert listener.desk.doubts == 1


async def test_a_short_stream_that_loses_only_what_was_read_is_no_loss(server):
    """A producer that keeps one entry; the server counts, so we can."""
    async with listening(server) as listener:
        await until(lambda: listener.caught_up)
        for number in range(1, 16):
            words = [word for pair in entry(f"s{number}").items() for word in pair]
            server.call("XADD", STREAM, "MAXLEN", "1", "*", *words)
            await until(lambda count=number: len(listener.desk.heard) == count)
            if number % 5 == 0:
                await asks(server, 2)
        listener.desk.is_open = trio.Event()
        server.add(STREAM, entry("held"))
        await until(lambda: listener.desk.waiting == [["held"]])
        words = [word for pair in entry("last").items() for word in pair]
        server.call("XADD", STREAM, "MAXLEN", "1", "*", *words)
        listener.desk.is_open.set()
        await until(lambda: listener.desk.ids[-1] == "last")
        assert listener.desk.doubts == 0


async def test_deleted_before_we_read_it(server):
    ids = fill(server, [entry(f"s{number}") for number in range(4)])
    server.call("XDEL", STREAM, ids[3])
    async with listening(server, after=ids[1]) as listener:
        await until(lambda: listener.desk.doubts)
        await until(lambda: listener.desk.ids == ["s0", "s1", "s2"])
        await asks(server, 3)
        assert listener.desk.doubts == 1


@pytest.mark.usefixtures("_long_reads")
async def test_emptied_and_filled_beyond_our_position_while_we_were_cut_off():
    with own_server() as server:
        fill(server, [entry(f"s{n}") for n in range(1, 6)], ids=[f"{n}-0" for n in range(1, 6)])
        async with listening(server) as listener:
            await until(lambda: listener.caught_up)
            await blocks(server, asked=2)  # it knows how many there ever were
            server.call("MULTI")
            server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            server.call("FLUSHALL")
            for id_ in ("4-0", "9-0"):
                server.call(
                    "XADD", STREAM, id_, *(word for pair in entry(f"n{id_}").items() for word in pair)
                )
            server.call("EXEC")
            await until(lambda: listener.desk.ids[-2:] == ["n4-0", "n9-0"])
            assert listener.desk.doubts == 1


async def test_a_mistake_of_ours_is_logged_and_the_source_starts_again(server, caplog):
    server.add(STREAM, entry())
    listener = Listening(server, FakeDesk())
    listener.desk.failures = [RuntimeError("a mistake")]
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run)
            await until(lambda: listener.desk.ids == ["s1"])
            nursery.cancel_scope.cancel()
    assert [record for record in caplog.records if record.exc_info and record.levelname == "ERROR"]
    assert listener.state.errors == 1
    assert listener.caught_up == 1


async def test_a_mistake_that_comes_again_and_again_is_told_once(server, caplog, monkeypatch):
    monkeypatch.setattr(redis_listening, "RETRY_SECONDS", (0.01, 0.02))
    caplog.set_level("INFO", logger="trio_cursor")

    def told():
        kinds = [(record.levelname, bool(record.exc_info)) for record in caplog.records]
        return sorted(kinds)

    once = [("ERROR", True), ("INFO", False), ("WARNING", False)]
    server.add(STREAM, entry())
    listener = Listening(server, FakeDesk())
    listener.desk.failures = [RuntimeError("a mistake")] * 1000
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run)
            await until(lambda: listener.state.errors > 5)
            assert told() == once
            assert listener.state.state == "error"
            listener.desk.failures.clear()
            await until(lambda: listener.state.state == "connected")
            assert listener.desk.ids == ["s1"]
            assert told() == sorted([*once, ("INFO", False)])
            listener.desk.failures = [RuntimeError("a mistake")] * 1000
            server.add(STREAM, entry("s2"))
            await until(lambda: told().count(("ERROR", True)) == 2)  # after a time that was good it is news
            nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("_long_reads")
async def test_what_comes_while_we_listen_is_heard_now_whatever_the_servers_clock_says(server):
    day_ms = 86_400_000
    now_ms = int(time.time() * 1000)
    server.add(STREAM, entry(), f"{now_ms - 2 * day_ms}-0")
    asked = calls(server, "xinfo")
    listener = Listening(server, FakeDesk())
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run)
            await until(lambda: listener.desk.ids == ["s1"])
            await blocks(server, asked=asked + 2)  # nothing was left when it asked again
            server.add(STREAM, entry("s2"), f"{now_ms - day_ms}-0")
            await until(lambda: listener.desk.ids == ["s1", "s2"])
            nursery.cancel_scope.cancel()
    before, live = listener.desk.heard
    assert before.heard_ms == now_ms - 2 * day_ms
    assert live.heard_ms >= now_ms
    assert live.at_ms == now_ms - day_ms


@pytest.mark.usefixtures("_long_reads")
async def test_what_is_deleted_between_two_reads_is_missed_and_that_is_noticed(server):
    if server.version < (7,):
        pytest.skip("before 7.0 a server does not count what was added")
    server.add(STREAM, entry())
    asked = calls(server, "xinfo")
    listener = Listening(server, FakeDesk())
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run)
            await blocks(server, asked=asked + 2)
            pipe = server.client.pipeline(transaction=True)
            for kind in ("session_end", "other"):
                pipe.xadd(STREAM, entry(kind=kind))
            pipe.xtrim(STREAM, maxlen=1, approximate=False)
            pipe.execute()
            await until(lambda: listener.desk.doubts)
            nursery.cancel_scope.cancel()
    assert listener.desk.ids == ["s1"]


async def test_entries_that_are_large_are_read_a_few_at_a_time(server):
    """By a hundred they would not fit into memory, nor through a slow line in time."""
    sizes = []

    class Measured(FakeDesk):
        async def announce(self, heard, mark=None):
            sizes.append(len(heard))
            await super().announce(heard, mark)

    for number in range(30):
        server.add(STREAM, entry(f"s{number}") | {"text": "x" * 500_000})
    for number in range(30, 300):
        server.add(STREAM, entry(f"s{number}"))
    listener = Listening(server, Measured())
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run)
            await until(lambda: len(listener.desk.ids) == 300)
            nursery.cancel_scope.cancel()
    assert max(sizes[1:8]) <= 8
    assert max(sizes) == 100


async def test_the_sentinel_of_the_configuration_dies_and_then_the_master():
    """The other sentinels were heard of, and name the one that takes over."""
    with own_sentinels(3) as sentinels:
        configured = sentinels.sentinels[0]
        async with listening(None, url=sentinels.url_of(configured)) as listener:
            sentinels.master().add(STREAM, entry())
            sentinels.master().call("WAIT", 1, 5000)
            await until(lambda: listener.desk.ids == ["s1"])
            configured.kill()
            _, master = await trio.to_thread.run_sync(sentinels.failover)
            master.add(STREAM, entry("s2"))
            await until(lambda: listener.desk.ids == ["s1", "s2"])
            assert listener.desk.doubts == 0
