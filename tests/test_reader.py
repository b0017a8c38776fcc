"""The consumers' half: readers of a group on real servers."""

from __future__ import annotations

import contextlib
import gc
import math
import re
from pathlib import Path

import pytest
import redis_server
import trio
import trio.testing
from consumers import (
    DEAD,
    GROUP,
    STREAM,
    dead_letters,
    dealt_with,
    id_of,
    pending,
    put,
    put_foreign,
    reading,
    received,
)
from deadlines import until, within
from log_events import event
from redis_server import own_server
from test_redis_streams import open_files, our_threads

import trio_cursor
from trio_cursor.config.output_sections import RedisConfig
from trio_cursor.deliveries import Delivery
from trio_cursor.errors import ConfigError
from trio_cursor.wire import to_fields


@pytest.mark.parametrize("version", redis_server.versions())
@within(30)
async def test_every_version_gives_each_event_once_and_takes_the_ack(version):
    with own_server(version=version) as server:
        put(server, 1, 2)
        async with reading(server) as reader:
            assert await dealt_with(reader, 2) == [id_of(1), id_of(2)]
            put(server, 3)
            assert await dealt_with(reader, 1) == [id_of(3)]
            assert pending(server) == []
            status = reader.status()
            assert (status.state, status.last_error) == ("connected", None)
            assert (status.delivered, status.acked, status.held) == (3, 3, 0)
        mark = f"{{{STREAM}}}:done:{GROUP}:{id_of(1)}"
        assert 0 < server.call("TTL", mark) <= 2 * 24 * 3600
        async with reading(server, group="another", start="$") as reader:
            await until(lambda: reader.status().state == "connected")
            put(server, 4)
            assert await dealt_with(reader, 1) == [id_of(4)]


# --- each once ---


async def test_the_same_generation_from_two_producers_is_one_delivery(server):
    put(server, 1)
    put_foreign(server, 1)
    put_foreign(server, 2)
    async with reading(server) as reader:
        (first,) = await received(reader, 1)
        (second,) = await received(reader, 1)  # not the twin of the first, which waits with it
        assert (first.event.event_id, second.event.event_id) == (id_of(1), id_of(2))
        assert len(pending(server)) == 3
        await first.ack()
        assert [id_ for id_, _, _ in pending(server)] == [second.id]
        put(server, 2)
        await until(lambda: reader.status().duplicates == 2)
        await second.ack()
        await second.ack()
        assert pending(server) == []
        put_foreign(server, 1)  # by the mark
        put(server, 3)
        assert await dealt_with(reader, 1) == [id_of(3)]
        assert (reader.status().duplicates, reader.status().acked) == (3, 3)
        assert pending(server) == []


async def test_another_reader_of_the_group_skips_what_is_done(server):
    async with reading(server) as one:
        put(server, 1)
        assert await dealt_with(one, 1) == [id_of(1)]
    put_foreign(server, 1)
    put(server, 2)
    async with reading(server) as other:
        assert await dealt_with(other, 1) == [id_of(2)]
        assert other.status().duplicates == 1


@within(40)
async def test_what_waited_long_is_asked_for_again(monkeypatch):
    monkeypatch.setattr("trio_cursor.deliveries._FRESH_SECONDS", -1.0)
    with own_server() as server:
        put(server, 1, 2, 3)
        async with reading(server, claim_after_seconds=5) as slow:
            first = await received(slow, 1)
            async with reading(server, claim_after_seconds=5) as other:
                put_foreign(server, 2)
                assert await dealt_with(other, 1) == [id_of(2)]
            server.stall()
            with trio.move_on_after(0.05) as scope:
                await slow.receive()
            assert scope.cancelled_caught
            server.resume()
            assert await dealt_with(slow, 1) == [id_of(3)]
            assert slow.status().duplicates == 1
            await first[0].ack()
        assert pending(server) == []


