"""What a server can do to the output: each fault is survived, nothing is lost or doubled."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import partial

import pytest
import redis_server
from deadlines import until
from redis_outputs import STREAM, config, everything_is_sent, following, ids, numbered, sent
from redis_server import own_server

from trio_cursor.eventlog import Entry
from trio_cursor.outputs import stream_care
from trio_cursor.redis_keys import StreamKeys

#: As the documentation tells an administrator.
RULES = [
    *("resetkeys", "~telemetry:events", "~{telemetry:events}:*", "-@all", "+xadd", "+xread", "+xinfo"),
    *("+set", "+get", "+eval", "+evalsha", "+script|load", "+ping", "+hello", "+auth", "+client", "+info"),
    *("+xrange", "+xtrim", "+xpending"),
]


pytestmark = pytest.mark.usefixtures("impatient")


@contextmanager
def refusing(server, *rules, user="svc"):
    """A user with rules; gives the URL."""
    server.call("ACL", "SETUSER", user, "on", ">pw", *rules)
    yield f"redis://{user}:pw@127.0.0.1:{server.port}"
    server.call("ACL", "DELUSER", user)


def away(server):
    server.kill()
    return server.start


def read_only(server):
    server.call("REPLICAOF", "127.0.0.1", "1")
    return partial(server.call, "REPLICAOF", "NO", "ONE")


def full(server):
    server.call("CONFIG", "SET", "maxmemory", "1")
    return partial(server.call, "CONFIG", "SET", "maxmemory", "0")


def no_stream(server):
    server.call("RENAME", STREAM, "{telemetry:events}:away")
    server.call("SET", STREAM, "something else")
    return partial(server.call, "RENAME", "{telemetry:events}:away", STREAM)


def unsaved(server):
    """It cannot save to its disk, and takes nothing for that."""
    server.call("CONFIG", "SET", "dir", "/proc")
    server.call("CONFIG", "SET", "save", "1 1")
    server.call("SET", "x", "y")
    server.call("BGSAVE")

    def mend():
        server.call("CONFIG", "SET", "save", "")
        server.call("CONFIG", "SET", "dir", str(server.directory))

    return mend


def few_replicas(server):
    server.call("CONFIG", "SET", "min-replicas-to-write", "1")
    return partial(server.call, "CONFIG", "SET", "min-replicas-to-write", "0")


def wrong_password(server):
    server.call("CONFIG", "SET", "requirepass", "another")
    server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    return partial(server.call, "CONFIG", "SET", "requirepass", "")


def no_room(server):
    server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    server.call("CONFIG", "SET", "maxclients", "1")
    return partial(server.call, "CONFIG", "SET", "maxclients", "100")


def loading(server):
    """It reads its data for a while after its start, and says so between any two megabytes."""
    for number in range(8):
        server.call("SET", f"large{number}", os.urandom(2 << 20))
    server.call("SAVE")
    server.kill()
    server.options += ["--key-load-delay", "80000"]
    server.start()
    return lambda: None


#: What is said of each in its own words by each version...
BY_VERSION = [
    (read_only, ("READONLY",)),
    (full, ("OOM",)),
    (few_replicas, ("NOREPLICAS",)),
    (no_stream, ("WRONGTYPE",)),
]
#: ... and what all have said in the same words for ever.
BY_ALL = [
    (away, ("ConnectionRefusedError", "FileNotFoundError", "ConnectionError")),
    (loading, ("LOADING",)),
    (wrong_password, ("AuthenticationError",)),
    (no_room, ("as many clients as it may have", "the connection was closed")),
]


@pytest.mark.parametrize(
    ("version", "break_it", "words"),
    [
        *((version, *case) for version in redis_server.versions() for case in BY_VERSION),
        *((redis_server.versions()[0], *case) for case in BY_ALL),
    ],
)
async def test_what_a_server_refuses_waits_in_the_log(tmp_path, version, break_it, words):
    with own_server("--save", "3600 1", version=version) as server:
        async with following(tmp_path, config(server.tcp_url)) as (log, states):
            await log.append(Entry(events=numbered(1, 2)))
            await everything_is_sent(log, states)
            server.call("SAVE")
            mend = break_it(server)
            await log.append(Entry(events=numbered(3, 120)))
            await until(lambda: states[0].state == "error" and states[0].errors > 1)
            assert any(word in states[0].last_error for word in words)
            assert states[0].last_error.startswith("redis://127.0.0.1:")
            mend()
            await everything_is_sent(log, states)
            await until(lambda: states[0].state == "connected")
        assert sent(server) == ids((1, 120))
        assert states[0].already_there == 0


async def test_a_user_with_the_documented_rules(tmp_path, server):
    with refusing(server, *RULES) as url:
        async with following(tmp_path, config(url, max_length=1)) as (log, states):
            await log.append(Entry(events=numbered(1, 120)))
            await everything_is_sent(log, states)
            assert (states[0].errors, states[0].alarms) == (0, {})
    assert sent(server) == ids((1, 120))


@pytest.mark.parametrize("version", redis_server.versions())
async def test_where_scripts_are_forbidden_transactions_do_it(tmp_path, version):
    rules = ("~*", "+@all", "-eval", "-evalsha")
    with own_server(version=version) as server, refusing(server, *rules) as url:
        for name in ("first", "second"):
            # The second log knows nothing of the first: markers tell it.
            (tmp_path / name).mkdir()
            async with following(tmp_path / name, config(url)) as (log, states):
                await log.append(Entry(events=numbered(1, 120)))
                await everything_is_sent(log, states)
                assert sent(server) == ids((1, 120))
        assert states[0].already_there == 120
        async with following(tmp_path / "first", config(url)) as (log, states):
            await everything_is_sent(log, states)
            mark = StreamKeys(STREAM).high_water_mark(await log.producer_id())
            server.call("SET", mark, "60 " + numbered(60, 60)[0][0][0])
            await log.append(Entry(events=numbered(121, 122)))
            await until(lambda: states[0].rollbacks == 1)
            await everything_is_sent(log, states)
            server.call("RENAME", STREAM, "{telemetry:events}:away")
            server.call("SET", STREAM, "something else")
            await log.append(Entry(events=numbered(123, 124)))
            await until(lambda: states[0].state == "error")
            assert "WRONGTYPE" in states[0].last_error
            assert server.call("GET", STREAM) == b"something else"
            server.call("RENAME", "{telemetry:events}:away", STREAM)
            await everything_is_sent(log, states)
        assert sent(server) == ids((1, 124))


@pytest.mark.parametrize("version", redis_server.versions())
@pytest.mark.parametrize(
    "rules", [("+@all", "-xadd"), ("+@all", "-xadd", "-eval"), ("+@all", "resetkeys", "~other")]
)
async def test_who_may_not_write_is_told_and_goes_on_once_it_may(tmp_path, version, rules):
    with own_server(version=version) as server, refusing(server, "~*", "+@all", *rules) as url:
        async with following(tmp_path, config(url)) as (log, states):
            await log.append(Entry(events=numbered(1, 2)))
            await until(lambda: states[0].state == "error")
            assert "NOPERM: the user's rules do not allow" in states[0].last_error
            server.call("ACL", "SETUSER", "svc", "~*", "+@all")
            await everything_is_sent(log, states)
        assert sent(server) == ids((1, 2))


@pytest.mark.parametrize("version", redis_server.versions())
async def test_an_event_that_the_server_cannot_take_is_laid_aside_with_the_reason(tmp_path, version, caplog):
    with own_server("--proto-max-bulk-len", "1mb", version=version) as server:
        async with following(tmp_path, config(server.tcp_url)) as (log, states):
            large = numbered(3, 3, text="x" * 1_500_000)
            await log.append(Entry(events=(*numbered(1, 2), *large, *numbered(4, 5))))
            await until(lambda: states[0].dead == 1, seconds=40)
            await everything_is_sent(log, states)
            assert states[0].already_there == 0
            assert await log.count_dead(states[0].name) == 1
            assert (states[0].meter.taken, states[0].meter.dead) == (4, 1)
            assert states[0].dead_at is not None
            assert "an event can never be sent" in caplog.text
        assert sent(server) == ids((1, 2), (4, 5))
        async with following(tmp_path, config(server.tcp_url)) as (log, states):
            await log.append(Entry(events=numbered(6, 6)))
            await everything_is_sent(log, states)
            assert (states[0].dead, states[0].meter.dead) == (1, 0)
        assert sent(server) == ids((1, 2), (4, 6))


async def test_a_server_that_may_drop_the_stream_is_an_alarm(tmp_path, server):
    server.call("CONFIG", "SET", "maxmemory", "100mb")
    server.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        async with following(tmp_path, config(server.url)) as (log, states):
            await log.append(Entry(events=numbered(1, 1)))
            await until(lambda: "eviction" in states[0].alarms)
            assert "allkeys-lru" in states[0].alarms["eviction"]
            server.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
    finally:
        server.call("CONFIG", "SET", "maxmemory", "0")
        server.call("CONFIG", "SET", "maxmemory-policy", "noeviction")


async def test_who_may_not_trim_says_so_once_and_goes_on_sending(tmp_path, server, monkeypatch, caplog):
    caplog.set_level("INFO", logger="trio_cursor")
    monkeypatch.setattr(stream_care, "TEND_SECONDS", 0.0)
    with refusing(server, "~*", "+@all", "-xtrim") as url:
        where = config(url, max_length=10, trim_min_age_hours=0)
        async with following(tmp_path, where) as (log, states):
            for number in (1, 101):
                await log.append(Entry(events=numbered(number, number + 99)))
                await everything_is_sent(log, states)
                calls = server.call("INFO", "commandstats")["cmdstat_info"]["calls"]
                await until(lambda: server.call("INFO", "commandstats")["cmdstat_info"]["calls"] > calls + 3)  # noqa: B023 - called here
            assert (states[0].errors, states[0].alarms) == (0, {})
    assert sent(server) == ids((1, 200))
    assert caplog.text.count("the stream is not trimmed: the user's rules do not allow it") == 1


async def test_the_stream_is_trimmed_and_an_alarm_names_the_group_that_prevents_it(
    tmp_path, server, monkeypatch
):
    monkeypatch.setattr(stream_care, "TEND_SECONDS", 0.05)
    where = config(server.url, max_length=300, trim_min_age_hours=0)
    server.call("XGROUP", "CREATE", STREAM, "slow", "0", "MKSTREAM")
    async with following(tmp_path, where) as (log, states):
        await log.append(Entry(events=numbered(1, 1000)))
        await everything_is_sent(log, states)
        await until(lambda: "trimming" in states[0].alarms)
        assert "'slow'" in states[0].alarms["trimming"]
        assert server.call("XLEN", STREAM) == 1000
        server.call("XGROUP", "DESTROY", STREAM, "slow")
        await until(lambda: server.call("XLEN", STREAM) <= 400)
        await until(lambda: states[0].alarms == {})
    assert sent(server) == ids((1, 1000))[-len(sent(server)) :]
