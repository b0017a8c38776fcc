"""Announced sessions: a service that hears of them, workspaces to work in, and what is said of both."""

from __future__ import annotations

import json
import time

import attrs
import cursor_files
from deadlines import until
from serving import MONITOR, id_of

from trio_cursor.config import AssemblyConfig, Config, CursorConfig, HttpConfig, SessionsConfig, StateConfig
from trio_cursor.cursor.folders import workspace_hash

STREAM = "telemetry:events"


def announced_config(user_dir, tmp_path, **more):
    """Of a service with announced sessions alone, by files if nothing else is said; `more` are sections."""
    sections = {
        "http": HttpConfig(listen="off"),
        "cursor": CursorConfig(dirs=(str(user_dir),)),
        "state": StateConfig(dir=str(tmp_path / "state")),
        "sessions": SessionsConfig(
            mode="extension", files_dir=str(tmp_path / "sessions"), end_grace_seconds=0.3
        ),
        "assembly": AssemblyConfig(ring_grace_seconds=0.05, conversation_wait_seconds=0.05),
        "cursor_database_monitor": attrs.evolve(MONITOR, sync_window_hours=24),
    }
    return Config(**sections | more)


def in_mode(config, mode):
    return attrs.evolve(config, sessions=attrs.evolve(config.sessions, mode=mode))


def now_ms():
    return int(time.time() * 1000)


@attrs.define
class Place:
    """A workspace, and how its extension speaks of it."""

    database: object
    path: str
    items: list = attrs.field(factory=list)

    @classmethod
    def made(cls, user_dir, name):
        path = f"/home/demo/{name}"
        return cls(cursor_files.make_workspace(user_dir, name, [], folder=path), path)

    @property
    def hash(self):
        return workspace_hash(self.path)

    def ask(self, *, ago_ms=0, kind="cmdk"):
        """Somebody asks something there; its id."""
        self.items.append(cursor_files.ring_item(unixMs=now_ms() - ago_ms, type=kind))
        cursor_files.write_ring(self.database, self.items[-100:])
        return id_of(self.items[-1])


def fields(kind, session_id, place, **payload):
    """An entry of the stream."""
    return {
        "event_type": kind,
        "hook_type": "SessionStart" if kind == "session_start" else "SessionEnd",
        "payload": json.dumps({"session_id": session_id, "workspace_path": place.path, **payload}),
        "metadata": json.dumps({"workspace_hash": place.hash}),
    }


def sessions_of(handle):
    """Ids of the open sessions, by workspace."""
    return {
        item.workspace_id: {session["id"] for session in item.sessions}
        for item in handle.status().workspaces
        if item.sessions
    }


def is_open(handle, session_id):
    return any(session_id in ids for ids in sessions_of(handle).values())


async def session_is_open(handle, session_id):
    await until(lambda: is_open(handle, session_id))
