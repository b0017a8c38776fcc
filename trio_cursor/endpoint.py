"""Where something is posted to over HTTP: a URL, taken apart. Costs nobody a library."""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, urlsplit

import attrs

from trio_cursor.config import redact_url

_PORTS: Final = {"http": 80, "https": 443}


@attrs.frozen
class Place:
    """Where something is posted to. Its text may be shown."""

    host: str
    port: int
    #: With the query, which may hold a key.
    path: str = attrs.field(repr=False)
    is_encrypted: bool
    shown: str
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=False)

    def __str__(self) -> str:
        return self.shown


def place_of(
    url: str, path: str, headers: tuple[tuple[str, str], ...] = (), *, instead_of_user: str = "headers"
) -> Place:
    """Where a URL points to, `path` behind its own. Raises ValueError with the end of a sentence about it."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be an http:// or https:// URL")
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL")
    if not _is_host(parts.hostname):
        raise ValueError("must name a host that can exist")
    if "@" in parts.netloc:
        raise ValueError(f"must name no user and no password; {instead_of_user} is for that")
    base = parts.path
    whole = f"{base.rstrip('/')}/{path}" if path else base or "/"
    return Place(
        parts.hostname,
        _port(parts),
        whole + (f"?{parts.query}" if parts.query else ""),
        parts.scheme == "https",
        redact_url(f"{parts.scheme}://{parts.netloc}{whole if path == '' else base.rstrip('/')}"),
        headers,
    )


def _port(parts: SplitResult) -> int:
    try:
        port = _PORTS[parts.scheme] if parts.port is None else parts.port
    except ValueError:
        port = 0
    if not port:
        raise ValueError("must name a port that can exist")
    return port


def _is_host(name: str) -> bool:
    """Whether anybody can be asked for it: no label is empty or too long."""
    try:
        return "\\" not in name and bool(name.encode("idna"))
    except UnicodeError:
        return False
