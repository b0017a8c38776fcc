"""What a consumer does to a group in one step: a script, or a transaction where scripts are forbidden.

All of it runs in the worker thread of a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import attrs
from redis.exceptions import ResponseError

from trio_cursor.redis_keys import StreamKeys
from trio_cursor.redis_link import Link
from trio_cursor.redis_trouble import is_forbidden, is_forbidden_within

Words: TypeAlias = tuple[str | int | bytes, ...]

#: So many names and values fit on the stack of a script; what an entry has beyond is left out.
MOST_WORDS: Final = 6_000
#: What a dead letter has besides the fields of its entry.
DEAD_FIELDS: Final = ("dead_reason", "dead_group", "dead_id", "dead_attempts")

#: KEYS stream, mark; ARGV group, seconds, ids. The mark first: what a full server refuses is not half done.
_ACK: Final = """
redis.call('SET', KEYS[2], '1', 'EX', ARGV[2])
return redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 3))
"""
#: KEYS stream, dead letters; ARGV group, id, most words, then the additional fields.
_BURY: Final = """
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1) == 0 then return 0 end
local found = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
local words, ours = {}, {}
for i = 4, #ARGV, 2 do ours[ARGV[i]] = true end
for i = 1, found and #found[2] or 0, 2 do
  if not ours[found[2][i]] and #words < tonumber(ARGV[3]) then
    words[#words + 1] = found[2][i]
    words[#words + 1] = found[2][i + 1]
  end
end
for i = 4, #ARGV do words[#words + 1] = ARGV[i] end
redis.call('XADD', KEYS[2], '*', unpack(words))
return redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
"""
#: KEYS stream; ARGV group, our consumer, idle milliseconds. One that has something is never deleted.
_FORGET: Final = """
local gone = 0
for _, said in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local about = {}
  for i = 1, #said, 2 do about[said[i]] = said[i + 1] end
  if about['name'] ~= ARGV[2] and about['pending'] == 0 and about['idle'] > tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], about['name'])
    gone = gone + 1
  end
end
return gone
"""


@attrs.frozen
class Member:
    """Who reads what: a consumer of a group of a stream."""

    keys: StreamKeys
    group: str
    consumer: str

    @property
    def stream(self) -> str:
        return self.keys.stream


@attrs.define(eq=False)
class Steps:
    """The steps of one consumer."""

    #: Until the server has said no.
    may_script: bool = True

    def ack(
        self, link: Link, member: Member, ids: Sequence[str], event_id: str, *, marker_seconds: int
    ) -> None:
        """Acknowledge the entries of a generation and leave a mark for others of it."""
        mark = member.keys.done(member.group, event_id)
        script: Words = ("EVAL", _ACK, 2, member.stream, mark, member.group, marker_seconds, *ids)
        steps: list[Words] = [
            ("SET", mark, "1", "EX", marker_seconds),
            ("XACK", member.stream, member.group, *ids),
        ]
        self._run(link, script, lambda: steps)

    def bury(self, link: Link, member: Member, id_: str, reason: str, attempts: int) -> bool:
        """Move an entry to the dead letters, unless the group is done with it; returns whether it was moved.

        In a transaction, two consumers at the same moment may each leave a letter.
        """
        stream, group = member.stream, member.group
        dead: Words = (reason, group, id_, attempts)
        ours = tuple(word for pair in zip(DEAD_FIELDS, dead, strict=True) for word in pair)

        def steps() -> list[Words]:
            if not unless_no_group(link, ("XPENDING", stream, group, id_, id_, 1)):
                return []
            found = link.ask("XRANGE", stream, id_, id_)
            words = found[0][1][:MOST_WORDS] if found else []
            names = {name.encode() for name in DEAD_FIELDS}
            pairs = [pair for pair in zip(words[::2], words[1::2], strict=True) if pair[0] not in names]
            kept = tuple(word for pair in pairs for word in pair)
            return [("XADD", member.keys.dead_letters, "*", *kept, *ours), ("XACK", stream, group, id_)]

        script: Words = ("EVAL", _BURY, 2, stream, member.keys.dead_letters, group, id_, MOST_WORDS, *ours)
        try:
            return bool(self._run(link, script, steps))
        except ResponseError as error:
            if says_no_group(error):
                return False
            raise

    def forget_consumers(self, link: Link, member: Member, idle_ms: int) -> int:
        """Delete consumers that have nothing and were not heard of for so long; returns how many."""
        try:
            words = ("EVAL", _FORGET, 1, member.stream, member.group, member.consumer, idle_ms)
            return int(link.ask(*words)) if self.may_script else 0
        except ResponseError as error:
            if not (is_forbidden(error) or is_forbidden_within(error) or says_no_group(error)):
                raise
            return 0  # without the rights nothing is tidied up

    def _run(self, link: Link, script: Words, steps: Callable[[], list[Words]]) -> Any:
        """The answer of the script, or of the last of the steps."""
        if self.may_script:
            try:
                return link.ask(*script)
            except ResponseError as error:
                if not is_forbidden(error):
                    raise
                self.may_script = False
        words = steps()
        if not words:
            return None
        *_, answers = link.ask_all([("MULTI",), *words, ("EXEC",)])
        return answers[-1]


def unless_no_group(link: Link, words: Words) -> Any:
    """What the server answers; nothing if there is no such group."""
    try:
        return link.ask(*words)
    except ResponseError as error:
        if says_no_group(error):
            return []
        raise


def says_no_group(error: ResponseError) -> bool:
    """Whether the group, or its stream, is not there."""
    # From within a script it stands behind other words.
    return any(words in str(error) for words in ("NOGROUP", "no such key"))
