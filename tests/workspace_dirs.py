"""Directories of `workspaceStorage`, good ones and bad ones."""

import json
import sys

import pytest

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="links, FIFOs and odd names of POSIX")

#: What may stand in a `workspace.json` instead of a folder, and what is said of it.
BAD_FILES = [
    (b"", "is empty"),
    (b" \n", "is empty"),
    (b"\0" * 100, "not JSON"),
    (b'{"folder": "file:///ho', "not JSON"),
    (b'{"folder": "file:///\xff"}', "not JSON"),
    (b"[" * 100_000, "not JSON"),
    (b'{"a":' * 100_000, "not JSON"),
    (b'{"a": ' + b"9" * 5_000 + b"}", "not JSON"),
    (b"null", "not an object"),
    (b'["file:///p"]', "not an object"),
    (b'"file:///p"', "not an object"),
    (b"{}", "names no folder"),
    (b'{"folder": null}', "names no folder"),
    (b'{"folder": 7}', "no URI"),
    (b'{"folder": ""}', "no URI"),
    (b'{"folder": {"path": "/p"}}', "no URI"),
    (b'{"folder": "file:///' + b"x" * 300_000 + b'"}', "too long"),
    (b'{"folder": "file:///' + b"x" * (2 << 20) + b'"}', "larger than 1 MiB"),
]


def add_workspace(user_dir, name, folder=None, *, database=True):
    directory = user_dir / "workspaceStorage" / name
    directory.mkdir()
    if folder is not None:
        (directory / "workspace.json").write_text(json.dumps({"folder": folder}))
    if database:
        (directory / "state.vscdb").write_bytes(b"")
    return directory
