"""The configuration: what is accepted, what is refused and in which words, and what goes before what."""

import json
import re
import sys
import typing
from pathlib import Path

import attrs
import pytest
import tomli

import trio_cursor
from trio_cursor.config import (
    AlarmsConfig,
    Config,
    HttpConfig,
    RedisConfig,
    SessionsConfig,
    StateConfig,
    annotated_text,
    config_file,
    default_state_dir,
    expand_home,
    listen_address,
    load_config,
    redact_url,
    settings,
)
from trio_cursor.config.catalogue import KEYS
from trio_cursor.config.origins import Given
from trio_cursor.durations import parse_duration
from trio_cursor.errors import ConfigError

SHIPPED = Path(__file__).parent.parent / "conf" / "trio_cursor.toml"
HOME = "/home/me"


@pytest.fixture
def load(tmp_path):
    """Load a configuration of these parts and of nothing of this machine."""

    def load(text="", environ=None, overrides=None, **how):
        path = tmp_path / "config.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        how = {"platform": "linux", "home": HOME} | how
        return load_config(path, environ=environ or {}, overrides=overrides, **how)

    return load


@pytest.fixture
def faults(load, tmp_path):
    """Load it likewise, and give what is wrong with it, the file's name left out."""

    def faults(*parts, **how):
        with pytest.raises(ConfigError) as error:
            load(*parts, **how)
        assert str(error.value) == "\n".join(error.value.faults)
        assert all(fault.isprintable() for fault in error.value.faults)
        return [fault.replace(str(tmp_path / "config.toml"), "FILE") for fault in error.value.faults]

    return faults


# -- Defaults ------------------------------------------------------------------------------------------

#: As the contract has them.
DEFAULTS = {
    "cursor_database_monitor.enabled": True,
    "cursor_database_monitor.rollout_percent": 100,
    "cursor_database_monitor.poll_interval_seconds": 30,
    "cursor_database_monitor.probe_interval_seconds": 0.25,
    "cursor_database_monitor.sync_window_hours": 24,
    "cursor_database_monitor.query_timeout_seconds": 1.5,
    "cursor_database_monitor.max_retries": 3,
    "cursor_database_monitor.retry_backoff_seconds": 2,
    "cursor_database_monitor.dedup_window_hours": 24,
    "cursor_database_monitor.max_concurrent_workspaces": 10,
    "cursor.dirs": [],
    "cursor.include": [],
    "cursor.exclude": [],
    "state.dir": "/home/me/.local/state/trio-cursor",
    "sessions.mode": "auto",
    "sessions.files_dir": "/home/me/.blueplane/cursor-session",
    "sessions.stream": None,
    "sessions.inactive_timeout_hours": 12,
    "sessions.end_grace_seconds": 30,
    "sessions.max_active": 1000,
    "assembly.ring_grace_seconds": 2,
    "assembly.conversation_wait_seconds": 60,
    "assembly.settle_timeout_seconds": 300,
    "log.keep_days": 365,
    "log.max_megabytes": 2048,
    "redis.url": None,
    "redis.username": None,
    "redis.password_file": None,
    "redis.stream": "telemetry:events",
    "redis.max_length": 10000,
    "redis.trim_min_age_hours": 24,
    "redis.shards": 1,
    "redis.suppress": True,
    "redis.tls.ca": None,
    "redis.tls.cert": None,
    "redis.tls.key": None,
    "outputs.json_lines.path": None,
    "outputs.otlp.enabled": False,
    "outputs.otlp.endpoint": None,
    "outputs.otlp.texts": False,
    "http.listen": "127.0.0.1:8787",
    "http.token_file": None,
    "privacy.mode": "full",
    "privacy.max_text_bytes": 1048576,
    "logging.level": "info",
    "logging.format": "auto",
    "alarms.webhook": None,
    "service.shutdown_grace_seconds": 1,
}


def values(config):
    return {setting.key: setting.value for setting in settings(config)}


def test_without_anything_the_defaults_of_the_contract_hold(tmp_path):
    config = load_config(environ={}, platform="linux", home=HOME)
    assert values(config) == DEFAULTS
    assert set(config.origins.values()) == {"built-in"}
    assert config.file is None


def test_a_config_built_by_hand_is_all_defaults(monkeypatch):
    monkeypatch.setenv("HOME", HOME)
    monkeypatch.setenv("USERPROFILE", HOME)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    by_hand = Config()
    assert by_hand == load_config(environ={}, home=HOME)
    assert {setting.origin for setting in settings(by_hand)} == {"built-in"}


def test_the_environment_of_this_process_is_read_unless_another_is_given(monkeypatch, tmp_path):
    monkeypatch.setenv("TRIO_CURSOR_CONFIG", str(tmp_path / "mine.toml"))
    monkeypatch.setenv("TRIO_CURSOR_REDIS__SHARDS", "2")
    (tmp_path / "mine.toml").write_text("[log]\nkeep_days = 7")
    config = trio_cursor.load_config()
    assert (config.redis.shards, config.log.keep_days) == (2, 7)


