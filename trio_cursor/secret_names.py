"""Names of which the end says that they are a secret's: `password = "..."`, `API_KEY=...`. Pure."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from typing import Final

import attrs

#: In small letters. One of these stands at the end of every such name, most often as all of it.
_STEMS: Final = ("pass", "pwd", "secret", "token", "credential", "signature", "key", "_auth")
_STEM = re.compile(
    r"pass(?:word|wd|phrase|code)?|pwd|secret(?:[_\-]?key[_\-]?base)?|token|credentials?|signature|key|_auth"
)
#: What makes a name of a stem that is a word of its own.
_BEFORE_PASS = re.compile(r"(?<![a-z0-9])\Z")
#: As in the settings of npm.
_BEFORE_AUTH = re.compile(r"(?:\A|[\s/:])\Z")
_BEFORE_KEY = re.compile(
    r"(?:api|access|account|auth|private|shared|secret|signing|encryption|master)[_\-]?\Z"
)
#: What stands between name and value; a space alone where it is an option.
_BETWEEN = re.compile(
    r"\\?[\"'`]?\]?([ \t]{0,8}(?:=>|:=|={1,3}|!=|:)[ \t]{0,8}|[ \t]{1,2}(?=[^\s=:]))"
    r"(?:\[[ \t]{0,4}(?=\\?[\"']))?"
)
#: The same where the value has a name of its own: `"name": "TOKEN", "value": "..."`.
_VALUE_OF = re.compile(
    r"(?:\\?[\"'][ \t]{0,4}(?:,|:[ \t]{0,4}\{)?|[ \t]{0,4}(?=\n|\\n))(?:\s|\\n){0,40}"
    r"\\?[\"']?[Vv]alue\\?[\"']?[ \t]{0,4}[:=][ \t]{0,4}"
)
#: The same of a constant in PHP: `define('PASSWORD', '...')`.
_ARGUMENT = re.compile(r"\\?[\"'][ \t]{0,4},[ \t]{0,4}(?=\\?[\"'])")
_DEFINE = re.compile(r"(?<!\w)define\([ \t]{0,4}\\?[\"']\w{0,60}\Z")
#: The same in a text between tags.
TAG: Final = ">"
#: The same where it is several of passwords: in brackets, and in lines of YAML. What is called tokens may be
#: words, and secrets are most often told by their names.
BRACKET: Final = "["
_LISTED = re.compile(r"s\\?[\"'`]?[ \t]{0,8}(?:=>|:=|=|:)[ \t]{0,8}\[", re.IGNORECASE)
DASH: Final = "-"
_DASHED = re.compile(r"s?[\"']?:[ \t]{0,4}(?=(?:\r?\n|\\n)[ \t]{0,40}-[ \t])", re.IGNORECASE)
#: A line of settings up to the name's end.
_SETTING = re.compile(r"(?:\n|\\n)?[ \t]{0,40}(?:export |set |ENV |ARG |- )?[\w.\-]{0,60}\Z")
#: So much of what precedes a name is looked at.
BEFORE_MOST: Final = 128
_STEM_BEFORE_MOST: Final = 16
#: Of requests and answers.
_HEADERS: Final = frozenset({"cookie", "set-cookie", "authorization", "proxy-authorization"})


@attrs.frozen
class Named:
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
    return small in _HEADERS or any(start >= 0 and _name_end(small, start) == len(small) for start in ends)


def is_name_of_secrets(name: str) -> bool:
    """The same of a list; what is called tokens alone may be words."""
    one = _small(name).removesuffix("s")
    return is_secret_name(name) or (one not in ("token", "pass") and is_secret_name(one))


def names(text: str) -> Iterator[Named]:
    """Where in a text such names stand, in order, and where their values begin."""
    small = _small(text)
    has_values = "value" in small
    # Not one pattern for all: there is nothing slower than to look for several words in any case.
    for start in heapq.merge(*(_occurrences(small, stem) for stem in _STEMS)):
        end = _name_end(small, start)
        if end is None:
            continue
        if has_values and (between := _VALUE_OF.match(text, end)):
            yield Named(start, text[start:end], "=", between.end())
        elif text.startswith(TAG, end):
            yield Named(start, text[start:end], TAG, end + 1)
        elif listed := names_a_password(small[start:end]) and _listed(text, start, end):
            yield listed
        elif between := _BETWEEN.match(text, end):
            yield Named(start, text[start:end], between[1], between.end())
        elif (argument := _ARGUMENT.match(text, end)) and _DEFINE.search(
            text[max(0, start - BEFORE_MOST) : start]
        ):
            yield Named(start, text[start:end], "=", argument.end())


def stands_as_setting(before: str) -> bool:
    """Whether a name stands as in a file of settings."""
    return bool(_SETTING.match(before, max(0, before.rfind("\n"), before.rfind("\\n"))))


def names_a_password(word: str) -> bool:
    """Whether it is the name of one, whatever follows."""
    return word.startswith(("pass", "pwd"))


def _listed(text: str, start: int, end: int) -> Named | None:
    """A name of several."""
    if brackets := _LISTED.match(text, end):
        return Named(start, text[start:end], BRACKET, brackets.end())
    dashes = _DASHED.match(text, end)
    if dashes and stands_as_setting(text[max(0, start - BEFORE_MOST) : start]):
        return Named(start, text[start:end], DASH, dashes.end())
    return None


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
    needs = {"pass": _BEFORE_PASS, "key": _BEFORE_KEY, "_auth": _BEFORE_AUTH}.get(stem[0])
    return stem.end() if needs is None or needs.search(before) else None
