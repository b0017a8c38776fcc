"""Turns: what one is, what it is called, whether it can still change, and what is reported of it."""

from __future__ import annotations

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_bubbles import MOMENT_MS, UUID
from test_documents import HOSTILE, conversations

from trio_cursor.cursor.schemas.bubbles import TOO_LARGE, UNREADABLE, bubble_of
from trio_cursor.cursor.schemas.documents import document_of
from trio_cursor.cursor.schemas.turns import Rows, Sight, inline_rows, spans
from trio_cursor.demo import bubbles as demo
from trio_cursor.demo.honest_reader import look as honest_look
from trio_cursor.demo.rows import bubble_key, composer_key
from trio_cursor.demo.turns import Turn as HonestTurn

COMPLETED = {"status": "completed"}
ABORTED = {"status": "aborted"}
GENERATING = {"status": "generating"}
FACTS = {"schema": "conversations", "document_rowid": 40, "is_sub_agent": False, "earlier_ids": frozenset()}


def iso(milliseconds):
    return demo.iso_8601(MOMENT_MS + milliseconds)


def ask(id_, **fields):
    return {"bubbleId": id_, "type": 1, "text": f"ask {id_}"} | fields


def say(id_, **fields):
    return {"bubbleId": id_, "type": 2, "text": f"say {id_}"} | fields


def use(id_, **fields):
    return {
        "bubbleId": id_,
        "type": 2,
        "text": "",
        "toolFormerData": {"name": "t", "status": "error"},
    } | fields


def empty(id_, **fields):
    return {"bubbleId": id_, "type": 2, "text": ""} | fields


def document(messages, **fields):
    headers = [{key: message.get(key) for key in ("bubbleId", "type")} for message in messages]
    return document_of("c", {"fullConversationHeadersOnly": headers} | fields)


def rows(messages, missing="", unread="", special=None):
    """All rows of a conversation; ids of one letter each."""
    there = [message for message in messages if message["bubbleId"] not in missing]
    present = {message["bubbleId"]: (number, len(str(message))) for number, message in enumerate(there)}
    read = {message["bubbleId"]: bubble_of(message) for message in there if message["bubbleId"] not in unread}
    return Rows(present, read | (special or {}))


def sight(messages, fields=COMPLETED, *, span=-1, missing="", unread="", special=None, **facts):
    """The last turn of these messages, or another."""
    conversation = document(messages, **fields)
    turns = spans(conversation)
    known = rows(messages, missing, unread, special)
    return Sight(conversation, turns, turns[span], known, **(FACTS | facts))


def see(*args, **kwargs):
    return sight(*args, **kwargs).content()


def turn(*args, **kwargs):
    return sight(*args, **kwargs).turn()


@pytest.mark.parametrize(
    ("kinds", "groups"),
    [
        ([], []),
        ([1], ["a"]),
        ([1, 2, 2], ["abc"]),
        ([1, 2, 1, 2], ["ab", "cd"]),
        ([2, 2, 1, 1, 2], ["c", "de"]),
        ([2, 2], []),
        ([1, None, 3, 1], ["abc", "d"]),
        ([None, 1], ["a", "b"]),
    ],
)
def test_a_turn_begins_with_a_question(kinds, groups):
    messages = [{"bubbleId": id_, "type": kind} for id_, kind in zip("abcdefg", kinds, strict=False)]
    found = spans(document(messages))
    assert ["".join(header.bubble_id for header in span.headers) for span in found] == groups
    assert [span.index for span in found] == list(range(len(groups)))
    assert [span.id for span in found] == [group[0] for group in groups]
    assert [span.question is not None for span in found] == [
        kinds["abcdefg".index(group[0])] == 1 for group in groups
    ]


@pytest.mark.parametrize("of", [turn, see])
def test_of_what_nothing_is_there_is_no_turn(of):
    messages = [ask("a"), say("b"), ask("c")]
    assert of(messages, missing="c") is None
    assert of(messages, missing="ab", span=0) is None
    assert of(messages, missing="a", span=0) is not None


def test_a_later_question_without_bubble_and_answer_ends_nothing():
    messages = [ask("a"), say("b"), ask("c"), say("d")]
    assert not sight(messages, span=0, missing="").is_last
    assert sight(messages, span=0, missing="cd").is_last


