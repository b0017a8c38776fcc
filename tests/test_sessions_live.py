"""Sessions announced by a real Redis, by HTTP and by files: what the service reports, and whose it is."""

from __future__ import annotations

import json
import random
import signal
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import attrs
import pytest
import running
import trio
from announced import (
    STREAM,
    Place,
    announced_config,
    fields,
    in_mode,
    now_ms,
    session_is_open,
    sessions_of,
)
from deadlines import until, within
from redis_server import RedisServer
from serving import by_id, open_files, reported, running_service, watchers, working_threads

from trio_cursor.config import Config, HttpConfig, RedisConfig
from trio_cursor.sessions import registry
from trio_cursor.status_file import read_status


@pytest.fixture
def server():
    started = RedisServer()
    yield started
    started.close()


@pytest.fixture
def config(user_dir, tmp_path, server):
    return announced_config(user_dir, tmp_path, redis=RedisConfig(url=server.tcp_url))


@attrs.define
class Announcer:
    """The extension in as many windows as there are."""

    server: RedisServer
    config: Config

    def start(self, session_id, place, **payload):
        return self.server.add(STREAM, fields("session_start", session_id, place, **payload))

    def end(self, session_id, place, **payload):
        return self.server.add(STREAM, fields("session_end", session_id, place, **payload))


@pytest.fixture
def redis(server, config):
    return Announcer(server, config)


# -- Start, end, and what is late ----------------------------------------------------------------------


@within(30)
async def test_a_workspace_is_watched_from_its_first_start_to_the_grace_after_its_last_end(
    user_dir, config, redis
):
    mine, other = Place.made(user_dir, "mine"), Place.made(user_dir, "other")
    redis.server.call("PING")  # its client's connection is ours
    threads, files = working_threads(), open_files()
    async with running_service(config) as handle:
        await handle.synced()
        ignored = [mine.ask(), other.ask()]
        assert handle.status().workspaces == ()
        redis.start("a", mine)
        await session_is_open(handle, "a")
        redis.start("b", mine)
        await session_is_open(handle, "b")
        redis.end("a", mine)
        await until(lambda: sessions_of(handle) == {"mine": {"b"}})
        asked = mine.ask()
        found = await reported(handle, asked)
        assert found[asked].session_id == "b"
        # What was there before anybody had come belongs to the first who came after it.
        assert found[ignored[0]].session_id == "a"
        assert watchers() == 2  # the global database is read with it
        redis.end("b", mine)
        await until(lambda: not sessions_of(handle))
        late = mine.ask()
        assert (await reported(handle, late))[late].session_id == "b"
        await until(lambda: watchers() == 0)
        nobodys = [mine.ask(), other.ask()]
        # Whoever sees a workspace that is newer has looked at these two, too.
        newer = Place.made(user_dir, "newer")
        redis.start("n", newer)
        await session_is_open(handle, "n")
        await reported(handle, newer.ask())
        assert handle.status().generations == 4
        # It is the next one's, who comes soon enough.
        redis.start("c", mine)
        assert (await reported(handle, nobodys[0]))[nobodys[0]].session_id == "c"
        everything = await reported(handle, nobodys[0])
        assert sorted(event.session_id for event in everything.values()) == ["a", "b", "b", "c", "n"]
    await until(lambda: working_threads() <= threads)
    assert {name for _, name in open_files()} <= {name for _, name in files}


@within(30)
async def test_what_began_before_the_end_and_is_written_after_it_belongs_to_the_session(
    user_dir, config, redis
):
    place = Place.made(user_dir, "mine")
    config = attrs.evolve(config, sessions=attrs.evolve(config.sessions, end_grace_seconds=20))
    async with running_service(config) as handle:
        redis.start("a", place)
        await session_is_open(handle, "a")
        began = now_ms()
        await trio.sleep(0.05)
        redis.end("a", place)
        await until(lambda: not sessions_of(handle))
        await trio.sleep(1)  # as late as Cursor is
        asked = place.ask(ago_ms=now_ms() - began)
        assert (await reported(handle, asked))[asked].session_id == "a"


