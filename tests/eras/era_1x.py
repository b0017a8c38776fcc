"""1.x to early 2.x (June to December 2025): ring, `allComposers`, bubbles; tokens; times since October."""

from __future__ import annotations

from eras.expected import Expected
from eras.machine import Home, Machine, at, folder, uid
from eras.shapes import answer, document, entry, head, heads, model, question, store, timing, tokens

APP = folder("1.x/app", "/home/dev/app-1.x")
LIB = folder("1.x/lib", "/home/dev/lib-1.x")

START = at("2025-11-18 09:00:00.120")


def build(machine: Machine) -> list[Expected]:
    named = [uid(f"1.x/{name}") for name in ("times", "models")]
    machine.workspace(APP, composer__composerData=heads(*(head(cid, START) for cid in named)))
    return [*_times(machine), *_models(machine), *_places(machine)]


def _times(machine: Machine) -> list[Expected]:
    """In one conversation: the other bubbles' time, and before it the time that the request was sent."""
    cid, first, second = uid("1.x/times"), uid("1.x/times/g1"), uid("1.x/times/g2")
    sent = START + 500_000
    store(
        machine,
        document(cid, sent, _v=6, lastUpdatedAt=None),
        question("1.x/times/q1", "One", requestId=first),
        answer("1.x/times/a1", "Eins.", sent=sent + 2_000),
        answer("1.x/times/b1", "Uno.", sent=sent + 3_000, tokenCount={"outputTokens": 512}),
        question("1.x/times/q2", "Two", requestId=second),
        answer(
            "1.x/times/a2", "Zwei.", sent=sent + 9_500, timingInfo=timing(sent + 8_000.5, sent + 9_000.75)
        ),
    )
    # A ring's time that is none.
    machine.ring(APP, entry(first, "soon", "One"), entry(second, True, "Two", 7))
    common = {
        "home": APP,
        "schema": "ring+conversations",
        "conversation_id": cid,
        "timestamp_source": "bubble",
    }
    return [
        Expected(
            case="1.x: the time of the other bubbles; half of a count",
            generation_id=first,
            generation_type="composer",
            timestamp=sent + 2_000,
            prompt_text="One",
            response_text="Eins.\n\nUno.",
            completion_tokens=512,
            tokens_used=512,  # that is all there is
            completed_timestamp=sent + 3_000,
            **common,
        ),
        Expected(
            case="1.x: clientRpcSendTime before other bubbles' createdAt",
            generation_id=second,
            timestamp=sent + 8_000,
            prompt_text="Two",
            response_text="Zwei.",
            completed_timestamp=sent + 9_000,  # clientEndTime, before createdAt
            duration_ms=1_000,
            **common,
        ),
    ]


def _models(machine: Machine) -> list[Expected]:
    """The bubble's, else the conversation's; Auto is not a model."""
    cid, sent = uid("1.x/models"), START + 600_000
    messages, expected = [], []
    for number, (said, of_turn) in enumerate([("default", "o3"), ("sonnet-4", "sonnet-4"), (None, "o3")]):
        turn, when = uid(f"1.x/models/g{number}"), sent + 10_000 * number
        asked = question(f"1.x/models/q{number}", f"Which are you, {number}?", requestId=turn, sent=when)
        last = {"tokenCount": tokens(0, 0), "sent": when + 5} | ({"modelInfo": model(said)} if said else {})
        messages += [asked, answer(f"1.x/models/a{number}", "Guess.", **last)]
        expected.append(
            Expected(
                case=f"1.x: model {said}",
                generation_id=turn,
                home=APP,
                conversation_id=cid,
                model=of_turn,
                timestamp=when,
                timestamp_source="bubble",
                prompt_text=f"Which are you, {number}?",
                response_text="Guess.",
                prompt_timestamp=when,
                completed_timestamp=when + 5,
            )
        )
    store(machine, document(cid, sent, _v=10, modelConfig={"modelName": "o3", "maxMode": False}), *messages)
    return expected


def _places(machine: Machine) -> list[Expected]:
    """Conversations that no list names: an open pane (rule 5), or what a bubble says (rule 7), or nothing."""
    view = "workbench.panel.aichat.view."
    pane, hidden = uid("1.x/place/pane"), uid("1.x/place/hidden")
    name = f"workbench__panel__composerChatViewPane__{uid('1.x/pane')}"
    panes = {f"{view}{pane}": {"collapsed": False, "isHidden": False, "size": 802}}
    shut = {f"{view}{hidden}": {"collapsed": True, "isHidden": True}}
    machine.workspace(LIB, **{name: panes, f"{name}__hidden": shut})
    says: list[tuple[str, Home | None, dict[str, object]]] = [
        ("pane", LIB, {}),
        ("hidden", None, {}),
        ("uris", LIB, {"workspaceUris": ["file:///home/gone", LIB.uri]}),
        ("directory", APP, {"workspaceUris": [], "workspaceProjectDir": APP.path}),
        ("nothing", None, {"workspaceUris": []}),
    ]
    expected = []
    for number, (place, home, fields) in enumerate(says):
        cid, turn, sent = uid(f"1.x/place/{place}"), uid(f"1.x/place/{place}/g"), START + 700_000 + number
        store(
            machine,
            document(cid, sent, _v=9),
            question(f"1.x/place/{place}/q", "Where?", requestId=turn, sent=sent, **fields),
            answer(f"1.x/place/{place}/a", "There.", sent=sent + 1),
        )
        expected.append(
            Expected(
                case=f"1.x: place by {place}",
                generation_id=turn,
                home=home,
                conversation_id=cid,
                timestamp=sent,
                timestamp_source="bubble",
                prompt_text="Where?",
                response_text="There.",
                prompt_timestamp=sent,
                completed_timestamp=sent + 1,
            )
        )
    return expected
