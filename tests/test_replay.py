"""`replay`: a window of the log to a stream or a file once more, beside whatever else writes there."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from contextlib import closing
from pathlib import Path

import pytest
import redis_server
import trio
from redis_server import own_server
from running import TerminalText, start
from scans import uuid
from small_logs import NOW, generation, recorded, write_log

from trio_cursor.cli import main, progress
from trio_cursor.discretion import enter_mode
from trio_cursor.eventlog import Filter, open_event_log, open_for_writing, read_log, transaction
from trio_cursor.events import to_json
from trio_cursor.records import Gap
from trio_cursor.redis_keys import StreamKeys, shard_of
from trio_cursor.wire import from_fields

pytestmark = pytest.mark.usefixtures("home")

STREAM = "telemetry:events"
REDIS = (Path(__file__).parent.parent / "docs" / "redis.md").read_text(encoding="utf-8")
HOUR = 3_600_000


def many(number, **fields):
    return [generation(uuid(one), timestamp=NOW - HOUR - one, **fields) for one in range(number)]


def replayed(capsys, state, *words, code=0):
    """What it says that it has done."""
    assert main(["replay", "--json", "--state-dir", str(state), *words]) == code
    return json.loads(capsys.readouterr().out)


def stored(server, stream=STREAM):
    return [from_fields(fields) for _, fields in server.client.xrange(stream)]


def ids(events):
    return [event.event_id for event in events]


@pytest.mark.parametrize("version", redis_server.versions())
def test_everything_comes_to_the_stream_once_in_the_order_of_the_log(capsys, version, state):
    events = recorded(state, *many(250), generation("big", response_text="x" * 3_000_000))
    with own_server(version=version) as server:
        assert replayed(capsys, state, "--redis-url", server.url) == {"sent": 251, "already_there": 0}
        assert ids(stored(server)) == ids(events)
        assert stored(server)[0].payload == events[0].payload
        assert replayed(capsys, state, "--redis-url", server.url) == {"sent": 0, "already_there": 251}
        key = StreamKeys(STREAM).seen(events[0].event_id)
        assert 2 * 86_400 - 60 < server.call("TTL", key) <= 2 * 86_400
        assert server.call("GET", key) == server.client.xrange(STREAM, count=1)[0][0]
        assert server.call("KEYS", "*hwm*") == []


def test_what_somebody_else_has_sent_is_already_there_unless_it_is_forced(capsys, server, state):
    events = recorded(state, *many(3))
    server.call("SET", StreamKeys(STREAM).seen(events[1].event_id), "theirs")
    url = ["--redis-url", server.url]
    assert replayed(capsys, state, *url) == {"sent": 2, "already_there": 1}
    assert replayed(capsys, state, *url, "--force") == {"sent": 3, "already_there": 0}
    assert ids(stored(server)) == ids([events[0], events[2], *events])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--since", "90m"], [0, 2]),
        (["-n", "2"], [1, 2]),
        (["--workspace", "site", "--since", "90m", "-n", "1"], [2]),
        (["--workspace", "elsewhere"], []),
        (["--session", "scan_a1"], [0, 1, 2]),
        (["--session", "other"], []),
    ],
)
def test_a_window_is_chosen_as_by_events(capsys, server, state, words, expected):
    events = recorded(state, *(generation(uuid(n), timestamp=NOW - HOUR - n % 2 * HOUR) for n in range(3)))
    assert replayed(capsys, state, "--redis-url", server.url, *words)["sent"] == len(expected)
    assert ids(stored(server)) == [events[number].event_id for number in expected]


def test_shards_and_the_name_of_the_stream(capsys, server, state, monkeypatch):
    monkeypatch.setenv("TRIO_CURSOR_REDIS__SHARDS", "3")
    events = recorded(state, *many(5))
    assert replayed(capsys, state, "--redis-url", server.url, "--stream", "other")["sent"] == 5
    assert ids(stored(server, f"{{other:{shard_of(events[0], 3)}}}")) == ids(events)


def test_the_followers_are_not_disturbed_and_the_log_may_be_in_use(capsys, server, state):
    def cursors():
        return list(connection.execute("SELECT * FROM cursors"))

    recorded(state, *many(3))
    with closing(open_for_writing(state)) as connection:
        with transaction(connection):
            connection.execute("INSERT INTO cursors VALUES ('redis', 2, 'x')")
        before = cursors()
        with transaction(connection):
            assert replayed(capsys, state, "--redis-url", server.url)["sent"] == 3
        assert cursors() == before


def test_to_a_file_and_to_standard_output(capsys, state, tmp_path):
    write_log(state, *many(600), gaps=[Gap("ring", "missed", None, NOW)])
    expected = [to_json(event) for event in read_log(state, Filter())]
    file = tmp_path / "again.jsonl"
    assert replayed(capsys, state, "--json-lines", str(file)) == {"sent": 600, "already_there": 0}
    assert file.read_text().splitlines() == expected
    with start("replay", "--json-lines", "-", "--state-dir", state) as child:
        out, err = child.communicate(timeout=20)
    assert out.splitlines() == expected
    assert err == "600 events sent\n"


def failed(capsys, *line, code=1):
    assert main(["replay", *line]) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_a_bar_is_shown_to_a_person_alone(server, state, monkeypatch):
    recorded(state, *many(700))
    monkeypatch.setattr(progress, "_PATIENCE_SECONDS", 0)
    for words, is_shown in ([], True), (["-q"], False):
        with contextlib.redirect_stderr(TerminalText()) as stderr:
            assert main(["replay", "--redis-url", server.url, "--state-dir", str(state), *words]) == 0
        assert ("of the log" in stderr.getvalue()) is is_shown


def test_what_cannot_be_done_is_said_in_one_line(capsys, server, state, tmp_path):
    place = ["--state-dir", str(state)]
    assert "there is no event log yet" in failed(capsys, *place, "--redis-url", server.url, code=0)
    recorded(state, *many(3))
    assert "add --redis-url URL" in failed(capsys, *place, code=78)
    assert "not together with" in failed(capsys, *place, "--json-lines", "-", "--force", code=2)
    assert "no events to send" in failed(capsys, *place, "--redis-url", server.url, "--session", "x", code=0)
    url = f"redis://127.0.0.1:{redis_server.free_port()}"
    line = failed(capsys, *place, "--redis-url", url)
    assert line.startswith(f"trio_cursor: could not replay: {url}: ConnectionRefusedError")
    assert "0 events sent; it can be run again" in line
    server.call("SET", STREAM, "x")
    assert "WRONGTYPE" in failed(capsys, *place, "--redis-url", server.url)
    assert server.call("KEYS", "*seen:*-*") == []
    assert "is not a regular file" in failed(capsys, *place, "--json-lines", str(tmp_path))


def test_a_file_that_the_service_writes_is_refused(capsys, state, tmp_path, monkeypatch):
    recorded(state, *many(3))
    monkeypatch.setenv("TRIO_CURSOR_OUTPUTS__JSON_LINES__PATH", str(tmp_path / "planned"))
    line = failed(capsys, "--state-dir", str(state), "--json-lines", str(tmp_path / "planned"))
    assert "the service itself writes" in line
    with closing(open_for_writing(state)) as connection, transaction(connection):
        connection.execute("INSERT INTO cursors VALUES (?, 2, 'x')", (f"json_lines:{tmp_path / 'live'}",))
    line = failed(capsys, "--state-dir", str(state), "--json-lines", str(tmp_path / "live"))
    assert "the service itself writes" in line
    assert not (tmp_path / "live").exists()


@pytest.mark.parametrize("is_there", [True, False])
def test_so_is_the_same_file_by_another_name(capsys, state, tmp_path, monkeypatch, is_there):
    recorded(state, *many(3))
    written, folder = tmp_path / "written", tmp_path / "folder"
    monkeypatch.setenv("TRIO_CURSOR_OUTPUTS__JSON_LINES__PATH", str(written))
    folder.mkdir()
    names = [folder / ".." / "written", tmp_path / "link"]
    names[1].symlink_to(written)
    if is_there:
        written.touch()
        names.append(folder / "hard")
        names[2].hardlink_to(written)
    for name in names:
        line = failed(capsys, "--state-dir", str(state), "--json-lines", str(name))
        assert "the service itself writes" in line
    assert not is_there or written.read_text() == ""


def test_whoever_reads_only_the_beginning_has_what_he_wanted(state):
    recorded(state, *many(600, response_text="x" * 1000))
    with start("replay", "--json-lines", "-", "--state-dir", state) as child:
        assert child.stdout.readline().startswith('{"version":')
        child.stdout.close()
        assert child.wait(20) == 0
        assert child.stderr.read() == ""


SECRET = "Why does zebrafish fail for someone@example.org?"


async def entered(state, mode):
    async with open_event_log(state) as log:
        await enter_mode(log, mode)


@pytest.mark.parametrize("mode", ["redacted", "metadata"])
def test_what_was_stored_in_a_more_open_mode_is_sent_as_the_mode_of_now_has_it(
    capsys, server, state, monkeypatch, mode
):
    recorded(state, generation(uuid(1), prompt_text=SECRET, request_parameters={"a": SECRET}))
    trio.run(entered, state, "full")
    # The configuration's, or that of a service that was told on its command line.
    for number, configured in enumerate([mode, "full"]):
        monkeypatch.setenv("TRIO_CURSOR_PRIVACY__MODE", configured)
        if configured == "full":
            trio.run(entered, state, mode)
        file = state.parent / str(number)
        replayed(capsys, state, "--json-lines", str(file))
        replayed(capsys, state, "--redis-url", server.url, "--force")
        sent = stored(server)[-1]
        assert json.loads(file.read_text())["payload"] == sent.payload
        assert sent.metadata["privacy"] == mode
        assert "someone" not in file.read_text()
        assert ("zebrafish" in file.read_text()) is (mode == "redacted")
        assert sent.payload.get("prompt_length") == (len(SECRET) if mode == "metadata" else None)


def test_a_log_without_a_key_sends_no_digests(capsys, server, state, tmp_path, monkeypatch):
    recorded(state, generation(uuid(1), prompt_text=SECRET))
    monkeypatch.setenv("TRIO_CURSOR_PRIVACY__MODE", "metadata")
    for words in (["--json-lines", str(tmp_path / "x")], ["--redis-url", server.url]):
        assert "has no key for them yet; `run --once` makes it" in failed(
            capsys, "--state-dir", str(state), *words
        )
    assert not (tmp_path / "x").exists()
    assert server.call("KEYS", "*") == []


def test_who_may_not_run_scripts_is_told(capsys, state):
    recorded(state, *many(3))
    with own_server() as server:
        server.call("ACL", "SETUSER", "u", "on", ">p", "~*", "+@all", "-eval")
        url = f"redis://u:p@127.0.0.1:{server.port}"
        assert "NOPERM" in failed(capsys, "--state-dir", str(state), "--redis-url", url)
        # The rights that docs/redis.md names are enough.
        words = re.search(r"ACL SETUSER telemetry (.*?)```", REDIS, re.DOTALL)[1].split()
        server.call("ACL", "SETUSER", "u", "reset", *[">p" if word[0] == ">" else word for word in words])
        assert replayed(capsys, state, "--redis-url", url)["sent"] == 3
        # And what it says of another database.
        assert "NOPERM" in failed(capsys, "--state-dir", str(state), "--redis-url", f"{url}/1")
        server.call("ACL", "SETUSER", "u", re.search(r"`(\+\w+)` with a database", REDIS)[1])
        assert replayed(capsys, state, "--redis-url", f"{url}/1")["sent"] == 3


def test_interrupted_and_run_again_sends_the_rest(state, capsys):
    events = recorded(state, *many(2_000))
    with own_server() as server:
        server.call("CLIENT", "PAUSE", "60000", "WRITE")
        child = start("replay", "--redis-url", server.url, "--state-dir", state)
        while not server.call("CLIENT", "LIST").count(b"cmd=eval"):
            assert child.poll() is None
        os.kill(child.pid, signal.SIGINT)
        assert child.wait(10) == 130
        child.communicate()
        server.call("CLIENT", "UNPAUSE")
        replayed(capsys, state, "--redis-url", server.url)
        assert ids(stored(server)) == ids(events)
