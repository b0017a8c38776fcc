"""What redis-py makes of an address: a connection that neither reconnects nor repeats anything by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.retry import Retry

from trio_cursor.redis_address import RedisAddress
from trio_cursor.redis_nodes import Host
from trio_cursor.redis_trouble import StreamError, Trouble

#: redis-py gives its connections no types: one of TCP, TLS or a socket file.
AnyConnection: TypeAlias = Any

#: For each address of a name.
CONNECT_SECONDS: Final = 1.5


def made_connection(
    address: RedisAddress,
    host: Host,
    *,
    as_user: bool,
    db: int,
    answer_seconds: float,
    on_connect: Callable[[AnyConnection], None],
) -> AnyConnection:
    """A connection, not yet made to stand.

    Args:
        address: How to get in; where to, if it is a socket file.
        host: Where to, else.
        as_user: Whether user and password are used.
        db: The database.
        answer_seconds: The longest silence.
        on_connect: Called between connecting and the first words.

    Raises:
        StreamError: There is no password in the file that should have it.

    """
    options: dict[str, Any] = {
        "db": db,
        "username": address.username if as_user else None,
        "password": _password(address) if as_user else None,
        "protocol": 2,
        "decode_responses": False,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "socket_timeout": answer_seconds,
        "socket_connect_timeout": CONNECT_SECONDS,
        "redis_connect_func": on_connect,
    }
    if address.path is not None:
        of_a_file: Callable[..., AnyConnection] = UnixDomainSocketConnection
        connection = of_a_file(path=address.path, **options)
        # redis-py 8 asks for them when it writes down that a connect took too long.
        connection.host, connection.port = address.path, 0
        return connection
    options |= {"host": host[0], "port": host[1], "socket_keepalive": True}
    made: Callable[..., AnyConnection] = Connection
    if address.tls is not None:
        made = SSLConnection
        options |= {
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
            "ssl_ca_certs": address.tls.ca,
            "ssl_certfile": address.tls.cert,
            "ssl_keyfile": address.tls.key,
        }
    return made(**options)


def _password(address: RedisAddress) -> str | None:
    if address.password is not None or address.password_file is None:
        return address.password
    try:
        with Path(address.password_file).open(encoding="utf-8") as file:
            return file.readline().rstrip("\r\n")
    except (OSError, ValueError) as error:
        problem = f"{type(error).__name__} when redis.password_file is read"
        raise StreamError(Trouble.DENIED, problem) from None
