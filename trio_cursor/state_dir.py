"""Our own directory: private from its creation, and held by one service at a time."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trio_cursor.cursor.grounds import cursor_directory_of
from trio_cursor.errors import AlreadyRunningError, StateError
from trio_cursor.os_files import lock, make_private, own_uid, unlock

LOCK_NAME = "service.lock"
#: `status` holds the lock for an instant to see whether somebody else does; a start waits that long.
_LOCK_TRIES, _LOCK_PAUSE_SECONDS = 5, 0.05
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_MAY_ANYTHING = stat.S_IRWXG | stat.S_IRWXO


def prepare(directory: Path) -> str | None:
    """Make the directory, private. Returns words if it had to be tightened.

    Raises `StateError` if it cannot be made or written, belongs to somebody else, lies in a directory of
    Cursor's, or could have been written by others.
    """
    if (cursors := cursor_directory_of(directory)) is not None:
        raise StateError(
            f"{directory} lies in {cursors}, which is Cursor's: nothing is ever written there; "
            "name another one with --state-dir"
        )
    try:
        # One by one: `parents=True` would leave those above open to whatever the umask says.
        for parent in reversed([place for place in directory.parents if not place.exists()]):
            parent.mkdir(mode=0o700, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.stat()
    except FileExistsError:
        raise StateError(f"{directory} is not a directory; name another one with --state-dir") from None
    except OSError as error:
        raise StateError(
            f"the state directory {directory} cannot be made ({error.strerror}); "
            "mend its permissions or name another one with --state-dir"
        ) from error
    said = None
    if os.name == "posix":
        said = _tighten(directory, found)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise StateError(
            f"the state directory {directory} cannot be written; "
            "mend its permissions or name another one with --state-dir"
        )
    return said


def _tighten(directory: Path, found: os.stat_result) -> str | None:
    if found.st_uid != own_uid():
        raise StateError(f"{directory} belongs to another user; name another one with --state-dir")
    if found.st_mode & _OTHERS_MAY_WRITE:
        raise StateError(
            f"{directory} can be written by other users, so what is in it cannot be trusted; "
            f"run chmod 700 on it if it can, or name another one with --state-dir"
        )
    if not found.st_mode & _OTHERS_MAY_ANYTHING:
        return None
    try:
        directory.chmod(0o700)
    except OSError as error:
        raise StateError(
            f"{directory} can be read by others and not be tightened: {error.strerror}"
        ) from error
    return f"{directory} could be read by other users; it is 0700 now"


def create_private(path: Path) -> None:
    """Create the file empty with mode 0600 if it is not there; SQLite gives its companions the same mode."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        make_private(descriptor)  # it may have been copied here by hand
    finally:
        os.close(descriptor)


@contextmanager
def held(directory: Path, *, tries: int = _LOCK_TRIES) -> Iterator[None]:
    """Hold the directory for this process; released by the system whatever happens to us.

    Raises `AlreadyRunningError` if another service holds it.
    """
    path = directory / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError as error:
        raise StateError(f"{path} cannot be opened ({error.strerror}); mend its permissions") from error
    try:
        _take(descriptor, path, tries)
        try:
            yield
        finally:
            unlock(descriptor)
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, tries: int) -> None:
    try:
        while not lock(descriptor):
            tries -= 1
            if not tries:
                raise AlreadyRunningError(
                    f"another trio_cursor holds {path.parent}; stop it, or give this one its own --state-dir"
                )
            time.sleep(_LOCK_PAUSE_SECONDS)
    except OSError as error:
        raise StateError(
            f"{path} cannot be locked ({error.strerror}); name a directory on a local disk with --state-dir"
        ) from error


def is_held(directory: Path) -> bool:
    """Whether a service is running on this directory. Raises `StateError` if it cannot be told."""
    try:
        (directory / LOCK_NAME).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StateError(f"{directory} cannot be looked at ({error.strerror})") from error
    try:
        with held(directory, tries=1):
            return False
    except AlreadyRunningError:
        return True
