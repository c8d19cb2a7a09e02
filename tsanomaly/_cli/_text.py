# SPDX-License-Identifier: MIT
"""Text that is shown as it is, whatever it holds.

Names of columns, files and steps come from files of others, and a terminal obeys some
of the characters in a name: it would change its colours or title, write over what was
shown before, or show the name backwards. Here they become escapes, as in Python.
"""

import shlex
import unicodedata

__all__ = ["one_line", "quoted", "show", "visible"]

# Control characters, formats such as the direction of text, lone surrogates, separators
# of lines and of paragraphs.
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}

# Formats that words of some languages are spelled with.
_SPELLING = "\u200c\u200d"


def visible(name):
    r"""A name with escapes for what cannot be seen in it.

    Parameters
    ----------
    name : object
        Its text is taken.

    Returns
    -------
    text : str
        On one line, such as ``"pump \x1b[2J"``.
    """
    text = str(name)
    if text.isprintable():
        return text
    return "".join(repr(char)[1:-1] if _is_hidden(char) else char for char in text)


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


def _is_hidden(char):
    return unicodedata.category(char) in _HIDDEN and char not in _SPELLING
