"""Who was announced, and where that is: what our event log and a running service know, else our own look."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import Any

import attrs

from trio_cursor.cli.log_access import readable
from trio_cursor.cli.output import clock, indented, printable, say
from trio_cursor.cli.session_words import reasons, session_names
from trio_cursor.config import Config
from trio_cursor.cursor.guest import Guest
from trio_cursor.cursor.mapping import STRATEGIES, Mapped, Mapper
from trio_cursor.errors import StateError
from trio_cursor.eventlog import open_for_reading
from trio_cursor.eventlog.session_rows import load_mappings, load_sessions
from trio_cursor.observations import JsonObject
from trio_cursor.records import FoundMapping, Session, Workspace, path_of
from trio_cursor.scanner import Scanner
from trio_cursor.settings import Settings
from trio_cursor.state_dir import is_held
from trio_cursor.status import session_object
from trio_cursor.status_file import read_status

#: Later than any: of what ended nothing is asked for.
_NEVER_MS = 1 << 62
_SWEEP_SECONDS = 1.0


@attrs.frozen
class Heard:
    """What is known without a look at anything of Cursor's."""

    mappings: tuple[FoundMapping, ...] = ()
    #: Those that are open.
    sessions: tuple[Session, ...] = ()
    #: Why the service that runs has not found a workspace, by hash and strategy.
    why: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)
    is_service_running: bool = False


@attrs.frozen
class Match:
    """An announced workspace that is a database that is here."""

    workspace_hash: str
    path: str | None
    strategy: str
    #: Milliseconds since the epoch; None: just now, and nothing has used it yet.
    found_at: int | None
    #: Why the strategies before that one find nothing, in words.
    why: dict[str, str] = attrs.field(factory=dict)

    def to_object(self) -> JsonObject:
        return {
            "hash": self.workspace_hash,
            "path": self.path,
            "strategy": self.strategy,
            "found_at": self.found_at,
            "why": self.why,
        }

    def lines(self, width: int, folder: str | None) -> Iterator[str]:
        """For a person, as part of what is said of the workspace of that folder."""
        path = f", {printable(self.path)}" if self.path and self.path != folder else ""
        how = f"found by {printable(self.strategy)}"
        when = "now, and nothing has used it yet" if self.found_at is None else f"at {clock(self.found_at)}"
        yield from indented(f"announced as {printable(self.workspace_hash)}{path}: {how} {when}", width)
        if self.why:
            for reason in reasons(self.why):
                yield from indented(reason, width, by=4)


@attrs.frozen
class Missing:
    """An announced workspace that is no database that is here."""

    workspace_hash: str
    path: str | None
    sessions: tuple[Session, ...]
    #: By strategy, in words.
    why: dict[str, str]

    @property
    def started_at(self) -> int:
        """When the last of its sessions was opened."""
        return max(session.started_at for session in self.sessions)

    def to_object(self) -> JsonObject:
        return {
            "announced": True,
            "hash": self.workspace_hash,
            "path": self.path,
            "sessions": list(map(session_object, self.sessions)),
            "why": self.why,
        }

    def lines(self, width: int) -> Iterator[str]:
        """For a person."""
        name = printable(self.path or self.workspace_hash)
        yield from indented(f"announced, not found: {name}", width, by=0)
        if self.path:
            yield f"  hash {printable(self.workspace_hash)}"
        yield from indented(f"sessions: {session_names(list(map(session_object, self.sessions)))}", width)
        for reason in reasons(self.why):
            yield from indented(reason, width)


@attrs.define
class Announced:
    """Where everything is that was announced, and who works there; by database."""

    matches: dict[str, list[Match]] = attrs.field(factory=dict)
    sessions: dict[str, list[Session]] = attrs.field(factory=dict)
    #: That which was announced last first.
    missing: list[Missing] = attrs.field(factory=list)


