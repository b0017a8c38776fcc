"""A private copy of a database that cannot be read in place, for the length of one read."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trio_cursor.cursor.opening import (
    FILE_NAME,
    Busy,
    FileStat,
    RefusedForNow,
    Signature,
    open_claimed,
    verify_unchanged,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PREFIX: Final = "copy-"
_CHUNK: Final = 1 << 20
#: A copy lives for a second or two; an older one was left by a process that was killed.
_STALE_SECONDS: Final = 3600.0


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
        shutil.rmtree(home)


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
    """Prompts must not lie about because a process was killed in the middle of a read."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX):
                with suppress(FileNotFoundError):  # another process of ours was faster
                    if time.time() - entry.stat().st_mtime > _STALE_SECONDS:
                        shutil.rmtree(entry.path)
