"""Prompts of the SQL tables: rows of a table of their own, which generations name by their ids."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import attrs

from trio_cursor.cursor.schemas import ROWID, Catalog, FollowUp, Query, Scan, Step
from trio_cursor.cursor.schemas.sql import marks, short, size_of, upwards
from trio_cursor.cursor.schemas.values import (
    ID_BYTES,
    ROW_LIMIT,
    TIME_BYTES,
    milliseconds,
    text_of,
    usable_id,
)
from trio_cursor.observations import Prompt, TableRow
from trio_cursor.records import Page

PROMPT_COLUMNS = frozenset({"uuid", "text", "timestamp"})
#: Looks at once at a table that the lock budget leaves no time for; then as often as at any other.
TRIES = 10
#: Rows of a table without an index that one look passes.
_WALK_ROWS = 2000
#: SQLite's default limit of parameters was 999 for long.
_IDS_AT_ONCE = 200


def with_prompts(page: Page, table: str, catalog: Catalog) -> Step:
    """The page with the prompts that its rows name, as far as the table has them."""
    rows = (row for row in page.observations if isinstance(row, TableRow))
    wanted = {id_ for row in rows if (id_ := _prompt_id(row))}
    if not wanted or not _is_there(table, catalog):
        return page
    return FollowUp(_Join(page, table, tuple(sorted(wanted))).look_up)


@attrs.frozen
class _Join:
    """What is still to be found for the rows of a page."""

    page: Page
    table: str
    wanted: tuple[str, ...]
    found: Mapping[str, Prompt] = attrs.field(factory=dict)

    def look_up(self, catalog: Catalog) -> Scan[Step]:
        """Look the prompts up by their ids, for as long as the lock budget lasts."""
        if not _is_there(self.table, catalog):  # changed since the rows were read
            return self.joined
        rows: list[tuple[Any, ...]] = []
        left, is_slow = self.wanted, False
        while left and not is_slow:
            some = left[:_IDS_AT_ONCE]
            answer = yield Query(
                f"{self._select(catalog, some)} WHERE uuid IN ({marks(some)})", (*some, *some)
            )
            rows += answer.rows
            if answer.stopped:
                # That the budget did not last for all is one thing; not even for the first, another.
                is_slow = left == self.wanted and not answer.rows
                break
            left = left[len(some) :]

        def finish() -> Step:
            rest = self.having_read(rows, left)
            if not rest.wanted:
                return rest.joined()
            return FollowUp(rest.walk if is_slow else rest.look_up)

        return finish

    def walk(self, catalog: Catalog, after: int | None = None, idle: int = 0) -> Scan[Step]:
        """Walk through a table without an index on the ids, a stretch for each look.

        `after`: rowid that the walk has come to. `idle`: looks in a row that came no further.
        """
        if not _is_there(self.table, catalog):
            return self.joined
        answer = yield upwards(self._select(catalog, self.wanted), after, self.wanted, limit=_WALK_ROWS)
        last = answer.rows[-1][0] if answer.rows else after
        if answer.stopped == "too big":
            past = yield upwards(f'SELECT {ROWID} FROM "{self.table}"', last, limit=1)  # noqa: S608
            last = past.rows[0][0] if past.rows else last
        is_over = answer.stopped is None and len(answer.rows) < _WALK_ROWS
        tries = idle + 1 if last == after else 0

        def finish() -> Step:
            rest = self.having_read(answer.rows, self.wanted)
            if is_over or not rest.wanted or tries >= TRIES:
                return rest.joined()
            return FollowUp(partial(rest.walk, after=last, idle=tries))

        return finish

    def _select(self, catalog: Catalog, ids: tuple[str, ...]) -> str:
        """Of the rows that have none of these ids no text is read."""
        has = catalog.tables[self.table].column_names()
        size = size_of("text", catalog)
        text = f"{size} <= {ROW_LIMIT} THEN text" if "text" in has else "NULL THEN NULL"
        time = short("timestamp", TIME_BYTES, catalog) if "timestamp" in has else "NULL"
        is_too_large = f"{size} > {ROW_LIMIT}" if "text" in has else "0"
        return (
            f"SELECT {ROWID}, {short('uuid', ID_BYTES, catalog)},"  # noqa: S608 - our own constants
            f' CASE WHEN uuid IN ({marks(ids)}) AND {text} END, {time}, {is_too_large} FROM "{self.table}"'
        )

    def having_read(self, rows: list[tuple[Any, ...]], left: tuple[str, ...]) -> _Join:
        """After these rows, of which of several with one id the first counts: wanted is what is left."""
        found, asked = dict(self.found), frozenset(self.wanted)
        for _, uuid, text, time, is_too_large in rows:
            if (id_ := text_of(uuid)) in asked:
                found.setdefault(id_, Prompt(id_, text_of(text), milliseconds(time), bool(is_too_large)))
        return attrs.evolve(self, wanted=tuple(id_ for id_ in left if id_ not in found), found=found)

    def joined(self) -> Page:
        rows = (row for row in self.page.observations if isinstance(row, TableRow))
        joined = (attrs.evolve(row, prompt=self.found.get(_prompt_id(row) or "")) for row in rows)
        return attrs.evolve(self.page, observations=tuple(joined))


def _is_there(table: str, catalog: Catalog) -> bool:
    found = catalog.tables.get(table)
    return found is not None and found.misfit(frozenset({"uuid"})) is None


def _prompt_id(row: TableRow) -> str | None:
    return usable_id(row.value.get("promptId")) if row.value else None
