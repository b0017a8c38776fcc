"""Run a command, and turn every way in which it can end into an exit code and at most one line."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import TextIO

from trio_cursor.cli.output import printable
from trio_cursor.errors import (
    AlreadyRunningError,
    ConfigError,
    TrioCursorError,
)
from trio_cursor.os_files import is_broken_pipe

FAILED, USAGE, OTHER_INSTANCE, BAD_CONFIGURATION, INTERRUPTED = 1, 2, 75, 78, 130

_MODULES = {
    "run": ("trio_cursor.cli.run_command", "run"),
    "events": ("trio_cursor.cli.events_command", "events"),
    "tail": ("trio_cursor.cli.events_command", "tail"),
    "top": ("trio_cursor.cli.top_command", "run"),
    "consume": ("trio_cursor.cli.consume_command", "run"),
    "show": ("trio_cursor.cli.show_command", "run"),
    "stats": ("trio_cursor.cli.stats_command", "run"),
    "plot": ("trio_cursor.cli.plot_command", "run"),
    "export": ("trio_cursor.cli.export_command", "run"),
    "purge": ("trio_cursor.cli.purge_command", "run"),
    "replay": ("trio_cursor.cli.replay_command", "run"),
    "compare": ("trio_cursor.cli.compare_command", "run"),
    "workspaces": ("trio_cursor.cli.workspaces_command", "run"),
    "status": ("trio_cursor.cli.status_command", "run"),
    "doctor": ("trio_cursor.cli.doctor_command", "run"),
    "config": ("trio_cursor.cli.config_command", "run"),
    "service": ("trio_cursor.cli.service_command", "run"),
    "completion": ("trio_cursor.cli.completion_command", "run"),
    "demo": ("trio_cursor.demo.command", "main"),
    "version": ("trio_cursor.cli.version_command", "run"),
}


def ended(arguments: argparse.Namespace) -> int:
    """Run the command; an error is one line with a hint, its trace comes only with `-v`."""
    module, name = _MODULES[arguments.command]
    try:
        command: Callable[[argparse.Namespace], int] = getattr(import_module(module), name)
        code = command(arguments)
        sys.stdout.flush()
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the last one to catch anything
        return _code_for(error, with_trace=arguments.verbose)
    return code


def _code_for(error: BaseException, *, with_trace: bool) -> int:
    leaves = list(_leaves(error))
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        return INTERRUPTED
    with suppress(OSError):  # stderr may be what cannot be written
        sys.stderr.flush()
        for leaf in leaves:
            _explain(leaf, with_trace=with_trace)
    if any(isinstance(leaf, OSError) for leaf in leaves):
        _let_go(sys.stdout)
        _let_go(sys.stderr)
    return _code(leaves)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _explain(error: BaseException, *, with_trace: bool) -> None:
    if is_broken_pipe(error):
        return  # whoever read us (head, less) has what it wanted
    if with_trace:
        traceback.print_exception(error)
    match error:
        case ConfigError():
            lines = error.faults
        case TrioCursorError():
            lines = (str(error),)
        case OSError():
            where = f": {error.filename}" if error.filename else ""
            lines = (f"{error.strerror or error}{where}",)
        case _:
            what = f"{type(error).__name__}: {error}"
            lines = (f"a mistake of ours, please report it with what -v shows: {what}",)
    for line in lines:
        print(f"trio_cursor: {printable(line)}", file=sys.stderr)


def _let_go(stream: TextIO) -> None:
    """What is left in a stream that cannot be written goes nowhere: else the interpreter fails at its end."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _code(leaves: list[BaseException]) -> int:
    if all(is_broken_pipe(leaf) for leaf in leaves):
        return 0
    match leaves[0]:
        case ConfigError():
            return BAD_CONFIGURATION
        case AlreadyRunningError():
            return OTHER_INSTANCE
        case _:
            return FAILED
