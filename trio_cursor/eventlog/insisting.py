"""What must not be lost waits until the log takes it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from trio_cursor.errors import StateError
from trio_cursor.logs import get_logger

log = get_logger(__name__)

T = TypeVar("T")

_TROUBLE = "the event log cannot be written; trying again until it can"
_RETRY_FIRST_SECONDS, _RETRY_MOST_SECONDS = 0.1, 5.0


async def insist(operation: Callable[[], Awaitable[T]], waiting: str) -> T:
    """Try until the log takes it, and everybody behind waits; `waiting` says in the log lines what does."""
    pause = _RETRY_FIRST_SECONDS
    is_in_trouble = False
    while True:
        try:
            result = await operation()
        except StateError as error:
            if not is_in_trouble:
                log.error(_TROUBLE, waiting=waiting, error=str(error))  # noqa: TRY400 - one line
            is_in_trouble = True
            await trio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(pause * 2, _RETRY_MOST_SECONDS)
            continue
        if is_in_trouble:
            log.info("the event log is written again", waiting=waiting)
        return result
