"""1.x to early 2.x: one turn in several conversations, as forks, duplicated chats and sub-agents leave it."""

from __future__ import annotations

from eras.expected import Expected
from eras.machine import Home, Machine, at, folder, uid
from eras.shapes import answer, document, entry, head, heads, model, question, state_of_files, store

APP = folder("1.x copies/app", "/home/dev/app")
LIB = folder("1.x copies/lib", "/home/dev/lib")

START = at("2025-11-17 09:00:00.120")


def build(machine: Machine) -> list[Expected]:
    named = [uid(f"1.x/{name}") for name in ("fork/old", "copies/3", "parent")]
    machine.workspace(APP, composer__composerData=heads(*(head(cid, START) for cid in named)))
    # A pane says less than the list of conversations (rule 5 after rule 4).
    pane = {f"workbench.panel.aichat.view.{uid('1.x/fork/old')}": {"collapsed": False, "size": 600}}
    machine.workspace(
        LIB,
        composer__composerData=heads(head(uid("1.x/fork/new"), START + 50_000)),
        workbench__panel__composerChatViewPane=pane,
    )
    return [*_fork(machine), *_three_copies(machine), *_tie(machine), *_sub_agents(machine)]


def _fork(machine: Machine) -> list[Expected]:
    """A fork copies the turns so far, under new bubble ids and with the same request ids."""
    old, new = uid("1.x/fork/old"), uid("1.x/fork/new")
    shared, own_old, own_new = (uid(f"1.x/fork/{name}") for name in ("g1", "g2", "g3"))
    for cid, born, name in [(old, START, "old"), (new, START + 50_000, "new")]:
        sent = born + 1_000
        common = [
            question(f"1.x/fork/{name}/q1", "Sketch it", requestId=shared, sent=sent),
            answer(
                f"1.x/fork/{name}/a1",
                f"Sketch, as the {name} one has it.",
                requestId=shared,
                sent=sent + 4_000,
            ),
        ]
        own = own_old if name == "old" else own_new
        further = [
            question(f"1.x/fork/{name}/q2", f"Paint the {name} one", requestId=own, sent=sent + 60_000),
            answer(f"1.x/fork/{name}/a2", "Painted.", sent=sent + 66_000),
        ]
        store(machine, document(cid, born, _v=9, modelConfig=model("gpt-5")), *common, *further)
        state_of_files(machine, cid)
    machine.ring(APP, entry(shared, START + 1_002, "Sketch it"))

    def painted(cid: str, id_: str, home: Home, name: str, sent: int) -> Expected:
        return Expected(
            case=f"1.x: the {name} one's own turn",
            generation_id=id_,
            home=home,
            conversation_id=cid,
            model="gpt-5",
            timestamp=sent,
            timestamp_source="bubble",
            prompt_text=f"Paint the {name} one",
            response_text="Painted.",
            prompt_timestamp=sent,
            completed_timestamp=sent + 6_000,
        )

    return [
        Expected(
            # Both are settled, neither is a sub-agent: the conversation created first.
            case="1.x: the turn that a fork has copied",
            generation_id=shared,
            home=APP,
            schema="ring+conversations",
            conversation_id=old,
            generation_type="composer",
            model="gpt-5",
            timestamp=START + 1_002,
            timestamp_source="ring",
            prompt_text="Sketch it",
            response_text="Sketch, as the old one has it.",
            prompt_timestamp=START + 1_000,
            completed_timestamp=START + 5_000,
        ),
        painted(old, own_old, APP, "old", START + 61_000),
        painted(new, own_new, LIB, "new", START + 111_000),
    ]


