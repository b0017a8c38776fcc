"""To whichever address of a name answers, whatever the host does with its threads."""

from __future__ import annotations

import socket

import pytest
import trio
from deadlines import within

from trio_cursor import connecting
from trio_cursor.connecting import open_stream

#: Reserved for documents: nobody is there, and nobody says so.
NOWHERE = "203.0.113.1"


@pytest.fixture
async def port(nursery):
    async def greet(stream):
        await stream.send_all(b"here")

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, greet, [listener])
    yield listener.socket.getsockname()[1]
    nursery.cancel_scope.cancel()


def known_as(*numbers):
    """A name that stands for these."""

    whole = socket.getaddrinfo

    def look_up(host, *more, **others):
        if host != "name.example":  # Trio, of what is in digits
            return whole(host, *more, **others)
        families = [socket.AF_INET6 if ":" in number else socket.AF_INET for number in numbers]
        return [
            (family, socket.SOCK_STREAM, 6, "", (number, 0, 0, 0) if ":" in number else (number, 0))
            for family, number in zip(families, numbers, strict=True)
        ]

    return look_up


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@within(20)
async def test_by_number_or_by_name(port, host):
    async with await open_stream(host, port) as stream:
        assert await stream.receive_some() == b"here"


@within(20)
async def test_a_host_that_uses_all_of_trios_threads_keeps_nobody_from_it(port):
    limiter = trio.to_thread.current_default_thread_limiter()
    for _ in range(int(limiter.total_tokens)):
        limiter.acquire_on_behalf_of_nowait(object())
    async with await open_stream("localhost", port) as stream:
        assert await stream.receive_some() == b"here"


@pytest.mark.parametrize("others", [("127.0.0.2",), ("::1", "127.0.0.2", "127.0.0.2"), (NOWHERE,)])
@within(20)
async def test_an_address_where_nobody_listens_or_answers_is_passed_over(port, monkeypatch, others):
    whole = trio.open_tcp_stream

    async def open_or_hang(host, port):
        if host == NOWHERE:
            await trio.sleep_forever()
        return await whole(host, port)

    monkeypatch.setattr(trio, "open_tcp_stream", open_or_hang)
    monkeypatch.setattr(connecting.socket, "getaddrinfo", known_as(*others, "127.0.0.1"))
    async with await open_stream("name.example", port) as stream:
        assert await stream.receive_some() == b"here"


@within(20)
async def test_where_nobody_listens_at_all_the_first_reason_is_told(port, monkeypatch):
    monkeypatch.setattr(connecting.socket, "getaddrinfo", known_as("127.0.0.2", "127.0.0.3"))
    with pytest.raises(OSError, match=r"127\.0\.0\.2"):
        await open_stream("name.example", port)


@within(20)
async def test_of_two_that_answer_at_once_one_is_let_go(port, monkeypatch):
    opened, both, whole = [], trio.Event(), trio.open_tcp_stream

    async def open_together(_, port):
        opened.append(stream := await whole("127.0.0.1", port))
        if len(opened) == 2:
            both.set()
        else:
            await both.wait()
        return stream

    monkeypatch.setattr(trio, "open_tcp_stream", open_together)
    monkeypatch.setattr(connecting.socket, "getaddrinfo", known_as("127.0.0.1", "127.0.0.2"))
    async with await open_stream("name.example", port) as stream:
        assert [one.socket.fileno() for one in opened if one is not stream] == [-1]
        assert await stream.receive_some() == b"here"


@pytest.mark.parametrize(
    ("address", "text"),
    [(("fe80::1", 0, 0, 3), "fe80::1%3"), (("::1", 0, 0, 0), "::1"), (("127.0.0.1", 0), "127.0.0.1")],
)
def test_an_address_of_the_link_has_its_interface(address, text):
    assert connecting._text(address) == text
