# SPDX-License-Identifier: MIT
"""Peaks of autocorrelated errors, and thresholds that keep a budget of alarms."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose
from scipy.signal import lfilter
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from tests import reference
from tsanomaly import ReconstructionError, ReconstructionThreshold
from tsanomaly._declustering import find_peaks, rows_per, tail_peaks
from tsanomaly.metrics import make_anomaly_scorer

WHATEVER_PEAKS = pytest.mark.filterwarnings("ignore:.* independent peak")
SERIES = arrays(np.float64, st.integers(2, 80), elements=st.integers(0, 20).map(float))


def autoregressive(coefficient, n, seed):
    noise = np.random.default_rng(seed).normal(size=n + 1000)
    series = lfilter([1], [1, -coefficient], noise * np.sqrt(1 - coefficient**2))
    return np.abs(series[1000:])


def count_alarms(errors, threshold, quiet=10):
    rows = np.flatnonzero(errors > threshold)
    return min(len(rows), 1) + (np.diff(rows) > quiet).sum()


@given(SERIES, st.integers(0, 20), st.data())
def test_peaks_are_those_of_slow_loops(errors, level, data):
    breaks = data.draw(arrays(bool, len(errors), elements=st.booleans()))
    errors[breaks] = np.nan
    peaks = find_peaks(errors, float(level), breaks)
    expected, index = reference.cluster_peaks(errors, level, breaks)
    assert_allclose(peaks.excesses + level, expected)
    assert peaks.extremal_index == pytest.approx(index)
    assert peaks.n_beyond == (errors > level).sum()
    assert peaks.n_rows == (~breaks).sum()


def test_extremal_index(rng):
    """Of the larger of two neighbours it is a half: extremes come in pairs."""
    noise = rng.exponential(size=100_001)
    pairs = np.maximum(noise[1:], noise[:-1])
    for errors, expected in ((noise, 1), (pairs, 0.5)):
        peaks = tail_peaks(errors, 0.02)
        assert peaks.extremal_index == pytest.approx(expected, abs=0.05)
        n_peaks = len(peaks.excesses)
        assert n_peaks == pytest.approx(expected * peaks.n_beyond, rel=0.05)


def test_clusters_do_not_cross_breaks():
    errors = np.zeros(1000)
    errors[[100, 101, 102, 103, 400, 401, 402, 403, 700, 701, 702, 703]] = 1 + 0.1 * (
        np.arange(12)
    )
    assert len(find_peaks(errors, 0.5).excesses) == 3
    breaks = np.zeros(1001, dtype=bool)
    breaks[402] = True
    joined = np.insert(errors, 402, np.nan)
    assert_allclose(find_peaks(joined, 0.5, breaks).excesses, [0.8, 1.0, 1.2, 1.6])
    fitted = [
        ReconstructionThreshold("pot", quantile=0.99).fit(series.reshape(-1, 1))
        for series in (errors, joined)
    ]
    assert [threshold.n_peaks_ for threshold in fitted] == [3, 4]


@WHATEVER_PEAKS
@pytest.mark.parametrize("channels", ["mean", "max"])
@given(SERIES, st.floats(1e-3, 10), st.floats(1, 100), st.integers(1, 1000))
def test_a_smaller_budget_has_a_higher_threshold(channels, errors, few, factor, per):
    lower, higher = (
        ReconstructionThreshold(channels=channels, false_alarms=number, per=per)
        .fit(errors.reshape(-1, 1))
        .threshold_
        for number in (few * factor, few)
    )
    assert lower <= higher * (1 + 1e-9)


@WHATEVER_PEAKS
@pytest.mark.parametrize("channels", ["mean", "each"])
@given(SERIES, st.integers(-30, 30), st.floats(1e-4, 0.2))
def test_the_unit_of_errors_does_not_matter(channels, errors, exponent, rate):
    errors = errors + 1
    unit = 2.0**exponent
    plain, scaled = (
        ReconstructionThreshold(channels=channels, false_alarms=rate, per=1)
        .fit(series.reshape(-1, 1))
        .threshold_
        for series in (errors, unit * errors)
    )
    assert_allclose(scaled, unit * plain, rtol=1e-9)


@WHATEVER_PEAKS
@pytest.mark.parametrize("per", [1000, 10_000])
@pytest.mark.parametrize("coefficient", [0.0, 0.5, 0.9, 0.99])
def test_the_budget_is_kept(coefficient, per):
    ratios = []
    for seed in range(12):
        errors = autoregressive(coefficient, 105_000, seed)
        threshold = ReconstructionThreshold(false_alarms=1, per=per)
        threshold.fit(errors[:5000].reshape(-1, 1))
        n_alarms = count_alarms(errors[5000:], threshold.threshold_)
        ratios.append(n_alarms / (100_000 / per))
    assert 0.5 < np.mean(ratios) < 2


@WHATEVER_PEAKS
def test_channels_share_the_budget():
    errors = np.column_stack([autoregressive(0.9, 60_000, seed) for seed in range(8)])
    errors *= np.geomspace(1e-3, 1e3, 8)
    budget = {"false_alarms": 1, "per": 500}
    each = ReconstructionThreshold(channels="each", **budget).fit(errors[:10_000])
    alone = ReconstructionThreshold(**budget).fit(errors[:10_000, :1])
    assert each.threshold_[0] > alone.threshold_
    assert 0.5 < count_alarms(-each.score_samples(errors[10_000:]), 1) / 100 < 2


def test_peaks_over_threshold_of_autocorrelated_errors():
    """As many new rows are flagged as stated, about; by all errors, it is 4 times."""
    shares = []
    for seed in range(20):
        errors = autoregressive(0.99, 105_000, seed)
        threshold = ReconstructionThreshold("pot", quantile=0.999)
        threshold.fit(errors[:5000].reshape(-1, 1))
        assert threshold.extremal_index_ < 0.3
        shares.append((errors[5000:] > threshold.threshold_).mean())
    assert 0.0005 < np.mean(shares) < 0.002


def test_a_budget_in_time(rng):
    X = rng.exponential(size=(2000, 2))
    times = pd.date_range("2024-01-01", periods=2000, freq="10min")
    frame = pd.DataFrame(X, times, ["a", "b"])
    frame.index = frame.index.where(np.arange(2000) < 1900, times + pd.Timedelta("3h"))
    expected = ReconstructionThreshold(false_alarms=1, per=1008).fit(X)
    for per in ("7D", timedelta(days=7), pd.Timedelta("168h"), np.timedelta64(7, "D")):
        threshold = ReconstructionThreshold("pot", false_alarms=1, per=per).fit(frame)
        assert threshold.threshold_ == expected.threshold_
    pipeline = make_pipeline(
        ReconstructionError(PCA(1)), ReconstructionThreshold(false_alarms=1, per="7D")
    )
    with pytest.raises(ValueError, match=r"set_output\(transform='pandas'\)"):
        pipeline.fit(frame)
    pipeline.set_output(transform="pandas").fit(frame)
    assert pipeline[-1].threshold_ > 0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"false_alarms": None},
            "per=100 requires .* use false_alarms=1",
        ),
        ({"per": None}, "false_alarms=1 requires the time .* Pass per, "),
        ({"method": "sigma"}, "method='sigma' does not use. Use method='quantile'"),
        ({"method": "mad"}, "method='mad' does not use"),
        ({"method": "f_score"}, "method='f_score' does not use"),
        ({"per": "soon"}, "per='soon' is not a duration. Pass one such as '7D'"),
        ({"per": "-1h"}, "per='-1h' is not positive"),
        ({"per": "NaT"}, "per='NaT' is not positive"),
        ({"per": "1s"}, "shorter than the time step, 0 days 00:01:00"),
        ({"per": 0}, "'per' parameter"),
        ({"per": 2.5}, "'per' parameter"),
        ({"false_alarms": 0}, "'false_alarms' parameter"),
    ],
)
def test_refuses(parameters, message):
    threshold = ReconstructionThreshold(**{"false_alarms": 1, "per": 100, **parameters})
    times = pd.date_range("2024-01-01", periods=50, freq="min")
    frame = pd.DataFrame({"a": np.arange(50.0)}, times)
    with pytest.raises(ValueError, match=message):
        threshold.fit(frame, np.arange(50) > 40)
    with pytest.raises(NotFittedError):
        threshold.predict(frame)


def test_a_time_needs_times():
    with pytest.raises(ValueError, match="the rows have no times"):
        rows_per("1D", pd.RangeIndex(3))
    same = pd.DatetimeIndex(["2024-01-01"] * 3)
    with pytest.raises(ValueError, match="are all equal"):
        rows_per("1D", same)
    assert rows_per("1D", pd.date_range("2024", periods=3, freq="7h")) == 24 / 7
    with pytest.raises(ValueError, match="not in order"):
        rows_per("1D", pd.date_range("2024", periods=30, freq="h")[::-1])
    hours = pd.date_range("2024", periods=30, freq="h")
    joined = hours.append([pd.DatetimeIndex([pd.NaT]), hours])
    assert rows_per("1D", joined) == 24


@pytest.mark.parametrize(
    ("n", "coefficient", "per", "message"),
    [
        (
            1000,
            0,
            100_000,
            r"1,000 rows contain \d\d independent peaks, so a level that is exceeded "
            "once in 100,000 rows is an extrapolation. Fit on more rows, or allow more",
        ),
        (
            300,
            0.99,
            1000,
            r"300 rows contain \d independent .* once in 1,000 rows is unc",
        ),
    ],
)
def test_says_what_training_rows_cannot_say(n, coefficient, per, message):
    errors = autoregressive(coefficient, n, 0).reshape(-1, 1)
    threshold = ReconstructionThreshold(false_alarms=1, per=per)
    with pytest.warns(UserWarning, match=message) as caught:
        threshold.fit(errors)
    assert caught[0].filename == __file__


@pytest.mark.filterwarnings("error")
def test_says_nothing_where_training_rows_can_tell(rng):
    errors = rng.exponential(size=(1000, 1))
    threshold = ReconstructionThreshold(false_alarms=1, per=5000).fit(errors)
    assert threshold.n_peaks_ >= 30
    assert threshold.threshold_ > errors.max()


@WHATEVER_PEAKS
@pytest.mark.parametrize("channels", ["mean", "each"])
@pytest.mark.parametrize(
    "errors",
    [np.zeros(50), np.ones(50), np.r_[np.zeros(49), 1.0], np.r_[1.0], -np.arange(9.0)],
    ids=["zero", "equal", "one peak", "one row", "negative"],
)
def test_degenerate_errors(channels, errors):
    X = errors.reshape(-1, 1)
    for per in (1, 10, 10_000):
        threshold = ReconstructionThreshold(
            channels=channels, false_alarms=1, per=per
        ).fit(X)
        assert np.isfinite(threshold.threshold_).all()
        assert np.isfinite(threshold.decision_function(X)).all()
    assert (threshold.predict(X) == 1).all()


@pytest.mark.parametrize("shape", [0.3, -0.2, -1.0])
def test_bounded_and_heavy_tails(shape, rng):
    """From 20,000 rows, within a factor of two: also where errors have a bound."""
    uniform = rng.uniform(size=(2, 20_000))
    errors, new = (uniform**-shape - 1) / shape
    threshold = ReconstructionThreshold(false_alarms=1, per=500).fit(errors[:, None])
    assert 20 <= count_alarms(new, threshold.threshold_) <= 80


@WHATEVER_PEAKS
def test_a_search_over_budgets(rng):
    X = rng.exponential(size=(400, 1))
    X[::40] += 8
    y = (np.arange(400) % 40 == 0).astype(int)
    search = GridSearchCV(
        ReconstructionThreshold(per=100),
        {"false_alarms": [0.01, 1, 10], "method": ["quantile", "pot"]},
        scoring=make_anomaly_scorer("f1"),
        error_score="raise",
    ).fit(X, y)
    assert search.best_params_["false_alarms"] > 0.01


@pytest.mark.parametrize("channels", ["mean", "max", "each"])
@pytest.mark.parametrize(
    "parameters",
    [{}, {"method": "sigma"}, {"method": "pot"}, {"false_alarms": 1, "per": 100}],
)
def test_median_error(channels, parameters, rng):
    X = rng.gamma(1, size=(1001, 3)) * [1, 10, 100]
    X[5], X[10, 1] = np.nan, np.nan
    fitted = ReconstructionThreshold(channels=channels, **parameters).fit(X)
    expected = np.median(-fitted.score_samples(np.delete(X, 5, axis=0)))
    assert isinstance(fitted.median_error_, float)
    assert fitted.median_error_ == pytest.approx(expected)
    other = fitted.with_threshold(quantile=0.9)
    expected = np.median(-other.score_samples(np.delete(X, 5, axis=0)))
    assert other.median_error_ == pytest.approx(expected, rel=0.02)
    assert (other.false_alarms, other.per) == (None, None)
    assert not hasattr(other, "n_peaks_")


def test_median_error_of_dependent_channels(rng):
    """It is exact where all thresholds move alike, however channels go together."""
    common = rng.gamma(1, size=(1000, 1))
    X = common * [1.0, 2.0, 3.0]
    fitted = ReconstructionThreshold(channels="each", quantile=0.99).fit(X)
    other = fitted.with_threshold(quantile=0.8)
    expected = np.median(-other.score_samples(X))
    assert other.median_error_ == pytest.approx(expected, rel=1e-6)


def test_attributes_of_another_fit_are_gone(rng):
    X = rng.gamma(1, size=(200, 2))
    threshold = ReconstructionThreshold("pot", channels="each").fit(X)
    assert threshold.n_peaks_.shape == threshold.extremal_index_.shape == (2,)
    threshold.set_params(method="quantile").fit(X)
    assert not hasattr(threshold, "n_peaks_")
    assert not hasattr(threshold, "extremal_index_")
