"""What a run tells the service manager that has started it (systemd's sd_notify): nothing where none has.

Of the command line alone: a program that embeds `serve` has a socket and a watchdog of its own.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, MutableMapping

import attrs
import trio

from trio_cursor.cli.output import plural, printable
from trio_cursor.logs import get_logger
from trio_cursor.status import Progress

log = get_logger(__name__)

_SOCKET, _WATCHDOG, _WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
_MICROSECONDS = 1_000_000
#: Words about how it goes are renewed this often; what could not be said is tried again after so long.
_STATUS_SECONDS, _AGAIN_SECONDS = 10.0, 0.25
#: The watchdog is fed so many times within its interval, ...
_FEEDS = 4
#: ... while the next look at Cursor's files is overdue by no more than this part of it.
_LATE_PART = 0.5


@attrs.define(eq=False)
class Manager:
    """The service manager, if there is one."""

    #: Where it listens; a leading NUL for an abstract socket. None: there is none.
    address: str | None = None
    #: None: nobody watches.
    watchdog_seconds: float | None = None
    _is_ready_told: bool = attrs.field(default=False, init=False)
    _status_told: str | None = attrs.field(default=None, init=False)
    _is_trouble_said: bool = attrs.field(default=False, init=False)

    @classmethod
    def of(cls, environ: MutableMapping[str, str], *, platform: str = sys.platform) -> Manager:
        """The one that the environment names; its variables are taken out, since no child is the service."""
        address = environ.pop(_SOCKET, "")
        usec, pid = environ.pop(_WATCHDOG, ""), environ.pop(_WATCHDOG_PID, "")
        if not address or platform != "linux":
            return cls()
        if address[0] not in "/@" or len(address) < 2:  # noqa: PLR2004 - a name behind the sign
            log.warning("NOTIFY_SOCKET is of a kind that is not known; nothing is told", socket=address)
            return cls()
        # `@` stands for the NUL of an abstract name, which no variable can hold.
        path = f"\0{address[1:]}" if address[0] == "@" else address
        return cls(path, _watchdog_seconds(usec, pid))

    async def attend(self, progress: Callable[[], Progress]) -> None:
        """Tell that it is ready, how it goes and that it is alive, for ever; in the end that it stops."""
        if self.address is None:
            return
        try:
            while True:
                is_told = self._tell(progress())
                await trio.sleep(self._every() if is_told else _AGAIN_SECONDS)
        finally:
            self._send("STOPPING=1", "STATUS=stopping")

    def reloading(self) -> None:
        """The configuration is being read again."""
        self._is_ready_told = False
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """It was, whatever came of it."""
        self._is_ready_told = self._send("READY=1")

    def will_not_run(self, why: str) -> None:
        """It ends in good order before there was anything: without a word that would be a failed start."""
        self._send("READY=1", f"STATUS={why}")

    def _every(self) -> float:
        watchdog = self.watchdog_seconds
        return _STATUS_SECONDS if watchdog is None else min(watchdog / _FEEDS, _STATUS_SECONDS)

    def _tell(self, now: Progress) -> bool:
        lines, status = [], words_of(now)
        if not self._is_ready_told:
            lines.append("READY=1")
        if status != self._status_told:
            lines.append(f"STATUS={status}")
        if self.watchdog_seconds is not None and _is_alive(now, self.watchdog_seconds):
            lines.append("WATCHDOG=1")
        if lines and not self._send(*lines):
            return False
        self._is_ready_told, self._status_told = True, status
        return True

    def _send(self, *lines: str) -> bool:
        """Whether it has got that; never waits."""
        if self.address is None:
            return True
        try:
            self._send_now("\n".join(lines).encode(), self.address)
        except BlockingIOError:
            return False  # it is slow; that is no trouble of anybody's
        except OSError as error:
            if not self._is_trouble_said:
                log.warning("the service manager cannot be told anything", why=error.strerror)
            self._is_trouble_said = True
            return False
        self._is_trouble_said = False
        return True

    def _send_now(self, message: bytes, address: str) -> None:
        if sys.platform == "win32":
            raise OSError(0, "no such sockets")
        else:  # noqa: RET506 - the type checker must see that this is not for Windows
            # A socket for each: whoever holds one open for ever talks on to a manager that was replaced.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(message, os.fsencode(address))


def _watchdog_seconds(usec: str, pid: str) -> float | None:
    if not usec or (pid and pid != str(os.getpid())):
        return None  # it is not us who is watched
    if not (usec.isascii() and usec.isdigit() and int(usec)):
        log.warning("WATCHDOG_USEC is no number; the watchdog is not fed", value=usec)
        return None
    return int(usec) / _MICROSECONDS


def _is_alive(now: Progress, watchdog_seconds: float) -> bool:
    """That we come to ask shows that the event loop lives; the sweep must go on, too.

    It waits, rightly, while our own log cannot be written: a new start would not mend a full disk.
    """
    return now.log_error is not None or now.late_seconds <= watchdog_seconds * _LATE_PART


def words_of(now: Progress) -> str:
    """How it goes, in one line."""
    if now.log_error is not None:
        return printable(f"the event log cannot be used: {now.log_error}")
    if not now.first_pass_done:
        return f"first pass: {now.looked} of {plural(now.total, 'database')} read"
    words = [f"{plural(now.total, 'database')} watched, {plural(now.generations, 'generation')} reported"]
    words += [f"{item.name} is {plural(item.lag, 'event')} behind" for item in now.outputs if item.lag]
    return printable("; ".join(words))
