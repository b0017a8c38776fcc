"""What a person types to find something, and what is made of texts for that. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import attrs

from trio_cursor.cursor.schemas.values import clean_text

#: Words, and what stands in quotation marks.
_TERM = re.compile(r'"([^"]*)"?|(\S+)')
_MOST_TERMS = 20
_MOST_CHARACTERS = 200
#: A word that may go on is at least so long: too many begin with less.
_LEAST_BEGINNING = 3
#: Letters of scripts without spaces between their words: each is a word of its own, and a word a phrase.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
#: Stands behind each of them in the index: no text has it there.
_SEPARATOR = "\x01"
_WORD = re.compile(r"[^\W_]+")
#: Around a hit so many characters are shown, and of that so many before it.
_EXCERPT, _BEFORE = 220, 70


@attrs.frozen
class Terms:
    """What is looked for: all of it must be there, together in the question or the answer, or one in each."""

    terms: tuple[str, ...]

    @property
    def query(self) -> str | None:
        """For FTS5, of the terms that have words in them; None: there are none. The last word may go on."""
        words = [term for term in self.terms if _WORD.search(term)]
        if not words:
            return None
        quoted = [f'"{separated(term.replace(chr(34), " "))}"' for term in words]
        goes_on = len(_words_of(words[-1])[-1]) >= _LEAST_BEGINNING
        return " ".join(quoted) + ("*" if goes_on else "")

    @property
    def signs(self) -> list[str]:
        """Terms without words: to be looked for as they are."""
        return [term for term in self.terms if not _WORD.search(term)]


def terms_of(text: str) -> Terms | None:
    """What was typed; None: nothing."""
    found = [quoted or word for quoted, word in _TERM.findall(_clean(text))]
    terms = tuple(term.strip() for term in found if term.strip())[:_MOST_TERMS]
    return Terms(terms) if terms else None


def separated(text: str) -> str:
    """A text as it is indexed."""
    return _UNSPACED.sub(lambda found: found[0] + _SEPARATOR, text)


def stored(text: str) -> str:
    """A text as it is put into the index."""
    return separated(text.replace("\0", "").replace(_SEPARATOR, ""))


def restored(text: str) -> str:
    """The reverse of it."""
    return text.replace(_SEPARATOR, "")


@attrs.frozen
class Excerpt:
    """A place with hits."""

    #: Of which of the texts it is.
    of: int
    #: In pieces, and whether each is a hit.
    pieces: tuple[tuple[str, bool], ...]


def excerpt(terms: Terms, *texts: str) -> Excerpt | None:
    """The first place with a hit, of texts as they are in the index; None: words are not seen one by one."""
    wanted = [word for term in terms.terms for word in _words_of(term)]
    for number, text in enumerate(texts):
        hits = _hits(text, terms, wanted)
        first = next(hits, None)
        if first is not None:
            return Excerpt(number, _pieces(text, [first, *hits]))
    return None


def _hits(text: str, terms: Terms, wanted: list[str]) -> Iterator[tuple[int, int]]:
    """Where words that are looked for, or what begins like the last of them, stand in a text."""
    if not wanted:
        at = min((at for term in terms.signs if (at := text.find(term)) >= 0), default=-1)
        if at >= 0:
            yield at, at + len(terms.signs[0])
        return
    last = wanted[-1] if len(wanted[-1]) >= _LEAST_BEGINNING else None
    end = len(text)
    for found in _WORD.finditer(text):
        if found.start() > end:
            return
        word = _folded(found[0])
        if word in wanted or (last is not None and word.startswith(last)):
            end = min(end, found.start() + _EXCERPT)
            yield found.span()


def _pieces(text: str, hits: list[tuple[int, int]]) -> tuple[tuple[str, bool], ...]:
    begin = max(hits[0][0] - _BEFORE, 0)
    found: list[tuple[str, bool]] = [("…", False)] if begin else []
    at = begin
    for start, end in hits:
        found += [(text[at:start], False), (text[start:end], True)]
        at = end
    found.append((text[at : max(begin + _EXCERPT, at)], False))
    if begin + _EXCERPT < len(text):
        found.append(("…", False))
    return tuple((restored(piece), is_hit) for piece, is_hit in found if piece)


def _words_of(term: str) -> list[str]:
    return [_folded(word) for word in _WORD.findall(separated(term))]


def _folded(word: str) -> str:
    """As the index compares words: without case and without marks."""
    if word.isascii():
        return word.lower()
    parts = unicodedata.normalize("NFKD", word.casefold())
    return "".join(char for char in parts if not unicodedata.combining(char))


def _clean(text: str) -> str:
    return clean_text(text[:_MOST_CHARACTERS].replace("\0", ""))
