"""A read in a worker thread: how it is interrupted from outside, and what it has claimed."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from trio_cursor.sqlite_library import sqlite3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AnswerT = TypeVar("AnswerT")


class GivenUp(Exception):  # noqa: N818 - an order, not a fault
    """Nobody waits for this job any more. Ends the thread; never seen by a task."""


class Job:
    """What the thread that opens, reads and closes shares with the task that waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._finished = False
        self._tell: Callable[[], None] | None = None
        self._given_up = False
        #: The thread is done with the file, if not with its page.
        self.file_closed = False
        #: The task has left although the thread went on.
        self.abandoned = False

    def stop_if_given_up(self) -> None:
        """Called by the thread, between its steps."""
        if self._given_up:
            raise GivenUp

    @property
    def given_up(self) -> bool:
        return self._given_up

    def run(self, work: Callable[[Job], AnswerT]) -> AnswerT:
        """Do the work in this thread, and tell whoever still asks that it has ended."""
        try:
            return work(self)
        finally:
            with self._lock:
                self._finished = True
                tell = self._tell
            if tell:
                tell()

    @contextmanager
    def connection(self, uri: str) -> Iterator[sqlite3.Connection]:
        """Open a connection that `give_up` may interrupt until it is closed."""
        connection = sqlite3.connect(
            uri,
            uri=True,
            timeout=0,  # nothing ends a wait inside SQLite; waiting belongs to Trio
            isolation_level=None,
            check_same_thread=False,  # `interrupt` is the one call from another thread
        )
        with self._lock:
            self._connection = connection
        try:
            yield connection
        finally:
            # Not closed under the lock: closing may hang in the kernel, and `give_up` must never wait.
            with self._lock:
                self._connection = None
            try:
                # pysqlite3 hides its handlers from the garbage collector: one that knows the connection
                # would keep itself, and all that was read, for ever.
                connection.set_progress_handler(None, 0)
            finally:
                connection.close()

    def give_up(self, tell: Callable[[], None]) -> None:
        """Interrupt the thread, from outside; `tell` is called, by either thread, once it has ended."""
        with self._lock:
            self._given_up = True
            if self._connection is not None:
                self._connection.interrupt()
            finished = self._finished
            if not finished:
                self._tell = tell
        if finished:
            tell()


class Claims:
    """Which files this process has open, so that each is opened by one job at a time.

    POSIX takes all locks that a process holds on a file when the process closes *any* descriptor of that
    file: a header read beside a read transaction lets Cursor write into the middle of it. A claim is
    given back by the thread that took it, even when nobody waits for that thread any more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders: dict[tuple[int, int] | None, Job] = {}

    def take(self, identity: tuple[int, int] | None, holder: Job) -> Job:
        """Claim a file; the answer is who holds it now."""
        with self._lock:
            return self._holders.setdefault(identity, holder)

    def give_back(self, identity: tuple[int, int] | None) -> None:
        with self._lock:
            del self._holders[identity]


#: Of the process and not of a service, because POSIX locks belong to the process.
CLAIMS: Final = Claims()
