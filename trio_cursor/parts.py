"""The parts of a service, built before the first of its tasks starts."""

from __future__ import annotations

import os
import socket
import time
from functools import partial
from typing import TYPE_CHECKING

import attrs
import trio

from trio_cursor.alarming import Watchman
from trio_cursor.asked import find_dirs, sources, window_ms
from trio_cursor.assembly import Assembler
from trio_cursor.atlas import Atlas
from trio_cursor.config import Config
from trio_cursor.cursor.guest import Guest
from trio_cursor.cursor.mapping import Mapper
from trio_cursor.cursor.private_copies import COPIES
from trio_cursor.cursor.schemas.known import readable_columns
from trio_cursor.demand import Demand
from trio_cursor.discretion import enter_mode
from trio_cursor.eventlog import EventLog
from trio_cursor.first_pass import FirstPass
from trio_cursor.freshness import Freshness
from trio_cursor.handle import Handle
from trio_cursor.hearing import Task, build_foreign, build_tasks
from trio_cursor.hints import Hints
from trio_cursor.keeping import Keeper
from trio_cursor.meters import Meters
from trio_cursor.metrics import Metrics
from trio_cursor.outputs.follower import Output
from trio_cursor.outputs.json_lines import open_json_lines
from trio_cursor.polling import Tools
from trio_cursor.records import DISCOVERY, ReadingChange
from trio_cursor.scanner import Scanner
from trio_cursor.sessions.beginning import Beginning
from trio_cursor.sessions.placing import Placing
from trio_cursor.sessions.registry import Registry
from trio_cursor.sessions.tracker import Tracker
from trio_cursor.settings import Settings
from trio_cursor.sink import Message, Sink
from trio_cursor.states import OutputState, WorkspaceState
from trio_cursor.status import PrivacyStatus
from trio_cursor.status_board import Board
from trio_cursor.supervisor import Supervisor
from trio_cursor.waking import ask_for, readmit, renew
from trio_cursor.webhook import open_webhook

if TYPE_CHECKING:
    from trio_cursor.outputs.foreign import ForeignEntries

_HOUR_MS = 3_600_000
_BATCHES_IN_FLIGHT = 16


def _now_ms() -> int:
    """The one place where the wall clock is read."""
    return time.time_ns() // 1_000_000


@attrs.frozen
class Parts:
    """Everything that the tasks work with."""

    settings: Settings
    events: EventLog
    guest: Guest
    scanner: Scanner
    hints: Hints
    tracker: Tracker
    #: Sources of sessions, other producers, the HTTP server, and who posts alarms.
    hearing: list[Task]
    supervisor: Supervisor
    changes: trio.MemoryReceiveChannel[ReadingChange]
    sink: Sink
    outputs: list[tuple[Output, OutputState]]
    first_pass: FirstPass
    watchman: Watchman
    keeper: Keeper
    handle: Handle
    sends: trio.MemorySendChannel[Message]
    messages: trio.MemoryReceiveChannel[Message]


