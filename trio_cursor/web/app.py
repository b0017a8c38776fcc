"""The application: announcements in by `POST /events`; health, status, metrics, events and the page out.

This module needs starlette, which takes a while to import: only a running server imports it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import attrs
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from trio_cursor.observations import JsonObject
from trio_cursor.status import Status
from trio_cursor.web.intake import BODY_LIMIT, Intake, UnusableError, read_body
from trio_cursor.web.journal import Journal
from trio_cursor.web.limits import Limits
from trio_cursor.web.live import Live
from trio_cursor.web.pages import Pages

#: Of all posts that are being received at once, together.
_BODIES_LIMIT = 16 * BODY_LIMIT


def make_app(
    *,
    intake: Intake | None,
    journal: Journal | None,
    status: Callable[[], Status],
    readiness: Callable[[], list[str]],
    now_ms: Callable[[], int],
    limits: Limits,
    metrics: Callable[[str], Awaitable[tuple[bytes, str]]],
) -> Starlette:
    """The application. `readiness` says in words what keeps the service from its work; nothing: ready.

    `intake` None: nobody's announcements are taken. `journal` None: there is no log to show, so neither
    the page nor the stream of events. `metrics` is asked with the header `Accept` and gives the page and its
    content type.
    """

    async def health(_: Request) -> Response:
        return _answer(200, {"status": "ok"})

    async def ready(_: Request) -> Response:
        why = readiness()
        return _answer(503 if why else 200, {"status": "not ready" if why else "ready", "why": why})

    async def whole_status(_: Request) -> Response:
        found = status().to_object()
        found["workspaces"] = [*found["workspaces"], *(_unmapped(item) for item in found["unmapped"])]
        return _answer(200, found)

    async def scrape(request: Request) -> Response:
        page, kind = await metrics(request.headers.get("accept", ""))
        return Response(page, headers={"content-type": kind})

    app = Starlette(
        routes=[
            Route("/events", _Events(intake, now_ms).post if intake else _not_taken, methods=["POST"]),
            Route("/healthz", health),
            Route("/readyz", ready),
            Route("/status", whole_status),
            *_pages(journal, status, now_ms, limits),
            Route("/metrics", scrape),
        ],
        exception_handlers={HTTPException: _refused, Exception: _broken},
    )
    # A redirect would quote the caller's Host header.
    app.router.redirect_slashes = False
    return app


def _pages(
    journal: Journal | None, status: Callable[[], Status], now_ms: Callable[[], int], limits: Limits
) -> list[Route]:
    if journal is None:
        return []
    return [Route("/api/events", Live(journal.log, limits).get), *Pages(journal, status, now_ms).routes()]


def _unmapped(item: JsonObject) -> JsonObject:
    """An announced workspace without a database, as one of the workspaces."""
    why = "; ".join(f"{strategy}: {words}" for strategy, words in item["why"].items())
    known = {name: item[name] for name in ("workspace_hash", "workspace_path", "sessions")}
    nothing = dict.fromkeys(("database", "workspace_id", "schema", "last_check"))
    return {**nothing, **known, "status": "unmapped", "errors": 0, "last_error": why or None, "position": {}}


@attrs.define(eq=False)
class _Events:
    """`POST /events`."""

    intake: Intake
    now_ms: Callable[[], int]
    #: Bytes of bodies in memory.
    _held: int = 0

    async def post(self, request: Request) -> Response:
        heard_ms = self.now_ms()
        try:
            _require_json(request)
            posted = read_body(await self._body(request), heard_ms)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody hears it
        except HTTPException as refusal:
            self.intake.refused(str(refusal.detail))
            raise
        except UnusableError as error:
            self.intake.refused(error.reason)
            at = {} if error.index is None else {"index": error.index}
            return _answer(400, {"error": str(error), **at})
        if await self.intake.take(posted.heard):
            return _answer(202, {"taken": len(posted.heard), "ignored": posted.ignored})
        raise _later("the event log could not be written in time; send it again, which is harmless", 5)

    async def _body(self, request: Request) -> bytes:
        """All of the body; what `Content-Length` says is believed only if it says too much."""
        said = request.headers.get("content-length", "")
        if said.isdigit() and int(said[:20]) > BODY_LIMIT:
            raise _too_large()
        body = bytearray()
        try:
            async with aclosing(request.stream()) as parts:
                async for part in parts:
                    body += part
                    self._held += len(part)
                    if len(body) > BODY_LIMIT:
                        raise _too_large()
                    if self._held > _BODIES_LIMIT:
                        raise _later("too many large bodies at once; send it again", 1)
        finally:
            self._held -= len(body)
        return bytes(body)


def _too_large() -> HTTPException:
    return HTTPException(413, f"the body is larger than {BODY_LIMIT:,} bytes")


def _later(why: str, seconds: int) -> HTTPException:
    return HTTPException(503, why, {"Retry-After": str(seconds)})


def _require_json(request: Request) -> None:
    """Any page may send a form or plain text anywhere, but JSON only after it was allowed to."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "the content type must be application/json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "the body must not be compressed")


async def _not_taken(_: Request) -> Response:
    return _answer(409, {"error": "sessions are found by looking alone: [sessions] mode is discovery"})


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    return _answer(error.status_code, {"error": error.detail}, error.headers)


async def _broken(_: Request, __: Exception) -> Response:
    return _answer(500, {"error": "a mistake in trio_cursor; its log says more"})


def _answer(code: int, content: Any, headers: Mapping[str, str] | None = None) -> Response:
    # ASCII: a path may hold bytes that are no text, which no encoder takes.
    return Response(json.dumps(content), code, headers, media_type="application/json")
