"""Choosing generations by what they are: model, type, how they ended."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from trio_cursor.records import Event


def add_kinds(parser: argparse.ArgumentParser) -> None:
    """The options."""
    add = parser.add_argument
    add("--model", metavar="NAME", help="only of models with this in their names")
    add("--type", metavar="TYPE", help="only of this type: composer, chat, cmdk, apply ...")
    add("--status", metavar="STATUS", choices=["completed", "aborted", "error", "incomplete", "unknown"],
        help="only those that ended so: completed, aborted, error, incomplete, unknown")  # fmt: skip


def wanted_kinds(arguments: argparse.Namespace) -> Callable[[Event], bool] | None:
    """Whether an event is of the model, type and status that were asked for; None: any will do."""
    model, kind, status = arguments.model, arguments.type, arguments.status
    if model is None and kind is None and status is None:
        return None

    def is_wanted(event: Event) -> bool:
        payload = event.payload
        name = payload.get("model")
        return (
            (model is None or (isinstance(name, str) and model.casefold() in name.casefold()))
            and kind in (None, payload.get("generation_type"))
            and status in (None, payload.get("status"))
        )

    return is_wanted
