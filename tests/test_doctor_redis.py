"""`doctor` and Redis: what is wrong with a real server is found, and nothing is changed there."""

import json
import socket
import sys

import pytest
import redis_server
from redis_server import RULES, own_server

from trio_cursor.cli import main

pytestmark = [
    pytest.mark.usefixtures("home"),
    pytest.mark.skipif(sys.platform == "win32", reason="no server for this platform"),
]

STREAM = "telemetry:events"
PASSWORD = "hush-hush"


@pytest.fixture
def doctor(capsys, user_dir, tmp_path):
    """What is said of Redis: by check, level and words."""

    def examine(url, *options):
        places = ["--cursor-dir", str(user_dir), "--state-dir", str(tmp_path / "state")]
        code = main(["doctor", *places, "--redis-url", url, *options])
        out, err = capsys.readouterr()
        assert PASSWORD not in out + err
        found = [item for item in map(json.loads, out.splitlines()) if item["check"].startswith("redis")]
        assert code == (3 if any(item["level"] == "finding" for item in found) else 0)
        return {(item["check"], item["level"]): item for item in found}

    return examine


def as_user(server, *rules):
    """The URL of a user with these rules."""
    server.call("ACL", "SETUSER", "telemetry", "reset", "on", f">{PASSWORD}", *rules)
    return f"redis://telemetry:{PASSWORD}@127.0.0.1:{server.port}"


@pytest.mark.parametrize("version", redis_server.versions())
def test_the_documented_rights_are_enough_and_nothing_is_written(doctor, version):
    with own_server(version=version) as server:
        url = as_user(server, *RULES)
        server.add(STREAM, {"a": "b"})
        before = server.call("XINFO", "STREAM", STREAM)
        found = doctor(url)
        assert {level for _, level in found} == {"ok"}
        assert found["redis.version", "ok"]["what"].endswith(".".join(map(str, server.version)))
        assert found["redis.stream", "ok"]["what"] == "1 entries, and no consumer group reads it"
        assert server.call("KEYS", "*") == [STREAM.encode()]
        assert server.call("XINFO", "STREAM", STREAM) == before
        server.call("DEL", STREAM)
        assert doctor(url)["redis.stream", "note"]["what"] == "is not there yet"
        assert server.call("KEYS", "*") == []


@pytest.mark.parametrize("version", redis_server.versions())
def test_what_the_rights_lack_is_named(doctor, version):
    with own_server(version=version) as server:
        url = as_user(server, *[rule for rule in RULES if rule not in ("+xadd", "+xtrim", "+evalsha")])
        found = doctor(url)
        assert found["redis.rights", "finding"]["what"] == "forbidden to the user, and needed: xadd"
        assert found["redis.rights", "finding"]["do"] == "ACL SETUSER ... +xadd"
        assert "done without: evalsha" in found["redis.rights", "note"]["what"]
        url = as_user(server, *[rule for rule in RULES if rule != "+eval"])
        found = doctor(url)
        # Transactions do as well.
        assert [key for key in found if key[1] == "finding"] == []
        url = as_user(server, *[rule for rule in RULES if rule not in ("+eval", "+multi")])
        assert "needed: eval" in doctor(url)["redis.rights", "finding"]["what"]
        url = as_user(server, *[rule for rule in RULES if rule[0] != "~"], "~else")
        assert doctor(url)["redis.rights", "finding"]["do"].endswith(f"~{STREAM} ~{{{STREAM}}}:*")


def test_a_command_that_was_renamed_away_is_forbidden_to_everybody(doctor):
    with own_server("--rename-command", "XTRIM", "", "--rename-command", "EVALSHA", "hidden") as server:
        found = doctor(server.url)
        assert ("redis.rights", "ok") not in found
        assert "done without: evalsha (renamed away)" in found["redis.rights", "note"]["what"]
    with own_server("--rename-command", "XTRIM", "") as server:
        note = doctor(server.url)["redis.rights", "note"]
        assert "nothing is trimmed: forbidden to the user: xtrim (renamed away)" in note["what"]
        assert note["do"].startswith("take rename-command xtrim out of its configuration")
    with own_server("--rename-command", "XADD", "", "--rename-command", "XINFO", "") as server:
        needed = doctor(server.url)["redis.rights", "finding"]
        assert needed["what"].endswith("and needed: xadd (renamed away), xinfo (renamed away)")


def test_a_wrong_password_and_a_port_without_a_server(doctor, server):
    as_user(server, *RULES)
    refused = doctor(f"redis://telemetry:{PASSWORD}x@127.0.0.1:{server.port}")["redis.connection", "finding"]
    assert "wrong or missing user or password" in refused["what"]
    assert "redis.password_file" in refused["do"]
    away = doctor(f"redis://127.0.0.1:{redis_server.free_port()}")["redis.connection", "finding"]
    assert "nothing listens there" in away["what"]


