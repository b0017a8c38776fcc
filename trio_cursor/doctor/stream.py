"""The Redis server of our configuration, asked by commands that change nothing there."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import attrs
import trio
from redis.exceptions import NoPermissionError, ResponseError

from trio_cursor.asked import sources, stream_of
from trio_cursor.config import Config
from trio_cursor.redis_address import RedisAddress, address_of
from trio_cursor.redis_keys import StreamKeys, keys_of
from trio_cursor.redis_link import Link, Word
from trio_cursor.redis_streams import thread_limiter
from trio_cursor.redis_tending import evicting, unread
from trio_cursor.redis_trouble import StreamError, Trouble, is_forbidden, translated
from trio_cursor.threads import run_or_leave

Ask: TypeAlias = Callable[..., Any]

#: The longest silence before an answer; of one that is slower the service would complain, too.
ANSWER_SECONDS: Final = 3.0
#: In no stream and no key; what is asked for by this name is not there.
_NOBODY: Final = "trio-cursor-doctor"


@attrs.frozen
class Group:
    """A consumer group of the stream."""

    name: str
    consumers: int
    #: Entries that it was given and has not acknowledged.
    pending: int
    #: The first entry that it has not acknowledged.
    first: tuple[int, int]
    #: Entries that it was not given yet; None: the server does not say (it may, from 7.0 on).
    lag: int | None = None


@attrs.define(eq=False)
class StreamLook:
    """One stream, or one shard of it, on its server."""

    stream: str
    #: Names no user and no password.
    server: str
    #: It is read for announcements, and nothing is put there.
    is_read_only: bool = False
    #: Nothing can be asked.
    trouble: StreamError | None = None
    version: str | None = None
    #: By which the server may drop keys when its memory is full; None: it drops none, or does not say.
    policy: str | None = None
    #: Bytes that it uses, and that it may use (0: as many as there are); None: it does not say.
    memory_bytes: int | None = None
    most_bytes: int | None = None
    #: By how many milliseconds its clock is ahead of ours; None: it does not say.
    ahead_ms: int | None = None
    #: Why entries would not be taken now.
    refusal: StreamError | None = None
    #: Commands of the documented rights that are forbidden, and whether keys are.
    forbidden: list[str] = attrs.field(factory=list)
    #: Those of them that nobody may use: the server does not have them under their names.
    renamed: list[str] = attrs.field(factory=list)
    are_keys_forbidden: bool = False
    #: None: there is no such key yet.
    length: int | None = None
    #: The key is no stream, or it cannot be told.
    stream_trouble: StreamError | None = None
    groups: list[Group] = attrs.field(factory=list)


async def look_at_streams(config: Config) -> list[StreamLook]:
    """Each stream that is written or read. Raises `ConfigError`."""
    if config.redis.url is None:
        return []
    address = address_of(config.redis)
    looks = [
        StreamLook(keys.stream, str(address)) for keys in keys_of(config.redis.stream, config.redis.shards)
    ]
    if sources(config).redis and (announced := stream_of(config)) not in {look.stream for look in looks}:
        # Of a stream in shards the sessions' one may be the stream itself.
        looks.append(StreamLook(announced, str(address), is_read_only=True))
    async with trio.open_nursery() as nursery:
        for look in looks:
            nursery.start_soon(_look, look, address)
    return looks


async def _look(look: StreamLook, address: RedisAddress) -> None:
    link = Link(address, look.stream, answer_seconds=ANSWER_SECONDS)
    work = partial(link.run, partial(_ask_all, look, link.ask))
    try:
        with trio.fail_after(link.longest_seconds + ANSWER_SECONDS):
            await run_or_leave(
                work, limiter=thread_limiter(), leave=link.cut, thread_name="trio_cursor redis"
            )
    except StreamError as error:
        look.trouble = error
    except trio.TooSlowError:
        look.trouble = StreamError(Trouble.STALLED, "it does not answer")
    finally:
        link.close()


def _ask_all(look: StreamLook, ask: Ask) -> None:
    look.version = _version(ask)
    look.policy = evicting(ask)
    _memory(look, ask)
    _clock(look, ask)
    for name, words in _probes(look):
        _probe(look, ask, name, words)
    if "eval" in look.forbidden:
        for words in (("WATCH", _key(look)), ("UNWATCH",), ("MULTI",), ("EXEC",)):
            _probe(look, ask, words[0].lower(), words)
    try:
        found = ask("XINFO", "STREAM", look.stream)
        look.length = int(dict(zip(found[::2], found[1::2], strict=True))[b"length"])
        look.groups += _groups(look, ask)
    except ResponseError as error:
        # That it is forbidden is known by now.
        if not (is_forbidden(error) or str(error).endswith("no such key")):
            look.stream_trouble = translated(error)


def _groups(look: StreamLook, ask: Ask) -> Iterator[Group]:
    first = dict(unread(ask, look.stream)) if "xpending" not in look.forbidden else {}
    for answer in ask("XINFO", "GROUPS", look.stream):
        found = dict(zip(answer[::2], answer[1::2], strict=True))
        name = found[b"name"].decode("utf-8", "replace")
        lag = found.get(b"lag")
        yield Group(
            name,
            int(found[b"consumers"]),
            int(found[b"pending"]),
            first.get(name, (1 << 62, 0)),
            None if lag is None else int(lag),
        )


def _version(ask: Ask) -> str | None:
    with contextlib.suppress(ResponseError):
        text = ask("INFO", "server").decode("utf-8", "replace")
        found = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        if "valkey_version" in found:
            return f"Valkey {found['valkey_version']}"
        return f"Redis {found['redis_version']}" if "redis_version" in found else None
    return None


def _memory(look: StreamLook, ask: Ask) -> None:
    with contextlib.suppress(ResponseError):
        text = ask("INFO", "memory").decode("utf-8", "replace")
        found = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        look.memory_bytes = int(found["used_memory"]) if "used_memory" in found else None
        look.most_bytes = int(found["maxmemory"]) if "maxmemory" in found else None


def _clock(look: StreamLook, ask: Ask) -> None:
    before = time.time()
    with contextlib.suppress(ResponseError):
        seconds, microseconds = ask("TIME")
        ours = (before + time.time()) / 2
        look.ahead_ms = round((int(seconds) + int(microseconds) / 1e6 - ours) * 1000)


def _probes(look: StreamLook) -> Iterator[tuple[str, Sequence[Word]]]:
    """Of each command of the documented rights a form that does nothing. Rights are asked before all else."""
    stream, key = look.stream, _key(look)
    yield "ping", ("PING",)
    yield "hello", ("HELLO",)
    yield "client", ("CLIENT", "ID")
    yield "info", ("INFO", "memory")
    yield "xinfo", ("XINFO", "STREAM", stream)
    yield "xread", ("XREAD", "COUNT", 1, "STREAMS", stream, "$")
    yield "xrange", ("XRANGE", stream, "-", "-", "COUNT", 1)
    if look.is_read_only:
        return
    yield "get", ("GET", key)
    yield "set", ("SET", key, "", "XX", "PX", 1)  # only if it is there, which it is not
    yield "xadd", ("XADD", stream, "NOMKSTREAM", "0-0", "a", "b")  # no entry may be called so
    yield "xtrim", ("XTRIM", stream, "MINID", "0-0")  # none is older
    yield "xpending", ("XPENDING", stream, _NOBODY)
    yield "eval", ("EVAL", "return redis.call('GET', KEYS[1])", 1, key)
    yield "evalsha", ("EVALSHA", "0" * 40, 1, key)
    yield "script|load", ("SCRIPT", "LOAD", "return 1")


def _key(look: StreamLook) -> str:
    return StreamKeys(look.stream).seen(_NOBODY)


def _probe(look: StreamLook, ask: Ask, name: str, words: Sequence[Word]) -> None:
    try:
        ask(*words)
    except ResponseError as error:
        # "... to run the 'xadd' command", or "... to access one of the keys".
        if is_forbidden(error) and "command" in str(error):
            look.forbidden.append(name)
            look.renamed += [] if isinstance(error, NoPermissionError) else [name]
        elif is_forbidden(error):
            look.are_keys_forbidden = True
        elif name == "xadd" and (trouble := translated(error)).trouble in (Trouble.AWAY, Trouble.FULL):
            look.refusal = trouble
