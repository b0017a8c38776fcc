"""Fields of parsed JSON: what is usable of values that may be anything."""

from __future__ import annotations

import pytest

from trio_cursor.cursor.schemas.fields import (
    first,
    folder_of,
    inner,
    known_keys,
    model_of,
    usable_conversation_id,
)


def test_the_first_known_value_counts_though_it_be_empty():
    assert first((None, "", "a")) == ""
    assert first((None, 0, 1)) == 0
    assert first(()) is None


def test_an_object_under_a_key():
    assert inner({"a": {"b": 1}}, "a") == {"b": 1}
    assert inner({"a": [1]}, "a") == inner({}, "a") == {}


@pytest.mark.parametrize(
    ("name", "model"),
    [("m", "m"), ("default", None), ("", None), ("m" * 201, None), (7, None), ("\ud800", "\ufffd")],
)
def test_a_model_has_a_name_of_its_own(name, model):
    assert model_of(name) == model


def test_a_conversation_may_have_a_line_break_in_its_id():
    assert usable_conversation_id("task-1\n2") == "task-1\n2"
    assert usable_conversation_id("c" * 501) is None
    assert usable_conversation_id("") is None


def test_only_known_keys_are_kept_in_the_order_of_the_list():
    assert list(known_keys({"secret": 1, "b": 2, "a": None}, ("a", "b", "c")).items()) == [
        ("a", None),
        ("b", 2),
    ]


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("file:///home/a", "file:///home/a"),
        ({"fsPath": "/home/a", "external": "file:///home/a", "path": "/home/a"}, "/home/a"),
        ({"fsPath": "", "external": "file:///home/a", "scheme": "file"}, "file:///home/a"),
        ({"path": "/home/a"}, "/home/a"),
        (
            {"fsPath": "/home/a", "external": "vscode-remote://ssh/home/a", "scheme": "vscode-remote"},
            "vscode-remote://ssh/home/a",
        ),
        ({"fsPath": "/home/a", "scheme": "vscode-remote"}, "/home/a"),
        ({"fsPath": 7, "external": ["x"]}, None),
        ("x" * 9000, None),
        ("", None),
        (None, None),
        (3, None),
    ],
)
def test_a_folder_is_a_path_or_the_uri_of_a_remote_one(uri, folder):
    assert folder_of(uri) == folder
