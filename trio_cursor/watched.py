"""What the sweep knows of each database, and what it tells of it."""

from __future__ import annotations

import math

import attrs
import trio

from trio_cursor.cursor.guest import Signature
from trio_cursor.records import Workspace


@attrs.define(eq=False)
class Watched:
    """A database that the sweep looks at."""

    workspace: Workspace
    signature: Signature
    #: How often database or `-wal` were seen to change.
    changes: int = 0
    #: Swept at each probe, not only with the idle ones.
    active: bool = False
    #: False once it is known to be in rollback mode, where every commit touches the database itself.
    has_log: bool = True
    #: When the last sweep began that looked at it, on Trio's clock.
    swept_at: float = -math.inf
    #: When database or `-wal` were last seen to change, on Trio's clock.
    changed_at: float = -math.inf
    #: The same, if it was the `-wal` that had changed; else None.
    logged_at: float | None = None
    #: When the operating system last said anything of it, on Trio's clock.
    told_at: float = -math.inf
    #: Signature that the last complete read is at least as new as; None: there was none yet.
    read: Signature | None = None
    #: When the last complete read began, on Trio's clock; what was committed before is in the log.
    read_at: float = -math.inf
    #: As it was when it turned out that there is nothing to be read: absent, empty or broken.
    nothing: Signature | None = None
    #: It cannot be read for now: locked, or its owner must repair it. Others wait for it.
    is_blocked: bool = False
    #: Of the one task that waits. Made when needed: of ten thousand databases few are waited for.
    _waiter: trio.Event | None = None

    def wake(self) -> None:
        """There is something to look at."""
        self.changes += 1
        if self._waiter is not None:
            self._waiter.set()

    async def changed_since(self, changes: int) -> None:
        """Wait until there were more changes than so many."""
        while self.changes == changes:
            self._waiter = trio.Event()
            await self._waiter.wait()

    @property
    def as_of(self) -> float:
        """Everything committed before this moment of Trio's clock was read; inf: there is nothing to read."""
        nothing, seen = self.nothing, self.signature
        # Whether it has settled is not asked: what stops being empty grows.
        if nothing is not None and (nothing.database, nothing.wal) == (seen.database, seen.wal):
            return math.inf
        return max(self.read_at, self.swept_at) if self.is_as_read else self.read_at

    @property
    def is_as_read(self) -> bool:
        """At the last look it was as the last complete read has left it."""
        read, seen = self.read, self.signature
        if read is None or not read.settled:
            return False
        # That it had not settled yet at the last look says nothing of a read that came later.
        return (read.database, read.wal) == (seen.database, seen.wal)

    @property
    def changed_ms(self) -> int | None:
        """When the file system says that it was last written, milliseconds since the epoch."""
        return self.signature.written_ms


@attrs.frozen
class Appeared:
    """A workspace that was not there before (at the first sweep: every one)."""

    watched: Watched


@attrs.frozen
class Changed:
    """Somebody wrote to the database or its `-wal`."""

    watched: Watched


@attrs.frozen
class Vanished:
    """The workspace's directory is gone."""

    watched: Watched


@attrs.frozen
class Swept:
    """The first sweep is over: what is there is known."""


Sighting = Appeared | Changed | Vanished | Swept
