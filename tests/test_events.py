"""From a generation to its event, and the event's way through text and back."""

from __future__ import annotations

import uuid

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scans import NOW_MS, workspace
from scans import session as a_session

from trio_cursor.events import (
    build_event,
    build_gap,
    event_id,
    from_json,
    from_object,
    to_json,
    to_object,
)
from trio_cursor.records import Event, Gap, Generation

HOME = workspace("w1", path="/home/me/p", hash_="0123456789abcdef")
BARE = Generation("key", "id", HOME, "ring", "unknown", None)
CAPTURED_MS = NOW_MS + 400


def event_of(generation, *, limit=1000):
    return build_event(
        generation, session=a_session("scan_w1"), captured_at=CAPTURED_MS, host="host", max_text_bytes=limit
    )


def test_the_id_is_the_same_on_every_machine():
    assert event_id("0a") == str(uuid.uuid5(uuid.NAMESPACE_URL, "cursor:generation:0a"))
    assert event_of(BARE).event_id == event_id("key")


def test_everything_that_is_known_is_in_its_place():
    known = {
        "timestamp": NOW_MS,
        "timestamp_source": "row",
        "generation_type": "composer",
        "conversation_id": "c",
        "data_version": 7,
        "model": "gpt",
        "tokens_used": 9,
        "prompt_tokens": 4,
        "completion_tokens": 5,
        "cached_tokens": 1,
        "tokens_source": "database",
        "response_text": "because",
        "prompt_text": "why?",
        "prompt_id": "p",
        "request_parameters": {"t": 1},
        "completed_timestamp": NOW_MS + 2,
        "duration_ms": 2,
        "prompt_timestamp": NOW_MS - 1,
        "tool_calls": ({"name": "grep", "status": None},),
        "full_generation_data": {"model": "gpt"},
    }
    event = event_of(attrs.evolve(BARE, **known))
    assert to_object(event) == {
        "version": "0.1.0",
        "hook_type": "DatabaseTrace",
        "event_type": "database_trace",
        "event_id": event_id("key"),
        "timestamp": NOW_MS,
        "platform": "cursor",
        "session_id": "scan_w1",
        "external_session_id": "scan_w1",
        "metadata": {
            "workspace_hash": "0123456789abcdef",
            "workspace_id": "w1",
            "workspace_path": "/home/me/p",
            "workspace_uri": None,
            "source": "python_monitor",
            "schema": "ring",
            "captured_at": CAPTURED_MS,
            "timestamp_source": "row",
            "host": "host",
        },
        "payload": {
            "trace_type": "generation",
            "generation_id": "id",
            "status": "unknown",
            "generation_timestamp": NOW_MS,
            "lines_added": None,
            "lines_removed": None,
            **{name: value for name, value in known.items() if not name.startswith("timestamp")},
            "tool_calls": [{"name": "grep", "status": None}],
        },
    }
    assert event.generation_id == "id"


def test_what_is_not_known_is_null_and_the_time_of_capture_stands_in():
    event = event_of(BARE)
    assert event.timestamp == CAPTURED_MS
    assert event.metadata["timestamp_source"] == "capture"
    assert event.payload["model"] == "unknown"
    known = {"trace_type", "generation_id", "status", "model"}
    assert {name for name, value in event.payload.items() if value is not None} == known
    assert event_of(attrs.evolve(BARE, timestamp=0, timestamp_source="ring")).timestamp == 0


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("file:///p", None),
        ("vscode-remote://ssh-remote%2Bh/p", "vscode-remote://ssh-remote%2Bh/p"),
        (None, None),
    ],
)
def test_only_a_remote_folder_has_a_uri(uri, shown):
    event = event_of(attrs.evolve(BARE, workspace=attrs.evolve(HOME, uri=uri)))
    assert event.metadata["workspace_uri"] == shown


class TestCutting:
    @pytest.mark.parametrize("text", ["x" * 1000, "\u20ac" * 333 + "x", "\U0001f600" * 250, ""])
    def test_a_text_of_the_limit_stays_whole(self, text):
        payload = event_of(attrs.evolve(BARE, response_text=text, prompt_text=text)).payload
        assert (payload["response_text"], payload["prompt_text"]) == (text, text)
        assert "truncated" not in payload

    @pytest.mark.parametrize(
        ("text", "left"),
        [
            ("x" * 1001, "x" * 1000),
            ("\u20ac" * 334, "\u20ac" * 333),
            ("\U0001f600" * 251, "\U0001f600" * 250),
        ],
    )
    def test_a_longer_one_is_cut_between_two_characters_and_named(self, text, left):
        payload = event_of(attrs.evolve(BARE, response_text=text, prompt_text="short")).payload
        assert payload["response_text"] == left
        assert payload["truncated"] == ["response_text"]

    def test_the_source_copy_holds_no_longer_texts_either(self):
        source = {"responseText": "x" * 1500, "requestParameters": {"a": ["y" * 200, 5, None]}}
        payload = event_of(attrs.evolve(BARE, full_generation_data=source)).payload
        assert payload["full_generation_data"] == {**source, "responseText": "x" * 1000}
        assert payload["truncated"] == ["full_generation_data"]

    @pytest.mark.parametrize(
        "value", [["x" * 900] * 3, {"k" * 2001: 1}, [0] * 2000, {"a": {"b": ["x" * 999] * 3}}]
    )
    def test_what_is_too_large_as_a_whole_is_left_out(self, value):
        payload = event_of(attrs.evolve(BARE, full_generation_data=value, request_parameters=value)).payload
        assert (payload["full_generation_data"], payload["request_parameters"]) == (None, None)
        assert payload["truncated"] == ["full_generation_data", "request_parameters"]

    def test_a_raw_value_is_a_text_like_any_other(self):
        payload = event_of(attrs.evolve(BARE, full_generation_data="\xe9" * 501)).payload
        assert payload["full_generation_data"] == "\xe9" * 500

    def test_what_could_not_be_read_is_named_as_well(self):
        cut = attrs.evolve(BARE, prompt_text="x" * 2000, truncated=("response_text", "prompt_text"))
        assert event_of(cut).payload["truncated"] == ["prompt_text", "response_text"]

    @pytest.mark.parametrize(("many", "left"), [(0, 0), (1000, 1000), (1001, 1000)])
    def test_of_very_many_tool_calls_the_first_are_named(self, many, left):
        calls = tuple({"name": str(number), "status": "completed"} for number in range(many))
        payload = event_of(attrs.evolve(BARE, tool_calls=calls)).payload
        assert payload["tool_calls"] == list(calls[:left])
        assert payload.get("truncated") == (["tool_calls"] if many > left else None)

    def test_nothing_unknown_is_cut_however_small_the_limit(self):
        assert event_of(BARE, limit=1).payload.get("truncated") is None


