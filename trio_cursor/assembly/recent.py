"""What was met lately, so that it is counted once."""

from __future__ import annotations

import attrs


@attrs.define(eq=False)
class Recent:
    """Keys that were met, of very many only the newest."""

    limit: int = 10_000
    _keys: dict[str, None] = attrs.field(factory=dict, init=False)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def add(self, key: str) -> bool:
        """Remember a key. Returns whether it was not known."""
        is_new = self._keys.pop(key, self) is self
        self._keys[key] = None
        if len(self._keys) > self.limit:
            del self._keys[next(iter(self._keys))]
        return is_new
