"""How the service hears who is working, and what others have sent: each a task; and the HTTP server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import trio

from trio_cursor import page_index
from trio_cursor.asked import sources, stream_of
from trio_cursor.config import Config
from trio_cursor.eventlog import EventLog
from trio_cursor.logs import get_logger
from trio_cursor.metrics import Metrics
from trio_cursor.records import DISCOVERY, FILES, HTTP, REDIS
from trio_cursor.sessions.session_files import watch_session_files
from trio_cursor.sessions.tracker import Tracker
from trio_cursor.states import SourceState
from trio_cursor.status import ServerStatus
from trio_cursor.status_board import Board
from trio_cursor.web.guard import check_listen
from trio_cursor.web.journal import Journal
from trio_cursor.web.server import ServerState, serve_web

if TYPE_CHECKING:
    from trio_cursor.outputs.foreign import ForeignEntries

log = get_logger(__name__)

Task = Callable[[], Awaitable[None]]


async def build_tasks(
    config: Config, events: EventLog, tracker: Tracker, board: Board, metrics: Metrics
) -> list[Task]:
    """The tasks that are asked for. What they write down is shown by the board; nothing runs yet.

    Raises `ConfigError`.
    """
    asked = sources(config)
    tasks: list[Task] = []
    if asked.redis:
        # redis-py takes 70 ms to import, which nobody has to wait for who has no Redis.
        from trio_cursor.redis_address import address_of  # noqa: PLC0415
        from trio_cursor.sessions.redis_events import listen_to_redis, mark_name  # noqa: PLC0415

        stream = stream_of(config)
        address = address_of(config.redis)
        state = _source(f"{REDIS}:{stream}", tracker, board)
        tasks.append(
            partial(
                listen_to_redis,
                address,
                stream,
                after=await events.mark(mark_name(address, stream)),
                desk=tracker,
                state=state,
                caught_up=partial(tracker.caught_up, state.name),
                now_ms=board.now_ms,
            )
        )
    if asked.files:
        state = _source(FILES, tracker, board)
        tasks.append(
            partial(
                watch_session_files,
                config.sessions.files_dir,
                tracker,
                state,
                now_ms=board.now_ms,
                caught_up=partial(tracker.caught_up, state.name),
                inactive_ms=tracker.registry.inactive_ms,
                known=tracker.registry.sessions(),
            )
        )
    if asked.discovery:
        board.sources.append(SourceState(DISCOVERY, "connected"))
    if config.http.listen != "off":
        tasks.append(await _server(config, tracker, board, metrics, is_intake=asked.http))
    else:
        # Nobody would take from it what the log deletes.
        await _remove_index(events)
    return tasks


async def build_foreign(config: Config, events: EventLog) -> list[ForeignEntries]:
    """Whoever listens for what other producers have sent, so that we need not. Raises `ConfigError`."""
    if config.redis.url is None or not config.redis.suppress:
        return []
    from trio_cursor.outputs.foreign import foreign_entries  # noqa: PLC0415 - as above

    return await foreign_entries(config, events)


def _source(name: str, tracker: Tracker, board: Board) -> SourceState:
    state = SourceState(name)
    board.sources.append(state)
    tracker.beginning.awaited.add(name)
    return state


async def _remove_index(events: EventLog) -> None:
    try:
        await trio.to_thread.run_sync(page_index.remove, events.directory, limiter=trio.CapacityLimiter(1))
    except OSError as error:
        log.warning("the page's index cannot be removed", error=error.strerror)


async def _server(
    config: Config, tracker: Tracker, board: Board, metrics: Metrics, *, is_intake: bool
) -> Task:
    listen = config.http.listen
    # The file of the token may be where nothing answers.
    token = await trio.to_thread.run_sync(
        check_listen,
        listen,
        config.http.token_file,
        abandon_on_cancel=True,
        limiter=trio.CapacityLimiter(1),
    )
    state, intake = ServerState(listen), None
    if is_intake:
        intake = tracker, SourceState(HTTP)
        board.sources.append(intake[1])
    board.http = lambda: ServerStatus(state.address, state.state, state.last_error)
    return partial(
        serve_web,
        listen,
        token,
        state,
        intake=intake,
        journal=Journal(board.events, config.privacy.mode),
        status=board.status,
        readiness=board.unready,
        now_ms=board.now_ms,
        metrics=metrics.read,
    )
