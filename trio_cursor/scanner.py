"""Which databases are worth opening now: one sweep of stats for all of them, in one thread hop."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress

import attrs
import trio

from trio_cursor.cursor.guest import Signature, signature_of
from trio_cursor.cursor.profiles import Lister, Listing
from trio_cursor.logs import get_logger
from trio_cursor.records import Workspace

log = get_logger(__name__)

#: A sweep takes milliseconds; one that takes this long hangs in the kernel (a dead mount).
_HANGS_AFTER_SECONDS = 5.0
#: How long a cancelled sweep may take to end by itself before its thread is left alone.
_GRACE_SECONDS = 0.04
#: Below one `User` directory so many paths may hang each by itself, then it is left alone as a whole.
_MOST_HANGING_BELOW = 2
#: Idle databases, and the list of directories, are looked at this often, so that even what happens first
#: in a quiet window is in the log within a second...
_IDLE_SECONDS = 0.75
#: ... up to this many workspaces; above that in proportion.
_IDLE_WORKSPACES = 1000

_ABSENT = Signature(None, None)


@attrs.define(eq=False)
class Watched:
    """A database that the sweep looks at."""

    workspace: Workspace
    signature: Signature
    #: How often database or `-wal` were seen to change.
    changes: int = 0
    #: Swept at each probe, not only with the idle ones.
    active: bool = False
    #: False once it is known to be in rollback mode, where every commit touches the database itself.
    has_log: bool = True
    #: Of the one task that waits. Made when needed: of ten thousand databases few are waited for.
    _waiter: trio.Event | None = None

    def wake(self) -> None:
        """There is something to look at."""
        self.changes += 1
        if self._waiter is not None:
            self._waiter.set()

    async def changed_since(self, changes: int) -> None:
        """Wait until there were more changes than so many."""
        while self.changes == changes:
            self._waiter = trio.Event()
            await self._waiter.wait()

    @property
    def changed_ms(self) -> int | None:
        """When the file system says that it was last written, milliseconds since the epoch."""
        files = (self.signature.database, self.signature.wal)
        return max((file.mtime_ns // 1_000_000 for file in files if file), default=None)


@attrs.frozen
class Appeared:
    """A workspace that was not there before (at the first sweep: every one)."""

    watched: Watched


@attrs.frozen
class Changed:
    """Somebody wrote to the database or its `-wal`."""

    watched: Watched


@attrs.frozen
class Vanished:
    """The workspace's directory is gone."""

    watched: Watched


@attrs.frozen
class Swept:
    """The first sweep is over: what is there is known."""


Sighting = Appeared | Changed | Vanished | Swept


class _LeftBehindError(Exception):
    """The sweep is nobody's any more."""


@attrs.define(eq=False)
class _Sweep:
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
        for listing in _each_once(self.listed):
            self._take(listing)
        for database, known, has_log in self.due:
            self._step(database)
            if has_log or not _is_untouched(database, known):
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
                self.signatures[database] = self._look(database, _ABSENT)

    def _look(self, database: str, otherwise: Signature) -> Signature:
        try:
            return self.look(database)
        except OSError:
            # Not ours to judge: whoever opens it gets the same error, and says so in its status.
            return otherwise


def _is_untouched(database: str, known: Signature) -> bool:
    """One stat and no object made: of a thousand databases nearly all are idle nearly always."""
    file = known.database
    if file is None or not known.settled:
        return False
    try:
        found = os.lstat(database)
    except OSError:
        return False
    return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev) == (
        file.mtime_ns,
        file.size,
        file.inode,
        file.device,
    )


def _each_once(listed: Mapping[str, tuple[Listing, ...]]) -> Iterator[Listing]:
    """Listings of all configured directories, two of which may be the same in truth."""
    done = set()
    for listing in (item for listings in listed.values() for item in listings):
        if listing.user_dir not in done:
            done.add(listing.user_dir)
            yield listing


