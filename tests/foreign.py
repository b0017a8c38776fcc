"""What other producers put on a stream: entries in the specification's form, without our event id."""

from __future__ import annotations

import json

import attrs

from trio_cursor.records import Event
from trio_cursor.wire import to_fields


def theirs(event: Event, *, source: str = "hook", **payload: object) -> dict[str, str]:
    """The same generation as somebody else tells it."""
    told = attrs.evolve(
        event, payload=event.payload | payload, metadata={"source": source, "workspace_hash": "0" * 16}
    )
    return {name: value for name, value in to_fields(told).items() if name not in ("event_id", "version")}


def told_of(id_: str, **fields: str) -> dict[str, str]:
    """The least that is a generation."""
    return {"event_type": "database_trace", "payload": json.dumps({"generation_id": id_}), **fields}
