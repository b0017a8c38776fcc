"""Where log lines go when we are the program: stderr, for people on a terminal, as JSON elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import structlog

from trio_cursor.cli.output import printable
from trio_cursor.config import LoggingConfig
from trio_cursor.logs import add_bound


def is_console(config: LoggingConfig) -> bool:
    """Whether a person reads stderr."""
    return config.format == "console" or (config.format == "auto" and sys.stderr.isatty())


def level_of(config: LoggingConfig) -> int:
    """The least level of a line that is written."""
    return logging.getLevelNamesMapping()[config.level.upper()]


class _Stderr(logging.Handler):
    """To whatever stderr is at that moment: a progress bar stands in for it, to stay below the lines."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except Exception:  # noqa: BLE001 - the standard library's way: a log line never stops the program
            self.handleError(record)


@attrs.define(eq=False)
class LogLines:
    """Our handler and the root logger's level, as they are configured."""

    colors: bool
    _handler: logging.Handler = attrs.field(factory=_Stderr, init=False)

    def follow(self, config: LoggingConfig) -> None:
        """Write from now on as is configured there."""
        formatter = _console(config, colors=self.colors) if is_console(config) else _json()
        self._handler.setFormatter(formatter)
        root = logging.getLogger()
        root.handlers[:] = [self._handler]
        root.setLevel(level_of(config))


@contextmanager
def logging_to_stderr(config: LoggingConfig, *, colors: bool) -> Iterator[LogLines]:
    """Give the root logger one handler that renders structlog's and everybody else's records alike."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    lines = LogLines(colors)
    lines.follow(config)
    try:
        yield lines
    finally:
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
