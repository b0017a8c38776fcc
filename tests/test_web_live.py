"""`GET /api/events`: every event once and in order, from any place, for as long as somebody listens."""

from __future__ import annotations

import json

import pytest
import trio
from http_client import World, request
from log_events import entry, event, gap

from trio_cursor.eventlog import Entry, open_event_log
from trio_cursor.web.journal import Journal


@pytest.fixture
async def log(state):
    async with open_event_log(state) as opened:
        yield opened


async def serve(nursery, log, **limits):
    world = World(journal=Journal(log, "full"))
    await world.serve(nursery, **limits)
    return world


class Reader:
    """Of the stream, over chunked HTTP."""

    def __init__(self, client):
        self.client, self.rest, self.blocks = client, b"", []

    async def begin(self, path="/api/events", **headers):
        await self.client.send(request("GET", path, **headers))
        self.answer = await self.client.answer(has_body=False)
        self.rest, self.client._rest = self.client._rest, b""
        return self

    async def block(self):
        """The next block of lines; None: the stream is over."""
        while not self.blocks:
            while b"\r\n" not in self.rest:
                if not await self._more():
                    return None
            size, _, rest = self.rest.partition(b"\r\n")
            length = int(size, 16)
            while len(rest) < length + 2:
                if not await self._more():
                    return None
                rest = self.rest.partition(b"\r\n")[2]
            if not length:
                return None
            self.rest = rest[length + 2 :]
            self.blocks += [text for text in rest[:length].decode().split("\n\n") if text]
        return self.blocks.pop(0)

    async def _more(self):
        data = await self.client.stream.receive_some()
        self.rest += data
        return bool(data)

    async def events(self, number):
        found = []
        while len(found) < number:
            lines = (await self.block()).split("\n")
            if lines[-1].startswith("data: "):
                found.append(
                    (int(lines[0].removeprefix("id: ")), json.loads(lines[-1].removeprefix("data: ")))
                )
        return found


async def test_everything_and_then_what_comes(log, nursery):
    await log.append(entry(1, 2))
    world = await serve(nursery, log)
    async with world.client() as client:
        reader = await Reader(client).begin()
        assert reader.answer.headers["content-type"].startswith("text/event-stream")
        assert await reader.block() == "retry: 1000\nid: 0"
        found = await reader.events(2)
        await log.append(entry(3))
        found += await reader.events(1)
    assert [sequence for sequence, _ in found] == [1, 2, 3]
    assert [item["payload"]["generation_id"] for _, item in found] == [
        event(n).generation_id for n in (1, 2, 3)
    ]
    assert found[0][1]["event_type"] == "database_trace"


@pytest.mark.parametrize(
    ("path", "headers", "first"),
    [
        ("/api/events?after=2", {}, 3),
        ("/api/events?after=1", {"Last-Event-ID": "2"}, 3),
        # Not of this log: of this one nothing is known there.
        ("/api/events?after=1", {"Last-Event-ID": "99"}, 1),
    ],
)
async def test_it_goes_on_where_it_was_left(log, nursery, path, headers, first):
    await log.append(entry(1, 2, 3))
    world = await serve(nursery, log)
    async with world.client() as client:
        reader = await Reader(client).begin(path, **headers)
        assert (await reader.events(1))[0][0] == first


async def test_who_only_wants_to_be_woken_is_told_no_more(log, nursery):
    await log.append(entry(1, 2))
    world = await serve(nursery, log)
    async with world.client() as client:
        reader = await Reader(client).begin("/api/events?after=1&texts=no")
        assert await reader.block() == "retry: 1000\nid: 1"
        assert await reader.block() == "id: 2\ndata: {}"
        await log.append(entry(3))
        assert await reader.block() == "id: 3\ndata: {}"
    async with world.client() as client:
        assert (await client.ask("GET", "/api/events?texts=maybe")).status == 400


