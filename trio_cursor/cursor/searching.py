"""A search for announced workspaces through the databases, for what their directories do not say."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Final

import attrs
import trio

from trio_cursor.cursor.folders import is_list_of_folders
from trio_cursor.cursor.guest import Busy, Empty, Guest, NeedsRecovery, Page, Signature, Unreadable
from trio_cursor.cursor.schemas.naming import Named, Sought, scan_names
from trio_cursor.records import Workspace
from trio_cursor.watched import Watched

#: Bounds of one search.
MOST_DATABASES: Final = 200
SEARCH_SECONDS: Final = 5.0
#: ... and of one database in it.
DATABASE_SECONDS: Final = 0.5
#: As often each database is looked at, in case the lock budget was not enough.
_LOOKS: Final = 3


def may_be_any_folder(workspace: Workspace) -> bool:
    """Whether what a window talks of may be its own folder: it has none, or several."""
    return workspace.path is None or is_list_of_folders(workspace.path)


@attrs.define(eq=False)
class Search:
    """One search through databases, the one written last first."""

    guest: Guest
    #: Databases in which nothing was found, and whether the path was looked for; as they were then.
    vain: dict[tuple[str, bool], Signature]
    #: Bytes that may still be read.
    room: int
    by_session: Workspace | None = None
    by_path: Workspace | None = None
    looked_at: int = 0
    #: By reason in words.
    passed_over: Counter[str] = attrs.field(factory=Counter)

    async def run(self, databases: list[Watched], sought: Sought) -> None:
        """Search until a session was found; a path that was found counts if no session is."""
        sessions_alone = attrs.evolve(sought, pattern=None, anchor="")
        # What a window says of a folder that is not its own is only talk.
        worth_it = [item for item in databases if sought.session_ids or may_be_any_folder(item.workspace)]
        for item in worth_it[:MOST_DATABASES]:
            is_path_sought = self.by_path is None and may_be_any_folder(item.workspace)
            await self._look_at(item, sought if is_path_sought else sessions_alone)
            if self.by_session is not None or (self.by_path is not None and not sought.session_ids):
                return
        if beyond := len(worth_it[MOST_DATABASES:]):
            self.passed_over["written longer ago than the others"] = beyond

    async def _look_at(self, item: Watched, sought: Sought) -> None:
        if self.room <= 0:
            self.passed_over["left when enough was read"] += 1
            return
        key, signature = (item.workspace.database, sought.pattern is not None), item.signature
        self.looked_at += 1
        if self.vain.get(key) == signature:
            return
        named = await self._read(item.workspace.database, sought)
        if named.problem is not None:
            self.looked_at -= 1
            self.passed_over[named.problem] += 1
        if named.has_session:
            self.by_session = item.workspace
        elif named.has_path:
            self.by_path = item.workspace
        elif named.problem is None:
            self.vain[key] = signature

    async def _read(self, database: str, sought: Sought) -> Named:
        found = Named(rest=sought.keys())
        for _ in range(_LOOKS):
            outcome: object = None
            with trio.move_on_after(DATABASE_SECONDS):
                scan = partial(scan_names, sought=sought, keys=found.rest, room=self.room)
                outcome = await self.guest.read(database, scan)
            if not isinstance(outcome, Page):
                return attrs.evolve(found, problem=_refusal(outcome))
            named: Named = outcome.result
            self.room -= named.size
            found = Named(
                found.has_session or named.has_session,
                found.has_path or named.has_path,
                rest=named.rest,
                problem=found.problem or named.problem,
            )
            if not found.rest:
                return found
        return attrs.evolve(found, problem=found.problem or "locked or slow")

    def in_words(self, *, is_cut_short: bool) -> str:
        """How far the search went, to be appended to what it did not find."""
        words = [f"{self.looked_at} looked at"]
        words += [f"{count} passed over: {reason}" for reason, count in sorted(self.passed_over.items())]
        if is_cut_short:
            words.append(f"stopped after {SEARCH_SECONDS:g} s")
        return f" ({'; '.join(words)})"


def _refusal(outcome: object) -> str | None:
    """Why nothing was read, in words; None: there is nothing to be read."""
    match outcome:
        case Empty():
            return None
        case Busy():
            return "locked"
        case NeedsRecovery(why) | Unreadable(why):
            return why
        case _:
            return "locked or slow"
