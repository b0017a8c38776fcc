"""`show ID`: one generation in full."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from trio_cursor.cli.event_words import (
    beginning,
    count,
    cut_texts,
    event_json,
    event_line,
    place_name,
    sections,
    status_style,
)
from trio_cursor.cli.log_access import PassedOver, readable
from trio_cursor.cli.output import Style, cut, moment, printable, say, span, terminal_width, wrapped
from trio_cursor.config import load_config
from trio_cursor.eventlog import find_event, open_for_reading
from trio_cursor.events import GAP_TYPE
from trio_cursor.observations import Json, JsonObject
from trio_cursor.records import Event

_FAILED = 1
#: As the event log has it.
_LEAST_BEGINNING = 6
_NOT_GIVEN = "not given"
_NAME_WIDTH = 14
#: On a terminal too narrow for anything.
_LEAST_WIDTH = 10
#: An id has 200 characters at most; what is asked for may be anything.
_SHOWN_ID = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own arguments; the common ones are the main parser's."""
    parser.add_argument(
        "id", metavar="ID", help="generation id or six characters of its beginning, event id, or '#sequence'"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print it; 1 if there is none, or more than one."""
    directory = Path(load_config(arguments.config, overrides=arguments.overrides).state.dir)
    connection = open_for_reading(directory)
    found = []
    if connection is not None:
        with closing(connection), readable(directory):
            found = _found(connection, arguments.id)
    as_json = arguments.json or not sys.stdout.isatty()
    match found:
        case [event]:
            style = Style.of(sys.stdout, no_color=arguments.no_color)
            print(event_json(event) if as_json else event_in_words(event, style, terminal_width()))
            return 0
        case []:
            hint = _hint(arguments.id) if connection else "there is no event log yet: `run` makes one"
            say(f"nothing is called {_quoted(arguments.id)} in {printable(str(directory))}; {hint}")
        case _:
            _tell_candidates(arguments.id, found)
    return _FAILED


def _found(connection: Any, text: str) -> list[Event]:
    return find_event(connection, text.strip(), PassedOver())


def _hint(text: str) -> str:
    if not text.startswith("#") and len(text) < _LEAST_BEGINNING:
        return f"the beginning of an id takes at least {_LEAST_BEGINNING} characters"
    return "the beginning of an id must be that of one alone; `events --json` tells ids and sequences"


def _tell_candidates(text: str, found: list[Event]) -> None:
    say(f"{_quoted(text)} may mean each of these; name one by its #sequence:")
    style = Style.of(sys.stderr, no_color=True)
    for event in found:
        number = f"#{event.sequence}"
        id_ = printable(event.generation_id)
        line = event_line(event, style, max(terminal_width() - len(number) - len(id_) - 6, _LEAST_WIDTH))
        say(f"  {number}  {id_}  {line}")


def _quoted(text: str) -> str:
    return f"'{cut(printable(text[: 2 * _SHOWN_ID]), _SHOWN_ID)}'"


def event_in_words(event: Event, style: Style, width: int) -> str:
    """All of it for a person, except the source values; nothing in it can move a cursor."""
    is_gap = event.event_type == GAP_TYPE
    kind = "gap" if is_gap else beginning(event.payload.get("generation_type")) or "generation"
    title = cut(f"{kind} in {place_name(event.metadata)}, {moment(event.timestamp)}", width)
    lines = [style("bold", title)]
    for name, value, colour in _gap_fields(event) if is_gap else _fields(event):
        # A value that is not there is no news.
        shade = colour or ("dim" if value == _NOT_GIVEN else "")
        first, *others = wrapped(value, max(width - _NAME_WIDTH - 2, _LEAST_WIDTH))
        for text, head in [(first, name), *((other, "") for other in others)]:
            value_shown = style(shade, text) if shade else text
            lines.append(style("dim", f"  {head:{_NAME_WIDTH}}") + value_shown)
    for title, texts in sections(event.payload):
        lines += ["", style("bold", title), *texts]
    return "\n".join(lines)


def _fields(event: Event) -> list[tuple[str, str, str]]:
    """Names, values, and colours where a value has one."""
    payload, metadata = event.payload, event.metadata
    model, status = payload.get("model"), payload.get("status")
    duration, finished = count(payload.get("duration_ms")), count(payload.get("completed_timestamp"))
    lines = [count(payload.get(name)) for name in ("lines_added", "lines_removed")]
    return [
        ("id", _text(payload.get("generation_id")), ""),
        ("status", _text(status), status_style(status)),
        ("model", _NOT_GIVEN if model == "unknown" else _text(model), ""),
        ("type", _text(payload.get("generation_type")), ""),
        ("time", _time(event), ""),
        *([("finished", moment(finished), "")] if finished is not None else []),
        ("duration", _NOT_GIVEN if duration is None else span(duration), ""),
        ("tokens", _tokens(payload), ""),
        *([("lines", f"+{lines[0] or 0} -{lines[1] or 0}", "")] if any(lines) else []),
        *_place(metadata),
        ("conversation", _text(payload.get("conversation_id")), ""),
        *_record(event),
        *([("cut", ", ".join(cut_texts(payload)), "yellow")] if cut_texts(payload) else []),
    ]


def _gap_fields(event: Event) -> list[tuple[str, str, str]]:
    payload = event.payload
    after, before = (count(payload.get(f"{name}_timestamp")) for name in ("after", "before"))
    return [
        ("missed", _text(payload.get("detail")), ""),
        ("after", _NOT_GIVEN if after is None else moment(after), ""),
        ("before", _NOT_GIVEN if before is None else moment(before), ""),
        *_place(event.metadata),
        *_record(event),
    ]


def _place(metadata: JsonObject) -> list[tuple[str, str, str]]:
    uri = metadata.get("workspace_uri")
    return [
        ("workspace", _text(metadata.get("workspace_path") or metadata.get("workspace_id") or "global"), ""),
        *([("", _text(uri), "")] if uri else []),
        ("hash", _text(metadata.get("workspace_hash")), ""),
    ]


def _record(event: Event) -> list[tuple[str, str, str]]:
    """How it came here, and where it stands."""
    captured = count(event.metadata.get("captured_at"))
    return [
        ("session", _text(event.session_id), ""),
        ("schema", _text(event.metadata.get("schema")), ""),
        *([("privacy", _text(privacy), "")] if (privacy := event.metadata.get("privacy")) else []),
        ("captured at", _NOT_GIVEN if captured is None else moment(captured), ""),
        ("event id", _text(event.event_id), ""),
        ("sequence", f"#{event.sequence}", ""),
    ]


def _time(event: Event) -> str:
    source = event.metadata.get("timestamp_source")
    words = "when it was captured" if source == "capture" else f"from {_text(source)}"
    return moment(event.timestamp) + (f" ({words})" if source else "")


def _tokens(payload: JsonObject) -> str:
    used, source = count(payload.get("tokens_used")), payload.get("tokens_source")
    parts = [
        f"{number:,} {name}"
        for name in ("prompt", "completion", "cached")
        if (number := count(payload.get(f"{name}_tokens"))) is not None
    ]
    if used is None and not parts:
        return _NOT_GIVEN
    total = _NOT_GIVEN if used is None else f"{used:,}"
    origin = [f"from {_text(source)}"] if source else []
    return total + (f" ({', '.join([*parts, *origin])})" if parts or origin else "")


def _text(value: Json) -> str:
    return printable(value) if isinstance(value, str) and value else _NOT_GIVEN
