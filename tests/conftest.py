"""Fixtures that several files share."""

from __future__ import annotations

import logging
import os

import cursor_files
import fakes
import pytest
import redis_server
from hypothesis import HealthCheck, settings
from running import move_home

from trio_cursor import redis_trouble
from trio_cursor.outputs import redis_stream

# How long an example takes, or to make one, says something of the machine alone. The same examples each time:
# what is found by others is found by whoever looks for it (`max_examples`), not by whoever lands something.
settings.register_profile(
    "tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")


@pytest.fixture(scope="session", autouse=True)
def _home_of_nobody(tmp_path_factory):
    """Whoever runs the tests may use this program: neither his sessions nor his port are touched."""
    home = str(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("HOME", "USERPROFILE"):
            patch.setenv(variable, home)
        patch.setenv("TRIO_CURSOR_HTTP__LISTEN", "off")
        yield


@pytest.fixture(scope="module")
def _shared_server():
    with redis_server.own_server() as server:
        yield server


@pytest.fixture
def server(_shared_server):
    """A Redis server that is up and empty; not to be killed."""
    _shared_server.call("FLUSHALL")
    return _shared_server


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of its own, so that nothing of this machine is read or written."""
    return move_home(tmp_path / "home", monkeypatch)


@pytest.fixture
def state(tmp_path):
    """A state directory, as a service makes it."""
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path / "state"


@pytest.fixture
def impatient(monkeypatch):
    """A Redis output that waits a moment where it would wait half a minute."""
    monkeypatch.setattr(redis_trouble, "LEAST_PAUSES", {})
    monkeypatch.setattr(redis_stream.RedisStream, "idle_seconds", 0.05)


@pytest.fixture
def unmeasured(monkeypatch):
    """Children run at full speed: what they execute is measured elsewhere."""
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)


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
