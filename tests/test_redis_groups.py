"""The door to a consumer group, on real servers of every version that is here."""

from __future__ import annotations

import socket
import threading
from contextlib import asynccontextmanager

import pytest
import redis_server
import trio
from consumers import DEAD, GROUP, STREAM, dead_letters, id_of, pending, put
from deadlines import until, within
from redis_server import own_server
from test_redis_streams import is_blocked, open_files, our_threads

from trio_cursor.config.output_sections import RedisConfig
from trio_cursor.redis_address import address_of
from trio_cursor.redis_groups import Found, Gone, GroupConnection, Pending
from trio_cursor.redis_keys import StreamKeys
from trio_cursor.redis_steps import MOST_WORDS, Member
from trio_cursor.redis_streams import PATIENCE_SECONDS
from trio_cursor.redis_trouble import StreamError, Trouble


@asynccontextmanager
async def connected(where, consumer="me", *, block_ms=1000, stream=STREAM):
    url = where if isinstance(where, str) else where.url
    member = Member(StreamKeys(stream), GROUP, consumer)
    connection = GroupConnection(address_of(RedisConfig(url=url)), member, block_ms=block_ms)
    try:
        with trio.fail_after(30):
            yield connection
    finally:
        connection.close()


def summary(found):
    return [(one.id, getattr(one.content, "event_id", one.content), one.attempts) for one in found]


@pytest.mark.parametrize("version", redis_server.versions())
@within(30)
async def test_every_version_answers_alike(version):
    with own_server(version=version) as server:
        async with connected(server) as group, connected(server, "other") as other:
            assert await group.read(10, within=1) is None
            assert await group.pending(idle_ms=None, most=5) == []
            assert await group.pending(idle_ms=0, most=5) == []
            assert (
                await group.take(Pending("1-0", 1), idle_ms=0, is_counted=True) is not None
            )  # nothing is there
            assert not await group.bury("1-0", "why", 1)
            assert await group.forget_consumers(0) == 0
            await group.keep(["1-0"])
            await group.ack(["1-0"], "e0", marker_seconds=60)
            assert await group.make_group("0")
            assert not await group.make_group("0")
            assert await group.read(10, within=0) == []

            one, two, three, four = put(server, 1, 2, 3, 4)
            assert summary(await group.read(2, within=1)) == [(one, id_of(1), 1), (two, id_of(2), 1)]
            assert summary(await other.read(9, within=1)) == [(three, id_of(3), 1), (four, id_of(4), 1)]
            assert await group.pending(idle_ms=None, most=9) == [Pending(one, 1), Pending(two, 1)]
            assert await group.pending(idle_ms=None, after=one, most=9) == [Pending(two, 1)]
            assert len(await group.pending(idle_ms=0, most=3)) == 3
            assert await group.pending(idle_ms=60_000, most=9) == []

            # Others': only if they have lain for so long, and then they are ours.
            assert await group.take(Pending(three, 1), idle_ms=60_000, is_counted=True) is None
            assert summary([await group.take(Pending(three, 1), idle_ms=0, is_counted=True)]) == [
                (three, id_of(3), 2)
            ]
            await other.hand_back([four], 0)
            assert await group.pending(idle_ms=60_000, most=9) == [Pending(four, 0)]
            assert summary([await group.take(Pending(four, 0), idle_ms=60_000, is_counted=True)]) == [
                (four, id_of(4), 1)
            ]
            await group.keep([one, two])
            taken = await group.take(Pending(two, 1), idle_ms=0, is_counted=False)
            assert taken.attempts == 2
            assert [attempts for _, _, attempts in pending(server)] == [1, 1, 2, 1]
            await group.count(two, 2)
            assert [attempts for _, _, attempts in pending(server)] == [1, 2, 2, 1]
            await group.count(two, 1)
            assert [attempts for _, _, attempts in pending(server)] == [1, 1, 2, 1]

            assert await group.done([id_of(1), id_of(2)]) == [False, False]
            await group.ack([one, two], id_of(1), marker_seconds=60)
            assert await group.done([id_of(1), id_of(2)]) == [True, False]
            assert await group.bury(three, "why", 2)
            assert not await group.bury(three, "why", 2)
            assert await group.take(Pending(three, 2), idle_ms=0, is_counted=True) is None
            await group.skip([four])
            assert pending(server) == []
            assert [letter[b"dead_reason"] for letter in dead_letters(server)] == [b"why"]
            assert await group.forget_consumers(-1) == 1

            # Trimmed while somebody had it.
            (five,) = put(server, 5)
            await group.read(1, within=1)
            server.call("XDEL", STREAM, five)
            assert isinstance(await group.take(Pending(five, 1), idle_ms=0, is_counted=True), Gone)
            assert pending(server) == []


async def test_what_an_entry_is(server):
    server.add(STREAM, {"event_type": "session_start"}, "1-0")
    server.add(STREAM, {"event_type": "database_trace", "payload": "["}, "2-0")
    server.call("XGROUP", "CREATE", STREAM, GROUP, "0")
    async with connected(server) as group:
        assert await group.read(9, within=1) == [
            Found("1-0", None),
            Found("2-0", "no event: payload is not JSON"),
        ]


