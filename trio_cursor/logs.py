"""Loggers of the library: structlog's interface on the standard library's logging, and nothing global.

An embedding program decides what becomes of the records; the command line configures a handler.
"""

from __future__ import annotations

import logging
from typing import cast

import structlog


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
            structlog.stdlib.ExtraAdder(),
            structlog.stdlib.render_to_log_kwargs,
        ],
        cache_logger_on_first_use=False,
    )
    return cast("structlog.stdlib.BoundLogger", logger)
