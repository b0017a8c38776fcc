"""Which databases are worth opening now: one sweep of stats for all of them, in one thread hop."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Iterator, Sequence

import attrs
import trio
from trio_util import RepeatedEvent

from trio_cursor.cursor.guest import Signature, signature_of
from trio_cursor.cursor.listing import Lister, Listing
from trio_cursor.ladder import QUIET_PATIENCE_SECONDS, Ladder
from trio_cursor.logs import get_logger
from trio_cursor.records import Workspace
from trio_cursor.sweep import ABSENT, Sweep, each_once
from trio_cursor.threads import run_or_leave
from trio_cursor.watched import Appeared, Changed, Sighting, Swept, Vanished, Watched

log = get_logger(__name__)

#: A sweep takes milliseconds; one that takes this long hangs in the kernel (a dead mount).
_HANGS_AFTER_SECONDS = 5.0
#: Below one `User` directory so many paths may hang each by itself, then it is left alone as a whole.
_MOST_HANGING_BELOW = 2
#: Idle databases, and the list of directories, are looked at this often, so that even what happens first
#: in a quiet window is in the log within a second...
_IDLE_SECONDS = 0.75
#: ... or only this often, where the operating system tells of what happens sooner than any sweep could ...
_IDLE_SECONDS_WITH_HINTS = 1.0
#: ... up to this many workspaces; above that in proportion.
_IDLE_WORKSPACES = 1000


@attrs.define(eq=False)
class Scanner:
    """Knows every database below the Cursor directories and when it last changed."""

    dirs: Sequence[str]
    wanted: Callable[[Workspace], bool]
    #: Two stats of one database; whatever it raises besides `OSError` is a mistake of ours.
    look: Callable[[str], Signature] = signature_of
    make_lister: Callable[[Sequence[str]], Lister] = Lister
    hangs_after: float = _HANGS_AFTER_SECONDS
    #: While it is false, nothing of Cursor's is looked at, and nothing is known to be there.
    is_enabled: Callable[[], bool] = lambda: True
    #: Whether changes are hinted at, as far as anybody knows.
    is_hinted_at: Callable[[], bool] = lambda: False
    watched: dict[str, Watched] = attrs.field(factory=dict, init=False)
    #: Wakes the scan clock.
    hurried: RepeatedEvent = attrs.field(factory=RepeatedEvent, init=False)
    #: Databases that the operating system has hinted at.
    ladder: Ladder = attrs.field(factory=Ladder, init=False)
    #: Other databases are watched, or other directories listed, than before.
    reshaped: trio.Event = attrs.field(factory=trio.Event, init=False)
    #: One for each `User` directory, as they were at the last look.
    listings: dict[str, Listing] = attrs.field(factory=dict, init=False)
    _listers: dict[str, Lister] = attrs.field(factory=dict, init=False)
    _listed: dict[str, tuple[Listing, ...]] = attrs.field(factory=dict, init=False)
    #: The listings of which it is known what is wanted.
    _judged: dict[str, Listing] = attrs.field(factory=dict, init=False)
    #: Workspaces that are wanted, by `User` directory.
    _found: dict[str, dict[str, Workspace]] = attrs.field(factory=dict, init=False)
    #: Databases that are the same file as one that is watched: looked at in case that one goes.
    _doubles: set[str] = attrs.field(factory=set, init=False)
    #: Sweeps whose threads have not ended. Their paths are left alone until they do.
    _hanging: list[Sweep] = attrs.field(factory=list, init=False)
    #: Own threads: a host that uses all of Trio's must not stop the sweep, nor hanging sweeps the host.
    _limiter: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1), init=False)
    _whole_at: float = attrs.field(default=-math.inf, init=False)
    _probe_seconds: float = attrs.field(default=0.0, init=False)
    #: When the next sweep is to have come, at the latest.
    expected_at: float = attrs.field(default=math.inf, init=False)
    #: What is there is known.
    has_swept: bool = attrs.field(default=False, init=False)

    def hanging(self) -> tuple[str, ...]:
        """Paths that do not answer, and are left alone until they do."""
        return tuple(sorted({sweep.at for sweep in self._hanging if sweep.at and not sweep.ended}))

    def hurry(self) -> None:
        """Somebody waits for a look at all databases: the next sweep is a whole one, and comes at once."""
        self._whole_at = -math.inf
        self.hurried.set()

    def hint(self, database: str, step: int = 0) -> None:
        """Somebody says that a database was written to: it is looked at soon, and that is all that follows.

        A change is read at once, but further ones only after a probe interval.
        """
        if (item := self.watched.get(database)) is not None:
            not_before = item.changed_at + self._probe_seconds
            if self.ladder.hint(database, trio.current_time(), step=step, not_before=not_before):
                self.hurried.set()

    def settle(self, database: str) -> None:
        """Somebody says that the log of a database was written to: it is looked at when that is over.

        Until then no sweep looks at it either, for no longer than two probe intervals or half a second.
        """
        if (item := self.watched.get(database)) is not None:
            now, not_before = trio.current_time(), item.changed_at + self._probe_seconds
            patience = min(2 * self._probe_seconds, QUIET_PATIENCE_SECONDS)
            if self.ladder.settle(database, now, patience=patience, not_before=not_before):
                self.hurried.set()

    def closed(self, database: str) -> None:
        """Somebody says that a database has no log any more, so its owner has closed it: the best moment.

        It can be read without a lock then. But not sooner than a probe interval after the last time.
        """
        item = self.watched.get(database)
        if item is not None and trio.current_time() >= item.changed_at + self._probe_seconds:
            self.hint(database)
        else:
            self.settle(database)

    def may_have_log(self, database: str) -> bool:
        """Whether a database is in WAL mode, or nobody knows yet."""
        item = self.watched.get(database)
        return item is not None and item.has_log

    def reconsider(self) -> None:
        """What is wanted, or how often, may have changed: everything listed is judged anew, at once.

        What is not wanted any more vanishes, what is now appears, and whoever rests looks how long to rest.
        """
        # Not cleared: a sweep that is under way has judged by what was wanted before.
        self._judged = {}
        for item in self.watched.values():
            item.wake()
        self.hurry()

    def is_hurried(self) -> bool:
        """Whether the next sweep is to come at once."""
        return self.has_swept and self._whole_at == -math.inf

    def idle_seconds(self) -> float:
        """How often the idle databases are swept too."""
        seconds = _IDLE_SECONDS_WITH_HINTS if self.is_hinted_at() else _IDLE_SECONDS
        return seconds * max(1.0, len(self.watched) / _IDLE_WORKSPACES)

    async def sweep(self, probe_seconds: float) -> list[Sighting]:
        """Look once at what is due; a sweep that hangs is left to its thread, and its path left alone."""
        self._welcome_back()
        if not self.is_enabled():
            await trio.lowlevel.checkpoint()
            return self._forget()
        now, self._probe_seconds = trio.current_time(), probe_seconds
        # Half a probe early rather than half a probe late.
        is_whole = now + probe_seconds / 2 > self._whole_at + self.idle_seconds()
        is_hurried = self._whole_at == -math.inf
        sweep, judged = self._plan(now, is_whole=is_whole, is_hurried=is_hurried), self._judged
        if not await self._run(sweep):
            return []
        if is_whole and self._judged is judged:
            self._whole_at = now
        sightings = [*self._take_listings(sweep, judged), *self._take_signatures(sweep, now)]
        if self.has_swept:
            return sightings
        self.has_swept = True
        return [*sightings, Swept()]

    async def look_at_hinted(self) -> list[Sighting]:
        """Look at the databases whose hints are due."""
        now = trio.current_time()
        hinted = self.ladder.due(now)
        left_alone = self._left_alone()
        items = {
            database: item
            for database in hinted
            if (item := self.watched.get(database)) and not _is_below(database, left_alone)
        }
        due = [(database, item.signature, item.has_log) for database, item in items.items()]
        sweep = Sweep(self.look, self.wanted, listers={}, listings={}, known=frozenset(), due=due)
        sightings: list[Sighting] = []
        if await self._run(sweep):
            sightings += self._take_signatures(sweep, now, is_hinted=True)
        for database in hinted:
            item = items.get(database)
            self.ladder.looked(database, now, is_over=item is None or item.changed_at == now)
        return sightings

    async def _run(self, sweep: Sweep) -> bool:
        """Whether it has come to its end. A thread hop costs as much as fifty stats."""
        if not (sweep.listers or sweep.due):
            await trio.lowlevel.checkpoint()
            return True
        self._limiter.total_tokens = len(self._hanging) + 1
        with trio.move_on_after(self.hangs_after) as scope:
            await run_or_leave(sweep.run, limiter=self._limiter, leave=sweep.leave_behind)
        if scope.cancelled_caught:
            self._hanging.append(sweep)
            # It is in the hands of that thread.
            self._listers.pop(sweep.at or "", None)
            log.error("a path does not answer; it is left alone until it does", path=sweep.at)
        return not scope.cancelled_caught

    def _welcome_back(self) -> None:
        for sweep in [sweep for sweep in self._hanging if sweep.ended]:
            self._hanging.remove(sweep)
            log.info("a path answers again", path=sweep.at)

    def _plan(self, now: float, *, is_whole: bool, is_hurried: bool) -> Sweep:
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
            # What a hint brought forward is not read again before its time, unless somebody waits.
            if is_hurried
            or (
                (is_whole or item.active)
                and now >= item.changed_at + self._probe_seconds
                and not self.ladder.waits_for_quiet(database)
            )
        ]
        if is_whole:
            due += [(database, ABSENT, True) for database in self._doubles]
        if left_alone:
            due = [item for item in due if not _is_below(item[0], left_alone)]
        return Sweep(
            look=self.look,
            wanted=self.wanted,
            listers=listers,
            listings=dict(self._judged),
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

    def _forget(self) -> list[Sighting]:
        gone: list[Sighting] = [Vanished(item) for item in self.watched.values()]
        self.watched.clear()
        self.ladder.clear()
        self.reshaped.set()
        self._found, self._judged, self._doubles = {}, {}, set()
        self._whole_at, self.has_swept = -math.inf, False
        return gone

    def _take_listings(self, sweep: Sweep, judged: dict[str, Listing]) -> Iterator[Sighting]:
        self._listed.update(sweep.listed)
        self.listings = {listing.user_dir: listing for listing in each_once(self._listed)}
        # Nothing, if what is wanted has changed meanwhile.
        judged.update((listing.user_dir, listing) for listing in each_once(sweep.listed))
        fresh = sweep.signatures.keys() - self.watched.keys()
        if not (sweep.found or fresh or self._found.keys() - self.listings.keys()):
            return
        self.reshaped.set()
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
            signature = sweep.signatures.get(database, ABSENT)
            if (known := self.watched.get(database)) is not None:
                # Its workspace.json may have been written late, or mended.
                known.workspace = workspace
            elif signature.identity is not None and signature.identity in files:
                self._doubles.add(database)
            else:
                files.add(signature.identity)
                self.watched[database] = Watched(workspace, signature)
                yield Appeared(self.watched[database])

    def _take_signatures(self, sweep: Sweep, now: float, *, is_hinted: bool = False) -> Iterator[Sighting]:
        for database in (*(item[0] for item in sweep.due), *sweep.signatures):
            if (item := self.watched.get(database)) is not None:
                item.swept_at = now
        for database, signature in sweep.signatures.items():
            item = self.watched.get(database)
            if item is not None and item.signature != signature:
                was, item.signature = item.signature, signature
                # That it has settled is for its reader alone: nobody has written anything.
                if has_changed := (was.database, was.wal) != (signature.database, signature.wal):
                    item.changed_at = now
                    item.hinted_at = now if is_hinted and was.wal != signature.wal else None
                item.wake()
                if has_changed:
                    yield Changed(item)


def _is_below(path: str, places: Collection[str]) -> bool:
    """Whether a path is one of these, or inside one."""
    return any(path == place or path.startswith(place + os.sep) for place in places)
