"""3.9 to 3.12 (June to July 2026): a table of headers, not filled for what is old; `workspaceIdentifier`."""

from __future__ import annotations

import json

from eras.expected import Expected
from eras.machine import CANARY, Home, Machine, at, folder, uid
from eras.shapes import (
    MIGRATED,
    answer,
    document,
    entry,
    head,
    model,
    question,
    row,
    state_of_files,
    store,
    thought,
)

SITE = folder("3.9/site", "/home/dev/site", journal="wal")
BLOG = folder("3.9/blog", "/home/dev/blog", journal="wal")
#: Named by conversations, and no longer there: id without path.
GONE = Home("deadbeefdeadbeefdeadbeefdeadbeef")
GONE_TOO = Home("feedfacefeedfacefeedfacefeedface")
WINDOW = Home("1780000000789")
EMPTY_WINDOW = Home("empty-window")

START = at("2026-06-23 07:15:30.250")


def identifier(home: Home) -> dict[str, object]:
    path = home.path or "/home/dev/gone"
    uri = {"$mid": 1, "fsPath": path, "external": f"file://{path}", "path": path, "scheme": "file"}
    return {"workspaceIdentifier": {"id": home.id, "uri": uri}}


def build(machine: Machine) -> list[Expected]:
    machine.journal = "wal"
    machine.workspace(SITE, composer__composerData=MIGRATED)
    machine.workspace(BLOG, composer__composerData=MIGRATED)
    machine.items += [
        ("composer.composerHeaders", {"allComposers": [head(uid("3.9/frozen"), START)]}),
        ("composer.composerHeaders.tableGateEnabled", "true"),
        ("composer.composerHeaders.version", "2"),
        ("glass.localAgentProjectMembership.v1", {uid("3.9/not filled"): "p1"}),
    ]
    machine.disk.append(("composer.composerHeaders.migratedToTable", "true"))
    machine.files["globalStorage/conversation-search.db"] = CANARY
    # A row without a document, a draft, and a row that names nothing.
    machine.headers += [
        row(uid("3.9/no document"), SITE.id, START),
        row(uid("3.9/draft"), SITE.id, START),
        (uid("3.9/nulls"), None, None, None, None, None, None, None, None),
    ]
    store(machine, document(uid("3.9/draft"), START, status="none", _v=16, **identifier(SITE)))
    return [*_whose(machine), *_sub_agents(machine), *_windows(machine), *_apart(machine)]


def _turn(machine: Machine, name: str, number: int, **fields: object) -> dict[str, object]:
    """A conversation of one turn; what must be said of it, but for its workspace."""
    cid, turn, sent = uid(f"3.9/{name}"), uid(f"3.9/{name}/g"), START + 100_000 * number
    store(
        machine,
        document(cid, sent, _v=16, modelConfig=model("gpt-5.5"), blobEncryptionKey=CANARY, **fields),
        question(f"3.9/{name}/q", f"Do {name}", requestId=turn, sent=sent + 5),
        thought(f"3.9/{name}/th", "Let me see.", sent=sent + 700),
        answer(f"3.9/{name}/a", f"Did {name}.", requestId=turn, sent=sent + 2_000, turnDurationMs=1_900),
    )
    state_of_files(machine, cid)
    return {
        "case": f"3.9: {name}",
        "generation_id": turn,
        "conversation_id": cid,
        "model": "gpt-5.5",
        "timestamp": sent + 5,
        "timestamp_source": "bubble",
        "prompt_text": f"Do {name}",
        "response_text": f"Did {name}.",
        "duration_ms": 1_900,
        "prompt_timestamp": sent + 5,
        "completed_timestamp": sent + 2_000,
    }


