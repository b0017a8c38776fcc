"""Single keys from a terminal, without Enter and without an echo; what it was set to before comes back."""

from __future__ import annotations

import importlib
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Final, TextIO

#: Gives the names of the keys pressed, as soon as there is one or after so many seconds.
ReadKeys = Callable[[float], list[str]]

#: The terminal is gone, and no key will ever come.
GONE: Final = "gone"
_LOOK_SECONDS: Final = 0.02
_MOST_BYTES: Final = 256
#: Behind ESC [ or ESC O, and behind the zero or 0xE0 of Windows.
_SEQUENCES: Final = {"A": "up", "B": "down", "5~": "page up", "6~": "page down", "H": "home"}
_SCAN_CODES: Final = {"H": "up", "P": "down", "I": "page up", "Q": "page down", "G": "home"}


def keys_of(
    stream: TextIO, platform: str = sys.platform, console: Any = None
) -> AbstractContextManager[ReadKeys]:
    """Reading keys from this stream for as long as the context lasts; from what is no terminal none come.

    `console`: what has `kbhit` and `getwch` on Windows.
    """
    if not stream.isatty():
        return _nobody()
    if platform == "win32":
        return _windows(console or importlib.import_module("msvcrt"))
    return _posix(stream.fileno())


@contextmanager
def _nobody() -> Iterator[ReadKeys]:
    yield _sleep


def _sleep(seconds: float) -> list[str]:
    time.sleep(seconds)
    return []


@contextmanager
def _posix(descriptor: int) -> Iterator[ReadKeys]:
    termios: Any = importlib.import_module("termios")  # there is none on Windows
    before = termios.tcgetattr(descriptor)
    ours = termios.tcgetattr(descriptor)
    # ^C and ^Z remain signals.
    ours[3] &= ~(termios.ICANON | termios.ECHO)
    ours[6][termios.VMIN], ours[6][termios.VTIME] = 1, 0

    def read(seconds: float) -> list[str]:
        if not select.select([descriptor], [], [], seconds)[0]:
            return []
        try:
            found = os.read(descriptor, _MOST_BYTES)
        except OSError:  # a terminal that was closed says so in this way, or by an end
            found = b""
        return list(_names(found.decode("ascii", "replace"))) if found else [GONE]

    termios.tcsetattr(descriptor, termios.TCSANOW, ours)
    try:
        yield read
    finally:
        with suppress(termios.error):  # it is gone, and has nothing that could come back
            termios.tcsetattr(descriptor, termios.TCSANOW, before)


def _names(text: str) -> Iterator[str]:
    """One name for each key; a sequence that nobody knows is none."""
    at = 0
    while at < len(text):
        if text[at] != "\x1b" or text[at + 1 : at + 2] not in ("[", "O"):
            yield text[at]
            at += 1
            continue
        end = at + 2
        while end < len(text) and not "@" <= text[end] <= "~":
            end += 1
        if name := _SEQUENCES.get(text[at + 2 : end + 1]):
            yield name
        at = end + 1


@contextmanager
def _windows(console: Any) -> Iterator[ReadKeys]:
    def read(seconds: float) -> list[str]:
        until = time.monotonic() + seconds
        while not console.kbhit():
            if time.monotonic() >= until:
                return []
            time.sleep(_LOOK_SECONDS)
        found = []
        while console.kbhit():
            key = console.getwch()
            if key == "\x03":  # as a character where the console hands it over
                raise KeyboardInterrupt
            if key in "\x00\xe0":
                key = _SCAN_CODES.get(console.getwch(), "")
            found += [key] if key else []
        return found

    yield read
