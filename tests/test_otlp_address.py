"""Which collector is meant: the configuration, `OTEL_*`, and what of them cannot be used."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress

import attrs
import pytest
import trio
import trustme
from cryptography.hazmat.primitives import serialization as forms

from trio_cursor import connecting
from trio_cursor.config import Config, OtlpConfig, OutputsConfig, redact_url
from trio_cursor.errors import ConfigError
from trio_cursor.outputs import otlp_opening, otlp_posting
from trio_cursor.outputs.follower import OutputError
from trio_cursor.outputs.otlp_address import collector_of
from trio_cursor.outputs.otlp_opening import usable_collector
from trio_cursor.outputs.otlp_posting import Poster, Taken

PREFIX = "OTEL_EXPORTER_OTLP_"


def collector(endpoint=None, **variables):
    environ = {
        name if name.startswith("OTEL_") else f"{PREFIX}{name}": value for name, value in variables.items()
    }
    return collector_of(OtlpConfig(endpoint=endpoint), environ)


def where(place):
    return (place.host, place.port, place.path, place.is_encrypted)


@pytest.mark.parametrize(
    ("endpoint", "variables", "traces", "metrics"),
    [
        (None, {}, ("localhost", 4318, "/v1/traces", False), ("localhost", 4318, "/v1/metrics", False)),
        (None, {"ENDPOINT": ""}, ("localhost", 4318, "/v1/traces", False), None),
        (None, {"ENDPOINT": "https://c.example"}, ("c.example", 443, "/v1/traces", True), None),
        (None, {"ENDPOINT": "http://[::1]:9/a/b/"}, ("::1", 9, "/a/b/v1/traces", False), None),
        (None, {"ENDPOINT": "http://c/x?key=1"}, ("c", 80, "/x/v1/traces?key=1", False), None),
        (
            None,
            {"ENDPOINT": "http://c", "TRACES_ENDPOINT": "http://d:1/t"},
            ("d", 1, "/t", False),
            ("c", 80, "/v1/metrics", False),
        ),
        (None, {"METRICS_ENDPOINT": "http://d"}, None, ("d", 80, "/", False)),
        (
            "http://e:2",
            {"ENDPOINT": "http://c", "TRACES_ENDPOINT": "http://d/t"},
            ("e", 2, "/v1/traces", False),
            ("e", 2, "/v1/metrics", False),
        ),
    ],
)
def test_the_configuration_goes_before_the_variables_and_they_mean_what_they_mean_elsewhere(
    endpoint, variables, traces, metrics
):
    found = collector(endpoint, **variables)
    assert traces is None or where(found.traces) == traces
    assert metrics is None or where(found.metrics) == metrics


def test_headers_of_one_kind_go_before_those_of_all():
    found = collector(HEADERS="a=1,b=x%20y", METRICS_HEADERS="c=3")
    assert found.traces.headers == (("a", "1"), ("b", "x y"))
    assert found.metrics.headers == (("c", "3"),)


def test_either_kind_can_be_left_out():
    assert collector(OTEL_TRACES_EXPORTER="none").traces is None
    assert collector(OTEL_METRICS_EXPORTER="none").metrics is None
    assert str(collector(OTEL_TRACES_EXPORTER="none")) == "http://localhost:4318"


def test_who_we_are():
    found = collector(OTEL_RESOURCE_ATTRIBUTES="service.name=x,team=a")
    assert found.resource["service.name"] == "x"
    assert found.resource["team"] == "a"
    named = collector(OTEL_RESOURCE_ATTRIBUTES="service.name=x", OTEL_SERVICE_NAME="y")
    assert named.resource["service.name"] == "y"
    assert collector().resource["service.name"] == "trio-cursor"


@pytest.mark.parametrize(
    ("endpoint", "variables", "words"),
    [
        (None, {"ENDPOINT": "c:4317"}, "OTEL_EXPORTER_OTLP_ENDPOINT must be an http:// or https:// URL"),
        (None, {"ENDPOINT": "http://a\x1b[2J"}, "OTEL_EXPORTER_OTLP_ENDPOINT must be an http"),
        (None, {"ENDPOINT": "http://me:hunter2@c"}, "must name no user and no password"),
        (
            None,
            {"METRICS_ENDPOINT": "http://c:99999"},
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT must name a port that can exist",
        ),
        ("http://c:0", {}, "outputs.otlp.endpoint must name a port that can exist"),
        (None, {"PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf"),
        (None, {"TRACES_PROTOCOL": "http/json"}, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL must be http/protobuf"),
        (None, {"HEADERS": "hunter2"}, "OTEL_EXPORTER_OTLP_HEADERS must be name=value"),
        (None, {"HEADERS": "a b=hunter2"}, "names a header that cannot be sent"),
        (None, {"HEADERS": "a=hunter2%0d%0ax"}, "names a header that cannot be sent"),
        *(
            (None, {"HEADERS": f"{name}=hunter2"}, "names a header that cannot be sent")
            for name in ("Content-Length", "Connection", "TE", "Expect", "User-Agent", "accept-encoding")
        ),
        (None, {"HEADERS": "a=%20hunter2"}, "names a header that cannot be sent"),
        (None, {"HEADERS": "a=\udcffhunter2"}, "OTEL_EXPORTER_OTLP_HEADERS must be UTF-8"),
        ("http://a..b:1", {}, "outputs.otlp.endpoint must name a host that can exist"),
        (f"http://{'x' * 64}:1", {}, "outputs.otlp.endpoint must name a host that can exist"),
        ("http://a\\b:1", {}, "outputs.otlp.endpoint must name a host that can exist"),
        (None, {"COMPRESSION": "zstd"}, "OTEL_EXPORTER_OTLP_COMPRESSION must be none or gzip"),
        (None, {"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER must be otlp or none"),
        (None, {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}, "nothing to send"),
        (None, {"OTEL_RESOURCE_ATTRIBUTES": "x"}, "OTEL_RESOURCE_ATTRIBUTES must be name=value"),
        (None, {"OTEL_RESOURCE_ATTRIBUTES": "x=\udcff"}, "OTEL_RESOURCE_ATTRIBUTES must be UTF-8"),
        (None, {"OTEL_SERVICE_NAME": "\udcff"}, "OTEL_SERVICE_NAME must be UTF-8"),
        ("https://c", {"CERTIFICATE": "/no/such"}, "cannot be used (No such file or directory)"),
        ("https://c", {"CERTIFICATE": __file__}, "cannot be used"),
    ],
)
def test_what_cannot_be_used_is_refused_without_a_secret(endpoint, variables, words):
    with pytest.raises(ConfigError) as caught:
        collector(endpoint, **variables)
    assert any(words in fault for fault in caught.value.faults)
    assert "hunter2" not in str(caught.value)


def test_everything_that_is_wrong_is_told_at_once():
    with pytest.raises(ConfigError) as caught:
        collector(PROTOCOL="grpc", COMPRESSION="x", HEADERS="y")
    assert len(caught.value.faults) == 3


def test_no_secret_is_shown():
    found = collector(ENDPOINT="https://c/x?api_key=hunter2", HEADERS="api-key=hunter2")
    assert "hunter2" not in f"{found} {found!r}"
    assert "hunter2" not in repr(OtlpConfig(endpoint="https://c/x?api_key=hunter2"))
    assert redact_url("https://c/x?api_key=hunter2") == "https://c/x?api_key=***"


@pytest.mark.parametrize(("value", "count"), [("cumulative", 0), ("", 0), ("delta", 1), ("LowMemory", 1)])
def test_totals_are_sent_whatever_is_preferred_and_that_is_said(value, count):
    assert len(collector(METRICS_TEMPORALITY_PREFERENCE=value).notes) == count


@pytest.mark.parametrize("missing", ["opentelemetry.proto", "a_package_of_nobody.proto"])
def test_without_the_extra_it_says_what_to_install(monkeypatch, missing):
    if missing.startswith("a_package"):
        monkeypatch.setattr(otlp_opening, "_EXTRA", (missing,))
    else:
        monkeypatch.setattr(otlp_opening, "find_spec", lambda name: None if name == missing else object())
    config = Config(outputs=OutputsConfig(otlp=OtlpConfig(enabled=True)))
    with pytest.raises(ConfigError, match=r"pip install 'trio-cursor\[otel\]'"):
        usable_collector(config, {})


# -- Encrypted -----------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path):
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made


async def answer_one(stream):
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def posted(authority, tmp_path, nursery, *, is_trusted=True, client=None, needs_client=False):
    """What becomes of a request to a server with a certificate of this authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    if needs_client:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    open_one = trio.open_ssl_over_tcp_listeners if is_trusted is not None else trio.open_tcp_listeners
    arguments = (0, context) if is_trusted is not None else (0,)
    (listener, *_) = await open_one(*arguments, host="127.0.0.1")
    tcp = getattr(listener, "transport_listener", listener)

    async def serve(stream):
        async with stream:
            with suppress(trio.BrokenResourceError):  # whoever does not trust it hangs up
                await answer_one(stream)

    nursery.start_soon(trio.serve_listeners, serve, [listener])
    variables = {"CERTIFICATE": str(tmp_path / "ca.pem")} if is_trusted else {}
    if client is not None:
        variables |= {"CLIENT_CERTIFICATE": str(client[0]), "CLIENT_KEY": str(client[1])}
    found = collector(f"https://localhost:{tcp.socket.getsockname()[1]}", **variables)
    place = attrs.evolve(found.traces)
    return await Poster(found, lambda: 0).post(place, b"")


