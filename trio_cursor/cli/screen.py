"""What `run` prints: each generation as it is reported."""

from __future__ import annotations

from collections import deque

import trio

from trio_cursor.cli.event_words import event_line
from trio_cursor.cli.output import Style, terminal_width
from trio_cursor.cli.words import Words
from trio_cursor.events import to_json
from trio_cursor.handle import Handle, Subscription
from trio_cursor.os_files import is_broken_pipe
from trio_cursor.records import Event

#: Of what happened before the start, a person sees this many.
_HISTORY_LINES = 20
_LINES_IN_FLIGHT = 500
#: After so many of a long history this much of it is left to come together, and leapt over.
_LEAP_EVENTS, _LEAP_SECONDS = 500, 0.25
_LOOK_SECONDS = 0.02


class Screen:
    """Prints JSON lines for programs; for a person lines to read, and only the end of a long history."""

    def __init__(self, handle: Handle, style: Style | None, began_ms: int, words: Words) -> None:
        self._handle = handle
        #: None: JSON lines.
        self._style = style
        self._began_ms = began_ms
        self._words = words
        self._sends, self._lines = trio.open_memory_channel[str](_LINES_IN_FLIGHT)
        #: Where the next event will come from; None while one is in hand.
        self._waits_for: Subscription | None = None
        #: Lines on their way to stdout.
        self._unprinted = 0
        #: What is kept back until it is known how much there is.
        self._history = deque[str](maxlen=_HISTORY_LINES)
        #: How much that is, with what was leapt over.
        self._kept_back = 0
        self._is_past = style is not None

    async def show(self, scope: trio.CancelScope) -> None:
        """Print until cancelled; when nobody reads any more, cancel the scope."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._print)
                await self._read()
        except* OSError as errors:
            if errors.split(is_broken_pipe)[1] is not None:
                raise
            scope.cancel()

    async def caught_up(self) -> None:
        """Wait until everything that was reported by now is printed, the end of the history too."""
        wanted = self._handle.progress().last_sequence
        # A sequence, not a count of events: what is leapt over may hold records that are none.
        while not self._has_taken(wanted):  # noqa: ASYNC110 - the subscription is looked at, it does not call
            await trio.sleep(_LOOK_SECONDS)
        self._is_past = False
        more = self._kept_back - len(self._history)
        if more:
            self._words.tell(
                f"{more:,} earlier ones are not shown here; `events` has them.", "history", more=more
            )
        while self._history:
            await self._send(self._history.popleft())
        while self._unprinted:  # noqa: ASYNC110 - as above
            await trio.sleep(_LOOK_SECONDS)

    async def _read(self) -> None:
        now = self._handle.progress()
        after: int | None = now.last_sequence - now.generations - now.gaps  # before this run
        while after is not None:
            async with self._handle.subscribe(after) as events:
                after = await self._take_all(events)

    async def _take_all(self, events: Subscription) -> int | None:
        """Take event by event until the service ends; or give where to go on after a leap."""
        taken = 0
        while True:
            self._waits_for = events
            try:
                event = await events.receive()
            except trio.EndOfChannel:
                return None
            self._waits_for = None
            line = self._line(event)
            if self._is_past and event.timestamp < self._began_ms:
                self._history.append(line)
                self._kept_back += 1
            else:
                await self._send(line)
            taken += 1
            if self._is_past and not taken % _LEAP_EVENTS:
                # A long first sync is not slowed down for lines that nobody will see.
                await trio.sleep(_LEAP_SECONDS)
                end = self._handle.progress().last_sequence - _HISTORY_LINES
                if end > event.sequence:
                    self._kept_back += end - event.sequence
                    return end

    def _has_taken(self, sequence: int) -> bool:
        """Whether every event up to there was printed, kept back, leapt over, or is on its way to stdout."""
        return self._waits_for is not None and self._waits_for.position >= sequence

    def _line(self, event: Event) -> str:
        return to_json(event) if self._style is None else event_line(event, self._style, terminal_width())

    async def _send(self, line: str) -> None:
        self._unprinted += 1
        await self._sends.send(line)

    async def _print(self) -> None:
        async for line in self._lines:
            batch = [line]
            try:
                while True:
                    batch.append(self._lines.receive_nowait())
            except trio.WouldBlock:
                pass
            # In a thread: a terminal that was stopped, or a full pipe, must not stop the service.
            await trio.to_thread.run_sync(_write, "\n".join(batch), abandon_on_cancel=True)
            self._unprinted -= len(batch)


def _write(text: str) -> None:
    print(text, flush=True)