async def test_readers_of_one_group_share_and_each_group_gets_all(server):
    put(server, *range(40))
    seen = {"a": [], "b": [], "other": []}
    each_has_one = trio.Event()

    async def consume(name, group):
        async with reading(server, group=group, prefetch=1, claim_after_seconds=60) as reader:
            async for delivery in reader:
                seen[name].append(delivery.event.event_id)
                if all(seen.values()):
                    each_has_one.set()
                await each_has_one.wait()
                await delivery.ack()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(consume, "a", GROUP)
            nursery.start_soon(consume, "b", GROUP)
            nursery.start_soon(consume, "other", "other")
            await until(lambda: sum(map(len, seen.values())) == 80)
            nursery.cancel_scope.cancel()
    everything = [id_of(number) for number in range(40)]
    assert sorted(seen["a"] + seen["b"]) == sorted(everything)
    assert seen["other"] == everything


async def test_other_entries_are_acknowledged_unread(server):
    server.add(STREAM, {"event_type": "session_start", "payload": "{not JSON", "metadata": "{}"})
    server.add(STREAM, {"anything": "else"})
    put(server, 1)
    async with reading(server) as reader:
        assert await dealt_with(reader, 1) == [id_of(1)]
        assert reader.status().passed_over == 2
    assert pending(server) == []
    assert dead_letters(server) == []


async def test_a_generation_that_is_repeated_without_end_is_acknowledged(server, monkeypatch):
    monkeypatch.setattr("trio_cursor.feeds.MOST_TWINS", 5)
    put(server, 1)
    async with reading(server, claim_after_seconds=60) as reader:
        (delivery,) = await received(reader, 1)
        for _ in range(12):
            put_foreign(server, 1)
        await until(lambda: reader.status().duplicates == 12)
        assert len(pending(server)) == 5  # the rest will not be missed
        # More than fit on the stack of a script.
        delivery.ids.update((f"1-{number}", None) for number in range(9000))
        with trio.fail_after(10):
            await delivery.ack()
        assert pending(server) == []
        assert (reader.status().state, reader.status().acked) == ("connected", 1)


async def test_a_flood_of_one_generation_does_not_hold_up_its_ack(server, monkeypatch):
    put(server, 1)
    async with reading(server, claim_after_seconds=60) as reader:
        (delivery,) = await received(reader, 1)
        acks, ack = [], reader._feeds[0].desk.connection.ack

        async def flooded(*args, **options):
            acks.append(1)
            assert len(acks) < 5
            await ack(*args, **options)
            put_foreign(server, 1)
            duplicates = reader.status().duplicates
            await until(lambda: reader.status().duplicates > duplicates)

        put_foreign(server, 1)
        await until(lambda: reader.status().duplicates == 1)
        monkeypatch.setattr("trio_cursor.deliveries.PAGE", 1)
        monkeypatch.setattr(reader._feeds[0].desk.connection, "ack", flooded)
        await delivery.ack()
        await until(lambda: pending(server) == [])
        assert len(acks) == 3  # and the one that came while the mark was set


# --- again ---


async def test_what_a_dead_consumer_had_goes_to_another(server):
    put(server, 1, 2, 3)
    # It fetched and died.
    server.call("XGROUP", "CREATE", STREAM, GROUP, "0")
    server.call("XREADGROUP", "GROUP", GROUP, "dead", "COUNT", "2", "STREAMS", STREAM, ">")
    async with reading(server) as reader:
        found = [await anext(reader) for _ in range(3)]
        attempts = {delivery.event.event_id: delivery.attempts for delivery in found}
        assert attempts == {id_of(3): 1, id_of(1): 2, id_of(2): 2}
        for delivery in found:
            await delivery.ack()
    assert pending(server) == []


async def test_the_same_consumer_gets_at_once_what_it_had(server):
    put(server, 1, 2, 3)
    server.call("XGROUP", "CREATE", STREAM, GROUP, "0")
    server.call("XREADGROUP", "GROUP", GROUP, "me", "COUNT", "2", "STREAMS", STREAM, ">")
    async with reading(server, consumer="me", claim_after_seconds=3600) as reader:
        found = await received(reader, 3)
        assert [(one.event.event_id, one.attempts) for one in found] == [
            (id_of(1), 2),
            (id_of(2), 2),
            (id_of(3), 1),
        ]


