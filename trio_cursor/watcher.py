"""The watching task of one workspace: poll its database for as long as it is active, never fail others."""

from __future__ import annotations

from collections.abc import Callable

import trio

from trio_cursor.condition import Condition, backoff
from trio_cursor.errors import StateError
from trio_cursor.logs import bound, get_logger
from trio_cursor.polling import Poller, Tools
from trio_cursor.states import WorkspaceState
from trio_cursor.watched import Watched

log = get_logger(__name__)


async def watch_workspace(
    watched: Watched, state: WorkspaceState, tools: Tools, looked: Callable[[], None]
) -> None:
    """Poll a workspace's database until it is no longer active; never fails its neighbours.

    `looked` is called once everything that was there at first sight was read, or could not be.
    """
    with bound(workspace=watched.workspace.name):
        await _watch(watched, state, tools, looked)


async def _watch(watched: Watched, state: WorkspaceState, tools: Tools, looked: Callable[[], None]) -> None:
    failures = 0
    while True:
        condition = Condition(watched, state, tools.pace, tools.freshness, looked)
        try:
            await Poller(watched, state, tools, condition).poll()
        except StateError as error:
            # Not this workspace's fault: nothing is known of it while our own log cannot be read.
            why = str(error)
            log.warning("the event log cannot be read", error=why)
        except Exception as error:  # the border of a workspace
            why = f"{type(error).__name__} in trio_cursor; please report it"
            log.exception("a watcher failed and starts again")
            condition.is_nothing()
        else:
            return
        failures = 1 if condition.has_caught_up else failures + 1
        state.status, state.last_error = "error", why
        state.failed(watched.workspace.hash)
        await trio.sleep(backoff(tools.pace.retry_backoff, failures))
