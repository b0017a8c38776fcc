"""Bubbles: what is known of a message or a tool step, whatever its fields hold."""

from __future__ import annotations

import json
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_cursor.cursor.schemas.bubbles import (
    ASSISTANT,
    TOO_LARGE,
    UNREADABLE,
    USER,
    Bubble,
    bubble_of,
    parse_bubble,
)
from trio_cursor.cursor.schemas.values import ROW_LIMIT, BadValueError
from trio_cursor.demo import bubbles as demo
from trio_cursor.demo.eras import of_age

ERAS = [of_age(days) for days in (330, 290, 250, 180, 120, 60, 0)]
MOMENT_MS = 1_760_000_000_123
UUID = "0a1b2c3d-0000-4000-8000-00000000000f"
KEYS_READ = (
    *("bubbleId", "_v", "type", "createdAt", "requestId", "usageUuid", "serverBubbleId", "capabilityType"),
    *("unifiedMode", "turnDurationMs", "thinkingDurationMs", "tokenCount", "modelInfo", "timingInfo"),
    *("toolFormerData", "thinking", "text", "richText", "workspaceUris", "workspaceProjectDir"),
)
KEYS_INSIDE = (
    *("inputTokens", "outputTokens", "modelName", "clientRpcSendTime", "clientEndTime", "name", "tool"),
    *("status", "children", "root", "fsPath", "external", "path", "scheme", "uri", "id", "type", "text"),
)


def hostile_json(keys):
    """Anything that JSON can hold, with the keys that are read among its keys."""
    scalars = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.sampled_from([1, 2, 10**11, 10**20, 2**53 + 1])
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(), max_size=20)
        | st.sampled_from(
            ["", "default", "\ud800", "\x00", "9" * 400, "[" * 500, '{"root":{"children":[{}]}}']
        )
    )
    names = st.sampled_from(keys) | st.text(max_size=3)
    return st.recursive(
        scalars,
        lambda some: st.lists(some, max_size=4) | st.dictionaries(names, some, max_size=4),
        max_leaves=12,
    )


def stored(value):
    return json.dumps(value).encode()


def user(**fields):
    return bubble_of({"type": USER} | fields)


def assistant(**fields):
    return bubble_of({"type": ASSISTANT} | fields)


def lexical(*children):
    return json.dumps({"root": {"type": "root", "children": list(children)}})


def paragraph(*children):
    return {"type": "paragraph", "children": list(children)}


def text(of):
    return {"type": "text", "text": of}


BREAK = {"type": "linebreak"}


@pytest.mark.parametrize("era", ERAS, ids=lambda era: era.name)
def test_what_cursor_writes_of_a_question_is_known(era):
    value = demo.bubble(UUID, USER, era, MOMENT_MS)
    demo.ask(value, "first line\nsecond line", "lexical")
    bubble = parse_bubble(stored(value))
    assert (bubble.type, bubble.created_ms, bubble.request_id) == (USER, MOMENT_MS, None)
    assert bubble.text == "first line\nsecond line"
    assert not bubble.has_answer
    assert (bubble.tokens, bubble.tool_call, bubble.model, bubble.folders) == (None, None, None, ())


@pytest.mark.parametrize("era", ERAS, ids=lambda era: era.name)
def test_what_cursor_writes_of_an_answer_is_known(era):
    value = demo.bubble(UUID, ASSISTANT, era, MOMENT_MS)
    value |= {"text": "an answer", "requestId": UUID, "modelInfo": {"modelName": "some-model"}}
    value |= {"tokenCount": {"inputTokens": 12, "outputTokens": 0}, "turnDurationMs": 1234.5}
    value["timingInfo"] = demo.timing(Random(1), MOMENT_MS, MOMENT_MS + 900)
    bubble = parse_bubble(stored(value))
    assert (bubble.request_id, bubble.text, bubble.has_answer) == (UUID, "an answer", True)
    assert (bubble.model, bubble.tokens, bubble.duration_ms) == ("some-model", (12, 0), 1234)
    assert (bubble.sent_ms, bubble.ended_ms, bubble.measured_ms) == (MOMENT_MS, MOMENT_MS + 900, 900)


def test_an_answer_begins_empty():
    assert not bubble_of(demo.bubble(UUID, ASSISTANT, ERAS[-1], MOMENT_MS)).has_answer


def test_a_thought_is_an_answer_without_a_text():
    value = demo.bubble(UUID, ASSISTANT, ERAS[-1], MOMENT_MS)
    demo.think(value, "hidden")
    bubble = bubble_of(value)
    assert bubble.has_answer
    assert bubble.text is None


