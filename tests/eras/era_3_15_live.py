"""3.15 to 3.19: what is in flight at this very moment, and is left for the next run."""

from __future__ import annotations

from eras.expected import Expected
from eras.machine import Machine, folder, uid
from eras.shapes import MIGRATED, Gap, answer, document, entry, question, row, store

MAIN = folder("3.15 live/main", "/home/dev/live", journal="wal")

VERSION = {"_v": 17, "agentBackend": "cursor-agent", "contextTokensUsed": 48_211}


def build(machine: Machine) -> list[Expected]:
    """Only what is surely finished is reported."""
    machine.journal = "wal"
    machine.more_columns = ("subagentTypeName",)
    machine.workspace(MAIN, composer__composerData=MIGRATED)
    now = machine.now
    cid, first, second = uid("3.15/live"), uid("3.15/live/g1"), uid("3.15/live/g2")
    store(
        machine,
        document(cid, now - 9_000, **VERSION, status="generating", generatingBubbleIds=[uid("3.15/live/a2")]),
        question("3.15/live/q1", "Earlier", requestId=first, sent=now - 8_000),
        answer("3.15/live/a1", "Answered.", sent=now - 7_000),
        question("3.15/live/q2", "Just now", requestId=second, sent=now - 1_000),
        answer("3.15/live/a2", "I am still", sent=now - 900),
    )
    written, waiting = uid("3.15/unwritten"), uid("3.15/unwritten/g")
    store(
        machine,
        document(written, now - 2_000, **VERSION),
        question("3.15/unwritten/q", "Where is my answer?", requestId=waiting, sent=now - 1_500),
        Gap(uid("3.15/unwritten/a"), 2),
    )
    alone, asked = uid("3.15/alone"), uid("3.15/alone/g")
    store(
        machine,
        document(alone, now - 2_000, **VERSION, status="none"),
        question("3.15/alone/q", "Nobody has answered yet", requestId=asked, sent=now - 1_400),
    )
    done, quick = uid("3.15/done"), uid("3.15/done/g")
    store(
        machine,
        document(done, now - 4_000, **VERSION, lastUpdatedAt=now - 500),
        question("3.15/done/q", "Quickly", requestId=quick, sent=now - 3_000),
        answer("3.15/done/a", "At once.", sent=now - 2_000),
    )
    for conversation in (cid, written, alone, done):
        machine.headers.append(row(conversation, MAIN.id, now - 9_000, checkpoint=now - 500))
    machine.ring(
        MAIN, entry(second, now - 950, "Just now"), entry(uid("3.15/registered"), now, "No chat yet")
    )
    known = {"home": MAIN, "timestamp_source": "bubble"}
    return [
        Expected(
            # A later question is there: nothing more can come, however recent it is.
            case="3.15: before the turn in flight",
            generation_id=first,
            conversation_id=cid,
            timestamp=now - 8_000,
            prompt_text="Earlier",
            response_text="Answered.",
            prompt_timestamp=now - 8_000,
            completed_timestamp=now - 7_000,
            **known,
        ),
        Expected(
            case="3.15: settled a moment ago",
            generation_id=quick,
            conversation_id=done,
            timestamp=now - 3_000,
            prompt_text="Quickly",
            response_text="At once.",
            prompt_timestamp=now - 3_000,
            completed_timestamp=now - 2_000,
            **known,
        ),
    ]
