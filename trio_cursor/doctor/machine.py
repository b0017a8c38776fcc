"""The machine and what runs here: which versions, and which promises hold."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

import attrs

from trio_cursor.cursor.user_dirs import is_wsl
from trio_cursor.sqlite_library import LIBRARY, sqlite3
from trio_cursor.version import __version__


@attrs.frozen
class Machine:
    """As this process sees it."""

    #: Of trio_cursor, trio and redis-py.
    versions: dict[str, str]
    #: As `sys.platform`.
    platform: str
    system: str
    python: str
    sqlite: str
    library: str
    has_octet_length: bool
    is_wsl: bool
    #: Cursor's window is elsewhere, and works here.
    is_remote_side: bool


def this_machine() -> Machine:
    """Looks at the home directory; else asks nobody."""
    names = {"trio": "trio", "redis-py": "redis"}
    return Machine(
        versions={"trio_cursor": __version__, **{name: metadata.version(of) for name, of in names.items()}},
        platform=sys.platform,
        system=platform.platform(terse=True),
        python=f"{platform.python_version()} ({platform.python_implementation()})",
        sqlite=sqlite3.sqlite_version,
        library=LIBRARY,
        has_octet_length=sqlite3.sqlite_version_info >= (3, 43),
        is_wsl=is_wsl(os.environ, platform.release()),
        is_remote_side=(Path.home() / ".cursor-server").is_dir(),
    )
