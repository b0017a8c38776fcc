"""`workspaces`: what was found of Cursor, and in words why a workspace has nothing. Looks for itself."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

import attrs
import trio

from trio_cursor import state_dir
from trio_cursor.asked import find_dirs, is_rolled_out
from trio_cursor.cli.announced import Heard, Match, Missing, listen_in, sort_out
from trio_cursor.cli.output import Style, clock, indented, plural, printable, say, size, terminal_width
from trio_cursor.cli.session_words import session_names
from trio_cursor.config import Config, load_config
from trio_cursor.cursor.guest import PRIVATE_CAP_BYTES, Guest, Page
from trio_cursor.cursor.listing import Lister, list_workspaces
from trio_cursor.cursor.private_copies import place_for_copies
from trio_cursor.cursor.schemas import FollowUp
from trio_cursor.cursor.schemas.known import readable_columns, scan_database
from trio_cursor.cursor.selection import hides_its_folder, included
from trio_cursor.errors import StateError
from trio_cursor.observations import JsonObject, RingEntry, TableRow
from trio_cursor.records import Session, Workspace
from trio_cursor.status import session_object

_T = TypeVar("_T")

#: To list a directory takes milliseconds; one that takes this long is on a mount that is dead.
_LIST_SECONDS = 5.0
#: Of what was announced and not found: on a stream that several machines share most is elsewhere.
_MOST_MISSING = 20


@attrs.define
class _Found:
    """One workspace as it is now."""

    workspace: Workspace
    schemas: list[str] = attrs.field(factory=list)
    journal_mode: str | None = None
    size: int | None = None
    entries: int | None = None
    last_activity: int | None = None
    #: Why there is nothing, or not all.
    why: list[str] = attrs.field(factory=list)
    #: As what it was announced, and who works there.
    mapped: list[Match] = attrs.field(factory=list)
    sessions: list[Session] = attrs.field(factory=list)

    def to_object(self) -> JsonObject:
        return {
            "id": self.workspace.id,
            "path": self.workspace.path,
            "uri": self.workspace.uri,
            "hash": self.workspace.hash,
            "database": self.workspace.database,
            "schemas": self.schemas,
            "journal_mode": self.journal_mode,
            "size": self.size,
            "entries": self.entries,
            "last_activity": self.last_activity,
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
    if not seen.there:
        say("No Cursor found. Looked for:", *(f"  {printable(path)}" for path in seen.dirs))
        say("If yours is elsewhere, name its User directory with --cursor-dir.")
    elif not any(item.workspace.id or item.size for item in seen.found):
        here = printable(" or ".join(seen.there))
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

    #: Where was looked, and what of it is there.
    dirs: tuple[str, ...]
    there: tuple[str, ...]
    found: list[_Found]
    #: What was announced, and is none of them.
    missing: list[Missing]
    #: What was passed over.
    notes: list[str]


async def _look(config: Config, heard: Heard, private_dir: str | None) -> _Seen:
    dirs = await find_dirs(config)
    is_there: dict[str, bool | None] = {}

    async def ask(path: str) -> None:
        is_there[path] = await _in_time(partial(_is_there, path))

    async with trio.open_nursery() as nursery:
        for path in dirs:
            nursery.start_soon(ask, path)
    # That one of the usual places does not exist is usual.
    there = tuple(path for path in dirs if is_there[path])
    listings = await _in_time(Lister(there).list)
    silent = [path for path in dirs if is_there[path] is None or (listings is None and is_there[path])]
    notes = [f"passed over: {path}: it does not answer" for path in silent]
    notes += [f"passed over: {note.path}: {note.reason}" for item in listings or () for note in item.notes]
    found = [_Found(workspace) for listing in listings or () for workspace in listing.workspaces]
    guest = _guest(config, there, private_dir)
    announced = await sort_out(heard, config, there, [item.workspace for item in found], guest)
    for item in found:
        item.mapped = announced.matches.get(item.workspace.database, [])
        item.sessions = announced.sessions.get(item.workspace.database, [])
    await _examine_all(config, guest, found)
    await guest.aclose()
    return _Seen(dirs, there, found, announced.missing, notes)


def _is_there(path: str) -> bool:
    """Whether there is such a directory. Looks at all that a listing looks at: what hangs, hangs here."""
    list_workspaces(path)
    return os.path.isdir(path)  # noqa: PTH112 - text, as it is shown


async def _in_time(look: Callable[[], _T]) -> _T | None:
    """Look in a thread, which is left alone if it does not end; then there is no answer."""
    with trio.move_on_after(_LIST_SECONDS):
        return await trio.to_thread.run_sync(look, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1))
    return None


def _guest(config: Config, dirs: tuple[str, ...], private_dir: str | None) -> Guest:
    monitor = config.cursor_database_monitor
    return Guest(
        roots=dirs,
        tables=readable_columns(),
        deadline_seconds=monitor.query_timeout_seconds,
        max_concurrent=monitor.max_concurrent_workspaces,
        private_dir=private_dir or "",
        private_cap_bytes=PRIVATE_CAP_BYTES if private_dir else 0,
    )


async def _examine_all(config: Config, guest: Guest, found: list[_Found]) -> None:
    async with trio.open_nursery() as nursery:
        for item in found:
            if config.cursor.exclude and hides_its_folder(item.workspace):
                item.why += [
                    item.workspace.problem or "",
                    "left out: its folder is not known, and exclude is set",
                ]
            elif not included(item.workspace, config.cursor.include, config.cursor.exclude):
                item.why.append("left out by include or exclude")
            elif not is_rolled_out(item.workspace, config.cursor_database_monitor.rollout_percent):
                item.why.append("left out by rollout_percent")
            else:
                nursery.start_soon(_examine, guest, item)


async def _examine(guest: Guest, item: _Found) -> None:
    if item.workspace.problem:
        item.why.append(item.workspace.problem)
    # Conversations are not counted, which would be to read gigabytes: of no window next to none is read.
    now_ms = int(time.time() * 1000)
    scan = partial(scan_database, positions={}, rescan=False, verify=False, since_ms=now_ms)
    outcome = await guest.read(item.workspace.database, scan)
    if not isinstance(outcome, Page):
        item.why.append(getattr(outcome, "why", "unchanged"))
        return
    item.journal_mode = outcome.journal_mode
    database = outcome.signature.database
    item.size = database.size if database else None
    item.why += outcome.result.unknown
    for name, first in outcome.result.steps.items():
        step = first
        while isinstance(step, FollowUp):
            further = await guest.read(item.workspace.database, step.make)
            if not isinstance(further, Page):
                item.why.append(getattr(further, "why", "unchanged"))
                return
            step = further.result
        item.schemas.append(name)
        if step.problem:
            item.why.append(step.problem)
        item.why += [f"{count} times: {reason}" for reason, count in step.skipped.items()]
        asked = [found for found in step.observations if isinstance(found, RingEntry | TableRow)]
        number = len(asked) if step.entries is None else step.entries
        item.entries = (item.entries or 0) + number
        if step.more and asked:
            item.why.append(f"{name}: more than {number} rows; only the first were counted here")
        times = [found.timestamp for found in asked if found.timestamp]
        item.last_activity = max([*times, item.last_activity or 0]) or None
    if not (item.entries or item.why or item.workspace.is_global):
        item.why.append("nothing was asked in this window yet")


def _described(item: _Found, style: Style, width: int) -> list[str]:
    """Some lines for a person; a table would be wider than most terminals."""
    workspace = item.workspace
    facts = [
        "" if item.entries is None else plural(item.entries, "entry", "entries"),
        f"last {clock(item.last_activity)}" if item.last_activity else "",
        ", ".join(item.schemas),
        f"journal {item.journal_mode}" if item.journal_mode else "",
        "" if item.size is None else size(item.size),
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
