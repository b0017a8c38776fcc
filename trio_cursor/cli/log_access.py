"""What commands share that read the event log beside its service, or without one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from trio_cursor.cli.output import say
from trio_cursor.errors import StateError
from trio_cursor.eventlog import FILE_NAME
from trio_cursor.sqlite_library import sqlite3


@attrs.define(eq=False)
class PassedOver:
    """Rows of the log that are no events: each is named once, however often it is read."""

    _said: set[int] = attrs.field(factory=set, init=False)

    def __call__(self, sequence: int) -> None:
        """Say so of this one."""
        if sequence not in self._said:
            self._said.add(sequence)
            say(f"passed over: #{sequence} of the event log cannot be understood")


@contextmanager
def readable(directory: Path) -> Iterator[None]:
    """Turn what SQLite says of the log into one line with a hint."""
    try:
        yield
    except sqlite3.Error as error:
        raise StateError(
            f"the event log {directory / FILE_NAME} cannot be read ({error}); "
            "if that stays so, move it away to start a new one"
        ) from error
