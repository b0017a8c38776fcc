"""What can go wrong with a Redis server, named for what the caller does next.

The texts are ours alone: an error of redis-py may quote a command, and a command may hold anything.
"""

from __future__ import annotations

import enum
import errno
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Final

from redis import exceptions

from trio_cursor.errors import TrioCursorError


class Trouble(enum.Enum):
    """What the caller does next."""

    #: Not there, still loading, or handing over to another server: try again soon.
    AWAY = "away"
    #: Connected, and no answer: as above.
    STALLED = "stalled"
    #: It does not let us in, or we must not go in: a person must change something, so try again late.
    DENIED = "denied"
    #: It has no memory left, and nothing of others is removed to make room: try again later.
    FULL = "full"
    #: The key holds something else, which is never touched: a person must look.
    WRONG_TYPE = "wrong type"
    #: It answers, and not as we need it: as above.
    REFUSED = "refused"


#: Between attempts. The longest pause and a connect in vain fit into the 6 s that a fault may be felt after
#: its end.
RETRY_SECONDS: Final = (0.1, 4.5)
#: At least, where somebody must change something, or make room. Being denied is a line in the server's log.
LEAST_PAUSES: Final = {Trouble.DENIED: 30.0, Trouble.WRONG_TYPE: 5.0, Trouble.REFUSED: 5.0, Trouble.FULL: 5.0}
#: The server is not there, which may soon be over.
WAITING: Final = frozenset({Trouble.AWAY, Trouble.STALLED})


class StreamError(TrioCursorError):
    """A server does not do what it was asked for. The text says what is known and a hint."""

    def __init__(
        self, trouble: Trouble, text: str, *, is_broken: bool = False, is_too_large: bool = False
    ) -> None:
        super().__init__(text)
        self.trouble = trouble
        #: The connection stood, and broke.
        self.is_broken = is_broken
        #: The server takes no values as large as one of those that it was sent.
        self.is_too_large = is_too_large

    @property
    def pause(self) -> float:
        """Seconds to wait at least before the next attempt."""
        return LEAST_PAUSES.get(self.trouble, 0.0)


#: Of a script 6.2 says before it where in the script it was.
_CODE = re.compile(r"(?:@user_script: ?\d+: -)?([A-Z]{3,20})\b")
#: It was sent more than it takes. Redis closes the connection then, services that speak as it does may not.
_TOO_MUCH = ("Protocol error", "max request size exceeded")
#: A command that was renamed away, and one that a provider switched off.
_UNKNOWN = ("unknown command", "unknown subcommand", "command is not available")
#: How the rules of a user are said to forbid something in a script: by 6.2, and by later versions.
_DENIED_IN_SCRIPT = ("The user executing the script", "ACL failure in script")
_PASSING: Final = {
    "BUSY": "a script of somebody's keeps it busy",
    "LOADING": "it reads its data from the disk",
    "READONLY": "it has become a replica",
    "MASTERDOWN": "it is a replica without a master",
    "CLUSTERDOWN": "the cluster is incomplete",
    "TRYAGAIN": "the cluster moves the key",
    "MOVED": "the cluster has moved the key",
    "ASK": "the cluster moves the key",
    "MISCONF": "it takes nothing as long as it cannot save to its disk",
    "NOREPLICAS": "it takes nothing as long as it has too few replicas",
    "UNBLOCKED": "the key went away under the call",
}
_CODES: Final = {
    exceptions.BusyLoadingError: "LOADING",
    exceptions.ReadOnlyError: "READONLY",
    exceptions.MasterDownError: "MASTERDOWN",
    exceptions.ClusterDownError: "CLUSTERDOWN",
    exceptions.TryAgainError: "TRYAGAIN",
    exceptions.MovedError: "MOVED",
    exceptions.AskError: "ASK",
    exceptions.NoPermissionError: "NOPERM",
    exceptions.OutOfMemoryError: "OOM",
    exceptions.ClusterCrossSlotError: "CROSSSLOT",
}


def is_forbidden(error: Exception) -> bool:
    """Whether a command may not be used: by the user's rules, or since it was renamed away."""
    is_denied = isinstance(error, exceptions.NoPermissionError) or _says(error, *_UNKNOWN)
    return is_denied and not is_forbidden_within(error)


