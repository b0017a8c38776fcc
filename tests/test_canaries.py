"""Known secrets in every place that nobody may read, and a real service over them: none comes out."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from contextlib import closing

import chats
import cursor_files
import pytest
import redis_server
import running
from scans import uuid

from trio_cursor.privacy import MODES

pytestmark = pytest.mark.usefixtures("unmeasured")

CANARY = "canary-that-never-leaves"
#: As Cursor names them, and names that only begin or end like what is read.
KEYS = [
    "cursorAuth/accessToken",
    "cursorAuth/refreshToken",
    "cursorAuth/cachedEmail",
    "cursorAuth/openAIKey",
    'secret://{"extensionId":"example.publisher","key":"token"}',
    "secret://aiService.generations",
    "aiService.generations.old",
    "AIService.generations",
    "composer.composerData.backup",
    "src.vs.platform.reactivestorage.browser.reactiveStorageServiceImpl.persistentStorage.applicationUser",
    "history.entries",
    "workbench.panel.aichat.view.x.token",
]
DISK_KEYS = ["composerSecret:x", "bubbleId", "composerDat", "agentKv:blob:00", "secret://composerData:c1"]
PASSWORD = f"{CANARY}-of-redis"


def fill(path, *, number=None):
    """Secrets, and beside them what is to be reported."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(cursor_files.ITEM_TABLE)
        connection.execute(chats.KV)
        connection.execute("CREATE TABLE secrets (key TEXT, value TEXT)")
        connection.execute("INSERT INTO secrets VALUES ('token', ?)", (CANARY,))
        for key in KEYS:
            # As a value of its own, and as what might be taken for a ring.
            value = json.dumps([{"generationUUID": CANARY, "textDescription": f"{key} {CANARY}"}])
            connection.execute(cursor_files.SET_ITEM, (key, value))
        for key in DISK_KEYS:
            chats.put(connection, key, {"text": CANARY, "requestId": CANARY})
        if number is not None:
            item = cursor_files.ring_item(generationUUID=uuid(number), type="cmdk", token=CANARY)
            connection.execute(cursor_files.SET_ITEM, (cursor_files.RING_KEY, json.dumps([item])))
            chat = chats.Chat(connection, f"c{number}", secret=CANARY, blobEncryptionKey=CANARY)
            chat.turn(number + 100, accessToken=CANARY, toolFormerData={"name": "x", "result": CANARY})
            chat.write()


def everything(state, server, lines, stderr, commands):
    """By name, all that has come out of the service."""
    found = {path.name: path.read_bytes() for path in state.rglob("*") if path.is_file()}
    found |= {
        "JSON lines": lines.read_bytes(),
        "stderr": stderr.read_bytes(),
        "stream": server.dump(),
        **commands,
    }
    return found


class Server(redis_server.RedisServer):
    """With a password, and all that lies in it."""

    def __init__(self):
        super().__init__("--requirepass", PASSWORD)

    @property
    def secret_url(self):
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def dump(self):
        """Every key with its value, as it is: DUMP would compress it."""
        readers = {
            b"stream": self.client.xrange,
            b"string": self.client.get,
        }
        found = [(key, readers[self.client.type(key)](key)) for key in self.client.scan_iter()]
        return repr(found).encode()


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.close()


def outputs_of(state, user, *commands):
    """What each command says, by its name."""
    places = ["--json", "--state-dir", state, "--cursor-dir", user]
    running_ones = {words[0]: running.start(*words, *places, text=False) for words in commands}
    return {name: b"".join(child.communicate()) for name, child in running_ones.items()}


@pytest.mark.parametrize("mode", MODES)
def test_no_canary_comes_out_anywhere(tmp_path, server, mode):
    user, state, lines = cursor_files.make_user_dir(tmp_path), tmp_path / "state", tmp_path / "events.jsonl"
    for number, name in enumerate(("a1", "a2")):
        fill(cursor_files.make_workspace(user, name), number=number)
    fill(user / "globalStorage/state.vscdb", number=2)
    # One that cannot be read, whose trouble is told.
    fill(broken := cursor_files.make_workspace(user, "a3"))
    broken.write_bytes(broken.read_bytes()[:5000] + CANARY.encode() * 100)
    server.client.flushall()
    server.client.xadd("telemetry:events", {"event_type": "session_start", "payload": "not JSON"})
    words = running.command(
        user, state, "-v", "--log-format", "json", "--privacy", mode, "--json-lines", lines
    )
    words = [word for word in words if word != "-q"]
    stderr = tmp_path / "stderr"
    with stderr.open("wb") as file:
        service = subprocess.Popen(
            [*words, "--redis-url", server.secret_url], stderr=file, env={**os.environ, **running.SOON}
        )
        try:
            running.until(lambda: lines.exists() and lines.read_bytes().count(b"\n") >= 4, service)
            running.until((state / "status.json").exists, service)
            running.until(lambda: server.client.xlen("telemetry:events") >= 5, service)
            commands = outputs_of(state, user, ["status"], ["workspaces"], ["events"], ["show", uuid(0)])
            # While it runs: the changes beside the log too.
            found = everything(state, server, lines, stderr, commands)
        finally:
            service.terminate()
            service.wait()
    assert {"events.sqlite3", "events.sqlite3-wal", "status.json"} <= found.keys()
    assert all(found[name] for name in ("JSON lines", "stderr", "stream", "status", "workspaces", "events"))
    assert uuid(0).encode() in found["show"]
    assert uuid(0).encode() in found["stream"]
    found |= {"stderr at the end": stderr.read_bytes()}
    assert [name for name, held in found.items() if CANARY.encode() in held] == []
