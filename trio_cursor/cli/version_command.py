"""`version`: what is running here."""

from __future__ import annotations

import argparse
import json
import platform
from importlib import metadata

from trio_cursor.sqlite_library import LIBRARY, sqlite3
from trio_cursor.version import __version__


def run(arguments: argparse.Namespace) -> int:
    """Print ours, Python's, trio's, redis-py's, and which SQLite reads the files."""
    found = {
        "trio_cursor": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "platform": platform.platform(terse=True),
        "trio": metadata.version("trio"),
        "redis": metadata.version("redis"),
        "sqlite": f"{sqlite3.sqlite_version} ({LIBRARY})",
    }
    if arguments.json:
        print(json.dumps(found))
    else:
        for name, version in found.items():
            print(f"{name:12} {version}")
    return 0
