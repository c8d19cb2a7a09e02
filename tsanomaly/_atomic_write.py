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
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    # The file is there; whether its folder can be made to say so lastingly depends on
    # the operating system.
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
