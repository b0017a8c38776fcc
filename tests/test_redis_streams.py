"""The door to redis-py, on real servers of every version that is here."""

from __future__ import annotations

import gc
import shutil
import socket
import ssl
import threading
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import redis_server
import trio
import trustme
from deadlines import until
from redis_server import own_server

from trio_cursor.config.output_sections import RedisConfig, RedisTlsConfig
from trio_cursor.errors import ConfigError
from trio_cursor.redis_address import address_of
from trio_cursor.redis_streams import StreamInfo, StreamReader, id_numbers, thread_limiter
from trio_cursor.redis_trouble import StreamError, Trouble

STREAM = "telemetry:events"


def config(url, **more):
    return RedisConfig(url=url, **more)


@asynccontextmanager
async def reading(where, stream=STREAM, **more):
    """A reader of a URL, a configuration or an address."""
    if isinstance(where, str):
        where = config(where)
    if isinstance(where, RedisConfig):
        where = address_of(where)
    more = {"limiter": thread_limiter(), "block_ms": 1000, **more}
    reader = StreamReader(where, stream, **more)
    try:
        with trio.fail_after(30):
            yield reader
    finally:
        await reader.aclose()


async def trouble_of(where, **more):
    """What a first call says."""
    async with reading(where, **more) as reader:
        with pytest.raises(StreamError) as caught:
            await reader.info()
    return caught.value


def our_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("trio_cursor redis")]


def is_blocked(server):
    """Whether a read waits for an entry."""
    return server.call("INFO", "clients")["blocked_clients"] == 1


def open_files():
    gc.collect()
    place = Path("/proc/self/fd")
    return len(list(place.iterdir())) if place.is_dir() else 0


# --- addresses ---


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost", "redis://localhost:6379"),
        ("redis://svc:secret@127.0.0.1:7000/3", "redis://127.0.0.1:7000/3"),
        ("redis://[::1]:7000", "redis://[::1]:7000"),
        ("redis://[::1]?db=2", "redis://[::1]:6379/2"),
        ("rediss://:secret@redis.example.org", "rediss://redis.example.org:6379"),
        ("unix:///run/redis.sock?db=4&password=secret", "unix:///run/redis.sock?db=4"),
        ("unix://svc:secret@/run/redis%20.sock", "unix:///run/redis .sock"),
        ("redis+sentinel://one,two:7/mymaster/1", "redis+sentinel://one:26379,two:7/mymaster/1"),
        ("redis+cluster://one:7000,[fe80::1]:7001", "redis+cluster://one:7000,[fe80::1]:7001"),
        ("redis://svc:secret@far.example.org?allow_plaintext=true", "redis://far.example.org:6379"),
    ],
)
def test_an_address_is_shown_without_who_goes_there(url, shown):
    address = address_of(config(url))
    assert str(address) == shown
    assert "secret" not in repr(address)
    assert "svc" not in repr(address)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (None, "must start with"),
        ("env", "must start with"),
        ("unix://run/secret", "socket file"),
        ("unix:///", "socket file"),
        ("redis://svc:secret@", "HOST:PORT"),
        ("redis://svc:sec/ret@host", "%40 and %2F"),
        ("redis://host:0", "HOST:PORT"),
        ("redis://host:65536", "HOST:PORT"),
        ("redis://host:secret", "HOST:PORT"),
        ("redis://[::1", "HOST:PORT"),
        ("redis://[]:1", "HOST:PORT"),
        ("redis://[::1]x", "HOST:PORT"),
        ("redis://one,two", "several servers"),
        ("redis://host/secret", "number of a database"),
        ("redis://host/99999999", "number of a database"),
        ("redis://host?ssl_cert_reqs=none", "always verified"),
        ("redis://host?secret=1", "always verified"),
        ("redis://host?tls=true", "rediss://"),
        ("redis+sentinel://host", "sentinels"),
        ("redis+cluster://host/1", "database"),
        ("redis://:secret@far.example.org", "unencrypted"),
        ("redis+sentinel://:secret@localhost,far.example.org/m", "unencrypted"),
        ("redis://svc:12#secret@host", "%23"),
        ("redis://host?password=a#secret", "%23"),
        ("redis+sentinel://svc:12/secret@host/m", "%40 and %2F"),
    ],
)
def test_an_address_that_cannot_be_used_says_what_to_do_and_not_what_it_is(url, words):
    with pytest.raises(ConfigError, match=words) as caught:
        address_of(config(url))
    assert "secret" not in str(caught.value)


