"""Loggers of the library: structlog's interface on the standard library's logging, and nothing global.

An embedding program decides what becomes of the records; the command line configures a handler.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final, cast

import structlog

#: Ours alone: what a host binds by structlog's own variables stays the host's.
_BOUND: Final[ContextVar[Mapping[str, str]]] = ContextVar("trio_cursor_bound", default=MappingProxyType({}))


@contextmanager
def bound(*, workspace: str | None = None, session: str | None = None) -> Iterator[None]:
    """Say in every line of the block what it is about, also in those of tasks and threads started in it.

    A line that names another workspace or session itself is about that one.
    """
    given = (("workspace", workspace), ("session", session))
    token = _BOUND.set({**_BOUND.get(), **{name: value for name, value in given if value is not None}})
    try:
        yield
    finally:
        _BOUND.reset(token)


def add_bound(_logger: object, _name: str, record: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A processor: what is bound where the line is written, behind what it says itself."""
    for name, value in _BOUND.get().items():
        record.setdefault(name, value)
    return record


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose key-value pairs travel as `extra` of ordinary records.

    The context variables of a host that uses structlog too are left out: `extra` takes no key that a
    record has already, and one named so would raise here.

    Pass ids, counts and paths; never a prompt, an answer or a URL with its password.
    """
    logger = structlog.wrap_logger(
        logging.getLogger(name),
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            add_bound,
            structlog.stdlib.ExtraAdder(),
            structlog.stdlib.render_to_log_kwargs,
        ],
        cache_logger_on_first_use=False,
    )
    return cast("structlog.stdlib.BoundLogger", logger)
