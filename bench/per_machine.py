"""What an idle machine costs its Redis: connections, commands, and bytes of other machines' events.

The real service is started without a Cursor beside a server of its own; a hundred events of another machine
are put on its streams, and then nothing happens any more.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from cursor_files import make_user_dir
from redis_outputs import STREAM, numbered
from redis_server import RedisServer, own_server
from to_consumer import child

from trio_cursor.redis_keys import keys_of
from trio_cursor.redis_link import CLIENT_NAME
from trio_cursor.wire import to_fields

IDLE_SECONDS, ARRIVING_SECONDS = 3.0, 1.5
OTHERS_EVENTS = 99
APART = {"SESSIONS__STREAM": "telemetry:sessions"}
ALONE = {"REDIS__SUPPRESS": "false"}
WAYS = (
    (1, "as it comes", {}),
    (1, "sessions on a stream of their own", APART),
    (1, "suppress = false", ALONE),
    (1, "both", APART | ALONE),
    (3, "as it comes", {}),
    (3, "suppress = false", ALONE),
)


def connections(server: RedisServer) -> int:
    return sum(one["name"] == CLIENT_NAME for one in server.client.client_list())


def counters(server: RedisServer) -> tuple[int, int]:
    """Commands, and bytes that were sent."""
    found = server.call("INFO", "stats")
    return found["total_commands_processed"], found["total_net_output_bytes"]


def measure(shards: int, what: str, settings: dict[str, str]) -> None:
    environment = {f"TRIO_CURSOR_{name}": value for name, value in settings.items()}
    environment["TRIO_CURSOR_REDIS__SHARDS"] = str(shards)
    with own_server() as server, tempfile.TemporaryDirectory() as place:
        user = make_user_dir(Path(place))
        words = ["run", "-q", "--cursor-dir", str(user), "--state-dir", f"{place}/state", "--http", "off"]
        words += ["--log-level", "error", "--redis-url", server.tcp_url]
        with child("-m", "trio_cursor", *words, environment=environment):
            while not connections(server):
                time.sleep(0.05)
            time.sleep(1)
            held, before = connections(server), counters(server)
            size = put(server, shards)
            time.sleep(ARRIVING_SECONDS)
            arrived = counters(server)
            time.sleep(IDLE_SECONDS)
            after = counters(server)
    copies = (arrived[1] - before[1]) / size
    commands, sent = ((now - then) / IDLE_SECONDS for now, then in zip(after, arrived, strict=True))
    print(f"{shards:6}  {what:34}{held:11} {copies:14.1f} {commands:14.1f} {sent / 1000:14.1f}", flush=True)


def put(server: RedisServer, shards: int) -> int:
    """Another machine's events; their bytes."""
    size = 0
    streams = [keys.stream for keys in keys_of(STREAM, shards)]
    for number, (_, event) in enumerate(numbered(1, OTHERS_EVENTS, text="An answer. " * 180)):
        fields = to_fields(event)
        size += sum(len(name) + len(value) for name, value in fields.items())
        server.add(streams[number % shards], fields)
    return size


def main() -> None:
    print("shards                                    connections  others' events  idle commands/s  idle kB/s")
    for way in WAYS:
        measure(*way)


if __name__ == "__main__":
    main()