@attrs.define(eq=False)
class Scanner:
    """Knows every database below the Cursor directories and when it last changed."""

    dirs: Sequence[str]
    wanted: Callable[[Workspace], bool]
    #: Two stats of one database; whatever it raises besides `OSError` is a mistake of ours.
    look: Callable[[str], Signature] = signature_of
    make_lister: Callable[[Sequence[str]], Lister] = Lister
    hangs_after: float = _HANGS_AFTER_SECONDS
    watched: dict[str, Watched] = attrs.field(factory=dict, init=False)
    #: One for each `User` directory, as they were at the last look.
    listings: dict[str, Listing] = attrs.field(factory=dict, init=False)
    _listers: dict[str, Lister] = attrs.field(factory=dict, init=False)
    _listed: dict[str, tuple[Listing, ...]] = attrs.field(factory=dict, init=False)
    #: Workspaces that are wanted, by `User` directory.
    _found: dict[str, dict[str, Workspace]] = attrs.field(factory=dict, init=False)
    #: Databases that are the same file as one that is watched: looked at in case that one goes.
    _doubles: set[str] = attrs.field(factory=set, init=False)
    #: Sweeps whose threads have not ended. Their paths are left alone until they do.
    _hanging: list[_Sweep] = attrs.field(factory=list, init=False)
    #: Own threads: a host that uses all of Trio's must not stop the sweep, nor hanging sweeps the host.
    _limiter: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1), init=False)
    _whole_at: float = attrs.field(default=-math.inf, init=False)
    _has_swept: bool = attrs.field(default=False, init=False)

    def hanging(self) -> tuple[str, ...]:
        """Paths that do not answer, and are left alone until they do."""
        return tuple(sorted({sweep.at for sweep in self._hanging if sweep.at and not sweep.ended}))

    def idle_seconds(self) -> float:
        """How often the idle databases are swept too."""
        return _IDLE_SECONDS * max(1.0, len(self.watched) / _IDLE_WORKSPACES)

    async def sweep(self, probe_seconds: float) -> list[Sighting]:
        """Look once at what is due; a sweep that hangs is left to its thread, and its path left alone."""
        self._welcome_back()
        now = trio.current_time()
        # Half a probe early rather than half a probe late.
        is_whole = now + probe_seconds / 2 > self._whole_at + self.idle_seconds()
        sweep = self._plan(is_whole=is_whole)
        self._limiter.total_tokens = len(self._hanging) + 1
        with trio.move_on_after(self.hangs_after) as scope:
            await self._run(sweep)
        if scope.cancelled_caught:
            self._hanging.append(sweep)
            # It is in the hands of that thread.
            self._listers.pop(sweep.at or "", None)
            log.error("a path does not answer; it is left alone until it does", path=sweep.at)
            return []
        if is_whole:
            self._whole_at = now
        sightings = [*self._take_listings(sweep), *self._take_signatures(sweep)]
        if self._has_swept:
            return sightings
        self._has_swept = True
        return [*sightings, Swept()]

    async def _run(self, sweep: _Sweep) -> None:
        token, ended = trio.lowlevel.current_trio_token(), trio.Event()

        def in_thread() -> None:
            try:
                sweep.run()
            finally:
                with suppress(trio.RunFinishedError):
                    token.run_sync_soon(ended.set)

        try:
            await trio.to_thread.run_sync(in_thread, abandon_on_cancel=True, limiter=self._limiter)
        except trio.Cancelled:
            sweep.leave_behind()
            # A thread that does not hang is waited for, so that nothing of ours goes on after our end.
            with trio.move_on_after(_GRACE_SECONDS, shield=True):
                await ended.wait()
            raise

    def _welcome_back(self) -> None:
        for sweep in [sweep for sweep in self._hanging if sweep.ended]:
            self._hanging.remove(sweep)
            log.info("a path answers again", path=sweep.at)

    def _plan(self, *, is_whole: bool) -> _Sweep:
        left_alone = self._left_alone()
        listers = {}
        if is_whole:
            for directory in self.dirs:
                if not _is_below(directory, left_alone):
                    if directory not in self._listers:
                        self._listers[directory] = self.make_lister((directory,))
                    listers[directory] = self._listers[directory]
        due = [
            (database, item.signature, item.has_log)
            for database, item in self.watched.items()
            if is_whole or item.active
        ]
        if is_whole:
            due += [(database, _ABSENT, True) for database in self._doubles]
        if left_alone:
            due = [item for item in due if not _is_below(item[0], left_alone)]
        return _Sweep(
            look=self.look,
            wanted=self.wanted,
            listers=listers,
            listings=dict(self.listings),
            known=frozenset(self.watched) if is_whole else frozenset(),
            due=due,
        )

    def _left_alone(self) -> set[str]:
        """Paths that hang, and with them everything below a `User` directory in which they abound."""
        paths = {sweep.at for sweep in self._hanging if sweep.at}
        for directory, listings in self._listed.items():
            homes = {directory, *(listing.user_dir for listing in listings)}
            below = sum(_is_below(path, homes) for path in paths)
            if directory in paths or below >= _MOST_HANGING_BELOW:
                paths |= homes
        return paths

    def _take_listings(self, sweep: _Sweep) -> Iterator[Sighting]:
        self._listed.update(sweep.listed)
        self.listings = {listing.user_dir: listing for listing in _each_once(self._listed)}
        fresh = sweep.signatures.keys() - self.watched.keys()
        if not (sweep.found or fresh or self._found.keys() - self.listings.keys()):
            return
        self._found.update(sweep.found)
        self._found = {user_dir: self._found.get(user_dir, {}) for user_dir in self.listings}
        wanted = {database: item for found in self._found.values() for database, item in found.items()}
        for database, item in list(self.watched.items()):
            if database not in wanted:
                del self.watched[database]
                yield Vanished(item)
        files = {item.signature.identity for item in self.watched.values()}
        self._doubles = set()
        for database, workspace in wanted.items():
            signature = sweep.signatures.get(database, _ABSENT)
            if (known := self.watched.get(database)) is not None:
                # Its workspace.json may have been written late, or mended.
                known.workspace = workspace
            elif signature.identity is not None and signature.identity in files:
                self._doubles.add(database)
            else:
                files.add(signature.identity)
                self.watched[database] = Watched(workspace, signature)
                yield Appeared(self.watched[database])

    def _take_signatures(self, sweep: _Sweep) -> Iterator[Sighting]:
        for database, signature in sweep.signatures.items():
            item = self.watched.get(database)
            if item is not None and item.signature != signature:
                item.signature = signature
                item.wake()
                yield Changed(item)


def _is_below(path: str, places: Collection[str]) -> bool:
    """Whether a path is one of these, or inside one."""
    return any(path == place or path.startswith(place + os.sep) for place in places)


async def scan_clock(scanner: Scanner, sightings: trio.abc.SendChannel[Sighting], *, every: float) -> None:
    """Sweep for ever and tell what was seen."""
    while True:
        for sighting in await scanner.sweep(every):
            await sightings.send(sighting)
        await trio.sleep(every)
