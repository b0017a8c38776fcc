"""Housekeeping on a real event log and a real directory, with real threads."""

from __future__ import annotations

import json
import os

import attrs
import pytest
import trio
from deadlines import within

from trio_cursor.errors import StateError
from trio_cursor.eventlog import Entry, open_event_log
from trio_cursor.keeping import Keeper
from trio_cursor.records import Event
from trio_cursor.states import OutputState
from trio_cursor.status import disabled
from trio_cursor.status_file import FILE_NAME, read_status

DAY = 86_400_000
NOW = 1_800_000_000_000


def event(number, captured_at):
    metadata = dict.fromkeys(("workspace_id", "workspace_hash", "workspace_path"))
    payload = {"generation_id": f"g{number}", "response_text": "x" * 5000}
    return Event(0, f"e{number}", 1, "scan_w1", metadata | {"captured_at": captured_at}, payload)


async def fill(log, *ages_in_days):
    records = [((f"g{number}",), event(number, NOW - age * DAY)) for number, age in enumerate(ages_in_days)]
    await log.append(Entry(tuple(records)))


@pytest.fixture
async def log(tmp_path):
    async with open_event_log(tmp_path) as log:
        yield log


def keeper(log, *outputs, **options):
    defaults = {"keep_days": 30, "max_megabytes": 1000}
    return Keeper(
        directory=log.directory,
        log=log,
        status=disabled,
        outputs=outputs,
        now_ms=lambda: NOW,
        **(defaults | options),
    )


async def sequences(log):
    return [event.sequence for event in await log.read(0, limit=10_000)]


@within(30)
async def test_events_past_their_days_go_and_their_keys_stay(log, logged):
    await fill(log, 40, 31, 29, 0)
    await keeper(log).retire_once()
    assert await sequences(log) == [3, 4]
    assert await log.known_keys(["g0", "g1", "g2"]) == {"g0", "g1", "g2"}
    assert "old events deleted" in logged()


@within(30)
async def test_what_an_output_has_not_taken_outlives_its_days(log, logged):
    await fill(log, 40, 40, 40)
    behind = OutputState("slow", sequence=1)
    await keeper(log, behind, OutputState("quick", sequence=3)).retire_once()
    assert await sequences(log) == [2, 3]
    behind.sequence = 3
    await keeper(log, behind).retire_once()
    assert await sequences(log) == []


@within(30)
async def test_an_output_that_takes_no_more_or_remembers_nothing_keeps_nothing(log, logged):
    await fill(log, 40, 40, 40, 40)
    outputs = [
        OutputState("closed", state="closed", sequence=1),
        OutputState("fleeting", sequence=0, is_durable=False),
        OutputState("slow", sequence=3),
    ]
    await keeper(log, *outputs).retire_once()
    assert await sequences(log) == [4]
    await keeper(log, *outputs[:2]).retire_once()
    assert await sequences(log) == []


@within(30)
async def test_a_limit_that_the_keys_alone_exceed_is_said_once_and_deletes_nothing_for_it(log, logged):
    await log.append(Entry(tuple(((f"{'k' * 60}{number}",), event(number, 1)) for number in range(20_000))))
    await keeper(log).retire_once()  # past their days: only their keys are left
    await fill(log, *[0] * 10)
    keeps = keeper(log, max_megabytes=1)
    for _ in range(2):
        await keeps.retire_once()
    assert await sequences(log) == list(range(20_001, 20_011))
    assert sum("max_megabytes" in message for message in logged()) == 1


@within(30)
async def test_the_size_limit_takes_even_what_an_output_has_not_and_says_so(log, logged):
    await fill(log, *([0] * 1500))
    keeps = keeper(log, OutputState("slow", sequence=10), max_megabytes=4)
    assert (keeps.losses.events, keeps.losses.at) == (0, None)
    await keeps.retire_once()
    left = await sequences(log)
    assert 0 < len(left) < 800  # of 5 kB each, below 4 MB
    assert left == list(range(1501 - len(left), 1501))
    assert "the size limit deleted events that an output had not taken" in logged()
    # The first ten it had.
    assert (keeps.losses.events, keeps.losses.at) == (1500 - len(left) - 10, NOW)


@within(30)
async def test_what_can_never_be_sent_is_forgotten_with_its_event(log):
    await fill(log, 40, 40, 0)
    for sequence in (1, 3):
        one = attrs.evolve(event(sequence - 1, NOW), sequence=sequence)
        assert await log.bury("o", one, "too large", NOW)
        # Once more is no news, as after a restart.
        assert not await log.bury("o", one, "too large", NOW)
    assert await log.count_dead("o") == 2
    await keeper(log).retire_once()
    assert await sequences(log) == [3]
    assert await log.count_dead("o") == 1


@within(30)
async def test_a_log_that_cannot_be_written_is_tried_again_later(tmp_path, logged):
    class BrokenLog:
        directory = tmp_path

        async def retire(self, **_):
            await trio.lowlevel.checkpoint()
            raise StateError("disk I/O error")

    await keeper(BrokenLog()).retire_once()
    assert "old events could not be deleted; trying again later" in logged()


@within(30)
async def test_the_status_file_is_private_and_whole(log):
    await keeper(log).publish_once(disabled())
    path = log.directory / FILE_NAME
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["state"] == "disabled"
    assert [item.name for item in log.directory.glob("status*")] == [FILE_NAME]


@within(30)
async def test_a_status_that_says_nothing_new_is_confirmed_and_not_written_again(log):
    keeps = keeper(log)
    path = log.directory / FILE_NAME
    await keeps.publish_once(attrs.evolve(disabled(), taken_at=1))
    inode = path.stat().st_ino
    os.utime(path, (1, 1))
    await keeps.publish_once(attrs.evolve(disabled(), taken_at=2))
    assert path.stat().st_mtime == 1  # not so soon
    keeps.confirm_seconds = 0
    await keeps.publish_once(attrs.evolve(disabled(), taken_at=2))
    assert path.stat().st_ino == inode
    assert read_status(log.directory)["taken_at"] > 1_000_000
    await keeps.publish_once(attrs.evolve(disabled(), generations=1))
    assert read_status(log.directory)["generations"] == 1
    # Gone by another hand: said once, and then there again.
    path.unlink()
    for _ in range(2):
        await keeps.publish_once(attrs.evolve(disabled(), generations=1))
    assert read_status(log.directory)["generations"] == 1


@within(30)
async def test_a_status_that_cannot_be_written_is_said_once(log, logged):
    (log.directory / f"{FILE_NAME}.new").mkdir()
    keeps = keeper(log)
    for _ in range(3):
        await keeps.publish_once(disabled())
    assert logged().count("the status file cannot be written") == 1
    (log.directory / f"{FILE_NAME}.new").rmdir()
    await keeps.publish_once(disabled())
    assert read_status(log.directory) is not None


def test_a_status_file_that_is_none_gives_nothing(tmp_path):
    assert read_status(tmp_path) is None
    for content in ("{", "[]"):
        (tmp_path / FILE_NAME).write_text(content)
        assert read_status(tmp_path) is None
