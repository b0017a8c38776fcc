"""The layers: what the file, the environment and the options say, each read by itself.

A key that nobody knows is a fault here; what a value may be is none of this module's business.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import tomli

from trio_cursor.config.catalogue import KEYS, SECTIONS, VARIABLES, variable_of
from trio_cursor.config.origins import FILE_VARIABLE, OPTION, PREFIX, Given, Layer
from trio_cursor.config.places import config_file
from trio_cursor.config.words import closest, did_you_mean, one_line, quoted

#: A configuration is a few kilobytes; more is a mistake (or `/dev/zero`).
_LARGEST_FILE_BYTES = 1 << 20


def read_file(
    path: str | os.PathLike[str] | None,
    environ: Mapping[str, str],
    platform: str,
    home: str,
    faults: list[str],
) -> tuple[str | None, Layer]:
    file, named_by = config_file(path, environ, platform, home)
    origin = f"file {quoted(file)}"
    layer: Layer = {}
    try:
        with open(file, "rb") as stream:  # noqa: PTH123  # paths are text here
            content = stream.read(_LARGEST_FILE_BYTES + 1)
    except FileNotFoundError:
        if named_by is not None:
            faults.append(f"{origin}: does not exist (named by {named_by}); `config init` writes one")
        return None, layer
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the name
        reason = problem.strerror if isinstance(problem, OSError) else str(problem)
        faults.append(f"{origin}: cannot be read ({reason})")
        return None, layer
    if len(content) > _LARGEST_FILE_BYTES:
        faults.append(f"{origin}: is larger than {_LARGEST_FILE_BYTES:,} bytes, which no configuration is")
        return file, layer
    try:
        # -sig: editors on Windows put a byte order mark at the start, which TOML does not know.
        table = tomli.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        column = problem.start - (content.rfind(b"\n", 0, problem.start) + 1) + 1
        faults.append(f"{origin}: is not UTF-8 (at line {line}, column {column})")
    except (ValueError, RecursionError) as problem:  # every TOMLDecodeError is a ValueError
        faults.append(f"{origin}: is not valid TOML: {one_line(str(problem))}")
    else:
        _read_table(table, origin, "", layer, faults)
    return file, layer


def _read_table(table: Mapping[str, Any], origin: str, prefix: str, layer: Layer, faults: list[str]) -> None:
    for name, value in table.items():
        key = prefix + name
        if "." in name:
            faults.append(f"{origin}: {json.dumps(name)} is no key: a dot within quotes makes no section")
        elif key not in SECTIONS and key not in KEYS:
            kind = "section" if isinstance(value, dict) else "key"
            known = SECTIONS if isinstance(value, dict) else KEYS
            faults.append(f"{origin}: unknown {kind} {quoted(key)}{did_you_mean(key, known)}")
        elif key in KEYS:
            layer[key] = Given(value, origin)
        elif isinstance(value, dict):
            _read_table(value, origin, f"{key}.", layer, faults)
        else:
            faults.append(f"{origin}: {key} is a section: write [{key}]")


def read_environment(environ: Mapping[str, str], faults: list[str]) -> Layer:
    layer: Layer = {}
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        if variable in VARIABLES:
            layer[VARIABLES[variable]] = Given(_toml_value(environ[variable]), f"environment {variable}")
        elif variable != FILE_VARIABLE:
            # Compared as keys are: their sections tell more than the prefix that all share.
            meant = closest(variable.removeprefix(PREFIX).lower().replace("__", ".")[:200], [*KEYS, "config"])
            hint = "" if meant is None else f"; did you mean {variable_of(meant)}?"
            faults.append(f"environment {quoted(variable)}: is no setting of ours{hint}")
    return layer


def _toml_value(text: str) -> Any:
    """Read a TOML value; text that is none stands for itself."""
    try:
        table = tomli.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    # More than one key: the text went on in a second line.
    return table["value"] if len(table) == 1 else text


def read_options(overrides: Mapping[str, Any], faults: list[str]) -> Layer:
    faults += [
        f"{OPTION}: unknown key {quoted(key)}{did_you_mean(key, KEYS)}"
        for key in overrides
        if key not in KEYS
    ]
    return {
        key: Given(value, OPTION) for key, value in overrides.items() if key in KEYS and value is not None
    }
