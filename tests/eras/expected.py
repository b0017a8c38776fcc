"""What must be reported of a generation, written by hand, and how what was reported differs from it."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence

import attrs

from eras.machine import Home
from trio_cursor.records import Event

_IN_METADATA = ("schema", "timestamp_source", "workspace_id", "workspace_hash", "workspace_path")


@attrs.frozen(kw_only=True)
class Expected:
    """One generation. The defaults are what is said where nothing is known."""

    #: Which case of the era it is, for people.
    case: str
    generation_id: str
    #: None: no workspace can be found.
    home: Home | None
    #: None: the data has no time.
    timestamp: int | None
    timestamp_source: str
    schema: str = "conversations"
    status: str = "completed"
    model: str = "unknown"
    generation_type: str | None = None
    conversation_id: str | None = None
    prompt_text: str | None = None
    response_text: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tokens_used: int | None = None
    #: Name and status of each.
    tool_calls: tuple[tuple[str | None, str | None], ...] = ()
    duration_ms: int | None = None
    completed_timestamp: int | None = None
    prompt_timestamp: int | None = None

    @property
    def key(self) -> str:
        """Under which it is reported once."""
        try:
            return str(uuid.UUID(self.generation_id))
        except ValueError:
            home = self.home
            scope = (home.hash or home.id) if home else "global"
            return f"{scope}/{self.generation_id}"

    def fields(self) -> dict[str, object]:
        """What the event must say."""
        said = attrs.asdict(self, recurse=False, filter=lambda field, _: field.name not in {"case", "home"})
        home = self.home
        return said | {
            "tool_calls": [{"name": name, "status": status} for name, status in self.tool_calls],
            "event_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"cursor:generation:{self.key}")),
            "session_id": f"scan_{home.id}" if home else "scan_global",
            "external_session_id": f"scan_{home.id}" if home else "scan_global",
            "workspace_id": home.id if home else None,
            "workspace_hash": home.hash if home else None,
            "workspace_path": home.path if home else None,
            "tokens_source": None if self.tokens_used is None else "database",
            "generation_timestamp": self.timestamp,
        }


def ring_only(case: str, id_: str, home: Home | None, unix_ms: int | None, **known: object) -> Expected:
    """An entry of which no conversation knows: its time, its type and what it was asked is all there is."""
    source = "ring" if unix_ms is not None else "capture"
    return Expected(
        case=case,
        generation_id=id_,
        home=home,
        timestamp=unix_ms,
        timestamp_source=source,
        schema="ring",
        status="unknown",
        **known,
    )


def seen_fields(event: Event) -> dict[str, object]:
    """What an event says, as `Expected.fields` names it."""
    captured = event.metadata["timestamp_source"] == "capture"
    own = {
        "event_id": event.event_id,
        "session_id": event.session_id,
        "external_session_id": event.session_id,
        # Time of capture stands in where the data has none.
        "timestamp": None
        if captured and event.timestamp == event.metadata["captured_at"]
        else event.timestamp,
        # Whether nothing is known of tools or there were none is not asked here.
        "tool_calls": event.payload["tool_calls"] or [],
    }
    place = {name: event.metadata[name] for name in _IN_METADATA}
    return {**event.payload, **place, **own}


def differences(expected: Sequence[Expected], events: Sequence[Event]) -> list[str]:
    """One line for each field that differs, each generation that is missing, too many or reported twice."""
    wanted = {item.generation_id: item for item in expected}
    assert len(wanted) == len(expected), "an era expects one id twice"
    times = Counter(event.generation_id for event in events)
    found = [f"twice: {id_} ({count} times)" for id_, count in times.items() if count > 1]
    for event in events:
        item = wanted.pop(event.generation_id, None)
        if item is None:
            found.append(f"not expected: {event.generation_id}: {_short(event)}")
            continue
        seen = seen_fields(event)
        found += [
            f"{item.case}: {name}: expected {value!r}, got {seen[name]!r}"
            for name, value in item.fields().items()
            if value != seen[name]
        ]
    return [*found, *(f"missing: {item.case} ({item.generation_id})" for item in wanted.values())]


def _short(event: Event) -> dict[str, object]:
    names = ("schema", "status", "conversation_id", "prompt_text", "response_text", "workspace_id")
    seen = seen_fields(event)
    return {name: seen[name] for name in names}
