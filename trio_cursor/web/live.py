"""`GET /api/events`: the log by sequence as server-sent events, then what comes.

Each reader reads the log at his own pace, a little at a time: whoever is slow lags, and nothing is kept for
him. Whoever does not read at all is cut off (`Limits.write_seconds`), comes again and goes on where he was.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs
import trio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from trio_cursor.errors import StateError
from trio_cursor.eventlog import EventLog
from trio_cursor.events import EVENT_TYPE, to_json
from trio_cursor.records import Event
from trio_cursor.web.limits import Limits
from trio_cursor.web.presence import until_gone

_BATCH_EVENTS, _BATCH_BYTES = 100, 1_000_000
#: After so long a client that has lost the connection comes again.
_RETRY_MS = 1000
_SEQUENCE = re.compile(r"[0-9]{1,18}")

Words = Callable[[Event], str]
#: What is said of an event; by what `texts` asks for.
_WORDS: dict[str, Words] = {"yes": to_json, "no": lambda _: "{}"}


@attrs.define(eq=False)
class Live:
    """The stream's route."""

    log: EventLog
    limits: Limits
    _open: int = attrs.field(default=0, init=False)

    async def get(self, request: Request) -> Response:
        """Everything behind `Last-Event-ID`, else behind `after`, else from the beginning of the log.

        `log` says of which log that place is, as an earlier answer has named it.
        """
        said = request.headers.get("last-event-id") or request.query_params.get("after") or "0"
        if not _SEQUENCE.fullmatch(said):
            raise HTTPException(400, "Last-Event-ID and after are sequences: numbers")
        words = _WORDS.get(request.query_params.get("texts", "yes"))
        if words is None:
            raise HTTPException(400, "texts is yes or no")
        is_ours = request.query_params.get("log") in (None, "", self.log.created_at)
        # A place that this log does not have is one in another log: of this one nothing is known there.
        after = int(said) if is_ours and int(said) <= self.log.last_sequence else 0
        if request.method == "HEAD":
            return Response(headers=self.named(), media_type="text/event-stream")
        if self._open >= self.limits.streams:
            raise HTTPException(503, "too many readers at once; come again", {"Retry-After": "5"})
        return _Stream(self, after, words)

    async def tell(self, after: int, words: Words, send: Send) -> None:
        """Send what is behind a sequence, and what comes, until the stream has lasted long enough."""
        end = trio.current_time() + self.limits.stream_seconds
        await _part(send, f"retry: {_RETRY_MS}\nid: {after}\n\n")
        while (now := trio.current_time()) < end:
            newest = self.log.last_sequence
            try:
                events = await self.log.read(
                    after, limit=_BATCH_EVENTS, event_type=EVENT_TYPE, max_bytes=_BATCH_BYTES
                )
            except (StateError, trio.ClosedResourceError):
                return  # who comes again may find it mended
            for event in events:
                after = event.sequence
                await _part(send, f"id: {after}\ndata: {words(event)}\n\n")
            if events:
                continue
            # Where nothing was read nothing is left.
            after = max(after, newest)
            # No checkpoint between the comparison and the wait: an append cannot slip through.
            if after >= self.log.last_sequence:
                wait = min(self.limits.heartbeat_seconds, end - now)
                with trio.move_on_after(wait) as silence:
                    await self.log.appended.wait()
                if silence.cancelled_caught:
                    # An id alone is no event, but the place to go on from.
                    await _part(send, f": still there\nid: {after}\n\n")

    def named(self) -> dict[str, str]:
        """Which log it is."""
        return {"Trio-Cursor-Log": self.log.created_at}

    def arrived(self) -> None:
        """One reader more."""
        self._open += 1

    def left(self) -> None:
        """One reader less."""
        self._open -= 1


class _Stream(Response):
    """The answer, for as long as the client wants it."""

    def __init__(self, live: Live, after: int, words: Words) -> None:
        super().__init__(headers=live.named(), media_type="text/event-stream")
        del self.headers["content-length"]
        self._live, self._after, self._words = live, after, words
        live.arrived()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async with trio.open_nursery() as nursery:

                async def give_up() -> None:
                    await until_gone(receive)
                    nursery.cancel_scope.cancel()

                nursery.start_soon(give_up)
                await self._live.tell(self._after, self._words, send)
                nursery.cancel_scope.cancel()
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._live.left()


async def _part(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
