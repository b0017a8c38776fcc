"""What a metric is, and where its figures come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TypeAlias

import attrs

from trio_cursor.busiest import Busiest
from trio_cursor.cursor.guest import Guest
from trio_cursor.meters import Histogram, Meters
from trio_cursor.states import OutputState
from trio_cursor.status_board import Board

#: Values of the labels, in the order of their names, and the figure.
Sample: TypeAlias = tuple[tuple[str, ...], float | Histogram]


@attrs.define(eq=False)
class Sources:
    """Where the figures come from: one for each service."""

    board: Board
    guest: Guest
    meters: Meters
    generations: Busiest = attrs.field(factory=Busiest)
    errors: Busiest = attrs.field(factory=Busiest)

    def outputs(self) -> Iterator[tuple[str, OutputState]]:
        """Outputs by what they are: their own names have paths and addresses in them."""
        kinds = [state.name.partition(":")[0] for state in self.board.outputs]
        seen: Counter[str] = Counter()
        for kind, state in zip(kinds, self.board.outputs, strict=True):
            yield (f"{kind}_{seen[kind]}" if kinds.count(kind) > 1 else kind), state
            seen[kind] += 1


@attrs.frozen
class Metric:
    """A declaration."""

    #: As it is asked for; of a histogram without `_bucket`.
    name: str
    kind: Literal["counter", "gauge", "histogram", "info"]
    meaning: str
    read: Callable[[Sources], Iterable[Sample]]
    labels: tuple[str, ...] = ()


@attrs.frozen
class Family:
    """A metric and its figures, at one moment."""

    metric: Metric
    samples: tuple[Sample, ...]


def single(value: float | None) -> Iterator[Sample]:
    """A figure without a label; None: there is none at the moment."""
    if value is not None:
        yield (), value


def by(counts: Iterable[tuple[str, float]]) -> Iterator[Sample]:
    """Figures with one label."""
    for label, value in counts:
        yield (label,), value
