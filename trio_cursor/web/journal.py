"""What the page knows: the event log through its index, which a thread keeps up to date.

An index is begun when the page is first asked for, and kept up to date from then on, at every start: it must
not hold longer what the log has deleted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import attrs
import trio
from trio_util import RepeatedEvent

from trio_cursor.errors import StateError, TrioCursorError
from trio_cursor.eventlog import EventLog
from trio_cursor.logs import get_logger
from trio_cursor.page_index import (
    Edition,
    Progress,
    UnusableIndexError,
    edition,
    exists,
    fill,
    make_index,
    open_index,
    progress,
    prune,
)
from trio_cursor.sqlite_library import sqlite3

log = get_logger(__name__)
T = TypeVar("T")

_STEP_SECONDS = 0.2
#: What comes together is taken in together.
_GATHER_SECONDS = 0.05
#: How often it is looked for what the log has deleted.
_PRUNE_SECONDS = 60.0
_AGAIN_SECONDS = 10.0
#: For what was reported to be in the index, before the page is shown without it.
_PATIENCE_SECONDS = 1.0
#: At once.
_QUESTIONS = 2
#: For an answer: whoever waits for longer asks again, and takes the place of somebody else.
_ANSWER_SECONDS = 15.0
#: Instructions of SQLite between two questions whether anybody still wants the answer.
_INSTRUCTIONS = 10_000


@attrs.frozen
class _Step:
    """What a step has come to."""

    #: Up to which sequence everything new is in the index.
    until: int
    is_more: bool
    progress: Progress
    edition: Edition


@attrs.define(eq=False)
class Journal:
    """The log and its index. `mode`: the privacy mode in which the index is filled."""

    log: EventLog
    mode: str
    #: Why the index cannot be used at the moment; None: it can.
    trouble: str | None = attrs.field(default=None, init=False)
    progress: Progress = attrs.field(default=Progress(0, 0), init=False)
    #: What the index was of with the last step: a page that is open learns by it what is there no longer.
    edition: Edition = attrs.field(default=Edition(), init=False)
    #: The last that was logged.
    _mistake: str | None = attrs.field(default=None, init=False)
    #: Which was logged.
    _has_passed_over: bool = attrs.field(default=False, init=False)
    #: A question has found it so.
    _is_damaged: bool = attrs.field(default=False, init=False)
    #: Up to which sequence everything new is in the index; -1: there is none yet.
    _until: int = attrs.field(default=-1, init=False)
    _is_wanted: trio.Event = attrs.field(factory=trio.Event, init=False)
    _moved: RepeatedEvent = attrs.field(factory=RepeatedEvent, init=False)
    #: Until something is to be done again.
    _rest: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    #: Own threads: a host that uses all of Trio's must not stop the page, nor the page the index.
    _filling: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1), init=False)
    _asking: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(_QUESTIONS), init=False)

    @property
    def directory(self) -> Path:
        """Where log and index are."""
        return self.log.directory

    async def run(self) -> None:
        """Keep the index up to date, for ever. Trouble with its file is said, and stops nothing."""
        pruned, is_begun = -math.inf, False
        while True:
            try:
                if not is_begun:
                    await self._beginning()
                    is_begun = True
                began = trio.current_time()
                is_due = began - pruned >= _PRUNE_SECONDS
                step = await self._stepped(is_due=is_due)
            except (sqlite3.Error, OSError, TrioCursorError) as error:
                self._fail(str(error))
                await trio.sleep(_AGAIN_SECONDS)
                continue
            except Exception as mistake:  # the border: health, metrics and intake are served all the same
                if self._mistake != repr(mistake):
                    log.exception("the page's index met a mistake in trio_cursor; trying again")
                self._mistake = repr(mistake)
                self._fail("a mistake in trio_cursor; its log says more")
                await trio.sleep(_AGAIN_SECONDS)
                continue
            pruned = trio.current_time() if is_due else pruned
            self.trouble, self._until, self.progress = None, step.until, step.progress
            self.edition = step.edition
            self._moved.set()
            if step.is_more:
                # Half of the time is left to whoever watches Cursor.
                await trio.sleep(trio.current_time() - began)
                continue
            with trio.move_on_at(pruned + _PRUNE_SECONDS) as self._rest:
                # No checkpoint between the comparison and the wait: an append cannot slip through.
                if self._until >= self.log.last_sequence and not self._is_damaged:
                    await self.log.appended.wait()
                await trio.sleep(_GATHER_SECONDS)

    async def _beginning(self) -> None:
        """Wait until there is an index, or somebody wants one."""
        if not await trio.to_thread.run_sync(exists, self.directory, limiter=self._filling):
            await self._is_wanted.wait()

    async def _stepped(self, *, is_due: bool) -> _Step:
        try:
            if not self._is_damaged:
                return await trio.to_thread.run_sync(self._step, is_due, limiter=self._filling)
        except UnusableIndexError as error:
            log.debug("the page's index is begun anew", why=str(error))
        await self._begin_anew()
        return await trio.to_thread.run_sync(self._step, is_due, limiter=self._filling)

    async def _begin_anew(self) -> None:
        """Make the index when nobody has it open: its files are replaced."""
        places = [object() for _ in range(_QUESTIONS)]
        taken = []
        try:
            for place in places:
                await self._asking.acquire_on_behalf_of(place)
                taken.append(place)
            self._until, self.progress = -1, Progress(0, 0)
            await trio.to_thread.run_sync(make_index, self.directory, self.mode, limiter=self._filling)
            self._is_damaged = False
        finally:
            for place in taken:
                self._asking.release_on_behalf_of(place)

    def _fail(self, why: str) -> None:
        if self.trouble is None:
            log.warning("the page's index cannot be used; trying again", why=why)
        self.trouble = why
        self._moved.set()

    def _step(self, is_due: bool) -> _Step:  # noqa: FBT001 - to be called in a thread
        """Take in as much as goes into a moment; `is_due`: let go what the log has deleted. In a thread."""
        with open_index(self.directory, self.mode) as index:
            if index is None:
                return _Step(0, is_more=False, progress=Progress(0, 0), edition=Edition())
            if is_due:
                prune(index)
            end, is_more = time.monotonic() + _STEP_SECONDS, True
            while is_more and time.monotonic() < end:
                is_more = fill(index, self.log.outgoing, self._pass_over)
            until = int(index.execute("SELECT value FROM meta WHERE key = 'high'").fetchone()[0])
            return _Step(until, is_more, progress(index), edition(index))

    def _pass_over(self, sequence: int) -> None:
        """Called in the thread. Once is enough: of what is damaged there may be much."""
        if not self._has_passed_over:
            log.error("rows of the event log cannot be on the page and are passed over", first=sequence)
        self._has_passed_over = True

    async def up_to_date(self) -> None:
        """Wait until what is in the log by now can be found, but not for long; begin the index."""
        self._is_wanted.set()
        newest = self.log.last_sequence
        with trio.move_on_after(_PATIENCE_SECONDS):
            while self._until < newest and self.trouble is None:
                await self._moved.wait()

    async def ask(self, work: Callable[[Any], T]) -> T:
        """Work with the index, the log attached as `log`, in a thread; nothing is written.

        Raises `StateError` where there is none that can be used, and if it takes too long.
        """

        def in_thread() -> T:
            is_open = False
            try:
                with open_index(self.directory, self.mode) as index:
                    is_open = True
                    return work(self._prepared(index))
            except UnusableIndexError as error:
                # Otherwise it is found to be so wherever it is opened.
                self._is_damaged = is_open
                raise StateError(f"the page's index is made anew: {error}") from error
            except StateError:
                trio.from_thread.check_cancelled()  # interrupted because nobody wants the answer?
                raise
            except (sqlite3.Error, OSError) as error:
                trio.from_thread.check_cancelled()  # as above
                raise StateError(f"the page's index in {self.directory} cannot be used: {error}") from error

        try:
            with trio.move_on_after(_ANSWER_SECONDS):
                return await trio.to_thread.run_sync(in_thread, limiter=self._asking)
        finally:
            if self._is_damaged:
                self._rest.cancel()
        raise StateError("this takes too long: add a word, or choose a day")

    def _prepared(self, index: Any | None) -> Any:
        if index is None:
            raise StateError(f"there is no event log in {self.directory}")
        index.set_progress_handler(_check, _INSTRUCTIONS)
        index.execute("BEGIN")  # everything of one moment
        return index


def _check() -> int:
    """Called by SQLite in the middle of a query; anything but 0 ends it."""
    try:
        trio.from_thread.check_cancelled()
    except trio.Cancelled:
        return 1
    return 0