def test_a_socket_file_is_refused_where_there_are_none():
    url = "unix://svc:secret@/run/redis.sock"
    with pytest.raises(ConfigError, match="this platform does not have") as caught:
        address_of(config(url), has_socket_files=False)
    assert "secret" not in str(caught.value)
    assert address_of(config(url), has_socket_files=True).path == "/run/redis.sock"
    assert address_of(config("redis://localhost"), has_socket_files=False).hosts == (("localhost", 6379),)


def test_who_and_password_file_and_certificates_come_from_the_configuration():
    tls = RedisTlsConfig(ca="/ca.pem")
    address = address_of(config("rediss://far", username="svc", password_file="/pw", tls=tls))
    assert (address.username, address.password_file, address.tls) == ("svc", "/pw", tls)
    assert address_of(config("rediss://other:pw@far", username="svc")).username == "other"
    assert address_of(config("redis+cluster://far", tls=tls)).tls == tls
    assert address_of(config("redis+cluster://far?tls=true")).tls == RedisTlsConfig()
    assert address_of(config("redis+cluster://far")).tls is None
    with pytest.raises(ConfigError, match="rediss"):
        address_of(config("redis://localhost", tls=tls))
    with pytest.raises(ConfigError, match="unencrypted"):
        address_of(config("redis://far", password_file="/pw"))


def test_ids_are_compared_as_numbers():
    assert id_numbers("5-10") > id_numbers("5-9")
    assert id_numbers("10") == (10, 0)


# --- what a server says ---


@pytest.mark.parametrize("version", redis_server.versions())
async def test_every_version_answers_in_the_same_shape(version):
    with own_server(version=version) as server:
        async with reading(server.url, block_ms=50) as reader:
            assert await reader.info() is None
            assert await reader.read("0-0") == []
            for number in range(1, 6):
                server.add(STREAM, {"event_type": f"n{number}", b"\xff": b"\xfe"}, f"{number}-0")
            server.call("XDEL", STREAM, "5-0")
            server.call("XTRIM", STREAM, "MAXLEN", "3")
            counts = server.version >= (7,)
            assert await reader.info() == StreamInfo(
                length=3,
                first_id="2-0",
                last_generated_id="5-0",
                entries_added=5 if counts else None,
                max_deleted_id="5-0" if counts else None,
            )
            assert await reader.read("2-0", count=1) == [("3-0", {b"event_type": b"n3", b"\xff": b"\xfe"})]
            assert [id_ for id_, _ in await reader.read("0-0")] == ["2-0", "3-0", "4-0"]
            server.call("XTRIM", STREAM, "MAXLEN", "0")
            info = await reader.info()
            assert (info.length, info.first_id, info.last_generated_id) == (0, None, "5-0")
            # One connection for all of it, spoken to in RESP2 whatever redis-py prefers.
            lines = server.call("CLIENT", "LIST").decode().splitlines()
            clients = [dict(word.partition("=")[::2] for word in line.split()) for line in lines]
            (client,) = [client for client in clients if client["cmd"].startswith("xinfo")]
            assert client.get("resp", "2") == "2"


async def test_fields_may_repeat_and_hold_anything(server):
    server.call("XADD", STREAM, "1-1", "a", "first", "a", "last", "", "", "\r\n", "\x00")
    async with reading(server.tcp_url) as reader:
        assert await reader.read("0") == [("1-1", {b"a": b"last", b"": b"", b"\r\n": b"\x00"})]


async def test_a_database_is_chosen(server):
    server.call("SELECT", 0)
    async with reading(f"{server.url}?db=3", block_ms=20) as reader:
        server.add(STREAM, {"a": "b"})
        assert await reader.info() is None


# --- cancelling ---


