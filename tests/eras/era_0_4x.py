"""0.44 to 0.48 (December 2024 to March 2025): conversations in the global database, messages inside them.

The ring appears. Some builds put a `requestId` on a bubble, most do not.
"""

from __future__ import annotations

import json

from eras.expected import Expected, ring_only
from eras.machine import CANARY, Home, Machine, at, folder, uid
from eras.shapes import answer, document, entry, head, heads, question, state_of_files, timing, tool

WEB = folder("0.4x/web", "/home/dev/web-0.4x")
#: As seen from WSL; a drive letter is encoded in the URI and small in the path.
SHOP = Home(
    "0d1c2b3a49586776859403a2b1c0ffee", "file:///c%3A/Users/Dev/shop%20two", "c:\\Users\\Dev\\shop two"
)
LAYOUT = folder("0.4x/layout", "/home/dev/layout")

START = at("2025-02-11 08:30:00")


def build(machine: Machine) -> list[Expected]:
    machine.disk.append((None, "a key can be NULL"))
    machine.disk.append((f"composerData:{uid('0.4x/deleted')}", None))
    machine.disk.append(
        (f"composerData:{uid('0.4x/draft')}", document(uid("0.4x/draft"), START, conversation=[]))
    )
    return [
        *_latest(machine),
        *_borne(machine),
        *_moved(machine),
        *_by_layout(machine),
        *_ring_types(machine),
    ]


def put_inline(machine: Machine, doc: dict[str, object], *conversation: object) -> None:
    machine.disk.append((f"composerData:{doc['composerId']}", {**doc, "conversation": list(conversation)}))
    state_of_files(machine, str(doc["composerId"]))


def _latest(machine: Machine) -> list[Expected]:
    """No request ids: the last turn has the conversation's newest generation, the others their bubble's."""
    cid, first, latest = uid("0.4x/latest"), uid("0.4x/latest/g1"), uid("0.4x/latest/g2")
    machine.workspace(WEB, composer__composerData=heads(head(cid, START)))
    put_inline(
        machine,
        document(cid, START, latestChatGenerationUUID=latest, _v=1),
        question("0.4x/latest/q1", "What does this do?"),
        answer("0.4x/latest/a1", "It sorts."),
        question("0.4x/latest/q2", "Make it stable, and say why it was not"),
        answer("0.4x/latest/a2", "It is stable now."),
    )
    machine.ring(
        WEB,
        entry(first, START + 40, "What does this do?"),
        entry(latest, START + 60_040, "Make it stable"),
    )
    return [
        # By text and time it is the conversation's first turn, but entries are never matched by those.
        ring_only(
            "0.4x: the first turn's entry",
            first,
            WEB,
            START + 40,
            generation_type="composer",
            prompt_text="What does this do?",
        ),
        Expected(
            case="0.4x: the first turn, which nothing joins to its entry",
            generation_id=uid("0.4x/latest/q1"),
            home=WEB,
            conversation_id=cid,
            timestamp=START,
            timestamp_source="conversation",
            prompt_text="What does this do?",
            response_text="It sorts.",
        ),
        Expected(
            case="0.4x: the last turn, by latestChatGenerationUUID",
            generation_id=latest,
            home=WEB,
            schema="ring+conversations",
            conversation_id=cid,
            generation_type="composer",
            timestamp=START + 60_040,
            timestamp_source="ring",
            prompt_text="Make it stable, and say why it was not",  # the user bubble's, not the entry's
            response_text="It is stable now.",
        ),
    ]


def _borne(machine: Machine) -> list[Expected]:
    """The newest generation is an earlier turn's: the last has its bubble's id, and its ring by rule 8."""
    cid, borne = uid("0.4x/borne"), uid("0.4x/borne/g1")
    sent = START + 3_600_000
    put_inline(
        machine,
        document(cid, sent, latestChatGenerationUUID=borne.upper(), _v=3),
        question("0.4x/borne/q1", "Run the tests"),
        tool("0.4x/borne/t1", "run_terminal_cmd", "cancelled"),
        # A tool's bubble may have text in these builds.
        tool("0.4x/borne/t2", "run_terminal_cmd") | {"text": "Running them again."},
        answer(
            "0.4x/borne/a1",
            "All green.",
            requestId=borne,
            modelInfo={"modelName": "claude-3.5-sonnet"},
            tokenCount={"inputTokens": 10_482, "outputTokens": 731},
            timingInfo=timing(sent + 100.25, sent + 9_350.25),
        ),
        question("0.4x/borne/q2", "Now commit", requestId=""),
        answer("0.4x/borne/a2", "Committed.", tokenCount={"inputTokens": 0, "outputTokens": 0}),
    )
    machine.ring(SHOP, entry(borne, sent + 10, "Run the tests"))
    return [
        Expected(
            case="0.4x: request id on the answer",
            generation_id=borne,
            home=SHOP,
            schema="ring+conversations",
            conversation_id=cid,
            generation_type="composer",
            model="claude-3.5-sonnet",
            timestamp=sent + 10,
            timestamp_source="ring",
            prompt_text="Run the tests",
            response_text="Running them again.\n\nAll green.",
            prompt_tokens=10_482,
            completion_tokens=731,
            tokens_used=11_213,
            tool_calls=(("run_terminal_cmd", "cancelled"), ("run_terminal_cmd", "completed")),
            completed_timestamp=sent + 9_350,
            duration_ms=9_250,
        ),
        Expected(
            case="0.4x: the newest generation is borne by an earlier turn (rule 8)",
            generation_id=uid("0.4x/borne/q2"),
            home=SHOP,
            conversation_id=cid,
            timestamp=None,  # no first turn, so the conversation's time is not its own
            timestamp_source="capture",
            prompt_text="Now commit",
            response_text="Committed.",
        ),
    ]


