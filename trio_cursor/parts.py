"""The parts of a service, built before the first of its tasks starts."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from functools import partial

import attrs
import trio

from trio_cursor.asked import find_dirs, is_allowed, is_read, is_reported, window_ms
from trio_cursor.assembly import Assembler
from trio_cursor.atlas import Atlas
from trio_cursor.condition import Pace
from trio_cursor.config import Config
from trio_cursor.cursor.guest import Guest
from trio_cursor.cursor.private_copies import COPIES
from trio_cursor.cursor.schemas.known import readable_columns
from trio_cursor.eventlog import EventLog
from trio_cursor.first_pass import FirstPass
from trio_cursor.freshness import Freshness
from trio_cursor.handle import Handle
from trio_cursor.keeping import Keeper
from trio_cursor.outputs.follower import Output
from trio_cursor.outputs.json_lines import open_json_lines
from trio_cursor.polling import Tools
from trio_cursor.scanner import Scanner
from trio_cursor.sessions.discovery import Discovery
from trio_cursor.sessions.registry import Registry
from trio_cursor.sink import Message, Renewed, Sink
from trio_cursor.status import OutputState, WorkspaceState
from trio_cursor.status_board import Board
from trio_cursor.supervisor import Supervisor

_HOUR_MS = 3_600_000
_BATCHES_IN_FLIGHT = 16


def _now_ms() -> int:
    """The one place where the wall clock is read."""
    return time.time_ns() // 1_000_000


@attrs.frozen
class Parts:
    """Everything that the tasks work with."""

    config: Config
    events: EventLog
    guest: Guest
    scanner: Scanner
    discovery: Discovery
    supervisor: Supervisor
    sink: Sink
    outputs: list[tuple[Output, OutputState]]
    first_pass: FirstPass
    keeper: Keeper
    handle: Handle
    sends: trio.MemorySendChannel[Message]
    messages: trio.MemoryReceiveChannel[Message]


async def build(config: Config, events: EventLog) -> Parts:
    """Build them; nothing runs yet."""
    monitor = config.cursor_database_monitor
    now = _now_ms()
    registry = Registry(
        inactive_ms=int(config.sessions.inactive_timeout_hours * _HOUR_MS),
        max_active=config.sessions.max_active,
    )
    registry.restore(await events.open_sessions())
    dirs = await find_dirs(config)
    scanner = Scanner(dirs, partial(is_read, config))
    sends, messages = trio.open_memory_channel[Message](_BATCHES_IN_FLIGHT)
    freshness = Freshness(scanner)
    assembler = Assembler(
        Atlas(
            scanner,
            wanted=partial(is_reported, config),
            allowed=partial(is_allowed, config),
            admits_unknown=not (config.cursor.include or config.cursor.exclude),
        ),
        freshness,
        ring_grace_ms=int(config.assembly.ring_grace_seconds * 1000),
        conversation_wait_ms=int(config.assembly.conversation_wait_seconds * 1000),
        settle_timeout_ms=int(config.assembly.settle_timeout_seconds * 1000),
    )
    assembler.restore(await events.pending(), await events.places(), now, trio.current_time())
    guest = Guest(
        roots=dirs,
        tables=readable_columns(),
        deadline_seconds=monitor.query_timeout_seconds,
        max_concurrent=monitor.max_concurrent_workspaces,
        private_dir=str(events.directory / COPIES),
    )
    states: dict[str, WorkspaceState] = {}
    first_pass = FirstPass(scanner)
    sink = Sink(
        log=events,
        assembler=assembler,
        registry=registry,
        scanner=scanner,
        freshness=freshness,
        now_ms=_now_ms,
        host=socket.gethostname(),
        max_text_bytes=config.privacy.max_text_bytes,
    )
    freshness.renewed = partial(renew, sink, sends)
    tools = Tools(
        guest=guest,
        log=events,
        registry=registry,
        scanner=scanner,
        assembler=assembler,
        freshness=freshness,
        sends=sends,
        now_ms=_now_ms,
        window_ms=window_ms(config),
        pace=Pace(
            poll_every=monitor.poll_interval_seconds,
            probe_every=monitor.probe_interval_seconds,
            max_retries=monitor.max_retries,
            retry_backoff=monitor.retry_backoff_seconds,
        ),
    )
    outputs: list[tuple[Output, OutputState]] = []
    if config.outputs.json_lines.path:
        output = open_json_lines(config.outputs.json_lines.path)
        # Known from the start, before the output was reached: retention and whoever waits for the output
        # must believe neither that it has everything nor that it has nothing.
        taken = (await events.cursor(output.name))[0] if output.is_durable else events.last_sequence
        outputs.append((output, OutputState(output.name, sequence=taken)))
    output_states = [state for _, state in outputs]
    board = Board(
        started_at=now,
        now_ms=_now_ms,
        events=events,
        sink=sink,
        registry=registry,
        scanner=scanner,
        first_pass=first_pass,
        states=states,
        outputs=output_states,
    )
    return Parts(
        config=config,
        events=events,
        guest=guest,
        scanner=scanner,
        discovery=Discovery(registry, events, _now_ms, first_pass),
        supervisor=Supervisor(scanner, first_pass, tools, states),
        sink=sink,
        outputs=outputs,
        first_pass=first_pass,
        keeper=Keeper(
            directory=events.directory,
            log=events,
            status=board.status,
            outputs=output_states,
            now_ms=_now_ms,
            keep_days=config.log.keep_days,
            max_megabytes=config.log.max_megabytes,
        ),
        handle=Handle(board.status, board.progress, events, first_pass.over),
        sends=sends,
        messages=messages,
    )


def renew(sink: Sink, sends: trio.MemorySendChannel[Message]) -> None:
    """Wake the sink if anything in it waits for what was just read."""
    if sink.waits():
        # Where the channel is full, the sink will look anyway.
        with suppress(trio.WouldBlock):
            sends.send_nowait(Renewed())
