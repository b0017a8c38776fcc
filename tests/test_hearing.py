"""How a service comes to its sources of sessions and its HTTP server, and what it says of those that fail."""

from __future__ import annotations

import threading

import attrs
import pytest
import redis_server
import trio
from cursor_files import make_workspace, ring_item
from deadlines import until, within
from http_client import Client, request
from serving import MONITOR, running_service

import trio_cursor
from trio_cursor import hearing, page_index
from trio_cursor.config import (
    AssemblyConfig,
    Config,
    CursorConfig,
    HttpConfig,
    RedisConfig,
    SessionsConfig,
    StateConfig,
)
from trio_cursor.errors import ConfigError


@pytest.fixture
def config(user_dir, tmp_path):
    return Config(
        http=HttpConfig(listen="off"),
        cursor=CursorConfig(dirs=(str(user_dir),)),
        state=StateConfig(dir=str(tmp_path / "state")),
        sessions=SessionsConfig(files_dir=str(tmp_path / "sessions")),
    )


def use_all_of_trios_threads():
    """As a host may, for the rest of the run."""
    limiter = trio.to_thread.current_default_thread_limiter()
    for _ in range(int(limiter.available_tokens)):
        limiter.acquire_on_behalf_of_nowait(object())


@within(30)
async def test_a_token_file_that_does_not_answer_holds_up_nobody_but_the_service(config, monkeypatch):
    begun, answer = threading.Event(), threading.Event()

    def check(*arguments):
        begun.set()
        answer.wait(20)

    monkeypatch.setattr(hearing, "check_listen", check)
    config = attrs.evolve(config, http=HttpConfig(listen="127.0.0.1:0", token_file="/token"))
    use_all_of_trios_threads()
    try:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio_cursor.serve, config)
                await until(begun.is_set)
                nursery.cancel_scope.cancel()
    finally:
        answer.set()


@within(30)
async def test_a_token_file_that_cannot_be_used_ends_the_start(config, tmp_path):
    config = attrs.evolve(config, http=HttpConfig(listen="127.0.0.1:0", token_file=str(tmp_path / "none")))
    with pytest.raises(ConfigError, match="cannot be read"):
        await trio_cursor.serve(config)


@within(30)
async def test_a_redis_that_is_not_there_is_an_alarm_and_a_directory_that_is_not_there_is_none(
    config, tmp_path
):
    url = f"redis://127.0.0.1:{redis_server.free_port()}"
    config = attrs.evolve(config, redis=RedisConfig(url=url))
    files = tmp_path / "sessions"
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, config)
        await until(lambda: len(handle.status().alarms) == 2)
        written, read = handle.status().alarms
        redis, looked_for, *_ = handle.status().sources
        assert (redis.state, looked_for.state, looked_for.errors) == ("waiting", "waiting", 0)
        assert read == f"session source {redis.name}: {redis.last_error}"
        assert written == f"output redis_stream:{url} telemetry:events: {redis.last_error}"
        assert "nothing listens there" in read
        files.touch()
        await until(lambda: handle.status().sources[1].state == "error")
        assert [item.split(":")[0] for item in handle.status().alarms] == [
            "output redis_stream",
            "session source redis",
            "session source files",
        ]
        files.unlink()
        await until(lambda: handle.status().sources[1].state == "waiting")
        assert handle.status().alarms == (written, read)
        nursery.cancel_scope.cancel()


@within(30)
async def test_a_redis_that_answers_is_no_alarm(config):
    server = redis_server.RedisServer()
    try:
        config = attrs.evolve(config, redis=RedisConfig(url=server.url))
        async with trio.open_nursery() as nursery:
            handle = await nursery.start(trio_cursor.serve, config)
            await until(lambda: handle.status().sources[0].state == "connected")
            assert handle.status().alarms == ()
            server.kill()
            await until(lambda: handle.status().alarms)
            server.start()
            await until(lambda: not handle.status().alarms)
            assert handle.status().sources[0].errors > 0
            nursery.cancel_scope.cancel()
    finally:
        server.close()


@within(30)
async def test_without_a_server_nothing_is_left_that_nobody_keeps_up_to_date(config, tmp_path, logged):
    index = tmp_path / "state" / page_index.FILE_NAME
    (tmp_path / "state").mkdir(mode=0o700)
    index.write_bytes(b"texts")
    async with running_service(config):
        assert not index.exists()
    # What cannot be removed is said, and stops nothing.
    index.mkdir()
    async with running_service(config):
        assert "the page's index cannot be removed" in logged()


@within(30)
async def test_the_page_shows_what_the_service_reports(config, user_dir):
    make_workspace(user_dir, "a1", [ring_item(type="cmdk", textDescription="what is this")])
    config = attrs.evolve(
        config,
        http=HttpConfig(listen="127.0.0.1:0"),
        cursor_database_monitor=MONITOR,
        assembly=AssemblyConfig(ring_grace_seconds=0),
    )
    async with running_service(config) as handle:
        await until(lambda: handle.status().generations)
        port = int(handle.status().http.address.rpartition(":")[2])
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            client = Client(stream)
            answer = await client.ask("GET", "/?q=what")
            assert b"1 generation found" in answer.body
            # An open stream of events keeps nobody from ending.
            await client.send(request("GET", "/api/events"))
            assert (await client.answer(has_body=False)).status == 200
