"""Which directories are Cursor's own: nothing of ours is ever made or written there."""

# Paths are text, as in `records`.
# ruff: noqa: PTH112, PTH118

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from trio_cursor.cursor.user_dirs import EDITIONS

#: What a `User` directory has in it, of any edition and wherever `--user-data-dir` has put it.
_STORAGES: Final = ("workspaceStorage", "globalStorage")
_EDITIONS: Final = frozenset(edition.lower() for edition in EDITIONS)


def cursor_directory_of(path: Path) -> Path | None:
    """The directory of Cursor's that a file or directory is or would be in, links followed; None: in none.

    Blocks. Told by what stands in the directories above it, so that it is found out also of one that no
    configuration names.
    """
    real = Path(os.path.realpath(path))
    return next((place for place in (real, *real.parents) if _is_cursors(place)), None)


def _is_cursors(place: Path) -> bool:
    if any(os.path.isdir(os.path.join(place, name)) for name in _STORAGES):
        return True
    # Most disks of macOS and Windows know it in any case.
    return place.name.lower() in _EDITIONS and os.path.isdir(os.path.join(place, "User"))
