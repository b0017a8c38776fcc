"""Which options each command has, and how they read in `--help`.

A command with options that no other has declares them itself (`own`); it is imported only if it is asked for.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module

from trio_cursor.cli import option_types
from trio_cursor.cli.overrides import UNSET
from trio_cursor.version import __version__


def common(parser: argparse.ArgumentParser) -> None:
    """Those of every command."""
    add = parser.add_argument_group("common options").add_argument
    add("-c", "--config", metavar="FILE", help="configuration file (TOML)")
    add("--cursor-dir", metavar="DIR", action="append",
        help="a Cursor User directory; may be repeated (default: every one found)")  # fmt: skip
    add("--state-dir", metavar="DIR", help="where our event log lives")
    add("--json", action="store_true", help="one JSON object a line on stdout, on a terminal too")
    add("--log-level", metavar="LEVEL", choices=["debug", "info", "warning", "error"],
        help="debug, info, warning or error (default info)")  # fmt: skip
    add("--log-format", metavar="FORM", choices=["auto", "console", "json"],
        help="console, json or auto: console on a terminal (default)")  # fmt: skip
    add("--no-color", action="store_true", help="no colours (NO_COLOR says the same)")
    add("-q", "--quiet", action="store_true", help="only warnings and errors")
    add("-v", "--verbose", action="store_true", help="more, with the trace of an error")
    add("--version", action="version", version=f"trio_cursor {__version__}", help="print the version")


def of_run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--once", action="store_true", help="sync everything of the window, forward it, exit")
    add("--since", metavar="DURATION", type=option_types.duration, default=UNSET,
        help="how far a first sync reaches back: 30m, 24h, 7d, all (default 24h)")  # fmt: skip
    add("--json-lines", metavar="FILE|-", help="append events to a file as well, or print them")
    add("--sessions", metavar="MODE", choices=["auto", "extension", "discovery"],
        help="how we hear who is working: auto, extension or discovery (default auto)")  # fmt: skip
    add("--redis-url", metavar="URL|env",
        help="the Redis that events go to, and sessions are read from")  # fmt: skip
    add("--stream", metavar="NAME", help="its stream (default telemetry:events)")
    add("--otlp", metavar="URL|env",
        help="the OpenTelemetry collector for spans and metrics; env: by OTEL_*")  # fmt: skip
    add("--http", metavar="ADDRESS",
        help="HOST:PORT for the page, announcements, health and status, or off")  # fmt: skip
    add("--privacy", metavar="MODE", choices=["full", "redacted", "metadata"],
        help="what is stored and sent of texts: full, redacted or metadata (default full)")  # fmt: skip
    add("--demo", action="store_true", help="start a living fake Cursor and watch that")
    add("--rate", metavar="N", type=option_types.rate, help="with --demo: generations a second")
    add("--workspaces", metavar="N", type=option_types.count, help="with --demo: workspaces")


def _since(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", metavar="DURATION", type=option_types.duration, default=None,
        help="only this far back: 30m, 24h, 7d, all (default all)")  # fmt: skip


def _window(parser: argparse.ArgumentParser) -> None:
    _since(parser)
    add = parser.add_argument
    add("--workspace", metavar="NAME", help="only of this one: part of its path or URI, its id or hash")
    add("--session", metavar="ID", help="only of this session")


def _selection(parser: argparse.ArgumentParser) -> None:
    _window(parser)
    add = parser.add_argument
    add("-n", metavar="N", type=option_types.count, dest="number", help="only the last N")


def of_events(parser: argparse.ArgumentParser) -> None:
    _selection(parser)
    import_module("trio_cursor.cli.kinds").add_kinds(parser)
    parser.add_argument("--gaps", action="store_true", help="records of missed generations instead")


def of_tail(parser: argparse.ArgumentParser) -> None:
    _selection(parser)
    import_module("trio_cursor.cli.kinds").add_kinds(parser)
    parser.add_argument("--full", action="store_true", help="whole prompts and answers")


def of_consume(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--redis-url", metavar="URL|env", help="where the stream is (default: as configured)")
    add("--stream", metavar="NAME", help="the stream (default telemetry:events)")
    add("--group", metavar="NAME", type=option_types.name, default="trio-cursor",
        help="the consumer group: its members share the events (default trio-cursor)")  # fmt: skip
    add("--consumer", metavar="NAME", type=option_types.name,
        help="our name in it, the same after a restart (default: a new one)")  # fmt: skip
    add("--count", metavar="N", type=option_types.count, help="stop after N events")


def own(command: str) -> Callable[[argparse.ArgumentParser], None]:
    """The options that it declares itself."""
    return lambda parser: import_module(f"trio_cursor.cli.{command}_command").add_arguments(parser)


def of_compare(parser: argparse.ArgumentParser) -> None:
    _since(parser)
    import_module("trio_cursor.cli.redis_access").add_redis_options(parser)


def of_replay(parser: argparse.ArgumentParser) -> None:
    _selection(parser)
    own("replay")(parser)


def of_figures(command: str) -> Callable[[argparse.ArgumentParser], None]:
    def add(parser: argparse.ArgumentParser) -> None:
        _window(parser)
        parser.add_argument("--utc", action="store_true", help="days and hours of UTC, not of local time")
        own(command)(parser)

    return add


def of_export(parser: argparse.ArgumentParser) -> None:
    _window(parser)
    own("export")(parser)


def of_completion(parser: argparse.ArgumentParser) -> None:
    shells = ("bash", "zsh", "fish", "powershell")
    parser.add_argument(
        "shell", choices=shells, help="which shell it is for; docs/service.md says where to put it"
    )


def of_demo(parser: argparse.ArgumentParser) -> None:
    import_module("trio_cursor.demo.command").add_arguments(parser)
