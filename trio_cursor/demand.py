"""Demand: whether a database is to be read, for whoever starts reading, goes on with it, or waits for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import attrs

from trio_cursor.assembly import Assembler
from trio_cursor.records import Workspace
from trio_cursor.scanner import Scanner
from trio_cursor.sessions.registry import Registry


@attrs.define(eq=False)
class Demand:
    """Asks who works where, and what is pending."""

    registry: Registry
    assembler: Assembler
    scanner: Scanner
    now_ms: Callable[[], int]
    #: Until then what an earlier run has left pending is read, whoever works there.
    left_until_ms: float = -math.inf

    def wants(self, workspace: Workspace) -> bool:
        """Whether somebody works there, or something is pending that may need it."""
        watching, now, database = self.registry.watching, self.now_ms(), workspace.database
        if workspace.is_global:
            return self._wants_global(workspace.profile, now)
        if watching.is_active(database, now):
            return True
        if self.assembler.holds(database):
            return now < self.left_until_ms or watching.may_finish(database, now)
        if self.registry.discovers or not watching.is_finishing(database, now):
            return False
        # What is pending elsewhere may stand in its ring too.
        return self._is_any_of(workspace.profile, self.assembler.pending())

    def reads(self, workspace: Workspace) -> bool:
        """Whether it is to be read at first sight. Where sessions are found by looking, each one is."""
        return self.registry.discovers or self.wants(workspace)

    def counts(self, workspace: Workspace) -> bool:
        """Whether others wait until it was read."""
        return workspace.is_global or self.reads(workspace)

    def _wants_global(self, profile: str, now: int) -> bool:
        watching, assembler = self.registry.watching, self.assembler
        if self._is_any_of(profile, watching.with_session(now)):
            return True
        if self.registry.discovers:
            return self._is_any_of(profile, assembler.holding())
        if now < self.left_until_ms and self._is_any_of(profile, assembler.holding()):
            return True
        # Of what is held it may turn out, for a while, that it is that of the session which has ended.
        is_finishing = self._is_any_of(profile, watching.finishing(now))
        return is_finishing and self._is_any_of(profile, assembler.pending())

    def _is_any_of(self, profile: str, databases: Iterable[str]) -> bool:
        items = map(self.scanner.watched.get, databases)
        return any(item is not None and item.workspace.profile == profile for item in items)
