"""2.x (January to March 2026): WAL by a gate, no tokens, `turnDurationMs`; and what was left unfinished."""

from __future__ import annotations

from eras.expected import Expected
from eras.machine import Machine, at, folder, uid
from eras.shapes import (
    Gap,
    answer,
    document,
    entry,
    head,
    heads,
    lexical,
    model,
    question,
    state_of_files,
    store,
    thought,
    tokens,
    tool,
)

GAME = folder("2.x/game", "/home/dev/game", journal="wal")
START = at("2026-02-09 13:00:00.000")


def build(machine: Machine) -> list[Expected]:
    machine.journal = "wal"
    names = ("agent", "stuck", "bubbles", "asked", "text")
    machine.workspace(
        GAME, composer__composerData=heads(*(head(uid(f"2.x/{name}"), START) for name in names))
    )
    machine.leftovers["globalStorage/state.vscdb.backup"] = [entry(uid("2.x/backup"), START, "not read")]
    machine.leftovers["globalStorage/state.vscdb.corrupted.1769000000000"] = [
        entry(uid("2.x/corrupted"), START)
    ]
    machine.leftovers[f"workspaceStorage/{GAME.id}/state.vscdb.backup"] = [entry(uid("2.x/older"), START)]
    machine.files["workspaceStorage/notes.txt"] = "a stray file"
    machine.files["History/1f2e/entries.json"] = "{}"
    store(machine, document(uid("2.x/draft"), START, status="none", _v=10))
    return [
        *_agent(machine),
        *_left(machine),
        *_texts(machine),
    ]


def _agent(machine: Machine) -> list[Expected]:
    """A turn of an agent with all of its steps, in the ring."""
    cid, turn, sent = uid("2.x/agent"), uid("2.x/agent/g"), START + 1_000
    store(
        machine,
        document(
            cid, START, _v=10, modelConfig=model("default"), latestChatGenerationUUID=turn, usageData={}
        ),
        question(
            "2.x/agent/q", "Add a level", requestId=turn, sent=sent, unifiedMode=2, richText=lexical(("No",))
        ),
        thought("2.x/agent/th", "Levels are files.", sent=sent + 900),
        tool("2.x/agent/t1", "read_file", sent=sent + 1_500),
        tool("2.x/agent/t2", "edit_file", "error", sent=sent + 1_500),
        tool("2.x/agent/t3", None, sent=sent + 2_500),
        answer(
            "2.x/agent/a1",
            "Level 2 is there.",
            sent=sent + 9_000,
            tokenCount=tokens(0, 0),
            turnDurationMs=8_765,
        ),
    )
    state_of_files(machine, cid)
    machine.ring(GAME, entry(turn, sent + 60, "Add a level"))
    return [
        Expected(
            case="2.x: an agent's turn",
            generation_id=turn,
            home=GAME,
            schema="ring+conversations",
            conversation_id=cid,
            generation_type="composer",
            model="unknown",  # Auto is not a model
            timestamp=sent + 60,
            timestamp_source="ring",
            prompt_text="Add a level",  # `text` goes before `richText`
            response_text="Level 2 is there.",
            tool_calls=(("read_file", "completed"), ("edit_file", "error"), (None, "completed")),
            duration_ms=8_765,
            prompt_timestamp=sent,
            completed_timestamp=sent + 9_000,
        )
    ]


def _left(machine: Machine) -> list[Expected]:
    """Left unfinished months ago, in three ways; before it, turns that were finished."""
    expected = []
    ways = [
        # Still `generating`.
        (
            "stuck",
            {"status": "generating"},
            [answer("2.x/stuck/a2", "Half of", sent=START + 22_000)],
            "Half of",
        ),
        # Settled by its status, and yet a bubble is said to be generating.
        (
            "bubbles",
            {"generatingBubbleIds": [uid("2.x/bubbles/a2")]},
            [answer("2.x/bubbles/a2", "Half")],
            "Half",
        ),
        # A question whose answer was never written.
        ("asked", {"status": "generating"}, [Gap(uid("2.x/asked/a2"), 2)], None),
    ]
    for name, fields, messages, text in ways:
        cid, first, second = uid(f"2.x/{name}"), uid(f"2.x/{name}/g1"), uid(f"2.x/{name}/g2")
        store(
            machine,
            document(cid, START, _v=10, **fields),
            question(f"2.x/{name}/q1", "First", requestId=first, sent=START + 10_000),
            answer(f"2.x/{name}/a1", "Done.", sent=START + 11_000),
            question(f"2.x/{name}/q2", "Second", requestId=second, sent=START + 20_000),
            *messages,
        )
        common = {"home": GAME, "conversation_id": cid}
        expected += [
            Expected(
                case=f"2.x: {name}: the turn before",
                generation_id=first,
                timestamp=START + 10_000,
                timestamp_source="bubble",
                prompt_text="First",
                response_text="Done.",
                prompt_timestamp=START + 10_000,
                completed_timestamp=START + 11_000,
                **common,
            ),
            Expected(
                case=f"2.x: {name}: left unfinished",
                generation_id=second,
                status="incomplete",
                timestamp=START + 20_000,
                timestamp_source="bubble",
                prompt_text="Second",
                response_text=text,
                prompt_timestamp=START + 20_000,
                completed_timestamp=None,  # null while unfinished, whatever times its bubbles have
                **common,
            ),
        ]
    return expected


def _texts(machine: Machine) -> list[Expected]:
    """What was said only as rich text, or only in the ring."""
    cid, sent = uid("2.x/text"), START + 100_000
    cases: list[tuple[dict[str, object], str | None, str | None]] = [
        ({"richText": lexical(("Say ", "@hello.py", " again"))}, "composer", "Say @hello.py again"),
        ({"richText": lexical(("One",), ("Two",))}, "composer", "One\nTwo"),
        ({"richText": "plain & simple"}, "composer", "plain & simple"),
        ({"richText": '{"not": "lexical"}'}, "composer", '{"not": "lexical"}'),  # so it is plain text
        ({"richText": lexical((" ",)).replace('" "', '""')}, "chat", "from the ring"),
        ({}, "apply", None),  # what an `apply` names is a file
    ]
    messages, expected = [], []
    for number, (fields, type_, text) in enumerate(cases):
        turn, when = uid(f"2.x/text/g{number}"), sent + 1_000 * number
        asked = question(f"2.x/text/q{number}", "", requestId=turn, sent=when, **fields)
        messages += [asked, answer(f"2.x/text/a{number}", "Said.", sent=when + 10)]
        machine.ring(GAME, entry(turn, when + 5, "from the ring", type_))
        expected.append(
            Expected(
                case=f"2.x: text {number}",
                generation_id=turn,
                home=GAME,
                schema="ring+conversations",
                conversation_id=cid,
                generation_type=type_,
                timestamp=when + 5,
                timestamp_source="ring",
                prompt_text=text,
                response_text="Said.",
                prompt_timestamp=when,
                completed_timestamp=when + 10,
            )
        )
    store(machine, document(cid, sent, _v=10), *messages)
    return expected
