"""All conversations of the running Cursor: where a question goes, what streams, what grows out of it."""

from __future__ import annotations

import time
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Final

import attrs

from trio_cursor.demo import eras, noise, turns
from trio_cursor.demo.conversation import Conversation
from trio_cursor.demo.ring import RingItem, new_id
from trio_cursor.demo.rows import HeldRows, LiveRows
from trio_cursor.demo.streaming import Streaming
from trio_cursor.demo.turn_plan import plan_turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_cursor.demo.database import Database
    from trio_cursor.demo.turn_plan import TurnPlan
    from trio_cursor.demo.turns import TurnBook
    from trio_cursor.demo.window import Window

#: What is answered in a conversation; `cmdk` and `apply` are answered in the editor.
_TYPES: Final = ("composer", "chat", "agent")

#: Some rewritings a second, and longer than a flush takes: each state gets into the file.
_STEP_SECONDS: Final = (0.12, 0.25)
#: Beyond so many at a time a turn is over with its second step: the demo is to stay cheap.
_MOST_STREAMING: Final = 150
#: Of one window; older ones stay as they are.
_MOST_IN_USE: Final = 8
_KEPT_AT_CLOSE: Final = 2
_MOST_TURNS: Final = 12

_NEW = 0.25
#: Turns known to no ring, in conversations of their own, for each that is.
_UNKNOWN_TO_RINGS = 0.08
_FORK = 0.08
_FORK_IS_DELETED = 0.5
#: What was asked longer ago than this has been answered.
_LONG_AGO_MS: Final = 10_000
#: In what happened before the demo: between two looks at the clock.
_TICK_MS: Final = 150


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Conversations:
    """Streams turns into the global database, as long as `after` runs what it is given."""

    def __init__(
        self, database: Database, share: float, after: Callable[[float, Callable[[], None]], None]
    ) -> None:
        """Prepare; `share`: of the requests that could have a conversation, how many have one."""
        self._database = database
        self._rows = LiveRows(database.storage)
        self._share = share
        self._after = after
        self._pace = Random(0)  # noqa: S311 how fast, never what
        self._running: list[Streaming] = []
        #: By window and whether rings know of them.
        self._in_use: dict[tuple[str | None, bool], list[Conversation]] = {}
        self._doomed: list[Conversation] = []

    def begin(self, item: RingItem, window: Window | None) -> str | None:
        """Answer what somebody has asked; the conversation's id, None if it has none.

        `window` None: the request stands in the global ring, and its conversation says nowhere where it is.
        """
        # The id decides, so that the same seed gives the same turns, whatever runs beside them.
        random = Random(f"conversation of {item.generation_id}")  # noqa: S311 no secret
        if item.type not in _TYPES or random.random() >= self._share:
            return None
        unknown_id = new_id(random) if random.random() < _UNKNOWN_TO_RINGS else None
        self._delete_doomed()
        conversation = self._pick(random, window, item.unix_ms, in_ring=True)
        self._start(conversation, plan(conversation, item.generation_id, item.text), item.unix_ms)
        if unknown_id is not None:
            other = self._pick(random, window, item.unix_ms, in_ring=False)
            self._start(other, plan(other, unknown_id, None), item.unix_ms)
        return conversation.id

    def finish(self) -> None:
        """Bring everything to the end it was going to have."""
        while self._running:
            self._hurry(self._running[0])
        self._delete_doomed()

    def abort(self, window: Window | None = None) -> None:
        """Stop what runs in a window that closes; None: in all of them."""
        for streaming in list(self._running):
            if window is None or streaming.conversation.place is window.place:
                streaming.finish("aborted")
                self._ended(streaming)
        for (place_id, _), known in self._in_use.items():
            if window is not None and place_id == window.place.id:
                # When it opens again somebody goes on with the newest; the others need not be remembered.
                del known[:-_KEPT_AT_CLOSE]

    def remember(self, conversation: Conversation, planned: TurnPlan, unix_ms: int) -> None:
        """Write a turn of long ago, all of it at once."""
        ticks = count(unix_ms, _TICK_MS)
        book = self._database.turns
        self._hurry(Streaming(conversation, planned, self._rows, book, lambda: next(ticks), is_live=False))

    def forget(self, conversation: Conversation) -> None:
        """Write what is left of one that was deleted: its tombstone, and a row without a key."""
        conversation.delete(self._rows)
        noise.without_key(self._rows)

    def flush(self) -> None:
        """Commit what has been remembered so far, so that it need not be held."""
        self._database.flush()

    def _pick(self, random: Random, window: Window | None, unix_ms: int, *, in_ring: bool) -> Conversation:
        key = None if window is None else window.place.id, in_ring
        known = self._in_use.setdefault(key, [])
        idle = [each for each in known if not each.is_running and each.created_ms <= unix_ms]
        if idle and random.random() >= _NEW:
            return random.choice(idle)
        if window is None:
            conversation = Conversation(random, eras.of_nameless(random), None, unix_ms)
        else:
            era = eras.of_window(random, use_wal=not window.lists_conversations)
            conversation = Conversation(random, era, window.place, unix_ms)
            conversation.is_listed = in_ring and window.lists_conversations
        known.append(conversation)
        del known[:-_MOST_IN_USE]
        return conversation

    def _start(self, conversation: Conversation, plan: TurnPlan, unix_ms: int) -> None:
        if now_ms() - unix_ms > _LONG_AGO_MS:
            self.remember(conversation, plan, unix_ms)
        else:
            self._stream(Streaming(conversation, plan, self._rows, self._database.turns, now_ms))

    def _stream(self, streaming: Streaming) -> None:
        self._running.append(streaming)
        self._step(streaming)
        self._later(streaming)

    def _later(self, streaming: Streaming) -> None:
        self._after(self._pace.uniform(*_STEP_SECONDS), lambda: self._go_on(streaming))

    def _go_on(self, streaming: Streaming) -> None:
        if streaming not in self._running:
            return  # a window has closed meanwhile
        if len(self._running) > _MOST_STREAMING:
            self._hurry(streaming)
        elif not self._step(streaming):
            self._later(streaming)

    def _hurry(self, streaming: Streaming) -> None:
        """All that is left at once: nobody sees what is in between, so it need not be written."""
        rows, held = streaming.rows, HeldRows()
        streaming.rows = held
        while not self._step(streaming):
            pass
        held.release(rows)

    def _step(self, streaming: Streaming) -> bool:
        has_ended = streaming.step()
        if streaming.starts_agent:
            self._start_agent(streaming)
        if has_ended:
            self._ended(streaming)
        return has_ended

    def _start_agent(self, parent: Streaming) -> None:
        """An agent starts another, in a conversation of its own that its parent's lists."""
        streaming = _agent(parent, self._database.turns)
        if parent.is_live:
            streaming.rows = self._rows  # it may outlast a parent in a hurry
        if not parent.is_live:
            self._hurry(streaming)
        elif not parent.plan.shares_id:
            self._stream(streaming)
        else:
            # The same id in two conversations, and no rule that says which one counts while only one of them
            # has settled: so both do in one transaction.
            parent.companion = streaming

    def _ended(self, streaming: Streaming) -> None:
        if streaming in self._running:
            self._running.remove(streaming)
        if streaming.companion is not None:
            self._hurry(streaming.companion)
        conversation = streaming.conversation
        if conversation.has_ended or conversation.turns >= _MOST_TURNS:
            self._retire(conversation)
        random = Random(f"after {streaming.plan.generation_id}")  # noqa: S311 no secret
        may_fork = conversation.status == "completed" and not conversation.has_ended
        if may_fork and conversation.parent is None and random.random() < _FORK:
            self._fork(random, streaming)

    def _fork(self, random: Random, streaming: Streaming) -> None:
        now = streaming.now_ms()
        fork = streaming.conversation.fork(random, now)
        fork.write_all(streaming.rows, now)
        if random.random() < _FORK_IS_DELETED:
            # Never anything but a copy: the ledger's turns are to be found until the end.
            self._doomed.append(fork)
        else:
            for known in self._in_use.values():
                if streaming.conversation in known:
                    known.append(fork)

    def _retire(self, conversation: Conversation) -> None:
        for known in self._in_use.values():
            if conversation in known:
                known.remove(conversation)

    def _delete_doomed(self) -> None:
        for conversation in self._doomed:
            conversation.delete(self._rows)
        self._doomed.clear()


