"""`POST /events`: what is taken, what is refused and how, and that nothing is lost or taken twice."""

from __future__ import annotations

import json

import pytest
import trio
from http_client import World, request, start

BODY_LIMIT = 1024 * 1024


@pytest.fixture
async def world(nursery):
    world = World()
    await world.serve(nursery)
    return world


async def test_an_announcement_is_taken_once_it_is_stored(world):
    async with world.client() as client:
        answer = await client.post(start())
        assert (answer.status, answer.json) == (202, {"taken": 1, "ignored": 0})
        assert world.desk.ids == ["s1"]
        assert (world.source.taken, world.source.state) == (1, "connected")
        answer = await client.post([start("a"), start("x", event_type="tool_use"), start("b")])
        assert (answer.status, answer.json) == (202, {"taken": 2, "ignored": 1})
        assert world.desk.ids == ["s1", "a", "b"]
        assert (await client.post([])).json == {"taken": 0, "ignored": 0}


async def test_it_is_heard_when_it_arrives(world):
    async with world.client() as client:
        await client.post(start(timestamp=None))
    (heard,) = world.desk.heard
    assert heard.said_ms is None
    assert abs(heard.heard_ms - heard.at_ms) < 60_000


async def test_of_a_batch_that_cannot_be_used_nothing_is_taken(world):
    async with world.client() as client:
        answer = await client.post([start("a"), start("b", hash_="?"), start("c")])
        assert answer.status == 400
        assert answer.json == {"error": "workspace_hash is not 16 to 64 hex digits", "index": 1}
        assert world.desk.ids == []
        assert world.source.skipped == {"workspace_hash is not 16 to 64 hex digits": 1}


BAD_BODIES = {
    "nothing": b"",
    "not JSON": b"session_start",
    "nested deeply": b"[" * 500_000,
    "many digits": b"9" * 5_000,
    "NaN": b'{"event": NaN}',
    "not UTF-8": b'{"event": "\xff"}',
    "too many items": b"[" + b"0," * 2_000 + b"0]",
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_bad_bodies_are_refused_and_the_connection_goes_on(world, name):
    async with world.client() as client:
        answer = await client.post(BAD_BODIES[name])
        assert answer.status == 400
        assert set(answer.json) == {"error"}
        assert (await client.post(start())).status == 202


@pytest.mark.parametrize(
    "headers",
    [
        *({"content_type": None}, {"content_type": "text/plain"}, {"content_type": "application/jsonx"}),
        *({"content_type": "application/x-www-form-urlencoded"}, {"Content_Encoding": "gzip"}),
    ],
)
async def test_what_any_page_could_send_is_not_taken(world, headers):
    async with world.client() as client:
        assert (await client.post(start(), **headers)).status == 415
    assert world.desk.heard == []


async def test_the_content_type_may_name_a_charset(world):
    async with world.client() as client:
        assert (await client.post(start(), content_type="Application/JSON; charset=utf-8")).status == 202


def padded(size):
    body = json.dumps(start()).encode()
    return body + b" " * (size - len(body))


async def test_the_size_is_capped(world):
    async with world.client() as client:
        assert (await client.post(padded(BODY_LIMIT))).status == 202
        assert (await client.post(padded(BODY_LIMIT + 1))).status == 413
    assert len(world.desk.heard) == 1


async def test_a_body_that_says_to_be_too_large_is_not_waited_for(world):
    async with world.client() as client:
        await client.send(
            request("POST", "/events", Content_Type="application/json", Content_Length="99999999999")
        )
        assert (await client.answer()).status == 413
        assert await client.is_closed()


async def test_a_body_without_a_length_is_capped_while_it_comes(world):
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    async with world.client() as client:
        await client.send(
            request("POST", "/events", Content_Type="application/json", Transfer_Encoding="chunked")
        )
        for _ in range(40):
            await client.send(chunk)
        # Never ended, never read to the end, and yet the answer arrives.
        assert (await client.answer()).status == 413
    assert world.desk.heard == []


async def test_a_body_in_chunks_is_a_body(world):
    body = json.dumps(start()).encode()
    async with world.client() as client:
        await client.send(
            request("POST", "/events", Content_Type="application/json", Transfer_Encoding="chunked")
        )
        for byte in body:
            await client.send(b"1\r\n" + bytes([byte]) + b"\r\n")
        await client.send(b"0\r\n\r\n")
        assert (await client.answer()).status == 202
    assert len(world.desk.heard) == 1


async def test_a_length_that_lies_cannot_smuggle(world):
    async with world.client() as client:
        # What stands behind the body is another request, and no good one.
        await client.send(
            request("POST", "/events", padded(500), Content_Type="application/json", Content_Length="400")
        )
        assert (await client.answer()).status == 202
        assert (await client.answer()).status == 400
        assert await client.is_closed()
    assert len(world.desk.heard) == 1


async def test_two_kinds_of_length_are_refused(world):
    async with world.client() as client:
        await client.send(
            request("GET", "/healthz", Content_Length="3, 4") + b"abcd",
        )
        assert (await client.answer()).status == 400


async def test_large_bodies_share_what_memory_there_is(world):
    """Seventeen of nearly a megabyte each are begun and not ended: the last one is told to come again."""
    part = b"f0000\r\n" + b" " * 0xF0000 + b"\r\n"
    answers = []

    async def post():
        async with world.client() as client:
            await client.send(
                request("POST", "/events", Content_Type="application/json", Transfer_Encoding="chunked")
            )
            await client.send(part)
            answers.append(await client.answer())
            enough.cancel()

    with trio.CancelScope() as enough:
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(post)
    assert [(answer.status, answer.headers["retry-after"]) for answer in answers] == [(503, "1")]
    async with world.client() as client:
        while (await client.post(start())).status != 202:
            pass  # the server may not have seen yet that they are gone


async def test_two_hundred_posts_at_once_are_stored_once_each(nursery):
    world = World()
    await world.serve(nursery, connections=250)
    statuses = []

    async def post(number):
        async with world.client() as client:
            statuses.append((await client.post(start(f"s{number}"))).status)

    async with trio.open_nursery() as posting:
        for number in range(200):
            posting.start_soon(post, number)
    assert statuses == [202] * 200
    assert sorted(world.desk.ids) == sorted(f"s{number}" for number in range(200))
    assert world.source.taken == 200


async def test_while_nothing_can_be_stored_it_says_so(nursery):
    world = World()
    await world.serve(nursery, store_seconds=0.05)
    world.desk.gate = trio.Event()
    async with world.client() as client:
        answer = await client.post(start("a"))
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert (await client.post(start("b"))).status == 503
        assert (await client.ask("GET", "/healthz")).status == 200
        world.desk.gate.set()
        while (await client.post(start("b"))).status != 202:
            pass
    assert world.desk.ids[0] == "a"  # it was in hand already
    assert set(world.desk.ids) == {"a", "b"}


async def test_a_desk_that_fails_is_asked_again(nursery, logged):
    world = World()
    await world.serve(nursery, store_seconds=0.05)
    world.desk.failures = [RuntimeError("a mistake")]
    async with world.client() as client:
        answer = await client.post(start("a"))
        assert answer is None or answer.status == 503
    await world.until(lambda world: world.source.errors == 1 and world.state.state == "listening")
    async with world.client() as client:
        assert (await client.post(start("a"))).status == 202
    assert "the HTTP server failed and starts again" in logged()
    assert world.desk.ids == ["a"]
