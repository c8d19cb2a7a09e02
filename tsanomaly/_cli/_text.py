# SPDX-License-Identifier: MIT
"""Print text safely, whatever it contains.

Names of columns, files and steps may come from untrusted files. Control characters in a
name could change the colours or title of a terminal, overwrite earlier output, or
reverse the text. Here they become escapes, as in Python.
"""

import shlex

from tsanomaly._wording import visible

__all__ = ["one_line", "quoted", "show", "visible"]


def one_line(text):
    """Put text on one line, with escapes for invisible characters."""
    return visible(" ".join(text.split()))


def quoted(text):
    """Quote text for a shell."""
    if text == visible(text):
        return shlex.quote(text)
    # Tabs and other control characters cannot be typed directly.
    text = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{visible(text)}'"


def show(text, stream):
    """Print lines of text, with escapes for invisible or unencodable characters.

    Parameters
    ----------
    text : str
        The lines.
    stream : text stream
        Where they are printed; flushed at once.
    """
    text = "\n".join(map(visible, text.split("\n")))
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    print(text, file=stream, flush=True)
