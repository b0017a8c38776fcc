"""Events of the operating system, made hints: which database to look at now. Nothing depends on them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import closing
from itertools import islice

import attrs
import trio

from trio_cursor.hanging import is_below
from trio_cursor.ladder import LAST
from trio_cursor.logs import get_logger
from trio_cursor.os_events import NoEventsError, OsEvent, OsEvents, OsEventsStatus, open_os_events
from trio_cursor.os_meanings import hint
from trio_cursor.os_watches import Adding, above
from trio_cursor.scanner import Scanner
from trio_cursor.threads import run_or_leave

log = get_logger(__name__)

#: After each reading, and when there were so many without a rest: to be woken costs a writer as well, a tenth
#: of a commit in WAL mode if each of its writes does it.
_PAUSE_SECONDS, _LONG_PAUSE_SECONDS = 0.002, 0.02
_MOST_AT_ONCE = 20
#: Directories that could not be watched, or whose watch has ended, are tried again.
_RETRY_SECONDS = 5.0
#: So many are added in one thread hop; one that takes so long hangs in the kernel (a dead mount).
_ADDED_AT_ONCE = 500
_HANGS_AFTER_SECONDS = 5.0
#: When so many hang, no more threads are risked for what is only a hint.
_MOST_HANGING = 2
#: So many times 500 events or so are taken in at once where somebody asks for all.
_MOST_READINGS = 4
#: A sweep of everything is asked for no more often.
_HURRY_SECONDS = 0.25


@attrs.define(eq=False)
class Hints:
    """Watches the directories of the scanner's databases, and hints it at those that are written to."""

    scanner: Scanner
    open: Callable[[], OsEvents] = open_os_events
    hangs_after: float = _HANGS_AFTER_SECONDS
    #: By directory: its database; None: it is where the directories of workspaces come and go.
    _wanted: dict[str, str | None] = attrs.field(factory=dict, init=False)
    _watches: dict[str, int] = attrs.field(factory=dict, init=False)
    _directories: dict[int, str] = attrs.field(factory=dict, init=False)
    #: Directories of which every change is told, as far as the file system goes, and their databases.
    _reliable: dict[str, str | None] = attrs.field(factory=dict, init=False)
    #: Where directories of workspaces come and go.
    _storages: set[str] = attrs.field(factory=set, init=False)
    #: None: nothing is heard.
    _events: OsEvents | None = attrs.field(default=None, init=False)
    #: Not tried again: they hang, or are watched by another name.
    _left_out: set[str] = attrs.field(factory=set, init=False)
    #: Those above.
    _guards: dict[int, str] = attrs.field(factory=dict, init=False)
    #: Watches that have ended, and directories that were renamed, since others began to be added.
    _ended: set[int] = attrs.field(factory=set, init=False)
    _moved: set[str] = attrs.field(factory=set, init=False)
    #: Not there at the last try.
    _absent: set[str] = attrs.field(factory=set, init=False)
    _hanging: int = attrs.field(default=0, init=False)
    #: When the last sweep was asked for, and when the next one will be.
    _hurried_at: float = attrs.field(default=-math.inf, init=False)
    _hurries_at: float = attrs.field(default=math.inf, init=False)
    _waiting: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _is_lacking: bool = attrs.field(default=True, init=False)
    #: Why some or all directories are not watched.
    _note: str | None = attrs.field(default=None, init=False)
    #: Own threads: a host that uses all of Trio's must not stop it.
    _limiter: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1), init=False)

    def __attrs_post_init__(self) -> None:
        self.scanner.heard.ask = self._ask
        self.scanner.rhythm.hears_of_storage = self._hears_of_storage
        self.scanner.rhythm.lacks_storage = self._lacks_storage

    def status(self) -> OsEventsStatus:
        """How much is heard of."""
        left = self._lacking()
        is_whole = not left and self.scanner.heard.is_believed
        state = "off" if self._events is None else "on" if is_whole else "partial"
        note = self._note if self.scanner.heard.is_believed else "changes of files are not told of here"
        return OsEventsStatus(state, len(self._watches), left, note if state != "on" else None)

    def are_complete(self) -> bool:
        """Whether every directory is heard of."""
        return self._events is not None and not self._is_lacking

    def _hears_of_storage(self) -> bool:
        """Whether every workspace that comes or goes is heard of."""
        is_heard = self._events is not None and self.scanner.heard.is_believed
        there = self._storages - self._absent
        return is_heard and bool(there) and there <= self._reliable.keys()

    def _lacks_storage(self) -> bool:
        """Whether there is a place for workspaces that is not there yet: nobody tells when it is."""
        return not self._storages.isdisjoint(self._absent)

    async def listen(self) -> None:
        """Hint until cancelled. Returns, having said so, if there is nothing to be heard."""
        try:
            with closing(await self._in_thread(self.open)) as events:
                self._events = events
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._follow, events)
                    nursery.start_soon(self._hear, events)
        except NoEventsError as error:
            self._note = str(error)
            log.info(
                "no events of the operating system: databases are watched by polling alone", why=str(error)
            )
        except Exception as error:  # nothing may depend on a hint
            self._note = f"{type(error).__name__} in trio_cursor; please report it"
            log.exception("events of the operating system failed: databases are watched by polling alone")
        finally:
            self._events = None
            self._guards.clear()
            for directory in list(self._watches):
                self._unwatch(directory)

    async def _in_thread(self, work: Callable[[], OsEvents]) -> OsEvents:
        return await trio.to_thread.run_sync(work, limiter=self._limiter)

    async def _hear(self, events: OsEvents) -> None:
        in_hand, before = float(_MOST_AT_ONCE), trio.current_time()
        while True:
            with trio.move_on_at(self._hurries_at) as self._waiting:
                await trio.lowlevel.wait_readable(events.fileno())
            self._take_all(events)
            if (now := trio.current_time()) >= self._hurries_at:
                self._hurried_at, self._hurries_at = now, math.inf
                self.scanner.hurry()
            in_hand, before = min(_MOST_AT_ONCE, in_hand + (now - before) / _LONG_PAUSE_SECONDS) - 1, now
            await trio.sleep(_PAUSE_SECONDS if in_hand >= 0 else _LONG_PAUSE_SECONDS)

    def _take_all(self, events: OsEvents) -> bool:
        """Take in what there is; false: there may be more."""
        found = events.read()
        for event in found or ():
            self._take(event, events)
        return found is None

    def _ask(self) -> bool:
        """Take in all that was said until now, for somebody who does not wait; false: there is more."""
        events = self._events
        if events is None:
            return False
        try:
            return any(self._take_all(events) for _ in range(_MOST_READINGS))
        except OSError as error:
            log.warning("events of the operating system cannot be read; polling alone", why=error.strerror)
        except Exception:  # whoever asks must not fail of it
            log.exception("events of the operating system failed; polling alone")
        self.scanner.heard.disbelieve()
        self.scanner.hurried.set()
        return False

    def _take(self, event: OsEvent, events: OsEvents) -> None:
        if event.kind == "lost":
            self.scanner.lost()
            self._hurry()
        elif event.kind in {"moved", "unwatched"}:
            self._end(event, events)
        elif (directory := self._directories.get(event.watch)) is None:
            return
        elif (database := self._wanted.get(directory)) is not None:
            if not hint(self.scanner, event, database):
                self._hurry()
        elif event.kind in {"made", "removed"}:
            workspace = os.path.join(directory, event.name)  # noqa: PTH118 - paths are text
            if workspace in self._watches:
                # Renamed away: its watch goes with it.
                events.remove(self._unwatch(workspace))
                self.scanner.reshaped.set()
            self._hurry()

    def _end(self, event: OsEvent, events: OsEvents) -> None:
        """Deleted, renamed away or unmounted; perhaps there is another one of that name already."""
        above = self._guards.pop(event.watch, None)
        directory = self._directories.get(event.watch, above)
        self._ended.add(event.watch)
        gone: list[str] = []
        if directory is not None and event.kind == "moved":
            # What is below has gone with it.
            events.remove(event.watch)
            self._moved.add(directory)
            gone = [place for place in self._watches if is_below(place, (directory,))]
        elif directory in self._watches:
            gone = [directory]
        for place in gone:
            events.remove(self._unwatch(place))
        if gone:
            self._hurry()
            self.scanner.reshaped.set()

    def _hurry(self) -> None:
        self._hurries_at = min(self._hurries_at, self._hurried_at + _HURRY_SECONDS)
        # Somebody else may have taken in what would have ended the wait.
        self._waiting.deadline = self._hurries_at

    async def _follow(self, events: OsEvents) -> None:
        """Keep the watches in step with what is to be watched."""
        while True:
            self.scanner.reshaped = reshaped = trio.Event()
            self._wanted = self._directories_wanted()
            self.scanner.hurried.set()
            for directory in self._watches.keys() - self._wanted.keys():
                events.remove(self._unwatch(directory))
            await self._add(events)
            # What could not be watched may be there again; of what is watched the end is heard.
            self._is_lacking = bool(self._lacking())
            missing = self._wanted.keys() - self._watches.keys() - self._left_out
            patience = _RETRY_SECONDS if missing else math.inf
            with trio.move_on_after(patience):
                await reshaped.wait()

    def _directories_wanted(self) -> dict[str, str | None]:
        self._storages = {item.storage for item in self.scanner.listings.values()}
        wanted: dict[str, str | None] = dict.fromkeys(self._storages)
        for database in self.scanner.watched:
            wanted[os.path.dirname(database)] = database  # noqa: PTH120 - paths are text
        return wanted

    def _lacking(self) -> int:
        """How many directories nothing is heard of, although somebody may write there."""
        return len(self._wanted.keys() - self._watches.keys() - self._absent)

    async def _add(self, events: OsEvents) -> None:
        missing = iter(self._wanted.keys() - self._watches.keys() - self._left_out)
        refused = 0
        # File systems come and go, and their numbers with them.
        devices: dict[int, bool] = {}
        self._ended.clear()
        self._moved.clear()
        self._absent.clear()
        while self._hanging < _MOST_HANGING and (some := list(islice(missing, _ADDED_AT_ONCE))):
            places = above(self.scanner.listings)
            guarded = set(self._guards.values())
            adding = Adding(
                events,
                {directory: self._wanted[directory] for directory in some},
                [place for place in places if place not in guarded],
                devices,
            )
            self._limiter.total_tokens = self._hanging + 1
            with trio.move_on_after(self.hangs_after) as scope:
                await run_or_leave(adding.run, limiter=self._limiter, leave=adding.leave_behind)
            self._guards |= {
                watch: place for watch, place in dict(adding.guards).items() if watch not in self._ended
            }
            # Renamed before it was known whose watch that is.
            self._moved |= {place for watch, place in dict(adding.guards).items() if watch in self._ended}
            for directory, watch in dict(adding.added).items():
                if watch in self._ended or is_below(directory, self._moved):
                    # Too soon: nobody knew of it then.
                    events.remove(watch)
                    self.scanner.reshaped.set()
                else:
                    self._watch(directory, watch, is_reliable=directory in adding.reliable)
            refused += adding.refused
            self._absent |= adding.absent
            if scope.cancelled_caught:
                self._hanging += 1
                self._left_out.add(adding.at)
                self._say(f"{adding.at} does not answer")
            elif adding.is_full:
                self._say("the system's limit of inotify watches is reached (fs.inotify.max_user_watches)")
                return
        if refused and not self._hanging:
            self._note = "some directories cannot be watched"

    def _say(self, why: str) -> None:
        """Once for each reason: every retry ends the same way."""
        if self._note != why:
            self._note = why
            log.info(
                "not all directories can be watched: the others by polling alone",
                why=why,
                others=self._lacking(),
            )

    def _watch(self, directory: str, watch: int, *, is_reliable: bool) -> None:
        if watch in self._directories:
            self._left_out.add(directory)  # the same directory by another way: a mount, a link
            return
        self._watches[directory], self._directories[watch] = watch, directory
        database = self._wanted.get(directory)
        if is_reliable:
            self._reliable[directory] = database
        if database is not None:
            if is_reliable:
                self.scanner.heard.begin(database, trio.current_time())
            # What happened before it was watched; once, since there may be thousands.
            self.scanner.hint(database, LAST)
            item = self.scanner.watched.get(database)
            if item is not None and item.workspace.problem is not None:
                self._hurry()  # its workspace.json may have been written before as well

    def _unwatch(self, directory: str) -> int:
        watch = self._watches.pop(directory)
        del self._directories[watch]
        if (database := self._reliable.pop(directory, None)) is not None:
            self.scanner.heard.end(database)
        # From now on it is looked at sooner than it was to be.
        self.scanner.hurried.set()
        return watch
