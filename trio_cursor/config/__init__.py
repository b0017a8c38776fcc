"""The configuration: one frozen class for each section of the TOML file, and the one way to load it.

A key is declared once, in its class: type, default, range and the line that explains it. What
`config show` prints, `conf/trio_cursor.toml`, the names of the environment variables and "did you
mean" all come from there. Values are checked in every layer (file, environment, options) before the
layers are laid over each other, so that a mistake shows even where something else goes before it.

A module for each subject: `checks` (what a value must be), `redaction` (what of it may be printed),
`places` (what depends on the machine), `fields` (how a key is declared), `source_sections` and
`output_sections` (the classes), `sections` (`Config`, all of them), `catalogue` (what there is, read off
the classes), `annotated` (all of it for people), `origins` (a value and who gave it), `layers` (one source
of values each), `structuring` (types), `words` (hints in messages), `loading` (what goes before what).
"""

from trio_cursor.config.annotated import Setting, annotated_text, settings
from trio_cursor.config.checks import listen_address
from trio_cursor.config.loading import load_config
from trio_cursor.config.output_sections import (
    AlarmsConfig,
    HttpConfig,
    JsonLinesConfig,
    LoggingConfig,
    OtlpConfig,
    OutputsConfig,
    PrivacyConfig,
    RedisConfig,
    RedisTlsConfig,
    ServiceConfig,
)
from trio_cursor.config.places import config_file, default_state_dir, expand_home
from trio_cursor.config.redaction import redact_url, redact_webhook
from trio_cursor.config.sections import Config
from trio_cursor.config.source_sections import (
    AssemblyConfig,
    CursorConfig,
    DatabaseMonitorConfig,
    LogConfig,
    SessionsConfig,
    StateConfig,
)

__all__ = [
    "AlarmsConfig",
    "AssemblyConfig",
    "Config",
    "CursorConfig",
    "DatabaseMonitorConfig",
    "HttpConfig",
    "JsonLinesConfig",
    "LogConfig",
    "LoggingConfig",
    "OtlpConfig",
    "OutputsConfig",
    "PrivacyConfig",
    "RedisConfig",
    "RedisTlsConfig",
    "ServiceConfig",
    "SessionsConfig",
    "Setting",
    "StateConfig",
    "annotated_text",
    "config_file",
    "default_state_dir",
    "expand_home",
    "listen_address",
    "load_config",
    "redact_url",
    "redact_webhook",
    "settings",
]
