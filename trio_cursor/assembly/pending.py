"""What was observed and is not released yet, and its form as text, in which it outlives us."""

from __future__ import annotations

import json
from typing import TypeAlias, TypeVar

import attrs

from trio_cursor.cursor.schemas.values import canonical_id, is_uuid
from trio_cursor.observations import JsonObject, Prompt, RingEntry, Sealed, TableRow, Turn, TurnId
from trio_cursor.records import Workspace

_T = TypeVar("_T", RingEntry, Prompt)

#: Earlier than any time: what counts from then on has waited long enough.
LONG_PAST = 0
#: Two clocks of one machine (Windows and its WSL) differ by less. What is live and a little ahead of ours
#: is not long past, as what lies in the future else is.
_SKEW_MS = 60_000


def key_of(id_: str, workspace: Workspace) -> str:
    """What makes a generation one: a UUID names it everywhere, any other id only within its scope."""
    return canonical_id(id_) if is_uuid(id_) else f"{workspace.scope}/{id_}"


def alias_of(id_: TurnId) -> str:
    """A name that a turn has whatever its generation is called; no key begins like this."""
    return f"/turn/{id_.conversation_id}/{id_.bubble_id}"


def turn_key(database: str, id_: TurnId) -> str:
    """Under which a turn of a database is pending."""
    return f"/turn/{database}/{id_.conversation_id}/{id_.bubble_id}"


@attrs.frozen
class PendingEntry:
    """An entry of a ring that is not released yet; of several with one key all that counts."""

    key: str
    workspace: Workspace
    entry: RingEntry
    #: When the first of them was seen, milliseconds since the epoch.
    seen_ms: int
    #: It was there already when its ring was first read.
    is_old: bool = False
    #: Where the window begins that it has to lie in; None: it need not.
    since_ms: int | None = None
    #: Earliest time that any ring gives.
    earliest_ms: int | None = attrs.field(
        default=attrs.Factory(lambda self: self.entry.unix_ms, takes_self=True)
    )

    def order(self) -> tuple[bool, float, str, str]:
        """The least counts: one that knows a workspace, the earliest, of the smallest workspace."""
        time = float("inf") if self.entry.unix_ms is None else self.entry.unix_ms
        return (self.workspace.is_global, time, self.workspace.id or "", self.workspace.database)

    def joined(self, other: PendingEntry) -> PendingEntry:
        """Both of them as one: the same whichever comes first."""
        best = min(self, other, key=PendingEntry.order)
        times = [item.earliest_ms for item in (self, other) if item.earliest_ms is not None]
        windows = (self.since_ms, other.since_ms)
        return attrs.evolve(
            best,
            seen_ms=min(self.seen_ms, other.seen_ms),
            is_old=self.is_old and other.is_old,
            since_ms=None if None in windows else min(window for window in windows if window is not None),
            earliest_ms=min(times, default=None),
        )

    @property
    def waits_from_ms(self) -> int:
        """From when its waiting counts."""
        asked = self.earliest_ms
        if asked is None:
            return LONG_PAST if self.is_old else self.seen_ms
        if asked <= self.seen_ms:
            return asked
        is_skewed = not self.is_old and asked - self.seen_ms <= _SKEW_MS
        return self.seen_ms if is_skewed else LONG_PAST


@attrs.frozen
class Row:
    """A table's row and where it stands."""

    workspace: Workspace
    row: TableRow
    #: As of a turn.
    since_ms: int | None = None

    @property
    def is_inside(self) -> bool:
        """Whether it lies in its window; what has no time is inside any."""
        time_ms = self.row.timestamp
        return self.since_ms is None or time_ms is None or time_ms >= self.since_ms


@attrs.frozen
class PendingTurn:
    """A turn of a conversation that was observed and is not released yet."""

    #: Whose database it stands in; not whose generation it is.
    workspace: Workspace
    turn: Turn
    #: When it was first seen.
    seen_ms: int
    #: Since when it has stood as it does.
    changed_ms: int
    #: Where the window begins that it has to lie in; None: it need not.
    since_ms: int | None = None
    #: The row of a table that bears the same key.
    row: Row | None = None
    #: It stands in its conversation no more.
    is_gone: bool = False

    @property
    def key(self) -> str:
        return turn_key(self.workspace.database, self.turn.id)

    @property
    def alias(self) -> str | None:
        """A name by which it stays known if the one that it has may become another; None: it will not."""
        id_ = self.turn.generation_id
        if id_ is not None and is_uuid(id_) and self.turn.is_named_by_bubble:
            return None
        return alias_of(self.turn.id)

    @property
    def is_in_flight(self) -> bool:
        """Whether more may become of it."""
        return not (self.turn.is_settled or self.is_gone)


Pending: TypeAlias = PendingEntry | PendingTurn


def not_after(item: Pending, now_ms: int) -> Pending:
    """The same as seen now at the latest: a clock that was set back must not make anything wait for it."""
    seen_ms = min(item.seen_ms, now_ms)
    if isinstance(item, PendingEntry):
        return attrs.evolve(item, seen_ms=seen_ms)
    return attrs.evolve(item, seen_ms=seen_ms, changed_ms=min(item.changed_ms, now_ms))


def to_text(pending: Pending) -> str:
    """As JSON, ASCII only."""
    kind = "entry" if isinstance(pending, PendingEntry) else "turn"
    return json.dumps({kind: attrs.asdict(pending)}, separators=(",", ":"))


def from_text(text: str) -> Pending:
    """The reverse.

    Raises ValueError, TypeError, KeyError or AttributeError for what is nothing of the kind.
    """
    value = json.loads(text)
    if set(value) == {"entry"}:
        item = value["entry"]
        return PendingEntry(
            **{
                **item,
                "workspace": Workspace(**item["workspace"]),
                "entry": _with_text(RingEntry, item["entry"]),
            }
        )
    item = value["turn"]
    return PendingTurn(
        **{
            **item,
            "workspace": Workspace(**item["workspace"]),
            "turn": _turn(item["turn"]),
            "row": None if item["row"] is None else _row(item["row"]),
        }
    )


def _turn(value: JsonObject) -> Turn:
    """Turns once had more fields than they have now, and may still wait in a log as they were stored then."""
    known = {key: value[key] for key in attrs.fields_dict(Turn) if key in value}
    return Turn(**{**known, "id": TurnId(**value["id"])})


def _with_text(kind: type[_T], value: JsonObject) -> _T:
    """What stands for a text that is not kept is an object."""
    text = value["text"]
    return kind(**{**value, "text": Sealed(**text) if isinstance(text, dict) else text})


def _row(value: JsonObject) -> Row:
    row = value["row"]
    prompt = None if row["prompt"] is None else _with_text(Prompt, row["prompt"])
    left_out = tuple(row["left_out"])
    sealed = {name: Sealed(**one) for name, one in row.get("sealed", {}).items()}
    table_row = TableRow(**{**row, "prompt": prompt, "left_out": left_out, "sealed": sealed})
    return Row(**{**value, "workspace": Workspace(**value["workspace"]), "row": table_row})
