# SPDX-License-Identifier: MIT
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tsanomaly._calibration import Calibration, LogCalibration

SCALES = pytest.mark.parametrize("scale", ["tail", "rank"])


def test_values_of_training_errors():
    errors = np.array([1.0, 2.0, 2.0, 5.0, 9.0])
    shares = np.array([0.1, 0.4, 0.4, 0.7, 0.9])
    np.testing.assert_allclose(Calibration(errors, "rank")(errors), shares)
    tail = Calibration(errors, "tail")(errors)
    np.testing.assert_allclose(tail, -np.log10(1 - shares))
    between = Calibration(errors, "rank")(np.array([1.5]))
    np.testing.assert_allclose(between, 0.25)


def test_a_level_is_a_share_of_rows(rng):
    training, new = rng.normal(size=(2, 100_000))
    level = Calibration(training, "tail")(new)
    for n in (1, 2, 3, 4):
        assert (level > n).mean() == pytest.approx(10.0**-n, rel=0.3 * n)


def test_the_tail_goes_on_as_its_distribution(rng):
    """One row in a million, learned from 20,000: exponential, and heavy-tailed."""
    light = Calibration(rng.exponential(size=20_000), "tail")
    assert light(np.array([6 * np.log(10)]))[0] == pytest.approx(6, abs=0.7)
    heavy = Calibration(rng.pareto(3, size=20_000), "tail")
    assert heavy(np.array([1e6 ** (1 / 3) - 1]))[0] == pytest.approx(6, abs=0.9)


numbers = st.floats(-1e12, 1e12) | st.integers(-3, 3).map(float)


@SCALES
@given(st.lists(numbers, min_size=1, max_size=60), st.lists(numbers, max_size=60))
@example(training=[2e-313], new=[])
def test_order_is_kept(scale, training, new):
    training = np.array(training)
    calibration = Calibration(training, scale)
    largest = np.abs(training).max()
    errors = np.unique(
        [*new, *training, *(training - 1e-9), training.max() + 1, 1e3 + 3 * largest]
    )
    values = calibration(errors)
    assert (values > 0).all()
    assert (np.diff(values) >= 0).all()
    apart = np.diff(errors) > 1e-6 * max(1.0, largest, np.abs(errors).max())
    assert (np.diff(values)[apart] > 0).all()


@SCALES
def test_strictly_increasing_beyond_the_training_errors(scale, rng):
    for errors in (rng.random(500), rng.pareto(1, size=500), np.zeros(50)):
        calibration = Calibration(errors, scale)
        beyond = errors.max() + np.geomspace(1e-3, 1e12, 500)
        assert (np.diff(calibration(beyond)) > 0).all()
        below = errors.min() - np.geomspace(1e-3, 1e12, 500)
        assert (np.diff(calibration(below)) < 0).all()
        assert (calibration(below) > 0).all()
        assert calibration(beyond[:1]) > calibration(errors).max()


@SCALES
def test_an_offset_changes_nothing(scale, rng):
    errors = rng.exponential(size=20_000)
    new = np.array([5.0, 15.0, 100.0])
    plain, shifted = (
        Calibration(offset + errors, scale)(offset + new) for offset in (0.0, 1e4)
    )
    np.testing.assert_allclose(shifted, plain, rtol=1e-6)


@SCALES
def test_many_errors_are_summarised(scale, rng):
    errors = rng.lognormal(size=200_000)
    calibration = Calibration(errors, scale)
    assert len(calibration.knots) <= 2000
    few, rank = Calibration(errors[:1000], scale), np.argsort(np.argsort(errors))
    assert len(few.knots) == 1000
    share = (rank + 0.5) / len(errors)
    exact = share if scale == "rank" else -np.log10(1 - share)
    np.testing.assert_allclose(calibration(errors), exact, rtol=0.01, atol=1e-3)


@SCALES
def test_missing_and_huge_errors(scale):
    calibration = Calibration(np.array([np.nan, 1.0, 2.0, np.nan]), scale)
    largest = np.finfo(np.float64).max
    values = calibration(np.array([np.nan, largest, -largest]))
    assert np.isnan(values[0])
    assert np.isfinite(values[1:]).all()
    beyond = Calibration(np.array([0.0, np.inf, 1e308, -np.inf]), scale)
    levels = beyond(np.array([-np.inf, 0.0, 1.0, np.inf]))
    assert np.isfinite(levels).all()
    assert levels.argmin() == 0
    assert levels.argmax() == 3
    with pytest.raises(ValueError, match="No training row has a score"):
        Calibration(np.array([np.nan]), scale)


def test_log_levels():
    errors = np.exp(np.random.default_rng(0).normal(size=(5001, 2)) * [1, 3]) * [1, 50]
    levels = LogCalibration(errors)(errors)
    np.testing.assert_allclose(np.median(levels, axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.quantile(levels, 0.99, axis=0), 1)
    # Beyond the training errors, levels are linear in the logarithm.
    worse = LogCalibration(errors)(np.exp([[10.0, 20], [20, 30], [30, 40]]))
    steps = np.diff(worse, axis=0)
    np.testing.assert_allclose(steps[0], steps[1], rtol=1e-3)


@pytest.mark.parametrize(
    "errors",
    [
        np.zeros(20),
        np.full(20, 3.0),
        np.r_[np.zeros(15), np.ones(5)],
        np.r_[1e300, 1.0],
    ],
    ids=["zero", "equal", "mostly zero", "huge"],
)
def test_log_levels_of_degenerate_errors(errors):
    calibration = LogCalibration(errors)
    with np.errstate(all="raise"):
        levels = calibration(np.array([0.0, 0.5, 2.0, 1e300, np.inf, np.nan]))
    assert np.isfinite(levels[:5]).all()
    assert (np.diff(levels[:4]) >= 0).all()
    assert levels[3] > levels[0]
    assert np.isnan(levels[5])
