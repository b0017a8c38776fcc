"""A generation as a span of OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final
from uuid import UUID

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from trio_cursor.outputs.gen_ai import (
    CHAT,
    ERROR,
    Attribute,
    Attributes,
    attributes_of,
    clean,
    duration_ms,
    model_of,
)
from trio_cursor.records import Event
from trio_cursor.version import __version__

#: Where the end is from, if not from the duration.
END_SOURCE: Final = "cursor.end_source"
#: In nanoseconds it must fit into what back ends keep times in.
_LATEST_MS: Final = (2**63 - 1) // 1_000_000
#: An id that says so little belongs to nobody.
_NOTHING: Final = bytes(16)

SCOPE: Final = InstrumentationScope(name="trio_cursor", version=__version__)


def span_of(event: Event, *, with_texts: bool) -> Span:
    """The span, with the same ids each time that it is made of this event."""
    attributes = attributes_of(event, with_texts=with_texts)
    start, end, end_source = _times(event)
    attributes[END_SOURCE] = end_source
    model = model_of(event.payload)
    is_error = event.payload.get("status") == ERROR
    return Span(
        trace_id=_trace_id(event.event_id),
        span_id=blake2b(event.event_id.encode("utf-8", "replace"), digest_size=8).digest(),
        name=CHAT if model is None else f"{CHAT} {model}",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=start * 1_000_000,
        end_time_unix_nano=end * 1_000_000,
        attributes=key_values(attributes),
        status=Status(code=Status.STATUS_CODE_ERROR) if is_error else None,
    )


def resource_spans(spans: Iterable[Span], resource: Resource) -> ResourceSpans:
    """Spans as they are sent."""
    return ResourceSpans(resource=resource, scope_spans=[ScopeSpans(scope=SCOPE, spans=spans)])


def key_values(attributes: Attributes) -> list[KeyValue]:
    """Attributes as the protocol has them."""
    return [KeyValue(key=clean(name), value=_any(value)) for name, value in attributes.items()]


def _any(value: Attribute) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case str():
            return AnyValue(string_value=clean(value))
        case _:
            items = [AnyValue(string_value=clean(item)) for item in value]
            return AnyValue(array_value=ArrayValue(values=items))


def _times(event: Event) -> tuple[int, int, str]:
    """Start and end in milliseconds, and by what the end is known: `duration`, `completed` or `none`.

    Where no end is known the span has no length: nobody can tell a made-up one from a real one.
    """
    start = _moment(event.timestamp)
    if start is None:
        start = _moment(event.metadata.get("captured_at")) or 0
    if (duration := duration_ms(event)) is not None and start + duration <= _LATEST_MS:
        return start, start + duration, "duration"
    completed = _moment(event.payload.get("completed_timestamp"))
    if completed is not None and completed >= start:
        return start, completed, "completed"
    return start, start, "none"


def _moment(value: object) -> int | None:
    is_moment = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LATEST_MS
    return value if is_moment and isinstance(value, int) else None


def _trace_id(event_id: str) -> bytes:
    """The event's own id, which is a UUID; of what somebody else has called an event, a digest."""
    try:
        found = UUID(event_id).bytes
    except ValueError:
        found = _NOTHING
    return found if any(found) else blake2b(event_id.encode("utf-8", "replace"), digest_size=16).digest()
