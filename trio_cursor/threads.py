"""Work in a thread that may come to hang: whoever asked for it can be cancelled, and leaves it behind."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

import trio

AnswerT = TypeVar("AnswerT")

#: How long work that was cancelled may take to end by itself before its thread is left alone.
GRACE_SECONDS: Final = 0.04


async def run_or_leave(
    work: Callable[[], AnswerT],
    *,
    limiter: trio.CapacityLimiter,
    leave: Callable[[], bool | None],
    grace: float = GRACE_SECONDS,
    thread_name: str | None = None,
) -> AnswerT:
    """Work in a thread. A cancellation is obeyed within `grace` seconds, whatever the thread does.

    The thread has its place in the limiter until it ends, however long that is after a cancellation.

    Args:
        work: Blocks. What it raises is raised.
        limiter: Own places: what hangs in Trio's own ones would hang everybody.
        leave: Called when cancelled: makes the work end soon, and what it does until then nobody's business.
            Returns False if no thread is at work, so that there is nothing to wait for.
        grace: How long a thread that was left is waited for, so that, unless it hangs, nothing of ours goes
            on after our end.
        thread_name: For whoever looks from outside.

    """
    token, ended = trio.lowlevel.current_trio_token(), trio.Event()

    def in_thread() -> AnswerT:
        try:
            return work()
        finally:
            soon(token, ended.set)

    try:
        return await trio.to_thread.run_sync(
            in_thread, thread_name=thread_name, abandon_on_cancel=True, limiter=limiter
        )
    except trio.Cancelled:
        if leave() is not False:
            with trio.move_on_after(grace, shield=True):
                await ended.wait()
        raise


def soon(token: trio.lowlevel.TrioToken, tell: Callable[[], None]) -> None:
    """Call in Trio's thread; when its run is over there is nobody to tell."""
    with suppress(trio.RunFinishedError):
        token.run_sync_soon(tell)