@pytest.mark.parametrize("missing", ["c", "cd"])
@pytest.mark.parametrize("fields", [GENERATING, {"status": "aborted"}, {"status": "error"}])
def test_what_a_conversation_says_belongs_to_the_last_question_that_it_names(missing, fields):
    """Cursor names a question before it writes it."""
    messages = [ask("a"), say("b"), ask("c"), say("d")]
    latest = {"latestChatGenerationUUID": "of c"}
    before = see(messages, fields | latest, span=0, missing=missing)
    assert (before.turn.is_settled, before.status, before.turn.generation_id) == (True, "completed", "a")
    unanswered = turn(messages, fields | latest, span=0, missing=f"b{missing}")
    assert not unanswered.is_settled
    # Its own outcome was said in the same place, and is gone.
    messages[1] = empty("b")
    aborted = see(messages, fields | latest, span=0, missing=missing)
    assert (aborted.turn.is_settled, aborted.status) == (True, "aborted")


@pytest.mark.parametrize("status", ["aborted", "error", "completed", "generating", None])
def test_a_turn_says_what_became_of_it_until_the_next_is_named(status):
    messages, said = [ask("a"), say("b")], status if status in ("aborted", "error") else "none"
    assert turn(messages, {"status": status}).outcome == said
    messages += [ask("c")]
    assert [turn(messages, {"status": status}, span=span).outcome for span in (0, 1)] == [None, said]
    assert turn(messages, {"status": status}, span=0, missing="c").outcome is None


@pytest.mark.parametrize(
    ("messages", "fields", "missing", "is_settled", "status"),
    [
        ([ask("a"), say("b")], COMPLETED, "", True, "completed"),
        ([ask("a"), say("b")], {}, "", True, "completed"),
        ([ask("a"), say("b")], {"status": "none"}, "", True, "completed"),
        # Complete, whatever is in it: an assistant's bubble has the last word.
        ([ask("a"), empty("b")], COMPLETED, "", True, "completed"),
        ([ask("a"), say("b")], GENERATING, "", False, "incomplete"),
        ([ask("a"), say("b")], COMPLETED | {"generatingBubbleIds": ["b"]}, "", False, "incomplete"),
        ([ask("a")], COMPLETED, "", False, "incomplete"),
        ([ask("a"), say("b"), say("d")], COMPLETED, "b", False, "completed"),
        ([ask("a"), say("b"), say("d")], COMPLETED, "a", False, "completed"),
        ([ask("a"), say("b"), say("d")], COMPLETED, "d", False, "incomplete"),
        ([ask("a"), say("b"), say("d")], GENERATING, "b", False, "incomplete"),
        ([ask("a")], ABORTED, "", True, "aborted"),
        ([ask("a"), say("b")], {"status": "error"}, "b", True, "error"),
        ([ask("a"), say("b")], ABORTED | {"generatingBubbleIds": ["b"]}, "", True, "aborted"),
        ([ask("a"), say("b", type=None)], COMPLETED, "", False, "incomplete"),
    ],
)
def test_when_a_last_turn_can_not_change_any_more(messages, fields, missing, is_settled, status):
    content = see(messages, fields, missing=missing)
    assert (content.turn.is_settled, content.status) == (is_settled, status)
    seen = sight(messages, fields, missing=missing, unread="b" if messages[-1]["bubbleId"] != "b" else "")
    assert (seen.is_settled, seen.is_last, seen.is_first) == (is_settled, True, True)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ([], "aborted"),
        ([empty("b")], "aborted"),
        ([empty("b"), empty("d")], "aborted"),
        ([empty("b"), use("d")], "completed"),
        ([say("b")], "completed"),
        ([empty("b", thinking={"text": "hm"})], "completed"),
        ([say("b", type=1)], "aborted"),
    ],
)
@pytest.mark.parametrize("fields", [COMPLETED, ABORTED, GENERATING])
def test_a_later_question_settles_a_turn_whatever_became_of_the_conversation(answer, status, fields):
    if (
        answer and answer[0]["type"] == 1
    ):  # The header says that it is the assistant's, the bubble knows better.
        special = {"b": bubble_of(answer[0])}
        answer = [answer[0] | {"type": 2}]
    else:
        special = None
    seen = sight([ask("a"), *answer, ask("x")], fields, span=0, special=special)
    assert (seen.is_settled, seen.is_last, seen.content().status) == (True, False, status)


