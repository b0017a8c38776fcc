"""The terminal as a whole, and its keys: taken, given back, and never left in a mess."""

import contextlib
import io
import os
import sys

import pytest

from trio_cursor.cli import full_screen as screens
from trio_cursor.cli.full_screen import FullScreen, full_screen
from trio_cursor.cli.keys import GONE, keys_of

posix = pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
if sys.platform != "win32":
    import pty
    import signal
    import termios

LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"


class Terminal:
    """Both ends of one: what a program sees, and what a person types and reads."""

    def __init__(self):
        self.person, program = pty.openpty()
        self.stdin = os.fdopen(program, "r")
        self.stdout = os.fdopen(os.dup(program), "w")
        self.resize(40, 5)

    def resize(self, columns, rows):
        termios.tcsetwinsize(self.person, (rows, columns))

    def types(self, text):
        os.write(self.person, text.encode())

    def mode(self):
        return termios.tcgetattr(self.stdin.fileno())

    def read(self):
        os.set_blocking(self.person, False)
        found = b""
        try:
            while part := os.read(self.person, 65536):
                found += part
        except BlockingIOError:
            pass
        return found.decode()

    def hang_up(self):
        if self.person is not None:
            os.close(self.person)
        self.person = None

    def close(self):
        self.stdin.close()
        with contextlib.suppress(OSError):  # of a terminal that is gone
            self.stdout.close()
        self.hang_up()


@pytest.fixture
def terminal():
    found = Terminal()
    yield found
    found.close()


# -- The screen ----------------------------------------------------------------------------------------


class Console:
    """A stream that remembers; no terminal."""

    encoding = "utf-8"

    def __init__(self):
        self.written = []

    def write(self, text):
        self.written.append(text)

    def flush(self):
        pass

    def fileno(self):
        raise io.UnsupportedOperation


def test_only_lines_that_have_changed_are_written():
    console = Console()
    screen = FullScreen(console)
    screen.show(["one", "two"])
    assert console.written == [
        "\x1b[?2026h\x1b[2J\x1b[1;1Hone\x1b[0m\x1b[K\x1b[2;1Htwo\x1b[0m\x1b[K\x1b[?2026l"
    ]
    screen.show(["one", "2"])
    assert console.written[1:] == ["\x1b[?2026h\x1b[2;1H2\x1b[0m\x1b[K\x1b[?2026l"]
    screen.show(["one", "2"])
    assert len(console.written) == 2
    screen.show(["one"])
    assert console.written[2:] == ["\x1b[?2026h\x1b[2;1H\x1b[0m\x1b[K\x1b[?2026l"]


def test_where_nobody_says_how_large_it_is_it_is_as_old_terminals_were():
    assert FullScreen(Console()).size() == (79, 24)


def test_a_terminal_without_blocks_gets_other_characters():
    console = Console()
    console.encoding = "ascii"
    FullScreen(console).show(["▁█"])
    assert "\x1b[1;1H.#" in console.written[0]


@posix
def test_after_a_change_of_size_everything_is_written_anew_and_no_more_than_fits(terminal):
    screen = FullScreen(terminal.stdout)
    screen.show(["line"] * 50)
    assert terminal.read().count("line") == 5
    terminal.resize(30, 3)
    assert screen.size() == (29, 3)
    screen.show(["line"] * 50)
    text = terminal.read()
    assert text.count("line") == 3
    assert "\x1b[2J" in text
    terminal.resize(0, 0)  # what does not know its size says this
    assert screen.size() == (79, 24)


@posix
@pytest.mark.parametrize("end", [None, KeyError, KeyboardInterrupt, SystemExit])
def test_however_it_ends_the_terminal_is_as_it_was(terminal, end):
    before = terminal.mode()
    stop = signal.getsignal(signal.SIGTSTP)
    try:
        with full_screen(terminal.stdin, terminal.stdout) as (screen, _):
            assert terminal.mode() != before
            screen.show(["x"])
            if end:
                raise end
    except (KeyError, KeyboardInterrupt, SystemExit) as error:
        assert type(error) is end  # noqa: PT017 - not all of them are errors
    assert terminal.mode() == before
    assert terminal.read().endswith(LEAVE)
    assert signal.getsignal(signal.SIGTSTP) is stop


