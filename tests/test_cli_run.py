"""`run` and `tail`: what they say and print while they live, and every way in which they end."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import attrs
import cursor_files
import pytest
from running import move_home, on_terminal, start

from trio_cursor.cli import main
from trio_cursor.cli.demo_place import without_token
from trio_cursor.cli.events_command import LogPosition
from trio_cursor.cli.run_report import existing
from trio_cursor.config import Config, HttpConfig
from trio_cursor.demo.home import NotOursError, claim
from trio_cursor.eventlog import Filter, open_for_reading
from trio_cursor.state_dir import held

pytestmark = pytest.mark.timeout(60)
posix = pytest.mark.skipif(os.name != "posix", reason="signals and terminals of POSIX")
DAY_MS = 86_400_000


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of its own, so that nothing of this machine is read or written; temporary files below it."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    return move_home(tmp_path / "home", monkeypatch)


@pytest.fixture
def places(user_dir, tmp_path):
    """Where a run looks and writes."""
    return ["--cursor-dir", str(user_dir), "--state-dir", str(tmp_path / "state"), "--http", "off"]


def recent(number=0, **fields):
    """An item of the last hour."""
    unix_ms = int(time.time() * 1000) - 3_600_000 + number
    return cursor_files.ring_item(number, unixMs=unix_ms, **fields)


def record(process, name):
    """Wait for the record with this name on stderr."""
    for line in process.stderr:
        found = json.loads(line)
        if found["event"] == name:
            return found
    raise AssertionError(f"stderr ended before {name!r} was said")


def finished(process, number):
    """Send the signal; code, and what was still said and printed."""
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, *words, columns=100, interpreter=("-m", "trio_cursor")):
        import pty  # noqa: PLC0415 - not on Windows

        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, *interpreter, *map(str, words)],
            stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "COLUMNS": str(columns)},
        )  # fmt: skip
        os.close(theirs)
        self.text = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def read_until(self, pattern):
        """Wait until it stands on the terminal."""
        while not (found := re.search(pattern, self.text)):
            data = self._read()
            assert data, f"ended before {pattern!r}: {self.text}"
        return found

    def end(self, *signals):
        """Send the signals; the code, when everything was read."""
        for number in signals:
            self.process.send_signal(number)
        while self._read():
            pass
        return self.process.wait(30)

    def _read(self):
        try:
            data = os.read(self._ours, 65536).decode(errors="replace")
        except OSError:  # Linux: the other end was closed
            data = ""
        self.text += data
        return data


# -- run --once, in this process -----------------------------------------------------------------------


def test_once_prints_everything_that_is_new_and_the_next_time_nothing(capsys, user_dir, places):
    items = [recent(number) for number in range(60)]
    cursor_files.make_workspace(user_dir, "a1", items)
    assert main(["run", "--once", *places]) == 0
    out, err = capsys.readouterr()
    printed = [json.loads(line)["payload"]["generation_id"] for line in out.splitlines()]
    assert printed == [item["generationUUID"] for item in items]
    started, done, stopped = map(json.loads, err.splitlines())
    assert (started["event"], started["state_dir"], started["outputs"]) == ("started", places[3], [])
    assert (done["event"], done["generations"]) == ("first pass done", 60)
    assert (stopped["event"], stopped["generations"], stopped["workspaces"]) == ("stopped", 60, 1)
    assert main(["run", "--once", *places]) == 0
    assert capsys.readouterr().out == ""


def test_once_reaches_as_far_back_as_it_is_told(capsys, user_dir, places):
    cursor_files.make_workspace(user_dir, "a1", [cursor_files.ring_item()])
    main(["run", "--once", *places, "--log-format", "console"])
    out, err = capsys.readouterr()
    assert out == ""
    assert "0 generations new. Nothing in the last 24 h; --since all reads what is older." in err
    main(["run", "--once", *places, "--since", "all"])
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_words_for_people_say_where_events_go_and_what_came_of_it(capsys, user_dir, places, tmp_path):
    cursor_files.make_workspace(user_dir, "a1", [recent()])
    file = tmp_path / "events.jsonl"
    assert main(["run", "--once", *places, "--log-format", "console", "--json-lines", str(file)]) == 0
    *said, last = capsys.readouterr().err.splitlines()
    assert said == [
        f"Events go to the event log in {places[3]} and to {file}. Nothing leaves this machine.",
        "1 database read, 1 generation new.",
    ]
    assert re.fullmatch(r"1 generation from 1 workspace in \d+ s\.", last)
    assert len(file.read_text().splitlines()) == 1


def test_a_file_that_is_named_later_gets_what_the_log_had_before(capsys, user_dir, places, tmp_path):
    cursor_files.make_workspace(user_dir, "a1", [recent(number) for number in range(5)])
    main(["run", "--once", *places])
    for _ in range(2):
        assert main(["run", "--once", *places, "--json-lines", str(tmp_path / "late.jsonl")]) == 0
        assert len((tmp_path / "late.jsonl").read_text().splitlines()) == 5
    capsys.readouterr()


def test_json_lines_on_stdout_come_once(capsys, user_dir, places):
    cursor_files.make_workspace(user_dir, "a1", [recent(number) for number in range(5)])
    assert main(["run", "--once", *places, "--json-lines", "-", "--log-format", "console"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 5
    assert "and to standard output. Nothing" in err


def test_quiet_says_and_prints_nothing(capsys, user_dir, places):
    cursor_files.make_workspace(user_dir, "a1", [recent()])
    assert main(["run", "--once", "-q", *places]) == 0
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_a_person_sees_the_end_of_a_long_history(capsys, user_dir, places):
    database = cursor_files.make_workspace(user_dir, "a1")
    rows = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1800)"
        ' INSERT INTO "ai.generations"'
    )
    cursor_files.execute(
        database,
        (
            'CREATE TABLE "ai.generations" (uuid TEXT, data_version INTEGER, value TEXT, timestamp INTEGER)',
            (),
        ),
        (
            f"{rows} SELECT 'u' || i, i, '{{\"responseText\": \"answer ' || i || '\"}}', ? + i FROM n",
            (cursor_files.NOON_MS,),
        ),
    )
    words = ["run", "--once", "--since", "all", "--no-color", "--log-format", "console", *places]
    code, text = on_terminal(*words)
    lines = text.splitlines()
    assert code == 0
    assert len(lines) == 20
    assert lines[-1].endswith("→ answer 1800")
    err = capsys.readouterr().err
    assert "1,780 earlier ones are not shown here; `events` has them." in err
    assert "1 database read, 1,800 generations new.\n" in err


def test_json_on_a_terminal_is_everything(user_dir, places):
    cursor_files.make_workspace(user_dir, "a1", [recent(number) for number in range(30)])
    code, text = on_terminal("run", "--once", "--json", *places)
    assert (code, len([json.loads(line) for line in text.splitlines()])) == (0, 30)


def test_without_a_cursor_it_says_where_it_looked_and_what_to_do(capsys, tmp_path):
    words = ["run", "--once", "--cursor-dir", str(tmp_path / "none"), "--state-dir", str(tmp_path / "s")]
    assert main([*words, "--log-format", "console"]) == 0
    assert capsys.readouterr().err.splitlines()[1:-1] == [
        "No Cursor found. Looked for:",
        f"  {tmp_path}/none",
        "If yours is elsewhere, name its User directory with --cursor-dir;",
        "to see this work without one, use `run --demo`.",
    ]
    assert main([*words, "-q"]) == 0
    assert json.loads(capsys.readouterr().err)["searched"] == [str(tmp_path / "none")]


def test_a_directory_that_is_none_of_cursors_is_doubted(capsys, tmp_path):
    (tmp_path / "Cursor").mkdir()
    words = ["--cursor-dir", str(tmp_path / "Cursor"), "--state-dir", str(tmp_path / "s")]
    assert main(["run", "--once", "--log-format", "console", *words]) == 0
    assert f"No workspace in {tmp_path}/Cursor. A Cursor User directory has" in capsys.readouterr().err


def test_a_place_that_does_not_answer_does_not_keep_it(user_dir, places):
    """A dead mount, as far as this process can tell: nobody comes back from a look at it."""
    program = """
