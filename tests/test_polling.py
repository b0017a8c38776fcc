"""Turns from the database to the log in virtual time: observed, waited for, asked for, released."""

from __future__ import annotations

from functools import partial

import fakes
import pytest
import trio
from chats import ASSISTANT, HEADERS, KV, USER, Chat
from scans import uuid
from trio.testing import wait_all_tasks_blocked

from trio_cursor.condition import Condition, Pace
from trio_cursor.cursor.guest import Busy, Empty, Page
from trio_cursor.cursor.schemas.known import Reading
from trio_cursor.demand import Demand
from trio_cursor.passes import ProfileRead
from trio_cursor.polling import Tools
from trio_cursor.records import Page as SchemaPage
from trio_cursor.sessions.registry import Registry
from trio_cursor.sink import Sink
from trio_cursor.states import WorkspaceState
from trio_cursor.waking import renew
from trio_cursor.watched import Watched
from trio_cursor.watcher import watch_workspace

HOME, GLOBAL = fakes.workspace("w1"), fakes.workspace(None)
POLL, PROBE, WAIT, SETTLE = 30.0, 0.25, 60.0, 300.0


class World:
    """A workspace and the global database, with everything between guest and log."""

    def __init__(self, nursery):
        self.guest, self.log = fakes.FakeGuest(), fakes.FakeLog()
        self.ring, self.chats = self.guest[HOME.database], self.guest[GLOBAL.database]
        for statement in (KV, HEADERS):
            self.chats.execute(statement)
        self.registry = Registry(inactive_ms=10**9, max_active=10, end_grace_ms=0)
        self.watched = {
            place.database: Watched(place, self.guest[place.database].signature) for place in (HOME, GLOBAL)
        }
        self.scanner = fakes.FakeScanner(self.watched)
        self.assembler, self.freshness = fakes.make_assembler(
            self.scanner,
            ring_grace_ms=2000,
            conversation_wait_ms=int(WAIT * 1000),
            settle_timeout_ms=int(SETTLE * 1000),
        )
        sends, messages = trio.open_memory_channel(16)
        self.sends = sends
        self.sink = Sink(
            self.log,
            self.assembler,
            self.registry,
            self.scanner,
            self.freshness,
            fakes.now_ms,
            "host",
            1 << 20,
            fakes.nobody,
        )
        self.freshness.renewed = partial(renew, self.sink, sends)
        self.tools = Tools(
            guest=self.guest,
            log=self.log,
            demand=Demand(self.registry, self.assembler, self.scanner, fakes.now_ms),
            scanner=self.scanner,
            assembler=self.assembler,
            freshness=self.freshness,
            sends=sends,
            now_ms=fakes.now_ms,
            window_ms=None,
            pace=Pace(POLL, PROBE, 3, 2.0),
        )
        self.nursery = nursery
        self.ended = set()
        nursery.start_soon(self.sink.deliver, messages)

    def start(self, *places):
        for place in places or (HOME, GLOBAL):
            self.registry.sign_of_life(HOME, fakes.now_ms())
            self.nursery.start_soon(self._watch, place)

    async def _watch(self, place):
        watched = self.watched[place.database]
        watched.active = True
        await watch_workspace(watched, WorkspaceState(place), self.tools, lambda: None)
        watched.active = False
        self.ended.add(place.id)

    async def sweep(self):
        """What the scan clock does."""
        began = trio.current_time()
        for database, item in self.watched.items():
            if item.signature != self.guest[database].signature:
                item.signature = self.guest[database].signature
                item.wake()
            item.swept_at = began
        self.freshness.renew()
        await wait_all_tasks_blocked()

    async def run(self, seconds):
        """Time goes by, swept as often as probed."""
        for _ in range(round(seconds / PROBE)):
            await trio.sleep(PROBE)
            await self.sweep()

    def write(self, chat, **fields):
        chat.write(**fields)
        self.chats.version += 1

    def chat(self, id_="c"):
        return Chat(self.chats.connection, id_, at=fakes.now_ms(), workspaceIdentifier={"id": "w1"})

    def ask(self, number):
        """An entry of the ring, asked for now."""
        entry = {"unixMs": fakes.now_ms(), "generationUUID": uuid(number), "type": "composer"}
        self.ring.set_ring(entry)


@pytest.fixture
async def world(nursery):
    return World(nursery)


async def test_a_turn_is_reported_once_it_is_finished_with_what_stands_there_then(world, autojump_clock):
    world.start()
    await world.run(1)
    world.ask(1)
    chat = world.chat()
    chat.add(USER, "why?", requestId=uuid(1))
    answer = chat.add(ASSISTANT, "bec")
    world.write(chat, status="generating", generatingBubbleIds=[answer])
    await world.run(120)
    assert world.log.events == []
    assert len(world.log.pending_items) == 2
    chat.messages[-1]["text"] = "because"
    world.write(chat)
    await world.run(1)
    (event,) = world.log.events
    payload, place = event.payload, event.metadata
    assert (event.generation_id, payload["status"], place["schema"]) == (
        uuid(1),
        "completed",
        "ring+conversations",
    )
    assert (payload["prompt_text"], payload["response_text"]) == ("why?", "because")
    assert (place["workspace_id"], event.session_id) == ("w1", "scan_w1")
    assert world.log.pending_items == {}
    assert world.scanner.hurries > 0


async def test_a_turn_that_never_settles_is_incomplete_after_its_time(world, autojump_clock):
    world.start()
    chat = world.chat()
    chat.add(USER, "why?", requestId=uuid(1))
    chat.add(ASSISTANT, "bec")
    await world.run(1)
    world.write(chat, status="generating")
    await world.run(SETTLE - 5)
    assert world.log.events == []
    await world.run(10)
    assert [(event.generation_id, event.payload["status"]) for event in world.log.events] == [
        (uuid(1), "incomplete")
    ]