@posix
def test_a_terminal_that_is_gone_says_so_and_leaving_it_is_no_trouble(terminal):
    with full_screen(terminal.stdin, terminal.stdout) as (_, read):
        terminal.hang_up()
        assert read(5) == [GONE]


@posix
def test_a_stop_gives_the_terminal_back_and_going_on_takes_it_again(terminal, monkeypatch):
    """The signal that stops us is noted, not raised: nobody would let the tests go on."""
    seen = []

    def stand_still(number):
        seen.append((number, signal.getsignal(number), terminal.mode(), terminal.read()))

    before = terminal.mode()
    with full_screen(terminal.stdin, terminal.stdout) as (screen, read):
        screen.show(["x"])
        signal.raise_signal(signal.SIGTSTP)
        assert seen == []  # not in the middle of something
        monkeypatch.setattr(screens.signal, "raise_signal", stand_still)
        read(0)
        monkeypatch.undo()
        [(number, handler, mode, text)] = seen
        assert (number, handler, mode) == (signal.SIGTSTP, signal.SIG_DFL, before)
        assert text.endswith(LEAVE)
        assert terminal.mode() != before
        screen.show(["x"])
        assert "\x1b[1;1Hx" in terminal.read()  # nobody knows what stood there meanwhile
    assert terminal.mode() == before


@posix
def test_where_stops_are_ignored_they_stay_so(terminal):
    before = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        with full_screen(terminal.stdin, terminal.stdout):
            assert signal.getsignal(signal.SIGTSTP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTSTP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTSTP, before)


# -- Keys ----------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("q", ["q"]),
        ("ss", ["s", "s"]),
        ("\x1b[A\x1bOB", ["up", "down"]),
        ("\x1b[5~\x1b[6~\x1b[H", ["page up", "page down", "home"]),
        ("\x1b[1;5Cq", ["q"]),  # a key that nobody knows
        ("\x1b", ["\x1b"]),
        ("\x1b[", []),
        ("ö", ["\ufffd", "\ufffd"]),
    ],
)
def test_keys_have_names(terminal, typed, names):
    with keys_of(terminal.stdin) as read:
        terminal.types(typed)
        assert read(5) == names
        assert read(0) == []


def test_from_what_is_no_terminal_no_keys_come():
    with keys_of(io.StringIO("q")) as read:
        assert read(0) == []


class WindowsConsole:
    """`msvcrt`, with keys that were pressed already."""

    def __init__(self, text):
        self.text = text

    def kbhit(self):
        return bool(self.text)

    def getwch(self):
        first, self.text = self.text[0], self.text[1:]
        return first


class ATerminal(io.StringIO):
    """Says that it is one."""

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("q", ["q"]),
        ("\xe0H\xe0P\x00I\xe0Q\xe0G", ["up", "down", "page up", "page down", "home"]),
        ("\xe0Ks", ["s"]),
        ("", []),
    ],
)
def test_on_windows_keys_have_the_same_names(typed, names):
    with keys_of(ATerminal(), "win32", WindowsConsole(typed)) as read:
        assert read(0.001) == names


def test_on_windows_an_interrupt_that_comes_as_a_key_is_one():
    with (
        pytest.raises(KeyboardInterrupt),
        keys_of(ATerminal(), "win32", WindowsConsole("\x03")) as read,
    ):
        read(0)


def test_on_windows_a_key_is_waited_for():
    console = WindowsConsole("")
    hits = iter([False, False, True, True, False])
    console.kbhit = lambda: next(hits)
    console.text = "s"
    with keys_of(ATerminal(), "win32", console) as read:
        assert read(60) == ["s"]
