"""The SQL tables of the specification: `tables_v1`, `tables_v2` and `tables_plain`.

Rows are read upwards by rowid. `data_version` may be shared, re-used or missing, so it orders nothing.
A guard (the id in the last row read) notices when rowids were dealt anew, and verification walks
the whole table in slices for rows that appeared below the position.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Mapping
from functools import partial
from typing import Any

import attrs

from trio_cursor.cursor.schemas import ROWID, Catalog, Query, Rows, Scan, Step
from trio_cursor.cursor.schemas.fields import known_keys
from trio_cursor.cursor.schemas.prompts import PROMPT_COLUMNS, TRIES, with_prompts
from trio_cursor.cursor.schemas.sql import short, size_of, upwards
from trio_cursor.cursor.schemas.values import (
    ID_BYTES,
    ROW_LIMIT,
    TIME_BYTES,
    BadValueError,
    digest,
    milliseconds,
    parse_json,
    text_of,
    usable_id,
)
from trio_cursor.observations import JsonObject, TableRow
from trio_cursor.records import Page, Position

_COLUMNS = frozenset({"uuid", "data_version", "value", "timestamp"})
_KEYS = (
    "model",
    "promptTokens",
    "completionTokens",
    "tokensUsed",
    "responseText",
    "text",
    "promptId",
    "requestParameters",
    "timestamp",
)
_PAGE_ROWS = 500


@attrs.frozen
class _Seen:
    """What a position holds."""

    #: Rowid of the last row read; None: none was.
    at: int | None = None
    #: Digest of the id in that row.
    guard: str = ""
    #: Last row of the verification's last slice; None: the next one starts at the beginning.
    verified: int | None = None
    #: The end was reached once: what comes above `at` is new.
    synced: bool = False
    #: Looks in a row that read nothing because the lock budget was spent, up to `TRIES`.
    unanswered: int = 0

    @classmethod
    def from_position(cls, position: Position | None) -> _Seen:
        return cls() if position is None else cls(**json.loads(position))

    def to_position(self) -> Position:
        return json.dumps(attrs.asdict(self, recurse=False), separators=(",", ":"))


@attrs.frozen
class TablesSchema:
    """One pair of tables. The dot is part of the names, so they always stand quoted."""

    name: str
    generations: str
    prompts: str
    #: Counts only where none of these tables exists.
    unless: tuple[str, ...] = ()

    @property
    def readable(self) -> Mapping[str, frozenset[str]]:
        return {self.generations: _COLUMNS, self.prompts: PROMPT_COLUMNS}

    def matches(self, catalog: Catalog) -> bool | str:
        table = catalog.tables.get(self.generations)
        if table is None or any(name in catalog.tables for name in self.unless):
            return False
        return table.misfit(frozenset({"uuid", "value"})) or True

    def scan(
        self,
        catalog: Catalog,
        position: Position | None,
        *,
        rescan: bool,
        verify: bool,
        since_ms: int | None,  # noqa: ARG002 - times order nothing here
    ) -> Scan[Step]:
        seen = _Seen() if rescan else _Seen.from_position(position)
        top = yield Query(f'SELECT max({ROWID}) FROM "{self.generations}"')  # noqa: S608 - our own constant
        if not top.rows:
            return partial(self._unanswered, seen)
        newest = top.rows[0][0]
        if newest is None:
            return lambda: Page((), _Seen(synced=True).to_position(), entries=0)
        if seen.at is not None:
            held = yield self._row_at(catalog, seen.at)
            if held.stopped:
                return partial(self._unanswered, seen)
            if newest < seen.at or (held.rows and _guard(held.rows[0][0]) != seen.guard):
                seen = _Seen()  # VACUUM or other hands dealt the rowids anew
        verifying = verify and newest == seen.at
        rows, stopped = yield from self._rows(catalog, seen.verified if verifying else seen.at)
        if stopped and not rows:
            return partial(self._unanswered, seen)
        return partial(self._page, catalog, seen, rows, newest, verifying=verifying)

    def _unanswered(self, seen: _Seen) -> Page:
        """The lock budget was spent before anything could be read: a slow moment, or a slow disk."""
        # No further: a position that still changes is one more commit for each look.
        tries = min(seen.unanswered + 1, TRIES)
        problem = f"{self.generations} could not be read within the lock budget"
        return Page(
            (),
            attrs.evolve(seen, unanswered=tries).to_position(),
            more=tries < TRIES,
            problem=None if tries < TRIES else problem,
            is_given_up=True,
        )

    def _row_at(self, catalog: Catalog, at: int) -> Query:
        id_ = short("uuid", ID_BYTES, catalog)
        return Query(f'SELECT {id_} FROM "{self.generations}" WHERE {ROWID} = ?', (at,))  # noqa: S608

    def _rows(
        self, catalog: Catalog, after: int | None
    ) -> Generator[Query, Rows, tuple[list[tuple[Any, ...]], bool]]:
        select, select_small = self._selects(catalog)
        answer = yield upwards(select, after, limit=_PAGE_ROWS)
        rows = answer.rows
        if answer.stopped == "too big":
            # SQLite refused the next row; it is still a generation, of which nothing can be known.
            large = yield upwards(select_small, rows[-1][0] if rows else after, limit=1)
            rows = [*rows, *large.rows]
        return rows, answer.stopped is not None

    def _selects(self, catalog: Catalog) -> tuple[str, str]:
        """Rows with their values, and without. No column is read that is larger than it can make sense."""
        has = catalog.tables[self.generations].column_names()
        id_ = short("uuid", ID_BYTES, catalog)
        version = "CASE typeof(data_version) WHEN 'integer' THEN data_version END"
        columns = (
            f"{ROWID}, {id_}, {version if 'data_version' in has else 'NULL'},"
            f" {short('timestamp', TIME_BYTES, catalog) if 'timestamp' in has else 'NULL'}"
        )
        value = f"{short('value', ROW_LIMIT, catalog)}, {size_of('value', catalog)} > {ROW_LIMIT}"
        source = f'FROM "{self.generations}"'
        return f"SELECT {columns}, {value} {source}", f"SELECT {columns}, NULL, 1 {source}"

    def _page(
        self,
        catalog: Catalog,
        seen: _Seen,
        rows: list[tuple[Any, ...]],
        newest: int,
        *,
        verifying: bool,
    ) -> Step:
        skipped: Counter[str] = Counter()
        found: list[TableRow] = []
        for row in rows:
            if id_ := usable_id(row[1]):
                found.append(self._row(id_, row))
            else:
                skipped[f"row of {self.generations} without a usable id"] += 1
        last = rows[-1][0] if rows else newest
        more = not verifying and last != newest
        seen = attrs.evolve(seen, unanswered=0)
        if verifying:
            after = attrs.evolve(seen, verified=None if last == newest else last)
        else:
            guard = _guard(rows[-1][1]) if rows else seen.guard
            after = attrs.evolve(seen, at=last, guard=guard, synced=seen.synced or not more)
        page = Page(
            tuple(found),
            after.to_position(),
            backfill=verifying or not seen.synced,
            more=more,
            skipped=dict(skipped),
        )
        return with_prompts(page, self.prompts, catalog)

    def _row(self, id_: str, row: tuple[Any, ...]) -> TableRow:
        rowid, _, version, column_time, stored, is_too_large = row
        value, raw = _value_of(stored)
        time = milliseconds(value.get("timestamp")) if value else None
        return TableRow(
            schema=self.name,
            generation_id=id_,
            rowid=rowid,
            data_version=rowid if version is None else version,
            timestamp=milliseconds(column_time) if time is None else time,
            value=value,
            raw=raw,
            left_out=("full_generation_data", "response_text") if is_too_large else (),
        )


def _guard(uuid: Any) -> str:
    return digest(text_of(uuid) or "")


def _value_of(stored: Any) -> tuple[JsonObject | None, str | None]:
    """The allow-listed part of a row's value, or the whole as text where it is no JSON object."""
    try:
        value = parse_json(stored, limit=ROW_LIMIT)
    except BadValueError:
        value = None
    if isinstance(value, dict):
        return known_keys(value, _KEYS), None
    return None, str(stored) if isinstance(stored, int | float) else text_of(stored)


V1 = TablesSchema("tables_v1", "aiService.generations", "aiService.prompts")
V2 = TablesSchema("tables_v2", "ai.generations", "ai.prompts")
PLAIN = TablesSchema("tables_plain", "generations", "prompts", unless=(V1.generations, V2.generations))
