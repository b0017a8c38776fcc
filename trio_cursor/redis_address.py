"""Where a Redis server is and how to get in: the configuration as one value that may be shown."""

from __future__ import annotations

import re
import socket
from typing import Final, NoReturn
from urllib.parse import parse_qsl, unquote

import attrs

from trio_cursor.config.checks import is_loopback
from trio_cursor.config.output_sections import RedisConfig, RedisTlsConfig
from trio_cursor.errors import ConfigError

_DEFAULT_PORTS: Final = {"redis": 6379, "rediss": 6379, "redis+sentinel": 26379, "redis+cluster": 6379}
_PARAMETERS: Final = {"db", "username", "password", "tls", "allow_plaintext"}
_LARGEST_DB: Final = 1_000_000
_HOST = re.compile(r"[^\s\[\]/?#@:%]+")


@attrs.frozen
class RedisAddress:
    """A server, or those that know where it is. Its text names no user and no password."""

    #: The URL's: redis | rediss | unix | redis+sentinel | redis+cluster.
    scheme: str
    #: Host and port; the sentinels, or some nodes of the cluster. Empty for a socket file.
    hosts: tuple[tuple[str, int], ...] = ()
    #: The socket file.
    path: str | None = None
    #: What the sentinels call the server.
    master: str | None = None
    db: int = 0
    username: str | None = attrs.field(default=None, repr=False)
    password: str | None = attrs.field(default=None, repr=False)
    #: Read at each connection, unless there is a password: it may change.
    password_file: str | None = None
    #: None: not encrypted.
    tls: RedisTlsConfig | None = None
    #: The password may go over the network as it is.
    allows_plaintext: bool = False

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix://{self.path}" + (f"?db={self.db}" if self.db else "")
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        end = "" if self.master is None else f"/{self.master}"
        return f"{self.scheme}://{hosts}{end}" + (f"/{self.db}" if self.db else "")

    @property
    def has_password(self) -> bool:
        return self.password is not None or self.password_file is not None

    def would_leak(self, host: str) -> bool:
        """Whether everybody on the way to a host could read the password."""
        return self.tls is None and self.has_password and not self.allows_plaintext and not is_loopback(host)


def address_of(config: RedisConfig, *, has_socket_files: bool = hasattr(socket, "AF_UNIX")) -> RedisAddress:
    """The address that `[redis]` speaks of; its `url` must be set, and `env` be resolved.

    Args:
        config: The section.
        has_socket_files: Whether this platform's Python knows them; on Windows it does not.

    Raises:
        ConfigError: It cannot be used. The text says what to do, and quotes no part of the URL.

    """
    scheme, _, rest = (config.url or "").partition("://")
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    _refuse_unwritten(scheme, rest + query, path)
    wanted = _parameters(query)
    credentials, _, places = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    address = RedisAddress(
        scheme,
        username=unquote(user) or wanted.get("username") or config.username,
        password=unquote(password) or wanted.get("password"),
        password_file=config.password_file,
        allows_plaintext=wanted.get("allow_plaintext") == "true",
    )
    if scheme == "unix":
        _refuse_socket_file(is_whole=not places and bool(path), has_socket_files=has_socket_files)
        return attrs.evolve(address, path=slash + unquote(path), db=_db(wanted.get("db") or ""))
    if scheme not in _DEFAULT_PORTS:
        _refuse(
            "redis.url must start with redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://"
        )
    hosts = tuple(_host(place, _DEFAULT_PORTS[scheme]) for place in places.split(","))
    if len(hosts) > 1 and scheme in ("redis", "rediss"):
        _refuse("redis.url names several servers: use redis+sentinel:// or redis+cluster://")
    master = None
    if scheme == "redis+sentinel":
        master, _, path = path.partition("/")
        if not master:
            _refuse(
                "redis.url does not say whom to ask the sentinels for: redis+sentinel://host:26379/mymaster"
            )
    address = attrs.evolve(
        address,
        hosts=hosts,
        master=None if master is None else unquote(master),
        db=_db(path or wanted.get("db") or ""),
        tls=_tls(scheme, wanted, config.tls),
    )
    if scheme == "redis+cluster" and address.db:
        _refuse("redis.url names a database, but a cluster has none but 0")
    if any(map(address.would_leak, (host for host, _ in hosts))):
        _refuse(
            "redis.url would send the password unencrypted over the network: use rediss://, for sentinels and"
            " clusters ?tls=true, or, if the network is yours alone, ?allow_plaintext=true"
        )
    return address


def _refuse_unwritten(scheme: str, text: str, path: str) -> None:
    """What stands as it is in a password that should have been encoded: a piece of it would be taken for a
    host or a name, and shown.
    """
    if "#" in text:
        _refuse("redis.url has a #: in a password it must be written as %23")
    if "@" in path and scheme != "unix":
        _refuse("redis.url has an @ behind a /: in a password they must be written as %40 and %2F")


def _refuse_socket_file(*, is_whole: bool, has_socket_files: bool) -> None:
    if not has_socket_files:
        _refuse(
            "redis.url names a socket file, which this platform does not have: use redis://localhost:6379"
        )
    if not is_whole:
        _refuse("redis.url must name a socket file by its whole path: unix:///run/redis/redis.sock")


def _tls(scheme: str, wanted: dict[str, str], tls: RedisTlsConfig) -> RedisTlsConfig | None:
    is_given = tls != RedisTlsConfig()
    if scheme in ("redis+sentinel", "redis+cluster"):
        return tls if is_given or wanted.get("tls") == "true" else None
    if scheme == "rediss":
        return tls
    if is_given or wanted.get("tls") == "true":
        _refuse("redis.url starts with redis://, which is not encrypted: use rediss://, or drop [redis.tls]")
    return None


def _parameters(query: str) -> dict[str, str]:
    wanted = dict(parse_qsl(query, keep_blank_values=True))
    if not wanted.keys() <= _PARAMETERS:
        # Not named: it might be a piece of a password. Most wanted is `ssl_cert_reqs=none`.
        _refuse(
            f"redis.url has a parameter that is not one of {', '.join(sorted(_PARAMETERS))};"
            " certificates are always verified, and timeouts are ours"
        )
    return wanted


def _db(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()) or int(text[:9]) > _LARGEST_DB:
        _refuse("redis.url must end in the number of a database, as in redis://localhost:6379/0")
    return int(text[:9])


def _host(place: str, default_port: int) -> tuple[str, int]:
    if place.startswith("["):
        host, bracket, port = place[1:].partition("]")
        is_well = bool(host and bracket) and port[:1] in ("", ":")
        port = port[1:]
    else:
        host, _, port = place.partition(":")
        is_well = _HOST.fullmatch(host) is not None
    is_number = port.isascii() and port.isdigit() and len(port) <= 5  # noqa: PLR2004 - of 65,535
    if not is_well or (port and not (is_number and 0 < int(port) < 65_536)):  # noqa: PLR2004
        _refuse(
            "redis.url must have HOST:PORT after the //, an IPv6 address in brackets; in a password"
            " the characters / ? # @ % : must be written as %2F %3F %23 %40 %25 %3A"
        )
    return host, int(port) if port else default_port


def _refuse(fault: str) -> NoReturn:
    raise ConfigError((fault,))
