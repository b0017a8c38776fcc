"""What the Assembler is told and asks, for its tests: builders, a directory, freshness, and a log."""

from __future__ import annotations

import math

import attrs
from scans import NOW_MS, uuid, workspace

from trio_cursor.assembly import Assembler, Told, from_text, to_text
from trio_cursor.observations import Prompt, RingEntry, TableRow, Turn, TurnContent, TurnGone, TurnId

RING_GRACE_MS, CONVERSATION_WAIT_MS, SETTLE_TIMEOUT_MS = 2000, 60_000, 300_000
DAY_MS = 24 * 3_600_000
W1, W2, W3, GLOBAL = workspace("w1"), workspace("w2"), workspace("w3"), workspace(None)
PROFILE = W1.profile


def entry(number, time=NOW_MS, *, id_=None, type_="composer", text="ask", rowid=5):
    return RingEntry(id_ or uuid(number), time, type_, text, rowid, {"unixMs": time})


def row(number, value=None, *, id_=None, time=NOW_MS + 50, prompt=None, **other):
    return TableRow("tables_v1", id_ or uuid(number), 9, 7, time, value or {}, prompt=prompt, **other)


def prompt(text, time=None, *, is_too_large=False):
    return Prompt("p", text, time, is_too_large)


def turn(number=None, *, at="c/b", id_=None, time=NOW_MS, **other):
    """A settled turn that a bubble names, `at` conversation and bubble."""
    conversation_id, _, bubble_id = at.partition("/")
    known = {
        "id": TurnId(conversation_id, bubble_id or "b"),
        "schema": "conversations",
        "generation_id": id_ or (None if number is None else uuid(number)),
        "is_named_by_bubble": True,
        "is_settled": True,
        "is_sub_agent": False,
        "created_ms": NOW_MS - 1000,
        "timestamp": time,
        "timestamp_source": None if time is None else "bubble",
        "newest_ms": time,
        "fingerprint": "f",
    }
    return Turn(**{**known, **other})


def content(of, status="completed", **other):
    return TurnContent(of, status, other.pop("data_version", 3), **other)


def gone(at="c/b"):
    conversation_id, _, bubble_id = at.partition("/")
    return TurnGone(TurnId(conversation_id, bubble_id))


def old(*found, since_ms=None):
    return [Told(item, is_old=True, since_ms=since_ms) for item in found]


def new(*found):
    return [Told(item, is_old=False, since_ms=None) for item in found]


@attrs.define
class Everywhere:
    """A directory: some workspaces are known, any other id is of one that is gone."""

    known: tuple = (W1, W2, W3)
    excluded: frozenset = frozenset()
    reports_unknown: bool = True

    def workspace(self, profile, id_):
        found = [item for item in self.known if (item.profile, item.id) == (profile, id_)]
        return found[0] if found else workspace(id_, profile=profile)

    def at_folder(self, profile, folder):
        """`/w1` is the folder of w1."""
        found = [item for item in self.known if (item.profile, f"/{item.id}") == (profile, folder)]
        return found[0] if found else None

    def is_wanted(self, place):
        return place.id not in self.excluded and (place.path or "") not in self.excluded

    @property
    def admits_unknown(self):
        return self.reports_unknown

    def is_folder_wanted(self, folder):
        return not any(folder.endswith(name) for name in self.excluded if name)

    def global_of(self, profile):
        return workspace(None, profile=profile)


@attrs.define
class Known:
    """Freshness as the test says; of what it does not say everything is fresh."""

    of_rings: dict = attrs.field(factory=dict)
    of_conversations: dict = attrs.field(factory=dict)

    def rings(self, profile):
        return self.of_rings.get(profile, math.inf)

    def conversations(self, profile):
        return self.of_conversations.get(profile, math.inf)

    def all_until(self, moment, profile=PROFILE):
        self.of_rings[profile] = self.of_conversations[profile] = moment


class Log:
    """What the event log keeps: keys, places, and what is pending, as text."""

    def __init__(self):
        self.keys, self.pending, self.places, self.generations = set(), {}, {}, []

    def commit(self, change):
        """All of it. Two of one key, and a key that is not stored, are mistakes."""
        for key in change.settled:
            del self.pending[key]
        self.pending.update({item.key: to_text(item) for item in change.pending})
        for generation in change.released:
            keys = (generation.key, *generation.aliases)
            assert not self.keys & set(keys)
            assert len(set(keys)) == len(keys)
            self.keys.update(keys)
        self.places.update({(of, item.conversation_id, item.rule): (of, item) for of, item in change.places})
        self.generations += change.released


@attrs.define
class World:
    """An Assembler with its log, and two clocks that go together, unless the wall clock jumps."""

    freshness: Known = attrs.field(factory=Known)
    directory: Everywhere = attrs.field(factory=Everywhere)
    log: Log = attrs.field(factory=Log)
    now_ms: int = NOW_MS
    #: How far the wall clock went without the other one.
    jumped_ms: int = 0
    excluded: int = 0
    nameless: int = 0
    unattributed: int = 0
    #: Whose generations are somebody's; None: all.
    admission: object = None
    assembler: Assembler = attrs.field(init=False)

    def __attrs_post_init__(self):
        self.assembler = self._made()

    def _made(self):
        return Assembler(
            self.directory,
            self.freshness,
            RING_GRACE_MS,
            CONVERSATION_WAIT_MS,
            SETTLE_TIMEOUT_MS,
            self.admission,
        )

    @property
    def at(self):
        """The moment."""
        return (self.now_ms - NOW_MS - self.jumped_ms) / 1000

    def observe(self, place, told):
        """As the sink does. Returns what is released."""
        asked = [
            attrs.evolve(
                item,
                is_reported=not self.log.keys.isdisjoint(self.assembler.keys_of(place, item.observation)),
            )
            for item in told
        ]
        return self._write(self.assembler.observe(place, asked, self.now_ms, self.at))

    def release(self):
        """Until there is no more at once."""
        released = self._write(self.assembler.release(self.now_ms, self.at))
        for _ in range(1000):
            if self.assembler.next_deadline_ms() != 0:
                return released
            released += self._write(self.assembler.release(self.now_ms, self.at))
        raise AssertionError("there is always more to be released at once")

    def wait(self, milliseconds):
        self.now_ms += milliseconds
        return self.release()

    def wanted(self, database=GLOBAL.database):
        """Names of turns whose content is wanted, as conversation/bubble."""
        found = self.assembler.wanted(database)
        assert all(item.with_content for item in found)
        return [f"{item.id.conversation_id}/{item.id.bubble_id}" for item in found]

    def jump(self, milliseconds):
        """The machine slept for so long, or its wall clock was set."""
        self.now_ms += milliseconds
        self.jumped_ms += milliseconds

    def restart(self):
        """Nothing is left but what is in the log."""
        self.assembler = self._made()
        pending = [from_text(text) for text in self.log.pending.values()]
        self.assembler.restore(pending, self.log.places.values(), self.now_ms, self.at)

    def _write(self, change):
        self.log.commit(change)
        self.excluded += change.excluded
        self.nameless += change.nameless
        self.unattributed += change.unattributed
        return list(change.released)
