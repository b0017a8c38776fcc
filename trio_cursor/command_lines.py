"""Passwords on command lines, behind options that say so only together with the command. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from trio_cursor.assignments import is_placeholder

#: By the beginning of a command's name, which of its options.
_OPTIONS: Final = {
    "curl": ("-u", "-U", "--user", "--proxy-user"),
    "mysql": ("-p",),
    "mariadb": ("-p",),
    "sshpass": ("-p",),
    "redis-cli": ("-a",),
    "docker login": ("-p",),
    "podman login": ("-p",),
}
#: What stands behind them is a name, too.
_WITH_NAME: Final = "curl"
#: They have the value at once, or none; and these as one likes.
_GLUED: Final = ("mysql", "mariadb")
_EITHER: Final = ("curl", "sshpass")
#: One after the other: what a line runs, the options behind it, and where it ends.
_PART = re.compile(
    r"(?<![\w\-.])(?P<command>curl|mysql|mariadb|sshpass|redis-cli|(?:docker|podman) login)"
    r"(?:dump|admin|-dump|-admin|\.exe)?(?![\w\-.:/=@])"
    r"|(?<=[\s\"'])(?P<option>--user|--proxy-user|-[uUpa])(?P<between>[ \t]{1,4}|=)?"
    r"(?P<quote>\\?[\"'])?"
    r"|(?P<end>(?<!\\)\n)"
)
_VALUE = re.compile(r"[^\s\"'`\\]{1,200}+")
_QUOTED = re.compile(r"[^\n\"'\\]{1,200}+")


def typed_secrets(text: str) -> Iterator[tuple[int, int]]:
    """Where in a text passwords stand that belong to a command."""
    if not any(command in text for command in _OPTIONS):
        return
    command = None
    for part in _PART.finditer(text):
        if part["end"]:
            command = None
        elif part["command"]:
            command = part["command"]
        elif command is not None and part["option"] in _OPTIONS[command]:
            if (part["between"] is None) is not (command in _GLUED) and command not in _EITHER:
                continue
            if found := _password(text, command, part):
                yield found
            command = None


def _password(text: str, command: str, part: re.Match[str]) -> tuple[int, int] | None:
    value = (_QUOTED if part["quote"] else _VALUE).match(text, part.end())
    if value is None:
        return None
    start, end = value.start(), value.start() + len(value[0].rstrip(",;"))
    if command == _WITH_NAME:
        start = text.find(":", start, end) + 1
    return (start, end) if 0 < start < end and not is_placeholder(text[start:end]) else None
