"""Access to the log's file: one connection to write and one to read, each behind a lock, in threads."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import trio

from trio_cursor.errors import StateError
from trio_cursor.eventlog import file
from trio_cursor.sqlite_library import sqlite3

T = TypeVar("T")


class Access:
    """The open file, and what is wrong with it."""

    def __init__(self, directory: Path, writer: Any, reader: Any) -> None:
        self.directory = directory
        self._writer, self._writing = writer, trio.Lock()
        self._reader, self._reading = reader, trio.Lock()
        # Never the default limiter: a host that uses all of its threads must not stop the log.
        self._limiter = trio.CapacityLimiter(2)
        self._is_closed = False
        #: What failed last time it was tried, by what was tried.
        self._troubles: dict[str, str] = {}

    @property
    def trouble(self) -> str | None:
        """Why the log cannot be written or read at the moment; None: it can."""
        return next(iter(self._troubles.values()), None)

    async def write(self, work: Callable[[Any], T]) -> T:
        """Work in one transaction. Raises `StateError`."""

        def in_thread() -> T:
            with file.transaction(self._writer):
                return work(self._writer)

        return await self._run("write", in_thread, self._writing)

    async def write_alone(self, work: Callable[[Any], T]) -> T:
        """As `write`, for what cannot be in a transaction."""
        return await self._run("write", lambda: work(self._writer), self._writing)

    async def read(self, what: str, work: Callable[[Any], T]) -> T:
        """Work with the connection for reading; `what` names it among the troubles. Raises `StateError`."""
        return await self._run(what, lambda: work(self._reader), self._reading)

    async def _run(self, what: str, work: Callable[[], T], lock: trio.Lock) -> T:
        async with lock:
            if self._is_closed:
                raise trio.ClosedResourceError
            try:
                # Not abandoned when cancelled: the transaction in hand is short and must be finished.
                result = await trio.to_thread.run_sync(work, limiter=self._limiter)
            except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
                raise  # a mistake of ours; trying again would not mend it
            except sqlite3.DatabaseError as error:
                failure = StateError(f"the event log in {self.directory} failed: {error}")
                self._troubles[what] = str(failure)
                raise failure from error
            # Only what failed can tell that it is mended: beside a damaged page all the rest works.
            self._troubles.pop(what, None)
            return result

    async def aclose(self) -> None:
        """Close, after what is in hand; later calls raise `trio.ClosedResourceError`."""
        with trio.CancelScope(shield=True):
            async with self._writing, self._reading:
                self._is_closed = True
                # The last connection that is closed writes everything into the file and waits for the disk.
                await trio.to_thread.run_sync(self._close, limiter=self._limiter)

    def _close(self) -> None:
        with closing(self._writer), closing(self._reader):
            pass
