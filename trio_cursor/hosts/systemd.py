"""systemd: a unit of the user's own manager."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence

from trio_cursor.config.places import config_home
from trio_cursor.errors import HostError
from trio_cursor.hosts.host import NAME, Host, Question, Step, until_run
from trio_cursor.hosts.templates import filled, with_any_end

_UNIT = f"{NAME}.service"
_PLAIN = re.compile(r"[A-Za-z0-9_./:=,+@-]+")
#: What systemd refuses in the name of a program however it is written; and of a `$` it makes two there.
_NOT_IN_A_PROGRAM = re.compile(r"""[$\\"'\x00-\x1f\x7f]""")
_ESCAPES = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\t": r"\t", "\r": r"\r", "%": "%%", "$": "$$"}


def quoted(word: str) -> str:
    """A word of `ExecStart=`: nothing in it is a specifier, a variable, an escape or a separator."""
    if _PLAIN.fullmatch(word):
        return word
    shown = (_ESCAPES.get(char) or (f"\\x{ord(char):02x}" if ord(char) < 32 else char) for char in word)  # noqa: PLR2004 - what ASCII has before the space
    return f'"{"".join(shown)}"'


def systemd(words: Sequence[str], environ: Mapping[str, str], home: str, uid: int) -> Host:
    """The host, for a command line. Raises `HostError` for a program that no unit can name."""
    if (found := _NOT_IN_A_PROGRAM.search(words[0])) is not None:
        raise HostError(
            f"systemd cannot start {words[0]}: there is a {found[0]!r} in its path; install it elsewhere"
        )
    manager = ("systemctl", "--user")
    return Host(
        name="systemd",
        noun="systemd user unit",
        file=posixpath.join(config_home(environ, home), "systemd", "user", _UNIT),
        content=filled(_UNIT, {"COMMAND": " ".join(map(quoted, words))}).encode(),
        encoding="utf-8",
        like=with_any_end(_UNIT, {"COMMAND": " ".join(map(quoted, until_run(words)))}),
        reachable=Question((*manager, "show", "--property=Version")),
        is_enabled=Question((*manager, "is-enabled", _UNIT)),
        is_running=Question((*manager, "is-active", _UNIT)),
        starting=(
            Step((*manager, "daemon-reload")),
            Step((*manager, "enable", _UNIT)),
            Step((*manager, "restart", _UNIT)),
        ),
        stopping=(Step((*manager, "disable", "--now", _UNIT), is_vital=False),),
        forgetting=(Step((*manager, "daemon-reload"), is_vital=False),),
        log=f"journalctl --user -u {NAME} -f",
        outlives=Question(("loginctl", "show-user", str(uid), "--property=Linger", "--value"), yes="yes"),
        until_logout="It ends when you log out. To keep it running: loginctl enable-linger",
    )
