"""A command line as a person types it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence


def shell_line(words: Sequence[str], platform: str = sys.platform) -> str:
    """The words, quoted by the rules of the platform's shell."""
    return subprocess.list2cmdline(words) if platform == "win32" else shlex.join(words)
