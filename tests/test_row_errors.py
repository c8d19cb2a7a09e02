# SPDX-License-Identifier: MIT
import numpy as np
import pytest

from tests.helpers import tiny_detector, wave
from tsanomaly._row_errors import (
    Multiscale,
    levels_of_rows,
    limit_of_rows,
    means_by_length,
    share_out,
)


@pytest.mark.parametrize("missing", [False, True])
def test_a_row_counts_with_the_limit_in_means_over_several(missing, rng):
    squared = rng.exponential(size=(5, 11, 3))
    squared[1, 4] *= 1000
    squared[2, -1] *= 1000
    if missing:
        squared[1, 4, 0] = squared[3, :, 2] = squared[4, 10, 1] = np.nan
    limit = 2.0
    means = means_by_length(squared.copy(), limit)
    for window, by_length in zip(squared, means, strict=True):
        rows = [row * min(1, limit / np.nanmean(row)) for row in window]
        np.testing.assert_allclose(by_length[-1], window[-1])  # the row itself
        for length, mean in zip([11, 5, 2], by_length[:-1], strict=True):
            for channel in range(3):
                values = np.array(rows)[-length:, channel]
                known = values[~np.isnan(values)]
                expected = known.mean() if len(known) else np.nan
                assert mean[channel] == pytest.approx(expected, nan_ok=True)


def test_without_a_limit_all_counts(rng):
    squared = rng.exponential(size=(4, 8, 2))
    squared[0, 3] = 1e12
    means = means_by_length(squared, np.inf)
    for i, length in enumerate([8, 4, 2, 1]):
        np.testing.assert_allclose(means[:, i], squared[:, -length:].mean(axis=1))


def test_the_limit_rises_with_drift(rng):
    errors = rng.exponential(size=(100, 10))
    high = np.quantile(errors, 0.99)
    assert limit_of_rows(errors, 0.0) == pytest.approx(3 * high)
    # A level is the way from the median to the 99 % quantile, in logarithms.
    one_level = high / np.median(errors)
    assert limit_of_rows(errors, 2.0) == pytest.approx(3 * high * one_level**2)


@pytest.mark.parametrize("allowance", [0.0, 1.0, 1e6])
def test_the_limit_of_machines_that_stand_still(allowance):
    assert limit_of_rows(np.zeros((5, 4)), allowance) == np.inf
    mostly = np.zeros((10, 10))
    mostly[0] = 1.0
    assert 3 <= limit_of_rows(mostly, allowance) < np.inf


def test_the_highest_levels_count_most(rng):
    levels = rng.normal(size=(50, 6))
    level, parts = levels_of_rows(levels)
    squares = np.exp(levels) ** 2
    squares = np.hstack([squares, squares[:, -1:], squares[:, -1:]])
    np.testing.assert_allclose(np.exp(level), np.sqrt(squares.mean(axis=1)))
    np.testing.assert_allclose(parts.sum(axis=1), 1)
    weighted = np.average(levels, axis=1, weights=[1, 1, 1, 1, 1, 3])
    assert (weighted < level).all()
    assert (level <= levels.max(axis=1)).all()
    # Where they are the same, so is the level.
    np.testing.assert_allclose(levels_of_rows(np.full((1, 4), 1.5))[0], 1.5)
    # All of a row rise together: so does its level.
    np.testing.assert_allclose(levels_of_rows(levels + 2.0)[0], level + 2)
    # Windows of one row have no other.
    np.testing.assert_allclose(levels_of_rows(levels[:, :1])[0], levels[:, 0])
    # What no exponential holds
    huge, _ = levels_of_rows(np.array([[-5000.0, 7000.0], [-5000.0, -7000.0]]))
    np.testing.assert_allclose(huge, [7000, -5000], atol=1)


def test_the_length_that_raised_the_error_decides_on_the_channels():
    shares = np.array([[[2.0, 0.0], [0.0, 2.0]]]).repeat(3, axis=0)
    levels = np.array([[9.0, 9.0], [9.0, 8.0], [0.0, 9.0]])
    errors = share_out(levels, shares)
    squares = np.exp(levels) ** 2 * [1, 3]
    expected = squares / squares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(errors / errors.sum(axis=1, keepdims=True), expected)
    level = np.log(squares.sum(axis=1) / 4) / 2
    np.testing.assert_allclose(errors.mean(axis=1), np.log1p(np.exp(level)))


def test_the_rise_of_normalised_scores_by_the_loop(rng):
    inside = rng.exponential(size=(80, 5))
    outside = inside * np.array([1, 1, 1, 2, 30])  # short means rise most
    squares = {"inside": [], "outside": []}
    for length in (5, 2, 1, 1, 1):
        learned = np.log(inside[:, -length:].mean(axis=1))
        centre, top = np.median(learned), np.quantile(learned, 0.99)
        for name, errors in (("inside", inside), ("outside", outside)):
            logs = np.log(errors[:, -length:].mean(axis=1))
            squares[name].append(np.exp((logs - centre) / (top - centre)) ** 2)
    levels = {name: np.log(np.mean(part, axis=0)) / 2 for name, part in squares.items()}
    expected = np.median(levels["outside"] - levels["inside"])
    rise = Multiscale(window_size=5).rise(inside, outside)
    assert rise == pytest.approx(expected, rel=0.02)  # but for a floor
    assert rise > 0.5


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_rows_beyond_the_look_ahead_change_nothing(stride):
    """Wherever the series ends: the last window of a stretch is not on the grid."""
    X = wave(60)
    X[23] = np.nan
    detector = tiny_detector(row_error="overlap_mean", stride=stride).fit(X)
    errors, expected = detector.transform(X), detector.reconstruct(X)
    assert (np.isnan(errors) == np.isnan(X)).all()
    for end in range(5, 60):
        known = max(end - detector.n_lookahead_, 0)
        prefix = detector.transform(X[:end])
        assert (np.isnan(prefix) == np.isnan(X[:end])).all()
        np.testing.assert_allclose(prefix[:known], errors[:known], rtol=1e-5)
        prefix = detector.reconstruct(X[:end])
        np.testing.assert_allclose(
            prefix[:known], expected[:known], rtol=1e-5, atol=1e-6
        )
