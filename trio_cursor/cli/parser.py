"""What can be asked for, and how it reads in `--help`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, NoReturn

from trio_cursor.cli import option_types
from trio_cursor.cli.overrides import UNSET, overrides
from trio_cursor.version import __version__

#: Longer lines are hard to read, however wide the terminal is.
_WIDEST_HELP = 100

_SCRIPT = "trio-cursor"

#: Commands that have a name already and no work behind it yet.
_NOT_BUILT = ("audit", "hook")

_EPILOG = """\
Common options are accepted before and after the command; so are those of run
where no command is given. COMMAND --help tells the options of a command.

examples:
  {program}                     watch Cursor, show each generation
  {program} run --demo          the same on a living fake Cursor
  {program} run --once --since all --json-lines events.jsonl
  {program} events --since 24h  what was reported since yesterday

exit codes: 0 done, 1 failed, 2 usage, 3 degraded, 4 not running,
  75 another instance runs, 78 bad configuration, 130 interrupted
"""


def parse(argv: list[str]) -> argparse.Namespace:
    """Parse; a line without a command is `run`. Exits with 2 and one line if it makes no sense."""
    parser, commands = _build(argv, _program())
    arguments, unknown = parser.parse_known_args(_with_command(argv, parser, commands))
    command = commands[arguments.command]
    if unknown:
        what = "unknown option" if unknown[0].startswith("-") else "one word too many:"
        option = unknown[0].partition("=")[0]
        command.error(f"{what} {option!r}{_did_you_mean(option, _options(command))}")
    if arguments.command == "run":
        _refuse_what_makes_no_sense(arguments, command)
    arguments.overrides = overrides(arguments)
    return arguments


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage."""

    def __init__(self, **options: Any) -> None:
        # An abbreviation in somebody's script would mean something else after the next release.
        super().__init__(allow_abbrev=False, formatter_class=_Help, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


class _Help(argparse.RawDescriptionHelpFormatter):
    """Room for the options beside their explanations."""

    def __init__(self, prog: str, **options: Any) -> None:
        width = min(shutil.get_terminal_size().columns, _WIDEST_HELP) - 2
        super().__init__(prog, max_help_position=25, width=width, **options)


def parser_of_everything() -> argparse.ArgumentParser:
    """For completion: every command with all of its options, and those of `run` where none is given."""
    _, known = _build([], _SCRIPT)
    parser, _ = _build([*known], _SCRIPT)
    _run_arguments(parser)
    return parser


def _program() -> str:
    name, _ = os.path.splitext(os.path.basename(sys.argv[0]))  # noqa: PTH119, PTH122 - pathlib is slow to import
    return _SCRIPT if name == _SCRIPT else "python -m trio_cursor"


def _build(argv: list[str], program: str) -> tuple[_Parser, dict[str, _Parser]]:
    parser = _Parser(
        prog=program,
        usage=f"{program} [COMMAND] [options]",
        description="Every AI generation in Cursor becomes one event,\n"
        "exactly once, and Cursor never notices.",
        epilog=_EPILOG.format(program=program),
    )
    group: argparse._SubParsersAction[_Parser] = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", parser_class=_Parser, prog=program
    )
    _add_common(parser)
    commands: dict[str, _Parser] = {}

    def command(
        name: str,
        words: str,
        add: Callable[[argparse.ArgumentParser], None] | None = None,
        positional: str = "",
    ) -> None:
        commands[name] = group.add_parser(
            name,
            usage=f"{program} {name} [options]{positional}",
            help=words,
            description=words[0].upper() + words[1:] + ".",
            conflict_handler="resolve",  # the fake Cursor also runs without us, with a --json of its own
        )
        _add_common(commands[name])
        # Some import what the others need not wait for.
        if add and (name == "run" or name in argv):
            add(commands[name])

    command("run", "watch Cursor in the foreground (the default)", _run_arguments)
    command("events", "what the event log holds, by time, then exit", _events_arguments)
    command("tail", "what the event log holds, by sequence, then live", _tail_arguments)
    command("show", "one generation in full", _of("show"), " ID")
    command("top", "what is watched and how it goes, live: rate, lag, health", _of("top"))
    command("stats", "totals and distributions of what the event log holds", _figures("stats"))
    command("plot", "one distribution drawn, here or as SVG or HTML", _figures("plot"), " [KIND]")
    command("export", "the event log as JSON lines, CSV or Parquet", _export)
    command("purge", "delete from our own log; nothing is reported again", _of("purge"))
    command("replay", "stored events to an output again", _replay)
    command("compare", "our events beside other producers'; exit 0 same, 3 not, 1 failed", _compare)
    command("consume", "events from Redis, in a consumer group, each once", _consume_arguments)
    command("workspaces", "what was found, and why a workspace has nothing")
    command("status", "how the running service is; exit 0 well, 3 not, 4 none")
    command("doctor", "why there is no telemetry, and what to do; exit 0 well, 3 not", _of("doctor"))
    command("config", "show or check the configuration, or write a file", _of("config"), " show|check|init")
    command("service", "have the system run it: systemd, launchd, Windows", _of("service"),
        " install|uninstall|status")  # fmt: skip
    command("completion", "a script that makes a shell complete all this", _completion,
        " bash|zsh|fish|powershell")  # fmt: skip
    command("demo", "a living fake Cursor in a directory", _demo, " DIR")
    command("version", "ours, Python's, trio's, redis-py's, and which SQLite")
    return parser, commands


