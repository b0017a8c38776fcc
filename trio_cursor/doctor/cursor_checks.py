"""What is to be said of Cursor's directories, its databases, and how much is in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from trio_cursor.asked import window_ms
from trio_cursor.config.origins import BUILT_IN
from trio_cursor.cursor.guest import Busy, Empty, NeedsRecovery, TimedOut
from trio_cursor.cursor.listing import NO_STORAGE
from trio_cursor.cursor.schemas.known import NO_TABLES
from trio_cursor.cursor.workspace_json import NO_FILE, UNREADABLE
from trio_cursor.doctor.check import Check, finding, note, ok
from trio_cursor.doctor.facts import Facts
from trio_cursor.doctor.looking import CursorLook, Database, Directory, Failure
from trio_cursor.observations import JsonObject

_ELSEWHERE: Final = (
    "name Cursor's User directory (with globalStorage and workspaceStorage in it) by --cursor-dir"
)
_NOT_STARTED: Final = f"start Cursor once; if yours keeps its data elsewhere, {_ELSEWHERE}"
_REMOTE: Final = (
    "this seems to be the remote side of a Cursor window: its databases are on the machine that shows the"
    " window, so run trio_cursor there"
)
_DAY_MS: Final = 86_400_000
_MOUNT: Final = (
    "see whether its disk or mount answers (ls it); of a network mount, run on the machine that has it"
)
_CURSOR_MENDS: Final = (
    "start Cursor, or start it anew: in the place of a file that it cannot open it puts its backup,"
    " or an empty one"
)
_UNLOCK: Final = (
    "look again in a minute: Cursor locks it for moments only; if it stays so, see which program holds it"
    " (`fuser FILE`, `lsof FILE`) and end that one"
)
#: By what a refusal says; the first that fits.
_REMEDIES: Final = {
    "belongs to another user": "run as the user who runs Cursor",
    "ermission denied": "run as the user who runs Cursor, and let that user read it (ls -l)",
    "run the service on the machine": "run trio_cursor on the machine that holds the file",
    "outside the directories": "remove the link, or name the directory that it leads to by --cursor-dir",
    "no regular file": "look what it is (ls -l); Cursor keeps a plain file there",
    "no SQLite database": _CURSOR_MENDS,
    "malformed": _CURSOR_MENDS,
    "not a database": _CURSOR_MENDS,
}


def directories(facts: Facts) -> Iterator[Check]:
    """Every path that was probed."""
    look = facts.cursor
    if look is None:
        return
    is_named, is_any = bool(facts.config.cursor.dirs), any(item.is_there for item in look.directories)
    for item in look.directories:
        yield _directory(item, look, is_named=is_named, is_any=is_any)
    if not is_any:
        do = _REMOTE if facts.machine.is_remote_side else _NOT_STARTED
        yield finding("cursor", "Cursor", "no Cursor was found in any of these places", do)
    for listing in look.listings:
        for what in listing.notes:
            if what.is_trouble:
                yield finding("cursor.directory", what.path, what.reason, _remedy(what.reason))
            elif what.path not in (listing.user_dir, *look.there):
                yield note("cursor.directory", what.path, f"passed over: {what.reason}")


def _directory(item: Directory, look: CursorLook, *, is_named: bool, is_any: bool) -> Check:
    name = "cursor.directory"
    if not item.is_there:
        if is_named:
            return finding(
                name,
                item.path,
                "there is no such directory",
                f"mend the option, or [cursor] dirs: {_ELSEWHERE}",
            )
        return note(name, item.path, "not there", is_detail=is_any)
    if item.trouble:
        return finding(name, item.path, item.trouble, _remedy(item.trouble))
    mine = [listing for listing in look.listings if listing.user_dir == item.user_dir]
    workspaces = [one for listing in mine for one in listing.workspaces if not one.is_global]
    if workspaces or not mine:
        count = f"{len(workspaces):,} workspace{'s' * (len(workspaces) != 1)}" if mine else "found"
        return ok(name, item.path, count)
    if any(one.is_read for one in look.databases if one.workspace.profile == mine[0].user_dir):
        return note(name, item.path, "it has no workspace", "open a folder in Cursor")
    if any(one.is_trouble for one in mine[0].notes):
        return note(name, item.path, "what is in it cannot be told: see below")
    what = "neither a workspace nor a conversation is in it"
    is_like_cursors = all(one.reason != NO_STORAGE for one in mine[0].notes)
    if is_named and not is_like_cursors:
        return finding(name, item.path, what, _ELSEWHERE)
    return note(name, item.path, what, _NOT_STARTED)


def databases(facts: Facts) -> Iterator[Check]:
    """Every database, those that are well in one line."""
    if facts.cursor is None:
        return
    found = facts.cursor.databases
    modes = Counter(item.journal_mode for item in found if item.is_read)
    words = {"wal": "with a write-ahead log", "delete": "with a rollback journal"}
    kinds = ", ".join(f"{count:,} {words.get(str(mode), mode)}" for mode, count in modes.items())
    if read := sum(modes.values()):
        yield ok("databases", "databases", f"{read:,} could be read: {kinds}")
    elif facts.cursor.there and not _is_in_trouble(facts.cursor):
        what = "there is nothing to read yet: no workspace has a database"
        yield note("databases", "databases", what, "open a folder in Cursor and ask its AI something")
    workspaces = [item for item in found if not item.workspace.is_global]
    left_out = Counter(item.left_out for item in found if item.left_out)
    if workspaces and all(item.left_out for item in workspaces):
        many = "the only workspace" if len(workspaces) == 1 else f"all {len(workspaces):,} workspaces"
        what = f"nothing is reported: the configuration leaves out {many}"
        yield finding("databases", "databases", what, f"mend {_who_left_out(facts)}")
        left_out.clear()
    for reason, count in left_out.items():
        yield note(
            "databases",
            "databases",
            f"{count:,} {reason}",
            f"if it should not be, mend {_who_left_out(facts)}",
        )
    for item in found:
        yield from _database(item, facts)


def _is_in_trouble(look: CursorLook) -> bool:
    """Whether there may be more than could be read or listed, as is told of each."""
    listed = any(what.is_trouble for listing in look.listings for what in listing.notes)
    failed = any(item.failure is not None and not isinstance(item.failure, Empty) for item in look.databases)
    return listed or failed or any(item.left_out for item in look.databases)


def _who_left_out(facts: Facts) -> str:
    """The keys that leave workspaces out, and where each was set."""
    config = facts.config
    percent = config.cursor_database_monitor.rollout_percent
    said: dict[str, object] = {
        "cursor.include": list(config.cursor.include),
        "cursor.exclude": list(config.cursor.exclude),
        "cursor_database_monitor.rollout_percent": percent if percent < 100 else None,  # noqa: PLR2004 - all
    }
    return " and ".join(
        f"{key} = {value} ({config.origins.get(key, BUILT_IN)})"
        for key, value in said.items()
        if value is not None and value != []
    )


def _database(item: Database, facts: Facts) -> Iterator[Check]:
    name, path = "database", item.workspace.database
    if (problem := item.workspace.problem) and problem != NO_FILE:
        if problem.startswith(UNREADABLE):
            yield finding("workspace", path, problem, _remedy(problem))
        else:
            yield note("workspace", path, f"{problem}: its events bear neither path nor hash")
    if item.left_out:
        yield note(name, path, item.left_out, is_detail=True)
    elif not item.was_looked_at:
        yield finding(name, path, "there was no time to look at it", _MOUNT)
    elif isinstance(item.failure, Empty):
        yield note(name, path, f"nothing yet: {item.failure.why}", is_detail=True)
    elif item.failure is not None:
        yield finding(name, path, *_refusal(item.failure, facts))
    elif item.unknown and item.unknown != [NO_TABLES]:
        do = "update trio_cursor; if it is the newest, report these names: Cursor may store things anew"
        yield finding("schema", path, f"unknown layout: {'; '.join(item.unknown)}", do)
    elif item.problems:
        do = "ask Cursor's AI something in that window, which writes it anew; if it stays so, report it"
        yield finding("schema", path, "; ".join(item.problems), do)
    else:
        yield ok(name, path, _what_it_is(item, facts.now_ms), is_detail=True, facts=_facts(item))


def _what_it_is(item: Database, now_ms: int) -> str:
    kilobytes = (item.size or 0) / 1000
    size = f"{kilobytes:,.0f} kB" if kilobytes < 1000 else f"{kilobytes / 1000:,.1f} MB"  # noqa: PLR2004 - a unit
    size += f", journal {item.journal_mode}"
    if not item.schemas:
        return f"{size}; nothing of Cursor's AI is in it yet"
    layouts = f"{size}, layouts {', '.join(item.schemas)}"
    if not item.entries:
        why = "only conversations, which are not counted here" if item.workspace.is_global else "nothing yet"
        return f"{layouts}; no request is listed: {why}"
    newest = ago(now_ms - item.last_activity) if item.last_activity else "of no known time"
    return f"{layouts}; requests: {item.entries:,}, the newest {newest}"


def _facts(item: Database) -> JsonObject:
    return {
        "bytes": item.size,
        "journal_mode": item.journal_mode,
        "schemas": list(item.schemas),
        "requests": item.entries,
        "last_request_ms": item.last_activity,
        "written_ms": item.written_ms,
    }


def _refusal(failure: Failure, facts: Facts) -> tuple[str, str]:
    seconds = facts.config.cursor_database_monitor.query_timeout_seconds
    match failure:
        case Busy(why):
            return (
                f"locked for all of {seconds:g} s ({why})",
                _UNLOCK,
            )
        case NeedsRecovery(why):
            return (
                f"unfinished: {why}",
                "open this folder in Cursor: only Cursor may repair the file, and will",
            )
        case TimedOut(why):
            return (f"{why}", _MOUNT)
        case _:
            why = getattr(failure, "why", "unchanged")
            return (f"unreadable: {why}", _remedy(why))


def _remedy(why: str) -> str:
    return next((do for words, do in _REMEDIES.items() if words in why), _MOUNT)


def activity(facts: Facts) -> Iterator[Check]:
    """Whether there is something to report, and inside the window of a first sync."""
    look, window = facts.cursor, window_ms(facts.config)
    if look is None or not any(item.is_read for item in look.databases):
        return
    entries = sum(item.entries for item in look.databases)
    newest = max((item.last_activity or 0 for item in look.databases), default=0)
    if not entries:
        # What could not be read may list some; why not, and what to do, is said of each.
        where, do = "in any workspace", "ask Cursor's AI something, and look again"
        if _is_in_trouble(look):
            where, do = "in what was read", f"mend what is said of the others, or {do}"
        what = f"no request to Cursor's AI is listed {where} (conversations are not counted here)"
        yield note("activity", "requests", what, do)
        return
    age = facts.now_ms - newest
    when = ago(age) if newest else "of no known time"
    words = f"{entries:,} {'is' if entries == 1 else 'are'} listed, the newest {when}"
    is_empty = facts.own is not None and not facts.own.events
    if newest and is_empty and window is not None and age > window:
        hours = window / 3_600_000
        what = f"{words}: before the {hours:g} h that a first sync reaches back, so none of them is reported"
        yield note(
            "activity",
            "requests",
            what,
            f"to have them too: run --since {age // _DAY_MS + 1}d, or --since all",
        )
    else:
        yield ok("activity", "requests", words)


def ago(milliseconds: int) -> str:
    """Roughly how long ago."""
    minutes = max(milliseconds, 0) // 60_000
    for size, unit in ((1440, "day"), (60, "hour"), (1, "minute")):
        if number := minutes // size:
            return f"{number:,} {unit}{'s' * (number != 1)} ago"
    return "just now"