async def test_a_slow_consumer_keeps_what_it_has(server):
    put(server, 1, 2, 3)
    async with reading(server, claim_after_seconds=0.6) as slow:
        held = await received(slow, 1)  # the others are fetched, and wait
        async with reading(server, claim_after_seconds=0.6) as idle:
            with trio.move_on_after(1.3) as scope:  # twice as long as it takes to lose them
                await idle.receive()
            assert scope.cancelled_caught
        assert {attempts for _, _, attempts in pending(server)} == {1}
        await held[0].ack()
        assert await dealt_with(slow, 2) == [id_of(2), id_of(3)]


async def test_what_is_let_go_without_a_word_comes_again(server):
    put(server, 1, 2)
    async with reading(server) as reader:
        seen = []
        with trio.fail_after(20):
            async for delivery in reader:
                seen.append((delivery.event.event_id, delivery.attempts))
                if delivery.event.event_id == id_of(2) or delivery.attempts == 2:
                    await delivery.ack()
                if len(seen) == 3:
                    break
    assert seen == [(id_of(1), 1), (id_of(2), 1), (id_of(1), 2)]


async def test_what_failed_or_was_called_off_is_let_go_without_a_garbage_collector(server, no_collector):
    """Nobody knows when that runs: of ours nothing may go round in a circle with a delivery."""
    put(server, 1, 2, 3)

    async def fail(delivery):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise ValueError(delivery.id)

    async def fail_or_wait(reader):
        async for delivery in reader:
            if delivery.event.event_id == id_of(2):
                await trio.sleep_forever()
            with contextlib.suppress(ExceptionGroup):
                await fail(delivery)

    async with reading(server, claim_after_seconds=3600) as reader:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail_or_wait, reader)
            await until(lambda: reader.status().delivered == 2)
            await until(lambda: reader.status().held == 2)  # the one that waits, and the next
            nursery.cancel_scope.cancel()
        await until(lambda: reader.status().held == 1)
        assert await dealt_with(reader, 1) == [id_of(3)]


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def test_at_the_end_the_rest_is_handed_back(server):
    put(server, 1, 2, 3)
    async with reading(server, claim_after_seconds=3600) as reader:
        held = await received(reader, 1)
    assert [attempts for _, _, attempts in pending(server)] == [1, 0, 0]
    async with reading(server, claim_after_seconds=3600) as reader:
        found = await received(reader, 3)
        assert found[0].id == held[0].id
        assert [one.attempts for one in found] == [2, 1, 1]
        assert [attempts for _, _, attempts in pending(server)] == [2, 1, 1]
    with pytest.raises(trio.ClosedResourceError):
        await found[0].ack()


async def test_an_error_of_the_body_comes_out_as_it_is(server):
    put(server, 1)

    async def consume():
        async with reading(server) as reader:
            async for _ in reader:
                raise ValueError("store is full")

    with pytest.raises(ValueError, match="store is full") as caught:
        await consume()
    assert caught.value.__cause__ is None
    assert [attempts for _, _, attempts in pending(server)] == [1]


# --- dead letters ---


async def test_what_is_no_event_goes_to_the_dead_letters(server):
    id_ = server.add(STREAM, {"event_type": "database_trace", "payload": "{", "dead_group": "old"})
    nameless = server.add(STREAM, {"event_type": "database_trace", "payload": "{}"})
    put(server, 1)
    async with reading(server) as reader:
        assert await dealt_with(reader, 1) == [id_of(1)]
        assert reader.status().rejected == 2
    assert dead_letters(server) == [
        {
            b"event_type": b"database_trace",
            b"payload": b"{",
            b"dead_reason": b"no event: payload is not JSON",
            b"dead_group": GROUP.encode(),
            b"dead_id": id_.encode(),
            b"dead_attempts": b"1",
        },
        {
            b"event_type": b"database_trace",
            b"payload": b"{}",
            b"dead_reason": b"no event: it has no generation_id that can be used",
            b"dead_group": GROUP.encode(),
            b"dead_id": nameless.encode(),
            b"dead_attempts": b"1",
        },
    ]
    assert pending(server) == []


