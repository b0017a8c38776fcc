"""One client's connection: hypercorn's HTTP/1.1 over a Trio stream, within bounds of time and memory.

Hypercorn's own loop for a connection sends under a shield and without a deadline, so that one client that
does not read its answer would keep a cancelled service alive for ever. This one is cancelled at once.

This module needs hypercorn, which takes a while to import: only a running server imports it.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIReceiveEvent, ASGISendEvent, ConnectionState, Scope

from trio_cursor.logs import get_logger
from trio_cursor.web.limits import Limits

log = get_logger(__name__)

_PART_BYTES = 64 * 1024
#: Parts of a body that wait for the application.
_PARTS_AHEAD = 4


def hypercorn_config(limits: Limits) -> Config:
    """Hypercorn's configuration; nothing of its own logging, which would write to stderr by itself."""
    config = Config()
    config.accesslog = config.errorlog = None
    config.include_server_header = False
    config.h11_max_incomplete_size = limits.header_bytes
    return config


class _Protocol(H11Protocol):
    """HTTP/1.1 and nothing else."""

    async def _check_protocol(self, event: Any) -> None:
        """Do not leave for HTTP/2, of which a hundred requests fit into one connection."""


class _Tasks(TaskGroup):
    """The requests of a connection, one after the other."""

    def __init__(self, whole: Callable[[], None]) -> None:
        super().__init__()
        self._whole = whole

    async def spawn_app(
        self,
        app: Any,
        config: Config,  # noqa: ARG002 - hypercorn's signature
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Start the application on a request; what is returned takes the parts of its body."""
        sends, parts = trio.open_memory_channel[ASGIReceiveEvent](_PARTS_AHEAD)

        async def put(message: ASGIReceiveEvent) -> None:
            if message["type"] == "http.disconnect":
                # Never waits for an application that does not listen, as a message would.
                sends.close()
                return
            if message["type"] == "http.request" and not message["more_body"]:
                self._whole()
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await sends.send(message)

        async def receive() -> ASGIReceiveEvent:
            try:
                return await parts.receive()
            except trio.EndOfChannel:
                return {"type": "http.disconnect"}

        async def run() -> None:
            try:
                with parts:
                    await app(scope, receive, send)
            except Exception:  # the border of a request
                log.exception("a request failed")
            await send(None)

        self.spawn(run)
        return put


class Connection:
    """One client."""

    def __init__(self, app: Any, config: Config, limits: Limits, stream: trio.SocketStream) -> None:
        self._app, self._config, self._limits, self._stream = app, config, limits, stream
        self._scope, self._reading = trio.CancelScope(), trio.CancelScope()
        self._sending = trio.Lock()
        self._is_answered = False
        #: Since when it waits for a request, on Trio's clock; None: it has one.
        self.idle_since: float | None = None
        self._rest()

    def cut(self) -> None:
        """End it."""
        self._scope.cancel()

    async def run(self) -> None:
        """Answer the client's requests until either has enough. The stream is the caller's to close."""
        try:
            peer, own = self._stream.socket.getpeername(), self._stream.socket.getsockname()
        except OSError:
            return  # gone already
        tasks = _Tasks(self._whole)
        with self._scope:
            async with tasks:
                self._protocol = _Protocol(
                    self._app,
                    self._config,
                    WorkerContext(None),
                    tasks,
                    ConnectionState({}),
                    False,
                    peer[:2],
                    own[:2],
                    self._send,
                )
                with self._reading:
                    await self._read()
                await self._protocol.handle(Closed())

    def _rest(self) -> None:
        """Wait for the next request."""
        self.idle_since = trio.current_time()
        self._reading.deadline = self.idle_since + self._limits.idle_seconds

    def _begin(self) -> None:
        """Wait for the body of a request."""
        self.idle_since = None
        self._reading.deadline = trio.current_time() + self._limits.body_seconds

    def _whole(self) -> None:
        """Wait for the answer, as long as it takes."""
        self._reading.deadline = math.inf

    async def _read(self) -> None:
        while True:
            try:
                data = await self._stream.receive_some(_PART_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            # What comes after an answer that ends the connection is read, so that the answer arrives.
            if not self._is_answered:
                await self._protocol.handle(RawData(bytes(data)))
            if not data:
                return

    async def _send(self, event: Event) -> None:
        match event:
            case RawData(data):
                await self._write(data)
            case Updated(idle=True):
                self._rest()
            case Updated():
                self._begin()
            case Closed():
                await self._finish()

    async def _write(self, data: bytes) -> None:
        async with self._sending:
            try:
                with trio.fail_after(self._limits.write_seconds):
                    await self._stream.send_all(data)
            except (trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError):
                # The reading side finds it closed, and ends the connection.
                await trio.aclose_forcefully(self._stream)

    async def _finish(self) -> None:
        """The last answer was given: let the client hear it, and say no more."""
        self._is_answered = True
        self._reading.deadline = trio.current_time() + self._limits.linger_seconds
        async with self._sending:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._stream.send_eof()
        await self._protocol.handle(Closed())
