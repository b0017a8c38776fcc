"""Conversations of a living fake Cursor: every turn of its ledger once, with its final texts.

`KILL_ROUNDS` makes the rounds more than the few of every day.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import ledgers
import pytest
import running

from trio_cursor.demo.process import FakeCursorProcess
from trio_cursor.demo.turns import GENERATING

pytestmark = pytest.mark.usefixtures("unmeasured")

ROUNDS = int(os.environ.get("KILL_ROUNDS", "3"))
#: Long enough for a conversation to be written, short enough for a test.
LIVE = {"TRIO_CURSOR_ASSEMBLY__CONVERSATION_WAIT_SECONDS": "20"}

IMPATIENT = {"TRIO_CURSOR_CURSOR_DATABASE_MONITOR__QUERY_TIMEOUT_SECONDS": "0.3"}


def start(cursor, state_dir, *options):
    return subprocess.Popen(
        running.command(cursor.cursor_dir, state_dir, *options), env={**os.environ, **LIVE}
    )


def settled_live(ledger):
    """Ids of turns that have settled since the demo began, in the order of their commits."""
    return [id_ for id_, turn in ledger.turns.items() if turn.commit_took_ms is not None]


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_watched_from_beginning_to_end(tmp_path, journal):
    options = ("--rate", "6", "--workspaces", "4", "--journal", journal, "--history", "60")
    state_dir = tmp_path / "state"
    with FakeCursorProcess(tmp_path / "cursor", *options) as cursor:
        with start(cursor, state_dir) as service:
            running.until(lambda: len(settled_live(cursor.ledger())) >= 15, service)
            assert cursor.stop() == 0
            # The service itself has reported all that was finished, and no later run of it.
            turns = cursor.ledger().turns.keys()
            running.until(lambda: turns <= running.reported(state_dir).keys(), service)
            service.terminate()
        assert service.returncode == 0
        running.run_once_more(cursor.cursor_dir, state_dir)
        ledger = cursor.ledger()
    running.assert_exactly_once(running.reported(state_dir), ledger)
    ledgers.assert_as_in_the_ledger(running.logged_events(state_dir), ledger)
    running.assert_owner_unhurt(ledger)
    assert {turn.status for turn in ledger.turns.values()} >= {"completed", "aborted"}


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_killed_in_the_middle_of_streaming_turns(tmp_path, journal):
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    chances = random.Random(seed)
    options = ("--rate", "8", "--workspaces", "4", "--journal", journal, "--window-seconds", "4")
    state_dir = tmp_path / "state"
    with FakeCursorProcess(tmp_path / "cursor", *options) as cursor:
        for _ in range(ROUNDS):
            before = running.reported(state_dir).total()
            with start(cursor, state_dir) as service:
                running.until(lambda: running.reported(state_dir).total() > before, service)  # noqa: B023 - called here
                # While it reads, asks for texts or writes: anywhere.
                time.sleep(chances.uniform(0.0, 1.0))
                service.kill()
            assert service.returncode == -signal.SIGKILL
        assert cursor.stop() == 0
        running.run_once_more(cursor.cursor_dir, state_dir)
        ledger = cursor.ledger()
    running.assert_exactly_once(running.reported(state_dir), ledger)
    ledgers.assert_as_in_the_ledger(running.logged_events(state_dir), ledger)
    running.assert_owner_unhurt(ledger)


def test_a_cursor_that_crashes_leaves_turns_that_are_never_called_complete(tmp_path):
    options = ("--rate", "15", "--workspaces", "4", "--history", "40")
    state_dir = tmp_path / "state"
    with FakeCursorProcess(tmp_path / "cursor", *options) as cursor:
        with start(cursor, state_dir) as service:
            running.until(
                lambda: set(settled_live(cursor.ledger())) & running.reported(state_dir).keys(), service
            )
            cursor.kill()
            # Of others the last commit may have come, and the crash before it was written down.
            open_turns = {
                id_ for id_, turn in cursor.ledger().open_turns.items() if turn.status == GENERATING
            }
            finished = set(settled_live(cursor.ledger()))
            running.until(lambda: finished <= running.reported(state_dir).keys(), service)
            service.terminate()
        before = running.reported(state_dir).keys()
        running.run_once_more(cursor.cursor_dir, state_dir)
    assert open_turns
    assert not before & open_turns
    left = [event for event in running.logged_events(state_dir) if event.generation_id in open_turns]
    # Of those whose last commit never came nothing is in the files.
    assert left
    assert {event.payload["status"] for event in left} <= {"incomplete", "unknown"}
    assert all(event.payload["completed_timestamp"] is None for event in left)


class Locked:
    """Another program that holds a database for itself, in a process of its own."""

    program = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
connection.execute("PRAGMA locking_mode=EXCLUSIVE")
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""

    def __init__(self, database):
        self.database = database

    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.program, str(self.database)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout.readline() == b"locked\n"

    def __exit__(self, *_):
        self.process.communicate()


@pytest.mark.parametrize("which", ["global", "workspace"])
def test_a_database_that_is_locked_for_a_whole_run_takes_nothing_away(tmp_path, which):
    # In WAL mode nobody can lock it: whatever was committed is read without a lock, or from a copy.
    options = ("--rate", "0", "--history", "80", "--workspaces", "4", "--journal", "delete")
    with FakeCursorProcess(tmp_path / "cursor", *options) as cursor:
        cursor.stop()
        ledger = cursor.ledger()
        if which == "global":
            database = cursor.cursor_dir / "globalStorage" / "state.vscdb"
        else:
            places = [turn.workspace_id for turn in ledger.turns.values() if turn.attributed_by == 1]
            database = cursor.cursor_dir / "workspaceStorage" / max(places, key=places.count) / "state.vscdb"
        running.run_once_more(cursor.cursor_dir, tmp_path / "undisturbed")
        with Locked(database):
            first = running.run_once(cursor.cursor_dir, tmp_path / "state", **IMPATIENT)
        before = running.logged_events(tmp_path / "state")
        running.run_once_more(cursor.cursor_dir, tmp_path / "state")
    assert "left for the next run" in first
    assert str(database) in first
    wanted = running.logged_events(tmp_path / "undisturbed")
    assert len(before) < len(wanted)
    assert comparable(running.logged_events(tmp_path / "state")) == comparable(wanted)
    ledgers.assert_as_in_the_ledger(wanted, ledger, is_live=False)


def comparable(events):
    """Without what depends on when they were captured."""
    found = {}
    for event in events:
        metadata = {name: value for name, value in event.metadata.items() if name != "captured_at"}
        time = None if metadata["timestamp_source"] == "capture" else event.timestamp
        found[event.event_id] = (time, event.session_id, metadata, event.payload)
    return found
