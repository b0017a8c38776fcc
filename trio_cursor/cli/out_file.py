"""A file that a command makes: whole or not at all, private, and never where it must not be."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from trio_cursor.errors import TrioCursorError
from trio_cursor.os_files import patiently
from trio_cursor.outputs.json_lines import why_not_appended


class OutFile:
    """Written beside its place under another name; `keep` puts it there. Else nothing is left."""

    def __init__(self, path: Path) -> None:
        """Nothing is made yet. What is there already is replaced, by way of a link where it is one."""
        self.path = path
        self._place = path
        self._stack = ExitStack()
        self._name = ""
        self._is_kept = False
        self.file: BinaryIO

    def __enter__(self) -> Self:
        """Begin the file. Raises `TrioCursorError`."""
        try:
            if (why := why_not_appended(self.path)) is not None:
                raise TrioCursorError(f"could not write: {self.path} {why}")
            self._place = Path(os.path.realpath(self.path))
            # Made with 0600, and beside its place, since only within one file system it can be moved at once.
            descriptor, self._name = tempfile.mkstemp(
                dir=self._place.parent, prefix=f".{self._place.name[:100]}.", suffix=".part"
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise TrioCursorError(f"could not write {self.path}: {reason}") from error
        self.file = self._stack.enter_context(os.fdopen(descriptor, "wb"))
        return self

    def write(self, text: str) -> None:
        """Add a text. Raises `OSError`."""
        self.file.write(text.encode("utf-8", "replace"))

    def keep(self) -> None:
        """It is complete: from now on it is at its place. Raises `TrioCursorError`."""
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
            self._stack.close()  # Windows moves no file that is open
            patiently(lambda: os.replace(self._name, self._place))  # noqa: PTH105 - as text
        except OSError as error:
            raise TrioCursorError(f"could not write {self.path}: {error.strerror}") from error
        self._is_kept = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what was not kept."""
        with suppress(OSError):  # what could not be written before cannot be now
            self._stack.close()
        if not self._is_kept:
            with suppress(FileNotFoundError):
                os.unlink(self._name)  # noqa: PTH108 - as text
        if isinstance(error, OSError) and error.filename is None:
            raise TrioCursorError(f"could not write {self.path}: {error.strerror}") from error
