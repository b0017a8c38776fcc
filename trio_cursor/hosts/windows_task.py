"""Windows: a task of the task scheduler that starts when its user logs on."""

from __future__ import annotations

import codecs
import ntpath
import re
import subprocess
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from trio_cursor.config.places import default_state_dir
from trio_cursor.errors import HostError
from trio_cursor.hosts.host import NAME, Host, Question, Step, until_run
from trio_cursor.hosts.templates import filled, with_any_end

_TEMPLATE = f"{NAME}.xml"
#: What the scheduler puts something else for, and no escape is known of: `%TEMP%`, `$(Arg0)`.
_REPLACED = re.compile(r"%[^%]+%|\$\(")


def log_file(environ: Mapping[str, str], home: str) -> str:
    """Where a service that the scheduler has started writes its log lines: beside the file of its task."""
    return ntpath.join(default_state_dir("win32", environ, home), "service.log")


def windows_task(words: Sequence[str], environ: Mapping[str, str], home: str) -> Host:
    """The host, for a command line. Raises `HostError` for words that no task can have."""
    program, *arguments = words
    line, bare = subprocess.list2cmdline(arguments), subprocess.list2cmdline(until_run(arguments))
    if (found := _REPLACED.search(program) or _REPLACED.search(line)) is not None:
        raise HostError(f"the task scheduler would put something else for {found[0]}; use a path without it")
    user = "\\".join(part for name in ("USERDOMAIN", "USERNAME") if (part := environ.get(name)))
    if not user:
        raise HostError("USERNAME is not set, and a task needs to be somebody's")
    file = ntpath.join(default_state_dir("win32", environ, home), "service.xml")
    values = {"USER": escape(user), "PROGRAM": escape(program), "ARGUMENTS": escape(line)}
    return Host(
        name="the task scheduler",
        noun="logon task",
        file=file,
        # In this encoding, with its mark, the scheduler itself exports tasks.
        content=codecs.BOM_UTF16_LE + filled(_TEMPLATE, values).encode("utf-16-le"),
        encoding="utf-16",
        like=with_any_end(_TEMPLATE, {**values, "ARGUMENTS": escape(bare)}),
        reachable=Question(("schtasks", "/Query", "/FO", "CSV", "/NH")),
        is_enabled=Question(("schtasks", "/Query", "/TN", NAME)),
        is_running=None,
        starting=(
            Step(("schtasks", "/End", "/TN", NAME), is_vital=False),
            Step(("schtasks", "/Create", "/TN", NAME, "/XML", file, "/F")),
            Step(("schtasks", "/Run", "/TN", NAME)),
        ),
        stopping=(
            Step(("schtasks", "/End", "/TN", NAME), is_vital=False),
            Step(("schtasks", "/Delete", "/TN", NAME, "/F"), is_vital=False),
        ),
        forgetting=(),
        log=f'powershell Get-Content -Wait "{log_file(environ, home)}"',
    )
