"""Alarms: each episode is told of once and once more when it is over, however it flaps."""

from __future__ import annotations

from types import SimpleNamespace

import attrs
import fakes
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from trio_cursor import alarms as kinds
from trio_cursor.alarm_facts import (
    gap_facts,
    loss_facts,
    output_facts,
    pass_facts,
    source_facts,
    workspace_fact,
)
from trio_cursor.alarming import Watchman
from trio_cursor.alarms import CLEARED, RAISED, RULES, Alarms, Fact, Rule
from trio_cursor.config import Config
from trio_cursor.cursor.guest import QUARANTINED
from trio_cursor.first_pass import FirstPass
from trio_cursor.scanner import Scanner
from trio_cursor.settings import Settings
from trio_cursor.sink import Counts
from trio_cursor.states import Losses, OutputState, SourceState, WorkspaceState
from trio_cursor.status import PrivacyStatus
from trio_cursor.status_board import Board

NOW = 1_800_000_000_000
MINUTE = 60
SLOW = {"slow": Rule("it is slow", 60, 30)}


def fact(subject="x", kind="slow", words="words"):
    return Fact(kind, subject, words)


def steps(alarms, presence, *, every=5.0):
    """What is told, with when, of one thing that is there or not at each look."""
    told = []
    for number, is_there in enumerate(presence):
        at = number * every
        notices = alarms.step([fact()] if is_there else [], at, NOW + round(at * 1000))
        told += [(at, notice.state) for notice in notices]
    return told


def for_seconds(seconds, is_there):
    return [is_there] * (seconds // 5)


# -- Episodes ------------------------------------------------------------------------------------------


def test_what_lasts_is_raised_once_and_cleared_once():
    presence = [*for_seconds(600, True), *for_seconds(600, False)]
    assert steps(Alarms(SLOW), presence) == [(60, RAISED), (630, CLEARED)]


def test_what_passes_soon_is_never_told_of():
    assert steps(Alarms(SLOW), [*for_seconds(60, True), *for_seconds(600, False)] * 3) == []


def test_what_is_gone_for_a_moment_is_the_same_episode():
    flapping = [*for_seconds(60, True), *for_seconds(25, False)] * 20
    assert steps(Alarms(SLOW), [*for_seconds(65, True), *flapping, *for_seconds(60, False)]) == [
        (60, RAISED),
        # 30 s after the last time.
        (65 + 20 * 85 - 25 + 30, CLEARED),
    ]


def test_what_flaps_too_fast_to_last_is_raised_if_it_is_there_mostly_and_else_not():
    assert steps(Alarms(SLOW), [*for_seconds(20, True), *for_seconds(5, False)] * 40)[0][1] == RAISED
    assert steps(Alarms(SLOW), [*for_seconds(5, True), *for_seconds(20, False)] * 400) == []


def test_a_second_episode_is_another_one():
    alarms = Alarms(SLOW)
    once = [*for_seconds(100, True), *for_seconds(100, False)]
    assert [state for _, state in steps(alarms, once * 2)] == [RAISED, CLEARED] * 2
    assert alarms.episodes() == ()


def test_an_episode_says_since_when_and_whether_it_is_so_now():
    alarms = Alarms(SLOW)
    alarms.step([fact(words="as it was")], 0, NOW)
    assert alarms.episodes() == ()
    [notice] = alarms.step([fact(words="as it is")], 60, NOW + 60_000)
    assert (notice.kind, notice.since, notice.words) == ("slow", NOW, "as it is")
    [episode] = alarms.episodes([fact(words="as it is now"), fact("y")])
    assert (episode.since, episode.words, episode.is_present, episode.number) == (
        NOW,
        "as it is now",
        True,
        1,
    )
    alarms.step([], 65, NOW + 65_000)
    [episode] = alarms.episodes()
    assert (episode.words, episode.is_present) == ("as it is", False)


def test_a_long_time_in_which_nobody_looked_is_no_proof_that_it_was_gone():
    alarms = Alarms(SLOW)
    for at in (0, 60):
        alarms.step([fact()], at, NOW)
    assert alarms.step([], 10_000, NOW) == []
    assert [notice.state for notice in alarms.step([], 10_030, NOW)] == [CLEARED]


def test_different_things_are_different_episodes_and_many_at_once_are_told_in_one():
    alarms, many = Alarms(SLOW), [fact(str(number), words=f"number {number}") for number in range(6)]
    alarms.step(many[:5], 0, NOW)
    assert len(alarms.step(many[:5], 60, NOW)) == 5
    alarms = Alarms(SLOW)
    alarms.step(many, 0, NOW)
    [notice] = alarms.step(many, 60, NOW)
    assert notice.words == "number 0; number 1; number 2; and 3 more"
    assert [episode.number for episode in notice.episodes] == [1, 2, 3, 4, 5, 6]
    alarms.step(many[:1], 65, NOW)
    assert [len(notice.episodes) for notice in alarms.step(many[:1], 95, NOW)] == [1] * 5


@given(
    presence=st.lists(st.tuples(st.booleans(), st.integers(1, 12)), max_size=30),
    rule=st.builds(Rule, st.just("x"), st.sampled_from([0, 10, 60, 300]), st.sampled_from([0, 10, 60])),
)
def test_whatever_happens_raised_and_cleared_take_turns_and_nothing_is_told_too_soon(presence, rule):
    looks = [is_there for is_there, times in presence for _ in range(times)]
    told = steps(Alarms({"slow": rule}), looks)
    assert [state for _, state in told] == ([RAISED, CLEARED] * len(told))[: len(told)]
    began = 0.0
    for at, state in told:
        before = looks[round(began / 5) : round(at / 5) + 1]
        if state == RAISED:
            assert before[-1]
            assert before.count(True) * 5 >= rule.raise_after
        else:
            assert not any(before[-round(rule.clear_after / 5) - 1 :])
        began = at


def test_every_kind_has_words_of_its_own_that_name_nothing():
    assert len({rule.meaning for rule in RULES.values()}) == len(RULES)
    assert all(rule.raise_after >= 0 and rule.clear_after >= 0 for rule in RULES.values())


# -- Facts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "why", "kind"),
    [
        ("error", "broken", kinds.DATABASE),
        ("locked", "by somebody", kinds.DATABASE),
        ("unknown_schema", "tables found: a", kinds.SCHEMA),
        ("error", QUARANTINED, kinds.QUARANTINE),
    ],
)
def test_what_is_wrong_with_a_database_is_of_a_kind(status, why, kind):
    workspace = fakes.workspace()
    found = workspace_fact(
        WorkspaceState(workspace, status=status, last_error=why), workspace, is_quarantined=why == QUARANTINED
    )
    assert (found.kind, found.subject) == (kind, workspace.database)
    assert found.words == f"{workspace.name}: {status}: {why}"
    assert (found.workspace_hash, found.workspace_path) == (workspace.hash, workspace.path)


