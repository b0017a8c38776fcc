"""How a command that runs for long is asked to end."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress

import attrs
import trio

from trio_cursor.cli.output import Style

_INTERRUPTED = 130
#: One request may come twice: `timeout` and others tell the process, and then its whole group.
_SAME_SECONDS = 0.2
#: A progress bar hides the cursor, and whoever ends at once cannot ask it to put that back.
_SHOW_CURSOR = "\x1b[?25h"

#: The last one is Windows' word for the second.
_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
#: The terminal was closed; for a daemon, which has none, a request to read its configuration again.
_HANGUP: int | None = getattr(signal, "SIGHUP", None)


def listened_to() -> list[int]:
    """The signals that mean something to us. Not a hangup that whoever started us (`nohup`) has ignored."""
    if _HANGUP is None or signal.getsignal(_HANGUP) is signal.SIG_IGN:
        return _ENDING
    return [*_ENDING, _HANGUP]


@contextmanager
def terminable(on_hangup: Callable[[int], None] | None = None) -> Iterator[None]:
    """SIGTERM ends the block like any other end: what has to be removed is removed, the code is 0.

    So does a hangup, unless there is something else to be done about it.
    """

    def on_signal(number: int, _frame: object) -> None:
        if number == _HANGUP and on_hangup is not None:
            on_hangup(number)
        else:
            sys.exit(0)

    numbers = [number for number in listened_to() if number != signal.SIGINT]
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A signal waits for the end of the block, which must not be left half done; a second one does not."""
    waiting: list[int] = []

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def on_signal(number: int, _frame: object) -> None:
        waiting.append(number)
        if len(waiting) > 1:
            restore()
            signal.raise_signal(number)

    before = {number: signal.signal(number, on_signal) for number in listened_to()}
    try:
        yield
    finally:
        restore()
        if waiting:
            signal.raise_signal(waiting[0])


@attrs.define(eq=False)
class Stop:
    """The first request ends the run in good order; a second one, or the end of the grace period, at once."""

    grace_seconds: float
    #: What must be gone even after an end that was not in good order.
    clean_up: Callable[[], None]
    same_seconds: float = _SAME_SECONDS
    _first: int | None = None
    _first_at: float = 0.0
    _timer: threading.Timer | None = None

    async def obey(
        self, signals: AsyncIterator[int], scope: trio.CancelScope, reload: Callable[[], None] | None
    ) -> None:
        """Cancel the scope for the first signal that asks for an end.

        `reload` is called for each hangup, which then asks for nothing else; None: it asks for an end too.
        """
        async for number in signals:
            if number == _HANGUP and reload is not None:
                reload()
                continue
            self.ask(number)
            scope.cancel()

    def ask(self, number: int) -> None:
        """Somebody wants an end."""
        now = time.monotonic()
        if number == self._first and now - self._first_at < self.same_seconds:
            return
        if self._first is not None:
            self._end_at_once()
        self._first, self._first_at = number, now
        # A thread: what does not end may be what keeps the event loop.
        self._timer = threading.Timer(self.grace_seconds, self._end_at_once)
        self._timer.daemon = True
        self._timer.start()

    def settled(self) -> None:
        """The end was reached in good order."""
        if self._timer is not None:
            self._timer.cancel()

    def exit_code(self) -> int:
        """0, or what says that it was ^C."""
        return _INTERRUPTED if self._first == signal.SIGINT else 0

    def _end_at_once(self) -> None:
        try:
            if Style.of(sys.stderr, no_color=False, environ={}).is_on:
                with suppress(OSError):  # it may have been closed
                    os.write(sys.stderr.fileno(), _SHOW_CURSOR.encode())
            self.clean_up()
        finally:
            os._exit(self.exit_code())
