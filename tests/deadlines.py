"""Waits for an outcome, with an end for those that never come."""

from __future__ import annotations

from functools import wraps

import trio


async def until(condition, seconds=20, every=0.005):
    """Wait for something that sets no event: a status, a thread, a server; returns what it has found."""
    with trio.fail_after(seconds):
        while not (found := condition()):  # noqa: ASYNC110 - it is looked at, it does not call
            await trio.sleep(every)
    return found


def within(seconds):
    """Let an async test fail after so long, by the real clock: generous, and never waited for."""

    def decorate(test):
        @wraps(test)
        async def limited(*args, **kwargs):
            with trio.fail_after(seconds):
                return await test(*args, **kwargs)

        return limited

    return decorate
