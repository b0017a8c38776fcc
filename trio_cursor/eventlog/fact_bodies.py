"""The few fields of an event's text that are counted, taken out without decoding the rest."""

from __future__ import annotations

import msgspec

from trio_cursor.observations import Json, JsonObject


class _Payload(msgspec.Struct):
    model: Json = None
    generation_type: Json = None
    status: Json = None
    duration_ms: Json = None
    tokens_used: Json = None
    prompt_tokens: Json = None
    completion_tokens: Json = None
    cached_tokens: Json = None
    lines_added: Json = None
    lines_removed: Json = None


class _Metadata(msgspec.Struct):
    """What says where it belongs, and what a veil asks for."""

    workspace_uri: Json = None
    workspace_path: Json = None
    workspace_id: Json = None
    privacy: Json = None


class _Body(msgspec.Struct):
    """As `from_object` wants an event to be."""

    event_id: str
    timestamp: int
    session_id: str
    event_type: str
    metadata: _Metadata
    payload: _Payload


_decode = msgspec.json.Decoder(_Body).decode


def parts_of(body: bytes) -> tuple[msgspec.Struct, msgspec.Struct] | None:
    """Metadata and payload as far as they are counted; None: it is no event.

    Or one that only `from_json` can read, which is less strict.
    """
    try:
        found = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found.metadata, found.payload


def as_dict(value: msgspec.Struct) -> JsonObject:
    """One of them, with None for what is missing."""
    return msgspec.structs.asdict(value)