def _three_copies(machine: Machine) -> list[Expected]:
    """The oldest is unsettled, the next a sub-agent: the third is it, text and workspace alike."""
    turn, sent = uid("1.x/copies/g"), START + 200_000
    for number, status in [(1, "generating"), (2, "completed"), (3, "completed")]:
        cid = uid(f"1.x/copies/{number}")
        store(
            machine,
            document(cid, sent - 10 + number, status=status, _v=8),
            question(
                f"1.x/copies/{number}/q", f"Question of copy {number}", requestId=turn, sent=sent + number
            ),
            answer(f"1.x/copies/{number}/a", f"Answer of copy {number}", sent=sent + 100 + number),
        )
    store(machine, document(uid("1.x/copies/boss"), sent, _v=8, subagentComposerIds=[uid("1.x/copies/2")]))
    return [
        Expected(
            case="1.x: three copies",
            generation_id=turn,
            home=APP,
            conversation_id=uid("1.x/copies/3"),
            timestamp=sent + 3,
            timestamp_source="bubble",
            prompt_text="Question of copy 3",
            response_text="Answer of copy 3",
            prompt_timestamp=sent + 3,
            completed_timestamp=sent + 103,
        )
    ]


def _tie(machine: Machine) -> list[Expected]:
    """Created in the same millisecond: the smallest composer id."""
    turn, sent = uid("1.x/tie/g"), START + 300_000
    small, large = "11111111-1111-4111-8111-111111111111", "99999999-9999-4999-8999-999999999999"
    for cid, home in [(large, LIB), (small, APP)]:
        asked = question(f"1.x/tie/{cid}/q", f"Asked in {cid}", requestId=turn, sent=sent)
        asked["workspaceUris"] = [home.uri]
        store(machine, document(cid, sent, _v=8), asked, answer(f"1.x/tie/{cid}/a", "Yes.", sent=sent + 1))
    return [
        Expected(
            case="1.x: two copies of one millisecond",
            generation_id=turn,
            home=APP,
            conversation_id=small,
            timestamp=sent,
            timestamp_source="bubble",
            prompt_text=f"Asked in {small}",
            response_text="Yes.",
            prompt_timestamp=sent,
            completed_timestamp=sent + 1,
        )
    ]


def _sub_agents(machine: Machine) -> list[Expected]:
    """With an id of its own it is a generation; with its parent's, the parent's turn is reported."""
    parent, sharing, owning = uid("1.x/parent"), f"task-toolu_{uid('1.x/call')}\n1", uid("1.x/owning")
    shared, own, sent = uid("1.x/parent/g"), uid("1.x/owning/g"), START + 400_000
    # The sub-agent is older than its parent and settled: even so the parent's turn goes before.
    store(
        machine,
        document(sharing, sent - 500, _v=9),
        question("1.x/sharing/q", "Look into the logs", requestId=shared, sent=sent + 10),
        answer("1.x/sharing/a", "Nothing in the logs.", sent=sent + 20),
    )
    store(
        machine,
        document(owning, sent - 400, _v=9),
        question("1.x/owning/q", "Look into the code", requestId=own, sent=sent + 30),
        answer("1.x/owning/a", "A race.", requestId=own, sent=sent + 40),
    )
    store(
        machine,
        document(parent, sent, _v=9, subComposerIds=[owning], subagentComposerIds=[sharing]),
        question("1.x/parent/q", "Why does it hang?", requestId=shared, sent=sent + 1),
        answer("1.x/parent/a", "Because of a race.", sent=sent + 50),
    )
    return [
        Expected(
            case="1.x: the id that a sub-agent shares with its parent",
            generation_id=shared,
            home=APP,
            conversation_id=parent,
            timestamp=sent + 1,
            timestamp_source="bubble",
            prompt_text="Why does it hang?",
            response_text="Because of a race.",
            prompt_timestamp=sent + 1,
            completed_timestamp=sent + 50,
        ),
        Expected(
            case="1.x: a sub-agent with an id of its own (rule 9)",
            generation_id=own,
            home=APP,
            conversation_id=owning,
            timestamp=sent + 30,
            timestamp_source="bubble",
            prompt_text="Look into the code",
            response_text="A race.",
            prompt_timestamp=sent + 30,
            completed_timestamp=sent + 40,
        ),
    ]
