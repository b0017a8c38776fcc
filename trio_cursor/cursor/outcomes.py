"""What comes of a look at a database: which file it was, or why it could not be read."""

from __future__ import annotations

import os
from typing import TypeAlias

import attrs


@attrs.frozen
class FileStat:
    """What two stats compare."""

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, result: os.stat_result) -> FileStat:
        return cls(result.st_dev, result.st_ino, result.st_size, result.st_mtime_ns)


@attrs.frozen
class Signature:
    """A database and its log as two stats see them: equal signatures, nothing was committed between."""

    database: FileStat | None
    wal: FileStat | None
    #: False while a further change could still bear the same stamp; such a signature becomes another one
    #: by itself, so that what was written within the same tick is not missed for ever.
    settled: bool = True

    @property
    def identity(self) -> tuple[int, int] | None:
        """Which file this is; None if there is none."""
        return (self.database.device, self.database.inode) if self.database else None

    @property
    def written_ms(self) -> int | None:
        """When the file system says that it was last written, milliseconds since the epoch."""
        files = (self.database, self.wal)
        return max((file.mtime_ns // 1_000_000 for file in files if file), default=None)


@attrs.frozen
class Busy:
    """Cursor, or another task of ours, is at it: come back soon. No failure."""

    why: str


@attrs.frozen
class NeedsRecovery:
    """Its owner died within a transaction: only the owner may repair it, and will at its next start."""

    why: str


@attrs.frozen
class Empty:
    """There is no database yet: no file, or nothing in it."""

    why: str


@attrs.frozen
class Unreadable:
    """Not to be read: not what it should be, damaged, or not safe. Looking again soon does not help."""

    why: str


@attrs.frozen
class TimedOut:
    """The deadline passed."""

    why: str
    #: The thread could not be stopped and still hangs in the kernel.
    abandoned: bool


Refusal: TypeAlias = Busy | NeedsRecovery | Empty | Unreadable | TimedOut


class Refused(Exception):  # noqa: N818 - an outcome that travels, not a fault
    """This attempt ends here, with this outcome. Never leaves the door."""

    def __init__(self, outcome: Refusal) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class RefusedForNow(Refused):
    """Worth another attempt until the deadline."""


class NotYet(Refused):
    """The database was not touched, since its turn has not come: waiting for that has no deadline."""

    def __init__(self, outcome: Refusal, pause_seconds: float) -> None:
        super().__init__(outcome)
        self.pause_seconds = pause_seconds
