"""What takes long to build is built once and kept: `$XDG_CACHE_HOME`, else the temporary directory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def cache() -> Path:
    """Where it is kept; safe to delete."""
    below = os.environ.get("XDG_CACHE_HOME")
    place = Path(below) if below else Path(tempfile.gettempdir()) / f"cache-{os.getuid()}"
    return place / "trio_cursor_bench"


def kept(name: str, build: Callable[[Path], object]) -> Path:
    """A directory that `build` has filled, now or at some earlier time; a half-built one does not count."""
    ready = cache() / name
    if not ready.exists():
        half = cache() / f"{name}.{os.getpid()}"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        build(half)
        half.replace(ready)
    return ready
