"""Everything pending that bears one key."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import attrs

from trio_cursor.assembly.pending import Pending, PendingEntry, PendingTurn, Row


class Need(Enum):
    """What has to be fresh for a group."""

    #: The rings; and the conversations must have been read once.
    TURN = "turn"
    #: Rings and conversations.
    ENTRY = "entry"
    #: The rings.
    QUICK_ENTRY = "quick entry"


@attrs.define(eq=False)
class Group:
    """What bears one key: an entry, copies of a turn, or both. Never empty."""

    key: str
    #: When this run knew of it first.
    met_ms: int
    entry: PendingEntry | None = None
    #: By their storage keys.
    turns: dict[str, PendingTurn] = attrs.field(factory=dict)
    #: The moment from which on nothing but freshness has held it up; None: it is not ready.
    ready_at: float | None = None
    #: What has to be fresh then.
    need: Need | None = None
    #: The moment at which this run placed it first.
    met_at: float | None = None
    #: The moment at which its content was wanted first, of what is wanted now.
    wanted_at: float | None = None

    @property
    def sole_entry(self) -> PendingEntry:
        """The entry of a group without turns. Raises LookupError if there is none, which cannot be."""
        if self.entry is None:
            raise LookupError(self.key)
        return self.entry

    @property
    def is_nameless(self) -> bool:
        """Whether nothing of it has a name by which it could be reported."""
        return self.entry is None and all(turn.turn.generation_id is None for turn in self.turns.values())

    @property
    def row(self) -> Row | None:
        """The row of a table that goes out with it."""
        return next((turn.row for turn in self.turns.values() if turn.row is not None), None)

    @property
    def parts(self) -> Iterator[Pending]:
        """Entry and turns."""
        if self.entry is not None:
            yield self.entry
        yield from self.turns.values()

    @property
    def seen_ms(self) -> int:
        """When anything of it was seen first."""
        return min(part.seen_ms for part in self.parts)

    @property
    def profiles(self) -> dict[str, None]:
        """Where it was found."""
        return dict.fromkeys(part.workspace.profile for part in self.parts)

    @property
    def time(self) -> float:
        """About when it was asked, for a sensible order; what has no time comes last."""
        if self.entry is not None:
            times = [self.entry.earliest_ms]
        else:
            times = [item.turn.timestamp for item in self.turns.values()]
        return min((time for time in times if time is not None), default=float("inf"))
