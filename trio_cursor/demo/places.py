"""Which windows there are, and the names of their directories.

Directory names follow VS Code's `platform/workspaces/node/workspaces.ts`, for Linux; the folders are made up
and need not exist, so their inode numbers are made up too, and the same in every tree.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import attrs

if TYPE_CHECKING:
    from pathlib import Path

_HOME: Final = "/home/demo/projects"
#: A blank, an umlaut and a percent sign: what a `workspace.json` reader gets wrong first.
_NAMES: Final = (
    "tidy-parser",
    "Größen rechner",
    "100% coverage",
    "weather-station",
    "recipes",
    "chess-clock",
)
_FIRST_INODE: Final = 1_310_721
#: The window without a folder got its name from the clock: `Date.now()` plus a random number below 1,000.
_FOLDERLESS_ID: Final = "1767261600417"
_REMOTE_AUTHORITY: Final = "ssh-remote+build-host"

#: Which window is not just a local folder.
_CODE_WORKSPACE_INDEX: Final = 3
_REMOTE_INDEX: Final = 4
_FOLDERLESS_INDEX: Final = 5

JOURNALS: Final = ("mixed", "delete", "wal")


@attrs.frozen
class Place:
    """A window's home in `workspaceStorage`."""

    id: str
    #: What people would call it: path or remote URI; None without a folder.
    name: str | None
    #: The content of `workspace.json`; None if there is none.
    workspace_json: str | None
    use_wal: bool

    @property
    def is_folderless(self) -> bool:
        return self.name is None

    @property
    def folder_uri(self) -> str | None:
        """Of a local folder, and of nothing else."""
        if self.workspace_json is None:
            return None
        uri: str = json.loads(self.workspace_json).get("folder", "")
        return uri if uri.startswith("file:") else None


def place(index: int, journal: str) -> Place:
    """The window number `index`: always the same, whatever else there is."""
    use_wal = index % 2 == 1 if journal == "mixed" else journal == "wal"
    if index == _FOLDERLESS_INDEX:
        return Place(_FOLDERLESS_ID, None, None, use_wal)
    if index == _REMOTE_INDEX:
        uri = f"vscode-remote://{quote(_REMOTE_AUTHORITY)}/srv/billing"
        return Place(_md5(uri), uri, _meta("folder", uri), use_wal)
    if index == _CODE_WORKSPACE_INDEX:
        path = f"{_HOME}/everything.code-workspace"
        return Place(_md5(path), path, _meta("workspace", _file_uri(path)), use_wal)
    name = _NAMES[index] if index < len(_NAMES) else f"project-{index:03}"
    path = f"{_HOME}/{name}"
    return Place(_md5(f"{path}{_FIRST_INODE + index}"), path, _meta("folder", _file_uri(path)), use_wal)


def create(workspace_storage: Path, place: Place) -> Path:
    """Make the window's directory if need be, with its `workspace.json`; give the directory."""
    directory = workspace_storage / place.id
    directory.mkdir(parents=True, exist_ok=True)
    meta = directory / "workspace.json"
    if place.workspace_json is not None and not meta.exists():
        meta.write_text(place.workspace_json, encoding="utf-8", newline="")
    return directory


def _file_uri(path: str) -> str:
    # VS Code's URI.toString() leaves alone what Python's quote does: letters, digits, -._~ and /.
    return f"file://{quote(path)}"


def _meta(key: str, uri: str) -> str:
    # JSON.stringify(meta, undefined, 2) in VS Code's storageMain.ts.
    return json.dumps({key: uri}, indent=2)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
