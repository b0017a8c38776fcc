"""The SQL tables of the specification, which no published Cursor database has, and we read all the same.

Rows come in all the forms that a reader has to take: TEXT, BLOB, NULL, no JSON at all, a version used twice,
an id repeated or missing, a time in three spellings.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import attrs

from trio_cursor.demo import texts
from trio_cursor.demo.javascript import stringify
from trio_cursor.demo.ring import new_id

if TYPE_CHECKING:
    from random import Random

    from trio_cursor.demo.ledger import Entry
    from trio_cursor.demo.storage import Storage
    from trio_cursor.observations import Json, JsonObject

#: Word on the command line -> schema in events, table of generations, table of prompts, dots and all.
SCHEMAS: Final = {
    "v1": ("tables_v1", '"aiService.generations"', '"aiService.prompts"'),
    "v2": ("tables_v2", '"ai.generations"', '"ai.prompts"'),
    "plain": ("tables_plain", '"generations"', '"prompts"'),
}
_COLUMNS: Final = {
    "v1": "uuid TEXT, data_version INTEGER, value TEXT, timestamp INTEGER",
    "v2": "uuid TEXT, data_version INTEGER, value BLOB, timestamp INTEGER",
    # Any order, and columns that nobody knows.
    "plain": "id INTEGER PRIMARY KEY, timestamp INTEGER, value TEXT, note TEXT, data_version INT, uuid TEXT",
}

_FOREIGN_ID = 0.05
_SAME_VERSION = 0.05
_NULL_VALUE = 0.02
_NOT_JSON = 0.02
_BLOB = 0.1
_REPEATED = 0.03
_WITHOUT_ID = 0.02
_WITHOUT_PROMPT = 0.1
_OTHER_TEXT_KEY = 0.1
_WITHOUT_TOTAL = 0.5
_MODEL_UNKNOWN = 0.05


class GenerationTables:
    """Generations and prompts as rows; one version and one id per row, mostly."""

    def __init__(self, kind: str, random: Random) -> None:
        self.schema, self._generations, self._prompts = SCHEMAS[kind]
        self.statements = (
            f"CREATE TABLE IF NOT EXISTS {self._generations} ({_COLUMNS[kind]})",
            f"CREATE TABLE IF NOT EXISTS {self._prompts} (uuid TEXT, text TEXT, timestamp INTEGER)",
        )
        self._random = random
        self._version = 0

    def resume(self, storage: Storage) -> None:
        """Go on counting versions where the table ends."""
        query = f"SELECT coalesce(max(data_version), 0) FROM {self._generations}"  # noqa: S608 a name of our table above
        ((self._version,),) = storage.query(query)

    def holds(self, storage: Storage, generation_id: str) -> bool:
        query = f"SELECT 1 FROM {self._generations} WHERE uuid = ?"  # noqa: S608 as above
        return bool(storage.query(query, generation_id))

    def add(self, storage: Storage, template: Entry, unix_ms: int) -> Entry:
        """Write a generation with its prompt; give what an honest reader makes of it."""
        random = self._random
        if random.random() >= _SAME_VERSION:
            self._version += 1
        generation_id = new_id(random)
        if random.random() < _FOREIGN_ID:
            generation_id = f"gen-{generation_id[:13]}"
        entry = attrs.evolve(
            template,
            generation_id=generation_id,
            schema=self.schema,
            unix_ms=unix_ms,
            data_version=self._version,
        )
        value: str | bytes | None
        if random.random() < _NULL_VALUE:
            value = None
        elif random.random() < _NOT_JSON:
            value = "{this was never JSON"
        else:
            entry = self._describe(entry)
            value = stringify(self._value(entry))
            if random.random() < _BLOB:
                value = value.encode()
        # Where the value has a time, it goes before the one in the column.
        self._insert(storage, generation_id, value, unix_ms + (7 if entry.response_text is not None else 0))
        if entry.prompt_id is not None:
            statement = f"INSERT INTO {self._prompts} (uuid, text, timestamp) VALUES (?, ?, ?)"  # noqa: S608 as above
            storage.execute(statement, entry.prompt_id, entry.prompt_text, unix_ms - 12)
        if random.random() < _REPEATED:
            self._insert(storage, generation_id, stringify({"responseText": "the first row counts"}), unix_ms)
        if random.random() < _WITHOUT_ID:
            self._insert(storage, None, stringify({"responseText": "whose?"}), unix_ms)
        return entry

    def _insert(
        self, storage: Storage, generation_id: str | None, value: str | bytes | None, timestamp: int
    ) -> None:
        storage.execute(
            f"INSERT INTO {self._generations} (uuid, data_version, value, timestamp) VALUES (?, ?, ?, ?)",  # noqa: S608
            generation_id,
            self._version,
            value,
            timestamp,
        )

    def _describe(self, entry: Entry) -> Entry:
        random = self._random
        prompt_tokens, completion_tokens = random.randint(200, 60_000), random.randint(5, 4_000)
        with_prompt = random.random() >= _WITHOUT_PROMPT
        return attrs.evolve(
            entry,
            model=None if random.random() < _MODEL_UNKNOWN else random.choice(texts.MODELS),
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            tokens_used=prompt_tokens + completion_tokens,
            response_text=texts.answer(random),
            prompt_id=new_id(random) if with_prompt else None,
            # A lone surrogate cannot stand in a TEXT column.
            prompt_text=_whole(texts.prompt(random)) if with_prompt else None,
        )

    def _value(self, entry: Entry) -> JsonObject:
        random = self._random
        value: JsonObject = {
            # "default" is Cursor's Auto, which is not the name of a model.
            "model": entry.model or "default",
            "promptTokens": entry.prompt_tokens,
            "completionTokens": entry.completion_tokens,
            "text" if random.random() < _OTHER_TEXT_KEY else "responseText": entry.response_text,
            "requestParameters": {"temperature": 0, "maxMode": False},
            "timestamp": random.choice(_SPELLINGS)(entry.unix_ms),
        }
        if random.random() >= _WITHOUT_TOTAL:
            value["tokensUsed"] = entry.tokens_used
        if entry.prompt_id is not None:
            value["promptId"] = entry.prompt_id
        return value


def _whole(text: str) -> str:
    return text.encode("utf-8", "ignore").decode()


def _integer(unix_ms: int) -> Json:
    return unix_ms


def _digits(unix_ms: int) -> Json:
    return str(unix_ms)


def _iso_8601(unix_ms: int) -> Json:
    at = datetime.fromtimestamp(unix_ms // 1000, UTC).replace(microsecond=unix_ms % 1000 * 1000)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_SPELLINGS: Final = (_integer, _digits, _iso_8601)
