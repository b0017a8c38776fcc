"""How a folder is called: URIs and paths as VS Code knows them, and the hash of a workspace.

Pure. Source: VS Code's `base/common/uri.ts` and `platform/workspaces`, of which Cursor is a fork.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import NamedTuple

from trio_cursor.cursor.schemas.values import clean_text
from trio_cursor.records import Workspace

# Of VS Code's URI: scheme, authority, path. Lenient on purpose: `%2B` may stand in the authority.
_URI = re.compile(r"(?:([^:/?#]+?):)?(?://([^/?#]*))?([^?#]*)")
_ESCAPES = re.compile(r"(?:%[0-9A-Za-z]{2})+")
_NO_BYTE = re.compile(r"%(?![0-9A-Fa-f]{2})..")
_SURROGATES = re.compile("[\ud800-\udfff]")

#: `vscode-remote:`, and never a drive.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_WINDOWS_PATH = re.compile(r"[A-Za-z]:|\\\\")
_DRIVE_IN_A_URI = re.compile("/[A-Za-z]:")

#: A folder's URI in UTF-8, each byte escaped, of the longest path that Windows knows (32,767 UTF-16 units).
LONGEST_URI = 3 * 3 * 32_767


class Uri(NamedTuple):
    """A URI's decoded parts; query and fragment play no role for a folder."""

    scheme: str
    authority: str
    path: str


def parse_uri(text: str) -> Uri:
    """Split a URI as VS Code's `URI.parse` does; there is no text that it refuses."""
    found = _URI.match(text)
    scheme, authority, path = found.groups("") if found else ("", "", text)
    scheme, path = scheme or "file", decoded(path)
    if scheme == "file" and not path.startswith("/"):
        path = f"/{path}"
    return Uri(scheme, decoded(authority), path)


def decoded(text: str) -> str:
    """Decode percent escapes as VS Code does: what is not UTF-8 stays as it is written."""

    def decode(run: re.Match[str]) -> str:
        # What follows the last escape that means nothing: of it alone more may be decoded.
        start = max((end.end() for end in _NO_BYTE.finditer(run[0])), default=0)
        found = bytes.fromhex(run[0][start:].replace("%", "")).decode(errors="surrogateescape")
        whole = _SURROGATES.split(found)[-1]
        return run[0][: len(run[0]) - 3 * len(whole.encode())] + whole

    return _ESCAPES.sub(decode, text)


def fs_path(uri: str) -> str:
    r"""Give a URI's path as VS Code's `URI.fsPath` does on the platform that the URI was written on.

    Which one that was, its shape tells: a drive letter or a server's name (`file://server/share`) is
    Windows, with a lower-case drive letter and backslashes; so `\\wsl.localhost\Ubuntu\home` for a
    folder of WSL that Windows opened. Of a URI that is no `file:` the decoded path.
    """
    scheme, authority, path = parse_uri(uri)
    if scheme != "file":
        return path
    if authority and len(path) > 1:
        return f"//{authority}{path}".replace("/", "\\")
    if _DRIVE_IN_A_URI.match(path):
        return (path[1].lower() + path[2:]).replace("/", "\\")
    return path


def workspace_hash(text: str) -> str:
    """Hash a folder's path, or a remote folder's URI: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def same_folder(text: str, workspace: Workspace) -> bool:
    """Tell whether a text names the folder of a workspace (or its `.code-workspace` file).

    The text is a URI in any escaping, or a path as VS Code's `fsPath` or `path` writes it on any platform.
    Windows paths are compared without regard to case, with either slash. A path alone does not tell the
    machine: it may name a local folder and a remote one, where the local one is the likelier.
    """
    if not text or len(text) > LONGEST_URI or workspace.path is None:
        return False
    text = clean_text(text)
    if _SCHEME.match(text):
        return _place(text) == _place(workspace.uri or workspace.path)
    # Of a remote folder that a Windows Cursor has opened.
    is_backwards = text.startswith("\\") and not text.startswith("\\\\")
    path, known = (text.replace("\\", "/") if is_backwards else text), _without_slash(workspace.path)
    windows = is_windows_path(known)
    return _spelled(_without_slash(path), windows=windows) == _spelled(known, windows=windows)


def _place(text: str) -> tuple[str, str, str]:
    """Scheme, authority and path, such that two of the same folder are equal."""
    path = text
    scheme, authority = "file", ""
    if _SCHEME.match(text):
        scheme, authority, _ = parse_uri(text)
        path = fs_path(text)
    path = _without_slash(path)
    # A share's server is in its path already.
    authority = "" if scheme == "file" else authority.lower()
    return (scheme.lower(), authority, _spelled(path, windows=is_windows_path(path)))


def _without_slash(path: str) -> str:
    """A drive as `path` has it in a URI, `/c:/Users`, as `fsPath` begins."""
    return path[1:] if _DRIVE_IN_A_URI.match(path) else path


def _spelled(path: str, *, windows: bool) -> str:
    return comparable(path, windows=windows).rstrip("/")


def is_windows_path(path: str) -> bool:
    """Tell a path with a drive or on a share from any other."""
    return bool(_WINDOWS_PATH.match(path))


def comparable(path: str, *, windows: bool) -> str:
    """Spell a path such that two of the same folder are equal."""
    # macOS writes an accent as a letter of its own, people's keyboards do not.
    path = unicodedata.normalize("NFC", path)
    return path.replace("\\", "/").lower() if windows else path
