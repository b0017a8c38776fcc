"""Clients that are slow, many, gone or hostile: each ends its own connection. Real sockets, real time."""

from __future__ import annotations

import json

import attrs
import pytest
import trio
from deadlines import until
from http_client import World, descriptors, request, start

from trio_cursor.status import disabled
from trio_cursor.web import connection
from trio_cursor.web.clients import Clients
from trio_cursor.web.limits import Limits


async def test_a_mistake_of_the_protocol_ends_one_connection(nursery, logged):
    world = World()
    await world.serve(nursery)
    async with world.client() as other:
        assert (await other.ask("GET", "/healthz")).status == 200
        async with world.client() as client:
            # Not a path in ASCII: hypercorn does not expect what h11 lets pass.
            await client.send(b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = await client.answer()
            assert answer is None or answer.status == 400
        assert (await other.ask("GET", "/healthz")).status == 200


async def test_slow_headers_are_cut_off(nursery):
    world = World()
    await world.serve(nursery, idle_seconds=0.2)
    async with world.client() as silent, world.client() as client:
        with pytest.raises(trio.BrokenResourceError):
            await _drip(client, b"G")
        assert await silent.is_closed()


async def _drip(client, byte):
    while True:
        await client.send(byte)
        await trio.sleep(0.02)


async def test_a_slow_body_is_cut_off(nursery):
    world = World()
    await world.serve(nursery, body_seconds=0.2)
    async with world.client() as client:
        await client.send(
            request("POST", "/events", Content_Type="application/json", Content_Length="1000000")
        )
        with pytest.raises(trio.BrokenResourceError):
            await _drip(client, b" ")
    async with world.client() as client:
        assert (await client.post(start())).status == 202
    assert world.desk.ids == ["s1"]


async def test_who_does_not_read_the_answer_is_cut_off(nursery):
    world = World()
    world.status = attrs.evolve(disabled(), alarms=("x" * 30_000_000,))
    await world.serve(nursery, write_seconds=0.1, linger_seconds=0.1)
    async with world.client() as client:
        assert (await client.ask("GET", "/healthz")).status == 200
        connected = len(descriptors())
        await client.send(request("GET", "/status"))
        await until(lambda: len(descriptors()) < connected)  # the server has closed its end
        assert len(await _until_broken(client)) < 30_000_000


async def _until_broken(client):
    found = bytearray()
    while True:
        try:
            data = await client.stream.receive_some()
        except trio.BrokenResourceError:
            return found
        if not data:
            return found
        found += data


async def test_the_desk_may_take_longer_than_a_body(nursery):
    world = World()
    await world.serve(nursery, body_seconds=0.05, idle_seconds=0.05)
    world.desk.gate = trio.Event()
    async with world.client() as client:
        await client.send(
            request("POST", "/events", b'[{"event": {"event_type": "x"}}]', Content_Type="application/json")
        )
        assert (await client.answer()).status == 202
        nursery.start_soon(_open_later, world)
        assert (await client.post(start())).status == 202


async def _open_later(world):
    await world.until(lambda world: world.desk.calls == 1)
    await trio.sleep(0.3)  # some times as long as either may take
    world.desk.gate.set()


async def test_headers_have_a_bound(nursery):
    world = World()
    await world.serve(nursery)
    async with world.client() as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000)
        answer = await client.answer()
        assert answer.status == 431
        assert await client.is_closed()


@pytest.mark.parametrize(
    "noise",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\r\n" * 5000, b"\x00" * 20_000, b"GET\r\n\r\n"],
)
async def test_noise_ends_its_own_connection(nursery, noise):
    world = World()
    await world.serve(nursery, idle_seconds=0.3)
    async with world.client() as client:
        await client.send(noise)
        answer = await client.answer()
        assert answer is None or answer.status in (400, 431)
    async with world.client() as client:
        assert (await client.ask("GET", "/healthz")).status == 200


async def test_a_connection_is_used_again_and_takes_requests_ahead(nursery):
    world = World()
    await world.serve(nursery)
    async with world.client() as client:
        one = request("POST", "/events", b'[{"event": {"event_type": "x"}}]', Content_Type="application/json")
        await client.send(one * 5 + request("GET", "/healthz", Connection="close"))
        for _ in range(5):
            assert (await client.answer()).json == {"taken": 0, "ignored": 1}
        assert (await client.answer()).status == 200
        assert await client.is_closed()


