"""One connection to a Redis server, for one worker thread at a time, which one call from outside can end.

redis-py's `Connection` is used, not its client: nothing here may reconnect, repeat or pool by itself, since
whoever works with a stream must look, after each new connection, at what the server still has. The protocol
is RESP2, whose replies are the same plain lists in every release of redis-py.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import DataError, RedisError, ResponseError

from trio_cursor.redis_address import RedisAddress
from trio_cursor.redis_connection import AnyConnection, made_connection
from trio_cursor.redis_finding import find_master, find_node
from trio_cursor.redis_nodes import Host, KnownNodes
from trio_cursor.redis_trouble import StreamError, Trouble, translated
from trio_cursor.version import __version__

AnswerT = TypeVar("AnswerT")
#: Of a command.
Word: TypeAlias = str | int | bytes

#: What we are called in CLIENT LIST.
CLIENT_NAME: Final = f"trio-cursor/{__version__}"
#: How the answer to a value begins that is larger than the server takes; it closes the connection at once.
_TOO_LARGE: Final = b"Protocol error"
#: For names, several addresses, sentinels and redirections together.
OPENING_SECONDS: Final = 6.0
#: A large answer over a slow line; of silence there is less patience.
ARRIVING_SECONDS: Final = 30.0


class Link:
    """The connection; all but `cut` and `close` belongs to the one thread that runs at a time.

    Args:
        address: Where the server is.
        key: What it is about; in a cluster the node that has it is looked for.
        answer_seconds: The longest silence before an answer, and within it.
        known: Sentinels and nodes that were heard of; shared with the links to come, and with others to the
            same address. None: those of the address alone are asked.

    """

    def __init__(
        self, address: RedisAddress, key: str, *, answer_seconds: float, known: KnownNodes | None = None
    ) -> None:
        self._address = address
        self._key = key
        self._answer_seconds = answer_seconds
        self._known = KnownNodes(address.hosts) if known is None else known
        #: The one of them that led to where the key is, and is asked last when that is over.
        self._entrance: Host | None = None
        self._lock = threading.Lock()
        #: The last one that was made, whether it came to stand or not.
        self._connection: AnyConnection = None
        #: It leads to where the key is.
        self._is_open = False
        #: The same connection in a descriptor of ours: redis-py closes its own whenever it likes, and the
        #: number of a closed one may be somebody else's by the time that it is shut down.
        self._handle: socket.socket | None = None
        self._is_running = False
        self._is_cut = False
        #: What goes wrong now may come of what somebody has answered; else it is a mistake of ours.
        self._is_answering = False

    @property
    def longest_seconds(self) -> float:
        """No call may take longer. An answer may, as long as something comes of it all the while."""
        return self._answer_seconds + (ARRIVING_SECONDS if self._is_open else OPENING_SECONDS)

    def run(self, work: Callable[[], AnswerT]) -> AnswerT:
        """Do the work in this thread.

        Raises:
            StreamError: Whatever went wrong. The connection is closed then, and the link is of no more use;
                as after anything else that the work raises, which is a mistake of ours.

        """
        self._is_answering = False
        with self._lock:
            self._stop_if_cut()
            self._is_running = True
        is_well = False
        try:
            answer = work()
            is_well = True
        except (RedisError, OSError, ValueError, TypeError, LookupError, RecursionError) as error:
            is_theirs = self._is_answering or self._is_cut or isinstance(error, (RedisError, OSError))
            if isinstance(error, DataError) or not is_theirs:
                raise
            if self._entrance is not None and not self._is_cut:
                self._known.put_last(self._entrance)
            # Not chained: the text of redis-py's errors may quote commands.
            raise translated(self._last_words(error)) from None
        finally:
            with self._lock:
                self._is_running = False
                if self._is_cut or not is_well:
                    self._disconnect()
        return answer

    def _last_words(self, error: Exception) -> Exception:
        """What the server said before it closed the connection on which we were still sending."""
        if self._handle is None or not isinstance(error, RedisConnectionError | OSError):
            return error
        with suppress(OSError):
            self._handle.setblocking(False)
            if _TOO_LARGE in self._handle.recv(1000):
                return ResponseError(_TOO_LARGE.decode())
        return error

    def ask(self, *words: Word) -> Any:
        """Send a command and give the answer; connects first if need be. Raises what redis-py raises."""
        self._open_once()
        return self.answer(*words)

    def ask_all(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """Send commands at once and give their answers; connects first if need be.

        Raises what redis-py raises: of several errors the first, since those after it follow from it as
        EXECABORT does; one of a command between MULTI and EXEC counts as well, though the others were done.
        All answers have been read by then, so that the connection is in step.
        """
        self._open_once()
        self._is_answering = False
        connection = self._connection
        connection.send_packed_command(connection.pack_commands(commands))
        self._is_answering = True
        answers: list[Any] = []
        for _ in commands:
            try:
                answers.append(connection.read_response())
            except ResponseError as error:
                answers.append(error)
        for answer in answers:
            for part in answer if isinstance(answer, list) else (answer,):
                if isinstance(part, ResponseError):
                    raise part
        return answers

    def connect(self, host: Host, *, as_user: bool = True, db: int | None = None) -> None:
        """Leave the host that it leads to, and connect to this one. Raises what redis-py raises."""
        self._stop_if_cut()
        address = self._address
        if as_user and address.path is None and address.would_leak(host[0]):
            raise StreamError(
                Trouble.DENIED, "we were sent on to a host that the password may not go to unencrypted"
            )
        if self._connection is not None:
            self._connection.disconnect()
        self._is_answering = True
        self._connection = made_connection(
            address,
            host,
            as_user=as_user,
            db=address.db if db is None else db,
            answer_seconds=self._answer_seconds,
            on_connect=self._seize,
        )
        self._connection.connect()

    def answer(self, *words: Word) -> Any:
        """As `ask`, of whomever it leads to."""
        self._is_answering = False
        self._connection.send_command(*words)
        self._is_answering = True
        return self._connection.read_response()

    def understood(self) -> None:
        """What was answered is as it should be: what goes wrong until the next command is our mistake."""
        self._is_answering = False

    @property
    def is_cut(self) -> bool:
        """It is of no use any more."""
        return self._is_cut

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
        if not self.cut():  # a thread that is at work closes by itself
            with self._lock:
                self._disconnect()

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

    def _open_once(self) -> None:
        if not self._is_open:
            self._open()
            self._is_open = True

    def _open(self) -> None:
        address = self._address
        if address.path is not None:
            self.connect(("", 0))
        elif address.scheme == "redis+sentinel":
            self._entrance = find_master(self, address.master or "", self._known)
        elif address.scheme == "redis+cluster":
            self._entrance = find_node(self, self._key, self._known)
        else:
            self.connect(address.hosts[0])

    def _seize(self, connection: Any) -> None:
        """Called by redis-py between connecting and the first words."""
        fresh = connection._sock  # noqa: SLF001 - no release has a public name for it
        with self._lock:
            if self._handle is not None:
                self._handle.close()
            self._handle = socket.fromfd(fresh.fileno(), fresh.family, fresh.type)
            self._stop_if_cut()
        connection.on_connect()
        # Not left to redis-py, for which a user who may not say its name is a connection that failed.
        connection.send_command("CLIENT", "SETNAME", CLIENT_NAME)
        with suppress(ResponseError):
            connection.read_response()
