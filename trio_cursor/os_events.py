"""The door to the library by which the operating system says which files are written to: Linux's inotify.

It gives a file descriptor, so that nobody has to sit in a thread to hear, and a watch on a directory is no
more than that: nothing below it is walked, opened or kept open. Elsewhere there is none (yet).
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Some 500 events; so many are taken in at once, in less than a millisecond.
_MOST_BYTES = 16_384

Kind = Literal["written", "touched", "made", "removed", "moved", "unwatched", "lost"]


@attrs.frozen
class OsEventsStatus:
    """How much is heard of, which makes changes seen sooner."""

    #: on | partial | off; what is not heard of is seen by polling alone.
    state: str
    #: Directories that are watched, and those that could not be.
    directories: int
    unwatched: int
    #: Why not all are, in words.
    note: str | None


class NoEventsError(Exception):
    """There are none on this machine; why not, in words."""


class OsEvent(NamedTuple):
    """Something has happened to a file of a watched directory; with no name, to it or its watch."""

    kind: Kind
    #: What `add` has returned; -1: events of any watch were lost.
    watch: int
    name: str


class OsEvents(Protocol):
    """Where they come from."""

    def fileno(self) -> int:
        """Readable when there are events."""

    def add(self, directory: str) -> int:
        """Watch a directory, not what is below it. Blocks; raises OSError."""

    def guard(self, directory: str) -> int:
        """Hear if a directory is renamed, or is no more; nothing else of it. Blocks; raises OSError."""

    def remove(self, watch: int) -> None:
        """Watch it no longer."""

    def read(self) -> Sequence[OsEvent] | None:
        """Some of those that are there; None: there are none."""

    def close(self) -> None:
        """Watch nothing any more."""


def open_os_events(platform: str = sys.platform) -> OsEvents:
    """Start to hear. May start a child process (ctypes looks for the C library), so in a thread.

    Raises:
        NoEventsError: There is nothing to be heard.

    """
    if platform != "linux":
        raise NoEventsError(f"not built for {platform}")
    try:
        # Nobody elsewhere has it, and with ctypes it is no light import.
        import inotify_simple  # noqa: PLC0415
    except ImportError as error:
        raise NoEventsError(f"{error.name or 'a library'} is missing") from error
    try:
        return _Inotify(inotify_simple)
    except (OSError, AttributeError) as error:
        raise NoEventsError(f"inotify cannot be used ({error})") from error


class _Inotify:
    def __init__(self, library: Any) -> None:
        flags = library.flags
        self._library, self._flags = library, flags
        # Never opening, reading and closing: most of that is our own.
        self._written = int(flags.MODIFY)
        self._made = flags.CREATE | flags.MOVED_TO
        self._removed = flags.DELETE | flags.MOVED_FROM
        # Times that were set, rights that were given.
        self._touched = int(flags.ATTRIB)
        # A file that was unlinked while its owner writes on says nothing any more.
        self._mask = self._written | self._touched | self._made | self._removed | flags.EXCL_UNLINK
        # The directory itself: whatever is in its place then is another one.
        self._moved = int(flags.MOVE_SELF)
        self._mask |= self._moved | flags.ONLYDIR | flags.DONT_FOLLOW
        self._guarding = self._moved | flags.ONLYDIR | flags.DONT_FOLLOW | flags.MASK_ADD
        self._inotify = library.INotify(nonblocking=True)

    def fileno(self) -> int:
        return int(self._inotify.fileno())

    def add(self, directory: str) -> int:
        return int(self._inotify.add_watch(directory, self._mask))

    def guard(self, directory: str) -> int:
        return int(self._inotify.add_watch(directory, self._guarding))

    def remove(self, watch: int) -> None:
        with suppress(OSError):  # gone by itself, which is what was wanted
            self._inotify.rm_watch(watch)

    def read(self) -> Sequence[OsEvent] | None:
        try:
            content = os.read(self.fileno(), _MOST_BYTES)
        except BlockingIOError:
            return None
        found = self._library.parse_events(content)
        kinds = ((self._kind(event.mask), event) for event in found)
        return [OsEvent(kind, event.wd, event.name) for kind, event in kinds if kind is not None]

    def close(self) -> None:
        self._inotify.close()

    def _kind(self, mask: int) -> Kind | None:
        flags = self._flags
        if mask & flags.Q_OVERFLOW:
            return "lost"
        if mask & flags.IGNORED:
            return "unwatched"
        if mask & self._moved:
            return "moved"
        if mask & self._removed:
            return "removed"
        if mask & self._made:
            return "made"
        if mask & self._written:
            return "written"
        return "touched" if mask & self._touched else None
