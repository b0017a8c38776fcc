"""Where a collector of OpenTelemetry is: the configuration, and the variables that all its programs know."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote

import attrs

from trio_cursor.config import OtlpConfig
from trio_cursor.endpoint import Place, place_of
from trio_cursor.errors import ConfigError
from trio_cursor.outputs.gen_ai import LATEST, LATEST_ONLY, METRICS
from trio_cursor.version import __version__

_DEFAULT: Final = "http://localhost:4318"
_PREFIX: Final = "OTEL_EXPORTER_OTLP_"
_TRACES, _METRICS = "TRACES", "METRICS"
#: Headers that say how we speak, and so are ours.
_OURS: Final = frozenset(
    (
        *("host", "user-agent", "accept-encoding", "content-type", "content-encoding", "content-length"),
        *("connection", "keep-alive", "upgrade", "te", "trailer", "transfer-encoding", "expect"),
    )
)


@attrs.frozen
class Collector:
    """What is asked for, checked. Nothing is connected to yet."""

    #: None: not wanted there.
    traces: Place | None
    metrics: Place | None
    #: Names of the metrics that are sent.
    metric_names: frozenset[str]
    #: Who we are, without `service.instance.id`.
    resource: dict[str, str]
    is_gzipped: bool
    #: None: nothing of it is encrypted.
    tls: ssl.SSLContext | None = attrs.field(default=None, repr=False)
    #: What was asked for and is done otherwise, in words.
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return str(self.traces or self.metrics)


def collector_of(config: OtlpConfig, environ: Mapping[str, str]) -> Collector:
    """The collector that `[outputs.otlp]` and `OTEL_*` speak of.

    Reads certificates, if any are named. Raises `ConfigError`, which quotes no header and no secret of a URL.
    """
    faults: list[str] = []
    traces = _place(_TRACES, "v1/traces", config, environ, faults)
    metrics = _place(_METRICS, "v1/metrics", config, environ, faults)
    if traces is None and metrics is None and not faults:
        faults.append(
            "OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER are none: outputs.otlp has nothing to send"
        )
    compression = environ.get(f"{_PREFIX}COMPRESSION") or "none"
    if compression not in ("none", "gzip"):
        faults.append(f"{_PREFIX}COMPRESSION must be none or gzip")
    resource = _resource(environ, faults)
    opt_in = [word.strip() for word in environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").split(",")]
    tls = None
    if any(place.is_encrypted for place in (traces, metrics) if place):
        tls = _tls(environ, faults)
    if faults:
        # What is wrong for both kinds of data is told once.
        raise ConfigError(tuple(dict.fromkeys(faults)))
    return Collector(
        traces,
        metrics,
        frozenset(metric.name for metric in LATEST) if LATEST_ONLY in opt_in else frozenset(METRICS),
        resource,
        is_gzipped=compression == "gzip",
        tls=tls,
        notes=tuple(_notes(environ)),
    )


def _place(
    kind: str, path: str, config: OtlpConfig, environ: Mapping[str, str], faults: list[str]
) -> Place | None:
    exporter = f"OTEL_{kind}_EXPORTER"
    wanted = environ.get(exporter) or "otlp"
    if wanted == "none":
        return None
    if wanted != "otlp":
        faults.append(f"{exporter} must be otlp or none")
    protocol, variable = _variable(environ, kind, "PROTOCOL")
    if protocol not in ("", "http/protobuf"):
        faults.append(f"{variable} must be http/protobuf, which nearly every collector takes on port 4318")
    origin, url = "outputs.otlp.endpoint", config.endpoint or ""
    if not url and (own := environ.get(f"{_PREFIX}{kind}_ENDPOINT")):
        origin, url, path = f"{_PREFIX}{kind}_ENDPOINT", own, ""
    elif not url:
        origin, url = f"{_PREFIX}ENDPOINT", environ.get(f"{_PREFIX}ENDPOINT") or _DEFAULT
    given, variable = _variable(environ, kind, "HEADERS")
    headers = tuple(_pairs(given, variable, faults))
    if any(not _is_header(name, value) for name, value in headers):
        faults.append(f"{variable} names a header that cannot be sent")
    try:
        return place_of(url, path, headers, instead_of_user=f"{_PREFIX}HEADERS")
    except ValueError as error:
        faults.append(f"{origin} {error}")
        return None


def _variable(environ: Mapping[str, str], kind: str, name: str) -> tuple[str, str]:
    """The variable of one kind of data goes before the one of all; with its name."""
    own = f"{_PREFIX}{kind}_{name}"
    return (
        (environ[own], own) if environ.get(own) else (environ.get(f"{_PREFIX}{name}", ""), f"{_PREFIX}{name}")
    )


def _pairs(text: str, variable: str, faults: list[str]) -> Iterator[tuple[str, str]]:
    """`name=value,name=value`, percent-encoded."""
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = item.partition("=")
        if not equals or not name.strip():
            faults.append(f"{variable} must be name=value, several separated by commas")
            return
        if not _is_text(item):
            faults.append(f"{variable} must be UTF-8")
            return
        yield unquote(name.strip()), unquote(value.strip())


def _is_text(text: str) -> bool:
    """Bytes of the environment that are no UTF-8 come as halves of characters, which nothing can encode."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _is_header(name: str, value: str) -> bool:
    is_word = name.isascii() and all(letter.isalnum() or letter in "!#$%&'*+-.^_`|~" for letter in name)
    is_sendable = is_word and name.lower() not in _OURS
    return is_sendable and value.isascii() and value.isprintable() and value == value.strip()


def _resource(environ: Mapping[str, str], faults: list[str]) -> dict[str, str]:
    given = dict(_pairs(environ.get("OTEL_RESOURCE_ATTRIBUTES", ""), "OTEL_RESOURCE_ATTRIBUTES", faults))
    found = {"service.name": "trio-cursor", "service.version": __version__, **given}
    if name := environ.get("OTEL_SERVICE_NAME"):
        if not _is_text(name):
            faults.append("OTEL_SERVICE_NAME must be UTF-8")
        found["service.name"] = name
    return found


def _tls(environ: Mapping[str, str], faults: list[str]) -> ssl.SSLContext | None:
    authority, own = environ.get(f"{_PREFIX}CERTIFICATE"), environ.get(f"{_PREFIX}CLIENT_CERTIFICATE")
    try:
        context = ssl.create_default_context(cafile=authority or None)
        if own:
            context.load_cert_chain(own, environ.get(f"{_PREFIX}CLIENT_KEY") or None, password=_nobody)
    except (OSError, ValueError) as error:
        why = error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
        faults.append(f"{_PREFIX}CERTIFICATE, _CLIENT_CERTIFICATE or _CLIENT_KEY cannot be used ({why})")
        return None
    return context


def _nobody() -> str:
    """Whoever is asked for a passphrase on a terminal would wait there for ever."""
    raise ValueError("the key has a passphrase")


def _notes(environ: Mapping[str, str]) -> Iterator[str]:
    wanted = environ.get(f"{_PREFIX}METRICS_TEMPORALITY_PREFERENCE", "").lower()
    if wanted not in ("", "cumulative"):
        yield (
            f"{_PREFIX}METRICS_TEMPORALITY_PREFERENCE is {wanted!r:.40}, but totals are sent (cumulative),"
            " since only these count nothing twice; a collector can make deltas of them (cumulativetodelta)"
        )
