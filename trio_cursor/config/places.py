"""What depends on the machine: where files are unless somebody says otherwise, and what `~` stands for."""

import ntpath
import os
import posixpath
import sys
from collections.abc import Callable, Mapping

from trio_cursor.config.origins import FILE_VARIABLE, OPTION


def expand_home(text: str, home: str, platform: str = sys.platform) -> str:
    """Put the home directory in the place of a leading `~`; `~somebody` stays as it is."""
    separators = ("/", "\\") if platform == "win32" else ("/",)
    if text == "~" or (text.startswith("~") and text[1:2] in separators):
        return home + text[1:]
    return text


def expanded(value: object, expand: Callable[[str], str]) -> object:
    """Expand a path, or each of several; what is neither is left for the checks to refuse."""
    if isinstance(value, str):
        return expand(value)
    if isinstance(value, list | tuple):
        return tuple(expand(item) if isinstance(item, str) else item for item in value)
    return value


def home_directory() -> str:
    return os.path.expanduser("~")  # noqa: PTH111  # the package speaks of paths as text


def default_state_dir(platform: str, environ: Mapping[str, str], home: str) -> str:
    """Tell where the event log lives unless `state.dir` says otherwise."""
    if platform == "win32":
        return ntpath.join(
            environ.get("LOCALAPPDATA") or ntpath.join(home, "AppData", "Local"), "trio-cursor"
        )
    if platform == "darwin":
        return posixpath.join(home, "Library", "Application Support", "trio-cursor")
    return posixpath.join(_xdg(environ, "XDG_STATE_HOME", home, ".local", "state"), "trio-cursor")


def _xdg(environ: Mapping[str, str], name: str, home: str, *default: str) -> str:
    """Read a base directory; a relative one is to be ignored (XDG Base Directory Specification)."""
    given = environ.get(name, "")
    return given if posixpath.isabs(given) else posixpath.join(home, *default)


def config_home(environ: Mapping[str, str], home: str) -> str:
    """Tell where programs have their configuration on Linux."""
    return _xdg(environ, "XDG_CONFIG_HOME", home, ".config")


def config_file(
    path: str | os.PathLike[str] | None, environ: Mapping[str, str], platform: str, home: str
) -> tuple[str, str | None]:
    """Tell which file is the configuration, and who named it: then it must be there.

    That is `option`, `environment TRIO_CURSOR_CONFIG` or, for the platform's usual place, None.
    """
    if path is not None:
        return expand_home(os.fspath(path), home, platform), OPTION
    if environ.get(FILE_VARIABLE):
        return expand_home(environ[FILE_VARIABLE], home, platform), f"environment {FILE_VARIABLE}"
    if platform == "win32":
        roaming = environ.get("APPDATA") or ntpath.join(home, "AppData", "Roaming")
        return ntpath.join(roaming, "trio-cursor", "config.toml"), None
    if platform == "darwin":
        base = posixpath.join(home, "Library", "Application Support")
    else:
        base = config_home(environ, home)
    return posixpath.join(base, "trio-cursor", "config.toml"), None