def test_the_shipped_file_is_the_generated_one_byte_for_byte():
    assert SHIPPED.read_bytes() == annotated_text().encode()


def test_the_shipped_file_holds_every_key_with_its_default():
    commented = dict(re.findall(r"^# (\w+) = (.*)$", SHIPPED.read_text(), re.MULTILINE))
    given = values(load_config(SHIPPED, environ={}, platform="linux", home=HOME))
    assert given == DEFAULTS
    table = tomli.loads(SHIPPED.read_text())
    for key, default in DEFAULTS.items():
        *sections, name = key.split(".")
        found = table
        for section in sections:
            found = found[section]
        if default is None or key == "state.dir":
            assert name in commented
            assert name not in found
        else:
            assert key == "sessions.files_dir" or found[name] == default


def test_every_line_that_is_commented_out_there_works_when_it_is_not(load):
    text, count = re.subn(r"^# (\w+ = )", r"\1", SHIPPED.read_text(), flags=re.MULTILINE)
    config = load(text)
    assert count == sum(default is None for default in DEFAULTS.values()) + 1
    assert None not in values(config).values()
    assert config.redis.tls.key == f"{HOME}/.config/trio-cursor/redis-client.key"


def test_every_key_has_one_line_of_comment_right_above_it():
    lines = SHIPPED.read_text().splitlines()
    keys = [number for number, line in enumerate(lines) if re.match(r"(# )?\w+ = ", line)]
    assert len(keys) == len(DEFAULTS)
    for number in keys:
        assert re.match(r"# .+\.$", lines[number - 1])
        assert not lines[number - 2].startswith("# ") or re.match(r"# \w+ = ", lines[number - 2])


def test_a_config_is_frozen_and_so_is_where_its_values_come_from(load):
    config = load()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config.redis = RedisConfig()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config.redis.url = "redis://other"
    with pytest.raises(TypeError):
        config.origins["redis.url"] = "nobody"


# -- Values of the wrong type --------------------------------------------------------------------------

WRONG = [
    ("redis.shards", '"7"', "must be a whole number, not text"),
    ("redis.shards", "true", "must be a whole number, not true or false"),
    ("redis.shards", "1.0", "must be a whole number, not a number"),
    ("redis.shards", "[1]", "must be a whole number, not a list"),
    ("redis.shards", "{ a = 1 }", "must be a whole number, not a table"),
    ("redis.shards", "2024-01-01", "must be a whole number, not a date or time"),
    ("redis.suppress", '"true"', "must be true or false, not text"),
    ("redis.suppress", "1", "must be true or false, not a whole number"),
    ("redis.stream", "7", "must be text, not a whole number; put it in quotes"),
    ("redis.stream", "true", "must be text, not true or false; put it in quotes"),
    ("redis.stream", "[]", "must be text, not a list"),
    ("redis.url", "[]", "must be text, not a list"),
    ("log.keep_days", '"7"', "must be a number, not text"),
    ("log.keep_days", "false", "must be a number, not true or false"),
    ("cursor.dirs", '"/a"', 'must be a list of texts, as in ["one", "two"], not text'),
    ("cursor.dirs", '["/a", 7]', "must be a list of texts, but item 2 is a whole number"),
    ("cursor.include", "{}", 'must be a list of texts, as in ["one", "two"], not a table'),
    ("sessions.mode", "7", "must be auto, extension or discovery, not a whole number"),
    ("sessions.mode", "[[]]", "must be auto, extension or discovery, not a list"),
]


@pytest.mark.parametrize(("key", "value", "problem"), WRONG)
def test_types_are_taken_as_they_stand(key, value, problem, faults):
    section, _, name = key.rpartition(".")
    assert faults(f"[{section}]\n{name} = {value}") == [f"file FILE: {key} {problem}"]


def test_a_whole_number_is_a_number(load):
    assert load("[log]\nkeep_days = 7").log.keep_days == 7
    assert load("[log]\nkeep_days = 7.5").log.keep_days == 7.5


# -- Values out of range -------------------------------------------------------------------------------

