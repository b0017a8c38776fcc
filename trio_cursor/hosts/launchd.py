"""launchd: an agent of the user's own, on macOS."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from xml.sax.saxutils import escape

from trio_cursor.hosts.host import NAME, Host, Question, Step, until_run
from trio_cursor.hosts.templates import filled, with_any_end

_FILE = f"{NAME}.plist"


def launchd(words: Sequence[str], home: str, uid: int) -> Host:
    """The host, for a command line."""
    domain = f"gui/{uid}"
    service = f"{domain}/{NAME}"
    file = posixpath.join(home, "Library", "LaunchAgents", _FILE)
    log = posixpath.join(home, "Library", "Logs", f"{NAME}.log")
    values = {"COMMAND": _lines(words), "LOG_FILE": escape(log)}
    return Host(
        name="launchd",
        noun="launchd agent",
        file=file,
        content=filled(_FILE, values).encode(),
        encoding="utf-8",
        like=with_any_end(_FILE, {**values, "COMMAND": _lines(until_run(words))}),
        reachable=Question(("launchctl", "print", domain)),
        is_enabled=Question(("launchctl", "print", service)),
        is_running=Question(("launchctl", "print", service), yes="state = running"),
        starting=(
            # One that is loaded keeps what it was loaded with; one that was disabled is not loaded.
            Step(("launchctl", "bootout", service), is_vital=False),
            Step(("launchctl", "enable", service), is_vital=False),
            # As long as the one before is still ending, this is refused.
            Step(("launchctl", "bootstrap", domain, file), tries=5),
        ),
        stopping=(Step(("launchctl", "bootout", service), is_vital=False),),
        forgetting=(),
        log=f"tail -f {log}",
    )


def _lines(words: Sequence[str]) -> str:
    return "\n".join(f"\t\t<string>{escape(word)}</string>" for word in words)
