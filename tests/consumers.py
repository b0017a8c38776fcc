"""For the tests of consumers: entries on a stream, and what the server says of a group."""

from __future__ import annotations

import json

import trio
from log_events import event
from scans import uuid

from trio_cursor.events import event_id
from trio_cursor.reader import open_reader
from trio_cursor.wire import to_fields

STREAM = "telemetry:events"
DEAD = "{telemetry:events}:dlq"
GROUP = "g"


def put(server, *numbers, stream=STREAM):
    """Events of ours, by number; returns the ids of their entries."""
    return [server.add(stream, to_fields(event(number))) for number in numbers]


def put_foreign(server, number, stream=STREAM):
    """The same generation by another producer, in the specification's form."""
    payload = {"trace_type": "generation", "generation_id": uuid(number).upper(), "model": "m"}
    fields = {"event_type": "database_trace", "event_id": "their-own", "session_id": "s"}
    return server.add(stream, fields | {"payload": json.dumps(payload), "metadata": "{}"})


def id_of(number):
    return event_id(uuid(number))


def reading(where, **options):
    """A reader with short times, of a server or a URL."""
    options = {"group": GROUP, "claim_after_seconds": 0.2, **options}
    return open_reader(where if isinstance(where, str) else where.url, **options)


async def received(reader, number):
    """The next deliveries, neither acknowledged nor let go."""
    with trio.fail_after(20):
        return [await reader.receive() for _ in range(number)]


async def dealt_with(reader, number):
    """The ids of the next events, each acknowledged."""
    found = []
    with trio.fail_after(20):
        for _ in range(number):
            delivery = await reader.receive()
            found.append(delivery.event.event_id)
            await delivery.ack()
    return found


def pending(server, *, stream=STREAM, group=GROUP):
    """Id, consumer and number of deliveries of each entry that is not acknowledged."""
    found = server.client.xpending_range(stream, group, "-", "+", 1000)
    return [(one["message_id"].decode(), one["consumer"].decode(), one["times_delivered"]) for one in found]


def dead_letters(server, key=DEAD):
    return [fields for _, fields in server.call("XRANGE", key, "-", "+")]
