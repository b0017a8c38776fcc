"""The service: the whole tree of tasks, and the one public way in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import trio

from trio_cursor import state_dir
from trio_cursor.config import Config, load_config, settings
from trio_cursor.cursor.private_copies import remove_copies
from trio_cursor.eventlog import open_event_log
from trio_cursor.handle import Handle
from trio_cursor.logs import get_logger
from trio_cursor.outputs.follower import follow
from trio_cursor.parts import Parts, build
from trio_cursor.scan_clock import scan_clock
from trio_cursor.settings import Reloaded, Settings
from trio_cursor.status import disabled, idle
from trio_cursor.watched import Sighting

log = get_logger(__name__)


async def serve(
    config: Config | None = None,
    *,
    task_status: trio.TaskStatus[Handle] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Watch Cursor until cancelled; give a `Handle` once everything that can fail at the start has.

    `config` is that of `load_config()` if none is given. Installs no signal handler and no logging.

    Raises `AlreadyRunningError` if another service holds the state directory, `StateError` if that cannot
    be used, and `ConfigError` for what is asked for in vain. A workspace, a database
    or an output that fails is a state in `Handle.status()`, never an exception.
    """
    config = load_config() if config is None else config
    if not config.cursor_database_monitor.enabled:
        task_status.started(
            Handle(lambda _: disabled(), idle, None, trio.Event(), _reload_of_nothing(config))
        )
        return
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
            parts = await build(config, events)
            try:
                await _run(parts, task_status)
            finally:
                parts.handle.ended()
                await parts.guest.aclose()


def _reload_of_nothing(config: Config) -> Callable[[Config], Reloaded]:
    """Where nothing runs, nothing takes effect: every key that differs needs a new start."""

    def reload(new: Config) -> Reloaded:
        found = Settings(config).reload(new)
        different = {*found.changed, *found.restart}
        return Reloaded({}, tuple(item.key for item in settings(config) if item.key in different))

    return reload


async def _run(parts: Parts, task_status: trio.TaskStatus[Handle]) -> None:
    """The task tree: who is inside whom is the whole protocol of starting and stopping."""
    sends_sightings, sightings = trio.open_memory_channel[Sighting](0)
    pace, swept = parts.settings.pace, parts.sink.freshness.renew
    clock = partial(scan_clock, parts.scanner, sends_sightings, every=lambda: pace.probe_every, swept=swept)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(parts.sink.deliver, parts.messages)
        nursery.start_soon(parts.sink.freshness.make_up)
        for output, state in parts.outputs:
            nursery.start_soon(follow, output, parts.events, state)
        nursery.start_soon(parts.supervisor.supervise, parts.changes)
        nursery.start_soon(parts.tracker.listen, sightings)
        nursery.start_soon(parts.tracker.search)
        for hear in parts.hearing:
            nursery.start_soon(hear)
        nursery.start_soon(parts.first_pass.announce, parts.sends)
        nursery.start_soon(clock)
        nursery.start_soon(parts.hints.listen)
        nursery.start_soon(parts.watchman.watch)
        nursery.start_soon(parts.keeper.publish)
        nursery.start_soon(parts.keeper.retire)
        task_status.started(parts.handle)
