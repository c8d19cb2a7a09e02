# SPDX-License-Identifier: MIT
"""Files that are replaced as a whole: others see the old one or the new one."""

import errno
import os
import stat
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

__all__ = ["replace_file", "replacing_together", "resolve_target"]

# Files that wait to be put in their places, while `replacing_together` runs. As a
# context variable and not as a parameter, since `save` lies in between.
_waiting = ContextVar("waiting", default=None)

_UNCHANGED = "All files are as they were before."


def resolve_target(path):
    """The file that is replaced by what is written to a path.

    Parameters
    ----------
    path : str or os.PathLike
        A file, which need not exist, or a link to one.

    Returns
    -------
    target : Path
        The path itself or, of a link, the file that it points to: that file is
        replaced, and not the link.

    Raises
    ------
    OSError
        If links lead in a circle (its `errno` is then ``ELOOP``).
    FileExistsError
        If there is something else than a regular file.
    FileNotFoundError
        If there is no folder for the file.
    """
    target = Path(os.path.realpath(path))
    # No link is left, but where following it has no end.
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
    """Write a file, in one step as others see it.

    Parameters
    ----------
    path : str or os.PathLike
        As for `resolve_target`. A file that is there keeps its permissions.
    data : bytes
        What it is to hold. Within `replacing_together` it does from the end on.

    Raises
    ------
    OSError
        If it cannot be written. What was there is as it was before.
    """
    with replacing_together() as waiting:
        waiting.write(path, data)


@contextmanager
def replacing_together():
    """Replace all files that are written within, at the end, or none of them.

    Until then they are beside those that they replace, under other names. If an error
    or an interruption ends the block, nothing has been replaced.

    Raises
    ------
    OSError
        If a file cannot be put in its place. The message says which files are new, if
        any are.
    """
    if _waiting.get() is not None:  # within another such block, which ends later
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
    """A file to replace, as it was named and where it is, and the one that waits."""

    path: object
    target: Path
    temporary: Path


class _Waiting:
    """New files beside those that they are to replace."""

    def __init__(self):
        self._files = []
        self._n_renamed = 0

    def write(self, path, data):
        """Write a file that waits."""
        target = resolve_target(path)
        file = _File(path, target, target.with_name(f".tsanomaly-{uuid4().hex}.tmp"))
        # First noted, then made: whenever this is interrupted, it is not left behind.
        self._files.append(file)
        try:
            _write(file.temporary, data, like=target)
        except OSError as error:
            raise _failure(path, error, _UNCHANGED) from error

    def put_in_place(self):
        """Rename all files, and have their folders written to the disk."""
        try:
            try:
                self._rename()
            except (KeyboardInterrupt, SystemExit):
                # The rest, too: old and new results do not go together.
                self._rename(is_second_try=True)
                raise
        except OSError as error:
            paths = [file.path for file in self._files]
            new, old = paths[: self._n_renamed], paths[self._n_renamed :]
            state = f"New files: {_listed(new)}; unchanged files: {_listed(old)}."
            raise _failure(old[0], error, state if new else _UNCHANGED) from error
        # The files are there; whether their folders can be made to say so lastingly
        # depends on the operating system.
        for folder in {file.target.parent for file in self._files}:
            with suppress(OSError):
                descriptor = os.open(folder, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def discard(self):
        """Remove what still waits."""
        for file in self._files:
            with suppress(OSError):
                file.temporary.unlink(missing_ok=True)

    def _rename(self, is_second_try=False):
        for file in self._files[self._n_renamed :]:
            # An interruption may have come between renaming and counting.
            if not is_second_try or file.temporary.exists():
                os.replace(file.temporary, file.target)
            self._n_renamed += 1


def _failure(path, error, state):
    """The error to raise, of the kind it was, which follows from the number."""
    cure = "Free disk space, get permission, or choose another folder"
    message = f"{path} cannot be written: {error.strerror}. {state} {cure}"
    return OSError(error.errno, message)


def _listed(paths):
    return ", ".join(map(str, paths))


def _write(temporary, data, like):
    """Write a new file to the disk, with the permissions of another if that exists."""
    try:
        status = os.stat(like)
    except FileNotFoundError:
        status = None
    # While it is written, nobody else has a right to what is to be as secret as the
    # file that it replaces.
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
    """Give a file the permissions of another, and its group where that is allowed."""
    mode = stat.S_IMODE(status.st_mode)
    if hasattr(os, "fchown") and os.fstat(descriptor).st_gid != status.st_gid:
        try:
            os.fchown(descriptor, -1, status.st_gid)
        except OSError:
            mode &= ~stat.S_IRWXG  # members of the own group had none
    os.chmod(descriptor if os.chmod in os.supports_fd else path, mode)
