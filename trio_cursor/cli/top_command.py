"""`top`: what is being watched and how it goes, live on the whole terminal."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import closing
from pathlib import Path

import attrs

from trio_cursor.cli.full_screen import FullScreen, full_screen
from trio_cursor.cli.keys import GONE, ReadKeys
from trio_cursor.cli.output import Style, terminal_width
from trio_cursor.cli.stopping import terminable
from trio_cursor.cli.top_facts import Facts, Looking, facts_object
from trio_cursor.cli.top_text import View, picture, scrolled
from trio_cursor.config import load_config
from trio_cursor.errors import StateError
from trio_cursor.status_file import FILE_NAME

_LOOK_SECONDS = 0.1
_JSON_SECONDS = 1.0
#: Of one picture that is not followed by others: as many rows as it needs.
_MANY_ROWS = 40
_NOT_OURS = (KeyError, TypeError, ValueError, AttributeError)
_STEPS = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -10, "page down": 10, "home": -(10**9)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--once", action="store_true", help="print how it is now, and exit")


def run(arguments: argparse.Namespace) -> int:
    """Show it until `q`; one JSON object a second where no person looks."""
    directory = Path(load_config(arguments.config, overrides=arguments.overrides).state.dir)
    style = Style.of(sys.stdout, no_color=arguments.no_color)
    with terminable(), closing(Looking(directory)) as looking:
        if arguments.json or not sys.stdout.isatty():
            _print_objects(looking, is_once=arguments.once)
        elif arguments.once:
            looking.look()
            lines = _lines(looking.facts(), View(), style, terminal_width(), _MANY_ROWS)
            print("\n".join(lines[:-1]).rstrip())  # without the keys
        elif not Style.of(sys.stdout, no_color=False, environ={"TERM": os.environ.get("TERM", "")}).is_on:
            raise StateError("this terminal cannot show it; --once and --json can be shown anywhere")
        else:
            with full_screen(sys.stdin, sys.stdout) as (screen, read):
                _show(looking, style, screen, read)
    return 0


def _print_objects(looking: Looking, *, is_once: bool) -> None:
    while True:
        looking.look()
        try:
            print(json.dumps(facts_object(looking.facts())), flush=True)
        except _NOT_OURS as error:
            raise StateError(_not_ours(looking.directory)) from error
        if is_once:
            return
        time.sleep(_JSON_SECONDS)


def _show(looking: Looking, style: Style, screen: FullScreen, read: ReadKeys) -> None:
    """Until somebody has seen enough."""
    view, size, is_new = View(), None, True
    while True:
        is_new = looking.look() or is_new
        if is_new or screen.size() != size:
            size, facts = screen.size(), looking.facts()
            screen.show(_lines(facts, view, style, *size))
        is_new = False
        for key in read(_LOOK_SECONDS):
            if key in ("q", "Q", GONE):
                return
            view, is_new = _turned(view, key, looking), True


def _turned(view: View, key: str, looking: Looking) -> View:
    if key in ("s", "S"):
        return view.reordered()
    return scrolled(looking.facts(), view, _STEPS.get(key, 0))


def _lines(facts: Facts, view: View, style: Style, width: int, height: int) -> list[str]:
    try:
        return picture(facts, view, style, width, height)
    except _NOT_OURS:
        unknown = attrs.evolve(
            facts, service="unknown", status=None, trouble=_not_ours(Path(facts.directory))
        )
        return picture(unknown, view, style, width, height)


def _not_ours(directory: Path) -> str:
    return f"{directory / FILE_NAME} is not as this version writes it; is the service of another one?"