@pytest.mark.parametrize("way", ["url", "tcp_url"])
async def test_a_blocked_read_is_cancelled_and_leaves_nothing(server, way):
    await trio.to_thread.run_sync(lambda: None)  # whatever Trio opens once
    before = open_files()
    async with reading(getattr(server, way), block_ms=60_000) as reader:
        await reader.info()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.read, "0-0")
            await until(lambda: is_blocked(server))
            nursery.cancel_scope.cancel()
        await until(lambda: our_threads() == [])
        with pytest.raises(StreamError, match="closed by us") as caught:  # never used again
            await reader.read("0-0")
        assert caught.value.trouble is Trouble.AWAY
    assert open_files() == before


async def test_a_read_is_cancelled_during_the_handshake(tmp_path):
    """The server has taken the connection and says nothing to AUTH."""
    with own_server() as server:
        server.stall()
        before = open_files()
        address = f"unix://:pw@{server.path}"
        async with reading(address) as reader:
            with trio.move_on_after(0.1) as scope:
                await reader.info()
            assert scope.cancelled_caught
            await until(lambda: our_threads() == [])
        assert open_files() == before


async def test_a_thread_that_hangs_in_a_name_is_left_alone_and_clears_up(server, monkeypatch):
    """Nothing ends a look-up of a name."""
    release = threading.Event()
    looked_up = threading.Event()
    real = socket.getaddrinfo

    def slow(*arguments, **keywords):
        looked_up.set()
        release.wait(20)
        return real(*arguments, **keywords)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    limiter = thread_limiter()
    before = open_files()
    async with reading(server.tcp_url, limiter=limiter) as reader:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.info)
            await until(looked_up.is_set)
            nursery.cancel_scope.cancel()
        assert limiter.borrowed_tokens == 1
        assert len(our_threads()) == 1
    release.set()
    await until(lambda: limiter.borrowed_tokens == 0)
    await until(lambda: our_threads() == [])
    assert open_files() == before


async def test_a_name_that_is_not_found_for_long_is_a_stall_and_threads_stay_few(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr("trio_cursor.redis_link.OPENING_SECONDS", -2.9)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(20) and [])
    limiter = thread_limiter()
    for _ in range(6):
        error = await trouble_of("redis://localhost", limiter=limiter)
        assert error.trouble is Trouble.STALLED
        assert len(our_threads()) <= 4
    release.set()
    await until(lambda: limiter.borrowed_tokens == 0)


# --- faults ---


@pytest.fixture
def socket_dir():
    directory = redis_server.short_directory()
    yield directory
    shutil.rmtree(directory)


async def test_nobody_listens(server, socket_dir):
    error = await trouble_of(f"redis://localhost:{redis_server.free_port()}")
    assert error.trouble is Trouble.AWAY
    assert "ConnectionRefusedError" in str(error)
    error = await trouble_of(f"unix://{socket_dir}/nothing")
    assert (error.trouble, "FileNotFoundError" in str(error)) == (Trouble.AWAY, True)
    (socket_dir / "file").touch()
    error = await trouble_of(f"unix://{socket_dir}/file/socket")
    assert (error.trouble, "NotADirectoryError" in str(error)) == (Trouble.DENIED, True)
    error = await trouble_of("redis://nowhere.invalid")
    assert (error.trouble, "gaierror" in str(error)) == (Trouble.AWAY, True)


async def test_a_server_killed_under_a_blocked_read():
    with own_server() as server:
        async with reading(server.url, block_ms=60_000) as reader:
            await reader.info()

            async def kill():
                await until(lambda: is_blocked(server))
                await trio.to_thread.run_sync(server.kill)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(kill)
                with pytest.raises(StreamError) as caught:
                    await reader.read("0-0")
        assert caught.value.trouble is Trouble.AWAY


async def test_a_server_restarted_under_an_idle_connection_is_an_error_and_not_a_silent_reconnect():
    with own_server() as server:
        async with reading(server.url) as reader:
            assert await reader.info() is None
            server.kill()
            server.start()
            with pytest.raises(StreamError) as caught:
                await reader.info()
            assert caught.value.trouble is Trouble.AWAY


async def test_a_server_that_stalls(monkeypatch):
    monkeypatch.setattr("trio_cursor.redis_streams.PATIENCE_SECONDS", 0.3)
    with own_server() as server:
        async with reading(server.url, block_ms=1) as reader:
            await reader.info()
            server.stall()
            with pytest.raises(StreamError) as caught:
                await reader.read("0-0")
        assert caught.value.trouble is Trouble.STALLED
        server.resume()


