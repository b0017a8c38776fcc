"""How a key is declared: its default, the line that explains it, and its check."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import attrs

from trio_cursor.config.checks import Check, written
from trio_cursor.config.places import expand_home, expanded, home_directory

T = TypeVar("T")


def _validate(_instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    """Hold the range of a value that was built by hand, as of one that was loaded."""
    if value is not None:
        check: Check = attribute.metadata["check"]
        problem = check(value)
        if problem:
            raise ValueError(f"{attribute.name} {problem}")


def key_field(
    default: T,
    explanation: str,
    *,
    check: Check = lambda _: None,
    example: str | None = None,
    redact: Callable[[str], str] | None = None,
) -> T:
    """Declare a key.

    `example` stands, commented out, in the annotated file where the default is none (or depends on
    the machine). `redact` makes of a text what may be printed; None: all of it.
    """
    metadata = {"help": explanation, "check": check, "example": example, "redact": redact or str}
    field: T = attrs.field(
        default=default,
        validator=_validate,
        metadata=metadata,
        repr=True if redact is None else partial(_redacted_repr, redact),
    )
    return field


def _redacted_repr(redact: Callable[[str], str], value: str | None) -> str:
    """What a host's log or debugger shows of a secret."""
    return repr(None if value is None else redact(value))


def path_field(default: T, explanation: str, *, check: Check = written, example: str | None = None) -> T:
    """Declare a key that holds a path (or several), in which `~` is the home directory."""
    metadata = {"help": explanation, "check": check, "example": example, "redact": str, "path": True}
    field: T = attrs.field(default=default, converter=_expand_by_hand, validator=_validate, metadata=metadata)
    return field


def _expand_by_hand(value: object) -> Any:
    """For a Config that was built by hand; `load_config` has done it before, with its own home."""
    return expanded(value, lambda text: expand_home(text, home_directory()))
