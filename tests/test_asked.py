"""What a configuration asks of the service."""

from __future__ import annotations

import pytest

from trio_cursor.asked import marker_seconds
from trio_cursor.config import Config, DatabaseMonitorConfig


@pytest.mark.parametrize(
    ("window_hours", "dedup_hours", "hours"),
    [(24, 24, 48), (1, 30, 54), (100, 24, 124), (876_000, 24, 2160), (5000, 24, 2160)],
)
def test_markers_outlive_the_window_by_a_day_and_have_an_end(window_hours, dedup_hours, hours):
    monitor = DatabaseMonitorConfig(sync_window_hours=window_hours, dedup_window_hours=dedup_hours)
    assert marker_seconds(Config(cursor_database_monitor=monitor)) == hours * 3600
