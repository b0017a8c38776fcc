"""An event as the fields of a stream's entry, and back; also the entries of other producers. Pure.

Every value is a text: integers in decimal, objects as JSON, null as a field that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from trio_cursor.cursor.schemas.values import (
    BadValueError,
    is_uuid,
    milliseconds,
    parse_json,
    text_of,
    usable_id,
)
from trio_cursor.events import EVENT_TYPE, SOURCE, event_id, object_json, to_object
from trio_cursor.observations import JsonObject
from trio_cursor.records import Event

_OBJECTS: Final = ("metadata", "payload")
#: The largest object that is parsed; larger ones are no events of anybody's.
FIELD_LIMIT: Final = 128 << 20


#: In the metadata, as `to_fields` writes it.
_OUR_SOURCE: Final = f'"source":"{SOURCE}"'.encode()


class BadEntryError(ValueError):
    """An entry of a stream is no event; the text says why, in words that quote nothing of it."""


def to_fields(event: Event) -> dict[str, str]:
    """The entry's fields, in the order of the contract. ASCII only in the objects."""
    return {
        name: object_json(value) if name in _OBJECTS else str(value)
        for name, value in to_object(event).items()
        if value is not None
    }


def is_trace(fields: Mapping[bytes, bytes]) -> bool:
    """Whether an entry is about a generation, which is found out before anything is parsed."""
    return fields.get(b"event_type", b"").strip() == EVENT_TYPE.encode()


def from_fields(fields: Mapping[bytes, bytes]) -> Event:
    """The event of an entry: one of ours, or what another producer wrote in the specification's form.

    The id of another producer's event is made of its generation id, as ours is, so that both are the same.

    Raises:
        BadEntryError: It is none.

    """
    metadata, payload = _object(fields, "metadata"), _object(fields, "payload")
    session_id = _usable(_text(fields, "session_id")) or _usable(metadata.get("session_id"))
    id_ = _event_id(_usable(payload.get("generation_id")), _text(fields, "event_id"), session_id, metadata)
    if id_ is None:
        raise BadEntryError("it has no generation_id that can be used")
    times = (_text(fields, "timestamp"), payload.get("generation_timestamp"), payload.get("timestamp"))
    timestamp = next((time for time in map(moment_ms, times) if time is not None), 0)
    return Event(
        sequence=0,
        event_id=id_,
        timestamp=timestamp,
        session_id=session_id or "",
        metadata=metadata,
        payload=payload,
        event_type=EVENT_TYPE,
    )


def looks_like_ours(fields: Mapping[bytes, bytes]) -> bool:
    """Whether an entry says that a trio_cursor has sent it, which is found out before anything is parsed."""
    return b"event_id" in fields and _OUR_SOURCE in fields.get(b"metadata", b"")


def is_ours(fields: Mapping[bytes, bytes], event: Event) -> bool:
    """Whether a trio_cursor has sent the entry of this event: others do not give it the id that it has."""
    is_named = _text(fields, "event_id").lower() == event.event_id
    return is_named and event.metadata.get("source") == SOURCE


def _event_id(
    generation_id: str | None, given: str, session_id: str | None, metadata: JsonObject
) -> str | None:
    if generation_id is not None and is_uuid(generation_id):
        return event_id(generation_id.lower())
    if is_uuid(given):
        return given.lower()
    # It is unique only within its workspace; where that is not said, within its session.
    scope = _usable(metadata.get("workspace_hash")) or session_id
    return None if scope is None or generation_id is None else event_id(f"{scope}/{generation_id}")


def _object(fields: Mapping[bytes, bytes], name: str) -> JsonObject:
    value = fields.get(name.encode(), b"")
    if not value.strip():
        return {}
    try:
        found: Any = parse_json(value, limit=FIELD_LIMIT)
    except BadValueError:
        raise BadEntryError(f"{name} is not JSON") from None
    if not isinstance(found, dict):
        raise BadEntryError(f"{name} is not an object")
    return found


def _text(fields: Mapping[bytes, bytes], name: str) -> str:
    return text_of(fields.get(name.encode(), b"")) or ""


def _usable(value: Any) -> str | None:
    return usable_id(value) if isinstance(value, str) else None


def moment_ms(value: Any) -> int | None:
    """A time as any producer writes it, in milliseconds since the epoch; None if it is none."""
    found = milliseconds(value)
    if found is None and isinstance(value, str):
        # As a float of seconds, which the specification's own code writes.
        with suppress(ValueError):
            found = milliseconds(float(value))
    return found