async def build(config: Config, events: EventLog) -> Parts:
    """Build them; nothing runs yet."""
    now, settings = _now_ms(), Settings(config)
    meters = Meters(_now_ms, now)
    settle_ms = int(config.assembly.settle_timeout_seconds * 1000)
    registry = await _registry(config, events, now, settle_ms)
    dirs = await find_dirs(config)
    scanner = Scanner(dirs, settings.is_read, is_enabled=settings.is_enabled)
    settings.on_change.append(lambda _: scanner.reconsider())
    hints = Hints(scanner)
    guest = Guest(
        roots=dirs,
        tables=readable_columns(),
        deadline_seconds=config.cursor_database_monitor.query_timeout_seconds,
        max_concurrent=config.cursor_database_monitor.max_concurrent_workspaces,
        private_dir=str(events.directory / COPIES),
    )
    atlas = Atlas(
        scanner, wanted=settings.is_reported, allowed=settings.is_allowed, admits=settings.admits_unknown
    )
    freshness = Freshness(scanner)
    assembler = Assembler(
        atlas,
        freshness,
        ring_grace_ms=int(config.assembly.ring_grace_seconds * 1000),
        conversation_wait_ms=int(config.assembly.conversation_wait_seconds * 1000),
        settle_timeout_ms=settle_ms,
        admission=None if registry.discovers else registry,
    )
    discretion = await enter_mode(events, config.privacy.mode)
    assembler.restore(discretion.pending, await events.places(), now, trio.current_time())
    demand = Demand(registry, assembler, scanner, _now_ms, left_until_ms=now + settle_ms)
    freshness.counts = demand.counts
    sends, messages = trio.open_memory_channel[Message](_BATCHES_IN_FLIGHT)
    beginning = Beginning()
    sends_changes, changes = trio.open_memory_channel[ReadingChange](0)
    sink = Sink(
        log=events,
        assembler=assembler,
        registry=registry,
        scanner=scanner,
        freshness=freshness,
        now_ms=_now_ms,
        host=socket.gethostname(),
        max_text_bytes=config.privacy.max_text_bytes,
        privacy=discretion.privacy,
        need=partial(ask_for, demand, beginning, sends_changes),
        meters=meters,
    )
    freshness.renewed = partial(renew, sink, sends)
    first_pass = FirstPass(scanner)
    placing = Placing(registry, Mapper(scanner, guest, await events.mappings()), events)
    tracker = Tracker(
        registry=registry,
        demand=demand,
        log=events,
        atlas=atlas,
        placing=placing,
        first_pass=first_pass,
        now_ms=_now_ms,
        changes=sends_changes,
        changed=partial(readmit, sink, freshness, sends),
        beginning=beginning,
    )
    tools = Tools(
        guest=guest,
        log=events,
        demand=demand,
        scanner=scanner,
        assembler=assembler,
        freshness=freshness,
        sends=sends,
        now_ms=_now_ms,
        window_ms=window_ms(config),
        pace=settings.pace,
        meters=meters,
    )
    foreign = await build_foreign(config, events)
    outputs = await _outputs(config, events, foreign, now)
    states: dict[str, WorkspaceState] = {}
    board = Board(
        started_at=now,
        now_ms=_now_ms,
        settings=settings,
        events=events,
        sink=sink,
        registry=registry,
        placing=placing,
        scanner=scanner,
        first_pass=first_pass,
        states=states,
        outputs=[state for _, state in outputs],
        foreign=[one.state for one in foreign],
        privacy=PrivacyStatus(config.privacy.mode, discretion.more_open),
        os_events=hints.status,
    )
    metrics = Metrics(board, guest, meters)
    if (webhook := open_webhook(config, _now_ms)) is not None:
        board.webhook = webhook.status
    return Parts(
        settings=settings,
        events=events,
        guest=guest,
        scanner=scanner,
        hints=hints,
        tracker=tracker,
        hearing=[
            *await build_tasks(config, events, tracker, board, metrics),
            *(one.listen for one in foreign),
            *([webhook.run] if webhook else []),
        ],
        supervisor=Supervisor(scanner, first_pass, tools, states),
        changes=changes,
        sink=sink,
        outputs=outputs,
        first_pass=first_pass,
        watchman=Watchman(board, webhook.tell) if webhook else Watchman(board),
        keeper=Keeper(
            directory=events.directory,
            log=events,
            status=board.status,
            outputs=board.outputs,
            now_ms=_now_ms,
            keep_days=config.log.keep_days,
            max_megabytes=config.log.max_megabytes,
            losses=board.losses,
        ),
        handle=Handle(board.status, board.progress, events, first_pass.over, settings.reload),
        sends=sends,
        messages=messages,
    )


async def _registry(config: Config, events: EventLog, now: int, settle_ms: int) -> Registry:
    """The sessions, with what an earlier run has left."""
    window = window_ms(config)
    inactive_ms = int(config.sessions.inactive_timeout_hours * _HOUR_MS)
    registry = Registry(
        inactive_ms=inactive_ms,
        max_active=config.sessions.max_active,
        end_grace_ms=int(config.sessions.end_grace_seconds * 1000),
        settle_ms=settle_ms,
        window_ms=window,
        discovers=sources(config).discovery,
    )
    # To what ended before the window begins no event can belong any more; but for as long as a session may go
    # without a sign of life, its start must not open it again.
    found = await events.sessions(0 if window is None else now - max(window, inactive_ms))
    # Another mode knows sessions that nobody ends in this one, or that are not to count.
    is_announced = config.sessions.mode != "discovery"
    found = [one for one in found if (registry.discovers if one.source == DISCOVERY else is_announced)]
    registry.restore(found, now)
    return registry


async def _outputs(
    config: Config, events: EventLog, foreign: list[ForeignEntries], since_ms: int
) -> list[tuple[Output, OutputState]]:
    found: list[tuple[Output, OutputState]] = []
    if config.outputs.json_lines.path:
        lines = open_json_lines(config.outputs.json_lines.path)
        found.append((lines, OutputState(lines.name)))
    if config.redis.url is not None:
        # redis-py takes 70 ms to import, which nobody has to wait for who has no Redis.
        from trio_cursor.outputs.stream_opening import open_redis_streams  # noqa: PLC0415

        found += await open_redis_streams(config, events, _now_ms, foreign)
    if config.outputs.otlp.enabled:
        # Needs what only the extra `otel` brings.
        from trio_cursor.outputs.otlp_opening import open_otlp  # noqa: PLC0415

        found.append(await open_otlp(config, events, _now_ms, os.environ))
    for output, state in found:
        state.meter.now_ms, state.meter.since_ms = _now_ms, since_ms
        # Known from the start, before the output was reached: retention and whoever waits for the output
        # must believe neither that it has everything nor that it has nothing.
        state.sequence = (await events.cursor(output.name))[0] if output.is_durable else events.last_sequence
    return found