async def test_a_socket_file_whose_owner_takes_nobody(socket_dir):
    """A connect that takes too long, which redis-py 8 stumbles over by itself."""
    with socket.socket(socket.AF_UNIX) as deaf, socket.socket(socket.AF_UNIX) as other:
        deaf.bind(str(socket_dir / "s"))
        deaf.listen(0)
        other.connect(str(socket_dir / "s"))
        error = await trouble_of(f"unix://{socket_dir}/s")
    assert error.trouble in (Trouble.STALLED, Trouble.AWAY)


async def test_a_server_that_still_loads():
    options = ("--rdbcompression", "no", "--loading-process-events-interval-bytes", "1024")
    with own_server(*options, "--key-load-delay", "0") as server:
        for number in range(20):
            server.call("SET", f"key{number}", "x" * 4000)
        server.call("SAVE")
        server.kill()
        server.options[-1] = "50000"  # microseconds for each key
        server.start()
        error = await trouble_of(server.url)
        assert (error.trouble, "LOADING" in str(error)) == (Trouble.AWAY, True)


async def test_wrong_password_and_no_password(server, tmp_path):
    with own_server("--requirepass", "right") as locked:
        for url in (f"redis://:wrong@127.0.0.1:{locked.port}", locked.url, f"unix://svc:wrong@{locked.path}"):
            error = await trouble_of(url)
            assert error.trouble is Trouble.DENIED
            assert "wrong" not in str(error).replace("wrong or missing", "")
        (tmp_path / "pw").write_text("right\nignored\n")
        address = config(locked.tcp_url, password_file=str(tmp_path / "pw"))
        async with reading(address) as reader:
            assert await reader.info() is None
    error = await trouble_of(f"unix://:needless@{server.path}")
    assert error.trouble is Trouble.DENIED
    error = await trouble_of(config(server.url, password_file=str(tmp_path / "missing")))
    assert (error.trouble, "password_file" in str(error)) == (Trouble.DENIED, True)


async def test_a_user_who_may_not(server):
    server.call("ACL", "SETUSER", "svc", "on", ">pw", "resetkeys", "~other", "-@all", "+xread", "+xinfo")
    error = await trouble_of(f"unix://svc:pw@{server.path}")
    assert (error.trouble, "NOPERM" in str(error)) == (Trouble.DENIED, True)
    # What the documentation asks for is enough.
    server.call(
        "ACL", "SETUSER", "other", "on", ">pw", "resetkeys", f"~{STREAM}", "-@all", "+xread", "+xinfo"
    )
    async with reading(f"unix://other:pw@{server.path}", block_ms=1) as reader:
        assert await reader.info() is None
        assert await reader.read("0-0") == []


async def test_the_key_holds_something_else(server):
    server.call("LPUSH", STREAM, "x")
    error = await trouble_of(server.url)
    assert (error.trouble, "WRONGTYPE" in str(error)) == (Trouble.WRONG_TYPE, True)
    assert server.call("TYPE", STREAM) in (b"list", "list")


async def test_too_many_clients():
    with own_server("--maxclients", "1") as server, only_client(server):
        for url in (server.url, server.tcp_url):
            assert (await trouble_of(url)).trouble is Trouble.AWAY


@contextmanager
def only_client(server):
    """Be the one client that a server takes; that which saw it start may not have gone yet."""
    while True:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(server.path)
            with suppress(OSError):
                client.sendall(b"PING\r\n")
            if client.recv(100).startswith(b"+PONG"):
                yield
                return


async def test_a_replica_without_its_master(server):
    options = ("--replicaof", "127.0.0.1", redis_server.free_port(), "--replica-serve-stale-data", "no")
    with own_server(*options) as replica:
        error = await trouble_of(replica.url)
        assert (error.trouble, "MASTERDOWN" in str(error)) == (Trouble.AWAY, True)


