"""The table of schemas, and the scan of a whole database through all that match."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from trio_cursor.cursor.schemas import Catalog, Scan, Schema, Step, TurnSchema
from trio_cursor.cursor.schemas.composers import ComposersSchema
from trio_cursor.cursor.schemas.conversations import ConversationsSchema
from trio_cursor.cursor.schemas.ring import RingSchema
from trio_cursor.cursor.schemas.tables import PLAIN, V1, V2
from trio_cursor.observations import TurnGone, Wanted
from trio_cursor.records import Page, Position

#: In the order in which a database is read: cheap ones first.
SCHEMAS: tuple[Schema, ...] = (RingSchema(), V1, V2, PLAIN, ComposersSchema(), ConversationsSchema())
#: Those whose turns can be read once more, by name.
_READ_AGAIN = {schema.name: schema for schema in SCHEMAS if isinstance(schema, TurnSchema)}

_NO_TABLE = "no table that could hold generations; tables found: "
#: What is said of a database without any table: there is nothing in it yet.
NO_TABLES = f"{_NO_TABLE}none"


def readable_columns() -> dict[str, frozenset[str]]:
    """Every table, with its columns, that any schema may read."""
    merged: dict[str, frozenset[str]] = {}
    for schema in SCHEMAS:
        for table, columns in schema.readable.items():
            merged[table] = merged.get(table, frozenset()) | columns
    return merged


@attrs.frozen
class Reading:
    """What all matching schemas found in one look."""

    #: By schema name.
    steps: dict[str, Step]
    #: What looked like a generations store but is none that we know, in words that name what was found.
    unknown: tuple[str, ...]


def scan_database(
    catalog: Catalog,
    positions: Mapping[str, Position],
    *,
    rescan: bool,
    verify: bool,
    since_ms: int | None,
) -> Scan[Reading]:
    """Scan with every schema that matches, in one transaction; arguments as `Schema.scan` takes them."""
    finish: dict[str, Callable[[], Step]] = {}
    unknown: list[str] = []
    for schema in SCHEMAS:
        match = schema.matches(catalog)
        if isinstance(match, str):
            unknown.append(match)
        elif match:
            position = positions.get(schema.name)
            finish[schema.name] = yield from schema.scan(
                catalog, position, rescan=rescan, verify=verify, since_ms=since_ms
            )
    if not finish and not unknown:
        unknown.append(f"{_NO_TABLE}{', '.join(catalog.names)}" if catalog.names else NO_TABLES)
    return lambda: Reading({name: make() for name, make in finish.items()}, tuple(unknown))


def reread_database(catalog: Catalog, wanted: tuple[Wanted, ...]) -> Scan[Step]:
    """Look again at single turns, as `TurnSchema.reread` does; those of other schemas are left unanswered."""
    # One schema at a time; hardly ever has a database turns of both.
    name = wanted[0].schema if wanted else ""
    same = tuple(one for one in wanted if one.schema == name)
    if (schema := _READ_AGAIN.get(name)) is None:
        return lambda: Page(tuple(TurnGone(one.id) for one in same), "")
    return (yield from schema.reread(catalog, same))
