"""Up to 0.42 (2024): chat tabs, and whole conversations inside the workspace; no generation id anywhere.

The id of a turn is its user bubble's, since nothing else is there: no `requestId`, no ring, no
`latestChatGenerationUUID`. Times: `createdAt` of the conversation for its first turn, sometimes `timingInfo`.
"""

from __future__ import annotations

import json

from eras.expected import Expected
from eras.machine import CANARY, Blob, Home, Machine, at, folder, uid
from eras.shapes import answer, document, head, heads, lexical, question, timing, tool

WEB = folder("2024/web", "/home/dev/web")
#: A window on several folders; older VS Code calls the key `configuration`.
MONO = Home(
    "4b1f6d2c9a8e4f7031c5d6e7f8091a2b",
    "file:///home/dev/mono/mono.code-workspace",
    "/home/dev/mono/mono.code-workspace",
    kind="configuration",
)
BROKEN = folder("2024/broken", "/home/dev/broken")
NO_FOLDER = Home("1725350000123")

START = at("2024-09-03 10:00:00")


def inline(cid: str, created: int, *conversation: object, **fields: object) -> dict[str, object]:
    """An entry of `allComposers` with everything in it."""
    return head(cid, created) | document(cid, created, **fields) | {"conversation": list(conversation)}


def build(machine: Machine) -> list[Expected]:
    expected = [*_talk(machine), *_mono(machine)]
    tabs = {
        "tabs": [{"tabId": uid("2024/tab"), "chatTitle": "Tabs", "lastSendTime": START, "bubbles": _tab()}]
    }
    prompts = [{"text": "Rename the helper", "commandType": 4}, {"text": "in a tab", "commandType": 2}]
    # Neither tabs nor prompts give events, in whatever window.
    machine.workspace(
        WEB,
        workbench__panel__aichat__view__aichat__chatdata=tabs,
        aiService__prompts=prompts,
        interactive__sessions={"note": CANARY},
    )
    machine.workspace(NO_FOLDER, workbench__panel__chat__view__chat__chatdata=tabs)
    # Values that are no conversations at all.
    machine.workspace(
        BROKEN, composer__composerData='{"allComposers": [{"composerId": "cut of', aiService__prompts=None
    )
    return expected


def _tab() -> list[dict[str, object]]:
    asked = {"type": "user", "id": uid("2024/tab/q"), "text": "in a tab", "rawText": "in a tab"}
    return [asked, {"type": "ai", "id": uid("2024/tab/a"), "rawText": "from a tab", "modelType": "gpt-4"}]


def _talk(machine: Machine) -> list[Expected]:
    rename, retry, stopped, stuck = (uid(f"2024/{name}") for name in ("rename", "retry", "stopped", "stuck"))
    sent, ended = START + 600_000, START + 604_500
    machine.workspace(
        WEB,
        composer__composerData=heads(
            inline(
                rename,
                START,
                question("2024/rename/q1", "Rename the helper"),
                answer("2024/rename/a1", "Renamed it."),
                answer("2024/rename/a1b", ""),
                answer("2024/rename/a1c", "All callers follow."),
                question("2024/rename/q2", "And the tests?"),
                answer("2024/rename/a2", ""),
                question("2024/rename/q3", "And the tests, please"),
                answer("2024/rename/a3", "Done.", timingInfo=timing(sent + 0.25, ended + 0.5)),
                lastUpdatedAt=ended,
            ),
            inline(
                retry,
                START + 1000,
                question("2024/retry/q1", "", richText="Write a retry loop"),
                answer("2024/retry/a1", "Here it is."),
                question("2024/retry/q2", "With jitter"),
                status="none",
            ),
            inline(
                stopped,
                START + 2000,
                question("2024/stopped/q1", "Explain every file"),
                answer("2024/stopped/a1", "The first file is"),
                status="aborted",
            ),
            inline(
                stuck,
                START + 3000,
                question("2024/stuck/q1", "Port it to Rust"),
                answer("2024/stuck/a1", "fn main() {"),
                status="generating",
            ),
            inline(uid("2024/draft"), START + 4000, status="none"),
        ),
    )
    talk = {"home": WEB, "conversation_id": rename}
    nothing = {"timestamp": None, "timestamp_source": "capture"}
    return [
        Expected(
            case="2024: first turn, time of its conversation, answers without text left out",
            generation_id=uid("2024/rename/q1"),
            timestamp=START,
            timestamp_source="conversation",
            prompt_text="Rename the helper",
            response_text="Renamed it.\n\nAll callers follow.",
            **talk,
        ),
        Expected(
            # A later user bubble settles it; an empty assistant bubble is no answer.
            case="2024: no answer before the next question",
            generation_id=uid("2024/rename/q2"),
            status="aborted",
            prompt_text="And the tests?",
            **talk,
            **nothing,
        ),
        Expected(
            case="2024: times from timingInfo",
            generation_id=uid("2024/rename/q3"),
            timestamp=sent,
            timestamp_source="bubble",
            prompt_text="And the tests, please",
            response_text="Done.",
            completed_timestamp=ended,
            duration_ms=4500,
            **talk,
        ),
        Expected(
            case="2024: rich text that is plain",
            generation_id=uid("2024/retry/q1"),
            home=WEB,
            conversation_id=retry,
            timestamp=START + 1000,
            timestamp_source="conversation",
            prompt_text="Write a retry loop",
            response_text="Here it is.",
        ),
        Expected(
            # Long ago; no later user bubble, and the last is not the assistant's.
            case="2024: a question and nothing else",
            generation_id=uid("2024/retry/q2"),
            home=WEB,
            conversation_id=retry,
            status="incomplete",
            prompt_text="With jitter",
            **nothing,
        ),
        Expected(
            case="2024: aborted conversation",
            generation_id=uid("2024/stopped/q1"),
            home=WEB,
            conversation_id=stopped,
            status="aborted",
            timestamp=START + 2000,
            timestamp_source="conversation",
            prompt_text="Explain every file",
            response_text="The first file is",
        ),
        Expected(
            # The text so far is all there will be; the status says that it is not complete.
            case="2024: left generating",
            generation_id=uid("2024/stuck/q1"),
            home=WEB,
            conversation_id=stuck,
            status="incomplete",
            timestamp=START + 3000,
            timestamp_source="conversation",
            prompt_text="Port it to Rust",
            response_text="fn main() {",
        ),
    ]


def _mono(machine: Machine) -> list[Expected]:
    cid = uid("2024/mono")
    without_id = {"type": 1, "text": "nobody can name this one"}
    conversation = [
        answer("2024/mono/greeting", "Ask me anything."),  # before any question: of no turn
        question("2024/mono/q1", "", richText=lexical(("Look at ", "@mono.py", " please"))),
        "not a bubble",
        7,
        tool("2024/mono/t1", "read_file"),
        without_id,  # a turn with neither id is counted, not reported; it ends the one before
        {"type": 2, "text": "Nor its answer."},
    ]
    value = heads(inline(cid, START + 9000, *conversation), {"composerId": 5, "conversation": "none"}, None)
    # Valid JSON, but stored as a BLOB.
    machine.workspace(MONO, composer__composerData=Blob(json.dumps(value).encode()))
    return [
        Expected(
            # A tool call alone is an answer, so the turn is not aborted.
            case="2024: BLOB, code-workspace, lexical text with a mention",
            generation_id=uid("2024/mono/q1"),
            home=MONO,
            conversation_id=cid,
            timestamp=START + 9000,
            timestamp_source="conversation",
            prompt_text="Look at @mono.py please",
            tool_calls=(("read_file", "completed"),),
        ),
    ]
