# SPDX-License-Identifier: MIT
"""Text that is shown as it is, whatever it holds.

Names of columns, files and steps come from files of others, and a terminal obeys some
of the characters in a name: it would change its colours or title, write over what was
shown before, or show the name backwards. Here they become escapes, as in Python.
"""

import shlex

from tsanomaly._wording import visible

__all__ = ["one_line", "quoted", "show", "visible"]


def one_line(text):
    """Text on one line, with escapes for what cannot be seen in it."""
    return visible(" ".join(text.split()))


def quoted(text):
    """Text as it is typed in a shell."""
    if text == visible(text):
        return shlex.quote(text)
    # Tabs and their like cannot be typed as they are.
    text = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{visible(text)}'"


def show(text, stream):
    """Print lines of text, with escapes for what cannot be seen or encoded.

    Parameters
    ----------
    text : str
        The lines.
    stream : text stream
        Where they go, at once.
    """
    text = "\n".join(map(visible, text.split("\n")))
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    print(text, file=stream, flush=True)
