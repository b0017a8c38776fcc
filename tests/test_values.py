"""Values as Cursor's files, and whoever writes into them, really hold them."""

from __future__ import annotations

import json
import string
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_cursor.cursor.schemas.values import (
    ROW_LIMIT,
    BadValueError,
    canonical_id,
    clean_text,
    count,
    digest,
    is_uuid,
    milliseconds,
    parse_json,
    text_of,
    usable_id,
)

UUID = "0A1b2c3D-0000-4000-8000-00000000000f"
MOMENT_MS = 1_760_000_000_123


def nested(depth, inside="1"):
    return ("[" * depth + inside + "]" * depth).encode()


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        (None, "NULL"),
        (7, "a number (int)"),
        (7.5, "a number (float)"),
        (b"", "not JSON (line 1, column 1)"),
        (b"[1,\n", "not JSON (line 2"),
        (b"{} {}", "not JSON"),
        (b'"\x00"', "not JSON"),
        (b"[NaN]", "NaN"),
        (b"[Infinity]", "Infinity"),
        (b"[-Infinity]", "-Infinity"),
        (b"[1e400]", "beyond all bounds"),
        (b"[-1e400]", "beyond all bounds"),
        pytest.param(b"[" + b"9" * 5000 + b"]", "too many digits", id="5,000 digits"),
        pytest.param(nested(100_000), "nested too deeply", id="100,000 deep"),
        pytest.param(nested(201), "nested too deeply", id="201 deep"),
        pytest.param(b'{"a":' * 201 + b"1" + b"}" * 201, "nested too deeply", id="201 objects deep"),
        pytest.param(b"[1]" + b" " * ROW_LIMIT, "bytes, more than", id="too large"),
    ],
)
def test_what_is_not_strict_json_is_refused_in_words_that_quote_nothing(stored, why):
    with pytest.raises(BadValueError) as caught:
        parse_json(stored, limit=ROW_LIMIT)
    assert why in str(caught.value)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize(
    ("stored", "parsed"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b"\xef\xbb\xbf[1]", [1]),
        (b"null", None),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'["\xff\xc3"]', ["\ufffd\ufffd"]),
        (b'["\xed\xa0\xbd"]', ["\ufffd" * 3]),
        (rb'["\ud83d", {"\udc00": "\ud83d\ude00"}, 5, null]', ["\ufffd", {"\ufffd": "\U0001f600"}, 5, None]),
        (b"[1e308]", [1e308]),
        pytest.param(b"[" + b"9" * 4300 + b"]", [int("9" * 4300)], id="4,300 digits"),
    ],
)
def test_everything_else_is_parsed_without_a_lone_surrogate_left(stored, parsed):
    assert parse_json(stored, limit=ROW_LIMIT) == parsed


