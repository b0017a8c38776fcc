"""Every form in which `workspace.json` names a folder, from the file to the event, on any platform."""

from __future__ import annotations

import hashlib
import json

import cursor_files
import pytest
from test_folders import LOCAL, REMOTE

from trio_cursor.cli import main

pytestmark = pytest.mark.usefixtures("home")


def test_each_event_says_the_folder_as_cursor_would(user_dir, tmp_path, capsys):
    expected = {}
    forms = [form for form in (*LOCAL, *REMOTE) if "://" in form[0]]
    for number, (uri, path) in enumerate(forms):
        item = cursor_files.ring_item()
        cursor_files.make_workspace(user_dir, f"w{number}", [item], folder=uri)
        hashed, remote = (path, None) if (uri, path) in LOCAL else (uri, uri)
        digest = hashlib.sha256(hashed.encode()).hexdigest()[:16]
        expected[item["generationUUID"]] = (path, remote, digest)
    lines = tmp_path / "lines"
    places = ["--cursor-dir", str(user_dir), "--state-dir", str(tmp_path / "state")]
    assert main(["run", "--once", "--since", "all", "--json-lines", str(lines), *places]) == 0
    events = map(json.loads, lines.read_text(encoding="utf-8").splitlines())
    found = {
        event["payload"]["generation_id"]: tuple(
            event["metadata"][name] for name in ("workspace_path", "workspace_uri", "workspace_hash")
        )
        for event in events
    }
    assert found == expected
    capsys.readouterr()
