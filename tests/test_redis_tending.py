"""Trimming: down to a length, but nothing young, and nothing that a group has not acknowledged."""

from __future__ import annotations

import time

import pytest
import redis
import redis_server
from redis_server import own_server

from trio_cursor.redis_append import Mark
from trio_cursor.redis_tending import Bounds, Trimmed, evicting, trim

STREAM = "telemetry:events"
HOUR_MS = 3_600_000


@pytest.fixture(scope="module", params=redis_server.versions())
def shared(request):
    with own_server(version=request.param) as server:
        yield server


@pytest.fixture
def server(shared):
    shared.call("FLUSHALL")
    return shared


@pytest.fixture
def ask(server):
    """Answers as they are, unlike those of a client."""
    connection = redis.connection.Connection(host="127.0.0.1", port=server.port, protocol=2)

    def asked(*words):
        connection.send_command(*words)
        return connection.read_response()

    yield asked
    connection.disconnect()


def now_ms():
    return time.time_ns() // 1_000_000


def fill(server, count, *, ago_hours=0.0, step_ms=1000):
    first_ms = now_ms() - int(ago_hours * HOUR_MS)
    return [server.add(STREAM, {"n": str(n)}, f"{first_ms + n * step_ms}-0") for n in range(count)]


def test_down_to_its_length_by_whole_nodes(server, ask):
    fill(server, 1000, ago_hours=48)
    trimmed = trim(ask, STREAM, Bounds(300, 1))
    assert 300 <= trimmed.length < 400
    assert trimmed == Trimmed(trimmed.length, 1000 - trimmed.length)
    assert trim(ask, STREAM, Bounds(300, 1)).removed == 0


def test_what_is_young_stays(server, ask):
    fill(server, 1000, ago_hours=48)
    fill(server, 500, ago_hours=1)
    # A group that has read all of it holds nothing.
    server.call("XGROUP", "CREATE", STREAM, "quick", "$")
    trimmed = trim(ask, STREAM, Bounds(100, 24))
    assert (trimmed.length, trimmed.holder) == (500, None)


def test_who_may_not_ask_for_the_time_believes_the_newest_entry(server, ask):
    fill(server, 1000, ago_hours=48)
    server.call("ACL", "SETUSER", "svc", "on", ">pw", "~*", "+@all", "-time")
    ask("AUTH", "svc", "pw")
    assert trim(ask, STREAM, Bounds(100, 1)).removed == 0
    fill(server, 1, ago_hours=46)
    assert trim(ask, STREAM, Bounds(100, 1)).removed == 900


def test_what_a_group_has_not_read_or_not_acknowledged_stays(server, ask):
    ids = fill(server, 1000, ago_hours=48)
    server.call("XGROUP", "CREATE", STREAM, "all", "$")
    server.call("XGROUP", "CREATE", STREAM, "some", "0")
    assert trim(ask, STREAM, Bounds(100, 1)) == Trimmed(1000, 0, "some")
    server.call("XREADGROUP", "GROUP", "some", "c", "COUNT", "600", "STREAMS", STREAM, ">")
    assert trim(ask, STREAM, Bounds(100, 1)) == Trimmed(1000, 0, "some")
    server.call("XACK", STREAM, "some", *ids[:400])
    assert trim(ask, STREAM, Bounds(100, 1)) == Trimmed(600, 400, "some")
    server.call("XACK", STREAM, "some", *ids[400:600])
    assert trim(ask, STREAM, Bounds(100, 1)) == Trimmed(400, 200, "some")
    assert server.call("XRANGE", STREAM, "-", "+", "COUNT", 1)[0][0].decode() == ids[600]


def test_without_a_stream_a_limit_or_the_rights_nothing_is_done(server, ask):
    assert trim(ask, STREAM, Bounds(1, 0)) == Trimmed(0)
    fill(server, 300, ago_hours=48)
    assert trim(ask, STREAM, Bounds(0, 0)) == Trimmed(300)
    server.call("ACL", "SETUSER", "svc", "on", ">pw", "~*", "+@all", "-xtrim")
    ask("AUTH", "svc", "pw")
    assert trim(ask, STREAM, Bounds(1, 0)).is_forbidden
    assert server.call("XLEN", STREAM) == 300


def test_what_is_no_stream_is_not_trimmed(server, ask):
    server.call("SET", STREAM, "something else")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        trim(ask, STREAM, Bounds(1, 0))


def test_what_a_server_may_drop(server, ask):
    assert evicting(ask) is None
    server.call("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
    assert evicting(ask) is None  # as long as it may use all there is
    server.call("CONFIG", "SET", "maxmemory", "1gb")
    assert evicting(ask) == "volatile-ttl"
    server.call("ACL", "SETUSER", "svc", "on", ">pw", "~*", "+@all", "-info")
    ask("AUTH", "svc", "pw")
    assert evicting(ask) is None
    server.call("CONFIG", "SET", "maxmemory", "0")


@pytest.mark.parametrize("text", ["", "7", "7 ", "x e", "-1 e", "99999999999999999999 e", "\u0667 e"])
def test_what_is_no_mark(text):
    assert Mark.parsed(text) is None


def test_a_mark_comes_back_as_it_was():
    assert Mark.parsed(str(Mark(7, "e"))) == Mark(7, "e")
