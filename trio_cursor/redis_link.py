"""One connection to a Redis server, for one worker thread at a time, which one call from outside can end.

redis-py's `Connection` is used, not its client: nothing here may reconnect, repeat or pool by itself, since
whoever works with a stream must look, after each new connection, at what the server still has. The protocol
is RESP2, whose replies are the same plain lists in every release of redis-py.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import AuthenticationError, MovedError, RedisError, ResponseError
from redis.retry import Retry

from trio_cursor.redis_address import RedisAddress
from trio_cursor.redis_trouble import StreamError, Trouble, translated

AnswerT = TypeVar("AnswerT")
#: redis-py gives its connections no types: one of TCP, TLS or a socket file.
_Connection: TypeAlias = Any

#: For each address of a name.
CONNECT_SECONDS: Final = 1.5
#: For names, several addresses, sentinels and redirections together.
OPENING_SECONDS: Final = 6.0
#: A large answer over a slow line; of silence there is less patience.
ARRIVING_SECONDS: Final = 30.0
#: From the node that was asked to the one that has the key.
_MOST_REDIRECTIONS: Final = 3


class Link:
    """The connection; all but `cut` and `close` belongs to the one thread that runs at a time.

    Args:
        address: Where the server is.
        key: What it is about; in a cluster the node that has it is looked for.
        answer_seconds: The longest silence before an answer, and within it.

    """

    def __init__(self, address: RedisAddress, key: str, *, answer_seconds: float) -> None:
        self._address = address
        self._key = key
        self._answer_seconds = answer_seconds
        self._lock = threading.Lock()
        #: The last one that was made, whether it came to stand or not.
        self._connection: _Connection = None
        #: It leads to where the key is.
        self._is_open = False
        #: The same connection in a descriptor of ours: redis-py closes its own whenever it likes, and the
        #: number of a closed one may be somebody else's by the time that it is shut down.
        self._handle: socket.socket | None = None
        self._is_running = False
        self._is_cut = False

    @property
    def longest_seconds(self) -> float:
        """No call may take longer. An answer may, as long as something comes of it all the while."""
        return self._answer_seconds + (ARRIVING_SECONDS if self._is_open else OPENING_SECONDS)

    def run(self, work: Callable[[], AnswerT]) -> AnswerT:
        """Do the work in this thread.

        Raises:
            StreamError: Whatever went wrong. The connection is closed then, and the link is of no more use.

        """
        with self._lock:
            self._stop_if_cut()
            self._is_running = True
        is_well = False
        try:
            answer = work()
            is_well = True
        except (RedisError, OSError, ValueError, TypeError, LookupError, RecursionError) as error:
            # Not chained: the text of redis-py's errors may quote commands.
            raise translated(error) from None
        finally:
            with self._lock:
                self._is_running = False
                if self._is_cut or not is_well:
                    self._disconnect()
        return answer

    def ask(self, *words: str | int | bytes) -> Any:
        """Send a command and give the answer; connects first if need be. Raises what redis-py raises."""
        if not self._is_open:
            self._open()
            self._is_open = True
        return self._answer(*words)

    def cut(self) -> bool:
        """Break the connection, for good; returns whether a thread has yet to notice."""
        with self._lock:
            self._is_cut = True
            if self._handle is not None:
                with suppress(OSError):  # the other side may have been faster
                    self._handle.shutdown(socket.SHUT_RDWR)
            return self._is_running

    def close(self) -> None:
        """Cut and close; a thread that is still at work closes by itself."""
        with self._lock:
            if not self._is_running:
                self._disconnect()
        self.cut()

    def _disconnect(self) -> None:
        self._is_cut = True
        connection, self._connection = self._connection, None
        handle, self._handle = self._handle, None
        if connection is not None:
            connection.disconnect()
        if handle is not None:
            handle.close()

    def _stop_if_cut(self) -> None:
        if self._is_cut:
            raise StreamError(Trouble.AWAY, "the connection was closed by us")

    def _open(self) -> None:
        address = self._address
        if address.path is not None:
            self._connect(("", 0))
        elif address.scheme == "redis+sentinel":
            self._connect(self._ask_sentinels())
            with suppress(ResponseError):  # who may not ask believes it
                if self._answer("ROLE")[0] != b"master":
                    raise StreamError(Trouble.AWAY, "the sentinels name a server that is no master now")
        elif address.scheme == "redis+cluster":
            self._open_node()
        else:
            self._connect(address.hosts[0])

    def _ask_sentinels(self) -> tuple[str, int]:
        """Where the master is, by the first sentinel that knows."""
        problem: Exception | None = None
        is_unknown = False
        for host in self._address.hosts:
            # Sentinels have passwords of their own, or none, or that of the server.
            for with_password in (False, True):
                try:
                    self._connect(host, as_user=with_password, db=0)
                    found = self._answer("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._address.master or "")
                except AuthenticationError as error:
                    problem = error
                    continue
                except (RedisError, OSError) as error:
                    problem = error
                    break
                if found is not None:
                    return found[0].decode(), int(found[1])
                is_unknown = True
                break
        if is_unknown or problem is None:
            raise StreamError(Trouble.AWAY, "no sentinel knows a master of that name")
        raise problem

    def _open_node(self) -> None:
        """Connect to the node of the cluster that has the key."""
        host = self._connect_any()
        for _ in range(_MOST_REDIRECTIONS):
            try:
                self._answer("XINFO", "STREAM", self._key)
            except MovedError as moved:
                host = (moved.host or host[0], moved.port)
                self._connect(host)
            except ResponseError:
                return  # it would have the key; what else it says, it says again to whoever asks
            else:
                return

    def _connect_any(self) -> tuple[str, int]:
        *others, last = self._address.hosts
        for host in others:
            with suppress(RedisError, OSError):
                self._connect(host)
                return host
        self._connect(last)
        return last

    def _connect(self, host: tuple[str, int], *, as_user: bool = True, db: int | None = None) -> None:
        address = self._address
        if as_user and address.path is None and address.would_leak(host[0]):
            raise StreamError(
                Trouble.DENIED, "we were sent on to a host that the password may not go to unencrypted"
            )
        if self._connection is not None:
            self._connection.disconnect()
        self._connection = self._made(host, as_user=as_user, db=address.db if db is None else db)
        self._connection.connect()

    def _made(self, host: tuple[str, int], *, as_user: bool, db: int) -> _Connection:
        address = self._address
        options: dict[str, Any] = {
            "db": db,
            "username": address.username if as_user else None,
            "password": _password(address) if as_user else None,
            "protocol": 2,
            "decode_responses": False,
            "retry": Retry(NoBackoff(), 0),
            "health_check_interval": 0,
            "socket_timeout": self._answer_seconds,
            "socket_connect_timeout": CONNECT_SECONDS,
            "redis_connect_func": self._seize,
        }
        if address.path is not None:
            of_a_file: Callable[..., _Connection] = UnixDomainSocketConnection
            connection = of_a_file(path=address.path, **options)
            # redis-py 8 asks for them when it writes down that a connect took too long.
            connection.host, connection.port = address.path, 0
            return connection
        options |= {"host": host[0], "port": host[1], "socket_keepalive": True}
        made: Callable[..., _Connection] = Connection
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

    def _seize(self, connection: Any) -> None:
        """Called by redis-py between connecting and the first words."""
        fresh = connection._sock  # noqa: SLF001 - no release has a public name for it
        with self._lock:
            if self._handle is not None:
                self._handle.close()
            self._handle = socket.fromfd(fresh.fileno(), fresh.family, fresh.type)
            self._stop_if_cut()
        connection.on_connect()

    def _answer(self, *words: str | int | bytes) -> Any:
        connection: _Connection = self._connection
        connection.send_command(*words)
        return connection.read_response()


def _password(address: RedisAddress) -> str | None:
    if address.password is not None or address.password_file is None:
        return address.password
    try:
        with Path(address.password_file).open(encoding="utf-8") as file:
            return file.readline().rstrip("\r\n")
    except (OSError, ValueError) as error:
        problem = f"{type(error).__name__} when redis.password_file is read"
        raise StreamError(Trouble.DENIED, problem) from None