OUT_OF_RANGE = [
    ("cursor_database_monitor.rollout_percent", "-1", "must be from 0 to 100, not -1"),
    ("cursor_database_monitor.rollout_percent", "100.5", "must be from 0 to 100, not 100.5"),
    ("cursor_database_monitor.poll_interval_seconds", "0", "must be from 0.01 to 86,400, not 0"),
    ("cursor_database_monitor.probe_interval_seconds", "61", "must be from 0.01 to 60, not 61"),
    ("cursor_database_monitor.sync_window_hours", "inf", "must be from 0 to 876,000"),
    ("cursor_database_monitor.sync_window_hours", "nan", "must be from 0 to 876,000"),
    ("cursor_database_monitor.query_timeout_seconds", "0", "must be from 0.05 to 60, not 0"),
    ("cursor_database_monitor.max_retries", "0", "must be from 1 to 100, not 0"),
    ("cursor_database_monitor.retry_backoff_seconds", "-2", "must be from 0.01 to 3,600, not -2"),
    ("cursor_database_monitor.dedup_window_hours", "-1", "must be from 0 to 876,000, not -1"),
    ("cursor_database_monitor.max_concurrent_workspaces", "0", "must be from 1 to 256, not 0"),
    ("sessions.max_active", "0x" + "f" * 9_000, "must be from 1 to 100,000"),
    ("sessions.inactive_timeout_hours", "0", "must be from 0.001 to 876,000, not 0"),
    ("sessions.end_grace_seconds", "-1", "must be from 0 to 86,400, not -1"),
    ("assembly.settle_timeout_seconds", "-1", "must be from 0 to 86,400, not -1"),
    ("log.keep_days", "0", "must be from 0.001 to 36,500, not 0"),
    ("log.max_megabytes", "0", "must be from 1 to 1,073,741,824, not 0"),
    ("redis.shards", "0", "must be from 1 to 1,024, not 0"),
    ("redis.max_length", "-1", "must be from 0 to 1,000,000,000, not -1"),
    ("redis.trim_min_age_hours", "-0.5", "must be from 0 to 876,000, not -0.5"),
    ("privacy.max_text_bytes", "0", "must be from 1 to 33,554,432, not 0"),
    ("service.shutdown_grace_seconds", "-1", "must be from 0 to 3,600, not -1"),
    ("redis.stream", '""', "must not be empty"),
    ("redis.stream", '"{tag}:events"', "must not contain braces, which Redis Cluster reads as a hash tag"),
    ("sessions.stream", '"a}"', "must not contain braces, which Redis Cluster reads as a hash tag"),
    ("redis.stream", '"two\\nlines"', "must be one line of valid text"),
    ("redis.username", '"a\\u0085"', "must be one line of valid text"),
    ("state.dir", '""', "must not be empty"),
    ("cursor.dirs", '["/a", ""]', "has an item that must not be empty"),
    ("cursor.exclude", '["/a\\u0000"]', "has an item that must be one line of valid text"),
    ("sessions.mode", '"all"', "must be auto, extension or discovery, not all"),
    ("logging.format", '"cosole"', "must be auto, console or json, not cosole; did you mean console?"),
    ("privacy.mode", '"Full"', "must be full, redacted or metadata, not Full; did you mean full?"),
    ("logging.level", '"two words"', 'must be debug, info, warning, error or critical, not "two words"'),
    ("http.listen", '"8787"', 'must be HOST:PORT or "off"'),
    ("http.listen", '":8787"', 'must be HOST:PORT or "off"'),
    ("http.listen", '"local host:8787"', 'must be HOST:PORT or "off"'),
    ("http.listen", '"localhost:http"', 'must be HOST:PORT or "off"'),
    ("http.listen", '"localhost:\u0663"', 'must be HOST:PORT or "off"'),
    ("http.listen", '"localhost:65536"', "must have a port from 0 to 65,535"),
    ("http.listen", f'"localhost:{"9" * 5_000}"', "must have a port from 0 to 65,535"),
    ("http.listen", '"::1:8787"', "must have an IPv6 address in brackets: [::1]:8787"),
    ("alarms.webhook", '"example.org/hook"', "must be an http:// or https:// URL"),
    ("alarms.webhook", '"https://"', "must be an http:// or https:// URL"),
    ("alarms.webhook", '"ftp://example.org"', "must be an http:// or https:// URL"),
]  # fmt: skip

URL_PROBLEM = (
    'must be "env" or start with one of redis://, rediss://, unix://, redis+sentinel://, redis+cluster://'
)


@pytest.mark.parametrize(("key", "value", "problem"), OUT_OF_RANGE)
def test_values_out_of_range_are_refused_with_the_range(key, value, problem, faults):
    section, _, name = key.rpartition(".")
    assert faults(f"[{section}]\n{name} = {value}") == [f"file FILE: {key} {problem}"]


@pytest.mark.parametrize(
    "url",
    ["localhost:6379", "http://localhost", "redis://", "://x", "redis://a\nb", "REDIS://x", "environment"],
)
def test_a_url_of_no_redis_is_refused(url, faults):
    assert faults(overrides={"redis.url": url}) == [f"option: redis.url {URL_PROBLEM}"]


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:6379/0",
        "rediss://user:secret@redis.example.org:6380/1",
        "unix:///run/redis.sock?db=0",
        "redis+sentinel://a:26379,b:26379/primary",
        "redis+cluster://a:7000,b:7001",
    ],
)
def test_every_kind_of_redis_url_is_accepted(url, load):
    assert load(overrides={"redis.url": url}).redis.url == url


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8787", ("127.0.0.1", 8787)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65535)),
        ("off", None),
    ],
)
def test_addresses_to_listen_at(text, address, load):
    assert listen_address(text) == address
    assert load(overrides={"http.listen": text}).http.listen == text


