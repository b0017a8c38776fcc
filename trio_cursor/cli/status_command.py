"""`status`: what a running service says of itself, read from its state directory."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from trio_cursor.cli.output import Style, printable, say, terminal_width
from trio_cursor.cli.status_text import status_lines
from trio_cursor.config import load_config
from trio_cursor.errors import StateError
from trio_cursor.status_file import FILE_NAME, STALE_MS, look_at_service

WELL, DEGRADED, NOT_RUNNING = 0, 3, 4


def run(arguments: argparse.Namespace) -> int:
    """Print the status; 0 well, 3 degraded, 4 not running."""
    config = load_config(arguments.config, overrides=arguments.overrides)
    directory = Path(config.state.dir)
    look = look_at_service(directory)
    if look.trouble is not None:
        raise look.trouble
    if not look.is_running:
        say(f"no service runs on {printable(str(directory))}; start one with `run`")
        return NOT_RUNNING
    found = look.status
    if found is None:
        raise StateError(f"a service runs on {directory}, but has written no status that can be read")
    try:
        if look.age_ms > STALE_MS:
            silent = f"the service has not said anything for {look.age_ms // 1000} s"
            found["alarms"] = [*found["alarms"], f"{silent}; if that stays so, start it again"]
        code = DEGRADED if found["alarms"] or found.get("episodes") else WELL
        if arguments.json or not sys.stdout.isatty():
            lines = [json.dumps(found)]
        else:
            style = Style.of(sys.stdout, no_color=arguments.no_color)
            lines = status_lines(found, style, terminal_width())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StateError(
            f"{directory / FILE_NAME} is not as this version writes it; is the service of another one?"
        ) from error
    print(*lines, sep="\n")
    return code
