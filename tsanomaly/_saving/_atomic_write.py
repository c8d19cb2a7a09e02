# SPDX-License-Identifier: MIT
import os
import shutil
from contextlib import suppress
from uuid import uuid4

__all__ = ["replace_file"]


def replace_file(path, data):
    """Write a file, in one step as others see it."""
    temporary = path.with_name(f".tsanomaly-{uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        # Of the kind it was, which follows from the number.
        raise OSError(
            error.errno,
            f"{path} cannot be written, and is as it was before: {error.strerror}. "
            "Make room, ask for permission, or choose another folder",
        ) from error
    # The file is there; whether its folder can be made to say so lastingly depends on
    # the operating system.
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
