"""What a running service says of itself, as lines for a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from rich.cells import cell_len

from trio_cursor.cli.output import (
    Style,
    clock,
    ending,
    in_wait,
    indented,
    passed_over,
    plural,
    printable,
    table,
)
from trio_cursor.cli.session_words import reasons, session_names
from trio_cursor.observations import JsonObject
from trio_cursor.privacy import FULL
from trio_cursor.records import DISCOVERY
from trio_cursor.status import MOST_UNMAPPED

_HEAD = ["workspace", "status", "schema", "new", "checked", ""]
#: However long the other columns are, so much is shown of the end of a path.
_LEAST_PATH_CELLS = 24
#: Announced workspaces that were not found: of a stream that several machines share most are elsewhere.
_MOST_SHOWN = 5


def status_lines(found: JsonObject, style: Style, width: int) -> list[str]:
    """The status in lines that fit into so many columns, as far as that is possible.

    What a service of an earlier release did not say is left out. Raises KeyError, TypeError, ValueError or
    AttributeError if this is no status.
    """
    about, *facts = _about_the_run(found)
    alarms = (f"alarm{printable(item)}" for item in _alarms(found))
    sections = (
        [
            style("bold", about),
            *_flowing(facts, width),
            *_colored("yellow", _flowing(_shortcomings(found), width), style),
        ],
        [*_workspaces(found["workspaces"], style, width)],
        [*_unmapped(found, style, width)],
        [*_flowing(_connections(found), width), *_colored("red", _flowing(alarms, width), style)],
    )
    return [line for lines in sections if lines for line in (*lines, "")][:-1]


def _about_the_run(found: JsonObject) -> Iterator[str]:
    began = f" runs since {clock(found['started_at'])}" if found["started_at"] else " runs"
    yield f"trio_cursor {printable(found['version'])}{began} (process {int(found['pid'])})"
    yield f"event log in {printable(found['state_dir'])}: {plural(found['last_sequence'], 'record')} ever"
    held = found.get("held") or 0
    if (mode := (found.get("privacy") or {}).get("mode", FULL)) != FULL:
        yield f"privacy: {printable(mode)}"
    gaps = f", {plural(found['gaps'], 'gap')}" if found["gaps"] else ""
    pending = f", {left:,} in flight" if (left := found["pending"] - held) else ""
    yield f"{plural(found['generations'], 'generation')} reported by this run{pending}{gaps}"
    if held:
        yield in_wait(held)
    skipped = (item["skipped"] for item in found["workspaces"])
    unattributed = found.get("unattributed") or 0
    if words := passed_over(found["excluded"], found["nameless"], skipped, unattributed):
        yield f"passed over: {words}"


def _alarms(found: JsonObject) -> Iterator[str]:
    """What is wrong, with since when it has been told of; and what was so until a moment ago."""
    episodes = found.get("episodes") or []
    since = {item["words"]: item["since"] for item in episodes if item["is_present"]}
    for words in found["alarms"]:
        yield f" since {clock(since[words])}: {words}" if words in since else f": {words}"
    for item in episodes:
        if not item["is_present"]:
            yield f" since {clock(item['since'])}, gone for a moment: {item['words']}"


def _shortcomings(found: JsonObject) -> Iterator[str]:
    if found["state"] == "disabled":
        yield "disabled: the configuration says enabled = false, and nothing is watched"
    elif found["state"] != "running":
        yield printable(found["state"])
    elif not found["workspaces"]:
        # Where sessions are announced, and those alone count, nobody is a reason as well.
        sources = {item["name"] for item in found.get("sources") or []}
        is_announced = sources and DISCOVERY not in sources
        nobody = ", or none that a session was announced for" if is_announced else ""
        yield f"no workspace found in {printable(', '.join(found['searched']))}{nobody}"
    privacy = found.get("privacy") or {}
    if more_open := privacy.get("more_open"):
        yield (
            f"{plural(more_open, 'record')} stored in a privacy mode more open than"
            f" {printable(privacy['mode'])}: outputs get no more of them than that, but they stay in the"
            " event log until [log] keep_days is over or the state directory is removed"
        )
    events = found.get("os_events") or {}
    if events.get("state") == "off":
        why = printable(events["note"] or "not yet")
        yield f"no events of the operating system, watched by polling alone: {why}"
    elif events.get("state") == "partial":
        yield (
            f"{plural(events['unwatched'], 'directory', 'directories')} watched by polling alone:"
            f" {printable(events['note'] or 'not watched yet')}"
        )
    if refused := found.get("refused"):
        yield f"{plural(refused, 'start')} of sessions refused: too many are open"


def _workspaces(items: list[Any], style: Style, width: int) -> Iterator[str]:
    if not items:
        return
    rows = [_row(item) for item in items]
    taken = sum(2 + max(cell_len(row[column]) for row in [_HEAD, *rows]) for column in range(1, 5))
    for row in rows:
        row[0] = ending(row[0], max(width - taken, _LEAST_PATH_CELLS))
    head, *whole = table(_HEAD, rows)
    short = table(_HEAD, [[*row[:-1], ""] for row in rows])[1:]
    yield style("bold", head)
    for item, row, line, without_note in zip(items, rows, whole, short, strict=True):
        if cell_len(line) <= width:
            yield line
        else:
            yield without_note
            yield from indented(row[-1], width)
        if item["sessions"]:
            words = f"sessions: {session_names(item['sessions'])}"
            yield from _colored("dim", indented(words, width), style)


def _row(item: JsonObject) -> list[str]:
    return [
        printable(item["workspace_path"] or item["workspace_id"] or "global"),
        printable(item["status"]),
        printable(item["schema"] or "-"),
        str(item["generations"]),
        clock(item["last_check"]) if item["last_check"] else "-",
        printable(item["last_error"] or item["note"] or ""),
    ]


def _unmapped(found: JsonObject, style: Style, width: int) -> Iterator[str]:
    # A service that is disabled knows of nothing that is here.
    items = [] if found["state"] == "disabled" else found.get("unmapped") or []
    for item in items[:_MOST_SHOWN]:
        hash_, path = printable(item["workspace_hash"]), item["workspace_path"]
        name = f"announced, not found: {printable(path) if path else hash_}"
        yield from _colored("yellow", indented(name, width, by=0), style)
        words = [f"hash {hash_}"] if path else []
        details = [*words, f"sessions: {session_names(item['sessions'])}", *reasons(item["why"])]
        yield from _colored("dim", chain.from_iterable(indented(detail, width) for detail in details), style)
    if (more := len(items) - _MOST_SHOWN) > 0:
        least = "at least " if len(items) >= MOST_UNMAPPED else ""
        yield style("yellow", f"and {least}{more} more, announced and not found: --json has them")


def _connections(found: JsonObject) -> Iterator[str]:
    """Where sessions come from, and where events go."""
    for item in found.get("sources") or []:
        if item["name"] == DISCOVERY:
            yield "sessions are found by looking, where nobody announces any"
            continue
        over = passed_over(0, 0, [item["skipped"]])
        taken = f"{item['taken']:,} taken" + (f", passed over: {over}" if over else "")
        yield f"sessions from {printable(item['name'])}: {printable(item['state'])}, {taken}{_trouble(item)}"
    for item in found.get("foreign") or []:
        over = passed_over(0, 0, [item["skipped"]])
        taken = f"{plural(item['taken'], 'generation')} delivered" + (
            f", passed over: {over}" if over else ""
        )
        yield f"others on {printable(item['name'])}: {printable(item['state'])}, {taken}{_trouble(item)}"
    if server := found.get("http"):
        yield f"http on {printable(server['address'])}: {printable(server['state'])}{_trouble(server)}"
    elif "http" in found:
        yield "http: switched off"
    for item in found["outputs"]:
        words = ", ".join([printable(item["state"]), *_delivered(item)])
        yield f"output {printable(item['name'])}: {words}{_trouble(item)}"


def _delivered(item: JsonObject) -> Iterator[str]:
    """How far an output is; what is not there in the status of an older release is nothing."""
    yield f"{plural(item['lag'], 'event')} behind"
    if there := item.get("already_there"):
        yield f"{there:,} already there"
    if times := item.get("rollbacks"):
        yield f"sent again {plural(times, 'time')} what it had lost"
    if dead := item.get("dead"):
        yield f"{dead:,} can never be sent"


def _trouble(item: JsonObject) -> str:
    return f": {printable(item['last_error'])}" if item["last_error"] else ""


def _flowing(sentences: Iterable[str], width: int) -> Iterator[str]:
    """Each in as many lines as it needs."""
    return chain.from_iterable(indented(sentence, width, by=0) for sentence in sentences)


def _colored(name: str, lines: Iterable[str], style: Style) -> Iterator[str]:
    return (style(name, line) for line in lines)
