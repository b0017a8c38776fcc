"""3.0 (April 2026): the workspaces no longer list their conversations; agentKv beside the bubbles.

Whose a conversation is, is said by what lies in it (rules 3, 6, 7) or by the ring of another turn (rule 8).
"""

from __future__ import annotations

import json

from eras.expected import Expected
from eras.machine import CANARY, Blob, Home, Machine, at, folder, uid
from eras.shapes import MIGRATED, answer, document, entry, head, model, question, store, thought, tool

ONE = folder("3.0/one", "/home/dev/one", journal="wal")
TWO = folder("3.0/two", "/home/dev/two", journal="wal")
THREE = folder("3.0/three", "/home/dev/three")

START = at("2026-04-14 18:45:00.500")
REMEMBERED = {
    "agentBackend": "cursor-agent",
    "blobEncryptionKey": f"{CANARY}-key",
    "conversationState": "~CgA=",
}


def build(machine: Machine) -> list[Expected]:
    machine.journal = "wal"
    machine.workspace(ONE, composer__composerData=MIGRATED)
    machine.workspace(TWO, composer__composerData=MIGRATED)
    machine.workspace(THREE, composer__composerData=MIGRATED)
    machine.ring(ONE)  # `[]`: some 3.x workspaces have nothing in it
    # Every head is in one list now, which is frozen later on: it says nothing of workspaces.
    everything = [head(uid(f"3.0/{name}"), START) for name in ("id", "path", "rolled", "nobody")]
    machine.items.append(("composer.composerHeaders", {"allComposers": everything}))
    machine.items.append(("glass.localAgentProjects.v1", [{"id": "p1", "note": CANARY}]))
    _agent_store(machine)
    return [*_said_inside(machine), *_rolled_away(machine), *_long_turn(machine)]


def _agent_store(machine: Machine) -> None:
    """The agent's own stack of messages: skipped, whatever request ids and texts are in it."""
    opening = {"role": "user", "content": f"{CANARY} question", "providerOptions": {}}
    opening["providerOptions"] = {"cursor": {"requestId": uid("3.0/agentKv"), "modelName": CANARY}}
    machine.disk += [
        (f"agentKv:blob:{'ab' * 32}", Blob(json.dumps(opening).encode())),
        (f"agentKv:blob:{'cd' * 32}", Blob(b"\x0a\x20\xff\xfe\x00" + CANARY.encode())),
        (f"agentKv:blob:{'ef' * 32}", "0a20" * 8),
        (f"agentKv:checkpoint:{uid('3.0/id')}", "ab" * 32),
        (f"agentKv:bubbleCheckpoint:{uid('3.0/id')}:{uid('3.0/id/q')}", "cd" * 32),
        (f"composerVirtualRowHeights:{uid('3.0/id')}", {"rows": {"1": 24}}),
        (f"{uid('3.0/bc')}:cloudAgent:metadata", {"prompt": CANARY}),
        ("ai_hashes.2026-04-14", [CANARY]),
    ]


def _said_inside(machine: Machine) -> list[Expected]:
    """Rules 3, 6 and 7; nobody's if none of them gives a workspace."""
    uri = {"$mid": 1, "fsPath": TWO.path, "external": TWO.uri, "path": TWO.path, "scheme": "file"}
    layouts = [{"rootPath": "/home/dev/unknown"}, {"rootPath": THREE.path}]
    says: list[tuple[str, Home | None, dict[str, object], list[object], dict[str, object]]] = [
        ("id", ONE, {"workspaceIdentifier": {"id": ONE.id, "uri": {**uri, "fsPath": ONE.path}}}, [], {}),
        ("path", TWO, {"workspaceIdentifier": {"uri": uri}}, [], {}),
        ("layout", THREE, {}, layouts, {"workspaceUris": [ONE.uri]}),  # rule 6 goes before rule 7
        ("uris", ONE, {}, [], {"workspaceUris": [ONE.uri]}),
        ("nobody", None, {"workspaceIdentifier": {}}, ["{", 5], {"workspaceUris": "none"}),
    ]
    expected = []
    for number, (name, home, fields, root_paths, in_bubble) in enumerate(says):
        cid, turn, sent = uid(f"3.0/{name}"), uid(f"3.0/{name}/g"), START + 1_000 * number
        asked = question(f"3.0/{name}/q", "Who owns this?", requestId=turn, sent=sent, **in_bubble)
        last = answer(f"3.0/{name}/a", "You do.", sent=sent + 700, modelInfo=model("claude-4.6-opus"))
        store(machine, document(cid, sent, _v=14, **REMEMBERED, **fields), asked, last)
        if root_paths:
            key = f"messageRequestContext:{cid}:{asked['bubbleId']}"
            machine.disk.append((key, {"projectLayouts": root_paths, "knowledgeItems": [CANARY]}))
        expected.append(
            Expected(
                case=f"3.0: workspace by {name}",
                generation_id=turn,
                home=home,
                conversation_id=cid,
                model="claude-4.6-opus",
                timestamp=sent,
                timestamp_source="bubble",
                prompt_text="Who owns this?",
                response_text="You do.",
                prompt_timestamp=sent,
                completed_timestamp=sent + 700,
            )
        )
    return expected


