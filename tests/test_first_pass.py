"""When everything that was there at the start was looked at, in virtual time."""

from __future__ import annotations

import fakes
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_cursor.first_pass import FirstPass
from trio_cursor.passes import ProfileRead

A, B = "/a/User", "/b/User"


@pytest.fixture
def scanner():
    return fakes.FakeScanner(listings={A: None, B: None})


@pytest.fixture
async def told(nursery, scanner):
    sends, messages = trio.open_memory_channel(10)
    told = []

    async def take_in():
        async for message in messages:
            assert isinstance(message, ProfileRead)
            told.append(message.profile)
            message.done.set()

    nursery.start_soon(take_in)
    return sends, told


async def test_profile_by_profile_and_not_before_the_sweep_is_over(nursery, scanner, told, autojump_clock):
    sends, profiles = told
    first_pass = FirstPass(scanner)
    nursery.start_soon(first_pass.announce, sends)
    one, two = fakes.workspace("w1", A), fakes.workspace("w2", A)
    first_pass.expect(one)
    first_pass.looked(one)
    await wait_all_tasks_blocked()
    assert profiles == []
    first_pass.expect(two)
    first_pass.swept()
    await wait_all_tasks_blocked()
    assert profiles == [B]
    assert not first_pass.over.is_set()
    assert first_pass.progress() == (1, 2)
    first_pass.looked(two)
    await wait_all_tasks_blocked()
    assert profiles == [B, A]
    assert first_pass.over.is_set()
    assert first_pass.progress() == (2, 2)


async def test_a_profile_that_appears_later_is_told_of_too(nursery, scanner, told, autojump_clock):
    sends, profiles = told
    first_pass = FirstPass(scanner)
    nursery.start_soon(first_pass.announce, sends)
    first_pass.swept()
    await wait_all_tasks_blocked()
    assert profiles == [A, B]
    late = fakes.workspace("w1", "/c/User")
    scanner.listings["/c/User"] = None
    first_pass.expect(late)
    first_pass.expect(late)
    first_pass.looked(late)
    first_pass.looked(late)
    await wait_all_tasks_blocked()
    assert profiles == [A, B, "/c/User"]
    assert first_pass.progress() == (1, 1)


async def test_what_is_looked_at_while_the_sink_is_busy_is_not_forgotten(nursery, scanner, autojump_clock):
    first_pass = FirstPass(scanner)
    sends, messages = trio.open_memory_channel(0)
    nursery.start_soon(first_pass.announce, sends)
    place = fakes.workspace("w1", B)
    first_pass.expect(place)
    first_pass.swept()
    message = await messages.receive()
    assert message.profile == A
    first_pass.looked(place)
    message.done.set()
    with trio.fail_after(5):
        message = await messages.receive()
        assert message.profile == B
        message.done.set()
        await first_pass.over.wait()
