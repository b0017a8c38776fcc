"""Event logs for commands that read them, written without a service."""

import time
from contextlib import closing

from scans import session as a_session

from trio_cursor.eventlog import Filter, append_events, open_for_writing, read_log, transaction
from trio_cursor.events import build_event, build_gap
from trio_cursor.records import Generation, Workspace

NOW = int(time.time() * 1000)
CAPTURED = {"captured_at": NOW, "host": "h"}
SITE = Workspace("/c/a1/state.vscdb", "/c", "a1", path="/home/dev/site", hash="0123456789abcdef")
#: The same path on two other machines, and here.
HOSTS = [
    Workspace(f"/c/{id_}/state.vscdb", "/c", id_, path="/code/api", hash=f"{id_:0>16}", uri=uri)
    for id_, uri in (
        ("f1", "vscode-remote://ssh-remote%2Bone/code/api"),
        ("f2", "vscode-remote://ssh-remote%2Btwo/code/api"),
        ("f3", None),
    )
]


def generation(id_, *, workspace=SITE, key=None, **fields):
    return Generation(
        **{
            "key": key or id_.lower(),
            "generation_id": id_,
            "workspace": workspace,
            "schema": "ring+conversations",
            "status": "completed",
            "timestamp": NOW - 60_000,
            "timestamp_source": "ring",
            "prompt_text": f"Why {id_[-1]}?",
            **fields,
        }
    )


def write_log(directory, *generations, gaps=()):
    with closing(open_for_writing(directory)) as connection:
        events = [
            ((item.key,), build_event(item, session=a_session("scan_a1"), **CAPTURED, max_text_bytes=9**9))
            for item in generations
        ]
        events += [((), build_gap(SITE, gap, session=a_session("scan_a1"), **CAPTURED)) for gap in gaps]
        with transaction(connection):
            append_events(connection, events)


def recorded(directory, *generations):
    """The events, as they stand in the log then."""
    write_log(directory, *generations)
    return read_log(directory, Filter())


def spoil(directory, where):
    """Make rows of the log into something that is no event."""
    with closing(open_for_writing(directory)) as connection, transaction(connection):
        connection.execute(f"UPDATE events SET body = '[]' WHERE {where}")
