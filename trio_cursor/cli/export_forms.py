"""Events as rows: which columns a table has, and how each form is written."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final, Protocol

from trio_cursor.cli.csv_cells import guarded
from trio_cursor.cli.output import printable
from trio_cursor.events import to_json
from trio_cursor.observations import Json
from trio_cursor.records import Event

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


class Form(Protocol):
    """How events are written to a file that is open."""

    def write(self, events: list[Event]) -> None:
        """Add them."""

    def close(self) -> None:
        """Write what belongs at the end; the file itself stays open."""


class JsonLinesForm:
    """The events as the JSON-lines output has them, gap records among them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, events: list[Event]) -> None:
        self._file.write("".join(f"{to_json(event)}\n" for event in events).encode())

    def close(self) -> None:
        """Nothing belongs there."""


class CsvForm:
    """A table with a head, as RFC 4180 has it, in UTF-8; what is not known is empty."""

    def __init__(self, file: BinaryIO, *, is_terminal: bool = False) -> None:
        """`is_terminal`: nothing in it may do anything but show."""
        self._file = file
        self._shown: Callable[[str], str] = _shown if is_terminal else str
        self._write_rows([list(COLUMNS)])

    def write(self, events: list[Event]) -> None:
        self._write_rows([[self._cell(value) for value in row_of(event)] for event in events])

    def close(self) -> None:
        """Nothing belongs there."""

    def _cell(self, value: Any) -> Any:
        return guarded(self._shown(value)) if isinstance(value, str) else value

    def _write_rows(self, rows: list[list[Any]]) -> None:
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        self._file.write(text.getvalue().encode("utf-8", "replace"))


def _shown(text: str) -> str:
    return printable(text, multiline=True)


def row_of(event: Event) -> list[Any]:
    """The values of an event, in the order of `COLUMNS`; what is not known, or of another type, is None."""
    return [column(event) for column in COLUMNS.values()]


def _place(name: str) -> Callable[[Event], str | None]:
    return lambda event: _text(event.metadata.get(name))


def _words(name: str) -> Callable[[Event], str | None]:
    return lambda event: _text(event.payload.get(name))


def _count(name: str) -> Callable[[Event], int | None]:
    return lambda event: _number(event.payload.get(name))


def _json(name: str) -> Callable[[Event], str | None]:
    def column(event: Event) -> str | None:
        value = event.payload.get(name)
        return None if value is None else json.dumps(value, ensure_ascii=False)

    return column


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Json) -> int | None:
    return value if type(value) is int and _SMALLEST <= value <= _LARGEST else None


def _time(event: Event) -> str | None:
    try:
        when = datetime.fromtimestamp(event.timestamp / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


#: The columns of CSV and Parquet; documented in docs/history.md. One that is added comes last.
COLUMNS: Final[dict[str, Callable[[Event], Any]]] = {
    "sequence": lambda event: event.sequence,
    "event_id": lambda event: event.event_id,
    "time": _time,
    "timestamp": lambda event: _number(event.timestamp),
    "timestamp_source": _place("timestamp_source"),
    "session_id": lambda event: event.session_id,
    "workspace_path": _place("workspace_path"),
    "workspace_id": _place("workspace_id"),
    "workspace_hash": _place("workspace_hash"),
    **{name: _words(name) for name in ("generation_id", "conversation_id", "generation_type")},
    **{name: _words(name) for name in ("status", "model", "prompt_text", "response_text")},
    **{name: _count(name) for name in ("prompt_length", "response_length", "duration_ms")},
    "completed_timestamp": _count("completed_timestamp"),
    **{f"{name}_tokens": _count(f"{name}_tokens") for name in ("prompt", "completion", "cached")},
    "tokens_used": _count("tokens_used"),
    "tokens_source": _words("tokens_source"),
    **{name: _count(name) for name in ("lines_added", "lines_removed")},
    **{name: _json(name) for name in ("tool_calls", "truncated", "request_parameters")},
    "schema": _place("schema"),
    "privacy": _place("privacy"),
    "host": _place("host"),
}
#: Of these a column has numbers, of all others texts.
NUMBERS: Final = frozenset(
    (
        *("sequence", "timestamp", "prompt_length", "response_length", "duration_ms"),
        *("completed_timestamp", "prompt_tokens", "completion_tokens", "cached_tokens", "tokens_used"),
        *("lines_added", "lines_removed"),
    )
)
