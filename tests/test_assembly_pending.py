"""What is pending, as text and back."""

from __future__ import annotations

import attrs
import pytest
from assembly_world import W1, W2, entry, prompt, row, turn
from hypothesis import given, settings
from hypothesis import strategies as st
from scans import NOW_MS, workspace

from trio_cursor.assembly import PendingEntry, PendingTurn, from_text, to_text
from trio_cursor.assembly.pending import Row

PLACE = attrs.evolve(
    W1, path="/p", uri="file:///p", hash="0123456789abcdef", problem="none", first_scope="w1"
)
ENTRY = PendingEntry("k", PLACE, entry(1), NOW_MS)
TURN = PendingTurn(W2, turn(1, at="c/b"), NOW_MS, NOW_MS + 1)


@pytest.mark.parametrize(
    "pending",
    [
        ENTRY,
        attrs.evolve(ENTRY, is_old=True, since_ms=5, earliest_ms=None, entry=entry(1, None, text=None)),
        TURN,
        attrs.evolve(TURN, since_ms=5, is_gone=True),
        attrs.evolve(TURN, turn=turn(None, time=None, newest_ms=None, created_ms=None)),
        attrs.evolve(TURN, row=Row(W1, row(1, {"a": [{"b": None}, 1.5]}, prompt=prompt("p", 3)), 7)),
        attrs.evolve(TURN, row=Row(W1, row(1, left_out=("response_text",), raw="x"))),
        attrs.evolve(TURN, workspace=workspace("w", profile="/\udcff")),
    ],
)
def test_there_and_back(pending):
    text = to_text(pending)
    assert text.isascii()
    found = from_text(text)
    assert (found, type(found), found.key) == (pending, type(pending), pending.key)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(derandomize=True, deadline=None)
@given(st.text(), st.text(), st.dictionaries(st.text(), json_values, max_size=3))
def test_whatever_is_in_it(name, text, value):
    found = attrs.evolve(entry(1, text=text), source=value)
    pending = attrs.evolve(ENTRY, entry=found, workspace=workspace(name))
    assert from_text(to_text(pending)) == pending
    with_row = attrs.evolve(TURN, row=Row(W1, row(1, value, raw=text)), turn=turn(1, at=f"{name}/{text}"))
    assert from_text(to_text(with_row)) == with_row


@pytest.mark.parametrize("text", ["", "[]", "{}", "5", "null", '{"turn": 1}', '{"entry": {}}', '{"x": {}}'])
def test_what_is_nothing_of_the_kind_is_refused(text):
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        from_text(text)


def test_what_a_turn_has_no_more_is_passed_over():
    stored = to_text(TURN).replace('"is_settled"', '"is_first":false,"is_last":true,"is_settled"')
    assert from_text(stored) == TURN


def test_what_another_version_wrote_is_refused():
    with pytest.raises(TypeError):
        from_text(to_text(ENTRY).replace('"seen_ms"', '"seen"'))
    with pytest.raises(TypeError):
        from_text(to_text(TURN).replace('"fingerprint"', '"finger"'))
