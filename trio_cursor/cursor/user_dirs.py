"""Where Cursor lives: the `User` directories that it may have on each platform.

Looking blocks on somebody else's file system, so it is done in a worker thread. Source: the table "Where
files live" of Cursor's storage facts.
"""

# Paths are text, as in `records`.
# ruff: noqa: PTH112, PTH114, PTH118, PTH208

from __future__ import annotations

import ntpath
import os
import posixpath
import re
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: Directory names of the editions that exist. Nightly has been probed by many readers, Insiders never seen.
EDITIONS = ("Cursor", "Cursor Nightly")

#: WSL mounts drive X: as /mnt/x. Other mounts may be network shares that hang; Windows has no more letters.
_DRIVE = re.compile("[a-z]")
_MOST_WINDOWS_USERS = 100


@attrs.frozen
class Candidate:
    """A place where Cursor's data may be. Whether anything is there is for the listing to say."""

    #: The directory that would have `workspaceStorage/` and `globalStorage/` in it.
    user_dir: str
    #: One of `EDITIONS`.
    edition: str
    #: Cursor runs on Windows and we in WSL: reading it may give an intermittent I/O error.
    through_wsl: bool = False


def is_wsl(environ: Mapping[str, str], release: str) -> bool:
    """Tell whether this Linux is a guest of Windows; `release` as `os.uname().release`.

    The variable is missing in services and after `sudo`, the kernel's name is not.
    """
    return "WSL_DISTRO_NAME" in environ or "microsoft" in release.lower()


def candidate_user_dirs(
    platform: str,
    environ: Mapping[str, str],
    home: str,
    *,
    wsl: bool = False,
    mounts: str | None = "/mnt",
) -> list[Candidate]:
    """List every `User` directory that Cursor may have for this user, existing or not.

    `platform` as `sys.platform`. On Linux with `wsl` (or `WSL_DISTRO_NAME` in `environ`) also those of
    every Windows user under `mounts`: there the window is a Windows process, and its databases are in
    the Windows profile. Only there is anything looked at, so without `mounts` nothing can hang.
    """
    if platform == "win32":
        roaming = environ.get("APPDATA") or ntpath.join(home, "AppData", "Roaming")
        return [Candidate(ntpath.join(roaming, edition, "User"), edition) for edition in EDITIONS]
    if platform == "darwin":
        base = posixpath.join(home, "Library", "Application Support")
        return [Candidate(posixpath.join(base, edition, "User"), edition) for edition in EDITIONS]
    configured = environ.get("XDG_CONFIG_HOME", "")
    # A relative one is to be ignored (XDG Base Directory Specification).
    base = configured if posixpath.isabs(configured) else posixpath.join(home, ".config")
    candidates = [Candidate(posixpath.join(base, edition, "User"), edition) for edition in EDITIONS]
    if mounts is not None and (wsl or "WSL_DISTRO_NAME" in environ):
        candidates += [
            Candidate(posixpath.join(roaming, edition, "User"), edition, through_wsl=True)
            for roaming in _windows_profiles(mounts)
            for edition in EDITIONS
        ]
    return candidates


def _windows_profiles(mounts: str) -> Iterator[str]:
    for drive in _names(mounts):
        if not _DRIVE.fullmatch(drive):
            continue
        users = posixpath.join(mounts, drive, "Users")
        for user in _names(users)[:_MOST_WINDOWS_USERS]:
            roaming = posixpath.join(users, user, "AppData", "Roaming")
            # Other users' profiles refuse us, and `All Users` is a link to something else.
            if os.path.isdir(roaming) and not os.path.islink(posixpath.join(users, user)):
                yield roaming


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def user_dirs(dirs: Iterable[str]) -> tuple[str, ...]:
    """Turn configured directories into `User` directories under their real names, each once.

    Accepted are a `User` directory and the root given to Cursor as `--user-data-dir`, which has `User/`
    in it. One that does not exist is kept, since it may appear: ask again then.
    """
    found: dict[str, None] = {}
    for directory in dirs:
        inner = os.path.join(directory, "User")
        is_root = os.path.isdir(inner) and not os.path.isdir(os.path.join(directory, "workspaceStorage"))
        found[os.path.realpath(inner if is_root else directory)] = None
    return tuple(found)
