"""The door to the tools of a host (`systemctl` and the like): run one to its end, and keep what it said."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import attrs

#: A start waits until the service is ready, which takes a second; this long it takes if something hangs.
_SECONDS: Final = 330.0


@attrs.frozen
class Answer:
    """What came of a tool."""

    #: Exit code; None: there is no such tool here.
    code: int | None
    #: Everything that it printed.
    text: str = ""

    @property
    def is_well(self) -> bool:
        """Whether it did what it was to do."""
        return self.code == 0


#: Runs a command line to its end.
Tool: TypeAlias = Callable[[Sequence[str]], Answer]


def ask(words: Sequence[str], seconds: float = _SECONDS) -> Answer:
    """Run it; blocks until it ends, or for so many seconds.

    One that cannot be run, or does not end, is an answer too.
    """
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        return Answer(None)
    except OSError as error:
        return Answer(1, f"{words[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Answer(1, f"{words[0]} has not ended after {seconds:.0f} s")
    # In whatever code page a console of Windows has; what matters of it is plain.
    return Answer(done.returncode, done.stdout.decode(errors="replace").strip())
