"""`doctor`: why there may be no telemetry, and what to do about each finding."""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import trio

from trio_cursor.cli.announced import listen_in, sort_out
from trio_cursor.cli.doctor_text import lines_of
from trio_cursor.cli.output import Style, terminal_width
from trio_cursor.cli.redis_access import add_redis_options
from trio_cursor.config import Config, load_config
from trio_cursor.cursor.guest import Guest
from trio_cursor.doctor.check import Level
from trio_cursor.doctor.examining import examine
from trio_cursor.doctor.facts import Announced, Unplaced
from trio_cursor.doctor.looking import CursorLook

WELL, FINDINGS = 0, 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what only `doctor` has."""
    parser.add_argument("--prove", action="store_true",
        help="hash Cursor's files before and after a look at all of them: nothing may change")  # fmt: skip
    add_redis_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print every check; 0 nothing found, 3 findings."""
    config = load_config(arguments.config, overrides=arguments.overrides)
    work = partial(examine, config, partial(_announced, config), with_proof=arguments.prove)
    sections = trio.run(work)
    checks = [check for section in sections for check in section.checks]
    if arguments.json or not sys.stdout.isatty():
        print(*(json.dumps(check.to_object()) for check in checks), sep="\n")
    else:
        style = Style.of(sys.stdout, no_color=arguments.no_color)
        print(*lines_of(sections, style, terminal_width(), sys.stdout.encoding), sep="\n")
    return FINDINGS if any(check.level is Level.FINDING for check in checks) else WELL


async def _announced(config: Config, look: CursorLook, guest: Guest) -> Announced:
    """As `workspaces` finds it."""
    directory = Path(config.state.dir)
    heard = await trio.to_thread.run_sync(listen_in, directory, abandon_on_cancel=True)
    there = [item.workspace for item in look.databases]
    found = await sort_out(heard, config, look.there, there, guest)
    unplaced = (Unplaced(item.workspace_hash, item.path, item.sessions, item.why) for item in found.missing)
    return Announced(len(heard.sessions), tuple(unplaced))
