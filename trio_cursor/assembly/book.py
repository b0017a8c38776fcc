"""The book of what is pending: what belongs to one key together, and every way to find it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeVar

import attrs

from trio_cursor.assembly.attribution import Places
from trio_cursor.assembly.groups import Group
from trio_cursor.assembly.pending import Pending, PendingEntry, PendingTurn, Row, key_of, not_after
from trio_cursor.cursor.schemas.values import canonical_id, is_uuid
from trio_cursor.observations import Place, Rule, Turn, TurnId
from trio_cursor.records import Workspace

#: Begins the key of a group whose turn has no name yet; no id holds it.
_NAMELESS = "\x00"

_K = TypeVar("_K")
#: Storage keys of turns by something that they share, in the order in which they came.
_Index = dict[_K, dict[str, None]]
#: Profile and conversation.
_Conversation = tuple[str, str]


@attrs.define(eq=False)
class Book:
    """All groups, and who belongs to which."""

    places: Places
    groups: dict[str, Group] = attrs.field(factory=dict, init=False)
    #: Keys of groups that are to be placed anew, those that are there no more too.
    touched: dict[str, None] = attrs.field(factory=dict, init=False)
    #: Rows whose turn has left them.
    loose_rows: list[Row] = attrs.field(factory=list, init=False)
    _group_of: dict[str, Group] = attrs.field(factory=dict, init=False)
    #: Turns of a conversation: all, those in flight, and those with an entry in the ring of a workspace.
    _told: _Index[_Conversation] = attrs.field(factory=dict, init=False)
    _in_flight: _Index[_Conversation] = attrs.field(factory=dict, init=False)
    _ringed: _Index[_Conversation] = attrs.field(factory=dict, init=False)
    #: One turn, in whatever databases it stands.
    _twins: _Index[TurnId] = attrs.field(factory=dict, init=False)
    #: Turns in flight, by database, in the order in which they are to be looked at again.
    _unsettled: _Index[str] = attrs.field(factory=dict, init=False)
    _by_database: Counter[str] = attrs.field(factory=Counter, init=False)
    #: Storage keys of what has changed, and whether it was stored before.
    _changed: dict[str, bool] = attrs.field(factory=dict, init=False)

    def turn(self, storage_key: str) -> PendingTurn | None:
        """A pending turn."""
        group = self._group_of.get(storage_key)
        return group.turns[storage_key] if group else None

    def group_of(self, storage_key: str) -> Group | None:
        """The group of a pending turn."""
        return self._group_of.get(storage_key)

    def count(self, database: str) -> int:
        """How much was observed in a database and is pending."""
        return self._by_database[database]

    def databases(self) -> list[str]:
        """Those in which something was observed that is pending."""
        return [database for database, count in self._by_database.items() if count]

    def key_of_turn(self, workspace: Workspace, turn: Turn) -> str | None:
        """The key by which a turn is reported, as far as is known now; None: it has no name yet."""
        if turn.generation_id is None:
            return None
        if is_uuid(turn.generation_id):
            return canonical_id(turn.generation_id)
        profile, conversation_id = workspace.profile, turn.id.conversation_id
        return key_of(turn.generation_id, self.places.workspace_of(profile, conversation_id, workspace))

    def learn(self, profile: str, place: Place) -> bool:
        """Take in where a conversation belongs. Returns whether anything is known now that was not."""
        if not self.places.learn(profile, place):
            return False
        for conversation_id in self.places.below(profile, place.conversation_id):
            for storage_key in self._told.get((profile, conversation_id), {}).copy():
                group = self._group_of[storage_key]
                item = group.turns[storage_key]
                if item.turn.generation_id is not None and not is_uuid(item.turn.generation_id):
                    self.put_turn(item, group.met_ms)
                elif place.rule == Rule.PARENT:
                    self.touched[group.key] = None
        return True

    def put_entry(self, entry: PendingEntry, now_ms: int) -> None:
        """Put in the entry of a key, or another one in its place."""
        group = self._group(entry.key, now_ms)
        if group.entry is not None:
            self._by_database[group.entry.workspace.database] -= 1
        self._by_database[entry.workspace.database] += 1
        self._changed.setdefault(entry.key, group.entry is not None)
        group.entry = entry
        for storage_key, item in group.turns.items():
            self._note_ring(storage_key, item, group)

    def put_turn(self, item: PendingTurn, now_ms: int) -> None:
        """Put in a turn, or how it stands now, maybe under another name."""
        storage_key = item.key
        key = self.key_of_turn(item.workspace, item.turn) or _NAMELESS + storage_key
        old = self._group_of.get(storage_key)
        self._changed.setdefault(storage_key, old is not None)
        if old is not None:
            self._touch_agents(old.turns[storage_key])
            if old.key != key:
                self._take_out(storage_key)
                item = attrs.evolve(item, row=None)
        group = self._group(key, now_ms)
        group.turns[storage_key] = item
        database, conversation = item.workspace.database, _conversation(item)
        if storage_key not in self._group_of:
            self._by_database[database] += 1
            self._group_of[storage_key] = group
            _add(self._told, conversation, storage_key)
            _add(self._twins, item.turn.id, storage_key)
        if item.is_in_flight:
            _add(self._in_flight, conversation, storage_key)
            _add(self._unsettled, database, storage_key)
        else:
            _remove(self._in_flight, conversation, storage_key)
            _remove(self._unsettled, database, storage_key)
        self._note_ring(storage_key, item, group)
        self._touch_agents(item)

    def is_moved(self, storage_key: str) -> bool:
        """Whether a pending turn would get another key now: workspaces became known, or their folders."""
        group = self._group_of[storage_key]
        item = group.turns[storage_key]
        return self.key_of_turn(item.workspace, item.turn) not in (None, group.key)

    def move(self, group: Group) -> bool:
        """Put turns where they belong now. Returns whether any was elsewhere."""
        moved = [item for key, item in group.turns.items() if self.is_moved(key)]
        for item in moved:
            self.put_turn(item, group.met_ms)
        return bool(moved)

    def set_back(self, now_ms: int) -> None:
        """The wall clock was set back, or may have been: nothing was seen later than now."""
        for group in list(self.groups.values()):
            group.met_ms = min(group.met_ms, now_ms)
            for item in list(group.parts):
                seen = not_after(item, now_ms)
                if seen == item:
                    continue
                if isinstance(seen, PendingEntry):
                    self.put_entry(seen, now_ms)
                else:
                    self.put_turn(seen, now_ms)
        self.touched.update(dict.fromkeys(self.groups))

    def drop_turn(self, storage_key: str) -> None:
        """A turn is pending no more; its row stays."""
        self._changed.setdefault(storage_key, True)
        self._touch_agents(self._group_of[storage_key].turns[storage_key])
        self._take_out(storage_key)

    def drop_group(self, group: Group) -> None:
        """Nothing of it is pending any more."""
        loose = len(self.loose_rows)
        for storage_key in list(group.turns):
            self.drop_turn(storage_key)
        del self.loose_rows[loose:]
        if group.entry is not None:
            self._changed.setdefault(group.entry.key, True)
            self._by_database[group.entry.workspace.database] -= 1
            group.entry = None
            self._close(group)

    def in_flight(self, profile: str, conversation_id: str) -> Iterator[PendingTurn]:
        """Turns of a conversation that are not settled."""
        for storage_key in self._in_flight.get((profile, conversation_id), ()):
            yield self._group_of[storage_key].turns[storage_key]

    def ringed(self, profile: str, conversation_id: str) -> Iterator[Workspace]:
        """Workspaces whose rings hold turns of a conversation."""
        for storage_key in self._ringed.get((profile, conversation_id), ()):
            entry = self._group_of[storage_key].entry
            if entry is not None:
                yield entry.workspace

    def twins(self, id_: TurnId) -> list[str]:
        """Storage keys of a turn, in whatever databases it stands."""
        return list(self._twins.get(id_, ()))

    def next_unsettled(self, database: str, limit: int) -> list[PendingTurn]:
        """Turns in flight; with the next call others, if there are more."""
        turns = self._unsettled.get(database, {})
        keys = [key for key, _ in zip(turns, range(limit), strict=False)]
        for key in keys:
            turns[key] = turns.pop(key)
        return [self._group_of[key].turns[key] for key in keys]

    def changes(self) -> tuple[tuple[Pending, ...], tuple[str, ...]]:
        """What is to be stored, and storage keys of what is pending no more, since the last time."""
        pending: list[Pending] = []
        settled = []
        for key, was_stored in self._changed.items():
            group = self.groups.get(key)
            item = self.turn(key) or (group.entry if group else None)
            if item is not None:
                pending.append(item)
            elif was_stored:
                settled.append(key)
        self._changed.clear()
        return tuple(pending), tuple(settled)

    def take_touched(self) -> list[str]:
        """Keys of what has changed since the last time."""
        keys = list(self.touched)
        self.touched.clear()
        return keys

    def _group(self, key: str, now_ms: int) -> Group:
        if key not in self.groups:
            self.groups[key] = Group(key, now_ms)
        self.touched[key] = None
        return self.groups[key]

    def _take_out(self, storage_key: str) -> None:
        group = self._group_of.pop(storage_key)
        item = group.turns.pop(storage_key)
        if item.row is not None:
            self.loose_rows.append(item.row)
        self._by_database[item.workspace.database] -= 1
        for index in (self._told, self._in_flight, self._ringed):
            _remove(index, _conversation(item), storage_key)
        _remove(self._twins, item.turn.id, storage_key)
        _remove(self._unsettled, item.workspace.database, storage_key)
        self._close(group)

    def _close(self, group: Group) -> None:
        self.touched[group.key] = None
        if group.entry is None and not group.turns:
            del self.groups[group.key]

    def _note_ring(self, storage_key: str, item: PendingTurn, group: Group) -> None:
        if group.entry is not None and group.entry.workspace.id is not None:
            _add(self._ringed, _conversation(item), storage_key)
        else:
            _remove(self._ringed, _conversation(item), storage_key)

    def _touch_agents(self, item: PendingTurn) -> None:
        """Turns of agents that a turn in flight has started may wait for it."""
        if not item.is_in_flight:
            return
        profile, conversation_id = _conversation(item)
        for child in self.places.children(profile, conversation_id):
            for storage_key in self._told.get((profile, child), ()):
                self.touched[self._group_of[storage_key].key] = None


def _conversation(item: PendingTurn) -> _Conversation:
    return (item.workspace.profile, item.turn.id.conversation_id)


def _add(index: _Index[_K], key: _K, storage_key: str) -> None:
    index.setdefault(key, {})[storage_key] = None


def _remove(index: _Index[_K], key: _K, storage_key: str) -> None:
    found = index.get(key)
    if found is not None:
        found.pop(storage_key, None)
        if not found:
            del index[key]
