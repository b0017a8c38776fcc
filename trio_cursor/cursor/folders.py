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
_WSL_SHARE = re.compile(r"[\\/]{2}wsl(?:\.localhost|\$)[\\/]([^\\/]+)(.*)", re.IGNORECASE | re.DOTALL)

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


def folder_keys(workspace: Workspace) -> frozenset[str]:
    """Texts to file a workspace's folder under, for whoever looks for it by `asked_keys`.

    One of them is among the keys of a text if, and only if, `same_folder` says that the text names the
    folder, or both name the same folder of WSL.
    """
    if workspace.path is None:
        return frozenset()
    known, name = _without_slash(workspace.path), workspace.uri or workspace.path
    windows = is_windows_path(known)
    # Its path is that of its URI, and of thousands nearly all are local.
    place = ("file", "", _spelled(known, windows=windows)) if is_file_uri(name) else _place(name)
    return frozenset({_place_key(place), _path_key(known, windows=windows), *_wsl_keys(name)})


def asked_keys(text: str) -> frozenset[str]:
    """Texts under which a folder is found that is given as a path or URI, whatever it is."""
    if not text or len(text) > LONGEST_URI:
        return frozenset()
    text = clean_text(text)
    if _SCHEME.match(text):
        return frozenset({_place_key(_place(text)), *_wsl_keys(text)})
    is_backwards = text.startswith("\\") and not text.startswith("\\\\")
    path = _without_slash(text.replace("\\", "/") if is_backwards else text)
    return frozenset({_path_key(path, windows=False), _path_key(path, windows=True), *_wsl_keys(text)})


def _place_key(place: tuple[str, str, str]) -> str:
    scheme, authority, path = place
    return f"{scheme}://{authority}\n{path}"


def _path_key(path: str, *, windows: bool) -> str:
    return f"{'windows' if windows else 'path'}\n{_spelled(path, windows=windows)}"


def _wsl_keys(text: str) -> set[str]:
    found = wsl_folder(text)
    return {f"wsl {found[0].lower()}\n{_spelled(found[1], windows=False)}"} if found else set()


def wsl_folder(text: str) -> tuple[str, str] | None:
    r"""Name the distribution and the path in it of a folder of WSL, given as path or URI; None: it is none.

    From Windows it is reached as `\\wsl.localhost\Ubuntu\home` (`\\wsl$\Ubuntu\home`), and in a window that
    works inside of WSL it is `vscode-remote://wsl+Ubuntu/home`.
    """
    if "wsl" not in text.lower():
        return None
    if _SCHEME.match(text):
        scheme, authority, path = parse_uri(text)
        if scheme.lower() == "vscode-remote" and authority.lower().startswith("wsl+"):
            return (authority[len("wsl+") :], path)
        text = fs_path(text) if is_file_uri(text) else ""
    found = _WSL_SHARE.fullmatch(text)
    return (found[1], found[2].replace("\\", "/")) if found else None


def is_file_uri(text: str) -> bool:
    """Tell the URI of a local folder from all others, and from paths."""
    return text[:5].lower() == "file:"


def is_list_of_folders(path: str) -> bool:
    """Tell whether a `workspace.json` names a file that in turn names folders, nobody here knows which."""
    # The second is that of a window with several folders that was never saved.
    return path.endswith((".code-workspace", "/workspace.json", "\\workspace.json"))
