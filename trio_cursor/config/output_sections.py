"""The sections about where events go, what of them, and how we speak of ourselves.

There is no `from __future__ import annotations` here: the types of the fields are read at run time.
"""

from typing import Literal

import attrs

from trio_cursor.config.checks import (
    LONGEST_HOURS,
    listening,
    number,
    redis_url,
    stream_name,
    web_url,
    written,
)
from trio_cursor.config.fields import key_field, path_field
from trio_cursor.config.redaction import redact_url, redact_webhook
from trio_cursor.redis_keys import MOST_SHARDS


@attrs.frozen(kw_only=True)
class RedisTlsConfig:
    """`[redis.tls]`: certificates for `rediss://`."""

    ca: str | None = path_field(
        None,
        "Certificates to trust instead of the system's, a PEM file.",
        example="~/.config/trio-cursor/redis-ca.pem",
    )
    cert: str | None = path_field(
        None, "Our own certificate, a PEM file.", example="~/.config/trio-cursor/redis-client.pem"
    )
    key: str | None = path_field(
        None, "The private key of `cert`, a PEM file.", example="~/.config/trio-cursor/redis-client.key"
    )


@attrs.frozen(kw_only=True)
class RedisConfig:
    """`[redis]`: the stream that events go to."""

    url: str | None = key_field(
        None,
        'redis, rediss, unix, redis+sentinel or redis+cluster URL, or "env" for REDIS_URL; none: no Redis.',
        check=redis_url,
        example="redis://localhost:6379/0",
        redact=redact_url,
    )
    username: str | None = key_field(
        None, "The user, unless the URL names one.", check=written, example="telemetry"
    )
    password_file: str | None = path_field(
        None, "A file with the password on its first line.", example="~/.config/trio-cursor/redis-password"
    )
    stream: str = key_field("telemetry:events", "The stream's key.", check=stream_name)
    max_length: int = key_field(
        10000, "The stream is trimmed to about this many entries; 0: never.", check=number(0, 1_000_000_000)
    )
    trim_min_age_hours: float = key_field(24, "Nothing younger is trimmed.", check=number(0, LONGEST_HOURS))
    shards: int = key_field(
        1, "Above 1 the stream is split in so many, <stream>:0 and so on.", check=number(1, MOST_SHARDS)
    )
    suppress: bool = key_field(True, "Skip what another producer has sent already; false: send both.")
    tls: RedisTlsConfig = attrs.field(
        factory=RedisTlsConfig, metadata={"help": "Certificates for rediss://."}
    )


@attrs.frozen(kw_only=True)
class JsonLinesConfig:
    """`[outputs.json_lines]`: events in a file."""

    path: str | None = path_field(
        None,
        'The file to append events to, one JSON object a line; "-" is the standard output.',
        example="~/cursor-events.jsonl",
    )


@attrs.frozen(kw_only=True)
class OtlpConfig:
    """`[outputs.otlp]`: events to OpenTelemetry."""

    enabled: bool = key_field(False, "Send events to an OpenTelemetry collector; only then is OTEL_* read.")
    endpoint: str | None = key_field(
        None,
        "Where it takes OTLP over HTTP; none: OTEL_EXPORTER_OTLP_ENDPOINT, else http://localhost:4318.",
        check=web_url,
        example="http://localhost:4318",
        redact=redact_url,
    )
    texts: bool = key_field(False, "Send prompts and answers too, as [privacy] mode has them.")


@attrs.frozen(kw_only=True)
class OutputsConfig:
    """`[outputs]`: where events go besides Redis."""

    json_lines: JsonLinesConfig = attrs.field(factory=JsonLinesConfig, metadata={"help": "Events in a file."})
    otlp: OtlpConfig = attrs.field(
        factory=OtlpConfig, metadata={"help": "Events to OpenTelemetry (needs the extra `otel`)."}
    )


@attrs.frozen(kw_only=True)
class HttpConfig:
    """`[http]`: the page, the live feed, health and metrics."""

    listen: str = key_field("127.0.0.1:8787", 'HOST:PORT, or "off".', check=listening)
    token_file: str | None = path_field(
        None,
        "A file with the token that callers must show; required beyond loopback.",
        example="~/.config/trio-cursor/http-token",
    )


@attrs.frozen(kw_only=True)
class PrivacyConfig:
    """`[privacy]`: what of a generation is stored and sent."""

    mode: Literal["full", "redacted", "metadata"] = key_field(
        "full", "full; redacted: no secrets, e-mail addresses, home directories in texts; metadata: no texts."
    )
    max_text_bytes: int = key_field(
        1048576, "Longer texts are cut, and the event says so.", check=number(1, 32 << 20)
    )


@attrs.frozen(kw_only=True)
class LoggingConfig:
    """`[logging]`: what we say about ourselves."""

    level: Literal["debug", "info", "warning", "error", "critical"] = key_field(
        "info", "debug, info, warning, error or critical."
    )
    format: Literal["auto", "console", "json"] = key_field(
        "auto", "console for people, json for machines, auto: by whether it is a terminal."
    )


@attrs.frozen(kw_only=True)
class AlarmsConfig:
    """`[alarms]`: who is told when something is wrong."""

    webhook: str | None = key_field(
        None,
        "A URL that each alarm is posted to, as JSON.",
        check=web_url,
        example="https://alerts.example.org/hook",
        redact=redact_webhook,
    )


@attrs.frozen(kw_only=True)
class ServiceConfig:
    """`[service]`: the process itself."""

    shutdown_grace_seconds: float = key_field(
        1, "After SIGTERM or ^C what is still running is stopped after this long.", check=number(0, 3_600)
    )
