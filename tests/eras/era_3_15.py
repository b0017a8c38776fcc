"""3.15 to 3.19 (August to September 2026): `_v` 17, a wider headers' table; and what can be odd."""

from __future__ import annotations

from eras.expected import Expected, ring_only
from eras.machine import Machine, at, folder, iso, uid
from eras.shapes import (
    MIGRATED,
    answer,
    document,
    entry,
    lexical,
    model,
    question,
    row,
    state_of_files,
    store,
    thought,
    tool,
)

MAIN = folder("3.15/main", "/home/dev/main", journal="wal")
SIDE = folder("3.15/side", "/home/dev/side", journal="wal")

START = at("2026-08-30 11:11:11.111")
VERSION = {
    "_v": 17,
    "agentBackend": "cursor-agent",
    "contextTokensUsed": 48_211,
    "contextTokenLimit": 200_000,
}


def build(machine: Machine) -> list[Expected]:
    machine.journal = "wal"
    machine.more_columns = ("subagentTypeName",)
    machine.workspace(MAIN, composer__composerData=MIGRATED)
    machine.workspace(SIDE, composer__composerData=MIGRATED)
    return [
        *_plain(machine),
        *_wrong_types(machine),
        *_ids(machine),
        *_odd_times(machine),
    ]


def _named(machine: Machine, cid: str) -> None:
    machine.headers.append(row(cid, MAIN.id, START, checkpoint=START + 5_000))


def _plain(machine: Machine) -> list[Expected]:
    """What most turns look like: no tokens, no model on the bubbles, a breakdown that is not theirs."""
    cid, turn = uid("3.15/plain"), uid("3.15/plain/g")
    asked = {"promptDryRunInfo": '{"fullConversationTokenCount": {"numTokens": 11}}', "unifiedMode": 2}
    asked["contextWindowStatusAtCreation"] = {"tokensUsed": 48_000, "tokenLimit": 200_000}
    breakdown = {
        "totalUsedTokens": 48_211,
        "maxTokens": 200_000,
        "categories": [{"name": "rules", "tokens": 812}],
    }
    store(
        machine,
        document(
            cid, START, **VERSION, modelConfig=model("opus-5"), promptTokenBreakdown=breakdown, usageData={}
        ),
        question("3.15/plain/q", "Ship it", requestId=turn, sent=START + 9, **asked),
        thought("3.15/plain/th", "Ships.", sent=START + 400),
        tool("3.15/plain/t", "run_terminal_cmd", sent=START + 900),
        answer("3.15/plain/a", "Shipped.", sent=START + 4_000, turnDurationMs=3_991),
    )
    state_of_files(machine, cid)
    _named(machine, cid)
    machine.ring(MAIN, entry(turn, START + 12, "Ship it"))
    return [
        Expected(
            case="3.15: plain",
            generation_id=turn,
            home=MAIN,
            schema="ring+conversations",
            conversation_id=cid,
            generation_type="composer",
            model="opus-5",
            timestamp=START + 12,
            timestamp_source="ring",
            prompt_text="Ship it",
            response_text="Shipped.",
            tool_calls=(("run_terminal_cmd", "completed"),),
            duration_ms=3_991,
            prompt_timestamp=START + 9,
            completed_timestamp=START + 4_000,
        )
    ]


