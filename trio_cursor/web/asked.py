"""What the page was asked for, by its address; and the address of something else. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any
from urllib.parse import urlencode

import attrs

from trio_cursor.page_index import Selection, Terms, bounds, terms_of

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_KEY = re.compile(r"(-?[0-9]{1,18})\.([0-9]{1,18})")
_NUMBER = re.compile(r"[0-9]{1,18}")
_LONGEST = 4096


@attrs.frozen
class Asked:
    """Everything that an address can say; what is none of it counts as not said."""

    q: str = ""
    workspace: str | None = None
    model: str | None = None
    kind: str | None = None
    day: date | None = None
    #: Of that day.
    hour: int | None = None
    #: Time and sequence of the last line that was shown: what comes behind is wanted.
    before: tuple[int, int] | None = None
    #: What was reported after this sequence is wanted.
    after: int | None = None
    #: Of which log the lines are that are shown (`Edition.of`).
    of: str | None = None

    @property
    def words(self) -> Terms | None:
        return terms_of(self.q)

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return attrs.evolve(self, before=None, after=None, of=None) == Asked()

    def selection(self) -> Selection:
        """What it chooses."""
        since, until = (None, None) if self.day is None else bounds(self.day, self.hour)
        return Selection(self.words, self.workspace, self.model, self.kind, since, until)

    def url(self, **changes: Any) -> str:
        """The page's address with something else, and from its beginning."""
        other = attrs.evolve(self, **{"before": None, "after": None, "of": None, **changes})
        fields = {
            "q": other.q,
            "workspace": other.workspace,
            "model": other.model,
            "kind": other.kind,
            "day": other.day and other.day.isoformat(),
            "hour": other.hour if other.day else None,
            "before": other.before and "{}.{}".format(*other.before),
        }
        said = {name: value for name, value in fields.items() if value is not None and value != ""}
        return f"/?{urlencode(said, errors='replace')}" if said else "/"


def asked(said: Mapping[str, str], today: date) -> Asked:
    """What an address says; an hour without a day is one of today."""
    # Empty values are those of fields that nobody has filled in.
    fields = {name: value[:_LONGEST] for name, value in said.items() if value}
    day, hour = _day(fields.get("day", "")), _hour(fields.get("hour", ""))
    after = fields.get("after", "")
    key = _KEY.fullmatch(fields.get("before", ""))
    return Asked(
        q=fields.get("q", "").strip(),
        workspace=fields.get("workspace"),
        model=fields.get("model"),
        kind=fields.get("kind"),
        day=today if day is None and hour is not None else day,
        hour=hour,
        before=(int(key[1]), int(key[2])) if key else None,
        after=int(after) if _NUMBER.fullmatch(after) else None,
        of=fields.get("of"),
    )


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None
    # A day that has days around it, in any zone.
    return found if found and date(1971, 1, 1) < found < date(9000, 1, 1) else None


def _hour(text: str) -> int | None:
    return int(text) if re.fullmatch("[01]?[0-9]|2[0-3]", text) else None