def listen_in(directory: Path) -> Heard:
    """Read what is known in a state directory. What cannot be read is told, and counts as nothing."""
    try:
        if not directory.is_dir():
            return Heard()
        with readable(directory):
            mappings, sessions = _stored(directory)
        is_running = is_held(directory)
        status = read_status(directory) if is_running else None
    except (StateError, OSError) as error:
        # Most can be seen all the same, and whoever looks may be looking for what is wrong.
        say(printable(f"passed over: {error}"))
        return Heard()
    return Heard(mappings, sessions, _said(status or {}), is_running)


def _stored(directory: Path) -> tuple[tuple[FoundMapping, ...], tuple[Session, ...]]:
    connection = open_for_reading(directory)
    if connection is None:
        return (), ()
    with closing(connection):
        # A log of an older format has none of both until a service brings it to this one.
        if connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'mappings'").fetchone() == (
            0,
        ):
            return (), ()
        return tuple(load_mappings(connection)), tuple(load_sessions(connection, _NEVER_MS))


def _said(status: JsonObject) -> dict[str, dict[str, str]]:
    """By hash; nothing of what another release writes in another way."""
    found: dict[str, dict[str, str]] = {}
    items: Any = status.get("unmapped")
    for item in items if isinstance(items, list) else ():
        match item:
            case {"workspace_hash": str(hash_), "why": dict(why)} if why:
                found[hash_] = {str(strategy): str(words) for strategy, words in why.items()}
            case _:
                pass
    return found


async def sort_out(
    heard: Heard, config: Config, dirs: tuple[str, ...], workspaces: Iterable[Workspace], guest: Guest
) -> Announced:
    """Say of everything that was heard of where it is; `workspaces` are those that were found."""
    announced = Announced({item.database: [] for item in workspaces})
    homeless: dict[str, list[Session]] = {}
    for session in heard.sessions:
        if session.database in announced.matches:
            announced.sessions.setdefault(session.database, []).append(session)
        # Where the service has found one, there it is, though nobody looks there now.
        elif session.workspace_hash and not (session.database and heard.is_service_running):
            homeless.setdefault(session.workspace_hash, []).append(session)
    here = [mapping for mapping in heard.mappings if mapping.database in announced.matches]
    if not (here or homeless):
        return announced
    scanner = Scanner(dirs, Settings(config).is_reported)
    await scanner.sweep(_SWEEP_SECONDS)
    knowing, afresh = Mapper(scanner, guest, heard.mappings), Mapper(scanner, guest)
    for mapper in (knowing, afresh):
        await mapper.spell_all()
    for mapping in here:
        announced.matches[mapping.database].append(_match(mapping, afresh))
    for hash_, sessions in homeless.items():
        _settle(hash_, tuple(sessions), heard, announced, knowing)
    announced.missing.sort(key=lambda item: item.started_at, reverse=True)
    return announced


def _match(mapping: FoundMapping, afresh: Mapper) -> Match:
    """What was found, with why its strategy was the first; that nothing was known before says nothing."""
    why = afresh.quick(mapping.workspace_hash, mapping.path).why
    earlier = takewhile(lambda name: name != mapping.strategy, STRATEGIES[1:])
    reasons_why = {name: why[name] for name in earlier if name in why}
    return Match(mapping.workspace_hash, mapping.path, mapping.strategy, mapping.found_at, reasons_why)


def _settle(
    hash_: str, sessions: tuple[Session, ...], heard: Heard, announced: Announced, mapper: Mapper
) -> None:
    """Take the service's word for why one is not found, else that of a look at what is listed."""
    path = path_of(sessions)
    if why := heard.why.get(hash_):
        announced.missing.append(Missing(hash_, path, sessions, dict(why)))
        return
    outcome = mapper.quick(hash_, path, int(time.time() * 1000))
    if isinstance(outcome, Mapped) and outcome.workspace.database in announced.matches:
        database = outcome.workspace.database
        announced.sessions.setdefault(database, []).extend(sessions)
        if all(match.workspace_hash != hash_ for match in announced.matches[database]):
            announced.matches[database].append(Match(hash_, path, outcome.strategy, None, outcome.why))
    else:
        announced.missing.append(Missing(hash_, path, sessions, outcome.why))
