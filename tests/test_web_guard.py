"""Who may talk to the server: names, origins, tokens; from headers alone."""

from __future__ import annotations

import os
import re
import socket

import pytest

from trio_cursor.errors import ConfigError
from trio_cursor.web.guard import check_listen, gate_for

TOKEN = "0123456789abcdef-token"


def status_of(listen="127.0.0.1:8787", token=None, path="/status", **headers):
    """Status of the refusal; None: let in."""
    sent = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    refusal = gate_for(listen, token).refusal(path, sent)
    return refusal and refusal[0]


OWN = ["localhost", "localhost:8787", "LocalHost:8787", "127.0.0.1", "127.0.0.1:8787", "[::1]", "[::1]:8787"]
FOREIGN = [
    *("evil.example", "evil.example:8787", "localhost.evil.example", "localhost.", "127.0.0.1.evil.example"),
    *("0.0.0.0:8787", "10.0.0.5", "[fe80::1]", "127.1", "2130706433", "[localhost]", "[::1", "::1", "", " "),
    *("localhost:", "localhost:x", "localhost:123456", "user@localhost", "localhost, evil.example", "\xff"),
]


@pytest.mark.parametrize("host", OWN)
def test_own_names_are_let_in(host):
    assert status_of(host=host) is None


@pytest.mark.parametrize("host", FOREIGN)
def test_foreign_names_are_not(host):
    assert status_of(host=host) == 421


def test_a_request_names_one_host():
    assert status_of() == 421
    gate = gate_for("127.0.0.1:8787", None)
    assert gate.refusal("/", [(b"host", b"localhost"), (b"host", b"localhost")])[0] == 421


def test_behind_a_tunnel_the_port_is_another_one():
    assert status_of(host="localhost:9000") is None
    assert status_of(host="localhost:9000", origin="http://localhost:9000") is None


@pytest.mark.parametrize(
    ("listen", "name"),
    [("127.0.0.2:1", "127.0.0.2"), ("[::1]:1", "[0:0:0:0:0:0:0:1]"), ("LOCALHOST:1", "localhost")],
)
def test_the_host_listened_on_is_an_own_name(listen, name):
    assert status_of(listen, host=name) is None


def test_beyond_loopback_every_address_and_the_machines_name_are_own():
    for host in ("10.0.0.5:8787", "[fe80::1]", "192.168.1.4", socket.gethostname(), "localhost"):
        assert status_of("0.0.0.0:8787", host=host) is None
    assert status_of("myhost.example:8787", host="MyHost.example:8787") is None
    for host in ("evil.example", "0.0.0.0", "[::]"):
        assert status_of("0.0.0.0:8787", host=host) == 421


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:8787", "https://localhost:8787", "http://127.0.0.1:8787", "http://[::1]:8787"],
)
def test_own_pages_may_ask(origin):
    assert status_of(host="localhost:8787", origin=origin) is None


@pytest.mark.parametrize(
    "origin",
    [
        *(
            "http://evil.example",
            "http://localhost",
            "http://localhost:3000",
            "null",
            "",
            "file://",
            "localhost:8787",
        ),
        *(
            "http://localhost:8787.evil.example",
            "http://localhost:8787/",
            "chrome-extension://abc",
            "http://10.0.0.5:8787",
        ),
    ],
)
def test_foreign_pages_may_not(origin):
    assert status_of(host="localhost:8787", origin=origin) == 403


@pytest.mark.parametrize(
    ("site", "mode", "dest", "status"),
    [
        ("same-origin", "cors", "empty", None),
        ("none", "navigate", "document", None),
        # A link from elsewhere may be followed.
        ("cross-site", "navigate", "document", None),
        ("same-site", "navigate", "document", None),
        ("cross-site", "no-cors", "image", 403),
        # Another port of this machine.
        ("same-site", "no-cors", "empty", 403),
        ("cross-site", "navigate", "iframe", 403),
        ("cross-site", "cors", "document", 403),
        ("", "navigate", "", 403),
    ],
)
def test_a_foreign_page_cannot_have_us_work_for_it(site, mode, dest, status):
    said = {"sec_fetch_site": site, "sec_fetch_mode": mode, "sec_fetch_dest": dest}
    assert status_of(host="localhost:8787", path="/", **said) == status


