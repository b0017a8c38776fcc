"""From a finished generation to the event that is published, and the event's forms as text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha1
from uuid import NAMESPACE_URL

import msgspec

from trio_cursor.cursor.schemas.values import clean_text
from trio_cursor.observations import Json, JsonObject, Sealed
from trio_cursor.records import Event, Gap, Generation, Session, Workspace

VERSION = "0.1.0"
EVENT_TYPE = "database_trace"
GAP_TYPE = "database_gap"
#: What we are called in an event.
SOURCE = "python_monitor"

#: All others are short by what they are.
_CUT_FIELDS = ("response_text", "prompt_text", "request_parameters", "full_generation_data")
#: Made once: `json.dumps` makes one for each event, where anything is other than by default.
_ENCODER = json.JSONEncoder(separators=(",", ":"))
#: Bits of a UUID that say what it is: version 5, of the usual variant.
_NOT_VERSION = ~((0xF000 << 64) | (0xC000 << 48))
_VERSION_5 = (5 << 76) | (0x8000 << 48)
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
#: Tool calls of one generation, each of which is a name and a word.
_CALLS_MOST = 1000


def event_id(key: str) -> str:
    """The same for a generation on every machine and in every run."""
    # `str(uuid5(NAMESPACE_URL, ...))`, which takes its time to be an object in between.
    name = f"cursor:generation:{key}".encode()
    found = int.from_bytes(sha1(NAMESPACE_URL.bytes + name, usedforsecurity=False).digest()[:16])
    digits = f"{found & _NOT_VERSION | _VERSION_5:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def build_event(
    generation: Generation, *, session: Session, captured_at: int, host: str, max_text_bytes: int
) -> Event:
    """Publishable form of a generation. Times are integer milliseconds; what is not known is None."""
    calls = generation.tool_calls
    payload: JsonObject = {
        "trace_type": "generation",
        "generation_id": generation.generation_id,
        "generation_type": generation.generation_type,
        "conversation_id": generation.conversation_id,
        "status": generation.status,
        "data_version": generation.data_version,
        "model": generation.model or "unknown",
        "tokens_used": generation.tokens_used,
        "prompt_tokens": generation.prompt_tokens,
        "completion_tokens": generation.completion_tokens,
        "cached_tokens": generation.cached_tokens,
        "tokens_source": generation.tokens_source,
        "response_text": generation.response_text,
        "prompt_text": generation.prompt_text,
        "prompt_id": generation.prompt_id,
        "request_parameters": generation.request_parameters,
        "generation_timestamp": generation.timestamp,
        "completed_timestamp": generation.completed_timestamp,
        "duration_ms": generation.duration_ms,
        "prompt_timestamp": generation.prompt_timestamp,
        "tool_calls": None if calls is None else list(calls[:_CALLS_MOST]),
        "lines_added": None,
        "lines_removed": None,
        "full_generation_data": generation.full_generation_data,
    }
    for name in _CUT_FIELDS:
        if isinstance(sealed := payload[name], Sealed):
            payload |= sealed_fields(name, sealed)
    truncated = [*generation.truncated, *_cut(payload, max_text_bytes)]
    if calls is not None and len(calls) > _CALLS_MOST:
        truncated.append("tool_calls")
    if truncated:
        payload["truncated"] = sorted(set(truncated))
    return Event(
        sequence=0,
        event_id=event_id(generation.key),
        timestamp=generation.timestamp if generation.timestamp is not None else captured_at,
        session_id=session.session_id,
        metadata={
            **_place(generation.workspace, session),
            "source": SOURCE,
            "schema": generation.schema,
            "captured_at": captured_at,
            "timestamp_source": generation.timestamp_source or "capture",
            "host": host,
        },
        payload=payload,
    )


def sealed_fields(name: str, sealed: Sealed | None) -> JsonObject:
    """The fields of a payload that are there instead of a text."""
    stem = name.removesuffix("_text")
    return {
        name: None,
        f"{stem}_length": sealed and sealed.length,
        f"{stem}_digest": sealed and sealed.digest,
    }


def build_gap(workspace: Workspace, gap: Gap, *, session: Session, captured_at: int, host: str) -> Event:
    """A record that generations are known to be missing. Not an event: it never goes to a stream."""
    return Event(
        sequence=0,
        event_id=event_id(clean_text(f"gap/{workspace.database}/{gap.schema}/{captured_at}")),
        timestamp=gap.before_ms if gap.before_ms is not None else captured_at,
        session_id=session.session_id,
        metadata={
            **_place(workspace, session),
            "source": SOURCE,
            "schema": gap.schema,
            "captured_at": captured_at,
            "timestamp_source": gap.schema if gap.before_ms is not None else "capture",
            "host": host,
        },
        payload={
            "trace_type": "gap",
            "detail": gap.detail,
            "after_timestamp": gap.after_ms,
            "before_timestamp": gap.before_ms,
        },
        event_type=GAP_TYPE,
    )


def _place(workspace: Workspace, session: Session) -> JsonObject:
    return {
        # As announced: by that others join it.
        "workspace_hash": session.workspace_hash or workspace.hash,
        "workspace_id": workspace.id,
        "workspace_path": workspace.path or session.workspace_path,
        # A local folder's path says it all; of a remote one it is only the path part.
        "workspace_uri": workspace.uri if workspace.uri and not workspace.uri.startswith("file:") else None,
    }


def _cut(payload: JsonObject, limit: int) -> list[str]:
    """Cut every text to `limit` bytes, and leave out what is still too large. Returns the fields' names."""
    cut = []
    for name in _CUT_FIELDS:
        value = payload[name]
        if value is None:
            continue
        # In UTF-8 a character takes at most four bytes: mostly there is nothing to look for.
        if 4 * weight(value) <= limit:
            continue
        short = _shortened(value, limit)
        payload[name] = short if weight(short) <= 2 * limit else None
        if payload[name] != value:
            cut.append(name)
    return cut


