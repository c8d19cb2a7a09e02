# SPDX-License-Identifier: MIT
import numpy as np
import pytest

from tests.helpers import tiny_detector, wave
from tsanomaly._means import limit_of_rows, means_by_length, trailing_means_by_length
from tsanomaly._residuals import Residuals
from tsanomaly._row_errors import RULES, levels_of_rows, multiscale_errors, share_out
from tsanomaly._windows import TrailingWindows


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


def test_the_limit(rng):
    errors = rng.exponential(size=(100, 10))
    high = np.quantile(errors, 0.99)
    assert limit_of_rows(errors) == pytest.approx(3 * high)


def test_the_limit_of_machines_that_stand_still():
    assert limit_of_rows(np.zeros((5, 4))) == np.inf
    mostly = np.zeros((10, 10))
    mostly[0] = 1.0
    assert limit_of_rows(mostly) == 3


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


def test_levels_that_are_not_known_count_for_nothing(rng):
    levels = rng.normal(size=(4, 3))
    known, _ = levels_of_rows(levels[:, 1:])
    levels[:2, 0] = np.nan
    levels[2] = np.nan
    levels[3, -1] = np.nan  # of the row itself
    level, parts = levels_of_rows(levels)
    np.testing.assert_allclose(level[:2], known[:2])
    assert np.isnan(level[2:]).all()
    assert (parts[:2, 0] == 0).all()
    np.testing.assert_allclose(parts.sum(axis=1), 1)


@pytest.mark.parametrize("first_rows", [None, np.zeros(6, dtype=int)])
def test_means_that_are_not_known_are_left_out(first_rows, rng):
    """As in the first rows, of which forecasts know more and more."""
    levels, shares = rng.normal(size=(6, 3)), np.ones((6, 3, 1))
    for row, length in ((0, 2), (0, 4), (1, 4), (2, 4)):
        levels[row, {4: 0, 2: 1}[length]] = np.nan
    errors = multiscale_errors(levels, shares, window_size=4, first_rows=first_rows)
    for t, (error,) in enumerate(errors):
        if first_rows is None:
            before = [v for v in counted(levels[t], [4, 2, 1]) if not np.isnan(v)]
            ahead = []
        else:
            before = levels[t, ~np.isnan(levels[t])]
            ahead = [levels[min(t + 3, 5), 0], levels[min(t + 1, 5), 1]]
        assert error == pytest.approx(error_of_levels(before, ahead))


def test_the_length_that_raised_the_error_decides_on_the_channels():
    shares = np.array([[[2.0, 0.0], [0.0, 2.0]]]).repeat(3, axis=0)
    levels = np.array([[9.0, 9.0], [9.0, 8.0], [0.0, 9.0]])
    errors = share_out(levels, shares)
    squares = np.exp(levels) ** 2 * [1, 3]
    expected = squares / squares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(errors / errors.sum(axis=1, keepdims=True), expected)
    level = np.log(squares.sum(axis=1) / 4) / 2
    np.testing.assert_allclose(errors.mean(axis=1), np.log1p(np.exp(level)))


def counted(levels, lengths):
    """The levels of means of so many rows, as far as those of half as many allow."""
    most = [0.5 + 1.5 * max(level, 0) for level in levels[1:]]
    return [
        level if length == 1 else min(level, most[i])
        for i, (level, length) in enumerate(zip(levels, lengths, strict=True))
    ]


def error_of_levels(before, after):
    """Of those that count once, the last three times: log(1 + root mean square)."""
    squares = [np.exp(2 * level) for level in [*before, before[-1], before[-1], *after]]
    return np.log(1 + np.sqrt(np.mean(squares)))


def test_a_mean_counts_as_far_as_its_later_half_bears_it_out(rng):
    levels = rng.normal(scale=3, size=(60, 4))
    shares = np.ones((60, 4, 1))
    errors = multiscale_errors(levels, shares, window_size=8)
    for row, error in zip(levels, errors, strict=True):
        expected = error_of_levels(counted(row, [8, 4, 2, 1]), [])
        assert error[0] == pytest.approx(expected)


def test_what_is_over_does_not_raise_the_rows_after_it():
    """Though their longer means are filled by it."""
    levels = np.array([[6.0, 6.0, 6.0, 6.0], [6.0, 6.0, 6.0, -0.5], [6, -0.5, -0.5, 0]])
    during, next_row, later = multiscale_errors(
        levels, np.ones((3, 4, 1)), window_size=8
    )
    assert during > 6
    assert next_row < 5.5
    assert later < 1


