"""What is to be said of what befell the service, of its address, and of who starts it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from trio_cursor.doctor.check import Check, finding, note, ok
from trio_cursor.doctor.cursor_checks import ago
from trio_cursor.doctor.facts import Facts
from trio_cursor.doctor.own_checks import process_of, words_of
from trio_cursor.hosts.templates import Found
from trio_cursor.observations import JsonObject
from trio_cursor.status_file import STALE_MS

#: Of each kind so many are told.
_MOST: Final = 5
_INSTALL: Final = "`service install` has the system start it whenever you log on"


def recent(facts: Facts) -> Iterator[Check]:
    """What went wrong lately and is over, or how the last service ended."""
    look = facts.service
    try:
        if look is not None and look.is_running and look.status is not None and look.age_ms <= STALE_MS:
            yield from list(_over(look.status))
        elif facts.last_status is not None:
            yield from list(_ended(facts.last_status, facts))
    except (KeyError, TypeError, ValueError, AttributeError):
        return  # of another version: that has been said, or it is gone


#: Where a status has errors: the list, the name of an item, and what the item is.
_PLACES: Final = (
    ("workspaces", "database", ""),
    ("sources", "name", "session source "),
    ("foreign", "name", "what others send to "),
    ("outputs", "name", "output "),
)


def _over(found: JsonObject) -> Iterator[Check]:
    """Errors since its start, but for what is told of as an alarm."""
    alarms = [words_of(alarm) for alarm in found["alarms"]]
    troubled: list[tuple[int, str, str]] = []
    for kind, key, what in _PLACES:
        items: Any = found.get(kind) or ()
        for item in items:
            why = str(item.get("last_error") or "")
            is_alarm = bool(why) and any(alarm.endswith(why) for alarm in alarms)
            if item.get("errors") and not is_alarm:
                troubled.append((int(item["errors"]), f"{what}{item[key]}", why))
    troubled.sort(key=lambda item: -item[0])
    for count, name, why in troubled[:_MOST]:
        times = f"{count:,} error{'s' * (count != 1)} since the start"
        yield note(
            "service.recent", name, f"{times}; the last: {why}" if why else f"{times}, none of them now"
        )
    if (more := len(troubled) - _MOST) > 0:
        yield note("service.recent", "service", f"{more:,} more had errors: see `status`")


def _ended(found: JsonObject, facts: Facts) -> Iterator[Check]:
    """How the last one stood when it was last heard of."""
    when = ago(facts.now_ms - int(found["taken_at"]))
    if found["state"] == "stopped":
        yield note("service.last", "service", f"the last one was stopped {when}", is_detail=True)
    else:
        what = f"the last one (process {process_of(found)}) was killed, or crashed, {when}"
        yield note("service.last", "service", what, "nothing is lost: start it again; its log may say why")
    for alarm in map(words_of, found["alarms"]):
        yield note("service.last", "service", f"it had said: {alarm}")


def port(facts: Facts) -> Iterator[Check]:
    """Whether the page and announcements can have their address."""
    look, service = facts.port, facts.service
    if look is None:
        return
    name, subject = "http", look.address
    if service is not None and service.is_running:
        http = (service.status or {}).get("http")
        if isinstance(http, dict) and http.get("state") == "listening":
            yield ok(
                name,
                str(http.get("address")),
                "the service answers there: page, metrics, announcements",
                is_detail=True,
            )
        # Where it cannot listen, it says so itself.
        return
    if look.is_taken:
        what = "another program has this address, so the page, /metrics and announcements would not be there"
        do = "name another one with --http HOST:PORT (or off), or end that program (`ss -ltnp` names it)"
        yield finding(name, subject, what, do)
    elif look.trouble is not None:
        what = f"nobody can listen there: {look.trouble}"
        yield finding(name, subject, what, "mend [http] listen: HOST:PORT of this machine, or off")
    else:
        yield ok(name, subject, "free, for the page, metrics and announcements", is_detail=True)


def host(facts: Facts) -> Iterator[Check]:
    """Whether the system starts the service."""
    look, name = facts.host, "host"
    if look is None:
        return
    if look.host is None:
        yield note(name, "service", look.trouble or "nothing runs services here", is_detail=True)
        return
    subject = look.host.file
    if look.found is Found.NOTHING:
        yield note(name, subject, "not installed: whoever wants it starts it", _INSTALL, is_detail=True)
    elif look.found is Found.FOREIGN:
        yield note(name, subject, "there, and not written by us", "see what it starts")
    elif look.is_running is False:
        what = f"installed ({look.host.noun}), and it does not run"
        yield finding(
            name, subject, what, f"see why: {look.host.log}; then `service install` starts it again"
        )
    elif look.found in (Found.OTHER, Found.EDITED):
        yield note(
            name, subject, look.found.value, "`service install` writes it anew (--force if it was changed)"
        )
    elif look.is_enabled is False:
        yield note(name, subject, "installed, and not started at logon", _INSTALL)
    else:
        runs = "runs" if look.is_running else "the system could not be asked whether it runs"
        yield ok(name, subject, f"installed ({look.host.noun}); {runs}", is_detail=look.is_running is None)
