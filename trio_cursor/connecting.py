"""A TCP connection by name: Trio's own, but names are looked up in a thread of ours.

Trio would take one of its default threads for that. A host that has work in all of them, which is its good
right, would keep us from sending anything.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from functools import partial
from typing import Final

import trio

#: Threads that look up names: one at work, the others may hang where nobody answers.
_MOST_THREADS: Final = 4
#: After so many seconds without an answer of one address the next one is tried beside it.
_PATIENCE_SECONDS: Final = 0.25

#: Of one run of Trio.
_limiter: Final = trio.lowlevel.RunVar[trio.CapacityLimiter]("trio_cursor.connecting")


async def open_stream(host: str, port: int) -> trio.SocketStream:
    """Connect to whichever address of a host answers first. Raises OSError."""
    numbers = await _numbers(host)
    streams: list[trio.SocketStream] = []
    errors: list[OSError] = []

    async def attempt(number: str, has_failed: trio.Event) -> None:
        try:
            # An address in digits: Trio needs no thread for it.
            streams.append(await trio.open_tcp_stream(number, port))
        except OSError as error:
            errors.append(error)
            has_failed.set()
        else:
            nursery.cancel_scope.cancel()

    try:
        async with trio.open_nursery() as nursery:
            for number in numbers:
                has_failed = trio.Event()
                nursery.start_soon(attempt, number, has_failed)
                with trio.move_on_after(_PATIENCE_SECONDS):
                    await has_failed.wait()
    except BaseException:
        for stream in streams:
            stream.socket.close()
        raise
    for stream in streams[1:]:
        stream.socket.close()
    if not streams:
        raise errors[0]
    return streams[0]


async def _numbers(host: str) -> Sequence[str]:
    """The addresses that a host stands for, as the system would have them tried."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return (host,)
    found = await trio.to_thread.run_sync(
        partial(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM),
        abandon_on_cancel=True,
        limiter=_threads(),
    )
    return list(dict.fromkeys(_text(item[4]) for item in found))


def _text(address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> str:
    """With the number of the interface, without which nobody gets to an address of the link."""
    match address:
        case (str(number), _, _, int(scope)) if scope:
            return f"{number}%{scope}"
    return str(address[0])


def _threads() -> trio.CapacityLimiter:
    try:
        return _limiter.get()
    except LookupError:
        _limiter.set(limiter := trio.CapacityLimiter(_MOST_THREADS))
        return limiter
