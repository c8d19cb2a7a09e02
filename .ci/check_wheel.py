# SPDX-License-Identifier: MIT
"""Check that a wheel holds the files of the package, all of them and no other."""

import sys
import zipfile
from pathlib import Path

expected = {
    path.as_posix()
    for path in Path("tsanomaly").rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}
packed = {
    name
    for name in zipfile.ZipFile(sys.argv[1]).namelist()
    if name.startswith("tsanomaly/")
}
if packed != expected or not expected:
    sys.exit(
        f"lacks {sorted(expected - packed)}, should not {sorted(packed - expected)}"
    )
print(f"{Path(sys.argv[1]).name} holds the {len(expected)} files of the package")