def plan(conversation: Conversation, generation_id: str, prompt: str | None) -> TurnPlan:
    """Plan the next turn of a conversation."""
    # An agent can only be told where it is by a conversation that says so itself.
    attribution = conversation.attribution
    agents = attribution is not None and attribution[1] in (turns.HEADERS_TABLE, turns.IDENTIFIER)
    era = conversation.era
    return plan_turn(
        generation_id, prompt, era, alone=conversation.turns == 0, agents=agents and era.has_sub_agents
    )


def _agent(parent: Streaming, book: TurnBook) -> Streaming:
    seed = f"agent of {parent.plan.generation_id}"
    random = Random(seed)  # noqa: S311 no secret
    conversation = Conversation(random, parent.conversation.era, parent.conversation.place, parent.now_ms())
    conversation.parent = parent.conversation
    parent.conversation.sub_agents.append(conversation.id)
    parent.conversation.write(parent.rows, parent.now_ms())
    if not parent.plan.shares_id:
        planned = plan_turn(new_id(random), None, conversation.era, alone=False, agents=False)
        return Streaming(conversation, planned, parent.rows, book, parent.now_ms, is_live=parent.is_live)
    planned = plan_turn(seed, None, conversation.era, alone=False, agents=False)
    planned = attrs.evolve(planned, generation_id=parent.plan.generation_id, outcome="completed", steps=None)
    # It counts under its parent's conversation: not in the book.
    return Streaming(conversation, planned, parent.rows, None, parent.now_ms, is_live=parent.is_live)
