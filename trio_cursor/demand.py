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
        registry, now, database = self.registry, self.now_ms(), workspace.database
        if workspace.is_global:
            return self._wants_global(workspace.profile, now)
        if registry.is_active(database, now):
            return True
        if self.assembler.holds(database):
            return now < self.left_until_ms or registry.may_finish(database, now)
        if registry.discovers or not registry.is_finishing(database, now):
            return False
        # What is pending elsewhere may stand in its ring too.
        return self._is_any_of(workspace.profile, self.assembler.pending())

    def counts(self, workspace: Workspace) -> bool:
        """Whether others wait until it was read. Where sessions are found by looking, each one is read."""
        return self.registry.discovers or workspace.is_global or self.wants(workspace)

    def _wants_global(self, profile: str, now: int) -> bool:
        registry, assembler = self.registry, self.assembler
        if self._is_any_of(profile, registry.active_databases(now)):
            return True
        if registry.discovers or now < self.left_until_ms:
            return self._is_any_of(profile, assembler.holding())
        # Of what is held it may turn out, for a while, that it is that of the session which has ended.
        return self._is_any_of(profile, registry.unfinished_databases(now)) and self._is_any_of(
            profile, assembler.pending()
        )

    def _is_any_of(self, profile: str, databases: Iterable[str]) -> bool:
        items = map(self.scanner.watched.get, databases)
        return any(item is not None and item.workspace.profile == profile for item in items)
