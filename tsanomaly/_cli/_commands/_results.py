# SPDX-License-Identifier: MIT
"""The two results of a command."""

from tsanomaly._cli._files import plain
from tsanomaly._cli._text import visible

__all__ = ["align", "finish"]


def finish(result, text, results):
    """Return both results, with the files that the command wrote."""
    written = [str(file) for file in results.files]
    lines = "\n".join(f"  {visible(file)}" for file in written)
    return {**plain(result), "files": written}, f"{text}\n\nwritten:\n{lines}"


def align(result):
    """Format named numbers, one per line."""
    width = max(map(len, result))
    return "\n".join(
        f"{name:{width}}  {'undefined' if value is None else f'{value:.6g}'}"
        for name, value in result.items()
    )