def test_ranges_hold_for_a_config_built_by_hand_too():
    with pytest.raises(ValueError, match="shards must be from 1 to 1,024, not 0"):
        RedisConfig(shards=0)
    with pytest.raises(ValueError, match='listen must be HOST:PORT or "off"'):
        HttpConfig(listen="nonsense")
    assert SessionsConfig(stream=None).stream is None


# -- Keys that do not exist ----------------------------------------------------------------------------

UNKNOWN = [
    ("[redis]\nstrem = 'x'", "unknown key redis.strem; did you mean redis.stream?"),
    ("[redis]\nlisten = 'x'", "unknown key redis.listen; did you mean http.listen?"),
    ("shutdown_grace = 5", "unknown key shutdown_grace; did you mean service.shutdown_grace_seconds?"),
    ("[redis]\nxyzzy = 1", "unknown key redis.xyzzy"),
    ("[reddis]\nurl = 'x'", "unknown section reddis; did you mean redis?"),
    ("[tls]\nca = 'x'", "unknown section tls; did you mean redis.tls?"),
    ("[redis.sentinel]\nx = 1", "unknown section redis.sentinel"),
    ("[[xyzzy]]", "unknown key xyzzy"),
    ("[redis.url]\nx = 1", "redis.url must be text, not a table"),
    ("redis = 'redis://localhost'", "redis is a section: write [redis]"),
    ("[[redis]]", "redis is a section: write [redis]"),
    ("[redis]\ntls = true", "redis.tls is a section: write [redis.tls]"),
    ("'redis.url' = 'x'", '"redis.url" is no key: a dot within quotes makes no section'),
    ("file = 'x'", "unknown key file"),
    ("origins = {}", "unknown section origins"),
    ("'two words' = 1", 'unknown key "two words"'),
    ('"a\\u001b[31m" = 1', r'unknown key "a\u001b[31m"'),
    ("'' = 1", 'unknown key ""'),
    (f"{'x' * 5_000} = 1", f"unknown key {'x' * 300}..."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), UNKNOWN, ids=range(len(UNKNOWN)))
def test_unknown_keys_are_errors_with_a_suggestion(text, problem, faults):
    assert faults(text) == [f"file FILE: {problem}"]


def test_unknown_variables_are_errors_with_a_suggestion(faults):
    assert faults(
        environ={
            "TRIO_CURSOR_REDIS_URL": "redis://user:secret@host",
            "TRIO_CURSOR_CONFG": "x",
            "TRIO_CURSOR_redis__url": "x",
            "TRIO_CURSOR_\x1b": "x",
        }
    ) == [
        r'environment "TRIO_CURSOR_\u001b": is no setting of ours',
        "environment TRIO_CURSOR_CONFG: is no setting of ours; did you mean TRIO_CURSOR_CONFIG?",
        "environment TRIO_CURSOR_REDIS_URL: is no setting of ours; did you mean TRIO_CURSOR_REDIS__URL?",
        "environment TRIO_CURSOR_redis__url: is no setting of ours; did you mean TRIO_CURSOR_REDIS__URL?",
    ]


def test_unknown_options_are_errors_with_a_suggestion(faults):
    assert faults(overrides={"http.listn": "x"}) == [
        "option: unknown key http.listn; did you mean http.listen?"
    ]


# -- All at once ---------------------------------------------------------------------------------------


def test_all_errors_are_reported_together_each_with_its_origin(faults):
    assert faults(
        """
        xyzzy = 1
        [redis]
        shards = 0
        max_length = "many"
        strem = "x"
        [redis.tls]
        ca = 7
        [cursor_database_monitor]
        enabled = "yes"
        rollout_percent = 101
        """,
        environ={"TRIO_CURSOR_LOG__KEEP_DAYS": "forever", "TRIO_CURSOR_NOTHING": "1"},
        overrides={"sessions.mode": "some", "http.lisen": "off"},
    ) == [
        "file FILE: unknown key xyzzy",
        "file FILE: unknown key redis.strem; did you mean redis.stream?",
        "environment TRIO_CURSOR_NOTHING: is no setting of ours",
        "option: unknown key http.lisen; did you mean http.listen?",
        "file FILE: cursor_database_monitor.enabled must be true or false, not text",
        "file FILE: cursor_database_monitor.rollout_percent must be from 0 to 100, not 101",
        "file FILE: redis.max_length must be a whole number, not text",
        "file FILE: redis.shards must be from 1 to 1,024, not 0",
        "file FILE: redis.tls.ca must be text, not a whole number; put it in quotes",
        "environment TRIO_CURSOR_LOG__KEEP_DAYS: log.keep_days must be a number, not text",
        "option: sessions.mode must be auto, extension or discovery, not some",
    ]


def test_a_bad_value_shows_even_where_another_goes_before_it(faults):
    assert faults(
        "[redis]\nshards = 0", environ={"TRIO_CURSOR_REDIS__SHARDS": "x"}, overrides={"redis.shards": 4}
    ) == [
        "file FILE: redis.shards must be from 1 to 1,024, not 0",
        "environment TRIO_CURSOR_REDIS__SHARDS: redis.shards must be a whole number, not text",
    ]


