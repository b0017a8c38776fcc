"""An end for tests that wait for an outcome which may never come."""

from __future__ import annotations

from functools import wraps

import trio


def within(seconds):
    """Let an async test fail after so long, by the real clock: generous, and never waited for."""

    def decorate(test):
        @wraps(test)
        async def limited(*args, **kwargs):
            with trio.fail_after(seconds):
                return await test(*args, **kwargs)

        return limited

    return decorate
