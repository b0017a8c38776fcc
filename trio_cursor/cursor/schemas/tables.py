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

from trio_cursor.cursor.schemas import ROWID, Catalog, FollowUp, Query, Rows, Scan, Step
from trio_cursor.cursor.schemas.values import (
    ID_BYTES,
    ROW_LIMIT,
    BadValueError,
    digest,
    generation_id,
    known_keys,
    milliseconds,
    parse_json,
    text_of,
)
from trio_cursor.observations import JsonObject, Prompt, TableRow
from trio_cursor.records import Page, Position

_COLUMNS = frozenset({"uuid", "data_version", "value", "timestamp"})
_PROMPT_COLUMNS = frozenset({"uuid", "text", "timestamp"})
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
#: Rows of a prompts table without an index that one look passes.
_WALK_ROWS = 2000
#: SQLite's default limit of parameters was 999 for long.
_IDS_AT_ONCE = 200
#: A time in any of its forms is shorter.
_TIME_BYTES = 64
#: Looks at once at a table that the lock budget leaves no time for; then as often as at any other.
_TRIES = 10
_LEAST_ROWID = -(2**63)


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
    #: Looks in a row that read nothing because the lock budget was spent, up to `_TRIES`.
    unanswered: int = 0

    @classmethod
    def from_position(cls, position: Position | None) -> _Seen:
        return cls() if position is None else cls(**json.loads(position))

    def to_position(self) -> Position:
        return json.dumps(attrs.asdict(self), separators=(",", ":"))


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
        return {self.generations: _COLUMNS, self.prompts: _PROMPT_COLUMNS}

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
        tries = min(seen.unanswered + 1, _TRIES)
        problem = f"{self.generations} could not be read within the lock budget"
        return Page(
            (),
            attrs.evolve(seen, unanswered=tries).to_position(),
            more=tries < _TRIES,
            problem=None if tries < _TRIES else problem,
            is_given_up=tries >= _TRIES,
        )

    def _row_at(self, catalog: Catalog, at: int) -> Query:
        id_ = _short("uuid", ID_BYTES, catalog)
        return Query(f'SELECT {id_} FROM "{self.generations}" WHERE {ROWID} = ?', (at,))  # noqa: S608

    def _rows(
        self, catalog: Catalog, after: int | None
    ) -> Generator[Query, Rows, tuple[list[tuple[Any, ...]], bool]]:
        select, select_small = self._selects(catalog)
        answer = yield _upwards(select, after, limit=_PAGE_ROWS)
        rows = answer.rows
        if answer.stopped == "too big":
            # SQLite refused the next row; it is still a generation, of which nothing can be known.
            large = yield _upwards(select_small, rows[-1][0] if rows else after, limit=1)
            rows = [*rows, *large.rows]
        return rows, answer.stopped is not None

    def _selects(self, catalog: Catalog) -> tuple[str, str]:
        """Rows with their values, and without. No column is read that is larger than it can make sense."""
        has = catalog.tables[self.generations].column_names()
        id_ = _short("uuid", ID_BYTES, catalog)
        version = "CASE typeof(data_version) WHEN 'integer' THEN data_version END"
        columns = (
            f"{ROWID}, {id_}, {version if 'data_version' in has else 'NULL'},"
            f" {_short('timestamp', _TIME_BYTES, catalog) if 'timestamp' in has else 'NULL'}"
        )
        value = f"{_short('value', ROW_LIMIT, catalog)}, {_size('value', catalog)} > {ROW_LIMIT}"
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
            if id_ := generation_id(row[1]):
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
        wanted = {id_ for row in found if (id_ := _prompt_id(row))}
        if not wanted or not self._has_prompts(catalog):
            return page
        return FollowUp(partial(self._join, page=page, wanted=tuple(sorted(wanted)), found={}))

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

    def _has_prompts(self, catalog: Catalog) -> bool:
        table = catalog.tables.get(self.prompts)
        return table is not None and table.misfit(frozenset({"uuid"})) is None

    def _join(
        self, catalog: Catalog, *, page: Page, wanted: tuple[str, ...], found: Mapping[str, Prompt]
    ) -> Scan[Step]:
        """Look the prompts up by their ids, for as long as the lock budget lasts."""
        if not self._has_prompts(catalog):  # changed since the rows were read
            return lambda: _joined(page, found)
        rows: list[tuple[Any, ...]] = []
        select, left, is_slow = self._select_prompts(catalog), wanted, False
        while left and not is_slow:
            some = left[:_IDS_AT_ONCE]
            keyed = f"{select.replace('{}', _marks(some))} WHERE uuid IN ({_marks(some)})"
            answer = yield Query(keyed, (*some, *some))
            rows += answer.rows
            if answer.stopped:
                # That the budget did not last for all is one thing; not even for the first, another.
                is_slow = left == wanted and not answer.rows
                break
            left = left[len(some) :]

        def finish() -> Step:
            merged = _merged(found, rows, wanted)
            missing = tuple(id_ for id_ in left if id_ not in merged)
            if not missing:
                return _joined(page, merged)
            if is_slow:
                return FollowUp(partial(self._walk, page=page, wanted=missing, found=merged))
            return FollowUp(partial(self._join, page=page, wanted=missing, found=merged))

        return finish

    def _walk(
        self,
        catalog: Catalog,
        *,
        page: Page,
        wanted: tuple[str, ...],
        found: Mapping[str, Prompt],
        after: int | None = None,
        idle: int = 0,
    ) -> Scan[Step]:
        """Walk through the prompts of a table without an index on the ids, a stretch for each look.

        `idle`: looks in a row that came no further.
        """
        if not self._has_prompts(catalog):
            return lambda: _joined(page, found)
        select = self._select_prompts(catalog).replace("{}", _marks(wanted))
        answer = yield _upwards(select, after, wanted, limit=_WALK_ROWS)
        last = answer.rows[-1][0] if answer.rows else after
        if answer.stopped == "too big":
            past = yield _upwards(f'SELECT {ROWID} FROM "{self.prompts}"', last, limit=1)  # noqa: S608
            last = past.rows[0][0] if past.rows else last
        is_over = answer.stopped is None and len(answer.rows) < _WALK_ROWS
        tries = idle + 1 if last == after else 0

        def finish() -> Step:
            merged = _merged(found, answer.rows, wanted)
            missing = tuple(id_ for id_ in wanted if id_ not in merged)
            if is_over or not missing or tries >= _TRIES:
                return _joined(page, merged)
            return FollowUp(
                partial(self._walk, page=page, wanted=missing, found=merged, after=last, idle=tries)
            )

        return finish

    def _select_prompts(self, catalog: Catalog) -> str:
        """`{}` stands for the marks of the wanted ids: only their texts are read."""
        has = catalog.tables[self.prompts].column_names()
        text = f"{_size('text', catalog)} <= {ROW_LIMIT} THEN text" if "text" in has else "NULL THEN NULL"
        time = _short("timestamp", _TIME_BYTES, catalog) if "timestamp" in has else "NULL"
        size = f"{_size('text', catalog)} > {ROW_LIMIT}" if "text" in has else "0"
        return (
            f"SELECT {ROWID}, {_short('uuid', ID_BYTES, catalog)},"  # noqa: S608 - our own constants
            f' CASE WHEN uuid IN ({{}}) AND {text} END, {time}, {size} FROM "{self.prompts}"'
        )


