"""What an embedding program holds, in virtual time; the log is a double with the same door."""

from __future__ import annotations

import fakes
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_cursor.config import Config
from trio_cursor.errors import StateError
from trio_cursor.eventlog import Entry
from trio_cursor.handle import Handle
from trio_cursor.records import Event
from trio_cursor.settings import Settings
from trio_cursor.status import disabled, idle


def event(name, event_type="database_trace"):
    return Event(0, name, 1, "scan_w1", {}, {"generation_id": name}, event_type)


@pytest.fixture
def log():
    return fakes.FakeLog()


@pytest.fixture
def first_pass():
    return trio.Event()


@pytest.fixture
def handle(log, first_pass):
    reload = Settings(Config()).reload
    return Handle(lambda is_over: "stopped" if is_over else "running", idle, log, first_pass, reload)


async def append(log, *names, **fields):
    await log.append(Entry(tuple(((name,), event(name, **fields)) for name in names)))


async def test_a_subscriber_gets_what_is_there_and_what_comes(handle, log, nursery, autojump_clock):
    await append(log, "a", "b")
    async with handle.subscribe() as events:
        nursery.start_soon(append, log, "c")
        assert [(await events.receive()).generation_id for _ in range(3)] == ["a", "b", "c"]


async def test_a_subscriber_may_begin_behind_a_sequence(handle, log, autojump_clock):
    await append(log, "a", "b", "c")
    async with handle.subscribe(after=1) as events:
        received = [await events.receive() for _ in range(2)]
    assert [(item.generation_id, item.sequence) for item in received] == [("b", 2), ("c", 3)]


async def test_a_slow_subscriber_lags_and_misses_nothing(handle, log, autojump_clock):
    async with handle.subscribe() as events:
        for number in range(1200):
            await append(log, str(number))
        assert [(await events.receive()).generation_id for _ in range(1200)] == [str(n) for n in range(1200)]


async def test_a_position_counts_what_is_no_event_as_passed_over(handle, log, nursery, autojump_clock):
    await append(log, "a", "b")
    await append(log, "gap", event_type="database_gap")
    async with handle.subscribe() as events:
        assert events.position == 0
        await events.receive()
        assert events.position == 1
        await events.receive()
        assert events.position == 3
        nursery.start_soon(events.receive)
        await wait_all_tasks_blocked()
        await append(log, "another gap", event_type="database_gap")
        await wait_all_tasks_blocked()
        assert events.position == 4
        await append(log, "c")
        await wait_all_tasks_blocked()


async def test_records_that_are_no_events_are_passed_over(handle, log, autojump_clock):
    await append(log, "gap", event_type="database_gap")
    await append(log, "a")
    async with handle.subscribe() as events:
        assert (await events.receive()).generation_id == "a"


async def test_events_that_the_retention_has_deleted_do_not_keep_a_subscriber_busy(
    handle, log, nursery, autojump_clock
):
    log.last_sequence = 500
    async with handle.subscribe(after=3) as events:
        nursery.start_soon(append, log, "a")
        assert (await events.receive()).sequence == 501
        with trio.move_on_after(10):
            await events.receive()
        assert trio.current_time() >= 10  # it slept, or the clock of this test would stand still


async def test_a_subscription_ends_with_the_service(handle, nursery, autojump_clock):
    async def end():
        await wait_all_tasks_blocked()
        handle.ended()

    nursery.start_soon(end)
    async with handle.subscribe() as events:
        assert [item async for item in events] == []
    assert handle.status() == "stopped"


async def test_a_log_that_is_closed_under_a_subscriber_is_the_end(handle, log, autojump_clock):
    log.failures = [trio.ClosedResourceError()]
    async with handle.subscribe() as events:
        with pytest.raises(trio.EndOfChannel):
            await events.receive()


async def test_a_fault_of_the_log_is_the_subscribers_to_know_and_costs_no_event(handle, log, autojump_clock):
    await append(log, "a")
    log.failures = [StateError("disk I/O error")]
    async with handle.subscribe() as events:
        with pytest.raises(StateError):
            await events.receive()
        assert (await events.receive()).generation_id == "a"


async def test_a_receiver_in_another_task_hears_of_the_close(handle, nursery, autojump_clock):
    async def receive(events):
        with pytest.raises(trio.ClosedResourceError):
            await events.receive()
        closed.set()

    closed = trio.Event()
    async with handle.subscribe() as events:
        nursery.start_soon(receive, events)
        await wait_all_tasks_blocked()
    await closed.wait()


async def test_a_cancelled_receiver_loses_nothing(handle, log, autojump_clock):
    async with handle.subscribe() as events:
        with trio.move_on_after(1):
            await events.receive()
        await append(log, "a")
        with trio.CancelScope() as scope:
            scope.cancel()
            await events.receive()
        assert scope.cancelled_caught
        assert (await events.receive()).generation_id == "a"


async def test_synced_returns_when_the_first_pass_is_over(handle, first_pass, nursery, autojump_clock):
    done = trio.Event()

    async def wait():
        await handle.synced()
        done.set()

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    assert not done.is_set()
    first_pass.set()
    await done.wait()


async def test_synced_keeps_nobody_waiting_for_a_service_that_has_ended(handle, nursery, autojump_clock):
    nursery.start_soon(handle.synced)
    await wait_all_tasks_blocked()
    handle.ended()


async def test_a_disabled_service_has_a_handle_with_which_the_same_program_runs(autojump_clock):
    handle = Handle(lambda _: disabled(), idle, None, trio.Event(), Settings(Config()).reload)
    await handle.synced()
    async with handle.subscribe() as events:
        assert [item async for item in events] == []
    assert handle.status().state == "disabled"
    assert handle.progress() == idle()
    handle.ended()
