"""`status`: what a running service says of itself, read from its state directory."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from trio_cursor.cli.output import Style, printable, say, terminal_width
from trio_cursor.cli.status_text import status_lines
from trio_cursor.config import load_config
from trio_cursor.errors import StateError
from trio_cursor.observations import JsonObject
from trio_cursor.state_dir import is_held
from trio_cursor.status_file import FILE_NAME, read_status

WELL, DEGRADED, NOT_RUNNING = 0, 3, 4
#: The service writes once a second; one that has not for so long hangs.
_STALE_MS = 10_000
#: One that has just been started, or has slept with the machine, gets this long to write.
_PATIENCE_SECONDS = 2.0
_LOOK_SECONDS = 0.05


def run(arguments: argparse.Namespace) -> int:
    """Print the status; 0 well, 3 degraded, 4 not running."""
    config = load_config(arguments.config, overrides=arguments.overrides)
    directory = Path(config.state.dir)
    found = _patiently(directory)
    if found is None:
        say(f"no service runs on {printable(str(directory))}; start one with `run`")
        return NOT_RUNNING
    try:
        age = _age_ms(found)
        if age > _STALE_MS:
            silent = f"the service has not said anything for {age // 1000} s"
            found["alarms"] = [*found["alarms"], f"{silent}; if that stays so, start it again"]
        code = DEGRADED if found["alarms"] else WELL
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


def _patiently(directory: Path) -> JsonObject | None:
    """What the service says; None if there is none."""
    began = time.monotonic()
    while is_held(directory):
        found = read_status(directory)
        if found is not None and _age_ms(found) <= _STALE_MS:
            return found
        if time.monotonic() - began > _PATIENCE_SECONDS:
            if found is None:
                raise StateError(f"a service runs on {directory}, but has written no status that can be read")
            return found
        time.sleep(_LOOK_SECONDS)
    return None


def _age_ms(found: JsonObject) -> int:
    return int(time.time() * 1000) - int(found["taken_at"])
