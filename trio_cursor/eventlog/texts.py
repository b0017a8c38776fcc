"""Texts that SQLite refuses: paths and ids may hold lone surrogates."""

from __future__ import annotations


def exact(text: str) -> str | bytes:
    """What is stored for a text that must be found again and come back as it was.

    A text that is no UTF-8 becomes a BLOB, which no text is ever equal to: two keys never become one.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def restored(value: str | bytes) -> str:
    """The reverse of `exact`."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


def searchable(text: str) -> str:
    """What is stored, and looked for, where a text has to be found and not to be returned."""
    return text.encode("utf-8", "backslashreplace").decode()
