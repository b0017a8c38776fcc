"""What is nobody's, as far as is known, and waits for somebody: how much of it there is, and where."""

from __future__ import annotations

from collections import Counter

import attrs

from trio_cursor.assembly.groups import Group


@attrs.define(eq=False)
class Held:
    """Groups that wait for a session."""

    #: By their keys the databases in which they were observed, one for each part.
    _databases: dict[str, tuple[str, ...]] = attrs.field(factory=dict, init=False)
    _counts: Counter[str] = attrs.field(factory=Counter, init=False)

    def __len__(self) -> int:
        return len(self._databases)

    def put(self, group: Group) -> None:
        """Put a group in, or as it is now."""
        self.drop(group.key)
        self._databases[group.key] = databases = tuple(part.workspace.database for part in group.parts)
        self._counts.update(databases)

    def drop(self, key: str) -> None:
        """Take a group out, if it is in."""
        if (databases := self._databases.pop(key, None)) is not None:
            self._counts.subtract(databases)

    def keys(self) -> list[str]:
        """Keys of all of them."""
        return list(self._databases)

    def in_database(self, database: str) -> int:
        """How much of what was observed in a database is held."""
        return self._counts[database]
