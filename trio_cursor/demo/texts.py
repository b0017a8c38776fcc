"""What people ask: harmless texts with everything in them that has ever broken a reader or a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

PROMPTS: Final = (
    "Why does this test only fail on Mondays?",
    "Rename `fetch_rows` to `read_page` everywhere, tests too.",
    "Add a docstring that says who closes the connection.",
    "Explain this regular expression as if I had never seen one.",
    "Write a property test for the round trip of a position.",
    "Make the retry loop give up after three attempts, with jitter.",
    "Turn this callback into an async generator and keep its cancellation.",
    "What would happen if two windows wrote this file at the same time?",
    "Split this function: one part decides, the other does.",
    "Find the off-by-one error in the pagination.",
    "Replace the mock by a real SQLite file.",
    "Is there a race between the stat and the open here?",
    "Show me the smallest change that makes mypy happy without a cast.",
    "Draw the data flow as a Mermaid diagram.",
    "Sort the imports 🧹 and remove the dead ones ✨",
    "Übersetze die Fehlermeldungen ins Deutsche, aber höflich.",
    "この関数を読みやすくしてください。",
    "اجعل رسالة الخطأ أوضح",
    "Family test: 👩‍👩‍👧‍👦 must stay one cluster, and e\u0301 is not \u00e9.",
    "First line\nsecond line\n\n\tan indented one after an empty one\r\nand one from Windows",
    "<b>Is this bold?</b> <script>alert('it should not be')</script> &amp; <img src=x onerror=alert(1)>",
    "Escape this: \\ \" ' ` ${HOME} $(echo no) %s {0} \\u0041 \\n",
    "\x1b[31mA red prompt\x1b[0m and a title \x1b]0;hello\x07 in the terminal",
    "'); DROP TABLE ItemTable; -- and then tell me why this is harmless",
    "A form feed \x0c, a zero-width\u200b space, a right-to-left mark \u200f and a line separator\u2028 here",
    "  leading and trailing blanks matter  ",
    "null",
    '{"unixMs": 1, "generationUUID": "not this one"}',
    "",
    # Cut in the middle of an emoji, as JavaScript's substring does: the first half of a surrogate pair.
    "This prompt was cut in the middle of an emoji \ud83d",
)

FILES: Final = (
    "reader.py",
    "src/main.rs",
    "app/page.tsx",
    "Makefile",
    "docs/read me.md",
    "tests/größe_test.py",
)

_ANSWERS: Final = (
    "Done. The function now has one exit, and the test that showed the fault passes.",
    "There are two causes. The first is the order of the imports; the second hides behind it.",
    "```python\ndef answer() -> int:\n    return 42\n```",
    "I would not change this: the lock is held for less than a millisecond.",
    "Here is a table:\n\n| before | after |\n|---|---|\n| 12 ms | 3 ms |",
    "Gern. Die Meldung lautet jetzt: „Bitte später noch einmal versuchen.“ 🙂",
)

MODELS: Final = ("claude-4.5-sonnet", "gpt-5.1-codex", "gemini-3-pro", "composer-1", "grok-code-fast-1")

#: One in this many prompts is long: pasted logs make rings of 15 to 70 KB, and prompts of some KB.
_LONG_ONE_IN = 25


def prompt(random: Random) -> str:
    text = random.choice(PROMPTS)
    if random.randrange(_LONG_ONE_IN) == 0:
        pasted = "\n".join(
            f"2026-01-{day:02} 12:00:00 WARN pool: {random.randrange(900)} ms" for day in range(1, 29)
        )
        return f"{text}\n\n{pasted}"
    return text


def answer(random: Random) -> str:
    return "\n\n".join(random.sample(_ANSWERS, random.randint(1, 3)))
