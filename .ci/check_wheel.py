# SPDX-License-Identifier: MIT
"""Check that a wheel holds every module and data file of the package."""

import subprocess
import sys
import zipfile

tracked = subprocess.run(
    ["git", "ls-files", "tsanomaly"], capture_output=True, text=True, check=True
).stdout.split()
packed = set(zipfile.ZipFile(sys.argv[1]).namelist())
missing = sorted(set(tracked) - packed)
if missing or not tracked:
    sys.exit(f"the wheel lacks {missing}")
print(f"{sys.argv[1].rsplit('/', 1)[-1]} holds all {len(tracked)} files of the package")