@within(30)
async def test_an_event_bears_what_was_announced(user_dir, config, redis):
    place = Place.made(user_dir, "mine")
    async with running_service(config) as handle:
        # Another spelling of the same folder, so another hash.
        elsewhere = attrs.evolve(place, path=f"{place.path}/")
        assert elsewhere.hash != place.hash
        redis.start("a", elsewhere)
        await session_is_open(handle, "a")
        asked = place.ask()
        event = (await reported(handle, asked))[asked]
        assert event.metadata["workspace_hash"] == elsewhere.hash
        assert event.metadata["workspace_path"] == place.path
        assert (event.session_id, event.metadata["workspace_id"]) == ("a", "mine")


@within(30)
async def test_a_synthetic_session_hands_over_and_nothing_is_told_twice(user_dir, config, redis):
    place = Place.made(user_dir, "mine")
    async with running_service(in_mode(config, "auto")) as handle:
        await handle.synced()
        first = place.ask()
        assert (await reported(handle, first))[first].session_id == "scan_mine"
        redis.start("a", place)
        await until(lambda: sessions_of(handle) == {"mine": {"a"}})
        second = place.ask()
        assert (await reported(handle, first, second))[second].session_id == "a"
        redis.end("a", place)
        await until(lambda: not sessions_of(handle))
        await trio.sleep(0.4)
        third = place.ask()
        assert (await reported(handle, first, second, third))[third].session_id == "scan_mine"


# -- Restarts and faults -------------------------------------------------------------------------------


@within(60)
async def test_killed_among_fifty_open_sessions_it_goes_on_with_the_same(user_dir, config, redis, unmeasured):
    """The end of some is announced while nobody listens."""
    places = [Place.made(user_dir, f"w{number}") for number in range(20)]
    for number in range(50):
        redis.start(f"s{number}", places[number % 20])
    redis.start("over", places[0])
    redis.end("over", places[0])
    words = [
        *("run", "-q", "--cursor-dir", user_dir, "--state-dir", config.state.dir),
        *("--sessions", "extension", "--redis-url", redis.server.tcp_url),
    ]

    def open_now():
        found = read_status(Path(config.state.dir)) or {"workspaces": []}
        places = found["workspaces"]
        return {(place["workspace_id"], session["id"]) for place in places for session in place["sessions"]}

    everyone = {(f"w{number % 20}", f"s{number}") for number in range(50)}
    for survivors in (everyone, {one for one in everyone if one[1] != "s7"}):
        with running.start(*words) as service:
            while open_now() != survivors:
                assert service.poll() is None
                await trio.sleep(0.1)
            service.send_signal(signal.SIGKILL)
        redis.end("s7", places[7])
        redis.end("over", places[0])
    # Nothing is left of the stream, and nothing is lost: sessions are ours once they were heard of.
    redis.server.call("DEL", STREAM)
    async with running_service(config) as handle:
        await handle.synced()
        open_ids = {(place, id_) for place, ids in sessions_of(handle).items() for id_ in ids}
        assert open_ids == {one for one in everyone if one[1] != "s7"}
        asked = [place.ask() for place in places]
        found = await reported(handle, *asked)
        assert all(event.session_id.startswith("s") for event in found.values())


def restart(server):
    server.restart()


def lose_everything(server):
    server.kill()
    server.start()


def empty(server):
    server.call("FLUSHALL")


def trim(server):
    server.add(STREAM, {"event_type": "other"})
    server.call("XTRIM", STREAM, "MAXLEN", 0)


@within(60)
@pytest.mark.parametrize("fault", [restart, lose_everything, empty, trim])
async def test_whatever_happens_to_redis_sessions_go_on_and_new_ones_are_heard_of(
    user_dir, config, redis, fault
):
    first, second = Place.made(user_dir, "first"), Place.made(user_dir, "second")
    async with running_service(config) as handle:
        redis.start("a", first)
        await session_is_open(handle, "a")
        fault(redis.server)
        asked = first.ask()
        assert (await reported(handle, asked))[asked].session_id == "a"
        redis.start("b", second)
        await session_is_open(handle, "b")
        also = second.ask()
        assert (await reported(handle, asked, also))[also].session_id == "b"
        redis.end("a", first)
        await until(lambda: sessions_of(handle) == {"second": {"b"}})


