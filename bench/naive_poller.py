"""The poller that anybody would write first, as the specification describes it: what ours is compared with.

Every 30 seconds it opens each database, asks for what has a higher `data_version` than the highest it has
seen, fetches all of it, and adds it to a Redis stream, one XADD a row, trimmed as it goes. It has no log,
no positions on disk, and no idea of what it has sent before it was started.

    naive_poller.py USER_DIR REDIS_URL [--every SECONDS] [--once] [--max-length N]
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import time
import uuid
from pathlib import Path

import redis

STREAM = "telemetry:events"
TABLE = '"aiService.generations"'
EVERY_SECONDS = 30.0
MAX_LENGTH = 10_000


def poll(path: Path, last: int, client: redis.Redis, max_length: int) -> int:
    """Send what is new in one database; the highest version that it has now."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)
    try:
        highest = connection.execute(f"SELECT MAX(data_version) FROM {TABLE}").fetchone()[0] or 0
        if highest <= last:
            return last
        asked = f"SELECT uuid, data_version, value, timestamp FROM {TABLE} WHERE data_version > ?"
        rows = connection.execute(f"{asked} ORDER BY data_version", (last,)).fetchall()
    finally:
        connection.close()
    for id_, version, value, timestamp in rows:
        generation = json.loads(value)
        payload = {
            "generation_id": id_,
            "data_version": version,
            "model": generation.get("model"),
            "response_text": generation.get("responseText"),
            "tokens_used": generation.get("promptTokens", 0) + generation.get("completionTokens", 0),
            "full_generation_data": generation,
        }
        fields = {
            "event_id": str(uuid.uuid4()),
            "event_type": "database_trace",
            "timestamp": timestamp,
            "metadata": json.dumps({"workspace_hash": path.parent.name, "captured_at": time.time()}),
            "payload": json.dumps(payload),
        }
        client.xadd(STREAM, fields, maxlen=max_length or None, approximate=True)
    return highest


def main() -> None:
    """Poll until ended, or once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("user", type=Path)
    parser.add_argument("url")
    parser.add_argument("--every", type=float, default=EVERY_SECONDS)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--max-length", type=int, default=MAX_LENGTH, help="0: it is not trimmed")
    arguments = parser.parse_args()
    client = redis.Redis.from_url(arguments.url)
    last: dict[Path, int] = {}
    while True:
        for path in arguments.user.glob("workspaceStorage/*/state.vscdb"):
            try:
                last[path] = poll(path, last.get(path, 0), client, arguments.max_length)
            except sqlite3.OperationalError:
                continue  # next time
        if arguments.once:
            return
        time.sleep(arguments.every)


if __name__ == "__main__":
    main()
