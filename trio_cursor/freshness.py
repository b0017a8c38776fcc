"""How far each profile was read: what a generation waits for before it goes out."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import trio

from trio_cursor.records import Workspace
from trio_cursor.scanner import Scanner
from trio_cursor.watched import Watched

#: So many databases are looked at within a fraction of a millisecond.
_FEW = 500
#: What was left out is made up for so soon.
_OFTEN_SECONDS = 0.2


@attrs.frozen
class _Profile:
    """Moments on Trio's clock; see `Freshness`."""

    rings: float = math.inf
    conversations: float = math.inf
    is_blocked: bool = False

    def with_database(self, workspace: Workspace, as_of: float, *, is_blocked: bool) -> _Profile:
        """One more database of the profile was read up to that moment."""
        return _Profile(
            min(self.rings, as_of),
            min(self.conversations, as_of) if workspace.is_global else self.conversations,
            self.is_blocked or is_blocked,
        )


@attrs.define(eq=False)
class _Calm:
    """Databases of a profile that are as they were read, and of which it would be heard if they were not."""

    databases: set[str] = attrs.field(factory=set)
    #: The global one, if it is among them.
    shared: set[str] = attrs.field(factory=set)


@attrs.define(eq=False)
class Freshness:
    """Everything committed to a database before a certain moment was read: of each profile, which moment.

    A sweep that finds a database as it was when it was read moves its moment on without opening it, and so
    does the operating system where it is heard and says nothing. Those databases, nearly all, are not looked
    at one by one.
    """

    scanner: Scanner
    #: Called when something may have become newer.
    renewed: Callable[[], None] = lambda: None
    #: Whether a database is read at all: nobody waits for what is not.
    counts: Callable[[Workspace], bool] = lambda _: True
    _known: dict[str, _Profile] = attrs.field(factory=dict, init=False)
    _renewed_at: float = attrs.field(default=-math.inf, init=False)
    #: Something was not told of yet.
    _left_out: trio.Event = attrs.field(factory=trio.Event, init=False)
    #: By profile.
    _calm: dict[str, _Calm] = attrs.field(factory=dict, init=False)
    #: All others.
    _restless: set[str] = attrs.field(factory=set, init=False)
    #: Of what is heard, when `_calm` was last made anew.
    _edition: int | None = attrs.field(default=None, init=False)

    def renew(self, database: str | None = None) -> None:
        """A sweep has ended, or a read of a database."""
        self._known.clear()
        if database is not None:
            self.scanner.touched.add(database)
        # To find out what is new is to look at all that may be: of thousands not after each read.
        now = trio.current_time()
        restless = self.scanner.watched if self._edition is None else self._restless
        if len(restless) <= _FEW or now >= self._renewed_at + _OFTEN_SECONDS:
            self._tell(now)
        else:
            self._left_out.set()

    async def make_up(self) -> None:
        """Tell of what was left out, for ever: it may be long until a sweep comes."""
        while True:
            await self._left_out.wait()
            await trio.sleep_until(self._renewed_at + _OFTEN_SECONDS)
            if self._left_out.is_set():
                self._tell(trio.current_time())

    def _tell(self, now: float) -> None:
        self._renewed_at = now
        if self._left_out.is_set():
            self._left_out = trio.Event()
        self.renewed()

    def listen(self) -> None:
        """Somebody asks: what is heard until now counts."""
        if self.scanner.heard.databases():
            self._known.clear()

    def rings(self, profile: str) -> float:
        """Of all rings of the profile; -inf as long as one of them was not read, inf if there are none."""
        return self._of(profile).rings

    def conversations(self, profile: str) -> float:
        """Of the profile's global database."""
        return self._of(profile).conversations

    def is_blocked(self, profile: str) -> bool:
        """A database of the profile cannot be read for now: waiting for it may take long."""
        return self._of(profile).is_blocked

    def _of(self, profile: str) -> _Profile:
        if not self._known:
            self._known = self._look()
        if profile in self._known:
            return self._known[profile]
        # Of a profile whose directory is not there any more there is nothing to wait for.
        return _Profile() if self.scanner.has_swept else _Profile(-math.inf, -math.inf)

    def _look(self) -> dict[str, _Profile]:
        heard, ladder = self.scanner.heard, self.scanner.ladder
        if heard.databases():
            heard.listen(trio.current_time())
        self._sort()
        found: dict[str, _Profile] = {}
        for profile, calm in self._calm.items():
            if calm.databases:
                found[profile] = _Profile(heard.at, heard.at if calm.shared else math.inf)
        for database in self._restless.union(ladder) if ladder else self._restless:
            item = self.scanner.watched.get(database)
            if item is not None and self.counts(item.workspace):
                workspace = item.workspace
                known = found.get(workspace.profile) or _Profile()
                found[workspace.profile] = known.with_database(
                    workspace, item.as_of, is_blocked=item.is_blocked
                )
        return found

    def _sort(self) -> None:
        """Find out of everything that was touched whether it is calm now."""
        scanner = self.scanner
        touched = scanner.take_touched()
        if scanner.heard.edition != self._edition:
            self._edition = scanner.heard.edition
            self._calm.clear()
            self._restless = set(scanner.watched)
        for database in touched:
            for calm in self._calm.values():
                calm.databases.discard(database)
                calm.shared.discard(database)
            if database in scanner.watched:
                self._restless.add(database)
            else:
                self._restless.discard(database)
        if not scanner.heard.databases():
            return
        for database in list(self._restless):
            item = scanner.watched[database]
            if self._is_calm(database, item):
                self._restless.discard(database)
                calm = self._calm.setdefault(item.workspace.profile, _Calm())
                calm.databases.add(database)
                if item.workspace.is_global:
                    calm.shared.add(database)

    def _is_calm(self, database: str, item: Watched) -> bool:
        heard = self.scanner.heard
        return (
            item.is_as_read
            and not item.is_blocked
            and heard.vouches(database, item.swept_at)
            # Otherwise more is known of it than was heard: it would seem to be less fresh than it is.
            and heard.at >= item.as_of
            and self.counts(item.workspace)
        )
