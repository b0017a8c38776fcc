"""What a value must be: a check for each kind of text and number, each of one value alone."""

import ipaddress
import re
from collections.abc import Callable
from typing import Any, TypeAlias

#: What is wrong with a value of the right type, in words that follow the key's name; None if nothing.
Check: TypeAlias = Callable[[Any], str | None]

DAY_SECONDS = 86_400
#: A hundred years.
LONGEST_HOURS = 876_000


def number(low: float, high: float) -> Check:
    def check(value: float) -> str | None:
        if low <= value <= high:  # false for nan
            return None
        # A TOML number may have thousands of digits (0xfff...), which nobody wants to read.
        shown = f", not {value}" if abs(value) < 1e15 else ""  # noqa: PLR2004
        return f"must be from {low:,} to {high:,}{shown}"

    return check


# Controls, and the surrogates that stand for bytes which are not UTF-8. Not `str.isprintable`: the name
# of a folder may well have a wide or a non-breaking space.
_NOT_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def written(value: str) -> str | None:
    if not value:
        return "must not be empty"
    return "must be one line of valid text" if _NOT_TEXT.search(value) else None


def all_written(values: tuple[str, ...]) -> str | None:
    return next((f"has an item that {problem}" for problem in map(written, values) if problem), None)


def stream_name(value: str) -> str | None:
    if "{" in value or "}" in value:
        # Our keys are `{<stream>}:seen:...`, so that a cluster keeps them on the stream's node.
        return "must not contain braces, which Redis Cluster reads as a hash tag"
    return written(value)


_REDIS_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "redis+cluster")


def redis_url(value: str) -> str | None:
    # The text itself is never part of a message: it may hold a password.
    scheme, separator, rest = value.partition("://")
    if value == "env" or (separator and rest and scheme in _REDIS_SCHEMES and value.isprintable()):
        return None
    return f'must be "env" or start with one of {", ".join(f"{name}://" for name in _REDIS_SCHEMES)}'


def web_url(value: str) -> str | None:
    scheme, _, rest = value.partition("://")
    if scheme in ("http", "https") and rest.strip("/") and value.isprintable():
        return None
    return "must be an http:// or https:// URL"


def listen_address(text: str) -> tuple[str, int] | None:
    """Split `HOST:PORT` (`[::1]:8787` for IPv6); None for `off`. Raises ValueError."""
    if text == "off":
        return None
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("must have an IPv6 address in brackets: [::1]:8787")
    # isascii: str.isdigit() also accepts digits that int() reads but no socket was ever written with.
    if not (host and host.isprintable() and " " not in host and port.isascii() and port.isdigit()):
        raise ValueError('must be HOST:PORT or "off"')
    if len(port) > 5 or int(port) > 65_535:  # noqa: PLR2004  # no int() of a thousand digits
        raise ValueError("must have a port from 0 to 65,535")
    return host, int(port)


def listening(value: str) -> str | None:
    try:
        listen_address(value)
    except ValueError as problem:
        return str(problem)
    return None


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
