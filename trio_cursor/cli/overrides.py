"""Which options stand for which keys of the configuration."""

from __future__ import annotations

import argparse
from typing import Any

#: A window without a beginning, as the configuration writes it.
_ALL_HOURS = 876_000.0
_HOUR_SECONDS = 3600.0
#: `all` is parsed to None, so that cannot mean "not given".
UNSET = -1.0
#: Where the demo's page is: the usual port may be that of a real service. The run says which port it became.
DEMO_LISTEN = "127.0.0.1:0"


def overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options as dotted keys of the configuration; None stands for not given."""
    given = vars(arguments)
    found: dict[str, Any] = {
        "cursor.dirs": given.get("cursor_dir"),
        "state.dir": given.get("state_dir"),
        "logging.level": given.get("log_level"),
        "logging.format": given.get("log_format"),
    }
    if found["logging.level"] is None and (given["verbose"] or given["quiet"]):
        found["logging.level"] = "debug" if given["verbose"] else "warning"
    if given["command"] in ("run", "consume"):
        found |= {"redis.url": arguments.redis_url, "redis.stream": arguments.stream}
    if given["command"] == "run":
        found |= _of_run(arguments)
    elif "redis_url" in given:
        found |= {"redis.url": given["redis_url"], "redis.stream": given["stream"]}
    if (collector := given.get("otlp")) is not None:
        found["outputs.otlp.enabled"] = True
        # An empty text is none: then the variables say where.
        found["outputs.otlp.endpoint"] = "" if collector == "env" else collector
    return found


def _of_run(arguments: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {
        "sessions.mode": arguments.sessions,
        "outputs.json_lines.path": arguments.json_lines,
        "http.listen": arguments.http,
        "privacy.mode": arguments.privacy,
    }
    if arguments.since != UNSET:
        found["cursor_database_monitor.sync_window_hours"] = _hours(arguments.since)
    if arguments.demo:
        # The configuration speaks of real sessions and real listeners; what is made up has its own.
        is_announced = arguments.redis_url is not None or arguments.http not in (None, "off")
        found["sessions.mode"] = arguments.sessions or ("auto" if is_announced else "discovery")
        found["redis.url"] = arguments.redis_url or ""
        found["http.listen"] = arguments.http or DEMO_LISTEN
    if arguments.once:
        found["http.listen"] = "off"
    return found


def _hours(seconds: float | None) -> float:
    return _ALL_HOURS if seconds is None else seconds / _HOUR_SECONDS
