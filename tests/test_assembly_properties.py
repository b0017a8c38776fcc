"""Whatever happens in whatever order: each generation once, none early, none for ever, and the same ones."""

from __future__ import annotations

import math
import random
from collections import deque

import attrs
from assembly_model import Expected, State
from assembly_world import (
    CONVERSATION_WAIT_MS,
    GLOBAL,
    PROFILE,
    SETTLE_TIMEOUT_MS,
    W1,
    W2,
    W3,
    Everywhere,
    World,
    content,
    entry,
    gone,
    new,
    old,
    row,
    turn,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scans import NOW_MS, uuid

from trio_cursor.observations import Place, TurnGone

HOUR_MS = 3_600_000
RINGS = (W1, W2, W3, GLOBAL)
DATABASES = {home.database: home for home in RINGS}
BUBBLES, ROWS, QUICK = 1000, 30, 20
CONVERSATIONS = ("c0", "c1", "c2", "c3")


@attrs.define
class Files:
    """Databases that are read bit by bit by somebody who may be started anew at any moment."""

    world: World
    #: By database: what was not read yet.
    unread: dict = attrs.field(factory=lambda: {name: deque() for name in DATABASES})
    #: Turns as they stand, each with its database.
    turns: dict = attrs.field(factory=dict)
    as_of: dict = attrs.field(factory=lambda: dict.fromkeys(DATABASES, -math.inf))
    #: Databases that were read once.
    synced: set = attrs.field(factory=set)
    since_ms: int | None = None

    def read(self, name, most=1000):
        """A page; how far the database was read is known once nothing is left."""
        unread = self.unread[name]
        found = []
        while unread and len(found) < most:
            item = unread.popleft()
            # Of a turn that has changed since, the page tells how it stands now.
            item = self.turns.get((name, item.id), item) if hasattr(item, "fingerprint") else item
            found += [item] if item is not None else []
        is_old = name not in self.synced
        told = old(*found, since_ms=self.since_ms) if is_old else new(*found)
        released = self.world.observe(DATABASES[name], told)
        if not unread:
            self.synced.add(name)
            self.as_of[name] = self.world.at
        return released + self.renew()

    def renew(self):
        known = self.world.freshness
        known.of_rings[PROFILE] = min(self.as_of.values())
        known.of_conversations[PROFILE] = self.as_of[GLOBAL.database]
        return self.world.release()

    def restart(self):
        self.as_of = dict.fromkeys(DATABASES, -math.inf)
        self.world.freshness.all_until(-math.inf)
        self.world.restart()

    def answer(self, name, most=50):
        """Read what is wanted, or some of it."""
        found = self.world.assembler.wanted(name)[:most]
        return self.world.observe(DATABASES[name], new(*(self.content_of(name, item.id) for item in found)))

    def look_again(self, name, most=200):
        found = self.world.assembler.unsettled(name, most)
        stand = [self.turns.get((name, item.id)) or TurnGone(item.id) for item in found]
        return self.world.observe(DATABASES[name], new(*stand))

    def content_of(self, name, id_):
        """As the schema reads it: what has no name when its waiting is over is called by its bubble."""
        stands = self.turns.get((name, id_))
        if stands is None:
            return TurnGone(id_)
        if stands.generation_id is None:
            stands = attrs.evolve(stands, generation_id=id_.bubble_id, is_named_by_bubble=False)
        return content(stands, "completed" if stands.is_settled else "incomplete")

    def settle(self):
        """Nobody writes any more, everything is read, and time passes."""
        released = []
        for _ in range(8):
            self.world.now_ms += SETTLE_TIMEOUT_MS
            for name in DATABASES:
                released += self.read(name)
                released += self.look_again(name)
            while self.world.assembler.wanted_databases():
                released += [r for name in DATABASES for r in self.answer(name)]
        return released

    def assert_nothing_is_left(self):
        world = self.world
        assert (world.log.pending, len(world.assembler)) == ({}, 0)
        assert world.assembler.next_deadline_ms() is None
        assert not world.assembler.waits_for_freshness()
        for name in DATABASES:
            assert not world.assembler.holds(name)
            assert (world.assembler.wanted(name), world.assembler.unsettled(name)) == ((), ())


def result(world):
    return {
        found.key: None
        if found.schema == "tables_v1"
        else Expected(found.schema, found.status, found.workspace.id, found.conversation_id, found.timestamp)
        for found in world.log.generations
    }


# A first pass: everything is there, and is read in whatever order.

times = (
    st.none() | st.integers(-3, 3).map(lambda n: NOW_MS - HOUR_MS + n * 40_000) | st.just(NOW_MS + HOUR_MS)
)
numbers = st.integers(0, 5)
entries = st.lists(
    st.tuples(st.sampled_from(RINGS), st.builds(entry, numbers | st.just(ROWS), times)), max_size=6
)
quick_entries = st.lists(
    st.builds(entry, st.integers(QUICK, QUICK + 3), times, type_=st.sampled_from(["cmdk", "apply"])),
    max_size=2,
    unique_by=lambda found: found.generation_id,
).map(lambda found: [(W2, item) for item in found])
ids_of_workspaces = st.sampled_from(["w1", "w2", "w3", "gone"])
folders = st.sampled_from(["/w1", "/w2", "/w3", "/nowhere"])
places = st.lists(
    st.one_of(
        st.builds(Place, st.sampled_from(CONVERSATIONS), st.sampled_from([2, 3]), ids_of_workspaces),
        st.builds(
            Place,
            st.sampled_from(CONVERSATIONS),
            st.sampled_from([4, 5]),
            st.sampled_from(["w1", "w2", "w3"]),
        ),
        st.builds(Place, st.sampled_from(CONVERSATIONS), st.sampled_from([6, 7]), folder=folders),
        st.builds(
            Place, st.sampled_from(CONVERSATIONS), st.just(9), parent_id=st.sampled_from(CONVERSATIONS)
        ),
    ),
    max_size=5,
    # What one row alone can say is said once.
    unique_by=lambda item: (
        item.conversation_id,
        item.rule,
        *((item.workspace_id, item.folder, item.parent_id) if item.rule > 3 else ()),
    ),
)


@st.composite
def turns(draw):
    """Copies of each other among them, in conversations of which some are known to be an agent's."""
    agents = draw(st.frozensets(st.sampled_from(CONVERSATIONS), max_size=2))
    created = {name: draw(st.none() | st.integers(0, 2)) for name in CONVERSATIONS}
    found = []
    for at in range(draw(st.integers(0, 6))):
        conversation_id = draw(st.sampled_from(CONVERSATIONS))
        # That of an inline conversation stands in its workspace's database.
        home = W3 if conversation_id == "c3" else GLOBAL
        found.append(
            (
                home,
                turn(
                    draw(st.none() | numbers),
                    at=f"{conversation_id}/{uuid(BUBBLES + at)}",
                    time=draw(times),
                    is_settled=draw(st.booleans()),
                    is_named_by_bubble=draw(st.booleans()),
                    is_sub_agent=conversation_id in agents,
                    created_ms=created[conversation_id],
                ),
            )
        )
    if draw(st.booleans()):
        found.append((GLOBAL, turn(ROWS, at=f"rows/{uuid(BUBBLES + ROWS)}", is_settled=draw(st.booleans()))))
    return found


def state_of(entries, quick_entries, turns, places, *, limit, excluded):
    """With a window or with a row: a row does not wait to learn from a ring that it lies outside."""
    rows, since_ms = limit
    return State(entries + quick_entries, turns, places, rows, since_ms, excluded)


states = st.builds(
    state_of,
    entries,
    quick_entries,
    turns(),
    places,
    limit=st.sampled_from([([], None), ([], NOW_MS - HOUR_MS), ([(W1, row(ROWS))], None)]),
    excluded=st.sampled_from([frozenset(), frozenset(["w3"]), frozenset(["gone"])]),
)


def is_quick(found):
    return found.generation_type in ("cmdk", "apply")


@settings(derandomize=True, deadline=None, max_examples=600)
@given(states, st.integers(0, 10**6))
def test_a_first_pass_brings_the_same_whatever_the_order(state, seed):
    chance = random.Random(seed)
    world = World(directory=Everywhere(excluded=state.excluded))
    files = Files(world, since_ms=state.since_ms)
    files.turns = {(home.database, item.id): item for home, item in state.turns}
    everything = [*state.entries, *state.turns, *state.rows]
    # What a workspace shows (rules 4 and 5) stands in its own database.
    homes = {home.id: home for home in RINGS}
    everything += [
        (homes[place.workspace_id] if place.rule in (4, 5) else chance.choice(RINGS), place)
        for place in state.places
    ]
    chance.shuffle(everything)
    for home, item in everything:
        files.unread[home.database].append(item)
        if chance.random() < 0.1:  # told again, on another page or the same
            files.unread[home.database].append(item)
    files.restart()
    while any(files.unread.values()) or chance.random() < 0.6:
        name = chance.choice(list(DATABASES))
        match chance.randrange(8):
            case 0:
                files.restart()
                released = []
            case 1:
                released = world.wait(chance.choice([0, 700, 30_000, 200_000]))
            case 2:
                released = files.answer(name, chance.randrange(3))
            case 3:
                released = files.look_again(name, chance.randrange(3))
            case _:
                released = files.read(name, chance.randint(1, 3))
        if min(files.as_of.values()) == -math.inf:
            assert all(is_quick(found) or found.schema == "tables_v1" for found in released)
    files.settle()
    files.assert_nothing_is_left()
    assert result(world) == state.expected()


# A life: things happen while somebody looks.

commits = st.one_of(
    st.tuples(st.just("ask"), st.integers(0, 3), st.frozensets(st.sampled_from(RINGS)), st.booleans()),
    st.tuples(st.just("progress"), st.integers(0, 3)),
    st.tuples(st.just("settle"), st.integers(0, 3)),
    st.tuples(st.just("remove"), st.integers(0, 3)),
)
looks = st.one_of(
    st.tuples(st.just("read"), st.sampled_from(list(DATABASES)), st.integers(1, 3)),
    st.just(("read all",)),
    st.tuples(st.just("answer"), st.integers(0, 3)),
    st.tuples(st.just("look again"), st.integers(0, 3)),
    st.just(("restart",)),
)


@attrs.define
class Life:
    """What Cursor does, and what must not come of it too early."""

    files: Files
    rings: dict = attrs.field(factory=dict)
    #: Since when a turn has stood as it does, or since when it once stood so for long enough; when it was
    #: settled, when it was removed; milliseconds.
    stood_until: dict = attrs.field(factory=dict)
    settled: dict = attrs.field(factory=dict)
    removed: dict = attrs.field(factory=dict)
    asked: dict = attrs.field(factory=dict)

    def commit(self, step):
        kind, number, *rest = step
        now_ms, at = self.files.world.now_ms, f"c{number}/{uuid(BUBBLES + number)}"
        stands = self.files.turns.get((GLOBAL.database, gone(at).id))
        if kind == "ask" and number not in self.asked:
            rings, is_known = rest
            self.rings[number] = rings
            self.asked[number] = self.stood_until[number] = now_ms
            for home in rings:
                self.files.unread[home.database].append(entry(number, now_ms))
            named = {"id_": uuid(number)} if is_known else {}
            self._put(turn(at=at, time=now_ms, is_settled=False, is_named_by_bubble=False, **named))
        elif kind == "progress" and stands and not stands.is_settled:
            self._change(number)
            self._put(
                attrs.evolve(stands, fingerprint=f"f{now_ms}{stands.fingerprint}"[:40], newest_ms=now_ms)
            )
        elif kind == "settle" and stands and not stands.is_settled:
            self.settled[number] = now_ms
            self._change(number)
            known = {"is_settled": True, "generation_id": uuid(number), "is_named_by_bubble": True}
            self._put(attrs.evolve(stands, fingerprint="settled", newest_ms=now_ms, **known))
        elif kind == "remove" and stands:
            self.removed[number] = now_ms
            self.files.turns[GLOBAL.database, stands.id] = None

    def _change(self, number):
        now_ms = self.files.world.now_ms
        if now_ms - self.stood_until[number] < SETTLE_TIMEOUT_MS:
            self.stood_until[number] = now_ms

    def _put(self, stands):
        self.files.turns[GLOBAL.database, stands.id] = stands
        self.files.unread[GLOBAL.database].append(stands)

    def assert_not_early(self, released):
        as_of, now_ms = self.files.as_of, self.files.world.now_ms
        rings_ms = NOW_MS + 1000 * min(as_of.values())
        for found in released:
            number = int(found.key[:8], 16)
            number -= BUBBLES if number >= BUBBLES else 0
            if found.status == "unknown":
                over_ms = self.asked[number] + CONVERSATION_WAIT_MS
                assert rings_ms >= over_ms
                assert as_of[GLOBAL.database] >= (over_ms - NOW_MS) / 1000
                continue
            reasons = [self.settled.get(number), self.removed.get(number)]
            reasons.append(self.stood_until[number] + SETTLE_TIMEOUT_MS)
            ready_ms = min(reason for reason in reasons if reason is not None)
            assert ready_ms <= now_ms
            assert rings_ms >= ready_ms
            if found.status == "completed":
                assert number in self.settled
            if self.rings[number] and found.key == uuid(number):
                assert found.schema == "ring+conversations"


def run(history, tick):
    files = Files(World())
    files.restart()
    life = Life(files)
    for step in history:
        files.world.now_ms += tick
        life.assert_not_early(files.world.release())
        match step:
            case ("read", name, most):
                life.assert_not_early(files.read(name, most))
            case ("read all",):
                for name in DATABASES:
                    life.assert_not_early(files.read(name))
            case ("answer", most):
                life.assert_not_early(files.answer(GLOBAL.database, most))
            case ("look again", most):
                life.assert_not_early(files.look_again(GLOBAL.database, most))
            case ("restart",):
                files.restart()
            case _:
                life.commit(step)
    life.assert_not_early(files.settle())
    files.assert_nothing_is_left()
    return life


histories = st.lists(commits | looks, max_size=30)


@settings(derandomize=True, deadline=None, max_examples=600)
@given(histories)
def test_what_happens_within_a_minute_comes_out_as_it_stands_in_the_end(history):
    life = run(history, 1000)
    entries = [
        (home, entry(number, life.asked[number])) for number, rings in life.rings.items() for home in rings
    ]
    turns_left = [(GLOBAL, item) for item in life.files.turns.values() if item is not None]
    expected, found = State(entries, turns_left, []).expected(), result(life.files.world)
    # What was taken back may have been seen while it stood there.
    taken_back = {uuid(number) for number in life.removed}
    assert {key: found[key] for key in found if key not in taken_back} == {
        key: expected[key] for key in expected if key not in taken_back
    }
    with_ring = {uuid(number) for number in life.removed if life.rings[number]}
    assert with_ring <= set(found)


@settings(derandomize=True, deadline=None, max_examples=600)
@given(histories, st.sampled_from([20_000, 70_000, 310_000]))
def test_over_longer_times_nothing_is_lost_early_or_twice(history, tick):
    life = run(history, tick)
    found = set(result(life.files.world))
    for number in life.asked:
        names = {uuid(number), uuid(BUBBLES + number)} & found
        if life.rings[number]:
            assert uuid(number) in names
        elif number not in life.removed:
            assert len(names) == 1
