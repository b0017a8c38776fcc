"""Commands in this process and as children of their own, in a home of their own; what the log then holds."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import time
from collections import Counter

from trio_cursor.cli import main
from trio_cursor.eventlog import Filter, read_log

#: What clears a screen, and what turns the text around; and how both are shown.
EVIL = "\x1b[2J\u202e"
SAFE = "\\u001b[2J\\u202e"


class TerminalText(io.StringIO):
    """A terminal that remembers what it was sent."""

    def isatty(self):
        return True


def move_home(home, monkeypatch):
    """Make it the home, so that nothing of this machine is read or written; a plain terminal besides."""
    for variable in [name for name in os.environ if name.startswith("TRIO_CURSOR_")]:
        monkeypatch.delenv(variable)
    for variable in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(home))
    for variable in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TRIO_CURSOR_HTTP__LISTEN", "off")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return home


def on_terminal(*words):
    """Run it in this process with stdout on a terminal: code, and what stood there."""
    with contextlib.redirect_stdout(TerminalText()) as stdout:
        code = main(list(words))
    return code, stdout.getvalue()


def start(*words, interpreter=("-m", "trio_cursor"), **options):
    """As a program starts it: JSON lines on stdout, records on stderr."""
    return subprocess.Popen(
        [sys.executable, *interpreter, *map(str, words)],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options},
    )


def command(cursor_dir, state_dir, *options):
    places = ["--cursor-dir", str(cursor_dir), "--state-dir", str(state_dir)]
    run = [sys.executable, "-m", "trio_cursor", "run", *places, "--since", "all", "--http", "off", "-q"]
    return [*run, *options]


def run_once(cursor_dir, state_dir, **environ):
    """What it has said on stderr."""
    done = subprocess.run(
        command(cursor_dir, state_dir, "--once"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, **environ},
    )
    return done.stderr


#: For what is not about conversations.
SOON = {
    "TRIO_CURSOR_ASSEMBLY__RING_GRACE_SECONDS": "0.2",
    "TRIO_CURSOR_ASSEMBLY__CONVERSATION_WAIT_SECONDS": "1",
}
#: For a Cursor that has ended: what has not come by now never will.
AT_ONCE = {
    f"TRIO_CURSOR_ASSEMBLY__{name}": "0"
    for name in ("RING_GRACE_SECONDS", "CONVERSATION_WAIT_SECONDS", "SETTLE_TIMEOUT_SECONDS")
}


def run_once_more(cursor_dir, state_dir):
    """Everything that is left, after the end of a Cursor; what it has said on stderr."""
    return run_once(cursor_dir, state_dir, **AT_ONCE)


def until(condition, service):
    """Wait for it, as long as the service lives; the longer it takes, the less often it is looked at."""
    began = time.monotonic()
    while (waited := time.monotonic() - began) < 60:
        if condition():
            return
        assert service.poll() is None
        time.sleep(max(0.01, min(waited / 20, 0.1)))
    raise AssertionError("it never came to that")


def reported(state_dir):
    """Ids of the generations in the event log, with how often each stands there."""
    return Counter(event.generation_id for event in read_log(state_dir, Filter()) or [])


def logged_events(state_dir):
    """Every event in the log, in the order of the log."""
    return read_log(state_dir, Filter()) or []


def assert_exactly_once(counted, ledger):
    """Everything that Cursor has committed is there, nothing that it has not, and nothing twice."""
    assert {id_: times for id_, times in counted.items() if times > 1} == {}
    sure = ledger.committed.keys() | ledger.turns.keys()
    assert sure - counted.keys() == set()
    assert counted.keys() - sure - ledger.uncertain.keys() - ledger.open_turns.keys() == set()


def assert_owner_unhurt(ledger):
    """A `-wal` may be left at a close that coincides with a read; everything else would be our fault."""
    assert [incident for incident in ledger.incidents if incident.what != "wal_left"] == []
