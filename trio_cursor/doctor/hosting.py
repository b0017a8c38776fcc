"""Whether the system is to run the service for this person, and does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

import attrs

from trio_cursor.errors import HostError
from trio_cursor.hosts import unit_file
from trio_cursor.hosts.host import Host, Question
from trio_cursor.hosts.templates import Found
from trio_cursor.hosts.tools import Tool
from trio_cursor.hosts.tools import ask as ask_tool

#: For each question to the system's tool, which answers in milliseconds.
_SECONDS: Final = 2.0

#: Raises `HostError` where there is none.
FindHost: TypeAlias = Callable[[], Host]

_ask: Final = partial(ask_tool, seconds=_SECONDS)


@attrs.frozen
class HostLook:
    """What the host has of us."""

    #: None: nothing runs services here; then `trouble` says why.
    host: Host | None = None
    found: Found = Found.NOTHING
    #: It cannot be told, in words.
    trouble: str | None = None
    #: None: the host cannot be asked, or does not say.
    is_enabled: bool | None = None
    is_running: bool | None = None


def look_at_host(find: FindHost, tool: Tool = _ask) -> HostLook:
    """Look for the file, and ask the host about it only if it is there. Blocks."""
    try:
        host = find()
        found = unit_file.look(host)
    except HostError as error:
        return HostLook(trouble=str(error))
    if found in (Found.NOTHING, Found.FOREIGN) or not _is_yes(host.reachable, tool):
        return HostLook(host, found)
    is_running = None if host.is_running is None else _is_yes(host.is_running, tool)
    return HostLook(host, found, is_enabled=_is_yes(host.is_enabled, tool), is_running=is_running)


def _is_yes(question: Question, tool: Tool) -> bool:
    return question.is_yes(tool(question.words))