async def test_what_is_no_stream_has_no_group(server):
    server.call("SET", STREAM, "something else")
    async with connected(server) as group:
        for ask in (lambda: group.make_group("0"), lambda: group.read(1, within=0)):
            with pytest.raises(StreamError) as caught:
                await ask()
            assert caught.value.trouble is Trouble.WRONG_TYPE


async def test_a_name_that_is_not_found_for_long_is_a_stall(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr("trio_cursor.redis_link.OPENING_SECONDS", -PATIENCE_SECONDS)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(20) and [])
    async with connected("redis://localhost", block_ms=100) as group:
        with pytest.raises(StreamError) as caught:
            await group.make_group("0")
        assert caught.value.trouble is Trouble.STALLED
    release.set()
    await until(lambda: our_threads() == [])


async def test_a_dead_letter_may_be_of_any_size(server):
    """A script that fails half-way would leave it pending for ever, or nowhere."""
    words = [f"w{number}" for number in range(3 * MOST_WORDS)]
    server.call("XADD", STREAM, "1-0", *words)
    server.call("XGROUP", "CREATE", STREAM, GROUP, "0")
    async with connected(server) as group:
        await group.read(1, within=1)
        assert await group.bury("1-0", "too large", 1)
    (letter,) = dead_letters(server)
    assert letter[b"dead_reason"] == b"too large"
    assert len(letter) == MOST_WORDS // 2 + 4


@pytest.mark.parametrize("rights", [["-eval"], ["-eval", "-mget"]])
async def test_a_letter_in_steps_is_the_same(server, rights):
    server.call("ACL", "SETUSER", "svc", "reset", "on", ">pw", "~*", "+@all", *rights)
    server.add(STREAM, {"a": "b", "dead_reason": "an old one"}, "1-0")
    server.call("XGROUP", "CREATE", STREAM, GROUP, "0")
    async with connected(f"unix://svc:pw@{server.path}") as group:
        await group.read(1, within=1)
        assert await group.bury("1-0", "why", 4)
        assert not await group.bury("1-0", "why", 4)
        if "-mget" in rights:
            with pytest.raises(StreamError, match="NOPERM"):
                await group.done(["e"])
        assert await group.forget_consumers(-1) == 0
    assert dead_letters(server) == [
        {
            b"a": b"b",
            b"dead_reason": b"why",
            b"dead_group": GROUP.encode(),
            b"dead_id": b"1-0",
            b"dead_attempts": b"4",
        }
    ]


async def test_in_a_transaction_too_nothing_is_half_done(server):
    server.call("ACL", "SETUSER", "svc", "reset", "on", ">pw", "~*", "+@all", "-eval")
    (id_,) = put(server, 1)
    server.call("XGROUP", "CREATE", STREAM, GROUP, "0")
    server.call("SET", DEAD, "no stream")
    async with connected(f"unix://svc:pw@{server.path}") as group:
        await group.read(1, within=1)
        with pytest.raises(StreamError) as caught:
            await group.bury(id_, "why", 1)
        assert caught.value.trouble is Trouble.WRONG_TYPE
        assert server.call("GET", DEAD) == b"no stream"


async def test_scripts_that_the_server_does_not_know():
    with own_server("--rename-command", "EVAL", "") as server:
        (id_,) = put(server, 1)
        server.call("XGROUP", "CREATE", STREAM, GROUP, "0")
        async with connected(server) as group:
            await group.read(1, within=1)
            await group.ack([id_], id_of(1), marker_seconds=60)
            assert await group.done([id_of(1)]) == [True]
        assert pending(server) == []


async def test_a_full_server_takes_neither_mark_nor_ack():
    with own_server() as server:
        (id_,) = put(server, 1)
        server.call("XGROUP", "CREATE", STREAM, GROUP, "0")
        async with connected(server) as group:
            await group.read(1, within=1)
            server.call("CONFIG", "SET", "maxmemory", "1")
            with pytest.raises(StreamError) as caught:
                await group.ack([id_], id_of(1), marker_seconds=60)
            assert caught.value.trouble is Trouble.FULL
            assert len(pending(server)) == 1
            server.call("CONFIG", "SET", "maxmemory", "0")
            await group.ack([id_], id_of(1), marker_seconds=60)  # over a new connection
        assert pending(server) == []


async def test_a_read_is_cancelled_at_once_and_leaves_nothing(server):
    server.call("XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM")
    await until(lambda: our_threads() == [])
    before = open_files()
    async with connected(server, block_ms=60_000) as group:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: group.read(1, within=60))
            await until(lambda: is_blocked(server))
            nursery.cancel_scope.cancel()
        await until(lambda: our_threads() == [])
        put(server, 1)
        assert len(await group.read(1, within=1)) == 1  # over a new connection
        group.close()
        with pytest.raises(trio.ClosedResourceError):
            await group.read(1, within=1)
    assert open_files() <= before


async def test_a_server_that_stalls(monkeypatch):
    monkeypatch.setattr("trio_cursor.redis_groups.PATIENCE_SECONDS", 0.2)
    with own_server() as server:
        async with connected(server, block_ms=1) as group:
            await group.make_group("0")
            server.stall()
            with pytest.raises(StreamError) as caught:
                await group.read(1, within=0)
            assert caught.value.trouble is Trouble.STALLED
            server.resume()
            await group.read(1, within=0)