def _shortened(value: Json, limit: int) -> Json:
    """Cut each text in it to `limit` bytes of UTF-8, never inside a character."""
    if isinstance(value, str):
        return value.encode()[:limit].decode("utf-8", "ignore")
    if isinstance(value, dict):
        return {key: _shortened(item, limit) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item, limit) for item in value]
    return value


def weight(value: Json) -> int:
    """About how many characters the value has as JSON, without writing it."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + weight(item) for key, item in value.items())
    if isinstance(value, list):
        return sum(map(weight, value)) + len(value)
    return 1


def to_object(event: Event) -> JsonObject:
    """The event as one JSON object, as in JSON lines."""
    return {
        "version": VERSION,
        "hook_type": "DatabaseTrace",
        "event_type": event.event_type,
        "event_id": event.event_id,
        "timestamp": event.timestamp,
        "platform": "cursor",
        "session_id": event.session_id,
        "external_session_id": event.session_id,
        "metadata": event.metadata,
        "payload": event.payload,
    }


def to_json(event: Event) -> str:
    """One line of JSON, ASCII only, so that no separator of lines and no surrogate can be in it."""
    return object_json(to_object(event))


def object_json(value: JsonObject) -> str:
    """The object as JSON, ASCII only."""
    try:
        line = msgspec.json.encode(value).decode()
    except (ValueError, RecursionError):  # lone surrogates, or very deep
        return _ENCODER.encode(value)
    return line if line.isascii() else _NOT_ASCII.sub(_escaped, line)


def _escaped(found: re.Match[str]) -> str:
    """Characters of a text within JSON as ASCII; they stand nowhere else in it."""
    return _ENCODER.encode(found[0])[1:-1]


def from_object(value: Mapping[str, object], sequence: int = 0) -> Event:
    """The reverse of `to_object`. Raises KeyError, TypeError or ValueError for what is none of our events."""
    metadata, payload, timestamp = value["metadata"], value["payload"], value["timestamp"]
    id_, session_id, event_type = value["event_id"], value["session_id"], value["event_type"]
    if not (isinstance(metadata, dict) and isinstance(payload, dict)):
        raise TypeError("metadata and payload must be objects")
    if not isinstance(timestamp, int) or isinstance(timestamp, bool):
        raise TypeError("the timestamp must be an integer")
    if not (isinstance(id_, str) and isinstance(session_id, str) and isinstance(event_type, str)):
        raise TypeError("ids and type must be texts")
    return Event(sequence, id_, timestamp, session_id, metadata, payload, event_type)


def from_json(text: str | bytes, sequence: int = 0) -> Event:
    """The reverse of `to_json`; raises as `from_object`."""
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):  # it takes nothing else than `json.loads`, but less
        value = json.loads(text)
    return from_object(value, sequence)