def test_an_extension_announces_as_ever():
    # Node sends the one header, a page of ours under another name of ours all of them.
    assert status_of(host="localhost:8787", path="/events", sec_fetch_mode="cors") is None
    said = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "cors", "sec_fetch_dest": "empty"}
    assert status_of(host="127.0.0.1:8787", path="/events", origin="http://localhost:8787", **said) is None
    assert status_of(host="127.0.0.1:8787", path="/events", origin="vscode-webview://x", **said) == 403


def test_a_foreign_address_is_no_own_page_beyond_loopback():
    assert status_of("0.0.0.0:8787", host="10.0.0.5:8787", origin="http://6.6.6.6:8787") == 403
    assert status_of("0.0.0.0:8787", host="10.0.0.5:8787", origin="http://10.0.0.5:8787") is None


def test_a_token_is_asked_for_everywhere_but_for_health():
    assert status_of(token=TOKEN, host="localhost") == 401
    assert status_of(token=TOKEN, host="localhost", authorization=f"Bearer {TOKEN}") is None
    assert status_of(token=TOKEN, host="localhost", authorization=f"bearer  {TOKEN}") is None
    for shown in (
        TOKEN,
        "Bearer",
        "Bearer ",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer \xff",
    ):
        assert status_of(token=TOKEN, host="localhost", authorization=shown) == 401
    assert status_of(token=TOKEN, host="localhost", path="/healthz") is None
    assert status_of(token=TOKEN, host="localhost", path="/healthz/") == 401
    assert status_of(token=TOKEN, host="evil.example", path="/healthz") == 421


def test_a_gate_does_not_show_its_token():
    assert TOKEN not in repr(gate_for("127.0.0.1:8787", TOKEN))


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "http-token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    return path


def test_a_token_is_read_from_a_private_file(token_file):
    assert check_listen("127.0.0.1:8787", str(token_file)) == TOKEN
    assert check_listen("0.0.0.0:8787", str(token_file)) == TOKEN


def test_loopback_needs_none_and_off_not_even_a_file():
    assert check_listen("127.0.0.1:8787", None) is None
    assert check_listen("localhost:8787", None) is None
    assert check_listen("off", "/nowhere") is None


def test_beyond_loopback_there_is_no_way_without():
    with pytest.raises(ConfigError, match=r"0.0.0.0:8787 is beyond loopback.*token_file is required"):
        check_listen("0.0.0.0:8787", None)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622, 0o601])
def test_a_file_that_others_can_open_is_refused_with_what_to_do(token_file, mode):
    token_file.chmod(mode)
    with pytest.raises(ConfigError, match=re.escape(f"chmod 600 {token_file}")):
        check_listen("127.0.0.1:8787", str(token_file))


@pytest.mark.parametrize(
    "content", ["", "\n", "short", "two words of sixteen", "a" * 16 + "\n" + "b" * 16, "a" * 5000, "ä" * 20]
)
def test_a_file_must_hold_one_good_token(token_file, content):
    token_file.write_text(content)
    with pytest.raises(ConfigError, match="must hold one token") as caught:
        check_listen("127.0.0.1:8787", str(token_file))
    assert not content.strip() or content.strip() not in str(caught.value)


def test_what_is_not_a_file_is_refused_without_waiting(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        check_listen("127.0.0.1:8787", str(tmp_path / "absent"))
    with pytest.raises(ConfigError, match=r"is not a file|cannot be read"):
        check_listen("127.0.0.1:8787", str(tmp_path))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    with pytest.raises(ConfigError, match="is not a file"):
        check_listen("127.0.0.1:8787", str(pipe))
