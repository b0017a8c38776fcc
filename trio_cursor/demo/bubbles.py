"""Bubbles: a message or a tool step, as it stands in `bubbleId:<conversation>:<bubble>`.

Source: cursor-storage facts, section c, table of `bubble`: about 70 keys, most of them always empty.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from trio_cursor.demo.javascript import stringify

if TYPE_CHECKING:
    from random import Random

    from trio_cursor.demo.eras import Era
    from trio_cursor.observations import JsonObject

USER: Final = 1
ASSISTANT: Final = 2
#: `capabilityType`.
TOOL: Final = 15
THINKING: Final = 30
#: `unifiedMode` is a number here and a word in `composerData`.
_AGENT_MODE: Final = 2

#: What a bubble has and nobody uses.
_EMPTY_LISTS: Final = (
    "approximateLintErrors", "lints", "codebaseContextChunks", "commits", "pullRequests",
    "attachedCodeChunks", "assistantSuggestedDiffs", "gitDiffs", "interpreterResults", "images",
    "attachedFolders", "attachedFoldersNew", "userResponsesToSuggestedCodeBlocks", "suggestedCodeBlocks",
    "diffsForCompressingFiles", "relevantFiles", "toolResults", "notepads", "capabilities",
    "multiFileLinterErrors", "diffHistories", "recentLocationsHistory", "recentlyViewedFiles",
    "fileDiffTrajectories", "docsReferences", "webReferences", "aiWebSearchResults",
    "attachedFoldersListDirResults", "humanChanges", "summarizedComposers", "cursorRules", "contextPieces",
    "editTrailContexts", "allThinkingBlocks", "diffsSinceLastApply", "deletedFiles", "supportedTools",
    "attachedFileCodeChunksMetadataOnly", "consoleLogs", "uiElementPicked", "knowledgeItems",
    "documentationSelections", "externalLinks", "projectLayouts", "capabilityContexts",
)  # fmt: skip
_EMPTY: Final[JsonObject] = {key: [] for key in _EMPTY_LISTS} | {
    "capabilityStatuses": {},
    "attachedHumanChanges": False,
    "existedSubsequentTerminalCommand": False,
    "existedPreviousTerminalCommand": False,
    "isRefunded": False,
    "useWeb": False,
}

#: Tool numbers are Cursor's own and change; only their names mean something.
_TOOL_NUMBERS: Final = {"read_file_v2": 40, "run_terminal_command_v2": 15, "edit_file_v2": 38, "task": 48}
_UNNAMED_TOOL_NUMBER: Final = 9


def iso_8601(unix_ms: int) -> str:
    """`new Date(...).toISOString()`."""
    at = datetime.fromtimestamp(unix_ms // 1000, UTC).replace(microsecond=unix_ms % 1000 * 1000)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def bubble(bubble_id: str, kind: int, era: Era, created_ms: int | None) -> JsonObject:
    """One without content, as each begins; `created_ms` None: without a time."""
    document: JsonObject = {} if era.bubble_version is None else {"_v": era.bubble_version}
    document |= {"type": kind, **_EMPTY, "bubbleId": bubble_id, "isAgentic": True}
    document |= {
        "requestId": "",
        "text": "",
        "unifiedMode": _AGENT_MODE,
        "tokenCount": {"inputTokens": 0, "outputTokens": 0},
    }
    if created_ms is not None:
        document["createdAt"] = iso_8601(created_ms)
    return document


def lexical(text: str) -> str:
    """The state of the input box, which is a Lexical editor: nodes of text with line breaks between them."""
    nodes: list[JsonObject] = []
    for number, line in enumerate(text.split("\n")):
        if number:
            nodes.append({"type": "linebreak", "version": 1})
        if line:
            nodes.append(
                {
                    "detail": 0,
                    "format": 0,
                    "mode": "normal",
                    "style": "",
                    "text": line,
                    "type": "text",
                    "version": 1,
                }
            )
    layout: JsonObject = {"direction": "ltr", "format": "", "indent": 0, "version": 1}
    paragraph = {"children": nodes, **layout, "type": "paragraph"}
    return stringify({"root": {"children": [paragraph], **layout, "type": "root"}})


def ask(document: JsonObject, prompt: str, form: str) -> None:
    """Put a question in: as `text` beside the `lexical` form, or as one of them alone."""
    if form == "text":
        document["text"] = prompt
    document["richText"] = prompt if form == "plain" else lexical(prompt)


def think(document: JsonObject, text: str) -> None:
    document["capabilityType"] = THINKING
    document["thinking"] = {"text": text, "signature": ""}


def use_tool(document: JsonObject, name: str | None, tool_call_id: str, path: str) -> None:
    """The call as it begins; arguments are JSON inside a string."""
    arguments = stringify({"target_file": path})
    data: JsonObject = {
        "tool": _TOOL_NUMBERS.get(name or "", _UNNAMED_TOOL_NUMBER),
        "toolCallId": tool_call_id,
        "modelCallId": "",
        "status": "loading",
        "rawArgs": arguments,
        "params": arguments,
        "additionalData": {},
    }
    if name is not None:
        data["name"] = name
    document["capabilityType"] = TOOL
    document["toolFormerData"] = data


def end_tool(document: JsonObject, status: str, result: str) -> None:
    data = document["toolFormerData"]
    data["status"] = status
    if status == "completed":
        data["result"] = stringify({"contents": result})
    elif status == "error":
        data["error"] = stringify({"clientVisibleErrorMessage": "File not found"})


def timing(random: Random, sent_ms: int, ended_ms: int) -> JsonObject:
    """Floats all of them; the first counts from the start of the process."""
    return {
        "clientStartTime": random.uniform(1_000, 9_000_000),
        # A quarter can be told exactly in binary, so that nobody's difference is off by one.
        "clientRpcSendTime": sent_ms + 0.25,
        "clientSettleTime": ended_ms - 1 + 0.25,
        "clientEndTime": ended_ms + 0.25,
    }


def tool_call(document: JsonObject) -> tuple[str | None, str] | None:
    """Name and status of the call in a bubble; None if it has none."""
    data = document.get("toolFormerData")
    return None if data is None else (data.get("name"), data["status"])
