"""Documents: what a conversation says of itself, whatever its fields hold."""

from __future__ import annotations

import json
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_bubbles import ERAS, KEYS_INSIDE, KEYS_READ, MOMENT_MS, UUID, hostile_json, stored

from trio_cursor.cursor.schemas.bubbles import bubble_of
from trio_cursor.cursor.schemas.documents import Header, document_of, parse_document
from trio_cursor.cursor.schemas.values import RING_LIMIT, BadValueError, usable_id
from trio_cursor.demo import bubbles as demo
from trio_cursor.demo.conversation import Conversation

DOCUMENT_KEYS = (
    *("composerId", "_v", "createdAt", "lastUpdatedAt", "status", "unifiedMode", "name", "modelConfig"),
    *("latestChatGenerationUUID", "contextTokensUsed", "contextTokenLimit", "generatingBubbleIds"),
    *("fullConversationHeadersOnly", "conversation", "workspaceIdentifier"),
    *("subagentComposerIds", "subComposerIds"),
)


def document(**fields):
    return document_of("c", fields)


def header(id_, kind=1, **fields):
    return {"bubbleId": id_, "type": kind} | fields


class Shelf:
    """Takes what a conversation of the demo writes."""

    def __init__(self):
        self.values = {}

    def put(self, key, value, *, as_blob):
        self.values[key] = stored(value)

    def put_header(self, *columns):
        pass


@pytest.mark.parametrize("era", ERAS, ids=lambda era: era.name)
def test_what_cursor_writes_is_known(era):
    conversation, shelf = Conversation(Random(3), era, None, MOMENT_MS), Shelf()
    conversation.status = "generating"
    conversation.generating, conversation.latest = ["b2"], UUID
    for id_, kind in (("b1", 1), ("b2", 2)):
        conversation.put_bubble(shelf, demo.bubble(id_, kind, era, MOMENT_MS))
        conversation.add_header(id_, kind, MOMENT_MS + 5)
    conversation.write(shelf, MOMENT_MS + 9)
    found = parse_document(conversation.id, shelf.values[f"composerData:{conversation.id}"])
    assert (found.conversation_id, found.created_ms) == (conversation.id, MOMENT_MS)
    assert (found.status, found.is_generating, found.latest_id) == ("generating", True, UUID)
    assert [(h.bubble_id, h.type) for h in found.headers] == [("b1", 1), ("b2", 2)]
    assert found.model == conversation.model
    assert found.newest_ms >= MOMENT_MS
    assert found.skipped == {}
    assert found.source["composerId"] == conversation.id
    if era.is_inline:
        assert list(found.inline) == ["b1", "b2"]
        assert found.inline["b2"] == bubble_of(conversation.bubbles["b2"])
    else:
        assert found.inline is None
        assert {h.created_ms for h in found.headers} == {MOMENT_MS + 5}


def test_a_conversation_may_know_nothing():
    empty = document()
    assert (empty.headers, empty.inline, empty.newest_ms, empty.source) == ((), None, None, {})
    assert (empty.status, empty.is_generating, empty.model, empty.latest_id) == (None, False, None, None)
    assert (empty.workspace_id, empty.folder, empty.sub_agents, empty.skipped) == (None, None, (), {})


def test_headers_without_an_id_are_dropped_and_counted():
    items = [
        header("a"),
        header("b", 2, createdAt="2025-10-09T08:53:20.123Z"),
        header(""),
        header("x\n"),
        header("x" * 201),
        header(7),
        {},
        "text",
        None,
        header("c", True),
        header("d", "2"),
        header("e", 2.0, createdAt=MOMENT_MS),
        header("a", 2),
    ]
    found = document(fullConversationHeadersOnly=items)
    assert found.headers == (
        Header("a", 1, None),
        Header("b", 2, MOMENT_MS),
        Header("c", None, None),
        Header("d", None, None),
        Header("e", 2, MOMENT_MS),
    )
    assert found.skipped == {"header without a usable bubbleId": 7, "bubble named twice": 1}


def test_messages_may_stand_in_the_document_itself():
    messages = [
        header("a", text="ask", createdAt=MOMENT_MS),
        header("b", 2, text="answer"),
        header("", 2, text="more"),
        {"text": "nobody's"},
        header("a", 1, text="another"),
        7,
        None,
    ]
    found = document(conversation=messages, fullConversationHeadersOnly=[])
    ids = [h.bubble_id for h in found.headers]
    assert ids == ["a", "b", "\n#2", "\n#3", "\n#4"]
    assert [h.type for h in found.headers] == [1, 2, 2, None, 1]
    assert [usable_id(id_) for id_ in ids] == ["a", "b", None, None, None]
    assert [found.inline[id_].text for id_ in ids] == ["ask", "answer", "more", "nobody's", "another"]
    assert found.headers[0].created_ms == MOMENT_MS
    assert found.skipped == {
        "message without a bubbleId of its own": 3,
        "message that is not a JSON object": 2,
    }


