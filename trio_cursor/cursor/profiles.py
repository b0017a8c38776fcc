"""Where Cursor lives: its `User` directories, the workspaces in them, and which folder each one is.

Nothing here opens a database. Everything blocks on somebody else's file system, so it is called in a
worker thread. Sources: the table "Where files live" of Cursor's storage facts, and VS Code's
`base/common/uri.ts` and `platform/workspaces`, of which Cursor is a fork.
"""

# Paths are text, as in `records`, and ten thousand of them a second make no objects.
# ruff: noqa: PTH111, PTH112, PTH114, PTH118, PTH120, PTH123, PTH208

from __future__ import annotations

import errno
import fnmatch
import hashlib
import itertools
import json
import ntpath
import os
import posixpath
import re
import stat
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import attrs

from trio_cursor.config import expand_home
from trio_cursor.records import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

# -- `User` directories --------------------------------------------------------------------------------

#: Directory names of the editions that exist. Nightly has been probed by many readers, Insiders never seen.
EDITIONS = ("Cursor", "Cursor Nightly")

#: WSL mounts drive X: as /mnt/x. Other mounts may be network shares that hang; Windows has no more letters.
_DRIVE = re.compile("[a-z]")
_MOST_WINDOWS_USERS = 100


@attrs.frozen
class Candidate:
    """A place where Cursor's data may be. Whether anything is there is for the listing to say."""

    #: The directory that would have `workspaceStorage/` and `globalStorage/` in it.
    user_dir: str
    #: One of `EDITIONS`.
    edition: str
    #: Cursor runs on Windows and we in WSL: reading it may give an intermittent I/O error.
    through_wsl: bool = False


def is_wsl(environ: Mapping[str, str], release: str) -> bool:
    """Tell whether this Linux is a guest of Windows; `release` as `os.uname().release`.

    The variable is missing in services and after `sudo`, the kernel's name is not.
    """
    return "WSL_DISTRO_NAME" in environ or "microsoft" in release.lower()


def candidate_user_dirs(
    platform: str,
    environ: Mapping[str, str],
    home: str,
    *,
    wsl: bool = False,
    mounts: str | None = "/mnt",
) -> list[Candidate]:
    """List every `User` directory that Cursor may have for this user, existing or not.

    `platform` as `sys.platform`. On Linux with `wsl` (or `WSL_DISTRO_NAME` in `environ`) also those of
    every Windows user under `mounts`: there the window is a Windows process, and its databases are in
    the Windows profile. Only there is anything looked at, so without `mounts` nothing can hang.
    """
    if platform == "win32":
        roaming = environ.get("APPDATA") or ntpath.join(home, "AppData", "Roaming")
        return [Candidate(ntpath.join(roaming, edition, "User"), edition) for edition in EDITIONS]
    if platform == "darwin":
        base = posixpath.join(home, "Library", "Application Support")
        return [Candidate(posixpath.join(base, edition, "User"), edition) for edition in EDITIONS]
    configured = environ.get("XDG_CONFIG_HOME", "")
    # A relative one is to be ignored (XDG Base Directory Specification).
    base = configured if posixpath.isabs(configured) else posixpath.join(home, ".config")
    candidates = [Candidate(posixpath.join(base, edition, "User"), edition) for edition in EDITIONS]
    if mounts is not None and (wsl or "WSL_DISTRO_NAME" in environ):
        candidates += [
            Candidate(posixpath.join(roaming, edition, "User"), edition, through_wsl=True)
            for roaming in _windows_profiles(mounts)
            for edition in EDITIONS
        ]
    return candidates


def _windows_profiles(mounts: str) -> Iterator[str]:
    for drive in _names(mounts):
        if not _DRIVE.fullmatch(drive):
            continue
        users = posixpath.join(mounts, drive, "Users")
        for user in _names(users)[:_MOST_WINDOWS_USERS]:
            roaming = posixpath.join(users, user, "AppData", "Roaming")
            # Other users' profiles refuse us, and `All Users` is a link to something else.
            if os.path.isdir(roaming) and not os.path.islink(posixpath.join(users, user)):
                yield roaming


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def user_dirs(dirs: Iterable[str]) -> tuple[str, ...]:
    """Turn configured directories into `User` directories under their real names, each once.

    Accepted are a `User` directory and the root given to Cursor as `--user-data-dir`, which has `User/`
    in it. One that does not exist is kept, since it may appear: ask again then.
    """
    found: dict[str, None] = {}
    for directory in dirs:
        inner = os.path.join(directory, "User")
        is_root = os.path.isdir(inner) and not os.path.isdir(os.path.join(directory, "workspaceStorage"))
        found[os.path.realpath(inner if is_root else directory)] = None
    return tuple(found)


