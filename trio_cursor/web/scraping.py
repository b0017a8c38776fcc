"""A scrape: figures are read by the task that is asked, and made a page of in a thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import trio

from trio_cursor.metrics import Family


@attrs.define(eq=False)
class Scraping:
    """`GET /metrics`, whatever serves it."""

    read: Callable[[], Sequence[Family]]
    #: Own thread: a host that uses all of Trio's must not keep anybody from looking.
    _limiter: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1), init=False)

    async def __call__(self, accept: str) -> tuple[bytes, str]:
        """The page and its content type; `accept` is the header of that name, "" if there is none."""
        families = self.read()
        return await trio.to_thread.run_sync(
            _render, families, accept, abandon_on_cancel=True, limiter=self._limiter
        )


def _render(families: Sequence[Family], accept: str) -> tuple[bytes, str]:
    # prometheus-client takes 50 ms to import, which nobody has to wait for whom nobody scrapes.
    from trio_cursor.web.exposition import render  # noqa: PLC0415

    return render(families, accept)