def test_what_is_wrong_with_an_output_is_told_of_by_kind():
    state = OutputState("o", "error", last_error="full", dead=1, alarms={"a": "A", "b": "B"})
    state.dead_at = state.rolled_back_at = NOW
    state.oldest_ms = NOW - 120_000
    found = [(one.kind, one.words) for one in output_facts(state, 5, NOW)]
    assert found == [
        (kinds.OUTPUT, "output o: full"),
        (kinds.CARE, "output o: A"),
        (kinds.CARE, "output o: B"),
        (kinds.BEHIND, "output o: 5 events behind, the oldest of them captured 2 min ago"),
        (
            kinds.ROLLBACK,
            "output o: it had lost what it had taken (a restart or a failover?); it was sent again",
        ),
        (kinds.DEAD, "output o: 1 event can never be sent: `doctor` says which, and why"),
    ]
    assert len({(one.kind, one.subject) for one in output_facts(state, 5, NOW)}) == 6


def test_sources_that_are_not_heard():
    sources = [
        SourceState("redis:s", "error", last_error="gone"),
        SourceState("redis:t", "waiting"),
        SourceState("redis:u", "waiting", errors=1, last_error="refused"),
        SourceState("files", "waiting", errors=1),
    ]
    foreign = [SourceState("s", "error", last_error="NOPERM"), SourceState("t", "waiting", errors=1)]
    assert [(one.kind, one.subject) for one in source_facts(sources, foreign)] == [
        (kinds.SOURCE, "redis:s"),
        (kinds.SOURCE, "redis:u"),
        (kinds.FOREIGN, "s"),
    ]


@pytest.mark.parametrize(
    ("late", "run_for", "is_over", "words"),
    [
        (119, 9999, True, None),
        (-1, 1799, False, None),
        (180, 200, False, "Cursor's files have not been looked at for 3 min"),
        (0, 1800, False, "the first pass has not ended in 30 min: 3 of 10 databases"),
    ],
)
def test_a_look_that_does_not_come_and_a_first_pass_without_an_end(late, run_for, is_over, words):
    found = list(pass_facts(late, run_for, is_over=is_over, progress=(3, 10)))
    assert [one.words for one in found] == ([words] if words else [])


@pytest.mark.parametrize(
    ("gaps", "last", "said"),
    [(0, None, ""), (1, NOW, "once"), (2, NOW - 3_599_999, "2 times"), (2, NOW - 3_600_000, "")],
)
def test_a_gap_is_told_of_for_an_hour(gaps, last, said):
    found = [one.words for one in gap_facts(gaps, last, NOW)]
    assert [f"missed {said} since" in words for words in found] == ([True] if said else [])


