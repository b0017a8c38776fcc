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
_TAG: Final = ">"
#: The same where it is several of passwords: in brackets, and in lines of YAML. What is called tokens may be
#: words, and secrets are most often told by their names.
_BRACKET: Final = "["
_LISTED = re.compile(r"s\\?[\"'`]?[ \t]{0,8}(?:=>|:=|=|:)[ \t]{0,8}\[", re.IGNORECASE)
_ITEM = re.compile(r"(?:\s|\\n){0,40}(\\?[\"'])")
_AFTER_ITEM = re.compile(r"(?:\s|\\n){0,40}[,\]]")
_DASH: Final = "-"
_DASHED = re.compile(r"s?[\"']?:[ \t]{0,4}(?=(?:\r?\n|\\n)[ \t]{0,40}-[ \t])", re.IGNORECASE)
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
#: A line of settings up to the name's end.
_SETTING = re.compile(r"(?:\n|\\n)?[ \t]{0,40}(?:export |set |ENV |ARG |- )?[\w.\-]{0,60}\Z")
#: A part of an address's query, or of a string that says how to connect, up to the name's end; the next one.
_QUERY = re.compile(r"[?&][\w.\-]{0,60}\Z")
_FIELD = re.compile(r";[ \t]?[\w.\-]{0,40}\Z")
_NEXT_FIELD = re.compile(r";[ \t]?[A-Za-z][\w .]{0,40}=(?!=)")
#: A word as no code has it, and what shows that it is code nevertheless.
_PLAIN_WORD = re.compile(r"[a-z][a-z0-9!@#%^&*+\-]{5,60}")
_END_OF_CODE = re.compile(r"\s{0,80}[)\]}]")
_BASE64 = re.compile(r"[A-Za-z0-9+/=]{8,}+")
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
        *("default", "unknown", "metadata", "session", "passed", "failed", "skipped"),
    )
)
#: Of requests and answers.
_HEADERS: Final = frozenset({"cookie", "set-cookie", "authorization", "proxy-authorization"})
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
    return small in _HEADERS or any(start >= 0 and _name_end(small, start) == len(small) for start in ends)


def is_name_of_secrets(name: str) -> bool:
    """The same of a list; what is called tokens alone may be words."""
    one = _small(name).removesuffix("s")
    return is_secret_name(name) or (one not in ("token", "pass") and is_secret_name(one))


def assigned_secrets(text: str) -> Iterator[tuple[int, int]]:
    """Where in a text values stand that are secrets by their names."""
    done = 0
    for named in _names(text):
        if named.start < done:
            continue
        if named.between in (_BRACKET, _DASH):
            # Nothing of it is looked at again, whatever was found.
            found, done = (_in_brackets if named.between == _BRACKET else _behind_dashes)(text, named)
            yield from found
        elif (one := _value(text, named)) is not None:
            done = one[1]
            yield one


def _names(text: str) -> Iterator[_Named]:
    small = _small(text)
    has_values = "value" in small
    # Not one pattern for all: there is nothing slower than to look for several words in any case.
    for start in heapq.merge(*(_occurrences(small, stem) for stem in _STEMS)):
        end = _name_end(small, start)
        if end is None:
            continue
        if has_values and (between := _VALUE_OF.match(text, end)):
            yield _Named(start, text[start:end], "=", between.end())
        elif text.startswith(_TAG, end):
            yield _Named(start, text[start:end], _TAG, end + 1)
        elif listed := _is_password(small[start:end]) and _listed(text, start, end):
            yield listed
        elif between := _BETWEEN.match(text, end):
            yield _Named(start, text[start:end], between[1], between.end())
        elif (argument := _ARGUMENT.match(text, end)) and _DEFINE.search(
            text[max(0, start - _BEFORE_MOST) : start]
        ):
            yield _Named(start, text[start:end], "=", argument.end())


def _listed(text: str, start: int, end: int) -> _Named | None:
    """A name of several."""
    if brackets := _LISTED.match(text, end):
        return _Named(start, text[start:end], _BRACKET, brackets.end())
    dashes = _DASHED.match(text, end)
    if dashes and _is_setting(text[max(0, start - _BEFORE_MOST) : start]):
        return _Named(start, text[start:end], _DASH, dashes.end())
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


def _value(text: str, named: _Named) -> tuple[int, int] | None:
    before = text[max(0, named.start - _BEFORE_MOST) : named.start]
    if named.word.lower() == _VERB and before[-1:] in ("_", "-"):
        named = attrs.evolve(named, word=f"{named.word}word")
    if named.between == _TAG:
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


def _in_brackets(text: str, named: _Named) -> tuple[list[tuple[int, int]], int]:
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


def _behind_dashes(text: str, named: _Named) -> tuple[list[tuple[int, int]], int]:
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


def _is_setting(before: str) -> bool:
    """Whether a name stands as in a file of settings."""
    return bool(_SETTING.match(before, max(0, before.rfind("\n"), before.rfind("\\n"))))


def _is_password(word: str) -> bool:
    return word.startswith(("pass", "pwd"))


def _is_no_literal(value: str) -> bool:
    """Whether something without quotes is code, a path, or stands for something else."""
    is_path = value.startswith(("/", "./", "../", "~/", "-")) and len(value) != _AWS_SECRET
    is_code = _CODE.search(value) or _CHAIN.match(value)
    return bool(len(value) < _SHORT or is_path or is_code or is_placeholder(value))


def is_placeholder(value: str) -> bool:
    """Whether a value stands for one that is elsewhere, or for any."""
    return bool(_PLACEHOLDER.match(value)) or value.lower() in _WORDS


def _is_bare_secret(text: str, named: _Named, before: str, at: int, end: int) -> bool:
    """Whether a literal without quotes is one."""
    word, between, value = named.word.lower(), named.between, text[at:end]
    if word == "_auth":
        return between == "=" and bool(_BASE64.fullmatch(value))
    is_password = _is_password(word)
    is_last = text[end : end + 1] in ("", "\n", "\r", "\\")
    is_setting = is_last and _is_setting(before)
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
