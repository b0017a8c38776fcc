"""Mapping: which database an announced workspace is. Five strategies, in order; the first is memory.

Nothing of an announcement is ever joined to a path, opened, or put into SQL: a database is one of those that
the scanner has listed and that may be read, and what was announced is only compared.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import attrs
import trio

from trio_cursor.cursor.folders import LONGEST_URI, is_list_of_folders
from trio_cursor.cursor.guest import Guest, Signature
from trio_cursor.cursor.hashes import Names, hashes_to, is_hash, spellings
from trio_cursor.cursor.listing import Listing
from trio_cursor.cursor.schemas.naming import (
    Sought,
    path_sought,
    usable_ids,
    why_not_searched,
)
from trio_cursor.cursor.searching import SEARCH_SECONDS, Search
from trio_cursor.records import FoundMapping, Workspace
from trio_cursor.scanner import Scanner
from trio_cursor.watched import Watched

CACHE: Final = "cache"
WORKSPACE_JSON: Final = "workspace_json"
DIRECTORY_NAME: Final = "directory_name"
SESSION_ID: Final = "session_id"
PATH_IN_KEYS: Final = "path_in_keys"
#: In the order in which they are tried.
STRATEGIES: Final = (CACHE, WORKSPACE_JSON, DIRECTORY_NAME, SESSION_ID, PATH_IN_KEYS)

#: What was found holds that long, milliseconds.
KEPT_MS: Final = 30 * 86_400_000
#: What is remembered, the oldest of more is forgotten.
MOST_KNOWN: Final = 10_000
#: Bytes that one search reads.
MOST_BYTES: Final = 64 << 20
#: Workspaces whose folders' spellings are hashed before others get their turn: some milliseconds.
_SPELLED_AT_ONCE: Final = 200
#: Searches of which is remembered what they have read in vain.
_MOST_VAIN: Final = 64
#: Two databases of one folder that were written within this time are both in use: what was found first stays.
_BOTH_IN_USE_MS: Final = 10_000


@attrs.frozen
class Mapped:
    """The database of an announced workspace."""

    workspace: Workspace
    #: One of `STRATEGIES`.
    strategy: str
    #: Why those before it found nothing, in words.
    why: dict[str, str] = attrs.field(factory=dict, eq=False)


@attrs.frozen
class Unmapped:
    """No database is known to be that of an announced workspace."""

    #: By strategy in words, in order; those that were not tried are not in it.
    why: dict[str, str]
    #: The workspace is known, and not to be read: there is nothing to look for.
    is_left_out: bool = False


class Mapper:
    """Finds the databases of announced workspaces. One for each service.

    Args:
        scanner: Knows what is there, and what of it may be read.
        guest: Reads databases, for the last two strategies.
        known: What earlier runs have found.
        platform: As `sys.platform`; on macOS the case of a folder's name tells nothing apart.

    """

    def __init__(
        self,
        scanner: Scanner,
        guest: Guest,
        known: Iterable[FoundMapping] = (),
        *,
        platform: str = sys.platform,
    ) -> None:
        self._scanner = scanner
        self._guest = guest
        self._known: dict[str, FoundMapping] = {}
        for mapping in sorted(known, key=lambda mapping: mapping.found_at):
            self.remember(mapping)
        self._names = Names(any_case=platform == "darwin")
        self._listings: tuple[Listing, ...] = ()
        self._edition = 0
        self._lock = trio.Lock()
        #: What was searched for in vain: databases, as they were then.
        self._vain: OrderedDict[Sought, dict[tuple[str, bool], Signature]] = OrderedDict()

    def remember(self, mapping: FoundMapping) -> bool:
        """Remember what was found; tells whether that is news, worth storing."""
        known = self._known.get(mapping.workspace_hash)
        if mapping.strategy not in STRATEGIES[1:] or (
            known is not None and attrs.evolve(known, found_at=mapping.found_at) == mapping
        ):
            return False
        self._known.pop(mapping.workspace_hash, None)
        if len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[mapping.workspace_hash] = mapping
        return True

    def edition(self) -> int:
        """Goes up with each change of what is listed: what was not found may be there now."""
        self._refresh()
        return self._edition

    def is_there(self, database: str) -> bool:
        """Whether a database can be an announced workspace's: listed, to be read, and not the global one."""
        item = self._scanner.watched.get(database)
        return item is not None and not item.workspace.is_global and item.signature.database is not None

    def quick(self, workspace_hash: str, path: str | None, now_ms: int | None = None) -> Mapped | Unmapped:
        """Find it by what the scanner has listed: microseconds, and nothing is read.

        Of thousands of workspaces that have just been listed some may be missed by a hash that is not their
        own but of another spelling; the next times, `spell_all` or a search find them.

        `now_ms`: None: what is remembered is taken however old it is.
        """
        self._refresh()
        self._names.spell(_SPELLED_AT_ONCE)
        if not is_hash(workspace_hash):
            words = "what was announced is no hash: 16 to 64 hex digits"
            return Unmapped(dict.fromkeys(STRATEGIES[:3], words))
        remembered = self._remembered(workspace_hash, path, now_ms)
        mapping = None if isinstance(remembered, str) else remembered
        why = {CACHE: "what was found before is not what is likeliest now"}
        if isinstance(remembered, str):
            why[CACHE] = remembered
        elif path is None:
            path = remembered.path
        for strategy, look in ((WORKSPACE_JSON, self._by_folder), (DIRECTORY_NAME, self._by_directory)):
            places, words = look(workspace_hash, path)
            watched = [item for place in places if (item := self._scanner.watched.get(place.database))]
            if watched:
                return self._settled(mapping, strategy, watched, why)
            if places:
                # The hash or the path of one that is not read must not be found to be another one's.
                why[strategy] = f"{places[0].id} is it, but include, exclude or rollout_percent leave it out"
                return Unmapped(why, is_left_out=True)
            why[strategy] = words
        if mapping is not None and mapping.strategy in (SESSION_ID, PATH_IN_KEYS):
            return Mapped(self._scanner.watched[mapping.database].workspace, CACHE)
        return Unmapped(why)

    async def spell_all(self) -> None:
        """Hash every spelling of every folder that is listed: until others are, `quick` misses none."""
        self._refresh()
        while not self._names.spell(_SPELLED_AT_ONCE):
            await trio.lowlevel.checkpoint()

    async def search(
        self, workspace_hash: str, path: str | None, session_ids: Iterable[str]
    ) -> Mapped | Unmapped:
        """Find it by what databases hold, if not at a glance. Reads: seconds at most, one search at a time.

        Of very many session ids the last ones are looked for. What was looked at in vain is looked at
        again only after it has changed.
        """
        async with self._lock:
            await self.spell_all()
            outcome = self.quick(workspace_hash, path)
            if isinstance(outcome, Mapped) or outcome.is_left_out or not is_hash(workspace_hash):
                return outcome
            sought, not_sought = self._sought(path, usable_ids(session_ids))
            search = Search(self._guest, self._vain_of(sought), MOST_BYTES)
            with trio.move_on_after(SEARCH_SECONDS) as scope:
                await search.run(self._databases() if sought.keys() else [], sought)
            if search.by_session is not None:
                return Mapped(search.by_session, SESSION_ID, outcome.why)
            words = search.in_words(is_cut_short=scope.cancelled_caught)
            why = {**outcome.why, SESSION_ID: f"no database names a session that was announced{words}"}
            if search.by_path is not None:
                return Mapped(search.by_path, PATH_IN_KEYS, {**why, **not_sought})
            why[PATH_IN_KEYS] = f"the AI keys of no database without a folder name the path{words}"
            return Unmapped({**why, **not_sought})

    def _refresh(self) -> None:
        now = tuple(self._scanner.listings.values())
        if len(now) != len(self._listings) or any(
            a is not b for a, b in zip(now, self._listings, strict=True)
        ):
            self._names.update(item for listing in now for item in listing.workspaces)
            self._listings = now
            self._edition += 1

    def _remembered(self, workspace_hash: str, path: str | None, now_ms: int | None) -> FoundMapping | str:
        """What is remembered of a hash, if it still holds; else why not, in words."""
        mapping = self._known.get(workspace_hash)
        if mapping is None:
            return "nothing was found before"
        if now_ms is not None and now_ms - mapping.found_at > KEPT_MS:
            del self._known[workspace_hash]
            return "what was found is older than 30 days"
        if not self.is_there(mapping.database):
            return "the database that was found is gone, or not to be read"
        item = self._scanner.watched[mapping.database]
        # It stays remembered: whoever says another path with the same hash must not make us forget.
        if self._is_another(item.workspace, workspace_hash, path or mapping.path):
            return "the database that was found belongs to another folder"
        return mapping

    def _by_folder(self, workspace_hash: str, path: str | None) -> tuple[list[Workspace], str]:
        count = f"{len(self._names)} workspace.json"
        by_hash = self._names.by_hash(workspace_hash)
        if path is None:
            return (by_hash, f"none of {count} has the hash, and no path was announced")
        if len(path) > LONGEST_URI:
            return (by_hash, f"none of {count} has the hash, and the announced path is longer than any")
        by_path = self._names.by_folder(path)
        places = by_hash or by_path
        if by_hash and by_path and by_hash != by_path and hashes_to(workspace_hash, spellings(path)):
            # It tells no more than the path; else it may tell which machine's folder it is, or of which one
            # the path is only a part.
            places = list({item.database: item for item in (*by_path, *by_hash)}.values())
        return (places, f"none of {count} has the hash or names the announced path")

    def _by_directory(self, workspace_hash: str, path: str | None) -> tuple[list[Workspace], str]:
        called = self._names.by_directory(workspace_hash)
        places = [item for item in called if not self._is_another(item, workspace_hash, path)]
        if called and not places:
            return ([], f"{called[0].id} is called by it, but its workspace.json names another folder")
        return (places, f"none of {len(self._names)} directories is called by the hash")

    def _is_another(self, workspace: Workspace, workspace_hash: str, path: str | None) -> bool:
        """Whether its `workspace.json` names another folder than the one that was announced."""
        if path is None or workspace.path is None or is_list_of_folders(workspace.path):
            return False
        same = (*self._names.by_hash(workspace_hash), *self._names.by_folder(path))
        return all(item.database != workspace.database for item in same)

    def _settled(
        self, mapping: FoundMapping | None, strategy: str, watched: list[Watched], why: dict[str, str]
    ) -> Mapped:
        """Of several the one that was written last."""
        best = max(watched, key=written_last)
        for item in watched:
            is_known = mapping is not None and mapping.database == item.workspace.database
            if is_known and written_last(best)[0] - written_last(item)[0] <= _BOTH_IN_USE_MS:
                return Mapped(item.workspace, CACHE)
        return Mapped(best.workspace, strategy, why)

    def _sought(self, path: str | None, ids: frozenset[str]) -> tuple[Sought, dict[str, str]]:
        """What to look for, and why not for the rest, in words by strategy."""
        why = {}
        if not ids:
            why[SESSION_ID] = "no session with an id long enough to be looked for was announced"
        problem = "no path was announced" if path is None else why_not_searched(path)
        if path is None or problem:
            why[PATH_IN_KEYS] = problem or ""
            return (Sought(ids), why)
        others = [item.path for item in self._names.workspaces() if item.path]
        return (attrs.evolve(path_sought(path, others), session_ids=ids), why)

    def _databases(self) -> list[Watched]:
        """Those that can be searched, the one written last first."""
        found = [
            item
            for item in self._scanner.watched.values()
            if not item.workspace.is_global and item.signature.database is not None
        ]
        return sorted(found, key=written_last, reverse=True)

    def _vain_of(self, sought: Sought) -> dict[tuple[str, bool], Signature]:
        vain = self._vain.setdefault(sought, {})
        self._vain.move_to_end(sought)
        if len(self._vain) > _MOST_VAIN:
            self._vain.popitem(last=False)
        return vain


def written_last(item: Watched) -> tuple[int, str]:
    return (item.changed_ms or 0, item.workspace.database)
