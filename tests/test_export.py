"""`export`: the log as rows for other programs, whole or not at all, and never where it must not be."""

import csv
import io
import json
import os
import stat
import subprocess
import sys
import tracemalloc
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from running import EVIL, SAFE
from scans import uuid
from small_logs import NOW, generation, recorded, spoil, write_log

from trio_cursor.cli import export_command, main
from trio_cursor.cli.export_forms import COLUMNS, NUMBERS, CsvForm, row_of
from trio_cursor.cli.out_file import OutFile
from trio_cursor.errors import TrioCursorError
from trio_cursor.eventlog import Filter, open_for_writing, read_log, transaction
from trio_cursor.events import to_json
from trio_cursor.records import Event, Gap, Workspace

pytestmark = pytest.mark.usefixtures("home")

HISTORY = (Path(__file__).parent.parent / "docs" / "history.md").read_text(encoding="utf-8")
HOUR = 3_600_000


def exported(state, path, *words, code=0):
    assert main(["export", "--out", str(path), "--state-dir", str(state), *words]) == code


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def files_in(directory):
    return sorted(entry.name for entry in directory.iterdir() if entry.is_file())


# -- Forms -----------------------------------------------------------------------------------------------


def test_json_lines_are_those_of_the_output_with_gap_records_and_whole_texts(capsysbinary, state, tmp_path):
    write_log(
        state,
        generation(uuid(1), prompt_text="ä\u2028" * 10_000, full_generation_data={"a": 1}),
        generation(uuid(2)),
        gaps=[Gap("ring", "missed", None, NOW)],
    )
    expected = "".join(f"{to_json(event)}\n" for event in read_log(state, Filter(event_type=None))).encode()
    assert expected.count(b"\n") == 3
    exported(state, tmp_path / "x.jsonl")
    assert (tmp_path / "x.jsonl").read_bytes() == expected
    assert capsysbinary.readouterr().err == f"3 records written to {tmp_path / 'x.jsonl'}\n".encode()
    assert main(["export", "--state-dir", str(state)]) == 0
    assert capsysbinary.readouterr() == (expected, b"")


def test_csv_has_every_column_and_leaves_empty_what_is_not_known(state, tmp_path):
    write_log(
        state,
        generation(
            uuid(1),
            timestamp=1_760_000_000_123,
            prompt_text='a "b",\r\nc\n',
            tokens_used=5,
            duration_ms=0,
            tool_calls=({"name": "read", "status": "ok"},),
        ),
        gaps=[Gap("ring", "missed", None, NOW)],
    )
    exported(state, tmp_path / "x.csv")
    (row,) = rows_of((tmp_path / "x.csv").read_bytes().decode())
    assert list(row) == list(COLUMNS)
    assert (row["sequence"], row["generation_id"]) == ("1", uuid(1))
    assert (row["time"], row["timestamp"]) == ("2025-10-09T08:53:20.123Z", "1760000000123")
    assert row["prompt_text"] == 'a "b",\r\nc\n'
    assert (row["tokens_used"], row["prompt_tokens"], row["duration_ms"]) == ("5", "", "0")
    assert (row["model"], row["workspace_path"]) == ("unknown", "/home/dev/site")
    assert json.loads(row["tool_calls"]) == [{"name": "read", "status": "ok"}]


def test_no_cell_is_a_formula(state, tmp_path):
    texts = ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", " =1", "＝1"]  # noqa: RUF001 - meant
    write_log(state, *(generation(uuid(n), prompt_text=text) for n, text in enumerate(texts)))
    exported(state, tmp_path / "x.csv")
    rows = rows_of((tmp_path / "x.csv").read_bytes().decode())
    assert [row["prompt_text"] for row in rows] == [f"'{text}" for text in texts]


def test_on_a_terminal_csv_only_shows():
    event = Event(1, "e", NOW, "s", {}, {"prompt_text": f"{EVIL}\nb"})
    file = io.BytesIO()
    CsvForm(file, is_terminal=True).write([event])
    assert f'"{SAFE}\nb"'.encode() in file.getvalue()
    assert b"\x1b" not in file.getvalue()


@pytest.mark.parametrize("value", [True, 1.5, "5", 2**63, -(2**63) - 1, [], {}])
def test_a_number_of_another_kind_is_not_known(value):
    event = Event(1, "e", 10**30, "s", {"host": value}, dict.fromkeys(("tokens_used", "status"), value))
    row = dict(zip(COLUMNS, row_of(event), strict=True))
    assert (row["tokens_used"], row["timestamp"], row["time"]) == (None, None, None)
    assert row["status"] == row["host"] == (value if isinstance(value, str) else None)


def test_the_columns_are_those_of_the_document():
    told = [line.split("`")[1] for line in HISTORY.splitlines() if line.startswith("| `")]
    assert [name for name in told if name in COLUMNS] == list(COLUMNS)
    assert set(COLUMNS) >= NUMBERS