def _add_common(parser: argparse.ArgumentParser) -> None:
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


def _run_arguments(parser: argparse.ArgumentParser) -> None:
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
    add("--workspace", metavar="NAME", help="only of this one: part of its path, its id or hash")
    add("--session", metavar="ID", help="only of this session")


def _selection(parser: argparse.ArgumentParser) -> None:
    _window(parser)
    add = parser.add_argument
    add("-n", metavar="N", type=option_types.count, dest="number", help="only the last N")


def _events_arguments(parser: argparse.ArgumentParser) -> None:
    _selection(parser)
    import_module("trio_cursor.cli.kinds").add_kinds(parser)
    parser.add_argument("--gaps", action="store_true", help="records of missed generations instead")


def _tail_arguments(parser: argparse.ArgumentParser) -> None:
    _selection(parser)
    import_module("trio_cursor.cli.kinds").add_kinds(parser)
    parser.add_argument("--full", action="store_true", help="whole prompts and answers")


def _consume_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--redis-url", metavar="URL|env", help="where the stream is (default: as configured)")
    add("--stream", metavar="NAME", help="the stream (default telemetry:events)")
    add("--group", metavar="NAME", type=option_types.name, default="trio-cursor",
        help="the consumer group: its members share the events (default trio-cursor)")  # fmt: skip
    add("--consumer", metavar="NAME", type=option_types.name,
        help="our name in it, the same after a restart (default: a new one)")  # fmt: skip
    add("--count", metavar="N", type=option_types.count, help="stop after N events")


def _of(command: str) -> Callable[[argparse.ArgumentParser], None]:
    """The options that it declares itself."""
    return lambda parser: import_module(f"trio_cursor.cli.{command}_command").add_arguments(parser)


def _compare(parser: argparse.ArgumentParser) -> None:
    _since(parser)
    import_module("trio_cursor.cli.redis_access").add_redis_options(parser)


def _replay(parser: argparse.ArgumentParser) -> None:
    _selection(parser)
    _of("replay")(parser)


def _figures(command: str) -> Callable[[argparse.ArgumentParser], None]:
    def add(parser: argparse.ArgumentParser) -> None:
        _window(parser)
        parser.add_argument("--utc", action="store_true", help="days and hours of UTC, not of local time")
        _of(command)(parser)

    return add


def _export(parser: argparse.ArgumentParser) -> None:
    _window(parser)
    _of("export")(parser)


def _completion(parser: argparse.ArgumentParser) -> None:
    shells = ("bash", "zsh", "fish", "powershell")
    parser.add_argument(
        "shell", choices=shells, help="which shell it is for; docs/service.md says where to put it"
    )


def _demo(parser: argparse.ArgumentParser) -> None:
    import_module("trio_cursor.demo.command").add_arguments(parser)


def _with_command(argv: list[str], parser: _Parser, commands: dict[str, _Parser]) -> list[str]:
    """Put the command first, wherever it stands; `run` where none does."""
    with_value = {
        option
        for command in commands.values()
        for action in command._actions  # noqa: SLF001 - the only place that knows
        if action.nargs is None
        for option in action.option_strings
    }
    known = {option for command in commands.values() for option in _options(command)}
    is_value, unknown = False, ""
    for index, word in enumerate(argv):
        if is_value or word.startswith("-"):
            is_value = not is_value and _wants_value(word, with_value)
            if word.startswith("--") and word.partition("=")[0] not in known:
                unknown = unknown or word
            continue
        if word in commands:
            return [word, *argv[:index], *argv[index + 1 :]]
        if word in _NOT_BUILT:
            parser.exit(2, f"{parser.prog}: {word}: not built yet\n")
        if unknown:
            parser.error(f"unknown option {unknown!r:.60}{_did_you_mean(unknown, known)}")
        parser.error(f"unknown command {word!r:.60}{_did_you_mean(word, [*commands, *_NOT_BUILT])}")
    if any(word in ("-h", "--help", "--version") for word in argv):
        return argv
    return ["run", *argv]


def _wants_value(word: str, with_value: set[str]) -> bool:
    """Whether the value of this option is the next word, also at the end of a cluster (`-vc FILE`)."""
    if word.startswith("--"):
        return word in with_value
    letters = [f"-{letter}" for letter in word[1:]]
    return any(letter in with_value for letter in letters[-1:]) and with_value.isdisjoint(letters[:-1])


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return [option for action in parser._actions for option in action.option_strings]  # noqa: SLF001 - as above


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only for mistakes

    close = get_close_matches(word, list(known), 1)
    return f": did you mean {close[0]}?" if close else ""


def _refuse_what_makes_no_sense(arguments: argparse.Namespace, parser: _Parser) -> None:
    """Before anything is started; the configuration's own are refused by the service."""
    given = ["--rate"] if arguments.rate is not None else []
    given += ["--workspaces"] if arguments.workspaces is not None else []
    if given and not arguments.demo:
        parser.error(f"{' and '.join(given)}: only the fake Cursor has that: add --demo")
    if arguments.once and arguments.http not in (None, "off"):
        parser.error("--http: with --once nothing is served: leave one of them out")
