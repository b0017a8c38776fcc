"""A step of the Assembler: what it finds out, and what it asks to be written."""

from __future__ import annotations

from typing import Protocol

import attrs

from trio_cursor.assembly.pending import Pending
from trio_cursor.observations import Place
from trio_cursor.records import Generation, Workspace


@attrs.frozen
class Change:
    """What one step of the Assembler asks to be written, in one transaction."""

    #: One that was not released for its content may be known to the log: of some the key was found only now.
    #: It is left out then, and all else holds.
    released: tuple[Generation, ...] = ()
    #: To be stored, replacing what was pending under the same key.
    pending: tuple[Pending, ...] = ()
    #: Storage keys of what is pending no more.
    settled: tuple[str, ...] = ()
    #: To be stored, each with its profile.
    places: tuple[tuple[str, Place], ...] = ()
    #: Generations of workspaces that are not to be reported, each once.
    excluded: int = 0
    #: Turns that were pending, and that nobody can name.
    nameless: int = 0
    #: Generations that no session came for, of no known workspace.
    unattributed: int = 0


class Admission(Protocol):
    """Whose generations are to be reported: those of somebody's session."""

    def admits(self, workspace: Workspace, time_ms: int | None, now_ms: int) -> bool:
        """Whether a generation that started then is anybody's."""

    def hold_until(self, time_ms: int | None, seen_ms: int) -> float:
        """Until when what is nobody's waits for somebody, in milliseconds; `seen_ms`: when it was seen."""


@attrs.define(eq=False)
class Step:
    """A change that is being made."""

    now_ms: int
    at: float
    released: list[Generation] = attrs.field(factory=list)
    places: list[tuple[str, Place]] = attrs.field(factory=list)
    excluded: int = 0
    nameless: int = 0
    unattributed: int = 0
    #: Keys and aliases of what is released.
    keys: set[str] = attrs.field(factory=set)