def test_parquet_has_the_same_rows_with_types(state, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    write_log(
        state,
        *(generation(uuid(n), timestamp=1_760_000_000_000 + n, tokens_used=n or None) for n in range(5)),
        generation(uuid(9), timestamp=10**17, prompt_text="=1"),
    )
    with closing(open_for_writing(state)) as connection, transaction(connection):
        body = connection.execute("SELECT body FROM events WHERE seq = 1").fetchone()[0]
        changed = body.replace('"prompt_text":"Why 0?"', '"prompt_text":"\\ud800"')
        assert changed != body
        connection.execute("UPDATE events SET body = ? WHERE seq = 1", (changed,))
    exported(state, tmp_path / "x.parquet")
    table = parquet.read_table(tmp_path / "x.parquet")
    assert table.column_names == list(COLUMNS)
    assert {field.name for field in table.schema if str(field.type) == "int64"} == NUMBERS
    assert str(table.schema.field("time").type) == "timestamp[ms, tz=UTC]"
    rows = table.to_pylist()
    assert [row["tokens_used"] for row in rows] == [None, 1, 2, 3, 4, None]
    assert rows[1]["time"] == datetime.fromtimestamp(1_760_000_000, UTC).replace(microsecond=1000)
    assert (rows[5]["time"], rows[5]["prompt_text"]) == (None, "=1")
    assert rows[0]["prompt_text"] == "?"


def test_without_pyarrow_parquet_says_what_to_install(capsys, state, tmp_path, monkeypatch):
    write_log(state, generation(uuid(1)))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "trio_cursor.cli.export_parquet", raising=False)
    exported(state, tmp_path / "x.parquet", code=1)
    assert "pip install 'trio-cursor[parquet]'" in capsys.readouterr().err
    assert files_in(tmp_path) == []


def test_parquet_is_not_for_a_terminal(capsys, state, monkeypatch):
    write_log(state, generation(uuid(1)))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["export", "--format", "parquet", "--state-dir", str(state)]) == 2
    assert "name a file with --out" in capsys.readouterr().err


def test_a_form_that_is_named_goes_before_the_name_of_the_file(state, tmp_path):
    write_log(state, generation(uuid(1)))
    exported(state, tmp_path / "x.txt", "--format", "csv")
    assert (tmp_path / "x.txt").read_text().startswith("sequence,event_id,")
    exported(state, tmp_path / "y.txt")
    assert (tmp_path / "y.txt").read_text().startswith('{"version":')


# -- Which ones ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--since", "90m"], [1, 3]),
        (["--workspace", "site"], [1, 2, 3]),
        (["--workspace", "site", "--since", "90m"], [1, 3]),
        (["--session", "scan_a1"], [1, 2, 3]),
    ],
)
def test_a_window_is_chosen_as_by_events(capsys, state, tmp_path, words, expected):
    recorded(state, *(generation(uuid(n), timestamp=NOW - HOUR - n % 2 * HOUR) for n in range(3)))
    exported(state, tmp_path / "x.csv", "--json", *words)
    rows = rows_of((tmp_path / "x.csv").read_bytes().decode())
    assert [int(row["sequence"]) for row in rows] == expected
    assert json.loads(capsys.readouterr().out) == {"written": len(expected)}


def test_it_leaves_us_as_the_privacy_mode_has_it(state, tmp_path, monkeypatch):
    place = Workspace("/c/a1/state.vscdb", "/c", "a1", path="/home/dev/x", hash="0" * 16)
    write_log(state, generation(uuid(1), workspace=place, prompt_text="mail me@example.org"))
    monkeypatch.setenv("TRIO_CURSOR_PRIVACY__MODE", "redacted")
    exported(state, tmp_path / "x.jsonl")
    assert "me@example.org" not in (tmp_path / "x.jsonl").read_text()
    monkeypatch.setenv("TRIO_CURSOR_PRIVACY__MODE", "metadata")
    exported(state, tmp_path / "y.jsonl", code=1)  # without a key for digests
    assert files_in(tmp_path) == ["x.jsonl"]


def test_a_large_log_is_written_in_order_and_in_little_memory(state, tmp_path, monkeypatch):
    monkeypatch.setattr(export_command, "_BATCH_BYTES", 400_000)
    write_log(state, *(generation(uuid(n), response_text="x" * 20_000) for n in range(600)))
    spoil(state, "seq = 300")
    tracemalloc.start()
    try:
        exported(state, tmp_path / "x.csv")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    rows = rows_of((tmp_path / "x.csv").read_bytes().decode())
    assert [int(row["sequence"]) for row in rows] == [n for n in range(1, 601) if n != 300]
    assert peak < 6_000_000 < (tmp_path / "x.csv").stat().st_size


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_of_nothing_the_file_has_no_rows_and_nothing_of_what_was_there(capsys, state, tmp_path, form):
    if form == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
    write_log(state, generation(uuid(1), timestamp=NOW - 2 * HOUR))
    path = tmp_path / f"x.{form}"
    exported(state, path)
    capsys.readouterr()
    exported(state, path, "--since", "1h", "--json")
    out, err = capsys.readouterr()
    assert json.loads(out) == {"written": 0}
    assert err == f"no events that match in {state}\n0 records written to {path}\n"
    if form == "parquet":
        table = parquet.read_table(path)
        assert (table.num_rows, table.column_names) == (0, list(COLUMNS))
    else:
        assert path.read_text() == ("" if form == "jsonl" else ",".join(COLUMNS) + "\n")
    exported(state, "-", "--since", "1h", "--format", form)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("words", [["--workspace", "elsewhere"], ["--session", "nobody"]])
