"""What each part of the running service writes down as it works; the board makes a status of it."""

from __future__ import annotations

from collections import Counter

import attrs

from trio_cursor.meters import Meters, OutputMeter
from trio_cursor.records import Workspace


@attrs.define(eq=False)
class WorkspaceState:
    """What the poller of one database writes down. Times in milliseconds since the epoch."""

    workspace: Workspace
    #: connected | synced | error | timeout | locked | unknown_schema
    status: str = "connected"
    schemas: tuple[str, ...] = ()
    #: By schema; see `landmarks`.
    position: dict[str, int] = attrs.field(factory=dict)
    journal_mode: str | None = None
    size: int | None = None
    entries: dict[str, int] = attrs.field(factory=dict)
    last_check: int | None = None
    last_activity: int | None = None
    errors: int = 0
    last_error: str | None = None
    #: Not an error, but why there is nothing, in words.
    note: str | None = None
    #: Entries passed over, by schema and reason.
    skipped: dict[str, Counter[str]] = attrs.field(factory=dict)
    #: Everything that was there at first sight was read, or could not be.
    looked: bool = False
    #: Of the service: what a workspace that has gone has counted stays.
    meters: Meters = attrs.field(factory=Meters)

    def left(self) -> None:
        """Nobody reads it any more, so that nobody would find out that what was in the way is gone."""
        if self.status in ("error", "timeout", "locked"):
            self.note = f"{self.status} when it was last read: {self.last_error}"
            self.status, self.last_error = "connected", None

    def failed(self, workspace_hash: str | None) -> None:
        """Count a look that has failed. The hash as it is known now: `workspace.json` may be written late."""
        self.errors += 1
        self.meters.errors[workspace_hash] += 1


@attrs.define(eq=False)
class Losses:
    """What the retention writes down of what the size limit has taken from outputs, in this run."""

    #: Events that were deleted before every output had taken them, and when that was last.
    events: int = 0
    at: int | None = None


@attrs.define(eq=False)
class OutputState:
    """What one follower writes down."""

    name: str
    #: connected | waiting | error | closed
    state: str = "connected"
    sequence: int = 0
    errors: int = 0
    last_error: str | None = None
    #: What it has taken is still there after a restart.
    is_durable: bool = True
    #: When the oldest of those that it is taking was captured; None: it has all.
    oldest_ms: int | None = None
    #: Events that were there already, put by somebody else or by another run.
    already_there: int = 0
    #: Events that it can never take, and when it was found out last in this run.
    dead: int = 0
    dead_at: int | None = None
    #: How often it was found to have lost what it had, and when it was found last.
    rollbacks: int = 0
    rolled_back_at: int | None = None
    #: What somebody should look at though events are taken, in words, by kind.
    alarms: dict[str, str] = attrs.field(factory=dict)
    #: What it has taken in this run.
    meter: OutputMeter = attrs.field(factory=OutputMeter)


@attrs.define(eq=False)
class SourceState:
    """What one source of sessions writes down, or who listens for other producers' entries."""

    #: `redis:<stream>`, `files`, `http` or `discovery`; of other producers the stream.
    name: str
    #: connected | waiting | error
    state: str = "waiting"
    #: Announcements taken; of other producers generations that count as delivered.
    taken: int = 0
    #: Entries passed over, by reason.
    skipped: Counter[str] = attrs.field(factory=Counter)
    errors: int = 0
    last_error: str | None = None

    def skip(self, reason: str) -> bool:
        """Count an entry that cannot be used. Returns whether it is the first of its kind, to be logged."""
        self.skipped[reason] += 1
        return self.skipped[reason] == 1
