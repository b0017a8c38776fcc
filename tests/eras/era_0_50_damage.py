"""0.49 and 0.50: bubbles that are missing, deleted, orphaned, broken, or stored as BLOBs."""

from __future__ import annotations

import json

from eras.expected import Expected, ring_only
from eras.machine import Blob, Broken, Machine, at, folder, uid
from eras.shapes import Gap, answer, document, entry, head, heads, put, question, store

API = folder("0.50 damage/api", "/home/dev/api-damaged")

START = at("2025-05-07 16:20:00")


def build(machine: Machine) -> list[Expected]:
    named = [head(uid(f"0.50/{name}"), START) for name in ("holes", "behead", "stored", "lost")]
    machine.workspace(API, composer__composerData=heads(*named))
    return [*_holes(machine), *_beheaded(machine), *_stored(machine), *_lost(machine)]


def _holes(machine: Machine) -> list[Expected]:
    """Headers of bubbles that are not there: passed over, but for the last one of the conversation."""
    cid, first, second = uid("0.50/holes"), uid("0.50/holes/g1"), uid("0.50/holes/g2")
    deleted = uid("0.50/holes/deleted")
    store(
        machine,
        document(cid, START + 1, _v=3),
        Gap(uid("0.50/holes/q0"), 1),  # a user header without a bubble and without an answer: no turn
        question("0.50/holes/q1", "Split the module", requestId=first),
        Gap(uid("0.50/holes/never"), 2),
        answer("0.50/holes/a1", "It is split."),
        Gap(deleted, 2),
        question("0.50/holes/q2", "Name the halves", requestId=second),
        answer("0.50/holes/a2", "Left and"),
        Gap(uid("0.50/holes/last"), 2),
    )
    machine.disk.append((f"bubbleId:{cid}:{deleted}", None))
    machine.ring(API, entry(first, START + 2_000, "Split the module"), entry(second, START + 3_000, None))
    common = {
        "home": API,
        "schema": "ring+conversations",
        "conversation_id": cid,
        "generation_type": "composer",
    }
    return [
        Expected(
            case="0.50: holes in the middle",
            generation_id=first,
            timestamp=START + 2_000,
            timestamp_source="ring",
            prompt_text="Split the module",
            response_text="It is split.",
            **common,
        ),
        Expected(
            # The last header has no bubble: the turn counts as generating, for months by now.
            case="0.50: the last bubble missing",
            generation_id=second,
            status="incomplete",
            timestamp=START + 3_000,
            timestamp_source="ring",
            prompt_text="Name the halves",
            response_text="Left and",
            **common,
        ),
    ]


def _beheaded(machine: Machine) -> list[Expected]:
    """A user bubble that is gone, with an answer left; and bubbles that no header names any more."""
    cid, turn, rewound = uid("0.50/behead"), uid("0.50/behead/g1"), uid("0.50/behead/rewound")
    store(
        machine,
        document(cid, START + 2, _v=3, latestChatGenerationUUID=turn),
        Gap(uid("0.50/behead/q1"), 1),
        answer("0.50/behead/a1", "Formatted.", requestId=turn),
    )
    put(
        machine,
        cid,
        question("0.50/behead/q2", "rewound: must not be said", requestId=rewound),
        answer("0.50/behead/a2", "rewound: must not be said", requestId=rewound),
    )
    task = f"task-call_{uid('0.50/call')}\nfc_{uid('0.50/fc')}"
    put(
        machine,
        task,
        question("0.50/task/q1", "no document: must not be said", requestId=uid("0.50/task/g1")),
    )
    put(
        machine,
        uid("0.50/nowhere"),
        answer("0.50/nowhere/a1", "must not be said", requestId=uid("0.50/nowhere/g")),
    )
    machine.ring(API, entry(turn, START + 4_000, "Format it"), entry(rewound, START + 5_000, "Undo that"))
    return [
        Expected(
            case="0.50: a turn without its question",
            generation_id=turn,
            home=API,
            schema="ring+conversations",
            conversation_id=cid,
            generation_type="composer",
            timestamp=START + 4_000,
            timestamp_source="ring",
            prompt_text="Format it",  # no user bubble: the entry's
            response_text="Formatted.",
        ),
        # Its bubbles belong to no turn, so no conversation knows it.
        ring_only(
            "0.50: rewound", rewound, API, START + 5_000, generation_type="composer", prompt_text="Undo that"
        ),
    ]


def _stored(machine: Machine) -> list[Expected]:
    """Documents and bubbles as BLOBs, text that is not UTF-8, rows that are no objects."""
    cid, turn = uid("0.50/stored"), uid("0.50/stored/g1")
    asked = question("0.50/stored/q1", "Translate", requestId=turn)
    said = answer("0.50/stored/a1", "Voilà.")
    torn = json.dumps(answer("0.50/stored/a2", "Cut: #"), ensure_ascii=False).encode().replace(b"#", b"\xc3")
    broken = uid("0.50/stored/broken")
    headers = [{"bubbleId": asked["bubbleId"], "type": 1}, {"bubbleId": broken, "type": 2}]
    headers += [{"bubbleId": item, "type": 2} for item in (uid("0.50/stored/a1"), uid("0.50/stored/a2"))]
    doc = document(cid, START + 3) | {"fullConversationHeadersOnly": headers}
    machine.disk += [
        (f"composerData:{cid}", Blob(json.dumps(doc).encode())),
        (f"bubbleId:{cid}:{asked['bubbleId']}", Blob(json.dumps(asked).encode())),
        (f"bubbleId:{cid}:{broken}", '{"type": 2, "text": "never clos'),
        (f"bubbleId:{cid}:{said['bubbleId']}", said),
        (f"bubbleId:{cid}:{uid('0.50/stored/a2')}", Broken(torn)),
        (f"composerData:{uid('0.50/list')}", "[1, 2]"),
        (f"composerData:{uid('0.50/empty')}", ""),
        (f"composerData:{uid('0.50/torn')}", '{"composerId": "'),
    ]
    return [
        Expected(
            case="0.50: BLOBs and text that is not UTF-8",
            generation_id=turn,
            home=API,
            conversation_id=cid,
            timestamp=START + 3,
            timestamp_source="conversation",
            prompt_text="Translate",
            response_text="Voilà.\n\nCut: \ufffd",
        )
    ]


def _lost(machine: Machine) -> list[Expected]:
    """The first question is lost, without any answer: that is no turn, so the next one is the first."""
    cid, turn = uid("0.50/lost"), uid("0.50/lost/g2")
    store(
        machine,
        document(cid, START + 4, _v=3),
        Gap(uid("0.50/lost/q1"), 1),
        question("0.50/lost/q2", "Hello again", requestId=turn),
        answer("0.50/lost/a2", "Hello."),
    )
    return [
        Expected(
            case="0.50: the first question lost",
            generation_id=turn,
            home=API,
            conversation_id=cid,
            timestamp=START + 4,
            timestamp_source="conversation",
            prompt_text="Hello again",
            response_text="Hello.",
        )
    ]
