# SPDX-License-Identifier: MIT
"""Names of users in pictures: in any script, and as they are written.

matplotlib takes what is between two dollar signs for a formula, and draws a box for a
character that its font lacks. Here names are plain text, other fonts that are installed
help out, and what none of them has becomes an escape, by which names still differ.
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

# For text with names of users in it, in which a dollar sign begins no formula.
PLAIN = {"parse_math": False}

# Width of a character of 10 points, in inches; capitals are wider.
_CHARACTER = 0.085

# Names beside the rows of a heat map, at most; 12 inches have no room for more.
_MOST_NAMES = 120

# Characters that a warning lists, at most.
_MOST_LISTED = 10


def drawn(name):
    """A name as it is drawn: with escapes for what cannot be seen.

    Parameters
    ----------
    name : object
        Name of a column, or its position.

    Returns
    -------
    text : str
        On one line.
    """
    text = visible(called(name))
    if text.isascii():
        return text
    missing = _fallback(text)[1]
    return "".join(ascii(char)[1:-1] if char in missing else char for char in text)


def label_of(channel):
    """Name of a channel on an axis.

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
    """Break a text into lines, after what separates the parts of a tag if possible.

    Parameters
    ----------
    text : str
        Tags of plants can be long, and have no blanks.
    width : int
        Characters in a line, at most; wide ones, such as Chinese, count twice.

    Returns
    -------
    lines : str
    """
    width = max(2, width * len(text) // max(_n_places(text), 1))
    line = rf".{{1,{width}}}$|.{{1,{width - 1}}}[\s._:/-]|.{{1,{width}}}"
    return "\n".join(found.strip() for found in re.findall(line, text))


def _n_places(text):
    """Places that a text takes in a line."""
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def inches(labels, n_more=0):
    """Width of the longest line of labels of 10 points.

    Parameters
    ----------
    labels : iterable of str
        The labels.
    n_more : int, default=0
        Characters beside each, such as the handle in a legend.

    Returns
    -------
    width : float
    """
    lines = [line for label in labels for line in label.split("\n")]
    return _CHARACTER * (max(map(_n_places, lines)) + n_more)


def short_labels_of(channels):
    """Names of channels in one line each, for the rows of a heat map.

    Parameters
    ----------
    channels : iterable of object
        Names of the columns, or their positions.

    Returns
    -------
    labels : list of str
        At most 24 characters each, without their middle: tags differ at their ends.
        Where they differ in the middle only, they are whole, but for names so long that
        no figure has room for them.
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
    """Name the rows or columns of a heat map; of very many, each second one or fewer.

    Parameters
    ----------
    axis : matplotlib XAxis or YAxis
        The axis.
    labels : list of str
        As of `short_labels_of`.
    **style
        Passed to ``Axis.set_ticks``.
    """
    step = -(-len(labels) // _MOST_NAMES)
    places = range(0, len(labels), step)
    axis.set_ticks(places, labels[::step], **style, **PLAIN)


def label_channel(axes, channel, units=None):
    """Name a channel beside its axes.

    Parameters
    ----------
    axes : matplotlib Axes
        The axes of the channel.
    channel : object
        Name of the column, or its position.
    units : dict of str, or None, default=None
        Units by the name of the channel, as readers put them into ``attrs["units"]`` of
        a frame.
    """
    label = label_of(channel)
    unit = (units or {}).get(channel)
    if unit:
        label += f"\n({drawn(unit)})"
    style = {"rotation": 0, "ha": "right", "va": "center", "fontsize": "small"}
    axes.set_ylabel(label, **style, **PLAIN)


def name_legend(axes, handles, names, **style):
    """Add a legend of names, also of such that begin with an underscore.

    Parameters
    ----------
    axes : matplotlib Axes
        Where it goes.
    handles : list of Artist
        What is named.
    names : list of str
        As they are drawn.
    **style
        Passed to ``Axes.legend``.
    """
    # Of labels in the call, matplotlib leaves out those with an underscore.
    legend = axes.legend(handles, [""] * len(handles), **style)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set(text=name, **PLAIN)


def use_fonts(axes, names=()):
    """Give text the fonts that its characters need, and warn of what none has.

    Call it when everything is drawn.

    Parameters
    ----------
    axes : iterable of matplotlib Axes
        What is drawn.
    names : iterable of object, default=()
        Names in the picture, as they were given: the drawn text has escapes already.

    Warns
    -----
    UserWarning
        Once, if no installed font has some of the characters.
    """
    from matplotlib.text import Text

    # On the artists, not in rcParams: a figure is often saved much later.
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
    """Scripts of characters in words, such as 'cjk, thai'."""
    names = [
        unicodedata.name(char, "unnamed").split()[0].lower()
        if unicodedata.category(char)[0] in "LM"
        else "symbol"
        for char in characters
    ]
    return ", ".join(dict.fromkeys(names))


def _fallback(text):
    """Families that have what the default font lacks, and characters that none has."""
    if text.isascii():
        return (), frozenset()
    from matplotlib import rcParams
    from matplotlib.font_manager import fontManager

    characters = frozenset(char for char in text if not char.isascii())
    # The number of fonts, since one may be added while Python runs.
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
    """Those of the characters that each family of fonts has, by its name."""
    from matplotlib.font_manager import fontManager

    paths = {}
    for entry in fontManager.ttflist:
        # A font of matplotlib's own with a box for every character.
        if not entry.name.startswith("Last Resort"):
            paths.setdefault(entry.name, entry.fname)
    held = {path: _held(path, characters) for path in set(paths.values())}
    return {name: held[path] for name, path in paths.items()}


def _list_new_fonts(characters):
    """Have matplotlib know fonts that were installed after it made its list.

    It keeps the list in a file for years, so that installing a font would help nobody.
    """
    from matplotlib.font_manager import findSystemFonts, fontManager

    listed = {entry.fname for entry in fontManager.ttflist}
    for path in sorted(set(findSystemFonts()) - listed):
        if _held(path, characters):
            fontManager.addfont(path)


def _held(path, characters):
    """Those of the characters that a font has."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):  # removed since it was listed, or damaged
        return set()
    if not font.scalable:  # pictures of a fixed size, as of emoji, cannot be drawn
        return set()
    return {char for char in characters if font.get_char_index(ord(char))}


def _rank(family, characters):
    """What goes first of families that have the same characters."""
    words = family.split()
    # A Han character has another shape in each of these languages.
    names = {unicodedata.name(char, "").split(" ")[0] for char in characters}
    country = "JP" if names & {"HIRAGANA", "KATAKANA"} else "SC"
    country = "KR" if "HANGUL" in names else country
    unlike = "Serif" in words or "Mono" in words
    return unlike, "Sans" not in words, country not in words, len(family), family
