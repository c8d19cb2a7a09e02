# SPDX-License-Identifier: MIT
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from tsanomaly.plotting import CorrelationDisplay


@pytest.fixture
def related(rng):
    cause = rng.normal(size=300)
    return pd.DataFrame(
        {"cause": cause, "effect": -np.exp(cause), "constant": np.ones(300)}
    )


def test_what_is_drawn(related):
    display = CorrelationDisplay.from_series(related, method="spearman")
    image = display.im_.get_array()
    assert image[0, 1] == pytest.approx(-1)
    assert np.ma.getmaskarray(image)[2].all()
    assert [text.get_text() for text in display.text_[:3]] == ["1.00", "-1.00", "–"]
    labels = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert labels == ["cause", "effect", "constant"]


def test_many_channels_have_no_numbers(rng):
    figure, ax = plt.subplots()
    display = CorrelationDisplay.from_series(rng.normal(size=(50, 13)), ax=ax)
    assert display.text_ == []
    assert display.figure_ is figure
    assert len(ax.get_yticks()) == 13


def test_numbers_fit_into_their_cells(rng):
    tags = [f"PLANT7.LINE{k}.MELT_TEMPERATURE_OUTLET" for k in range(12)]
    frame = pd.DataFrame(rng.normal(size=(50, 12)), columns=tags)
    display = CorrelationDisplay.from_series(frame)
    display.figure_.draw_without_rendering()
    cell = display.ax_.get_window_extent().width / 12
    assert max(text.get_window_extent().width for text in display.text_) < cell


def test_an_unknown_method(related):
    with pytest.raises(ValueError, match="'cosine'"):
        CorrelationDisplay.from_series(related, method="cosine")
