"""What a check has to say. Pure."""

from __future__ import annotations

import enum

import attrs

from trio_cursor.observations import JsonObject


class Level(enum.StrEnum):
    """How much it matters."""

    OK = "ok"
    #: Good to know; nothing is wrong.
    NOTE = "note"
    #: Something is wrong, and somebody can do something about it.
    FINDING = "finding"


@attrs.frozen
class Check:
    """One line of what was found."""

    #: What was looked at, as programs call it: `database`, `redis.rights`.
    check: str
    #: Which of them: a path, an address.
    subject: str
    level: Level
    #: What is so, in a sentence; never a secret.
    what: str
    #: What to do about it; None: nothing.
    do: str | None = None
    #: For programs, and for who asks for more; a person is told the sum.
    is_detail: bool = False
    #: The figures and names in it, for programs. Which there are depends on the check.
    facts: JsonObject = attrs.field(factory=dict)

    def to_object(self) -> JsonObject:
        return {
            "check": self.check,
            "subject": self.subject,
            "level": self.level.value,
            "what": self.what,
            "do": self.do,
            "facts": self.facts,
        }


def ok(
    check: str, subject: str, what: str, *, is_detail: bool = False, facts: JsonObject | None = None
) -> Check:
    """It is as it should be."""
    return Check(check, subject, Level.OK, what, is_detail=is_detail, facts=facts or {})


def note(check: str, subject: str, what: str, do: str | None = None, *, is_detail: bool = False) -> Check:
    """It is good to know."""
    return Check(check, subject, Level.NOTE, what, do, is_detail)


def finding(check: str, subject: str, what: str, do: str) -> Check:
    """It is wrong."""
    return Check(check, subject, Level.FINDING, what, do)


def of_error(check: str, subject: str, error: Exception, otherwise: str) -> Check:
    """An error of ours, whose text is what is wrong and, behind a semicolon, mostly what to do."""
    what, _, do = str(error).partition("; ")
    return finding(check, subject, what, do or otherwise)
