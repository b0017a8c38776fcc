"""Whatever is announced in whatever order, and whenever it is started anew: as the plain model has it."""

from __future__ import annotations

import attrs
import fakes
import registry_model
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from trio_cursor.sessions import book
from trio_cursor.sessions.announcements import Announcement
from trio_cursor.sessions.registry import Registry

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
HASHES = ("a" * 16, "b" * 16, "c" * 16)
HOMES = tuple(fakes.workspace(name) for name in ("w1", "w2", "w3"))
GLOBAL = fakes.workspace(None)
SKEWS = (0, 0, 0, 1, -1, -SECOND, -10 * SECOND, -10 * MINUTE, MINUTE, -DAY, DAY)

hashes = st.sampled_from(HASHES)
homes = st.sampled_from(HOMES)
skews = st.sampled_from(SKEWS)
sources = st.sampled_from(("redis", "http", "files"))


class Machine(RuleBasedStateMachine):
    """The registry and the model are told the same; `stored` is what the event log would hold."""

    kept = 64

    @initialize(discovers=st.booleans(), window=st.sampled_from((None, HOUR)), max_active=st.integers(0, 3))
    def begin(self, discovers, window, max_active):
        self.now = fakes.EPOCH_MS
        self.stored, self.said = {}, []
        self.options = (12 * HOUR, max_active, 30 * SECOND, 5 * MINUTE, window, discovers)
        self.registry, self.model = Registry(*self.options), registry_model.Model(*self.options, self.kept)

    def store(self, sessions):
        self.stored |= {session.key: session for session in sessions if session}

    @rule(
        is_start=st.booleans(),
        hash_=hashes,
        id_=st.sampled_from(("s1", "s2", "s3")),
        source=sources,
        heard=skews,
        said=st.none() | skews,
        path=st.sampled_from((None, "/home/demo/a")),
    )
    def announce(self, *, is_start, hash_, id_, source, heard, said, path):
        said_ms = None if said is None else self.now + said
        one = Announcement(is_start, id_, hash_, source, self.now + heard, said_ms, path)
        self.said.append(one)
        self.hear(one)

    def hear(self, one):
        self.store(self.registry.announce(one, self.now))
        self.model.announce(one, self.now)

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def announce_again(self, data):
        one = data.draw(st.sampled_from(self.said))
        changes = data.draw(st.sampled_from(({}, {"heard_ms": self.now}, {"source": "http"})))
        self.hear(attrs.evolve(one, **changes))

    @rule(hash_=hashes, home=homes)
    def place(self, hash_, home):
        self.store(self.registry.place(hash_, home, self.now))
        self.model.place(hash_, home, self.now)

    @rule(home=homes)
    def unplace(self, home):
        self.store(self.registry.unplace(home.database))
        self.model.unplace(home.database)

    @rule(source=sources)
    def doubt(self, source):
        self.store(self.registry.doubt(source))
        self.model.doubt(source)

    @rule(home=homes)
    def change(self, home):
        opened = self.registry.sign_of_life(home, self.now)
        self.store([opened])
        assert opened == self.model.sign_of_life(home, self.now)

    @rule(home=homes, skew=skews)
    def changed_earlier(self, home, skew):
        self.registry.last_changed(home.database, self.now + skew, self.now)
        self.model.last_changed(home.database, self.now + skew, self.now)

    @rule(home=st.sampled_from((*HOMES, GLOBAL)), skew=st.none() | skews)
    def release(self, home, skew):
        time = None if skew is None else self.now + skew
        answer = self.registry.session_for(home, time, self.now)
        assert answer == self.model.session_for(home, time, self.now)
        self.store(answer[:1] if answer else [])

    @rule(passed=st.sampled_from((1, 5 * SECOND, 30 * SECOND, 5 * MINUTE, HOUR, 7 * HOUR, DAY, -HOUR)))
    def wait(self, passed):
        self.now += passed

    @rule()
    def expire(self):
        expired = self.registry.expire(self.now)
        self.store(expired)
        assert expired == self.model.expire(self.now)
        assert self.registry.expire(self.now) == []

    @rule()
    def quiet(self):
        quieted = self.registry.quieted(self.now)
        assert len(quieted) == len(set(quieted))
        assert set(quieted) == self.model.quieted(self.now)
        assert self.registry.quieted(self.now) == []

    @rule()
    def restart(self):
        was_open, was = self.registry.sessions(), self.answers()
        self.registry, self.model = Registry(*self.options), registry_model.Model(*self.options, self.kept)
        self.registry.restore(self.stored.values(), self.now)
        self.model.restore(self.stored.values(), self.now)
        assert self.registry.sessions() == was_open
        assert self.answers() == was

    def answers(self):
        times = {
            time + step
            for session in self.stored.values()
            for time in (session.started_at, session.ended_at or session.started_at, session.heard_at)
            for step in (-HOUR - 1, -HOUR, -1, 0, 1, 30 * SECOND, 30 * SECOND + 1)
        }
        return {
            (home.database, time): self.registry.session_of(home, time, self.now)
            for home in (*HOMES, GLOBAL)
            for time in (None, *times)
        }

    @invariant()
    def is_as_in_the_model(self):
        if not hasattr(self, "registry"):
            return
        registry, model = self.registry, self.model
        assert registry.sessions() == model.sessions()
        unplaced = {}
        for session in model.sessions():
            if session.database is None:
                unplaced.setdefault(session.workspace_hash, []).append(session)
        assert sorted(registry.unplaced_hashes()) == sorted(unplaced)
        for hash_, found in unplaced.items():
            assert registry.unplaced_of(hash_) == tuple(found)
        for home in (*HOMES, GLOBAL):
            name = home.database
            assert registry.watching.is_active(name, self.now) == model.is_active(name, self.now)
            assert registry.watching.may_finish(name, self.now) == model.may_finish(name, self.now)
            assert (name in registry.watching.with_session(self.now)) == model.is_watched(name, self.now)
        assert registry.watching.is_crowded() == (len(model.ranked) > model.max_active)
        for (name, time), answer in self.answers().items():
            home = next(home for home in (*HOMES, GLOBAL) if home.database == name)
            assert answer == model.session_of(home, time, self.now)

    @invariant()
    def it_says_when_to_ask_again(self):
        if not hasattr(self, "registry"):
            return
        due, told = self.model.due(), self.registry.next_ms(self.now)
        # Early is a question in vain, late would be a session that lives on.
        assert due is None or told <= due
        assert told is None or told > self.now or due <= self.now


class Forgetful(Machine):
    """With room for one ended session of a workspace; what a restart makes of that is another question."""

    kept = 1
    restart = None

    def __init__(self):
        super().__init__()
        self.usual, book.KEPT_ENDED = book.KEPT_ENDED, self.kept

    def teardown(self):
        book.KEPT_ENDED = self.usual


TestRegistry = Machine.TestCase
TestForgetful = Forgetful.TestCase
TestRegistry.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestForgetful.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
