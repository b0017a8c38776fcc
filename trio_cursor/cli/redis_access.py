"""What commands share that go to the Redis server by themselves."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from trio_cursor.config import Config
from trio_cursor.errors import ConfigError, TrioCursorError
from trio_cursor.redis_address import RedisAddress, address_of
from trio_cursor.redis_trouble import StreamError


def add_redis_options(parser: argparse.ArgumentParser) -> None:
    """Declare which server and which stream, as `run` has them."""
    parser.add_argument("--redis-url", metavar="URL|env", help="the Redis server (default: redis.url)")
    parser.add_argument("--stream", metavar="NAME", help="its stream (default telemetry:events)")


def server_of(config: Config, what: str) -> RedisAddress:
    """The configured server. Raises `ConfigError` if there is none, or none that it could be."""
    if config.redis.url is None:
        raise ConfigError((f"could not {what}: no Redis is named; add --redis-url URL, or set redis.url",))
    return address_of(config.redis)


@contextmanager
def reachable(address: RedisAddress, what: str) -> Iterator[None]:
    """Turn what is wrong with the server into one line that says what could not be done."""
    try:
        yield
    except StreamError as error:
        raise TrioCursorError(f"could not {what}: {address}: {error}") from error