# -- URIs ----------------------------------------------------------------------------------------------

# Of VS Code's URI: scheme, authority, path. Lenient on purpose: `%2B` may stand in the authority.
_URI = re.compile(r"(?:([^:/?#]+?):)?(?://([^/?#]*))?([^?#]*)")
_ESCAPES = re.compile(r"(?:%[0-9A-Za-z]{2})+")
_SURROGATES = re.compile("[\ud800-\udfff]")

#: A folder's URI in UTF-8, each byte escaped, of the longest path that Windows knows (32,767 UTF-16 units).
_LONGEST_URI = 3 * 3 * 32_767


class _Uri(NamedTuple):
    """A URI's decoded parts; query and fragment play no role for a folder."""

    scheme: str
    authority: str
    path: str


def _parse_uri(text: str) -> _Uri:
    """Split a URI as VS Code's `URI.parse` does; there is no text that it refuses."""
    found = _URI.match(text)
    scheme, authority, path = found.groups("") if found else ("", "", text)
    scheme, path = scheme or "file", _decoded(path)
    if scheme == "file" and not path.startswith("/"):
        path = f"/{path}"
    return _Uri(scheme, _decoded(authority), path)


def _decoded(text: str) -> str:
    """Decode percent escapes as VS Code does: what is not UTF-8 stays as it is written."""

    def decode(run: re.Match[str]) -> str:
        escapes = re.findall("%..", run[0])
        kept = ""
        while escapes:
            try:
                return kept + bytes(int(escape[1:], 16) for escape in escapes).decode()
            except ValueError:  # of int and of decode
                kept += escapes.pop(0)
        return kept

    return _ESCAPES.sub(decode, text)


def fs_path(uri: str) -> str:
    r"""Give a URI's path as VS Code's `URI.fsPath` does on the platform that the URI was written on.

    Which one that was, its shape tells: a drive letter or a server's name (`file://server/share`) is
    Windows, with a lower-case drive letter and backslashes; so `\\wsl.localhost\Ubuntu\home` for a
    folder of WSL that Windows opened. Of a URI that is no `file:` the decoded path.
    """
    scheme, authority, path = _parse_uri(uri)
    if scheme != "file":
        return path
    if authority and len(path) > 1:
        return f"//{authority}{path}".replace("/", "\\")
    if re.match("/[A-Za-z]:", path):
        return (path[1].lower() + path[2:]).replace("/", "\\")
    return path


