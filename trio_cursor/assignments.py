"""Values that are secrets because of the names that they are given: `password = "..."`, `API_KEY=...`. Pure.

Code gives such names to much that is no secret: types, variables, calls, places to be filled in. A literal in
quotes counts, and of what has none only what looks like no code, or stands as in a file of settings.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from typing import Final

import attrs

#: In small letters. One of these stands at the end of every such name, most often as all of it.
_STEMS: Final = ("pass", "pwd", "secret", "token", "credential", "signature", "key")
_STEM = re.compile(r"pass(?:word|wd|phrase|code)?|pwd|secret|token|credentials?|signature|key")
#: What makes a name of a stem that is a word of its own.
_BEFORE_PASS = re.compile(r"[_\-]\Z")
_BEFORE_KEY = re.compile(
    r"(?:api|access|account|auth|private|shared|secret|signing|encryption|master)[_\-]?\Z"
)
#: What stands between name and value; a space alone where it is an option.
_BETWEEN = re.compile(r"\\?[\"'`]?\]?([ \t]{0,8}(?:=>|:=|={1,3}|!=|:)[ \t]{0,8}|[ \t]{1,2}(?=[^\s=:]))")
_QUOTE = re.compile(r"(?:[rbfuRBFU]{1,2})?(\\?[\"'`])")
_BARE = re.compile(r"[^\s\"'`,;&<>\\]{1,500}+")
_OPTION = re.compile(r"(?:\A|[\s\"'`=])--?[\w\-]{0,40}\Z")
#: A line of settings up to the name's end.
_SETTING = re.compile(r"(?:\A|\n|\\n)[ \t]{0,40}(?:export |set |ENV |ARG |- )?[\w.\-]{0,60}\Z")
_BEFORE_MOST: Final = 128
_STEM_BEFORE_MOST: Final = 16
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
        *("default", "unknown", "metadata", "session"),
    )
)
_SHORT, _SHORT_WORD, _AWS_SECRET = 3, 6, 40


@attrs.frozen
class _Named:
    """A name of which the end says that it is a secret's."""

    start: int
    #: As it is written, without what precedes the part that says so.
    word: str
    between: str
    #: Where the value begins.
    at: int


def is_secret_name(name: str) -> bool:
    """Whether what is called so is not to be read, whatever it is."""
    small = _small(name)
    ends = (small.rfind(stem) for stem in _STEMS)
    return any(start >= 0 and _name_end(small, start) == len(small) for start in ends)


def assigned_secrets(text: str) -> Iterator[tuple[int, int]]:
    """Where in a text values stand that are secrets by their names."""
    done = 0
    for named in _names(text):
        if named.start >= done and (found := _value(text, named)) is not None:
            done = found[1]
            yield found


def _names(text: str) -> Iterator[_Named]:
    small = _small(text)
    # Not one pattern for all: there is nothing slower than to look for several words in any case.
    for start in heapq.merge(*(_occurrences(small, stem) for stem in _STEMS)):
        end = _name_end(small, start)
        if end is not None and (between := _BETWEEN.match(text, end)):
            yield _Named(start, text[start:end], between[1], between.end())


def _occurrences(text: str, word: str) -> Iterator[int]:
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + 1)


def _small(text: str) -> str:
    """In small letters, each where it was."""
    small = text.lower()
    return small if len(small) == len(text) else "".join(one.lower()[:1] for one in text)


def _name_end(small: str, start: int) -> int | None:
    """Where a name ends that has a stem there; None: it is none."""
    stem = _STEM.match(small, start)
    if stem is None:
        return None
    before = small[max(0, start - _STEM_BEFORE_MOST) : start]
    needs = {"pass": _BEFORE_PASS, "key": _BEFORE_KEY}.get(stem[0])
    return stem.end() if needs is None or needs.search(before) else None


def _value(text: str, named: _Named) -> tuple[int, int] | None:
    is_option = not named.between.strip()
    before = text[max(0, named.start - _BEFORE_MOST) : named.start]
    if is_option and not _OPTION.search(before):
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
    if len(value) < _SHORT or _PLACEHOLDER.match(value) or value.lower() in _WORDS:
        return None
    if _CODE.search(value) or _CHAIN.match(value) or text[end : end + 1] in ("(", "["):
        return None
    if value.startswith(("/", "./", "../", "~/", "-")) and len(value) != _AWS_SECRET:
        return None
    is_tight = named.between in ("=", ":")
    is_setting = is_tight and text[end : end + 1] in ("", "\n", "\r", "\\") and _SETTING.search(before)
    is_known = is_option or is_setting or (named.between == "=" and named.word.isupper())
    if is_known or (len(value) >= _SHORT_WORD and _DIGIT.search(value)):
        return at, end
    return None


def _is_quoted_secret(name: str, value: str) -> bool:
    if len(value) < _SHORT or _PLACEHOLDER.match(value) or value.lower() in _WORDS:
        return False
    # A password may have spaces.
    if name[:1].lower() == "p":
        return bool(value.strip())
    return len(value) >= _SHORT_WORD and not any(character.isspace() for character in value)
