"""Where log lines go when we are the program: stderr, for people on a terminal, as JSON elsewhere.

Under Windows' task scheduler, which gives nobody a stderr, they go to a file.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final, TextIO

import attrs
import structlog

from trio_cursor.cli.output import goes_nowhere, printable
from trio_cursor.config import LoggingConfig
from trio_cursor.hosts.windows_task import log_file
from trio_cursor.logs import add_bound

#: Of the file, which is begun anew then; the one before it is kept.
_MOST_BYTES: Final = 5_000_000


def is_console(config: LoggingConfig) -> bool:
    """Whether a person reads stderr."""
    # On Windows the null device calls itself a terminal.
    is_terminal = sys.stderr.isatty() and not goes_nowhere(sys.stderr)
    return config.format == "console" or (config.format == "auto" and is_terminal)


def level_of(config: LoggingConfig) -> int:
    """The least level of a line that is written."""
    return logging.getLevelNamesMapping()[config.level.upper()]


class _Stderr(logging.Handler):
    """To whatever stderr is at that moment: a progress bar stands in for it, to stay below the lines."""

    def __init__(self) -> None:
        super().__init__()
        self._is_journal = _is_journal(sys.stderr, os.environ)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
            if self._is_journal:
                text = _with_priority(text, record.levelno)
            print(text, file=sys.stderr, flush=True)
        except Exception:  # noqa: BLE001 - the standard library's way: a log line never stops the program
            self.handleError(record)


def _is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether the journal of systemd reads it: by the variable alone, whoever a unit has started would."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # of a stream in memory, or a closed one
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _with_priority(text: str, level: int) -> str:
    """What the journal takes from the beginning of each line (sd-daemon(3)); what it shows is without it."""
    levels = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
    priority = next((number for least, number in levels if level >= least), 7)
    return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))


@attrs.define(eq=False)
class LogLines:
    """Our handler and the root logger's level, as they are configured."""

    colors: bool
    platform: str = sys.platform
    _handler: logging.Handler = attrs.field(init=False)

    @_handler.default
    def _make_handler(self) -> logging.Handler:
        if self.platform == "win32" and goes_nowhere(sys.stderr):
            path = log_file(os.environ, str(Path.home()))
            return RotatingFileHandler(
                path, maxBytes=_MOST_BYTES, backupCount=1, encoding="utf-8", delay=True
            )
        return _Stderr()

    def follow(self, config: LoggingConfig) -> None:
        """Write from now on as is configured there."""
        formatter = _console(config, colors=self.colors) if is_console(config) else _json()
        self._handler.setFormatter(formatter)
        root = logging.getLogger()
        root.handlers[:] = [self._handler]
        root.setLevel(level_of(config))

    def close(self) -> None:
        """Let go of what is open."""
        self._handler.close()


@contextmanager
def logging_to_stderr(
    config: LoggingConfig, *, colors: bool, platform: str = sys.platform
) -> Iterator[LogLines]:
    """Give the root logger one handler that renders structlog's and everybody else's records alike."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    lines = LogLines(colors, platform)
    lines.follow(config)
    # Those of libraries would be text between records.
    logging.captureWarnings(True)
    try:
        yield lines
    finally:
        logging.captureWarnings(False)
        lines.close()
        root.handlers[:] = before[0]
        root.setLevel(before[1])


def _console(config: LoggingConfig, *, colors: bool) -> logging.Formatter:
    renderer = structlog.dev.ConsoleRenderer(
        # On Windows structlog wants colorama for colours, and fails without.
        colors=colors and sys.platform != "win32",
        pad_event_to=0,
        pad_level=False,
        # The default one shows local variables, in which prompts stand.
        exception_formatter=structlog.dev.plain_traceback,
    )
    stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
    with_traces = config.level == "debug"
    return _formatter([stamp], [_harmless if with_traces else _harmless_without_trace, renderer])


def _json() -> logging.Formatter:
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    # With its trace: in a record that is one line all the same.
    last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return _formatter([stamp, structlog.stdlib.add_logger_name], last)


def _formatter(more: list[Any], last: list[Any]) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder(), add_bound, *more],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def _harmless(_logger: object, _name: str, record: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A folder's name may hold escape sequences."""
    return {key: printable(value) if isinstance(value, str) else value for key, value in record.items()}


def _harmless_without_trace(
    logger: object, name: str, record: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    record = _harmless(logger, name, record)
    record.pop("exc_info", None)
    return record
