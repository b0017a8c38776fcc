"""What must come of databases that nobody writes to any more, said without any order of things."""

from __future__ import annotations

import attrs
from assembly_world import GLOBAL

from trio_cursor.assembly import key_of

SLACK_MS = 60_000


@attrs.frozen
class Expected:
    """What must be reported of one key."""

    schema: str
    status: str
    workspace_id: str | None
    conversation_id: str | None
    timestamp: int | None


@attrs.frozen
class Copy:
    """A turn as it stands, and its database."""

    home: object
    turn: object

    @property
    def conversation_id(self):
        return self.turn.id.conversation_id


@attrs.define
class State:
    """The final state of all databases of one profile."""

    #: (workspace, RingEntry)
    entries: list
    #: (workspace of the database, Turn)
    turns: list
    #: `Place`s of whatever database.
    places: list
    #: (workspace, TableRow)
    rows: list = attrs.field(factory=list)
    since_ms: int | None = None
    excluded: frozenset = frozenset()

    def expected(self):
        """By key: what is reported. Of a key that has a row only that it is."""
        found = {
            key_of(row.generation_id, home): None for home, row in self.rows if self.is_near(row.timestamp)
        }
        for key in {*self.entries_by_key(), *self.copies_by_key()} - set(found):
            expected = self.of_key(key)
            is_inside = expected.timestamp is None or not self.is_before(expected.timestamp)
            if is_inside and expected.workspace_id not in self.excluded:
                found[key] = expected
        return found

    def of_key(self, key):
        entries = self.entries_by_key().get(key, [])
        copies = self.copies_by_key().get(key, [])
        times = [entry.unix_ms for _, entry in entries if entry.unix_ms is not None]
        homes = sorted((entry.unix_ms is None, entry.unix_ms, home.id) for home, entry in entries if home.id)
        if not copies:
            return Expected("ring", "unknown", homes[0][2] if homes else None, None, min(times, default=None))
        chosen = min(copies, key=self.order)
        turn = chosen.turn
        return Expected(
            "ring+conversations" if entries else "conversations",
            "completed" if turn.is_settled else "incomplete",
            homes[0][2] if homes else self.of_conversation(chosen.conversation_id, chosen.home),
            chosen.conversation_id,
            min(times, default=turn.timestamp),
        )

    def order(self, copy):
        turn = copy.turn
        is_agent = turn.is_sub_agent or self.parent(copy.conversation_id) is not None
        is_early = (turn.created_ms is None, turn.created_ms)
        return (is_agent, not turn.is_settled, is_early, copy.conversation_id, turn.id.bubble_id)

    def of_conversation(self, conversation_id, home):
        """Rules 2 to 9; None: nobody knows."""
        seen = set()
        while conversation_id is not None and conversation_id not in seen:
            seen.add(conversation_id)
            named = {
                rule: sorted(
                    place.workspace_id or place.folder.strip("/")
                    for place in self.places
                    if (place.conversation_id, place.rule) == (conversation_id, rule)
                    and (place.workspace_id or place.folder in ("/w1", "/w2", "/w3"))
                )
                for rule in (2, 3, 4, 5, 6, 7)
            }
            named[3.5] = [home.id] if home is not GLOBAL else []
            named[8] = self.rings_of(conversation_id)
            if found := [named[rule][0] for rule in sorted(named) if named[rule]]:
                return found[0]
            conversation_id, home = self.parent(conversation_id), GLOBAL
        return None

    def rings_of(self, conversation_id):
        """Workspaces whose rings hold a turn of the conversation."""
        keys = [
            key
            for key, copies in self.copies_by_key().items()
            if any(copy.conversation_id == conversation_id for copy in copies)
        ]
        entries = self.entries_by_key()
        found = []
        for key in keys:
            homes = [(e.unix_ms is None, e.unix_ms, home.id) for home, e in entries.get(key, []) if home.id]
            found += [min(homes)[2]] if homes else []
        return sorted(found)

    def parent(self, conversation_id):
        found = [
            place.parent_id
            for place in self.places
            if place.conversation_id == conversation_id
            and place.rule == 9
            and place.parent_id != conversation_id
        ]
        return min(found, default=None)

    def entries_by_key(self):
        found = {}
        for home, entry in self.entries:
            if self.is_near(entry.unix_ms):
                found.setdefault(key_of(entry.generation_id, home), []).append((home, entry))
        return found

    def copies_by_key(self):
        """A turn in flight without a name is called by its bubble in the end; a settled one has none."""
        found = {}
        for home, turn in self.turns:
            id_ = turn.generation_id or (None if turn.is_settled else turn.id.bubble_id)
            if id_ is not None and self.is_near(turn.timestamp):
                found.setdefault(key_of(id_, home), []).append(Copy(home, turn))
        return found

    def is_near(self, time):
        return time is None or self.since_ms is None or time >= self.since_ms - SLACK_MS

    def is_before(self, time):
        return self.since_ms is not None and time < self.since_ms
