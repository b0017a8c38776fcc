"""How the connections of a reader are, and asking until there is an answer."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import attrs
import trio

from trio_cursor.logs import get_logger
from trio_cursor.redis_trouble import RETRY_SECONDS, WAITING, StreamError

log = get_logger(__name__)

AnswerT = TypeVar("AnswerT")

#: The worst first.
STATES: Final = ("error", "waiting", "connecting", "connected")


@attrs.define(eq=False)
class Health:
    """How a connection is, by kinds of calls: what is refused to one, another may have."""

    what: str
    server: str
    #: As long as nothing is wrong.
    _state: str = "connecting"
    #: State and words, of each kind that went wrong the last time.
    _troubles: dict[str, tuple[str, str]] = attrs.field(factory=dict, init=False)
    #: Before the next attempt, of each of them.
    _pauses: dict[str, float] = attrs.field(factory=dict, init=False)
    #: How many do not give up, of each kind.
    _insisting: Counter[str] = attrs.field(factory=Counter, init=False)

    @property
    def state(self) -> str:
        """One of `STATES`: the worst."""
        return self._worst[0]

    @property
    def last_error(self) -> str | None:
        """What is wrong; None: nothing."""
        return self._worst[1]

    async def insist(self, kind: str, ask: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        """Ask until there is an answer."""
        self._insisting[kind] += 1
        try:
            while True:
                try:
                    answer = await ask()
                except StreamError as error:
                    await self.pause(kind, error)
                else:
                    self.well(kind)
                    return answer
        finally:
            self._insisting[kind] -= 1

    def well(self, kind: str) -> None:
        """There was an answer."""
        was_well = not self._troubles
        self._state = "connected"
        self._pauses.pop(kind, None)
        for other, (state, _) in list(self._troubles.items()):
            # Only what was refused can tell that it is allowed; that a server is there, everything can tell,
            # unless somebody just now finds that it is not.
            if other == kind or (state == "waiting" and not self._insisting[other]):
                del self._troubles[other]
        if not (was_well or self._troubles):
            log.info("the server answers again", what=self.what, server=self.server)

    async def pause(self, kind: str, error: StreamError) -> None:
        """Write down that it does not, say so if it is news, and wait until it is time to try again."""
        pause = self._pauses.get(kind, RETRY_SECONDS[0])
        self._pauses[kind] = min(2 * pause, RETRY_SECONDS[1])
        self.note(kind, "waiting" if error.trouble in WAITING else "error", str(error))
        await trio.sleep(max(pause, error.pause) * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    def note(self, kind: str, state: str, why: str) -> bool:
        """Write down what is wrong; said once. Returns whether it is news."""
        is_news = (state, why) not in self._troubles.values()
        if is_news:
            log.warning("it does not work; tried again", what=self.what, server=self.server, why=why)
        self._troubles[kind] = (state, why)
        return is_news

    @property
    def _worst(self) -> tuple[str, str | None]:
        if not self._troubles:
            return self._state, None
        return min(self._troubles.values(), key=lambda trouble: STATES.index(trouble[0]))
