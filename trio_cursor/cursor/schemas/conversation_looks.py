"""Looking at single conversations: which rows of theirs are asked for, and what is said of them.

A light look reads the document and, of the turns that may have become others, the first and the last bubble.
Everything of a turn is read only when somebody wants to report it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import attrs

from trio_cursor.cursor.schemas.asking import Head, HeadOf, Row, Value
from trio_cursor.cursor.schemas.conversation import BUBBLE, Conversation
from trio_cursor.cursor.schemas.documents import Header, parse_document
from trio_cursor.cursor.schemas.exchange import Talk
from trio_cursor.cursor.schemas.turns import Span
from trio_cursor.cursor.schemas.values import RING_LIMIT, digest
from trio_cursor.observations import Observation, Turn, TurnGone, Wanted

NAME: Final = "conversations"
DOCUMENT: Final = "composerData:"
#: Values of one conversation after which the rest of what was wanted of it is left for another time.
CONTENT_BYTES: Final = 8 << 20
#: Turns of a conversation that are looked at once it was rewound.
_MOST_REWOUND: Final = 200
#: Turns of one conversation that are read at once.
_WANTED_AT_ONCE: Final = 5


#: Number of the headers of a document, and digest of them: bubbles may be there before it names them.
Naming: TypeAlias = tuple[int, str]


@attrs.frozen
class Change:
    """Why a conversation is looked at."""

    conversation_id: str
    #: Bubbles that were written, with their rowids.
    bubbles: Mapping[str, int] = attrs.field(factory=dict)
    #: Its document was written.
    has_document: bool = False
    #: What its document named when it was looked at last; None: not known.
    naming: Naming | None = None
    #: It is looked at although nothing seems to have changed.
    is_check: bool = False


@attrs.frozen
class Looked:
    """What came of a look."""

    conversation_id: str
    observations: tuple[Observation, ...] = ()
    #: Counts by reason.
    skipped: Counter[str] = attrs.field(factory=Counter)
    #: What its document names now.
    naming: Naming = (0, "")


def look_at(change: Change) -> Talk[Looked]:
    """Say how the turns of a conversation stand that may have become others by a change."""
    row, head = yield from _open(change.conversation_id)
    if row is None or row.value is None:
        why = (_reason(row),) if row is not None and change.has_document else ()
        return Looked(change.conversation_id, skipped=Counter(why))
    conversation = Conversation(row.value, row.rowid, NAME, head)
    if not change.has_document and not change.is_check:
        conversation.context_folders = ()  # is asked for when the document changes
    relevant = yield from _ask_relevant(conversation, change)
    turns = [turn for span in relevant if (turn := conversation.turn(span))]
    return Looked(
        conversation.id,
        (*conversation.places(), *turns),
        _skipped(conversation, change, turns),
        _naming(conversation.document.headers),
    )


def _ask_relevant(conversation: Conversation, change: Change) -> Talk[list[Span]]:
    """Ask for the turns that may have become others, and say which these are."""
    spans, last = conversation.spans, len(conversation.spans) - 1
    changed = change.bubbles.keys() | _newly_named(conversation, change.naming)
    relevant = {span.index for span in spans if any(header.bubble_id in changed for header in span.headers)}
    # A question settles what came before it.
    relevant |= {span.index - 1 for span in spans if span.id in changed}
    if change.has_document or change.is_check:
        relevant |= set(range(last + 1)) if conversation.document.inline is not None else {last}
    if change.is_check:
        relevant.add(last - 1)
    relevant -= {-1, -2}
    asked: set[int] = set()
    while relevant != asked:
        left = [spans[index] for index in sorted(relevant - asked)]
        asked |= relevant
        yield from conversation.ask_spans(left)
        # What comes before a question that is not there may be the last turn in truth.
        relevant |= {span.index - 1 for span in left if span.index and span.id not in conversation.present}
    return [spans[index] for index in sorted(relevant)]


def _newly_named(conversation: Conversation, before: Naming | None) -> set[str]:
    """Bubbles that the document has come to name: their rows may have been there for long."""
    if before is None:
        return set()
    headers = conversation.document.headers
    if before == _naming(headers[: before[0]]):
        return {header.bubble_id for header in headers[before[0] :]}
    # Rewound, or another branch: what else has changed nobody knows.
    return {header.bubble_id for span in conversation.spans[-_MOST_REWOUND:] for header in span.headers}


def _naming(headers: Sequence[Header]) -> Naming:
    return len(headers), digest("\n".join(header.bubble_id for header in headers)) if headers else ""


def _skipped(conversation: Conversation, change: Change, turns: Sequence[Turn]) -> Counter[str]:
    skipped: Counter[str] = Counter()
    if not change.is_check:
        skipped.update(why for id_, why in conversation.problems.items() if id_ in change.bubbles)
        skipped.update(
            "turn without an id" for turn in turns if turn.is_settled and turn.generation_id is None
        )
    if change.has_document:
        skipped.update(conversation.document.skipped)
    return skipped


def read_again(conversation_id: str, wanted: Sequence[Wanted]) -> Talk[Looked]:
    """Answer what is wanted of a conversation, or as much of it as is not too large to be held at once."""
    row, head = yield from _open(conversation_id)
    if row is None or row.value is None:
        return Looked(conversation_id, tuple(TurnGone(one.id) for one in wanted))
    conversation = Conversation(row.value, row.rowid, NAME, head)
    answers: list[Observation] = []
    for start in range(0, len(wanted), _WANTED_AT_ONCE):
        some = wanted[start : start + _WANTED_AT_ONCE]
        for with_content in (True, False):
            ids = [one.id.bubble_id for one in some if one.with_content is with_content]
            spans = [conversation.span_of[id_] for id_ in ids if id_ in conversation.span_of]
            yield from conversation.ask_spans(spans, with_content=with_content)
        answers += map(conversation.answer, some)
        if conversation.size > CONTENT_BYTES:
            break
    return Looked(conversation_id, (*conversation.places(), *answers))


def _open(conversation_id: str) -> Talk[tuple[Row | None, Head]]:
    row, head = yield ask_document(conversation_id)
    return row, head or Head()


def ask_document(
    conversation_id: str, parse: Callable[[str, Any], Any] = parse_document
) -> tuple[Value, HeadOf]:
    """Asks for a conversation's document, or what else is made of it, and its row in the table of headers."""
    made = partial(parse, conversation_id)
    return Value(f"{DOCUMENT}{conversation_id}", RING_LIMIT, made), HeadOf(conversation_id)


def parts_of(key: bytes) -> tuple[str, str | None] | None:
    """Conversation and bubble that a key names; the bubble is None for a document; None: not one of ours."""
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return None
    if text.startswith(DOCUMENT):
        return (text.removeprefix(DOCUMENT), None) if text != DOCUMENT else None
    # What names a conversation may hold colons and line breaks; what names a bubble holds none.
    conversation, colon, bubble = text.removeprefix(BUBBLE).rpartition(":")
    return (conversation, bubble) if text.startswith(BUBBLE) and colon and conversation and bubble else None


def _reason(row: Row) -> str:
    return f"conversation that {'is too large to read' if row.is_too_large else 'is no JSON object'}"
