"""Conversations as Cursor writes them: rows of `cursorDiskKV` and `composerHeaders`."""

from __future__ import annotations

import json

from scans import NOW_MS, Budget, catalog_of, follow, memory, run, uuid

from trio_cursor.cursor.schemas.known import reread_database
from trio_cursor.observations import Place, Turn, TurnContent, TurnGone, TurnId, Wanted

KV = "CREATE TABLE cursorDiskKV (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)"
HEADERS = (
    "CREATE TABLE composerHeaders (composerId TEXT PRIMARY KEY, workspaceId TEXT, createdAt INTEGER,"
    " lastUpdatedAt INTEGER, isArchived INTEGER, isSubagent INTEGER, recency INTEGER, checkpointAt INTEGER,"
    " value TEXT)"
)
USER, ASSISTANT = 1, 2


def kv(*more):
    return memory(KV, *more)


def put(connection, key, value):
    """Write as Cursor does: a plain INSERT that replaces."""
    stored = json.dumps(value) if isinstance(value, dict | list) else value
    connection.execute("INSERT INTO cursorDiskKV VALUES (?, ?)", (key, stored))


class Chat:
    """A conversation; nothing is in the database before it is written there."""

    def __init__(self, connection, id_, *, at=NOW_MS, **fields):
        self.connection, self.id, self.at = connection, id_, at
        self.fields = {"composerId": id_, "createdAt": at, "status": "completed", **fields}
        self.messages = []

    def add(self, kind, text="", **fields):
        """A message at the end, in the headers as soon as the document is written; gives its id."""
        id_ = f"b{len(self.messages)}"
        self.messages.append({"bubbleId": id_, "type": kind, "text": text, **fields})
        return id_

    def turn(self, number, *, answers=1, **fields):
        """A question with a request id, and its answers."""
        self.add(USER, f"ask {number}", requestId=uuid(number), **fields)
        for _ in range(answers):
            self.add(ASSISTANT, f"answer {number}")
        return self

    def key(self, bubble_id):
        return f"bubbleId:{self.id}:{bubble_id}"

    def write_bubble(self, bubble_id, *, as_blob=False):
        value = json.dumps(next(one for one in self.messages if one["bubbleId"] == bubble_id))
        put(self.connection, self.key(bubble_id), value.encode() if as_blob else value)

    def document(self, *, inline=False, **fields):
        headers = [{"bubbleId": one["bubbleId"], "type": one["type"]} for one in self.messages]
        place = {"conversation": self.messages} if inline else {"fullConversationHeadersOnly": headers}
        return json.dumps({**self.fields, **place, **fields})

    def write_document(self, *, as_blob=False, inline=False, **fields):
        value = self.document(inline=inline, **fields)
        put(self.connection, f"composerData:{self.id}", value.encode() if as_blob else value)

    def write(self, *, as_blob=False, **fields):
        """Everything, the document last as Cursor does when a turn is over."""
        for message in self.messages:
            self.write_bubble(message["bubbleId"], as_blob=as_blob)
        self.write_document(as_blob=as_blob, **fields)
        return self


class Counting:
    """Makes the budgets of looks, and remembers what was answered."""

    def __init__(self, rows=None):
        self.rows, self.looks, self.answered = rows, 0, []

    def __call__(self):
        self.looks += 1
        budget = Budget(self.rows)

        def answer(connection, query):
            rows = budget(connection, query)
            self.answered.append((query.sql, rows.rows))
            return rows

        return answer

    @property
    def values(self):
        """Stored values that were answered."""
        return [row[2] for sql, rows in self.answered if "THEN value END" in sql for row in rows if row[2]]


def turns(*pages):
    return [found for page in pages for found in page.observations if isinstance(found, Turn)]


def places(*pages):
    return [found for page in pages for found in page.observations if isinstance(found, Place)]


def named(*pages):
    return [turn.generation_id for turn in turns(*pages)]


def want(conversation_id, bubble_id, *, with_content=True, schema="conversations"):
    return Wanted(schema, TurnId(conversation_id, bubble_id), with_content)


def reread(connection, *wanted, answers=Budget):
    catalog = catalog_of(connection)
    step = run(connection, reread_database(catalog, wanted), answers())
    page = follow(connection, step, answers=answers, catalog=catalog)
    return [found for found in page.observations if isinstance(found, Turn | TurnContent | TurnGone)]
