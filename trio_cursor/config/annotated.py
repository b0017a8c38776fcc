"""Every key for people to read: as it is set, and as a file with a line about each."""

import json
from collections.abc import Iterator
from typing import Any

import attrs

from trio_cursor.config.catalogue import KEYS, SECTIONS
from trio_cursor.config.origins import BUILT_IN
from trio_cursor.config.sections import Config


@attrs.frozen
class Setting:
    """One key as `config show` prints it."""

    #: With its sections, for instance `redis.tls.ca`.
    key: str
    #: JSON, without anything secret; None where there is none.
    value: Any
    #: `built-in`, `file X`, `environment VAR` or `option`.
    origin: str


def settings(config: Config) -> Iterator[Setting]:
    """List every key with its effective value, in the order of the annotated file."""
    for key, attribute in KEYS.items():
        value: Any = config
        for name in key.split("."):
            value = getattr(value, name)
        if isinstance(value, str):
            value = attribute.metadata["redact"](value)
        elif isinstance(value, tuple):
            value = list(value)
        yield Setting(key, value, config.origins.get(key, BUILT_IN))


def annotated_text() -> str:
    """Write a configuration file with every key, its default and a line about it."""
    lines = [
        "# trio-cursor: every key with its default. A key that is commented out has none,",
        "# or one that depends on the machine; what stands there is an example.",
        "#",
        "# An option goes before the environment (TRIO_CURSOR_<SECTION>__<KEY>, for instance",
        "# TRIO_CURSOR_REDIS__TLS__CA), the environment before this file. An empty text switches a key",
        "# off that has no default. `trio-cursor config check` says what is wrong with this file.",
    ]
    for section in SECTIONS.values():
        if not section.keys:
            continue
        lines += ["", f"# {section.explanation}", f"[{section.name}]"]
        for attribute in section.keys.values():
            lines.append(f"# {attribute.metadata['help']}")
            example = attribute.metadata["example"]
            if example is not None:
                lines.append(f"# {attribute.name} = {json.dumps(example)}")
            else:
                # JSON and TOML write these types alike.
                lines.append(f"{attribute.name} = {json.dumps(attribute.default)}")
    return "\n".join(lines) + "\n"
