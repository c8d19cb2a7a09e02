# SPDX-License-Identifier: MIT
"""Replace files atomically: other processes see either the old or the new file."""

import errno
import os
import stat
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

__all__ = ["replace_file", "replacing_together", "resolve_target"]

# New files that wait to be renamed while `replacing_together` runs. This is a context
# variable, not a parameter, because `save` is called in between.
_waiting = ContextVar("waiting", default=None)

_UNCHANGED = "All files are as they were before."


def resolve_target(path):
    """Return the file that writing to a path would replace.

    Parameters
    ----------
    path : str or os.PathLike
        A file, which need not exist, or a link to one.

    Returns
    -------
    target : Path
        The path itself or, for a link, the file to which it points. The link is kept.

    Raises
    ------
    OSError
        If links lead in a circle (its `errno` is then ``ELOOP``).
    FileExistsError
        If the path exists and is not a regular file.
    FileNotFoundError
        If the folder of the file does not exist.
    """
    target = Path(os.path.realpath(path))
    # A resolved path contains links only if they lead in a circle.
    if any(part.is_symlink() for part in (target, *target.parents)):
        raise OSError(
            errno.ELOOP,
            f"{path} cannot be written: its symbolic links form a circle. Remove the "
            "link, "
            "or pass another name",
        )
    if target.exists() and not target.is_file():
        raise FileExistsError(
            f"{path} exists and is not a regular file. Pass the name of a file."
        )
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"There is no folder {target.parent} to write {target.name} into. Create "
            "it first."
        )
    return target


def replace_file(path, data):
    """Write a file atomically.

    Parameters
    ----------
    path : str or os.PathLike
        As for `resolve_target`. An existing file keeps its permissions.
    data : bytes
        New contents of the file. Within `replacing_together`, the file is replaced at
        the end of the block.

    Raises
    ------
    OSError
        If the file cannot be written. An existing file is unchanged.
    """
    with replacing_together() as waiting:
        waiting.write(path, data)


@contextmanager
def replacing_together():
    """Replace all files written in this block at its end, or none of them.

    Until then, temporary files are next to the files that they will replace. If an
    error or an interruption ends the block, no file is replaced.

    Raises
    ------
    OSError
        If a file cannot be renamed. The message lists the files that are already
        replaced.
    """
    if _waiting.get() is not None:  # the outer block replaces the files
        yield _waiting.get()
        return
    waiting = _Waiting()
    token = _waiting.set(waiting)
    try:
        yield waiting
        waiting.put_in_place()
    finally:
        _waiting.reset(token)
        waiting.discard()


class _File(NamedTuple):
    """A file to replace: the path as given, the resolved path, the temporary file."""

    path: object
    target: Path
    temporary: Path


class _Waiting:
    """Temporary files next to the files that they will replace."""

    def __init__(self):
        self._files = []
        self._n_renamed = 0

    def write(self, path, data):
        """Write a temporary file."""
        target = resolve_target(path)
        file = _File(path, target, target.with_name(f".tsanomaly-{uuid4().hex}.tmp"))
        # Recorded before it is created, so that an interruption never leaves it behind.
        self._files.append(file)
        try:
            _write(file.temporary, data, like=target)
        except OSError as error:
            raise _failure(path, error, _UNCHANGED) from error

    def put_in_place(self):
        """Rename all files, and flush their folders to disk."""
        try:
            try:
                self._rename()
            except (KeyboardInterrupt, SystemExit):
                # Rename the rest as well, so as not to mix old and new results.
                self._rename(is_second_try=True)
                raise
        except OSError as error:
            paths = [file.path for file in self._files]
            new, old = paths[: self._n_renamed], paths[self._n_renamed :]
            state = f"New files: {_listed(new)}; unchanged files: {_listed(old)}."
            raise _failure(old[0], error, state if new else _UNCHANGED) from error
        # The files are replaced. Whether folders can be flushed depends on the
        # operating system.
        for folder in {file.target.parent for file in self._files}:
            with suppress(OSError):
                descriptor = os.open(folder, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def discard(self):
        """Remove the temporary files that are left."""
        for file in self._files:
            with suppress(OSError):
                file.temporary.unlink(missing_ok=True)

    def _rename(self, is_second_try=False):
        for file in self._files[self._n_renamed :]:
            # The interruption may have come after renaming and before counting.
            if not is_second_try or file.temporary.exists():
                os.replace(file.temporary, file.target)
            self._n_renamed += 1


def _failure(path, error, state):
    """Make an error with the same number, and therefore the same class."""
    cure = "Free disk space, get permission, or choose another folder"
    message = f"{path} cannot be written: {error.strerror}. {state} {cure}"
    return OSError(error.errno, message)


def _listed(paths):
    return ", ".join(map(str, paths))


def _write(temporary, data, like):
    """Write a new file to disk, with the permissions of another one if it exists."""
    try:
        status = os.stat(like)
    except FileNotFoundError:
        status = None
    # Only the owner has access until the file has the permissions of the file that it
    # replaces.
    mode = 0o666 if status is None else stat.S_IMODE(status.st_mode) & 0o700
    with open(
        temporary, "xb", opener=lambda path, flags: os.open(path, flags, mode)
    ) as file:
        file.write(data)
        file.flush()
        if status is not None:
            _set_permissions(file.fileno(), temporary, status)
        os.fsync(file.fileno())


def _set_permissions(descriptor, path, status):
    """Give a file the permissions of another one, and its group if allowed."""
    mode = stat.S_IMODE(status.st_mode)
    if hasattr(os, "fchown") and os.fstat(descriptor).st_gid != status.st_gid:
        try:
            os.fchown(descriptor, -1, status.st_gid)
        except OSError:
            mode &= ~stat.S_IRWXG  # another group than before
    os.chmod(descriptor if os.chmod in os.supports_fd else path, mode)
