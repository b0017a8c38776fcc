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
        """Whether somebody works there, or generations wait to be read there."""
        now = self.now_ms()
        if not workspace.is_global:
            database = workspace.database
            if self.registry.is_active(database, now):
                return True
            return self._is_finishing(workspace, now) and self.assembler.holds(database)
        profile = workspace.profile
        if self._is_any_of(profile, self.registry.active_databases(now)):
            return True
        # What stands in a ring waits for the conversations of its profile as well.
        holding = map(self.scanner.watched.get, self.assembler.holding())
        return any(
            item is not None and item.workspace.profile == profile and self._is_finishing(item.workspace, now)
            for item in holding
        )

    def counts(self, workspace: Workspace) -> bool:
        """Whether others wait until it was read. Where sessions are found by looking, each one is read."""
        return self.registry.discovers or workspace.is_global or self.wants(workspace)

    def _is_finishing(self, workspace: Workspace, now: int) -> bool:
        """Whether what is pending there is still read."""
        if self.registry.discovers or now < self.left_until_ms:
            return True
        if not workspace.is_global:
            return self.registry.may_finish(workspace.database, now)
        return self._is_any_of(workspace.profile, self.registry.unfinished_databases(now))

    def _is_any_of(self, profile: str, databases: Iterable[str]) -> bool:
        items = map(self.scanner.watched.get, databases)
        return any(item is not None and item.workspace.profile == profile for item in items)