@pytest.mark.parametrize("name", ["read_file_v2", None])
def test_of_a_tool_name_and_status_are_known_and_nothing_that_it_was_given_or_gave(name):
    value = demo.bubble(UUID, ASSISTANT, ERAS[-1], MOMENT_MS)
    demo.use_tool(value, name, "call-1", "/secret/path")
    demo.end_tool(value, "completed", "secret result")
    bubble = parse_bubble(stored(value))
    assert bubble.tool_call == {"name": name, "status": "completed"}
    assert bubble.has_answer
    source = bubble.source["toolFormerData"]
    assert source.pop("tool") > 0
    assert source == ({"name": name} if name else {}) | {"toolCallId": "call-1", "status": "completed"}
    assert "secret" not in repr(bubble)


@pytest.mark.parametrize(
    ("data", "tool_call"),
    [
        ({}, {"name": None, "status": None}),
        ({"name": 7, "status": ["completed"]}, {"name": None, "status": None}),
        ({"name": "n" * 100, "status": "s" * 101}, {"name": "n" * 100, "status": None}),
        ({"name": "", "status": "error"}, {"name": None, "status": "error"}),
        ("a text", None),
        (None, None),
        ([], None),
    ],
)
def test_a_tool_call_is_an_object_and_its_names_are_short(data, tool_call):
    bubble = assistant(toolFormerData=data)
    assert bubble.tool_call == tool_call
    assert bubble.has_answer == (tool_call is not None)


@pytest.mark.parametrize(
    ("fields", "has_answer"),
    [
        ({"type": 2, "text": "x"}, True),
        ({"type": 2, "text": ""}, False),
        ({"type": 2, "text": ["x"]}, False),
        ({"type": 2, "richText": "x"}, False),
        ({"type": 2, "thinking": "x"}, False),
        ({"type": 2, "thinking": {}}, True),
        ({"type": 1, "text": "x", "thinking": {}, "toolFormerData": {}}, False),
        # Its header may say that it is the assistant's.
        ({"text": "x"}, True),
    ],
)
def test_what_is_an_answer(fields, has_answer):
    assert bubble_of(fields).has_answer == has_answer


@pytest.mark.parametrize(
    ("rich", "plain"),
    [
        (lexical(paragraph(text("one"))), "one"),
        (lexical(paragraph(text("one"), BREAK, text("two"))), "one\ntwo"),
        (lexical(paragraph(text("one")), paragraph(), paragraph(text("two"))), "one\n\ntwo"),
        (lexical(paragraph(text("see "), {"type": "mention", "text": "@file"}, text("!"))), "see @file!"),
        (lexical(paragraph({"type": "link", "children": [text("a"), text("b")]})), "ab"),
        (lexical({"type": "list", "children": [paragraph(text("a")), paragraph(text("b"))]}), "a\nb"),
        (lexical(paragraph(text("one"), 7, None, {"text": 5, "children": "x"}), "stray"), "one"),
        (json.dumps({"root": {"children": [paragraph(text("no type"))]}}), "no type"),
        (json.dumps({"root": {"type": "linebreak", "children": [paragraph(text("odd"))]}}), "odd"),
        (lexical(paragraph(text("\ud83d cut"))), "\ufffd cut"),
        ("\ud83d cut", "\ufffd cut"),
        ("not Lexical", "not Lexical"),
        ('{"json": "of the user"}', '{"json": "of the user"}'),
        ('{"root": {"children": "x"}}', '{"root": {"children": "x"}}'),
        ('{"root": 7}', '{"root": 7}'),
        ("[1, 2]", "[1, 2]"),
        ("42", "42"),
        ("[" * 5000, "[" * 5000),
        (lexical(), None),
        (lexical(paragraph()), None),
        ("", None),
        (7, None),
        ({"root": {}}, None),
    ],
)
def test_a_question_may_stand_in_the_editors_state_alone(rich, plain):
    assert user(text="", richText=rich).text == plain
    assert user(text="the text", richText=rich).text == "the text"
    assert assistant(text="", richText=rich).text is None


def test_the_editors_state_may_be_deep_but_not_without_end():
    def deep(levels):
        return '{"root":' + '{"children":[' * levels + '{"text":"down here"}' + "]}" * levels + "}"

    assert user(richText=deep(95)).text == "down here"
    assert user(richText=deep(2000)).text == deep(2000)


@pytest.mark.parametrize(
    ("counts", "tokens"),
    [
        ({"inputTokens": 0, "outputTokens": 0}, None),
        ({"inputTokens": 5, "outputTokens": 0}, (5, 0)),
        ({"inputTokens": 0, "outputTokens": 6}, (0, 6)),
        ({"inputTokens": 5}, (5, None)),
        ({"inputTokens": 5.0, "outputTokens": "6"}, (5, None)),
        ({"inputTokens": True, "outputTokens": -1}, None),
        ({"inputTokens": 2**60}, None),
        ({}, None),
        ([5, 6], None),
        (None, None),
    ],
)
def test_counts_that_cursor_does_not_give_are_none(counts, tokens):
    assert assistant(tokenCount=counts).tokens == tokens