def test_headers_go_before_messages_in_the_document():
    found = document(conversation=[header("a"), header("b")], fullConversationHeadersOnly=[header("b")])
    assert ([h.bubble_id for h in found.headers], found.inline) == (["b"], None)


@pytest.mark.parametrize("messages", [[], None, {}, "x", [1, 2]])
def test_without_any_message_nothing_is_inline(messages):
    assert document(conversation=messages).inline is None


@pytest.mark.parametrize(
    ("fields", "status", "is_generating"),
    [
        ({"status": "generating"}, "generating", True),
        ({"status": "completed"}, "completed", False),
        ({"status": "completed", "generatingBubbleIds": []}, "completed", False),
        ({"status": "completed", "generatingBubbleIds": ["b"]}, "completed", True),
        ({"generatingBubbleIds": "b"}, None, False),
        ({"status": ["generating"]}, None, False),
        ({"status": "s" * 101}, None, False),
    ],
)
def test_whether_somebody_is_at_it(fields, status, is_generating):
    found = document(**fields)
    assert (found.status, found.is_generating) == (status, is_generating)


@pytest.mark.parametrize(
    ("fields", "newest_ms"),
    [
        ({"createdAt": MOMENT_MS}, MOMENT_MS),
        ({"createdAt": MOMENT_MS, "lastUpdatedAt": MOMENT_MS + 1}, MOMENT_MS + 1),
        ({"createdAt": MOMENT_MS, "lastUpdatedAt": 0}, MOMENT_MS),
        (
            {
                "lastUpdatedAt": MOMENT_MS,
                "fullConversationHeadersOnly": [header("a", createdAt=MOMENT_MS + 7), header("b")],
            },
            MOMENT_MS + 7,
        ),
        ({"createdAt": "yesterday", "lastUpdatedAt": True}, None),
    ],
)
def test_its_newest_time(fields, newest_ms):
    assert document(**fields).newest_ms == newest_ms


@pytest.mark.parametrize(
    ("config", "model"),
    [({"modelName": "m"}, "m"), ({"modelName": "default"}, None), ({"modelName": ["m"]}, None), ("m", None)],
)
def test_its_model(config, model):
    assert document(modelConfig=config).model == model


@pytest.mark.parametrize(
    ("identifier", "place"),
    [
        ({"id": "ws", "uri": {"fsPath": "/a", "external": "file:///a"}}, ("ws", "/a")),
        ({"id": "ws"}, ("ws", None)),
        ({"uri": {"external": "file:///a"}}, (None, "file:///a")),
        ({"id": 7, "uri": 7}, (None, None)),
        ({"id": "w" * 201, "uri": {}}, (None, None)),
        ("ws", (None, None)),
    ],
)
def test_where_it_says_that_it_belongs(identifier, place):
    found = document(workspaceIdentifier=identifier)
    assert (found.workspace_id, found.folder) == place


def test_agents_of_both_lists_once_each():
    found = document(
        subagentComposerIds=["task-1\nmore", "two", 7, None, "", "x" * 501],
        subComposerIds=["two", "three"],
    )
    assert found.sub_agents == ("task-1\nmore", "two", "three")
    assert document(subagentComposerIds="two", subComposerIds={"three": 3}).sub_agents == ()


def test_a_source_has_known_keys_alone():
    found = document(
        composerId="c",
        _v=17,
        createdAt=MOMENT_MS,
        lastUpdatedAt=None,
        status="completed",
        unifiedMode="agent",
        name="A title",
        modelConfig={"modelName": "m", "maxMode": True, "apiKey": "secret"},
        latestChatGenerationUUID=UUID,
        contextTokensUsed=5,
        contextTokenLimit=[9],
        text="secret draft",
        richText="secret draft",
        blobEncryptionKey="secret",
        conversation=[header("a", text="secret")],
        workspaceIdentifier={"id": "secret"},
        aKeyOfTomorrow="secret",
    )
    assert found.source == {
        "composerId": "c",
        "_v": 17,
        "createdAt": MOMENT_MS,
        "lastUpdatedAt": None,
        "status": "completed",
        "unifiedMode": "agent",
        "name": "A title",
        "modelConfig": {"modelName": "m"},
        "latestChatGenerationUUID": UUID,
        "contextTokensUsed": 5,
    }


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "NULL"),
        (5.0, "a number"),
        (b"null", "not a JSON object"),
        (b"[{}]", "not a JSON object"),
        (b"", "not JSON"),
        (b"{}" + b" " * RING_LIMIT, "bytes, more than"),
    ],
)
def test_what_is_no_conversation_is_refused(value, why):
    with pytest.raises(BadValueError, match=why):
        parse_document("c", value)


