"""The table of all checks, and how what they look at is gathered. New: a function, and its line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, aclosing
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import attrs
import trio

from trio_cursor.config import Config
from trio_cursor.cursor.guest import Guest
from trio_cursor.doctor import (
    cursor_checks,
    machine_checks,
    output_checks,
    own_checks,
    service_checks,
    stream_checks,
)
from trio_cursor.doctor.check import Check, finding, note
from trio_cursor.doctor.collector import look_at_collector
from trio_cursor.doctor.events_of_system import look_at_events
from trio_cursor.doctor.facts import Announced, Facts, FindAnnounced
from trio_cursor.doctor.hosting import FindHost, look_at_host
from trio_cursor.doctor.looking import AnswerT, CursorLook, guest_of, in_time, list_cursor, read_all
from trio_cursor.doctor.machine import this_machine
from trio_cursor.doctor.port import look_at_port
from trio_cursor.doctor.proof import prove
from trio_cursor.doctor.state import look_at_own
from trio_cursor.doctor.stream import look_at_streams
from trio_cursor.observations import JsonObject
from trio_cursor.status_file import ServiceLook, look_at_service, read_status

CheckFunction: TypeAlias = Callable[[Facts], Iterator[Check]]

#: In the order in which they are told, by section.
CHECKS: Final[tuple[tuple[str, tuple[CheckFunction, ...]], ...]] = (
    ("Cursor's directories", (cursor_checks.directories,)),
    ("Cursor's databases", (cursor_checks.databases, cursor_checks.activity)),
    ("Sessions", (stream_checks.announcements,)),
    ("Our files", (own_checks.state, own_checks.event_log, own_checks.page_index, own_checks.privacy)),
    ("Outputs", (own_checks.outputs, output_checks.collector, output_checks.dead)),
    ("Redis", (stream_checks.servers, stream_checks.rights, stream_checks.streams)),
    ("Service", (own_checks.service, service_checks.recent, service_checks.port, service_checks.host)),
    ("Platform", (own_checks.machine, machine_checks.events, machine_checks.clock)),
)
PROOF: Final = "Proof"

#: For all databases together: a thousand take about two.
_READ_SECONDS: Final = 20.0
_OWN_SECONDS: Final = 8.0
_ANNOUNCED_SECONDS: Final = 10.0
#: For what answers in milliseconds or not at all.
_ASIDE_SECONDS: Final = 5.0


#: What each of these is called, and what to do if it is silent.
_ASIDE: Final = {
    "events": ("os_events", "changes", "see whether Cursor's disk answers (ls it)"),
    "port": ("http", "HTTP", "see whether names are answered for, or write http.listen in digits"),
    "host": ("host", "service", "ask the system's tool yourself: `service status`"),
}


@attrs.frozen
class Section:
    """What belongs together."""

    title: str
    checks: tuple[Check, ...]


async def examine(
    config: Config, find_announced: FindAnnounced, find_host: FindHost, *, with_proof: bool
) -> list[Section]:
    """Look at everything and say what was found. Raises `ConfigError`."""
    with ExitStack() as stack:
        own = await in_time(partial(look_at_own, config, stack), _OWN_SECONDS)
        look = await list_cursor(config)
        async with aclosing(guest_of(config, look.there, own.private_dir if own else None)) as guest:
            facts = Facts(config, look.taken_ms, this_machine(), cursor=look, own=own)
            facts = await _gathered(facts, look, guest, find_announced, find_host)
            sections = [Section(title, tuple(_said(checks, facts))) for title, checks in CHECKS]
            sections[-1:-1] = [Section("No answer", tuple(_silent(facts)))]
            if with_proof:
                sections.append(Section(PROOF, tuple(await prove(config, look, guest))))
    return [section for section in sections if section.checks]


async def _gathered(
    facts: Facts, look: CursorLook, guest: Guest, find_announced: FindAnnounced, find_host: FindHost
) -> Facts:
    """Everything else, at the same time."""
    config, silent = facts.config, dict[str, float]()

    async def streams() -> None:
        nonlocal facts
        found = await look_at_streams(facts.config)
        facts = attrs.evolve(facts, streams=found)

    async def service() -> None:
        nonlocal facts
        found = await in_time(partial(_look_at_service, Path(config.state.dir)), _OWN_SECONDS)
        if found is not None:
            facts = attrs.evolve(facts, service=found[0], last_status=found[1])

    async def collector() -> None:
        nonlocal facts
        if facts.own is not None and facts.own.collector is not None:
            told = await look_at_collector(facts.own.collector)
            facts = attrs.evolve(facts, collector=told)

    async def aside(name: str, work: Callable[[], AnswerT], put: Callable[[Facts, AnswerT], Facts]) -> None:
        nonlocal facts
        found = await in_time(lambda: (work(),), _ASIDE_SECONDS)
        if found is None:
            silent[name] = _ASIDE_SECONDS
        else:
            facts = put(facts, found[0])

    async def databases() -> None:
        nonlocal facts
        await read_all(guest, look.databases, _READ_SECONDS)
        known: Announced | None = None
        with trio.move_on_after(_ANNOUNCED_SECONDS):
            known = await find_announced(look, guest)
        facts = attrs.evolve(facts, announced=known)

    async with trio.open_nursery() as nursery:
        for gather in (streams, service, databases, collector):
            nursery.start_soon(gather)
        watched = [item.workspace.database for item in look.databases if item.left_out is None]
        events, port, host = (
            partial(look_at_events, watched),
            partial(look_at_port, config),
            partial(look_at_host, find_host),
        )
        nursery.start_soon(aside, "events", events, lambda known, told: attrs.evolve(known, events=told))
        nursery.start_soon(aside, "port", port, lambda known, told: attrs.evolve(known, port=told))
        nursery.start_soon(aside, "host", host, lambda known, told: attrs.evolve(known, host=told))
    return attrs.evolve(facts, silent=silent, now_ms=int(time.time() * 1000))


def _look_at_service(directory: Path) -> tuple[ServiceLook, JsonObject | None]:
    """The one that runs, and else what the last one has said."""
    look = look_at_service(directory)
    return look, None if look.is_running or look.trouble else read_status(directory)


def _said(checks: tuple[CheckFunction, ...], facts: Facts) -> Iterator[Check]:
    for check in checks:
        yield from check(facts)


def _silent(facts: Facts) -> Iterator[Check]:
    """What did not answer in time."""
    directory = facts.config.state.dir
    silent = {
        "state": (directory, _OWN_SECONDS, facts.own is None or facts.service is None),
        "sessions": ("sessions", _ANNOUNCED_SECONDS, facts.announced is None),
    }
    for name, (subject, seconds, is_silent) in silent.items():
        if is_silent:
            what = f"no answer within {seconds:g} s"
            yield finding(name, subject, what, "see whether the disk of the state directory answers (ls it)")
    for name, seconds in facts.silent.items():
        check, subject, do = _ASIDE[name]
        yield note(check, subject, f"no answer within {seconds:g} s", do)
