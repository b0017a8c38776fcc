"""Every metric: its name, type, labels and meaning, and where its figures come from.

A new one is its declaration in the module of its subject and, if nobody keeps the figure yet, one line where
it happens. Labels are few and bounded: never a path, a text, or anything that somebody else may choose. No
library is needed here.
"""

from __future__ import annotations

from typing import Final

import attrs

from trio_cursor.metrics import of_outputs, of_reads, of_reports, of_run, of_sessions
from trio_cursor.metrics.declaring import Family, Metric, Sources

__all__ = ["METRICS", "Family", "Metric", "Metrics"]

#: In the order in which they are shown.
METRICS: Final = (
    *of_run.METRICS,
    *of_reports.METRICS,
    *of_reads.METRICS,
    *of_sessions.METRICS,
    *of_outputs.METRICS,
)


@attrs.define(eq=False)
class Metrics(Sources):
    """Where the figures come from, and all of them."""

    def read(self) -> list[Family]:
        """All metrics as they are now. Called by a task: it looks at what other tasks write down."""
        return [Family(metric, tuple(metric.read(self))) for metric in METRICS]
