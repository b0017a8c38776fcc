"""What a collector never takes: laid aside with its word, and counted; it holds up nothing."""

from __future__ import annotations

import attrs
import pytest
from deadlines import until, within
from log_events import gap
from otlp_following import all_sent, counted, following, ids, tokens
from otlp_receiver import Answer, partial, receiving, values
from scans import uuid

from trio_cursor.eventlog import Entry
from trio_cursor.outputs import follower, otlp, otlp_posting
from trio_cursor.outputs.otlp import OtlpOutput


@pytest.fixture
def receiver():
    with receiving() as found:
        yield found


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Waits a moment where it would wait half a minute."""
    monkeypatch.setattr(otlp_posting, "_MENDING_SECONDS", 0.05)
    monkeypatch.setattr(follower, "_RETRY_MOST_SECONDS", 0.1)


def refusing(*numbers, status=400):
    """Whoever refuses a request with one of these in it."""
    bad = {uuid(number) for number in numbers}

    def judge(spans):
        is_bad = any(values(span.attributes)["cursor.generation.id"] in bad for span in spans)
        return Answer(status=status, body=b"bad span", content_type="text/plain") if is_bad else None

    return judge


async def dead_of(log):
    rows = "SELECT seq, reason FROM dead WHERE output = 'otlp' ORDER BY seq"
    return await log._read("dead", lambda connection: list(connection.execute(rows)))


@pytest.mark.parametrize("status", [400, 413, 422])
@within(60)
async def test_it_is_laid_aside_alone(tmp_path, receiver, status):
    receiver.script.extend([refusing(3, 4, 9, status=status)] * 40)
    async with following(tmp_path, receiver) as (log, state):
        await log.append(counted(1, 10))
        await all_sent(log, state)
        dead = await dead_of(log)
    assert receiver.event_ids == [id_ for id_ in ids(1, 10) if id_ not in (*ids(3, 4), *ids(9, 9))]
    assert dead == [(n, f"the collector refuses it: HTTP {status} (bad span)") for n in (3, 4, 9)]
    assert (state.dead, state.errors) == (3, 0)
    assert state.dead_at is not None
    # A generation that happened is counted, whether its span is taken or not.
    assert tokens(receiver) == 55


@within(60)
async def test_a_server_that_refuses_everything_is_none(tmp_path, receiver):
    receiver.always = Answer(status=400, body=b"plain HTTP to a TLS port", content_type="text/plain")
    async with following(tmp_path, receiver) as (log, state):
        await log.append(counted(1, 2))
        await until(lambda: state.state == "error" and "refused everything" in state.last_error)
        assert "plain HTTP to a TLS port" in state.last_error
        assert (await dead_of(log), state.sequence) == ([], 0)


@within(60)
async def test_one_that_refuses_what_is_empty_may_be_one(tmp_path, receiver):
    receiver.of_nothing = Answer(status=400)
    async with following(tmp_path, receiver) as (log, state):
        await log.append(counted(1, 2))
        await all_sent(log, state)
    assert receiver.event_ids == ids(1, 2)


@within(60)
async def test_all_of_a_request_that_it_says_it_has_not_taken(tmp_path, receiver):
    receiver.script.append(partial(2, "too \u202eold"))
    async with following(tmp_path, receiver) as (log, state):
        await log.append(counted(1, 2))
        await all_sent(log, state)
        await log.append(counted(3, 3))
        await all_sent(log, state)
        assert await dead_of(log) == [(n, "the collector refuses it: too old") for n in (1, 2)]
    assert receiver.event_ids == ids(3, 3)


@within(60)
async def test_some_of_a_request_nobody_knows_which(tmp_path, receiver):
    receiver.script.append(attrs.evolve(partial(2, ""), is_taken=True))
    async with following(tmp_path, receiver) as (log, state):
        await log.append(counted(1, 5))
        await all_sent(log, state)
        assert state.alarms == {
            "rejected": "the collector did not take 2 of 5 spans (#1 to #5): it gave no reason"
        }
        assert await dead_of(log) == []
    # By the protocol it is not asked again.
    assert receiver.event_ids == ids(1, 5)


@within(60)
async def test_what_is_laid_aside_is_counted_as_such_and_what_is_never_sent_is_not(tmp_path, receiver):
    # Half of it has to come again, which is not counted again.
    receiver.script.extend([None, Answer(status=503), *[refusing(3, 4, 9)] * 40])
    async with following(tmp_path, receiver) as (log, state):
        await log.append(counted(11, 20))
        await all_sent(log, state)
        await log.append(Entry((((), gap()),)))
        await log.append(counted(1, 10))
        await all_sent(log, state)
        assert state.errors == 1
        assert (state.meter.taken, state.meter.dead, state.dead) == (17, 3, 3)
        assert sum(state.meter.log_to_output.counts) == 17
    async with following(tmp_path, receiver) as (log, state):
        await until(lambda: state.dead)
        # Of this run none.
        assert (state.meter.dead, state.dead) == (0, 3)


@within(60)
async def test_many_of_one_answer_are_one_line_and_one_transaction(tmp_path, receiver, logged, monkeypatch):
    receiver.script.extend([None, partial(200, "too old")])
    async with following(tmp_path, receiver) as (log, state):
        await log.append(counted(1, 1))
        await all_sent(log, state)
        writes, write = [], log._write

        async def counting(work):
            writes.append(work)
            return await write(work)

        monkeypatch.setattr(log, "_write", counting)
        await log.append(counted(2, 201))
        await all_sent(log, state)
        assert len(await dead_of(log)) == state.dead == state.meter.dead == 200
    assert sum("never be sent" in words for words in logged()) == 1
    assert len(writes) == 3  # the events, those that are laid aside, and the cursor


@within(60)
async def test_that_some_were_not_taken_is_told_for_a_while(tmp_path, receiver, monkeypatch):
    monkeypatch.setattr(OtlpOutput, "idle_seconds", 0.02)
    receiver.script.append(attrs.evolve(partial(1, ""), is_taken=True))
    async with following(tmp_path, receiver) as (log, state):
        await log.append(counted(1, 3))
        await all_sent(log, state)
        await log.append(counted(4, 4))
        await all_sent(log, state)
        assert "rejected" in state.alarms
        assert state.meter.taken == 3
        monkeypatch.setattr(otlp, "_REJECTED_SECONDS", 0)
        await until(lambda: not state.alarms)
        # The next one is told again.
        monkeypatch.setattr(otlp, "_REJECTED_SECONDS", 3600)
        receiver.script.append(attrs.evolve(partial(1, "why"), is_taken=True))
        await log.append(counted(5, 6))
        assert "why" in (await until(lambda: state.alarms))["rejected"]


@pytest.mark.parametrize("bad", [(1,), (1, 2), (1, 6), (1, 2, 6), (10,)])
@within(60)
async def test_one_at_the_head_does_not_stop_those_behind_it(tmp_path, receiver, bad):
    """Not even where nothing was taken yet, and what is empty is refused, too."""
    receiver.of_nothing = Answer(status=400)
    receiver.script.extend([refusing(*bad)] * 40)
    async with following(tmp_path, receiver) as (log, state):
        await log.append(counted(1, 10))
        await all_sent(log, state)
        assert [number for number, _ in await dead_of(log)] == list(bad)
        assert (state.errors, state.meter.taken) == (0, 10 - len(bad))
    assert sorted(receiver.event_ids) == sorted(
        id_ for n in range(1, 11) if n not in bad for id_ in ids(n, n)
    )


@within(60)
async def test_what_was_taken_before_its_turn_is_not_sent_again(tmp_path, receiver):
    receiver.of_nothing = Answer(status=400)
    # Both; the first alone; the second; and the first again.
    receiver.script.extend([refusing(1), refusing(1), None, Answer(status=503), refusing(1)])
    async with following(tmp_path, receiver) as (log, state):
        await log.append(counted(1, 2))
        await until(lambda: state.errors == 1)
        assert (receiver.event_ids, state.sequence) == (ids(2, 2), 0)
        await all_sent(log, state)
        assert [number for number, _ in await dead_of(log)] == [1]
    assert receiver.event_ids == ids(2, 2)


@within(60)
async def test_who_has_taken_something_in_this_run_is_a_collector(tmp_path, receiver):
    receiver.of_nothing = Answer(status=400)
    receiver.script.extend([None, Answer(status=503), refusing(2)])
    async with following(tmp_path, receiver) as (log, state):
        for number in (1, 2):
            await log.append(counted(number, number))
            await all_sent(log, state)
        assert [number for number, _ in await dead_of(log)] == [2]
        assert state.errors == 1
