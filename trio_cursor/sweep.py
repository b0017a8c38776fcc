"""One sweep of stats over all databases, in a thread that may come to hang."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress

import attrs

from trio_cursor.cursor.guest import FileStat, Signature
from trio_cursor.cursor.listing import Lister, Listing
from trio_cursor.records import Workspace

ABSENT = Signature(None, None)


class _LeftBehindError(Exception):
    """The sweep is nobody's any more."""


@attrs.define(eq=False)
class Sweep:
    """One sweep: what the thread is to do, where it is, and what it has found."""

    look: Callable[[str], Signature]
    wanted: Callable[[Workspace], bool]
    #: By configured directory; empty between the whole sweeps.
    listers: Mapping[str, Lister]
    #: The listings of the last sweep: one that is the same object holds nothing new.
    listings: Mapping[str, Listing]
    known: Collection[str]
    due: Sequence[tuple[str, Signature, bool]]
    #: So that a sweep that hangs can be laid to a path.
    at: str | None = None
    ended: bool = False
    listed: dict[str, tuple[Listing, ...]] = attrs.field(factory=dict)
    #: By `User` directory, where it may have changed: what is wanted of it, by database.
    found: dict[str, dict[str, Workspace]] = attrs.field(factory=dict)
    #: Databases that could not be looked at.
    refused: set[str] = attrs.field(factory=set)
    #: Of the databases that are new or have changed.
    signatures: dict[str, Signature] = attrs.field(factory=dict)
    _is_left_behind: bool = False
    #: So that at the moment of being left behind it is known in whose lister the thread is.
    _stepping: threading.Lock = attrs.field(factory=threading.Lock)

    def run(self) -> None:
        """Blocks, so in a thread."""
        try:
            with suppress(_LeftBehindError):
                self._run()
        finally:
            self.ended = True

    def leave_behind(self) -> None:
        """The step in hand is the last one: what comes after it belongs to the sweeps that follow."""
        with self._stepping:
            self._is_left_behind = True

    def _run(self) -> None:
        for directory, lister in self.listers.items():
            self._step(directory)
            self.listed[directory] = lister.list()
        for listing in each_once(self.listed):
            self._take(listing)
        for database, known, has_log in self.due:
            # Without the lock, which costs a stat's time: at worst a hanging sweep is laid to the next path.
            self.at = database
            if self._is_left_behind:
                raise _LeftBehindError
            if not _is_untouched(database, known, has_log):
                signature = self._look(database, known)
                if signature != known:
                    self.signatures[database] = signature

    def _step(self, at: str) -> None:
        """Begin with the next path, unless the path before took so long that others go on."""
        with self._stepping:
            if self._is_left_behind:
                raise _LeftBehindError
            self.at = at

    def _take(self, listing: Listing) -> None:
        if self.listings.get(listing.user_dir) is listing:
            return
        found = {item.database: item for item in listing.workspaces if self.wanted(item)}
        self.found[listing.user_dir] = found
        for database in found:
            if database not in self.known:
                self._step(database)
                self.signatures[database] = self._look(database, ABSENT)

    def _look(self, database: str, otherwise: Signature) -> Signature:
        try:
            return self.look(database)
        except OSError:
            # Not ours to judge: whoever opens it gets the same error, and says so in its status.
            self.refused.add(database)
            return otherwise


def _is_untouched(database: str, known: Signature, has_log: bool) -> bool:  # noqa: FBT001 - called so often
    """As few stats as will do, and no object made: nearly all databases are idle nearly always."""
    file, log = known.database, known.wal
    if file is None or not known.settled:
        return False
    try:
        if not _is_same(os.lstat(database), file):
            return False
        if log is not None:
            return _is_same(os.lstat(database + "-wal"), log)
    except OSError:
        return False
    # Unlike a stat it says no without raising. What is there and may not be looked at is no change.
    return not (has_log and os.access(database + "-wal", os.F_OK))


def _is_same(found: os.stat_result, file: FileStat) -> bool:
    return (
        found.st_mtime_ns == file.mtime_ns
        and found.st_size == file.size
        and found.st_ino == file.inode
        and found.st_dev == file.device
    )


def each_once(listed: Mapping[str, tuple[Listing, ...]]) -> Iterator[Listing]:
    """Listings of all configured directories, two of which may be the same in truth."""
    done = set()
    for listing in (item for listings in listed.values() for item in listings):
        if listing.user_dir not in done:
            done.add(listing.user_dir)
            yield listing