def test_no_message_shows_what_may_be_a_secret(faults):
    secret = "hunter2"
    shown = faults(
        f"[redis]\nurl = 'http://:{secret}@host'\npasword = '{secret}'\nshards = '{secret}'",
        environ={"TRIO_CURSOR_REDIS__PASSWORD": secret, "TRIO_CURSOR_ALARMS__WEBHOOK": f"ftp://{secret}"},
    )
    assert len(shown) == 5
    assert secret not in "".join(shown)


# -- Precedence ----------------------------------------------------------------------------------------


def test_option_goes_before_environment_before_file_before_built_in(load, tmp_path):
    config = load(
        "[redis]\nshards = 2\nmax_length = 2\ntrim_min_age_hours = 2",
        environ={"TRIO_CURSOR_REDIS__SHARDS": "3", "TRIO_CURSOR_REDIS__MAX_LENGTH": "3"},
        overrides={"redis.shards": 4},
    )
    redis = config.redis
    assert (redis.shards, redis.max_length, redis.trim_min_age_hours, redis.suppress) == (4, 3, 2, True)
    file = str(tmp_path / "config.toml")
    assert config.file == file
    assert {key: origin for key, origin in config.origins.items() if origin != "built-in"} == {
        "redis.shards": "option",
        "redis.max_length": "environment TRIO_CURSOR_REDIS__MAX_LENGTH",
        "redis.trim_min_age_hours": f"file {file}",
    }
    assert list(config.origins) == list(DEFAULTS)


def test_an_option_that_was_not_given_is_none(load):
    assert load("[redis]\nshards = 2", overrides={"redis.shards": None}).redis.shards == 2


@pytest.mark.parametrize("how", ["overrides", "environ", "file"])
def test_an_empty_text_switches_off_what_may_be_none(how, load):
    url = '[redis]\nurl = "redis://localhost"'
    if how == "overrides":
        config = load(url, overrides={"redis.url": ""})
    elif how == "environ":
        config = load(url, environ={"TRIO_CURSOR_REDIS__URL": ""})
    else:
        config = load('[redis]\nurl = ""')
    assert config.redis.url is None
    assert config.origins["redis.url"] != "built-in"


# -- Environment ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("REDIS__SHARDS", "7", "redis.shards", 7),
        ("REDIS__SUPPRESS", "false", "redis.suppress", False),
        ("LOG__KEEP_DAYS", "0.5", "log.keep_days", 0.5),
        ("REDIS__STREAM", "events", "redis.stream", "events"),
        ("REDIS__STREAM", '"7"', "redis.stream", "7"),
        ("REDIS__STREAM", "'literal'", "redis.stream", "literal"),
        ("REDIS__TLS__CA", "/etc/ca.pem", "redis.tls.ca", "/etc/ca.pem"),
        ("OUTPUTS__JSON_LINES__PATH", "C:\\new\\x.jsonl", "outputs.json_lines.path", "C:\\new\\x.jsonl"),
        ("CURSOR_DATABASE_MONITOR__MAX_RETRIES", "5", "cursor_database_monitor.max_retries", 5),
        ("CURSOR__DIRS", '["/a", "/b"]', "cursor.dirs", ["/a", "/b"]),
        ("LOGGING__LEVEL", "debug", "logging.level", "debug"),
        ("HTTP__LISTEN", "off", "http.listen", "off"),
        ("SESSIONS__FILES_DIR", "~/x", "sessions.files_dir", "/home/me/x"),
        ("REDIS__USERNAME", "[" * 5_000, "redis.username", "[" * 5_000),
        ("REDIS__USERNAME", "9" * 5_000, "redis.username", "9" * 5_000),
    ],
)
def test_a_variable_is_read_as_toml_if_it_is_toml_and_else_as_text(variable, text, key, value, load):
    config = load(environ={f"TRIO_CURSOR_{variable}": text})
    assert values(config)[key] == value
    assert config.origins[key] == f"environment TRIO_CURSOR_{variable}"


def test_a_variable_cannot_smuggle_in_a_second_value(faults):
    assert faults(environ={"TRIO_CURSOR_REDIS__SHARDS": "1\nother = 2"}) == [
        "environment TRIO_CURSOR_REDIS__SHARDS: redis.shards must be a whole number, not text"
    ]


def test_other_programs_variables_change_nothing(load):
    environ = {
        "REDIS_URL": "redis://elsewhere",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x",
        "TRIO_CURSORS": "1",
    }
    assert values(load(environ=environ)) == DEFAULTS


def test_redis_url_is_read_only_when_it_is_asked_for(load):
    config = load('[redis]\nurl = "env"', environ={"REDIS_URL": "redis://there"})
    assert config.redis.url == "redis://there"
    assert config.origins["redis.url"] == "environment REDIS_URL"


@pytest.mark.parametrize("environ", [{}, {"REDIS_URL": ""}, {"REDIS_URL": "env"}])
def test_a_redis_url_that_is_asked_for_and_not_there_is_an_error(environ, faults):
    assert faults(environ=environ, overrides={"redis.url": "env"}) == [
        'option: redis.url is "env", but REDIS_URL is not set'
    ]


