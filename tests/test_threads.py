"""Work that is left behind: what its threads do when they are waited for, and when they hang."""

from __future__ import annotations

import threading

import pytest
import trio

from trio_cursor.threads import run_or_leave, soon


@pytest.fixture
def limiter():
    return trio.CapacityLimiter(1)


@pytest.fixture
def hanging():
    """Work that goes on until the event is set."""
    event = threading.Event()
    yield event
    event.set()


async def cancelled(work, limiter, leave, **more):
    """Let it begin, cancel it, and tell how long that took."""
    with trio.fail_after(10), trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def run():
                await run_or_leave(work, limiter=limiter, leave=leave, **more)

            nursery.start_soon(run)
            await trio.sleep(0.05)
            began = trio.current_time()
            scope.cancel()
    assert scope.cancelled_caught
    return trio.current_time() - began


async def test_work_gives_its_answer_or_its_error(limiter):
    def name():
        return threading.current_thread().name

    never = pytest.fail
    assert (await run_or_leave(name, limiter=limiter, leave=never, thread_name="demo")).startswith("demo")
    with pytest.raises(ZeroDivisionError):
        await run_or_leave(lambda: 1 // 0, limiter=limiter, leave=never)
    assert limiter.borrowed_tokens == 0


async def test_work_that_ends_when_it_is_left_is_waited_for(limiter, hanging):
    done = []

    def work():
        hanging.wait(20)
        done.append(True)

    assert await cancelled(work, limiter, hanging.set, grace=10) < 5
    assert done == [True]


async def test_work_that_hangs_is_left_and_keeps_its_place_until_it_ends(limiter, hanging):
    left = []
    took = await cancelled(lambda: hanging.wait(20), limiter, lambda: left.append(True), grace=0.1)
    assert 0.09 < took < 5
    assert left == [True]
    assert limiter.borrowed_tokens == 1
    hanging.set()
    with trio.fail_after(10):
        async with limiter:
            pass


async def test_nobody_waits_where_no_thread_is_at_work(limiter, hanging):
    assert await cancelled(lambda: hanging.wait(20), limiter, lambda: False, grace=10) < 5


def test_when_the_run_is_over_there_is_nobody_to_tell():
    told = []

    async def main():
        token = trio.lowlevel.current_trio_token()
        soon(token, lambda: told.append(True))
        await trio.sleep(0.01)
        return token

    soon(trio.run(main), pytest.fail)
    assert told == [True]
