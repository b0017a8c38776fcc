"""Types: a layer becomes a `Config`, or the list of everything in it that is of the wrong kind or range."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import attrs

from trio_cursor.config.origins import Layer
from trio_cursor.config.sections import Config
from trio_cursor.config.words import did_you_mean, quoted

if TYPE_CHECKING:
    import cattrs


def faults_of(layer: Layer) -> list[str]:
    """Check every value of a layer."""
    from cattrs import ClassValidationError  # noqa: PLC0415  # see _converter

    def walk(error: ClassValidationError, prefix: str = "") -> Iterator[str]:
        for problem, note in error.group_exceptions()[0]:
            key = prefix + note.name
            if isinstance(problem, ClassValidationError):
                yield from walk(problem, f"{key}.")
            else:
                yield f"{layer[key].origin}: {key} {problem}"

    try:
        config_of(layer)
    except ClassValidationError as error:
        return list(walk(error))
    return []


def config_of(layer: Layer) -> Config:
    tree: dict[str, Any] = {}
    for key, given in layer.items():
        *sections, name = key.split(".")
        table = tree
        for section in sections:
            table = table.setdefault(section, {})
        table[name] = given.value
    return _converter().structure(tree, Config)


@cache
def _converter() -> "cattrs.Converter":
    """Build the cattrs converter that takes types as they stand: no `"7"` for 7, no true for 1."""
    # Imported here: 50 ms that `--help` need not wait for.
    import cattrs  # noqa: PLC0415
    from cattrs.gen import make_dict_structure_fn, override  # noqa: PLC0415

    converter = cattrs.Converter(detailed_validation=True)
    for kind in (bool, int, float, str):
        converter.register_structure_hook(kind, partial(_exactly, kind))
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _texts)
    converter.register_structure_hook_func(lambda kind: kind == str | None, _text_or_none)
    converter.register_structure_hook_func(_is_choice, _one_of)

    def register(kind: type) -> None:
        overrides = {}
        for attribute in attrs.fields(kind):
            if attribute.type is not None and attrs.has(attribute.type):
                register(attribute.type)
            elif "check" in attribute.metadata:
                # In the hook of the field, since cattrs stops at the first validator that fails in __init__.
                overrides[attribute.name] = override(struct_hook=checked(attribute))
            else:
                overrides[attribute.name] = override(omit=True)
        hook: Any = make_dict_structure_fn(kind, converter, **overrides)  # type: ignore[arg-type]  # no option of it
        converter.register_structure_hook(kind, hook)

    def checked(attribute: "attrs.Attribute[Any]") -> Callable[[Any, Any], Any]:
        def structure(value: object, kind: Any) -> Any:
            structured = converter.structure(value, kind)
            problem = None if structured is None else attribute.metadata["check"](structured)
            if problem:
                raise ValueError(problem)
            return structured

        return structure

    register(Config)
    return converter


_WORDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    tuple: "a list",
    dict: "a table",
}


def _kind_of(value: object) -> str:
    """Name the type and never the value, which may be a secret in the wrong place."""
    return _WORDS.get(type(value), "a date or time")


def _exactly(kind: type, value: object, _: object) -> Any:
    # By type, not isinstance: True is an int to Python, but nobody means it so.
    if type(value) is kind or (kind is float and type(value) is int):
        return value
    hint = "; put it in quotes" if kind is str and type(value) in (bool, int, float) else ""
    raise TypeError(f"must be {_WORDS[kind]}, not {_kind_of(value)}{hint}")


def _text_or_none(value: object, kind: object) -> Any:
    return None if value == "" else _exactly(str, value, kind)


def _texts(value: object, _: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError(f'must be a list of texts, as in ["one", "two"], not {_kind_of(value)}')
    for number, item in enumerate(value, 1):
        if not isinstance(item, str):
            raise TypeError(f"must be a list of texts, but item {number} is {_kind_of(item)}")
    return tuple(value)


def _is_choice(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _one_of(value: object, kind: object) -> Any:
    choices = get_args(kind)
    if isinstance(value, str) and value in choices:
        return value
    names = f"{', '.join(choices[:-1])} or {choices[-1]}"
    if not isinstance(value, str):
        raise TypeError(f"must be {names}, not {_kind_of(value)}")
    raise ValueError(f"must be {names}, not {quoted(value)}{did_you_mean(value, choices)}")
