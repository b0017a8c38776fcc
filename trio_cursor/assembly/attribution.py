"""Where a conversation belongs: the facts that were found, and the order in which they count.

Rule 1, the ring that holds the turn's own id, is the generation's; all others are the conversation's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import attrs

from trio_cursor.observations import Place, Rule
from trio_cursor.records import Workspace

#: They name a workspace's directory; of rules 2 and 3 there is one fact, which Cursor changes.
_IDENTIFIED = (Rule.HEADERS_TABLE, Rule.IDENTIFIER)
#: Facts of a workspace's own database, which need not name it.
BY_WORKSPACE = (Rule.LISTED, Rule.PANE)
_BY_FOLDER = (Rule.CONTEXT, Rule.BUBBLE)

#: Workspaces whose rings hold other turns of a conversation.
Ringed = Callable[[str, str], Iterable[Workspace]]


def no_rings(profile: str, conversation_id: str) -> tuple[Workspace, ...]:  # noqa: ARG001 - a `Ringed`
    """No ring counts."""
    return ()


class Directory(Protocol):
    """Who knows the workspaces."""

    def workspace(self, profile: str, id_: str) -> Workspace:
        """The workspace with this directory name, also if its directory is gone."""

    def at_folder(self, profile: str, folder: str) -> Workspace | None:
        """The workspace of a folder, given as path or URI."""

    @property
    def admits_unknown(self) -> bool:
        """Whether what belongs nobody knows where is to be reported."""

    def is_wanted(self, workspace: Workspace) -> bool:
        """Whether its generations are to be reported."""

    def is_folder_wanted(self, folder: str) -> bool:
        """Whether generations of a folder, given as path or URI, may be reported."""

    def global_of(self, profile: str) -> Workspace:
        """The profile's global database."""


@attrs.define(eq=False)
class Places:
    """Facts about conversations: of each rule one."""

    directory: Directory
    _facts: dict[tuple[str, str], dict[int, Place]] = attrs.field(factory=dict, init=False)
    _children: dict[tuple[str, str], dict[str, None]] = attrs.field(factory=dict, init=False)

    def learn(self, profile: str, place: Place) -> bool:
        """Take in a fact. Returns whether anything is known now that was not."""
        if place.rule == Rule.PARENT and place.parent_id in (None, place.conversation_id):
            return False
        facts = self._facts.setdefault((profile, place.conversation_id), {})
        known = facts.get(place.rule)
        if known == place or (known is not None and not self._is_better(profile, place, known)):
            return False
        facts[place.rule] = place
        if place.rule == Rule.PARENT:
            if known is not None:
                self._children[profile, known.parent_id or ""].pop(place.conversation_id, None)
            children = self._children.setdefault((profile, place.parent_id or ""), {})
            children[place.conversation_id] = None
        return True

    def parent(self, profile: str, conversation_id: str) -> str | None:
        """The conversation that started this one as its agent."""
        place = self._facts.get((profile, conversation_id), {}).get(Rule.PARENT)
        return place.parent_id if place else None

    def children(self, profile: str, conversation_id: str) -> tuple[str, ...]:
        """Conversations that this one started as its agents."""
        return tuple(self._children.get((profile, conversation_id), ()))

    def below(self, profile: str, conversation_id: str) -> list[str]:
        """The conversation itself, and all that it and they started."""
        found = {conversation_id: None}
        todo = [conversation_id]
        while todo:
            more = [child for child in self.children(profile, todo.pop()) if child not in found]
            found |= dict.fromkeys(more)
            todo += more
        return list(found)

    def workspace_of(
        self, profile: str, conversation_id: str, home: Workspace, ringed: Ringed = no_rings
    ) -> Workspace:
        """Where a conversation belongs whose rows stand in the database of `home`."""
        seen: set[str] = set()
        stands_in: Workspace | None = None if home.is_global else home
        this: str | None = conversation_id
        while this is not None and this not in seen:
            seen.add(this)
            if found := self._by_rules(profile, this, stands_in, ringed(profile, this)):
                return found
            this, stands_in = self.parent(profile, this), None
        return self.directory.global_of(profile)

    def is_wanted(self, profile: str, conversation_id: str, workspace: Workspace) -> bool:
        """Whether generations of a conversation that belongs there are to be reported.

        Each folder that it or a parent names is held against the globs as well: a workspace may be gone, and
        what is excluded is never read, so that it cannot say what belongs to it. For that reason a
        conversation of which no folder is known may be the very one that is excluded.
        """
        folders = self._folders(profile, conversation_id)
        if not all(map(self.directory.is_folder_wanted, folders)):
            return False
        if workspace.is_global and not folders and not self.directory.admits_unknown:
            return False
        return self.directory.is_wanted(workspace)

    def _folders(self, profile: str, conversation_id: str) -> list[str]:
        """Every folder that a conversation, or one above it, names."""
        found: dict[str, None] = {}
        seen: set[str] = set()
        this: str | None = conversation_id
        while this is not None and this not in seen:
            seen.add(this)
            facts = self._facts.get((profile, this), {}).values()
            found |= {place.folder: None for place in facts if place.folder}
            this = self.parent(profile, this)
        return list(found)

    def _by_rules(
        self, profile: str, conversation_id: str, stands_in: Workspace | None, ringed: Iterable[Workspace]
    ) -> Workspace | None:
        facts = self._facts.get((profile, conversation_id), {})
        for rule in _IDENTIFIED:
            if found := self._by_fact(profile, facts.get(rule)):
                return found
        if stands_in is not None:
            return stands_in
        for rule in (*BY_WORKSPACE, *_BY_FOLDER):
            if found := self._by_fact(profile, facts.get(rule)):
                return found
        by_ring = self._by_fact(profile, facts.get(Rule.RING))
        others = [by_ring, *ringed] if by_ring else list(ringed)
        return min(others, key=lambda item: (item.id or "", item.database), default=None)

    def _by_fact(self, profile: str, place: Place | None) -> Workspace | None:
        if place is None:
            return None
        if place.workspace_id:
            return self.directory.workspace(profile, place.workspace_id)
        return self.directory.at_folder(profile, place.folder) if place.folder else None

    def _is_better(self, profile: str, place: Place, known: Place) -> bool:
        """Whether a fact takes the place of another one of its rule.

        What only one row can say is as it was said last. Of what many may say, the choice does not depend
        on who was read first.
        """
        return place.rule in _IDENTIFIED or self._rank(profile, place) < self._rank(profile, known)

    def _rank(self, profile: str, place: Place) -> tuple[bool, str, str, str]:
        is_unknown = bool(place.folder) and self.directory.at_folder(profile, place.folder or "") is None
        return (is_unknown, place.workspace_id or "", place.folder or "", place.parent_id or "")