def _rolled_away(machine: Machine) -> list[Expected]:
    """The first turn's entry has left the ring; the second's says whose all three are (rule 8)."""
    cid, sent = uid("3.0/rolled"), START + 60_000
    ids = [uid(f"3.0/rolled/g{number}") for number in range(3)]
    messages: list[object] = []
    for number, id_ in enumerate(ids):
        when = sent + 10_000 * number
        # In some builds only the closing bubble has the request id.
        messages += [
            question(f"3.0/rolled/q{number}", f"Step {number}", requestId="", sent=when),
            answer(
                f"3.0/rolled/a{number}",
                f"Stepped {number}.",
                requestId=id_,
                sent=when + 2_000,
                turnDurationMs=1_950,
            ),
        ]
    doc = document(
        cid, sent, _v=14, modelConfig=model("composer-1"), latestChatGenerationUUID=ids[2], **REMEMBERED
    )
    store(machine, doc, *messages)
    machine.ring(TWO, entry(ids[1], sent + 10_030, "Step 1"))
    known = {"conversation_id": cid, "model": "composer-1", "duration_ms": 1_950}
    return [
        Expected(
            case="3.0: rolled out of the ring",
            generation_id=ids[0],
            home=TWO,
            timestamp=sent,
            timestamp_source="bubble",
            prompt_text="Step 0",
            response_text="Stepped 0.",
            prompt_timestamp=sent,
            completed_timestamp=sent + 2_000,
            **known,
        ),
        Expected(
            case="3.0: in the ring",
            generation_id=ids[1],
            home=TWO,
            schema="ring+conversations",
            generation_type="composer",
            timestamp=sent + 10_030,
            timestamp_source="ring",
            prompt_text="Step 1",
            response_text="Stepped 1.",
            prompt_timestamp=sent + 10_000,
            completed_timestamp=sent + 12_000,
            **known,
        ),
        Expected(
            case="3.0: nor in any ring, the last one",
            generation_id=ids[2],
            home=TWO,
            timestamp=sent + 20_000,
            timestamp_source="bubble",
            prompt_text="Step 2",
            response_text="Stepped 2.",
            prompt_timestamp=sent + 20_000,
            completed_timestamp=sent + 22_000,
            **known,
        ),
    ]


def _long_turn(machine: Machine) -> list[Expected]:
    """Hundreds of steps between a question and its answer; the answer's text in several pieces."""
    cid, turn, sent = uid("3.0/long"), uid("3.0/long/g"), START + 600_000
    steps: list[object] = []
    for number in range(120):
        when = sent + 1_000 * (number + 1)
        steps.append(thought(f"3.0/long/th{number}", "Hm, " * 50, sent=when))
        steps.append(tool(f"3.0/long/t{number}", "run_terminal_cmd", sent=when))
        if number % 40 == 0:
            steps.append(answer(f"3.0/long/a{number}", f"Part {number}.", sent=when))
    screenshot = tool("3.0/long/shot", "browser_take_screenshot", "error", sent=sent + 200_000)
    screenshot["toolFormerData"]["result"] = "iVBORw0KGgo" * 60_000
    closing = answer("3.0/long/end", "All of it.", sent=sent + 201_000, turnDurationMs=200_950)
    doc = document(cid, sent, _v=14, workspaceIdentifier={"id": THREE.id}, **REMEMBERED)
    store(
        machine,
        doc,
        question("3.0/long/q", "Everything", requestId=turn, sent=sent),
        *steps,
        screenshot,
        closing,
    )
    machine.ring(THREE, entry(turn, sent + 12, "Everything"))
    return [
        Expected(
            case="3.0: a long turn",
            generation_id=turn,
            home=THREE,
            schema="ring+conversations",
            conversation_id=cid,
            generation_type="composer",
            timestamp=sent + 12,
            timestamp_source="ring",
            prompt_text="Everything",
            response_text="Part 0.\n\nPart 40.\n\nPart 80.\n\nAll of it.",
            tool_calls=(*((("run_terminal_cmd", "completed"),) * 120), ("browser_take_screenshot", "error")),
            duration_ms=200_950,
            prompt_timestamp=sent,
            completed_timestamp=sent + 201_000,
        )
    ]
