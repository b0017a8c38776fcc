"""What can be asked for: commands by their names, and what is said of a line that makes no sense."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from trio_cursor.cli import options
from trio_cursor.cli.overrides import overrides

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
    options.of_run(parser)
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
    options.common(parser)
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
        options.common(commands[name])
        # Some import what the others need not wait for.
        if add and (name == "run" or name in argv):
            add(commands[name])

    command("run", "watch Cursor in the foreground (the default)", options.of_run)
    command("events", "what the event log holds, by time, then exit", options.of_events)
    command("tail", "what the event log holds, by sequence, then live", options.of_tail)
    command("show", "one generation in full", options.own("show"), " ID")
    command("top", "what is watched and how it goes, live: rate, lag, health", options.own("top"))
    command("stats", "totals and distributions of what the event log holds", options.of_figures("stats"))
    command("plot", "one distribution drawn, here or as SVG or HTML", options.of_figures("plot"), " [KIND]")
    command("export", "the event log as JSON lines, CSV or Parquet", options.of_export)
    command("purge", "delete from our own log; nothing is reported again", options.own("purge"))
    command("replay", "stored events to an output again", options.of_replay)
    command("compare", "our events beside other producers'; exit 0 same, 3 not, 1 failed", options.of_compare)
    command("consume", "events from Redis, in a consumer group, each once", options.of_consume)
    command("workspaces", "what was found, and why a workspace has nothing")
    command("status", "how the running service is; exit 0 well, 3 not, 4 none")
    command("doctor", "why there is no telemetry, and what to do; exit 0 well, 3 not", options.own("doctor"))
    command("config", "show or check the configuration, or write a file", options.own("config"),
        " show|check|init")  # fmt: skip
    command("service", "have the system run it: systemd, launchd, Windows", options.own("service"),
        " install|uninstall|status")  # fmt: skip
    command("completion", "a script that makes a shell complete all this", options.of_completion,
        " bash|zsh|fish|powershell")  # fmt: skip
    command("demo", "a living fake Cursor in a directory", options.of_demo, " DIR")
    command("version", "ours, Python's, trio's, redis-py's, and which SQLite")
    return parser, commands


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
