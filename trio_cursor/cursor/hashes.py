"""By which names and hashes a workspace may be announced, and an index over them. Pure.

An extension hashes what it holds for the workspace's path, which is not always what `fsPath` gives: the
letter of a drive, slashes, a URI or its decoded form, a separator at the end.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Literal

import attrs

from trio_cursor.cursor.folders import (
    asked_keys,
    decoded,
    folder_keys,
    is_file_uri,
    is_windows_path,
    wsl_folder,
)
from trio_cursor.records import Workspace

#: As announced: hex digits of a SHA-256, or the first of them.
_HASH = re.compile("[0-9a-f]{16,64}")
#: Digits that every announced hash has.
_PREFIX = 16
_PIECE = _PREFIX // 2
#: When so many have gone at once it is quicker to begin anew.
_MANY = 100
_DRIVE = re.compile("[A-Za-z]:")
_COLON = re.compile("%3A", re.IGNORECASE)
#: A disk of macOS may give an accent as a letter of its own.
_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
_DRIVE_IN_A_FILE_URI = re.compile(r"(file:///)([A-Za-z])(:|%3A)", re.IGNORECASE)


def is_hash(text: str) -> bool:
    """Whether a text has the form of an announced hash."""
    return _HASH.fullmatch(text) is not None


def spellings(path: str, uri: str | None = None) -> frozenset[str]:
    """Every way in which somebody may plausibly write a folder before hashing it.

    `path` as `fsPath` gives it (of a remote folder the path over there), `uri` as it stands in
    `workspace.json`.
    """
    names = {path}
    if uri:
        names |= {uri, decoded(uri), _COLON.sub(":", uri)} if "%" in uri else {uri}
        if not is_file_uri(uri):
            # `fsPath` where a Windows Cursor has opened it.
            names.add(path.replace("/", "\\"))
    if (wsl := wsl_folder(uri or path)) is not None:
        distribution, inside = wsl
        backwards = inside.replace("/", "\\")
        names |= {f"\\\\{host}\\{distribution}{backwards}" for host in ("wsl.localhost", "wsl$")}
        names |= {f"vscode-remote://wsl{plus}{distribution}{inside}" for plus in ("+", "%2B", "%2b")}
        names.add(inside)
    if is_windows_path(path):
        names |= _on_windows(path)
    names = {each for name in names for each in _with_either_drive(name)}
    names |= {unicodedata.normalize(form, name) for form in _FORMS for name in names if not name.isascii()}
    return frozenset(each for name in names for each in _with_either_end(name))


def _on_windows(path: str) -> set[str]:
    names = {path, path.lower()}
    names |= {name.replace("\\", "/") for name in names}
    # `path` of a URI.
    return names | {f"/{name}" for name in names if _DRIVE.match(name) and "\\" not in name}


def _with_either_drive(name: str) -> Iterator[str]:
    yield name
    start = name.startswith("/")
    if _DRIVE.match(name, start):
        yield name[:start] + name[start].swapcase() + name[start + 1 :]
    elif found := _DRIVE_IN_A_FILE_URI.match(name):
        yield found[1] + found[2].swapcase() + name[found.end(2) :]


def _with_either_end(name: str) -> Iterator[str]:
    bare = name.rstrip("/\\")
    separator = "\\" if "\\" in name and "/" not in name else "/"
    yield name
    yield bare + separator
    if bare:
        yield bare


def digest_of(name: str) -> str:
    """SHA-256 of a name, all 64 hex digits."""
    return hashlib.sha256(name.encode(errors="replace")).hexdigest()


def hashes_to(announced: str, names: Iterable[str]) -> bool:
    """Whether one of the names has a digest that begins like this."""
    return any(digest_of(name).startswith(announced) for name in names)


@attrs.define(eq=False)
class Names:
    """Workspaces by the hashes, the folders and the directory names that they may be announced under."""

    #: Whether folders of this machine are the same whatever the case of their letters, as on macOS.
    any_case: bool = False
    #: By database; and those of them that stand under their own hash alone, as yet.
    _workspaces: dict[str, Workspace] = attrs.field(factory=dict, init=False)
    _unspelled: dict[str, Workspace] = attrs.field(factory=dict, init=False)
    _by_prefix: dict[str, list[Workspace]] = attrs.field(factory=dict, init=False)
    _by_key: dict[str, list[Workspace]] = attrs.field(factory=dict, init=False)
    #: By pieces of the directory's name: whatever is twice as long holds a whole one.
    _by_piece: dict[str, list[Workspace]] = attrs.field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._workspaces)

    def update(self, workspaces: Iterable[Workspace]) -> None:
        """Take these instead of those before; only what has changed costs more than a comparison."""
        now = {item.database: item for item in workspaces if not item.is_global}
        gone = [item for name, item in self._workspaces.items() if now.get(name) is not item]
        if len(gone) > _MANY:
            for index in (self._workspaces, self._unspelled, self._by_prefix, self._by_key, self._by_piece):
                index.clear()
        else:
            for item in gone:
                del self._workspaces[item.database]
                is_spelled = self._unspelled.pop(item.database, None) is None
                _take_out(self._by_prefix, _prefixes(item) if is_spelled else _own_prefix(item), item)
                _take_out(self._by_key, self._keys(item), item)
                _take_out(self._by_piece, _pieces(item), item)
        for name, item in now.items():
            if name not in self._workspaces:
                self._workspaces[name] = item
                self._unspelled[name] = item
                _put_in(self._by_prefix, _own_prefix(item), item)
                _put_in(self._by_key, self._keys(item), item)
                _put_in(self._by_piece, _pieces(item), item)

    def spell(self, most: int) -> bool:
        """File the next ones under the hashes of all their spellings; tells whether all are.

        Until then `by_hash` knows the rest by their own hash only: thousands take a moment.
        """
        for name in tuple(itertools.islice(self._unspelled, most)):
            item = self._unspelled.pop(name)
            _put_in(self._by_prefix, _prefixes(item) - _own_prefix(item), item)
        return not self._unspelled

    def workspaces(self) -> Iterable[Workspace]:
        """All of them."""
        return self._workspaces.values()

    def by_hash(self, announced: str) -> list[Workspace]:
        """Workspaces of whose folder some spelling hashes to this."""
        found = self._by_prefix.get(announced[:_PREFIX], ())
        if len(announced) == _PREFIX:
            return list(found)
        return [item for item in found if item.path and hashes_to(announced, spellings(item.path, item.uri))]

    def by_folder(self, text: str) -> list[Workspace]:
        """Workspaces of the folder that a path or URI names."""
        keys = asked_keys(text)
        found = {item.database: item for key in keys for item in self._by_key.get(key, ())}
        if not found and self.any_case:
            found = {item.database: item for key in keys for item in self._by_key.get(_any_case(key), ())}
        return list(found.values())

    def by_directory(self, announced: str) -> list[Workspace]:
        """Workspaces with this in the name of their directory."""
        pieces = {announced[at : at + _PIECE] for at in range(_PIECE)}
        found = {item.database: item for piece in pieces for item in self._by_piece.get(piece, ())}
        return [item for item in found.values() if announced in _directory(item)]

    def _keys(self, workspace: Workspace) -> frozenset[str]:
        keys = folder_keys(workspace)
        # Of this machine alone: another one has a disk of its own.
        if self.any_case and _is_local(workspace):
            keys |= {_any_case(key) for key in keys}
        return keys


def _any_case(key: str) -> str:
    return f"any case\n{key.lower()}"


def _is_local(workspace: Workspace) -> bool:
    return workspace.path is not None and is_file_uri(workspace.uri or "")


def _own_prefix(workspace: Workspace) -> frozenset[str]:
    return frozenset({workspace.hash} if workspace.hash else ())


def _prefixes(workspace: Workspace) -> frozenset[str]:
    if workspace.path is None:
        return frozenset()
    names = spellings(workspace.path, workspace.uri)
    return _own_prefix(workspace) | {digest_of(name)[:_PREFIX] for name in names}


def _directory(workspace: Workspace) -> str:
    return (workspace.id or "").lower()


def _pieces(workspace: Workspace) -> frozenset[str]:
    name = _directory(workspace)
    return frozenset(name[at : at + _PIECE] for at in range(0, len(name) - _PIECE + 1, _PIECE))


def _put_in(index: dict[str, list[Workspace]], keys: Iterable[str], workspace: Workspace) -> None:
    for key in keys:
        index.setdefault(key, []).append(workspace)


def _take_out(index: dict[str, list[Workspace]], keys: Iterable[str], workspace: Workspace) -> None:
    for key in keys:
        index[key].remove(workspace)
        if not index[key]:
            del index[key]
