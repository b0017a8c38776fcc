"""Schema `conversations`: documents `composerData:*` and bubbles `bubbleId:*` of `cursorDiskKV`.

A first sync with a window walks downwards until documents are too old (`Seen.down`), then upwards like every
later look: rows and keys alone, and of the conversations that these name document, headers and bubbles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import attrs

from trio_cursor.cursor.schemas import Catalog, FollowUp, Scan, Step
from trio_cursor.cursor.schemas.asking import HEADS, HEADS_READABLE, Head
from trio_cursor.cursor.schemas.conversation import BUBBLE
from trio_cursor.cursor.schemas.conversation_looks import (
    CONTENT_BYTES,
    DOCUMENT,
    NAME,
    Change,
    Looked,
    ask_document,
    look_at,
    parts_of,
    read_again,
)
from trio_cursor.cursor.schemas.conversation_walk import (
    GUARDS,
    KeyRow,
    Seen,
    Walked,
    step_back,
    walk_down,
    walk_up,
)
from trio_cursor.cursor.schemas.documents import parse_document
from trio_cursor.cursor.schemas.exchange import TRIES, Exchange, Talk
from trio_cursor.cursor.schemas.sql import KEYS_LISTED, next_keys
from trio_cursor.cursor.schemas.values import digest
from trio_cursor.observations import Observation, TurnGone, Wanted
from trio_cursor.records import Page, Position

#: Documents in a row that are too old, after which nothing newer is expected below.
ENOUGH_OLD = 16
#: Conversations that one page looks at.
_PAGE_CONVERSATIONS = 20
_KV = "cursorDiskKV"


@attrs.frozen
class ConversationsSchema:
    """Normally in the global database; the table of a workspace is empty wherever it was looked at."""

    name: str = NAME
    readable: Mapping[str, frozenset[str]] = attrs.field(
        factory=lambda: {_KV: frozenset({"key", "value"}), HEADS: HEADS_READABLE}, eq=False
    )

    def matches(self, catalog: Catalog) -> bool | str:
        table = catalog.tables.get(_KV)
        return False if table is None else table.misfit(self.readable[_KV]) or True

    def scan(
        self,
        catalog: Catalog,
        position: Position | None,
        *,
        rescan: bool,
        verify: bool,
        since_ms: int | None,
    ) -> Scan[Step]:
        is_first = position is None or rescan
        seen = Seen.before_everything(since_ms) if is_first else Seen.from_position(position or "")
        return (yield from _Look(seen, verify=verify, since_ms=since_ms).scan(catalog))

    def reread(self, catalog: Catalog, wanted: tuple[Wanted, ...]) -> Scan[Step]:
        """Answer what is wanted, or as much of it as one may hold at once."""
        if self.matches(catalog) is not True:
            return lambda: Page(tuple(TurnGone(one.id) for one in wanted), "")
        conversations: dict[str, list[Wanted]] = {}
        for one in wanted:
            conversations.setdefault(one.id.conversation_id, []).append(one)
        exchange = Exchange(
            (read_again(id_, same) for id_, same in conversations.items()),
            lambda found: Page(_observations(found), ""),
            lambda problem: Page((), "", problem=problem),
            most_bytes=CONTENT_BYTES,
        )
        return (yield from exchange.look(catalog))


@attrs.frozen
class _Look:
    """A look at what was written since a position."""

    seen: Seen
    verify: bool
    since_ms: int | None
    #: No row by which the position is known stands any more.
    is_lost: bool = False
    #: Rows of earlier looks that had nothing new.
    so_far: list[KeyRow] = attrs.field(factory=list)
    #: Looks in a row for which the lock budget left no time at all.
    tries: int = 0

    def scan(self, catalog: Catalog) -> Scan[Step]:
        seen = self.seen
        if seen.down is not None:
            found = yield from walk_down(catalog, seen)
            if found is None:
                return self._unanswered
            search = Exchange(
                [_search(found.rows, seen.out, self.since_ms)], partial(self._searched, found), self._given_up
            )
            return (yield from search.look(catalog))
        if self.is_lost:
            back = yield from step_back(catalog, seen, self.since_ms)
            if back is None:
                return self._unanswered
            return lambda: self._again(seen=back, is_lost=bool(back.anchors) and not back.guards)
        walked = yield from walk_up(catalog, seen, self.so_far)
        if walked is None:
            return self._unanswered
        if walked.is_lost:
            return lambda: self._again(so_far=[], is_lost=True)
        if walked.news:
            return (yield from self._changes(walked).look(catalog))
        if not walked.is_end:
            return lambda: self._again(so_far=walked.rows)
        if self.verify and seen.synced:
            # In a look of its own: behind another query the lock budget might never leave time for it.
            check = partial(self._verification, seen=seen.walked(walked.rows))
            return lambda: FollowUp(check)
        after = attrs.evolve(seen.walked(walked.rows), synced=True)
        return lambda: Page((), after.to_position(), backfill=not seen.synced)

    def _again(self, **changes: Any) -> FollowUp:
        return FollowUp(attrs.evolve(self, **{"tries": 0, **changes}).scan)

    def _unanswered(self) -> Step:
        if self.tries + 1 < TRIES:
            return self._again(tries=self.tries + 1)
        return self._given_up(f"{_KV} could not be read within the lock budget")

    def _given_up(self, problem: str) -> Page:
        """The position stays: the next poll tries again."""
        return Page(
            (), self.seen.to_position(), backfill=not self.seen.synced, problem=problem, is_given_up=True
        )

    def _changes(self, walked: Walked) -> Exchange[Looked]:
        skipped: Counter[str] = Counter()
        bubbles: dict[str, dict[str, int]] = {}
        documents: set[str] = set()
        rows, is_end = walked.rows, walked.is_end
        for rowid, key in walked.news:
            parts = None if key is None else parts_of(key)
            if parts is None:
                if key is None or key.startswith((DOCUMENT.encode(), BUBBLE.encode())):
                    skipped[f"row of {_KV} without a usable key"] += 1
                continue
            conversation, bubble = parts
            if conversation not in bubbles and len(bubbles) == _PAGE_CONVERSATIONS:
                rows, is_end = [row for row in rows if row[0] < rowid], False
                break
            changed = bubbles.setdefault(conversation, {})
            if bubble is None:
                documents.add(conversation)
            else:
                changed[bubble] = rowid
        namings = self.seen.namings
        changes = (
            Change(id_, changed, has_document=id_ in documents, naming=namings.get(digest(id_)))
            for id_, changed in bubbles.items()
        )
        after = attrs.evolve(self.seen.walked(rows), synced=self.seen.synced or is_end)
        finish = partial(self._page, after, skipped=skipped, is_end=is_end)
        return Exchange(map(look_at, changes), finish, self._given_up)

    def _page(
        self,
        after: Seen,
        looked: list[Looked],
        *,
        skipped: Counter[str],
        is_end: bool,
        is_check: bool = False,
    ) -> Page:
        for one in looked:
            skipped.update(one.skipped)
        namings = {digest(one.conversation_id): one.naming for one in looked}
        if is_check:  # what goes round among all of them must not crowd out those that are at work
            namings = {id_: naming for id_, naming in namings.items() if id_ in after.namings}
        after = after.remembering(namings)
        return Page(
            _observations(looked),
            after.to_position(),
            backfill=is_check or not self.seen.synced,
            more=not is_end,
            skipped=dict(skipped),
        )

    def _verification(self, catalog: Catalog, seen: Seen) -> Scan[Step]:
        """Look at some conversations as if they had changed: a row changed in place keeps its rowid."""
        start = bytes.fromhex(seen.verified) or DOCUMENT.encode()
        answer = yield next_keys(_KV, DOCUMENT, start, catalog)
        last = answer.rows[-1][0].hex() if answer.rows else seen.verified if answer.stopped else ""
        if answer.stopped is None and len(answer.rows) < KEYS_LISTED:
            last = ""
        ids: list[str] = []
        for key, rowid in answer.rows:
            parts = parts_of(key)
            if parts is None or (seen.floor is not None and rowid <= seen.floor):
                continue
            if len(ids) == _PAGE_CONVERSATIONS:
                break
            ids.append(parts[0])
            if len(ids) == _PAGE_CONVERSATIONS:
                last = key.hex()
        checks = (Change(id_, naming=seen.namings.get(digest(id_)), is_check=True) for id_ in ids)
        after = attrs.evolve(seen, verified=last)
        finish = partial(self._page, after, skipped=Counter(), is_end=True, is_check=True)
        return (yield from Exchange(map(look_at, checks), finish, self._given_up).look(catalog))

    def _searched(self, found: Walked, results: list[tuple[int | None, int]]) -> Page:
        ((floor, out),) = results
        if floor is not None:
            after = Seen.at_floor(found.rows[floor : floor + GUARDS][::-1])
        elif found.is_end:
            after = Seen()
        else:
            after = attrs.evolve(self.seen, down=found.rows[-1][0] - 1, out=out)
        return Page((), after.to_position(), backfill=True, more=True)


def _search(rows: list[KeyRow], out: int, since_ms: int | None) -> Talk[tuple[int | None, int]]:
    """Which of these rows, which come downwards, is the floor, and how many documents in a row were too old.

    No document is read that is not needed to know it.
    """
    documents = [
        (index, parts[0])
        for index, (_, key) in enumerate(rows)
        if key is not None and (parts := parts_of(key)) and parts[1] is None
    ]
    while documents and out < ENOUGH_OLD:
        some, documents = documents[: ENOUGH_OLD - out], documents[ENOUGH_OLD - out :]
        asks = [ask for _, id_ in some for ask in ask_document(id_, _newest_ms)]
        answers = yield tuple(asks)
        for (index, _), row, head in zip(some, answers[::2], answers[1::2], strict=True):
            if row is None or row.problem:
                continue  # deleted or broken: neither new nor old
            times = [time for time in (row.value, (head or Head()).newest_ms) if time is not None]
            is_old = bool(times) and since_ms is not None and max(times) < since_ms
            out = out + 1 if is_old else 0
            if out == ENOUGH_OLD:
                return index, out
    return None, out


def _newest_ms(conversation_id: str, stored: Any) -> int | None:
    return parse_document(conversation_id, stored).newest_ms


def _observations(looked: Iterable[Looked]) -> tuple[Observation, ...]:
    return tuple(observation for one in looked for observation in one.observations)
