"""Which databases are worth opening now: one sweep of stats for all of them, in one thread hop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import attrs
import trio
from trio_util import RepeatedEvent

from trio_cursor.cursor.guest import Signature, signature_of
from trio_cursor.cursor.listing import Lister, Listing
from trio_cursor.hanging import HANGS_AFTER_SECONDS, Hanging, is_below
from trio_cursor.heard import Heard
from trio_cursor.ladder import LAST, QUIET_PATIENCE_SECONDS, Ladder
from trio_cursor.logs import get_logger
from trio_cursor.records import Workspace
from trio_cursor.rhythm import HEARD_SECONDS, IDLE_SECONDS, Rhythm
from trio_cursor.sweep import ABSENT, Sweep, each_once
from trio_cursor.watched import Appeared, Changed, Sighting, Swept, Vanished, Watched

log = get_logger(__name__)

#: What was written so shortly before may be of a commit that waits for the disk.
_JUST_NOW_NS: Final = 2_000_000_000


@attrs.define(eq=False)
class Scanner:
    """Knows every database below the Cursor directories and when it last changed."""

    dirs: Sequence[str]
    wanted: Callable[[Workspace], bool]
    #: Two stats of one database; whatever it raises besides `OSError` is a mistake of ours.
    look: Callable[[str], Signature] = signature_of
    make_lister: Callable[[Sequence[str]], Lister] = Lister
    hangs_after: float = HANGS_AFTER_SECONDS
    idle_every: float = IDLE_SECONDS
    heard_every: float = HEARD_SECONDS
    #: While it is false, nothing of Cursor's is looked at, and nothing is known to be there.
    is_enabled: Callable[[], bool] = lambda: True
    #: What the operating system tells of.
    heard: Heard = attrs.field(factory=Heard)
    watched: dict[str, Watched] = attrs.field(factory=dict, init=False)
    #: Wakes the scan clock.
    hurried: RepeatedEvent = attrs.field(factory=RepeatedEvent, init=False)
    #: Databases that the operating system has hinted at.
    ladder: Ladder = attrs.field(factory=Ladder, init=False)
    #: Other databases are watched, or other directories listed, than before.
    reshaped: trio.Event = attrs.field(factory=trio.Event, init=False)
    #: Databases of which something is known that was not before; see `take_touched`.
    touched: set[str] = attrs.field(factory=set, init=False)
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
    rhythm: Rhythm = attrs.field(init=False)
    _hanging: Hanging = attrs.field(init=False)
    #: With the last look; what was said and not taken in yet cannot be missed.
    _is_all_heard: bool = attrs.field(default=False, init=False)
    _probe_seconds: float = attrs.field(default=0.0, init=False)
    #: When the next sweep is to have come, at the latest.
    expected_at: float = attrs.field(default=math.inf, init=False)
    #: What is there is known.
    has_swept: bool = attrs.field(default=False, init=False)

    @rhythm.default
    def _make_rhythm(self) -> Rhythm:
        return Rhythm(self.heard, idle_every=self.idle_every, heard_every=self.heard_every)

    @_hanging.default
    def _make_hanging(self) -> Hanging:
        return Hanging(self.hangs_after)

    def hanging(self) -> tuple[str, ...]:
        """Paths that do not answer, and are left alone until they do."""
        return self._hanging.paths()

    def hurry(self) -> None:
        """Somebody waits for a look at all databases: the next sweep is a whole one, and comes at once."""
        self.rhythm.whole_at = -math.inf
        self.hurried.set()

    def await_look(self) -> None:
        """Somebody waits until all databases were looked at, but for those of which nothing is heard."""
        if self.ladder or self.unheard() or self.rhythm.full_at == -math.inf:
            self.hurry()

    def told(self, database: str) -> None:
        """Somebody says that something became of a database, which need not be looked at for that."""
        if (item := self.watched.get(database)) is not None:
            item.told_at = trio.current_time()

    def hint(self, database: str, step: int = 0) -> None:
        """Somebody says that a database was written to: it is looked at soon, and that is all that follows.

        A change is read at once, but further ones only after a probe interval.
        """
        if (item := self.watched.get(database)) is not None:
            item.told_at = now = trio.current_time()
            not_before = item.changed_at + self._probe_seconds
            if self.ladder.hint(database, now, step=step, not_before=not_before):
                self.hurried.set()

    def settle(self, database: str) -> None:
        """Somebody says that the log of a database was written to: it is looked at when that is over.

        Until then no sweep looks at it either, for no longer than two probe intervals or half a second.
        """
        if (item := self.watched.get(database)) is not None:
            item.told_at = now = trio.current_time()
            not_before = item.changed_at + self._probe_seconds
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
        self.rhythm.full_at = -math.inf
        # Not cleared: a sweep that is under way has judged by what was wanted before.
        self._judged = {}
        for item in self.watched.values():
            item.wake()
        self.hurry()

    def lost(self) -> None:
        """Something was said of a database, and nobody has heard of which."""
        self._doubt_all()
        self.hurry()

    def _doubt_all(self) -> None:
        self.heard.lost(trio.current_time())
        self.rhythm.full_at = -math.inf

    def is_hurried(self) -> bool:
        """Whether the next sweep is to come at once."""
        return self.has_swept and self.rhythm.whole_at == -math.inf

    def unheard(self) -> set[str]:
        """Databases that only a sweep finds to have been written to."""
        return self.rhythm.unheard(self.watched)

    def next_sweep(self, ended: float, probe_seconds: float) -> float:
        """When the next sweep is due after one that ended then, if nobody hurries."""
        return self.rhythm.next_sweep(self.watched, ended, probe_seconds)

    def take_touched(self) -> set[str]:
        """Databases of which something is known that was not at the last call: for who remembers of them."""
        touched, self.touched = self.touched, set()
        return touched

    async def sweep(self, probe_seconds: float) -> list[Sighting]:
        """Look once at what is due; a sweep that hangs is left to its thread, and its path left alone."""
        if self._hanging.welcome_back():
            # What was said of it meanwhile nobody has followed.
            self._doubt_all()
        if not self.is_enabled():
            await trio.lowlevel.checkpoint()
            return self._forget()
        now, self._probe_seconds = trio.current_time(), probe_seconds
        is_whole = self.rhythm.is_whole_due(self.watched, now, probe_seconds)
        is_full = self.rhythm.is_full_due(self.watched, now, probe_seconds)
        is_hurried = self.rhythm.whole_at == -math.inf
        due = self._due(now, is_whole=is_whole, is_full=is_full, is_hurried=is_hurried)
        sweep, judged = self._plan(due, is_whole=is_whole or is_full), self._judged
        undo = self.rhythm.begin(now, is_whole=is_whole, is_full=is_full)
        if not await self._run(sweep):
            undo()
            return []
        # What the sweep can have seen was said by now. It may be that the next one is to come at once.
        self._listen()
        sightings = [*self._take_listings(sweep, judged), *self._take_signatures(sweep, now)]
        if self.has_swept:
            return sightings
        self.has_swept = True
        return [*sightings, Swept()]

    async def look_at_hinted(self) -> list[Sighting]:
        """Look at the databases whose hints are due."""
        now = trio.current_time()
        hinted = self.ladder.due(now)
        left_alone = self._hanging.left_alone(self._listed)
        items = {
            database: item
            for database in hinted
            if (item := self.watched.get(database)) and not is_below(database, left_alone)
        }
        due = [(database, item.signature, item.has_log) for database, item in items.items()]
        sweep = Sweep(self.look, self.wanted, listers={}, listings={}, known=frozenset(), due=due)
        sightings: list[Sighting] = []
        if await self._run(sweep):
            self._listen()
            sightings += self._take_signatures(sweep, now)
        for database in hinted:
            item = items.get(database)
            not_before = -math.inf if item is None else item.changed_at + self._probe_seconds
            is_over = item is None or item.changed_at == now
            self.ladder.looked(database, now, is_over=is_over, not_before=not_before)
        return sightings

    def _listen(self) -> None:
        now = trio.current_time()
        self._is_all_heard = self.heard.listen(now)
        told_at = {name: item.told_at for name in self.heard.doubts if (item := self.watched.get(name))}
        if self._is_all_heard and self.heard.judge(told_at, now):
            log.warning("changes of files are not told of here: databases are watched by polling alone")

    async def _run(self, sweep: Sweep) -> bool:
        """Whether it has come to its end. A thread hop costs as much as fifty stats."""
        if not (sweep.listers or sweep.due):
            await trio.lowlevel.checkpoint()
            return True
        if await self._hanging.run(sweep):
            return True
        # It is in the hands of that thread.
        self._listers.pop(sweep.at or "", None)
        self._doubt_all()
        return False

    def _due(
        self, now: float, *, is_whole: bool, is_full: bool, is_hurried: bool
    ) -> list[tuple[str, Signature, bool]]:
        watched, unheard = self.watched, self.unheard()
        items: Iterable[tuple[str, Watched]] = watched.items()
        if not is_full:
            few = unheard.union(self.ladder) if is_hurried and self.ladder else unheard
            items = ((database, watched[database]) for database in few if database in watched)
        due = [
            (database, item.signature, item.has_log)
            for database, item in items
            # What a hint brought forward is not read again before its time, unless somebody waits.
            if is_hurried
            or (
                (is_whole or is_full or item.active)
                and now >= item.changed_at + self._probe_seconds
                and not self.ladder.waits_for_quiet(database)
            )
        ]
        if is_whole:
            due += [(database, ABSENT, True) for database in self._doubles]
        return due

    def _plan(self, due: list[tuple[str, Signature, bool]], *, is_whole: bool) -> Sweep:
        left_alone = self._hanging.left_alone(self._listed)
        listers = {}
        if is_whole:
            for directory in self.dirs:
                if not is_below(directory, left_alone):
                    if directory not in self._listers:
                        self._listers[directory] = self.make_lister((directory,))
                    listers[directory] = self._listers[directory]
        if left_alone:
            due = [item for item in due if not is_below(item[0], left_alone)]
        return Sweep(
            look=self.look,
            wanted=self.wanted,
            listers=listers,
            listings=dict(self._judged),
            known=frozenset(self.watched) if is_whole else frozenset(),
            due=due,
        )

    def _forget(self) -> list[Sighting]:
        gone: list[Sighting] = [Vanished(item) for item in self.watched.values()]
        self.touched.update(self.watched)
        self.watched.clear()
        self.ladder.clear()
        self.reshaped.set()
        self._found, self._judged, self._doubles = {}, {}, set()
        self.rhythm.reshape()
        self.rhythm.whole_at = self.rhythm.full_at = -math.inf
        self.has_swept = False
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
        self.rhythm.reshape()
        self._found.update(sweep.found)
        self._found = {user_dir: self._found.get(user_dir, {}) for user_dir in self.listings}
        wanted = {database: item for found in self._found.values() for database, item in found.items()}
        for database, item in list(self.watched.items()):
            if database not in wanted:
                del self.watched[database]
                self.touched.add(database)
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
                self.watched[database] = Watched(workspace, signature, logged_at=_logged_at(signature))
                self.touched.add(database)
                if database in self.heard.databases():
                    # It was there before. What was said of it since the sweep looked was said of nobody.
                    self.hint(database, LAST)
                yield Appeared(self.watched[database])

    def _take_signatures(self, sweep: Sweep, now: float) -> Iterator[Sighting]:
        swept_before: dict[str, float] = {}
        for database in (*(item[0] for item in sweep.due), *sweep.signatures):
            if database not in sweep.refused and (item := self.watched.get(database)) is not None:
                if database in sweep.signatures:
                    swept_before.setdefault(database, item.swept_at)
                item.swept_at = now
        for database, signature in sweep.signatures.items():
            item = self.watched.get(database)
            if item is not None and item.signature != signature:
                was, item.signature = item.signature, signature
                self.touched.add(database)
                # That it has settled is for its reader alone: nobody has written anything.
                if has_changed := (was.database, was.wal) != (signature.database, signature.wal):
                    item.changed_at = now
                    if was.wal != signature.wal:
                        # That it is gone is told when all that was in it is in the database.
                        item.logged_at = now if signature.wal else None
                    self._doubt(item, swept_before[database])
                item.wake()
                if has_changed:
                    yield Changed(item)

    def _doubt(self, item: Watched, looked_at: float) -> None:
        """Whoever says nothing of a change is not believed for long."""
        is_untold = item.told_at < looked_at and self.heard.vouches(item.workspace.database, looked_at)
        if is_untold and self._is_all_heard:
            self.heard.doubt(item.workspace.database, item.changed_at)


def _logged_at(signature: Signature) -> float | None:
    """When the `-wal` was written to, of a database that was not there before; None: not just now."""
    if signature.wal is None or abs(time.time_ns() - signature.wal.mtime_ns) >= _JUST_NOW_NS:
        return None
    return trio.current_time()
