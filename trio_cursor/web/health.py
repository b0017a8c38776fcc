"""How the service is, in one colour and in words: for the page. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from trio_cursor.status import TROUBLED, OutputStatus, SourceStatus, Status, WorkspaceStatus
from trio_cursor.web.texts import plural

GREEN, AMBER, RED = "green", "amber", "red"
#: What passes by itself: somebody else has the file at the moment.
_PASSING = ("locked", "timeout")
_LEVELS = (GREEN, AMBER, RED)


@attrs.frozen
class Finding:
    """Something that is not as it should be; green: worth knowing, no more."""

    level: str
    words: str


@attrs.frozen
class Health:
    """All of it."""

    level: str
    #: In one line.
    words: str
    #: The worst first.
    findings: tuple[Finding, ...]
    #: What is watched, by number.
    watched: str

    @property
    def reasons(self) -> tuple[Finding, ...]:
        """Why it is not green."""
        return tuple(found for found in self.findings if found.level != GREEN)


def health(status: Status, trouble: str | None = None) -> Health:
    """How it is; `trouble` is that of the page itself."""
    findings = list(_findings(status))
    if trouble:
        findings.append(Finding(AMBER, f"the page's index: {trouble}"))
    findings.sort(key=lambda found: -_LEVELS.index(found.level))
    level = findings[0].level if findings else GREEN
    watched = _watched(status.workspaces)
    reds, ambers = (sum(found.level == one for found in findings) for one in (RED, AMBER))
    if reds:
        words = "Something is wrong" if reds == 1 else f"{reds} things are wrong"
    else:
        state = f"{plural(ambers, 'thing')} to know" if ambers else "all is well"
        words = f"{watched} watched, {state}"
    return Health(level, words, tuple(findings), watched)


def level_of(workspace: WorkspaceStatus) -> str:
    """How a workspace is."""
    if workspace.status in _PASSING:
        return AMBER
    return RED if workspace.status in TROUBLED else GREEN


def _watched(workspaces: tuple[WorkspaceStatus, ...]) -> str:
    """Those that Cursor calls workspaces, and apart from them what it keeps for all of them."""
    own = sum(item.workspace_id is not None for item in workspaces)
    words = plural(own, "workspace")
    if (others := len(workspaces) - own) == 0:
        return words
    return f"{words} and {'the global database' if others == 1 else f'{others:,} global databases'}"


def _findings(status: Status) -> Iterator[Finding]:
    if status.log_error:
        yield Finding(RED, status.log_error)
    if status.state != "running":
        yield Finding(AMBER, f"the service is {status.state}: nothing is watched")
    for alarm in status.alarms:
        if alarm != status.log_error:
            yield Finding(RED if _is_red(alarm, status) else AMBER, alarm)
    if not status.first_pass_done:
        looked, total = status.progress
        yield Finding(AMBER, f"the first look is not over: {looked} of {total} databases")
    elif not any(item.workspace_id is not None or item.size is not None for item in status.workspaces):
        yield Finding(AMBER, f"no workspace of Cursor found in {', '.join(status.searched) or 'any place'}")
    if status.gaps and not any(alarm.startswith("generations were missed") for alarm in status.alarms):
        yield Finding(
            AMBER,
            f"{plural(status.gaps, 'time')} Cursor's list of generations had rolled on before it was read:"
            " some are missing",
        )
    yield from _good_to_know(status)


def _good_to_know(status: Status) -> Iterator[Finding]:
    if status.os_events is not None and status.os_events.state == "off":
        yield Finding(GREEN, "no events of the operating system: watched by polling alone")
    if status.unmapped:
        words = plural(len(status.unmapped), "announced workspace")
        yield Finding(GREEN, f"{words} not found on this machine")
    if status.privacy is not None and status.privacy.more_open:
        yield Finding(
            GREEN,
            f"{plural(status.privacy.more_open, 'record')} stored in a privacy mode more open than"
            f" {status.privacy.mode} stay in the event log; none of that is shown here",
        )


def _is_red(alarm: str, status: Status) -> bool:
    """Whether an alarm, as the board has written it, is of something that does not pass by itself."""
    workspaces = (item for item in status.workspaces if level_of(item) == RED)
    if any(alarm.endswith(f": {item.status}: {item.last_error}") for item in workspaces):
        return True
    connections: list[tuple[str, OutputStatus | SourceStatus]] = [
        *((f"output {item.name}", item) for item in status.outputs),
        *((f"session source {item.name}", item) for item in status.sources),
    ]
    return any(alarm == f"{name}: {item.last_error}" for name, item in connections if item.state == "error")