async def test_a_locked_ring_keeps_the_turns_of_its_profile_waiting(world, autojump_clock):
    world.ring.script = [Busy("locked")] * 20
    world.start()
    chat = world.chat()
    world.write(chat.turn(1))
    world.ask(1)
    await world.run(4)
    assert world.log.events == []
    assert world.freshness.is_blocked(HOME.profile)
    done = ProfileRead(HOME.profile)
    await world.sends.send(done)
    await done.done.wait()  # nobody has to wait for what may take long
    await world.run(4)
    (event,) = world.log.events
    assert event.metadata["schema"] == "ring+conversations"


async def test_a_ring_entry_is_unknown_only_after_a_look_at_the_conversations(world, autojump_clock):
    world.start(HOME)
    world.ask(1)
    await world.run(WAIT + 60)
    assert world.log.events == []
    world.start(GLOBAL)
    await world.run(1)
    assert [event.payload["status"] for event in world.log.events] == ["unknown"]


async def test_rows_that_are_changed_in_place_are_found_too(world, autojump_clock):
    world.start()
    chat = world.chat()
    chat.add(USER, "why?", requestId=uuid(1))
    chat.add(ASSISTANT, "because")
    await world.run(1)
    world.write(chat, status="generating")
    await world.run(10)
    # As a Cursor would that used UPDATE: no rowid moves.
    world.chats.execute("UPDATE cursorDiskKV SET value = ? WHERE key = 'composerData:c'", chat.document())
    await world.run(POLL + 2)
    assert [event.payload["status"] for event in world.log.events] == ["completed"]


async def test_the_global_database_is_polled_while_somebody_works_or_something_is_pending(
    world, autojump_clock
):
    chat = world.chat()
    chat.add(USER, "why?", requestId=uuid(1), createdAt=fakes.now_ms())
    chat.add(ASSISTANT, "bec")
    world.write(chat, status="generating")
    await world.sweep()
    world.start()
    await world.run(5)
    world.registry.expire(2**62)
    world.watched[GLOBAL.database].wake()
    await world.run(5)
    assert world.ended == set()
    world.write(chat)
    await world.run(2)
    assert len(world.log.events) == 1
    world.registry.expire(2**62)
    for item in world.watched.values():
        item.wake()
    await world.run(1)
    assert world.ended == {None, "w1"}


async def test_what_an_earlier_run_left_in_flight_is_looked_at_again(nursery, autojump_clock):
    first = World(nursery)
    chat = first.chat()
    chat.add(USER, "why?", requestId=uuid(1), createdAt=fakes.now_ms())
    chat.add(ASSISTANT, "bec")
    first.write(chat, status="generating")
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as inner:
            first.nursery = inner
            first.start()
            await first.run(2)
            scope.cancel()
    later = World(nursery)
    later.log.pending_items = first.log.pending_items
    later.log.positions = first.log.positions
    later.chats.connection, later.chats.version = first.chats.connection, first.chats.version
    pending = first.log.pending_items.values()
    later.assembler.restore(pending, [], fakes.now_ms(), trio.current_time())
    # Changed in place meanwhile, so that nothing shows it.
    later.chats.execute("UPDATE cursorDiskKV SET value = ? WHERE key = 'composerData:c'", chat.document())
    later.start()
    await later.run(2)
    assert [event.payload["response_text"] for event in later.log.events] == ["bec"]


async def test_a_database_that_is_gone_keeps_nobody_waiting_and_its_turns_for_the_next_time(
    world, autojump_clock
):
    world.start()
    await world.run(1)
    world.write(world.chat().turn(1))
    # It is seen to be finished, and gone before its texts are asked for.
    world.chats.script = [None, None, *[Empty("no file")] * 1000]
    await world.run(3)
    assert world.watched[GLOBAL.database].nothing is not None
    done = ProfileRead(HOME.profile)
    await world.sends.send(done)
    with trio.fail_after(5):
        await done.done.wait()
    assert world.log.events == []
    world.chats.script = []
    await world.run(POLL + 2)
    assert [event.payload["response_text"] for event in world.log.events] == ["answer 1"]


async def test_what_could_not_be_read_to_its_end_is_relied_on_by_nobody_until_it_stays_so(
    world, autojump_clock
):
    watched, state = world.watched[HOME.database], WorkspaceState(HOME)
    condition = Condition(watched, state, world.tools.pace, world.freshness, lambda: None)
    outcome = Page(Reading({}, ()), world.ring.signature, None, "ro", "delete", 0.0, 1)
    given_up, whole = {"ring": SchemaPage((), "", is_given_up=True)}, {"ring": SchemaPage((), "")}
    for _ in range(3):
        assert not condition.caught_up(outcome, given_up, 1.0).is_done
        assert condition.watched.read is None
        assert condition.watched.is_blocked
    condition.caught_up(outcome, given_up, 2.0)
    assert (condition.watched.read_at, condition.watched.is_blocked) == (2.0, False)
    condition.caught_up(outcome, whole, 3.0)
    assert condition.given_up == 0


async def test_the_first_pass_ends_though_there_is_always_something_new(world, nursery, autojump_clock):
    world.start()
    await world.run(1)
    done = ProfileRead(HOME.profile)

    async def work():
        for number in range(1, 200):
            world.ask(number)
            world.write(world.chat(f"c{number}").turn(number))
            await world.sweep()
            await trio.sleep(PROBE / 2)

    nursery.start_soon(work)
    await trio.sleep(2)
    await world.sends.send(done)
    with trio.fail_after(5):
        await done.done.wait()
    assert len(world.log.events) > 1
