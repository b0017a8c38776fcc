"""A whole terminal for as long as a command runs; afterwards it is as it was, however the command ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final, TextIO

from trio_cursor.cli.drawing import drawable
from trio_cursor.cli.keys import ReadKeys, keys_of
from trio_cursor.cli.stopping import uninterrupted

#: The other screen, no cursor, no breaking of lines that are too long: each its counterpart below.
_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l"
_LEAVE: Final = "\x1b[?7h\x1b[?25h\x1b[?1049l"
#: What stands between the two is shown at once by terminals that know of it, and passed over by others.
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_CLEAR: Final = "\x1b[2J"
#: ^Z; Windows has none.
_STOP: Any = getattr(signal, "SIGTSTP", None)
#: Where nobody says: as old terminals had it.
_USUAL: Final = (80, 24)


class FullScreen:
    """Shows lines on a terminal; writes only those that have changed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        #: What stands there; None: nobody knows.
        self._shown: tuple[tuple[int, int], list[str]] | None = None

    def size(self) -> tuple[int, int]:
        """Columns and rows at this moment. The last column stays free: to write there moves things."""
        try:
            columns, rows = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            columns, rows = 0, 0
        return max((columns or _USUAL[0]) - 1, 1), rows or _USUAL[1]

    def show(self, lines: Sequence[str]) -> None:
        """Show these from the top, and nothing below; not more than there are rows."""
        size = self.size()
        lines = [*lines[: size[1]], *[""] * (size[1] - len(lines))]
        is_new = self._shown is None or self._shown[0] != size
        before = [""] * len(lines) if self._shown is None or is_new else self._shown[1]
        changes = [
            f"\x1b[{row};1H{line}\x1b[0m\x1b[K"
            for row, (line, old) in enumerate(zip(lines, before, strict=True), 1)
            if line != old
        ]
        if changes or is_new:
            self._write(_BEGIN + (_CLEAR if is_new else "") + "".join(changes) + _END)
        self._shown = size, lines

    def enter(self) -> None:
        """Take the terminal."""
        self._shown = None
        self._write(_ENTER)

    def leave(self) -> None:
        """Give it back; nothing happens if it is gone."""
        with suppress(OSError):
            self._write(_END + _LEAVE)

    def _write(self, text: str) -> None:
        self._stream.write(drawable(text, self._stream))
        self._stream.flush()


@contextmanager
def full_screen(stdin: TextIO, stdout: TextIO) -> Iterator[tuple[FullScreen, ReadKeys]]:
    """The screen and its keys, until the end of the block. ^Z gives both back until it goes on."""
    terminal = _Terminal(stdin, FullScreen(stdout))
    before = signal.SIG_IGN if _STOP is None else signal.getsignal(_STOP)
    is_stoppable = _STOP is not None and before is not signal.SIG_IGN
    if is_stoppable:
        signal.signal(_STOP, terminal.on_stop)
    try:
        terminal.take()
        yield terminal.screen, terminal.read
    finally:
        with uninterrupted():  # a second ^C must not leave half of it
            terminal.give_back()
            if is_stoppable:
                signal.signal(_STOP, before)


class _Terminal:
    """What is taken and given back together."""

    def __init__(self, stdin: TextIO, screen: FullScreen) -> None:
        self.screen = screen
        self._stdin = stdin
        self._held = ExitStack()
        self._read: ReadKeys
        self._is_stop_wanted = False

    def take(self) -> None:
        """Take keys and screen."""
        self._read = self._held.enter_context(keys_of(self._stdin))
        self._held.callback(self.screen.leave)
        self.screen.enter()

    def give_back(self) -> None:
        """Give back what was taken."""
        self._held.close()

    def on_stop(self, _number: int, _frame: object) -> None:
        """^Z: noted, since the handler may stand in the middle of a write."""
        self._is_stop_wanted = True

    def read(self, seconds: float) -> list[str]:
        """Keys; the right moment to stop, too."""
        found = self._read(seconds)
        if self._is_stop_wanted:
            self._is_stop_wanted = False
            self.give_back()
            signal.signal(_STOP, signal.SIG_DFL)
            signal.raise_signal(_STOP)  # we stand still here, until somebody lets us go on
            signal.signal(_STOP, self.on_stop)
            self.take()
        return found
