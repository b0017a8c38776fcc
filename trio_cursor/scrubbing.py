"""Texts without what nobody else should read: secrets, e-mail addresses, homes. Pure.

Words stand for what was found, and say what it was. What has neither a shape nor a telling name, such as a
password in prose, is not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import attrs

from trio_cursor.assignments import assigned_secrets
from trio_cursor.command_lines import typed_secrets
from trio_cursor.observations import Json
from trio_cursor.secret_names import is_name_of_secrets, is_secret_name
from trio_cursor.token_shapes import SHAPES, Shape

#: So many characters at once, in whole lines: no other thread runs while a pattern is looked for.
_AT_ONCE: Final = 32_768

_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
#: What can be of one that has no end.
_PEM_BODY = re.compile(r"[A-Za-z0-9+/=\s\\:,\-]*+")

#: Of a key as PuTTY writes it, behind how many lines it has.
_PUTTY = re.compile(
    r"(Private-Lines:[ \t]{0,4}\d{1,4}+(?:\\r|\\n|[\r\n]){1,4}+)(?:(?!Private-)[A-Za-z0-9+/=\s]|\\[rn])++"
)

_AT = re.compile(r"(?:@|%40)((?:[^\W_][\w\-]{0,62}+\.){1,8}[^\W\d_]{2,24}+)")
_LOCAL: Final = frozenset(".!#$&*+_~-")
_LOCAL_MOST: Final = 64
_NO_PERSON: Final = frozenset({"git", "svn", "hg"})
#: Names of images for dense screens (`icon@2x.png`).
_DENSITY = re.compile(r"[1-4]x\.[a-z]{2,4}", re.IGNORECASE)
_DIGIT = re.compile(r"\d")

#: In JSON, what names a thing whose value stands beside it; what of a thing is no value of it.
_NAMING: Final = frozenset({"name", "key"})
_DESCRIBING: Final = frozenset(
    {"type", "kind", "title", "description", "format", "name", "in", "$ref", "required", "enum", "default"}
)

_NAME: Final = r"[^\s/\\:*?\"'<>|,;()\[\]{}`$#]{1,64}+"
#: Nothing of a path or of an address is before it.
_START: Final = r"(?<![\w.~\-])"
_HOMES: Final = (
    # As a part of a remote folder's URI.
    (
        ("://",),
        re.compile(
            rf"((?:vscode-remote|vscode-local|file|sftp|ssh)://[^\s/\"']{{0,200}})/(?:home|Users)/{_NAME}"
        ),
    ),
    (
        ("Users",),
        re.compile(rf"{_START}()(?:/mnt)?/[A-Za-z](?::|%3[Aa])?/Users/(?!Shared\b|Public\b){_NAME}"),
    ),
    (("/Users/",), re.compile(rf"{_START}()(?:/System/Volumes/Data)?/Users/(?!Shared\b){_NAME}")),
    (("/home/",), re.compile(rf"{_START}()(?:/var|/usr|/export)?/home/{_NAME}")),
    (
        ("sers",),
        re.compile(
            r"(?<![\w.])()[A-Za-z](?::|%3[Aa])(?:\\{1,4}|/)[Uu]sers(?:\\{1,4}|/)(?!Public\b)"
            rf"(?:[^\\/:*?\"<>|\r\n]{{1,64}}(?=[\\/])|{_NAME})"
        ),
    ),
)
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_ANY_HOME = re.compile(
    rf"(?:/mnt/[A-Za-z]|/[A-Za-z](?::|%3[Aa]))?(?:/var|/usr|/export)?/(?:home|Users)/{_NAME}"
)


@attrs.frozen
class Scrubber:
    """Takes out what is found."""

    #: The user's own home, whatever it is called.
    home: str | None = None
    _own_home: re.Pattern[str] | None = attrs.field(init=False)

    @_own_home.default
    def _make_own_home(self) -> re.Pattern[str] | None:
        home = (self.home or "").rstrip("/\\")
        if len(home) < 2:  # noqa: PLR2004 - the root of a drive is nobody's
            return None
        forms = {home, home.replace("\\", "\\\\"), home.replace("\\", "/")}
        is_windows = bool(_DRIVE.match(home))
        if is_windows:  # as in a URI
            forms |= {f"{home[0]}%3A{form[2:]}" for form in forms}
        anyhow = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
        # Cursor writes its drive in lower case, and whoever types it writes all of it as he likes.
        flags = re.IGNORECASE if is_windows else 0
        return re.compile(rf"(?:{anyhow})(?![\w\-])(?!\.\w)", flags)

    def text(self, text: str) -> str:
        """The text without what was found in it."""
        return "".join(self._lines(piece) for piece in _pieces(_without_private_keys(text)))

    def json(self, value: Json) -> Json:
        """The same for every text in it, and for what is called a secret."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            has_named = any(
                key.lower() in _NAMING and isinstance(item, str) and is_secret_name(item)
                for key, item in value.items()
            )
            return {
                self.text(key): self._named("secret" if has_named and key.lower() == "value" else key, item)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self.json(item) for item in value]
        return value

    def _named(self, name: str, value: Json) -> Json:
        """The same for what has a name."""
        if isinstance(value, list | dict):
            return self._hidden(value) if is_name_of_secrets(name) else self.json(value)
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and name.lower() != "pass"
        if (is_number or isinstance(value, str)) and is_secret_name(name):
            return _mark("secret")
        return self.json(value)

    def _hidden(self, value: Json) -> Json:
        """Whatever stands where a secret is expected, but what tells of which kind it is."""
        if isinstance(value, list):
            return [self._hidden(item) for item in value]
        if isinstance(value, dict):
            return {
                self.text(key): self.json(item) if key.lower() in _DESCRIBING else self._hidden(item)
                for key, item in value.items()
            }
        return _mark("secret") if isinstance(value, str) else self.json(value)

    def path(self, path: str) -> str:
        """A path, or a URI, as `text`, wherever in it a home begins."""
        return self._lines(_ANY_HOME.sub("~", self._homes(path), count=1))

    def _lines(self, text: str) -> str:
        for shape in SHAPES:
            if any(hint in text for hint in shape.hints):
                text = _without_shape(text, shape)
        text = _replaced(text, assigned_secrets(text), "secret")
        text = _replaced(text, typed_secrets(text), "password")
        if "@" in text or "%40" in text:
            text = _replaced(text, _addresses(text), "e-mail")
        return self._homes(text)

    def _homes(self, text: str) -> str:
        if self._own_home is not None:
            text = self._own_home.sub("~", text)
        for hints, pattern in _HOMES:
            if any(hint in text for hint in hints):
                text = pattern.sub(r"\1~", text)
        return text