def test_the_bubble_knows_better_than_the_header_whose_it_is():
    messages = [{"bubbleId": "a"}, {"bubbleId": "b"}]
    special = {"a": bubble_of(ask("a", requestId="r")), "b": bubble_of(say("b"))}
    content = see(messages, special=special)
    assert (content.prompt_text, content.response_text, content.status) == ("ask a", "say b", "completed")


@pytest.mark.parametrize(
    ("messages", "fields", "earlier", "name", "by_bubble"),
    [
        ([ask("a", requestId="r1"), say("b", requestId="r2")], {}, (), "r1", True),
        ([ask("a", requestId=""), say("b", requestId="r2")], {}, (), "r2", True),
        ([ask("a", requestId="\n"), say("b", requestId=UUID.upper())], {}, (), UUID.upper(), True),
        ([ask("a", requestId="r1"), say("b")], {"latestChatGenerationUUID": "l"}, (), "r1", True),
        ([ask("a"), say("b")], {"latestChatGenerationUUID": "l"}, ("other",), "l", False),
        ([ask("a"), say("b")], {"latestChatGenerationUUID": UUID.upper()}, (UUID,), "a", False),
        ([ask("a"), say("b")], {"latestChatGenerationUUID": ["l"]}, (), "a", False),
        ([ask("a"), say("b")], GENERATING | {"latestChatGenerationUUID": "l"}, (), "l", False),
        ([ask("a"), say("b")], {}, (), "a", False),
        ([empty("a", type=None), say("b")], {}, (), None, False),
    ],
)
def test_what_a_last_turn_is_called(messages, fields, earlier, name, by_bubble):
    for found in (
        turn(messages, fields, earlier_ids=frozenset(earlier)),
        see(messages, fields, earlier_ids=frozenset(earlier)).turn,
    ):
        assert (found.generation_id, found.is_named_by_bubble) == (name, by_bubble)


def test_a_turn_that_is_not_the_last_is_never_called_by_what_was_generated_latest():
    messages = [ask("a"), say("b"), ask("c"), say("d")]
    fields = COMPLETED | {"latestChatGenerationUUID": "l"}
    assert turn(messages, fields, span=0).generation_id == "a"
    assert turn(messages, fields, span=1).generation_id == "l"


def test_a_turn_is_called_by_its_question_only_when_no_request_id_can_come_any_more():
    assert turn([ask("a"), say("b")], GENERATING).generation_id is None
    # Read to be released, since its waiting is over.
    content = see([ask("a"), say("b")], GENERATING)
    assert (content.turn.generation_id, content.turn.is_settled) == ("a", False)
    # A question whose bubble is gone calls nothing.
    assert see([ask("a"), say("b")], missing="a").turn.generation_id is None


def test_an_inline_message_without_an_id_gives_no_name():
    messages = [ask(""), say("b"), ask("c"), say("d")]
    conversation = document_of("c", {"conversation": messages})
    first, second = spans(conversation)
    known = inline_rows(conversation, 7)
    content = Sight(conversation, [first, second], first, known, **FACTS).content()
    assert (content.turn.generation_id, content.turn.id.bubble_id) == (None, "\n#0")
    assert (content.prompt_text, content.response_text, content.status) == ("ask ", "say b", "completed")
    assert Sight(conversation, [first, second], second, known, **FACTS).turn().generation_id == "c"


def test_a_conversation_without_inline_messages_has_no_such_rows():
    assert inline_rows(document([ask("a")]), 7) == Rows({}, {})


@pytest.mark.parametrize(
    ("messages", "fields", "span", "timestamp", "source"),
    [
        (
            [ask("a", createdAt=iso(5)), say("b", timingInfo={"clientRpcSendTime": MOMENT_MS})],
            {},
            0,
            5,
            "bubble",
        ),
        (
            [ask("a"), say("b", timingInfo={"clientRpcSendTime": MOMENT_MS + 6.5}, createdAt=iso(1))],
            {},
            0,
            6,
            "bubble",
        ),
        ([ask("a"), say("b"), say("d", createdAt=iso(9)), say("e", createdAt=iso(1))], {}, 0, 9, "bubble"),
        ([ask("a"), say("b")], {"createdAt": MOMENT_MS + 3}, 0, 3, "conversation"),
        ([ask("x"), ask("a"), say("b")], {"createdAt": MOMENT_MS + 3}, 1, None, None),
        ([ask("a"), say("b")], {"createdAt": "never"}, 0, None, None),
    ],
)
def test_when_a_turn_began(messages, fields, span, timestamp, source):
    found = turn(messages, fields, span=span)
    assert found.timestamp == (None if timestamp is None else MOMENT_MS + timestamp)
    assert found.timestamp_source == source