async def test_what_a_consumer_rejects_goes_there_with_its_twins(server):
    put(server, 1)
    put_foreign(server, 1)
    async with reading(server) as reader:
        (delivery,) = await received(reader, 1)
        await until(lambda: reader.status().duplicates == 1)
        await delivery.reject("no such customer\ud800" + 2000 * "!")
        await delivery.ack()  # too late, and harmless
        assert (reader.status().rejected, reader.status().acked) == (2, 0)
    first, second = dead_letters(server)
    ours = {name.encode(): value.encode() for name, value in to_fields(delivery.event).items()}
    assert first.items() >= (ours | {b"dead_attempts": b"1"}).items()
    assert first[b"dead_reason"].decode().startswith("no such customer\ufffd!!!")
    assert len(first[b"dead_reason"].decode()) == 1000
    assert second[b"event_id"] == b"their-own"
    assert pending(server) == []
    # Put back on the stream it is an event like any other.
    server.add(STREAM, first)
    async with reading(server) as reader:
        assert await dealt_with(reader, 1) == [id_of(1)]


@pytest.mark.parametrize("name", ["me", None])
async def test_what_nobody_ever_acknowledges_goes_there_and_takes_nobody_along(server, name):
    """A consumer that dies of an entry takes none of those that it had fetched with it."""
    put(server, 1, 2, 3)
    poison, deaths = id_of(1), 0

    async def live_and_die():
        nonlocal deaths
        while True:
            async with reading(server, consumer=name, claim_after_seconds=0.03, max_attempts=3) as reader:
                async for delivery in reader:
                    if delivery.event.event_id == poison:
                        deaths += 1
                        assert delivery.attempts == deaths
                        if deaths > 1:
                            # The next is taken, if there is one: which comes first is not said.
                            await until(lambda: reader.status().held == min(2, len(pending(server))))
                        reader._feeds[0].health.note("read", "waiting", "killed")  # nothing is handed back
                        break
                    await delivery.ack()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(live_and_die)
        await until(lambda: dead_letters(server) and pending(server) == [])
        nursery.cancel_scope.cancel()
    (letter,) = dead_letters(server)
    assert letter[b"dead_reason"] == b"delivered 3 times and never acknowledged"
    assert (letter[b"dead_attempts"], deaths) == (b"3", 3)


async def test_an_entry_that_was_looked_at_once_too_often_is_not_looked_at_again(server):
    (id_,) = put(server, 1)
    server.call("XGROUP", "CREATE", STREAM, GROUP, "0")
    server.call("XREADGROUP", "GROUP", GROUP, "dead", "STREAMS", STREAM, ">")
    server.call("XCLAIM", STREAM, GROUP, "dead", "0", id_, "RETRYCOUNT", "6")
    async with reading(server) as reader:
        await until(lambda: reader.status().rejected == 1)
    assert dead_letters(server)[0][b"dead_attempts"] == b"6"


async def test_a_single_attempt_is_one_that_somebody_made(server):
    """What was fetched by one that died at once, nobody has tried."""
    poison = {id_of(1), id_of(5)}
    put(server, 1, 2, 3)
    server.call("XGROUP", "CREATE", STREAM, GROUP, "0")
    server.call("XREADGROUP", "GROUP", GROUP, "dead", "COUNT", "2", "STREAMS", STREAM, ">")

    async def live(number):
        async with reading(server, max_attempts=1, claim_after_seconds=0.03) as reader:
            found = await received(reader, number)
            await until(lambda: reader.status().held == number)
            assert {one.attempts for one in found} <= {1}
            for one in found:
                if one.event.event_id not in poison:
                    await one.ack()
            reader._feeds[0].health.note("read", "waiting", "killed")  # as if: nothing is handed back

    put(server, 4)
    for name in ("me", "me", None):
        async with reading(server, max_attempts=1, claim_after_seconds=0.03, consumer=name) as reader:
            await until(lambda reader=reader: reader.status().held > 0)
            reader._feeds[0].health.note("read", "waiting", "killed")
    put(server, 5)  # fetched and tried by the same one
    await live(5)
    assert [attempts for _, _, attempts in pending(server)] == [2, 2]
    async with reading(server, max_attempts=1, claim_after_seconds=0.03) as reader:
        await until(lambda: reader.status().rejected == 2)
        assert reader.status().delivered == 0
    assert pending(server) == []
    letters = dead_letters(server)
    assert {letter[b"event_id"].decode() for letter in letters} == poison
    for letter in letters:
        assert letter[b"dead_reason"] == b"delivered 1 times and never acknowledged"
        assert letter[b"dead_attempts"] == b"1"


