"""The command line of a service that a host runs: what was given when it was installed, in absolute words."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from trio_cursor.config import Config
from trio_cursor.config.origins import PREFIX, REDIS_VARIABLE
from trio_cursor.config.places import expand_home, home_directory

#: Options that are passed on, with what they are called in the arguments. Everything else belongs into the
#: configuration file: of what stands on a command line everybody can read the password.
_PATHS = {"--config": "config", "--cursor-dir": "cursor_dir", "--state-dir": "state_dir"}
_WORDS = {"--log-level": "log_level", "--log-format": "log_format"}
#: What moves our files if it is set, besides variables that are ours alone.
_MOVING = ("XDG_STATE_HOME", "XDG_CONFIG_HOME")


def run_words(
    arguments: argparse.Namespace, platform: str = sys.platform, program: str = sys.executable
) -> tuple[str, ...]:
    """The line: this Python, this package, `run`, and what was given. Paths do not depend on where we are."""
    if platform == "win32":
        program = _without_console(program)
    # -P: the service starts in the home directory, where a folder `trio_cursor` must not be taken for us.
    words = [program, "-P", "-m", "trio_cursor", "run"]
    for option, name in _PATHS.items():
        given = getattr(arguments, name)
        for path in given if isinstance(given, list) else [given]:
            if path is not None:
                words += [option, os.path.abspath(expand_home(path, home_directory()))]  # noqa: PTH100 - links stay
    for option, name in _WORDS.items():
        if (value := getattr(arguments, name)) is not None:
            words += [option, value]
    return tuple(words)


def _without_console(program: str) -> str:
    """The Python of Windows that opens no window."""
    path = Path(program)
    silent = path.with_name(path.name.lower().replace("python", "pythonw"))
    return str(silent) if silent.exists() else program


def unseen_variables(environ: Mapping[str, str], config: Config) -> list[str]:
    """Variables that mean something to us here and that a host's own environment need not have.

    Those of other programs only where they decide to whom events go.
    """
    names = sorted(name for name in environ if name.startswith(PREFIX))
    if config.origins.get("redis.url") == f"environment {REDIS_VARIABLE}":
        names.append(REDIS_VARIABLE)
    if config.outputs.otlp.enabled:
        names += sorted(name for name in environ if name.startswith("OTEL_"))
    return [name for name in (*names, *_MOVING) if environ.get(name)]