async def test_encrypted_to_whom_the_named_authority_vouches_for(authority, tmp_path, nursery):
    assert await posted(authority, tmp_path, nursery) == Taken()


async def test_not_to_whom_nobody_vouches_for(authority, tmp_path, nursery):
    with pytest.raises(OutputError, match=r"(?i)certificate"):
        await posted(authority, tmp_path, nursery, is_trusted=False)


async def test_not_to_a_server_that_does_not_encrypt(authority, tmp_path, nursery):
    with pytest.raises(OutputError, match="does not encrypt: http:// instead of https://"):
        await posted(authority, tmp_path, nursery, is_trusted=None)


async def test_with_a_certificate_of_our_own(authority, tmp_path, nursery):
    own = authority.issue_cert("me@example.org")
    own.private_key_pem.write_to_path(str(tmp_path / "own.key"))
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "own.pem"))
    client = (tmp_path / "own.pem", tmp_path / "own.key")
    assert await posted(authority, tmp_path, nursery, client=client, needs_client=True) == Taken()


async def test_who_is_asked_for_a_passphrase_does_not_wait_for_one(authority, tmp_path):
    own = authority.issue_cert("me@example.org")
    key = forms.load_pem_private_key(own.private_key_pem.bytes(), None)
    (tmp_path / "own.key").write_bytes(
        key.private_bytes(
            forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.BestAvailableEncryption(b"hunter2")
        )
    )
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "own.pem"))
    with pytest.raises(ConfigError, match="passphrase"):
        collector(
            "https://c",
            CLIENT_CERTIFICATE=str(tmp_path / "own.pem"),
            CLIENT_KEY=str(tmp_path / "own.key"),
        )


async def test_a_name_that_nobody_has(monkeypatch):
    def look_up(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    found = collector("http://no.such.host.invalid")
    monkeypatch.setattr(connecting.socket, "getaddrinfo", look_up)
    with pytest.raises(OutputError, match=r"^http://no\.such\.host\.invalid: Name or service not known$"):
        await Poster(found, lambda: 0).post(found.traces, b"")


@pytest.mark.parametrize(
    ("said", "shown"), [("a\n\x1b[2J\u202eb", "a [2J b"), ("x" * 500, "x" * 200), ("", "")]
)
def test_what_somebody_else_says_is_one_short_line(said, shown):
    assert otlp_posting.shown(said) == shown
