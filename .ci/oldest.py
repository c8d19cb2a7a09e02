# SPDX-License-Identifier: MIT
"""Print the requirements with every lower bound turned into a pin."""

import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
print(*(requirement.replace(">=", "==") for requirement in project["dependencies"]))
# What Dask reads Parquet with: newer ones need NumPy 2, but do not tell pip so.
print("pyarrow==16.0")
# What matplotlib writes mathematics with: newer ones warn of the names that it uses.
print("pyparsing==3.1")