def test_a_password_that_would_go_over_the_network_is_a_bad_configuration(capsys):
    assert main(["doctor", "--redis-url", f"redis://user:{PASSWORD}@redis.example.org"]) == 78
    out, err = capsys.readouterr()
    [found] = map(json.loads, out.splitlines())
    assert (found["check"], found["level"], err) == ("configuration", "finding", "")
    assert "unencrypted" in found["what"]
    assert PASSWORD not in out


def test_a_server_that_never_answers_is_a_finding_and_no_hang(doctor, monkeypatch):
    monkeypatch.setattr("trio_cursor.doctor.stream.ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = doctor(f"redis://127.0.0.1:{silent.getsockname()[1]}")
        hidden = doctor(f"rediss://127.0.0.1:{silent.getsockname()[1]}")
    assert "does not answer" in found["redis.connection", "finding"]["what"]
    assert "rediss://" not in found["redis.connection", "finding"]["do"]
    # A server in the clear waits for the rest of what it takes for a command.
    assert "redis:// instead of rediss://" in hidden["redis.connection", "finding"]["do"]


def test_what_endangers_the_stream_is_a_finding(doctor):
    with own_server("--maxmemory", "200mb", "--maxmemory-policy", "allkeys-lru") as server:
        assert "allkeys-lru" in doctor(server.url)["redis.eviction", "finding"]["what"]
        server.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
        assert ("redis.eviction", "ok") in doctor(server.url)
        server.call("CONFIG", "SET", "maxmemory", "1")
        assert "memory is full" in doctor(server.url)["redis.stream", "finding"]["what"]


def test_memory_and_clock_of_the_server_are_told(capsys, doctor, server):
    memory = doctor(server.url)["redis.memory", "ok"]
    assert memory["what"].endswith("MB of memory used, without a limit of its own")
    assert memory["facts"]["bytes"] > 0
    main(["doctor", "--redis-url", server.url])
    [clock] = [
        one for one in map(json.loads, capsys.readouterr().out.splitlines()) if one["check"] == "clock"
    ]
    assert (clock["level"], "the Redis server" in clock["what"]) == ("ok", True)
    with own_server("--maxmemory", "200mb") as full:
        used = doctor(full.url)["redis.memory", "ok"]["facts"]["bytes"]
        full.call("CONFIG", "SET", "maxmemory", used + 100_000)
        assert "nearly full" in doctor(full.url)["redis.memory", "note"]["what"]


def test_a_key_that_is_no_stream(doctor, server):
    server.call("SET", STREAM, "text")
    found = doctor(server.url)["redis.stream", "finding"]
    assert "WRONGTYPE" in found["what"]
    assert "redis.stream" in found["do"]
    assert server.call("GET", STREAM) == b"text"


def test_the_group_that_holds_the_stream_is_named(doctor, server, monkeypatch):
    monkeypatch.setenv("TRIO_CURSOR_REDIS__MAX_LENGTH", "10")
    for number in range(200):
        server.add(STREAM, {"a": number}, f"{number + 1}-0")
    for group, start in (("slow", "0"), ("fast", "$")):
        server.call("XGROUP", "CREATE", STREAM, group, start)
    found = doctor(server.url)
    assert found["redis.stream", "ok"]["what"] == (
        "200 entries, read by fast (0 pending, 0 not read yet), slow (0 pending, 200 not read yet)"
    )
    assert "the group 'slow' has not acknowledged" in found["redis.group", "finding"]["what"]
    assert found["redis.group", "finding"]["do"].endswith(f"XGROUP DESTROY {STREAM} slow")


def test_each_shard_and_a_stream_of_sessions_of_their_own(capsys, doctor, server, monkeypatch):
    monkeypatch.setenv("TRIO_CURSOR_REDIS__SHARDS", "2")
    monkeypatch.setenv("TRIO_CURSOR_SESSIONS__STREAM", "told")
    server.add("told", {"a": "b"})
    doctor(server.url)
    main(["doctor", "--redis-url", server.url])
    found = [
        item for item in map(json.loads, capsys.readouterr().out.splitlines()) if "redis" in item["check"]
    ]
    subjects = {item["subject"] for item in found}
    assert subjects == {f"{server.url} {name}" for name in (f"{{{STREAM}:0}}", f"{{{STREAM}:1}}", "told")}


def test_without_redis_that_is_said(capsys):
    main(["doctor"])
    assert '"no Redis is configured: events stay in our event log"' in capsys.readouterr().out
