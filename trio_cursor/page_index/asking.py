"""What the index is asked: lines of the list, counts by quarter of an hour, distributions. Synchronous."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

import attrs
import msgspec

from trio_cursor.observations import JsonObject
from trio_cursor.page_index.file import Edition, UnusableIndexError, edition
from trio_cursor.page_index.times import SLOT_MS
from trio_cursor.page_index.words import Excerpt, Terms, excerpt

#: Upper bounds of the classes of durations, milliseconds; what is longer is one class more.
DURATIONS = (1_000, 5_000, 15_000, 60_000, 300_000)
#: To choose from: nobody looks through more.
_MOST_WORKSPACES = 500

_LINES = (
    "SELECT f.seq, f.timestamp, w.name, m.name, k.name, s.name, f.duration, h.head FROM facts f"
    " JOIN heads h ON h.seq = f.seq JOIN names w ON w.id = f.workspace JOIN names m ON m.id = f.model"
    " JOIN names k ON k.id = f.kind JOIN names s ON s.id = f.status"
)
_DURATION_CLASS = (
    "CASE WHEN f.duration IS NULL THEN -1 "
    + " ".join(f"WHEN f.duration < {bound} THEN {number}" for number, bound in enumerate(DURATIONS))
    + f" ELSE {len(DURATIONS)} END"
)

T = TypeVar("T")


class _Head(msgspec.Struct):
    prompt: str
    answer: str
    prompt_length: int | None
    answer_length: int | None
    tools: int
    tokens: int | None


#: As rows must be; SQLite gives whatever is there.
_Row = tuple[int, int, str, str, str, str, int | None, str]
_Counted = tuple[int, int, int, int, int]
_read_head = msgspec.json.Decoder(_Head).decode


@attrs.frozen
class Selection:
    """Which generations. None lets everything through."""

    words: Terms | None = None
    workspace: str | None = None
    model: str | None = None
    kind: str | None = None
    #: First millisecond, and the one behind the last.
    since_ms: int | None = None
    until_ms: int | None = None


@attrs.frozen
class Line:
    """A generation as the list shows it."""

    sequence: int
    timestamp: int
    workspace: str
    model: str
    kind: str
    status: str
    duration_ms: int | None
    #: Beginnings of the texts, lengths where these are not kept, number of tools, tokens.
    head: JsonObject
    #: Where the words were found, in the question (0) or in the answer (1).
    excerpt: Excerpt | None = None


@attrs.frozen
class Facets:
    """What the selected ones are, each by how many."""

    total: int
    workspaces: dict[str, int]
    models: dict[str, int]
    kinds: dict[str, int]
    statuses: dict[str, int]
    #: By the place in `DURATIONS`, one behind the last for what is longer; -1: not known.
    durations: dict[int, int]
    #: Of those whose count is known.
    tokens: int
    tokens_known: int


class Selected:
    """The selected generations, on a connection of the caller's; words are looked up once."""

    def __init__(self, connection: Any, selection: Selection) -> None:
        self._connection, self._words = connection, selection.words
        where, values = ["1"], []
        if self._words is not None:
            self._look_up(self._words)
            where.append("f.seq IN (SELECT seq FROM temp.hits)")
        for column, name in (
            ("workspace", selection.workspace),
            ("model", selection.model),
            ("kind", selection.kind),
        ):
            if name is not None:
                where.append(f"f.{column} = (SELECT id FROM names WHERE name = ?)")  # noqa: S608 - ours
                values.append(name)
        self._where, self._values = " AND ".join(where), values
        self._window: list[Any] = [selection.since_ms, selection.until_ms]

    def _look_up(self, words: Terms) -> None:
        self._connection.execute("DROP TABLE IF EXISTS temp.hits")
        self._connection.execute("CREATE TEMP TABLE hits (seq INTEGER PRIMARY KEY)")
        where, values = ["1"], []
        if (query := words.query) is not None:
            where, values = ["texts MATCH ?"], [query]
        for sign in words.signs:
            where.append("(instr(prompt, ?) OR instr(answer, ?))")
            values += [sign, sign]
        self._connection.execute(
            f"INSERT INTO temp.hits SELECT rowid FROM texts WHERE {' AND '.join(where)}",  # noqa: S608 - marks
            values,
        )

    def lines(
        self, limit: int, *, before: tuple[int, int] | None = None, after_sequence: int | None = None
    ) -> list[Line]:
        """The newest by time; `before`: behind this time and sequence; `after_sequence`: the last reported
        since, not all of them if there are more.
        """
        where, values = self._in_window()
        if before is not None:
            where, values = f"{where} AND (f.timestamp, f.seq) < (?, ?)", [*values, *before]
        if after_sequence is not None:
            # By sequence from the end: by time it would be through all there ever was.
            where = (
                f"f.seq IN (SELECT f.seq FROM facts f NOT INDEXED WHERE {where} AND f.seq > ?"  # noqa: S608 - ours
                " ORDER BY f.seq DESC LIMIT ?)"
            )
            values = [*values, after_sequence, limit]
        rows = self._connection.execute(
            f"{_LINES} WHERE {where} ORDER BY f.timestamp DESC, f.seq DESC LIMIT ?", [*values, limit]
        )
        found = [_line(row) for row in _sound(rows.fetchall(), list[_Row])]
        return found if self._words is None else self._with_excerpts(found, self._words)

    def facets(self) -> Facets:
        """What all of them are."""
        where, values = self._in_window()
        names = dict(_sound(self._all("SELECT id, name FROM names"), list[tuple[int, str]]))
        # Workspaces alone, of which there may be thousands: an index has them in their order, the rest is
        # sorted. What is not counted by is not carried along.
        places = self._all(f"SELECT f.workspace, count(*) FROM facts f WHERE {where} GROUP BY 1", values)  # noqa: S608 - ours
        rows = self._all(
            f"SELECT f.model, f.kind, f.status, {_DURATION_CLASS}, count(*) FROM facts f"  # noqa: S608 - ours
            f" WHERE {where} GROUP BY 1, 2, 3, 4",
            values,
        )
        sums = self._all(f"SELECT total(f.tokens), count(f.tokens) FROM facts f WHERE {where}", values)  # noqa: S608 - ours
        counters: list[Counter[int]] = [Counter() for _ in range(5)]
        counters[0].update(dict(_sound(places, list[tuple[int, int]])))
        for *keys, count in _sound(rows, list[_Counted]):
            for counter, key in zip(counters[1:], keys, strict=True):
                counter[key] += count
        workspaces, models, kinds, statuses = (
            {_name(names, key): count for key, count in counter.most_common()} for counter in counters[:4]
        )
        [(tokens, known)] = _sound(sums, list[tuple[float, int]])
        return Facets(
            counters[0].total(), workspaces, models, kinds, statuses, dict(counters[4]), int(tokens), known
        )

    def count_ever(self) -> int:
        """How many they were if the window were not."""
        statement = f"SELECT count(*) FROM facts f WHERE {self._where}"  # noqa: S608 - ours
        return int(self._connection.execute(statement, self._values).fetchone()[0])

    def high(self) -> int:
        """Up to which sequence everything new is here."""
        return int(self._connection.execute("SELECT value FROM meta WHERE key = 'high'").fetchone()[0])

    def edition(self) -> Edition:
        """Of which records these are."""
        return edition(self._connection)

    def is_whole_behind(self, sequence: int) -> bool:
        """Whether nothing between a sequence and what is here is still to be filled in, downwards."""
        return not self._connection.execute(
            "SELECT EXISTS (SELECT 1 FROM log.events WHERE seq > ?"
            " AND seq < (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'low'))",
            (sequence,),
        ).fetchone()[0]

    def quarters(self, since_ms: int, until_ms: int) -> dict[int, int]:
        """How many began in each quarter of an hour of another window, by number since the epoch."""
        rows = self._connection.execute(
            f"SELECT f.timestamp / {SLOT_MS}, count(*) FROM facts f"  # noqa: S608 - ours
            f" WHERE {self._where} AND f.timestamp >= ? AND f.timestamp < ? GROUP BY 1",
            [*self._values, since_ms, until_ms],
        )
        return dict(_sound(rows.fetchall(), list[tuple[int, int]]))

    def workspaces(self, limit: int = _MOST_WORKSPACES) -> list[str]:
        """Where something was asked last, by name, whatever is selected."""
        rows = self._all(
            # A look into an index for each name, instead of a walk through all generations.
            "SELECT name FROM (SELECT name, (SELECT max(f.timestamp) FROM facts f"
            " WHERE f.workspace = names.id) AS last FROM names)"
            " WHERE last IS NOT NULL ORDER BY last DESC, name LIMIT ?",
            [limit],
        )
        return sorted(name for (name,) in _sound(rows, list[tuple[str]]))

    def neighbours(self, sequence: int) -> tuple[int | None, int | None]:
        """The sequences of the next older and the next newer one by time; None: there is none."""
        row = self._connection.execute("SELECT timestamp FROM facts WHERE seq = ?", (sequence,)).fetchone()
        if row is None:
            return None, None
        found = []
        for sign, order in (("<", "DESC"), (">", "ASC")):
            near = self._connection.execute(
                f"SELECT f.seq FROM facts f WHERE (f.timestamp, f.seq) {sign} (?, ?) AND {self._where}"  # noqa: S608 - ours
                f" ORDER BY f.timestamp {order}, f.seq {order} LIMIT 1",
                [row[0], sequence, *self._values],
            ).fetchone()
            found.append(near and int(near[0]))
        return found[0], found[1]

    def _all(self, statement: str, values: Sequence[Any] = ()) -> Any:
        return self._connection.execute(statement, values).fetchall()

    def _in_window(self) -> tuple[str, list[Any]]:
        where, values = self._where, [*self._values]
        for sign, bound in zip((">=", "<"), self._window, strict=True):
            if bound is not None:
                where, values = f"{where} AND f.timestamp {sign} ?", [*values, bound]
        return where, values

    def _with_excerpts(self, lines: list[Line], words: Terms) -> list[Line]:
        found = []
        for line in lines:
            texts = self._connection.execute(
                "SELECT prompt, answer FROM texts WHERE rowid = ?", (line.sequence,)
            ).fetchone()
            found.append(attrs.evolve(line, excerpt=excerpt(words, *_sound(texts, tuple[str, str]))))
        return found


def _line(row: _Row) -> Line:
    try:
        return Line(*row[:7], msgspec.structs.asdict(_read_head(row[7])))
    except msgspec.MsgspecError as error:
        raise UnusableIndexError(f"the index has nonsense for #{row[0]}: {error}") from error


def _name(names: dict[int, str], number: int) -> str:
    if number not in names:
        raise UnusableIndexError(f"the index lacks name {number}")
    return names[number]


def _sound(rows: Any, wanted: type[T]) -> T:
    """What SQLite gave, if it is what was put there: a bit that flips on a disk may be anything."""
    try:
        return msgspec.convert(rows, wanted)
    except msgspec.ValidationError as error:
        raise UnusableIndexError(f"the index has nonsense in a row: {error}") from error
