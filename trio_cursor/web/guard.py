"""Who may talk to the HTTP server at all: decided from the headers, before anything of a body is read.

Host: a page of a foreign site can have its own name resolve to 127.0.0.1 and then talks to us as to itself.
Its name stands in `Host`, so that must be one of our own. On loopback these are `localhost`, `127.0.0.1`,
`[::1]` and the host listened on; beyond loopback also this machine's name and every address in digits, which
no resolver ever stood between. The port is not compared: behind a tunnel or a container it is another one,
and a foreign page cannot choose it.

Origin: a browser names the page that asks. It must be ours, or none (no browser).

Sec-Fetch-Site: of a request that only reads no page is named, but whether one of another origin makes it. It
would not see the answer, and has us work for it. Following a link is no such thing.

Token: beyond loopback always, on loopback if there is a file. `/healthz` alone needs none. Programs show
it as `Authorization: Bearer`. A browser asks its user for it, as a password (any name will do), and then
shows it to this very scheme, host and port alone: a cookie would go to every port of the host, where
somebody else may listen. Browsers show it by themselves, whoever asks: hence Origin above, JSON alone for
what is posted, and `cross-origin-resource-policy`.
"""

from __future__ import annotations

import binascii
import hmac
import ipaddress
import json
import os
import re
import socket
import stat
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from trio_cursor.config.checks import is_loopback, listen_address
from trio_cursor.errors import ConfigError

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Asgi: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
#: Name or address, and port.
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:/@\[\]]+))(?::([0-9]{1,5}))?")
_ORIGIN = re.compile(r"https?://(.+)")
#: What `Authorization: Bearer` can carry, and too long to be guessed.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,512}")
_TOKEN_FILE_BYTES = 4096
_OPEN_TO_ALL = ("/healthz",)

#: On every answer. There is no CORS header, ever.
_ALWAYS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    # Whoever opens the page has no hold of its window.
    (b"cross-origin-opener-policy", b"same-origin"),
)


def check_listen(listen: str, token_file: str | None) -> str | None:
    """The token that callers must show if the server listens so; None: none is needed. Reads the file.

    Raises `ConfigError` if `http.listen` is beyond loopback and there is no token, and for a file that
    cannot be used: absent, readable by other users, or without a token in it.
    """
    address = listen_address(listen)
    if address is None:
        return None
    if token_file is not None:
        return _token_in(Path(token_file))
    if not is_loopback(address[0]):
        raise ConfigError((f"http.listen {listen} is beyond loopback, so http.token_file is required",))
    return None


