"""What Cursor's versions wrote into a conversation: keys came and went, and all ages lie side by side.

Source: cursor-storage facts, section c ("cursorDiskKV" and "Eras"): which `_v`, since when bubbles have a
time, until when tokens were counted, since when a conversation names its workspace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from random import Random


@attrs.frozen(kw_only=True)
class Era:
    """A stretch of versions; numbers between 0 and 1 are shares of the rows that have something."""

    name: str
    #: `_v` of `composerData`, any of these; None: the key is absent.
    composer_versions: tuple[int | None, ...]
    #: `_v` of bubbles; None: the key is absent.
    bubble_version: int | None
    #: The messages stand in `composerData.conversation`, not in rows of their own.
    is_inline: bool = False
    #: Bubbles and headers have `createdAt` (from October 2025).
    has_created_at: bool = False
    #: Turns with token counts (until February 2026).
    tokens: float = 0.0
    #: Turns with `timingInfo`, which only old rows have.
    timing: float = 0.0
    #: Turns whose bubbles have no `requestId` at all.
    anonymous: float = 0.0
    #: `composerData.modelConfig`.
    has_model_config: bool = False
    #: Conversations with `workspaceIdentifier`.
    workspace_identifier: float = 0.0
    #: Conversations have a row in `composerHeaders`.
    has_composer_headers: bool = False
    #: There are rows `messageRequestContext:*`.
    has_request_context: bool = False
    #: The bubble that closes a turn has `turnDurationMs`.
    has_turn_duration: bool = False
    #: Agents start agents.
    has_sub_agents: bool = False


_0_44 = Era(name="0.44", composer_versions=(None, 1), bubble_version=None, is_inline=True, anonymous=0.5)
_0_50 = Era(
    name="0.50",
    composer_versions=(1, 3),
    bubble_version=2,
    tokens=0.2,
    timing=0.15,
    anonymous=0.1,
    has_request_context=True,
)
_1 = Era(
    name="1",
    composer_versions=(3, 6, 8),
    bubble_version=2,
    tokens=0.1,
    timing=0.15,
    has_request_context=True,
)
_2 = Era(
    name="2",
    composer_versions=(9, 10),
    bubble_version=3,
    has_created_at=True,
    tokens=0.05,
    has_model_config=True,
    has_request_context=True,
)
_3_0 = Era(
    name="3.0",
    composer_versions=(11, 14),
    bubble_version=3,
    has_created_at=True,
    has_model_config=True,
    workspace_identifier=0.2,
    has_turn_duration=True,
    has_sub_agents=True,
)
_3_9 = attrs.evolve(
    _3_0, name="3.9", composer_versions=(14, 16), workspace_identifier=0.5, has_composer_headers=True
)
_3_15 = attrs.evolve(_3_9, name="3.15", composer_versions=(17,), workspace_identifier=1.0)

#: The gate for WAL came with 2.3: a database without it is one of an older build, as far as this demo goes.
_BEFORE_WAL: Final = (_0_50, _1, _2)
_WITH_WAL: Final = (_2, _3_0, _3_9, _3_15)
#: The year of this demo, oldest first, and how many days ago each era ended.
_YEAR: Final = ((330, _0_44), (290, _0_50), (250, _1), (180, _2), (120, _3_0), (60, _3_9), (0, _3_15))


def of_window(random: Random, *, use_wal: bool) -> Era:
    return random.choice(_WITH_WAL if use_wal else _BEFORE_WAL)


def of_nameless(random: Random) -> Era:
    """An era whose conversations never say where they belong."""
    return random.choice(_BEFORE_WAL)


def of_age(days: float) -> Era:
    return next(era for ended, era in _YEAR if days >= ended)
