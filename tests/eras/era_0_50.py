"""0.49 and 0.50 (April to June 2025): headers name the messages, each message is a row of its own.

No times on bubbles yet.
"""

from __future__ import annotations

from eras.expected import Expected, ring_only
from eras.machine import Home, Machine, at, folder, uid
from eras.shapes import (
    answer,
    document,
    entry,
    head,
    heads,
    model,
    question,
    state_of_files,
    store,
    thought,
    timing,
    tokens,
    tool,
)

#: Switched to WAL by somebody's extension, long before Cursor did it.
API = folder("0.50/api", "/home/dev/api", journal="wal")
#: Percent-encoded UTF-8.
CAFE = Home("51c0ffee51c0ffee51c0ffee51c0ffee", "file:///home/dev/caf%C3%A9%20%2350", "/home/dev/café #50")

START = at("2025-05-06 16:20:00")


def build(machine: Machine) -> list[Expected]:
    named = [head(uid(f"0.50/{name}"), START) for name in ("steps", "settled/error")]
    machine.workspace(API, composer__composerData=heads(*named, head(uid("0.50/settled/aborted"), START)))
    store(machine, document(uid("0.50/draft"), START, status="none", _v=3))
    return [*_steps(machine), *_settled(machine)]


def _steps(machine: Machine) -> list[Expected]:
    """Thinking, tools and text, each a bubble; the model and the tokens on the last."""
    cid, turn = uid("0.50/steps"), uid("0.50/steps/g1")
    sent = START + 5_000
    store(
        machine,
        document(cid, START, latestChatGenerationUUID=turn, _v=3),
        question("0.50/steps/q1", "Find the leak", requestId=turn),
        thought("0.50/steps/th", "Perhaps the cache."),
        answer(
            "0.50/steps/a1", "I look at the cache.", modelInfo=model("gpt-4.1"), tokenCount=tokens(400, 20)
        ),
        tool("0.50/steps/t1", "grep_search"),
        tool("0.50/steps/t2", None, "error"),
        answer(
            "0.50/steps/a2",
            "It is the cache.",
            requestId=turn,
            modelInfo=model("gpt-4.1"),
            tokenCount=tokens(15_000, 890),
            timingInfo=timing(sent + 200.5, sent + 30_700.5),
            usageUuid=uid("0.50/steps/usage"),
            serverBubbleId=uid("0.50/steps/server"),
        ),
        answer("0.50/steps/a3", "", tokenCount=tokens(0, 0)),
    )
    state_of_files(machine, cid)
    machine.ring(API, entry(turn, sent, "Find the leak"))
    return [
        Expected(
            case="0.50: steps",
            generation_id=turn,
            home=API,
            schema="ring+conversations",
            conversation_id=cid,
            generation_type="composer",
            model="gpt-4.1",
            timestamp=sent,
            timestamp_source="ring",
            prompt_text="Find the leak",
            response_text="I look at the cache.\n\nIt is the cache.",
            # Of the last bubble with a count above 0, not their sum.
            prompt_tokens=15_000,
            completion_tokens=890,
            tokens_used=15_890,
            tool_calls=(("grep_search", "completed"), (None, "error")),
            completed_timestamp=sent + 30_700,
            duration_ms=30_500,
        )
    ]


def _settled(machine: Machine) -> list[Expected]:
    """`aborted` and `error` are said of the last turn; earlier ones are judged by what follows them."""
    expected = []
    for status in ("aborted", "error"):
        cid, first, second = (uid(f"0.50/settled/{status}{name}") for name in ("", "/g1", "/g2"))
        store(
            machine,
            document(cid, START + 60_000, status=status, _v=3),
            question(f"0.50/settled/{status}/q1", "Plan it", requestId=first),
            thought(f"0.50/settled/{status}/th", "Hm."),
            question(f"0.50/settled/{status}/q2", "Do it", requestId=second),
            tool(f"0.50/settled/{status}/t1", "edit_file", "loading"),
        )
        expected += [
            Expected(
                case=f"0.50: before the {status} turn, answered by thinking alone",
                generation_id=first,
                home=API,
                conversation_id=cid,
                timestamp=START + 60_000,
                timestamp_source="conversation",
                prompt_text="Plan it",
            ),
            Expected(
                case=f"0.50: {status}",
                generation_id=second,
                home=API,
                conversation_id=cid,
                status=status,
                timestamp=None,
                timestamp_source="capture",
                prompt_text="Do it",
                tool_calls=(("edit_file", "loading"),),
            ),
        ]
    machine.ring(CAFE, entry(uid("0.50/cafe"), START, "un café", "cmdk"))
    where = {"generation_type": "cmdk", "prompt_text": "un café"}
    return [*expected, ring_only("0.50: a path with é, blank and #", uid("0.50/cafe"), CAFE, START, **where)]