def test_a_gap_is_a_record_of_its_own():
    gap = Gap("ring", "missed", NOW_MS - 5, NOW_MS)
    event = build_gap(HOME, gap, session=a_session("s"), captured_at=CAPTURED_MS, host="h")
    assert (event.event_type, event.timestamp, event.metadata["timestamp_source"]) == (
        "database_gap",
        NOW_MS,
        "ring",
    )
    assert event.payload == {
        "trace_type": "gap",
        "detail": "missed",
        "after_timestamp": NOW_MS - 5,
        "before_timestamp": NOW_MS,
    }
    assert event.generation_id == ""
    timeless = build_gap(
        HOME, Gap("ring", "missed", None, None), session=a_session("s"), captured_at=5, host="h"
    )
    assert (timeless.timestamp, timeless.metadata["timestamp_source"]) == (5, "capture")
    assert timeless.event_id != event.event_id


def test_a_gap_in_a_place_whose_name_is_not_utf_8():
    place = attrs.evolve(HOME, database="/u/\udcff/state.vscdb")
    assert build_gap(
        place, Gap("ring", "missed", None, None), session=a_session("s"), captured_at=5, host="h"
    ).event_id


def test_one_line_of_ascii_whatever_is_in_it():
    text = "a\nb\u2028c\x85\ud800\x00"
    line = to_json(Event(0, "i", 1, "s", {}, {"prompt_text": text}))
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert from_json(line).payload["prompt_text"] == text


def test_no_line_holds_what_is_not_json():
    line = to_json(Event(0, "i", 1, "s", {}, {"x": float("nan"), "y": float("inf"), "z": 10**30, "a": 1e300}))
    assert from_json(line).payload == {"x": None, "y": None, "z": 10**30, "a": 1e300}


@given(st.recursive(st.text() | st.integers() | st.booleans() | st.none(), st.lists))
def test_any_text_comes_back_as_it_was(value):
    line = to_json(Event(0, "i", 1, "s", {}, {"x": value, "\u00e9": value}))
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert from_json(line).payload == {"x": value, "\u00e9": value}


@pytest.mark.parametrize("text", ["\ud800", "a\udfff\u4e2d", "\U0001f600\ud83d"])
def test_a_lone_surrogate_that_is_there_all_the_same_comes_back(text):
    line = to_json(Event(0, "i", 1, "s", {}, {"x": text}))
    assert line.isascii()
    assert from_json(line).payload == {"x": text}


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": None},
        {"payload": []},
        {"timestamp": "5"},
        {"timestamp": True},
        {"timestamp": 5.0},
        {"event_id": None},
        {"session_id": 5},
        {"event_type": None},
    ],
)
def test_what_is_none_of_our_events_is_refused(change):
    good = to_object(event_of(BARE))
    with pytest.raises(TypeError):
        from_object({**good, **change})
    with pytest.raises(KeyError):
        from_object({name: value for name, value in good.items() if name not in change})


@pytest.mark.parametrize("text", ["", "[]", "5", "{", '"x"', "null", b"\xff", "{}"])
def test_what_is_no_event_at_all(text):
    with pytest.raises((ValueError, TypeError, KeyError)):
        from_json(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(), json_values, max_size=4)
events = st.builds(
    Event,
    st.just(0),
    st.text(),
    st.integers(),
    st.text(),
    objects,
    objects,
    st.sampled_from(["database_trace", "x"]),
)


@settings(derandomize=True, deadline=None)
@given(events, st.integers(1))
def test_there_and_back(event, sequence):
    assert from_object(to_object(event)) == event
    assert from_json(to_json(event).encode(), sequence) == attrs.evolve(event, sequence=sequence)


@settings(derandomize=True, deadline=None)
@given(json_values, st.text(max_size=200), st.integers(1, 50))
def test_no_text_is_longer_than_the_limit_and_every_cut_is_named(value, text, limit):
    generation = attrs.evolve(BARE, full_generation_data=value, request_parameters=value, response_text=text)
    payload = event_of(generation, limit=limit).payload

    def texts(found):
        if isinstance(found, str):
            yield found
        for inner in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
            yield from texts(inner)

    given_ = {"full_generation_data": value, "request_parameters": value, "response_text": text}
    for name, before in given_.items():
        assert all(len(found.encode()) <= limit for found in texts(payload[name]))
        assert (payload[name] != before) == (name in payload.get("truncated", ()))
