"""What a run says of itself: where events go, what was found, what came of it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import trio

from trio_cursor.asked import sources, stream_of, window_ms
from trio_cursor.cli.output import in_wait, passed_over, plural, say
from trio_cursor.cli.words import Words
from trio_cursor.config import Config, listen_address, redact_url, redact_webhook
from trio_cursor.config.checks import is_loopback
from trio_cursor.handle import Handle
from trio_cursor.outputs.otlp_address import collector_of
from trio_cursor.privacy import FULL
from trio_cursor.settings import Reloaded
from trio_cursor.status import TROUBLED, Status

_LOOK_SECONDS = 0.5
#: A directory answers in microseconds; one that takes this long is on a mount that is dead.
_PATIENCE_SECONDS = 5.0
#: The server begins beside everything else: where there is nothing to read that may be done before it.
_SERVER_SECONDS, _SERVER_LOOK_SECONDS = 2.0, 0.05
#: What is said of the texts in events.
_PRIVACY = {
    "full": "",
    "redacted": ", with secrets, addresses and home taken out of texts",
    "metadata": ", without any texts",
}


async def existing(paths: Sequence[str]) -> list[str]:
    """Those of the directories that are there, as far as they answer."""
    here = set()

    async def look(path: str) -> None:
        # Own threads, which are left behind if they hang: nobody waits for them at the end.
        work = trio.to_thread.run_sync
        if await work(os.path.isdir, path, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1)):
            here.add(path)

    with trio.move_on_after(_PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            for path in paths:
                nursery.start_soon(look, path)
    return [path for path in paths if path in here]


def _is_cursor(status: Status) -> bool:
    """Whether there is anything: for the global database there is always a place, if nothing in it."""
    return any(item.workspace_id is not None or item.size is not None for item in status.workspaces)


async def server_begun(handle: Handle) -> None:
    """Wait until it is clear whether there is a page, but not for long."""
    with trio.move_on_after(_SERVER_SECONDS):
        while (server := handle.status().http) is not None and server.state == "off":  # noqa: ASYNC110 - as below
            await trio.sleep(_SERVER_LOOK_SECONDS)


def _page(status: Status) -> str | None:
    """Where the page is, if there is one."""
    server = status.http
    return f"http://{server.address}/" if server and server.state == "listening" else None


def _page_words(status: Status) -> list[str]:
    """The sentence for it, or none: whoever is new here learns of the page by nothing else."""
    page = _page(status)
    return [] if page is None else [f"The page is on {page}."]


@attrs.frozen
class Report:
    """The words of one run."""

    config: Config
    words: Words
    #: With `--once` nothing is waited for, and what could not be read is listed.
    is_once: bool
    began: float = attrs.field(factory=time.monotonic)

    def introduce(self, handle: Handle) -> None:
        """Say at the start where events go, and that nothing else is done with them."""
        places = " and to ".join([f"the event log in {self.config.state.dir}", *self._outputs()])
        url, found = self.config.redis.url, sources(self.config)
        webhook = self.config.alarms.webhook
        self.words.tell(
            f"Events go to {places}{_PRIVACY[self.config.privacy.mode]}."
            f" {' '.join(self._neighbours()) or 'Nothing leaves this machine.'}",
            "started",
            state_dir=self.config.state.dir,
            outputs=[item.name for item in handle.progress().outputs],
            sessions_from=[name for name, is_asked in attrs.asdict(found).items() if is_asked],
            redis=None if url is None else redact_url(url),
            http=self.config.http.listen,
            webhook=webhook and redact_webhook(webhook),
            privacy=self.config.privacy.mode,
        )

    def _outputs(self) -> Iterator[str]:
        """The places besides the log, in words."""
        redis, lines = self.config.redis, self.config.outputs.json_lines.path
        if lines is not None:
            yield "standard output" if lines == "-" else str(Path(lines).absolute())
        if redis.url is not None:
            shards = "" if redis.shards == 1 else f"{redis.shards} shards of "
            yield f"{shards}the stream {redis.stream} at {redact_url(redis.url)}"
        if self.config.outputs.otlp.enabled:
            yield f"the OpenTelemetry collector at {collector_of(self.config.outputs.otlp, os.environ)}"

    def _neighbours(self) -> Iterator[str]:
        """Sentences about what is beyond this machine, or may be."""
        redis, http = self.config.redis, self.config.http
        if redis.url is not None:
            stream = stream_of(self.config)
            if not sources(self.config).redis:
                yield f"With sessions.mode {self.config.sessions.mode} no sessions are read from there."
            elif stream == redis.stream:
                yield "Sessions are read from there too."
            else:
                yield f"Sessions are read from the stream {stream} there."
        if self.config.outputs.otlp.enabled:
            texts = (
                "also prompts and answers" if self.config.outputs.otlp.texts else "no prompts and no answers"
            )
            yield f"The collector gets {texts}."
        if (webhook := self.config.alarms.webhook) is not None:
            paths = "with" if self.config.privacy.mode == FULL else "without"
            yield f"Alarms are posted to {redact_webhook(webhook)}, {paths} paths."
        address = listen_address(http.listen)
        if address is not None and not is_loopback(address[0]):
            yield f"Health and status are served on {http.listen} to whoever shows the token."

    async def what_is_there(self, status: Status) -> bool:
        """After the first pass: how much there is, or (False) what to do if there is no Cursor at all."""
        if _is_cursor(status):
            self._how_much(status)
            return True
        if not (here := await existing(status.searched)):
            self._that_there_is_none(status)
        elif sources(self.config).discovery:
            self._that_it_is_empty(here, status)
        else:
            self._that_nobody_is_announced(status)
        return False

    def _that_there_is_none(self, status: Status) -> None:
        lines = [
            "No Cursor found. Looked for:",
            *(f"  {path}" for path in status.searched),
            *(f"but {alarm}" for alarm in status.alarms),
            "If yours is elsewhere, name its User directory with --cursor-dir;",
            "to see this work without one, use `run --demo`.",
        ]
        if not self.is_once:
            lines += [*_page_words(status), "Waiting for one to appear; ^C stops."]
        self.words.warn(
            "\n".join(lines),
            "no Cursor found",
            searched=status.searched,
            alarms=status.alarms,
            page=_page(status),
        )

    def _that_it_is_empty(self, here: list[str], status: Status) -> None:
        words = (
            f"No workspace in {' or '.join(here)}. A Cursor User directory has workspaceStorage and "
            "globalStorage in it: is this one?"
        )
        lines = "\n".join([words, *_page_words(status)])
        self.words.warn(lines, "no workspace found", searched=here, page=_page(status))

    def _that_nobody_is_announced(self, status: Status) -> None:
        ways = list(self._ways(status))
        begin = "Waiting for a session: nothing is read before one is announced"
        if self.is_once:
            begin = "No session was announced, so nothing was read. One can be announced"
        lines = [f"{begin}:", *(f"  {way}" for way in ways)]
        if status.unmapped:
            number = plural(len(status.unmapped), "workspace")
            lines.append(f"{number} announced that cannot be found here: `workspaces` says why.")
        if not self.is_once:
            lines += [*_page_words(status), "^C stops."]
        words, page = "\n".join(lines), _page(status)
        self.words.tell(words, "no session announced", ways=ways, not_found=len(status.unmapped), page=page)

    def _ways(self, status: Status) -> Iterator[str]:
        """How a session can be announced."""
        asked, redis = sources(self.config), self.config.redis
        if asked.redis and redis.url is not None:
            yield f"on the stream {stream_of(self.config)} at {redact_url(redis.url)}"
        if asked.files:
            yield f"by a file in {self.config.sessions.files_dir}"
        if asked.http and status.http is not None:
            yield f"by POST to http://{status.http.address}/events"

    def _how_much(self, status: Status) -> None:
        read = sum(item.size is not None for item in status.workspaces)
        bad = sum(item.status in TROUBLED for item in status.workspaces)
        unread = f" ({bad} could not be: `status` says why)" if bad else ""
        hint = ""
        if not status.last_sequence and window_ms(self.config) is not None:
            hours = self.config.cursor_database_monitor.sync_window_hours
            hint = f" Nothing in the last {hours:g} h; --since all reads what is older."
        more = [] if self.is_once else [*_page_words(status), "Watching; ^C stops."]
        new = plural(status.generations, "generation")
        self.words.tell(
            " ".join([f"{plural(read, 'database')} read{unread}, {new} new.{hint}", *more]),
            "first pass done",
            databases=read,
            unreadable=bad,
            generations=status.generations,
            page=_page(status),
        )

    async def when_it_appears(self, handle: Handle) -> None:
        """Wait for a Cursor, or for somebody who works in it, and say that there is one."""
        while not _is_cursor(status := handle.status()):  # noqa: ASYNC110 - the handle is looked at, it does not call
            await trio.sleep(_LOOK_SECONDS)
        if sources(self.config).discovery:
            begin, event = "Cursor found.", "Cursor found"
        else:
            begin, event = "A session was announced.", "session announced"
        words = " ".join([begin, *_page_words(status), "Watching; ^C stops."])
        self.words.tell(words, event, page=_page(status))

    def reloaded(self, reloaded: Reloaded) -> None:
        """What a new configuration has changed, and what it has not: a line for each key."""
        for key, (old, new) in reloaded.changed.items():
            sentence = f"{key} is {json.dumps(new)} now; it was {json.dumps(old)}."
            self.words.tell(sentence, "configuration changed", key=key, old=old, new=new)
        for key in reloaded.restart:
            sentence = f"{key} has changed too, but needs a restart: the old value stays."
            self.words.warn(sentence, "change needs a restart", key=key)
        if not (reloaded.changed or reloaded.restart):
            self.words.tell("The configuration was read again: nothing has changed.", "nothing has changed")
        _, is_enabled = reloaded.changed.get("cursor_database_monitor.enabled", (None, None))
        if is_enabled is False:
            self.words.tell("enabled = false: watching stopped; SIGHUP starts it again", "watching stopped")
        elif is_enabled:
            self.words.tell("enabled = true: watching goes on", "watching goes on")

    def refused(self, faults: Sequence[str]) -> None:
        """A new configuration cannot be used."""
        lines = ["The configuration was read again and refused; the old values stay:"]
        self.words.warn(
            "\n".join([*lines, *(f"  {fault}" for fault in faults)]), "configuration refused", faults=faults
        )

    def _left(self, status: Status) -> None:
        """What was seen and not reported: nobody's for now, in flight, or on half the evidence."""
        if status.held:
            words = f"{in_wait(status.held)}: left for the next run."
            self.words.tell(words, "waiting for a session", generations=status.held)
        left = status.pending - status.held
        if not left:
            return
        is_unread = any(item.status in TROUBLED for item in status.workspaces)
        say_it = self.words.warn if is_unread else self.words.tell
        why = "could not be finished without what was not read" if is_unread else "not finished yet"
        words = f"{plural(left, 'generation')} {why}: left for the next run."
        say_it(words, "left for the next run", generations=left, is_unread=is_unread)

    def summary(self, status: Status, *, trouble: str | None, is_interrupted: bool) -> None:
        """One line at the end; with `--once` also what could not be read."""
        if self.is_once:
            for item in status.workspaces:
                if item.status in TROUBLED:
                    place, why = item.workspace_path or item.database, item.last_error
                    self.words.warn(f"Not read: {place}: {why}", "not read", database=item.database, why=why)
        self._left(status)
        skipped = (item.skipped for item in status.workspaces)
        if words := passed_over(status.excluded, status.nameless, skipped, status.unattributed):
            self.words.tell(f"Passed over: {words}.", "passed over", what=words)
        if is_interrupted and sys.stderr.isatty():
            say("")  # behind the ^C that the terminal shows
        if trouble:
            self.words.warn(f"Not delivered: {trouble}", "not delivered", why=trouble)
        active = sum(bool(item.generations) for item in status.workspaces)
        seconds = time.monotonic() - self.began
        gaps = f", {plural(status.gaps, 'gap')}" if status.gaps else ""
        self.words.tell(
            f"{plural(status.generations, 'generation')} from {plural(active, 'workspace')}"
            f" in {seconds:.0f} s{gaps}.",
            "stopped",
            generations=status.generations,
            workspaces=active,
            gaps=status.gaps,
            seconds=round(seconds, 1),
        )