import os, sys, threading
from trio_cursor.cli import main
def never_answering(look):
    def answer(path, *rest, **options):
        if str(path).startswith(sys.argv[1]):
            threading.Event().wait()
        return look(path, *rest, **options)
    return answer
for name in ("stat", "lstat", "scandir", "listdir"):
    setattr(os, name, never_answering(getattr(os, name)))
sys.exit(main(sys.argv[2:]))
"""
    with start(user_dir, "run", "--once", *places, interpreter=["-c", program]) as process:
        out, err = process.communicate(timeout=50)
    assert (process.returncode, out) == (0, "")
    [found] = [item for item in map(json.loads, err.splitlines()) if item["event"] == "no Cursor found"]
    assert found["searched"] == [str(user_dir)]
    assert found["alarms"] == [f"{user_dir} does not answer"]


async def test_a_look_that_never_ends_is_left_alone(tmp_path, monkeypatch, autojump_clock):
    released = threading.Event()
    monkeypatch.setattr(os.path, "isdir", lambda _: released.wait(60))
    assert await existing(["/dead", "/mount"]) == []
    assert not released.is_set()
    released.set()


def test_what_could_not_be_read_is_told_and_is_no_failure(capsys, user_dir, places):
    cursor_files.make_workspace(user_dir, "good", [recent()])
    cursor_files.make_workspace(user_dir, "bad").write_text("x" * 5000)
    assert main(["run", "--once", "--log-format", "console", *places]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert "database read (1 could not be: `status` says why), 1 generation new." in err
    assert "Not read: /home/demo/bad: " in err
    assert "Traceback" not in err


def test_an_output_that_takes_nothing_is_a_failure(capsys, user_dir, places, tmp_path):
    cursor_files.make_workspace(user_dir, "a1", [recent()])
    (tmp_path / "directory").mkdir()
    assert main(["run", "--once", *places, "--json-lines", str(tmp_path / "directory")]) == 1
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    [failure] = [item["why"] for item in said if item["event"] == "not delivered"]
    assert f"json_lines:{tmp_path}/directory is 1 event behind: " in failure


@posix
def test_a_log_that_cannot_be_written_is_a_failure(user_dir, places):
    items = [recent(number) | {"textDescription": "x" * 9000} for number in range(90)]
    cursor_files.make_workspace(user_dir, "a1", items)
    # A disk that is full at 400 kB, as far as this process can tell.
    program = """
