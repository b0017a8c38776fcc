"""A queue from which things can be taken out again, so that nothing ever has to be searched for."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import Any, Generic, TypeVar

import attrs

When = TypeVar("When", bound=Any)

#: A heap is swept when it holds this many times what is still in the queue.
_SWEEP_FACTOR = 4
_SWEEP_FROM = 64
#: How many are taken out one by one.
_FEW = 100


@attrs.define(eq=False)
class Queue(Generic[When]):
    """Keys by when it is their turn, each at most once.

    What was taken out or moved stays in the heap until it comes up, or until too much of that is in it.
    """

    _heap: list[tuple[When, str]] = attrs.field(factory=list, init=False)
    _when: dict[str, When] = attrs.field(factory=dict, init=False)

    def put(self, key: str, when: When) -> None:
        """Put a key in, or move it."""
        if key in self._when and self._when[key] == when:
            return
        self._when[key] = when
        heappush(self._heap, (when, key))
        self._sweep()

    def put_all(self, items: Sequence[tuple[str, When]]) -> None:
        """Put in what may be very many."""
        if len(items) < len(self._when) // 4:
            for key, when in items:
                self.put(key, when)
            return
        self._when.update(items)
        self._heap = [(when, key) for key, when in self._when.items()]
        heapify(self._heap)

    def drop(self, key: str) -> None:
        """Take a key out, if it is in."""
        if self._when.pop(key, None) is not None:
            self._sweep()

    def first(self) -> When | None:
        """When the first one's turn is; None: the queue is empty."""
        while self._heap:
            when, key = self._heap[0]
            if key in self._when and self._when[key] == when:
                return when
            heappop(self._heap)
        return None

    def take(self, until: When) -> list[str]:
        """Take out those whose turn it is, in no order."""
        taken: list[str] = []
        while (when := self.first()) is not None and when <= until:
            if len(taken) == _FEW:
                # One by one it would cost more than to look at all of them.
                many = [key for key, when in self._when.items() if when <= until]
                for key in many:
                    del self._when[key]
                self._sweep()
                return taken + many
            taken.append(self.pop())
        return taken

    def pop(self) -> str:
        """Take out the first one of a queue that is not empty."""
        self.first()
        _, key = heappop(self._heap)
        del self._when[key]
        return key

    def _sweep(self) -> None:
        if len(self._heap) > _SWEEP_FROM + _SWEEP_FACTOR * len(self._when):
            self._heap = [(when, key) for key, when in self._when.items()]
            heapify(self._heap)
