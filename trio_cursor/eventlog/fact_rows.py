"""What is counted of the generations in the log: a few fields of each, without its texts. Synchronous."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import attrs

from trio_cursor.eventlog.conditions import where
from trio_cursor.eventlog.reading import Filter
from trio_cursor.events import EVENT_TYPE, from_json
from trio_cursor.figures import Fact, fact_of
from trio_cursor.figures.facts import PLACES, fact_from
from trio_cursor.records import Event

#: Of more different names than that, whatever is called so is veiled again.
_NAMES_MOST = 1000
_NOT_READ = (ValueError, KeyError, TypeError, RecursionError)
#: As bytes: of a text that is not UTF-8 SQLite's error would look like one of the whole log.
_SELECT = "SELECT seq, timestamp, session_id, CAST(body AS BLOB) FROM events"


def count_events(connection: Any, wanted: Filter) -> int:
    """How many there are, without reading any."""
    condition, values = where(wanted)
    row = connection.execute(f"SELECT count(*) FROM events WHERE {condition}", values).fetchone()  # noqa: S608 - constants
    return int(row[0])


def read_facts(
    connection: Any,
    wanted: Filter,
    *,
    unreadable: Callable[[int], None],
    veil: Callable[[Event], Event] | None = None,
) -> Iterator[Fact]:
    """What is counted of each event that is wanted, in no order, one by one: in memory is one at a time.

    100,000 take less than a second. Inside a service that is too long for the connection that everybody reads
    by: open one by `open_for_reading`, in a thread.

    Args:
        connection: The log, open for reading; until the end of the iteration it is one moment of it.
        wanted: Which ones. Gap records have nothing to count.
        unreadable: Told the sequence of each row that is no event, which is passed over.
        veil: What becomes of an event before anything is counted (`EventLog.outgoing`); called with events
            without texts, and once for many that are called the same: it changes names alone.

    """
    # It takes a while to import, and whoever only follows the log has no use for it.
    from trio_cursor.eventlog.fact_bodies import as_dict, parts_of  # noqa: PLC0415 - as said

    count = fact_of if veil is None else _Veiled(veil).fact_of
    condition, values = where(attrs.evolve(wanted, event_type=EVENT_TYPE))
    with closing(connection.execute(f"{_SELECT} WHERE {condition}", values)) as rows:
        for sequence, timestamp, session_id, body in rows:
            parts = parts_of(body)
            if parts is not None and veil is None:
                yield fact_from(sequence, timestamp, session_id, as_dict(parts[0]), as_dict(parts[1]))
                continue
            try:
                if parts is None:  # perhaps only by somebody who is that strict
                    event = from_json(body, sequence)
                else:
                    event = Event(sequence, "", timestamp, session_id, as_dict(parts[0]), as_dict(parts[1]))
            except _NOT_READ:
                unreadable(sequence)
                continue
            yield count(event)


class _Veiled:
    """Facts under a veil, which takes ten times as long as all the rest: so each name is veiled once."""

    def __init__(self, veil: Callable[[Event], Event]) -> None:
        self._veil = veil
        self._known: dict[tuple[str | None, ...], Fact] = {}

    def fact_of(self, event: Event) -> Fact:
        """What is counted of an event, with names as they are under the veil."""
        names = (
            *(event.metadata.get(name) for name in ("privacy", *PLACES)),
            *(event.payload.get(name) for name in ("model", "generation_type", "status")),
        )
        if not all(name is None or isinstance(name, str) for name in names):
            return fact_of(self._veil(event))
        known = self._known.get(names)
        if known is None:
            if len(self._known) >= _NAMES_MOST:
                self._known.clear()
            known = self._known[names] = fact_of(self._veil(event))
        return fact_of(event)._replace(
            workspace=known.workspace, model=known.model, type=known.type, status=known.status
        )
