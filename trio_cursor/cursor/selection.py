"""Which workspaces may be opened: the globs of `include` and `exclude`."""

# Paths are text, as in `records`.
# ruff: noqa: PTH111

from __future__ import annotations

import fnmatch
import os
import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING

from trio_cursor.config import expand_home
from trio_cursor.cursor.folders import comparable, decoded, is_file_uri, is_windows_path
from trio_cursor.cursor.workspace_json import NO_FILE
from trio_cursor.records import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def hides_its_folder(workspace: Workspace) -> bool:
    """Tell whether it has a `workspace.json` that gives nothing: a folder, but nobody knows which."""
    return workspace.problem not in (None, NO_FILE)


def included(
    workspace: Workspace,
    include: Sequence[str],
    exclude: Sequence[str],
    *,
    home: str | None = None,
    platform: str = sys.platform,
) -> bool:
    """Tell whether a workspace may be opened: `exclude` goes before `include`, no `include` is all.

    The globs (`*` crosses `/`, as in `fnmatch`; `**` is allowed; a leading `~` is `home`) are held
    against the path, the URI and the URI without its escapes. One that names a folder covers what is
    below it. Windows paths are compared without regard to case, with either slash, and on macOS (`platform`
    as `sys.platform`) local ones without regard to case: what its disks take for one folder must not slip
    through an `exclude`. A workspace of
    which no folder is known is in no `include`. If its `workspace.json` is there and cannot be
    understood, it is in every `exclude`: it may be the very one that must not be read. The global
    database, which belongs to no folder, is always included: what it holds is judged by the workspace
    that it is attributed to.
    """
    if workspace.is_global or not (include or exclude):
        return True
    if exclude and hides_its_folder(workspace):
        return False
    windows = is_windows_path(workspace.path or "")
    home = os.path.expanduser("~") if home is None else home
    any_case = platform == "darwin" and is_file_uri(workspace.uri or "")

    def spelled(name: str) -> str:
        name = comparable(name, windows=windows)
        return name.lower() if any_case else name

    names = [spelled(name) for name in _names_of(workspace)]

    def named_by(globs: Sequence[str]) -> bool:
        patterns = [_pattern(spelled(expand_home(glob, home))) for glob in globs]
        return any(pattern.fullmatch(name) for pattern in patterns for name in names)

    return not named_by(exclude) and (not include or named_by(include))


def _names_of(workspace: Workspace) -> Iterator[str]:
    if workspace.path is not None:
        yield workspace.path
    if workspace.uri is not None:
        yield workspace.uri
        yield decoded(workspace.uri)


@lru_cache(maxsize=1_024)
def _pattern(glob: str) -> re.Pattern[str]:
    """Compile a glob that also covers what is below the folder that it names."""
    glob = re.sub(r"(?:/\*\*|/)+$", "", glob)
    # `translate` ends its pattern with \Z (\z from 3.14 on), which would forbid to go on.
    pieces = [fnmatch.translate(piece)[:-2] for piece in glob.split("/**/")]
    return re.compile("/(?:.*/)?".join(pieces) + "(?:/.*)?", re.DOTALL)
