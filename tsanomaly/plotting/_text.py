# SPDX-License-Identifier: MIT
"""Draw the names of users in any script, exactly as they are written.

matplotlib reads text between dollar signs as a formula, and draws a box for a character
that its font lacks. Here, names are plain text. Other installed fonts are used if
needed, and characters that no font has become escapes, so that names stay distinct.
"""

import re
import unicodedata
import warnings
from functools import lru_cache

from tsanomaly._wording import called, visible

__all__ = [
    "PLAIN",
    "drawn",
    "inches",
    "label_channel",
    "label_of",
    "label_rows",
    "name_legend",
    "short_labels_of",
    "use_fonts",
    "wrap",
]

# Style of text with names of users, in which dollar signs do not start formulas.
PLAIN = {"parse_math": False}

# Width of a character of 10 points, in inches. Capitals are wider.
_CHARACTER = 0.085

# Maximum number of names beside the rows of a heat map; more do not fit into 12 inches.
_MOST_NAMES = 120

# Maximum number of characters to list in a warning.
_MOST_LISTED = 10


def drawn(name):
    """Return a name as it is drawn, with escapes for invisible characters.

    Parameters
    ----------
    name : object
        Name of a column, or its position.

    Returns
    -------
    text : str
        The name on one line.
    """
    text = visible(called(name))
    if text.isascii():
        return text
    missing = _fallback(text)[1]
    return "".join(ascii(char)[1:-1] if char in missing else char for char in text)


def label_of(channel):
    """Return the name of a channel on an axis.

    Parameters
    ----------
    channel : object
        Name of the column, or its position.

    Returns
    -------
    label : str
    """
    return wrap(drawn(channel), 20)


