"""Alarms to a webhook: each is posted as JSON, in order, and never in the way of anything else.

What is posted follows the privacy mode: paths, the name of the host and the words of `status` only in mode
`full`; in any other the kind, what that means, and the hashes of workspaces.
"""

from __future__ import annotations

import json
import random
import secrets
import socket
import ssl
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn
from urllib.parse import unquote, urlsplit

import attrs
import trio
from trio_util import RepeatedEvent

from trio_cursor.alarms import MOST_BY_THEMSELVES, RULES, Episode, Notice
from trio_cursor.config import Config, redact_webhook
from trio_cursor.endpoint import Place, place_of
from trio_cursor.errors import ConfigError
from trio_cursor.logs import get_logger
from trio_cursor.privacy import FULL
from trio_cursor.status import WebhookStatus
from trio_cursor.version import __version__

log = get_logger(__name__)

#: For one post, from connecting to the answer.
SECONDS = 10.0
_RETRY_FIRST_SECONDS, _RETRY_MOST_SECONDS = 1.0, 300.0
#: Alarms that wait; of more the oldest are given up.
_MOST_WAITING: Final = 100
_LONGEST_WORDS: Final = 2000
#: Of many at once so many workspaces and ids are named.
_MOST_NAMED: Final = 100


def webhook_place(url: str) -> Place:
    """Where alarms are posted to; a user and a password in the URL are sent as Basic authentication.

    Raises `ConfigError`, which does not quote the URL: whoever knows it may post there.
    """
    try:
        parts = urlsplit(url)
        bare, headers = url, [("Content-Type", "application/json")]
        if parts.username is not None:
            user, _, place = parts.netloc.rpartition("@")
            bare = parts._replace(netloc=place).geturl()
            name, _, password = user.partition(":")
            known = f"{unquote(name)}:{unquote(password)}".encode()
            headers.append(("Authorization", f"Basic {b64encode(known).decode()}"))
        return attrs.evolve(place_of(bare, "", tuple(headers)), shown=redact_webhook(bare))
    except ValueError:
        raise ConfigError(("alarms.webhook must be an http:// or https:// URL in ASCII",)) from None


@attrs.define(eq=False)
class Webhook:
    """Who posts alarms to one place."""

    place: Place
    #: full | redacted | metadata
    mode: str
    now_ms: Callable[[], int]
    host: str
    #: For a place that is encrypted.
    tls: ssl.SSLContext | None = None
    #: Tells the ids of this run from those of every other.
    run_id: str = attrs.field(factory=lambda: secrets.token_hex(8))
    _waiting: deque[Notice] = attrs.field(factory=deque, init=False)
    _told: RepeatedEvent = attrs.field(factory=RepeatedEvent, init=False)
    #: Why the last post was not taken; None: it was.
    _last_error: str | None = attrs.field(default=None, init=False)
    #: How many it never will take: in this run, and since it took one last.
    _lost: int = attrs.field(default=0, init=False)
    _lost_since: int = attrs.field(default=0, init=False)

    def tell(self, notices: Sequence[Notice]) -> None:
        """Have them posted; returns at once."""
        self._waiting.extend(notices)
        while len(self._waiting) > _MOST_WAITING:
            self._waiting.popleft()
            self._lose()
        self._told.set()

    async def run(self) -> NoReturn:
        """Post what is told, until cancelled."""
        while True:
            if not self._waiting:
                await self._told.wait()
            await self._deliver(self._waiting.popleft())

    async def _deliver(self, notice: Notice) -> None:
        """Post one until it is taken, or is clear that it never will be."""
        # A library that takes some time to import, for whoever has an alarm to post.
        from trio_cursor.posting import LATER, OK, PostError, post  # noqa: PLC0415

        body = json.dumps(self.message(notice)).encode()
        pause = _RETRY_FIRST_SECONDS
        while True:
            least = 0.0
            try:
                answer = await post(self.place, body, headers=(), tls=self.tls, seconds=SECONDS)
            except PostError as error:
                self._fail(str(error))
            except Exception as error:  # the border of what is somebody else's
                log.exception("an alarm could not be posted and is given up", webhook=str(self.place))
                self._last_error = f"{type(error).__name__} in trio_cursor; please report it"
                self._lose()
                return
            else:
                if answer.status in OK:
                    self._succeed()
                    return
                # Not what it says: it may send back what it was sent.
                where = (
                    f", a redirect to {target}, which is not followed" if (target := answer.target) else ""
                )
                self._fail(f"{self.place}: HTTP {answer.status}{where}")
                if answer.status not in LATER:
                    self._lose()
                    return
                least = answer.pause(self.now_ms())
            await trio.sleep(max(least, pause * random.uniform(0.5, 1.0)))  # noqa: S311 - jitter
            pause = min(2 * pause, _RETRY_MOST_SECONDS)

    def message(self, notice: Notice) -> dict[str, Any]:
        """What is posted."""
        is_open, episodes = self.mode == FULL, notice.episodes
        words = notice.words[:_LONGEST_WORDS] if is_open else RULES[notice.kind].meaning
        if not is_open and len(episodes) > MOST_BY_THEMSELVES:
            words = f"{words} ({len(episodes):,} times)"
        found: dict[str, Any] = {
            "source": "trio_cursor",
            "version": __version__,
            "state": notice.state,
            "kind": notice.kind,
            "since": notice.since,
            "at": self.now_ms(),
            "count": len(episodes),
            "ids": [f"{self.run_id}-{episode.number}" for episode in episodes[:_MOST_NAMED]],
            "words": words,
            # What several chat programs show of a message that they are posted.
            "text": f"trio_cursor{f' on {self.host}' if is_open else ''}: {notice.state}: {words}",
            "workspaces": [
                _workspace(episode, with_path=is_open)
                for episode in episodes[:_MOST_NAMED]
                if episode.workspace_hash or (is_open and episode.workspace_path)
            ],
        }
        return {**found, "host": self.host} if is_open else found

    def status(self) -> WebhookStatus:
        """How it goes."""
        return WebhookStatus(self._last_error, self._lost)

    def _fail(self, why: str) -> None:
        if self._last_error is None:
            log.warning("alarms cannot be posted; they are still written here", why=why)
        self._last_error = why

    def _lose(self) -> None:
        self._lost += 1
        self._lost_since += 1

    def _succeed(self) -> None:
        if self._last_error is not None or self._lost_since:
            log.info("alarms are posted again", webhook=str(self.place), lost=self._lost_since)
        self._last_error, self._lost_since = None, 0


def _workspace(episode: Episode, *, with_path: bool) -> dict[str, str | None]:
    path = {"path": episode.workspace_path} if with_path else {}
    return {"hash": episode.workspace_hash, **path}


def open_webhook(config: Config, now_ms: Callable[[], int]) -> Webhook | None:
    """The webhook that is asked for; connects to nothing yet. Raises `ConfigError`."""
    if config.alarms.webhook is None:
        return None
    place = webhook_place(config.alarms.webhook)
    tls = ssl.create_default_context() if place.is_encrypted else None
    return Webhook(place, config.privacy.mode, now_ms, socket.gethostname(), tls)