async def test_a_server_that_knows_no_streams(server):
    with own_server("--rename-command", "XINFO", "GONE") as old:
        error = await trouble_of(old.url)
        assert (error.trouble, "ERR" in str(error)) == (Trouble.REFUSED, True)


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Trouble.REFUSED),
        (b":1\r\n", Trouble.REFUSED),
        (b"*1\r\n$1\r\na\r\n", Trouble.REFUSED),
        (b"*2\r\n$6\r\nlength\r\n$1\r\nx\r\n", Trouble.REFUSED),
        (b"*x\r\n", Trouble.REFUSED),
        (b"*4\r\n$11\r\nfirst-entry\r\n*1\r\n$6\r\nsecret\r\n$6\r\nlength\r\n:1\r\n", Trouble.REFUSED),
        (b"*4\r\n$17\r\nlast-generated-id\r\n$6\r\nsecret\r\n$11\r\nfirst-entry\r\n$-1\r\n", Trouble.REFUSED),
        (b"*1\r\n" * 100_000, Trouble.REFUSED),
        (b"-secret is what you sent\r\n", Trouble.REFUSED),
        (b"-READONLY secret\r\n", Trouble.AWAY),
        (b"-TRYAGAIN secret\r\n", Trouble.AWAY),
        (b"-CLUSTERDOWN secret\r\n", Trouble.AWAY),
        (b"-UNBLOCKED secret\r\n", Trouble.AWAY),
        (b"-ERR max number of clients reached\r\n", Trouble.AWAY),
        (b"", Trouble.AWAY),
    ],
    ids=lambda value: str(value[:20]) if isinstance(value, bytes) else "",
)
async def test_whatever_it_answers_is_one_error_without_its_text(answer, trouble):
    async with serving(answer) as port:
        error = await trouble_of(f"redis://localhost:{port}")
    assert error.trouble is trouble
    assert "secret" not in str(error)
    assert error.__suppress_context__
    assert error.__cause__ is None