async def test_who_was_cancelled_before_the_event_came_has_not_tried(server, monkeypatch):
    put(server, 1)
    async with reading(server, max_attempts=1) as reader:
        connection = reader._feeds[0].desk.connection
        count = connection.count

        async def cancelled(*args):
            await count(*args)
            receiving.cancel()
            await trio.lowlevel.checkpoint()

        monkeypatch.setattr(connection, "count", cancelled)
        with trio.CancelScope() as receiving:
            await reader.receive()
        assert receiving.cancelled_caught
        assert [attempts for _, _, attempts in pending(server)] == [2]
    assert [attempts for _, _, attempts in pending(server)] == [0]


@pytest.mark.parametrize("version", redis_server.versions())
@within(30)
async def test_what_was_trimmed_before_its_ack_is_counted_and_forgotten(version):
    with own_server(version=version) as server:
        put(server, 1, 2)
        server.call("XGROUP", "CREATE", STREAM, GROUP, "0")
        server.call("XREADGROUP", "GROUP", GROUP, "dead", "STREAMS", STREAM, ">")
        server.call("XTRIM", STREAM, "MAXLEN", "1")
        async with reading(server) as reader:
            assert await dealt_with(reader, 1) == [id_of(2)]
            assert reader.status().trimmed == 1
        assert pending(server) == []


# --- groups and servers that go ---


async def test_what_is_held_while_the_connection_breaks_comes_once(server):
    put(server, 1, 2)
    async with reading(server, claim_after_seconds=3600) as reader:
        held = await received(reader, 1)
        await until(lambda: reader.status().held == 2)
        server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        put(server, 3)
        assert await dealt_with(reader, 2) == [id_of(2), id_of(3)]
        assert [attempts for _, _, attempts in pending(server)] == [1]
        await held[0].ack()
    assert pending(server) == []


async def test_the_end_does_not_wait_for_a_server_that_has_just_gone():
    with own_server() as server:
        put(server, 1)
        async with reading(server) as reader:
            await received(reader, 1)
            server.kill()
        assert reader.status().state == "connected"  # nobody has noticed yet


async def test_a_group_that_is_gone_is_made_again(server, logged):
    put(server, 1)
    async with reading(server) as reader:
        assert await dealt_with(reader, 1) == [id_of(1)]
        server.call("XGROUP", "DESTROY", STREAM, GROUP)
        await until(lambda: any("the group was gone" in line for line in logged()))
        put(server, 2)
        assert await dealt_with(reader, 1) == [id_of(2)]  # the first is known to be done
        server.call("FLUSHALL")
        put(server, 1, 3)
        assert await dealt_with(reader, 2) == [id_of(1), id_of(3)]


async def test_a_group_from_the_end_misses_nothing_when_it_is_made_again(server):
    put(server, 1)
    async with reading(server, start="$") as reader:
        await until(lambda: reader.status().state == "connected")
        put(server, 2)
        assert await dealt_with(reader, 1) == [id_of(2)]
        server.call("MULTI")
        server.call("XGROUP", "DESTROY", STREAM, GROUP)
        put(server, 3)
        server.call("EXEC")
        assert await dealt_with(reader, 1) == [id_of(3)]


@pytest.mark.parametrize("version", redis_server.versions())
@within(30)
async def test_a_group_from_the_end_of_a_stream_that_begins_anew_with_lower_ids(version):
    with own_server(version=version) as server:
        async with reading(server, start="$") as reader:
            await until(lambda: reader.status().state == "connected")
            server.add(STREAM, to_fields(event(1)), "99999999999999-5")  # a clock that was wrong
            assert await dealt_with(reader, 1) == [id_of(1)]
            server.call("FLUSHALL")
            await until(lambda: server.call("EXISTS", STREAM))  # the group is there again
            put(server, 2)
            assert await dealt_with(reader, 1) == [id_of(2)]
            # Or it is filled before we look.
            server.add(STREAM, to_fields(event(3)), "99999999999999-5")
            assert await dealt_with(reader, 1) == [id_of(3)]
            server.call("MULTI")
            server.call("FLUSHALL")
            put(server, 4)
            server.call("EXEC")
            assert await dealt_with(reader, 1) == [id_of(4)]