def test_what_is_parsed_can_be_written_from_anywhere():
    """A value nested as deep as is allowed, written near the end of the stack."""
    value = parse_json(nested(200), limit=ROW_LIMIT)

    def write(frames):
        return write(frames - 1) if frames else json.dumps(value)

    assert write(sys.getrecursionlimit() // 2) == nested(200).decode()


def test_many_brackets_are_not_depth():
    wide = b"[" + b",".join([b"[]"] * 10_000) + b"]"
    assert len(parse_json(wide, limit=ROW_LIMIT)) == 10_000


@pytest.mark.parametrize(
    ("value", "time"),
    [
        (MOMENT_MS, MOMENT_MS),
        (float(MOMENT_MS) + 0.9, MOMENT_MS),
        (1_760_000_000, 1_760_000_000_000),
        (1_760_000_000.5, 1_760_000_000_500),
        (10**8, 10**11),
        (10**11, 10**11),
        (10**14 - 1, 10**14 - 1),
        ("1760000000123", MOMENT_MS),
        (b"1760000000123", MOMENT_MS),
        (" 1760000000 ", 1_760_000_000_000),
        ("2025-10-09T08:53:20.123Z", MOMENT_MS),
        ("2025-10-09T08:53:20.123", MOMENT_MS),
        ("2025-10-09T10:53:20.1239+02:00", MOMENT_MS),
        ("2100-01-01T00:00:00Z", 4_102_444_800_000),
        (4_102_444_800_000, 4_102_444_800_000),
        ("1969-12-31T23:59:59.999Z", -1),
        (10**8 - 1, None),
        (10**14, None),
        (0, None),
        (-MOMENT_MS, None),
        (True, None),
        (False, None),
        (None, None),
        ([MOMENT_MS], None),
        ({}, None),
        (float("nan"), None),
        (float("inf"), None),
        pytest.param(10**5000, None, id="5,001 digits"),
        pytest.param("9" * 5000, None, id="5,000 digits as text"),
        ("", None),
        ("-1760000000123", None),
        ("1760000000.5", None),
        ("\u0661\u0667\u0666\u0660\u0660\u0660\u0660\u0660\u0660\u0660", None),
        ("yesterday", None),
        ("true", None),
        ("\ud800", None),
        (b"\xff\xfe", None),
    ],
)
def test_times(value, time):
    assert milliseconds(value) == time
    assert not isinstance(milliseconds(value), bool)


@pytest.mark.parametrize(
    ("value", "counted"),
    [
        (0, 0),
        (17, 17),
        (17.0, 17),
        (2**53, 2**53),
        (2**53 + 1, None),
        pytest.param(10**4299, None, id="4,300 digits"),
        (1e300, None),
        (17.5, None),
        (-1, None),
        (True, None),
        (False, None),
        ("17", None),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        ([1], None),
    ],
)
def test_counts(value, counted):
    assert count(value) == counted
    assert type(count(value)) is type(counted)


@pytest.mark.parametrize(
    ("value", "id_"),
    [
        (UUID, UUID),
        (UUID.encode(), UUID),
        ("x", "x"),
        ("\u4e16" * 200, "\u4e16" * 200),
        ("x" * 201, None),
        ("", None),
        (b"", None),
        ("a\nb", None),
        ("a\x00b", None),
        ("a\x7fb", None),
        ("a\x85b", None),
        ("\ud800", "\ufffd"),
        (b"\xff", "\ufffd"),
        (5, None),
        (5.5, None),
        (None, None),
        (["x"], None),
        (True, None),
    ],
)
def test_ids(value, id_):
    assert usable_id(value) == id_


def test_a_uuid_is_compared_in_lower_case_and_nothing_else_is():
    assert is_uuid(UUID)
    assert canonical_id(UUID) == UUID.lower()
    for other in ("Abc", UUID + "x", UUID[:-1], UUID.replace("-", ""), "\u0130" + UUID[1:], UUID + "\n"):
        assert not is_uuid(other)
        assert canonical_id(other) == other


def test_texts():
    assert text_of(b"caf\xc3") == "caf\ufffd"
    assert text_of("a\ud800b") == "a\ufffdb"
    assert text_of(5) is None
    assert text_of(None) is None
    assert clean_text("\U0001f600") == "\U0001f600"


def test_a_digest_takes_every_text():
    assert digest("\ud800") != digest("\ufffd")
    assert len(digest("x" * 10_000)) == 16


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@settings(derandomize=True, deadline=None)
@given(json_values)
def test_json_of_javascript_comes_through_and_goes_into_any_encoder(value):
    stored = json.dumps(value).encode()
    parsed = parse_json(stored, limit=ROW_LIMIT)
    assert parsed == json.loads(stored)
    json.dumps(parsed, ensure_ascii=False, allow_nan=False).encode()


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.binary(max_size=40) | st.text(st.sampled_from(string.printable + '\\ud8{}[]":,'), max_size=30))
def test_no_bytes_do_more_than_be_refused(value):
    stored = value.encode() if isinstance(value, str) else value
    try:
        parsed = parse_json(stored, limit=100)
    except BadValueError:
        pass
    else:
        json.dumps(parsed, ensure_ascii=False).encode()
    milliseconds(value)
    assert (text_of(value) or "").encode() is not None
    id_ = usable_id(value)
    assert id_ is None or 0 < len(id_) <= 200
