"""`run --demo`: a temporary directory with a living fake Cursor, and what is configured otherwise for it."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs

from trio_cursor.cli.stopping import uninterrupted
from trio_cursor.config import Config, listen_address
from trio_cursor.config.checks import is_loopback
from trio_cursor.demo.process import FakeCursorProcess


@attrs.frozen
class DemoPlace:
    """The directory, which goes at the end with everything in it."""

    place: Path
    overrides: dict[str, Any]
    _process: FakeCursorProcess
    _stack: ExitStack

    def start(self) -> None:
        """Start the fake Cursor. Raises `FakeCursorError`."""
        with uninterrupted():
            self._stack.enter_context(self._process)
            # Not closed as a person would: nobody needs its files any more, and somebody waits for us to end.
            self._stack.callback(self._process.kill)


def without_token(config: Config) -> Config:
    """The token is for the page of real events, and perhaps there is none: this page is for whoever is here.

    Beyond loopback, which is only by `--http`, it stays: nobody else may see even what is made up.
    """
    address = listen_address(config.http.listen)
    if address is not None and not is_loopback(address[0]):
        return config
    return attrs.evolve(config, http=attrs.evolve(config.http, token_file=None))


@contextmanager
def demo_place(arguments: argparse.Namespace) -> Iterator[DemoPlace]:
    """Make the directory; in the end stop the fake Cursor and remove everything."""
    options = []
    if arguments.rate is not None:
        options += ["--rate", str(arguments.rate)]
    if arguments.workspaces is not None:
        options += ["--workspaces", str(arguments.workspaces)]
    with ExitStack() as stack:
        place = Path(tempfile.mkdtemp(prefix="trio-cursor-demo-"))
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        process = FakeCursorProcess(place / "cursor", *options)
        yield DemoPlace(place, _overrides(arguments, place), process, stack)


def _overrides(arguments: argparse.Namespace, place: Path) -> dict[str, Any]:
    """What is made up goes nowhere where real events go, and is not filtered as these are."""
    return {
        "cursor.dirs": [str(place / "cursor" / "User")],
        "cursor.include": [],
        "cursor.exclude": [],
        "cursor_database_monitor.rollout_percent": 100,
        "state.dir": arguments.state_dir or str(place / "state"),
        "redis.url": arguments.redis_url or "",
        "outputs.json_lines.path": arguments.json_lines or "",
        "outputs.otlp.enabled": arguments.otlp is not None,
        "alarms.webhook": "",
    }
