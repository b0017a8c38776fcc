"""The handle: what an embedding program holds of a running service."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from trio_cursor.config import Config
from trio_cursor.eventlog import EventLog
from trio_cursor.events import EVENT_TYPE
from trio_cursor.records import Event
from trio_cursor.settings import Reloaded
from trio_cursor.status import Progress, Status

_BATCH_EVENTS = 500


class Subscription(trio.abc.ReceiveChannel[Event]):
    """Events by sequence, read from the log: a slow reader lags, nothing is dropped.

    Ends (`trio.EndOfChannel`) when the service does. Not for several tasks at once.
    """

    def __init__(self, events: EventLog | None, after: int, is_over: Callable[[], bool]) -> None:
        self._events = events
        self._after = after
        self._is_over = is_over
        self._buffer: deque[Event] = deque()
        self._is_closed = False

    @property
    def position(self) -> int:
        """Sequence up to which every event was received; what is no event counts as passed over."""
        return self._buffer[0].sequence - 1 if self._buffer else self._after

    async def receive(self) -> Event:
        """The next event. Raises `trio.EndOfChannel`, `trio.ClosedResourceError`, `StateError`."""
        await trio.lowlevel.checkpoint()
        while not self._buffer:
            if self._is_closed:
                raise trio.ClosedResourceError
            if self._events is None or self._is_over():
                raise trio.EndOfChannel
            newest = self._events.last_sequence
            try:
                batch = await self._events.read(self._after, limit=_BATCH_EVENTS)
            except trio.ClosedResourceError:
                raise trio.EndOfChannel from None
            self._buffer.extend(event for event in batch if event.event_type == EVENT_TYPE)
            # Where nothing was read, nothing is left: what was there has been deleted by the retention.
            self._after = batch[-1].sequence if batch else max(self._after, newest)
            # No checkpoint between the comparison and the wait: an append cannot slip through.
            if not batch and self._after >= self._events.last_sequence and not self._is_over():
                await self._events.appended.wait()
        return self._buffer.popleft()

    async def aclose(self) -> None:
        self._is_closed = True
        if self._events is not None:
            self._events.appended.set()
        await trio.lowlevel.checkpoint()


class Handle:
    """A running service, given by `await nursery.start(trio_cursor.serve, config)`."""

    def __init__(
        self,
        status: Callable[[bool], Status],
        progress: Callable[[], Progress],
        events: EventLog | None,
        first_pass: trio.Event,
        reload: Callable[[Config], Reloaded],
    ) -> None:
        self._status = status
        self._progress = progress
        self._first_pass = first_pass
        self._reload = reload
        self._events = events
        self._ended = trio.Event()
        if events is None:
            self._ended.set()

    def status(self) -> Status:
        """How the service is, at this moment. Makes a record for each workspace: for once a second."""
        return self._status(self._ended.is_set())

    def progress(self) -> Progress:
        """How far it is, at this moment. Costs the same however many workspaces there are."""
        return self._progress()

    def reload(self, config: Config) -> Reloaded:
        """Put in force what of another configuration can be while the service runs.

        The other keys that differ are named in the answer and need a new `serve`.
        """
        return self._reload(config)

    async def synced(self) -> None:
        """Wait until everything that was there at the start is in the log, or known to be unreadable.

        Returns also when the service has ended before that; `Status.first_pass_done` tells.
        """
        async with trio.open_nursery() as nursery:

            async def wait_for(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(wait_for, self._first_pass)
            nursery.start_soon(wait_for, self._ended)

    @asynccontextmanager
    async def subscribe(self, after: int | None = None) -> AsyncIterator[Subscription]:
        """Receive events behind a sequence (`Event.sequence`, `Status.last_sequence`), then live.

        None: everything that the log holds. Closed with the block; ends when the service does, at once
        if it is disabled.
        """
        subscription = Subscription(self._events, after or 0, self._ended.is_set)
        try:
            yield subscription
        finally:
            await subscription.aclose()

    def ended(self) -> None:
        """Called by the service when it ends: whoever still waits is told."""
        self._ended.set()
        if self._events is not None:
            self._events.appended.set()
