# SPDX-License-Identifier: MIT
import numpy as np
import pandas as pd
import pytest

from tsanomaly.plotting import SpectrumDisplay


@pytest.fixture
def cycles(rng):
    """A day and 48 minutes; a pulse once a day; a constant; one row in 5 minutes."""
    index = pd.date_range("2024-01-01", periods=20 * 288, freq="5min")
    hours = np.arange(len(index)) / 12
    noise = 0.1 * rng.normal(size=(2, len(index)))
    return pd.DataFrame(
        {
            "waves": 3 * np.sin(2 * np.pi * hours / 24)
            + np.sin(2 * np.pi * hours / 0.8)
            + noise[0],
            "pulse": 5.0 * (np.arange(len(index)) % 288 == 7) + 0.1 * noise[1],
            "constant": 7.0,
        },
        index=index,
    )


@pytest.mark.parametrize("method", ["welch", "fft"])
def test_periods_are_found(cycles, method):
    display = SpectrumDisplay.from_series(cycles, method=method, n_peaks=2)
    waves, pulse, constant = display.periods_
    np.testing.assert_allclose(waves, [24 * 3600, 48 * 60], rtol=0.01)
    # Of many harmonics, the longest periods.
    np.testing.assert_allclose(pulse, [24 * 3600, 12 * 3600], rtol=0.01)
    assert not len(constant)
    line, markers = display.axes_[0].lines
    np.testing.assert_array_equal(line.get_ydata(), display.power[:, 0])
    np.testing.assert_allclose(markers.get_xdata(), 3600 / waves)
    texts = [text.get_text() for text in display.axes_[0].texts]
    assert texts == ["24 h", "48 min"]
    assert display.axes_[2].texts[0].get_text() == "constant"
    assert display.axes_[2].get_xlabel() == "Frequency (1/h)"


def test_gaps_and_rows_without_times(rng):
    X = np.sin(np.arange(1000) / 1000 * 20 * 2 * np.pi)[:, None].repeat(2, axis=1)
    X[100:110, 0] = X[0, 0] = np.nan
    X[:, 1] = np.nan
    display = SpectrumDisplay.from_series(X, n_peaks=1)
    np.testing.assert_allclose(display.periods_[0], 50, rtol=0.01)
    assert [text.get_text() for text in display.axes_[0].texts] == ["50 rows"]
    assert display.axes_[1].texts[0].get_text() == "constant"


def test_white_noise_of_short_segments_has_no_period(rng):
    X = rng.normal(size=(20_000, 1))
    display = SpectrumDisplay.from_series(X, segment=64)
    assert display.power.shape == (32, 1)
    assert not len(display.periods_[0])


@pytest.mark.parametrize(
    ("step", "unit", "period", "text"),
    [("1ms", "s", 0.02, "20 ms"), ("1D", "d", 864_000, "10 d")],
)
def test_units_fit_the_step(step, unit, period, text):
    index = pd.date_range("2024-01-01", periods=1000, freq=step)
    rows = period / index[:2].to_series().diff().iloc[-1].total_seconds()
    X = pd.DataFrame({"x": np.sin(2 * np.pi * np.arange(1000) / rows)}, index=index)
    display = SpectrumDisplay.from_series(X, n_peaks=1)
    assert display.axes_[0].texts[0].get_text() == text
    expected = "ms" if step == "1ms" else unit
    assert display.axes_[0].get_xlabel() == f"Frequency (1/{expected})"


def test_a_short_series():
    with pytest.raises(ValueError, match=r"16 rows.* 15"):
        SpectrumDisplay.from_series(np.zeros((15, 1)))
