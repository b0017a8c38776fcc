"""`completion bash|zsh|fish|powershell`: the script by which a shell completes our commands and options."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import shtab

from trio_cursor.cli.parser import parser_of_everything

#: What a value is, by how `--help` calls it.
_KINDS = {"FILE": shtab.FILE, "FILE|-": shtab.FILE, "DIR": shtab.DIRECTORY}


def run(arguments: argparse.Namespace) -> int:
    """Print the script; nothing of it asks us again when it completes."""
    parser = parser_of_everything()
    for action in _actions(parser):
        if isinstance(action.metavar, str) and action.metavar in _KINDS:
            action.complete = _KINDS[action.metavar]  # type: ignore[attr-defined]  # shtab's way to be told
    print(shtab.complete(parser, shell=arguments.shell, root_prefix="trio_cursor"))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # noqa: SLF001 - as shtab reads it
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            for inner in action.choices.values():
                yield from _actions(inner)
