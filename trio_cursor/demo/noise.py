"""Rows of the global database that are no conversation, although some of them look like one.

Source: cursor-storage facts, section c, table of `cursorDiskKV`, and pitfalls 12 (orphan bubbles after a
rewind are 17 % of all) and 14 (pseudo-composers of tool calls, with a newline in the key).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from trio_cursor.demo import turns
from trio_cursor.demo.bubbles import ASSISTANT, bubble
from trio_cursor.demo.javascript import stringify
from trio_cursor.demo.ring import new_id
from trio_cursor.demo.rows import bubble_key, composer_key

if TYPE_CHECKING:
    from random import Random

    from trio_cursor.demo.conversation import Conversation
    from trio_cursor.demo.eras import Era
    from trio_cursor.demo.rows import Rows
    from trio_cursor.observations import JsonObject

_CHECKPOINT = 0.4
_AGENT_BLOB = 0.5
_ORPHAN = 0.15
_PSEUDO_COMPOSER = 0.08
_PSEUDO_DOCUMENT = 0.3
_DRAFT = 0.05
_BLOB_BYTES: Final = 2_000


def asked(random: Random, rows: Rows, conversation: Conversation, bubble_id: str) -> None:
    """What Cursor writes beside a question."""
    context: JsonObject = {"terminalFiles": [], "cursorRules": [], "attachedFoldersListDirResults": []}
    if conversation.folder is not None and conversation.folder_rule == turns.REQUEST_CONTEXT:
        context["projectLayouts"] = [{"rootPath": conversation.folder, "content": {}}]
    if conversation.era.has_request_context:
        rows.put(f"messageRequestContext:{conversation.id}:{bubble_id}", context)
    if random.random() < _CHECKPOINT:
        key = f"checkpointId:{conversation.id}:{new_id(random)}"
        rows.put(key, {"files": [], "nonExistentFiles": [], "newlyCreatedFolders": []})
    if random.random() < _AGENT_BLOB:
        content = random.randbytes(_BLOB_BYTES)
        digest = hashlib.sha256(content).hexdigest()
        rows.put_raw(f"agentKv:blob:{digest}", content)
        rows.put_raw(f"agentKv:checkpoint:{conversation.id}", digest)
        rows.put_raw(f"agentKv:bubbleCheckpoint:{conversation.id}:{bubble_id}", digest)


def answered(random: Random, rows: Rows, conversation: Conversation, generation_id: str) -> None:
    """What is left over from an answer: bubbles that belong to no turn, and documents that hold none."""
    era = conversation.era
    if random.random() < _ORPHAN:
        rewound = _leftover(random, era, new_id(random), "This answer was rewound.")
        rows.put(bubble_key(conversation.id, rewound["bubbleId"]), rewound)
    if era.has_sub_agents and random.random() < _PSEUDO_COMPOSER:
        task = f"task-call_{new_id(random)[:8]}\nfc_{new_id(random)[:8]}"
        step = _leftover(random, era, generation_id, "A step of a tool call.")
        rows.put(bubble_key(task, step["bubbleId"]), step)
        if random.random() < _PSEUDO_DOCUMENT:
            rows.put(composer_key(task), _empty(task, conversation.created_ms))
    if random.random() < _DRAFT:
        draft = new_id(random)
        rows.put(composer_key(draft), _empty(draft, conversation.created_ms))


def without_key(rows: Rows) -> None:
    """A row that has no key at all, as wisdgod/cursor-chat-cleanup found some."""
    rows.put_raw(None, stringify({"orphan": True}))


def _leftover(random: Random, era: Era, request_id: str, text: str) -> JsonObject:
    document = bubble(new_id(random), ASSISTANT, era, None)
    document["requestId"] = request_id
    document["text"] = text
    return document


def _empty(composer_id: str, created_ms: int) -> JsonObject:
    return {
        "_v": 14,
        "composerId": composer_id,
        "text": "",
        "fullConversationHeadersOnly": [],
        "conversationMap": {},
        "status": "none",
        "generatingBubbleIds": [],
        "createdAt": created_ms,
    }
