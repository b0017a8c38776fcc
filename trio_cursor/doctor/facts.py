"""What all checks look at, gathered before any of them speaks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import attrs

from trio_cursor.config import Config
from trio_cursor.cursor.guest import Guest
from trio_cursor.doctor.collector import CollectorLook
from trio_cursor.doctor.events_of_system import EventsLook
from trio_cursor.doctor.hosting import HostLook
from trio_cursor.doctor.looking import CursorLook
from trio_cursor.doctor.machine import Machine
from trio_cursor.doctor.port import PortLook
from trio_cursor.doctor.state import OwnLook
from trio_cursor.doctor.stream import StreamLook
from trio_cursor.observations import JsonObject
from trio_cursor.records import Session
from trio_cursor.status_file import ServiceLook


@attrs.frozen
class Unplaced:
    """An announced workspace whose database is not known."""

    workspace_hash: str
    path: str | None
    sessions: tuple[Session, ...]
    #: By strategy, in words.
    why: dict[str, str]


@attrs.frozen
class Announced:
    """What is known of announced workspaces."""

    open_sessions: int
    unplaced: tuple[Unplaced, ...]


#: Says it of what is listed; it may read databases.
FindAnnounced: TypeAlias = Callable[[CursorLook, Guest], Awaitable[Announced]]


@attrs.frozen
class Facts:
    """None: it did not answer in time."""

    config: Config
    now_ms: int
    machine: Machine
    cursor: CursorLook | None = None
    own: OwnLook | None = None
    service: ServiceLook | None = None
    announced: Announced | None = None
    #: What the last service has written, if none runs.
    last_status: JsonObject | None = None
    host: HostLook | None = None
    events: EventsLook | None = None
    #: None besides: no HTTP server is wanted.
    port: PortLook | None = None
    #: One for each place; none: no collector.
    collector: Sequence[CollectorLook] = ()
    #: What else did not answer, and within how many seconds.
    silent: dict[str, float] = attrs.field(factory=dict)
    #: One for each stream or shard that is configured; none: no Redis.
    streams: Sequence[StreamLook] = ()