def test_a_redis_url_that_is_asked_for_and_wrong_is_an_error(faults):
    assert faults(environ={"REDIS_URL": "http://x"}, overrides={"redis.url": "env"}) == [
        f"environment REDIS_URL: redis.url {URL_PROBLEM}"
    ]


# -- What is wrong only together -----------------------------------------------------------------------


@pytest.mark.parametrize("listen", ["0.0.0.0:8787", "[::]:8787", "192.0.2.1:80", "example.org:80"])
def test_beyond_loopback_a_token_is_required(listen, faults, load):
    assert faults(overrides={"http.listen": listen}) == [
        "option: http.listen is beyond loopback, so http.token_file is required"
    ]
    assert load("[http]\ntoken_file = '~/token'", overrides={"http.listen": listen}).http.listen == listen


@pytest.mark.parametrize("listen", ["127.0.0.2:1", "[::1]:1", "LocalHost:1", "off"])
def test_on_loopback_none_is(listen, load):
    assert load(overrides={"http.listen": listen}).http.token_file is None


def test_a_key_needs_its_certificate_wherever_each_comes_from(faults, load):
    key = '[redis.tls]\nkey = "k.pem"'
    assert faults(key) == ["file FILE: redis.tls.key is of no use without redis.tls.cert"]
    assert load(key, environ={"TRIO_CURSOR_REDIS__TLS__CERT": "c.pem"}).redis.tls.cert == "c.pem"


# -- The file ------------------------------------------------------------------------------------------

NOT_TOML = [
    (b"[redis]\nurl = = 1", "is not valid TOML: Invalid value (at line 2, column 7)"),
    (b"[redis\n", "is not valid TOML: Expected ']' at the end of a table declaration (at line 1, column 7)"),
    (b"a = 1\na = 2", "is not valid TOML: Cannot overwrite a value (at end of document)"),
    (b"[redis]\nurl = '\xff'", "is not UTF-8 (at line 2, column 8)"),
    (b"x = " + b"[" * 5_000, "is not valid TOML: TOML inline arrays/tables are nested more than"),
    (b"x = " + b"9" * 5_000, "is not valid TOML: Exceeds the limit"),
    (b"#" * (1 << 20) + b"#", "is larger than 1,048,576 bytes, which no configuration is"),
]


@pytest.mark.parametrize(("text", "problem"), NOT_TOML, ids=range(len(NOT_TOML)))
def test_a_file_that_is_no_toml_is_one_line_with_its_place(text, problem, faults):
    (fault,) = faults(text)
    assert fault.startswith(f"file FILE: {problem}")


def test_other_errors_are_still_found_beside_a_file_that_is_no_toml(faults):
    assert len(faults("=", environ={"TRIO_CURSOR_X": "1"}, overrides={"redis.shards": 0})) == 3


def test_windows_editors_are_forgiven_their_byte_order_mark_and_line_ends(load):
    assert load(b"\xef\xbb\xbf[redis]\r\nshards = 2\r\n").redis.shards == 2


@pytest.mark.parametrize(
    ("path", "environ", "who"),
    [
        ("none.toml", {}, "option"),
        (None, {"TRIO_CURSOR_CONFIG": "none.toml"}, "environment TRIO_CURSOR_CONFIG"),
    ],
)
def test_a_file_that_somebody_named_must_exist(path, environ, who):
    with pytest.raises(ConfigError) as error:
        load_config(path, environ=environ)
    assert error.value.faults == (
        f"file none.toml: does not exist (named by {who}); `config init` writes one",
    )


def test_a_file_that_nobody_named_may_be_missing(tmp_path):
    assert load_config(environ={"XDG_CONFIG_HOME": str(tmp_path)}, platform="linux").file is None


def test_a_directory_in_its_place_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r": cannot be read \(.+\)"):
        load_config(tmp_path, environ={})


def test_a_name_that_is_none_is_one_line():
    with pytest.raises(ConfigError) as error:
        load_config("a\0b", environ={})
    assert error.value.faults == (r'file "a\u0000b": cannot be read (embedded null byte)',)


@pytest.mark.parametrize(
    ("platform", "environ", "home", "expected"),
    [
        ("linux", {}, "/home/me", "/home/me/.config/trio-cursor/config.toml"),
        ("linux", {"XDG_CONFIG_HOME": "/c"}, "/home/me", "/c/trio-cursor/config.toml"),
        ("linux", {"XDG_CONFIG_HOME": "c"}, "/home/me", "/home/me/.config/trio-cursor/config.toml"),
        ("linux", {"TRIO_CURSOR_CONFIG": ""}, "/home/me", "/home/me/.config/trio-cursor/config.toml"),
        ("darwin", {"XDG_CONFIG_HOME": "/c"}, "/Users/me",
         "/Users/me/Library/Application Support/trio-cursor/config.toml"),
        ("win32", {"APPDATA": "D:\\Roam"}, "C:\\Users\\me", "D:\\Roam\\trio-cursor\\config.toml"),
        ("win32", {}, "C:\\Users\\me", "C:\\Users\\me\\AppData\\Roaming\\trio-cursor\\config.toml"),
    ],
)  # fmt: skip
def test_where_the_file_is_on_each_platform(platform, environ, home, expected):
    assert config_file(None, environ, platform, home) == (expected, None)


