"""A private copy of a database that cannot be read in place, for the length of one read."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trio_cursor.cursor.opening import FILE_NAME, open_claimed, verify_unchanged
from trio_cursor.cursor.outcomes import Busy, FileStat, RefusedForNow, Signature
from trio_cursor.errors import AlreadyRunningError, StateError
from trio_cursor.logs import get_logger
from trio_cursor.os_files import patiently
from trio_cursor.state_dir import held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = get_logger(__name__)

#: Below a directory that is held by whoever copies.
COPIES: Final = "private"
#: Below the state directory: what processes hold that do not hold the state directory, a number each.
_PLACE: Final = "workspaces-"
_PREFIX: Final = "copy-"
_CHUNK: Final = 1 << 20
#: A copy lives for a second or two; an older one could not be removed when its time was over.
_STALE_SECONDS: Final = 3600.0


def remove_copies(state: Path) -> None:
    """Remove the copies that killed processes have left below the state directory; the caller holds it.

    There are prompts and tokens in them, so they must not lie about until the next copy is made, which
    may be never. That the directory is held proves that nobody uses them.
    """
    _remove(state / COPIES)
    _remove_unheld(state)


@contextmanager
def place_for_copies(state: Path) -> Iterator[str]:
    """A directory for the copies of a process that does not hold the state directory; for the block only.

    `state` has to be there. What others have left that were killed is removed first.

    Raises:
        StateError: No such place can be held.
        OSError: The file system has a say.

    """
    _remove_unheld(state)
    with ExitStack() as stack:
        for number in itertools.count():
            place = state / f"{_PLACE}{number}"
            place.mkdir(mode=0o700, exist_ok=True)
            with suppress(AlreadyRunningError):
                stack.enter_context(held(place, tries=1))
                break
        # A thread that hangs leaves its copy behind, and a daemon's `finally` is not run at exit.
        stack.callback(_remove, place / COPIES)
        yield str(place / COPIES)


def _remove_unheld(state: Path) -> None:
    # The places themselves stay: a lock file that goes could be held by two, each its own.
    for place in state.glob(f"{_PLACE}[0-9]*"):
        try:
            with held(place, tries=1):
                _remove(place / COPIES)
        except AlreadyRunningError:
            continue
        except StateError as error:
            log.warning("a place for copies cannot be looked at", path=str(place), error=str(error))


def _remove(directory: Path) -> None:
    # A thread that was left behind by an earlier service of this process may remove its own meanwhile.
    shutil.rmtree(directory, ignore_errors=True)
    if os.path.lexists(directory):
        log.warning("private copies of Cursor's databases cannot be removed", path=str(directory))


@contextmanager
def private_copy(
    path: str, header: bytes, signature: Signature, *, directory: str, stop: Callable[[], None]
) -> Iterator[str]:
    """Path of a copy of the database and its log, as they were at one instant; removed at the end.

    `directory` is created with mode 0700 if it is missing; the files have mode 0600. `stop` is called
    between the pieces and raises when nobody waits any more.

    Raises:
        RefusedForNow: It changed while it was copied.
        OSError: The file system has a say.

    """
    if not signature.settled:
        # Its stamps could not tell a change during the copy.
        raise RefusedForNow(Busy("it has just been written"))
    Path(directory).mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_stale(directory)
    home = tempfile.mkdtemp(prefix=_PREFIX, dir=directory)  # 0700 whatever the umask is
    try:
        copy = str(Path(home, FILE_NAME))
        for suffix, file in (("", signature.database), ("-wal", signature.wal)):
            if file:
                _copy(path + suffix, copy + suffix, file, stop)
        verify_unchanged(path, header, signature)
        yield copy
    finally:
        _remove_copy(home)


def _remove_copy(home: str) -> None:
    """What cannot be removed now, since a virus scanner is at it, goes with the copies that are stale."""
    try:
        patiently(partial(shutil.rmtree, home))
    except PermissionError as error:
        log.warning("a private copy cannot be removed yet", path=home, error=error.strerror)


def _copy(source: str, target: str, file: FileStat, stop: Callable[[], None]) -> None:
    reads = open_claimed(source, file)
    try:
        left = file.size  # what grows meanwhile is refused afterwards, and never copied beyond the cap
        writes = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(writes, "wb") as copy:
            while left > 0 and (piece := os.read(reads, min(_CHUNK, left))):
                stop()
                copy.write(piece)
                left -= len(piece)
    finally:
        os.close(reads)


def _remove_stale(directory: str) -> None:
    """Prompts must not lie about because a file could not be removed at the end of a read."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX):
                with suppress(FileNotFoundError):  # another process of ours was faster
                    if time.time() - entry.stat().st_mtime > _STALE_SECONDS:
                        _remove_copy(entry.path)