@within(60)
async def test_a_redis_that_hangs_holds_up_nothing_but_news(user_dir, config, redis):
    place = Place.made(user_dir, "mine")
    async with running_service(config) as handle:
        redis.start("a", place)
        await session_is_open(handle, "a")
        redis.server.stall()
        try:
            asked = place.ask()
            await reported(handle, asked)
            await until(lambda: handle.status().sources[0].state != "connected")
        finally:
            redis.server.resume()
        redis.end("a", place)
        await until(lambda: not sessions_of(handle))


@within(30)
async def test_without_a_redis_it_starts_and_hears_of_sessions_when_there_is_one(user_dir, config, redis):
    place = Place.made(user_dir, "mine")
    redis.server.kill()
    async with running_service(config) as handle:
        await handle.synced()
        (source, *_) = handle.status().sources
        assert (source.name, source.state) == (f"redis:{STREAM}", "waiting")
        redis.server.start()
        redis.start("a", place)
        await session_is_open(handle, "a")


@within(30)
async def test_a_blocked_read_ends_with_the_host_and_leaves_no_thread(user_dir, config, redis):
    redis.server.call("PING")
    threads, files = working_threads(), open_files()
    async with running_service(config) as handle:
        await handle.synced()
        # Who listens for sessions, and who listens for what others have sent.
        await until(lambda: redis.server.call("INFO", "clients")["blocked_clients"] == 2)
    with trio.fail_after(2):
        await until(lambda: working_threads() <= threads)
    assert {name for _, name in open_files()} <= {name for _, name in files}


# -- Several sources -----------------------------------------------------------------------------------


@within(60)
async def test_fifty_sessions_from_three_sources_at_once(user_dir, config, redis, tmp_path):
    """Each generation once, with a session of its workspace that was open then."""
    config = attrs.evolve(config, http=HttpConfig(listen="127.0.0.1:0"))
    files = tmp_path / "sessions"
    files.mkdir()
    places = [Place.made(user_dir, f"w{number}") for number in range(20)]
    open_in = {place.hash: set() for place in places}
    asked, chance = {}, random.Random(4)

    async def announce(handle, number):
        place, id_ = places[number % 20], f"s{number}"
        open_in[place.hash].add(id_)
        sources = chance.sample(("redis", "http", "files"), k=chance.randint(1, 3))
        if "redis" in sources:
            redis.start(id_, place)
        if "http" in sources:
            await post(handle, "session_start", id_, place)
        # One file for each workspace: of several windows there the last one that was opened.
        if "files" in sources and number >= 30:
            words = {"CURSOR_SESSION_ID": id_, "CURSOR_WORKSPACE_HASH": place.hash}
            (files / f"{place.hash}.json").write_text(json.dumps(words | {"workspace_path": place.path}))
        elif sources == ["files"]:
            redis.start(id_, place)
        await session_is_open(handle, id_)
        for _ in range(2):
            asked[place.ask()] = (place, set(open_in[place.hash]))

    async with running_service(config) as handle:
        await until(lambda: handle.status().http.state == "listening")
        for first in range(0, 50, 10):
            async with trio.open_nursery() as nursery:
                for number in range(first, first + 10):
                    nursery.start_soon(announce, handle, number)
        found = await reported(handle, *asked)
        assert found.keys() == asked.keys()
        for id_, event in found.items():
            place, sessions = asked[id_]
            assert event.session_id in sessions
            assert event.metadata["workspace_hash"] == place.hash
        assert Counter(len(ids) for ids in sessions_of(handle).values()) == Counter(
            len(ids) for ids in open_in.values()
        )