@pytest.mark.parametrize(
    ("span", "messages", "facts", "newest"),
    [
        (0, [ask("a", createdAt=iso(1)), say("b", createdAt=iso(2))], {}, 2),
        (0, [ask("a", timingInfo={"clientRpcSendTime": MOMENT_MS + 8}), say("b", createdAt=iso(2))], {}, 8),
        (0, [ask("a"), say("b", timingInfo={"clientEndTime": MOMENT_MS + 9})], {}, 9),
        (0, [ask("a"), say("b", createdAt=iso(2))], {"checkpoint_ms": MOMENT_MS + 70}, 70),
        (0, [ask("a"), ask("b", createdAt=iso(2))], {"checkpoint_ms": MOMENT_MS + 70}, None),
        (1, [ask("a"), ask("b")], {"lastUpdatedAt": MOMENT_MS + 60, "checkpoint_ms": MOMENT_MS + 50}, 60),
        (0, [ask("a")], {}, None),
    ],
)
def test_the_newest_time_of_a_turn(span, messages, facts, newest):
    fields = {"lastUpdatedAt": facts["lastUpdatedAt"]} if "lastUpdatedAt" in facts else {}
    found = turn(messages, fields, span=span, checkpoint_ms=facts.get("checkpoint_ms"))
    assert found.newest_ms == (None if newest is None else MOMENT_MS + newest)


def test_a_header_tells_the_time_of_a_bubble_that_was_not_read():
    headers = [{"bubbleId": "a", "type": 1}, {"bubbleId": "b", "type": 2, "createdAt": iso(4)}]
    found = turn([ask("a"), say("b")], {"fullConversationHeadersOnly": headers}, unread="b")
    assert (found.newest_ms, found.timestamp) == (MOMENT_MS + 4, None)


def test_a_turn_says_where_it_stands():
    messages = [ask("a"), say("b"), ask("c"), say("d")]
    seen = sight(messages, {"createdAt": MOMENT_MS}, schema="composers", is_sub_agent=True)
    found = seen.turn()
    assert (found.id.conversation_id, found.id.bubble_id, found.schema) == ("c", "c", "composers")
    assert (seen.is_first, seen.is_last) == (False, True)
    assert (found.is_sub_agent, found.created_ms) == (True, MOMENT_MS)


def test_a_fingerprint_does_not_depend_on_how_much_was_read():
    messages = [ask("a"), say("b"), say("d")]
    assert turn(messages, unread="b").fingerprint == see(messages).turn.fingerprint
    assert turn(messages).fingerprint == turn(messages, {"name": "another", **COMPLETED}).fingerprint


LATER = [ask("x"), say("y")]


@pytest.mark.parametrize(
    ("messages", "fields", "kwargs"),
    [
        ([ask("a"), say("b"), say("d")], COMPLETED, {}),
        ([ask("a"), say("b", text="longer than it was")], COMPLETED, {}),
        ([ask("a"), say("b")], ABORTED, {}),
        ([ask("a"), say("b")], GENERATING, {}),
        ([ask("a"), say("b")], COMPLETED | {"latestChatGenerationUUID": "l"}, {}),
        ([ask("a"), say("b")], COMPLETED, {"missing": "b"}),
        ([ask("a"), say("b"), *LATER], COMPLETED, {"span": 0}),
    ],
)
def test_each_change_of_a_turn_gives_it_another_fingerprint(messages, fields, kwargs):
    before = turn([ask("a"), say("b")])
    assert turn(messages, fields, **kwargs).fingerprint != before.fingerprint


