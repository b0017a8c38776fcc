"""2.x: windows without a folder, whose ring is in the global database, and windows on another machine."""

from __future__ import annotations

from eras.expected import Expected, ring_only
from eras.machine import Home, Machine, at, uid
from eras.shapes import answer, document, entry, question, store

REMOTE = Home(
    "77aa77aa77aa77aa77aa77aa77aa77aa",
    "vscode-remote://ssh-remote%2Bbuild.example.org/srv/app",
    "/srv/app",
    journal="wal",
)
#: Its `workspace.json` was never written.
BARE = Home("1769000000456", journal="wal")

START = at("2026-02-10 13:00:00.000")


def build(machine: Machine) -> list[Expected]:
    machine.journal = "wal"
    return [*_without_folder(machine), *_elsewhere(machine)]


def _without_folder(machine: Machine) -> list[Expected]:
    """The ring of windows without a folder: nobody's workspace."""
    cid, turn, edit = uid("2.x/loose"), uid("2.x/loose/g"), uid("2.x/loose/cmdk")
    store(
        machine,
        document(cid, START, _v=10),
        question("2.x/loose/q", "What is a monad?", requestId=turn, sent=START + 200_000),
        answer("2.x/loose/a", "A burrito.", sent=START + 201_000),
    )
    machine.ring(
        None, entry(turn, START + 200_100, "What is a monad?"), entry(edit, START + 300_000, "sort", "cmdk")
    )
    machine.ring(BARE)
    return [
        Expected(
            case="2.x: without a folder",
            generation_id=turn,
            home=None,
            schema="ring+conversations",
            conversation_id=cid,
            generation_type="composer",
            timestamp=START + 200_100,
            timestamp_source="ring",
            prompt_text="What is a monad?",
            response_text="A burrito.",
            prompt_timestamp=START + 200_000,
            completed_timestamp=START + 201_000,
        ),
        ring_only(
            "2.x: cmdk without a folder",
            edit,
            None,
            START + 300_000,
            generation_type="cmdk",
            prompt_text="sort",
        ),
    ]


def _elsewhere(machine: Machine) -> list[Expected]:
    """A remote window, and one whose `workspace.json` is missing."""
    far, bare = uid("2.x/far"), uid("2.x/bare")
    machine.ring(REMOTE, entry(far, START + 400_000, "deploy", "cmdk"))
    machine.ring(BARE, entry(bare, START + 500_000, "scratch", "cmdk"))
    return [
        ring_only("2.x: remote", far, REMOTE, START + 400_000, generation_type="cmdk", prompt_text="deploy"),
        ring_only("2.x: bare", bare, BARE, START + 500_000, generation_type="cmdk", prompt_text="scratch"),
    ]
