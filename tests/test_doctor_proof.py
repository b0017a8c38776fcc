"""`doctor --prove`: what is the same before and after, what somebody else writes, what would be ours."""

import errno
import itertools
import json
import os

import cursor_files
import killed_copies
import pytest

from trio_cursor.cli import main
from trio_cursor.doctor import proof
from trio_cursor.doctor.fingerprints import fingerprints
from trio_cursor.doctor.proof import ROUNDS, Record, changes, verdict

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def prove(capsys, user_dir, tmp_path):
    """What is said of the proof, by level and subject; and the code."""

    def proven():
        places = ["--cursor-dir", str(user_dir), "--state-dir", str(tmp_path / "state")]
        code = main(["doctor", "--prove", *places])
        found = map(json.loads, capsys.readouterr().out.splitlines())
        said = {}
        for one in found:
            if one["check"] == "proof":
                said.setdefault((one["level"], one["subject"]), []).append(one["what"])
        return code, {key: "; ".join(words) for key, words in said.items()}

    return proven


def test_in_every_state_of_a_directory_nothing_changes(prove, user_dir):
    cursor_files.make_workspace(user_dir, "a1", [cursor_files.ring_item()])
    cursor_files.write_ring(
        user_dir / "workspaceStorage/b2/state.vscdb", [cursor_files.ring_item()], mode="wal"
    )
    killed_copies.make_what_is_copied(user_dir)
    before = cursor_files.tree(user_dir)
    _, found = prove()
    assert cursor_files.tree(user_dir) == before
    assert list(found) == [("ok", "proof")]
    assert "(1 look)" in found["ok", "proof"]
    files = sum(value[-1] is not None for value in before.values())
    assert f"{files} files were the same before and after" in found["ok", "proof"]


def test_what_somebody_writes_all_the_while_is_not_proven_and_that_is_said(prove, user_dir, monkeypatch):
    quiet = cursor_files.make_workspace(user_dir, "quiet", [cursor_files.ring_item()])
    busy = cursor_files.make_workspace(user_dir, "busy", [cursor_files.ring_item()])
    take_marks, noise = proof.take_marks, itertools.count()

    async def written_to_before(look):
        cursor_files.execute(busy, ("INSERT INTO ItemTable VALUES ('noise', ?)", (next(noise),)))
        return await take_marks(look)

    monkeypatch.setattr(proof, "take_marks", written_to_before)
    _, found = prove()
    assert f"({ROUNDS} looks)" in found["ok", "proof"]
    assert "not proven: somebody" in found["note", str(busy.parent)]
    assert "state.vscdb" in found["note", str(busy.parent)]
    assert all(subject != str(quiet.parent) for _, subject in found)
    assert all(level != "finding" for level, _ in found)


def test_what_is_left_out_is_not_opened_to_be_hashed_either(prove, user_dir, monkeypatch):
    cursor_files.make_workspace(user_dir, "a1", [cursor_files.ring_item()])
    monkeypatch.setenv("TRIO_CURSOR_CURSOR__EXCLUDE", '["**/a1"]')
    _, found = prove()
    assert "2 files were the same" in found["ok", "proof"]
    assert "0 of them by content" in found["ok", "proof"]


def test_hashing_that_does_not_end_proves_nothing(prove, user_dir, monkeypatch):
    cursor_files.make_workspace(user_dir, "a1", [cursor_files.ring_item()])
    monkeypatch.setattr(proof, "_HASH_SECONDS", 0.001)
    code, found = prove()
    assert code == 3
    assert "nothing could be proven" in found["finding", "proof"]


# -- What the rounds come to ---------------------------------------------------------------------------


def marks(**contents):
    """Files of a directory, by name."""
    found = {f"/c/{name}": ["file", 1, 2, 3, 4, "whole", content] for name, content in contents.items()}
    return {"/c": ["directory", 1, len(contents), 3, 4], **found}


def told(record):
    return {(check.level.value, check.subject): check.what for check in verdict(record)}


def test_what_changes_with_each_look_and_never_else_would_be_ours():
    record = Record()
    for number in range(ROUNDS):
        record.take_look(marks(a=number, b=0), marks(a=number + 1, b=0))
        assert bool(record.suspicious) == (number == ROUNDS - 1)
    found = told(record)
    assert found["finding", "/c"].endswith("never in the rests between them: a")
    assert ("ok", "proof") not in found
    record.in_rests.update(changes(marks(a=0), marks(a=1)))
    found = told(record)
    assert found["note", "/c"].startswith("not proven")
    assert "1 files were the same" in found["ok", "proof"]


def test_what_comes_or_goes_is_said():
    record = Record()
    record.take_look(marks(a=0), marks(a=0, b=0))
    assert record.unproven == {"/c", "/c/b"}
    record.take_look(marks(a=0, b=0), marks(a=0, b=0))
    assert record.unproven == set()
    assert [check.what for check in verdict(record) if "came or went" in check.what] == [
        "came or went while we looked, as happens when Cursor opens or closes a database: b"
    ]
    assert any(check.what.endswith("not during others: .") for check in verdict(record))


def test_a_large_file_is_hashed_in_slices(tmp_path, monkeypatch):
    monkeypatch.setattr("trio_cursor.doctor.fingerprints.WHOLE_BYTES", 1 << 20)
    file = tmp_path / "large"
    file.write_bytes(os.urandom(3 << 20))

    def digest():
        return fingerprints([str(tmp_path)], [str(file)])[str(file)][5:]

    first = digest()
    assert (first[0], digest()) == ("slices", first)
    with file.open("r+b") as opened:
        opened.seek(-1, os.SEEK_END)
        opened.write(b"\0\0"[: 1 + (file.read_bytes()[-1] == 0)])
    assert digest() != first
    record = Record()
    record.take_look(*[fingerprints([str(tmp_path)], [str(file)])] * 2)
    assert any("hashed in slices" in check.what for check in verdict(record))


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "target").write_text("x")
    (tmp_path / "link").symlink_to("target")
    assert len(fingerprints([str(tmp_path)], [str(tmp_path / "link")])[str(tmp_path / "link")]) == 5
    assert fingerprints([str(tmp_path / "none")], []) == {str(tmp_path / "none"): ["error", 2]}


def test_on_windows_shared_memory_is_not_compared_and_what_is_locked_is_said(user_dir, monkeypatch):
    database = cursor_files.make_workspace(user_dir, "a1", [cursor_files.ring_item()])
    home, shared = database.parent, database.with_name("state.vscdb-shm")
    shared.write_bytes(b"before")

    def taken(platform):
        return fingerprints([str(home)], [str(database)], platform)

    on_windows, here = taken("win32"), taken("linux")
    shared.write_bytes(b"afterwards")
    assert changes(on_windows, taken("win32")) == set()
    assert changes(here, taken("linux")) == {str(shared)}

    def locked(_path, _size):
        raise PermissionError(errno.EACCES, "locked")

    monkeypatch.setattr("trio_cursor.doctor.fingerprints._read", locked)
    assert taken("win32")[str(database)][5:] == ["error", errno.EACCES]
