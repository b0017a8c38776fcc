"""The atlas: which workspaces there are, for whoever knows only an id or a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs

from trio_cursor.cursor.folders import fs_path, same_folder
from trio_cursor.cursor.listing import Listing
from trio_cursor.cursor.opening import FILE_NAME
from trio_cursor.records import Workspace
from trio_cursor.scanner import Scanner
from trio_cursor.watched import Watched


@attrs.define
class _Map:
    """One listing, arranged for looking up."""

    listing: Listing
    by_id: dict[str | None, Workspace]
    by_folder: dict[str, Workspace | None] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Atlas:
    """Finds workspaces in what the scanner has listed, those that are not watched too."""

    scanner: Scanner
    #: Whether a workspace is to be monitored at all, and whether the globs alone let it.
    wanted: Callable[[Workspace], bool]
    allowed: Callable[[Workspace], bool] = lambda _: True
    #: Whether what belongs nobody knows where is to be reported.
    admits: Callable[[], bool] = lambda: True
    _maps: dict[str, _Map] = attrs.field(factory=dict, init=False)

    def workspace(self, profile: str, id_: str) -> Workspace:
        """The workspace with this directory name, also if its directory is gone."""
        known = self._map(profile)
        if known is not None and id_ in known.by_id:
            return known.by_id[id_]
        # Never opened: a name for an event's metadata and for its session.
        return Workspace(str(Path(profile, "workspaceStorage", id_, FILE_NAME)), profile, id_)

    def watched(self, database: str) -> Watched | None:
        """A database that the sweep looks at; None: there is none, or it is not to be monitored."""
        return self.scanner.watched.get(database)

    def all_watched(self) -> list[Watched]:
        """All of them."""
        return list(self.scanner.watched.values())

    def at_folder(self, profile: str, folder: str) -> Workspace | None:
        """The workspace of a folder, given as a path or URI; of several the one written last."""
        known = self._map(profile)
        if known is None:
            return None
        if folder not in known.by_folder:
            same = [item for item in known.by_id.values() if same_folder(folder, item)]
            known.by_folder[folder] = max(same, key=self._order, default=None)
        return known.by_folder[folder]

    @property
    def admits_unknown(self) -> bool:
        """Whether what belongs nobody knows where is to be reported."""
        return self.admits()

    def is_wanted(self, workspace: Workspace) -> bool:
        """Whether generations of this workspace are to be reported."""
        return self.wanted(workspace)

    def is_folder_wanted(self, folder: str) -> bool:
        """Whether generations of a folder, given as path or URI, may be reported."""
        is_uri = "://" in folder
        path = fs_path(folder) if is_uri else folder
        return self.allowed(Workspace("", "", "", path=path, uri=folder if is_uri else None))

    def global_of(self, profile: str) -> Workspace:
        """The profile's global database."""
        known = self._map(profile)
        if known is not None and None in known.by_id:
            return known.by_id[None]
        return Workspace(str(Path(profile, "globalStorage", FILE_NAME)), profile, None)

    def _order(self, workspace: Workspace) -> tuple[int, str]:
        watched = self.scanner.watched.get(workspace.database)
        return ((watched.changed_ms if watched else None) or 0, workspace.id or "")

    def _map(self, profile: str) -> _Map | None:
        listing = self.scanner.listings.get(profile)
        if listing is None:
            return None
        known = self._maps.get(profile)
        if known is None or known.listing is not listing:
            known = _Map(listing, {item.id: item for item in listing.workspaces})
            self._maps[profile] = known
        return known
