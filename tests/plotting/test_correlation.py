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


def test_names_of_very_many_channels_do_not_overlap(rng):
    display = CorrelationDisplay.from_series(rng.normal(size=(20, 300)))
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels[:3] == ["channel 0", "channel 3", "channel 6"]
    assert len(labels) == 100


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


def test_correlations_are_those_of_pandas(related):
    """With and without missing readings."""
    related = related.assign(
        large=1e300 * related["cause"], near=1e9 + related["cause"]
    )
    for frame in (related, related.mask(related["effect"] < -3), related[:1]):
        given = CorrelationDisplay.from_series(frame).correlation
        # Products of such numbers are beyond what pandas computes with.
        expected = frame.assign(large=frame["cause"]).corr().to_numpy()
        if frame.notna().all(axis=None):
            np.testing.assert_allclose(given, expected, atol=1e-6)
        else:
            np.testing.assert_allclose(given[:3, :3], expected[:3, :3], atol=1e-6)
