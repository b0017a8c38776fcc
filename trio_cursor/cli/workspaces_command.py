"""`workspaces`: what was found of Cursor, and in words why a workspace has nothing. Looks for itself."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from contextlib import ExitStack, aclosing
from itertools import chain
from pathlib import Path

import attrs
import trio

from trio_cursor import state_dir
from trio_cursor.cli.announced import Heard, Match, Missing, listen_in, sort_out
from trio_cursor.cli.output import Style, clock, indented, plural, printable, say, size, terminal_width
from trio_cursor.cli.session_words import session_names
from trio_cursor.config import Config, load_config
from trio_cursor.cursor.private_copies import place_for_copies
from trio_cursor.doctor.looking import CursorLook, Database, guest_of, list_cursor, read_all
from trio_cursor.errors import StateError
from trio_cursor.observations import JsonObject
from trio_cursor.records import Session, Workspace
from trio_cursor.status import session_object

#: Of what was announced and not found: on a stream that several machines share most is elsewhere.
_MOST_MISSING = 20


@attrs.frozen
class _Found:
    """One workspace as it is now."""

    database: Database
    #: As what it was announced, and who works there.
    mapped: list[Match]
    sessions: list[Session]

    @property
    def workspace(self) -> Workspace:
        return self.database.workspace

    @property
    def entries(self) -> int | None:
        """None: they could not be counted."""
        return self.database.entries if self.database.schemas else None

    @property
    def why(self) -> list[str]:
        """Why there is nothing, or not all."""
        item = self.database
        failure = [getattr(item.failure, "why", "unchanged")] if item.failure else []
        said = [self.workspace.problem, item.left_out, *item.unknown, *item.problems, *item.skipped, *failure]
        words = [word for word in said if word]
        is_empty = item.is_read and not (item.entries or self.workspace.is_global)
        return words or ["nothing was asked in this window yet"] * is_empty

    def to_object(self) -> JsonObject:
        return {
            "id": self.workspace.id,
            "path": self.workspace.path,
            "uri": self.workspace.uri,
            "hash": self.workspace.hash,
            "database": self.workspace.database,
            "schemas": self.database.schemas,
            "journal_mode": self.database.journal_mode,
            "size": self.database.size,
            "entries": self.entries,
            "last_activity": self.database.last_activity,
            "why": "; ".join(self.why) or None,
            "mapped": [match.to_object() for match in self.mapped],
            "sessions": [session_object(session) for session in self.sessions],
        }


def run(arguments: argparse.Namespace) -> int:
    """Print what is known of each workspace."""
    config = load_config(arguments.config, overrides=arguments.overrides)
    directory = Path(config.state.dir)
    heard = listen_in(directory)
    with ExitStack() as stack:
        seen = trio.run(_look, config, heard, _place_for_copies(directory, stack))
    if arguments.json or not sys.stdout.isatty():
        for item in seen.found:
            print(json.dumps(item.to_object()))
        for missing in seen.missing:
            print(json.dumps(missing.to_object()))
    else:
        _show(seen, Style.of(sys.stdout, no_color=arguments.no_color), terminal_width())
    if heard.sessions and not heard.is_service_running:
        say("No service runs: the sessions are those that were open when the last one ended.")
    for note in seen.notes:
        say(printable(note))
    directories = seen.look.directories
    if not any(item.is_there for item in directories):
        say("No Cursor found. Looked for:", *(f"  {printable(item.path)}" for item in directories))
        say("If yours is elsewhere, name its User directory with --cursor-dir.")
    elif seen.look.there and not any(item.workspace.id or item.database.size for item in seen.found):
        here = printable(" or ".join(seen.look.there))
        say(f"No workspace in {here}: is it a Cursor User directory, with workspaceStorage in it?")
    return 0


def _show(seen: _Seen, style: Style, width: int) -> None:
    for item in seen.found:
        print(*_described(item, style, width), sep="\n")
    for missing in seen.missing[:_MOST_MISSING]:
        first, *others = missing.lines(width)
        print(style("yellow", first), *(style("dim", line) for line in others), sep="\n")
    if (more := len(seen.missing) - _MOST_MISSING) > 0:
        print(style("yellow", f"and {more:,} more, announced and not found: --json has them"))


def _place_for_copies(directory: Path, stack: ExitStack) -> str | None:
    """Where databases may be copied to that cannot be read in place; None: nowhere, which is said."""
    try:
        if said := state_dir.prepare(directory):
            say(printable(said))
        return stack.enter_context(place_for_copies(directory))
    except (StateError, OSError) as error:
        # Most can be seen all the same, and whoever looks may be looking for what is wrong.
        say(printable(f"nothing can be copied in order to be read: {error}"))
        return None


@attrs.frozen
class _Seen:
    """What a look has brought."""

    look: CursorLook
    found: list[_Found]
    #: What was announced, and is none of them.
    missing: list[Missing]

    @property
    def notes(self) -> Iterator[str]:
        """What was passed over."""
        for item in self.look.directories:
            if item.trouble:
                yield f"passed over: {item.path}: {item.trouble}"
        for listing in self.look.listings:
            yield from (f"passed over: {note.path}: {note.reason}" for note in listing.notes)


async def _look(config: Config, heard: Heard, private_dir: str | None) -> _Seen:
    look = await list_cursor(config)
    workspaces = [item.workspace for item in look.databases]
    async with aclosing(guest_of(config, look.there, private_dir)) as guest:
        announced = await sort_out(heard, config, look.there, workspaces, guest)
        await read_all(guest, look.databases, math.inf)
    found = [
        _Found(
            item,
            announced.matches.get(item.workspace.database, []),
            announced.sessions.get(item.workspace.database, []),
        )
        for item in look.databases
    ]
    return _Seen(look, found, announced.missing)


def _described(item: _Found, style: Style, width: int) -> list[str]:
    """Some lines for a person; a table would be wider than most terminals."""
    workspace, database = item.workspace, item.database
    facts = [
        "" if item.entries is None else plural(item.entries, "entry", "entries"),
        f"last {clock(database.last_activity)}" if database.last_activity else "",
        ", ".join(database.schemas),
        f"journal {database.journal_mode}" if database.journal_mode else "",
        "" if database.size is None else size(database.size),
    ]
    name = workspace.path or workspace.uri or ("no folder" if workspace.id else "all workspaces together")
    told = list(chain.from_iterable(match.lines(width, workspace.path) for match in item.mapped))
    if item.sessions:
        names = session_names([session_object(session) for session in item.sessions])
        told += indented(f"sessions: {names}", width)
    lines = [
        style("bold", printable(name)),
        "  " + ", ".join(filter(None, facts)),
        *told,
        style("dim", f"  id {printable(workspace.id or 'global')}, hash {workspace.hash or 'none'}"),
        style("dim", f"  {printable(workspace.database)}"),
        *(style("yellow", f"  {printable(why)}") for why in item.why),
    ]
    return [line for line in lines if line.strip()]
