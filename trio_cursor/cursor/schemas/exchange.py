"""Talks with a database, over as many looks as they take.

What is to be known of a conversation is found out step by step: its document names the bubbles, they say
whether more of them are needed. Such a course of questions is a *talk*: a generator that yields asks, is sent
their answers, and returns what came of it. It knows nothing of looks and budgets. An `Exchange` conducts
several talks side by side: each look answers as many of their asks as lock budget and memory allow.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

import attrs

from trio_cursor.cursor.schemas import Catalog, FollowUp, Query, Rows, Scan, Step
from trio_cursor.cursor.schemas.asking import Answer, Ask

#: Values that one look reads. A larger one is read by a look of its own.
LOOK_BYTES = 4 << 20
#: Above any single value.
_ANY_SIZE = 1 << 40
#: Talks side by side, and what these may have read before another one begins.
_TALKS_AT_ONCE = 8
_BYTES_AT_ONCE = 8 << 20
#: Looks in a row that answered nothing.
TRIES = 5

ResultT = TypeVar("ResultT")
#: Each set of asks is answered as a whole, in its order.
Talk: TypeAlias = Generator[tuple[Ask, ...], list[Any], ResultT]


@attrs.define(eq=False)
class _Running(Generic[ResultT]):
    """A talk that waits for answers."""

    number: int
    talk: Talk[ResultT]
    asks: tuple[Ask, ...]
    answers: list[Any] = attrs.field(factory=list)
    #: Bytes of the values that it was given.
    size: int = 0


class Exchange(Generic[ResultT]):
    """Talks under way. Changes only between looks: a look that fails may be begun again.

    Args:
        talks: In the order in which they are to be answered.
        finish: Makes the page of what came of them, in the same order.
        give_up: Makes the page if something cannot be read, which it is told in words.
        most_bytes: Above it no further talk begins; what came of the others is all.

    """

    def __init__(
        self,
        talks: Iterable[Talk[ResultT]],
        finish: Callable[[list[ResultT]], Step],
        give_up: Callable[[str], Step],
        *,
        most_bytes: int = _ANY_SIZE,
    ) -> None:
        self._waiting = list(enumerate(talks))
        self._running: list[_Running[ResultT]] = []
        self._results: dict[int, ResultT] = {}
        self._finish = finish
        self._give_up = give_up
        self._bytes_left = most_bytes
        self._tries = 0
        self._begin()

    def look(self, catalog: Catalog) -> Scan[Step]:
        """Answer what can be answered in one look, as part of whatever else it reads."""
        asks = [ask for running in self._running for ask in running.asks]
        answers = yield from _answers(catalog, asks)
        return partial(self._take, answers)

    def _take(self, answers: list[Answer]) -> Step:
        if self._running and not answers:
            self._tries += 1
            ask = self._running[0].asks[0]
            if self._tries < TRIES:
                return FollowUp(self.look)
            if not ask.is_optional:
                return self._give_up(f"{ask.words} could not be read within the lock budget")
            answers = [Answer(lambda: None)]
        self._tries = 0
        for running in self._running:
            taken, answers = answers[: len(running.asks)], answers[len(running.asks) :]
            running.answers += [answer.make() for answer in taken]
            running.asks = running.asks[len(taken) :]
            size = sum(answer.size for answer in taken)
            running.size += size
            self._bytes_left -= size
        self._running = [running for running in self._running if self._goes_on(running)]
        self._begin()
        if self._running:
            return FollowUp(self.look)
        return self._finish([self._results[number] for number in sorted(self._results)])

    def _goes_on(self, running: _Running[ResultT]) -> bool:
        """Whether it needs further answers; those that it has are given to it if they are complete."""
        try:
            while not running.asks:
                answers, running.answers = running.answers, []
                running.asks = running.talk.send(answers)
        except StopIteration as over:
            self._results[running.number] = over.value
            return False
        return True

    def _begin(self) -> None:
        """Begin the next talks, as many as there is room for."""
        while (
            self._waiting
            and self._bytes_left > 0
            and len(self._running) < _TALKS_AT_ONCE
            and sum(running.size for running in self._running) < _BYTES_AT_ONCE
        ):
            number, talk = self._waiting.pop(0)
            try:
                running = _Running(number, talk, next(talk))
            except StopIteration as over:
                self._results[number] = over.value
                continue
            if self._goes_on(running):
                self._running.append(running)


def _answers(catalog: Catalog, asks: list[Ask]) -> Generator[Query, Rows, list[Answer]]:
    answers: list[Answer] = []
    room = LOOK_BYTES
    for ask in asks:
        answer = yield from ask.read(catalog, room if answers else _ANY_SIZE)
        if answer is None:
            break
        answers.append(answer)
        room = max(room - answer.size, 0)
    return answers
