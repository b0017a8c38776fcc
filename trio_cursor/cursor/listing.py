"""Which workspaces a `User` directory has; asked again and again, and looked at only as far as needed.

Nothing here opens a database. Everything blocks on somebody else's file system, so it is called in a
worker thread.
"""

# Paths are text, as in `records`, and ten thousand of them a second make no objects.
# ruff: noqa: PTH112, PTH114, PTH118, PTH120

from __future__ import annotations

import errno
import itertools
import os
import stat
from typing import TYPE_CHECKING, TypeAlias

import attrs

from trio_cursor.cursor.user_dirs import user_dirs
from trio_cursor.cursor.workspace_json import FILE_NAME, read_workspace_json
from trio_cursor.records import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: The reason of the note on a `User` directory without `workspaceStorage`.
NO_STORAGE = "no such directory (yet)"

_DATABASE_FILE = "state.vscdb"

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
    #: It could not be looked at, so that something of Cursor's may be missed.
    is_trouble: bool = False


@attrs.frozen
class Listing:
    """What a `User` directory has."""

    user_dir: str
    #: The global database first, then by id; each whether or not its `state.vscdb` is there yet.
    workspaces: tuple[Workspace, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def storage(self) -> str:
        """Where directories of workspaces come and go, whether or not it is there yet."""
        return os.path.join(self.user_dir, "workspaceStorage")


def list_workspaces(user_dir: str) -> Listing:
    """List the workspaces of one `User` directory, once; to do it again and again, keep a `Lister`.

    Never raises: what cannot be read is a note of the listing or the problem of its workspace.
    """
    return Lister((user_dir,)).list()[0]


@attrs.define
class Lister:
    """Lists the same directories again and again, and looks only at what can have changed.

    Directories came or went if `workspaceStorage` has another modification time; between such changes
    only a `workspace.json` that gave nothing, and databases that are reached twice, are looked at again.
    As long as nothing changed, the very same `Listing` objects are returned, so that `is` tells. For one
    thread at a time.
    """

    #: As configured or found; made `User` directories at each listing, since one may appear later.
    dirs: Sequence[str]
    #: A full look each so many listings, for file systems whose times are too coarse or wrong.
    full_every: int = 60
    _profiles: dict[str, _Profile] = attrs.field(factory=dict, init=False)
    _listings: dict[str, Listing] = attrs.field(factory=dict, init=False)
    #: Databases that were the same file as another one.
    _doubled: dict[str, _Identity] = attrs.field(factory=dict, init=False)

    def list(self) -> tuple[Listing, ...]:
        """List the workspaces of every directory, each database once.

        Never raises: what cannot be read is a note of its listing or the problem of its workspace.
        """
        found = user_dirs(self.dirs)
        self._profiles = {user_dir: self._profiles.get(user_dir) or _Profile(user_dir) for user_dir in found}
        # Nothing else would tell that the file inside a directory is another one now.
        is_parted = any(_identity(database) != identity for database, identity in self._doubled.items())
        full_every = 1 if is_parted else self.full_every
        # Added up, since `any` would stop at the first that changed.
        changes = sum(profile.look(full_every) for profile in self._profiles.values())
        if changes or list(self._listings) != list(found):
            self._doubled = _doubled(self._profiles.values())
            fresh = _without_doubles(self._profiles.values())
            self._listings = {
                listing.user_dir: old if (old := self._listings.get(listing.user_dir)) == listing else listing
                for listing in fresh
            }
        return tuple(self._listings.values())


def _doubled(profiles: Iterable[_Profile]) -> dict[str, _Identity]:
    """Databases that are reached twice, by every way to them."""
    ways: dict[_Identity, list[str]] = {}
    for workspace, identity in (found for profile in profiles for found in profile.databases()):
        if identity is not None:
            ways.setdefault(identity, []).append(workspace.database)
    return {way: identity for identity, found in ways.items() if len(found) > 1 for way in found}


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
            notes.append(Note(storage, NO_STORAGE))
            self._known = {}
            return
        except OSError as error:
            # Through WSL an error may pass; what was known stays, and the next look is a full one.
            notes.append(Note(storage, f"cannot be listed ({error.strerror})", is_trouble=True))
            self._signature = None
            return
        if len(found) > _MOST_WORKSPACES:
            notes.append(
                Note(storage, f"has more than {_MOST_WORKSPACES:,} entries; the others are not read")
            )
        known: dict[str, _Known] = {}
        for entry in sorted(found[:_MOST_WORKSPACES], key=lambda entry: entry.name):
            if (note := _why_not(entry)) is not None:
                notes.append(note)
            elif (one := self._examine(entry.name)) is not None:
                known[entry.name] = one
        self._known = known

    def _look_at_problems(self) -> bool:
        changed = False
        for name, known in self._known.items():
            if known.workspace.problem is None:
                continue
            folder_file = os.path.join(os.path.dirname(known.workspace.database), FILE_NAME)
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
        folder_file = os.path.join(directory, FILE_NAME)
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


def _why_not(entry: os.DirEntry[str]) -> Note | None:
    """Note why an entry of `workspaceStorage` is no workspace; None if it is one."""
    if not entry.name.isprintable():  # lone surrogates, that is bytes that are not UTF-8, are not either
        return Note(entry.path, "has a name that Cursor does not give")
    try:
        # A junction is the like of a symbolic link on Windows; Python knows them from 3.12 on.
        if entry.is_symlink() or getattr(entry, "is_junction", bool)():
            return Note(entry.path, "a symbolic link, which is not followed")
        return None if entry.is_dir(follow_symlinks=False) else Note(entry.path, "not a directory")
    except OSError as error:  # where the directory itself does not tell the kind of its entries
        return Note(entry.path, f"cannot be looked at ({error.strerror})", is_trouble=True)


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
    # Some shares and disks number nothing on Windows: there all files would be the same one.
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) and found.st_ino else None
