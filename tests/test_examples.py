# SPDX-License-Identifier: MIT
"""Every example runs to its end."""

import runpy
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("plot_*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(path, capsys):
    runpy.run_path(str(path))
    plt.close("all")
    assert capsys.readouterr().out