import resource, sys
from trio_cursor.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
sys.exit(main(sys.argv[1:]))
"""
    with start("run", "--once", *places, interpreter=["-c", program]) as process:
        record(process, "the event log cannot be written; trying again until it can")
        out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "not delivered" in err
    assert out == ""


def test_a_second_instance_is_told_that_it_is_one(capsys, places):
    state = Path(places[3])
    state.mkdir(mode=0o700)
    with held(state):
        assert main(["run", "--once", *places]) == 75
    assert capsys.readouterr().err == (
        f"trio_cursor: another trio_cursor holds {state}; stop it, or give this one its own --state-dir\n"
    )


def test_a_file_in_place_of_the_state_directory_is_told(capsys, user_dir, tmp_path):
    (tmp_path / "file").touch()
    words = ["--cursor-dir", str(user_dir), "--state-dir", str(tmp_path / "file")]
    assert main(["run", "--once", *words]) == 1
    assert capsys.readouterr().err == (
        f"trio_cursor: {tmp_path}/file is not a directory; name another one with --state-dir\n"
    )


@pytest.mark.parametrize("words", [["run"], ["run", "--demo"]])
def test_what_is_switched_off_says_so_and_watches_nothing(capsys, monkeypatch, tmp_path, words):
    monkeypatch.setenv("TRIO_CURSOR_CURSOR_DATABASE_MONITOR__ENABLED", "false")
    assert main(words) == 0
    assert capsys.readouterr() == ("", "enabled = false in the configuration: nothing is watched\n")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_webhook_that_cannot_be_one_is_refused_by_its_key(capsys, monkeypatch):
    monkeypatch.setenv("TRIO_CURSOR_ALARMS__WEBHOOK", "https://h\u00f6st/secret")
    assert main(["run"]) == 78
    assert capsys.readouterr().err == (
        "trio_cursor: alarms.webhook must be an http:// or https:// URL in ASCII\n"
    )


# -- run, until it is stopped --------------------------------------------------------------------------


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_it_with_a_summary(user_dir, places, number, code):
    cursor_files.make_workspace(user_dir, "a1", [recent()])
    with start("run", *places) as process:
        record(process, "first pass done")
        ended, out, err = finished(process, number)
    assert ended == code
    assert len(out.splitlines()) == 1
    assert json.loads(err.splitlines()[-1])["event"] == "stopped"
    assert "Traceback" not in err


@posix
def test_meanwhile_status_tells_of_each_workspace_by_the_names_of_the_contract(user_dir, places):
    entry = recent()
    database = cursor_files.make_workspace(user_dir, "a1", [entry])
    with start("run", *places) as process:
        record(process, "first pass done")
        found = None
        while found is None or not found["position"]:  # it is written once a second
            command = [sys.executable, "-m", "trio_cursor", "status", *places[2:4]]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            workspaces = json.loads(done.stdout)["workspaces"] if done.stdout else []
            found = next((item for item in workspaces if item["workspace_id"] == "a1"), None)
        assert finished(process, signal.SIGTERM)[0] == 0
    assert (found["database"], found["workspace_path"]) == (str(database), "/home/demo/a1")
    assert (found["schema"], found["status"], found["errors"], found["last_error"]) == (
        "ring+composers", "synced", 0, None,
    )  # fmt: skip
    assert (found["generations"], found["position"]) == (1, {"ring": entry["unixMs"]})
    [session] = found["sessions"]
    assert (list(session), session["id"]) == (["id", "source", "started_at"], "scan_a1")
    assert {"workspace_hash", "last_check"} <= found.keys()


@posix
def test_a_hangup_that_whoever_started_it_ignores_stays_ignored(user_dir, places):
    """As `nohup` does, here on a terminal, whose end would otherwise be ours."""
    cursor_files.make_workspace(user_dir, "a1", [recent()])
    program = """
