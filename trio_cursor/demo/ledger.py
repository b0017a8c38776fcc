"""What the fake Cursor has surely written: one file beside the tree, against which everything is counted.

For each generation there is a line `intent` before its commit and a line `commit` after it. A writer killed
in between leaves an intent alone: `uncertain`, until the next run has looked into the database. Turns of
conversations have lines of their own: `turn_intent` when one begins and again when it settles, `turn_commit`
after the commit that settled it.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

import attrs

from trio_cursor.demo.turns import Turn, with_rings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

LEDGER_NAME: Final = "ledger.jsonl"

INTENT: Final = "intent"
COMMIT: Final = "commit"
ROLLED_BACK: Final = "rolled_back"
INCIDENT: Final = "incident"
TURN_INTENT: Final = "turn_intent"
TURN_COMMIT: Final = "turn_commit"
TURN_ROLLED_BACK: Final = "turn_rolled_back"


@attrs.frozen(kw_only=True)
class Entry:
    """One generation in one database: what an honest reader can know of it, field by field."""

    generation_id: str
    #: The database, relative to the demo's directory, with slashes.
    database: str
    #: Directory name in `workspaceStorage`; None for the global database.
    workspace_id: str | None = None
    #: Folder path, path of the `.code-workspace`, or URI of a remote folder; None for a window without one.
    workspace: str | None = None
    #: `delete` or `wal`.
    journal: str
    #: `ring`, `tables_v1`, `tables_v2` or `tables_plain`.
    schema: str
    unix_ms: int
    type: str | None = None
    #: `textDescription` as it stands in the ring (a lone surrogate included); None in tables.
    text: str | None = None
    #: What is known only of rows of tables.
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tokens_used: int | None = None
    response_text: str | None = None
    prompt_text: str | None = None
    prompt_id: str | None = None
    data_version: int | None = None
    #: When the commit had returned, in milliseconds since the epoch; None while uncertain.
    committed_ms: int | None = None
    #: How long that commit took: what a reader costs Cursor. None if only found later in the database.
    commit_took_ms: float | None = None


@attrs.frozen
class Incident:
    """Something that a well-behaved guest never causes.

    `open_busy` (opening waits 2 s), `restored` (the database was deleted and its backup put in place),
    `flush_failed` (a commit ran into the timeout), `rebuilt` (deleted and written anew after that, at close),
    `wal_left` (the last checkpoint at close did not happen, so the backup is stale).
    """

    what: str
    database: str
    at_ms: int
    detail: str


@attrs.frozen
class Ledger:
    """A ledger as read; an id that stands in several databases has an entry for each."""

    #: What surely stands or stood in a database, in the order of the commits.
    entries: tuple[Entry, ...]
    #: The same by id.
    committed: Mapping[str, tuple[Entry, ...]]
    #: Of which only an intent is known: written or not, until the next run has looked.
    unresolved: tuple[Entry, ...]
    #: The same by id, without those that are surely in another database.
    uncertain: Mapping[str, tuple[Entry, ...]]
    incidents: tuple[Incident, ...]
    #: Lines that a kill cut in two.
    torn: int
    #: Turns of conversations that surely stand, settled, in the global database (or did), by id.
    turns: Mapping[str, Turn] = attrs.field(factory=dict)
    #: In flight, or were when they were last heard of, with what was known when they began.
    open_turns: Mapping[str, Turn] = attrs.field(factory=dict)


def read_ledger(path: Path) -> Ledger:
    """Read a ledger, also one that is being written; a missing file is an empty one."""
    intents: dict[tuple[str, str], Entry] = {}
    entries: list[Entry] = []
    incidents: list[Incident] = []
    turns: list[Turn] = []
    turn_intents: dict[str, Turn] = {}
    torn = 0
    content = path.read_bytes() if path.exists() else b""
    for line in content.splitlines():
        try:
            fields = json.loads(line)
        except ValueError:
            torn += 1
            continue
        kind = fields.pop("line")
        if kind == INCIDENT:
            incidents.append(Incident(**fields))
        elif kind == INTENT:
            entry = Entry(**fields)
            intents[entry.generation_id, entry.database] = entry
        elif kind == TURN_INTENT:
            turn = Turn(**fields)
            turn_intents[turn.generation_id] = turn
        elif kind in (TURN_COMMIT, TURN_ROLLED_BACK):
            turn_intent = turn_intents.pop(fields["generation_id"], None)
            if kind == TURN_COMMIT and turn_intent is not None:
                turns.append(attrs.evolve(turn_intent, **fields))
        else:
            intent = intents.pop((fields["generation_id"], fields["database"]), None)
            if kind == COMMIT and intent is not None:
                entries.append(attrs.evolve(intent, **fields))
    committed = _by_id(entries)
    unresolved = tuple(intents.values())
    uncertain = _by_id(entry for entry in unresolved if entry.generation_id not in committed)
    return Ledger(
        tuple(entries),
        committed,
        unresolved,
        uncertain,
        tuple(incidents),
        torn,
        with_rings(turns, committed),
        with_rings(turn_intents.values(), committed),
    )


def _by_id(entries: Iterable[Entry]) -> dict[str, tuple[Entry, ...]]:
    found: dict[str, tuple[Entry, ...]] = {}
    for entry in entries:
        found[entry.generation_id] = (*found.get(entry.generation_id, ()), entry)
    return found


class LedgerWriter:
    """Appends whole lines. Not safe for two writers; the marker's lock sees to that."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        if self._file.tell():
            # The line that a killed writer left behind may have no end: ours must not grow on it.
            with path.open("rb") as written:
                written.seek(-1, 2)
                if written.read() != b"\n":
                    self._file.write(b"\n")

    def close(self) -> None:
        self._file.close()

    def intend(self, entries: Iterable[Entry]) -> None:
        self._append([{"line": INTENT} | _known(entry) for entry in entries])

    def commit(self, entries: Iterable[Entry], took_ms: float | None = None) -> None:
        done = {"committed_ms": time.time_ns() // 1_000_000, "commit_took_ms": took_ms}
        self._append([_reference(COMMIT, entry) | done for entry in entries])

    def rolled_back(self, entries: Iterable[Entry]) -> None:
        """These were never committed: the database has been looked at."""
        self._append([_reference(ROLLED_BACK, entry) for entry in entries])

    def intend_turns(self, turns: Iterable[Turn]) -> None:
        """Write down what the next commit makes of these turns, in place of what was said before."""
        self._append([{"line": TURN_INTENT} | _known(turn) for turn in turns])

    def commit_turns(self, turns: Iterable[Turn], took_ms: float | None = None) -> None:
        done = {"committed_ms": time.time_ns() // 1_000_000, "commit_took_ms": took_ms}
        self._append([{"line": TURN_COMMIT, "generation_id": turn.generation_id} | done for turn in turns])

    def rolled_back_turn(self, turn: Turn) -> None:
        """Nothing of this one was ever committed: the database has been looked at."""
        self._append([{"line": TURN_ROLLED_BACK, "generation_id": turn.generation_id}])

    def incident(self, what: str, database: str, detail: str) -> None:
        now = time.time_ns() // 1_000_000
        self._append([{"line": INCIDENT, "what": what, "database": database, "at_ms": now, "detail": detail}])

    def _append(self, lines: list[dict[str, Any]]) -> None:
        if not lines:
            return
        # ASCII only: half a line is then at least whole characters, and lone surrogates stay what they are.
        self._file.write(("\n".join(json.dumps(line) for line in lines) + "\n").encode("ascii"))
        self._file.flush()


def _known(record: Entry | Turn) -> dict[str, Any]:
    return attrs.asdict(record, filter=lambda _field, value: value is not None)


def _reference(kind: str, entry: Entry) -> dict[str, Any]:
    return {"line": kind, "generation_id": entry.generation_id, "database": entry.database}
