"""Everything else that Cursor writes into ItemTable: the noise in which the ring has to be noticed.

Windows and heartbeats write several times a second although nobody asks for anything; reacting to each of
these writes once pinned a core (eric-tramel/moraine#443).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from trio_cursor.demo import texts
from trio_cursor.demo.javascript import stringify
from trio_cursor.demo.ring import new_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from trio_cursor.demo.ring import RingItem
    from trio_cursor.demo.storage import Storage
    from trio_cursor.observations import Json, JsonObject

COMPOSER_DATA_KEY: Final = "composer.composerData"

#: VS Code's `IS_NEW_KEY`: true in the first life of a database, false in its second.
_IS_NEW_KEY: Final = "__$__isNewStorageMarker"
_FIRST_SESSION_KEY: Final = "telemetry.firstSessionDate"
_LAST_SESSION_KEY: Final = "telemetry.lastSessionDate"
_CURRENT_SESSION_KEY: Final = "telemetry.currentSessionDate"
#: That there are heartbeats is known (moraine#443), the name of their key is not: this one is ours.
_HEARTBEAT_KEY: Final = "demo.heartbeat"

#: How many conversations a window opens before the old ones stay as they are.
_COMPOSERS_KEPT: Final = 12
_NEW_COMPOSER = 0.2


def opened(storage: Storage) -> None:
    """What the storage service itself writes whenever it has opened a database (VS Code's storageMain.ts)."""
    storage.set(_IS_NEW_KEY, "false" if _IS_NEW_KEY in storage.items else "true")


def application_opened(storage: Storage) -> None:
    now = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
    storage.set(_FIRST_SESSION_KEY, storage.items.get(_FIRST_SESSION_KEY, now))
    if _CURRENT_SESSION_KEY in storage.items:
        storage.set(_LAST_SESSION_KEY, storage.items[_CURRENT_SESSION_KEY])
    storage.set(_CURRENT_SESSION_KEY, now)


def heartbeat(storage: Storage) -> None:
    storage.set(_HEARTBEAT_KEY, str(time.time_ns() // 1_000_000))


def fidget(storage: Storage, random: Random) -> None:
    """Move a cursor, scroll, fold a tree: one of the many small writes of a window somebody sits at."""
    key, state = random.choice(_FIDGETS)
    storage.set(key, stringify(state(random)))


def _text_editor(random: Random) -> Json:
    path = f"file:///home/demo/projects/{random.choice(texts.FILES)}"
    line = random.randrange(2_000)
    return {"textEditorViewState": [[path, {"0": {"cursorState": [{"lineNumber": line, "column": 1}]}}]]}


def _explorer(random: Random) -> Json:
    return {"focus": [], "selection": [], "expanded": {}, "scrollTop": random.randrange(5_000)}


def _terminal(random: Random) -> Json:
    return {"tabs": [], "background": [], "version": random.randrange(1_000_000)}


def _history(random: Random) -> Json:
    return [{"editor": {"resource": random.choice(texts.FILES)}} for _ in range(random.randint(1, 10))]


_FIDGETS: Final[tuple[tuple[str, Callable[[Random], Json]], ...]] = (
    ("memento/workbench.editors.files.textFileEditor", _text_editor),
    ("workbench.explorer.treeViewState", _explorer),
    ("terminal.integrated.layoutInfo", _terminal),
    ("history.entries", _history),
)


class Composers:
    """`composer.composerData` of a window: heads of conversations, as before and as since Cursor 3.0."""

    def __init__(self, storage: Storage, random: Random, *, heads_here: bool) -> None:
        self._storage = storage
        self._random = random
        #: Until April 2026 the heads stood in the workspace; since then only which of them are open.
        self._heads_here = heads_here
        self._heads: list[JsonObject] = []

    def use(self, item: RingItem, composer_id: str | None = None) -> None:
        """Somebody asks in this conversation; None: in the newest one, or begins another."""
        if composer_id is not None:
            used = [head for head in self._heads if head["composerId"] == composer_id]
            self._heads = [head for head in self._heads if head["composerId"] != composer_id]
            self._heads += used or [_head(composer_id, item)]
        elif not self._heads or self._random.random() < _NEW_COMPOSER:
            self._heads.append(_head(new_id(self._random), item))
        del self._heads[:-_COMPOSERS_KEPT]
        self._heads[-1]["lastUpdatedAt"] = item.unix_ms
        selected = {"selectedComposerIds": [self._heads[-1]["composerId"]]}
        focused = {"lastFocusedComposerIds": [head["composerId"] for head in reversed(self._heads)]}
        data: JsonObject = selected | focused
        if self._heads_here:
            data = {"allComposers": self._heads} | data
        else:
            data |= {"hasMigratedComposerData": True, "hasMigratedMultipleComposers": True}
        self._storage.set(COMPOSER_DATA_KEY, stringify(data))


def _head(composer_id: str, item: RingItem) -> JsonObject:
    return {
        "type": "head",
        "composerId": composer_id,
        "name": (item.text or "New Chat")[:40],
        "createdAt": item.unix_ms,
        "lastUpdatedAt": item.unix_ms,
        "unifiedMode": "agent",
        "forceMode": "edit",
        "totalLinesAdded": 0,
        "totalLinesRemoved": 0,
        "isArchived": False,
        "isWorktree": False,
        "isSpec": False,
    }
