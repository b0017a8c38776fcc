"""`workspace.json`: which folder a workspace is. It may be anything: missing, half written, hostile."""

# Paths are text, as in `records`.
# ruff: noqa: PTH123

from __future__ import annotations

import json
import os
import stat

import attrs

from trio_cursor.cursor.folders import LONGEST_URI, fs_path, parse_uri, workspace_hash
from trio_cursor.cursor.schemas.values import clean_text

FILE_NAME = "workspace.json"

#: The one problem that is none: a window without a folder has no such file.
NO_FILE = "no workspace.json: a window without a folder, or not written yet"
#: How the problem begins of one that is there and cannot be read, as others of its user's files may not.
UNREADABLE = "workspace.json cannot be read"

#: Real ones have about a hundred bytes.
_LARGEST_FOLDER_FILE_BYTES = 1 << 20

#: A local or remote folder; a `.code-workspace` file; the same in older versions of VS Code.
_FOLDER_KEYS = ("folder", "workspace", "configuration")

# O_NONBLOCK: opening a FIFO must not wait for a writer. Not every platform has every flag.
_READ = os.O_RDONLY | sum(
    getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT")
)


@attrs.frozen
class Folder:
    """What `workspace.json` says: which folder (or `.code-workspace` file) a workspace is."""

    #: Of a local one its `fsPath`, of a remote one the path on that machine.
    path: str | None = None
    #: As it stands in the file.
    uri: str | None = None
    #: Of the path, or of the URI if it is remote; see `workspace_hash`.
    hash: str | None = None
    #: Why nothing is known, in words.
    problem: str | None = None


def read_workspace_json(path: str) -> Folder:
    """Read a `workspace.json`, which may be anything: missing, half written, hostile.

    Never raises and never waits, except for the file system itself.
    """
    try:
        # Before opening: to open a device can do things.
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return Folder(problem="workspace.json is not a regular file")
        with open(os.open(path, _READ), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return Folder(problem="workspace.json is not a regular file")
            content = file.read(_LARGEST_FOLDER_FILE_BYTES + 1)
    except FileNotFoundError:
        return Folder(problem=NO_FILE)
    except OSError as error:
        return Folder(problem=f"{UNREADABLE} ({error.strerror})")
    if len(content) > _LARGEST_FOLDER_FILE_BYTES:
        return Folder(problem="workspace.json is larger than 1 MiB")
    if not content.strip():
        return Folder(problem="workspace.json is empty")
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return Folder(problem="workspace.json is not JSON")
    if not isinstance(document, dict):
        return Folder(problem="workspace.json is not an object")
    return _folder(next((document[key] for key in _FOLDER_KEYS if document.get(key) is not None), None))


def _folder(uri: object) -> Folder:
    if uri is None:
        return Folder(problem="workspace.json names no folder")
    if not isinstance(uri, str) or not uri:
        return Folder(problem="workspace.json names a folder that is no URI")
    if len(uri) > LONGEST_URI:
        return Folder(problem="workspace.json names a folder with too long a name")
    uri = clean_text(uri)
    path = fs_path(uri)
    return Folder(path, uri, workspace_hash(path if parse_uri(uri).scheme == "file" else uri))
