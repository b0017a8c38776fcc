"""How far each profile was read: what a generation waits for before it goes out."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import trio

from trio_cursor.records import Workspace
from trio_cursor.scanner import Scanner

#: So many databases are looked at within a fraction of a millisecond.
_FEW = 500
#: Sweeps come about this often, and with each what was left out before is made up for.
_OFTEN_SECONDS = 0.2


@attrs.frozen
class _Profile:
    """Moments on Trio's clock; see `Freshness`."""

    rings: float = math.inf
    conversations: float = math.inf
    is_blocked: bool = False


@attrs.define(eq=False)
class Freshness:
    """Everything committed to a database before a certain moment was read: of each profile, which moment.

    A sweep that finds a database as it was when it was read moves its moment on without opening it.
    """

    scanner: Scanner
    #: Called when something may have become newer.
    renewed: Callable[[], None] = lambda: None
    #: Whether a database is read at all: nobody waits for what is not.
    counts: Callable[[Workspace], bool] = lambda _: True
    _known: dict[str, _Profile] = attrs.field(factory=dict, init=False)
    _renewed_at: float = attrs.field(default=-math.inf, init=False)

    def renew(self) -> None:
        """A sweep or a read has ended."""
        self._known.clear()
        # To find out what is new is to look at every database: of thousands not after each read.
        now = trio.current_time()
        if len(self.scanner.watched) <= _FEW or now >= self._renewed_at + _OFTEN_SECONDS:
            self._renewed_at = now
            self.renewed()

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
        found: dict[str, _Profile] = {}
        for item in self.scanner.watched.values():
            if not self.counts(item.workspace):
                continue
            profile = item.workspace.profile
            known = found.get(profile) or _Profile()
            as_of = item.as_of
            found[profile] = _Profile(
                min(known.rings, as_of),
                min(known.conversations, as_of) if item.workspace.is_global else known.conversations,
                known.is_blocked or item.is_blocked,
            )
        return found
