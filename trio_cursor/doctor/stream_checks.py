"""What is to be said of the Redis server, and of the streams there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from trio_cursor.asked import sources
from trio_cursor.doctor.check import Check, finding, note, ok
from trio_cursor.doctor.facts import Facts
from trio_cursor.doctor.stream import Group, StreamLook
from trio_cursor.observations import JsonObject
from trio_cursor.redis_keys import StreamKeys
from trio_cursor.redis_trouble import Trouble

_OLDEST: Final = (6, 2)
_MEGABYTE: Final = 1_000_000
#: Share of the memory that it may use.
_NEARLY_FULL: Final = 0.9
_HOUR_MS: Final = 3_600_000
#: Without these nothing is sent, or nothing heard.
_NEEDED: Final = frozenset({"xadd", "xread", "xinfo", "set", "get"})
_NEEDED_FOR_READING: Final = frozenset({"xread", "xinfo"})
#: Without these the stream grows.
_TRIMMING: Final = frozenset({"xtrim", "xpending"})
#: In place of a script.
_TRANSACTION: Final = frozenset({"watch", "unwatch", "multi", "exec"})
_DO: Final = {
    Trouble.AWAY: "start Redis there, or mend redis.url; events wait in the event log until then",
    Trouble.STALLED: "see whether the server hangs or a firewall is in the way; events wait until then",
    Trouble.DENIED: "mend user, password (redis.username, redis.password_file) or certificates ([redis.tls])",
    Trouble.FULL: "give it more memory (maxmemory), or trim what else is in it; events wait until then",
    Trouble.WRONG_TYPE: "name another stream (redis.stream), or remove that key if nobody needs it",
    Trouble.REFUSED: "see whether redis.url names a Redis server, of version 6.2 or newer",
}


def servers(facts: Facts) -> Iterator[Check]:
    """Whether it answers, and is one that we can work with."""
    if facts.config.redis.url is None:
        what, do = "no Redis is configured: events stay in our event log", None
        if sent := list(_streams_of_service(facts)):
            # It was started with options that we were not given.
            what = f"no Redis is configured here, but the running service has {', '.join(sent)}"
            do = "name it with --redis-url, too, to have it looked at"
        yield note("redis", "Redis", what, do)
        return
    for look in facts.streams:
        subject = look.server if len(facts.streams) == 1 else _subject(look)
        if look.trouble is not None:
            do = _DO[look.trouble.trouble]
            if look.trouble.trouble is Trouble.STALLED and look.server.startswith("rediss://"):
                # It waits for the rest of what it takes for a command.
                do = f"if it does not encrypt, write redis:// instead of rediss://; else {do}"
            yield finding("redis.connection", subject, str(look.trouble), do)
            continue
        yield ok("redis.connection", subject, "reachable, and lets us in", is_detail=len(facts.streams) > 1)
        yield _version(look, subject)
        yield from _memory(look, subject)
        if look.policy:
            what = f"its maxmemory-policy is {look.policy}: when its memory is full it may drop the stream"
            do = "`redis-cli CONFIG SET maxmemory-policy noeviction`, and the same in its configuration file"
            yield finding("redis.eviction", subject, what, do)
        elif "info" not in look.forbidden:
            yield ok("redis.eviction", subject, "drops no keys of its own accord", is_detail=True)


def _memory(look: StreamLook, subject: str) -> Iterator[Check]:
    used, most = look.memory_bytes, look.most_bytes
    if used is None:
        return
    words = f"{used / _MEGABYTE:,.1f} MB of memory used"
    words += f" of {most / _MEGABYTE:,.1f} MB" if most else ", without a limit of its own"
    if most and used > most * _NEARLY_FULL:
        do = "give it more (maxmemory), or see what fills it; when it is full, events wait in the event log"
        yield note("redis.memory", subject, f"{words}: nearly full", do)
    else:
        yield ok("redis.memory", subject, words, is_detail=True, facts={"bytes": used, "most_bytes": most})


def _streams_of_service(facts: Facts) -> Iterator[str]:
    """Where the one that runs sends to; one of another version may say that otherwise."""
    status = (facts.service and facts.service.status) or {}
    outputs = status.get("outputs")
    for item in outputs if isinstance(outputs, list) else ():
        if isinstance(item, dict) and (name := str(item.get("name"))).startswith("redis_stream:"):
            yield name


def _version(look: StreamLook, subject: str) -> Check:
    if look.version is None:
        return note("redis.version", subject, "does not tell its version", "allow INFO to the user: +info")
    numbers = tuple(map(int, re.findall(r"\d+", look.version)[:2]))
    if numbers < _OLDEST:
        return finding("redis.version", subject, look.version, "update it: 6.2 is the oldest that works")
    return ok("redis.version", subject, look.version)


def rights(facts: Facts) -> Iterator[Check]:
    """Every command that `docs/redis.md` asks for."""
    for look in _reachable(facts):
        subject, forbidden = _subject(look), frozenset(look.forbidden)
        if look.are_keys_forbidden:
            keys = f"~{look.stream} ~{StreamKeys(look.stream).prefix}:*"
            yield finding(
                "redis.rights", subject, "its keys are forbidden to the user", f"ACL SETUSER ... {keys}"
            )
        needed = _NEEDED_FOR_READING if look.is_read_only else _NEEDED
        missing = forbidden & needed
        if "eval" in forbidden and forbidden & _TRANSACTION:
            missing |= {"eval"}
        if missing:
            what = f"forbidden to the user, and needed: {_listed(missing, look)}"
            yield finding("redis.rights", subject, what, _granted(missing, look))
        if untrimmed := forbidden & _TRIMMING:
            what = f"nothing is trimmed: forbidden to the user: {_listed(untrimmed, look)}"
            do = f"{_granted(untrimmed, look)}, or trim the stream yourself"
            yield note("redis.rights", subject, what, do)
        if rest := forbidden - missing - _TRIMMING - _TRANSACTION:
            what = f"forbidden to the user, and done without: {_listed(rest, look)}"
            yield note("redis.rights", subject, what)
        if not forbidden and not look.are_keys_forbidden:
            yield ok("redis.rights", subject, "every command that is needed is allowed")


def streams(facts: Facts) -> Iterator[Check]:
    """The stream itself, and who reads it."""
    most = facts.config.redis.max_length
    for look in _reachable(facts):
        subject = _subject(look)
        if look.refusal is not None:
            yield finding("redis.stream", subject, str(look.refusal), _DO[look.refusal.trouble])
        if look.stream_trouble is not None:
            do = _DO[look.stream_trouble.trouble]
            yield finding("redis.stream", subject, str(look.stream_trouble), do)
        elif look.length is None:
            what = "is not there yet" if not look.is_read_only else "nobody has announced a session there yet"
            yield note("redis.stream", subject, what)
        else:
            names = ", ".join(map(_group, look.groups))
            read_by = f", read by {names}" if look.groups else ", and no consumer group reads it"
            known: JsonObject = {
                "entries": look.length,
                "groups": [
                    {"name": one.name, "consumers": one.consumers, "pending": one.pending, "lag": one.lag}
                    for one in look.groups
                ],
            }
            yield ok("redis.stream", subject, f"{look.length:,} entries{read_by}", facts=known)
        holder = _holder(look, facts)
        if holder is not None and most and (look.length or 0) > most + 100:
            what = (
                f"{look.length:,} entries, more than redis.max_length ({most:,}): the group {holder.name!r}"
                " has not acknowledged the oldest"
            )
            do = f"see to its consumers, or give it up: XGROUP DESTROY {look.stream} {holder.name}"
            yield finding("redis.group", subject, what, do)


def _group(one: Group) -> str:
    lag = "" if one.lag is None else f", {one.lag:,} not read yet"
    return f"{one.name} ({one.pending:,} pending{lag})"


def _holder(look: StreamLook, facts: Facts) -> Group | None:
    """The group that has not read the oldest, if that is so old that it would be trimmed."""
    if look.is_read_only or not look.groups:
        return None
    last = min(look.groups, key=lambda group: group.first)
    old = facts.now_ms - int(facts.config.redis.trim_min_age_hours * _HOUR_MS)
    return last if last.first[0] < old else None


def announcements(facts: Facts) -> Iterator[Check]:
    """Whether what is announced is heard, and found here."""
    if facts.announced is None:
        return
    asked, known = sources(facts.config), facts.announced
    placed = known.open_sessions - sum(len(item.sessions) for item in known.unplaced)
    if not asked.discovery and not known.open_sessions:
        what = "only announced workspaces are reported ([sessions] mode is extension), and none is announced"
        do = (
            "see that the extension runs in Cursor and tells of its sessions (by Redis, files or HTTP:"
            ' docs/sessions.md), or set mode = "auto", which needs none'
        )
        yield finding("sessions", "sessions", what, do)
    elif placed:
        yield ok("sessions", "sessions", f"{placed:,} open, each in a workspace that is here")
    elif asked.discovery:
        what = "nobody announces any; workspaces are found by looking"
        yield ok("sessions", "sessions", what, is_detail=bool(known.unplaced))
    for item in known.unplaced:
        name = item.path or item.workspace_hash
        why = list(item.why.values())
        what = f"announced, and no database of it was found: {why[-1] if why else 'not looked for yet'}"
        is_ours = not placed or any(session.source != "redis" for session in item.sessions)
        do = "open that folder in Cursor on this machine; `workspaces` tells what was tried"
        if is_ours:
            yield finding("workspace.unmapped", name, what, do)
        else:
            yield note("workspace.unmapped", name, what, f"if it is of another machine, nothing; else {do}")


def _reachable(facts: Facts) -> Iterator[StreamLook]:
    return (look for look in facts.streams if look.trouble is None)


def _subject(look: StreamLook) -> str:
    return f"{look.server} {look.stream}"


def _listed(names: frozenset[str], look: StreamLook) -> str:
    return ", ".join(f"{name} (renamed away)" if name in look.renamed else name for name in sorted(names))


def _granted(names: frozenset[str], look: StreamLook) -> str:
    renamed = names.intersection(look.renamed)
    rules = " ".join(f"+{name}" for name in sorted(names - renamed))
    rights = f"ACL SETUSER ... {rules}" if rules else ""
    names_back = (
        f"take rename-command {', '.join(sorted(renamed))} out of its configuration" if renamed else ""
    )
    return ", and ".join(filter(None, (rights, names_back)))
