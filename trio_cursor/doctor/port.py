"""Whether the address of our HTTP server can be had, or somebody else has it."""

from __future__ import annotations

import errno
import socket
import sys

import attrs

from trio_cursor.config import Config, listen_address


@attrs.frozen
class PortLook:
    """The address that is configured."""

    #: HOST:PORT
    address: str
    #: Why nobody could listen there now, in words; None: that is possible.
    trouble: str | None = None
    #: Somebody listens there, maybe we.
    is_taken: bool = False


def look_at_port(config: Config, platform: str = sys.platform) -> PortLook | None:
    """Bind to it for an instant, without listening; None: no server is wanted.

    Blocks where names are asked for.
    """
    address = listen_address(config.http.listen)
    if address is None:
        return None
    host, port = address
    shown = config.http.listen
    try:
        for family, kind, _, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind) as probe:
                _as_a_server_has_it(probe, platform)
                probe.bind(place)
            break
    except (OSError, UnicodeError) as error:
        is_taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = getattr(error, "strerror", None) or str(error)
        return PortLook(shown, trouble=why, is_taken=is_taken)
    return PortLook(shown)


def _as_a_server_has_it(probe: socket.socket, platform: str) -> None:
    if platform == "win32":
        probe.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR), 1)
    else:
        # A connection that was closed a moment ago is in nobody's way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
