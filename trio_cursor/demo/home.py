"""The demo's directory: claimed once, recognised later, and never somebody's real Cursor."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from trio_cursor.errors import TrioCursorError
from trio_cursor.os_files import lock, unlock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Lies in every directory that the demo has made; without it nothing is written into a directory with files.
MARKER_NAME: Final = ".trio-cursor-demo"
#: Beyond the content, which on Windows nobody else could read while it is locked.
_LOCKED_BYTE: Final = 1 << 20


class NotOursError(TrioCursorError):
    """The directory holds something that the demo has not made, or another demo works in it."""


@contextmanager
def claim(directory: Path) -> Iterator[int]:
    """Hold the directory for as long as the fake Cursor lives; give the number of this run, from 1."""
    marker = directory / MARKER_NAME
    if directory.exists() and not directory.is_dir():
        raise NotOursError(f"{directory} is not a directory")
    if not marker.exists():
        if directory.exists() and any(directory.iterdir()):
            raise NotOursError(f"{directory} is not empty and was not made by demo: name a new directory")
        directory.mkdir(parents=True, exist_ok=True)
    with marker.open("a+", encoding="ascii") as file:
        if not lock(file.fileno(), at=_LOCKED_BYTE):
            raise NotOursError(f"another demo is at work in {directory}")
        try:
            # A line for each run: only ever appended to, so that no kill can leave it unreadable.
            file.seek(0)
            run = len(file.readlines()) + 1
            file.write(f"run {run}\n")
            file.flush()
            yield run
        finally:
            unlock(file.fileno(), at=_LOCKED_BYTE)
