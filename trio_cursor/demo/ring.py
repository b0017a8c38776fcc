"""The ring `aiService.generations` and its neighbour `aiService.prompts`, as values.

Sources: cursor-storage facts, section c (item shape and the 4 % without a description), and 0.4 (an LRU map
of 100 in one annotated Cursor build; exactly 100 items seen on a real machine).
"""

from __future__ import annotations

import json
import uuid
from collections import deque
from typing import TYPE_CHECKING, Final

import attrs

from trio_cursor.demo import texts
from trio_cursor.demo.javascript import stringify

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from random import Random

    from trio_cursor.observations import JsonObject

RING_KEY: Final = "aiService.generations"
PROMPTS_KEY: Final = "aiService.prompts"
RING_CAPACITY: Final = 100

#: Cursor drops the oldest 50 prompts when there are more than 300.
PROMPTS_CAPACITY: Final = 300
PROMPTS_DROPPED: Final = 50
#: `commandType` 4 is chat and composer in the peers' reading, 2 the only other value verified.
_COMMAND_TYPES: Final = {"cmdk": 2}
_OTHER_COMMAND_TYPE: Final = 4

_TYPES: Final = ("composer", "cmdk", "chat", "apply")
_TYPE_WEIGHTS: Final = (60, 16, 14, 10)
_TYPE_MISSING = 0.01
_TEXT_MISSING = 0.04


@attrs.frozen
class RingItem:
    """One request, at the moment Cursor registers it: no model, no tokens, no answer."""

    generation_id: str
    unix_ms: int
    #: None: the writer copies an optional field, so that the key may be missing.
    type: str | None
    #: A prompt, for `apply` the name of a file; None: the key is missing.
    text: str | None

    def as_json(self) -> JsonObject:
        item: JsonObject = {"unixMs": self.unix_ms, "generationUUID": self.generation_id}
        if self.type is not None:
            item["type"] = self.type
        if self.text is not None:
            item["textDescription"] = self.text
        return item

    @classmethod
    def from_json(cls, item: JsonObject) -> RingItem:
        return cls(item["generationUUID"], item["unixMs"], item.get("type"), item.get("textDescription"))


def new_id(random: Random) -> str:
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


def new_item(random: Random, unix_ms: int) -> RingItem:
    kind: str | None = random.choices(_TYPES, _TYPE_WEIGHTS)[0]
    text: str | None = random.choice(texts.FILES) if kind == "apply" else texts.prompt(random)
    if kind == "chat" or random.random() < _TEXT_MISSING:
        text = None
    if random.random() < _TYPE_MISSING:
        kind = None
    return RingItem(new_id(random), unix_ms, kind, text)


class Ring:
    """The newest hundred, oldest first."""

    def __init__(self, value: str | None) -> None:
        self._items = deque((RingItem.from_json(item) for item in json.loads(value or "[]")), RING_CAPACITY)

    @property
    def ids(self) -> AbstractSet[str]:
        return {item.generation_id for item in self._items}

    def append(self, item: RingItem) -> RingItem | None:
        """Take the newest; give back the one that fell out."""
        fell_out = self._items[0] if len(self._items) == RING_CAPACITY else None
        self._items.append(item)
        return fell_out

    def value(self) -> str:
        return stringify([item.as_json() for item in self._items])


class Prompts:
    """The history of the input box: no id, no time, and no prompt twice in a row."""

    def __init__(self, value: str | None) -> None:
        self._items: list[JsonObject] = json.loads(value or "[]")

    def append(self, item: RingItem) -> None:
        if not item.text or item.type == "apply":
            return
        if self._items and self._items[-1]["text"] == item.text:
            return
        self._items.append(
            {"text": item.text, "commandType": _COMMAND_TYPES.get(item.type or "", _OTHER_COMMAND_TYPE)}
        )
        if len(self._items) > PROMPTS_CAPACITY:
            del self._items[:PROMPTS_DROPPED]

    def value(self) -> str:
        return stringify(self._items)
