"""Work that is left behind: what its threads do when they are waited for, and when they hang."""

from __future__ import annotations

import threading

import pytest
import trio
from deadlines import until

from trio_cursor.threads import run_or_leave, soon

#: For what nothing holds up, on any machine; and what holds somebody up outlasts it.
SOON_SECONDS, LONG_SECONDS = 20, 60


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
    """Let it begin, cancel it, and wait for its end."""
    begun = []

    def in_thread():
        begun.append(True)
        return work()

    with trio.fail_after(SOON_SECONDS), trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def run():
                await run_or_leave(in_thread, limiter=limiter, leave=leave, **more)

            nursery.start_soon(run)
            await until(lambda: begun)
            scope.cancel()
    assert scope.cancelled_caught


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
        hanging.wait(LONG_SECONDS)
        done.append(True)

    await cancelled(work, limiter, hanging.set, grace=LONG_SECONDS)
    assert done == [True]


async def test_work_that_hangs_is_left_and_keeps_its_place_until_it_ends(limiter, hanging):
    left = []
    await cancelled(lambda: hanging.wait(LONG_SECONDS), limiter, lambda: left.append(True), grace=0.1)
    assert left == [True]
    assert limiter.borrowed_tokens == 1
    hanging.set()
    with trio.fail_after(10):
        async with limiter:
            pass


async def test_nobody_waits_where_no_thread_is_at_work(limiter, hanging):
    await cancelled(lambda: hanging.wait(LONG_SECONDS), limiter, lambda: False, grace=LONG_SECONDS)


def test_when_the_run_is_over_there_is_nobody_to_tell():
    told = []

    async def main():
        token = trio.lowlevel.current_trio_token()
        is_told = trio.Event()

        def tell():
            told.append(True)
            is_told.set()

        soon(token, tell)
        with trio.fail_after(SOON_SECONDS):
            await is_told.wait()
        return token

    soon(trio.run(main), pytest.fail)
    assert told == [True]
