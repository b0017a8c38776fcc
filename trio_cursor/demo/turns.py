"""The ledger's half about conversations: what an honest reader can know of each turn, field by field.

By the precedence that the service promises (docs: "The event"), with two sources: what the conversation says
is written down by the fake Cursor, what the rings say is added at reading, from their own committed entries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trio_cursor.demo.ledger import Entry, LedgerWriter

#: `Turn.status` while it is in flight.
GENERATING: Final = "generating"

#: Rules of attribution, by their number in cursor-storage facts, section c.
OWN_RING: Final = 1
HEADERS_TABLE: Final = 2
IDENTIFIER: Final = 3
HEADS: Final = 4
REQUEST_CONTEXT: Final = 6
WORKSPACE_URIS: Final = 7
OTHER_RING: Final = 8
PARENT: Final = 9


def _pairs(values: Iterable[Sequence[Any]]) -> tuple[tuple[str | None, str], ...]:
    return tuple((name, status) for name, status in values)


@attrs.frozen(kw_only=True)
class Turn:
    """One turn, under the id by which it is to be reported, from the conversation that counts for it."""

    generation_id: str
    conversation_id: str
    #: The database, relative to the demo's directory, with slashes.
    database: str
    era: str
    #: `generating` while in flight; then `completed`, `aborted`, `error` or, after a kill, `incomplete`.
    status: str
    #: A lone surrogate included, as it stands in the file.
    prompt_text: str | None = None
    #: Of an incomplete turn: what there is of it.
    response_text: str | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tokens_used: int | None = None
    #: Name and status of each.
    tool_calls: tuple[tuple[str | None, str], ...] = attrs.field(default=(), converter=_pairs)
    #: The ring's (of several the earliest), else the conversation's; None: nobody says.
    timestamp: int | None = None
    prompt_timestamp: int | None = None
    completed_timestamp: int | None = None
    duration_ms: int | None = None
    #: Where it belongs; None: nobody says.
    workspace_id: str | None = None
    #: The rule that says so, one of the numbers above.
    attributed_by: int | None = None
    #: The window in whose `composer.composerData` the conversation's head was put (the newest twelve stay).
    listed_in: str | None = None
    #: The conversation whose agent this one is.
    parent_id: str | None = None
    #: From the ring.
    type: str | None = None
    #: `conversations` or `ring+conversations`.
    schema: str = "conversations"
    #: When the settling commit had returned, in milliseconds since the epoch; None while uncertain.
    committed_ms: int | None = None
    #: How long that commit took; None if only found later in the database.
    commit_took_ms: float | None = None


class TurnBook:
    """Tells the ledger about turns, around the flushes of their database."""

    def __init__(self, database: str, ledger: LedgerWriter) -> None:
        self.database = database
        self._ledger = ledger
        #: What the ledger has not been told yet, the newest state of each.
        self._unwritten: dict[str, Turn] = {}
        #: Settled, and with the next successful flush surely in the file.
        self._settling: dict[str, Turn] = {}

    def note(self, turn: Turn) -> None:
        """Take down what is going to stand in the file after the next flush."""
        self._unwritten[turn.generation_id] = turn

    def settle(self, turn: Turn) -> None:
        self.note(turn)
        self._settling[turn.generation_id] = turn

    def intend(self) -> None:
        self._ledger.intend_turns(self._unwritten.values())
        self._unwritten.clear()

    def commit(self, took_ms: float | None) -> None:
        self._ledger.commit_turns(self._settling.values(), took_ms)
        self._settling.clear()

    def resolve(self, doubtful: Turn, found: Turn | None) -> None:
        """A kill left this one in doubt, and this is what stands in the database: None, nothing."""
        if found is None:
            self._ledger.rolled_back_turn(doubtful)
        else:
            self._ledger.intend_turns([found])
            self._ledger.commit_turns([found])


def with_rings(turns: Iterable[Turn], rings: Mapping[str, Sequence[Entry]]) -> dict[str, Turn]:
    """The turns by id, together with what the rings' entries add: time, type and the workspace."""
    joined = [_with_ring(turn, rings.get(turn.generation_id, ())) for turn in turns]
    for rule in (_from_other_rings, _from_parents):
        joined = rule(joined)
    return {turn.generation_id: turn for turn in joined}


def _with_ring(turn: Turn, entries: Sequence[Entry]) -> Turn:
    if turn.listed_in is not None and (turn.attributed_by is None or turn.attributed_by > HEADS):
        turn = attrs.evolve(turn, workspace_id=turn.listed_in, attributed_by=HEADS)
    if not entries:
        return turn
    turn = attrs.evolve(
        turn,
        schema="ring+conversations",
        type=entries[0].type,
        timestamp=min(entry.unix_ms for entry in entries),
    )
    # The global ring belongs to no workspace: it gives a time, but no place.
    places = [(entry.unix_ms, entry.workspace_id) for entry in entries if entry.workspace_id is not None]
    if places:
        turn = attrs.evolve(turn, workspace_id=min(places)[1], attributed_by=OWN_RING)
    return turn


def _from_other_rings(turns: list[Turn]) -> list[Turn]:
    found: dict[str, tuple[int, str]] = {}
    for turn in turns:
        if turn.attributed_by == OWN_RING and turn.workspace_id is not None and turn.timestamp is not None:
            place = turn.timestamp, turn.workspace_id
            found[turn.conversation_id] = min(found.get(turn.conversation_id, place), place)
    return [
        attrs.evolve(turn, workspace_id=found[turn.conversation_id][1], attributed_by=OTHER_RING)
        if turn.attributed_by is None and turn.conversation_id in found
        else turn
        for turn in turns
    ]


def _from_parents(turns: list[Turn]) -> list[Turn]:
    found = {turn.conversation_id: turn.workspace_id for turn in turns if turn.attributed_by is not None}
    return [
        attrs.evolve(turn, workspace_id=found[turn.parent_id], attributed_by=PARENT)
        if turn.attributed_by is None and turn.parent_id is not None and turn.parent_id in found
        else turn
        for turn in turns
    ]
