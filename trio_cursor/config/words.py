"""Words of messages: what somebody may have meant, and how what they wrote is shown."""

import difflib
import json
from collections.abc import Iterable


def did_you_mean(unknown: str, known: Iterable[str]) -> str:
    name = closest(unknown[:200], list(known))
    return "" if name is None else f"; did you mean {name}?"


def closest(unknown: str, known: list[str]) -> str | None:
    """Find what was meant: a key of that section, one spelt nearly so, one of another section."""
    section, _, leaf = unknown.rpartition(".")
    leaves = {name.rpartition(".")[2]: name for name in reversed(known)}
    siblings = [name.rpartition(".")[2] for name in known if name.rpartition(".")[0] == section]
    # Apart from each other, since a section that two names share makes any two look alike.
    for near in difflib.get_close_matches(leaf, siblings, n=1):
        return f"{section}.{near}" if section else near
    for near in difflib.get_close_matches(unknown, known, n=1, cutoff=0.8):
        return near
    for near in difflib.get_close_matches(leaf, leaves, n=1, cutoff=0.7):
        return leaves[near]
    return None


def quoted(text: str) -> str:
    """Show text that somebody else wrote: one line, escaped, of bounded length."""
    short = text if len(text) <= 300 else text[:300] + "..."  # noqa: PLR2004
    return short if short and short.isprintable() and " " not in short else json.dumps(short)


def one_line(text: str) -> str:
    """Keep a parser's message on one line: it may quote what it did not understand."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text[:300]).split())