def is_forbidden_within(error: Exception) -> bool:
    """Whether the user's rules allow a script, and not what is in it."""
    return _says(error, *_DENIED_IN_SCRIPT)


def _says(error: Exception, *any_of: str) -> bool:
    text = str(error).lower()
    return any(words.lower() in text for words in any_of)


def translated(error: Exception) -> StreamError:
    """What an error of redis-py, or of what is below it, means to the caller."""
    match error:
        case exceptions.AuthenticationError():
            return StreamError(
                Trouble.DENIED,
                "AuthenticationError: wrong or missing user or password; see redis.password_file",
            )
        case exceptions.BusyLoadingError() | exceptions.ResponseError():
            if str(error).startswith(_TOO_MUCH):
                return StreamError(Trouble.REFUSED, "ERR: it takes no values as large", is_too_large=True)
            if _says(error, *_UNKNOWN):
                return StreamError(
                    Trouble.REFUSED, "ERR: it does not know the command; is it Redis 6.2 or newer?"
                )
            if is_forbidden_within(error):
                return _of_answer("NOPERM")
            return _of_answer(_CODES.get(type(error)) or _code(str(error)))
        case exceptions.TimeoutError():
            return StreamError(Trouble.STALLED, "TimeoutError: it does not answer")
        case exceptions.ConnectionError() | OSError():
            return _of_connection(error)
    return StreamError(
        Trouble.REFUSED, f"{type(error).__name__}: it does not answer as Redis does; is the port right?"
    )


def _code(text: str) -> str:
    found = _CODE.match(text)
    return found[1] if found else "ERR"


def _of_answer(code: str) -> StreamError:
    if code in _PASSING:
        return StreamError(Trouble.AWAY, f"{code}: {_PASSING[code]}")
    if code == "NOPERM":
        return StreamError(Trouble.DENIED, "NOPERM: the user's rules do not allow the command or the key")
    if code == "DENIED":
        return StreamError(
            Trouble.DENIED,
            "DENIED: it is in protected mode: without a password it lets in nobody from another machine",
        )
    if code == "OOM":
        return StreamError(Trouble.FULL, "OOM: its memory is full, and nothing is removed to make room")
    if code == "WRONGTYPE":
        return StreamError(
            Trouble.WRONG_TYPE,
            "WRONGTYPE: the key holds no stream; it is left alone, name another or remove it",
        )
    return StreamError(Trouble.REFUSED, f"{code}: it refuses the command")


def _of_connection(error: Exception) -> StreamError:
    for cause in _causes(error):
        name = type(cause).__name__
        match cause:
            case ssl.SSLCertVerificationError():
                return StreamError(
                    Trouble.DENIED,
                    f"{name}: its certificate is not trusted or names another host; see [redis.tls] ca",
                )
            case ssl.SSLError():
                return StreamError(
                    Trouble.AWAY,
                    f"{name}: no encrypted connection; does the port speak TLS, and want [redis.tls] cert?",
                )
            case socket.gaierror():
                return StreamError(Trouble.AWAY, f"{name}: the name of the host is not known")
            case ConnectionRefusedError():
                return StreamError(Trouble.AWAY, f"{name}: nothing listens there")
            case PermissionError() | IsADirectoryError() | NotADirectoryError():
                return StreamError(Trouble.DENIED, f"{name}: a file that is needed may not be used")
            case FileNotFoundError():
                return StreamError(
                    Trouble.AWAY, f"{name}: the socket, or a file of [redis.tls], is not there"
                )
            case OSError():
                is_broken = isinstance(cause, ConnectionError)
                code = errno.errorcode.get(cause.errno or 0, "no code")
                return StreamError(Trouble.AWAY, f"{name}: {code}", is_broken=is_broken)
    if str(error) == "max number of clients reached":
        return StreamError(Trouble.AWAY, "ERR: it has as many clients as it may have")
    return StreamError(Trouble.AWAY, f"{type(error).__name__}: the connection was closed", is_broken=True)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """What an error of redis-py was made of, innermost last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