async def post(handle, kind, session_id, place):
    event = fields(kind, session_id, place)
    event |= {name: json.loads(event[name]) for name in ("payload", "metadata")}
    request = urllib.request.Request(
        f"http://{handle.status().http.address}/events",
        json.dumps({"event": event, "platform": "cursor"}).encode(),
        {"content-type": "application/json"},
    )

    def send():
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)

    assert await trio.to_thread.run_sync(send) == (202, {"taken": 1, "ignored": 0})


@within(30)
async def test_with_discovery_alone_nobodys_announcements_are_taken(user_dir, config, redis):
    place = Place.made(user_dir, "mine")
    config = attrs.evolve(in_mode(config, "discovery"), http=HttpConfig(listen="127.0.0.1:0"))
    redis.start("a", place)
    async with running_service(config) as handle:
        await until(lambda: handle.status().http.state == "listening")
        with pytest.raises(urllib.error.HTTPError, match="409") as refused:
            await post(handle, "session_start", "b", place)
        refused.value.close()
        assert [source.name for source in handle.status().sources] == ["discovery"]
        asked = place.ask()
        assert (await reported(handle, asked))[asked].session_id == "scan_mine"


# -- Bad input -----------------------------------------------------------------------------------------


@within(60)
async def test_whatever_is_announced_the_service_is_unharmed(user_dir, config, redis, logged):
    place = Place.made(user_dir, "mine")
    good = fields("session_start", "a", place)
    for spoiled in (
        {"payload": "[" * 100_000, "metadata": "{}"},
        {"payload": b"\xff\xfe", "metadata": good["metadata"]},
        {"payload": "{}", "metadata": "{}"},
        {"payload": json.dumps({"session_id": "x"}), "metadata": json.dumps({"workspace_hash": "../../etc"})},
        {
            "payload": json.dumps({"session_id": "x", "workspace_path": "/" + "a" * 1_000_000}),
            "metadata": good["metadata"],
        },
        {"payload": json.dumps({"session_id": "\x00"}), "metadata": good["metadata"]},
    ):
        for _ in range(3):
            redis.server.add(STREAM, good | spoiled)
    for path in ("/etc/passwd", "../../../etc", "/home/demo/mine/../other", "C:\\Windows"):
        nowhere = attrs.evolve(place, path=path)
        redis.start("elsewhere", nowhere)
    redis.end("never started", place)
    redis.server.add(STREAM, good)
    async with running_service(config) as handle:
        await session_is_open(handle, "a")
        asked = place.ask()
        assert (await reported(handle, asked))[asked].session_id == "a"
        status = handle.status()
        (source, *_) = status.sources
        assert sum(source.skipped.values()) == 18
        assert sessions_of(handle) == {"mine": {"a"}}
        assert {item.workspace_path for item in status.unmapped} >= {"/etc/passwd", "../../../etc"}
        assert all(item.why["workspace_json"] for item in status.unmapped)
        assert by_id(handle).keys() == {"mine", None}
    said = [message for message in logged() if "is passed over" in message]
    assert len(said) == len(source.skipped) == 5


@within(120)
async def test_a_flood_of_made_up_starts_is_neither_watched_nor_kept_for_ever(
    user_dir, config, redis, monkeypatch
):
    monkeypatch.setattr(registry, "MOST_SESSIONS", 1000)
    place = Place.made(user_dir, "mine")
    pipe = redis.server.client.pipeline(transaction=False)
    for number in range(1_500):
        hash_ = f"{number:016x}"
        pipe.xadd(
            STREAM,
            {
                "event_type": "session_start",
                "payload": json.dumps({"session_id": f"s{number}", "workspace_path": f"/home/{number}"}),
                "metadata": json.dumps({"workspace_hash": hash_}),
            },
        )
    pipe.execute()
    redis.start("a", place)
    async with running_service(config) as handle:
        await session_is_open(handle, "a")
        asked = place.ask()
        assert (await reported(handle, asked))[asked].session_id == "a"
        status = handle.status()
        assert status.refused >= 500
        assert len(status.unmapped) == 100
        assert watchers() == 2
        assert status.alarms == ()
