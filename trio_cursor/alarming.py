"""Who looks now and then at what is wrong, and tells of what lasts: once, and when it is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NoReturn

import attrs
import trio

from trio_cursor.alarms import RAISED, Notice
from trio_cursor.logs import get_logger
from trio_cursor.status_board import Board

log = get_logger(__name__)

LOOK_SECONDS = 5.0


def _nobody(_: Sequence[Notice]) -> None:
    """Where only the log is told."""


@attrs.define(eq=False)
class Watchman:
    """Looks at what the parts write down. Costs what a look at the states of all workspaces costs."""

    board: Board
    #: Who is told besides the log; returns at once.
    tell: Callable[[Sequence[Notice]], None] = _nobody

    async def watch(self) -> NoReturn:
        """Look again and again, until cancelled."""
        while True:
            self.look()
            await trio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Look once, and tell what is new."""
        board = self.board
        notices = board.alarms.step(board.facts(), trio.current_time(), board.now_ms())
        for notice in notices:
            _log(notice)
        if notices:
            self.tell(notices)


def _log(notice: Notice) -> None:
    since = datetime.fromtimestamp(notice.since / 1000, UTC).isoformat(timespec="seconds")
    if notice.state == RAISED:
        log.error("alarm", kind=notice.kind, why=notice.words, since=since)
    else:
        log.info("alarm is over", kind=notice.kind, was=notice.words, since=since)
