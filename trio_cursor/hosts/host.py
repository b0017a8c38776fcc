"""What a host is to the one who installs: a file, and what its tools have to be told and asked."""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs

from trio_cursor.hosts.tools import Answer

#: By which each host knows the service.
NAME = "trio-cursor"


def until_run(words: Sequence[str]) -> Sequence[str]:
    """The words without the options of the service."""
    return words[: words.index("run") + 1]


@attrs.frozen
class Step:
    """A command line by which a host is told something."""

    words: tuple[str, ...]
    #: Whether everything was in vain if it fails.
    is_vital: bool = True
    #: How often it is tried, a second apart.
    tries: int = 1


@attrs.frozen
class Question:
    """A command line whose answer is yes or no."""

    words: tuple[str, ...]
    #: What a yes has in it, besides the code 0.
    yes: str = ""

    def is_yes(self, answer: Answer) -> bool:
        """What the answer means."""
        return answer.is_well and self.yes in answer.text


@attrs.frozen
class Host:
    """One of them, with everything that it needs to run the service for one person."""

    #: For people: `systemd`.
    name: str
    #: For people: `systemd user unit`.
    noun: str
    #: Where its file belongs.
    file: str
    #: The file, in whole.
    content: bytes
    encoding: str
    #: The same with whatever options.
    like: re.Pattern[str]
    #: Code 0: the host can be talked to.
    reachable: Question
    is_enabled: Question
    #: None: the host does not say so in words that are the same everywhere.
    is_running: Question | None
    #: Once the file is there: makes it known, and starts it, anew if it runs already.
    starting: tuple[Step, ...]
    #: While the file is still there, and when it is gone.
    stopping: tuple[Step, ...]
    forgetting: tuple[Step, ...]
    #: How to see its log lines.
    log: str
    #: Asks whether it outlives the end of a session; None: no host of that kind does.
    outlives: Question | None = None
    #: What to do if it does not.
    until_logout: str = ""
