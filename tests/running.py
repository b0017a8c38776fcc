"""The service as a child process, and what its event log holds; for tests that kill it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

from trio_cursor.eventlog_format import Filter, read_log


def command(cursor_dir, state_dir, *options):
    places = ["--cursor-dir", str(cursor_dir), "--state-dir", str(state_dir)]
    run = [sys.executable, "-m", "trio_cursor", "run", *places, "--since", "all", "--http", "off", "-q"]
    return [*run, *options]


def run_once(cursor_dir, state_dir):
    """What it has said on stderr."""
    done = subprocess.run(
        command(cursor_dir, state_dir, "--once"), capture_output=True, text=True, timeout=60, check=True
    )
    return done.stderr


def reported(state_dir):
    """Ids of the generations in the event log, with how often each stands there."""
    return Counter(event.generation_id for event in read_log(state_dir, Filter()) or [])


def assert_exactly_once(counted, ledger):
    """Everything that Cursor has committed is there, nothing that it has not, and nothing twice."""
    assert {id_: times for id_, times in counted.items() if times > 1} == {}
    assert set(ledger.committed) - counted.keys() == set()
    assert counted.keys() - set(ledger.committed) - set(ledger.uncertain) == set()


def assert_owner_unhurt(ledger):
    """A `-wal` may be left at a close that coincides with a read; everything else would be our fault."""
    assert [incident for incident in ledger.incidents if incident.what != "wal_left"] == []
