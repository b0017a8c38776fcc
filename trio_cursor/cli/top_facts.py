"""What `top` shows, at one moment: the status of a service, if one runs, beside what the event log tells."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import attrs

from trio_cursor.cli.top_log import LogLook
from trio_cursor.cli.top_status import StatusLook
from trio_cursor.observations import JsonObject
from trio_cursor.records import Event

_WORKSPACE_FIELDS: Final = (
    "workspace_id",
    "workspace_hash",
    "workspace_path",
    "status",
    "generations",
    "last_activity",
    "last_error",
)


@attrs.frozen
class Facts:
    """Everything at one moment."""

    now_ms: int
    directory: str
    #: running | silent | none | unknown: whether a service runs there.
    service: str
    #: Why it is not known; how long it has been silent.
    trouble: str | None
    silent_ms: int
    status: JsonObject | None
    log_trouble: str | None
    minute: Counter[str | None]
    hour: Counter[str | None]
    by_minute: list[int]
    newest: list[Event]


@attrs.define(eq=False)
class Looking:
    """Both looks, each as often as is worth it."""

    directory: Path
    #: How often the status is looked at, and whether the log is still the same.
    every_seconds: float = 1.0
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    clock: Callable[[], float] = time.monotonic
    log: LogLook = attrs.field(init=False)
    service: StatusLook = attrs.field(init=False)
    _looked_at: float | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.log = LogLook(self.directory, self.now_ms)
        self.service = StatusLook(self.directory, self.now_ms)

    def look(self) -> bool:
        """Look; whether there is anything to be shown anew: news, or a second that has gone."""
        is_due = self._looked_at is None or self.clock() - self._looked_at >= self.every_seconds
        if is_due:
            self._looked_at = self.clock()
            self.service.look()
            self.log.check()
        return self.log.look() or is_due

    def facts(self) -> Facts:
        """What was seen."""
        now = self.now_ms()
        service, log = self.service, self.log
        log.rates.forget(now)
        running = "silent" if service.is_silent() else "running"
        return Facts(
            now_ms=now,
            directory=str(self.directory),
            service="unknown" if service.trouble else running if service.is_running else "none",
            trouble=service.trouble,
            silent_ms=service.silent_ms(),
            status=service.status,
            log_trouble=log.trouble,
            minute=log.rates.minute(),
            hour=log.rates.hour(),
            by_minute=log.rates.by_minute(now),
            newest=list(log.newest),
        )

    def close(self) -> None:
        """Let go of what is open."""
        self.log.close()


def facts_object(facts: Facts) -> JsonObject:
    """The figures as one JSON object, without texts. Raises KeyError and the like if this is no status."""
    found = facts.status or {}
    return {
        "taken_at": facts.now_ms,
        "service": facts.service,
        "state": found.get("state"),
        "log": facts.log_trouble is None,
        "log_error": facts.log_trouble,
        "last_minute": facts.minute.total(),
        "last_hour": facts.hour.total(),
        "by_minute": facts.by_minute,
        "pending": found.get("pending"),
        "alarms": alarms_of(facts),
        "outputs": [
            {name: item[name] for name in ("name", "state", "lag", "last_error")}
            for item in found.get("outputs") or []
        ],
        "workspaces": [
            {
                **{name: item[name] for name in _WORKSPACE_FIELDS},
                "sessions": len(item["sessions"]),
                "last_minute": facts.minute[item["workspace_id"]],
                "last_hour": facts.hour[item["workspace_id"]],
            }
            for item in found.get("workspaces") or []
        ],
    }


def alarms_of(facts: Facts) -> list[str]:
    """What somebody should look at, in words. Raises KeyError if this is no status."""
    return list(_alarms(facts))


def _alarms(facts: Facts) -> Iterator[str]:
    if facts.trouble:
        yield facts.trouble
    if facts.service == "silent":
        silent = f"the service has not said anything for {facts.silent_ms // 1000} s"
        yield f"{silent}; if that stays so, start it again"
    if facts.log_trouble and facts.service == "running":
        yield facts.log_trouble
    if facts.status is not None:
        yield from map(str, facts.status["alarms"])