def _wrong_types(machine: Machine) -> list[Expected]:
    """Fields of other types than ever seen, in a version nobody knows: unknown, each for itself."""
    cid, turn = uid("3.15/wrong"), uid("3.15/wrong/g")
    asked = question("3.15/wrong/q", 5, requestId=99, richText=lexical(("Still readable",)), createdAt=12_345)
    asked |= {"modelInfo": [], "timingInfo": 12, "workspaceUris": {"0": "x"}}
    said = answer(
        "3.15/wrong/a", "Still an answer.", requestId=turn, createdAt={"at": START}, toolFormerData="none"
    )
    said |= {
        "tokenCount": {"inputTokens": "12", "outputTokens": True},
        "thinking": 3,
        "turnDurationMs": "long",
    }
    said |= {"modelInfo": {"modelName": 4}, "timingInfo": {"clientEndTime": "late", "clientRpcSendTime": []}}
    doc = document(cid, "last week", _v="42", status=3, generatingBubbleIds=None, modelConfig="opus")
    doc |= {"workspaceIdentifier": 1, "subagentComposerIds": "none", "latestChatGenerationUUID": 8}
    headers = [None, "x", 7, {"type": 1}, {"bubbleId": 7, "type": 1}]
    headers += [{"bubbleId": asked["bubbleId"], "type": 1}, {"bubbleId": said["bubbleId"], "type": 2}]
    machine.disk += [
        (f"composerData:{cid}", {**doc, "fullConversationHeadersOnly": headers}),
        (f"bubbleId:{cid}:{asked['bubbleId']}", asked),
        (f"bubbleId:{cid}:{said['bubbleId']}", said),
        (
            f"composerData:{uid('3.15/headers')}",
            document(uid("3.15/headers"), START, fullConversationHeadersOnly="x"),
        ),
    ]
    _named(machine, cid)
    return [
        Expected(
            case="3.15: fields of wrong types",
            generation_id=turn,
            home=MAIN,
            conversation_id=cid,
            timestamp=None,
            timestamp_source="capture",
            prompt_text="Still readable",
            response_text="Still an answer.",
        )
    ]


def _ids(machine: Machine) -> list[Expected]:
    """Ids that are no UUIDs, in upper case, too long or with control characters."""
    cid, odd, upper = uid("3.15/ids"), "req_01JB.not/a uuid", uid("3.15/upper").upper()
    store(
        machine,
        document(cid, START, **VERSION),
        question("3.15/ids/q", "Odd", requestId=odd, sent=START + 60_000),
        answer("3.15/ids/a", "Even.", sent=START + 61_000),
    )
    _named(machine, cid)
    machine.ring(MAIN, entry(odd, START + 60_001, "Odd"), entry(upper, START + 70_000, "Loud", "cmdk"))
    machine.ring(SIDE, entry("x" * 201, START + 1), entry("a\nb", START + 2), entry("", START + 3))
    # Only an id that is a UUID is the same everywhere: this is another generation, of the other workspace.
    machine.ring(
        SIDE, entry("same", START + 80_000, "a", "cmdk"), entry("x" * 200, START + 80_001, "b", "cmdk")
    )
    return [
        Expected(
            case="3.15: an id that is no UUID",
            generation_id=odd,
            home=MAIN,
            schema="ring+conversations",
            conversation_id=cid,
            generation_type="composer",
            timestamp=START + 60_001,
            timestamp_source="ring",
            prompt_text="Odd",
            response_text="Even.",
            prompt_timestamp=START + 60_000,
            completed_timestamp=START + 61_000,
        ),
        ring_only(
            "3.15: upper case", upper, MAIN, START + 70_000, generation_type="cmdk", prompt_text="Loud"
        ),
        ring_only("3.15: a short id", "same", SIDE, START + 80_000, generation_type="cmdk", prompt_text="a"),
        ring_only(
            "3.15: 200 characters", "x" * 200, SIDE, START + 80_001, generation_type="cmdk", prompt_text="b"
        ),
    ]


def _odd_times(machine: Machine) -> list[Expected]:
    """Entries with times in other forms, in the future, and without any."""
    ahead = at("2099-01-01 00:00:00")
    forms = {
        "text": (str(START), START),
        "seconds": (START // 1000, START // 1000 * 1000),
        "iso": (iso(START), START),
        "future": (ahead, ahead),
        "none": (None, None),
        "false": (False, None),
    }
    expected = []
    for name, (written, meant) in forms.items():
        machine.ring(SIDE, entry(uid(f"3.15/time/{name}"), written, {"not": "text"}, "cmdk"))
        case = f"3.15: time as {name}, a description that is no text"
        expected.append(ring_only(case, uid(f"3.15/time/{name}"), SIDE, meant, generation_type="cmdk"))
    return expected