def wrap(text, width):
    """Break a text into lines, after separators within a tag if possible.

    Parameters
    ----------
    text : str
        The text. Tags of plants can be long and have no blanks.
    width : int
        Maximum number of characters in a line. Wide ones, such as Chinese, count twice.

    Returns
    -------
    lines : str
    """
    width = max(2, width * len(text) // max(_n_places(text), 1))
    line = rf".{{1,{width}}}$|.{{1,{width - 1}}}[\s._:/-]|.{{1,{width}}}"
    return "\n".join(found.strip() for found in re.findall(line, text))


def _n_places(text):
    """Return the width of a text, in characters."""
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def inches(labels, n_more=0):
    """Return the width of the longest line of labels of 10 points, in inches.

    Parameters
    ----------
    labels : iterable of str
        The labels.
    n_more : int, default=0
        Number of further characters per label, such as the handle in a legend.

    Returns
    -------
    width : float
    """
    lines = [line for label in labels for line in label.split("\n")]
    return _CHARACTER * (max(map(_n_places, lines)) + n_more)


def short_labels_of(channels):
    """Shorten names of channels to one line each, for the rows of a heat map.

    Parameters
    ----------
    channels : iterable of object
        Names of the columns, or their positions.

    Returns
    -------
    labels : list of str
        At most 24 characters each. The middle is left out, because tags usually differ
        at their ends. If that makes labels equal, all names are complete, except for
        those that are too long for any figure.
    """
    labels = [drawn(channel) for channel in channels]
    short = [_without_middle(label, 8, 15) for label in labels]
    if len(set(short)) == len(set(labels)):
        return short
    return [_without_middle(label, 50, 50) for label in labels]


def _without_middle(text, n_first, n_last):
    if len(text) <= n_first + 1 + n_last:
        return text
    return f"{text[:n_first]}…{text[-n_last:]}"


def label_rows(axis, labels, **style):
    """Label the rows or columns of a heat map. If there are too many, skip some.

    Parameters
    ----------
    axis : matplotlib XAxis or YAxis
        The axis.
    labels : list of str
        As from `short_labels_of`.
    **style
        Passed to ``Axis.set_ticks``.
    """
    step = -(-len(labels) // _MOST_NAMES)
    places = range(0, len(labels), step)
    axis.set_ticks(places, labels[::step], **style, **PLAIN)


def label_channel(axes, channel, units=None):
    """Write the name of a channel beside its axes.

    Parameters
    ----------
    axes : matplotlib Axes
        The axes of the channel.
    channel : object
        Name of the column, or its position.
    units : dict of str, or None, default=None
        Units by name of the channel, as in ``attrs["units"]`` of a frame that was read
        from a file.
    """
    label = label_of(channel)
    unit = (units or {}).get(channel)
    if unit:
        label += f"\n({drawn(unit)})"
    style = {"rotation": 0, "ha": "right", "va": "center", "fontsize": "small"}
    axes.set_ylabel(label, **style, **PLAIN)


def name_legend(axes, handles, names, **style):
    """Add a legend of names, including those that start with an underscore.

    Parameters
    ----------
    axes : matplotlib Axes
        Axes of the legend.
    handles : list of Artist
        Artists in the legend.
    names : list of str
        Names as they are drawn.
    **style
        Passed to ``Axes.legend``.
    """
    # matplotlib leaves out labels with an underscore if they are passed to `legend`.
    legend = axes.legend(handles, [""] * len(handles), **style)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set(text=name, **PLAIN)


def use_fonts(axes, names=()):
    """Set fonts that have the characters of all text, and warn of missing ones.

    Call this after everything is drawn.

    Parameters
    ----------
    axes : iterable of matplotlib Axes
        Axes with the text.
    names : iterable of object, default=()
        Original names in the picture. The drawn text already contains escapes.

    Warns
    -----
    UserWarning
        Once, if some characters are in no installed font.
    """
    from matplotlib.text import Text

    # On the artists, not in rcParams, because figures may be saved much later.
    for text in (text for part in axes for text in part.findobj(Text)):
        if not text.get_text().isascii():
            families = text.get_fontfamily()
            others, _ = _fallback(text.get_text())
            text.set_fontfamily(list(dict.fromkeys([*families, *others])))
    written = visible("".join(map(str, names)))
    unknown = _fallback(written)[1]
    if unknown:
        missing = [char for char in dict.fromkeys(written) if char in unknown]
        listed = ", ".join(missing[:_MOST_LISTED])
        listed += ", …" if len(missing) > _MOST_LISTED else ""
        warnings.warn(
            f"No installed font has these characters of names in the picture: {listed} "
            f"({_scripts(missing)}). They are drawn as escapes, such as "
            f"{ascii(missing[0])[1:-1]}. Install a font that has them: Noto Sans CJK "
            "for Chinese, Japanese and Korean (fonts-noto-cjk on Debian and Ubuntu), "
            "Noto Sans for other scripts (fonts-noto-core), Noto Emoji for emoji.",
            UserWarning,
            stacklevel=3,
        )


def _scripts(characters):
    """Name the scripts of characters, such as 'cjk, thai'."""
    names = [
        unicodedata.name(char, "unnamed").split()[0].lower()
        if unicodedata.category(char)[0] in "LM"
        else "symbol"
        for char in characters
    ]
    return ", ".join(dict.fromkeys(names))


def _fallback(text):
    """Return families for characters that the default lacks, and those in none."""
    if text.isascii():
        return (), frozenset()
    from matplotlib import rcParams
    from matplotlib.font_manager import fontManager

    characters = frozenset(char for char in text if not char.isascii())
    # The number of fonts is part of the key, because fonts may be added later.
    return _cover(characters, tuple(rcParams["font.family"]), len(fontManager.ttflist))


@lru_cache(maxsize=256)
def _cover(characters, families, _n_fonts):
    from matplotlib.font_manager import FontProperties, findfont

    missing = set(characters)
    for family in families:
        missing -= _held(findfont(FontProperties(family=[family])), missing)
    if not missing:
        return (), frozenset()
    held = _held_by_family(missing)
    if not missing <= set().union(*held.values()):
        _list_new_fonts(missing)
        held = _held_by_family(missing)
    chosen = []
    while missing:
        best = min(
            held,
            key=lambda name: (-len(held[name] & missing), *_rank(name, characters)),
        )
        if not held[best] & missing:
            break
        chosen.append(best)
        missing -= held[best]
    return tuple(chosen), frozenset(missing)


def _held_by_family(characters):
    """Return the given characters that each family of fonts has, by name."""
    from matplotlib.font_manager import fontManager

    paths = {}
    for entry in fontManager.ttflist:
        # A font of matplotlib that has a box for every character.
        if not entry.name.startswith("Last Resort"):
            paths.setdefault(entry.name, entry.fname)
    held = {path: _held(path, characters) for path in set(paths.values())}
    return {name: held[path] for name, path in paths.items()}


def _list_new_fonts(characters):
    """Add fonts to the list of matplotlib that were installed after it was made.

    matplotlib caches its list in a file, so that newly installed fonts have no effect.
    """
    from matplotlib.font_manager import findSystemFonts, fontManager

    listed = {entry.fname for entry in fontManager.ttflist}
    for path in sorted(set(findSystemFonts()) - listed):
        if _held(path, characters):
            fontManager.addfont(path)


def _held(path, characters):
    """Return the given characters that a font has."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):  # removed or damaged
        return set()
    if not font.scalable:  # bitmaps of a fixed size, such as emoji, cannot be drawn
        return set()
    return {char for char in characters if font.get_char_index(ord(char))}


def _rank(family, characters):
    """Return the sort key of families that have the same characters."""
    words = family.split()
    # Han characters have different shapes in these languages.
    names = {unicodedata.name(char, "").split(" ")[0] for char in characters}
    country = "JP" if names & {"HIRAGANA", "KATAKANA"} else "SC"
    country = "KR" if "HANGUL" in names else country
    unlike = "Serif" in words or "Mono" in words
    return unlike, "Sans" not in words, country not in words, len(family), family
