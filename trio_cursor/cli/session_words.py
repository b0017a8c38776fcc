"""Sessions, and what was announced and not found, in words: what `status` and `workspaces` both say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from trio_cursor.cli.output import cut, printable
from trio_cursor.observations import JsonObject
from trio_cursor.records import DISCOVERY

#: Ids are mostly UUIDs; one may be up to 200 characters long.
_ID_CELLS = 48
#: So many are named, of more the first ones.
_MOST_NAMED = 5


def session_names(sessions: Sequence[JsonObject]) -> str:
    """Sessions in a row: ids, and who has told of each unless we have made it up ourselves.

    Raises KeyError if one is none.
    """
    names = [_name(item) for item in sessions[:_MOST_NAMED]]
    if more := len(sessions) - len(names):
        names.append(f"and {more:,} more")
    return ", ".join(names)


def _name(item: JsonObject) -> str:
    source = printable(str(item["source"]))
    notes = [] if source == DISCOVERY else [source]
    if item.get("uncertain"):
        notes.append("uncertain")
    id_ = cut(printable(str(item["id"])), _ID_CELLS)
    return f"{id_} ({', '.join(notes)})" if notes else id_


def reasons(why: Mapping[str, object]) -> Iterator[str]:
    """Why strategies have found nothing: a line for each. None yet: nobody has looked."""
    if not why:
        yield "not looked for yet"
    for strategy, words in why.items():
        yield printable(f"{strategy}: {words}")
