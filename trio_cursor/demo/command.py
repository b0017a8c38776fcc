"""The command `demo`: a fake Cursor in a directory, alive until it is stopped."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trio_cursor.demo.fake_cursor import FakeCursor
from trio_cursor.demo.home import NotOursError, claim
from trio_cursor.demo.ledger import LEDGER_NAME, LedgerWriter, read_ledger
from trio_cursor.demo.parent import is_alive
from trio_cursor.demo.places import JOURNALS
from trio_cursor.demo.tables import SCHEMAS
from trio_cursor.demo.tree import Plan, Tree
from trio_cursor.sqlite_library import sqlite3

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

_PARENT_SECONDS: Final = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `main` reads."""
    standard = Plan()
    add = parser.add_argument
    add("directory", type=Path, metavar="DIR", help="new or empty, or made by an earlier demo, which goes on")
    add("--rate", type=_not_negative, default=standard.rate, metavar="N",
        help="generations a second over all windows (default %(default)g; 0: only the noise)")  # fmt: skip
    add("--workspaces", type=_positive, default=standard.workspaces, metavar="N", help="default %(default)s")
    add("--journal", choices=JOURNALS, default=standard.journal,
        help="of new databases: delete, wal, or each in turn (default %(default)s)")  # fmt: skip
    add("--tables", choices=sorted(SCHEMAS), help="give the first workspace these tables instead of a ring")
    add("--history", type=_count, default=standard.history, metavar="N",
        help="generations that are already in a new tree (default %(default)s)")  # fmt: skip
    add("--conversations", type=_share, default=standard.conversations, metavar="SHARE",
        help="of the requests that can have one, how many stream a conversation into the global database"
        " (0 to 1, default %(default)g)")  # fmt: skip
    add("--bubbles", type=_count, default=standard.bubbles, metavar="N",
        help="bubbles that a new tree has from the last year, about (default %(default)s)")  # fmt: skip
    add("--open", type=_positive, default=standard.open_windows, metavar="N", dest="open_windows",
        help="windows open at a time (default %(default)s)")  # fmt: skip
    add("--window-seconds", type=_not_negative, default=standard.window_seconds, metavar="S",
        help="how long a window stays open on average (default %(default)g; 0: for ever)")  # fmt: skip
    add("--generations", type=_count, metavar="N", help="stop after so many (default: never)")
    add("--stay", action="store_true", help="with --generations: live on without further ones")
    add("--seconds", type=_not_negative, metavar="S", help="stop after so long (default: never)")
    add("--seed", type=int, metavar="N", help="same seed, same ids and texts (default: others each time)")
    add("--parent", type=_positive, metavar="PID", help="stop when this process has gone")
    add("--json", action="store_true", help="one JSON object when the tree is ready")


def main(arguments: argparse.Namespace) -> int:
    """Build the tree, say that it is ready, keep it alive; the exit code."""
    directory: Path = arguments.directory
    try:
        with claim(directory) as run:
            return _live(directory.absolute(), _plan(arguments), run, arguments)
    except NotOursError as error:
        _say(str(error))
        return USAGE
    except (OSError, sqlite3.Error) as error:
        _say(f"cannot go on in {directory}: {error}")
        return FAILED


def _live(directory: Path, plan: Plan, run: int, arguments: argparse.Namespace) -> int:
    path = directory / LEDGER_NAME
    known = read_ledger(path)
    with closing(LedgerWriter(path)) as ledger:
        cursor = FakeCursor(Tree(directory, plan, ledger, known, run), plan)
        stopped_by = _stop_on_signals(cursor.stop)
        if arguments.parent is not None:
            cursor.every(_PARENT_SECONDS, lambda: None if is_alive(arguments.parent) else cursor.stop())
        cursor.build()
        _say_ready(directory, plan, as_json=arguments.json)
        cursor.run()
        cursor.close()
    _say(f"{cursor.made} generations made, all windows closed")
    return INTERRUPTED if signal.SIGINT in stopped_by else DONE


def _plan(arguments: argparse.Namespace) -> Plan:
    return Plan(
        rate=arguments.rate,
        workspaces=arguments.workspaces,
        journal=arguments.journal,
        tables=arguments.tables,
        history=arguments.history,
        open_windows=arguments.open_windows,
        window_seconds=arguments.window_seconds,
        generations=arguments.generations,
        seconds=arguments.seconds,
        stay=arguments.stay,
        conversations=arguments.conversations,
        bubbles=arguments.bubbles,
        seed=random.SystemRandom().getrandbits(32) if arguments.seed is None else arguments.seed,
    )


def _stop_on_signals(stop: Callable[[], None]) -> list[int]:
    """The first signal closes everything in good order, a second one ends at once."""
    received: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, signal.SIG_DFL)
        stop()

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):  # the last one is Windows' word for the second
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), on_signal)
    return received


def _say_ready(directory: Path, plan: Plan, *, as_json: bool) -> None:
    cursor_dir, ledger = directory / "User", directory / LEDGER_NAME
    if as_json:
        print(
            json.dumps({"cursor_dir": str(cursor_dir), "ledger": str(ledger), "pid": os.getpid()}), flush=True
        )
        return
    print(
        f"A fake Cursor lives in {cursor_dir}: {plan.workspaces} workspaces,"
        f" {plan.rate:g} generations a second."
        f" What it has written is in {ledger}. Stop it with ^C.",
        flush=True,
    )


def _say(words: str) -> None:
    print(f"trio-cursor demo: {words}", file=sys.stderr)


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _count(text: str) -> int:
    if (number := int(text)) < 0:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return number


def _share(text: str) -> float:
    if not 0 <= (number := float(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return number


def _not_negative(text: str) -> float:
    if not 0 <= (number := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return number
