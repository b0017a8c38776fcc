"""`doctor`: why there may be no telemetry, and what to do about each finding."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import trio

from trio_cursor.cli.announced import listen_in, sort_out
from trio_cursor.cli.doctor_text import lines_of
from trio_cursor.cli.ending import BAD_CONFIGURATION
from trio_cursor.cli.hosted_run import run_words
from trio_cursor.cli.output import Style, terminal_width
from trio_cursor.cli.redis_access import add_redis_options
from trio_cursor.config import Config, load_config
from trio_cursor.cursor.guest import Guest
from trio_cursor.doctor.check import Check, Level, finding
from trio_cursor.doctor.examining import Section, examine
from trio_cursor.doctor.facts import Announced, Unplaced
from trio_cursor.doctor.looking import CursorLook
from trio_cursor.errors import ConfigError
from trio_cursor.hosts.choosing import host_of
from trio_cursor.hosts.host import Host
from trio_cursor.os_files import own_uid

WELL, FINDINGS = 0, 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what only `doctor` has."""
    parser.add_argument("--prove", action="store_true",
        help="hash Cursor's files before and after a look at all of them: nothing may change")  # fmt: skip
    add_redis_options(parser)
    parser.add_argument("--otlp", metavar="URL|env", help="the OpenTelemetry collector, as `run` has it")


def run(arguments: argparse.Namespace) -> int:
    """Print every check; 0 nothing found, 3 findings, 78 a configuration that no command would take."""
    faults: list[str] = []
    sections: list[Section] = []
    try:
        sections = _examined(arguments)
    except* ConfigError as group:
        # Of several streams each may say the same.
        faults = [fault for error in _leaves(group) for fault in error.faults]
        sections = [Section("Configuration", tuple(map(_refused, dict.fromkeys(faults))))]
    checks = [check for section in sections for check in section.checks]
    if arguments.json or not sys.stdout.isatty():
        print(*(json.dumps(check.to_object()) for check in checks), sep="\n")
    else:
        style = Style.of(sys.stdout, no_color=arguments.no_color)
        lines = lines_of(
            sections, style, terminal_width(), sys.stdout.encoding, with_details=arguments.verbose
        )
        print(*lines, sep="\n")
    if faults:
        return BAD_CONFIGURATION
    return FINDINGS if any(check.level is Level.FINDING for check in checks) else WELL


def _examined(arguments: argparse.Namespace) -> list[Section]:
    config = load_config(arguments.config, overrides=arguments.overrides)
    host = partial(_host, arguments)
    return trio.run(partial(examine, config, partial(_announced, config), host, with_proof=arguments.prove))


def _refused(fault: str) -> Check:
    do = "mend that, and call doctor again: until then nothing starts, and nothing else was looked at"
    return finding("configuration", "configuration", fault, do)


def _leaves(group: BaseExceptionGroup[ConfigError]) -> Iterator[ConfigError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _host(arguments: argparse.Namespace) -> Host:
    """As `service` finds it."""
    return host_of(
        sys.platform, run_words(arguments), environ=os.environ, home=str(Path.home()), uid=own_uid()
    )


async def _announced(config: Config, look: CursorLook, guest: Guest) -> Announced:
    """As `workspaces` finds it."""
    directory = Path(config.state.dir)
    heard = await trio.to_thread.run_sync(listen_in, directory, abandon_on_cancel=True)
    there = [item.workspace for item in look.databases]
    found = await sort_out(heard, config, look.there, there, guest)
    unplaced = (Unplaced(item.workspace_hash, item.path, item.sessions, item.why) for item in found.missing)
    return Announced(len(heard.sessions), tuple(unplaced))
