"""What is going to happen in a turn, all of it thrown before it begins.

So that its texts depend on nothing but its id, however fast it streams and whatever streams beside it.
"""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Final

import attrs

from trio_cursor.demo import texts

if TYPE_CHECKING:
    from trio_cursor.demo.eras import Era

TEXT: Final = "text"
THINKING: Final = "thinking"
TOOL: Final = "tool"
#: The tool call that is another agent.
TASK: Final = "task"

#: Each rewriting of a row shows about so many further characters, in at most so many rewritings.
_CHARACTERS: Final = 25
_REWRITINGS: Final = 8
#: After how many steps, at most, an unlucky turn ends.
_MOST_STEPS: Final = 20

_ABORTED = 0.09
_ERROR = 0.05
_THINKS = 0.4
_SAYS_NOTHING_FIRST = 0.3
_TOOL_UNNAMED = 0.36
_TOOL_FAILS = 0.1
_TASK = 0.12
_OWN_MODEL = 0.08
_AHEAD = 0.6
_NO_TIMES = 0.15
_SUB_AGENT_SHARES_ID = 0.4

_THOUGHTS: Final = (
    "The user wants this to be quick. Let me look at the callers first.",
    "There may be a second place that does the same. I should search for it before I change anything.",
    "If the lock is taken here, the other branch can wait for ever.",
)
_INTERIM: Final = (
    "I'll look at the callers first, since the fault may be in how they use it and not here at all.",
    "Let me run the tests before I touch anything, so that we know what was broken all along.",
    "Ich sehe mir zuerst die Aufrufer an; danach ändere ich die Funktion und lasse die Prüfungen laufen.",
)
_TOOLS: Final = ("read_file_v2", "run_terminal_command_v2", "edit_file_v2")
#: Results are some KB: bubbles of 9 to 13 KB are the average in real databases.
_RESULT: Final = "\n".join(f"{line:>4}  def step_{line}(): return {line} * 7" for line in range(1, 600))
_RESULT_CHARACTERS: Final = (1_000, 20_000)


@attrs.frozen
class Part:
    """A bubble's worth of answer."""

    kind: str
    text: str = ""
    tool: str | None = None
    #: How the tool call ends.
    status: str = "completed"

    def growth(self) -> list[str]:
        """What is there after each rewriting; the last one is all of it."""
        count = max(1, min(_REWRITINGS, len(self.text) // _CHARACTERS))
        return [self.text[: len(self.text) * step // count] for step in range(1, count + 1)]


@attrs.frozen(kw_only=True)
class TurnPlan:
    """One question, its answer, and how it ends."""

    generation_id: str
    prompt: str
    #: `text`, `lexical` or `plain`: the last two have the question in `richText` alone.
    prompt_form: str
    parts: tuple[Part, ...]
    #: `completed`, `aborted` or `error`.
    outcome: str
    #: After how many steps an aborted or erroneous turn ends.
    steps: int | None
    #: Which bubbles bear the request id: any of `user` and `last`.
    request_on: frozenset[str]
    tokens: tuple[int, int] | None
    has_timing: bool
    has_times: bool
    #: `modelInfo` of the user bubble.
    model: str | None
    #: Headers name a bubble one flush before it is written.
    is_ahead: bool
    #: The agent that it starts, if any, works under the turn's own id.
    shares_id: bool

    @property
    def is_anonymous(self) -> bool:
        return not self.request_on


def plan_turn(generation_id: str, prompt: str | None, era: Era, *, alone: bool, agents: bool) -> TurnPlan:
    """Plan the turn with this id, which decides everything that is left open.

    `alone`: the conversation may be left to this turn, and an end that later turns would blur is allowed.
    """
    # For nothing here is a secret, and the id is as good a seed as any.
    random = Random(generation_id)  # noqa: S311
    if not prompt:
        prompt = texts.prompt(random) or texts.PROMPTS[0]
    # Each chance is taken whatever the conversation is like: which one it is may depend on the clock.
    parts = _parts(random, agents=agents)
    outcome = random.choices(("completed", "aborted", "error"), (1 - _ABORTED - _ERROR, _ABORTED, _ERROR))[0]
    # A later question makes a last turn without an id one with another id: it stays the only one.
    anonymous = random.random() < era.anonymous and alone
    placed = random.choice((("user",), ("last",), ("user", "last")))
    tokens = (random.randint(200, 60_000), random.randint(5, 4_000))
    return TurnPlan(
        generation_id=generation_id,
        prompt=prompt,
        prompt_form=_prompt_form(random, prompt),
        parts=parts,
        outcome=outcome,
        steps=None if outcome == "completed" else random.randint(1, _MOST_STEPS),
        request_on=frozenset(() if anonymous else placed),
        tokens=tokens if outcome == "completed" and random.random() < era.tokens else None,
        has_timing=random.random() < era.timing,
        has_times=random.random() >= _NO_TIMES and era.has_created_at,
        model=random.choice(texts.MODELS) if random.random() < _OWN_MODEL else None,
        is_ahead=random.random() < _AHEAD,
        shares_id=random.random() < _SUB_AGENT_SHARES_ID,
    )


def _parts(random: Random, *, agents: bool) -> tuple[Part, ...]:
    # The first bubble is the empty one with which a turn begins: where tools come first it stays empty.
    parts = [Part(TEXT, "" if random.random() < _SAYS_NOTHING_FIRST else random.choice(_INTERIM))]
    if random.random() < _THINKS:
        parts.append(Part(THINKING, random.choice(_THOUGHTS)))
    for _ in range(random.randint(0, 3)):
        name = None if random.random() < _TOOL_UNNAMED else random.choice(_TOOLS)
        status = "error" if random.random() < _TOOL_FAILS else "completed"
        parts.append(Part(TOOL, _RESULT[: random.randint(*_RESULT_CHARACTERS)], name, status))
    if random.random() < _TASK:
        parts.append(Part(TOOL, "Nothing else was found.", TASK if agents else _TOOLS[0]))
    parts.append(Part(TEXT, texts.answer(random)))
    return tuple(parts)


def _prompt_form(random: Random, prompt: str) -> str:
    form = random.choices(("text", "lexical", "plain"), (80, 15, 5))[0]
    if "\r" in prompt:
        return "text"  # the editor would not give the carriage return back
    if form == "plain" and _is_json(prompt):
        return "lexical"  # as plain text nobody could tell it from the editor's own JSON
    return form


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
