"""When what is pending may go out: what each group waits for, and which is next.

A group waits for its time (`settle_timeout` and the like), then for freshness, and goes out then: an entry at
once, a turn as soon as its content was read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice

import attrs

from trio_cursor.assembly.book import Book
from trio_cursor.assembly.clocks import Clocks
from trio_cursor.assembly.deadlines import Queue
from trio_cursor.assembly.groups import Group, Need
from trio_cursor.assembly.held import Held
from trio_cursor.assembly.pending import LONG_PAST, PendingTurn
from trio_cursor.assembly.waits import Freshness, Waits, is_quick

#: After so long nothing waits any longer.
_DAY_MS = 24 * 3_600_000
#: But what was read before that in this run: the machine may have been off, or asleep.
_READING_SECONDS = 300
_NEVER = math.inf


@attrs.define(eq=False)
class Schedule:
    """Where each group stands; told of every change by `place`."""

    freshness: Freshness
    waits: Waits
    book: Book
    #: Groups that wait for somebody.
    held: Held = attrs.field(factory=Held, init=False)
    #: By when, if nothing else happens, a group is to be placed anew.
    _deadlines: Queue[float] = attrs.field(factory=Queue, init=False)
    #: Groups that wait for freshness, by the moment from which on they do.
    _waiting: dict[tuple[Need, str], Queue[float]] = attrs.field(factory=dict, init=False)
    _waits_in: dict[str, Queue[float]] = attrs.field(factory=dict, init=False)
    #: Groups that need nothing more, by their time.
    _due: Queue[float] = attrs.field(factory=Queue, init=False)
    #: Storage keys of turns whose content is wanted, by database, and by group.
    _wanted: dict[str, dict[str, None]] = attrs.field(factory=dict, init=False)
    _asked: dict[str, PendingTurn] = attrs.field(factory=dict, init=False)
    #: What freshness said, for as long as one call takes.
    _levels: dict[tuple[Need, str], float] = attrs.field(factory=dict, init=False)
    _clocks: Clocks = attrs.field(factory=Clocks, init=False)

    def begin(self, now_ms: int, at: float) -> None:
        """A call begins; while it lasts nothing becomes fresher."""
        self._levels.clear()
        if self._clocks.tell(now_ms, at):
            self.book.set_back(now_ms)

    def place(self, group: Group, now_ms: int, at: float) -> None:
        """Find out what a group waits for now."""
        chosen = self.chosen(group)
        group.met_at = at if group.met_at is None else group.met_at
        over_ms, need, early_ms = self._waiting_of(group, chosen, self._begins_ms(group.met_at, now_ms, at))
        read_at = max(group.met_at, self._clocks.alike_since) + _READING_SECONDS
        last_ms = max(group.seen_ms + _DAY_MS, _wall_ms(read_at, now_ms, at))
        if now_ms < over_ms or group.need is not need:
            group.ready_at = None
        group.need = need
        if now_ms < over_ms:
            deadline, queue = min(over_ms, last_ms), None
        else:
            group.ready_at = at if group.ready_at is None else group.ready_at
            deadline, queue = min(early_ms, last_ms), self._unfit(group, need, group.ready_at)
        is_waiting = queue is not None or group.ready_at is None
        if is_waiting and now_ms < deadline:
            self._settle(group, deadline, queue)
        elif chosen is None or chosen.is_gone or now_ms >= self._give_up_ms(group, last_ms, now_ms, at):
            self._settle(group, _NEVER, None)
            self._due.put(group.key, group.time)
        else:
            group.wanted_at = at if group.wanted_at is None else group.wanted_at
            self._settle(group, self._give_up_ms(group, last_ms, now_ms, at), None, chosen)

    def hold(self, group: Group, until_ms: float) -> None:
        """A group is nobody's, as far as is known, and waits for somebody until then."""
        self._settle(group, until_ms, None)
        group.ready_at = None
        self.held.put(group)

    def forget(self, key: str) -> None:
        """A group is there no more."""
        self.held.drop(key)
        self._deadlines.drop(key)
        self._due.drop(key)
        if (queue := self._waits_in.pop(key, None)) is not None:
            queue.drop(key)
        self._want(key, None)

    def chosen(self, group: Group) -> PendingTurn | None:
        """Of the copies of a turn the one that is reported; None: no turn bears the key."""
        if len(group.turns) == 1:
            return next(iter(group.turns.values()))
        return min(group.turns.values(), key=self._order, default=None)

    def asked(self, group: Group) -> PendingTurn | None:
        """The turn of a group whose content is wanted now."""
        return self._asked.get(group.key)

    def take_overdue(self, now_ms: int) -> list[str]:
        """Keys of groups that are to be placed anew, because of the time or of freshness, in their order."""
        groups = self.book.groups
        found = list(self._deadlines.take(now_ms))
        for (need, profile), queue in self._waiting.items():
            fresh = queue.take(self._level(need, profile))
            if need is Need.TURN:
                found += fresh
            elif fresh:
                # At a start there are very many. An entry alone stands in one profile, and needs no more.
                self._due.put_all([(key, groups[key].time) for key in fresh])
                for key in fresh:
                    del self._waits_in[key]
                    self._deadlines.drop(key)
        return sorted(found, key=lambda key: groups[key].time)

    def take_due(self, limit: int) -> Iterator[Group]:
        """Groups that go out now; those that another one takes along or changes are placed anew first."""
        for _ in range(limit):
            if self._due.first() is None:
                return
            group = self.book.groups.get(key := self._due.pop())
            if group is not None and key not in self.book.touched:
                yield group

    def next_deadline_ms(self) -> float | None:
        """When there is something to do: 0 is now, None never."""
        if self._due.first() is not None:
            return 0
        self._levels.clear()
        for (need, profile), queue in self._waiting.items():
            stamp = queue.first()
            if stamp is not None and stamp <= self._level(need, profile):
                return 0
        return self._deadlines.first()

    def waits_for_freshness(self, profile: str | None) -> bool:
        """Whether anything would go out if more was known to be read."""
        return any(
            queue.first() is not None
            for (_, of), queue in self._waiting.items()
            if profile is None or of == profile
        )

    def wanted(self, database: str, limit: int) -> list[PendingTurn]:
        """Turns whose content is to be read now, those first that were asked first."""
        keys = islice(self._wanted.get(database, ()), limit)
        return [turn for turn in map(self.book.turn, keys) if turn is not None]

    def wanted_since(self, database: str) -> float:
        """Since when the first of them is wanted; inf if none is."""
        key = next(iter(self._wanted.get(database, ())), None)
        group = None if key is None else self.book.group_of(key)
        return _NEVER if group is None or group.wanted_at is None else group.wanted_at

    def wanted_databases(self) -> set[str]:
        """Databases in which contents are to be read now."""
        return set(self._wanted)

    def _begins_ms(self, met_at: float, now_ms: int, at: float) -> int:
        """When a wait begins anew, if the clock jumped while something waited.

        The machine has slept, and Cursor too; or what was asked a moment ago now lies in the future.
        """
        alike_since = self._clocks.alike_since
        return LONG_PAST if met_at >= alike_since else now_ms - round((at - alike_since) * 1000)

    def _waiting_of(
        self, group: Group, chosen: PendingTurn | None, again_ms: int
    ) -> tuple[float, Need, float]:
        """Until when it waits, for what then, and when it stops to wait for that too."""
        if chosen is not None:
            if group.row is not None:
                return LONG_PAST, Need.TURN, LONG_PAST
            over_ms = self.waits.turn_over_ms(chosen, group.entry, again_ms)
            return max(over_ms, self._parent_until(group, chosen, again_ms)), Need.TURN, _NEVER
        entry = group.sole_entry
        over_ms = self.waits.entry_over_ms(entry, again_ms)
        if is_quick(entry):
            return over_ms, Need.QUICK_ENTRY, group.met_ms + self.waits.ring_grace_ms
        return over_ms, Need.ENTRY, _NEVER

    def _parent_until(self, group: Group, chosen: PendingTurn, again_ms: int) -> float:
        """An agent's turn may share the id of the turn that started it, which then is the one reported."""
        profile = chosen.workspace.profile
        parent = self.book.places.parent(profile, chosen.turn.id.conversation_id)
        if parent is None or not chosen.turn.is_settled:
            return LONG_PAST
        until: float = LONG_PAST
        for turn in self.book.in_flight(profile, parent):
            if turn.turn.generation_id is None:
                return _NEVER
            if turn.key in group.turns:
                until = max(until, self.waits.turn_over_ms(turn, group.entry, again_ms))
        return until

    def _order(self, item: PendingTurn) -> tuple[object, ...]:
        turn, workspace = item.turn, item.workspace
        is_agent = (
            turn.is_sub_agent
            or self.book.places.parent(workspace.profile, turn.id.conversation_id) is not None
        )
        created = math.inf if turn.created_ms is None else turn.created_ms
        names = (turn.id.conversation_id, turn.id.bubble_id, workspace.database)
        return (item.is_gone, is_agent, not turn.is_settled, created, *names)

    def _unfit(self, group: Group, need: Need, stamp: float) -> Queue[float] | None:
        """The first queue in which it still has to wait for freshness; None: in none."""
        for profile in group.profiles:
            if self._level(need, profile) < stamp:
                return self._waiting.setdefault((need, profile), Queue())
        return None

    def _level(self, need: Need, profile: str) -> float:
        known = self._levels.get((need, profile))
        if known is None:
            known = self._levels[need, profile] = self._read_level(need, profile)
        return known

    def _read_level(self, need: Need, profile: str) -> float:
        rings = self.freshness.rings(profile)
        if need is Need.QUICK_ENTRY:
            return rings
        conversations = self.freshness.conversations(profile)
        if need is Need.ENTRY:
            return min(rings, conversations)
        return rings if conversations > -math.inf else -math.inf

    def _give_up_ms(self, group: Group, last_ms: float, now_ms: int, at: float) -> float:
        """When its database has had its time to answer, and nothing waits any longer."""
        if group.wanted_at is None:
            return _NEVER
        answer_at = max(group.wanted_at, self._clocks.alike_since) + self.waits.settle_timeout_ms / 1000
        return max(last_ms, _wall_ms(answer_at, now_ms, at))

    def _settle(
        self, group: Group, deadline: float, queue: Queue[float] | None, wanted: PendingTurn | None = None
    ) -> None:
        """Put a group where it belongs, and nowhere else."""
        key = group.key
        self.held.drop(key)
        if deadline == _NEVER:
            self._deadlines.drop(key)
        else:
            self._deadlines.put(key, deadline)
        self._due.drop(key)
        known = self._waits_in.pop(key, None)
        if known is not None and known is not queue:
            known.drop(key)
        if queue is not None and group.ready_at is not None:
            queue.put(key, group.ready_at)
            self._waits_in[key] = queue
        if wanted is None:
            group.wanted_at = None
        self._want(key, wanted)

    def _want(self, key: str, turn: PendingTurn | None) -> None:
        known = self._asked.get(key)
        if known is not None and (turn is None or known.key != turn.key):
            database = known.workspace.database
            del self._wanted[database][known.key]
            if not self._wanted[database]:
                del self._wanted[database]
        if turn is None:
            self._asked.pop(key, None)
        else:
            self._asked[key] = turn
            self._wanted.setdefault(turn.workspace.database, {})[turn.key] = None


def _wall_ms(moment: float, now_ms: int, at: float) -> int:
    """What the wall clock shows at a moment, if both clocks go alike; what is past was now."""
    return now_ms + max(0, math.ceil((moment - at) * 1000))
