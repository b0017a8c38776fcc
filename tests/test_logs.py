"""What a log line says of where it was written, in which form, and to whom."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
import trio
import trio.lowlevel
from running import TerminalText

from trio_cursor.cli import log_setup
from trio_cursor.cli.log_setup import is_console, logging_to_stderr
from trio_cursor.config import LoggingConfig
from trio_cursor.logs import bound, get_logger

log = get_logger("trio_cursor.tests")


@contextmanager
def records(monkeypatch, form="json"):
    """What is written meanwhile, as a program reads it, or as text."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with logging_to_stderr(LoggingConfig(format=form), colors=False):
        yield (
            lambda: (
                [json.loads(line) for line in stream.getvalue().splitlines()]
                if form == "json"
                else stream.getvalue()
            )
        )


# -- What a line is about ------------------------------------------------------------------------------


def test_lines_of_a_block_say_what_it_is_about(monkeypatch):
    with records(monkeypatch) as written:
        with bound(workspace="/home/demo/w1"):
            with bound(session="s1"):
                log.warning("in both", more=1)
                log.warning("of another", workspace="/home/demo/w2", session=None)
            log.warning("in one")
        log.warning("in none")
    both, other, one, none = written()
    assert (both["workspace"], both["session"], both["more"]) == ("/home/demo/w1", "s1", 1)
    assert (other["workspace"], other["session"]) == ("/home/demo/w2", None)
    assert (one["workspace"], one.get("session")) == ("/home/demo/w1", None)
    assert none.keys() & {"workspace", "session"} == set()


async def test_so_do_those_of_threads_and_tasks_that_are_started_in_it_and_no_others(monkeypatch):
    async def elsewhere(name):
        with bound(workspace=name):
            await trio.lowlevel.checkpoint()
            await trio.to_thread.run_sync(log.warning, name)

    with records(monkeypatch) as written:
        async with trio.open_nursery() as nursery:
            for name in ("w1", "w2", "w3"):
                nursery.start_soon(elsewhere, name)
        log.warning("behind")
    *threads, behind = written()
    assert sorted((line["event"], line["workspace"]) for line in threads) == [
        ("w1", "w1"),
        ("w2", "w2"),
        ("w3", "w3"),
    ]
    assert "workspace" not in behind


@pytest.mark.parametrize("form", ["json", "console"])
def test_what_others_log_has_the_same_form_and_says_it_too(monkeypatch, form):
    with records(monkeypatch, form) as written, bound(workspace="/home/demo/w1"):
        logging.getLogger("hypercorn.error").error("no %s", "way", extra={"port": 1})
        log.error("no way", port=1)
    if form == "console":
        theirs, ours = (line.split(" ", 1)[1] for line in written().splitlines())
        assert theirs == ours
        assert "port=1" in ours
        assert "workspace=/home/demo/w1" in ours
    else:
        theirs, ours = written()
        assert (theirs.pop("logger"), ours.pop("logger")) == ("hypercorn.error", "trio_cursor.tests")
        assert theirs.pop("timestamp") <= ours.pop("timestamp")
        assert (
            theirs == ours == {"event": "no way", "level": "error", "port": 1, "workspace": "/home/demo/w1"}
        )


def test_a_host_finds_it_in_its_records_and_its_own_variables_stay_its_own(caplog):
    with bound(workspace="w1", session="s1"), structlog.contextvars.bound_contextvars(request="r"):
        log.warning("x")
        logging.getLogger("host").warning("y")
    ours, hosts = caplog.records
    assert (ours.workspace, ours.session, hasattr(ours, "request")) == ("w1", "s1", False)
    assert not hasattr(hosts, "workspace")
    assert structlog.contextvars.get_contextvars() == {}


