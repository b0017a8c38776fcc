"""Values that are secrets because of the names that they are given: `password = "..."`, `API_KEY=...`. Pure.

Code gives such names to much that is no secret: types, variables, calls, places to be filled in. A literal in
quotes counts, and of what has none only what looks like no code, or stands as in a file of settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import attrs

from trio_cursor.secret_names import (
    BEFORE_MOST,
    BRACKET,
    DASH,
    TAG,
    Named,
    names,
    names_a_password,
    stands_as_setting,
)

_ITEM = re.compile(r"(?:\s|\\n){0,40}(\\?[\"'])")
_AFTER_ITEM = re.compile(r"(?:\s|\\n){0,40}[,\]]")
_DASHED_ITEM = re.compile(
    r"(?:\r?\n|\\n)[ \t]{0,40}-[ \t]{1,4}"
    r"(?:\"(?P<double>[^\"\n\\]{1,500}+)\"|'(?P<single>[^'\n\\]{1,500}+)'|(?P<bare>[^\s\"'\\]{1,500}+))"
    r"[ \t]{0,8}(?=\Z|[\r\n#]|\\n)"
)
#: Alone it may be what a test does.
_VERB: Final = "pass"
_TAG_BEFORE = re.compile(r"<[\w:.\-]{0,60}\Z")
_CONTENT = re.compile(r"([^<>\n]{1,500}+)</")
_QUOTE = re.compile(r"(?:[rbfuRBFU]{1,2})?(\\?[\"'`])")
_BARE = re.compile(r"[^\s\"'`,;&<>\\]{1,500}+")
_OPTION = re.compile(r"(?:\A|[\s\"'`=])--?[\w\-]{0,40}\Z")
#: As with `aws configure set`, and what may stand between that and the part that says what it is.
_SET: Final = " set "
_SETTERS: Final = ("config", "configure")
_WHAT_IS_SET = re.compile(r"(?:--?[\w\-]{1,20}[ =][\w\-]{1,40} )?[\w.\-/:]{0,60}\Z")
#: A part of an address's query, or of a string that says how to connect, up to the name's end; the next one.
_QUERY = re.compile(r"[?&][\w.\-]{0,60}\Z")
_FIELD = re.compile(r";[ \t]?[\w.\-]{0,40}\Z")
_NEXT_FIELD = re.compile(r";[ \t]?[A-Za-z][\w .]{0,40}=(?!=)")
#: A word as no code has it, and what shows that it is code nevertheless.
_PLAIN_WORD = re.compile(r"[a-z][a-z0-9!@#%^&*+\-]{5,60}")
_END_OF_CODE = re.compile(r"\s{0,80}[)\]}]")
_BASE64 = re.compile(r"[A-Za-z0-9+/=]{8,}+")
_QUOTED_MOST: Final = 1000

#: Stands for a value that is elsewhere, or for any.
_PLACEHOLDER = re.compile(r"\[REDACTED:|[$<{%(]|\*{3}|\.{3}|x{4}|your[_\- ]", re.IGNORECASE)
_CODE = re.compile(r"[()\[\]{}$|]")
_CHAIN = re.compile(r"[A-Za-z_]\w{0,60}(?:(?:\.|::|->)[A-Za-z_]\w{0,60}){1,10}\Z")
_DIGIT = re.compile(r"\d")
_WORDS: Final = frozenset(
    (
        *("string", "number", "boolean", "object", "integer", "undefined", "optional", "required"),
        *("bearer", "header", "password", "passwd", "secret", "credential", "credentials"),
        *("default", "unknown", "metadata", "session", "passed", "failed", "skipped"),
    )
)
_SHORT, _SHORT_WORD, _AWS_SECRET = 3, 6, 40


def assigned_secrets(text: str) -> Iterator[tuple[int, int]]:
    """Where in a text values stand that are secrets by their names."""
    done = 0
    for named in names(text):
        if named.start < done:
            continue
        if named.between in (BRACKET, DASH):
            # Nothing of it is looked at again, whatever was found.
            found, done = (_in_brackets if named.between == BRACKET else _behind_dashes)(text, named)
            yield from found
        elif (one := _value(text, named)) is not None:
            done = one[1]
            yield one


def _value(text: str, named: Named) -> tuple[int, int] | None:
    before = text[max(0, named.start - BEFORE_MOST) : named.start]
    if named.word.lower() == _VERB and before[-1:] in ("_", "-"):
        named = attrs.evolve(named, word=f"{named.word}word")
    if named.between == TAG:
        content = _CONTENT.match(text, named.at) if _TAG_BEFORE.search(before) else None
        return content.span(1) if content and _is_quoted_secret(named.word, content[1]) else None
    if not named.between.strip() and not (_OPTION.search(before) or _is_set(before)):
        return None
    at = named.at
    if quote := _QUOTE.match(text, at):
        end = text.find(quote[1], quote.end(), quote.end() + _QUOTED_MOST)
        value = text[quote.end() : end]
        if end >= 0 and "\n" not in value:
            return (quote.end(), end) if _is_quoted_secret(named.word, value) else None
        at = quote.end()
    bare = _BARE.match(text, at)
    if bare is None:
        return None
    value = bare[0].rstrip(".:!?)]}")
    end = at + len(value)
    if _is_no_literal(value) or text[end : end + 1] in ("(", "["):
        return None
    is_known = _is_bare_secret(text, named, before, at, end)
    return (at, end) if is_known else None


def _in_brackets(text: str, named: Named) -> tuple[list[tuple[int, int]], int]:
    """Which of the texts in a list are secrets, and how far it was looked through."""
    found, at = [], named.at
    while opened := _ITEM.match(text, at):
        start, quote = opened.end(), opened[1]
        end = text.find(quote, start, start + _QUOTED_MOST)
        after = _AFTER_ITEM.match(text, end + len(quote)) if end >= 0 else None
        if after is None or "\n" in text[start:end]:
            break
        if _is_quoted_secret(named.word, text[start:end]):
            found.append((start, end))
        at = after.end()
    return found, at


def _behind_dashes(text: str, named: Named) -> tuple[list[tuple[int, int]], int]:
    """The same of a list in YAML."""
    found, at = [], named.at
    while item := _DASHED_ITEM.match(text, at):
        kind = item.lastgroup or ""
        value = item[kind]
        if _is_quoted_secret(named.word, value) and (kind != "bare" or _is_bare_password(value)):
            found.append(item.span(kind))
        at = item.end()
    return found, at


def _is_bare_password(value: str) -> bool:
    """Whether a word of a list may be one, and is not what is told of them."""
    has_digit = len(value) >= _SHORT_WORD and _DIGIT.search(value)
    return not _is_no_literal(value) and bool(has_digit or _PLAIN_WORD.fullmatch(value))


def _is_set(before: str) -> bool:
    """Whether a command sets what is called so."""
    command, _, name = before.rpartition(_SET)
    return command.endswith(_SETTERS) and bool(_WHAT_IS_SET.match(name))


def _is_no_literal(value: str) -> bool:
    """Whether something without quotes is code, a path, or stands for something else."""
    is_path = value.startswith(("/", "./", "../", "~/", "-")) and len(value) != _AWS_SECRET
    is_code = _CODE.search(value) or _CHAIN.match(value)
    return bool(len(value) < _SHORT or is_path or is_code or is_placeholder(value))


def is_placeholder(value: str) -> bool:
    """Whether a value stands for one that is elsewhere, or for any."""
    return bool(_PLACEHOLDER.match(value)) or value.lower() in _WORDS


def _is_bare_secret(text: str, named: Named, before: str, at: int, end: int) -> bool:
    """Whether a literal without quotes is one."""
    word, between, value = named.word.lower(), named.between, text[at:end]
    if word == "_auth":
        return between == "=" and bool(_BASE64.fullmatch(value))
    is_password = names_a_password(word)
    is_last = text[end : end + 1] in ("", "\n", "\r", "\\")
    is_setting = is_last and stands_as_setting(before)
    if not between.strip() or (between in ("=", ":") and is_setting):
        return True
    if between == "=":
        is_named_field = is_password or named.word[:1].isupper()
        is_field = is_named_field and (_FIELD.search(before) or _NEXT_FIELD.match(text, end))
        if named.word.isupper() or is_field or _QUERY.search(before):
            return True
    elif between.strip() == ":" and is_setting and is_password and _PLAIN_WORD.fullmatch(value):
        return not _END_OF_CODE.match(text, end)
    is_count = word == _VERB and value.isdecimal()
    return len(value) >= _SHORT_WORD and bool(_DIGIT.search(value)) and not is_count


def _is_quoted_secret(name: str, value: str) -> bool:
    if len(value) < _SHORT or is_placeholder(value):
        return False
    # A password may have spaces.
    if name[:1].lower() == "p" and name.lower() != _VERB:
        return bool(value.strip())
    return len(value) >= _SHORT_WORD and not any(character.isspace() for character in value)
