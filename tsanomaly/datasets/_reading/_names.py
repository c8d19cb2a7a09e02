# SPDX-License-Identifier: MIT
"""Classify columns by their names."""

import re
from itertools import pairwise

__all__ = [
    "advise_on_case",
    "has_label_word",
    "has_machine_name",
    "has_no_name",
    "has_only_label_words",
    "has_tag_name",
    "has_time_name",
    "has_value_name",
    "is_clock_name",
    "is_counter_name",
    "is_label_name",
    "is_machine_name",
    "list_names",
    "name_without_quality",
    "parts_of_name",
    "same_but_for_case",
]

_TIME_WORDS = """
timestamp timestamps time datetime date ts epoch unixtime epochtime unixtimestamp
timeutc utctime localtime zeit zeitstempel datum uhrzeit datumuhrzeit datumzeit fecha
fechahora horodatage dateheure tijd tijdstip 时间 日期 日期时间 时间戳 采集时间 時間
日時 日付 시간 날짜
"""
_TIME_NAMES = frozenset(_TIME_WORDS.split())
_CLOCK_NAMES = frozenset(["time", "zeit", "uhrzeit", "tijd", "时间", "時間", "시간"])
_LABEL_WORDS = """
anomaly is_anomaly anomalies label labels target changepoint attack is_attack fault
outlier normal/attack class
"""
_LABEL_NAMES = frozenset(_LABEL_WORDS.replace("_", "").split())
# In a longer name, these words mean a label unless the values are those of a channel.
_PARTS_OF_LABEL_NAMES = _LABEL_NAMES | {
    *("abnormal", "anomalous", "attacks", "faults", "lable", "outliers"),
    *("groundtruth",),
}
_TAG_TEXT = """
name names tag tags tagname tagid entity sensor sensors sensorid sensorname point
pointid pointname variable varname parameter param metric metricname item itemid
channel signal signalname measurement measure field series quantity attribute register
node nodeid messstelle kanal sensorname datapoint topic
"""
_TAG_WORDS = frozenset(_TAG_TEXT.split())
_MACHINE_TEXT = """
machine machines maschine anlage device devices asset equipment unit id plant line pump
engine turbine station site host vehicle robot instrument serial
"""
_MACHINE_WORDS = frozenset(_MACHINE_TEXT.split())
# Words that may accompany them in the name of a column of machines.
_BESIDE_MACHINE_WORDS = frozenset(
    ["id", "ids", "no", "nr", "num", "number", "name", "code", "key", "index", "nummer"]
)
_VALUE_WORDS = frozenset(["value", "val", "reading", "state", "wert", "messwert"])
# Words that may accompany label words in the name of a label column.
_BESIDE_LABEL_TEXT = """
is has was the of a an and or no not yes normal flag flags binary bool ground truth true
false gt
"""
_BESIDE_LABEL_WORDS = frozenset(_BESIDE_LABEL_TEXT.split())
_COUNTER_TEXT = """
row rows rowid rowno rownumber no nr index idx # № record records recordid recordno
recordnumber recnum rn id seq seqno sequence sample sampleno scan scanno lfdnr 序号 编号
"""
_COUNTER_NAMES = frozenset(["", *_COUNTER_TEXT.split()])
_QUALITY_TEXT = "quality qual status state stat qc q flag validity valid qualität st"
_QUALITY_WORDS = frozenset(_QUALITY_TEXT.split())
# Words that may accompany the word for quality in tables in long format.
_BESIDE_QUALITY = frozenset(["opc", "da", "ua", "detail", "details", "code", "codes"])
_WORDS_TOGETHER = re.compile(
    "(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[0-9])(?=[A-Z][a-z])"
)
_SEPARATORS = re.compile(r"[\s._:/\\()\[\]-]+")
# An unclosed bracket matches to the end. Otherwise every bracket in it would be tried,
# which takes quadratic time.
_IN_BRACKETS = re.compile(r"[(\[][^)\]\n]*+([)\]]?)")
_MOST_LISTED = 50
_NO_NAME = re.compile(r"(?:Unnamed: [0-9]+)?")  # pandas names columns without name