@within(40)
async def test_a_server_that_is_restarted(logged):
    with own_server() as server:
        put(server, 1, 2, 3)
        async with reading(server) as reader:
            (held,) = await received(reader, 1)
            server.call("SAVE")
            server.kill()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(held.ack)
                await until(lambda: reader.status().state == "waiting")
                assert reader.status().last_error is not None
                server.start()
            assert await dealt_with(reader, 2) == [id_of(2), id_of(3)]
            put(server, 4)
            assert await dealt_with(reader, 1) == [id_of(4)]
            await until(lambda: reader.status().state == "connected")
            assert pending(server) == []
    assert 1 <= len([line for line in logged() if "it does not work" in line]) <= 4


@within(40)
async def test_nobody_is_there_at_the_start():
    with own_server() as server:
        server.kill()
        async with reading(server) as reader:
            await until(lambda: reader.status().state == "waiting")
            server.start()
            put(server, 1)
            assert await dealt_with(reader, 1) == [id_of(1)]


async def test_a_key_that_is_no_stream_is_left_alone(server):
    server.call("SET", STREAM, "mine")
    async with reading(server) as reader:
        await until(lambda: reader.status().state == "error")
        assert "WRONGTYPE" in reader.status().last_error
    assert server.call("GET", STREAM) == b"mine"


# --- cancelling ---


@within(40)
async def test_cancelling_leaves_no_thread_and_no_file():
    with own_server() as server:
        put(server, 1)
        await until(lambda: our_threads() == [])
        before = open_files()
        for is_stalled in (False, True):
            async with trio.open_nursery() as nursery:

                async def consume(nursery=nursery, is_stalled=is_stalled):
                    async with reading(server, shards=1) as reader:
                        (delivery,) = await received(reader, 1)
                        if is_stalled:
                            server.stall()
                            nursery.start_soon(delivery.ack)
                        await trio.testing.wait_all_tasks_blocked()
                        nursery.cancel_scope.cancel()
                        await trio.sleep_forever()

                nursery.start_soon(consume)
            await until(lambda: our_threads() == [])
        assert open_files() <= before
        server.resume()


# --- rights ---


RULES = [
    "+xreadgroup",
    "+xgroup|create",
    "+xpending",
    "+xclaim",
    "+xrange",
    "+xack",
    "+xadd",
    "+set",
    "+mget",
]


@pytest.mark.parametrize("version", redis_server.versions())
@within(30)
async def test_without_scripts_it_is_done_by_transactions(version):
    with own_server(version=version) as server:
        rules = [rule for rule in RULES if server.version >= (7,) or "|" not in rule]
        rules += ["+multi", "+exec"] if server.version >= (7,) else ["+multi", "+exec", "+xgroup"]
        keys = [f"~{STREAM}", f"~{{{STREAM}}}:*"]
        server.call("ACL", "SETUSER", "svc", "on", ">pw", "resetkeys", *keys, "-@all", *rules)
        put(server, 1)
        bad = server.add(STREAM, {"event_type": "database_trace", "payload": "["})
        put_foreign(server, 2)
        async with reading(f"unix://svc:pw@{server.path}") as reader:
            assert await dealt_with(reader, 1) == [id_of(1)]
            (delivery,) = await received(reader, 1)
            await delivery.reject("no")
            put_foreign(server, 1)
            await until(lambda: reader.status().duplicates == 1)
            assert reader.status().state == "connected"
        assert pending(server) == []
        assert [letter[b"dead_id"].decode() for letter in dead_letters(server)] == [bad, delivery.id]
        assert server.call("EXISTS", f"{{{STREAM}}}:done:{GROUP}:{id_of(1)}") == 1