def _size(column: str, catalog: Catalog) -> str:
    return f"octet_length({column})" if catalog.has_octet_length else f"length({column})"


def _short(column: str, limit: int, catalog: Catalog) -> str:
    return f"CASE WHEN {_size(column, catalog)} <= {limit} THEN {column} END"


def _upwards(select: str, after: int | None, params: tuple[str, ...] = (), *, limit: int) -> Query:
    """Query for the next rows in the order of their rowids; None: from the very first one."""
    beyond = f"{ROWID} >= ?" if after is None else f"{ROWID} > ?"
    start = _LEAST_ROWID if after is None else after
    return Query(f"{select} WHERE {beyond} ORDER BY {ROWID} LIMIT {limit}", (*params, start))


def _marks(ids: tuple[str, ...]) -> str:
    return ",".join("?" * len(ids))


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


def _prompt_id(row: TableRow) -> str | None:
    return generation_id(row.value.get("promptId")) if row.value else None


def _merged(
    found: Mapping[str, Prompt], rows: list[tuple[Any, ...]], wanted: tuple[str, ...]
) -> dict[str, Prompt]:
    """Add the prompts in these rows; of several with one id the first row counts."""
    merged, asked = dict(found), frozenset(wanted)
    for _, uuid, text, time, is_too_large in rows:
        if (id_ := text_of(uuid)) in asked:
            merged.setdefault(id_, Prompt(id_, text_of(text), milliseconds(time), bool(is_too_large)))
    return merged


def _joined(page: Page, prompts: Mapping[str, Prompt]) -> Page:
    return attrs.evolve(
        page,
        observations=tuple(
            attrs.evolve(row, prompt=prompts.get(_prompt_id(row) or ""))
            for row in page.observations
            if isinstance(row, TableRow)
        ),
    )


V1 = TablesSchema("tables_v1", "aiService.generations", "aiService.prompts")
V2 = TablesSchema("tables_v2", "ai.generations", "ai.prompts")
PLAIN = TablesSchema("tables_plain", "generations", "prompts", unless=(V1.generations, V2.generations))
