"""What there is, read off the classes: every section, every key and the name of its variable."""

from collections.abc import Iterator
from typing import Any

import attrs

from trio_cursor.config.origins import PREFIX
from trio_cursor.config.sections import Config


@attrs.frozen
class _Section:
    name: str
    explanation: str
    keys: dict[str, "attrs.Attribute[Any]"]


def _sections(kind: type, prefix: str = "") -> Iterator[_Section]:
    for attribute in attrs.fields(kind):
        if attribute.type is not None and attrs.has(attribute.type):
            name = prefix + attribute.name
            keys = {
                f"{name}.{key.name}": key for key in attrs.fields(attribute.type) if not attrs.has(key.type)
            }
            yield _Section(name, attribute.metadata["help"], keys)
            yield from _sections(attribute.type, f"{name}.")


SECTIONS = {section.name: section for section in _sections(Config)}
KEYS = {key: attribute for section in SECTIONS.values() for key, attribute in section.keys.items()}


def variable_of(key: str) -> str:
    return PREFIX + key.upper().replace(".", "__")


VARIABLES = {variable_of(key): key for key in KEYS}