async def test_without_any_rights_it_is_an_error_and_said_once(server, logged):
    server.call("ACL", "SETUSER", "nobody", "on", ">pw", "resetkeys", "-@all")
    async with reading(f"unix://nobody:pw@{server.path}") as reader:
        await until(lambda: reader.status().state == "error")
        assert "NOPERM" in reader.status().last_error
    assert len([line for line in logged() if "it does not work" in line]) == 1


async def test_an_ack_that_is_refused_is_an_error_for_as_long_as_it_is(server, logged, monkeypatch):
    """Whatever else is allowed meanwhile."""
    monkeypatch.setattr("trio_cursor.redis_trouble.LEAST_PAUSES", {})
    rules = [rule for rule in RULES if rule != "+xack"] + ["+xgroup", "+eval"]
    keys = [f"~{STREAM}", f"~{{{STREAM}}}:*"]
    server.call("ACL", "SETUSER", "half", "reset", "on", ">pw", "resetkeys", *keys, "-@all", *rules)
    put(server, 1)
    async with reading(f"unix://half:pw@{server.path}", claim_after_seconds=0.03) as reader:
        (delivery,) = await received(reader, 1)
        kept, keep = [], reader._feeds[0].desk.connection.keep

        async def counting(ids):
            await keep(ids)
            kept.append(ids)

        monkeypatch.setattr(reader._feeds[0].desk.connection, "keep", counting)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(delivery.ack)
            await until(lambda: reader.status().state == "error")
            del kept[:]
            while len(kept) < 20:
                assert reader.status().state == "error"
                assert "NOPERM" in reader.status().last_error
                await trio.sleep(0.005)
            assert len([line for line in logged() if "it does not work" in line]) == 1
            assert not any("answers again" in line for line in logged())
            server.call("ACL", "SETUSER", "half", "+xack")
        assert reader.status().state == "connected"
        assert len([line for line in logged() if "answers again" in line]) == 1


# --- several streams ---


async def test_four_shards_are_read_as_one(server):
    for number in range(40):
        put(server, number, stream=f"{{{STREAM}:{number % 4}}}")
    server.add(f"{{{STREAM}:3}}", {"event_type": "database_trace"})
    async with reading(RedisConfig(url=server.url, shards=4).url, shards=4, prefetch=2) as reader:
        found = []
        for _ in range(40):
            (delivery,) = await received(reader, 1)
            found.append(delivery)
            await delivery.ack()
        assert {one.event.event_id for one in found} == {id_of(number) for number in range(40)}
        # Nobody waits until another shard is read to its end.
        assert {one.stream[-2] for one in found[:16]} == set("0123")
        await until(lambda: reader.status().rejected == 1)
    assert len(dead_letters(server, f"{{{STREAM}:3}}:dlq")) == 1
    assert server.call("EXISTS", DEAD) == 0


@within(40)
async def test_a_cluster(tmp_path):
    with own_server("--cluster-enabled", "yes") as node:
        node.call("CLUSTER", "ADDSLOTS", *range(16_384))
        await until(lambda: b"cluster_state:ok" in node.call("CLUSTER", "INFO"))
        put(node, 1, stream=f"{{{STREAM}:0}}")
        put(node, 2, stream=f"{{{STREAM}:1}}")
        node.add(f"{{{STREAM}:1}}", {"event_type": "database_trace"})
        async with reading(f"redis+cluster://127.0.0.1:{node.port}", shards=2) as reader:
            assert sorted(await dealt_with(reader, 2)) == sorted([id_of(1), id_of(2)])
            await until(lambda: reader.status().rejected == 1)