class Nothing:
    """A model that expects zeros: residuals are readings."""

    forecasts = False
    n_rows = 4

    def run(self, windows, rows, n_last):
        for start in range(0, len(rows), 10):
            batch = rows[start : start + 10]
            actual = windows.take(batch)
            yield batch, actual, np.zeros_like(actual)


def residuals_of(X):
    model, breaks = Nothing(), np.isnan(X).all(axis=1)
    return Residuals(model, TrailingWindows(X, 4, breaks), n_context=3)


def assert_same_scale(one, other, X):
    errors, same = one.errors(residuals_of(X)), other.errors(residuals_of(X))
    np.testing.assert_array_equal(errors, same)
    of_rows = errors.mean(axis=1)
    np.testing.assert_array_equal(one.levels(of_rows), other.levels(of_rows))


@pytest.mark.parametrize("name", RULES)
def test_the_scale_of_a_rule_is_that_of_some_rows(name, rng):
    X = rng.normal(size=(200, 2))
    X[50] = np.nan
    rows = np.r_[80:160]
    rule = RULES[name](window_size=4)
    errors = rule.fit(residuals_of(X), rows)
    np.testing.assert_array_equal(errors, rule.errors(residuals_of(X)))
    levels = rule.levels(errors.mean(axis=1))
    assert np.isnan(levels[50])
    if name.startswith("multiscale"):  # made of several levels
        np.testing.assert_allclose(np.log1p(np.exp(levels)), errors.mean(axis=1))
    else:
        assert np.median(levels[rows]) == pytest.approx(0, abs=0.01)
        assert np.quantile(levels[rows], 0.99) == pytest.approx(1, abs=0.01)
    # Rows farther from these than a window are no part of it.
    spoilt = X.copy()
    spoilt[:70] *= 30
    spoilt[170:] *= 30
    again = RULES[name](window_size=4)
    again.fit(residuals_of(spoilt), rows)
    assert_same_scale(again, rule, X)


@pytest.mark.parametrize("name", ["multiscale", "last", "window_mean"])
def test_the_scale_leaves_padded_windows_out(name, rng):
    X = rng.normal(size=(60, 2))
    X[0] *= 1000
    given, whole = RULES[name](window_size=4), RULES[name](window_size=4)
    given.fit(residuals_of(X), np.arange(60))
    whole.fit(residuals_of(X), np.arange(3, 60))
    assert_same_scale(given, whole, X)
    of_padded = RULES[name](window_size=4)  # there are no others: it is that of all
    errors = of_padded.fit(residuals_of(X), np.arange(3))
    assert_same_scale(of_padded, whole, X)
    np.testing.assert_array_equal(np.isnan(errors).all(axis=1), np.arange(60) < 3)


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


@pytest.mark.parametrize("window_size", [2, 7, 80])
@pytest.mark.parametrize("missing", [None, "rows", "readings"])
@pytest.mark.parametrize("limit", [np.inf, 2.0])
def test_means_of_shared_rows_are_those_of_windows(window_size, missing, limit, rng):
    squared = rng.exponential(size=(200, 3))
    squared[150] *= 1000
    if missing:
        squared[[0, 1, 90]] = np.nan
    if missing == "readings":
        squared[rng.random(squared.shape) < 0.1] = np.nan
        squared[100:190, 1] = np.nan
    found = trailing_means_by_length(squared, window_size, limit)
    windows = np.lib.stride_tricks.sliding_window_view(squared, window_size, axis=0)
    expected = means_by_length(windows.swapaxes(1, 2), limit)
    np.testing.assert_allclose(found[window_size - 1 :], expected, rtol=1e-12)
    assert np.isnan(found[: window_size - 1, 0]).all()


def test_a_series_shorter_than_a_window_has_only_short_means(rng):
    squared = rng.exponential(size=(3, 2))
    means = trailing_means_by_length(squared, 16, np.inf)
    assert np.isnan(means[:, :3]).all()  # 16, 8 and 4 rows
    np.testing.assert_allclose(means[1:, 3], (squared[1:] + squared[:-1]) / 2)
    np.testing.assert_array_equal(means[:, 4], squared)
