"""Whatever happens to the service, each generation is reported exactly once.

`KILL_ROUNDS` makes the rounds more than the few of every day.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import attrs
import pytest
import running
import trio
from deadlines import within

import trio_cursor
from trio_cursor.config import (
    AssemblyConfig,
    Config,
    CursorConfig,
    DatabaseMonitorConfig,
    HttpConfig,
    StateConfig,
)
from trio_cursor.demo.process import FakeCursorProcess
from trio_cursor.eventlog import FILE_NAME

pytestmark = pytest.mark.usefixtures("unmeasured")

ROUNDS = int(os.environ.get("KILL_ROUNDS", "5"))


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_killed_again_and_again_while_cursor_writes(tmp_path, journal):
    state_dir = tmp_path / "state"
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    chances = random.Random(seed)
    # So slow that no ring rolls on between two rounds, each of which takes seconds on a busy machine.
    options = ("--rate", "20", "--workspaces", "6", "--journal", journal, "--window-seconds", "3")
    with FakeCursorProcess(tmp_path / "cursor", *options) as cursor:
        for round_ in range(ROUNDS):
            before = running.reported(state_dir).total()
            with subprocess.Popen(running.command(cursor.cursor_dir, state_dir)) as service:
                if round_ % 2:
                    # At any moment between its first import and its steady state.
                    time.sleep(chances.uniform(0.1, 0.9))
                else:
                    # While it writes, however slow this machine is.
                    running.until(lambda: running.reported(state_dir).total() > before, service)  # noqa: B023 - called here
                    time.sleep(chances.uniform(0.0, 0.1))
                service.kill()
            assert service.returncode == -signal.SIGKILL
        assert cursor.stop() == 0
        running.run_once_more(cursor.cursor_dir, state_dir)
        ledger = cursor.ledger()
    running.assert_exactly_once(running.reported(state_dir), ledger)
    running.assert_owner_unhurt(ledger)
    assert len(ledger.committed) > 20


def test_a_full_disk_stops_the_log_and_when_there_is_room_again_nothing_is_missing(tmp_path):
    resource = pytest.importorskip("resource", reason="no limits of a process on Windows")
    state_dir = tmp_path / "state"
    options = (
        "--rate",
        "100",
        "--workspaces",
        "3",
        "--generations",
        "150",
        "--stay",
        "--window-seconds",
        "0",
        "--conversations",
        "0",
    )
    with FakeCursorProcess(tmp_path / "cursor", "--history", "0", *options) as cursor:
        running.run_once(cursor.cursor_dir, state_dir)
        words = tmp_path / "words"
        with words.open("wb") as stderr:
            service = subprocess.Popen(
                running.command(cursor.cursor_dir, state_dir, "--log-format", "json"),
                stderr=stderr,
                env={**os.environ, **running.SOON},
            )
        try:
            # From here on no file of its can grow beyond what it is now, and a bit.
            limit = (state_dir / FILE_NAME).stat().st_size + 40_000
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            running.until(lambda: b"event log cannot be written" in words.read_bytes(), service)
            running.until(lambda: len(cursor.ledger().committed) == 150, service)
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            running.until(lambda: len(running.reported(state_dir)) == 150, service)
        finally:
            service.kill()
            service.wait()
        running.assert_exactly_once(running.reported(state_dir), cursor.ledger())
        running.assert_owner_unhurt(cursor.ledger())


# -- Cancelled at any moment ---------------------------------------------------------------------------


@attrs.define(eq=False)
class CancelAfter(trio.abc.Instrument):
    """Cancels a scope before the n-th step that any task takes."""

    scope: trio.CancelScope
    steps: int

    def before_task_step(self, task):
        self.steps -= 1
        if self.steps == 0:
            self.scope.cancel()


def descriptors():
    """What this process has open, without the directory that is read for it."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[entry.name] = str(entry.readlink())
        except FileNotFoundError:
            continue
    return found


def config_of(cursor_dir, state_dir):
    return Config(
        http=HttpConfig(listen="off"),
        cursor=CursorConfig(dirs=(str(cursor_dir),)),
        state=StateConfig(dir=str(state_dir)),
        assembly=AssemblyConfig(conversation_wait_seconds=1, ring_grace_seconds=0.2),
        cursor_database_monitor=DatabaseMonitorConfig(
            probe_interval_seconds=0.01, poll_interval_seconds=0.05, sync_window_hours=876_000
        ),
    )


@within(60)
async def test_cancelled_at_any_step_it_leaves_nothing_behind_and_loses_nothing(tmp_path):
    state_dir = tmp_path / "state"
    options = ("--rate", "30", "--workspaces", "3", "--window-seconds", "1")
    with FakeCursorProcess(tmp_path / "cursor", *options) as cursor:
        config = config_of(cursor.cursor_dir, state_dir)
        async with trio.open_nursery() as nursery:  # so that what is made once is made
            await nursery.start(trio_cursor.serve, config)
            nursery.cancel_scope.cancel()
        before = descriptors()
        tasks = trio.lowlevel.current_statistics().tasks_living
        for steps in (*range(1, 60, 3), *range(60, 500, 40)):
            with trio.CancelScope() as scope:
                instrument = CancelAfter(scope, steps)
                trio.lowlevel.add_instrument(instrument)
                try:
                    await trio_cursor.serve(config)
                finally:
                    trio.lowlevel.remove_instrument(instrument)
            assert scope.cancelled_caught
            assert trio.lowlevel.current_statistics().tasks_living == tasks
            assert descriptors() == before
        cursor.stop()
        # What has not come by now never will.
        config = attrs.evolve(
            config,
            assembly=AssemblyConfig(
                ring_grace_seconds=0, conversation_wait_seconds=0, settle_timeout_seconds=0
            ),
        )
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                handle = await nursery.start(trio_cursor.serve, config)
                await handle.synced()
                nursery.cancel_scope.cancel()
        ledger = cursor.ledger()
    running.assert_exactly_once(running.reported(state_dir), ledger)
    running.assert_owner_unhurt(ledger)
