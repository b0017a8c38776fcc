"""Loading: which layer goes before which, and everything that is wrong, told at once."""

import os
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import attrs

from trio_cursor.config.catalogue import KEYS
from trio_cursor.config.checks import is_loopback, listen_address
from trio_cursor.config.layers import read_environment, read_file, read_options
from trio_cursor.config.origins import BUILT_IN, REDIS_VARIABLE, Given, Layer
from trio_cursor.config.places import default_state_dir, expand_home, expanded, home_directory
from trio_cursor.config.sections import Config
from trio_cursor.config.structuring import config_of, faults_of
from trio_cursor.errors import ConfigError


def load_config(
    path: str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    platform: str = sys.platform,
    home: str | None = None,
) -> Config:
    """Find out what is configured; without arguments as the command line would.

    Precedence: `overrides` (dotted key to value; None means not given), environment variables
    `TRIO_CURSOR_<SECTION>__<KEY>`, the file (`path`, else `TRIO_CURSOR_CONFIG`, else the platform's
    usual place, where it may be missing), built-in. An empty text stands for none where a key may
    have none. `REDIS_URL` is read only if `redis.url` is `env`. `environ`, `platform` (as
    `sys.platform`) and `home` are those of this process unless given.

    Blocks while it reads the one file. Raises ConfigError with every fault that was found.
    """
    environ = os.environ if environ is None else environ
    home = home_directory() if home is None else home
    faults: list[str] = []
    file, from_file = read_file(path, environ, platform, home, faults)
    layers = (from_file, read_environment(environ, faults), read_options(overrides or {}, faults))

    given = _built_in(platform, environ, home)
    expand = partial(expand_home, home=home, platform=platform)
    for layer in layers:
        ours = {
            key: attrs.evolve(one, value=expanded(one.value, expand)) if _is_path(key) else one
            for key, one in layer.items()
        }
        faults += faults_of(ours)
        given |= ours
    _resolve_redis_url(given, environ, faults)
    if faults:
        raise ConfigError(tuple(faults))

    config: Config = attrs.evolve(
        config_of(given),
        file=file,
        origins=MappingProxyType({key: given[key].origin if key in given else BUILT_IN for key in KEYS}),
    )
    contradictions = tuple(_contradictions(config))
    if contradictions:
        raise ConfigError(contradictions)
    return config


def _built_in(platform: str, environ: Mapping[str, str], home: str) -> Layer:
    """Give the defaults that depend on the machine; all others are in the classes."""
    files_dir = expand_home(str(KEYS["sessions.files_dir"].default), home, platform)
    return {
        "state.dir": Given(default_state_dir(platform, environ, home), BUILT_IN),
        "sessions.files_dir": Given(files_dir, BUILT_IN),
    }


def _is_path(key: str) -> bool:
    return bool(KEYS[key].metadata.get("path"))


def _resolve_redis_url(given: Layer, environ: Mapping[str, str], faults: list[str]) -> None:
    """Put the URL in the place of `env`, for which alone `REDIS_URL` is read."""
    url = given.get("redis.url")
    if url is None or url.value != "env":
        return
    actual = environ.get(REDIS_VARIABLE, "")
    if actual in ("", "env"):
        faults.append(f'{url.origin}: redis.url is "env", but {REDIS_VARIABLE} is not set')
        return
    given["redis.url"] = Given(actual, f"environment {REDIS_VARIABLE}")
    faults += faults_of({"redis.url": given["redis.url"]})


def _contradictions(config: Config) -> Iterator[str]:
    """Name what is wrong only together."""
    if config.redis.tls.key is not None and config.redis.tls.cert is None:
        yield f"{config.origins['redis.tls.key']}: redis.tls.key is of no use without redis.tls.cert"
    address = listen_address(config.http.listen)
    if address is not None and not is_loopback(address[0]) and config.http.token_file is None:
        yield (
            f"{config.origins['http.listen']}: http.listen is beyond loopback, so http.token_file is required"
        )
