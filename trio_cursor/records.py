"""What travels between the rooms: plain frozen values, valid from the moment they are built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import attrs

from trio_cursor.observations import Json, JsonObject, Observation, Sealed, Text

#: The schema's own bookmark in a database, JSON text that only the schema reads.
Position: TypeAlias = str


@attrs.frozen
class Workspace:
    """One home of a `state.vscdb`: a directory of `workspaceStorage`, or a profile's `globalStorage`."""

    #: The database, always `<something>/state.vscdb`; tells workspaces apart (two profiles may share an id).
    database: str
    #: The Cursor `User` directory that it belongs to.
    profile: str
    #: The directory's name; None for the global database.
    id: str | None
    #: Folder or `.code-workspace` file as VS Code's `fsPath` writes it; None if unknown. Only for humans
    #: and comparison, never opened.
    path: str | None = None
    #: The URI as it stands in `workspace.json`.
    uri: str | None = None
    #: First 16 hex digits of SHA-256 of the path (of the URI for a remote folder).
    hash: str | None = None
    #: Why `workspace.json` gave nothing, in words.
    problem: str | None = None
    #: The scope that its first entries were reported under, where that is known.
    first_scope: str | None = None

    @property
    def is_global(self) -> bool:
        return self.id is None

    @property
    def scope(self) -> str:
        """Where an id that is no UUID is unique.

        It stays what it was at first: `workspace.json` may be written late, and a key must never change.
        """
        return self.first_scope or self.hash or self.id or "global"

    @property
    def name(self) -> str:
        """Short, for people."""
        return self.path or self.uri or self.id or "global"


#: Who tells of sessions.
REDIS: Final = "redis"
HTTP: Final = "http"
FILES: Final = "files"
DISCOVERY: Final = "discovery"


@attrs.frozen
class Session:
    """A stretch of work in one workspace, by which events are joined to everything else."""

    session_id: str
    #: `Workspace.database`; None: announced, and no database was found for it yet.
    database: str | None
    #: Who told of it first: one of the names above.
    source: str
    #: Milliseconds since the epoch.
    started_at: int
    ended_at: int | None = None
    #: As announced; None for a synthetic session.
    workspace_hash: str | None = None
    workspace_path: str | None = None
    #: When it last gave a sign of life, or its end was heard of: on our clock, unlike the times above.
    heard_at: int = 0
    #: Announcements may have been missed: its end may be among them.
    is_uncertain: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What tells sessions apart: the workspace as announced (synthetic: the database), and the id."""
        return (self.workspace_hash or self.database or "", self.session_id)


def path_of(sessions: Sequence[Session]) -> str | None:
    """The path of an announced workspace, of its sessions by start: the last one told counts."""
    return next((one.workspace_path for one in reversed(sessions) if one.workspace_path), None)


@attrs.frozen
class FoundMapping:
    """Which database an announced workspace was found to be, and how."""

    workspace_hash: str
    database: str
    #: Name of the strategy that found it.
    strategy: str
    #: As announced.
    path: str | None
    #: Milliseconds since the epoch.
    found_at: int


@attrs.frozen
class StreamMark:
    """Up to where a stream of announcements was taken in."""

    #: Server and stream.
    name: str
    #: Id of the last entry.
    id: str


@attrs.frozen
class ToBeRead:
    """A workspace is to be read: somebody works there, or it is to be looked at once."""

    workspace: Workspace


@attrs.frozen
class LookAgain:
    """A workspace may not have to be read any more: its reader is to find out."""

    database: str


@attrs.frozen
class WorkspaceGone:
    """The workspace itself is gone."""

    database: str


ReadingChange: TypeAlias = ToBeRead | LookAgain | WorkspaceGone


@attrs.frozen
class Gap:
    """Entries that went through the ring while nobody looked: known to be missing, never silent."""

    schema: str
    #: What is known, in words.
    detail: str
    #: Newest entry seen before, oldest seen after; milliseconds or None.
    after_ms: int | None
    before_ms: int | None


@attrs.frozen
class Generation:
    """One AI generation, finished, with everything that is known of it. Unknown is None, never 0."""

    key: str
    generation_id: str
    workspace: Workspace
    schema: str
    status: str
    timestamp: int | None
    #: Which source knew the time: `ring`, `bubble`, `row` or `conversation`; None if none did.
    timestamp_source: str | None = None
    generation_type: str | None = None
    conversation_id: str | None = None
    data_version: int | None = None
    model: str | None = None
    tokens_used: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    tokens_source: str | None = None
    response_text: Text | None = None
    prompt_text: Text | None = None
    prompt_id: str | None = None
    request_parameters: Json | Sealed = None
    completed_timestamp: int | None = None
    duration_ms: int | None = None
    prompt_timestamp: int | None = None
    #: `name` and `status` of each, nothing else; None: not known whether there were any.
    tool_calls: tuple[JsonObject, ...] | None = None
    full_generation_data: Json = None
    truncated: tuple[str, ...] = ()
    #: Further names that it must not be reported under again, kept like the key.
    aliases: tuple[str, ...] = ()


@attrs.frozen
class Event:
    """What is published: one `database_trace`, the same on every machine and in every run."""

    #: Place in the event log, from 1; 0 where there is no log.
    sequence: int
    #: UUIDv5 of the generation's key.
    event_id: str
    #: Start of the generation, milliseconds since the epoch (time of capture where the data has none).
    timestamp: int
    session_id: str
    metadata: JsonObject
    payload: JsonObject
    #: `database_trace`; `database_gap` for a gap record.
    event_type: str = "database_trace"

    @property
    def generation_id(self) -> str:
        return str(self.payload.get("generation_id", ""))


@attrs.frozen
class Page:
    """What one schema found in one short look at a database."""

    observations: tuple[Observation, ...]
    #: Where the next page starts. Opaque; stored only together with what was observed before it.
    position: Position
    #: The observations may be old (first sync, replaced file, verification): the sync window counts for
    #: them. What appears in a file that was already synced is new, whatever its time says.
    backfill: bool = False
    #: There is more to read at once.
    more: bool = False
    gaps: tuple[Gap, ...] = ()
    #: Entries passed over, counted by reason.
    skipped: dict[str, int] = attrs.field(factory=dict)
    #: Why nothing could be read, in words; None: all is well.
    problem: str | None = None
    #: There is more, but it could not be read this time: nobody may rely on this page.
    is_given_up: bool = False
    #: How many entries the schema's place holds now; None: not known without reading all of it.
    entries: int | None = None


@attrs.frozen
class Batch:
    """What one look at one database brought, to be committed in one transaction."""

    workspace: Workspace
    #: By schema name.
    pages: dict[str, Page] = attrs.field(factory=dict)
    #: (st_dev, st_ino) of the file that the positions belong to; None: no position moves.
    identity: tuple[int, int] | None = None
    #: What is older is passed over in pages of `backfill`; milliseconds since the epoch, None: nothing is.
    since_ms: int | None = None
    #: What stands there of turns that were asked for.
    answers: tuple[Observation, ...] = ()
