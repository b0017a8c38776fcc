"""What is to be said of the machine: whether changes are heard of, and whether its clock can be right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from trio_cursor.doctor.check import Check, finding, note, ok
from trio_cursor.doctor.facts import Facts

_SECOND_MS: Final = 1000
#: Sessions end and streams are trimmed by the clock; less than this nobody notices.
_NOTED_MS: Final = 2 * _SECOND_MS
#: By so much times in events are plainly wrong.
_WRONG_MS: Final = 60 * _SECOND_MS
_SET: Final = "have the system set its clock (Linux: timedatectl set-ntp true), and the other machine too"
_DO_RAISE: Final = (
    "raise it: `sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=1024`, for ever in"
    " /etc/sysctl.d; until then changes are seen by looking, some later"
)


def events(facts: Facts) -> Iterator[Check]:
    """Whether the system tells of changes; else they are seen by looking."""
    look, name, subject = facts.events, "os_events", "changes"
    service = facts.service
    told = (service.status or {}).get("os_events") if service is not None and service.is_running else None
    if isinstance(told, dict) and (told.get("state") == "on" or told.get("note")):
        # Whoever runs has taken its watches already; what it says of them counts.
        what = f"the running service hears of {told.get('directories')} directories from the system"
        if told["state"] == "on":
            yield ok(name, subject, what, is_detail=True)
        else:
            why = str(told.get("note"))
            yield note(name, subject, f"{what}: {why}", _DO_RAISE if "limit" in why else None)
        return
    if look is None:
        return
    limits = ", ".join(f"{key} {value:,}" for key, value in look.limits.items())
    if look.trouble is not None:
        do = _DO_RAISE if "Too many open files" in look.trouble else None
        what = f"the system does not tell of changes ({look.trouble}); they are seen by looking once a second"
        yield note(name, subject, what, do)
    elif look.is_full:
        what = f"the limit of inotify watches is reached: {look.watched:,} of {look.wanted:,} directories"
        what += f" ({limits})" * bool(limits)
        yield note(name, subject, what, _DO_RAISE)
    elif look.watched < look.wanted:
        what = f"the system tells of changes in {look.watched:,} of {look.wanted:,} directories"
        yield note(name, subject, f"{what}; the others are looked at once a second", is_detail=True)
    else:
        what = f"the system tells of changes in all {look.wanted:,} directories" + f" ({limits})" * bool(
            limits
        )
        yield ok(name, subject, what, is_detail=True)


def clock(facts: Facts) -> Iterator[Check]:
    """Ours against those of the Redis server and of the file system, and against times in Cursor's files."""
    known = {look.server: look.ahead_ms for look in facts.streams if look.ahead_ms is not None}
    others = {f"the Redis server {server}": ahead for server, ahead in known.items()}
    if facts.own is not None and facts.own.ahead_ms is not None:
        others["the disk of the state directory"] = facts.own.ahead_ms
    is_well = True
    for who, ahead in others.items():
        if abs(ahead) > _NOTED_MS:
            is_well = False
            what = f"{who} is {_span(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} this machine"
            say = finding if abs(ahead) > _WRONG_MS else note
            yield say("clock", "clock", what, _SET)
    found = facts.cursor.databases if facts.cursor is not None else ()
    newest = max((item.written_ms or 0 for item in found), default=0)
    if newest > facts.now_ms + _WRONG_MS:
        is_well = False
        what = f"a database of Cursor was written to {_span(newest - facts.now_ms)} from now, says its file"
        yield note("clock", "clock", f"{what}: this machine's clock is, or was, wrong", _SET)
    if is_well and others:
        apart = max(map(abs, others.values()))
        yield ok(
            "clock",
            "clock",
            f"agrees with {' and '.join(others)}, within {apart / 1000:.1f} s",
            is_detail=True,
        )


def _span(milliseconds: int) -> str:
    for size, unit in ((86_400_000, "days"), (3_600_000, "hours"), (60_000, "minutes")):
        if milliseconds >= 2 * size:
            return f"{milliseconds // size:,} {unit}"
    return f"{milliseconds / 1000:.0f} s"
