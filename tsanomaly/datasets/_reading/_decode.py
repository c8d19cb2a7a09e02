# SPDX-License-Identifier: MIT
"""Decode the bytes of a file."""

import codecs
import re

from tsanomaly._parameter_error import Parameter
from tsanomaly.datasets._reading._bytes import read_bytes
from tsanomaly.datasets._reading._table import fault

__all__ = ["count_lines", "read_text"]

# Byte order marks, long ones first: one of them starts with a short one.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BLOCK = 2**20
# End-of-file mark of DOS.
_END = re.compile(rb"\x1a[\r\n]*+\Z")
# Characters in channel names of Western files: unit symbols and letters.
_WESTERN = frozenset("°µ²³±·ºª½€‰–—’‘“”") | (
    frozenset(map(chr, range(0xC0, 0x100))) - frozenset("×÷")
)


def read_text(path, encoding, max_bytes):
    """Read a text file.

    Parameters
    ----------
    path : str or Path
        The file, which may be compressed with gzip.
    encoding, max_bytes
        As for `read_sensor_csv`.

    Returns
    -------
    data : bytes
        The text in UTF-8, without byte order mark.
    encoding : str
        Original encoding of the file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If the file is not text in that encoding, its encoding is ambiguous, or it is
        too large.
    """
    data, path = read_bytes(path, max_bytes), str(path)
    data, encoding = _to_utf8(data, encoding, path)
    if end := _END.search(data):
        data = data[: end.start()]
    position = data.find(b"\0")
    if position >= 0:
        line = count_lines(data[:position])
        raise fault(
            f"{path}, line {line}",
            "the file contains a NUL character: it is damaged or has another encoding. "
            "Pass the encoding, for example ",
            Parameter("encoding", "utf-16"),
            ".",
        )
    return data, encoding


def _to_utf8(data, encoding, path):
    """Return the text in UTF-8, without byte order mark, and its original encoding."""
    if encoding != "auto":
        if data.startswith(codecs.BOM_UTF8) and re.fullmatch(
            "utf[-_ ]?8", encoding, re.IGNORECASE
        ):
            encoding = "utf-8-sig"
        return _recode(data, encoding, path), encoding
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _recode(data, name, path), name
    # In UTF-16, every other byte of ASCII text is NUL.
    zeros = [data[start::2].count(0) for start in (0, 1)] if 0 in data else [0, 0]
    for n_zeros, others, name in (
        (zeros[1], zeros[0], "utf-16-le"),
        (zeros[0], zeros[1], "utf-16-be"),
    ):
        if not others and n_zeros > len(data) / 4:
            return _recode(data, name, path), name
    try:
        _check_utf8(data)
        return data, "utf-8"
    except UnicodeDecodeError as error:
        line = count_lines(data[: error.start])
    readings = _legacy_encodings(data)
    if len(readings) == 1:
        return _recode(data, readings[0], path), readings[0]
    possible = f" ({' or '.join(readings)})" if readings else ""
    raise fault(
        f"{path}, line {line}",
        "the text is not UTF-8, and its encoding cannot be detected with certainty"
        f"{possible}. Pass it, for example ",
        Parameter("encoding", "cp1252"),
        " or ",
        Parameter("encoding", "gb18030"),
        ".",
    )


def _recode(data, encoding, path):
    """Convert a text to UTF-8."""
    try:
        text = data.decode(encoding)
    except UnicodeError as error:
        start = getattr(error, "start", 0)
        above = data[:start].decode(encoding, "ignore") if start else ""
        line = count_lines(above.encode("utf-8", "surrogatepass"))
        raise fault(
            f"{path}, line {line}",
            f"the text is not {encoding} ({error}). Pass the right one as ",
            Parameter("encoding"),
            ".",
        ) from error
    except (LookupError, TypeError) as error:
        raise fault(
            path,
            Parameter("encoding", encoding),
            f" is not known ({error}). Pass the name of a Python text encoding, or "
            "'auto'.",
        ) from error
    return text.lstrip("\ufeff").encode("utf-8", "surrogatepass")


def _check_utf8(data):
    """Raise UnicodeDecodeError for bytes that are not UTF-8."""
    if data.isascii():
        return
    # In blocks: a second copy of a large file would take as long as reading it.
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), _BLOCK):
            decoder.decode(data[start : start + _BLOCK])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        data.decode("utf-8")  # raises, with the position in the file


def _legacy_encodings(data):
    """Return which of GB 18030 and Windows-1252 fit the runs of bytes above 127."""
    runs = b"\n".join(set(re.findall(rb"[\x80-\xff]+", data)))
    readings = []
    try:
        characters = runs.decode("gb2312").replace("\n", "").encode("gb2312")
        # Rows 0xB0 to 0xD7 hold the 3755 common characters. Pairs of lowercase letters
        # of Latin-1 and Cyrillic fall into the rows above, which hold rare ones.
        common = sum(0xB0 <= lead <= 0xD7 for lead in characters[::2])
        rare = sum(lead > 0xD7 for lead in characters[::2])
        if common and common >= 2 * rare:
            readings.append("gb18030")
    except UnicodeDecodeError:
        pass
    try:
        # A letter before a symbol is rare, and typical of a damaged UTF-8 character.
        is_piece = re.search(rb"[\xc2-\xf4][\x80-\xbf]", runs)
        words = runs.decode("cp1252").split("\n")
        if not is_piece and all(
            len(word) <= 2 and _WESTERN.issuperset(word) for word in words
        ):
            readings.append("cp1252")
    except UnicodeDecodeError:
        pass
    return readings


def count_lines(data):
    """Return the number of the last line of a text in UTF-8, starting at 1."""
    n_returns = data.count(b"\r")
    n_both = data.count(b"\r\n") if n_returns else 0  # this count is slower
    return data.count(b"\n") + n_returns - n_both + 1