@asynccontextmanager
async def serving(answer, port=0):
    """Somebody who answers the same to every command, and closes after an empty answer."""

    async def serve(stream):
        with suppress_broken():
            async for _ in stream:
                if not answer:
                    return
                await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, port, host="127.0.0.1"))
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@contextmanager
def suppress_broken():
    try:
        yield
    except* (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


# --- TLS, Sentinel, Cluster ---


@asynccontextmanager
async def tls_before(server, authority, name="localhost"):
    """A port that speaks TLS, before a server that need not."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)

    async def pump(source, target):
        async for data in source:
            await target.send_all(data)
        await target.aclose()

    async def serve(stream):
        with suppress_broken():
            async with await trio.open_unix_socket(server.path) as inner, trio.open_nursery() as nursery:
                nursery.start_soon(pump, stream, inner)
                nursery.start_soon(pump, inner, stream)

    async with trio.open_nursery() as nursery:
        serving = partial(trio.serve_ssl_over_tcp, serve, 0, context, host="127.0.0.1", https_compatible=True)
        (listener,) = await nursery.start(serving)
        yield listener.transport_listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def test_tls_with_a_certificate_that_is_trusted_and_of_that_name(server, tmp_path, monkeypatch):
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    trusted = RedisTlsConfig(ca=str(tmp_path / "ca.pem"))
    server.add(STREAM, {"a": "x" * 100_000}, "1-0")
    before = open_files()
    async with tls_before(server, authority) as port:
        async with reading(config(f"rediss://localhost:{port}", tls=trusted), block_ms=60_000) as reader:
            assert (await reader.info()).length == 1
            assert (await reader.read("0-0"))[0][1] == {b"a": b"x" * 100_000}
            with trio.move_on_after(0.1) as scope:
                await reader.read("1-0")
            assert scope.cancelled_caught
            await until(lambda: our_threads() == [])
        for tls in (RedisTlsConfig(), RedisTlsConfig(ca=str(tmp_path / "other.pem"))):
            error = await trouble_of(config(f"rediss://localhost:{port}", tls=tls))
            assert (error.trouble, "certificate" in str(error)) == (Trouble.DENIED, True)
        missing = RedisTlsConfig(ca=str(tmp_path / "missing.pem"))
        error = await trouble_of(config(f"rediss://localhost:{port}", tls=missing))
        assert "[redis.tls]" in str(error)
    async with tls_before(server, authority, "elsewhere.example.org") as port:
        error = await trouble_of(config(f"rediss://localhost:{port}", tls=trusted))
        assert error.trouble is Trouble.DENIED
    async with serving(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        error = await trouble_of(config(f"rediss://localhost:{port}", tls=trusted))
        assert (error.trouble, "TLS" in str(error)) == (Trouble.AWAY, True)
    monkeypatch.setattr("trio_cursor.redis_streams.PATIENCE_SECONDS", 0.2)
    error = await trouble_of(config(f"rediss://localhost:{server.port}", tls=trusted), block_ms=1)
    assert error.trouble in (Trouble.AWAY, Trouble.STALLED)
    await until(lambda: open_files() <= before)


@contextmanager
def own_sentinel(master, *options, name="mymaster"):
    known = (
        f"sentinel monitor {name} 127.0.0.1 {master.port} 1\nsentinel down-after-milliseconds {name} 200\n"
    )
    with own_server("--sentinel", *options, config=known) as sentinel:
        yield sentinel


async def test_a_sentinel_is_asked_for_the_master():
    with own_server() as master, own_sentinel(master) as sentinel:
        dead = redis_server.free_port()
        hosts = f"127.0.0.1:{dead},127.0.0.1:{sentinel.port}"
        master.add(STREAM, {"a": "b"}, "1-0")
        async with reading(f"redis+sentinel://{hosts}/mymaster") as reader:
            assert [id_ for id_, _ in await reader.read("0-0")] == ["1-0"]
        error = await trouble_of(f"redis+sentinel://{hosts}/another")
        assert (error.trouble, "no sentinel knows" in str(error)) == (Trouble.AWAY, True)
        error = await trouble_of(f"redis+sentinel://127.0.0.1:{dead}/mymaster")
        assert "ConnectionRefusedError" in str(error)
        # Whom it names has become a replica of somebody else meanwhile.
        master.call("REPLICAOF", "127.0.0.1", dead)
        error = await trouble_of(f"redis+sentinel://{hosts}/mymaster")
        assert (error.trouble, "no master" in str(error)) == (Trouble.AWAY, True)


async def test_a_sentinel_with_the_password_of_the_server():
    with own_server("--requirepass", "pw") as master, own_sentinel(master, "--requirepass", "pw") as sentinel:
        url = f"redis+sentinel://:%s@127.0.0.1:{sentinel.port}/mymaster"
        async with reading(url % "pw") as reader:
            assert await reader.info() is None
        assert (await trouble_of(url % "no")).trouble is Trouble.DENIED


async def test_a_password_is_not_taken_to_a_host_that_a_sentinel_names():
    async with serving(b"*2\r\n$11\r\nexample.org\r\n$4\r\n6379\r\n") as port:
        error = await trouble_of(f"redis+sentinel://:pw@127.0.0.1:{port}/mymaster")
    assert (error.trouble, "sent on" in str(error)) == (Trouble.DENIED, True)


async def test_a_cluster_of_one_node():
    with own_server("--cluster-enabled", "yes") as node:
        node.call("CLUSTER", "ADDSLOTS", *range(16_384))
        await until(lambda: b"cluster_state:ok" in node.call("CLUSTER", "INFO"))
        node.add(STREAM, {"a": "b"}, "1-0")
        dead = redis_server.free_port()
        async with reading(f"redis+cluster://127.0.0.1:{dead},127.0.0.1:{node.port}") as reader:
            assert [id_ for id_, _ in await reader.read("0-0")] == ["1-0"]
        async with reading(f"redis+cluster://127.0.0.1:{node.port},127.0.0.1:{dead}", "another") as reader:
            assert await reader.info() is None
        error = await trouble_of(f"redis+cluster://127.0.0.1:{dead}")
        assert error.trouble is Trouble.AWAY


async def test_a_node_that_knows_where_the_stream_is(server):
    """Of a cluster only the redirection is played."""
    server.add(STREAM, {"a": "b"}, "1-0")
    for host in ("127.0.0.1", "", "?"):
        moved = f"-MOVED 631 {host}:{server.port}\r\n".encode()
        async with serving(moved) as port, reading(f"redis+cluster://localhost:{port}") as reader:
            assert [id_ for id_, _ in await reader.read("0-0")] == ["1-0"]


async def test_nodes_that_send_us_round_in_a_circle():
    port = redis_server.free_port()
    async with serving(f"-MOVED 631 127.0.0.1:{port}\r\n".encode(), port=port):
        error = await trouble_of(f"redis+cluster://127.0.0.1:{port}")
    assert (error.trouble, "MOVED" in str(error)) == (Trouble.AWAY, True)
