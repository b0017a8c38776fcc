"""Documents: a conversation as `composerData:<id>` says it, or the same inside a workspace.

The headers are the only order there is, and what they do not name belongs to no turn. Before 0.49 the
messages stood in the document itself (`conversation[]`), and their own order counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import attrs

from trio_cursor.cursor.schemas.bubbles import Bubble, bubble_of
from trio_cursor.cursor.schemas.fields import (
    folder_of,
    inner,
    known_part,
    model_of,
    short_text,
    usable_conversation_id,
)
from trio_cursor.cursor.schemas.values import (
    RING_LIMIT,
    BadValueError,
    count,
    milliseconds,
    parse_json,
    usable_id,
)
from trio_cursor.observations import JsonObject

#: Documents from this size on are remembered, so many of them.
_LONG_BYTES = 1 << 17
_LONG_ONES = 2
_STATUS_LIMIT = 100
_GENERATING = "generating"
_KEYS = (
    *("composerId", "_v", "createdAt", "lastUpdatedAt", "status", "unifiedMode", "name"),
    *("latestChatGenerationUUID", "contextTokensUsed", "contextTokenLimit"),
)
_INNER_KEYS = {"modelConfig": ("modelName",)}


@attrs.frozen
class Header:
    """One of `fullConversationHeadersOnly`, or what would stand there for an inline message."""

    bubble_id: str
    #: 1 the user's, 2 the assistant's; None: unknown, and not taken for the user's.
    type: int | None
    created_ms: int | None


@attrs.frozen
class Document:
    """A conversation without its messages, or with them if they stand in it."""

    conversation_id: str
    created_ms: int | None
    last_updated_ms: int | None
    status: str | None
    is_generating: bool
    #: `latestChatGenerationUUID`: what is or was generated last, not necessarily for the last turn.
    latest_id: str | None
    model: str | None
    headers: tuple[Header, ...]
    #: By bubble id; None: the messages are rows of their own.
    inline: Mapping[str, Bubble] | None
    workspace_id: str | None
    #: Path or URI.
    folder: str | None
    #: Conversations that this one started as its agents.
    sub_agents: tuple[str, ...]
    #: Known keys as they stand in the file.
    source: JsonObject
    #: What could not be used, by reason in words.
    skipped: Mapping[str, int]

    @property
    def newest_ms(self) -> int | None:
        times = (self.created_ms, self.last_updated_ms, *(header.created_ms for header in self.headers))
        return max((time for time in times if time is not None), default=None)


def parse_document(conversation_id: str, value: Any) -> Document:
    """Read a stored conversation; raises `BadValueError`, for NULL too, which is how Cursor deletes."""
    if isinstance(value, bytes) and len(value) >= _LONG_BYTES:
        return _parsed_long(conversation_id, value)
    return _parsed(conversation_id, value)


def _parsed(conversation_id: str, value: Any) -> Document:
    parsed = parse_json(value, limit=RING_LIMIT)
    if not isinstance(parsed, dict):
        raise BadValueError("it is not a JSON object")
    return document_of(conversation_id, parsed)


#: The same bytes are the same document. While a long conversation grows, or is read bit by bit, its document
#: is read again and again, and to compare megabytes costs nothing beside parsing them.
_parsed_long = lru_cache(maxsize=_LONG_ONES)(_parsed)


def document_of(conversation_id: str, value: JsonObject) -> Document:
    """The conversation in a parsed object, whatever its fields hold; what is unusable is not known."""
    skipped: Counter[str] = Counter()
    headers, inline = _headers(value, skipped), None
    if not headers and (messages := _list(value, "conversation")):
        headers, inline = _inline(messages, skipped)
    status = short_text(value.get("status"), _STATUS_LIMIT)
    identifier = inner(value, "workspaceIdentifier")
    return Document(
        conversation_id=conversation_id,
        created_ms=milliseconds(value.get("createdAt")),
        last_updated_ms=milliseconds(value.get("lastUpdatedAt")),
        status=status,
        is_generating=status == _GENERATING or bool(_list(value, "generatingBubbleIds")),
        latest_id=usable_id(value.get("latestChatGenerationUUID")),
        model=model_of(inner(value, "modelConfig").get("modelName")),
        headers=headers,
        inline=inline,
        workspace_id=usable_id(identifier.get("id")),
        folder=folder_of(identifier.get("uri")),
        sub_agents=_sub_agents(value),
        source=known_part(value, _KEYS, _INNER_KEYS),
        skipped=dict(skipped),
    )


def _list(value: JsonObject, key: str) -> list[Any]:
    found = value.get(key)
    return found if isinstance(found, list) else []


def _headers(value: JsonObject, skipped: Counter[str]) -> tuple[Header, ...]:
    headers: dict[str, Header] = {}
    for item in _list(value, "fullConversationHeadersOnly"):
        id_ = usable_id(item.get("bubbleId")) if isinstance(item, dict) else None
        if id_ is None:
            skipped["header without a usable bubbleId"] += 1
        elif id_ in headers:
            skipped["bubble named twice"] += 1
        else:
            headers[id_] = Header(id_, count(item.get("type")), milliseconds(item.get("createdAt")))
    return tuple(headers.values())


def _inline(
    messages: list[Any], skipped: Counter[str]
) -> tuple[tuple[Header, ...], Mapping[str, Bubble] | None]:
    headers: list[Header] = []
    inline: dict[str, Bubble] = {}
    for position, message in enumerate(messages):
        if not isinstance(message, dict):
            skipped["message that is not a JSON object"] += 1
            continue
        id_ = usable_id(message.get("bubbleId"))
        if id_ is None or id_ in inline:
            skipped["message without a bubbleId of its own"] += 1
            # Its text belongs to the turn all the same. The line break keeps it from ever being reported.
            id_ = f"\n#{position}"
        inline[id_] = bubble = bubble_of(message)
        headers.append(Header(id_, bubble.type, bubble.created_ms))
    return tuple(headers), inline or None


def _sub_agents(value: JsonObject) -> tuple[str, ...]:
    listed = (*_list(value, "subagentComposerIds"), *_list(value, "subComposerIds"))
    return tuple(dict.fromkeys(id_ for item in listed if (id_ := usable_conversation_id(item))))
