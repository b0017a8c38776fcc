"""Set-ups that are broken in one way each, and what `doctor`, called without an option, says of them.

Each is made in a home of its own. `docs/make_doctor_outputs.py` puts what is said into docs/doctor.md.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs
import cursor_files
import redis_server
from running import on_terminal, start, until

from trio_cursor.cursor.user_dirs import candidate_user_dirs
from trio_cursor.status_file import FILE_NAME as STATUS_NAME

#: As wide as a line of a document.
COLUMNS = 100
#: Root may do everything but for what is taken from it: these make permissions count.
_WITHOUT_PRIVILEGE = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


@attrs.define(eq=False)
class Place:
    """A home with a Cursor in it that is well, in which something is then broken."""

    root: Path
    #: What was broken is mended at its end.
    stack: ExitStack
    #: What differs from run to run, by what stands in its place.
    hidden: dict[str, str] = attrs.field(factory=dict)
    #: Variables of this run, without `TRIO_CURSOR_`.
    variables: dict[str, str] = attrs.field(factory=dict)
    #: Permissions are what is broken.
    needs_permissions: bool = False

    @property
    def home(self) -> Path:
        return self.root / "home/dev"

    @property
    def user_dir(self) -> Path:
        [first, *_] = candidate_user_dirs(sys.platform, {}, str(self.home), wsl=False)
        return Path(first.user_dir)

    @property
    def state(self) -> Path:
        return self.home / ".local/state/trio-cursor"

    def make_cursor(self) -> Path:
        """A workspace with a request of five minutes ago; its database."""
        cursor_files.make_user_dir(self.user_dir.parent)
        asked = cursor_files.ring_item(unixMs=int(time.time() * 1000) - 300_000)
        return cursor_files.make_workspace(
            self.user_dir, "5f3a9c", [asked], folder="file:///home/dev/projects/shop"
        )

    def configure(self, text: str) -> None:
        file = self.home / ".config/trio-cursor/config.toml"
        file.parent.mkdir(parents=True)
        file.write_text(text)

    def forbid(self, path: Path, mode: int) -> None:
        """Until the end, so that it can be removed then."""
        self.needs_permissions = True
        before = path.stat().st_mode
        path.chmod(mode)
        self.stack.callback(path.chmod, before)


def _no_cursor(place: Place) -> None:
    pass


def _forbidden(place: Place) -> None:
    place.make_cursor()
    place.forbid(place.user_dir, 0)


def _unknown_schema(place: Place) -> None:
    place.make_cursor()
    database = cursor_files.make_workspace(place.user_dir, "8d21e0", folder="file:///home/dev/projects/new")
    cursor_files.execute(database, ("CREATE TABLE aiGenerationStore (a)", ()))


def _locked(place: Place) -> None:
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('BEGIN EXCLUSIVE'); print(flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", program, str(place.make_cursor())]
    holder = place.stack.enter_context(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    place.stack.callback(holder.communicate)
    holder.stdout.readline()
    place.variables["CURSOR_DATABASE_MONITOR__QUERY_TIMEOUT_SECONDS"] = "0.3"
    place.hidden["0.3 s"] = "1.5 s"


def _corrupt(place: Place) -> None:
    database = place.make_cursor()
    content = bytearray(database.read_bytes())
    content[100:4000] = b"\xff" * 3900
    database.write_bytes(content)


def _redis_down(place: Place) -> None:
    place.make_cursor()
    # Bound and not listening: nobody else gets it, and nobody answers.
    with_port = place.stack.enter_context(socket.socket())
    with_port.bind(("127.0.0.1", 0))
    port = with_port.getsockname()[1]
    place.configure(f'[redis]\nurl = "redis://127.0.0.1:{port}"\n')
    place.hidden[str(port)] = "6379"


def _redis(place: Place, *options: str, user: str = "") -> None:
    place.make_cursor()
    server = place.stack.enter_context(redis_server.own_server(*options))
    place.configure(f'[redis]\nurl = "redis://{user}127.0.0.1:{server.port}"\n')
    place.hidden[str(server.port)] = "6379"


def _redis_evicting(place: Place) -> None:
    _redis(place, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")


def _redis_password(place: Place) -> None:
    _redis(place, "--requirepass", "right", user=":wrong@")


def _hanging(place: Place) -> None:
    place.make_cursor()
    environ = {**os.environ, **environment(place)}
    service = start(
        "run", "--since", "all", env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    place.stack.enter_context(service)
    place.stack.callback(service.kill)
    status = place.state / STATUS_NAME
    until(status.exists, service)
    service.send_signal(signal.SIGSTOP)
    minute_ago = time.time() - 60
    os.utime(status, (minute_ago, minute_ago))
    place.hidden[str(service.pid)] = "4711"


def _port_taken(place: Place) -> None:
    place.make_cursor()
    other = place.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    port = other.getsockname()[1]
    place.variables["HTTP__LISTEN"] = f"127.0.0.1:{port}"
    place.hidden[str(port)] = "8787"


def _read_only(place: Place) -> None:
    place.make_cursor()
    place.state.mkdir(parents=True, mode=0o700)
    place.forbid(place.state, 0o500)


def _bad_configuration(place: Place) -> None:
    place.make_cursor()
    place.configure('[cursor_database_monitor]\npoll_intervall_seconds = 5\n\n[redis]\nurl = "localhost"\n')


def _excluded(place: Place) -> None:
    place.make_cursor()
    place.configure('[cursor]\nexclude = ["/home/dev/**"]\n')


def _nobody_announces(place: Place) -> None:
    place.make_cursor()
    place.configure('[sessions]\nmode = "extension"\n')


#: By what is broken, in the words of a document.
SETUPS: dict[str, Callable[[Place], None]] = {
    "No Cursor on this machine": _no_cursor,
    "Cursor's directory may not be read": _forbidden,
    "A database of a layout that nobody knows": _unknown_schema,
    "A database that somebody keeps locked": _locked,
    "A damaged database": _corrupt,
    "Redis does not run": _redis_down,
    "Redis may drop the stream": _redis_evicting,
    "A wrong password for Redis": _redis_password,
    "A service that hangs": _hanging,
    "The port is taken": _port_taken,
    "The state directory cannot be written": _read_only,
    "A mistake in the configuration file": _bad_configuration,
    "Every workspace is excluded": _excluded,
    "Only announced sessions count, and none is": _nobody_announces,
}


def can_be_made(title: str) -> bool:
    """Whether this machine and this user can have it broken like that."""
    if sys.platform == "win32":
        return False
    if title.startswith(("Redis may", "A wrong password")) and not redis_server.programs():
        return False
    needs = title in ("Cursor's directory may not be read", "The state directory cannot be written")
    return not needs or os.getuid() != 0 or _can_give_up_privilege()


def _can_give_up_privilege() -> bool:
    if shutil.which(_WITHOUT_PRIVILEGE[0]) is None:
        return False
    return subprocess.run([*_WITHOUT_PRIVILEGE, "true"], capture_output=True, check=False).returncode == 0


def environment(place: Place) -> dict[str, str]:
    """The variables of whoever uses the machine."""
    given = {"HTTP__LISTEN": "off", **place.variables}
    return {
        "HOME": str(place.home),
        "TERM": "xterm",
        "COLUMNS": str(COLUMNS),
        **{f"TRIO_CURSOR_{name}": value for name, value in given.items()},
    }


@contextmanager
def _in_environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    moving = ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "REDIS_URL", "NO_COLOR")
    for name in [name for name in before if name.startswith("TRIO_CURSOR_") or name in moving]:
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def examined(title: str, *options: str) -> tuple[int, str]:
    """Break it, call `doctor`, mend it: the code, and what stood on the terminal."""
    # In the shortest place: what stands on the terminal is broken into lines with it.
    with tempfile.TemporaryDirectory(prefix="s-", dir="/tmp") as root, ExitStack() as stack:
        place = Place(Path(root).resolve(), stack)
        place.home.mkdir(parents=True)
        SETUPS[title](place)
        with _in_environment(environment(place)):
            if place.needs_permissions and os.getuid() == 0:
                code, text = _without_privilege(*options)
            else:
                code, text = on_terminal("doctor", "--no-color", *options)
    text = text.replace(str(place.root), "")
    for changing, shown in place.hidden.items():
        # A process may have the number 7.
        text = re.sub(rf"(?<!\w){re.escape(changing)}(?!\w)", shown, text)
    return code, text


def _without_privilege(*options: str) -> tuple[int, str]:
    program = "from running import on_terminal; import sys; code, text = on_terminal(*sys.argv[1:]);"
    words = (sys.executable, "-c", f"{program} sys.stdout.write(text); sys.exit(code)")
    done = subprocess.run(
        [*_WITHOUT_PRIVILEGE, *words, "doctor", "--no-color", *options],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
    )
    return done.returncode, done.stdout


def findings(text: str) -> list[str]:
    """What is said to be wrong and what to do, each in one line, however it was broken into lines."""
    found: list[str] = []
    is_one = False
    for line in text.splitlines():
        if re.match(r"  [✓•✗] ", line) or not line.startswith(" "):
            is_one = line.startswith("  ✗ ")
            found += [line.strip()] if is_one else []
        elif is_one:
            found[-1] += f" {line.strip()}"
    return [re.sub(r"\b[0-9]+ s\b", "N s", line) for line in found]
