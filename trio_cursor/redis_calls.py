"""One call over a connection, in a worker thread that is left behind when the call is cancelled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import trio

from trio_cursor.redis_link import Link
from trio_cursor.redis_trouble import StreamError, Trouble
from trio_cursor.threads import run_or_leave

AnswerT = TypeVar("AnswerT")


async def call(link: Link, work: Callable[[], AnswerT], *, limiter: trio.CapacityLimiter) -> AnswerT:
    """Work with a link in a thread. A cancellation cuts the link, and is obeyed whatever the thread does.

    Raises:
        StreamError: It went wrong, or takes longer than any call may. The link is of no more use then.

    """
    with trio.move_on_after(link.longest_seconds):
        return await run_or_leave(
            partial(link.run, work), limiter=limiter, leave=link.cut, thread_name="trio_cursor redis"
        )
    raise StreamError(Trouble.STALLED, "it does not answer")
