"""Fixtures that several files share."""

from __future__ import annotations

import logging

import cursor_files
import fakes
import pytest


@pytest.fixture
def user_dir(tmp_path):
    """A `User` directory without a database in it."""
    return cursor_files.make_user_dir(tmp_path / "cursor")


@pytest.fixture
def logged(caplog):
    """What the library has logged until now, at whatever level."""
    caplog.set_level(logging.DEBUG, logger="trio_cursor")
    return lambda: [record.message for record in caplog.records]


@pytest.fixture(autouse=True)
def _close_fake_databases():
    yield
    while fakes.OPEN:
        fakes.OPEN.pop().close()
