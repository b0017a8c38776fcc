"""What `run` prints, beside a log in memory: what a person waits for, and what is leapt over."""

from __future__ import annotations

import attrs
import fakes
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_cursor.cli.output import Style
from trio_cursor.cli.screen import Screen
from trio_cursor.cli.words import Words
from trio_cursor.config import Config, LoggingConfig
from trio_cursor.eventlog import Entry
from trio_cursor.handle import Handle
from trio_cursor.records import Event
from trio_cursor.settings import Settings
from trio_cursor.status import idle

BEGAN_MS = 1000


class World:
    """A log that grows, and a screen for a person who looks at it."""

    def __init__(self):
        self.log = fakes.FakeLog()
        self.generations = self.gaps = 0
        handle = Handle(self.status, self.progress, self.log, trio.Event(), Settings(Config()).reload)
        words = Words(LoggingConfig())
        self.screen = Screen(handle, Style(is_on=False), BEGAN_MS, words)

    def status(self, _is_over):
        raise AssertionError("a look at each workspace, many times a second")

    def progress(self):
        return attrs.evolve(
            idle(), last_sequence=self.log.last_sequence, generations=self.generations, gaps=self.gaps
        )

    async def report(self, number, *, timestamp=1):
        """So many generations."""
        first = self.generations
        self.generations += number
        entries = [
            ((f"id{at}",), self._event(f"question {at}", timestamp)) for at in range(first, first + number)
        ]
        await self.log.append(Entry(tuple(entries)))

    async def miss(self, number):
        """So many gap records."""
        self.gaps += number
        gap = attrs.evolve(self._event("", 1), event_type="database_gap")
        await self.log.append(Entry((((), gap),) * number))

    def _event(self, prompt, timestamp):
        payload = {"generation_id": prompt, "prompt_text": prompt}
        return Event(0, prompt, timestamp, "scan_w1", {}, payload, "database_trace")


@pytest.fixture
def world():
    return World()


def questions(capsys):
    return [int(line.split()[-1]) for line in capsys.readouterr().out.splitlines()]


async def test_of_a_long_history_with_gaps_in_it_the_end_is_there_once_it_has_caught_up(
    world, capsys, nursery, autojump_clock
):
    nursery.start_soon(world.screen.show, trio.CancelScope())
    await wait_all_tasks_blocked()
    await world.report(500)
    await wait_all_tasks_blocked()  # it leaves some to come together, to leap over them
    await world.miss(1000)
    await world.report(700)
    await world.screen.caught_up()
    assert questions(capsys) == list(range(1180, 1200))
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("before", [0, 3])
async def test_a_gap_at_the_end_keeps_nobody_waiting(world, capsys, nursery, autojump_clock, before):
    nursery.start_soon(world.screen.show, trio.CancelScope())
    await wait_all_tasks_blocked()
    await world.report(before)
    await world.miss(2)
    await world.screen.caught_up()
    assert questions(capsys) == list(range(before))
    nursery.cancel_scope.cancel()


async def test_what_happens_now_is_not_kept_back(world, capsys, nursery, autojump_clock):
    nursery.start_soon(world.screen.show, trio.CancelScope())
    await wait_all_tasks_blocked()
    await world.report(40, timestamp=BEGAN_MS)
    await world.screen.caught_up()
    assert questions(capsys) == list(range(40))
    nursery.cancel_scope.cancel()