def _mark(kind: str) -> str:
    return f"[REDACTED:{kind}]"


def _pieces(text: str) -> Iterator[str]:
    """Whole lines, and as few of them at once as have about so many characters."""
    start = 0
    while len(text) - start > _AT_ONCE:
        end = text.find("\n", start + _AT_ONCE) + 1
        if not end:
            break
        yield text[start:end]
        start = end
    yield text[start:]


def _without_private_keys(text: str) -> str:
    if "Private-Lines:" in text:
        text = _PUTTY.sub(rf"\1{_mark('private-key')}\n", text)
    if "PRIVATE KEY" not in text:
        return text
    found = []
    start = 0
    has_end = True
    while begin := _PEM.search(text, start):
        # Where none ends, it is looked for once and not behind every beginning.
        whole = _PEM_END.search(text, begin.end()) if has_end else None
        has_end = whole is not None
        end = whole or _PEM_BODY.match(text, begin.end())
        found += [text[start : begin.start()], _mark("private-key")]
        start = end.end() if end else begin.end()
    return "".join((*found, text[start:]))


def _without_shape(text: str, shape: Shape) -> str:
    def replaced(match: re.Match[str]) -> str:
        group = match.re.groups and 1
        if shape.needs_digit and not _DIGIT.search(match[group]):
            return match[0]
        head, tail = match.start(group) - match.start(), match.end(group) - match.start()
        return match[0][:head] + _mark(shape.kind) + match[0][tail:]

    return shape.pattern.sub(replaced, text)


def _replaced(text: str, places: Iterator[tuple[int, int]], kind: str) -> str:
    parts, start = [], 0
    for begin, end in places:
        parts += [text[start:begin], _mark(kind)]
        start = end
    return "".join((*parts, text[start:])) if parts else text


def _addresses(text: str) -> Iterator[tuple[int, int]]:
    done = 0
    for found in _AT.finditer(text):
        begin = found.start()
        least = max(done, begin - _LOCAL_MOST)
        while begin > least and (text[begin - 1].isalnum() or text[begin - 1] in _LOCAL):
            begin -= 1
        local = text[begin : found.start()]
        if local and local not in _NO_PERSON and not _DENSITY.fullmatch(found[1]):
            done = found.end()
            yield begin, done
