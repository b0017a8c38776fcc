"""What operating systems do differently with files: locking one, and what goes while it is open."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, at: int) -> None:
        _one_byte(descriptor, at, msvcrt.LK_NBLCK)

    def _unlock(descriptor: int, at: int) -> None:
        _one_byte(descriptor, at, msvcrt.LK_UNLCK)

    def _one_byte(descriptor: int, at: int, what: int) -> None:
        # It is the byte at the position of the file, which may be anywhere.
        before = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, at, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, what, 1)
        finally:
            os.lseek(descriptor, before, os.SEEK_SET)

    def own_uid() -> int | None:
        """Who we are; None: nobody has a number."""
        return None

    def make_private(descriptor: int) -> None:
        """There are no such bits; the user's own directories are his alone."""

else:
    import fcntl

    def _lock(descriptor: int, at: int) -> None:  # noqa: ARG001 - the whole file
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int, at: int) -> None:  # noqa: ARG001 - as above
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def own_uid() -> int | None:
        """Who we are, by number."""
        return os.getuid()

    def make_private(descriptor: int) -> None:
        """Take from an open file what others may do with it."""
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)


T = TypeVar("T")

#: Until whoever has a file open (a reader of ours, a virus scanner) has most likely closed it.
_PAUSES_SECONDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1)


def lock(descriptor: int, *, at: int = 0) -> bool:
    """Lock an open file, without waiting; False: somebody else has. Gone with the process, however it ends.

    On Windows the lock is one byte, which nobody else can read as long: `at` is best beyond the content.

    Raises `OSError` where files cannot be locked.
    """
    try:
        _lock(descriptor, at)
    except (BlockingIOError, PermissionError):  # POSIX says the first, Windows the second
        return False
    return True


def unlock(descriptor: int, *, at: int = 0) -> None:
    """Let go. On Windows closing the file does it too, but nobody promises when."""
    with suppress(OSError):
        _unlock(descriptor, at)


def patiently(work: Callable[[], T], *, platform: str = sys.platform) -> T:
    """Replace, remove or open a file that somebody may have open for a moment. Blocks, at most 0.2 s.

    Windows refuses that; elsewhere nobody minds, and a refusal is for good.
    """
    if platform == "win32":
        for pause in _PAUSES_SECONDS:
            try:
                return work()
            except PermissionError:
                time.sleep(pause)
    return work()


def is_broken_pipe(error: BaseException, platform: str = sys.platform) -> bool:
    """Whether a write has failed since nobody reads any more what we write into a pipe."""
    if platform == "win32" and isinstance(error, OSError) and error.filename is None:
        return error.errno in (errno.EPIPE, errno.EINVAL)  # its C library knows both words for it
    return isinstance(error, BrokenPipeError)
