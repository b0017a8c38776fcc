"""Passwords on command lines, behind options that say so only together with the command. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import attrs

from trio_cursor.assignments import is_placeholder

#: What stands between an option and its value.
_APART: Final = r"(?:[ \t]{1,4}|=)"
_GLUED: Final = r"(?![ \t=])"
_EITHER: Final = _APART + "?"
#: Where what a line runs ends; and where the password has no form, so that another's option is none of it.
_LINE_END: Final = r"(?<!\\)\n"
_STEP_END: Final = _LINE_END + r"|(?<=[ \t])(?:&&|\|)|;(?=\s)"


@attrs.frozen
class _Command:
    """A command that is told a password."""

    names: str
    #: Up to where the value begins.
    option: str
    #: What ends a name that stands before the password, as a part of the value.
    name_end: str | None = None
    end: str = _LINE_END
    #: One of them stands in every text that has it.
    hints: tuple[str, ...] = attrs.field()

    @hints.default
    def _their_names(self) -> tuple[str, ...]:
        return tuple(self.names.split("|"))


_COMMANDS: Final = (
    # Behind those of its options that have no value.
    _Command(
        "curl", rf"(?:-[0-46#afgijklnpqsvBGIJLMNORSVZ]{{0,12}}+[uU]|--(?:proxy-)?user){_EITHER}", name_end=":"
    ),
    _Command("mysql|mariadb", f"-p{_GLUED}"),
    _Command("sshpass", f"-p{_EITHER}"),
    _Command("redis-cli", f"-a{_APART}"),
    _Command("docker login|podman login", f"-p{_APART}"),
    # No port of a container.
    _Command(
        "mongosh|mongodump|mongorestore|mongoexport|mongoimport|mongo",
        rf"-p{_APART}(?!-|[\d.:]{{1,40}}:\d)",
        end=_STEP_END,
    ),
    _Command(
        "ldapsearch|ldapmodify|ldapadd|ldapdelete|ldappasswd|ldapwhoami",
        rf"-[ALMPZcnuvx]{{0,8}}+w{_EITHER}",
        end=_STEP_END,
    ),
    _Command("smbclient|rpcclient", f"(?:-U|--user){_EITHER}", name_end="%"),
    _Command("https|http", rf"(?:-a|--auth){_APART}", name_end=":", hints=(" -a", " --auth")),
    _Command("xfreerdp3|xfreerdp|wfreerdp", r"/g?p:", end=_STEP_END),
)
#: One after the other: what a line runs, the options behind it, and where it ends.
_COMMAND: Final = (
    rf"(?<![\w\-.])(?P<command>{'|'.join(command.names for command in _COMMANDS)})"
    r"(?:dump|admin|-dump|-admin|\.exe)?(?![\w\-.:/=@])"
)
_ANY = re.compile(_COMMAND)
_BY_NAME: Final = {name: command for command in _COMMANDS for name in command.names.split("|")}
_BEHIND: Final = {
    command: re.compile(
        rf"{_COMMAND}|(?<=[\s\"'])(?P<option>{command.option})(?P<quote>\\?[\"'])?|(?P<end>{command.end})"
    )
    for command in _COMMANDS
}
#: A Windows domain before the name.
_DOMAIN = re.compile(r"[\w.\-]{1,60}+\\{1,4}+(?=\w)")
_VALUE = re.compile(r"[^\s\"'`\\]{1,200}+")
_QUOTED = re.compile(r"[^\n\"'\\]{1,200}+")


def typed_secrets(text: str) -> Iterator[tuple[int, int]]:
    """Where in a text passwords stand that belong to a command."""
    if not any(hint in text for command in _COMMANDS for hint in command.hints):
        return
    command, at = None, 0
    while part := (_ANY if command is None else _BEHIND[command]).search(text, at):
        at = part.end()
        if name := part["command"]:
            command = _BY_NAME[name]
        elif command is not None:
            if part["option"] and (found := _password(text, command, part)):
                yield found
            command = None


def _password(text: str, command: _Command, part: re.Match[str]) -> tuple[int, int] | None:
    domain = _DOMAIN.match(text, part.end()) if command.name_end is not None else None
    value = (_QUOTED if part["quote"] else _VALUE).match(text, domain.end() if domain else part.end())
    if value is None:
        return None
    start, end = value.start(), value.start() + len(value[0].rstrip(",;"))
    if command.name_end is not None:
        start = text.find(command.name_end, start, end) + 1
    return (start, end) if 0 < start < end and not is_placeholder(text[start:end]) else None
