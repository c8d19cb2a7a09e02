# SPDX-License-Identifier: MIT
"""The end of a command: its two results."""

from tsanomaly._cli._files import plain
from tsanomaly._cli._text import visible

__all__ = ["align", "finish"]


def finish(result, text, results):
    """The two results of a command, with the files that it wrote."""
    written = [str(file) for file in results.files]
    lines = "\n".join(f"  {visible(file)}" for file in written)
    return {**plain(result), "files": written}, f"{text}\n\nwritten:\n{lines}"


def align(result):
    """Numbers by name, one below the other."""
    width = max(map(len, result))
    return "\n".join(
        f"{name:{width}}  {'undefined' if value is None else f'{value:.6g}'}"
        for name, value in result.items()
    )
