"""The settings of a running service: some can be changed while it runs, the others name themselves."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from types import MappingProxyType
from typing import Any, TypeAlias

import attrs

from trio_cursor.asked import is_allowed, is_rolled_out
from trio_cursor.condition import Pace
from trio_cursor.config import Config, settings
from trio_cursor.records import Workspace

#: What can be changed while the service runs, by section.
_LIVE = {
    "cursor_database_monitor": (
        "enabled",
        "rollout_percent",
        "poll_interval_seconds",
        "probe_interval_seconds",
        "max_retries",
        "retry_backoff_seconds",
    ),
    "cursor": ("include", "exclude"),
    "logging": ("level", "format"),
}
_LIVE_KEYS = frozenset(f"{section}.{name}" for section, names in _LIVE.items() for name in names)
#: More workspaces than anybody has; a cache that has so many begins anew.
_MOST_JUDGED = 50_000


@attrs.frozen
class Reloaded:
    """What came of a new configuration. Keys are dotted, in the order of the annotated file."""

    #: Old and new value of each key that is in force now, as `config show` prints them.
    changed: dict[str, tuple[Any, Any]]
    #: Keys that differ too, but need a restart: their old values stay in force.
    restart: tuple[str, ...]


OnChange: TypeAlias = Callable[[Reloaded], None]


@attrs.frozen
class _InForce:
    """A configuration, and what was found by it: one object, so that a thread sees nothing of two."""

    config: Config
    #: What the globs say of each workspace that was asked for.
    allowed: dict[Workspace, bool] = attrs.field(factory=dict)


class Settings:
    """The configuration in force, and what it says of workspaces: questions that any thread may ask."""

    def __init__(self, config: Config) -> None:
        self._in_force = _InForce(config)
        #: How often to look: the same object for ever, with the values in force.
        self.pace = Pace.of(config.cursor_database_monitor)
        #: Called, in their order, when something has changed and is in force.
        self.on_change: list[OnChange] = []

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._in_force.config

    def reload(self, new: Config) -> Reloaded:
        """Put in force what of a new configuration can be while the service runs."""
        old = self.config
        before, after = ({item.key: item.value for item in settings(config)} for config in (old, new))
        different = [key for key in before if _value(old, key) != _value(new, key)]
        reloaded = Reloaded(
            changed={key: (before[key], after[key]) for key in different if key in _LIVE_KEYS},
            restart=tuple(key for key in different if key not in _LIVE_KEYS),
        )
        if reloaded.changed:
            self._in_force = _InForce(_merged(old, new))
            self.pace.follow(new.cursor_database_monitor)
            for call in self.on_change:
                call(reloaded)
        return reloaded

    def is_enabled(self) -> bool:
        """Whether anything of Cursor's may be looked at."""
        return self.config.cursor_database_monitor.enabled

    def is_read(self, workspace: Workspace) -> bool:
        """Whether the database is to be opened. The global one holds generations of all workspaces."""
        monitor = self.config.cursor_database_monitor
        if workspace.is_global:
            return monitor.enabled and monitor.rollout_percent > 0
        return monitor.enabled and self.is_reported(workspace)

    def is_reported(self, workspace: Workspace) -> bool:
        """Whether generations of this workspace are to be reported, also those that were read already."""
        in_force = self._in_force
        percent = in_force.config.cursor_database_monitor.rollout_percent
        return _is_allowed(in_force, workspace) and is_rolled_out(workspace, percent)

    def is_allowed(self, workspace: Workspace) -> bool:
        """Whether the globs let a workspace be reported."""
        return _is_allowed(self._in_force, workspace)

    def admits_unknown(self) -> bool:
        """Whether what belongs nobody knows where is to be reported: it may be what a glob leaves out."""
        cursor = self.config.cursor
        return not (cursor.include or cursor.exclude)


def _is_allowed(in_force: _InForce, workspace: Workspace) -> bool:
    known = in_force.allowed.get(workspace)
    if known is None:
        if len(in_force.allowed) >= _MOST_JUDGED:
            in_force.allowed.clear()
        known = in_force.allowed[workspace] = is_allowed(in_force.config, workspace)
    return known


def _value(config: Config, key: str) -> Any:
    return reduce(getattr, key.split("."), config)


def _merged(old: Config, new: Config) -> Config:
    """The new values where they can be taken, the old ones elsewhere; each with where it comes from."""
    sections = {
        section: attrs.evolve(
            getattr(old, section), **{name: getattr(getattr(new, section), name) for name in names}
        )
        for section, names in _LIVE.items()
    }
    origins = {key: origin for key, origin in new.origins.items() if key in _LIVE_KEYS}
    return attrs.evolve(old, **sections, file=new.file, origins=MappingProxyType({**old.origins, **origins}))
