"""`Config`: all sections together.

There is no `from __future__ import annotations` here: the types of the fields are read at run time.
"""

from collections.abc import Mapping

import attrs

from trio_cursor.config.output_sections import (
    AlarmsConfig,
    HttpConfig,
    LoggingConfig,
    OutputsConfig,
    PrivacyConfig,
    RedisConfig,
    ServiceConfig,
)
from trio_cursor.config.source_sections import (
    AssemblyConfig,
    CursorConfig,
    DatabaseMonitorConfig,
    LogConfig,
    SessionsConfig,
    StateConfig,
)


@attrs.frozen(kw_only=True)
class Config:
    """Everything that can be set, valid from the moment it is built.

    `load_config` is the usual way to one; `Config()` is all defaults. Raises ValueError for a value
    outside its range.
    """

    cursor_database_monitor: DatabaseMonitorConfig = attrs.field(
        factory=DatabaseMonitorConfig, metadata={"help": "The monitor itself."}
    )
    cursor: CursorConfig = attrs.field(
        factory=CursorConfig, metadata={"help": "Whose databases are read; ~ is the home directory."}
    )
    state: StateConfig = attrs.field(factory=StateConfig, metadata={"help": "Our own files."})
    sessions: SessionsConfig = attrs.field(
        factory=SessionsConfig, metadata={"help": "How we hear who is working."}
    )
    assembly: AssemblyConfig = attrs.field(
        factory=AssemblyConfig, metadata={"help": "When a generation counts as finished."}
    )
    log: LogConfig = attrs.field(
        factory=LogConfig, metadata={"help": "How long events are kept in our own log."}
    )
    redis: RedisConfig = attrs.field(
        factory=RedisConfig,
        metadata={"help": "The Redis that events go to, and that sessions are read from."},
    )
    outputs: OutputsConfig = attrs.field(
        factory=OutputsConfig, metadata={"help": "Where events go besides Redis."}
    )
    http: HttpConfig = attrs.field(
        factory=HttpConfig,
        metadata={"help": "The page, events, announcements of sessions, health, status, metrics."},
    )
    privacy: PrivacyConfig = attrs.field(
        factory=PrivacyConfig, metadata={"help": "What of a generation is stored and sent."}
    )
    logging: LoggingConfig = attrs.field(
        factory=LoggingConfig, metadata={"help": "What we say about ourselves."}
    )
    alarms: AlarmsConfig = attrs.field(
        factory=AlarmsConfig, metadata={"help": "Who is told when something is wrong."}
    )
    service: ServiceConfig = attrs.field(factory=ServiceConfig, metadata={"help": "The process itself."})

    #: The file that was read; None if there was none.
    file: str | None = attrs.field(default=None, eq=False)
    #: For each dotted key where its value comes from: `built-in`, `file X`, `environment VAR`, `option`.
    origins: Mapping[str, str] = attrs.field(factory=dict, eq=False, repr=False)
