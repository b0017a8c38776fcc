"""The way to the server that has a key: by the sentinels' word, or from node to node of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, Protocol

from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from trio_cursor.redis_nodes import Host, KnownNodes
from trio_cursor.redis_trouble import StreamError, Trouble, translated

#: From the node that was asked to the one that has the key.
_MOST_REDIRECTIONS: Final = 4
#: What a node says for the name of another that it does not know, or must not tell.
_NO_NAMES: Final = frozenset({"", "?"})


class Line(Protocol):
    """A connection that leads to one host after the other. Its methods raise what redis-py raises."""

    def connect(self, host: Host, *, as_user: bool = True, db: int | None = None) -> None:
        """Leave the host that it leads to, and connect to this one."""

    @property
    def is_cut(self) -> bool:
        """It leads nowhere any more, whomever it is asked to lead to."""

    def answer(self, *words: str | int | bytes) -> Any:
        """Send a command and give the answer."""


def find_master(line: Line, name: str, known: KnownNodes) -> Host:
    """Connect to the master that the sentinels name; returns the sentinel that knew.

    Raises:
        StreamError: None of them leads to it.

    """

    def open_by(sentinel: Host) -> Host:
        found = _ask_sentinel(line, sentinel, name, known)
        if found is None:
            raise StreamError(Trouble.AWAY, "no sentinel knows a master of that name")
        line.connect((found[0].decode(), int(found[1])))
        with suppress(ResponseError):  # who may not ask believes it
            if b"role:master" not in line.answer("INFO", "replication"):
                raise StreamError(Trouble.AWAY, "the sentinels name a server that is no master now")
        return sentinel

    return _find(line, open_by, known)


def find_node(line: Line, key: str, known: KnownNodes) -> Host:
    """Connect to the node of the cluster that has a key; returns it.

    Raises:
        StreamError: None of them leads to it.

    """

    def open_by(host: Host) -> Host:
        for _ in range(_MOST_REDIRECTIONS):
            line.connect(host)
            try:
                line.answer("XINFO", "STREAM", key)
            except MovedError as moved:
                host = _name(moved.host, host), moved.port
                continue
            except ClusterDownError:  # it may be the one that has lost the others
                raise
            except ResponseError:
                pass  # it would have the key; what else it says, it says again to whoever asks
            _hear(line, known, partial(_nodes, asked=host), "CLUSTER", "SLOTS")
            return host
        raise StreamError(Trouble.AWAY, "MOVED: the nodes of the cluster do not agree who has the key")

    return _find(line, open_by, known)


def _find(line: Line, open_by: Callable[[Host], Host], known: KnownNodes) -> Host:
    """Ask one after the other, until one of them leads there; returns whom to ask first the next time."""
    said = -1, StreamError(Trouble.AWAY, "nobody is known who could be asked")
    for host in known.in_order():
        # Before it is asked: if that takes too long, it is not we who end it.
        known.put_last(host)
        try:
            found = open_by(host)
        except (RedisError, OSError, StreamError) as error:
            trouble = error if isinstance(error, StreamError) else translated(error)
            # An answer says more than silence, and most what a person must do.
            rank = 2 if trouble.trouble is Trouble.DENIED else isinstance(error, ResponseError | StreamError)
            if rank >= said[0]:
                said = rank, trouble
            if line.is_cut:  # it says nothing about those that were not asked yet
                break
        else:
            known.put_first(found)
            return found
    raise said[1]


def _ask_sentinel(line: Line, sentinel: Host, name: str, known: KnownNodes) -> Any:
    """Address and port of the master; None: it knows none of that name."""
    try:
        # Sentinels have passwords of their own, or none, or that of the server.
        line.connect(sentinel, as_user=False, db=0)
        found = line.answer("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
    except (AuthenticationError, NoPermissionError):
        line.connect(sentinel, db=0)
        found = line.answer("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
    _hear(line, known, _sentinels, "SENTINEL", "SENTINELS", name)
    return found


def _hear(line: Line, known: KnownNodes, hosts_of: Callable[[Any], list[Host]], *words: str) -> None:
    """Ask for others of its kind. Who may not ask, or is told what makes no sense, goes by those it knows."""
    answer = None
    with suppress(ResponseError):
        answer = line.answer(*words)
    if answer:
        with suppress(ValueError, TypeError, LookupError, AttributeError):
            known.hear(hosts_of(answer))


def _sentinels(answer: Any) -> list[Host]:
    found = [dict(zip(words[::2], words[1::2], strict=True)) for words in answer]
    return [(one[b"ip"].decode(), int(one[b"port"])) for one in found]


def _nodes(answer: Any, asked: Host) -> list[Host]:
    nodes = [node for _, _, *nodes in answer for node in nodes]
    return [(_name((name or b"").decode(), asked), int(port)) for name, port, *_ in nodes]


def _name(name: str, asked: Host) -> str:
    """How another node is reached by the way that we came, if it has no name of its own."""
    return asked[0] if name in _NO_NAMES else name
