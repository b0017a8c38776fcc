"""Documents, bubbles and ring entries as Cursor writes them, with the fields that nobody asked for."""

from __future__ import annotations

import json

import attrs

from eras.machine import CANARY, Machine, iso, uid

#: Always there, always empty.
_EMPTY = (
    "approximateLintErrors",
    "lints",
    "codebaseContextChunks",
    "commits",
    "pullRequests",
    "attachedCodeChunks",
)
_EMPTY_TOO = (
    "assistantSuggestedDiffs",
    "gitDiffs",
    "interpreterResults",
    "images",
    "attachedFolders",
    "docs",
)


@attrs.frozen
class Gap:
    """A header whose bubble is not there."""

    bubble_id: str
    type: int


def entry(id_: str, unix_ms: object, text: object = None, type_: object = "composer") -> dict[str, object]:
    """An entry of the ring; what is None is left out."""
    fields = {"unixMs": unix_ms, "generationUUID": id_, "type": type_, "textDescription": text}
    return {name: value for name, value in fields.items() if value is not None}


def bubble(name: str, type_: int, text: object, fields: dict[str, object]) -> dict[str, object]:
    """A message as all versions have it."""
    noise: dict[str, object] = {field: [] for field in (*_EMPTY, *_EMPTY_TOO)}
    return {"type": type_, "bubbleId": uid(name), "text": text, **noise, **fields}


def question(name: str, text: object = "", **fields: object) -> dict[str, object]:
    """What the user said. `sent`: milliseconds for `createdAt`."""
    return bubble(name, 1, text, {"richText": "", "context": {"selections": []}, **_dated(fields)})


def answer(name: str, text: object = "", **fields: object) -> dict[str, object]:
    """What the assistant said. `sent`: milliseconds for `createdAt`."""
    return bubble(name, 2, text, {"codeBlocks": [], "isAgentic": True, **_dated(fields)})


def tool(name: str, called: str | None, status: str = "completed", **fields: object) -> dict[str, object]:
    """A tool's step; a third of them has no name."""
    call: dict[str, object] = {
        "tool": 15,
        "toolCallId": f"toolu_{name}",
        "status": status,
        "additionalData": {},
    }
    call |= {"rawArgs": '{"command":"ls"}', "params": '{"command":"ls"}', "result": '{"output":"secret.txt"}'}
    if called is not None:
        call["name"] = called
    return answer(name, "", capabilityType=15, toolFormerData=call, **fields)


def thought(name: str, text: str, **fields: object) -> dict[str, object]:
    """A thinking step: its text is not part of the answer."""
    thinking = {"text": text, "signature": "c2lnbmF0dXJl"}
    return answer(name, "", capabilityType=30, thinking=thinking, thinkingDurationMs=1200, **fields)


def _dated(fields: dict[str, object]) -> dict[str, object]:
    sent = fields.pop("sent", None)
    return fields if sent is None else {"createdAt": iso(sent), **fields}


def tokens(prompt: int, completion: int) -> dict[str, int]:
    return {"inputTokens": prompt, "outputTokens": completion}


def model(name: str) -> dict[str, str]:
    return {"modelName": name}


def timing(sent: float, ended: float) -> dict[str, float]:
    """Floats; the first is relative to the process."""
    times = {"clientStartTime": 81_234.5, "clientRpcSendTime": sent}
    return {**times, "clientSettleTime": ended - 20.5, "clientEndTime": ended}


def lexical(*paragraphs: tuple[str, ...]) -> str:
    """Rich text: paragraphs of pieces; a piece that begins with @ is a mention."""
    lines = []
    for pieces in paragraphs:
        nodes = []
        for piece in pieces:
            kind = {"type": "mention", "mentionName": piece[1:]} if piece[0] == "@" else {"type": "text"}
            nodes.append(
                {"detail": 0, "format": 0, "mode": "normal", "style": "", "version": 1, "text": piece} | kind
            )
        lines.append({"type": "paragraph", "children": nodes, "direction": "ltr", "indent": 0, "version": 1})
    return json.dumps({"root": {"type": "root", "children": lines, "direction": "ltr", "version": 1}})


def head(cid: str, created: int, **fields: object) -> dict[str, object]:
    """What `allComposers` has of a conversation."""
    base = {"type": "head", "composerId": cid, "name": "A chat", "createdAt": created, "unifiedMode": "agent"}
    more = {"forceMode": "edit", "totalLinesAdded": 12, "totalLinesRemoved": 3, "isArchived": False}
    return {**base, **more, "isDraft": False, "isSpec": False, **fields}


def heads(*all_composers: object) -> dict[str, object]:
    """A workspace's `composer.composerData` before 3.0."""
    return {"allComposers": list(all_composers), "selectedComposerIds": [], "lastFocusedComposerIds": []}


#: The same after 3.0: nothing that names a conversation.
MIGRATED = {
    "selectedComposerIds": [uid("a conversation that is open")],
    "lastFocusedComposerIds": [],
    "hasMigratedComposerData": True,
    "hasMigratedMultipleComposers": True,
}


def document(cid: str, created: object, **fields: object) -> dict[str, object]:
    """A conversation's document without its messages; the texts in it are an unsent draft."""
    base = {"composerId": cid, "createdAt": created, "status": "completed", "name": "A chat"}
    draft = {"text": "a draft that was never sent", "richText": lexical(("a draft that was never sent",))}
    more = {"generatingBubbleIds": [], "conversationMap": {}, "usageData": {}, "unifiedMode": "agent"}
    return {**base, **draft, **more, "context": {"mentions": {}}, **fields}


def store(machine: Machine, doc: dict[str, object], *messages: object) -> None:
    """A conversation as headers and bubbles."""
    cid, named = doc["composerId"], []
    for message in messages:
        if isinstance(message, Gap):
            named.append({"bubbleId": message.bubble_id, "type": message.type})
        else:
            named.append({"bubbleId": message["bubbleId"], "type": message["type"]})
            put(machine, cid, message)
    machine.disk.append((f"composerData:{cid}", {**doc, "fullConversationHeadersOnly": named}))


def put(machine: Machine, cid: object, *messages: dict[str, object]) -> None:
    """Bubbles without a header."""
    machine.disk += [(f"bubbleId:{cid}:{message['bubbleId']}", message) for message in messages]


def row(cid: str, workspace: str | None, created: int, *, subagent: int = 0, **times: int | None) -> tuple:
    """A row of the composerHeaders table."""
    updated = times.get("updated", created)
    value = json.dumps(head(cid, created))
    return cid, workspace, created, updated, 0, subagent, created, times.get("checkpoint", created), value


def state_of_files(machine: Machine, cid: str) -> None:
    """What else has the conversation's id in its key; tombstones too."""
    machine.disk += [
        (
            f"checkpointId:{cid}:{uid(cid + 'cp')}",
            {"files": [{"content": CANARY}], "requestId": uid(cid + "cp")},
        ),
        (f"codeBlockDiff:{cid}:{uid(cid + 'diff')}", {"newModelDiffWrtV0": [{"modified": [CANARY]}]}),
        (f"composer.content.{cid.replace('-', '')}", f"{CANARY} of a file"),
        (
            f"codeBlockPartialInlineDiffFates:{cid}:{uid(cid + 'fate')}",
            [{"text": CANARY}],
        ),
        (f"ofsContent:{cid}:{uid(cid + 'ofs')}", CANARY),
        (f"inlineDiff-{cid}", {"text": CANARY}),
        (f"bubbleId:{cid}:{uid(cid + 'deleted')}", None),
        (f"composerData:{uid(cid + 'deleted')}", None),
    ]
