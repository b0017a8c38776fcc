"""`top` as somebody uses it: on a terminal of its own, in a pipe, and once."""

import json
import os
import signal
import subprocess
import sys

import attrs
import pytest
from running import on_terminal, start, until
from test_cli import generation, write_log
from test_full_screen import LEAVE, Terminal, posix

from trio_cursor.cli import main, top_command
from trio_cursor.state_dir import held
from trio_cursor.status import disabled
from trio_cursor.status_file import FILE_NAME as STATUS_NAME
from trio_cursor.status_file import write_status

if sys.platform != "win32":
    import fcntl
    import termios

pytestmark = pytest.mark.usefixtures("home")


def running(state, **changes):
    write_status(state, attrs.evolve(disabled(), state="running", first_pass_done=True, **changes))


# -- Once, and for programs ----------------------------------------------------------------------------


def test_once_on_a_terminal_tells_how_it_is_and_ends(state):
    write_log(state, [generation(1)])
    with held(state):
        running(state, alarms=("redis is away",))
        code, text = on_terminal("top", "--once", "--no-color", "--state-dir", str(state))
    assert code == 0
    assert "trio_cursor 1 alarm" in text
    assert "! redis is away" in text
    assert "Why?" in text
    assert "quit" not in text
    assert "\x1b" not in text


def test_once_in_a_pipe_it_is_one_object(state, capsys):
    write_log(state, [generation(1)])
    assert main(["top", "--once", "--state-dir", str(state)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["service"], found["last_hour"]) == ("none", 1)


def test_in_a_pipe_there_is_one_object_a_second(state, unmeasured):
    with start("top", "--json", "--state-dir", state) as process:
        first = json.loads(process.stdout.readline())
        write_log(state, [generation(1)])
        second = json.loads(process.stdout.readline())
        third = json.loads(process.stdout.readline())
        process.terminate()
        assert process.wait(60) == 0
    assert (first["log"], third["last_hour"]) == (False, 1)
    assert second["taken_at"] - first["taken_at"] >= 900


def test_the_status_of_another_version_fails_in_one_line_for_programs_only(state, capsys):
    with held(state):
        (state / STATUS_NAME).write_text('{"state": "running"}')
        assert main(["top", "--once", "--json", "--state-dir", str(state)]) == 1
        assert "is not as this version writes it" in capsys.readouterr().err
        code, text = on_terminal("top", "--once", "--no-color", "--state-dir", str(state))
    assert code == 0
    assert "trio_cursor not known" in text
    assert "is not as this version writes it" in " ".join(text.split())


def test_a_terminal_that_cannot_show_it_is_told_what_can(state, capsys, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    code, _ = on_terminal("top", "--state-dir", str(state))
    assert code == 1
    assert "--once and --json can be shown anywhere" in capsys.readouterr().err


# -- Live ----------------------------------------------------------------------------------------------


def _take_terminal():
    """So that ^C on it means us."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Live:
    """`top` on a terminal of its own, which is the terminal of its session."""

    def __init__(self, state):
        self.terminal = Terminal()
        self.terminal.resize(80, 24)
        self.before = self.terminal.mode()
        self.text = ""
        environ = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trio_cursor", "top", "--state-dir", str(state)],
            stdin=self.terminal.stdin, stdout=self.terminal.stdout, stderr=subprocess.PIPE, text=True,
            env=environ, start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - there are no threads
        )  # fmt: skip

    def shows(self, words):
        """Wait until it has written this since the last time."""

        def is_there():
            self.text += self.terminal.read()
            return words in self.text

        until(is_there, self.process)
        self.text = ""

    def ended(self):
        """The code, when the terminal is as it was."""
        code = self.process.wait(60)
        self.text += self.terminal.read()
        assert self.text.endswith(LEAVE)
        assert self.terminal.mode() == self.before
        return code, self.process.stderr.read()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        self.terminal.close()


@pytest.fixture
def live(state, unmeasured):
    found = Live(state)
    yield found
    found.close()


@posix
def test_it_waits_for_log_and_service_and_follows_both(live, state):
    live.shows("no service runs on")
    write_log(state, [generation(1, prompt="first question")])
    live.shows("first question")
    with held(state):
        running(state)
        live.shows("well")
        running(state, alarms=("redis is away",))
        live.shows("redis is away")
    live.shows("not running")
    write_log(state, [generation(2, prompt="second question")])
    live.shows("second question")
    live.terminal.types("s")
    live.shows("by rate")
    live.terminal.types("\x1b[Bq")
    assert live.ended() == (0, "")


@posix
def test_it_survives_every_size(live, state):
    write_log(state, [generation(1)])
    live.shows("quit")
    for size in [(20, 5), (1, 1), (300, 100), (40, 10)]:
        live.terminal.resize(*size)
        live.shows("\x1b[2J")
    live.terminal.types("Q")
    assert live.ended() == (0, "")


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_it_and_the_terminal_is_as_it_was(live, number, code):
    live.shows("quit")
    live.process.send_signal(number)
    assert live.ended() == (code, "")


@posix
def test_an_interrupt_from_the_keyboard_ends_it(live):
    live.shows("quit")
    live.terminal.types("\x03")
    assert live.ended() == (130, "")


@posix
def test_a_crash_leaves_the_terminal_as_it_was(state, monkeypatch, capsys):
    terminal = Terminal()
    before = terminal.mode()
    monkeypatch.setattr(sys, "stdin", terminal.stdin)
    monkeypatch.setattr(sys, "stdout", terminal.stdout)
    monkeypatch.setattr(top_command, "picture", lambda *_: 1 // 0)
    assert main(["top", "--state-dir", str(state)]) == 1
    assert terminal.mode() == before
    assert terminal.read().endswith(LEAVE)
    monkeypatch.undo()
    terminal.close()
    assert "ZeroDivisionError" in capsys.readouterr().err