def has_no_name(name):
    """Whether a column has no name, or the one that pandas gives to such columns."""
    return _NO_NAME.fullmatch(name) is not None


def is_counter_name(name):
    """Whether a column with this name, or without a name, may count rows."""
    return has_no_name(name) or re.sub(r"[\s_.]", "", name.casefold()) in _COUNTER_NAMES


def has_time_name(name):
    """Whether a column is named like a time, in one of several languages."""
    if name[:1].isdigit():
        return False  # most cells
    name = _IN_BRACKETS.sub(lambda match: "" if match[1] else match[0], name.casefold())
    return re.sub(r"[\W_]", "", name) in _TIME_NAMES


def _words_of(name):
    """Split a name such as tagName or tag_name into words."""
    spaced = re.sub("(?<=[a-z])(?=[A-Z])", "_", name)
    return re.findall(r"[^\W\d_]+", spaced.casefold())


def has_tag_name(name):
    """Whether a column is named like one that holds names of sensors."""
    return not _TAG_WORDS.isdisjoint(_words_of(name))


def has_machine_name(name):
    """Whether a column is named like one that holds names of machines."""
    return not _MACHINE_WORDS.isdisjoint(_words_of(name))


def is_machine_name(name):
    """Whether all words in the name of a column mean names of machines."""
    words = _words_of(name)
    known = _MACHINE_WORDS | _BESIDE_MACHINE_WORDS
    return has_machine_name(name) and known.issuperset(words)


def has_value_name(name):
    """Whether a column is named like one that holds the readings of all sensors."""
    return not _VALUE_WORDS.isdisjoint(_words_of(name))


def is_clock_name(name):
    """Whether a column is named like a time of day."""
    return re.sub(r"[\W_]", "", name.casefold()) in _CLOCK_NAMES


def is_label_name(name):
    """Whether a column has one of the usual names of labels."""
    return re.sub(r"[\s_-]", "", name.casefold()) in _LABEL_NAMES


def has_label_word(name):
    """Whether a word in the name of a column means labels."""
    words = re.findall("[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
    words = [word.lower() for word in words]
    words += ["".join(pair) for pair in pairwise(words)]  # ground truth
    return not _PARTS_OF_LABEL_NAMES.isdisjoint(words)


def has_only_label_words(name):
    """Whether all words in the name of a column mean labels, as in attack_P1."""
    words = [word.lower() for word in re.findall("[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]
    known = _PARTS_OF_LABEL_NAMES | _BESIDE_LABEL_WORDS
    return all(word in known or len(word) == 1 for word in words)


def list_names(names):
    """Format a list of names for messages: only the first ones of many."""
    names = list(names)
    shown = ", ".join(map(repr, names[:_MOST_LISTED])) or "none"
    n_others = len(names) - _MOST_LISTED
    return f"{shown} and {n_others:,} others" if n_others > 0 else shown


def same_but_for_case(name, known):
    """Return the names that differ from a name in upper and lower case only."""
    folded = str(name).casefold()
    return [other for other in known if str(other).casefold() == folded]


def advise_on_case(name, known):
    """Name columns that differ from an unknown one in case only, if there are any."""
    near = same_but_for_case(name, known)
    if not near:
        return ""
    return f" Upper and lower case matter: use {' or '.join(map(repr, near))}."


def parts_of_name(name):
    """Split a name such as TI1.Quality into its parts, in lower case."""
    name = _WORDS_TOGETHER.sub("_", name)
    return [part for part in _SEPARATORS.split(name.casefold()) if part]


def name_without_quality(name):
    """Return a name without its word for quality, or None if it has none."""
    parts = parts_of_name(name)
    if not parts:
        return None
    others = [part for part in parts if part not in _BESIDE_QUALITY]
    if others and others[0] in _QUALITY_WORDS and all(map(str.isdecimal, others[1:])):
        return ""
    if parts[-1] in _QUALITY_WORDS:
        return " ".join(parts[:-1])
    return " ".join(parts[1:]) if parts[0] in _QUALITY_WORDS else None