import signal, sys
from trio_cursor.cli import main
signal.signal(signal.SIGHUP, signal.SIG_IGN)
sys.exit(main(sys.argv[1:]))
"""
    with Terminal("run", *places, interpreter=["-c", program]) as terminal:
        terminal.read_until(r"Watching; \^C stops\.")
        assert terminal.end(signal.SIGHUP, signal.SIGINT) == 130


@posix
def test_on_a_terminal_a_hangup_is_the_end(user_dir, places):
    cursor_files.make_workspace(user_dir, "a1", [recent()])
    with Terminal("run", *places) as terminal:
        terminal.read_until(r"Watching; \^C stops\.")
        assert terminal.end(signal.SIGHUP) == 0
    assert "1 generation from 1 workspace" in terminal.text


@posix
def test_a_cursor_that_appears_later_is_watched(tmp_path):
    user = tmp_path / "later" / "User"
    with start("run", "--cursor-dir", user, "--state-dir", tmp_path / "state") as process:
        assert record(process, "no Cursor found")["searched"] == [str(user)]
        cursor_files.make_user_dir(tmp_path / "later")
        cursor_files.make_workspace(user, "a1", [recent()])
        assert json.loads(process.stdout.readline())["session_id"] == "scan_a1"
        record(process, "Cursor found")
        assert finished(process, signal.SIGTERM)[0] == 0


@posix
def test_a_reader_that_has_enough_ends_it(user_dir, places):
    cursor_files.make_workspace(user_dir, "a1", [recent()])
    with start("run", *places) as process:
        process.stdout.readline()
        process.stdout.close()
        record(process, "first pass done")
        cursor_files.write_ring(user_dir / "workspaceStorage/a1/state.vscdb", [recent(1)])
        assert record(process, "stopped")
        assert process.wait(30) == 0
        assert process.stderr.read() == ""


@posix
def test_a_reader_of_json_lines_that_has_enough_ends_it_too(user_dir, places):
    cursor_files.make_workspace(user_dir, "a1", [recent()])
    with start("run", "--json-lines", "-", *places) as process:
        process.stdout.readline()
        process.stdout.close()
        cursor_files.write_ring(user_dir / "workspaceStorage/a1/state.vscdb", [recent(1)])
        assert record(process, "stopped")
        assert process.wait(30) == 0


@posix
def test_a_pipe_that_nobody_reads_cannot_keep_it_alive(user_dir, places):
    import fcntl  # noqa: PLC0415 - not on Windows
    import termios  # noqa: PLC0415 - as above

    items = [recent(number) | {"textDescription": "x" * 2000} for number in range(100)]
    cursor_files.make_workspace(user_dir, "a1", items)
    with start("run", *places) as process:
        waiting = 0
        while waiting < 50_000:  # the pipe is full, or soon will be
            waiting = int.from_bytes(fcntl.ioctl(process.stdout, termios.FIONREAD, b"\0" * 4), sys.byteorder)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


@posix
@pytest.mark.parametrize(("signals", "said"), [(1, ["done"]), (2, [])])
def test_what_must_not_be_left_half_done_is_finished_first_unless_somebody_insists(signals, said):
    program = f"""
