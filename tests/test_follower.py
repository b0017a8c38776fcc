"""The follower: every event of the log, in order, whatever the output does. Virtual time, no threads."""

from __future__ import annotations

import attrs
import pytest
import trio
import trio.testing
from log_events import event
from trio_util import RepeatedEvent

from trio_cursor.errors import StateError
from trio_cursor.outputs.follower import OutputClosedError, OutputError, OutputMovedError, follow
from trio_cursor.states import OutputState


class MemoryLog:
    """The part of the event log that a follower sees."""

    def __init__(self):
        self.events, self.cursors = [], {}
        self.last_sequence = 0
        self.appended = RepeatedEvent()
        self.failures = []
        #: So many cursors get lost.
        self.cannot_store = 0
        #: Called while a read is under way, after it has looked.
        self.meanwhile = lambda: None

    def append(self, count=1):
        for _ in range(count):
            self.last_sequence += 1
            self.events.append(attrs.evolve(event(self.last_sequence), sequence=self.last_sequence))
        self.appended.set()

    async def _work(self):
        await trio.lowlevel.checkpoint()
        if self.failures:
            raise self.failures.pop(0)

    async def read(self, after, *, limit):
        found = [item for item in self.events if item.sequence > after][:limit]
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        await self._work()
        return found

    async def cursor(self, name):
        await self._work()
        return self.cursors.get(name, (0, ""))

    async def save_cursor(self, name, sequence, detail=""):
        await self._work()
        if self.cannot_store:
            self.cannot_store -= 1
            raise StateError("the disk is full")
        self.cursors[name] = (sequence, detail)


class Collector:
    """An output that keeps what it takes, and fails when it is told to."""

    name = "collector"
    idle_seconds = 30.0
    is_closed = False

    def __init__(self, *, is_durable=True):
        self.is_durable = is_durable
        self.taken, self.resumed, self.failures, self.calls = [], [], [], []
        #: Where it wants to go on, each time that it is resumed.
        self.wants = []
        self.idled = []

    async def resume(self, sequence, detail):
        self.resumed.append(detail)
        await trio.lowlevel.checkpoint()
        return self.wants.pop(0) if self.wants else sequence

    async def idle(self):
        self.idled.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if self.failures:
            raise self.failures.pop(0)

    def close(self):
        self.is_closed = True

    async def write(self, events):
        self.calls.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if self.failures:
            raise self.failures.pop(0)
        self.taken += [item.sequence for item in events]
        return f"detail {events[-1].sequence}"


@pytest.fixture
def log():
    return MemoryLog()


@pytest.fixture
def output():
    return Collector()


@pytest.fixture
def state():
    return OutputState("collector")


@pytest.fixture
def start(nursery, log, output, state):
    async def start_following(which=output):
        nursery.start_soon(follow, which, log, state)
        await trio.testing.wait_all_tasks_blocked()

    return start_following


async def test_everything_from_the_beginning_and_then_what_comes(autojump_clock, start, log, output, state):
    log.append(1200)
    await start()
    assert output.taken == list(range(1, 1201))
    assert log.cursors == {"collector": (1200, "detail 1200")}
    log.append()
    await trio.testing.wait_all_tasks_blocked()
    assert output.taken[-1] == 1201
    assert (state.state, state.sequence, state.errors, state.last_error) == ("connected", 1201, 0, None)
    assert len(output.calls) == 4  # in batches of at most 500


async def test_from_its_cursor_with_what_was_stored_there(autojump_clock, start, log, output, state):
    log.append(3)
    log.cursors["collector"] = (2, "before")
    await start()
    assert (output.resumed, output.taken) == (["before"], [3])


async def test_an_output_without_a_memory_gets_what_comes_from_now_on(autojump_clock, start, log, state):
    log.append(3)
    state.sequence = 3
    fleeting = Collector(is_durable=False)
    await start(fleeting)
    log.append()
    await trio.testing.wait_all_tasks_blocked()
    assert (fleeting.taken, fleeting.resumed, log.cursors) == ([4], [], {})
    assert not state.is_durable


async def test_what_is_appended_while_it_reads_is_not_passed_over(autojump_clock, start, log, output):
    log.append(2)
    log.cursors["collector"] = (2, "")
    log.meanwhile = log.append
    await start()
    assert output.taken == [3]


async def test_what_the_retention_has_deleted_is_not_waited_for(autojump_clock, start, log, output, state):
    log.append(5)
    log.events.clear()
    await start()
    assert (output.taken, state.sequence) == ([], 5)
    log.append()
    await trio.testing.wait_all_tasks_blocked()
    assert output.taken == [6]


async def test_an_output_in_trouble_is_tried_again_and_gets_each_event_once(
    autojump_clock, start, log, output, state
):
    output.failures = [OutputError("full"), OutputError("full"), OutputError("gone")]
    log.append(2)
    await start()
    assert (state.state, state.last_error, state.errors, output.taken) == ("error", "full", 1, [])
    await trio.sleep(60)
    assert (state.state, state.last_error, state.errors, output.taken) == ("connected", None, 3, [1, 2])
    assert output.resumed == [""] * 4


async def test_trouble_is_said_once_for_each_reason_and_its_end_too(
    autojump_clock, start, log, output, logged
):
    output.failures = [OutputError("full"), OutputError("full"), OutputError("gone")]
    log.append()
    await start()
    await trio.sleep(60)
    said = [words for words in logged() if "output" in words]
    assert ["again" in words for words in said] == [False, False, True]


