"""`workspaces`: what was found of Cursor, and in words why a workspace has nothing. Looks for itself."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

import attrs
import trio

from trio_cursor.cli.output import Style, clock, plural, printable, say, size
from trio_cursor.config import Config, load_config
from trio_cursor.cursor.guest import Guest, Page
from trio_cursor.cursor.profiles import Lister, included
from trio_cursor.cursor.schemas import FollowUp
from trio_cursor.cursor.schemas.known import readable_columns, scan_database
from trio_cursor.records import JsonObject, RingEntry, TableRow, Workspace
from trio_cursor.service import cursor_dirs, is_rolled_out


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
        }


def run(arguments: argparse.Namespace) -> int:
    """Print what is known of each workspace."""
    config = load_config(arguments.config, overrides=arguments.overrides)
    dirs = cursor_dirs(config)
    found, notes = trio.run(_look, config, dirs)
    if arguments.json or not sys.stdout.isatty():
        for item in found:
            print(json.dumps(item.to_object()))
    else:
        style = Style.of(sys.stdout, no_color=arguments.no_color)
        for item in found:
            print(*_described(item, style), sep="\n")
    for note in notes:
        say(printable(note))
    if not any(os.path.isdir(path) for path in dirs):  # noqa: PTH112 - text, as it is shown
        say("No Cursor found. Looked for:", *(f"  {printable(path)}" for path in dirs))
        say("If yours is elsewhere, name its User directory with --cursor-dir.")
    elif not any(item.workspace.id or item.size for item in found):
        here = " or ".join(filter(os.path.isdir, dirs))
        say(f"No workspace in {printable(here)}: is it a Cursor User directory, with workspaceStorage in it?")
    return 0


async def _look(config: Config, dirs: tuple[str, ...]) -> tuple[list[_Found], list[str]]:
    listings = await trio.to_thread.run_sync(Lister(dirs).list)
    # That one of the usual places does not exist is usual.
    there = [item for item in listings if os.path.isdir(item.user_dir)]  # noqa: ASYNC240, PTH112 - nothing else runs
    notes = [f"passed over: {note.path}: {note.reason}" for item in there for note in item.notes]
    found = [_Found(workspace) for listing in listings for workspace in listing.workspaces]
    monitor = config.cursor_database_monitor
    with tempfile.TemporaryDirectory(prefix="trio-cursor-") as private:
        guest = Guest(
            roots=dirs,
            tables=readable_columns(),
            deadline_seconds=monitor.query_timeout_seconds,
            max_concurrent=monitor.max_concurrent_workspaces,
            private_dir=str(Path(private) / "private"),
        )
        async with trio.open_nursery() as nursery:
            for item in found:
                if not included(item.workspace, config.cursor.include, config.cursor.exclude):
                    item.why.append("left out by include or exclude")
                elif not is_rolled_out(item.workspace, monitor.rollout_percent):
                    item.why.append("left out by rollout_percent")
                else:
                    nursery.start_soon(_examine, guest, item)
        await guest.aclose()
    return found, notes


async def _examine(guest: Guest, item: _Found) -> None:
    if item.workspace.problem:
        item.why.append(item.workspace.problem)
    scan = partial(scan_database, positions={}, rescan=False, verify=False)
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
        number = step.entries if step.entries is not None else len(step.observations)
        item.entries = (item.entries or 0) + number
        if step.more:
            item.why.append(f"{name}: more than {number} rows; only the first were counted here")
        item.why += [f"{count} times: {reason}" for reason, count in step.skipped.items()]
        times = [_time(observation) for observation in step.observations]
        item.last_activity = max([*filter(None, times), item.last_activity or 0]) or None
    if not item.entries and not item.why:
        item.why.append("nothing was asked in this window yet")


def _time(observation: RingEntry | TableRow) -> int | None:
    return observation.unix_ms if isinstance(observation, RingEntry) else observation.timestamp


def _described(item: _Found, style: Style) -> list[str]:
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
    lines = [
        style("bold", printable(name)),
        "  " + ", ".join(filter(None, facts)),
        style("dim", f"  id {printable(workspace.id or 'global')}, hash {workspace.hash or 'none'}"),
        style("dim", f"  {printable(workspace.database)}"),
        *(style("yellow", f"  {printable(why)}") for why in item.why),
    ]
    return [line for line in lines if line.strip()]