def test_the_file_may_be_named_by_an_option_or_by_the_environment():
    environ = {"TRIO_CURSOR_CONFIG": "~/e.toml"}
    assert config_file("~/o.toml", environ, "linux", HOME) == ("/home/me/o.toml", "option")
    assert config_file(None, environ, "linux", HOME) == ("/home/me/e.toml", "environment TRIO_CURSOR_CONFIG")


@pytest.mark.parametrize(
    ("platform", "environ", "home", "expected"),
    [
        ("linux", {}, "/home/me", "/home/me/.local/state/trio-cursor"),
        ("linux", {"XDG_STATE_HOME": "/s"}, "/home/me", "/s/trio-cursor"),
        ("linux", {"XDG_STATE_HOME": "s"}, "/home/me", "/home/me/.local/state/trio-cursor"),
        (
            "darwin",
            {"XDG_STATE_HOME": "/s"},
            "/Users/me",
            "/Users/me/Library/Application Support/trio-cursor",
        ),
        ("win32", {"LOCALAPPDATA": "D:\\L"}, "C:\\Users\\me", "D:\\L\\trio-cursor"),
        ("win32", {}, "C:\\Users\\me", "C:\\Users\\me\\AppData\\Local\\trio-cursor"),
    ],
)
def test_where_the_state_is_on_each_platform(platform, environ, home, expected, load):
    assert default_state_dir(platform, environ, home) == expected
    config = load(environ=environ, platform=platform, home=home)
    assert config.state.dir == expected
    assert config.origins["state.dir"] == "built-in"


# -- Paths ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "platform", "expected"),
    [
        ("~", "linux", "/home/me"),
        ("~/x", "linux", "/home/me/x"),
        ("~x/y", "linux", "~x/y"),
        ("a/~/b", "linux", "a/~/b"),
        ("~\\x", "linux", "~\\x"),
        ("~\\x", "win32", "/home/me\\x"),
        ("", "linux", ""),
    ],
)
def test_a_leading_tilde_is_the_home_directory(text, platform, expected):
    assert expand_home(text, HOME, platform) == expected


def test_paths_may_have_any_letters_but_must_be_text(load, faults):
    name = "/M\u00fcller/\u3000wide\u00a0space/\U0001f389"
    assert load(overrides={"state.dir": name}).state.dir == name
    assert faults(overrides={"state.dir": "/\udcff"}) == ["option: state.dir must be one line of valid text"]


def test_every_path_is_expanded_whoever_gives_it(load):
    config = load(
        '[cursor]\ndirs = ["~/a", "/b"]\nexclude = ["~/secret/**"]',
        environ={"TRIO_CURSOR_REDIS__PASSWORD_FILE": "~/p"},
        overrides={"outputs.json_lines.path": "-", "state.dir": "~/s", "cursor.include": ("~/c",)},
    )
    assert config.cursor.dirs == ("/home/me/a", "/b")
    assert config.cursor.exclude == ("/home/me/secret/**",)
    assert config.cursor.include == ("/home/me/c",)
    assert config.redis.password_file == "/home/me/p"
    assert config.outputs.json_lines.path == "-"
    assert config.state.dir == "/home/me/s"


@pytest.mark.skipif(sys.platform == "win32", reason="HOME is not asked there")
def test_and_in_a_config_that_is_built_by_hand(monkeypatch):
    monkeypatch.setenv("HOME", HOME)
    assert StateConfig(dir="~/s").dir == "/home/me/s"


