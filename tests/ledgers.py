"""What the fake Cursor's ledger says of turns, held against what was reported of them."""

from __future__ import annotations

from trio_cursor.cursor.schemas.values import clean_text
from trio_cursor.demo.turns import OTHER_RING, PARENT


def clean(text):
    return None if text is None else clean_text(text)


def expected(turn):
    """Fields of payload and metadata as an honest reader reports the turn."""
    calls = [{"name": name, "status": status} for name, status in turn.tool_calls]
    return {
        "status": turn.status,
        "model": turn.model or "unknown",
        "prompt_text": clean(turn.prompt_text),
        "response_text": clean(turn.response_text),
        "prompt_tokens": turn.prompt_tokens,
        "completion_tokens": turn.completion_tokens,
        "tokens_used": turn.tokens_used,
        "generation_type": turn.type,
        "conversation_id": turn.conversation_id,
        "tool_calls": calls,
        "prompt_timestamp": turn.prompt_timestamp,
        "completed_timestamp": turn.completed_timestamp,
        "duration_ms": turn.duration_ms,
        "generation_timestamp": turn.timestamp,
        "workspace_id": turn.workspace_id,
        "schema": turn.schema,
    }


def differences(event, turn, rings=(), *, is_live=False):
    """What was reported otherwise: names, with what was expected and what came.

    `rings`: the ring entries of the same id. `is_live`: what Cursor writes into any ring after the turn has
    settled may come too late for it; then nobody knows its time and type, and another ring may say its place.
    """
    wanted = expected(turn)
    found = {**event.payload, **event.metadata}
    if is_live and any((entry.committed_ms or 0) + 1 >= (turn.committed_ms or 0) for entry in rings):
        for name in ("generation_type", "generation_timestamp", "workspace_id", "schema"):
            del wanted[name]
    elif turn.attributed_by == PARENT or (is_live and turn.attributed_by == OTHER_RING):
        # What the parent's own turn stands in, or what its conversation says: both are the parent's.
        del wanted["workspace_id"]
    return {name: (value, found[name]) for name, value in wanted.items() if found[name] != value}


def assert_as_in_the_ledger(events, ledger, *, is_live=True):
    """Every settled turn was reported as it stands, and nothing unfinished as complete."""
    by_id = {event.generation_id: event for event in events}
    wrong = {}
    for id_, turn in ledger.turns.items():
        if id_ not in by_id:
            wrong[id_] = "missing"
        elif found := differences(by_id[id_], turn, ledger.committed.get(id_, ()), is_live=is_live):
            wrong[id_] = found
    assert wrong == {}, wrong
    early = [id_ for id_ in ledger.open_turns if id_ in by_id and by_id[id_].payload["status"] == "completed"]
    assert early == [], early
