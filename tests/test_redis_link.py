"""One connection: what it is called, several commands at once, and what it says of those it asked."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest
import redis_server
from redis.exceptions import DataError, ResponseError
from redis_server import RULES, own_server

from trio_cursor.config.output_sections import RedisConfig
from trio_cursor.redis_address import address_of
from trio_cursor.redis_link import CLIENT_NAME, Link
from trio_cursor.redis_nodes import KnownNodes
from trio_cursor.redis_trouble import StreamError, Trouble
from trio_cursor.version import __version__

STREAM = "telemetry:events"


@contextmanager
def linking(url, key=STREAM, **more):
    link = Link(address_of(RedisConfig(url=url)), key, answer_seconds=5, **more)
    try:
        yield link
    finally:
        link.close()


def names(server):
    """What the clients of a server are called."""
    lines = server.call("CLIENT", "LIST").decode().splitlines()
    return [dict(word.partition("=")[::2] for word in line.split(" "))["name"] for line in lines]


# --- whose mistake it is ---


@pytest.mark.parametrize("url", ["url", "tcp_url"])
def test_a_mistake_of_ours_comes_out_as_it_is(server, url):
    def before(link):
        return int("ours")

    def of_a_command(link):
        link.ask("GET", "x")
        link.ask("GET", None)

    def of_a_text(link):
        link.ask_all([("GET", "\ud800")])

    def after(link):
        link.ask("GET", "x")
        link.understood()
        return {}["ours"]

    for mistake, error in (
        (before, ValueError),
        (of_a_command, DataError),
        (of_a_text, UnicodeEncodeError),
        (after, KeyError),
    ):
        with linking(getattr(server, url)) as link:
            with pytest.raises(error):
                link.run(partial(mistake, link))
            with pytest.raises(StreamError):
                link.run(lambda used=link: used.ask("PING"))


def test_an_answer_that_is_not_as_it_should_be_is_the_servers(server):
    with linking(server.url) as link, pytest.raises(StreamError, match="ValueError: it does not answer as"):
        link.run(lambda: int(link.ask("PING")))


# --- the name ---


@pytest.mark.parametrize("version", redis_server.versions())
def test_a_server_sees_who_is_connected(version):
    with own_server(version=version) as server:
        for url in (server.url, server.tcp_url):
            with linking(url) as link:
                link.run(lambda used=link: used.ask("XLEN", STREAM))
                assert names(server).count(CLIENT_NAME) == 1
    assert f"trio-cursor/{__version__}" == CLIENT_NAME


@pytest.mark.parametrize("version", redis_server.versions())
def test_who_may_not_say_its_name_works_without(version):
    with own_server(version=version) as server:
        rules = (*(rule for rule in RULES if rule not in ("+client", "+info", "+hello")), "+xlen")
        server.call("ACL", "SETUSER", "svc", "on", ">pw", *rules)
        with linking(f"unix://svc:pw@{server.path}") as link:
            assert link.run(lambda: link.ask("XLEN", STREAM)) == 0
            assert CLIENT_NAME not in names(server)


# --- several commands at once ---


def test_several_commands_are_answered_in_order_and_words_may_be_bytes(server):
    with linking(server.url) as link:
        commands = [
            ("SET", "n", 1),
            (b"SET", b"\xff", b"\r\n\x00"),
            ("GET", b"\xff"),
            ("INCR", "n"),
            ("GET", "?"),
        ]
        assert link.run(lambda: link.ask_all(commands)) == [b"OK", b"OK", b"\r\n\x00", 2, None]
        assert link.run(lambda: link.ask("GET", b"\xff")) == b"\r\n\x00"
        assert link.run(lambda: link.ask_all([])) == []


def test_a_transaction_is_one_of_them(server):
    with linking(server.url) as link:
        words = [("WATCH", "n"), ("GET", "n")]
        assert link.run(lambda: link.ask_all(words)) == [b"OK", None]
        words = [("MULTI",), ("SET", "n", "1"), ("XADD", STREAM, "1-1", "a", "b"), ("EXEC",)]
        assert link.run(lambda: link.ask_all(words))[-1] == [b"OK", b"1-1"]
        link.run(lambda: link.ask("WATCH", "n"))
        server.call("SET", "n", "somebody else's")
        assert link.run(lambda: link.ask_all([("MULTI",), ("SET", "n", "2"), ("EXEC",)]))[-1] is None
        assert server.call("GET", "n") == b"somebody else's"


@pytest.mark.parametrize(
    ("commands", "word"),
    [
        ([("SET", "n", 1), ("LPUSH", "n", 1), ("XADD", "n"), ("GET", "n")], "WRONGTYPE"),
        ([("MULTI",), ("XADD", "n"), ("SET", "n", 1), ("EXEC",)], "wrong number"),
        ([("MULTI",), ("SET", "n", 1), ("LPUSH", "n", 1), ("EXEC",)], "WRONGTYPE"),
    ],
    ids=["the first", "and not EXECABORT", "within EXEC"],
)
def test_of_several_errors_the_first_is_raised_and_the_connection_is_in_step(server, commands, word):
    with linking(server.url) as link:

        def work():
            with pytest.raises(ResponseError, match=word):
                link.ask_all(commands)
            return link.ask("ECHO", "in step")

        assert link.run(work) == b"in step"
        with pytest.raises(StreamError) as caught:
            link.run(lambda: link.ask_all(commands))
        assert caught.value.trouble in (Trouble.REFUSED, Trouble.WRONG_TYPE)
        with pytest.raises(StreamError, match="closed by us"):
            link.run(lambda: link.ask("PING"))


# --- what its errors mean ---


@pytest.mark.parametrize(
    ("answer", "trouble", "words"),
    [
        (
            "-BUSY Redis is busy running a script. You can only call SCRIPT KILL",
            Trouble.AWAY,
            "BUSY: a script",
        ),
        (
            "-DENIED Redis is running in protected mode because",
            Trouble.DENIED,
            "DENIED: it is in protected mode",
        ),
        (
            "-ERR max request size exceeded. Limit: 1048576 bytes",
            Trouble.REFUSED,
            "ERR: it takes no values as",
        ),
        (
            "-ERR unknown command 'XADD'",
            Trouble.REFUSED,
            "ERR: it does not know the command; is it Redis 6.2",
        ),
        ("-ERR Invalid stream ID", Trouble.REFUSED, "ERR: it refuses the command"),
        ("-CROSSSLOT Keys in request", Trouble.REFUSED, "CROSSSLOT: it refuses the command"),
    ],
)
def test_an_answer_that_is_an_error_says_what_to_do(answer, trouble, words):
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:

        def serve():
            """Everything is answered so but what precedes the question."""
            with listener.accept()[0] as peer, peer.makefile("rb") as lines:
                for line in lines:
                    if line.startswith(b"*"):
                        lines.readline()
                        word = lines.readline().strip()
                        peer.sendall(f"{answer}\r\n".encode() if word == b"XLEN" else b"+OK\r\n")

        done = pool.submit(serve)
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}"
        with linking(url) as link, pytest.raises(StreamError) as caught:
            link.run(lambda: link.ask("XLEN", STREAM))
        done.result(5)
    assert caught.value.trouble is trouble
    assert str(caught.value).startswith(words)


# --- whom to ask the next time ---


def test_whoever_was_waited_for_in_vain_is_asked_last():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        hosts = [deaf.getsockname(), ("127.0.0.1", 1), ("127.0.0.1", 2)]
        known = KnownNodes(hosts)
        url = "redis+cluster://" + ",".join(f"{name}:{port}" for name, port in hosts)
        with linking(url, known=known) as link, ThreadPoolExecutor() as threads:
            asked = threads.submit(link.run, lambda: link.ask("XLEN", STREAM))
            with deaf.accept()[0] as connection:
                assert connection.recv(1)
                assert link.cut()
                assert isinstance(asked.exception(20), StreamError)
    assert known.in_order() == [*hosts[1:], hosts[0]]


def test_whoever_led_there_stays_first_when_it_is_we_who_end_it(server):
    known = KnownNodes([("127.0.0.1", server.port), ("127.0.0.1", 1)])
    with linking(server.tcp_url.replace("redis:", "redis+cluster:"), known=known) as link:
        with ThreadPoolExecutor() as threads:
            asked = threads.submit(link.run, lambda: link.ask("XREAD", "BLOCK", 0, "STREAMS", STREAM, "0"))
            while server.call("INFO", "clients")["blocked_clients"] != 1:
                time.sleep(0.005)
            assert link.cut()
            assert isinstance(asked.exception(20), StreamError)
        assert known.in_order() == [("127.0.0.1", server.port), ("127.0.0.1", 1)]
