"""What is to be said of our own files, of the service that runs, and of the machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from trio_cursor.doctor.check import Check, finding, note, of_error, ok
from trio_cursor.doctor.facts import Facts
from trio_cursor.errors import ConfigError
from trio_cursor.eventlog import formats
from trio_cursor.observations import JsonObject
from trio_cursor.privacy import FULL
from trio_cursor.status_file import STALE_MS
from trio_cursor.version import __version__
from trio_cursor.webhook import webhook_place

_MEGABYTE: Final = 1_000_000
#: A log on a disk with less is about to stop.
_LEAST_FREE_BYTES: Final = 100 * _MEGABYTE
#: On one with less a service may be unable to write even what it has to say.
_NO_ROOM_BYTES: Final = _MEGABYTE
_OTHER_DIR: Final = "mend its permissions, or name another directory with --state-dir"
_SEE_STATUS: Final = "see `status`, and what the service writes to its log"
#: By how an alarm begins or ends; the first that fits. One may hold any words of what it is about.
_ALARMS: Final = {
    "^output .* can never be sent": "see output.dead here for why; all the others are sent",
    "^output .* had lost what it had taken ": "nothing is lost; see why that server forgets",
    "^output .* does not take the metrics: ": "mend that there, or send none of them",
    "^output .*: the collector did not take ": "mend that there; `replay --otlp` sends them again",
    "^output .* events? behind": "see whether it is slow or away; what it has not taken is sent by itself",
    "^output .*consumer group": "see to the consumers of that group, or give it up with XGROUP DESTROY",
    "^output .*maxmemory-policy": "set maxmemory-policy noeviction",
    "^output ": "mend what is said of it here; events wait in the event log until then",
    "^session source files": "see whether its directory can be read; they are heard again by themselves",
    "^session source http": "see `status`: another program may have the port; name another with --http",
    "^session source ": "mend what is said of it under Redis; sessions are heard again by themselves",
    "^what others send": "mend what is said of it under Redis; what is there is asked for again by itself",
    "^the event log ": "free some space, or mend the permissions of the state directory",
    ": quarantined: ": "its disk or mount does not answer: mend that; it is tried again by itself",
    ": unknown_schema: ": "update trio_cursor; if it is the newest, report what is said here",
    "^Cursor's files have not|^the first pass has not": "see whether its disk answers; else start it again",
    "^the size limit deleted ": "raise [log] max_megabytes, and mend the output that is behind",
    "^generations were missed": "keep the service running; `events --gaps` has them",
    " does not answer$": "see whether its disk or mount answers; it is tried again by itself",
}


def state(facts: Facts) -> Iterator[Check]:
    """The state directory."""
    own = facts.own
    if own is None:
        return
    name, subject = "state", str(own.directory)
    if own.trouble is not None:
        yield of_error(name, subject, own.trouble, _OTHER_DIR)
        return
    yield note(name, subject, own.mended) if own.mended else ok(name, subject, "private, and can be written")
    if own.no_copies is not None:
        what = f"databases that cannot be read in place cannot be copied there: {own.no_copies}"
        yield finding("state.copies", subject, what, _OTHER_DIR)
    if own.network is not None:
        what = f"it lies on {own.network}: locks and the event log are only safe from one machine at a time"
        yield note("state.network", subject, what, "name a directory on a local disk with --state-dir")
    free, most = own.free_bytes, facts.config.log.max_megabytes * _MEGABYTE
    if free is None:
        yield note("state.disk", subject, "how much is free on its disk cannot be told")
    elif free < _LEAST_FREE_BYTES:
        what = f"only {free / _MEGABYTE:,.0f} MB are free on its disk"
        yield finding("state.disk", subject, what, "free some, or name another directory with --state-dir")
    elif free < most - own.log_bytes:
        what = f"{free / _MEGABYTE:,.0f} MB are free on its disk, fewer than the event log may take"
        yield note("state.disk", subject, what, "lower [log] max_megabytes, or free some")
    else:
        yield ok("state.disk", subject, f"{free / 1000 / _MEGABYTE:,.1f} GB free on its disk", is_detail=True)


def event_log(facts: Facts) -> Iterator[Check]:
    """The log in it."""
    own = facts.own
    if own is None or own.trouble is not None:
        return
    name, subject = "log", "event log"
    if own.log_trouble is not None:
        yield of_error(name, subject, own.log_trouble, "move it away to start a new one")
        return
    if own.log_format is None:
        yield note(name, subject, "none yet: nothing was ever reported to this directory")
        return
    megabytes = f"{own.log_bytes / _MEGABYTE:,.1f} MB"
    if own.pages not in (None, "ok"):
        what = f"it is damaged: {own.pages}"
        yield finding(name, subject, what, "stop the service, move the file away, and run --since all")
    else:
        yield ok(name, subject, f"{own.events:,} records, {megabytes}")
    if own.gaps:
        what = f"{own.gaps:,} times generations left Cursor's list of 100 before they were seen"
        yield note("log.gaps", subject, what, "keep the service running; `events --gaps` has them")
    if own.pages is None:
        yield note(name, subject, "it is too large to be looked through for damage here", is_detail=True)
    if own.log_format < formats.FORMAT:
        what = f"its format is {own.log_format}: the next start brings it to {formats.FORMAT}"
        yield note(name, subject, what)


def page_index(facts: Facts) -> Iterator[Check]:
    """What the page searches in, which is made of the log."""
    own, name, subject = facts.own, "page_index", "page index"
    if own is None or own.index_bytes is None:
        return
    megabytes = f"{own.index_bytes / _MEGABYTE:,.1f} MB"
    if own.index_trouble is not None:
        what = f"it is of no use as it is: {own.index_trouble}"
        yield note(name, subject, f"{what}; the service makes it anew out of the event log")
    elif own.index_missing:
        what = (
            f"{megabytes}, and {own.index_missing:,} records are not in it yet: a service fills it by itself"
        )
        yield note(name, subject, what)
    else:
        yield ok(name, subject, f"{megabytes}, has everything", is_detail=True)


def outputs(facts: Facts) -> Iterator[Check]:
    """What can be told of outputs without trying them."""
    path, own = facts.config.outputs.json_lines.path, facts.own
    if path not in (None, "-") and own is not None:
        if own.json_lines_trouble:
            what, do = own.json_lines_trouble, "mend that, or name another file (outputs.json_lines.path)"
            yield finding("json_lines", path or "", what, do)
        else:
            yield ok("json_lines", path or "", "can be written")
    for trouble in () if own is None else own.otlp_trouble:
        yield finding("otlp", "outputs.otlp", trouble, "mend that: `run` refuses to start")
    try:
        webhook_place(facts.config.alarms.webhook or "http://none")
    except ConfigError as error:
        yield finding("alarms", "alarms.webhook", str(error), "mend that: `run` refuses to start")


def service(facts: Facts) -> Iterator[Check]:
    """Whether one runs, and what it says."""
    look, name, subject = facts.service, "service", "service"
    if not facts.config.cursor_database_monitor.enabled:
        what = "it is switched off: enabled = false in [cursor_database_monitor], so nothing is watched"
        yield finding(name, subject, what, "set enabled = true")
    if look is None:
        return
    if look.trouble is not None:
        yield of_error(name, subject, look.trouble, _OTHER_DIR)
    elif not look.is_running:
        what = "none runs on this state directory, so nothing is reported at the moment"
        yield note(name, subject, what, "start one: python -m trio_cursor")
    elif look.status is None:
        yield finding(name, subject, "one runs, and has written no status that can be read", "start it again")
    elif look.age_ms > STALE_MS:
        yield _silent(look.status, look.age_ms, facts)
    else:
        try:
            yield from list(_status(look.status, facts.machine.platform))
            yield from list(_differences(look.status, facts))
        except (KeyError, TypeError, ValueError, AttributeError):
            what = "one of another version runs, whose status is written otherwise"
            yield finding(name, subject, what, "start it again with this version")


def _silent(status: JsonObject, age_ms: int, facts: Facts) -> Check:
    """What is to be said of one that says nothing."""
    process, own = process_of(status), facts.own
    what = f"one runs{f' (process {process})' if process else ''}, and has not said anything for"
    if own is not None and own.free_bytes is not None and own.free_bytes < _NO_ROOM_BYTES:
        # To end it would lose what it holds and mend nothing: it goes on as soon as it can write.
        why = "it cannot: there is no room on the disk of the state directory"
        do = "free some: it goes on by itself, and nothing is lost; look again then"
    else:
        why, do = "it hangs", _end(process, facts.machine.platform)
    return finding("service", "service", f"{what} {age_ms // 1000} s: {why}", do)


def words_of(alarm: object) -> str:
    """What an alarm of a status says; of another version it may have more to it than words."""
    return str(alarm.get("words", alarm)) if isinstance(alarm, dict) else str(alarm)


def process_of(status: JsonObject) -> int | None:
    """Its number, of a status of whatever version."""
    found = status.get("pid")
    return found if isinstance(found, int) else None


def _end(process: int | None, platform: str) -> str:
    if process is None:
        return "if that stays so, end it, and start it again"
    kill = f"taskkill /F /PID {process}" if platform == "win32" else f"kill -9 {process}"
    return f"look again in a minute; if it still hangs, end it ({kill}) and start it again: nothing is lost"


def _status(found: dict[str, Any], platform: str) -> Iterator[Check]:
    name, subject = "service", "service"
    if found["version"] != __version__:
        what = f"it is of version {found['version']}, and this is {__version__}"
        yield note(name, subject, what, "start it again")
    if found["state"] == "disabled":
        again = "start it again" if platform == "win32" else "kill -HUP"
        what = "it runs switched off, and watches nothing"
        yield finding(name, subject, what, f"set enabled = true, {again}")
    else:
        what = f"runs (process {int(found['pid'])}), {int(found['generations']):,} generations reported since"
        yield ok(name, subject, what)
    if not found["first_pass_done"] and found["state"] == "running":
        looked, total = found["progress"]
        yield note(name, subject, f"still at its first look: {looked} of {total} databases")
    for alarm in map(words_of, found["alarms"]):
        do = next((do for words, do in _ALARMS.items() if re.search(words, alarm)), _SEE_STATUS)
        yield finding("service.alarm", subject, alarm, do)
    for item in found["outputs"]:
        if lag := int(item["lag"]):
            yield note("service.output", str(item["name"]), f"{lag:,} events behind ({item['state']})")
        else:
            yield ok("service.output", str(item["name"]), "has everything", facts={"lag": 0})
    yield from _notes(found, subject)


def _differences(found: dict[str, Any], facts: Facts) -> Iterator[Check]:
    """Where it does otherwise than it would if it was started now: other options, another configuration."""
    name, subject, do = "service.differs", "service", "give it, or this command, the same options"
    mode, ours = (found.get("privacy") or {}).get("mode", FULL), facts.config.privacy.mode
    if found["state"] == "running" and mode != ours:
        yield note(name, subject, f"its privacy mode is {mode}, and here it is {ours}", do)
    looks = facts.cursor.directories if facts.cursor else ()
    known = {path for item in looks for path in (item.path, item.user_dir)}
    if others := [str(path) for path in found["searched"] if path not in known]:
        yield note(name, subject, f"it watches what was not looked at here: {', '.join(others)}", do)


def _notes(found: dict[str, Any], subject: str) -> Iterator[Check]:
    """What is no alarm, and good to know."""
    if (found.get("http") or {}).get("state") == "error":
        what = f"HTTP on {found['http']['address']}: {found['http']['last_error']}"
        yield note("service.http", subject, what, "name another port with --http, or --http off")
    if lost := int(found.get("lost") or 0):
        what = f"{lost:,} events were deleted by the size limit before every output had taken them"
        yield note("service.lost", subject, what, "raise [log] max_megabytes")
    webhook = found.get("webhook") or {}
    if why := webhook.get("last_error"):
        yield note("service.webhook", subject, f"alarms cannot be posted: {why}", "mend alarms.webhook")
    if given_up := int(webhook.get("lost") or 0):
        were = "alarm, raised or over, was" if given_up == 1 else "alarms, raised or over, were"
        what = f"{given_up:,} {were} given up: not taken by the webhook"
        yield note("service.webhook", subject, what, "the log of the service has them")
    if refused := int(found.get("refused") or 0):
        what = f"{refused:,} starts of sessions were refused: too many are open"
        yield note("service.sessions", subject, what, "raise [sessions] max_active")

    stored = found.get("privacy") or {}
    if more_open := int(stored.get("more_open") or 0):
        what = f"{more_open:,} records were stored in a privacy mode more open than {stored['mode']}"
        yield note("service.privacy", subject, what, "they go with [log] keep_days; see docs/privacy.md")


def privacy(facts: Facts) -> Iterator[Check]:
    """What is stored of texts."""
    mode = facts.config.privacy.mode
    if mode == FULL:
        yield ok("privacy", "privacy", "full: prompts and answers are stored as they are")
    else:
        yield ok(
            "privacy", "privacy", f"{mode}: texts are {'scrubbed' if mode == 'redacted' else 'not stored'}"
        )


def machine(facts: Facts) -> Iterator[Check]:
    """What runs here, and what is promised for it."""
    here, subject = facts.machine, "platform"
    ours = ", ".join(f"{name} {version}" for name, version in here.versions.items())
    words = f"{ours}; Python {here.python}, SQLite {here.sqlite} ({here.library}); {here.system}"
    known: JsonObject = {**here.versions, "python": here.python, "sqlite": here.sqlite, "system": here.system}
    yield ok("platform", subject, words, facts=known)
    if not here.has_octet_length:
        what = "SQLite is older than 3.43: the size of a large text is known only after it was read"
        yield note("platform", subject, what, "install pysqlite3-binary where there is a wheel")
    if here.platform == "win32":
        what = "on Windows SQLite may write the shared-memory file of a database that is open in Cursor"
        yield note("platform", subject, f"{what}; the promise is: no byte of any other file")
    if here.is_wsl:
        what = "this is WSL: a Cursor on Windows is read through a slow mount, and large databases not at all"
        yield note("platform", subject, what, "run trio_cursor on Windows for a Cursor that runs there")
