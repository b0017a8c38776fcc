"""Which of many workspaces have a count of their own when only so many may: the busiest. Pure.

What is told must never go down as long as we run, whoever comes and goes. So a workspace that gives up its
place does not get another one, and what it has counted is with the others from then on; of one that comes
late, what it counted before stays with the others. All together are always as many as were counted.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

#: What the others are called, and whoever has no name.
OTHER = "other"
NAMELESS = "none"
#: To take somebody's place takes so many times his count: else two that are alike would take turns.
_MORE = 2


@attrs.define(eq=False)
class Busiest:
    """The places, and who has them."""

    places: int = 100
    #: By name, what of its count is with the others.
    _shown: dict[str, int] = attrs.field(factory=dict, init=False)
    #: Those who have had a place.
    _retired: set[str] = attrs.field(factory=set, init=False)

    def shares(self, counts: Mapping[str | None, int]) -> dict[str, int]:
        """The counts as they are to be told, by name, and as `other` what is left.

        `counts` never fall, from call to call; None stands for whoever has no name, who always has a place.
        """
        waiting = sorted(
            (name for name in counts if name is not None and counts[name] and self._may_come(name)),
            key=lambda name: (-counts[name], name),
        )
        for name in waiting:
            if len(self._shown) < self.places:
                # Nobody has ever waited while there was room: all of its count is its own.
                self._shown[name] = 0
                continue
            least = min(self._shown, key=lambda shown: (counts[shown], shown), default=None)
            if least is None or counts[name] <= _MORE * counts[least]:
                break
            del self._shown[least]
            self._retired.add(least)
            self._shown[name] = counts[name]
        told = {name: counts[name] - base for name, base in self._shown.items()}
        if nameless := counts.get(None, 0):
            told[NAMELESS] = nameless
        return {**told, OTHER: sum(counts.values()) - sum(told.values())}

    def _may_come(self, name: str) -> bool:
        return name not in self._shown and name not in self._retired
