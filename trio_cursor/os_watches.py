"""Directories that are to be watched, taken on in a thread: one of them may hang, or be one too many."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import PurePath

import attrs

from trio_cursor.cursor.filesystems import tells_of_changes
from trio_cursor.os_events import OsEvents

#: What the kernel says when a user may have no more watches, or it has no room for them.
_FULL = (errno.ENOSPC, errno.EMFILE, errno.ENOMEM)


@attrs.define(eq=False)
class Adding:
    """Directories to be watched, by a thread that may come to hang."""

    events: OsEvents
    #: With their databases; None: it is where the directories of workspaces come and go.
    directories: Mapping[str, str | None]
    #: Those above, before them: who renames one of these takes along what is below.
    above: Sequence[str]
    #: By device: whether its file system tells of every change.
    devices: dict[int, bool]
    added: dict[str, int] = attrs.field(factory=dict, init=False)
    guards: dict[int, str] = attrs.field(factory=dict, init=False)
    #: Those of them whose file systems tell of every change.
    reliable: set[str] = attrs.field(factory=set, init=False)
    #: There is no such directory: nobody writes there.
    absent: set[str] = attrs.field(factory=set, init=False)
    refused: int = attrs.field(default=0, init=False)
    is_full: bool = attrs.field(default=False, init=False)
    at: str = attrs.field(default="", init=False)
    _is_left_behind: bool = attrs.field(default=False, init=False)

    def run(self) -> None:
        """Blocks, so in a thread."""
        for directory in self.above:
            if self._is_left_behind:
                return
            self.at = directory
            # One that may not be watched, or is not there, is not relied upon to stay for that.
            with suppress(OSError):
                self.guards[self.events.guard(directory)] = directory
        for directory, database in self.directories.items():
            if self._is_left_behind:
                return
            self.at = directory
            try:
                if self._is_reliable(directory) and not (database and _has_other_names(database)):
                    self.reliable.add(directory)
                self.added[directory] = self.events.add(directory)
            except (FileNotFoundError, NotADirectoryError):
                self.absent.add(directory)
            except OSError as error:
                self.refused += 1
                if error.errno in _FULL:
                    self.is_full = True
                    return

    def _is_reliable(self, directory: str) -> bool:
        device = os.stat(directory).st_dev  # noqa: PTH116 - paths are text
        if device not in self.devices:
            self.devices[device] = tells_of_changes(directory)
        return self.devices[device]

    def leave_behind(self) -> None:
        """The directory in hand is the last one."""
        self._is_left_behind = True


def _has_other_names(file: str) -> bool:
    """Whether it has hard links: of what is written by another one nobody hears in this directory."""
    with suppress(FileNotFoundError):
        return os.lstat(file).st_nlink > 1
    return False


def above(directories: Iterable[str]) -> list[str]:
    """Directories, and those that they are in, from the top on."""
    found = {
        str(place)
        for directory in directories
        for place in (PurePath(directory), *PurePath(directory).parents)
    }
    return sorted(found, key=len)
