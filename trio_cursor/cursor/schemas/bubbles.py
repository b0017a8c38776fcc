"""Bubbles: one message or tool step of a conversation, `bubbleId:<conversation>:<bubble>` or inline.

About 70 keys, most of them always empty, and which of them are there differs from version to version. What
is read of them is named here; everything else stays where it is, tool arguments and results above all.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from trio_cursor.cursor.schemas.fields import folder_of, inner, known_part, model_of, short_text
from trio_cursor.cursor.schemas.values import (
    ROW_LIMIT,
    BadValueError,
    clean_text,
    count,
    milliseconds,
    parse_json,
    usable_id,
)
from trio_cursor.observations import JsonObject

#: `type`; nothing else was ever seen.
USER: Final = 1
ASSISTANT: Final = 2

_TOOL_LIMIT = 100
_MOST_FOLDERS = 20
#: Below it every float is exact to the millisecond.
_LONGEST_MS = 2**53

_KEYS = (
    *("bubbleId", "_v", "type", "createdAt", "requestId", "usageUuid", "serverBubbleId"),
    *("capabilityType", "unifiedMode", "turnDurationMs", "thinkingDurationMs"),
)
_INNER_KEYS = {
    "tokenCount": ("inputTokens", "outputTokens"),
    "modelInfo": ("modelName",),
    "timingInfo": ("clientStartTime", "clientRpcSendTime", "clientSettleTime", "clientEndTime"),
    "toolFormerData": ("name", "tool", "toolCallId", "status"),
}
#: Nodes of Lexical whose children stand below each other; those of all others stand in one line.
_BLOCKS = ("root", "list")


@attrs.frozen
class Bubble:
    """What is known of a bubble; the default of everything is "not known"."""

    type: int | None = None
    request_id: str | None = None
    created_ms: int | None = None
    sent_ms: int | None = None
    ended_ms: int | None = None
    text: str | None = None
    #: Not the user's, and with a text, a thought or a call of a tool.
    has_answer: bool = False
    model: str | None = None
    #: Prompt and completion; None unless one of them is above 0, as Cursor writes 0 for what it does not say.
    tokens: tuple[int | None, int | None] | None = None
    #: `name` and `status`.
    tool_call: JsonObject | None = None
    #: Of the whole turn, which says it in the bubble that closes it.
    duration_ms: int | None = None
    #: Paths or URIs of the folders that were open.
    folders: tuple[str, ...] = ()
    #: Known keys as they stand in the file, without texts, and without what tools were given and gave.
    source: JsonObject = attrs.field(factory=dict)
    #: It is there, but was not read.
    is_too_large: bool = False

    @property
    def measured_ms(self) -> int | None:
        """From request to end; the clock may have been set back in between, and then this is unknown."""
        if self.sent_ms is None or self.ended_ms is None or self.ended_ms < self.sent_ms:
            return None
        return self.ended_ms - self.sent_ms


TOO_LARGE: Final = Bubble(is_too_large=True)
#: It is there, but is no bubble (broken JSON, a number, a list).
UNREADABLE: Final = Bubble()


def parse_bubble(value: Any, *, is_light: bool = False) -> Bubble:
    """Read a stored bubble; raises `BadValueError`, for NULL too. `is_light` as of `bubble_of`."""
    parsed = parse_json(value, limit=ROW_LIMIT)
    if not isinstance(parsed, dict):
        raise BadValueError("it is not a JSON object")
    return bubble_of(parsed, is_light=is_light)


def bubble_of(value: JsonObject, *, is_light: bool = False) -> Bubble:
    """The bubble in a parsed object, whatever its fields hold; what is unusable is not known.

    `is_light`: without what is only reported (text, tool call, source), as many of them are held at once.
    """
    kind = count(value.get("type"))
    timing = inner(value, "timingInfo")
    tool, text = value.get("toolFormerData"), value.get("text")
    has_text = isinstance(text, str) and text != ""
    return Bubble(
        type=kind,
        request_id=usable_id(value.get("requestId")),
        created_ms=milliseconds(value.get("createdAt")),
        sent_ms=milliseconds(timing.get("clientRpcSendTime")),
        ended_ms=milliseconds(timing.get("clientEndTime")),
        text=None if is_light else _text(value, kind),
        has_answer=kind != USER
        and (has_text or isinstance(tool, dict) or isinstance(value.get("thinking"), dict)),
        model=model_of(inner(value, "modelInfo").get("modelName")),
        tokens=_tokens(inner(value, "tokenCount")),
        tool_call={key: short_text(tool.get(key), _TOOL_LIMIT) for key in ("name", "status")}
        if isinstance(tool, dict) and not is_light
        else None,
        duration_ms=_duration(value.get("turnDurationMs")),
        folders=_folders(value),
        source={} if is_light else known_part(value, _KEYS, _INNER_KEYS),
    )


def _text(value: JsonObject, kind: int | None) -> str | None:
    text = value.get("text")
    if isinstance(text, str) and text:
        return clean_text(text)
    rich = value.get("richText")
    return _plain_text(clean_text(rich)) or None if kind == USER and isinstance(rich, str) else None


def _plain_text(rich: str) -> str:
    """Text of the editor's state (Lexical, JSON in a string); what is no such state is itself the text."""
    try:
        state = parse_json(rich.encode(), limit=ROW_LIMIT)
    except BadValueError:
        return rich
    root = inner(state, "root") if isinstance(state, dict) else {}
    return _node_text(root | {"type": "root"}) if isinstance(root.get("children"), list) else rich


def _node_text(node: JsonObject) -> str:
    """Recursive, which is safe: no deeper than `parse_json` lets anything be nested."""
    kind, text, children = node.get("type"), node.get("text"), node.get("children")
    if kind == "linebreak":
        return "\n"
    below = (
        [_node_text(child) for child in children if isinstance(child, dict)]
        if isinstance(children, list)
        else []
    )
    return (text if isinstance(text, str) else "") + ("\n" if kind in _BLOCKS else "").join(below)


def _tokens(value: JsonObject) -> tuple[int | None, int | None] | None:
    counts = count(value.get("inputTokens")), count(value.get("outputTokens"))
    return counts if any(counts) else None


def _duration(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LONGEST_MS:
        return None
    return int(value)


def _folders(value: JsonObject) -> tuple[str, ...]:
    uris = value.get("workspaceUris")
    candidates = [*(uris if isinstance(uris, list) else ()), value.get("workspaceProjectDir")]
    found = dict.fromkeys(folder for uri in candidates if (folder := folder_of(uri)))
    return tuple(found)[:_MOST_FOLDERS]
