"""What came of the reads of one service, counted: by outcome, and for how long a lock was held."""

from __future__ import annotations

from collections import Counter
from typing import Final, TypeVar

import attrs

from trio_cursor.cursor.outcomes import Busy, Empty, NeedsRecovery, TimedOut, Unreadable
from trio_cursor.cursor.visits import Page, Unchanged
from trio_cursor.meters import LOCK_BOUNDS, Histogram

OutcomeT = TypeVar("OutcomeT")

#: By what it is called for whoever looks from outside.
_NAMES: Final[dict[type, str]] = {
    Page: "page",
    Unchanged: "unchanged",
    Busy: "busy",
    NeedsRecovery: "needs_recovery",
    Empty: "empty",
    Unreadable: "unreadable",
    TimedOut: "timed_out",
}


@attrs.define(eq=False)
class ReadMeter:
    """Reads as their callers see them; each may have taken several attempts."""

    outcomes: Counter[str] = attrs.field(factory=lambda: Counter(dict.fromkeys(_NAMES.values(), 0)))
    #: Attempts that were made again: Cursor was in the way, or it was not the database's turn.
    busy: int = 0
    not_yet: int = 0
    #: Threads that were left behind.
    abandoned: int = 0
    #: By journal mode; not of a copy or a file that nobody has open, which need no lock.
    locks: dict[str, Histogram] = attrs.field(
        factory=lambda: {mode: Histogram(LOCK_BOUNDS) for mode in ("delete", "wal")}
    )

    def counted(self, outcome: OutcomeT) -> OutcomeT:
        """The outcome, counted."""
        self.outcomes[_NAMES[type(outcome)]] += 1
        if isinstance(outcome, Page) and outcome.way not in ("immutable", "private copy"):
            self.locks[outcome.journal_mode].observe(outcome.held_seconds)
        return outcome
