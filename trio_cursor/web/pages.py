"""The page: its routes. Everything is drawn here and works without a script, but for what comes by itself.

This module needs starlette and jinja2, which take a while to import: only a running server imports it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import resources
from typing import Any

import attrs
import trio
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from trio_cursor.cursor.schemas.values import is_uuid
from trio_cursor.errors import StateError
from trio_cursor.status import Status
from trio_cursor.version import __version__
from trio_cursor.web import texts, views
from trio_cursor.web.asked import Asked, asked
from trio_cursor.web.health import Health, health, level_of
from trio_cursor.web.journal import Journal
from trio_cursor.web.overview import FULL
from trio_cursor.web.presence import for_who_waits

#: Nothing from anywhere else, and no script or style but the files of the page.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"}
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_SEQUENCE = re.compile(r"[1-9][0-9]{0,17}")
#: Ends that have a colour.
_TONES = ("error", "aborted", "incomplete")
_THEMES = ("light", "dark")
#: Parts of the first page that a script puts into one that is open, by their names in the address.
_PARTS = {"rows": "news.html", "list": "list.html", "overview": "overview.html", "health": "health.html"}
_MOST_WORKSPACES = 500
#: At once.
_DRAWINGS = 2


def environment() -> Environment:
    """The templates, in which every text is harmless unless it says itself that it is markup."""
    made = Environment(
        loader=PackageLoader("trio_cursor.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        # Whatever stands on the page goes through it, also where nobody thought of it.
        finalize=lambda value: value if hasattr(value, "__html__") else texts.plain(value),
    )
    made.filters |= {
        name: getattr(texts, name)
        for name in ("shown", "place_name", "moment", "clock", "date_unless", "iso", "span", "size", "plural")
    }
    made.filters["tone"] = lambda status: status if status in _TONES else ""
    made.globals |= {
        "version": __version__,
        "question_of": views.question_of,
        "level_of": level_of,
        "FULL": FULL,
    }
    return made


@attrs.define(eq=False)
class Pages:
    """The routes, and what stands behind them."""

    journal: Journal
    status: Callable[[], Status]
    now_ms: Callable[[], int]
    _templates: Environment = attrs.field(factory=environment, init=False)
    _static: dict[str, bytes] = attrs.field(init=False)
    #: Own threads, as for questions: a large page keeps neither the service nor the rest of the page waiting.
    _drawing: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(_DRAWINGS), init=False)

    def __attrs_post_init__(self) -> None:
        folder = resources.files("trio_cursor.web") / "static"
        # A page that is open over midnight says what was today when it was drawn.
        self._templates.globals["today"] = lambda: views.today(self.now_ms())
        self._templates.globals["index_edition"] = lambda: self.journal.edition
        self._static = {item.name: item.read_bytes() for item in folder.iterdir() if item.is_file()}

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/", for_who_waits(self.home)),
            Route("/generations/{sequence}", for_who_waits(self.generation)),
            Route("/watching", for_who_waits(self.watching)),
            Route("/static/{name}", self.static),
        ]

    async def home(self, request: Request) -> Response:
        """The list and everything around it, or a part of it."""
        said = request.query_params
        wanted, part = asked(said, views.today(self.now_ms())), said.get("part", "")
        if part == "health":
            return await self._answer(request, _PARTS[part])
        await self.journal.up_to_date()
        now = self.now_ms()
        find = {"rows": views.lines, "list": views.lines}.get(part)
        try:
            if (sequence := await self._called(wanted)) is not None:
                return RedirectResponse(f"/generations/{sequence}", 303, headers=_HEADERS)
            if find is not None:
                found = await self.journal.ask(lambda index: find(index, wanted))
            elif part == "overview":
                found = await self.journal.ask(lambda index: views.overview(index, wanted, now))
            else:
                found = await self.journal.ask(lambda index: views.home(index, wanted, now))
        except StateError as error:
            return await self._message(request, 503, "The log cannot be shown at the moment", str(error))
        template = _PARTS.get(part, "home.html")
        return await self._answer(
            request,
            template,
            asked=wanted,
            chosen=list(views.chosen(wanted, now)),
            now_ms=now,
            **found,
        )

    async def _called(self, wanted: Asked) -> int | None:
        """The sequence of what is looked for, if that is an id."""
        if not (is_uuid(wanted.q) or re.fullmatch("#[0-9]{1,18}", wanted.q)):
            return None
        return await self.journal.ask(lambda index: views.called(index, wanted.q))

    async def generation(self, request: Request) -> Response:
        """One of them in full."""
        said = request.path_params["sequence"]
        await self.journal.up_to_date()
        found = None
        if _SEQUENCE.fullmatch(said):
            outgoing = self.journal.log.outgoing
            try:
                found = await self.journal.ask(lambda index: views.generation(index, int(said), outgoing))
            except StateError as error:
                return await self._message(request, 503, "The log cannot be shown at the moment", str(error))
        if found is None:
            why = "It was never here, or the log has let it go."
            return await self._message(request, 404, "There is no such generation", why)
        part = request.query_params.get("part")
        template = "generation_part.html" if part == "whole" else "generation.html"
        return await self._answer(request, template, now_ms=self.now_ms(), **found)

    async def watching(self, request: Request) -> Response:
        """What is watched, and how it is."""
        status = self.status()
        # Those that need somebody first, then those where something happens.
        workspaces = sorted(
            status.workspaces,
            key=lambda item: (level_of(item) == "green", not item.sessions, -(item.last_activity or 0)),
        )
        return await self._answer(
            request,
            "watching_part.html" if request.query_params.get("part") == "whole" else "watching.html",
            status=status,
            workspaces=workspaces[:_MOST_WORKSPACES],
            more=max(len(workspaces) - _MOST_WORKSPACES, 0),
            now_ms=self.now_ms(),
        )

    async def static(self, request: Request) -> Response:
        """One of the files that belong to the page."""
        name = request.path_params["name"]
        content = self._static.get(name)
        if content is None:
            return await self._message(request, 404, "There is no such file", "")
        kind = next(kind for ending, kind in _KINDS.items() if name.endswith(ending))
        return Response(content, headers=_HEADERS, media_type=f"{kind}; charset=utf-8")

    def _health(self) -> Health:
        return health(self.status(), self.journal.trouble)

    async def _message(self, request: Request, code: int, title: str, words: str) -> Response:
        return await self._answer(request, "message.html", code, title=title, words=words)

    async def _answer(self, request: Request, template: str, code: int = 200, **values: Any) -> Response:
        theme = request.cookies.get("theme")
        # What is still changing is looked at here, and only read in the thread.
        said = {"health": self._health(), "theme": theme if theme in _THEMES else None, **values}

        def draw() -> bytes:
            return self._templates.get_template(template).render(said).encode("utf-8", "replace")

        page = await trio.to_thread.run_sync(draw, limiter=self._drawing)
        return Response(page, code, _HEADERS, media_type="text/html; charset=utf-8")