import signal
from trio_cursor.cli.stopping import uninterrupted
with uninterrupted():
    for _ in range({signals}):
        signal.raise_signal(signal.SIGINT)
    print("done", flush=True)
print("not stopped", flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == said
    assert done.stderr.endswith("KeyboardInterrupt\n")


@posix
def test_each_way_to_ask_for_an_end_ends_it_in_good_order():
    # On Windows ^Break is one; here another signal has its place.
    program = """
import signal
from trio_cursor.cli import stopping
stopping._ENDING.append(signal.SIGUSR1)
try:
    with stopping.terminable():
        signal.raise_signal(signal.SIGUSR1)
finally:
    print("cleaned up", flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "cleaned up\n"


@posix
def test_a_second_request_ends_it_at_once_and_still_cleans_up():
    program = """
import signal
from trio_cursor.cli.stopping import Stop
stop = Stop(3600, lambda: print("cleaned up", flush=True))
stop.ask(signal.SIGINT)
stop.settled()
stop.ask(signal.SIGTERM)
print("still here", flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (130, "cleaned up\n")


def test_a_signal_that_is_told_to_the_process_and_to_its_group_is_one_request():
    program = """
import signal
from trio_cursor.cli.stopping import Stop

stop = Stop(3600, lambda: None, same_seconds=3600)
stop.ask(signal.SIGINT)
stop.ask(signal.SIGINT)
stop.settled()
print("still here", stop.exit_code(), flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "still here 130\n")


# -- run on a terminal ---------------------------------------------------------------------------------


@posix
def test_on_a_terminal_the_demo_shows_generations_as_they_happen():
    with Terminal("run", "--demo", "--rate", "20", columns=90) as terminal:
        place = Path(terminal.read_until(r"Starting a fake Cursor in (\S+)")[1])
        terminal.read_until(
            r"4 databases read, \d+ generations new. The page is on http://\S+/. Watching; \^C stops."
        )
        here = len(terminal.text)
        terminal.read_until(rf"(?s)^.{{{here}}}.*\x1b\[36m[^\x1b]+\x1b\[0m")
        assert place.is_dir()
        assert terminal.end(signal.SIGINT) == 130
    assert re.search(r"\r\n\d+ generations from \d workspaces? in \d+ s(, \d+ gaps?)?\.\r\n$", terminal.text)
    assert "Traceback" not in terminal.text
    assert not place.exists()


@posix
@pytest.mark.parametrize("option", ["NO_COLOR", "--no-color", "TERM"])
def test_on_a_terminal_colours_can_be_switched_off(monkeypatch, user_dir, places, unmeasured, option):
    cursor_files.make_workspace(user_dir, "a1", [recent()])
    cursor_files.make_workspace(user_dir, "bad").write_text("x" * 5000)  # a warning in the log
    if not option.startswith("-"):
        monkeypatch.setenv(option, "dumb")
    with Terminal("run", "--once", *places, *([option] if option.startswith("-") else [])) as terminal:
        assert terminal.end() == 0
    assert "question 0" in terminal.text
    assert "[warning]" in terminal.text
    assert "\x1b" not in terminal.text


@posix
def test_on_a_terminal_a_long_first_sync_has_a_bar_that_goes(user_dir, places):
    database = cursor_files.make_workspace(user_dir, "a1", [recent()])
    # Somebody holds the database, so the sync takes as long as it takes us to see the bar.
    owner = sqlite3.connect(database, isolation_level=None)
    owner.execute("BEGIN EXCLUSIVE")
    with Terminal("run", *places) as terminal:
        terminal.read_until(r"first sync.*databases, 0 generations")
        owner.execute("ROLLBACK")
        owner.close()
        terminal.read_until(r"question 0")
        terminal.read_until(r"Watching; \^C stops\.")
        shown = terminal.text.index("Watching")
        assert "first sync" not in terminal.text[shown:]
        assert terminal.end(signal.SIGTERM) == 0
    assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l")  # the cursor is back


@posix
def test_events_of_a_redirected_run_stay_out_of_the_bar(user_dir, places, tmp_path):
    """Rich, left alone, would catch what is printed meanwhile, and put it on the terminal."""
    import pty  # noqa: PLC0415 - not on Windows

    database = cursor_files.make_workspace(user_dir, "held", [recent()])
    # Nobody has to be waited for: no conversation will ever know it.
    cursor_files.make_workspace(user_dir, "free", [recent(1, type="cmdk")])
    owner = sqlite3.connect(database, isolation_level=None)
    owner.execute("BEGIN EXCLUSIVE")
    ours, theirs = pty.openpty()
    with start("run", *places, stderr=theirs) as process:
        os.close(theirs)
        seen = ""
        while "1 generations" not in seen:
            seen += os.read(ours, 65536).decode()
        owner.execute("ROLLBACK")
        owner.close()
        sessions = {json.loads(process.stdout.readline())["session_id"] for _ in range(2)}
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(OSError):
            while more := os.read(ours, 65536).decode():
                seen += more
        assert process.wait(30) == 0
    os.close(ours)
    assert sessions == {"scan_held", "scan_free"}
    assert "event_id" not in seen


# -- run --demo ----------------------------------------------------------------------------------------


def lives(place):
    """Whether a fake Cursor holds the directory."""
    try:
        with claim(place):
            return False
    except NotOursError:
        return True


@posix
def test_the_demo_uses_none_of_the_configured_outputs_and_filters(tmp_path, monkeypatch):
    file = tmp_path / "c.toml"
    file.write_text(
        f"[outputs.json_lines]\npath = '{tmp_path}/real.jsonl'\n[redis]\nurl = 'redis://host'\n"
        "[cursor]\nexclude = ['**']\n[cursor_database_monitor]\nrollout_percent = 0\n"
        f"[http]\ntoken_file = '{tmp_path}/missing'\n"
    )
    # Into a file: a pipe that nobody reads would hold up everything.
    out = tmp_path / "out"
    words = ("run", "--demo", "--workspaces", "2", "--rate", "5", "-c", file)
    with out.open("w") as stdout, start(*words, stdout=stdout) as process:
        place = Path(record(process, "demo")["directory"])
        assert record(process, "started")["outputs"] == []
        with urllib.request.urlopen(record(process, "first pass done")["page"]) as page:
            assert page.status == 200
        assert json.loads(out.read_text().splitlines()[0])["event_type"] == "database_trace"
        assert lives(place / "cursor")
        code, _, err = finished(process, signal.SIGTERM)
    assert (code, json.loads(err.splitlines()[-1])["event"]) == (0, "stopped")
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not (tmp_path / "real.jsonl").exists()


@pytest.mark.parametrize(("listen", "expected"), [("127.0.0.1:0", None), ("off", None), ("0.0.0.0:1", "/t")])
def test_the_page_of_the_demo_wants_a_token_only_from_elsewhere(listen, expected):
    config = attrs.evolve(Config(), http=HttpConfig(listen=listen, token_file="/t"))
    assert without_token(config).http == HttpConfig(listen=listen, token_file=expected)


def test_the_demo_writes_where_it_is_told_to(capsys, tmp_path):
    words = ["--json-lines", str(tmp_path / "demo.jsonl"), "--state-dir", str(tmp_path / "kept")]
    assert main(["run", "--demo", "--once", *words]) == 0
    events = (tmp_path / "demo.jsonl").read_text().splitlines()
    assert len(events) == len(capsys.readouterr().out.splitlines()) > 0
    assert main(["events", "--state-dir", str(tmp_path / "kept")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(events)


@posix
@pytest.mark.parametrize("moment", ["demo", "first pass done"])
def test_closing_the_terminal_leaves_nothing_of_the_demo_behind(tmp_path, unmeasured, moment):
    import pty  # noqa: PLC0415 - not on Windows

    child, ours = pty.fork()
    if child == 0:
        words = ["run", "--demo", "--rate", "20", "--log-format", "json"]
        os.execv(sys.executable, [sys.executable, "-m", "trio_cursor", *words])
    said = ""
    while f'"event": "{moment}"' not in said:
        said += os.read(ours, 65536).decode(errors="replace")
    os.close(ours)
    os.waitpid(child, 0)
    assert list((tmp_path / "tmp").iterdir()) == []


@posix
def test_killed_it_leaves_no_fake_cursor_behind(tmp_path, unmeasured):
    with start("run", "--demo", "--rate", "5") as process:
        place = Path(record(process, "demo")["directory"])
        process.stdout.readline()
        assert lives(place / "cursor")
        process.kill()
        process.wait()
        while lives(place / "cursor"):  # it looks for its parent once a second
            time.sleep(0.05)
    assert list((tmp_path / "tmp").iterdir()) == [place]


@posix
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 0), ("SIGHUP", 0)])
def test_a_signal_while_the_fake_cursor_starts_leaves_nothing_behind(tmp_path, unmeasured, name, code):
    with start("run", "--demo", "--workspaces", "40") as process:
        record(process, "demo")
        ended, _, err = finished(process, getattr(signal, name))
    assert ended == code
    assert "Traceback" not in err
    assert list((tmp_path / "tmp").iterdir()) == []


# -- tail ----------------------------------------------------------------------------------------------


@posix
def test_tail_waits_for_a_log_and_follows_it(user_dir, places):
    with start("tail", "--state-dir", places[3]) as process:
        assert process.stderr.readline() == f"no event log in {places[3]} yet; waiting for one\n"
        for number in range(2):
            cursor_files.write_ring(cursor_files.make_workspace(user_dir, f"w{number}"), [recent()])
            subprocess.run([sys.executable, "-m", "trio_cursor", "run", "--once", "-q", *places], check=True)
            found = json.loads(process.stdout.readline())
            assert (found["sequence"], found["session_id"]) == (number + 1, f"scan_w{number}")
        assert finished(process, signal.SIGTERM) == (0, "", "")


@posix
def test_tail_goes_on_with_a_log_that_has_taken_the_place_of_the_old_one(user_dir, places):
    run_once = [sys.executable, "-m", "trio_cursor", "run", "--once", "-q", *places]
    cursor_files.make_workspace(user_dir, "w0", [recent()])
    subprocess.run(run_once, check=True)
    with start("tail", "-n", "1", "--state-dir", places[3]) as process:
        assert json.loads(process.stdout.readline())["sequence"] == 1
        for file in Path(places[3]).iterdir():
            file.unlink()
        subprocess.run(run_once, check=True)
        assert json.loads(process.stdout.readline())["session_id"] == "scan_w0"
        assert finished(process, signal.SIGTERM)[0] == 0


def test_tail_does_not_read_again_what_it_has_found_to_be_of_no_interest(user_dir, places):
    cursor_files.make_workspace(user_dir, "a1", [recent(number) for number in range(9)])
    main(["run", "--once", "-q", *places])
    with closing(open_for_reading(Path(places[3]))) as connection:
        other = LogPosition(connection, Filter(session="scan_other"))
        assert (list(other.news()), other.after) == ([], 9)
        last = LogPosition(connection, Filter(session="scan_other"))
        last.leap_to_last(3)
        assert last.after == 9
        every = LogPosition(connection, Filter())
        every.leap_to_last(3)
        assert ([event.sequence for event in every.news()], every.after) == ([7, 8, 9], 9)
        assert list(every.news()) == []


@posix
def test_tail_begins_with_the_last_ones_and_ends_with_130(capsys, user_dir, places):
    cursor_files.make_workspace(user_dir, "a1", [recent(number) for number in range(9)])
    main(["run", "--once", "-q", *places])
    with start("tail", "-n", "2", "--state-dir", places[3]) as process:
        assert [json.loads(process.stdout.readline())["sequence"] for _ in range(2)] == [8, 9]
        assert finished(process, signal.SIGINT) == (130, "", "")


@posix
def test_tail_shows_whole_texts_on_a_terminal_and_later_ones_while_the_service_writes(user_dir, places):
    database = cursor_files.make_workspace(
        user_dir, "a1", [recent() | {"textDescription": "one\ntwo \x1b[2J"}]
    )
    with start("run", *places) as service, Terminal("tail", "--full", "--no-color", *places[2:4]) as terminal:
        terminal.read_until(r"  prompt:\r\n    one\r\n    two \\u001b\[2J\r\n")
        cursor_files.write_ring(database, [recent(), recent(1) | {"textDescription": "a later one"}])
        terminal.read_until(r"    a later one\r\n")
        assert terminal.end(signal.SIGINT) == 130
        assert finished(service, signal.SIGTERM)[0] == 0
