"""`trio-cursor config show|check|init`: what is configured, whether it is fine, a file to start from."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from trio_cursor.cli.output import printable, say, table
from trio_cursor.config import Config, annotated_text, config_file, load_config, settings
from trio_cursor.cursor.grounds import cursor_directory_of
from trio_cursor.errors import ConfigError

_FINE = 0
_FAILED = 1
#: As `EX_CONFIG` of sysexits.h, which Windows does not have.
_BAD_CONFIGURATION = 78


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own arguments; the common ones are the main parser's."""
    parser.add_argument(
        "action",
        choices=("show", "check", "init"),
        help="show: effective values and where each comes from; check: all errors at once; "
        "init: write an annotated file",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do it, and give the exit code: 0; 78 for a bad configuration; 1 if no file could be written.

    Reads `action`, `config`, `json` and `overrides` (dotted key to value) of `arguments`; all but the
    first may be missing.
    """
    path = getattr(arguments, "config", None)
    if arguments.action == "init":
        return _init(path)
    try:
        config = load_config(path, overrides=getattr(arguments, "overrides", None))
    except ConfigError as error:
        say(*map(printable, error.faults))
        return _BAD_CONFIGURATION
    if arguments.action == "check":
        say(f"configuration is fine: {printable(config.file or 'no file, built-in values')}")
    else:
        _show(config, as_json=getattr(arguments, "json", False))
    return _FINE


def _show(config: Config, *, as_json: bool) -> None:
    rows = list(settings(config))
    if as_json:
        for row in rows:
            print(json.dumps({"key": row.key, "value": row.value, "origin": row.origin}))
    else:
        cells = [[row.key, printable(_value(row.value)), printable(row.origin)] for row in rows]
        print(*table(["KEY", "VALUE", "FROM"], cells), sep="\n")


def _value(value: Any) -> str:
    """Write a value as the file would; `none` for what TOML has no word for."""
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def _init(path: str | None) -> int:
    file, _ = config_file(path, os.environ, sys.platform, str(Path.home()))
    shown = printable(file)
    try:
        if (cursors := cursor_directory_of(Path(file))) is not None:
            shown_place = printable(str(cursors))
            say(f"{shown} lies in {shown_place}, which is Cursor's: name another with --config FILE")
            return _FAILED
        Path(file).absolute().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # O_EXCL: never over a file that is there, not even one that appears this moment.
        # 0600: a password may be written into it.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        # Not every FileExistsError: there may also be a file where a directory is needed.
        if isinstance(error, FileExistsError) and os.path.lexists(file):
            say(f"{shown} exists: move it away, or name another with --config FILE")
            return _FAILED
        return _not_written(shown, error)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(annotated_text())
    except OSError as error:
        Path(file).unlink()  # half a file would be taken for a whole one
        return _not_written(shown, error)
    say(f"written: {shown}")
    return _FINE


def _not_written(shown: str, error: OSError | ValueError) -> int:
    reason = error.strerror if isinstance(error, OSError) else error
    say(f"{shown} cannot be written ({reason}): name another place with --config FILE")
    return _FAILED
