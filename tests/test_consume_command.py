"""`consume`: what was printed is acknowledged, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import sys

import pytest
from consumers import GROUP, STREAM, dead_letters, id_of, pending, put
from deadlines import until
from log_events import event
from running import on_terminal, start

from trio_cursor.cli import main
from trio_cursor.events import to_json

pytestmark = pytest.mark.usefixtures("home")


def ids(text):
    return [json.loads(line)["event_id"] for line in text.splitlines()]


def consume(server, *words, **options):
    return start("consume", "--redis-url", server.url, "--group", GROUP, *words, **options)


def test_so_many_as_were_asked_for_as_json_lines(server, capsys):
    put(server, 1, 2, 3)
    assert main(["consume", "--redis-url", server.url, "--count", "2"]) == 0
    assert capsys.readouterr().out.splitlines() == [to_json(event(1)), to_json(event(2))]
    assert main(["consume", "--redis-url", server.url, "--count", "1", "--json"]) == 0
    assert ids(capsys.readouterr().out) == [id_of(3)]
    assert pending(server, group="trio-cursor") == []


def test_for_a_person_the_words_of_tail(server):
    server.add(STREAM, {"event_type": "database_trace"})
    put(server, 1)
    code, text = on_terminal("consume", "--redis-url", server.url, "--group", GROUP, "--count", "1")
    assert code == 0
    assert "project" in text
    assert "(no prompt)" in text
    assert dead_letters(server)[0][b"dead_group"] == GROUP.encode()


def test_streams_and_shards_as_configured(server, capsys, monkeypatch, tmp_path):
    (tmp_path / "config.toml").write_text("[redis]\nshards = 2\nurl = 'env'\n")
    monkeypatch.setenv("REDIS_URL", server.url)
    put(server, 1, stream="{mine:0}")
    put(server, 2, stream="{mine:1}")
    words = ["consume", "-c", str(tmp_path / "config.toml"), "--stream", "mine", "--count", "2"]
    assert main([*words, "--consumer", "me"]) == 0
    assert sorted(ids(capsys.readouterr().out)) == sorted([id_of(1), id_of(2)])
    names = [one["name"] for one in server.client.xinfo_consumers("{mine:0}", "trio-cursor")]
    assert names == [b"me"]


def test_without_a_server_to_ask_it_says_what_to_add(capsys):
    assert main(["consume"]) == 78
    assert "could not consume: no Redis is named; add --redis-url" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--count", "0"], ["--group", ""], ["--consumer", " "]])
def test_what_makes_no_sense_is_refused(words):
    with pytest.raises(SystemExit) as caught:
        main(["consume", *words])
    assert caught.value.code == 2


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
async def test_a_signal_ends_it_in_good_order(server, unmeasured, number, code):
    put(server, 1)
    child = consume(server)
    assert ids(child.stdout.readline()) == [id_of(1)]
    await until(lambda: pending(server) == [])
    child.send_signal(number)
    out, err = child.communicate(timeout=20)
    assert (child.returncode, out) == (code, "")
    assert "Traceback" not in err


async def test_what_was_printed_is_acknowledged_however_long_the_server_takes(server, monkeypatch):
    monkeypatch.setenv("TRIO_CURSOR_SERVICE__SHUTDOWN_GRACE_SECONDS", "0.1")
    put(server, 1)
    server.call("XGROUP", "CREATE", STREAM, GROUP, "0")
    server.call("CONFIG", "RESETSTAT")
    server.call("CONFIG", "SET", "maxmemory", "1")
    try:
        child = consume(server, "--count", "1")
        # The pauses between so many refusals are longer than what an end would wait.
        await until(lambda: refusals(server) >= 3)
        assert child.poll() is None
        assert len(pending(server)) == 1
    finally:
        server.call("CONFIG", "SET", "maxmemory", "0")
    out, err = child.communicate(timeout=20)
    assert (child.returncode, ids(out)) == (0, [id_of(1)]), err
    assert pending(server) == []


def refusals(server):
    """How often the server had no memory for something."""
    return server.call("INFO", "errorstats").get("errorstat_OOM", {"count": 0})["count"]


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
async def test_what_nobody_read_is_not_acknowledged(server, unmeasured):
    put(server, 1)
    ours, theirs = os.pipe()
    os.close(ours)
    child = consume(server, "-q", stdout=theirs)
    os.close(theirs)
    assert child.communicate(timeout=20) == (None, "")
    assert child.returncode == 0
    assert len(pending(server)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
async def test_a_reader_that_has_gone_to_sleep_does_not_keep_it(server, unmeasured):
    payload = json.dumps({"generation_id": "1", "response_text": "x" * 1_000_000})  # more than a pipe takes
    server.add(STREAM, {"event_type": "database_trace", "payload": payload, "session_id": "s"})
    child = consume(server)
    assert child.stdout.read(1) == "{"
    child.send_signal(signal.SIGTERM)
    assert child.wait(20) == 0
    child.communicate()
    assert len(pending(server)) == 1
