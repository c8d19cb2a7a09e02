# SPDX-License-Identifier: MIT
"""Model files: written without code, and read from a closed list."""

from tsanomaly._saving._archive import ModelFileError
from tsanomaly._saving._describe import describe
from tsanomaly._saving._persistence import (
    from_bytes,
    load,
    load_described,
    save,
    to_bytes,
)

__all__ = [
    "ModelFileError",
    "describe",
    "from_bytes",
    "load",
    "load_described",
    "save",
    "to_bytes",
]