async def test_a_half_closed_client_hears_its_answer(nursery):
    world = World()
    await world.serve(nursery)
    async with world.client() as client:
        await client.send(request("GET", "/healthz"))
        await client.stream.send_eof()
        assert (await client.answer()).status == 200
        assert await client.is_closed()


async def test_who_goes_away_half_way_leaves_nothing_behind(nursery, logged):
    world = World()
    await world.serve(nursery)
    for _ in range(20):
        async with world.client() as client:
            await client.send(
                request("POST", "/events", Content_Type="application/json", Content_Length="500") + b"[{"
            )
    async with world.client() as client:
        assert (await client.post(start())).status == 202
    assert (world.desk.ids, world.source.skipped) == (["s1"], {})
    assert logged() == []


async def test_who_goes_away_after_posting_is_stored(nursery, logged):
    world = World()
    await world.serve(nursery)
    world.desk.gate = trio.Event()
    async with world.client() as client:
        body = json.dumps(start()).encode()
        await client.send(request("POST", "/events", body, content_type="application/json"))
        await world.until(lambda world: world.desk.calls == 1)
    world.desk.gate.set()
    await world.until(lambda world: world.source.taken == 1)
    assert world.desk.ids == ["s1"]
    assert logged() == []


async def test_a_flood_of_connections_takes_few_descriptors_and_a_request_gets_through(nursery):
    world = World()
    await world.serve(nursery, connections=20)
    before = len(descriptors())
    streams = [await trio.open_tcp_stream("127.0.0.1", world.port) for _ in range(300)]
    try:
        async with world.client() as client:
            assert (await client.post(start())).status == 202
            # Ours is one end of each, the server's the other.
            assert len(descriptors()) - before - len(streams) - 1 <= 25
    finally:
        for stream in streams:
            await trio.aclose_forcefully(stream)


async def test_where_all_are_at_work_one_more_is_not_let_in(nursery):
    world = World()
    await world.serve(nursery, connections=2)
    world.desk.gate = trio.Event()
    async with world.client() as one, world.client() as two:
        for client in (one, two):
            # Whoever has heard this has a request.
            await client.send(
                request(
                    "POST",
                    "/events",
                    Content_Type="application/json",
                    Content_Length="9",
                    Expect="100-continue",
                )
            )
            assert (await client.answer()).status == 100
        async with world.client() as three:
            assert await three.is_closed()
        for client in (one, two):
            await client.send(b"[]       ")
            assert (await client.answer()).status == 202


@pytest.mark.parametrize(
    "headers",
    [
        {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2_Settings": "AAMAAABkAAQAAP__"},
        {"Connection": "upgrade", "Upgrade": "something"},
    ],
)
async def test_no_upgrade_is_followed(nursery, headers):
    world = World()
    await world.serve(nursery)
    async with world.client() as client:
        assert (await client.ask("GET", "/healthz", **headers)).status == 200


async def test_there_are_no_websockets(nursery):
    world = World()
    await world.serve(nursery, idle_seconds=0.3, body_seconds=0.3)
    key = {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec_WebSocket_Version": "13"}
    async with world.client() as client:
        answer = await client.ask("GET", "/events", Connection="Upgrade", Upgrade="websocket", **key)
        assert answer.status == 403
        assert await client.is_closed()


async def test_the_preface_of_http2_is_no_way_in(nursery):
    world = World()
    await world.serve(nursery)
    async with world.client() as client:
        await client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert (await client.answer()).status in (400, 421)


async def test_a_mistake_with_one_client_is_not_felt_by_another(nursery, logged, monkeypatch):
    world = World()
    await world.serve(nursery)
    read = connection.Connection._read
    async with world.client() as other:
        assert (await other.ask("GET", "/healthz")).status == 200

        async def broken(self):
            monkeypatch.setattr(connection.Connection, "_read", read)
            raise RuntimeError("a mistake")

        monkeypatch.setattr(connection.Connection, "_read", broken)
        async with world.client() as client:
            assert await client.is_closed()
        assert (await other.ask("GET", "/healthz")).status == 200
    assert logged() == ["a connection failed"]


async def test_a_client_that_is_gone_before_its_turn_is_no_mistake(logged):
    with trio.socket.socket() as never_connected:
        await Clients(None, Limits()).talk(trio.SocketStream(never_connected))
    assert logged() == []