def test_a_turn_that_settles_or_is_worked_at_again_has_another_fingerprint_even_if_no_row_changed():
    messages = [ask("a"), say("b"), say("c"), *LATER]
    assert turn(messages, span=0, missing="bx").fingerprint != turn(messages, span=0, missing="b").fingerprint
    at_work = COMPLETED | {"generatingBubbleIds": ["b"]}
    before, after = (turn(messages[:3], fields, missing="b") for fields in (COMPLETED, at_work))
    assert (before.is_settled, after.is_settled) == (False, False)
    assert before.fingerprint != after.fingerprint


def test_a_row_that_was_written_again_is_a_change():
    conversation = document([ask("a"), say("b")])
    turns, read = spans(conversation), {"a": bubble_of(ask("a")), "b": bubble_of(say("b"))}
    prints = {
        Sight(conversation, turns, turns[0], Rows({"a": (1, 9), "b": row}, read), **FACTS).turn().fingerprint
        for row in ((2, 9), (3, 9), (2, 10), (2, None))
    }
    assert len(prints) == 4


def test_what_becomes_of_later_turns_changes_no_settled_one():
    messages = [ask("a"), say("b"), *LATER]
    assert turn(messages, span=0).fingerprint == turn(messages, GENERATING, span=0, unread="y").fingerprint


def test_inline_messages_change_one_by_one():
    def prints(rowid, *messages):
        conversation = document_of("c", {"conversation": list(messages)})
        turns, known = spans(conversation), inline_rows(conversation, rowid)
        return [Sight(conversation, turns, span, known, **FACTS).turn().fingerprint for span in turns]

    before = prints(1, ask("a"), say("b"), ask("c"), say("d"))
    assert prints(2, ask("a"), say("b"), ask("c"), say("d")) == before
    after = prints(2, ask("a"), say("b"), ask("c"), say("d", text="other"))
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False]


def test_everything_that_is_reported():
    messages = [
        ask("a", createdAt=iso(1), tokenCount={"inputTokens": 7, "outputTokens": 7}),
        say(
            "b",
            createdAt=iso(2),
            modelInfo={"modelName": "m1"},
            tokenCount={"inputTokens": 1, "outputTokens": 2},
        ),
        empty("c", thinking={"text": "secret thought"}, tokenCount={"inputTokens": 3}),
        use("d", turnDurationMs=9),
        use("e", modelInfo={"modelName": "m2"}, turnDurationMs=5),
        say("f", createdAt=iso(6), tokenCount={"inputTokens": 0, "outputTokens": 0}),
    ]
    content = see(messages, COMPLETED | {"modelConfig": {"modelName": "m0"}, "createdAt": MOMENT_MS})
    call = {"name": "t", "status": "error"}
    assert attrs.asdict(content, recurse=False) | {"turn": None, "source": None} == {
        "turn": None,
        "status": "completed",
        "data_version": 40,
        "model": "m1",
        "prompt_tokens": 3,
        "completion_tokens": None,
        "prompt_text": "ask a",
        "response_text": "say b\n\nsay f",
        "prompt_timestamp": MOMENT_MS + 1,
        "completed_timestamp": MOMENT_MS + 6,
        "duration_ms": 5,
        "tool_calls": (call, call),
        "source": None,
        "left_out": (),
    }
    assert content.turn == turn(messages, {"createdAt": MOMENT_MS, **COMPLETED})
    assert content.source["conversation"] == {
        "status": "completed",
        "modelConfig": {"modelName": "m0"},
        "createdAt": MOMENT_MS,
    }
    assert [source["bubbleId"] for source in content.source["bubbles"]] == list("abcdef")
    written = json.dumps(content.source)
    assert not any(text in written for text in ("ask a", "say b", "secret"))


def test_a_conversation_names_the_model_where_no_bubble_does():
    assert see([ask("a"), say("b")], {"modelConfig": {"modelName": "m0"}}).model == "m0"
    assert see([ask("a"), say("b")]).model is None


def times(sent=None, ended=None):
    given_times = {"clientRpcSendTime": sent, "clientEndTime": ended}
    return {"timingInfo": {key: MOMENT_MS + value for key, value in given_times.items() if value is not None}}