@pytest.mark.parametrize(
    ("events", "at", "said"),
    [(0, None, ""), (1, NOW, "1 event "), (1200, NOW - 3_599_999, "1,200 events "), (2, NOW - 3_600_000, "")],
)
def test_what_the_size_limit_took_from_an_output_is_told_of_for_an_hour(events, at, said):
    found = list(loss_facts(Losses(events, at), NOW))
    assert [(one.kind, f"deleted {said}since" in one.words) for one in found] == (
        [(kinds.LOST, True)] if said else []
    )


# -- A bad hour ----------------------------------------------------------------------------------------


class MountedScanner(Scanner):
    """A scanner of which the script says what hangs; a sweep that hangs would need a thread."""

    mute = ()

    def hanging(self):
        return self.mute


@attrs.define(eq=False)
class World:
    """What the parts of a service write down, and who looks at it; nothing runs but the script."""

    states: dict = attrs.field(factory=dict)
    output: OutputState = attrs.field(factory=lambda: OutputState("redis_stream:redis://r s"))
    source: SourceState = attrs.field(factory=lambda: SourceState("redis:s", "connected"))
    counts: Counts = attrs.field(factory=Counts)
    events: SimpleNamespace = attrs.field(
        factory=lambda: SimpleNamespace(trouble=None, last_sequence=0, directory="/state")
    )
    scanner: MountedScanner = attrs.field(factory=lambda: MountedScanner(("/cursor",), lambda _: True))
    first_pass: FirstPass = attrs.field(init=False)
    board: Board = attrs.field(init=False)
    #: Minute, state, kind and words of everything that was told.
    told: list = attrs.field(factory=list)
    is_swept: bool = True

    def __attrs_post_init__(self):
        self.first_pass = FirstPass(self.scanner)
        self.first_pass.over.set()
        self.board = Board(
            started_at=NOW,
            now_ms=fakes.now_ms,
            settings=Settings(Config()),
            events=self.events,
            sink=SimpleNamespace(counts=self.counts, assembler=()),
            registry=None,
            scanner=self.scanner,
            first_pass=self.first_pass,
            states=self.states,
            outputs=[self.output],
            placing=None,
            privacy=PrivacyStatus("full", 0),
            os_events=lambda: None,
            sources=[self.source],
        )
        for number in range(8):
            workspace = fakes.workspace(f"w{number}")
            self.states[workspace.database] = WorkspaceState(workspace, status="synced", looked=True)

    def note(self, notices):
        minute = trio.current_time() / MINUTE
        self.told += [(minute, one.state, one.kind, one.words) for one in notices]

    def database(self, number, status="synced", why=None):
        state = list(self.states.values())[number]
        state.status, state.last_error = status, why

    def refuse(self, why="Connection refused"):
        """The output takes nothing, or (None) takes events."""
        self.output.state, self.output.last_error = "error" if why else "connected", why

    async def until_minute(self, minute):
        await trio.sleep(minute * MINUTE - trio.current_time() - 1)

    async def sweep(self):
        """What the scan clock does, unless it hangs."""
        while True:
            if self.is_swept:
                self.scanner.expected_at = trio.current_time() + 1
            await trio.sleep(1)


async def the_bad_hour(world):
    """Minute by minute, from a service that is well to one that is well again."""

    async def lock_and_unlock(number, times):
        for _ in range(times):
            world.database(number, "locked", "by somebody")
            await trio.sleep(10)
            world.database(number)
            await trio.sleep(30)

    async def broken_now_and_then(number):
        """Broken for four minutes of five: one episode."""
        for _ in range(4):
            world.database(number, "error", "not a database")
            await trio.sleep(4 * MINUTE)
            world.database(number)
            await trio.sleep(1 * MINUTE)

    async with trio.open_nursery() as script:
        await world.until_minute(2)
        # Cursor writes, as it does: no alarm.
        script.start_soon(lock_and_unlock, 0, 54)
        # One is broken, and stays so for a quarter of an hour.
        world.database(1, "error", "not a database")
        script.start_soon(broken_now_and_then, 2)
        await world.until_minute(5)
        # The server goes; the output falls behind, and comes back by fits and starts.
        world.refuse()
        world.events.last_sequence, world.output.oldest_ms = 500, fakes.now_ms()
        await world.until_minute(10)
        for _ in range(10):
            world.refuse(None)
            await trio.sleep(20)
            world.refuse()
            await trio.sleep(20)
        world.refuse(None)
        world.output.rollbacks, world.output.rolled_back_at = 1, fakes.now_ms()
        await world.until_minute(17)
        world.database(1)
        await world.until_minute(19)
        world.output.sequence, world.output.oldest_ms = 500, None
        await its_second_half(world)


