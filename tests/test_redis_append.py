"""Appending with a mark: what another call has put there meanwhile, and a server that never answers."""

from __future__ import annotations

import socket
import threading
from contextlib import asynccontextmanager

import pytest
import trio
from deadlines import until, within
from redis_outputs import ids, numbered, sent
from test_redis_streams import our_threads

from trio_cursor.config.output_sections import RedisConfig
from trio_cursor.redis_address import address_of
from trio_cursor.redis_append import Mark, MovedMarkError, StreamAppender
from trio_cursor.redis_batches import StreamEntry
from trio_cursor.redis_keys import StreamKeys
from trio_cursor.redis_streams import thread_limiter
from trio_cursor.redis_trouble import StreamError, Trouble

KEYS = StreamKeys("telemetry:events")
ENTRIES = [StreamEntry.of(event) for _, event in numbered(1, 3)]
FIRST = str(Mark.of(ENTRIES[0]))


@asynccontextmanager
async def appending(url, producer_id="p"):
    address = address_of(RedisConfig(url=url))
    appender = StreamAppender(address, KEYS, producer_id, marker_seconds=60, limiter=thread_limiter())
    try:
        with trio.fail_after(20):
            yield appender
    finally:
        appender.close()


@pytest.fixture(params=["script", "transaction"])
def url(server, request):
    rights = ["-eval"] if request.param == "transaction" else []
    server.call("ACL", "SETUSER", "svc", "reset", "on", ">pw", "~*", "+@all", *rights)
    return f"unix://svc:pw@{server.path}"


async def test_who_expects_another_mark_writes_nothing(server, url):
    async with appending(url) as one:
        assert await one.append(ENTRIES[:1], "") == 1
        async with appending(url) as other:
            with pytest.raises(MovedMarkError):
                await other.append(ENTRIES[1:2], "")
        async with appending(url) as other:
            assert await other.mark() == FIRST
            assert await other.append(ENTRIES[1:2], FIRST) == 1
        with pytest.raises(MovedMarkError):
            await one.append(ENTRIES[2:], FIRST)
    assert sent(server) == ids((1, 2))


async def test_what_is_written_between_the_two_halves_of_a_transaction_undoes_it(server, monkeypatch):
    server.call("ACL", "SETUSER", "svc", "reset", "on", ">pw", "~*", "+@all", "-eval")
    async with appending(f"unix://svc:pw@{server.path}") as appender:
        ask_all = appender._link.ask_all

        def late(commands):
            if commands[0] == ("MULTI",):
                server.call("SET", KEYS.seen(ENTRIES[0].event_id), "theirs")
            return ask_all(commands)

        monkeypatch.setattr(appender._link, "ask_all", late)
        with pytest.raises(StreamError) as caught:
            await appender.append(ENTRIES[:1], "")
        assert caught.value.trouble is Trouble.AWAY
    assert sent(server) == []
    assert server.call("GET", KEYS.high_water_mark("p")) is None


@within(30)
async def test_a_name_that_is_not_found_for_long_is_a_stall(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr("trio_cursor.redis_link.OPENING_SECONDS", -9.9)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(20) and [])
    async with appending("redis://localhost") as appender:
        with pytest.raises(StreamError) as caught:
            await appender.mark()
        assert caught.value.trouble is Trouble.STALLED
    release.set()
    await until(lambda: our_threads() == [])
