"""Schema `composers`: what `ItemTable` of a workspace says about its conversations.

Until Cursor 3.0 `composer.composerData` lists them, the oldest of them with all their messages inside; since
then only `workbench.panel.composerChatViewPane*` names those that are open. Cursor replaces these rows as it
does the ring's, so unchanged rowids and sizes mean an unchanged list.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any, ClassVar, Final

import attrs

from trio_cursor.cursor.schemas import ROWID, Catalog, Query, Scan, Step
from trio_cursor.cursor.schemas.asking import Answer, Asking, Row, Value
from trio_cursor.cursor.schemas.conversation import Conversation
from trio_cursor.cursor.schemas.documents import document_of
from trio_cursor.cursor.schemas.exchange import Exchange, Talk
from trio_cursor.cursor.schemas.fields import usable_conversation_id
from trio_cursor.cursor.schemas.sql import KEYS_LISTED, end_of, next_keys, size_of
from trio_cursor.cursor.schemas.values import RING_LIMIT, BadValueError, digest, parse_json
from trio_cursor.observations import Json, JsonObject, Observation, Place, Rule, TurnGone, Wanted
from trio_cursor.records import Page, Position

KEY: Final = "composer.composerData"
PANES: Final = "workbench.panel.composerChatViewPane"
_VIEW: Final = "workbench.panel.aichat.view."
_HIDDEN: Final = ".hidden"
_TABLE: Final = "ItemTable"
_PANE_LIMIT: Final = 1 << 20
#: Panes of one window; of more only the newest count, and of very many more not all are looked for.
_MOST_PANES: Final = 1000
_MOST_LISTS: Final = 20


@attrs.frozen
class _Seen:
    """What a position holds."""

    #: Of the row of the list.
    rowid: int | None = None
    size: int | None = None
    #: Highest rowid and number of the panes' rows.
    pane: int | None = None
    panes: int = 0
    #: Digest of everything that was found in either.
    heads: str = ""
    views: str = ""
    synced: bool = False
    problem: str | None = None

    @classmethod
    def from_position(cls, position: Position | None) -> _Seen:
        return cls() if position is None else _parsed(position)

    def to_position(self) -> Position:
        return json.dumps(attrs.asdict(self, recurse=False), separators=(",", ":"))


@lru_cache(maxsize=128)
def _parsed(position: Position) -> _Seen:
    """Kept, as most looks find nothing new and begin with the same position."""
    return _Seen(**json.loads(position))


@attrs.frozen
class _Stand:
    """Asks for the rowid and the size of a row of `ItemTable`; answered by both, None where there is none."""

    key: str
    words: ClassVar = "a row of ItemTable"
    is_optional: ClassVar = False

    def read(self, catalog: Catalog, room: int) -> Asking:  # noqa: ARG002 - no value is read
        answer = yield Query(
            f"SELECT {ROWID}, {size_of('value', catalog)} FROM ItemTable"  # noqa: S608 - our own names
            f" WHERE key = ? ORDER BY {ROWID} DESC LIMIT 1",
            (self.key,),
            can_wait=True,
        )
        if answer.stopped == "too big":
            return Answer(lambda: (None, None))
        if not answer.rows:
            return None if answer.stopped else Answer(lambda: (None, None))
        return Answer(partial(tuple, answer.rows[0]))


@attrs.frozen
class _StandOf:
    """Asks for the highest rowid and the number of rows of `ItemTable` with a prefix: index only."""

    prefix: str
    words: ClassVar = "the rows of ItemTable"
    is_optional: ClassVar = False

    def read(self, catalog: Catalog, room: int) -> Asking:  # noqa: ARG002 - no value is read
        answer = yield Query(
            f"SELECT max({ROWID}), count(*) FROM ItemTable WHERE key >= ? AND key < ?",  # noqa: S608
            (self.prefix, end_of(self.prefix)),
            can_wait=True,
        )
        return Answer(partial(tuple, answer.rows[0])) if answer.rows else None


@attrs.frozen
class _PanesAfter:
    """Asks for the keys of panes after one of them, and their rowids: index only, not all at once.

    Answered by a list of key and rowid, and whether that was all.
    """

    #: Bytes, since not every key is text.
    after: bytes
    words: ClassVar = "the list of panes"
    is_optional: ClassVar = False

    def read(self, catalog: Catalog, room: int) -> Asking:  # noqa: ARG002 - no value is read
        answer = yield next_keys(_TABLE, PANES, self.after, catalog)
        if answer.stopped and not answer.rows:
            return None
        is_all = answer.stopped is None and len(answer.rows) < KEYS_LISTED
        return Answer(lambda: (answer.rows, is_all))


@attrs.frozen
class ComposersSchema:
    """In workspaces; a global database has the same keys for windows without a folder."""

    name: str = "composers"
    readable: Mapping[str, frozenset[str]] = attrs.field(
        factory=lambda: {_TABLE: frozenset({"key", "value"})}, eq=False
    )

    def matches(self, catalog: Catalog) -> bool | str:
        # What is wrong with a table of another shape is said by the ring.
        table = catalog.tables.get(_TABLE)
        return table is not None and table.misfit(self.readable[_TABLE]) is None

    def scan(
        self,
        catalog: Catalog,
        position: Position | None,
        *,
        rescan: bool,
        verify: bool,
        since_ms: int | None,  # noqa: ARG002 - all of it is read anyway
    ) -> Scan[Step]:
        seen = _Seen() if rescan else _Seen.from_position(position)
        exchange = Exchange(
            [_look(seen, None if rescan else position, is_forced=verify)],
            lambda pages: pages[0],
            lambda problem: Page(
                (), seen.to_position(), backfill=not seen.synced, problem=problem, is_given_up=True
            ),
        )
        return (yield from exchange.look(catalog))

    def reread(self, catalog: Catalog, wanted: tuple[Wanted, ...]) -> Scan[Step]:
        """Answer what is wanted of the conversations whose messages stand in the list."""
        if not self.matches(catalog):
            return lambda: Page(tuple(TurnGone(one.id) for one in wanted), "")
        exchange = Exchange(
            [_read_again(wanted)],
            lambda found: Page(found[0], ""),
            lambda problem: Page((), "", problem=problem),
        )
        return (yield from exchange.look(catalog))


def _look(seen: _Seen, position: Position | None, *, is_forced: bool) -> Talk[Page]:
    """Look at both places; what cannot have changed is not read, and its position stays the same text."""
    (rowid, size), (pane, panes) = yield (_Stand(KEY), _StandOf(PANES))
    after, found, skipped = seen, list[Observation](), Counter[str]()
    if rowid is None:
        after = attrs.evolve(after, rowid=None, size=None, heads="", problem=None)
    elif is_forced or (rowid, size) != (seen.rowid, seen.size) or not seen.synced:
        (row,) = yield (_LIST,)
        problem = f"{KEY} cannot be read: {row.problem}" if row and row.problem else None
        heads = _heads(row, skipped)
        after = attrs.evolve(after, rowid=rowid, size=size, heads=_digest(heads), problem=problem)
        found += heads if after.heads != seen.heads else ()
    if not panes:
        after = attrs.evolve(after, pane=None, panes=0, views="")
    elif is_forced or (pane, panes) != (seen.pane, seen.panes) or not seen.synced:
        views = yield from _views(skipped)
        after = attrs.evolve(after, pane=pane, panes=panes, views=_digest(views))
        found += views if after.views != seen.views else ()
    if position is None or after != seen or not seen.synced:
        position = attrs.evolve(after, synced=True).to_position()
    return Page(
        tuple(found),
        position,
        backfill=not seen.synced,
        skipped=dict(skipped),
        problem=after.problem,
    )


def _heads(row: Row | None, skipped: Counter[str]) -> list[Observation]:
    """What the list says: whose conversations these are, and the turns that stand in it."""
    if row is None or row.problem:
        return []
    found: list[Observation] = []
    for id_, head in _composers(row.value, skipped).items():
        found.append(Place(id_, Rule.LISTED))
        if (conversation := _conversation(id_, head, row)) is not None:
            skipped.update(conversation.document.skipped)
            turns = [turn for span in conversation.spans if (turn := conversation.turn(span))]
            nameless = sum(turn.is_settled and turn.generation_id is None for turn in turns)
            skipped.update({"turn without an id": nameless} if nameless else {})
            found += turns
    return found


def _composers(value: Json, skipped: Counter[str]) -> dict[str, JsonObject]:
    listed = value.get("allComposers") if isinstance(value, dict) else None
    found: dict[str, JsonObject] = {}
    for head in listed if isinstance(listed, list) else ():
        id_ = usable_conversation_id(head.get("composerId")) if isinstance(head, dict) else None
        if id_ is None:
            skipped["conversation without a usable composerId"] += 1
        else:
            found.setdefault(id_, head)
    return found


def _conversation(id_: str, head: JsonObject, row: Row) -> Conversation | None:
    """A conversation whose messages stand in the list; None: they are elsewhere."""
    if not head.get("conversation"):
        return None
    document = document_of(id_, head)
    return None if document.inline is None else Conversation(document, row.rowid, "composers")


def _views(skipped: Counter[str]) -> Talk[list[Observation]]:
    """Conversations that have a place in one of the panes."""
    panes: list[tuple[int, str]] = []
    after = PANES.encode()
    for _ in range(_MOST_LISTS):
        ((rows, is_all),) = yield (_PanesAfter(after),)
        panes += [(rowid, text) for key, rowid in rows if (text := _text(key)) and not text.endswith(_HIDDEN)]
        panes = sorted(panes)[-_MOST_PANES:]
        if is_all:
            break
        after = rows[-1][0]
    # The bare prefix is a key too.
    keys = (PANES, *(key for _, key in panes))
    rows = yield tuple(Value(key, _PANE_LIMIT, _views_in, _TABLE) for key in keys)
    found: dict[str, None] = {}
    for pane in filter(None, rows):
        found |= dict.fromkeys(pane.value or ())
        skipped.update(("pane that cannot be read",) if pane.problem else ())
    return [Place(id_, Rule.PANE) for id_ in sorted(found)]


def _views_in(stored: Any) -> tuple[str, ...]:
    value = parse_json(stored, limit=_PANE_LIMIT)
    if not isinstance(value, dict):
        raise BadValueError("it is not a JSON object")
    ids = (key.removeprefix(_VIEW) for key in value if key.startswith(_VIEW))
    return tuple(id_ for id_ in ids if usable_conversation_id(id_))


def _text(key: bytes) -> str | None:
    try:
        return key.decode()
    except UnicodeDecodeError:
        return None


def _digest(found: list[Observation]) -> str:
    return digest(repr(found)) if found else ""


def _read_again(wanted: tuple[Wanted, ...]) -> Talk[tuple[Observation, ...]]:
    (row,) = yield (_LIST,)
    heads = {} if row is None or row.problem else _composers(row.value, Counter())
    answers: list[Observation] = []
    conversations: dict[str, Conversation | None] = {}
    for one in wanted:
        id_ = one.id.conversation_id
        if id_ not in conversations:
            conversations[id_] = _conversation(id_, heads[id_], row) if id_ in heads else None
        conversation = conversations[id_]
        answers.append(conversation.answer(one) if conversation else TurnGone(one.id))
    return tuple(answers)


_LIST: Final = Value(KEY, RING_LIMIT, partial(parse_json, limit=RING_LIMIT), _TABLE)
