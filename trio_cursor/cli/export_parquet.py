"""Events as Parquet, with pyarrow, which comes with the extra `[parquet]`."""

from __future__ import annotations

from typing import Any, BinaryIO

from trio_cursor.cli.export_forms import COLUMNS, NUMBERS, row_of
from trio_cursor.errors import TrioCursorError
from trio_cursor.records import Event

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError as missing:
    raise TrioCursorError(
        "Parquet needs pyarrow, which is not installed: pip install 'trio-cursor[parquet]'"
    ) from missing


class ParquetForm:
    """A table with the columns of CSV, numbers as 64-bit integers and the time as such; texts as they are."""

    def __init__(self, file: BinaryIO) -> None:
        types = {"time": pa.timestamp("ms", tz="UTC")} | dict.fromkeys(NUMBERS, pa.int64())
        self._schema = pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, events: list[Event]) -> None:
        """As one group of rows."""
        columns: list[list[Any]] = [list(column) for column in zip(*map(row_of, events), strict=True)]
        found = dict(zip(COLUMNS, columns, strict=True))
        found["time"] = [
            None if text is None else number
            for text, number in zip(found["time"], found["timestamp"], strict=True)
        ]
        self._writer.write_table(
            pa.table(
                {name: [_clean(value) for value in values] for name, values in found.items()},
                schema=self._schema,
            )
        )

    def close(self) -> None:
        """Write the end, without which it is no file of this kind."""
        self._writer.close()


def _clean(value: Any) -> Any:
    """No lone surrogate stands in an event of ours, but in one that somebody else wrote into the log."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
