"""Figures of what the event log holds: from generations to totals and distributions. Pure.

`read_facts` of the event log gives what is counted of each generation, some at a time; `figures_of` makes the
totals of it in one pass, and keeps counters and one number for each known duration, nothing else.
"""

from trio_cursor.figures.days import Slot, day_of, hours_of, span_of_day
from trio_cursor.figures.facts import Fact, fact_of
from trio_cursor.figures.tallying import Tally, figures_of
from trio_cursor.figures.totals import (
    DURATION_EDGES_MS,
    OTHERS,
    Durations,
    Figures,
    Known,
    Share,
)

__all__ = [
    "DURATION_EDGES_MS",
    "OTHERS",
    "Durations",
    "Fact",
    "Figures",
    "Known",
    "Share",
    "Slot",
    "Tally",
    "day_of",
    "fact_of",
    "figures_of",
    "hours_of",
    "span_of_day",
]