def _moved(machine: Machine) -> list[Expected]:
    """Migrated to the global database and gone on there; the copy in the workspace was not removed."""
    cid = uid("0.4x/moved")
    old = [question("0.4x/moved/q1", "Draw it"), answer("0.4x/moved/a1", "Drawn.")]
    inline = head(cid, START) | document(cid, START) | {"conversation": old}
    machine.workspace(LAYOUT, composer__composerData=heads(inline))
    later = [question("0.4x/moved/q2", "Larger"), answer("0.4x/moved/a2", "It is larger.")]
    put_inline(machine, document(cid, START), *old, *later)
    both = {"home": LAYOUT, "conversation_id": cid}
    return [
        Expected(
            case="0.4x: the same turn in the workspace and in the global database",
            generation_id=uid("0.4x/moved/q1"),
            timestamp=START,
            timestamp_source="conversation",
            prompt_text="Draw it",
            response_text="Drawn.",
            **both,
        ),
        Expected(
            case="0.4x: gone on in the global database",
            generation_id=uid("0.4x/moved/q2"),
            timestamp=None,
            timestamp_source="capture",
            prompt_text="Larger",
            response_text="It is larger.",
            **both,
        ),
    ]


def _by_layout(machine: Machine) -> list[Expected]:
    """Rule 6: the project's layout in the context of a message (a list of JSON texts); else nobody's."""
    expected = []
    for name, root, home in [
        ("layout", "/home/dev/layout", LAYOUT),
        ("elsewhere", "/home/somebody/else", None),
    ]:
        cid, asked = uid(f"0.4x/{name}"), question(f"0.4x/{name}/q1", "Where am I?")
        put_inline(machine, document(cid, START + 500), asked, answer(f"0.4x/{name}/a1", "Here."))
        layout = json.dumps({"rootPath": root, "content": {"files": [CANARY]}})
        context = {"projectLayouts": [layout], "terminalFiles": [CANARY]}
        machine.disk.append((f"messageRequestContext:{cid}:{asked['bubbleId']}", context))
        expected.append(
            Expected(
                case=f"0.4x: project layout of {root}",
                generation_id=uid(f"0.4x/{name}/q1"),
                home=home,
                conversation_id=cid,
                timestamp=START + 500,
                timestamp_source="conversation",
                prompt_text="Where am I?",
                response_text="Here.",
            )
        )
    return expected


def _ring_types(machine: Machine) -> list[Expected]:
    """Entries that no conversation knows, of all types; some in two rings, some twice in one."""
    cmdk, apply, chat = (uid(f"0.4x/ring/{name}") for name in ("cmdk", "apply", "chat"))
    untyped, shared, repeated = (uid(f"0.4x/ring/{name}") for name in ("no type", "shared", "repeated"))
    when = START + 7_200_000
    machine.ring(
        WEB,
        entry(cmdk, when, "add a docstring", "cmdk"),
        entry(apply, when + 1, "src/sort.ts", "apply"),
        entry(chat, when + 2, None, "chat"),
        entry(untyped, when + 3, "who am I", None),
        entry(shared, when + 900, "said twice"),
        entry(repeated, when + 5, "once more", "cmdk"),
        entry(repeated, when + 4, "once more", "cmdk"),
        None,
        {"unixMs": when, "generationUUID": None, "type": "composer"},
    )
    machine.ring(SHOP, entry(shared, when + 4, "said twice"))
    return [
        ring_only("0.4x: cmdk", cmdk, WEB, when, generation_type="cmdk", prompt_text="add a docstring"),
        # What an `apply` entry names is a file, not a prompt.
        ring_only("0.4x: apply", apply, WEB, when + 1, generation_type="apply"),
        ring_only("0.4x: chat", chat, WEB, when + 2, generation_type="chat"),
        ring_only("0.4x: no type", untyped, WEB, when + 3, prompt_text="who am I"),
        # The workspace whose ring has the earliest time.
        ring_only(
            "0.4x: in two rings", shared, SHOP, when + 4, generation_type="composer", prompt_text="said twice"
        ),
        # Of several times the earliest.
        ring_only(
            "0.4x: twice in a ring", repeated, WEB, when + 4, generation_type="cmdk", prompt_text="once more"
        ),
    ]
