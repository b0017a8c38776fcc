"""A year of conversations, written in one go: the big global database that a user of Cursor has.

Source: cursor-storage facts, section b ("Sizes") and section c ("Eras"): many versions lie side by side, and
some conversations name a workspace whose directory is gone, or none at all.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from trio_cursor.demo import eras
from trio_cursor.demo.conversation import Conversation
from trio_cursor.demo.conversations import plan
from trio_cursor.demo.places import Place
from trio_cursor.demo.ring import new_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from trio_cursor.demo.conversations import Conversations

_DAY_MS: Final = 86_400_000
_YEAR_DAYS: Final = 365.0
#: No conversation of this kind is younger, so that none reaches into the future.
_YOUNGEST_DAYS: Final = 0.3
#: Nothing lies near the edge of the 24 hours that the service looks back at first.
_EDGE_DAYS: Final = (0.8, 1.2)
_TURNS: Final = (1, 8)
_PAUSE_MS: Final = (60_000, 1_800_000)
#: Bubbles in one transaction.
_BATCH: Final = 2_000

_GONE = 0.1
_NOWHERE = 0.1
_TOMBSTONE = 0.05
_GONE_PLACE: Final = Place("b6cf2b07c2ab19d9a3d17e2f2ef0b7c5", None, None, use_wal=True)


def remember(conversations: Conversations, bubbles: int, random: Random, places: Sequence[Place]) -> None:
    """Write about so many bubbles, oldest first, the more the nearer to today."""
    now = time.time_ns() // 1_000_000
    written = unflushed = 0
    while written < bubbles:
        age = max(_YOUNGEST_DAYS, _YEAR_DAYS * (1 - written / bubbles) ** 2)
        if _EDGE_DAYS[0] < age < _EDGE_DAYS[1]:
            age = _EDGE_DAYS[1]
        at = now - int(age * _DAY_MS)
        era = eras.of_age(age)
        conversation = Conversation(random, era, _place(random, era, places), at)
        for _ in range(random.randint(*_TURNS)):
            conversations.remember(conversation, plan(conversation, new_id(random), None), at)
            at += random.randint(*_PAUSE_MS)
            if conversation.has_ended:
                break
        if random.random() < _TOMBSTONE:
            conversations.forget(Conversation(random, era, None, at))
        written += len(conversation.bubbles)
        unflushed += len(conversation.bubbles)
        if unflushed > _BATCH:
            conversations.flush()
            unflushed = 0
    conversations.flush()


def _place(random: Random, era: eras.Era, places: Sequence[Place]) -> Place | None:
    chance = random.random()
    if chance < _NOWHERE:
        # Eras that always say where they belong have no conversation without a window.
        return None if era.workspace_identifier < 1 else random.choice(places)
    if chance < _NOWHERE + _GONE and era.has_composer_headers:
        return _GONE_PLACE
    return random.choice(places)