def _token_in(path: Path) -> str:
    try:
        # Not to be waited for if it is a pipe.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ConfigError((f"http.token_file {path} is not a file",))
            # Windows has no such bits; there the user's own directories are his alone.
            if os.name == "posix" and status.st_mode & 0o077:
                raise ConfigError((f"http.token_file {path} is open to others; do: chmod 600 {path}",))
            content = file.read(_TOKEN_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError((f"http.token_file {path} cannot be read: {error.strerror}",)) from error
    token = content.decode("latin-1").strip()
    if not _TOKEN.fullmatch(token):
        fault = (
            f"http.token_file {path} must hold one token of 16 to 512 letters, digits or -._~+/=; "
            f"one is made by: python -c 'import secrets; print(secrets.token_hex(32))'"
        )
        raise ConfigError((fault,))
    return token


@attrs.frozen
class Gate:
    """What a request must show to be let in."""

    #: In lower case, addresses in their shortest form, without brackets.
    names: frozenset[str]
    #: Beyond loopback: any address in digits is one of ours.
    takes_addresses: bool
    token: str | None = attrs.field(default=None, repr=False)

    def refusal(self, path: str, headers: list[tuple[bytes, bytes]]) -> tuple[int, str] | None:
        """Status and reason if the request is to be refused; None: let it in. Names are in lower case."""
        hosts = _values(headers, b"host")
        host = _parted(hosts[0]) if len(hosts) == 1 else None
        if host is None or not self._is_ours(host[0]):
            return 421, "the Host header names somebody else; ask for localhost or the address listened on"
        origins = _values(headers, b"origin")
        if any(not self._is_own_page(origin, host) for origin in origins):
            return 403, "pages of other origins may not ask here"
        # An origin says more: `localhost` and `127.0.0.1` are both ours, and two sites.
        if not origins and _is_of_another_site(headers) and not _is_visit(headers):
            return 403, "pages of other origins may not ask here"
        if self.token is not None and path not in _OPEN_TO_ALL and not self._knows(headers):
            return 401, "the header Authorization: Bearer must carry the token of http.token_file"
        return None

    def _is_ours(self, name: str) -> bool:
        return name in self.names or (self.takes_addresses and _is_address(name))

    def _is_own_page(self, origin: str, host: tuple[str, str]) -> bool:
        """Whether a page's origin is the address that was asked, or the same port under a name of ours."""
        found = _ORIGIN.fullmatch(origin)
        page = _parted(found[1]) if found else None
        return page is not None and (page == host or (page[0] in self.names and page[1] == host[1]))

    def _knows(self, headers: list[tuple[bytes, bytes]]) -> bool:
        shown = _values(headers, b"authorization")
        if len(shown) != 1 or self.token is None:
            return False
        scheme, _, token = shown[0].partition(" ")
        if scheme.lower() == "basic":
            token = _password(token)
        is_same = hmac.compare_digest(token.strip().encode(), self.token.encode())
        return is_same and scheme.lower() in ("bearer", "basic")


def gate_for(listen: str, token: str | None) -> Gate:
    """The gate of a server that listens so (never `off`), with what `check_listen` gave."""
    address = listen_address(listen)
    assert address is not None  # noqa: S101 - the caller starts no server then
    host = address[0].lower()
    is_beyond = not is_loopback(host)
    names = {*_LOOPBACK_NAMES, _shortest(host), *([socket.gethostname().lower()] if is_beyond else [])}
    # Every address of this machine is listened on by these, but none is asked for by them.
    names -= {"0.0.0.0", "::"}  # noqa: S104 - not listened on
    return Gate(frozenset(names), takes_addresses=is_beyond, token=token)


def guarded(app: Asgi, gate: Gate) -> Asgi:
    """The application behind the gate: what is refused never reaches it, and every answer is marked."""

    async def guard(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = gate.refusal(scope["path"], scope["headers"])
        marked = _marking(send)
        if refusal is None:
            await app(scope, receive, marked)
        else:
            await _refuse(*refusal, marked, is_person=_is_of_a_person(scope["headers"]))

    return guard


def _is_of_another_site(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a browser asks because of a page of another origin; another port is one as well."""
    return any(site not in ("same-origin", "none") for site in _values(headers, b"sec-fetch-site"))


def _is_visit(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a browser goes to a page of ours, with a window of its own."""
    names = (b"sec-fetch-mode", b"sec-fetch-dest")
    return [_values(headers, name) for name in names] == [["navigate"], ["document"]]


def _is_of_a_person(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a browser asks, for its user or for a page of ours."""
    accepts_pages = any("text/html" in value for value in _values(headers, b"accept"))
    return accepts_pages or _values(headers, b"sec-fetch-site") == ["same-origin"]


def _marking(send: Send) -> Send:
    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_ALWAYS]}
        await send(message)

    return marked


async def _refuse(status: int, reason: str, send: Send, *, is_person: bool) -> None:
    body = json.dumps({"error": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if status == 401:  # noqa: PLR2004
        # A browser asks its user for it.
        basic = b'Basic realm="trio_cursor: any name, and the token as password", charset="UTF-8"'
        headers.append((b"www-authenticate", basic if is_person else b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _password(credentials: str) -> str:
    """The password of `Authorization: Basic`; empty: there is none that can be read."""
    try:
        pair = binascii.a2b_base64(credentials.strip(), strict_mode=True).decode()
    except ValueError:
        return ""
    return pair.partition(":")[2]


def _values(headers: list[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for key, value in headers if key == name]


def _parted(authority: str) -> tuple[str, str] | None:
    """Name in its one form, and port ("" if there is none); None if it is neither."""
    found = _AUTHORITY.fullmatch(authority.lower())
    if found is None:
        return None
    address, name, port = found.groups()
    if address is not None and not _is_address(address):
        return None
    return _shortest(address or name), port or ""


def _shortest(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host


def _is_address(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
