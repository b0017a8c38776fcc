"""The server as a neighbour: where it listens, what it survives, how it ends. Real sockets, real time."""

from __future__ import annotations

import errno
import gc
import socket
import subprocess
import sys
import threading
from functools import partial

import attrs
import pytest
import trio
from http_client import World, descriptors, request, start

from trio_cursor.status import disabled
from trio_cursor.web import server
from trio_cursor.web.server import serve_http


def test_the_command_line_does_not_pay_for_a_server():
    """Neither starlette nor hypercorn is imported before something is served."""
    code = """
import sys, trio_cursor.web.server
print([name for name in ("starlette", "hypercorn", "h11") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"[]\n"


async def test_it_says_where_it_listens_and_when_no_more(nursery):
    world = World()
    async with trio.open_nursery() as serving:
        await world.serve(serving)
        assert world.state.state == world.source.state.replace("connected", "listening") == "listening"
        assert world.state.address == f"127.0.0.1:{world.port}"
        assert world.port > 0
        serving.cancel_scope.cancel()
    assert world.state.state == "off"


@pytest.mark.parametrize("listen", ["localhost:0", "LOCALHOST:0"])
async def test_localhost_is_both_of_its_addresses(nursery, listen):
    world = World()
    await world.serve(nursery, listen)
    assert world.state.address == f"{listen.rpartition(':')[0]}:{world.port}"
    hosts = ["127.0.0.1", "::1"] if socket.has_ipv6 and _has_loopback6() else ["127.0.0.1"]
    for host in hosts:
        async with world.client(host) as client:
            assert (await client.ask("GET", "/healthz")).status == 200


def _has_loopback6():
    with socket.socket(socket.AF_INET6) as probe:
        return probe.connect_ex(("::1", 9, 0, 0)) in (0, errno.ECONNREFUSED)


@pytest.mark.skipif(not _has_loopback6(), reason="this machine has no IPv6")
async def test_an_address_of_ipv6_is_written_in_brackets(nursery):
    world = World()
    await world.serve(nursery, "[::1]:0")
    assert world.state.address == f"[::1]:{world.port}"
    async with world.client("::1") as client:
        assert (await client.ask("GET", "/healthz", Host=world.state.address)).status == 200


async def test_a_name_is_resolved(nursery):
    world = World()
    await world.serve(nursery, f"{socket.gethostname()}:0", token="0123456789abcdef")
    assert world.state.state in ("listening", "error")  # not every machine resolves its own name


async def test_no_thread_and_no_descriptor_is_left_whatever_the_clients_do():
    world = World()
    await _one_round(world)  # what is imported and opened once
    gc.collect()
    before, threads = descriptors(), threading.active_count()
    took = await _one_round(World())
    gc.collect()
    assert descriptors() == before
    assert threading.active_count() <= threads
    assert took < 1  # 50 ms are measured by hand


async def _one_round(world):
    """Idle clients, dripping ones, one that reads no answer, one that waits for the desk: then cancel."""
    world.status = attrs.evolve(disabled(), alarms=("x" * 30_000_000,))
    world.desk.gate = trio.Event()
    streams = []
    async with trio.open_nursery() as serving:
        await world.serve(serving)
        for data in (
            b"",
            b"GET /sta",
            request("POST", "/events", Content_Type="application/json", Content_Length="100") + b"[",
            request("GET", "/status"),
            request("POST", "/events", b"[]", Content_Type="text/plain"),
            request("POST", "/events", b'{"event": {"event_type": "x"}}', Content_Type="application/json"),
        ):
            stream = await trio.open_tcp_stream("127.0.0.1", world.port)
            await stream.send_all(data)
            streams.append(stream)
        async with world.client() as client:
            await client.ask("GET", "/healthz")
            serving.start_soon(client.post, start())
            await world.until(lambda world: world.desk.calls == 1)
            began = trio.current_time()
            serving.cancel_scope.cancel()
    took = trio.current_time() - began
    for stream in streams:
        await trio.aclose_forcefully(stream)
    return took


async def test_a_port_in_use_is_a_state_and_it_is_tried_again(nursery, logged, monkeypatch):
    monkeypatch.setattr(server, "_RETRY_FIRST_SECONDS", 0.02)
    world = World()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        await world.serve(nursery, f"127.0.0.1:{port}")  # returns all the same
        assert world.state.state == world.source.state == "error"
        assert world.state.last_error == world.source.last_error == "Address already in use"
        await world.until(lambda world: world.source.errors > 2)
        assert logged().count("the HTTP server cannot listen; trying again") == 1
    await world.until(lambda world: world.state.state == "listening")
    assert (world.state.last_error, world.source.last_error, world.source.state) == (None, None, "connected")
    assert "the HTTP server listens again" in logged()
    async with world.client() as client:
        assert (await client.post(start())).status == 202


@pytest.mark.parametrize(
    "listen", ["203.0.113.1:0", "no.such.host.invalid:0", f"{'a' * 70}.invalid:0", "a..b:0"]
)
async def test_an_address_that_is_not_ours_is_a_state(nursery, listen):
    world = World()
    await world.serve(nursery, listen, token="0123456789abcdef")
    assert world.state.state == "error"
    assert world.state.last_error


async def test_a_mistake_in_the_application_beside_is_logged_and_it_starts_again(
    nursery, logged, monkeypatch
):
    monkeypatch.setattr(server, "_RETRY_FIRST_SECONDS", 0.0123)
    runs, pauses, sleep = [], [], trio.sleep

    async def sleep_told(seconds):
        pauses.append(seconds)
        await sleep(seconds)

    monkeypatch.setattr(trio, "sleep", sleep_told)

    async def beside():
        runs.append(len(runs))
        if len(runs) < 4:
            raise RuntimeError("a mistake")
        if len(runs) == 4:
            raise RuntimeError("another mistake")
        await trio.sleep_forever()

    world = World()
    await nursery.start(partial(serve_http, "127.0.0.1:0", None, world.state, beside=beside))
    await world.until(lambda world: len(runs) == 5 and world.state.state == "listening")
    wanted = [0.0123 * 2**number for number in range(4)]
    assert [pause for pause in pauses if pause in wanted] == wanted  # more and more patient
    # Each mistake is told with its trace once, and that there is one each time.
    assert logged().count("the HTTP server failed and starts again") == 2
    assert logged().count("the HTTP server cannot listen; trying again") == 4


async def test_an_application_that_breaks_off_hurts_nobody_else(nursery, logged):
    async def app(scope, receive, send):
        if scope["path"] == "/broken":
            raise RuntimeError("a mistake")
        if scope["path"] == "/half":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise RuntimeError("a mistake")
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    world = World()
    await nursery.start(serve_http, "127.0.0.1:0", app, world.state)
    async with world.client() as client, world.client() as other:
        assert (await client.ask("GET", "/broken")).status == 500
        await other.send(request("GET", "/half"))
        assert b"half" in await _all_of(other)
    async with world.client() as client:
        assert (await client.ask("GET", "/")).status == 204
        assert (await client.ask("GET", "/")).status == 204
    assert logged().count("a request failed") == 2


async def _all_of(client):
    found = b""
    async for data in client.stream:
        found += data
    return found


async def test_nothing_is_written_to_the_terminal(nursery, capfd):
    world = World()
    world.status = RuntimeError("a mistake")
    await world.serve(nursery)
    async with world.client() as client:
        await client.ask("GET", "/status")
        await client.send(b"nonsense\r\n\r\n")
        await client.answer()
    # pytest holds the library's own records back.
    assert capfd.readouterr() == ("", "")


async def test_who_has_served_for_long_is_patient_anew_and_says_everything_anew(nursery, logged, monkeypatch):
    monkeypatch.setattr(server, "_RETRY_FIRST_SECONDS", 0.01)
    monkeypatch.setattr(server, "_RETRY_MOST_SECONDS", 0.05)
    runs = []

    async def beside():
        runs.append(trio.current_time())
        await trio.sleep(0.06)
        raise RuntimeError("a mistake")

    world = World()
    await nursery.start(partial(serve_http, "127.0.0.1:0", None, world.state, beside=beside))
    await world.until(lambda world: len(runs) == 4)
    assert logged().count("the HTTP server failed and starts again") == 3


async def test_of_a_name_with_several_addresses_all_are_taken_or_none(nursery, monkeypatch):
    """Another program has one of them: whoever asks for the name must not find it half of the time."""
    with socket.create_server(("127.0.0.2", 0)) as other:
        port = other.getsockname()[1]

        async def numbers(_, __):
            return "127.0.0.1", "127.0.0.2"

        monkeypatch.setattr(server, "_numbers", numbers)
        before = descriptors()
        with pytest.raises(OSError, match="in use"):
            await server._open(f"demo.example:{port}", trio.CapacityLimiter(1))
        assert descriptors() == before
