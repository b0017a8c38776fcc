"""All clients of the server: so many at once, and no mistake with one of them is felt by another.

This module needs hypercorn: only a running server imports it.
"""

from __future__ import annotations

import trio

from trio_cursor.logs import get_logger
from trio_cursor.web.connection import Connection, hypercorn_config
from trio_cursor.web.guard import Asgi
from trio_cursor.web.limits import Limits

log = get_logger(__name__)


class Clients:
    """Who is connected."""

    def __init__(self, app: Asgi, limits: Limits) -> None:
        self._app, self._limits = app, limits
        self._config = hypercorn_config(limits)
        self._connected: set[Connection] = set()

    async def talk(self, stream: trio.SocketStream) -> None:
        """Serve one client until either has enough. The stream is the caller's to close."""
        if not self._has_room():
            return
        connection = Connection(self._app, self._config, self._limits, stream)
        self._connected.add(connection)
        try:
            await connection.run()
        except* Exception:  # the border of a connection
            log.exception("a connection failed")
        finally:
            self._connected.discard(connection)

    def _has_room(self) -> bool:
        """Whether one more may come, if need be for one that asks nothing."""
        if len(self._connected) < self._limits.connections:
            return True
        idle = [item for item in self._connected if item.idle_since is not None]
        if not idle:
            return False
        longest = min(idle, key=lambda item: item.idle_since or 0.0)
        self._connected.discard(longest)
        longest.cut()
        return True