ITEMS = st.lists(
    hostile_json(KEYS_INSIDE)
    | st.fixed_dictionaries(
        {"bubbleId": st.sampled_from(["a", "b", "c", "", 5]), "type": st.sampled_from([1, 2, None, "1"])},
        optional={key: hostile_json(KEYS_INSIDE) for key in KEYS_READ if key not in ("bubbleId", "type")},
    ),
    max_size=4,
)
HOSTILE = st.fixed_dictionaries(
    {},
    optional={key: hostile_json(KEYS_INSIDE) for key in DOCUMENT_KEYS}
    | {"fullConversationHeadersOnly": ITEMS, "conversation": ITEMS},
)


@given(HOSTILE)
def test_nothing_that_a_conversation_holds_is_too_much(value):
    found = parse_document("c", stored(value))
    assert document_of("c", value) == found
    ids = [h.bubble_id for h in found.headers]
    assert len(set(ids)) == len(ids)
    assert found.inline is None or list(found.inline) == ids
    json.dumps(found.source, ensure_ascii=False).encode()
    repr(found).encode()


@given(st.binary(max_size=60))
def test_whatever_stands_in_a_row_is_a_conversation_or_refused(value):
    with suppress(BadValueError):
        parse_document("c", value)


@st.composite
def turns_of_an_era(draw, era, number):
    """The bubbles of one turn, as the demo makes them, at any moment of its life."""
    size, is_named = draw(st.integers(1, 4)), draw(st.booleans())
    bubbles = []
    for step in range(size):
        id_, moment = f"{number}-{step}", MOMENT_MS + 1000 * number + step
        value = demo.bubble(id_, 2 if step else 1, era, draw(st.sampled_from([moment, None])))
        value |= draw(
            st.sampled_from([{}, *({"modelInfo": {"modelName": name}} for name in ("m1", "default"))])
        )
        value["requestId"] = f"request-{number}" if is_named and draw(st.booleans()) else ""
        if step:
            draw(st.sampled_from(ANSWERS))(value)
        else:
            demo.ask(value, f"line\nof {id_}", draw(st.sampled_from(["text", "plain", "lexical"])))
        bubbles.append(value)
    if size > 1:
        last = bubbles[-1]
        last["tokenCount"] = {
            "inputTokens": (count := draw(st.sampled_from([0, 4]))),
            "outputTokens": 2 * count,
        }
        timing = {"clientRpcSendTime": moment + 0.25, "clientEndTime": moment + 30.25}
        last |= draw(st.sampled_from([{}, {"timingInfo": timing}, {"turnDurationMs": 77}]))
    return bubbles


ANSWERS = (
    lambda value: value.update(text=f"say {value['bubbleId']}"),
    lambda value: demo.think(value, "hm"),
    lambda value: demo.use_tool(value, "read_file_v2", "call", "/path"),
    lambda value: demo.use_tool(value, None, "call", "/path"),
    lambda value: None,
)


@st.composite
def conversations(draw):
    """A document, and those of its bubbles that are there."""
    era = draw(st.sampled_from(ERAS))
    asked = [draw(turns_of_an_era(era, number)) for number in range(draw(st.integers(1, 3)))]
    messages = [bubble for bubbles in asked for bubble in bubbles]
    # The last question is there: else another turn is the last one.
    can_miss = [] if era.is_inline else [m["bubbleId"] for m in messages if m is not asked[-1][0]]
    missing = draw(st.sets(st.sampled_from(can_miss), max_size=2)) if can_miss else set()
    fields = {
        "createdAt": MOMENT_MS - 1,
        "status": draw(st.sampled_from(["none", "generating", "completed", "aborted", "error"])),
        "generatingBubbleIds": draw(st.sampled_from([[], ["x"]])),
        "modelConfig": {"modelName": draw(st.sampled_from(["default", "m3"]))},
        **draw(st.sampled_from([{}, {"latestChatGenerationUUID": "latest"}])),
    }
    headers = [{"bubbleId": value["bubbleId"], "type": value["type"]} for value in messages]
    fields |= {"conversation": messages} if era.is_inline else {"fullConversationHeadersOnly": headers}
    return fields, {value["bubbleId"]: value for value in messages if value["bubbleId"] not in missing}
