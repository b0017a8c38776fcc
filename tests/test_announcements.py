"""What entries of a stream, posts and files say of sessions, and what is no such thing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_cursor.sessions.announcements import (
    FIELD_LIMIT,
    LONGEST_PATH,
    Announcement,
    announcement,
    stream_announcement,
)

HASH = "0123456789abcdef"
HEARD = 1_800_000_000_000


def entry(kind=b"session_start", payload=None, metadata=None, **more):
    """An entry of a stream, as the extension writes it."""
    payload = {"session_id": "s1", "workspace_path": "/home/demo/a"} if payload is None else payload
    metadata = {"workspace_hash": HASH} if metadata is None else metadata
    return {
        b"event_type": kind,
        b"hook_type": b"SessionStart",
        b"payload": payload if isinstance(payload, bytes) else json.dumps(payload).encode(),
        b"metadata": metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode(),
    } | {name.encode(): value for name, value in more.items()}


def heard(fields):
    return stream_announcement(fields, source="redis", heard_ms=HEARD)


def test_a_start_and_an_end():
    start = Announcement(True, "s1", HASH, "redis", HEARD, None, "/home/demo/a")
    assert heard(entry()) == start
    assert heard(entry(b"session_end", {"session_id": "s1"})) == Announcement(
        False, "s1", HASH, "redis", HEARD
    )


def test_the_hash_and_the_id_may_stand_in_either_object():
    found = heard(entry(payload={"workspace_hash": HASH}, metadata={"session_id": "s1"}))
    assert (found.workspace_hash, found.session_id) == (HASH, "s1")
    both = heard(
        entry(
            payload={"workspace_hash": "f" * 16, "session_id": "payload"},
            metadata={"workspace_hash": HASH, "session_id": "metadata"},
        )
    )
    assert (both.workspace_hash, both.session_id) == (HASH, "payload")
    assert (
        heard(entry(metadata=b" ", payload={"workspace_hash": HASH, "session_id": "s1"})).session_id == "s1"
    )


def test_an_id_outside_of_both_objects_is_the_last_to_be_asked():
    def said(payload):
        return announcement(
            "session_end",
            payload,
            {"workspace_hash": HASH},
            source="http",
            heard_ms=HEARD,
            session_id="outside",
        ).session_id

    assert (said({}), said({"session_id": "inside"})) == ("outside", "inside")


def test_a_hash_is_compared_in_lower_case_and_kept_at_its_length():
    assert heard(entry(metadata={"workspace_hash": "AB" * 32})).workspace_hash == "ab" * 32


@pytest.mark.parametrize(
    ("fields", "said_ms"),
    [
        (entry(timestamp=b"1700000000000"), 1_700_000_000_000),
        (entry(timestamp=b"2023-11-14T22:13:20Z"), 1_700_000_000_000),
        (entry(timestamp=b"1700000000"), 1_700_000_000_000),
        (entry(payload={"session_id": "s1", "timestamp": 1_700_000_000_000}), 1_700_000_000_000),
        (entry(metadata={"workspace_hash": HASH, "timestamp": "1700000000000"}), 1_700_000_000_000),
        (entry(timestamp=b"yesterday"), None),
        (entry(timestamp=b"1" * 65), None),
        (entry(), None),
    ],
)
def test_its_own_time_if_it_has_one(fields, said_ms):
    found = heard(fields)
    assert found.said_ms == said_ms
    assert found.at_ms == (HEARD if said_ms is None else said_ms)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {b"payload": b"not parsed"},
        entry(b"database_trace", b"not parsed"),
        entry(b"SESSION_START", b"not parsed"),
        entry(b"session_start" * 100_000, b"not parsed"),
        entry(b"session_start\xff"),
    ],
)
def test_what_is_about_something_else_is_not_even_parsed(fields):
    assert heard(fields) is None


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (entry(metadata={}), "no workspace_hash"),
        (entry(metadata={"workspace_hash": ""}), "no workspace_hash"),
        (entry(payload={}), "no session_id"),
        (entry(payload={"session_id": None}), "no session_id"),
        (entry(payload=b"{"), "payload is not JSON"),
        (entry(payload=b"[" * 60_000), "payload is not JSON"),
        (entry(payload=b"9" * 60_000), "payload is not JSON"),
        (entry(payload=b'{"session_id": NaN}'), "payload is not JSON"),
        (entry(metadata=b"[]"), "metadata is not an object"),
        (entry(metadata=b"null"), "metadata is not an object"),
        (entry(payload=b" " * (FIELD_LIMIT + 1)), f"payload is larger than {FIELD_LIMIT} bytes"),
        (entry(metadata=b"{" + b" " * FIELD_LIMIT), f"metadata is larger than {FIELD_LIMIT} bytes"),
        (entry(payload={"session_id": 5}), "session_id is not usable"),
        (entry(payload={"session_id": ["s1"]}), "session_id is not usable"),
        (entry(payload={"session_id": "s" * 201}), "session_id is not usable"),
        (entry(payload={"session_id": "s\x1b[31m"}), "session_id is not usable"),
        (
            entry(payload={"session_id": "s1", "workspace_path": "/" * (LONGEST_PATH + 1)}),
            f"workspace_path is longer than {LONGEST_PATH} characters",
        ),
    ],
)
def test_what_cannot_be_used_says_why(fields, why):
    assert heard(fields) == why


@pytest.mark.parametrize(
    "hash_", ["a" * 15, "a" * 65, "../../etc/passwd", "/" + HASH, HASH + "\n", "g" * 16, 5, [HASH], {"a": 1}]
)
def test_a_hash_of_the_wrong_form_is_passed_over(hash_):
    assert heard(entry(metadata={"workspace_hash": hash_})) == "workspace_hash is not 16 to 64 hex digits"


def test_a_path_is_only_a_text():
    def path(value):
        return heard(entry(payload={"session_id": "s1", "workspace_path": value})).workspace_path

    assert path("../../../etc") == "../../../etc"
    assert path("/a\ud800") == "/a\ufffd"
    assert path("/" * LONGEST_PATH) == "/" * LONGEST_PATH
    assert [path(value) for value in ("", None, 5, ["/a"], {})] == [None] * 5


def test_bytes_that_are_not_utf_8_are_replaced():
    found = heard(entry(payload=b'{"session_id": "s\xff1", "workspace_path": "/\xfe"}'))
    assert (found.session_id, found.workspace_path) == ("s\ufffd1", "/\ufffd")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([HASH, "s1"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
_NAMES = st.sampled_from(["session_id", "workspace_hash", "workspace_path", "timestamp", "event_type"])
_OBJECTS = st.dictionaries(_NAMES, _JSON)


@given(
    st.dictionaries(
        st.sampled_from([b"event_type", b"payload", b"metadata", b"timestamp"]),
        st.binary() | _OBJECTS.map(lambda value: json.dumps(value).encode()) | st.just(b"session_start"),
    )
)
def test_whatever_stands_in_an_entry_is_used_or_says_why(fields):
    found = heard(fields)
    assert found is None or isinstance(found, (Announcement, str))
    if isinstance(found, Announcement):
        found.session_id.encode()
        (found.workspace_path or "").encode()


@given(_JSON | st.just("session_start"), _OBJECTS, _OBJECTS, _JSON, _JSON)
def test_whatever_stands_in_a_post_is_used_or_says_why(kind, payload, metadata, session_id, said):
    found = announcement(
        kind, payload, metadata, source="http", heard_ms=HEARD, session_id=session_id, said=said
    )
    assert found is None or isinstance(found, (Announcement, str))
