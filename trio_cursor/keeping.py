"""Housekeeping: the status file that other processes read, and the retention of events."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import attrs
import trio

from trio_cursor.errors import StateError
from trio_cursor.eventlog import EventLog
from trio_cursor.logs import get_logger
from trio_cursor.states import Losses, OutputState
from trio_cursor.status import Status
from trio_cursor.status_file import confirm_status, write_status

log = get_logger(__name__)

STATUS_SECONDS = 1.0
_STATUS_MOST_SECONDS = 10.0
#: A file that would say the same is touched this often: readers go by its age, and a hop into a thread costs.
_CONFIRM_SECONDS = 4.0
_WORKSPACES_A_SECOND = 100
_RETENTION_SECONDS = 600.0
_DAY_MS = 86_400_000
_MEGABYTE = 1_000_000


@attrs.define(eq=False)
class Keeper:
    """What housekeeping works with."""

    directory: Path
    log: EventLog
    status: Callable[[], Status]
    outputs: Iterable[OutputState]
    now_ms: Callable[[], int]
    keep_days: float
    max_megabytes: int
    losses: Losses = attrs.field(factory=Losses)
    confirm_seconds: float = _CONFIRM_SECONDS
    #: What the status file says; None: not known.
    _written: Status | None = attrs.field(default=None, init=False)
    #: When it was written or touched, on Trio's clock.
    _written_at: float = attrs.field(default=-math.inf, init=False)
    _said: str | None = attrs.field(default=None, init=False)
    _is_too_large: bool = attrs.field(default=False, init=False)
    #: Own thread: a host that uses all of Trio's must not stop it.
    _limiter: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1), init=False)

    async def publish(self) -> None:
        """Keep the status file up to date, for ever."""
        while True:
            status = self.status()
            await self.publish_once(status)
            # Of a thousand workspaces the file has half a megabyte, which not every second is worth.
            often = len(status.workspaces) / _WORKSPACES_A_SECOND
            await trio.sleep(min(max(STATUS_SECONDS, often), _STATUS_MOST_SECONDS))

    async def publish_once(self, status: Status) -> None:
        """Write a status if it says anything new; trouble is said once and does not stop anything."""
        content, now = attrs.evolve(status, taken_at=None), trio.current_time()
        if content == self._written:
            if now - self._written_at < self.confirm_seconds:
                await trio.lowlevel.checkpoint()
                return
            work = partial(confirm_status, self.directory)
        else:
            work = partial(write_status, self.directory, status)
        self._written = None
        try:
            await trio.to_thread.run_sync(work, limiter=self._limiter)
        except OSError as error:
            if self._said is None:
                log.warning("the status file cannot be written", error=error.strerror)
            self._said = str(error)
        else:
            self._written, self._written_at, self._said = content, now, None

    async def retire(self) -> None:
        """Delete events that are past their days or above the size limit, for ever."""
        while True:
            await self.retire_once()
            await trio.sleep(_RETENTION_SECONDS)

    async def retire_once(self) -> None:
        """Delete what is due, slice by slice, so that the sink never waits for long."""
        # Nothing is kept for an output that takes no more, or that remembers nothing.
        sequences = [item.sequence for item in self.outputs if item.is_durable and item.state != "closed"]
        work = partial(
            self.log.retire,
            before_ms=int(self.now_ms() - self.keep_days * _DAY_MS),
            max_bytes=self.max_megabytes * _MEGABYTE,
            taken=min(sequences) if sequences else None,
        )
        events = 0
        try:
            while (retired := await work()).events:
                events += retired.events
                if retired.untaken:
                    self.losses.events += retired.untaken
                    self.losses.at = self.now_ms()
                    # Said at once: whoever is killed before the end must not keep it to himself.
                    log.error(
                        "the size limit deleted events that an output had not taken", events=retired.untaken
                    )
            self._say_if_too_large(retired.is_too_large)
        except StateError as error:
            log.warning("old events could not be deleted; trying again later", error=str(error))
        if events:
            log.info("old events deleted", events=events)

    def _say_if_too_large(self, is_too_large: bool) -> None:  # noqa: FBT001 - its one subject
        if is_too_large and not self._is_too_large:
            log.warning(
                "the event log is above [log] max_megabytes and stays there: "
                "what is kept for ever, mostly keys of what was reported, takes more than half of it",
                max_megabytes=self.max_megabytes,
            )
        self._is_too_large = is_too_large
