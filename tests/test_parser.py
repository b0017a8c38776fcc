"""The command line as text: what is understood, what is refused, and in which words."""

import json
import subprocess
import sys

import pytest

from trio_cursor.cli import main
from trio_cursor.cli.parser import parse

COMMANDS = [
    "run",
    "events",
    "tail",
    "show",
    "top",
    "stats",
    "plot",
    "export",
    "purge",
    "replay",
    "compare",
    "consume",
    "workspaces",
    "status",
    "doctor",
    "config",
    "service",
    "completion",
    "demo",
    "version",
]
NOT_BUILT = [
    *("audit", "hook"),
]


def refused(capsys, *words):
    """The one line with which it is refused; the code is 2."""
    with pytest.raises(SystemExit) as ended:
        parse(list(words))
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("command", ["events", "run", "status"])
@pytest.mark.parametrize(
    "options",
    [
        ["--state-dir", "S", "-q"],
        ["-c", "F", "--cursor-dir", "A", "--cursor-dir", "B"],
        ["--log-format", "json", "--no-color", "--json", "-v"],
        ["--state-dir", "events"],  # a value that is also the name of a command
        ["--log-level=debug"],
        ["-qcF"],
    ],
)
def test_common_options_mean_the_same_before_and_after_the_command(command, options):
    assert parse([command, *options]) == parse([*options, command])


def test_without_a_command_it_is_run():
    assert parse([]) == parse(["run"])
    assert parse(["--once", "--since", "7d"]) == parse(["run", "--once", "--since", "7d"])


def test_the_value_of_a_cluster_of_short_options_is_no_command():
    arguments = parse(["-vc", "status", "events"])
    assert (arguments.command, arguments.config, arguments.verbose) == ("events", "status", True)


def test_a_name_is_looked_for_among_the_commands_only_until_one_is_found():
    arguments = parse(["events", "--workspace", "demo", "--session", "run"])
    assert (arguments.workspace, arguments.session) == ("demo", "run")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["evnts"], "unknown command 'evnts': did you mean events?"),
        (["xyzzy"], "unknown command 'xyzzy'; see"),
        (["--sicne", "3d"], "unknown option '--sicne': did you mean --since?"),
        (["events", "--sicne=3d"], "unknown option '--sicne': did you mean --since?"),
        (["events", "--gap"], "unknown option '--gap': did you mean --gaps?"),  # no abbreviations
        (["run", "events"], "one word too many: 'events'"),
        (["events", "-n", "0"], "'0' is not a number from 1"),
        (["events", "-n", "\u0663"], "is not a number from 1"),
        (["events", "-n", "9" * 5000], "is not a number from 1"),
        (["tail", "--since", "tomorrow"], "'tomorrow' is not a duration: write 30s, 5m, 24h, 7d or all"),
        (["--demo", "--rate", "nan"], "'nan' is not a number from 0"),
        (["--demo", "--rate", "many"], "'many' is not a number from 0"),
        (["--demo", "--workspaces", "0"], "'0' is not a number from 1"),
        (["--rate", "3"], "--rate: only the fake Cursor has that: add --demo"),
        (["--rate", "3", "--workspaces", "2"], "--rate and --workspaces: only the fake Cursor has that"),
        (["--once", "--http", "127.0.0.1:0"], "--http: with --once nothing is served"),
        (["--log-level", "loud"], "invalid choice: 'loud'"),
        (["service", "start"], "invalid choice: 'start'"),
        (["config"], "the following arguments are required: action"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line_that_says_why(capsys, words, said):
    assert said in refused(capsys, *words)


@pytest.mark.parametrize("command", NOT_BUILT)
def test_a_command_that_is_not_built_yet_says_so(capsys, command):
    assert f"{command}: not built yet" in refused(capsys, "-v", command, "--whatever")


@pytest.mark.parametrize(
    "words",
    [
        ["--http", "off"],
        ["--sessions", "auto"],
        ["--sessions", "discovery"],
        ["--sessions", "extension"],
        ["--redis-url", "env", "--stream", "s"],
        ["--http", "127.0.0.1:8787"],
        ["--once", "--http", "off"],
        ["--log-format", "json"],
        ["--privacy", "full"],
        ["--privacy", "redacted"],
        ["--privacy", "metadata", "--demo"],
    ],
)
def test_what_works_is_accepted(words):
    assert parse(words).command == "run"


@pytest.mark.parametrize(
    ("words", "level"),
    [
        ([], None),
        (["-v"], "debug"),
        (["-q"], "warning"),
        (["-q", "--log-level", "error"], "error"),
        (["-v", "--log-level", "info"], "info"),
    ],
)
def test_the_log_level_is_what_was_named_else_what_quiet_and_verbose_mean(words, level):
    assert parse(words).overrides["logging.level"] == level


@pytest.mark.parametrize(("since", "hours"), [("90m", 1.5), ("24h", 24), ("7d", 168), ("all", 876_000)])
def test_since_is_the_window_of_the_first_sync(since, hours):
    assert parse(["--since", since]).overrides["cursor_database_monitor.sync_window_hours"] == hours
    assert "cursor_database_monitor.sync_window_hours" not in parse([]).overrides


@pytest.mark.parametrize(
    ("words", "mode", "redis", "http"),
    [
        ([], None, None, None),
        (["--redis-url", "env", "--http", "[::1]:1"], None, "env", "[::1]:1"),
        (["--once"], None, None, "off"),
        (["--demo"], "discovery", "", "127.0.0.1:0"),
        (["--demo", "--once"], "discovery", "", "off"),
        (["--demo", "--http", "off"], "discovery", "", "off"),
        (["--demo", "--http", "[::1]:1"], "auto", "", "[::1]:1"),
        (["--demo", "--redis-url", "env"], "auto", "env", "127.0.0.1:0"),
        (["--demo", "--redis-url", "env", "--sessions", "extension"], "extension", "env", "127.0.0.1:0"),
    ],
)
def test_once_serves_nothing_and_the_demo_has_a_port_and_sessions_of_its_own(words, mode, redis, http):
    found = parse(words).overrides
    assert (found["sessions.mode"], found["redis.url"], found["http.listen"]) == (mode, redis, http)


@pytest.mark.parametrize("words", [[], *([command] for command in COMMANDS)])
def test_help_fits_into_80_columns_and_tells_the_common_options(capsys, monkeypatch, words):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) < 80
    for option in ("--config", "--cursor-dir", "--state-dir", "--log-format", "--no-color", "--version"):
        assert option in out


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("    ")]
    assert [word for word in listed if word in COMMANDS] == COMMANDS


@pytest.mark.parametrize("words", [["--version"], ["events", "--version"], ["-q", "--version"]])
def test_the_version_is_told_wherever_it_is_asked_for(capsys, words):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("trio_cursor 0.")


@pytest.mark.parametrize(
    "words", [["--help"], ["version", "--help"], ["run", "--help"], ["evnts"], ["--sicne"]]
)
def test_help_and_mistakes_do_not_wait_for_what_the_commands_need(words):
    program = """
import json, sys
before = set(sys.modules)
from trio_cursor.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    sys.stderr.write(json.dumps(sorted(set(sys.modules) - before)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = json.loads(done.stderr[done.stderr.index("[") :])
    assert "trio_cursor.cli.parser" in loaded
    slow = {"trio", "attrs", "cattrs", "rich", "structlog", "redis", "sqlite3", "shtab"}
    assert not slow.intersection(loaded)