@pytest.mark.parametrize(
    ("info", "model"),
    [
        ({"modelName": "some-model"}, "some-model"),
        ({"modelName": "default"}, None),
        ({"modelName": ""}, None),
        ({"modelName": "m" * 200}, "m" * 200),
        ({"modelName": "m" * 201}, None),
        ({"modelName": "\udc00m"}, "\ufffdm"),
        ({"modelName": 4}, None),
        ("some-model", None),
    ],
)
def test_the_name_of_a_model(info, model):
    assert assistant(modelInfo=info).model == model


@pytest.mark.parametrize(
    ("said", "known"),
    [(0, 0), (12.9, 12), (-1, None), (True, None), ("12", None), (2**60, None), (None, None)],
)
def test_the_duration_of_a_turn(said, known):
    assert assistant(turnDurationMs=said).duration_ms == known


@pytest.mark.parametrize(
    ("timing", "known"),
    [
        (
            {"clientRpcSendTime": MOMENT_MS + 0.9, "clientEndTime": MOMENT_MS + 2.1},
            (MOMENT_MS, MOMENT_MS + 2, 2),
        ),
        ({"clientRpcSendTime": MOMENT_MS, "clientEndTime": MOMENT_MS}, (MOMENT_MS, MOMENT_MS, 0)),
        ({"clientRpcSendTime": MOMENT_MS, "clientEndTime": MOMENT_MS - 1}, (MOMENT_MS, MOMENT_MS - 1, None)),
        ({"clientEndTime": MOMENT_MS, "clientStartTime": 5_000_000_000.5}, (None, MOMENT_MS, None)),
        ({"clientRpcSendTime": MOMENT_MS, "clientEndTime": [MOMENT_MS]}, (MOMENT_MS, None, None)),
        ([], (None, None, None)),
    ],
)
def test_times_are_floats_and_the_one_of_the_process_is_no_time(timing, known):
    bubble = assistant(timingInfo=timing)
    assert (bubble.sent_ms, bubble.ended_ms, bubble.measured_ms) == known


def test_the_folders_of_a_bubble_are_listed_once_each_and_not_without_end():
    twice = ["file:///a", 7, {"fsPath": "/b"}, "file:///a"]
    assert user(workspaceUris=twice, workspaceProjectDir="/c").folders == ("file:///a", "/b", "/c")
    assert user(workspaceUris="file:///a").folders == ()
    assert len(user(workspaceUris=[f"file:///{number}" for number in range(1000)]).folders) == 20


def test_a_source_has_known_keys_with_numbers_and_short_texts_alone():
    value = {
        "bubbleId": UUID,
        "_v": 3,
        "type": 2,
        "createdAt": None,
        "requestId": "\ud800x",
        "usageUuid": "u" * 1001,
        "serverBubbleId": ["secret"],
        "capabilityType": {"secret": 1},
        "unifiedMode": 2,
        "turnDurationMs": 1.5,
        "tokenCount": {"inputTokens": 1, "outputTokens": 2, "secretTokens": 3},
        "modelInfo": {"modelName": "m", "secretKey": "secret"},
        "timingInfo": {"clientEndTime": 1.5, "secret": "secret"},
        "toolFormerData": {"rawArgs": "secret", "result": "secret"},
        "text": "secret",
        "richText": "secret",
        "thinking": {"text": "secret"},
        "secret": "secret",
    }
    assert bubble_of(value).source == {
        "bubbleId": UUID,
        "_v": 3,
        "type": 2,
        "createdAt": None,
        "requestId": "\ufffdx",
        "unifiedMode": 2,
        "turnDurationMs": 1.5,
        "tokenCount": {"inputTokens": 1, "outputTokens": 2},
        "modelInfo": {"modelName": "m"},
        "timingInfo": {"clientEndTime": 1.5},
    }


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "NULL"),
        (7, "a number"),
        (b"[]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"{", "not JSON"),
        (b'{"type":' + b"[" * 300 + b"]" * 300 + b"}", "nested too deeply"),
        (b" " * ROW_LIMIT + b"{}", "bytes, more than"),
    ],
)
def test_what_is_no_bubble_is_refused(value, why):
    with pytest.raises(BadValueError, match=why):
        parse_bubble(value)


def test_what_was_not_read_or_cannot_be_is_unknown():
    assert Bubble(is_too_large=True) == TOO_LARGE
    assert bubble_of({}) == UNREADABLE
    assert not UNREADABLE.has_answer


@given(st.dictionaries(st.sampled_from(KEYS_READ) | st.text(max_size=3), hostile_json(KEYS_INSIDE)))
def test_nothing_that_a_bubble_holds_is_too_much(value):
    bubble = parse_bubble(stored(value))
    assert bubble_of(value) == bubble
    json.dumps(bubble.source, ensure_ascii=False).encode()
    repr(bubble).encode()
    assert bubble.tokens is None or any(bubble.tokens)
    assert bubble.text is None or bubble.text
    assert bubble.request_id is None or 0 < len(bubble.request_id) <= 200


@given(st.binary(max_size=60))
def test_whatever_stands_in_a_row_is_a_bubble_or_refused(value):
    with suppress(BadValueError):
        parse_bubble(value)
