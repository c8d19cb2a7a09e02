# SPDX-License-Identifier: MIT
import io
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager, get_data_path
from matplotlib.text import Text

from tsanomaly.plotting import (
    AnomalyDisplay,
    ComparisonDisplay,
    ContributionDisplay,
    CorrelationDisplay,
    ReconstructionDisplay,
    SeriesDisplay,
    SpectrumDisplay,
)
from tsanomaly.plotting import _text as module
from tsanomaly.plotting._text import drawn, label_of, short_labels_of, wrap

NAME = "温度_1"

# Fonts that come with matplotlib, one of which has a box for every character.
OWN = [
    entry
    for entry in font_manager.fontManager.ttflist
    if Path(entry.fname).is_relative_to(get_data_path())
]


def make_font(path, family, characters):
    """Write a font with a square for each character."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for corner in ((100, 700), (800, 700), (800, 0)):
        pen.lineTo(corner)
    pen.closePath()
    square = pen.glyph()
    names = [".notdef", *(f"uni{ord(char):04X}" for char in characters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    codes = map(ord, characters)
    builder.setupCharacterMap(dict(zip(codes, names[1:], strict=True)))
    builder.setupGlyf(dict.fromkeys(names, square))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (900, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWeightClass=400)
    builder.setupPost()
    builder.save(path)


@pytest.fixture
def installed(monkeypatch):
    """Paths of fonts that are installed, and known to matplotlib when it looks."""
    found = []
    monkeypatch.setattr(font_manager.fontManager, "ttflist", list(OWN))
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: found)
    module._cover.cache_clear()
    yield found
    module._cover.cache_clear()


@pytest.fixture
def named(frame):
    """Readings under names of all kinds."""
    frame = frame.set_axis([NAME, "$PT_01$"], axis=1).rename_axis("時")
    frame["_A$_$B"] = frame[NAME] + np.arange(len(frame))
    return frame


def displays(frame):
    """Every picture with names of channels in it."""
    y = np.zeros(len(frame), dtype=int)
    y[60:63] = 1
    scores = frame.abs().mean(axis=1)
    table = pd.DataFrame({"$f_1$": [0.5, 0.6, 0.7]}, index=frame.columns)
    yield SeriesDisplay.from_series(frame, y)
    yield AnomalyDisplay.from_predictions(frame, scores, 3, scores > 3, y)
    yield ReconstructionDisplay.from_predictions(frame, frame * 0.9)
    yield ContributionDisplay.from_predictions(frame**2, y)
    yield CorrelationDisplay.from_series(frame)
    yield SpectrumDisplay.from_series(frame)
    yield ComparisonDisplay.from_table(
        table.assign(fit_seconds=1.0, score_seconds=[1.0, 2.0, 3.0])
    )


def texts(figure):
    """What is written in a picture, when it is drawn."""
    figure.savefig(io.BytesIO())
    return [text for text in figure.findobj(Text) if text.get_text()]


def test_names_are_drawn_with_fonts_that_have_them(installed, named, tmp_path):
    path = str(tmp_path / "han.ttf")
    make_font(path, "Tiny Han", "温度時")
    installed.append(path)
    before = dict(plt.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for display in displays(named):
            written = texts(display.figure_)
            families = {
                text.get_text(): text.get_fontfamily()
                for text in written
                if not text.get_text().isascii() and "−" not in text.get_text()
            }
            assert NAME in families
            for family in families.values():
                assert family == ["sans-serif", "Tiny Han"]
    assert dict(plt.rcParams) == before


def test_dollar_signs_and_underscores_are_letters(installed, named):
    named = named.drop(columns=NAME).rename_axis("$t_0$").assign(b=1.0)
    for display in displays(named):
        written = {text.get_text(): text for text in texts(display.figure_)}
        for name in ("$PT_01$", "_A$_$B"):
            assert not written[name].get_parse_math()
        for text in ("$t_0$", "$f_1$"):
            if text in written:
                assert not written[text].get_parse_math()


def test_one_warning_where_no_font_has_a_character(installed, named):
    named = named.rename_axis("time")
    for display in (SeriesDisplay.from_series, CorrelationDisplay.from_series):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            names = [text.get_text() for text in texts(display(named).figure_)]
        (warning,) = caught
        message = str(warning.message)
        assert "picture: 温, 度 (cjk)" in message
        assert "(cjk)" in message
        assert "fonts-noto-cjk" in message
        assert r"\u6e29\u5ea6_1" in names


def test_a_font_that_is_damaged_is_none(installed, tmp_path):
    path = tmp_path / "damaged.ttf"
    path.write_bytes(b"no font")
    installed.append(str(path))
    assert drawn(NAME) == r"\u6e29\u5ea6_1"


def test_the_best_fonts_are_taken(installed, tmp_path):
    fonts = {"Tiny Serif": "温度圧", "Tiny Sans": "温度圧", "Half Sans": "温", "Z": "ก"}
    for family, characters in fonts.items():
        path = str(tmp_path / f"{family}.ttf")
        make_font(path, family, characters)
        font_manager.fontManager.addfont(path)
    families, missing = module._fallback("温度圧 ก ข")
    assert families == ("Tiny Sans", "Z")
    assert missing == {"ข"}


def test_what_cannot_be_seen_is_an_escape():
    assert drawn("a\x07\u202eb\n") == r"a\x07\u202eb\n"
    assert drawn(3) == "channel 3"


def test_long_names_are_broken():
    tag = "PLANT7.LINE3.EXTRUDER.MELT_TEMPERATURE_ZONE_12"
    assert label_of(tag) == "PLANT7.LINE3.\nEXTRUDER.MELT_\nTEMPERATURE_ZONE_12"
    assert label_of("a" * 30) == "a" * 20 + "\n" + "a" * 10
    assert label_of("inlet temperature of pump 3") == "inlet temperature\nof pump 3"
    assert label_of("sensor_1") == "sensor_1"
    assert wrap("温" * 12, 20) == "温" * 10 + "\n" + "温" * 2


def test_names_in_one_line_stay_different():
    tag = "PLANT7.LINE3.EXTRUDER.MELT_TEMPERATURE_ZONE_12"
    assert short_labels_of([tag, 0]) == ["PLANT7.L…ERATURE_ZONE_12", "channel 0"]
    alike = [tag, tag.replace("LINE3", "LINE4")]
    assert short_labels_of(alike) == alike


def test_units_are_beside_the_names(frame):
    frame.attrs["units"] = {"flow": "m³/h", "other": "bar"}
    scores = frame.abs().mean(axis=1)
    for display in (
        SeriesDisplay.from_series(frame),
        AnomalyDisplay.from_predictions(frame, scores, 3, scores > 3),
        ReconstructionDisplay.from_predictions(frame, frame),
    ):
        labels = [axes.get_ylabel() for axes in display.axes_[:2]]
        assert labels == ["flow\n(m³/h)", "pressure"]