# --- arguments ---


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"group": ""}, "group must be a printable"),
        ({"stream": "a\ud800"}, "stream must be"),
        ({"consumer": ""}, "consumer"),
        ({"shards": 0}, "shards must be from 1 to 1,024, not 0"),
        ({"prefetch": 0, "max_attempts": 0}, "max_attempts"),
        ({"start": "5-0"}, "start must be"),
        ({"claim_after_seconds": 0}, "claim_after"),
        ({"claim_after_seconds": math.nan}, "claim_after_seconds must be from 0.001"),
        ({"claim_after_seconds": math.inf}, "claim_after_seconds must be from 0.001"),
        ({"claim_after_seconds": -1}, "claim_after_seconds must be from 0.001"),
        ({"claim_after_seconds": "60"}, "claim_after_seconds must be a number"),
        ({"group": None}, "group must be a printable"),
        ({"group": b"g"}, "group must be a printable"),
        ({"consumer": 5}, "consumer must be a printable"),
        ({"stream": "{s:0}"}, "stream must not contain braces.* give the name without, and shards"),
        ({"marker_seconds": 3600.5}, "marker_seconds must be a whole number"),
        ({"marker_seconds": 10**17}, "marker_seconds must be from 1 to 3,153,600,000"),
        ({"prefetch": "5"}, "prefetch must be a whole number from 1 to 10,000"),
        ({"prefetch": True}, "prefetch must be a whole number"),
        ({"max_attempts": 2.5}, "max_attempts must be a whole number"),
        ({"shards": 100_000}, "shards must be from 1 to 1,024"),
        ({"start": None}, "start must be"),
    ],
)
async def test_nonsense_is_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        async with reading("redis://localhost", **options):
            pass
    with pytest.raises(ConfigError, match="must be"):
        async with reading("localhost"):
            pass
    with pytest.raises(ConfigError, match="redis must be a URL"):
        async with trio_cursor.open_reader(None, group=GROUP):
            pass


async def test_a_configuration_says_the_rest(server, logged):
    put(server, 1, 2, 3, stream="{s:1}")
    config = RedisConfig(url=server.url, stream="s", shards=2)
    async with trio_cursor.open_reader(config, group=GROUP) as reader:
        (held,) = await received(reader, 1)
        await reader.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await reader.receive()
        await held.ack()
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert [attempts for _, _, attempts in pending(server, stream="{s:1}")] == [0, 0]
    assert not any("starts again" in line for line in logged())


async def test_consumers_that_are_long_gone_are_forgotten(server, monkeypatch):
    monkeypatch.setattr("trio_cursor.feeds._FORGET_MS", -1)
    put(server, 1)
    server.call("XGROUP", "CREATE", STREAM, GROUP, "0")
    server.call("XGROUP", "CREATECONSUMER", STREAM, GROUP, "gone")
    server.call("XREADGROUP", "GROUP", GROUP, "dead", "STREAMS", STREAM, ">")

    def names():
        return {one["name"] for one in server.client.xinfo_consumers(STREAM, GROUP)}

    async with reading(server, consumer="me", claim_after_seconds=1) as reader:
        await until(lambda: names() == {b"dead", b"me"})  # it has something yet
        assert await dealt_with(reader, 1) == [id_of(1)]
        await until(lambda: names() == {b"me"})


async def test_a_mistake_of_ours_is_said_and_gone_about_again(server, monkeypatch, logged):
    monkeypatch.setattr("trio_cursor.feeds.RETRY_SECONDS", (0.01, 0.01))
    mistakes = [RuntimeError("ours")]

    def mistaken(*args):
        if mistakes:
            raise mistakes.pop()
        return Delivery(*args)

    monkeypatch.setattr("trio_cursor.feeds.Delivery", mistaken)
    put(server, 1)
    async with reading(server) as reader:
        (delivery,) = await received(reader, 1)
        assert delivery.attempts == 2
        assert reader.status().state == "connected"
    assert any("starts again" in line for line in logged())


async def test_a_server_that_hangs_at_the_end_is_not_waited_for():
    with own_server() as server:
        put(server, 1)
        async with reading(server) as reader:
            await received(reader, 1)
            server.stall()
        server.resume()
        assert len(pending(server)) == 1


@within(30)
async def test_the_program_of_the_documentation_runs(server):
    text = (Path(__file__).parent.parent / "docs" / "consumers.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    body, run, rest = program.rpartition("trio.run(main)")
    assert (run, rest) == ("trio.run(main)", "\n")
    put(server, 1)
    printed = []
    namespace = {"print": lambda *words: printed.append(words)}
    exec(body.replace("redis://localhost:6379", server.tcp_url), namespace)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(namespace["main"])
        await until(lambda: printed and pending(server, group="analytics") == [])
        nursery.cancel_scope.cancel()
    assert printed == [(id_of(1), "unknown")]
