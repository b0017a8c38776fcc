"""How long what is pending waits for what may still come, and who says how far was read."""

from __future__ import annotations

from typing import Protocol

import attrs

from trio_cursor.assembly.pending import LONG_PAST, PendingEntry, PendingTurn

#: Types of which no conversation knows.
_WITHOUT_CONVERSATION = ("cmdk", "apply")


class Freshness(Protocol):
    """Moments on a monotonic clock, in seconds: what was committed before them was observed.

    -inf: not read yet; inf: there is nothing to wait for.
    """

    def rings(self, profile: str) -> float:
        """Of all rings of the profile."""

    def conversations(self, profile: str) -> float:
        """Of the profile's global database."""


@attrs.frozen
class Waits:
    """How long to wait for what may still come, in milliseconds."""

    ring_grace_ms: int
    conversation_wait_ms: int
    settle_timeout_ms: int

    def entry_over_ms(self, entry: PendingEntry, again_ms: int) -> int:
        """Until when an entry waits for a turn that bears its id; `again_ms`: when it begins anew."""
        wait_ms = self.ring_grace_ms if is_quick(entry) else self.conversation_wait_ms
        return max(entry.waits_from_ms, again_ms) + wait_ms

    def turn_over_ms(self, turn: PendingTurn, entry: PendingEntry | None, again_ms: int) -> int:
        """Until when a turn waits for what is missing of it."""
        if not turn.is_in_flight:
            return LONG_PAST
        asked_ms = entry.waits_from_ms if entry else LONG_PAST
        return max(turn.changed_ms, asked_ms, again_ms) + self.settle_timeout_ms


def is_quick(entry: PendingEntry) -> bool:
    """Whether no turn can come that bears the id of an entry: no conversation knows of its type."""
    return entry.entry.type in _WITHOUT_CONVERSATION
