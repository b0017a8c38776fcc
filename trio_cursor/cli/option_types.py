"""What values of options may be: each gives the value, or says what is wrong with the text."""

from __future__ import annotations

import argparse

from trio_cursor.durations import parse_duration


def duration(text: str) -> float | None:
    """Seconds; None: without limit."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def count(text: str) -> int:
    """A number from 1."""
    if not text.isascii() or not text.isdigit() or len(text) > 18 or not int(text):  # noqa: PLR2004 - 64 bits
        raise argparse.ArgumentTypeError(f"{text!r:.60} is not a number from 1")
    return int(text)


def name(text: str) -> str:
    """Something to be called by."""
    if not text.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r:.60} is no name")
    return text


def rate(text: str) -> float:
    """A number from 0."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r:.60} is not a number from 0")
    return number
