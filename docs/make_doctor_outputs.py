"""What `doctor` says of broken set-ups, put into docs/doctor.md: each is made, and looked at.

    python docs/make_doctor_outputs.py

Needs the test dependencies and a `redis-server`, on Linux or macOS.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

import doctor_setups  # noqa: E402 - found only now

DOCUMENT = HERE / "doctor.md"
HEADING = "## What it says of what is broken\n"
_WORDS = """
Written by `python docs/make_doctor_outputs.py`, which breaks one thing in a home of its own and calls
`python -m trio_cursor doctor`, without an option. A test compares these findings with what is
said today. Left out are sections in which nothing is wrong.
"""


def sections() -> Iterator[str]:
    """One for each set-up."""
    for title in doctor_setups.SETUPS:
        if not doctor_setups.can_be_made(title):
            raise SystemExit(f"{title}: this cannot be made here")
        code, text = doctor_setups.examined(title)
        yield f"### {title}\n\n```text\n{shortened(text)}\n```\n\nExit code {code}.\n"


def shortened(text: str) -> str:
    """Without the sections in which nothing is wrong."""
    parts = [
        part
        for part in text.strip().split("\n\n")
        if "✗" in part or not re.search(r"^  ", part, re.MULTILINE)
    ]
    return "\n\n".join(parts)


if __name__ == "__main__":
    before, _, _ = DOCUMENT.read_text(encoding="utf-8").partition(HEADING)
    DOCUMENT.write_text(f"{before}{HEADING}{_WORDS}\n" + "\n".join(sections()), encoding="utf-8")
