"""Health, status, and who is let in: every answer but those of the intake, over real sockets."""

from __future__ import annotations

import json

import attrs
import pytest
from http_client import World, start

from trio_cursor.status import disabled

TOKEN = "0123456789abcdef-token"


@pytest.fixture
async def world(nursery):
    world = World()
    await world.serve(nursery)
    return world


async def test_health_says_that_it_is_alive(world):
    async with world.client() as client:
        answer = await client.ask("GET", "/healthz")
        assert (answer.status, answer.json) == (200, {"status": "ok"})


async def test_readiness_says_why_not(world):
    async with world.client() as client:
        answer = await client.ask("GET", "/readyz")
        assert (answer.status, answer.json) == (200, {"status": "ready", "why": []})
        world.why += ["the event log cannot be written"]
        answer = await client.ask("GET", "/readyz")
        assert (answer.status, answer.json) == (503, {"status": "not ready", "why": world.why})


async def test_status_is_all_of_it(world):
    world.status = attrs.evolve(disabled(), alarms=("a name that is no text: \udcff",), progress=(1, 2))
    async with world.client() as client:
        answer = await client.ask("GET", "/status")
        assert answer.status == 200
        assert answer.json == json.loads(json.dumps(world.status.to_object()))


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/status"])
async def test_head_is_get_without_the_body(world, path):
    async with world.client() as client:
        answer = await client.ask("HEAD", path)
        assert answer.status == 200
        assert int(answer.headers["content-length"]) > 0
        assert (await client.ask("GET", "/healthz")).status == 200  # nothing came after the head


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *(("GET", "/nothing", 404), ("GET", "/healthz/", 404), ("GET", "//evil.example/", 404)),
        *(("GET", "http://evil.example/status", 404), ("GET", "/%2e%2e/%00%0d%0a", 404)),
        *(
            ("GET", "/events", 405),
            ("HEAD", "/events", 405),
            ("POST", "/status", 405),
            ("OPTIONS", "/events", 405),
        ),
        *(("DELETE", "/events", 405), ("TRACE", "/status", 405), ("PRI", "*", 404)),
    ],
)
async def test_everything_else_is_refused_in_json(world, method, path, status):
    async with world.client() as client:
        answer = await client.ask(method, path)
        assert answer.status == status
        assert method == "HEAD" or set(answer.json) == {"error"}
        assert (status == 405) == ("allow" in answer.headers)


async def test_no_answer_is_kept_guessed_or_shared(world):
    async with world.client() as client:
        answers = [
            await client.ask("GET", "/status"),
            await client.ask("GET", "/nothing"),
            await client.ask("GET", "/status", Host="evil.example"),
            await client.ask("OPTIONS", "/events", Origin="http://evil.example"),
            await client.post(start()),
        ]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not [name for name in answer.headers if name.startswith("access-control") or name == "server"]


async def test_a_mistake_of_ours_is_an_answer_and_a_line(world, logged):
    world.status = RuntimeError("a mistake")
    async with world.client() as client:
        answer = await client.ask("GET", "/status")
        assert (answer.status, set(answer.json)) == (500, {"error"})
        assert (await client.ask("GET", "/healthz")).status == 200
    assert "a request failed" in logged()


async def test_a_token_is_asked_for(nursery):
    world = World()
    await world.serve(nursery, token=TOKEN)
    async with world.client() as client:
        answer = await client.post(start())
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert (await client.post(start(), Authorization="Bearer wrong")).status == 401
        assert world.desk.heard == []
        assert (await client.post(start(), Authorization=f"Bearer {TOKEN}")).status == 202
        assert (await client.ask("GET", "/healthz")).status == 200
        assert (await client.ask("GET", "/status")).status == 401


async def test_neither_foreign_names_nor_foreign_pages_reach_the_intake(world):
    async with world.client() as client:
        assert (await client.post(start(), Host="evil.example")).status == 421
        assert (await client.post(start(), Origin="http://evil.example")).status == 403
        assert (await client.post(start(), Host=f"127.0.0.1:{world.port}")).status == 202
        origin = f"http://localhost:{world.port}"
        assert (await client.post(start(), Host=f"127.0.0.1:{world.port}", Origin=origin)).status == 202
    assert len(world.desk.heard) == 2


async def test_a_request_without_a_host_is_refused(world):
    async with world.client() as client:
        await client.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert (await client.answer()).status == 421
    async with world.client() as client:
        await client.send(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert (await client.answer()).status == 400


async def test_a_refusal_before_a_large_body_is_heard(world):
    async with world.client() as client:
        answer = await client.post(b" " * 1024 * 1024, Host="evil.example")
        assert answer.status == 421
