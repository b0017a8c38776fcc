"""Whether somebody still waits for an answer.

This module needs starlette, which takes a while to import: only a running server imports it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive


async def until_gone(receive: Receive) -> None:
    """Return when the client has gone, which shows only to who listens."""
    while (await receive())["type"] != "http.disconnect":
        pass


def for_who_waits(
    answer: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """The same, given up when its client goes away."""

    async def waited_for(request: Request) -> Response:
        found = Response(status_code=400)  # nobody hears it
        async with trio.open_nursery() as nursery:

            async def give_up() -> None:
                await until_gone(request.receive)
                nursery.cancel_scope.cancel()

            nursery.start_soon(give_up)
            found = await answer(request)
            nursery.cancel_scope.cancel()
        return found

    return waited_for