# -- In which form -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "on_terminal", "console"),
    [
        ("auto", True, True),
        ("auto", False, False),
        ("console", False, True),
        ("json", True, False),
    ],
)
@pytest.mark.parametrize("journal", [None, "8:12345"])
def test_a_person_gets_lines_and_a_program_records_also_the_journal(
    monkeypatch, form, on_terminal, console, journal
):
    # A terminal that was itself started by a unit inherits the variable: what counts is where it goes.
    if journal is None:
        monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    else:
        monkeypatch.setenv("JOURNAL_STREAM", journal)
    monkeypatch.setattr(sys, "stderr", TerminalText() if on_terminal else io.StringIO())
    assert is_console(LoggingConfig(format=form)) == console


def test_a_warning_of_a_library_is_a_record_like_all_others(monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        before = warnings.showwarning
        with records(monkeypatch) as written:
            warnings.warn("it is old", DeprecationWarning, stacklevel=1)
        assert warnings.showwarning is before
    [line] = written()
    assert (line["level"], line["logger"]) == ("warning", "py.warnings")
    assert "DeprecationWarning: it is old" in line["event"]


# -- To whom -------------------------------------------------------------------------------------------


def journal_of(monkeypatch, path, form, *, is_ours=True):
    """What a journal that reads our stderr gets, as it comes."""
    with path.open("w", encoding="utf-8") as stream:
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino if is_ours else 1}")
        monkeypatch.setattr(sys, "stderr", stream)
        with logging_to_stderr(LoggingConfig(level="debug", format=form), colors=False):
            log.debug("small")
            log.info("said")
            log.warning("odd")
            log.error("bad", why="a\nb")
            try:
                raise ValueError("x")  # noqa: TRY301 - for its trace
            except ValueError:
                log.exception("worse")
    return path.read_text(encoding="utf-8").splitlines()


def test_the_journal_gets_the_level_of_each_line_and_records_in_one_piece(monkeypatch, tmp_path):
    lines = journal_of(monkeypatch, tmp_path / "journal", "json")
    assert [line[:3] for line in lines] == ["<7>", "<6>", "<4>", "<3>", "<3>"]
    # As the journal keeps them: a prefix of one digit in brackets is taken off (sd-daemon(3)).
    kept = [json.loads(re.sub("^<[0-7]>", "", line)) for line in lines]
    assert [line["event"] for line in kept] == ["small", "said", "odd", "bad", "worse"]


def test_each_line_of_a_trace_has_its_level_in_the_journal(monkeypatch, tmp_path):
    lines = journal_of(monkeypatch, tmp_path / "journal", "console")
    assert len(lines) > 7
    assert {line[:3] for line in lines[4:]} == {"<3>"}


def test_a_file_beside_the_journal_gets_no_levels_of_its(monkeypatch, tmp_path):
    lines = journal_of(monkeypatch, tmp_path / "file", "json", is_ours=False)
    assert [json.loads(line)["event"] for line in lines] == ["small", "said", "odd", "bad", "worse"]


def test_under_the_task_scheduler_lines_go_to_a_file(monkeypatch, tmp_path):
    path = tmp_path / "service.log"
    monkeypatch.setattr(log_setup, "log_file", lambda *_: str(path))
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        monkeypatch.setattr(sys, "stderr", nowhere)
        # Elsewhere whoever throws them away wants no file.
        for platform in ("linux", "win32"):
            with logging_to_stderr(LoggingConfig(), colors=False, platform=platform):
                log.warning("seen", on=platform)
    [line] = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
    assert (line["event"], line["on"]) == ("seen", "win32")


def test_hostile_values_do_nothing_to_a_terminal_and_are_one_line(monkeypatch):
    with records(monkeypatch, "console") as text, bound(workspace="/x\x1b[2J\u202e\ny"):
        log.error("alarm", why="a\x1b[2J\nb")
    assert text().count("\n") == 1
    assert "\x1b" not in text()
    assert "\u202e" not in text()
    with records(monkeypatch) as written, bound(workspace="/x\x1b[2J\u202e\ny"):
        log.error("alarm")
    assert [line["workspace"] for line in written()] == ["/x\x1b[2J\u202e\ny"]
