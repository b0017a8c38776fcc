"""The HTTP server: listens, and goes on trying where it cannot. Never the end of the service."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import attrs
import trio

from trio_cursor.config import listen_address
from trio_cursor.logs import get_logger
from trio_cursor.metrics import Family
from trio_cursor.sessions.announcements import Desk
from trio_cursor.states import SourceState
from trio_cursor.status import Status
from trio_cursor.web.guard import Asgi, gate_for, guarded
from trio_cursor.web.intake import Intake
from trio_cursor.web.journal import Journal
from trio_cursor.web.limits import Limits
from trio_cursor.web.scraping import Scraping

if TYPE_CHECKING:
    from trio_cursor.web.clients import Clients

log = get_logger(__name__)

_BACKLOG = 100
_RETRY_FIRST_SECONDS, _RETRY_MOST_SECONDS = 1.0, 60.0
_RESOLVE_SECONDS = 10.0


@attrs.define(eq=False)
class ServerState:
    """What the server writes down."""

    #: HOST:PORT, the real ones once it listens.
    address: str
    #: listening | off | error
    state: str = "off"
    last_error: str | None = None
    #: The session source that is heard through it: cannot be reached where the server is not.
    source: SourceState | None = None
    #: The last one of ours that has ended it.
    mistake: str | None = None

    def listens(self, address: str) -> None:
        """It can be reached."""
        if self.state == "error":
            log.info("the HTTP server listens again", address=address)
        self.address, self.state, self.last_error = address, "listening", None
        if self.source is not None:
            self.source.state, self.source.last_error = "connected", None

    def failed(self, why: str) -> bool:
        """It cannot, for this reason. Returns whether that is news."""
        is_news = self.state != "error" or self.last_error != why
        self.state, self.last_error = "error", why
        if self.source is not None:
            self.source.state, self.source.last_error = "error", why
            self.source.errors += 1
        return is_news

    def stumbled(self, mistake: Exception) -> bool:
        """It was ended by a mistake of ours. Returns whether that is another one than the last."""
        was, self.mistake = self.mistake, repr(mistake)
        return self.mistake != was


async def serve_web(
    listen: str,
    token: str | None,
    state: ServerState,
    *,
    intake: tuple[Desk, SourceState] | None,
    journal: Journal | None,
    status: Callable[[], Status],
    readiness: Callable[[], list[str]],
    now_ms: Callable[[], int],
    metrics: Callable[[], Sequence[Family]],
    limits: Limits | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Serve intake, health, status, metrics and page until cancelled; `token` is what `check_listen` gave.

    `intake`: where announcements are handed in, and what is said of this source; None: they are refused.
    `journal`: what the page shows; None: there is no page.

    Reports as started when it listens, or when it is clear that it cannot for now.
    """
    # Starlette, jinja2 and hypercorn: 100 ms that only a service with a server has to spend.
    from trio_cursor.web.app import make_app  # noqa: PLC0415

    limits = limits or Limits()
    taking = None
    if intake is not None:
        desk, state.source = intake
        taking = Intake(desk, state.source, limits.store_seconds)
    app = make_app(
        intake=taking,
        journal=journal,
        status=status,
        readiness=readiness,
        now_ms=now_ms,
        limits=limits,
        metrics=Scraping(metrics),
    )

    async def beside() -> None:
        async with trio.open_nursery() as nursery:
            for work in (taking, journal):
                nursery.start_soon(trio.sleep_forever if work is None else work.run)

    await serve_http(
        listen,
        guarded(app, gate_for(listen, token)),
        state,
        beside=beside,
        limits=limits,
        task_status=task_status,
    )


async def serve_http(
    listen: str,
    app: Asgi,
    state: ServerState,
    *,
    beside: Callable[[], Awaitable[None]] = trio.sleep_forever,
    limits: Limits | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Serve an ASGI application on `HOST:PORT` until cancelled, and run `beside` while it is served.

    Installs no signal handler and no logging, and starts no lifespan. Reports as started as `serve_web` does.

    Resource handling: cancelled, it closes every socket and returns at once, whatever the clients do.

    Error handling: an address that cannot be had, and whatever is raised unexpectedly, is a state and a line
    in the log; it is tried again, first after a second, later once a minute.
    """
    # Hypercorn: see above.
    from trio_cursor.web.clients import Clients  # noqa: PLC0415

    clients = Clients(app, limits or Limits())
    limiter = trio.CapacityLimiter(1)
    pause, is_started = _RETRY_FIRST_SECONDS, False
    try:
        while True:
            try:
                listeners = await _open(listen, limiter)
            except (OSError, UnicodeError, trio.TooSlowError) as error:
                why = _in_words(error)
            else:
                state.listens(_address(listen, listeners))
                if not is_started:
                    task_status.started()
                    is_started = True
                if await _serve(clients, listeners, beside, state):
                    pause = _RETRY_FIRST_SECONDS
                why = "a mistake in trio_cursor; its log says more"
            if state.failed(why):
                log.warning("the HTTP server cannot listen; trying again", address=state.address, why=why)
            if not is_started:
                task_status.started()
                is_started = True
            await trio.sleep(pause)
            pause = min(pause * 2, _RETRY_MOST_SECONDS)
    finally:
        state.state = "off"


async def _serve(
    clients: Clients,
    listeners: list[trio.SocketListener],
    beside: Callable[[], Awaitable[None]],
    state: ServerState,
) -> bool:
    """Until cancelled, or until something fails that must not. Returns whether it went well for long."""
    began, went_well = trio.current_time(), False
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(beside)
            nursery.start_soon(trio.serve_listeners, clients.talk, listeners)
    except* Exception as mistakes:  # the border of the server
        went_well = trio.current_time() - began > _RETRY_MOST_SECONDS
        if state.stumbled(mistakes) or went_well:
            log.exception("the HTTP server failed and starts again")
    finally:
        for listener in listeners:
            listener.socket.close()
    return went_well


async def _open(listen: str, limiter: trio.CapacityLimiter) -> list[trio.SocketListener]:
    """A listener for each address of the host. Raises OSError, UnicodeError, `trio.TooSlowError`."""
    address = listen_address(listen)
    assert address is not None  # noqa: S101 - nobody serves nowhere
    host, port = address
    listeners: list[trio.SocketListener] = []
    try:
        for number in await _numbers(host, limiter):
            try:
                # Addresses in digits: Trio needs no thread of its own for them.
                listeners += await trio.open_tcp_listeners(port, host=number, backlog=_BACKLOG)
            except OSError as error:
                # Of several one may be of a kind that this machine does not have.
                if not listeners or error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
            port = port or listeners[0].socket.getsockname()[1]
    except BaseException:
        for listener in listeners:
            listener.socket.close()
        raise
    return listeners


async def _numbers(host: str, limiter: trio.CapacityLimiter) -> Sequence[str]:
    """The addresses that a host stands for."""
    if host.lower() == "localhost":
        return "127.0.0.1", "::1"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        with trio.fail_after(_RESOLVE_SECONDS):
            found = await trio.to_thread.run_sync(
                partial(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM),
                abandon_on_cancel=True,
                limiter=limiter,
            )
        return list(dict.fromkeys(str(item[4][0]) for item in found))
    return (host,)


def _address(listen: str, listeners: list[trio.SocketListener]) -> str:
    """As it was asked for, with the port that it became."""
    return f"{listen.rpartition(':')[0]}:{listeners[0].socket.getsockname()[1]}"


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "its name does not resolve"