@pytest.mark.parametrize(
    ("answer", "fields", "completed", "duration"),
    [
        ([say("b", **times(1, 8.9), createdAt=iso(2))], COMPLETED, 8, 7),
        ([say("b", **times(1, 8)), say("d", createdAt=iso(3))], COMPLETED, 8, 7),
        ([say("b", **times(1, 8)), say("d", **times(2, 5))], COMPLETED, 5, 3),
        ([say("b", **times(4, 3))], COMPLETED, 3, None),
        ([say("b", **times(1)), say("d", **times(ended=5))], COMPLETED, 5, None),
        ([say("b", createdAt=iso(2)), say("d")], COMPLETED, None, None),
        ([say("b", createdAt=iso(2)), say("d", createdAt=iso(3))], ABORTED, 3, None),
        ([say("b", **times(1, 8), turnDurationMs=6)], GENERATING, None, 6),
        ([], ABORTED, None, None),
    ],
)
def test_when_a_turn_ended_and_how_long_it_took(answer, fields, completed, duration):
    content = see([ask("a", createdAt=iso(0)), *answer], fields)
    assert content.completed_timestamp == (None if completed is None else MOMENT_MS + completed)
    assert content.duration_ms == duration


@pytest.mark.parametrize(
    ("special", "left_out", "texts", "status"),
    [
        ({"a": TOO_LARGE}, ("prompt_text",), (None, "say b"), "completed"),
        ({"b": TOO_LARGE}, ("response_text",), ("ask a", None), "completed"),
        ({"a": TOO_LARGE, "b": TOO_LARGE}, ("prompt_text", "response_text"), (None, None), "completed"),
        ({"b": UNREADABLE}, (), ("ask a", None), "aborted"),
    ],
)
def test_what_was_too_large_to_read_is_said(special, left_out, texts, status):
    content = see([ask("a"), say("b"), *LATER], span=0, special=special)
    assert content.left_out == left_out
    assert (content.prompt_text, content.response_text, content.status) == (*texts, status)
    assert len(content.source["bubbles"]) == 2 - len(special)


def test_each_left_out_text_is_named_once():
    special = {"b": TOO_LARGE, "d": TOO_LARGE}
    assert see([ask("a"), say("b"), say("d")], special=special).left_out == ("response_text",)


@given(HOSTILE, st.sampled_from(["all", "some", "none"]))
def test_nothing_that_a_conversation_holds_is_too_much_for_its_turns(value, read):
    conversation = document_of("c", value)
    turns = spans(conversation)
    ids = [header.bubble_id for header in conversation.headers]
    known = inline_rows(conversation, 7)
    if conversation.inline is None:
        read_ids = {"all": ids, "some": ids[::2], "none": []}[read]
        known = Rows(
            dict.fromkeys(ids[:-1], (1, None)), {id_: bubble_of({"type": 2} | value) for id_ in read_ids}
        )
    for span in turns:
        seen = Sight(conversation, turns, span, known, **FACTS)
        light, content = seen.turn(), seen.content()
        assert (light is None) == (content is None)
        if content is not None:
            assert light.fingerprint == content.turn.fingerprint
            json.dumps(attrs.asdict(content), ensure_ascii=False).encode()


@given(conversations())
def test_an_honest_owner_of_the_database_says_the_same_of_every_turn(made):
    fields, bubbles = made
    stored = {bubble_key("c", id_): value for id_, value in bubbles.items()} | {composer_key("c"): fields}
    conversation = document_of("c", fields)
    turns = spans(conversation)
    known = Rows(dict.fromkeys(bubbles, (1, 1)), {id_: bubble_of(value) for id_, value in bubbles.items()})
    for span in turns:
        content = Sight(conversation, turns, span, known, **FACTS).content()
        if content is None or (id_ := content.turn.generation_id) is None:
            continue
        honest = honest_look(
            lambda _, key: [(json.dumps(stored[key]),)] if key in stored else [],
            HonestTurn(generation_id=id_, conversation_id="c", database="", era="", status=""),
        )
        if honest is None:
            # It knows a turn without a request id only as the last one.
            assert span is not turns[-1]
            assert not content.turn.is_named_by_bubble
            continue
        same = ("status", "prompt_text", "response_text", "model", "prompt_tokens", "completion_tokens")
        same += ("prompt_timestamp", "completed_timestamp", "duration_ms")
        assert {name: getattr(content, name) for name in same} == {
            name: getattr(honest, name) for name in same
        }
        assert tuple((call["name"], call["status"]) for call in content.tool_calls) == honest.tool_calls
        assert content.turn.timestamp == honest.timestamp
