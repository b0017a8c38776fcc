"""Announcements: who says that a session starts or ends, in whatever form it was said. Pure.

Whoever announces is not trusted: a hash is only ever a key for looking up, a path is only ever compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import attrs

from trio_cursor.cursor.hashes import is_hash
from trio_cursor.cursor.schemas.values import (
    BadValueError,
    clean_text,
    milliseconds,
    parse_json,
    text_of,
    usable_id,
)
from trio_cursor.observations import JsonObject
from trio_cursor.records import StreamMark

_KINDS = {"session_start": True, "session_end": False}
#: Payload or metadata; those of the extension have some hundred bytes.
FIELD_LIMIT = 64 * 1024
#: In characters; no system opens a longer one. Thousands of sessions are kept, each with its path.
LONGEST_PATH = 4096


@attrs.frozen
class Announcement:
    """Somebody says that a session has started or ended."""

    is_start: bool
    session_id: str
    #: 16 to 64 hex digits, lower case.
    workspace_hash: str
    #: `redis`, `http` or `files`.
    source: str
    #: When it was said to us (or to the server that kept it for us), milliseconds since the epoch.
    heard_ms: int
    #: The announcement's own time, which may lie; None: it has none.
    said_ms: int | None = None
    #: Never opened, only compared.
    workspace_path: str | None = None

    @property
    def at_ms(self) -> int:
        """When it happened, as far as is known."""
        return self.heard_ms if self.said_ms is None else self.said_ms


class Desk(Protocol):
    """Where announcements are handed in."""

    async def announce(self, heard: Sequence[Announcement], mark: StreamMark | None = None) -> None:
        """Take them in, in their order; returns once they and the mark are stored, both or neither."""

    async def doubt(self, source: str) -> None:
        """Announcements of a source may have been missed: what is open by its word alone is uncertain."""


def stream_announcement(
    fields: Mapping[bytes, bytes], *, source: str, heard_ms: int
) -> Announcement | str | None:
    """What an entry of a stream says.

    None: it is about something else, which is found out before anything is parsed. Text: why it cannot be
    used, one of a few.
    """
    kind = fields.get(b"event_type")
    if kind is None or (name := _kind_of(kind)) is None:
        return None
    objects: list[JsonObject] = []
    for field in (b"payload", b"metadata"):
        value = fields.get(field, b"")
        if len(value) > FIELD_LIMIT:
            return f"{field.decode()} is larger than {FIELD_LIMIT} bytes"
        try:
            parsed = parse_json(value, limit=FIELD_LIMIT) if value.strip() else {}
        except BadValueError:
            return f"{field.decode()} is not JSON"
        if not isinstance(parsed, dict):
            return f"{field.decode()} is not an object"
        objects.append(parsed)
    said = fields.get(b"timestamp")
    if said is not None and len(said) > 64:  # noqa: PLR2004 - no time is as long
        said = None
    payload, metadata = objects
    return announcement(name, payload, metadata, said=said, source=source, heard_ms=heard_ms)


def announcement(
    event_type: Any,
    payload: JsonObject,
    metadata: JsonObject,
    *,
    source: str,
    heard_ms: int,
    session_id: Any = None,
    said: Any = None,
) -> Announcement | str | None:
    """What an event says, once it is parsed; `session_id` is that which stands outside of both objects.

    None and text as of `stream_announcement`.
    """
    name = _kind_of(event_type)
    if name is None:
        return None
    hash_ = metadata.get("workspace_hash") or payload.get("workspace_hash")
    if not hash_:
        return "no workspace_hash"
    if not isinstance(hash_, str) or not is_hash(lower := hash_.lower()):
        return "workspace_hash is not 16 to 64 hex digits"
    id_ = payload.get("session_id") or metadata.get("session_id") or session_id
    if not id_:
        return "no session_id"
    if not isinstance(id_, str) or (usable := usable_id(id_)) is None:
        return "session_id is not usable"
    path = payload.get("workspace_path")
    if isinstance(path, str) and len(path) > LONGEST_PATH:
        return f"workspace_path is longer than {LONGEST_PATH} characters"
    times = (said, payload.get("timestamp"), metadata.get("timestamp"))
    return Announcement(
        is_start=_KINDS[name],
        session_id=usable,
        workspace_hash=lower,
        source=source,
        heard_ms=heard_ms,
        said_ms=next((time for time in map(milliseconds, times) if time is not None), None),
        workspace_path=clean_text(path) if isinstance(path, str) and path else None,
    )


def _kind_of(value: Any) -> str | None:
    if isinstance(value, bytes) and len(value) > 16:  # noqa: PLR2004 - longer than either
        return None
    name = text_of(value)
    return name if name in _KINDS else None