async def its_second_half(world):
    await world.until_minute(22)
    # The disk is full for five seconds, and then for two minutes.
    world.events.trouble = "the event log in /state cannot be written: no space left"
    await trio.sleep(5)
    world.events.trouble = None
    await world.until_minute(24)
    world.events.trouble = "the event log in /state cannot be written: no space left"
    await world.until_minute(26)
    world.events.trouble = None
    await world.until_minute(30)
    # A mount hangs, and the sweep with it.
    world.scanner.mute = ("/cursor/far",)
    world.is_swept = False
    await world.until_minute(36)
    world.scanner.mute = ()
    world.is_swept = True
    await world.until_minute(40)
    # A new version of Cursor.
    for number in range(8):
        world.database(number, "unknown_schema", "tables found: new")
    await world.until_minute(42)
    world.counts.gaps, world.counts.gap_at = 1, fakes.now_ms()
    await world.until_minute(43)
    world.counts.gaps, world.counts.gap_at = 2, fakes.now_ms()
    # The disk is full again, of events that nobody takes; and one that nobody ever will.
    world.board.losses.events, world.board.losses.at = 3, fakes.now_ms()
    world.output.dead, world.output.dead_at = 1, fakes.now_ms()
    await world.until_minute(50)
    for number in range(8):
        world.database(number)


async def test_in_a_bad_hour_every_episode_is_raised_once_and_cleared_once(autojump_clock, nursery, caplog):
    caplog.set_level("INFO", logger="trio_cursor.alarming")
    world = World()
    nursery.start_soon(world.sweep)
    nursery.start_soon(Watchman(world.board, world.note).watch)
    await the_bad_hour(world)
    assert world.board.unready() == []
    await trio.sleep(2 * 60 * MINUTE)
    nursery.cancel_scope.cancel()

    states = {}
    for _, state, kind, words in world.told:
        subject = words.partition(":")[0] if kind in (kinds.DATABASE, kinds.QUARANTINE) else ""
        states.setdefault((kind, subject), []).append(state)
    once = [RAISED, CLEARED]
    assert states == {
        (kinds.DATABASE, "/home/demo/w1"): once,
        (kinds.DATABASE, "/home/demo/w2"): once,
        (kinds.OUTPUT, ""): once,
        (kinds.BEHIND, ""): once,
        (kinds.ROLLBACK, ""): once,
        (kinds.LOG, ""): once,
        (kinds.HANG, ""): once,
        (kinds.LOOK, ""): once,
        (kinds.SCHEMA, ""): once,
        (kinds.GAP, ""): once,
        (kinds.LOST, ""): once,
        (kinds.DEAD, ""): once,
    }
    when = {(kind, state): int(minute) for minute, state, kind, _ in world.told if kind != kinds.DATABASE}
    assert when[kinds.OUTPUT, RAISED] == 5
    assert when[kinds.OUTPUT, CLEARED] == 17
    assert (when[kinds.LOG, RAISED], when[kinds.LOG, CLEARED]) == (24, 27)
    assert (when[kinds.HANG, RAISED], when[kinds.LOOK, RAISED]) == (30, 32)
    [all_at_once] = [words for _, state, kind, words in world.told if (state, kind) == (RAISED, kinds.SCHEMA)]
    assert all_at_once.endswith("; and 5 more")
    # As a log has it: one ERROR and one INFO for each.
    records = [(record.levelname, record.message) for record in caplog.records]
    assert records.count(("ERROR", "alarm")) == records.count(("INFO", "alarm is over")) == len(states)
    assert len(records) == 2 * len(states)
    assert world.board.alarms.episodes() == ()


async def test_what_keeps_it_from_its_work_is_unready_only_once_it_lasts_and_only_while_it_is_so(
    autojump_clock, nursery
):
    world = World()
    nursery.start_soon(Watchman(world.board).watch)
    world.events.last_sequence, world.output.oldest_ms = 5, fakes.now_ms() - 120_000
    world.database(1, "unknown_schema", "tables found: a")
    await trio.sleep(1)
    assert len(list(world.board.facts())) == 2
    assert world.board.unready() == []
    await trio.sleep(90)
    [why] = world.board.unready()
    assert "5 events behind" in why
    assert {episode.kind for episode in world.board.alarms.episodes()} == {kinds.BEHIND, kinds.SCHEMA}
    world.output.sequence = 5
    assert world.board.unready() == []
    world.events.trouble = "the event log is gone"
    await trio.sleep(30)
    # Told once, though it is an alarm as well.
    assert world.board.unready() == ["the event log is gone"]
    nursery.cancel_scope.cancel()
