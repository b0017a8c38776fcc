"""`export`: a window of the log as a file, or to standard output."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from trio_cursor.cli.export_forms import CsvForm, Form, JsonLinesForm
from trio_cursor.cli.figures_access import say_nothing_there, window_of
from trio_cursor.cli.log_access import PassedOver, readable, refuse_unknown
from trio_cursor.cli.out_file import OutFile
from trio_cursor.cli.output import plural, printable, say
from trio_cursor.cli.progress import counting
from trio_cursor.config import Config, load_config
from trio_cursor.discretion import veil_of
from trio_cursor.errors import TrioCursorError
from trio_cursor.eventlog import (
    Filter,
    count_events,
    cursor_names,
    last_sequence,
    open_for_reading,
    read_events,
)
from trio_cursor.events import EVENT_TYPE
from trio_cursor.records import Event

_USAGE = 2
_BATCH_EVENTS = 2000
_BATCH_BYTES = 16_000_000
_FORMS = ("jsonl", "csv", "parquet")
_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".parquet": "parquet"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where to; the window is the main parser's."""
    parser.add_argument("--out", metavar="FILE|-", default="-", help="into a file that is made whole or not"
        " at all, or - for standard output (default)")  # fmt: skip
    parser.add_argument("--format", metavar="FORM", choices=_FORMS,
        help="jsonl, csv or parquet (default: by the end of the file's name, else jsonl)")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Write what is asked for, and say how much that was."""
    form = arguments.format or _SUFFIXES.get(Path(arguments.out).suffix.lower(), "jsonl")
    if arguments.out == "-" and form == "parquet" and sys.stdout.isatty():
        say("trio_cursor: Parquet is nothing to read on a terminal; name a file with --out")
        return _USAGE
    config = load_config(arguments.config, overrides=arguments.overrides)
    directory = Path(config.state.dir)
    wanted = window_of(arguments, None if form == "jsonl" else EVENT_TYPE)
    written = 0
    connection = open_for_reading(directory)
    if connection is not None:
        with closing(connection), readable(directory):
            if arguments.out != "-":
                _refuse_what_is_live(Path(arguments.out), connection, config)
            veil = veil_of(connection, config.privacy.mode)
            batches = _known(_batches(connection, wanted, arguments), connection, directory, wanted)
            written = _write(arguments.out, form, ([veil(event) for event in some] for some in batches))
    if not written:
        say_nothing_there(directory, wanted, has_log=connection is not None)
    if arguments.out != "-" and connection is not None and not arguments.quiet:
        say(f"{plural(written, 'record')} written to {printable(arguments.out)}")
    if arguments.json and arguments.out != "-":
        print(json.dumps({"written": written}))
    return 0


def _write(path: str, form: str, batches: Iterator[list[Event]]) -> int:
    """Returns how many. Of nothing a file is one without rows: not what another day has left there."""
    make = _maker(form, is_terminal=path == "-" and sys.stdout.isatty())
    written = 0
    with ExitStack() as stack:
        out: OutFile | None = None
        writer: Form | None = None
        if path != "-":
            # Before the first event is read: whoever cannot write must not read for an hour.
            out = stack.enter_context(OutFile(Path(path)))
            writer = make(out.file)
        for events in batches:
            if writer is None:
                sys.stdout.flush()
                writer = make(sys.stdout.buffer)
            writer.write(events)
            written += len(events)
        if writer is not None:
            writer.close()
            if out is not None:
                out.keep()
    return written


def _known(
    batches: Iterator[list[Event]], connection: Any, directory: Path, wanted: Filter
) -> Iterator[list[Event]]:
    """Raises `TrioCursorError`, before any file is replaced, if nobody knows what is wanted."""
    is_empty = True
    for events in batches:
        is_empty = False
        yield events
    if is_empty:
        refuse_unknown(connection, directory, wanted)


def _maker(form: str, *, is_terminal: bool) -> Callable[[BinaryIO], Form]:
    if form == "csv":
        return lambda file: CsvForm(file, is_terminal=is_terminal)
    if form == "parquet":
        # Half a second, and not in every installation.
        made: Callable[[BinaryIO], Form] = import_module("trio_cursor.cli.export_parquet").ParquetForm
        return made
    return JsonLinesForm


def _batches(connection: Any, wanted: Filter, arguments: argparse.Namespace) -> Iterator[list[Event]]:
    """By sequence, some at a time, up to where the log ended when it began, with a bar."""
    newest, total = last_sequence(connection), count_events(connection, wanted)
    is_wanted = sys.stderr.isatty() and not arguments.quiet
    unreadable, after = PassedOver(), 0
    with counting("exporting", total, is_wanted=is_wanted, no_color=arguments.no_color) as advance:
        while after < newest:
            found = read_events(
                connection,
                wanted,
                after=after,
                limit=_BATCH_EVENTS,
                max_bytes=_BATCH_BYTES,
                unreadable=unreadable,
            )
            events = [event for event in found if event.sequence <= newest]
            if not events:
                return
            yield events
            advance(len(events))
            after = events[-1].sequence


def _refuse_what_is_live(path: Path, connection: Any, config: Config) -> None:
    """Not over the file to which the service itself appends: it would take what it finds for delivered."""
    kind = "json_lines:"
    names = [name.removeprefix(kind) for name in cursor_names(connection) if name.startswith(kind)]
    if config.outputs.json_lines.path:
        names.append(config.outputs.json_lines.path)
    if any(os.path.realpath(path) == os.path.realpath(name) for name in names):
        raise TrioCursorError(f"could not write: the service itself writes {path}; name another file")
