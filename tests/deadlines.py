"""Waits for an outcome, with an end for those that never come."""

from __future__ import annotations

from functools import wraps

import trio


async def until(condition, seconds=20):
    """Wait for something that sets no event: a status, a thread, a server; returns what it has found.

    The longer it takes, the less often it is looked at: what is waited for needs the processor, too.
    """
    began = trio.current_time()
    with trio.fail_after(seconds):
        while not (found := condition()):
            waited = trio.current_time() - began
            await trio.sleep(max(0.005, min(waited / 20, 0.1)))
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
