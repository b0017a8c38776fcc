"""The service: the whole tree of tasks, and the one public way in."""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import attrs
import trio

from trio_cursor import state_dir
from trio_cursor.assembly import Assembler
from trio_cursor.config import Config, load_config
from trio_cursor.cursor.guest import Guest
from trio_cursor.cursor.private_copies import COPIES, remove_copies
from trio_cursor.cursor.profiles import candidate_user_dirs, included, is_wsl
from trio_cursor.cursor.schemas.known import readable_columns
from trio_cursor.errors import NotBuiltYetError
from trio_cursor.eventlog import EventLog, open_event_log
from trio_cursor.first_pass import FirstPass
from trio_cursor.handle import Handle
from trio_cursor.keeping import Keeper
from trio_cursor.logs import get_logger
from trio_cursor.outputs.follower import Output, follow
from trio_cursor.outputs.json_lines import open_json_lines
from trio_cursor.records import SessionEnded, SessionStarted, Workspace
from trio_cursor.scanner import Scanner, Sighting, scan_clock
from trio_cursor.sessions.discovery import Discovery
from trio_cursor.sessions.registry import Registry
from trio_cursor.sink import Message, Sink
from trio_cursor.status import OutputState, WorkspaceState, disabled, idle
from trio_cursor.status_board import Board
from trio_cursor.supervisor import Supervisor
from trio_cursor.watcher import Tools

log = get_logger(__name__)

_HOUR_MS = 3_600_000
#: A window this long is one without a beginning (the configuration's upper bound, a hundred years).
_ALL_HOURS = 876_000
_BATCHES_IN_FLIGHT = 16
#: To list some directories takes milliseconds; a mount that takes this long is dead.
_FIND_SECONDS = 5.0


def _now_ms() -> int:
    """The one place where the wall clock is read."""
    return time.time_ns() // 1_000_000


