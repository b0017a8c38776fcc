"""What an honest reader reports of a turn, from what stands in the database now.

For the fake Cursor's own start after a kill: what became of a turn in flight is said by the file alone. And
for tests. It asks for single keys and reads them whole, which is right for an owner and not for a guest.

Source of the rules: cursor-storage facts, section c, "What a turn is" and "Finality test".
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Final

import attrs

from trio_cursor.demo.bubbles import ASSISTANT, USER, tool_call
from trio_cursor.demo.rows import bubble_key, composer_key
from trio_cursor.demo.turns import GENERATING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from trio_cursor.demo.turns import Turn
    from trio_cursor.observations import Json, JsonObject

_VALUE: Final = "SELECT value FROM cursorDiskKV WHERE key = ?"


@attrs.frozen
class Sighting:
    """A turn as it stands in a conversation: headers with the bubbles that are there."""

    document: JsonObject
    headers: tuple[tuple[JsonObject, JsonObject | None], ...]
    is_first: bool
    is_last: bool

    @property
    def bubbles(self) -> list[JsonObject]:
        return [bubble for _, bubble in self.headers if bubble is not None]

    @property
    def answer(self) -> list[JsonObject]:
        return [bubble for bubble in self.bubbles if bubble["type"] == ASSISTANT]

    @property
    def question(self) -> JsonObject | None:
        return next((bubble for bubble in self.bubbles if bubble["type"] == USER), None)

    @property
    def request_id(self) -> str | None:
        return next((bubble["requestId"] for bubble in self.bubbles if bubble.get("requestId")), None)

    @property
    def has_answer(self) -> bool:
        return any(
            bubble["text"] or "thinking" in bubble or "toolFormerData" in bubble for bubble in self.answer
        )

    @property
    def status(self) -> str:
        if not self.is_last:
            return "completed" if self.has_answer else "aborted"
        status = str(self.document["status"])
        if status in ("aborted", "error"):
            return status
        if status == GENERATING or self.document["generatingBubbleIds"]:
            return "incomplete"
        _, last = self.headers[-1]
        return "incomplete" if last is None or last["type"] != ASSISTANT else "completed"


def look(query: Callable[..., list[tuple[Any, ...]]], turn: Turn) -> Turn | None:
    """The turn, as it stands in its conversation; None: nothing of it does."""
    sighting = find(query, turn.conversation_id, turn.generation_id)
    return None if sighting is None else _described(sighting, turn)


def find(
    query: Callable[..., list[tuple[Any, ...]]], conversation_id: str, generation_id: str
) -> Sighting | None:
    document = _read(query, composer_key(conversation_id))
    if document is None:
        return None
    groups: list[list[tuple[JsonObject, JsonObject | None]]] = []
    for header, bubble in _messages(query, conversation_id, document):
        if header["type"] == USER or not groups:
            groups.append([])
        groups[-1].append((header, bubble))
    seen = [
        Sighting(document, tuple(group), index == 0, index == len(groups) - 1)
        for index, group in enumerate(groups)
    ]
    turns = [sighting for sighting in seen if sighting.bubbles]
    found = next((sighting for sighting in turns if sighting.request_id == generation_id), None)
    if found is not None or not turns or turns[-1].request_id is not None:
        return found
    latest = document.get("latestChatGenerationUUID")
    question = turns[-1].question
    names = (latest, None if latest or question is None else question["bubbleId"])
    return turns[-1] if generation_id in names else None


def _messages(
    query: Callable[..., list[tuple[Any, ...]]], conversation_id: str, document: JsonObject
) -> list[tuple[JsonObject, JsonObject | None]]:
    if "conversation" in document:
        return [(message, message) for message in document["conversation"]]
    return [
        (header, _read(query, bubble_key(conversation_id, header["bubbleId"])))
        for header in document["fullConversationHeadersOnly"]
    ]


def _described(sighting: Sighting, turn: Turn) -> Turn:
    question, answer, status = sighting.question, sighting.answer, sighting.status
    asked_ms = None if question is None else _milliseconds(question.get("createdAt"))
    last = answer[-1] if answer else {}
    timing = last.get("timingInfo", {})
    sent_ms, ended_ms = timing.get("clientRpcSendTime"), timing.get("clientEndTime")
    answered_ms = _milliseconds(last.get("createdAt")) if ended_ms is None else int(ended_ms)
    rpc_ms = None if ended_ms is None else int(ended_ms) - int(sent_ms)
    counts = [bubble["tokenCount"] for bubble in sighting.bubbles if any(bubble["tokenCount"].values())]
    prompt_tokens = counts[-1]["inputTokens"] if counts else None
    completion_tokens = counts[-1]["outputTokens"] if counts else None
    texts = [bubble["text"] for bubble in answer if bubble["text"]]
    calls = [call for bubble in answer if (call := tool_call(bubble)) is not None]
    times = (asked_ms, sent_ms, *(_milliseconds(bubble.get("createdAt")) for bubble in answer))
    fallback = sighting.document["createdAt"] if sighting.is_first else None
    return attrs.evolve(
        turn,
        status=status,
        prompt_text=None if question is None else _question_text(question),
        response_text="\n\n".join(texts) or None,
        model=_model(sighting),
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        tokens_used=None if prompt_tokens is None else prompt_tokens + completion_tokens,
        tool_calls=tuple(calls),
        timestamp=next((int(time) for time in times if time is not None), fallback),
        prompt_timestamp=asked_ms,
        completed_timestamp=None if status == "incomplete" else answered_ms,
        duration_ms=last.get("turnDurationMs", rpc_ms),
    )


def _model(sighting: Sighting) -> str | None:
    named = [bubble["modelInfo"]["modelName"] for bubble in sighting.bubbles if "modelInfo" in bubble]
    named.append(sighting.document.get("modelConfig", {}).get("modelName"))
    # "default" is Cursor's Auto, which is not the name of a model.
    return next((name for name in named if name not in (None, "default")), None)


def _question_text(question: JsonObject) -> str | None:
    if question["text"]:
        return str(question["text"])
    rich = question.get("richText") or ""
    try:
        root = json.loads(rich)["root"]
    except (ValueError, KeyError, TypeError):
        return rich or None
    return "\n".join(_node_text(paragraph) for paragraph in root["children"])


def _node_text(node: JsonObject) -> str:
    if node["type"] == "linebreak":
        return "\n"
    return str(node.get("text", "")) + "".join(_node_text(child) for child in node.get("children", ()))


def _milliseconds(iso_8601: Json) -> int | None:
    return None if iso_8601 is None else round(datetime.fromisoformat(iso_8601).timestamp() * 1000)


def _read(query: Callable[..., list[tuple[Any, ...]]], key: str) -> JsonObject | None:
    rows = query(_VALUE, key)
    if not rows or rows[0][0] is None:
        return None
    document: JsonObject = json.loads(rows[0][0])
    return document