def _whose(machine: Machine) -> list[Expected]:
    """The table (rule 2), then the document (rule 3); an id whose directory is gone is kept."""
    says: list[tuple[str, Home | None, Home | None, Home | None]] = [
        # name, workspace in the table, in the document, and which it is
        ("table", SITE, None, SITE),
        ("table first", SITE, BLOG, SITE),
        ("not filled", None, BLOG, BLOG),
        ("gone", GONE, None, GONE),
        ("gone by document", None, GONE_TOO, GONE_TOO),
        ("nobody", None, None, None),
    ]
    expected = []
    for number, (name, in_table, in_document, home) in enumerate(says):
        said = _turn(machine, name, number, **(identifier(in_document) if in_document else {}))
        if in_table:
            machine.headers.append(row(uid(f"3.9/{name}"), in_table.id, START, checkpoint=None, updated=0))
        expected.append(Expected(home=home, **said))
    # A row whose workspace is NULL says nothing, so the document does.
    machine.headers.append(row(uid("3.9/null"), None, START))
    return [*expected, Expected(home=BLOG, **_turn(machine, "null", 7, **identifier(BLOG)))]


def _sub_agents(machine: Machine) -> list[Expected]:
    """`isSubagent` in the table: with an id of its own by rule 9; with its parent's, not reported."""
    own, parent, shares = uid("3.9/sub own"), uid("3.9/parent"), uid("3.9/sub shares")
    parents = _turn(machine, "parent", 10, subagentComposerIds=[own, shares])
    owns = _turn(machine, "sub own", 11)
    sent = START + 900_000
    store(
        machine,
        document(shares, sent, _v=16),  # older than its parent, settled as well
        question("3.9/sub shares/q", "Grep", requestId=uid("3.9/parent/g"), sent=sent),
        answer("3.9/sub shares/a", "Grepped.", sent=sent + 10),
    )
    machine.headers += [
        row(parent, SITE.id, START),
        row(own, None, START, subagent=1),
        row(shares, BLOG.id, START, subagent=1),
    ]
    return [Expected(home=SITE, **parents), Expected(home=SITE, **owns)]


def _windows(machine: Machine) -> list[Expected]:
    """Windows without a folder: by their number, or all under one name."""
    by_number, by_name, in_ring = (_turn(machine, name, 20 + i) for i, name in enumerate(("1", "2", "3")))
    for name, home in (("1", WINDOW), ("2", EMPTY_WINDOW), ("3", EMPTY_WINDOW)):
        machine.headers.append(row(uid(f"3.9/{name}"), home.id, START))
    when = START + 100_000 * 22 + 6
    machine.ring(None, entry(uid("3.9/3/g"), when, "Do 3"))
    in_ring |= {"timestamp": when, "timestamp_source": "ring", "schema": "ring+conversations"}
    return [
        # No directory has these names: kept, as those of directories that are gone.
        Expected(home=WINDOW, **by_number),
        Expected(home=EMPTY_WINDOW, **by_name),
        # The global ring names no workspace, so it is what the conversation says; as for its other turns.
        Expected(home=EMPTY_WINDOW, generation_type="composer", **in_ring),
    ]


def _apart(machine: Machine) -> list[Expected]:
    """The ring goes before the table, for the turn that it names; the time is the earliest of the rings'."""
    said = _turn(machine, "apart", 30)
    when = START + 100_000 * 30
    machine.headers.append(row(uid("3.9/apart"), SITE.id, START))
    machine.ring(SITE, entry(uid("3.9/apart/g"), when + 80, "Do apart"))
    machine.ring(BLOG, entry(uid("3.9/apart/g"), when + 70, "Do apart"))
    # The same time in both: the smallest workspace id.
    level = _turn(machine, "level", 31)
    when_level = START + 100_000 * 31 + 9
    for home in (SITE, BLOG):
        machine.ring(home, entry(uid("3.9/level/g"), when_level, json.dumps("Do level")))
    machine.headers.append(row(uid("3.9/level"), GONE.id, START))
    ringed = {"timestamp_source": "ring", "schema": "ring+conversations", "generation_type": "composer"}
    smallest = min((SITE, BLOG), key=lambda home: home.id)
    return [
        Expected(home=BLOG, **{**said, **ringed, "timestamp": when + 70}),
        Expected(home=smallest, **{**level, **ringed, "timestamp": when_level}),
    ]
