"""What Cursor has left on disk in each era of its storage, and what must be reported of it.

Each era's `build` adds its rows to a `Machine` and returns the generations that are in them: written by hand
from the contracts and from what is known of Cursor's files, never from what our own code says.
"""

from __future__ import annotations

from eras import (
    era_0_4x,
    era_0_50,
    era_0_50_damage,
    era_1x,
    era_1x_copies,
    era_2x,
    era_2x_windows,
    era_3_0,
    era_3_9,
    era_3_15,
    era_3_15_live,
    era_2024,
)

#: Oldest first.
ERAS = {
    "2024": era_2024,
    "0.44-0.48": era_0_4x,
    "0.49-0.50": era_0_50,
    "0.49-0.50 damage": era_0_50_damage,
    "1.x": era_1x,
    "1.x copies": era_1x_copies,
    "2.x": era_2x,
    "2.x windows": era_2x_windows,
    "3.0": era_3_0,
    "3.9-3.12": era_3_9,
    "3.15-3.19": era_3_15,
    "3.15-3.19 live": era_3_15_live,
}
