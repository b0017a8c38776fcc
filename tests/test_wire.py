"""Events as entries of a stream, and other producers' entries as events."""

from __future__ import annotations

import json
import uuid

import attrs
import log_events
import pytest

from trio_cursor.events import event_id, to_object
from trio_cursor.redis_keys import StreamKeys, keys_of, shard_of
from trio_cursor.wire import BadEntryError, from_fields, is_trace, looks_like_ours, to_fields

ID = "0b9d8a4e-0000-4000-8000-00000000abcd"


def encoded(fields):
    return {name.encode(): value.encode() for name, value in fields.items()}


def foreign(**fields):
    """As the specification's monitor writes it."""
    payload = {"trace_type": "generation", "generation_id": ID, "model": "gpt"}
    return encoded(
        {
            "version": "0.1.0",
            "hook_type": "DatabaseTrace",
            "event_type": "database_trace",
            "timestamp": "1731234567.125",
            "platform": "cursor",
            "session_id": "s",
            "external_session_id": "s",
            "metadata": json.dumps({"workspace_hash": "a" * 16, "source": "python_monitor"}),
            "payload": json.dumps(payload),
        }
        | fields
    )


def test_an_event_comes_back_as_it_was():
    event = log_events.event(1)
    fields = to_fields(event)
    assert all(isinstance(value, str) for value in fields.values())
    assert list(fields) == list(to_object(event))
    assert json.loads(fields["payload"]) == event.payload
    assert is_trace(encoded(fields))
    assert looks_like_ours(encoded(fields))
    back = from_fields(encoded(fields))
    assert attrs.evolve(back, sequence=event.sequence) == attrs.evolve(event, event_id=back.event_id)


def test_an_entry_of_another_producer_has_the_id_that_ours_would_have():
    event = from_fields(foreign())
    assert event.event_id == event_id(ID)
    assert not looks_like_ours(foreign(metadata='{"source":"python_monitor"}'))
    assert not looks_like_ours(foreign(event_id="their-own", metadata='{"source":"hook"}'))
    assert (event.timestamp, event.session_id) == (1731234567125, "s")
    upper = from_fields(
        foreign(payload=json.dumps({"generation_id": ID.upper()}), event_id=str(uuid.uuid4()))
    )
    assert upper.event_id == event.event_id


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({}, "a" * 16 + "/g7"),
        ({"metadata": "{}"}, "s/g7"),
        ({"metadata": '{"session_id": "t"}', "session_id": ""}, "t/g7"),
    ],
)
def test_an_id_that_is_no_uuid_counts_within_its_workspace_else_its_session(fields, key):
    event = from_fields(foreign(payload='{"generation_id": "g7"}', **fields))
    assert event.event_id == event_id(key)


def test_an_id_that_is_no_uuid_is_believed_to_whoever_has_computed_it():
    given = event_id("w/g7")
    assert from_fields(foreign(payload='{"generation_id": "g7"}', event_id=given)).event_id == given


@pytest.mark.parametrize(
    "fields",
    [
        {"payload": "{"},
        {"payload": "[]"},
        {"metadata": "7"},
        {"payload": '{"generation_id": ""}'},
        {"payload": '{"generation_id": 7}'},
        {"payload": "{}", "event_id": "no uuid"},
        {"payload": '{"generation_id": "g7"}', "metadata": "{}", "session_id": ""},
    ],
)
def test_what_is_no_event_says_why_without_a_quotation(fields):
    with pytest.raises(BadEntryError) as caught:
        from_fields(foreign(**fields))
    assert "g7" not in str(caught.value)


def test_an_entry_without_a_time_has_that_of_nobody():
    assert from_fields(foreign(timestamp="unknown")).timestamp == 0
    payload = json.dumps({"generation_id": ID, "generation_timestamp": 1_700_000_000_000})
    assert from_fields(foreign(timestamp="None", payload=payload)).timestamp == 1_700_000_000_000


@pytest.mark.parametrize("kind", [b"", b"session_start", b"database_trace2", b"\xff"])
def test_what_is_about_something_else_is_no_trace(kind):
    assert not is_trace({b"event_type": kind})


def test_the_keys_of_a_stream_are_in_its_slot():
    (keys,) = keys_of("telemetry:events", 1)
    assert keys == StreamKeys("telemetry:events")
    assert keys.seen("e") == "{telemetry:events}:seen:e"
    assert keys.high_water_mark("p") == "{telemetry:events}:hwm:p"
    assert keys.dead_letters == "{telemetry:events}:dlq"
    assert keys.done("g", "k") == "{telemetry:events}:done:g:k"
    first, second = keys_of("telemetry:events", 2)
    assert (first.stream, second.dead_letters) == ("{telemetry:events:0}", "{telemetry:events:1}:dlq")


def test_a_workspace_has_one_shard_and_workspaces_are_spread():
    event = log_events.event(1)
    placed = [
        attrs.evolve(event, metadata=event.metadata | {"workspace_hash": f"{n:016x}"}) for n in range(64)
    ]
    assert {shard_of(one, 4) for one in placed} == {0, 1, 2, 3}
    assert {shard_of(attrs.evolve(one, session_id="t"), 4) for one in placed[:1]} == {shard_of(placed[0], 4)}
    assert {shard_of(one, 1) for one in placed} == {0}
