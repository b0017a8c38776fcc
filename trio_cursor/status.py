"""How the service is, at one moment: the frozen record that is made of what each part writes down."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import attrs
import msgspec

from trio_cursor.alarms import Episode
from trio_cursor.observations import JsonObject
from trio_cursor.os_events import OsEventsStatus
from trio_cursor.records import Position, Session
from trio_cursor.version import __version__

#: What `WorkspaceState.status` says of a workspace that is not read as it should be.
TROUBLED = ("error", "timeout", "locked", "unknown_schema")
#: Announced workspaces without a database that a status tells of; of more it need not.
MOST_UNMAPPED = 100


@attrs.frozen
class WorkspaceStatus:
    """One workspace, at one moment."""

    database: str
    workspace_id: str | None
    workspace_hash: str | None
    workspace_path: str | None
    status: str
    #: Names of all that it has, joined by `+`; None: not read yet, or none.
    schema: str | None
    #: `id`, `source` and `started_at` of each.
    sessions: tuple[JsonObject, ...]
    last_check: int | None
    last_activity: int | None
    generations: int
    #: How far each schema was read: the last rowid, or the time of the newest generation.
    position: dict[str, int]
    entries: dict[str, int]
    #: Entries passed over, by reason.
    skipped: dict[str, int]
    errors: int
    last_error: str | None
    note: str | None
    journal_mode: str | None
    size: int | None


@attrs.frozen
class SourceStatus:
    """One source of sessions, or other producers' entries on one stream, at one moment."""

    name: str
    state: str
    taken: int
    skipped: dict[str, int]
    errors: int
    last_error: str | None


@attrs.frozen
class OutputStatus:
    """One output, at one moment."""

    name: str
    state: str
    sequence: int
    #: Events that it has not taken yet.
    lag: int
    errors: int
    last_error: str | None
    #: Events that were there already, put by somebody else or by another run.
    already_there: int = 0
    #: Events that it can never take.
    dead: int = 0
    #: How often it was found to have lost what it had.
    rollbacks: int = 0
    #: What somebody should look at though events are taken, in words.
    alarms: tuple[str, ...] = ()


@attrs.frozen
class UnmappedStatus:
    """An announced workspace whose database was not found."""

    workspace_hash: str
    workspace_path: str | None
    #: `id`, `source` and `started_at` of each.
    sessions: tuple[JsonObject, ...]
    #: By strategy, in words.
    why: dict[str, str]


@attrs.frozen
class ServerStatus:
    """The HTTP server, at one moment."""

    address: str
    #: listening | off | error
    state: str
    last_error: str | None


@attrs.frozen
class WebhookStatus:
    """Who posts alarms, at one moment."""

    #: Why the last post was not taken, in words; None: it was, or there was none.
    last_error: str | None
    #: What was given up in this run: alarms that were raised or over.
    lost: int


@attrs.frozen
class PrivacyStatus:
    """What is stored of a generation."""

    #: full | redacted | metadata
    mode: str
    #: Records that the log held at the start and that were stored in more open modes.
    more_open: int


@attrs.frozen
class Progress:
    """What changes from moment to moment, without a look at each workspace: to be asked for often."""

    first_pass_done: bool
    #: How many of how many workspaces were looked at since the start.
    looked: int
    total: int
    #: Sequence of the newest record in the event log.
    last_sequence: int
    #: Events and gap records reported by this run.
    generations: int
    gaps: int
    #: Observed and not reported yet: in flight, or waiting for a database that cannot be read.
    pending: int
    outputs: tuple[OutputStatus, ...]
    #: Why the event log cannot be used at the moment; None: it can.
    log_error: str | None
    #: Seconds by which the next look at Cursor's files is overdue; 0: it is not.
    late_seconds: float = 0.0


@attrs.frozen
class Status:
    """The service, at one moment."""

    #: running | disabled | stopped
    state: str
    version: str
    pid: int
    started_at: int | None
    taken_at: int | None
    first_pass_done: bool
    #: How many of how many workspaces were looked at since the start.
    progress: tuple[int, int]
    #: Sequence of the newest record in the event log.
    last_sequence: int
    #: Events and gap records reported by this run.
    generations: int
    gaps: int
    duplicates: int
    #: Observed and not reported yet: in flight, or waiting for a database that cannot be read.
    pending: int
    #: Generations of workspaces that are not to be monitored.
    excluded: int
    #: Turns that were over and that nothing names, not even a bubble.
    nameless: int
    searched: tuple[str, ...]
    workspaces: tuple[WorkspaceStatus, ...]
    outputs: tuple[OutputStatus, ...]
    #: What somebody should look at, in words. Empty: all is well.
    alarms: tuple[str, ...]
    #: What of that was told of because it lasted, and what is not over yet; with how long it has been so.
    episodes: tuple[Episode, ...] = ()
    state_dir: str | None = None
    #: Why the event log cannot be written or read at the moment; None: it can.
    log_error: str | None = None
    #: Who tells of sessions.
    sources: tuple[SourceStatus, ...] = ()
    #: What other producers put on our streams.
    foreign: tuple[SourceStatus, ...] = ()
    #: Announced workspaces without a database. Of a stream that several machines share most are elsewhere.
    unmapped: tuple[UnmappedStatus, ...] = ()
    #: Starts of sessions that were refused because too many are open.
    refused: int = 0
    #: Generations that wait for a session of their workspace to start (part of `pending`).
    held: int = 0
    #: Generations of no known workspace, for which no session came.
    unattributed: int = 0
    #: Events that the size limit deleted in this run before every output had taken them.
    lost: int = 0
    #: None: it is switched off.
    http: ServerStatus | None = None
    #: None: alarms are posted nowhere.
    webhook: WebhookStatus | None = None
    #: None: the service is disabled.
    privacy: PrivacyStatus | None = None
    #: None: the service is disabled.
    os_events: OsEventsStatus | None = None

    def to_object(self) -> JsonObject:
        """As one JSON object."""
        return attrs.asdict(self)

    def to_json(self) -> bytes:
        """The same as JSON; of a thousand workspaces in a thirtieth of the time."""
        try:
            return msgspec.json.encode(self)
        except ValueError:  # a path with bytes that are no text
            return json.dumps(self.to_object()).encode()


def session_object(session: Session) -> JsonObject:
    """A session as a status has it."""
    found: JsonObject = {"id": session.session_id, "source": session.source, "started_at": session.started_at}
    if session.is_uncertain:
        found["uncertain"] = True
    return found


def landmarks(positions: Mapping[str, Position]) -> dict[str, int]:
    """Of each position the one number by which a person sees that it moves; the rest is its schema's own."""
    found = {}
    for name, position in positions.items():
        known: Any = json.loads(position)
        number = next((known[key] for key in ("at", "newest_ms") if known.get(key) is not None), None)
        if number is not None:
            found[name] = number
    return found


def disabled() -> Status:
    """The status of a service whose configuration says `enabled = false`."""
    return Status(
        state="disabled",
        version=__version__,
        pid=os.getpid(),
        started_at=None,
        taken_at=None,
        first_pass_done=False,
        progress=(0, 0),
        last_sequence=0,
        generations=0,
        gaps=0,
        duplicates=0,
        pending=0,
        excluded=0,
        nameless=0,
        searched=(),
        workspaces=(),
        outputs=(),
        alarms=(),
    )


def idle() -> Progress:
    """The progress of the same."""
    return Progress(
        first_pass_done=False,
        looked=0,
        total=0,
        last_sequence=0,
        generations=0,
        gaps=0,
        pending=0,
        outputs=(),
        log_error=None,
    )