def test_without_a_log_or_for_a_name_that_nobody_knows_the_file_stays(capsys, state, tmp_path, words):
    path = tmp_path / "x.csv"
    path.write_text("old")
    exported(state, path)
    assert "0 records" not in capsys.readouterr().err
    write_log(state, generation(uuid(1)))
    exported(state, path, *words, code=1)
    assert (path.read_text(), files_in(tmp_path)) == ("old", ["x.csv"])


# -- The file --------------------------------------------------------------------------------------------


def test_the_file_is_for_its_owner_and_replaces_what_a_link_points_to(state, tmp_path):
    write_log(state, generation(uuid(1)))
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("old")
    link.symlink_to(real)
    exported(state, link, "-q")
    assert link.is_symlink()
    assert real.read_text().startswith("sequence,")
    if os.name == "posix":
        assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert files_in(tmp_path) == ["link.csv", "real.csv"]


def test_what_fails_in_the_middle_leaves_what_was_there(state, tmp_path, monkeypatch):
    write_log(state, generation(uuid(1)))
    path = tmp_path / "x.csv"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CsvForm, "write", full)
    exported(state, path, code=1)
    assert (path.read_text(), files_in(tmp_path)) == ("old", ["x.csv"])


def test_a_file_that_cannot_be_put_in_its_place_is_not_left_beside_it(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "replace", refused)
    with OutFile(tmp_path / "x") as out:
        out.write("text")
        with pytest.raises(TrioCursorError, match="Operation not permitted"):
            out.keep()
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("place", ["missing/x.csv", "", "x\0y"])
def test_a_place_that_is_none_is_said_in_one_line(capsys, state, tmp_path, place):
    write_log(state, generation(uuid(1)))
    exported(state, f"{tmp_path}/{place}", "--format", "csv", code=1)
    err = capsys.readouterr().err
    assert err.startswith("trio_cursor: could not write")
    assert err.count("\n") == 1


def test_nothing_is_written_into_cursors_directories_or_over_a_database(capsys, state, user_dir, tmp_path):
    write_log(state, generation(uuid(1)))
    before = sorted(user_dir.rglob("*"))
    exported(state, user_dir / "globalStorage" / "x.csv", code=1)
    link = tmp_path / "innocent"
    link.symlink_to(user_dir / "workspaceStorage", target_is_directory=True)
    exported(state, link / "x.csv", code=1)
    assert capsys.readouterr().err.count("which is Cursor's: nothing is ever written there") == 2
    assert sorted(user_dir.rglob("*")) == before
    exported(state, state / "events.sqlite3", code=1)
    assert "is a database" in capsys.readouterr().err
    assert read_log(state, Filter())


def test_the_file_that_the_service_appends_to_is_not_replaced(capsys, state, tmp_path, monkeypatch):
    write_log(state, generation(uuid(1)))
    for number, name in enumerate(("taken.jsonl", "configured.jsonl")):
        path = tmp_path / name
        path.write_text("theirs")
        if number:
            monkeypatch.setenv("TRIO_CURSOR_OUTPUTS__JSON_LINES__PATH", str(path))
        else:
            with closing(open_for_writing(state)) as connection:
                connection.execute("INSERT INTO cursors VALUES (?, 1, '')", (f"json_lines:{path}",))
        exported(state, path, code=1)
        assert "the service itself writes" in capsys.readouterr().err
        assert path.read_text() == "theirs"


@pytest.mark.skipif(os.name != "posix", reason="there are no such files")
def test_a_pipe_is_no_file(capsys, state, tmp_path):
    write_log(state, generation(uuid(1)))
    os.mkfifo(tmp_path / "pipe")
    exported(state, tmp_path / "pipe", code=1)
    assert "is not a regular file" in capsys.readouterr().err


def test_whoever_reads_only_the_beginning_is_not_disturbed(state):
    write_log(state, *(generation(uuid(n), prompt_text="x" * 10_000) for n in range(100)))
    command = [sys.executable, "-m", "trio_cursor", "export", "--state-dir", str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        child.stdout.read(10)
        child.stdout.close()
        said = child.stderr.read()
        assert (child.wait(20), said) == (0, b"")