async def serve(
    config: Config | None = None,
    *,
    task_status: trio.TaskStatus[Handle] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Watch Cursor until cancelled; give a `Handle` once everything that can fail at the start has.

    `config` is that of `load_config()` if none is given. Installs no signal handler and no logging.

    Raises `AlreadyRunningError` if another service holds the state directory, `StateError` if that cannot
    be used, `NotBuiltYetError` and `ConfigError` for what is asked for in vain. A workspace, a database
    or an output that fails is a state in `Handle.status()`, never an exception.
    """
    config = load_config() if config is None else config
    if not config.cursor_database_monitor.enabled:
        task_status.started(Handle(lambda _: disabled(), idle, None, trio.Event()))
        return
    refuse_what_is_not_built(config)
    directory = Path(config.state.dir)
    # Own thread: a host that uses all of Trio's must not keep it from starting.
    in_thread = partial(trio.to_thread.run_sync, limiter=trio.CapacityLimiter(1))
    said = await in_thread(state_dir.prepare, directory)
    if said:
        log.warning(said)
    with ExitStack() as stack:
        await in_thread(stack.enter_context, state_dir.held(directory))
        await in_thread(remove_copies, directory)
        async with open_event_log(directory) as events:
            parts = await _build(config, events)
            try:
                await _run(parts, task_status)
            finally:
                parts.handle.ended()
                await parts.guest.aclose()


@attrs.frozen
class _Parts:
    """Everything that the tasks work with, built before the first of them starts."""

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


async def _run(parts: _Parts, task_status: trio.TaskStatus[Handle]) -> None:
    """The task tree: who is inside whom is the whole protocol of starting and stopping."""
    sends_sightings, sightings = trio.open_memory_channel[Sighting](0)
    sends_changes, changes = trio.open_memory_channel[SessionStarted | SessionEnded](0)
    every = parts.config.cursor_database_monitor.probe_interval_seconds
    async with trio.open_nursery() as nursery:
        nursery.start_soon(parts.sink.deliver, parts.messages)
        for output, state in parts.outputs:
            nursery.start_soon(follow, output, parts.events, state)
        nursery.start_soon(parts.supervisor.supervise, changes)
        nursery.start_soon(parts.discovery.listen, sightings, sends_changes)
        nursery.start_soon(parts.first_pass.announce, parts.sends)
        nursery.start_soon(partial(scan_clock, parts.scanner, sends_sightings, every=every))
        nursery.start_soon(parts.keeper.publish)
        nursery.start_soon(parts.keeper.retire)
        task_status.started(parts.handle)


async def _build(config: Config, events: EventLog) -> _Parts:
    monitor = config.cursor_database_monitor
    now = _now_ms()
    registry = Registry(
        inactive_ms=int(config.sessions.inactive_timeout_hours * _HOUR_MS),
        max_active=config.sessions.max_active,
    )
    registry.restore(await events.open_sessions())
    assembler = Assembler(wait_ms=int(config.assembly.ring_grace_seconds * 1000))
    assembler.restore(await events.pending(), now)
    dirs = await find_dirs(config)
    guest = Guest(
        roots=dirs,
        tables=readable_columns(),
        deadline_seconds=monitor.query_timeout_seconds,
        max_concurrent=monitor.max_concurrent_workspaces,
        private_dir=str(events.directory / COPIES),
    )
    scanner = Scanner(dirs, partial(_is_wanted, config))
    states: dict[str, WorkspaceState] = {}
    first_pass = FirstPass(scanner)
    sends, messages = trio.open_memory_channel[Message](_BATCHES_IN_FLIGHT)
    sink = Sink(events, assembler, registry, _now_ms, socket.gethostname(), config.privacy.max_text_bytes)
    tools = Tools(
        guest=guest,
        log=events,
        registry=registry,
        sends=sends,
        now_ms=_now_ms,
        window_ms=window_ms(config),
        poll_every=monitor.poll_interval_seconds,
        probe_every=monitor.probe_interval_seconds,
        max_retries=monitor.max_retries,
        retry_backoff=monitor.retry_backoff_seconds,
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
        guest=guest,
        first_pass=first_pass,
        states=states,
        outputs=output_states,
    )
    return _Parts(
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


async def find_dirs(config: Config) -> tuple[str, ...]:
    """As `cursor_dirs`; without those that are on a drive of Windows if the drives do not answer."""
    with trio.move_on_after(_FIND_SECONDS):
        return await trio.to_thread.run_sync(
            cursor_dirs, config, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1)
        )
    log.warning("the drives of Windows do not answer; until the next start Cursor is not looked for there")
    return cursor_dirs(config, mounts=None)


def cursor_dirs(config: Config, *, mounts: str | None = "/mnt") -> tuple[str, ...]:
    """Where to look for Cursor: what is configured, else every place that it has on this platform.

    Blocks for as long as it takes to look below `mounts`, under WSL.
    """
    if config.cursor.dirs:
        return config.cursor.dirs
    wsl = is_wsl(os.environ, platform.release())
    found = candidate_user_dirs(sys.platform, os.environ, str(Path.home()), wsl=wsl, mounts=mounts)
    return tuple(item.user_dir for item in found)


def window_ms(config: Config) -> int | None:
    """How far a first sync reaches back; None: to the beginning."""
    hours = config.cursor_database_monitor.sync_window_hours
    return None if hours >= _ALL_HOURS else int(hours * _HOUR_MS)


def _is_wanted(config: Config, workspace: Workspace) -> bool:
    if not included(workspace, config.cursor.include, config.cursor.exclude):
        return False
    return is_rolled_out(workspace, config.cursor_database_monitor.rollout_percent)


def is_rolled_out(workspace: Workspace, percent: float) -> bool:
    """Whether a workspace is in the share that is monitored; a greater share holds every smaller one."""
    place = int.from_bytes(hashlib.sha256(workspace.scope.encode()).digest()[:8], "big")
    return place / 2**64 * 100 < percent


def refuse_what_is_not_built(config: Config) -> None:
    """Raise `NotBuiltYetError` if something is asked for by name that this release does not do."""
    default = Config()
    asked = {
        "redis.url": config.redis.url is not None,
        "sessions.mode extension": config.sessions.mode == "extension",
        "http.listen": config.http.listen not in ("off", default.http.listen),
        "privacy.mode": config.privacy.mode != "full",
        "outputs.otlp.enabled": config.outputs.otlp.enabled,
        "alarms.webhook": config.alarms.webhook is not None,
    }
    missing = [name for name, is_asked in asked.items() if is_asked]
    if missing:
        raise NotBuiltYetError(f"{', '.join(missing)}: not built yet; leave it out for now")
