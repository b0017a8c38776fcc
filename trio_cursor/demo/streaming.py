"""A turn as it streams into the database, step by step, and as the ledger expects it to be reported.

Source: cursor-storage facts, section c, "Streaming": the conversation is `generating`, an empty bubble of
the assistant appears and is rewritten as its text grows, tools and thinking get bubbles of their own, headers
name bubbles that are not committed yet, and at last the conversation settles.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from trio_cursor.demo import bubbles, noise, turns
from trio_cursor.demo.bubbles import ASSISTANT, USER
from trio_cursor.demo.ring import new_id
from trio_cursor.demo.turn_plan import TASK, TEXT, THINKING
from trio_cursor.demo.turns import GENERATING, Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trio_cursor.demo.conversation import Conversation
    from trio_cursor.demo.rows import Rows
    from trio_cursor.demo.turn_plan import Part, TurnPlan
    from trio_cursor.demo.turns import TurnBook
    from trio_cursor.observations import JsonObject


class Streaming:
    """One turn. Call `step` until it says that it was the last, or `finish` before."""

    def __init__(
        self,
        conversation: Conversation,
        plan: TurnPlan,
        rows: Rows,
        book: TurnBook | None,
        now_ms: Callable[[], int],
        *,
        is_live: bool = True,
    ) -> None:
        """Take the turn's place in the conversation; `book` None: it counts under another conversation."""
        self.conversation = conversation
        self.plan = plan
        self.rows = rows
        self.now_ms = now_ms
        self.is_live = is_live
        #: The last step has begun a tool call that is another agent.
        self.starts_agent = False
        #: An agent under the same id, which settles with this one.
        self.companion: Streaming | None = None
        self._book = book
        self._random = Random(f"bubbles of {plan.generation_id} in {conversation.id}")  # noqa: S311 no secret
        self._is_first = conversation.turns == 0
        self._bubbles: list[JsonObject] = []
        #: Their times, None where the file has none.
        self._created: list[int | None] = []
        self._unwritten: list[JsonObject] = []
        self._script_steps = self._script()
        self._taken = 0
        self._sent_ms = now_ms()
        conversation.turns += 1
        conversation.status = GENERATING

    def step(self) -> bool:
        """Do what comes next; True: the turn has ended."""
        self._taken += 1
        self.starts_agent = False
        if self.plan.steps is not None and self._taken > self.plan.steps:
            self.finish(self.plan.outcome)
            return True
        try:
            next(self._script_steps)
        except StopIteration:
            self.finish(self.plan.outcome)
            return True
        return False

    def finish(self, status: str) -> None:
        """Settle, all in one transaction: bubbles first, then what says that they are final."""
        self._write_bubbles()
        now, conversation, plan = self.now_ms(), self.conversation, self.plan
        last = self._bubbles[-1]
        if "toolFormerData" in last and last["toolFormerData"]["status"] == "loading":
            bubbles.end_tool(last, "cancelled", "")
        if "last" in plan.request_on:
            last["requestId"] = plan.generation_id
        if status == "completed":
            if plan.tokens is not None:
                last["tokenCount"] = {"inputTokens": plan.tokens[0], "outputTokens": plan.tokens[1]}
            if plan.has_timing:
                last["timingInfo"] = bubbles.timing(self._random, self._sent_ms, now)
            if conversation.era.has_turn_duration:
                last["turnDurationMs"] = now - self._sent_ms
        conversation.put_bubble(self.rows, last)
        noise.answered(self._random, self.rows, conversation, plan.generation_id)
        conversation.status = status
        conversation.generating = []
        # With a later question the status of this turn could not be told any more, except where there is no
        # answer; and a turn without any request id would change its id.
        is_blurred = status == "error" or (status == "aborted" and self._has_answer())
        conversation.has_ended = plan.is_anonymous or is_blurred
        conversation.write(self.rows, now)
        if self._book is not None:
            self._book.settle(self._as_turn(status))

    def _script(self) -> Iterator[None]:
        self._begin()
        if self.plan.is_ahead:
            yield
        self._write_bubbles()
        yield
        for number, part in enumerate(self.plan.parts):
            if number:
                self._add(ASSISTANT, part)
                self.conversation.write(self.rows, self.now_ms())
                if self.plan.is_ahead:
                    yield
                self._write_bubbles()
                yield
            yield from self._grow(self._bubbles[-1], part)

    def _begin(self) -> None:
        conversation, plan = self.conversation, self.plan
        conversation.latest = plan.generation_id
        conversation.title = conversation.title or plan.prompt
        user = self._add(USER)
        bubbles.ask(user, plan.prompt, plan.prompt_form)
        if plan.model is not None:
            user["modelInfo"] = {"modelName": plan.model}
        if conversation.folder_rule == turns.WORKSPACE_URIS and conversation.place is not None:
            user["workspaceUris"] = [uri for uri in (conversation.place.folder_uri,) if uri is not None]
        if "user" in plan.request_on:
            user["requestId"] = plan.generation_id
        first = self._add(ASSISTANT)
        conversation.generating = [first["bubbleId"]]
        conversation.write(self.rows, self._sent_ms)
        noise.asked(self._random, self.rows, conversation, user["bubbleId"])
        if self._book is not None:
            self._book.note(self._as_turn(GENERATING))

    def _add(self, kind: int, part: Part | None = None) -> JsonObject:
        """A bubble, as yet only in the headers."""
        created_ms = self.now_ms() if self.plan.has_times else None
        bubble = bubbles.bubble(new_id(self._random), kind, self.conversation.era, created_ms)
        if self.plan.is_anonymous:
            del bubble["requestId"]
        if part is not None and part.kind == THINKING:
            bubbles.think(bubble, "")
        elif part is not None and part.kind != TEXT:
            call = f"call_{new_id(self._random)}"
            bubbles.use_tool(bubble, part.tool, call, "src/main.rs")
        self.conversation.add_header(bubble["bubbleId"], kind, created_ms)
        self._bubbles.append(bubble)
        self._created.append(created_ms)
        self._unwritten.append(bubble)
        return bubble

    def _write_bubbles(self) -> None:
        for bubble in self._unwritten:
            self.conversation.put_bubble(self.rows, bubble)
        self._unwritten.clear()

    def _grow(self, bubble: JsonObject, part: Part) -> Iterator[None]:
        if part.kind in (TEXT, THINKING):
            for shown in part.growth() if part.text else ():
                if part.kind == THINKING:
                    bubble["thinking"]["text"] = shown
                else:
                    bubble["text"] = shown
                self.conversation.put_bubble(self.rows, bubble)
                yield
            return
        self.starts_agent = part.tool == TASK
        yield
        bubbles.end_tool(bubble, part.status, part.text)
        self.conversation.put_bubble(self.rows, bubble)
        yield

    def _has_answer(self) -> bool:
        return any(
            bubble["text"] or "thinking" in bubble or "toolFormerData" in bubble
            for bubble in self._bubbles[1:]
        )

    def _as_turn(self, status: str) -> Turn:
        """What is to be reported, from what was planned and done rather than by reading it back."""
        conversation, plan, last = self.conversation, self.plan, self._bubbles[-1]
        asked_ms, ended_ms = self._created[0], self._created[-1]
        started_ms = conversation.created_ms if asked_ms is None and self._is_first else asked_ms
        duration_ms: int | None = last.get("turnDurationMs")
        if (timing := last.get("timingInfo")) is not None:
            ended_ms = int(timing["clientEndTime"])
            duration_ms = ended_ms - self._sent_ms if duration_ms is None else duration_ms
            started_ms = self._sent_ms if asked_ms is None else asked_ms
        prompt_tokens, completion_tokens = (status == "completed" and plan.tokens) or (None, None)
        texts = [bubble["text"] for bubble in self._bubbles[1:] if bubble["text"]]
        calls = [call for bubble in self._bubbles if (call := bubbles.tool_call(bubble)) is not None]
        workspace_id, rule = conversation.attribution or (None, None)
        place, parent = conversation.place, conversation.parent
        return Turn(
            generation_id=plan.generation_id,
            conversation_id=conversation.id,
            database=self._book.database if self._book is not None else "",
            era=conversation.era.name,
            status=status,
            prompt_text=plan.prompt,
            response_text="\n\n".join(texts) or None,
            model=plan.model or conversation.model,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            tokens_used=None if plan.tokens is None or prompt_tokens is None else sum(plan.tokens),
            tool_calls=tuple(calls),
            timestamp=started_ms,
            prompt_timestamp=asked_ms,
            completed_timestamp=None if status == GENERATING else ended_ms,
            duration_ms=duration_ms,
            workspace_id=workspace_id,
            attributed_by=rule,
            listed_in=place.id if conversation.is_listed and place is not None else None,
            parent_id=None if parent is None else parent.id,
        )