# -- What may be printed -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:secret@host", "redis://:***@host"),
        ("rediss://me:secret@host:6380/1", "rediss://me:***@host:6380/1"),
        ("redis://secret@host", "redis://***@host"),
        ("redis://me:se/cr@e:t?@host/0", "redis://me:***@host/0"),
        ("redis+sentinel://me:secret@a:1,b:2/primary", "redis+sentinel://me:***@a:1,b:2/primary"),
        ("redis://host?db=1&password=secret&x=2", "redis://host?db=1&password=***&x=2"),
        ("unix://me:secret@/run/redis.sock?Sentinel_Password=secret", "unix://me:***@/run/redis.sock?Sentinel_Password=***"),
        ("redis://me:a://secret@host", "redis://me:***@host"),
        ("redis://h:1?password=se#cret", "redis://h:1?password=***"),
        ("redis://h:1?password=se#cret&db=1", "redis://h:1?password=***"),
        ("redis://h:1?db=1#2", "redis://h:1?db=1#2"),
        ("redis://h:1?password=se&cret", "redis://h:1?password=***"),
        ("redis://h:1?password=se&cret&db=1", "redis://h:1?password=***&db=1"),
        ("redis://h:1?p%61ssword=secret", "redis://h:1?p%61ssword=***"),
        ("redis://h?password=se@cret", "redis://***@***"),
        ("redis://h:1?password=se@cret", "redis://h:***@***"),
        ("me:secret@host", "me:***@host"),
        ("env", "env"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_password_is_never_shown(url, shown):
    assert redact_url(url) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hooks.example.org/services/T0/secret", "https://hooks.example.org/***"),
        ("https://hooks.example.org", "https://hooks.example.org"),
        ("https://hooks.example.org/", "https://hooks.example.org"),
        ("https://me:secret@hooks.example.org:1?key=secret", "https://me:***@hooks.example.org:1/***"),
    ],
)
def test_settings_never_hold_a_secret(url, shown, load):
    config = load(overrides={"alarms.webhook": url, "redis.url": "redis://:secret@host"})
    assert values(config)["alarms.webhook"] == shown
    assert values(config)["redis.url"] == "redis://:***@host"
    assert config.alarms.webhook == url
    assert json.loads(json.dumps(values(config))) == values(config)


def test_neither_does_a_configuration_that_is_printed(load):
    url, webhook = "redis://me:secret@host?password=secret", "https://hooks.example.org/secret"
    config = load(overrides={"alarms.webhook": webhook, "redis.url": url})
    for shown in (repr(config), str(config), repr(config.redis), repr(config.alarms)):
        assert "secret" not in shown
    assert repr("redis://me:***@host?password=***") in repr(config)
    assert "webhook='https://hooks.example.org/***'" in repr(config)
    assert (config.redis.url, config.alarms.webhook) == (url, webhook)
    assert "url=None" in repr(Config())
    assert "secret" not in repr(Given(url, "option"))


@pytest.mark.parametrize("key", ["redis.url", "alarms.webhook"])
@pytest.mark.parametrize(
    "value", ["me:secret@host", "redis://secret\n", ["secret"], {"secret": "secret"}, "https://secret\t"]
)
def test_nor_do_the_words_about_one_that_cannot_be_used(key, value, faults, load):
    overrides, variable = {key: value}, f"TRIO_CURSOR_{key.upper().replace('.', '__')}"
    found = faults(overrides=overrides)
    if isinstance(value, str):
        found += faults(environ={variable: value})
        section, _, name = key.partition(".")
        found += faults(f"[{section}]\n{name} = {json.dumps(value)}\n")
        found += faults(f"[{section}]\n{name} = {value}\n")
    assert found
    assert "secret" not in "".join(found)
    if isinstance(value, str):
        kind, name = (RedisConfig, "url") if key == "redis.url" else (AlarmsConfig, "webhook")
        with pytest.raises(ValueError, match="must") as error:
            kind(**{name: value})
        assert "secret" not in str(error.value)


# -- What holds of all keys ----------------------------------------------------------------------------


def test_every_key_can_be_set_in_every_way(load):
    """By its own default, or by the example in its place."""
    text = re.sub(r"^# (\w+ = )", r"\1", annotated_text(), flags=re.MULTILINE)
    given = {}

    def walk(table, prefix=""):
        for name, value in table.items():
            if isinstance(value, dict):
                walk(value, f"{prefix}{name}.")
            else:
                given[prefix + name] = value

    walk(tomli.loads(text))
    assert list(given) == list(DEFAULTS)
    variables = {
        f"TRIO_CURSOR_{key.upper().replace('.', '__')}": json.dumps(value) for key, value in given.items()
    }
    by_file, by_environment, by_option = load(text), load(environ=variables), load(overrides=given)
    assert by_file == by_environment == by_option
    assert set(by_environment.origins.values()) == {f"environment {variable}" for variable in variables}


def test_every_field_of_every_section_says_what_it_is():
    for section in attrs.fields(Config):
        if attrs.has(section.type):
            assert section.metadata["help"].endswith(".")
            assert typing.get_type_hints(section.type)
    assert all(attribute.metadata["help"].endswith(".") for attribute in KEYS.values())


# -- Durations -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        ("30s", 30),
        ("5m", 300),
        ("24h", 86_400),
        ("7d", 604_800),
        ("1.5H", 5_400),
        (" 2 d ", 172_800),
        ("0", 0),
        ("all", None),
        ("ALL", None),
    ],
)
def test_durations_are_seconds(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "h", "-5m", "5w", "1e3", "inf", "nan", "5m30s", "\u0663h", "1.", ".5h", "5 minutes"]
)
def test_what_is_no_duration_is_refused_with_what_to_write(text):
    with pytest.raises(ValueError, match="is not a duration: write 30s, 5m, 24h, 7d or all"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["36501d", "9" * 5_000])
def test_a_duration_beyond_all_bounds_is_all(text):
    with pytest.raises(ValueError, match="is longer than a hundred years: write all") as error:
        parse_duration(text)
    assert len(str(error.value)) < 120