async def test_a_reason_in_other_words_of_the_server_is_no_news(autojump_clock, start, log, output, logged):
    output.failures = [OutputError(f"http://c: HTTP 503 (request {number})") for number in range(9)]
    output.failures.append(OutputError("http://c: HTTP 401 (request 9)"))
    log.append()
    await start()
    await trio.sleep(60)
    assert sum("does not take events" in words for words in logged()) == 2


async def test_since_when_events_wait_is_known_wherever_it_fails(autojump_clock, start, log, output, state):
    async def away(*_):
        await trio.lowlevel.checkpoint()
        raise OutputError("away")

    log.cursors["collector"], state.sequence = (1, ""), 1
    log.append(2)
    whole, output.resume = output.resume, away
    await start()
    assert state.oldest_ms == log.events[1].metadata["captured_at"] > 0
    output.resume = whole
    await trio.sleep(10)
    assert (output.taken, state.oldest_ms) == ([2], None)
    output.idle = output.resume = away
    await trio.sleep(60)
    assert (state.state, state.oldest_ms) == ("error", None)
    log.append()
    await trio.sleep(10)
    assert (state.sequence, state.oldest_ms) == (2, log.events[2].metadata["captured_at"])
    output.resume = whole
    await trio.sleep(10)
    assert (output.taken, state.oldest_ms) == ([2, 3], None)


async def test_a_mistake_in_reading_what_waits_ends_nobody(autojump_clock, start, log, output, state):
    log.append()
    log.failures = [StateError("no"), ZeroDivisionError()]
    await start()
    assert state.last_error == "no"
    await trio.sleep(10)
    assert (output.taken, log.failures) == ([1], [])


async def test_the_pauses_grow_to_seconds_and_start_over(autojump_clock, start, log, output):
    output.failures = [OutputError("full")] * 12
    log.append()
    await start()
    await trio.sleep(120)
    pauses = [later - earlier for earlier, later in zip(output.calls, output.calls[1:], strict=False)]
    assert 0.05 <= pauses[0] <= 0.1
    assert all(2.5 <= pause <= 5.0 for pause in pauses[6:])
    output.failures, output.calls = [OutputError("again")], []
    log.append()
    await trio.sleep(1)
    assert output.calls[1] - output.calls[0] <= 0.1
    assert output.taken == [1, 2]


async def test_a_log_in_trouble_is_tried_again(autojump_clock, start, log, output, state):
    log.append(2)
    log.failures = [StateError(f"{what} cannot be read") for what in ("cursor", "what waits", "cursor")]
    await start()
    await trio.sleep(10)
    assert (output.taken, state.errors) == ([1, 2], 2)


async def test_a_cursor_that_could_not_be_stored_hands_the_same_over_again(
    autojump_clock, start, log, output
):
    """The output itself knows what it has: that is what `resume` is for."""
    log.append(2)
    log.cannot_store = 1
    await start()
    await trio.sleep(10)
    assert output.taken == [1, 2, 1, 2]
    assert output.resumed == ["", ""]


async def test_a_bug_in_an_output_stops_nobody_else(autojump_clock, start, log, output, state):
    output.failures = [ZeroDivisionError()]
    log.append()
    await start()
    assert state.last_error == "ZeroDivisionError in trio_cursor; please report it"
    await trio.sleep(10)
    assert (output.taken, state.state) == ([1], "connected")


async def test_an_output_that_is_closed_is_not_tried_again(log, output, state, autojump_clock):
    output.failures = [OutputClosedError("nobody reads")]
    log.append()
    with trio.fail_after(5):
        await follow(output, log, state)
    assert (state.state, state.last_error, output.taken) == ("closed", "nobody reads", [])


async def test_an_output_that_has_lost_something_says_from_where_it_wants_it_again(
    autojump_clock, start, log, output, state
):
    log.append(5)
    await start()
    output.failures = [OutputMovedError()]
    output.wants = [2]
    log.append()
    await trio.testing.wait_all_tasks_blocked()
    assert output.taken == [1, 2, 3, 4, 5, 3, 4, 5, 6]
    assert (state.sequence, state.errors, state.state) == (6, 0, "connected")


async def test_an_idle_output_is_asked_now_and_then_and_may_turn_out_to_have_lost_something(
    autojump_clock, start, log, output, state
):
    log.append(2)
    await start()
    await trio.sleep(70)
    assert output.idled == [30, 60]
    output.failures, output.wants = [OutputMovedError()], [1]
    await trio.sleep(30)
    assert output.taken == [1, 2, 2]


async def test_a_trouble_that_a_person_must_mend_is_not_tried_often(
    autojump_clock, start, log, output, state
):
    output.failures = [OutputError("no", pause=30) for _ in range(3)]
    log.append()
    await start()
    await trio.sleep(100)
    waits = [after - before for before, after in zip(output.calls, output.calls[1:], strict=False)]
    assert all(15 <= wait <= 30 for wait in waits)
    assert (len(waits), output.taken) == (3, [1])


async def test_what_is_open_is_let_go_when_the_follower_ends(autojump_clock, nursery, log, output, state):
    async with trio.open_nursery() as inner:
        inner.start_soon(follow, output, log, state)
        await trio.testing.wait_all_tasks_blocked()
        assert not output.is_closed
        inner.cancel_scope.cancel()
    assert output.is_closed