def workspace_hash(text: str) -> str:
    """Hash a folder's path, or a remote folder's URI: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# -- workspace.json ------------------------------------------------------------------------------------

_FOLDER_FILE = "workspace.json"
_DATABASE_FILE = "state.vscdb"

#: The one problem that is none: a window without a folder has no such file.
_NO_FOLDER_FILE = "no workspace.json: a window without a folder, or not written yet"

#: Real ones have about a hundred bytes.
_LARGEST_FOLDER_FILE_BYTES = 1 << 20

#: A local or remote folder; a `.code-workspace` file; the same in older versions of VS Code.
_FOLDER_KEYS = ("folder", "workspace", "configuration")

# O_NONBLOCK: opening a FIFO must not wait for a writer. Not every platform has every flag.
_READ = os.O_RDONLY | sum(
    getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT")
)


@attrs.frozen
class Folder:
    """What `workspace.json` says: which folder (or `.code-workspace` file) a workspace is."""

    #: Of a local one its `fsPath`, of a remote one the path on that machine.
    path: str | None = None
    #: As it stands in the file.
    uri: str | None = None
    #: Of the path, or of the URI if it is remote; see `workspace_hash`.
    hash: str | None = None
    #: Why nothing is known, in words.
    problem: str | None = None


def read_workspace_json(path: str) -> Folder:
    """Read a `workspace.json`, which may be anything: missing, half written, hostile.

    Never raises and never waits, except for the file system itself.
    """
    try:
        # Before opening: to open a device can do things.
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return Folder(problem="workspace.json is not a regular file")
        with open(os.open(path, _READ), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return Folder(problem="workspace.json is not a regular file")
            content = file.read(_LARGEST_FOLDER_FILE_BYTES + 1)
    except FileNotFoundError:
        return Folder(problem=_NO_FOLDER_FILE)
    except OSError as error:
        return Folder(problem=f"workspace.json cannot be read ({error.strerror})")
    if len(content) > _LARGEST_FOLDER_FILE_BYTES:
        return Folder(problem="workspace.json is larger than 1 MiB")
    if not content.strip():
        return Folder(problem="workspace.json is empty")
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return Folder(problem="workspace.json is not JSON")
    if not isinstance(document, dict):
        return Folder(problem="workspace.json is not an object")
    return _folder(next((document[key] for key in _FOLDER_KEYS if document.get(key) is not None), None))


def _folder(uri: object) -> Folder:
    if uri is None:
        return Folder(problem="workspace.json names no folder")
    if not isinstance(uri, str) or not uri:
        return Folder(problem="workspace.json names a folder that is no URI")
    if len(uri) > _LONGEST_URI:
        return Folder(problem="workspace.json names a folder with too long a name")
    uri = _SURROGATES.sub("\ufffd", uri)  # JSON can hold a lone surrogate, which no encoder takes
    path = fs_path(uri)
    return Folder(path, uri, workspace_hash(path if _parse_uri(uri).scheme == "file" else uri))


# -- Workspaces ----------------------------------------------------------------------------------------

#: (st_dev, st_ino) of a database.
_Identity: TypeAlias = tuple[int, int]
#: What changes when a file or directory does; of one that cannot be looked at, the error's number.
_Signature: TypeAlias = tuple[int, ...]

#: More than anybody has (several hundred are normal): a bound against hostile directories.
_MOST_WORKSPACES = 50_000


@attrs.frozen
class Note:
    """Something that was passed over."""

    path: str
    #: In words.
    reason: str


@attrs.frozen
class Listing:
    """What a `User` directory has."""

    user_dir: str
    #: The global database first, then by id; each whether or not its `state.vscdb` is there yet.
    workspaces: tuple[Workspace, ...] = ()
    notes: tuple[Note, ...] = ()


def list_workspaces(user_dir: str) -> Listing:
    """List the workspaces of one `User` directory, once; to do it again and again, keep a `Lister`.

    Never raises: what cannot be read is a note of the listing or the problem of its workspace.
    """
    return Lister((user_dir,)).list()[0]


@attrs.define
class Lister:
    """Lists the same directories again and again, and looks only at what can have changed.

    Directories came or went if `workspaceStorage` has another modification time; between such changes
    only a `workspace.json` that gave nothing is looked at again. As long as nothing changed, the very
    same `Listing` objects are returned, so that `is` tells. For one thread at a time.
    """

    #: As configured or found; made `User` directories at each listing, since one may appear later.
    dirs: Sequence[str]
    #: A full look each so many listings, for file systems whose times are too coarse or wrong.
    full_every: int = 60
    _profiles: dict[str, _Profile] = attrs.field(factory=dict, init=False)
    _listings: dict[str, Listing] = attrs.field(factory=dict, init=False)

    def list(self) -> tuple[Listing, ...]:
        """List the workspaces of every directory, each database once.

        Never raises: what cannot be read is a note of its listing or the problem of its workspace.
        """
        found = user_dirs(self.dirs)
        self._profiles = {user_dir: self._profiles.get(user_dir) or _Profile(user_dir) for user_dir in found}
        # Added up, since `any` would stop at the first that changed.
        changes = sum(profile.look(self.full_every) for profile in self._profiles.values())
        if changes or list(self._listings) != list(found):
            fresh = _without_doubles(self._profiles.values())
            self._listings = {
                listing.user_dir: old if (old := self._listings.get(listing.user_dir)) == listing else listing
                for listing in fresh
            }
        return tuple(self._listings.values())


def _without_doubles(profiles: Iterable[_Profile]) -> Iterator[Listing]:
    """Make the listings, in which a database that is reached twice (a hard link, a mount) stands once."""
    first: dict[_Identity, str] = {}
    for profile in profiles:
        workspaces = []
        notes = list(profile.notes)
        for workspace, identity in profile.databases():
            database = workspace.database
            if identity is not None and first.setdefault(identity, database) != database:
                notes.append(Note(database, f"the same file as {first[identity]}, where it is read"))
            else:
                workspaces.append(workspace)
        yield Listing(profile.user_dir, tuple(workspaces), tuple(notes))


@attrs.frozen
class _Known:
    """A workspace, and what its `workspace.json` looked like before it was read."""

    workspace: Workspace
    signature: _Signature
    #: None as long as there is no database.
    identity: _Identity | None


@attrs.define
class _Profile:
    """What is remembered of one `User` directory."""

    user_dir: str
    notes: tuple[Note, ...] = attrs.field(default=(), init=False)
    #: The global database.
    _shared: _Known | None = attrs.field(default=None, init=False)
    _known: dict[str, _Known] = attrs.field(factory=dict, init=False)
    _signature: tuple[_Signature, ...] | None = attrs.field(default=None, init=False)
    #: How often in a row nothing was seen to change.
    _unchanged: int = attrs.field(default=0, init=False)

    def databases(self) -> Iterator[tuple[Workspace, _Identity | None]]:
        for known in (*([self._shared] if self._shared else ()), *self._known.values()):
            yield known.workspace, known.identity

    def look(self, full_every: int) -> bool:
        """Bring what is remembered up to date; tell whether anything changed."""
        signature = (
            # Whether they are there, and the same; what happens inside these two is no matter of ours.
            _signature(self.user_dir)[:1],
            _signature(os.path.join(self.user_dir, "globalStorage"))[:1],
            _signature(os.path.join(self.user_dir, "workspaceStorage")),
        )
        self._unchanged = self._unchanged + 1 if signature == self._signature else 0
        self._signature = signature
        # Twice after a change: the next one may fall into the same tick of the file system's clock.
        if self._unchanged < 2 or self._unchanged % full_every == 0:  # noqa: PLR2004
            return self._look_at_all()
        return self._look_at_problems()

    def _look_at_all(self) -> bool:
        before = (self.notes, self._shared, self._known)
        notes: list[Note] = []
        try:
            self.user_dir.encode()
        except UnicodeEncodeError:
            # Nothing that takes text (a database, a stream, JSON) could say where it is.
            self.notes = (Note(self.user_dir, "its name is not valid Unicode"),)
            return self.notes != before[0]
        self._look_at_global(notes)
        self._look_at_storage(notes)
        self.notes = tuple(notes)
        return (self.notes, self._shared, self._known) != before

    def _look_at_global(self, notes: list[Note]) -> None:
        self._shared = None
        directory = os.path.join(self.user_dir, "globalStorage")
        if not os.path.isdir(self.user_dir):
            notes.append(Note(self.user_dir, "does not exist (yet)"))
        elif os.path.islink(directory):
            notes.append(Note(directory, "a symbolic link, which is not followed"))
        else:
            database = os.path.join(directory, _DATABASE_FILE)
            self._shared = _Known(Workspace(database, self.user_dir, None), (), _identity(database))

    def _look_at_storage(self, notes: list[Note]) -> None:
        storage = os.path.join(self.user_dir, "workspaceStorage")
        if os.path.islink(storage):
            notes.append(Note(storage, "a symbolic link, which is not followed"))
            self._known = {}
            return
        try:
            with os.scandir(storage) as entries:
                found = list(itertools.islice(entries, _MOST_WORKSPACES + 1))
        except (FileNotFoundError, NotADirectoryError):
            notes.append(Note(storage, "no such directory (yet)"))
            self._known = {}
            return
        except OSError as error:
            # Through WSL an error may pass; what was known stays, and the next look is a full one.
            notes.append(Note(storage, f"cannot be listed ({error.strerror})"))
            self._signature = None
            return
        if len(found) > _MOST_WORKSPACES:
            notes.append(
                Note(storage, f"has more than {_MOST_WORKSPACES:,} entries; the others are not read")
            )
        known: dict[str, _Known] = {}
        for entry in sorted(found[:_MOST_WORKSPACES], key=lambda entry: entry.name):
            reason = _why_not(entry)
            if reason is not None:
                notes.append(Note(entry.path, reason))
            elif (one := self._examine(entry.name)) is not None:
                known[entry.name] = one
        self._known = known

    def _look_at_problems(self) -> bool:
        changed = False
        for name, known in self._known.items():
            if known.workspace.problem is None:
                continue
            folder_file = os.path.join(os.path.dirname(known.workspace.database), _FOLDER_FILE)
            if _signature(folder_file) == known.signature:
                continue
            one = self._examine(name)
            # One that has vanished goes with the next change of the storage, which its going is.
            if one is not None:
                self._known[name] = one
                changed = True
        return changed

    def _examine(self, name: str) -> _Known | None:
        """Find out which folder a workspace is; None if its directory is gone."""
        directory = os.path.join(self.user_dir, "workspaceStorage", name)
        folder_file = os.path.join(directory, _FOLDER_FILE)
        database = os.path.join(directory, _DATABASE_FILE)
        # Before reading: a change in between is then seen the next time.
        signature = _signature(folder_file)
        if signature == (errno.ENOENT,) and not os.path.isdir(directory):
            return None
        identity = _identity(database)
        known = self._known.get(name)
        if known is not None and known.signature == signature:
            return known if known.identity == identity else attrs.evolve(known, identity=identity)
        folder = read_workspace_json(folder_file)
        workspace = Workspace(
            database, self.user_dir, name, folder.path, folder.uri, folder.hash, folder.problem
        )
        return _Known(workspace, signature, identity)


def _why_not(entry: os.DirEntry[str]) -> str | None:
    """Tell why an entry of `workspaceStorage` is no workspace; None if it is one."""
    if not entry.name.isprintable():  # lone surrogates, that is bytes that are not UTF-8, are not either
        return "has a name that Cursor does not give"
    try:
        # A junction is the like of a symbolic link on Windows; Python knows them from 3.12 on.
        if entry.is_symlink() or getattr(entry, "is_junction", bool)():
            return "a symbolic link, which is not followed"
        return None if entry.is_dir(follow_symlinks=False) else "not a directory"
    except OSError as error:  # where the directory itself does not tell the kind of its entries
        return f"cannot be looked at ({error.strerror})"


def _signature(path: str) -> _Signature:
    try:
        found = os.lstat(path)
    except OSError as error:
        return (error.errno or -1,)
    # The change time too: a file that becomes readable has a new one, and no other.
    return (found.st_ino, found.st_dev, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _identity(database: str) -> _Identity | None:
    try:
        found = os.lstat(database)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


# -- Which workspaces ----------------------------------------------------------------------------------


def hides_its_folder(workspace: Workspace) -> bool:
    """Tell whether it has a `workspace.json` that gives nothing: a folder, but nobody knows which."""
    return workspace.problem not in (None, _NO_FOLDER_FILE)


_WINDOWS_PATH = re.compile(r"[A-Za-z]:|\\\\")


def included(
    workspace: Workspace, include: Sequence[str], exclude: Sequence[str], *, home: str | None = None
) -> bool:
    """Tell whether a workspace may be opened: `exclude` goes before `include`, no `include` is all.

    The globs (`*` crosses `/`, as in `fnmatch`; `**` is allowed; a leading `~` is `home`) are held
    against the path, the URI and the URI without its escapes. One that names a folder covers what is
    below it. Windows paths are compared without regard to case, with either slash. A workspace of
    which no folder is known is in no `include`. If its `workspace.json` is there and cannot be
    understood, it is in every `exclude`: it may be the very one that must not be read. The global
    database, which belongs to no folder, is always included: what it holds is judged by the workspace
    that it is attributed to.
    """
    if workspace.is_global or not (include or exclude):
        return True
    if exclude and hides_its_folder(workspace):
        return False
    windows = bool(_WINDOWS_PATH.match(workspace.path or ""))
    home = os.path.expanduser("~") if home is None else home
    names = [_comparable(name, windows=windows) for name in _names_of(workspace)]

    def named_by(globs: Sequence[str]) -> bool:
        patterns = [_pattern(_comparable(expand_home(glob, home), windows=windows)) for glob in globs]
        return any(pattern.fullmatch(name) for pattern in patterns for name in names)

    return not named_by(exclude) and (not include or named_by(include))


def _names_of(workspace: Workspace) -> Iterator[str]:
    if workspace.path is not None:
        yield workspace.path
    if workspace.uri is not None:
        yield workspace.uri
        yield _decoded(workspace.uri)


def _comparable(text: str, *, windows: bool) -> str:
    # macOS writes an accent as a letter of its own, people's keyboards do not.
    text = unicodedata.normalize("NFC", text)
    return text.replace("\\", "/").lower() if windows else text


@lru_cache(maxsize=1_024)
def _pattern(glob: str) -> re.Pattern[str]:
    """Compile a glob that also covers what is below the folder that it names."""
    glob = re.sub(r"(?:/\*\*|/)+$", "", glob)
    # `translate` ends its pattern with \Z (\z from 3.14 on), which would forbid to go on.
    pieces = [fnmatch.translate(piece)[:-2] for piece in glob.split("/**/")]
    return re.compile("/(?:.*/)?".join(pieces) + "(?:/.*)?", re.DOTALL)
