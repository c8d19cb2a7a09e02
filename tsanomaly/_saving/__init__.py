# SPDX-License-Identifier: MIT
"""Model files, which contain no code and are read by a closed reader."""

from tsanomaly._saving._archive import ModelFileError
from tsanomaly._saving._describe import describe
from tsanomaly._saving._persistence import (
    from_bytes,
    load,
    load_described,
    save,
    save_prepared,
    to_bytes,
)

__all__ = [
    "ModelFileError",
    "describe",
    "from_bytes",
    "load",
    "load_described",
    "save",
    "save_prepared",
    "to_bytes",
]