async def test_a_place_in_another_log_is_none_in_this_one(log, nursery):
    await log.append(entry(1, 2, 3))
    world = await serve(nursery, log)
    async with world.client() as client:
        name = (await client.ask("HEAD", "/api/events")).headers["trio-cursor-log"]
    assert name == log.created_at
    for said, first in ((name, 3), ("", 3), ("another", 1)):
        async with world.client() as client:
            reader = await Reader(client).begin(f"/api/events?after=2&log={said}")
            assert reader.answer.headers["trio-cursor-log"] == name
            assert (await reader.events(1))[0][0] == first
        async with world.client() as client:
            reader = await Reader(client).begin(f"/api/events?log={said}", **{"Last-Event-ID": "2"})
            assert (await reader.events(1))[0][0] == first


async def test_gap_records_are_no_events_and_are_not_read_again(log, nursery):
    await log.append(Entry((((), gap()),)))
    world = await serve(nursery, log, heartbeat_seconds=0.01)
    async with world.client() as client:
        reader = await Reader(client).begin()
        assert await reader.block() == "retry: 1000\nid: 0"
        assert await reader.block() == ": still there\nid: 1"


async def test_more_than_a_batch_of_large_events_comes_whole(log, nursery):
    await log.append(Entry(tuple(((str(n),), event(n, text="x" * 300_000)) for n in range(8))))
    world = await serve(nursery, log)
    async with world.client() as client:
        reader = await Reader(client).begin()
        assert [sequence for sequence, _ in await reader.events(8)] == list(range(1, 9))


async def test_a_stream_ends_and_is_taken_up_again(log, nursery):
    world = await serve(nursery, log, stream_seconds=0.05)
    async with world.client() as client:
        reader = await Reader(client).begin()
        while await reader.block():
            pass
        await log.append(entry(1))
        assert (await client.ask("GET", "/healthz")).status == 200
    async with world.client() as client:
        assert (await (await Reader(client).begin(Last_Event_ID="0")).events(1))[0][0] == 1


async def test_readers_leave_room_for_others(log, nursery):
    world = await serve(nursery, log, streams=1)
    async with world.client() as client:
        await Reader(client).begin()
        async with world.client() as other:
            answer = await other.ask("GET", "/api/events")
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            assert (await other.ask("GET", "/healthz")).status == 200
    # A place is free again when its reader has gone.
    with trio.fail_after(20):
        while True:
            async with world.client() as other:
                await other.send(request("GET", "/api/events"))
                if (await other.answer(has_body=False)).status == 200:
                    return
            await trio.sleep(0.01)


async def test_who_does_not_read_is_cut_off(log, nursery):
    await log.append(Entry(tuple(((str(n),), event(n, text="x" * 1_000_000)) for n in range(40))))
    world = await serve(nursery, log, write_seconds=0.1, streams=1)
    async with world.client() as client:
        await client.send(request("GET", "/api/events"))
        with trio.fail_after(20):
            while True:
                async with world.client() as other:
                    await other.send(request("GET", "/api/events?after=40"))
                    if (await other.answer(has_body=False)).status == 200:
                        break
                await trio.sleep(0.02)


async def test_a_server_that_is_cancelled_ends_its_streams_at_once(log):
    async with trio.open_nursery() as nursery:
        world = await serve(nursery, log)
        async with world.client() as client:
            reader = await Reader(client).begin()
            await reader.block()
            with trio.fail_after(10):
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    assert await reader.block() is None


async def test_a_log_that_cannot_be_read_ends_the_stream(state, nursery):
    async with open_event_log(state) as log:
        world = await serve(nursery, log)
    async with world.client() as client:
        reader = await Reader(client).begin()
        assert await reader.block() == "retry: 1000\nid: 0"
        assert await reader.block() is None


@pytest.mark.parametrize("said", ["x", "-1", "1.5", "9" * 30, "1;"])
async def test_what_is_no_sequence_is_refused(log, nursery, said):
    world = await serve(nursery, log)
    async with world.client() as client:
        answer = await client.ask("GET", "/api/events", **{"Last-Event-ID": said})
        assert (answer.status, set(answer.json)) == (400, {"error"})


async def test_the_head_alone_can_be_asked_for(log, nursery):
    world = await serve(nursery, log)
    async with world.client() as client:
        assert (await client.ask("HEAD", "/api/events")).status == 200
        assert (await client.ask("GET", "/healthz")).status == 200
