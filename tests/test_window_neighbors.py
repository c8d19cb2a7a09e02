# SPDX-License-Identifier: MIT
import pickle
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import NearestNeighbors

from tests import reference
from tests.helpers import wave
from tsanomaly import (
    StreamingDetector,
    WindowNeighborsDetector,
    _memory,
    _neighbor_search,
    _neighbors,
    explain,
)
from tsanomaly._neighbor_search import NeighborSearch
from tsanomaly._neighbors import NeighborView, window_statistics

KINDS = ["scaled", "raw", "readings"]


def tiny(**parameters):
    """A detector of windows of 1, 4 and 16 rows, which keeps all of them."""
    parameters = {"window_size": 16, "random_state": 0, **parameters}
    return WindowNeighborsDetector(**parameters)


def with_gaps(n_timestamps=120, n_channels=3):
    """A series with breaks, and missing readings, also for longer than a window."""
    X = wave(n_timestamps, n_channels)
    X[[30, 31]] = np.nan
    X[0, 1] = X[32, 0] = X[50, 2] = np.nan
    X[70:90, 2] = np.nan
    return X


def statistics_of(window):
    """Mean, deviation, minimum, maximum and half the range of what was read."""
    columns = []
    for readings in window.T:
        known = readings[~np.isnan(readings)]
        low, high = (known.min(), known.max()) if len(known) else (np.nan, np.nan)
        mean, std = (known.mean(), known.std()) if len(known) else (np.nan, np.nan)
        columns.append([mean, std, low, high, (high - low) / 2])
    return np.transpose(columns)


@settings(max_examples=30)
@given(
    n_rows=st.integers(16, 40),
    share=st.sampled_from([0, 0.1, 0.8]),
    seed=st.integers(0, 99),
)
def test_statistics_match_the_loop(n_rows, share, seed):
    """Also where readings are missing, or all of a window are."""
    rng = np.random.default_rng(seed)
    block = rng.normal(size=(n_rows, 2)) + 100
    block[rng.random(block.shape) < share] = np.nan
    block[5:22, 1] = block[5:22, 1] if share < 0.8 else np.nan
    lengths = [1, 4, 16]
    for length, found in zip(lengths, window_statistics(block, lengths), strict=True):
        windows = [block[i : i + length] for i in range(n_rows - length + 1)]
        if length == 1:
            np.testing.assert_array_equal(found, windows)
        else:
            expected = [statistics_of(window) for window in windows]
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_statistics_of_large_readings_lose_nothing():
    block = wave(300, 2) * 1e-3 + 1e6
    *_, found = window_statistics(block, [1, 4, 16, 64, 256])
    np.testing.assert_allclose(found[:, 1], [block[i:][:256].std(0) for i in range(45)])


class Naive:
    """The whole detector, window by window; all training windows are kept."""

    def __init__(self, detector, X):
        kinds = detector.features
        kinds = [kinds] if isinstance(kinds, str) else kinds
        self.n_neighbors = detector.n_neighbors
        self.looks_ahead = detector.row_error == "multiscale_centered"
        self.center = np.nanmean(X, axis=0)
        self.pairs = [
            (length, kind)
            for length in detector.lengths_
            for kind in kinds
            if kind != "readings" or length <= 16
        ]
        longest = self._whole(X, max(detector.lengths_))
        self.known, self.scales = {}, {}
        for length, kind in self.pairs:
            rows = self._whole(X, length)
            features = np.array([self._features(X, t, length, kind) for t in rows])
            center = np.nan_to_num(
                reference.known_mean(features.reshape(len(rows), -1))
            )
            spread = np.ones(len(center))
            if kind == "scaled":
                flat = features.reshape(len(rows), -1)
                spread = np.sqrt(reference.known_mean((flat - center) ** 2))
                spread = np.where(spread > 1e-6, spread, 1)  # NaN: never read
            scaled = (features.reshape(len(rows), -1) - center) / spread
            scaled = np.nan_to_num(scaled).reshape(features.shape)
            readings = np.nan_to_num(X[rows] - self.center)
            self.known[length, kind] = rows, scaled, center, spread, readings
            distances = [self._search(X, t, length, kind)[0] for t in longest]
            self.scales[length, kind] = reference.logarithmic_scale(distances)

    def _whole(self, X, length):
        breaks = np.isnan(X).all(axis=1)
        return [
            t
            for t in range(length - 1, len(X))
            if not breaks[t - length + 1 : t + 1].any()
        ]

    def _features(self, X, t, length, kind):
        breaks = np.isnan(X).all(axis=1)
        window = reference.trailing_window(X - self.center, t, length, breaks)
        return window if kind == "readings" or length == 1 else statistics_of(window)

    def _search(self, X, t, length, kind):
        """Mean distance to the nearest, shares of the channels, and readings."""
        rows, windows, center, spread, readings = self.known[length, kind]
        features = self._features(X, t, length, kind)
        scaled = (features.ravel() - center) / spread
        limit = 50 if kind == "scaled" else 1e9
        scaled = np.clip(scaled, -limit, limit).reshape(features.shape)
        squared = (scaled - windows) ** 2
        total = np.nanmean(squared, axis=(1, 2)) * scaled.size
        # The nearest, and those that overlap with it, do not count.
        total[np.abs(np.array(rows) - rows[total.argmin()]) < length] = np.inf
        nearest = np.argsort(total, kind="stable")[: self.n_neighbors]
        squares = np.nansum(squared[nearest], axis=1).mean(axis=0)
        squares[np.isnan(features).all(axis=0)] = np.nan
        alike = np.where(np.isnan(squares), np.nan, 1)
        mean = np.nanmean(squares)
        share = squares / mean if mean > 0 else alike
        return np.sqrt(total[nearest]).mean(), share, readings[nearest].mean(axis=0)

    def _levels(self, X, t):
        """What counts: weights, shares, readings."""
        breaks = np.isnan(X).all(axis=1)
        n_before = len(X[:t]) - np.flatnonzero(np.r_[True, breaks[:t]])[-1]
        levels, counted = {}, []
        for length, kind in self.pairs:
            distance, share, reading = self._search(X, t, length, kind)
            level = levels[length, kind] = self.scales[length, kind](distance)
            if length > 1 and not self.looks_ahead:  # limited by its last quarter
                level = min(level, 1 + max(levels[length // 4, kind], 0) / 2)
            if n_before >= length - 1:
                counted.append((np.exp(2 * level), share, reading))
        return zip(*counted, strict=True)

    def _ahead(self, X, t):
        """Weights and shares of windows of several rows that start at a row."""
        breaks, weights, shares = np.isnan(X).all(axis=1), [], []
        for length, kind in self.pairs:
            end = t + length - 1
            if length > 1 and end < len(X) and not breaks[t : end + 1].any():
                distance, share, _ = self._search(X, end, length, kind)
                weights.append(np.exp(2 * self.scales[length, kind](distance)))
                shares.append(share)
        return weights, shares

    def errors(self, X):
        errors = np.full(X.shape, np.nan)
        for t in np.flatnonzero(~np.isnan(X).all(axis=1)):
            weights, shares, _ = map(list, self._levels(X, t))
            if self.looks_ahead:
                more_weights, more_shares = self._ahead(X, t)
                weights, shares = weights + more_weights, shares + more_shares
            level = np.log(np.mean(weights)) / 2
            shared = reference.joined_shares(shares, weights)
            errors[t] = np.log(1 + np.exp(level)) * shared
        return errors

    def expected(self, X):
        expected = np.full(X.shape, np.nan)
        for t in np.flatnonzero(~np.isnan(X).all(axis=1)):
            weights, _, readings = self._levels(X, t)
            expected[t] = np.average(readings, axis=0, weights=weights) + self.center
        return expected


@pytest.mark.parametrize("row_error", ["multiscale", "multiscale_centered"])
@pytest.mark.parametrize(
    ("features", "series_of"),
    [*((kind, with_gaps) for kind in KINDS), (("scaled", "raw"), wave)],
    ids=[*KINDS, "two kinds"],
)
def test_everything_matches_the_loop(features, series_of, row_error):
    """Of new rows and of training rows."""
    X, new = series_of(120, 3), with_gaps()[20:75]
    new[35:40, 1] += 3
    detector = tiny(features=features, n_neighbors=3, row_error=row_error).fit(X)
    assert detector.lengths_ == (1, 4, 16)
    assert detector.n_lookahead_ == (15 if "centered" in row_error else 0)
    naive = Naive(detector, X)
    expected = naive.errors(new)
    np.testing.assert_allclose(detector.transform(new), expected, rtol=5e-3, atol=1e-5)
    np.testing.assert_allclose(
        detector.score_samples(new),
        -np.ma.masked_invalid(expected).mean(axis=1),
        rtol=5e-3,
    )
    np.testing.assert_allclose(
        detector.reconstruct(new), naive.expected(new), atol=0.01
    )
    np.testing.assert_allclose(
        detector.fit_transform(X), naive.errors(X), rtol=5e-3, atol=1e-5
    )


@pytest.mark.parametrize("n_neighbors", [1, 5, 45])
@pytest.mark.parametrize("n_new", [1, 300])
def test_neighbors_are_those_of_scikit_learn(n_neighbors, n_new, rng):
    X, new = rng.normal(size=(903, 4)), rng.normal(size=(n_new, 4))
    detector = WindowNeighborsDetector(
        1, features="raw", n_neighbors=n_neighbors, contamination=0.1
    ).fit(X)
    search = NearestNeighbors(n_neighbors=n_neighbors + 1).fit(X)
    of_training = search.kneighbors(X)[0][:, 1:].mean(axis=1)  # without themselves
    distances, nearest = (found[:, 1:] for found in search.kneighbors(new))
    scale = reference.logarithmic_scale(of_training)
    errors = np.log1p(np.exp(scale(distances.mean(axis=1))))
    np.testing.assert_allclose(-detector.score_samples(new), errors, rtol=1e-3)
    np.testing.assert_allclose(
        detector.reconstruct(new), X[nearest].mean(axis=1), atol=1e-5
    )


@pytest.mark.parametrize("n_smallest", [1, 5, 8, 9])
@pytest.mark.parametrize("n_values", [499, 500, 1003])
def test_the_smallest_values_are_found(n_values, n_smallest, rng):
    """Also among many that are equal or infinite."""
    values = rng.integers(0, 20, size=(12, n_values)).astype(float)
    values[:, ::3] = np.inf
    values[0, 20:] = np.inf
    found = _neighbor_search._nearest(values.copy(), n_smallest)
    assert all(len(set(row)) == n_smallest for row in found.tolist())
    np.testing.assert_array_equal(
        np.sort(np.take_along_axis(values, found, axis=1), axis=1),
        np.sort(values, axis=1)[:, :n_smallest],
    )


def test_training_rows_score_like_new_ones():
    """Although a training window is its own nearest."""
    X = wave(1200)
    detector = WindowNeighborsDetector(64, random_state=0).fit(X[:600])
    scores = detector.score_samples(X)[63:]
    known, new = np.median(scores[:537]), np.median(scores[537:])
    assert abs(known - new) < 0.2 * abs(known)
    assert (detector.predict(X[:600])[63:] == -1).sum() <= 5  # of 537


def test_the_order_of_rows_counts_in_readings_alone(rng):
    """A series that goes on backwards has windows of the same statistics."""
    X = np.tile([[-1.5], [-0.5], [0.5], [1.5]], (60, 1))
    X += 0.05 * rng.normal(size=X.shape)
    new = X[::-1]
    for features, is_seen in (("readings", True), ("raw", False)):
        detector = tiny(features=features).fit(X)
        flagged = detector.predict(new)[15:] == -1
        assert flagged.mean() > 0.9 if is_seen else flagged.mean() < 0.05


@pytest.mark.parametrize("features", [*KINDS, ("scaled", "raw")], ids=str)
def test_the_channel_at_fault_is_named(features):
    X = wave(1000, 4)
    detector = WindowNeighborsDetector(64, features=features, random_state=0)
    detector.fit(X[:700])
    spoilt = X[700:].copy()
    spoilt[100:110, 2] += 4
    assert detector.score_samples(spoilt).argmin() in range(100, 125)
    assert (detector.predict(spoilt)[100:110] == -1).all()
    assert (detector.transform(spoilt)[100:110].argmax(axis=1) == 2).all()
    events = explain(detector, spoilt)
    event = events.loc[events["score"].idxmin()]
    assert event["channels"][0] == 2
    assert event["expected"] < event["reading"]


def test_a_channel_that_hardly_moves_counts_if_it_is_scaled():
    X = wave(600) * [1, 0.02]
    spoilt = X[400:].copy()
    spoilt[100:110, 1] += 0.05
    seen = {}
    for kind in ("scaled", "raw"):
        detector = tiny(features=kind).fit(X[:400])
        before, after = detector.transform(X[400:]), detector.transform(spoilt)
        seen[kind] = (after - before)[100:110].sum(axis=1)
    assert (seen["scaled"] > 3 * seen["raw"]).all()


def test_reconstruct_returns_readings_in_their_unit():
    X = wave(600) * 5 + [1000, -300]
    detector = tiny().fit(X)
    expected = detector.reconstruct(X)
    assert expected.shape == X.shape
    assert ((expected >= X.min(axis=0)) & (expected <= X.max(axis=0))).all()
    assert np.abs(expected - X).mean() < 1
    spoilt = X.copy()
    spoilt[300, 0] += 500
    assert detector.reconstruct(spoilt)[300, 0] <= X[:, 0].max()


@pytest.mark.parametrize(
    ("window_size", "stretches", "lengths"),
    [
        (256, (2048,), (1, 4, 16, 64, 256)),
        (255, (2048,), (1, 4, 16, 64)),
        (256, (2047,), (1, 4, 16, 64)),  # up to an eighth of the rows
        (256, (512,), (1, 4, 16, 64)),
        (256, (256,), (1, 4, 16, 64)),  # a quarter of fewer than 512
        (16, (64,), (1, 4, 16)),
        (16, (63,), (1, 4)),
        (16, (15, 15, 15), (1,)),  # of the longest stretch
        (16, (15, 16, 15), (1, 4)),
        (1, (100,), (1,)),
        (256, (7,), (1,)),
    ],
)
def test_the_lengths_of_windows(window_size, stretches, lengths):
    X = np.concatenate([[*wave(n, 1), [np.nan]] for n in stretches])[:-1]
    detector = WindowNeighborsDetector(window_size, random_state=0).fit(X)
    assert detector.lengths_ == lengths
    assert detector.n_context_ == lengths[-1] - 1
    assert detector.n_lookahead_ == 0
    scores = detector.score_samples(X)
    np.testing.assert_array_equal(np.isnan(scores), np.isnan(X[:, 0]))


def test_readings_are_compared_in_short_windows_only():
    X = wave(1500)
    detector = WindowNeighborsDetector(features="readings", random_state=0).fit(X)
    assert detector.lengths_ == (1, 4, 16)
    assert detector.n_context_ == 15


@pytest.mark.parametrize("n_rows", [7, 10, 20])
@pytest.mark.parametrize("features", [*KINDS, ("scaled", "raw")], ids=str)
def test_short_series(n_rows, features, series):
    X = series[:n_rows]
    detector = WindowNeighborsDetector(features=features, random_state=0).fit(X)
    assert np.isfinite(detector.score_samples(series)).all()
    assert (detector.transform(series) >= 0).all()
    assert np.isfinite(detector.reconstruct(series)).all()
    assert (detector.predict(X) == -1).sum() <= 2


def test_fewer_rows_than_neighbours(series):
    with pytest.raises(ValueError, match=r"n_neighbors=5 .* 7 rows, .*n_samples=6"):
        WindowNeighborsDetector().fit(series[:6])


def test_a_stream_scores_a_channel_of_two_levels_as_the_batch(rng):
    """In single precision, little noise beside two levels would be lost."""
    time = np.arange(700)
    X = np.column_stack([time % 200 > 100, time % 300 > 100]) * 2.0
    X += 1e-4 * rng.normal(size=X.shape)
    detector = WindowNeighborsDetector(4, random_state=0).fit(X[:500])
    stream = StreamingDetector(detector)
    scores = [stream.update(row)[0] for row in X[500:]]
    np.testing.assert_allclose(scores, detector.score_samples(X[500:]), rtol=1e-9)
    distances = NearestNeighbors(n_neighbors=6).fit(X[:500]).kneighbors(X[500:])[0]
    single = WindowNeighborsDetector(1, features="raw").fit(X[:500])
    order = np.argsort(distances[:, 1:].mean(axis=1))
    errors = -single.score_samples(X[500:])[order]
    assert (np.diff(errors) > -0.01).all()  # readings are rounded to float32


@pytest.mark.parametrize("features", [*KINDS, ("scaled", "raw")], ids=str)
def test_constant_channels(features):
    X = np.column_stack([wave(300, 1), np.full(300, 7.0)])
    detector = tiny(features=features).fit(X)
    assert (detector.predict(X) == -1).mean() < 0.02
    other = X.copy()
    other[200:204, 1] += 5
    assert (detector.predict(other)[200:204] == -1).all()
    assert (detector.transform(other)[200:204].argmax(axis=1) == 1).all()
    idle = np.full((100, 2), 3.0)
    detector.fit(idle)
    assert (detector.predict(idle) == 1).all()
    np.testing.assert_allclose(detector.reconstruct(idle), idle)
    assert (detector.predict(idle + 1) == -1).all()


def test_a_missing_reading_is_never_normal():
    X = with_gaps()
    missing, breaks = np.isnan(X), np.isnan(X).all(axis=1)
    partly = missing & ~breaks[:, None]
    ignoring = tiny().fit(X)
    marking = clone(ignoring).set_params(missing="anomaly").fit(X)
    assert marking.offset_ == ignoring.offset_
    scores, errors, marked = (
        ignoring.score_samples(X),
        ignoring.transform(X),
        marking.transform(X),
    )
    np.testing.assert_array_equal(np.isnan(scores), breaks)
    np.testing.assert_array_equal(np.isnan(marked), np.tile(breaks[:, None], 3))
    # A channel has no error where none of its windows that count holds a reading.
    assert np.isfinite(errors[~missing]).all()
    assert np.isnan(errors[85:90, 2]).all()
    assert np.isnan(errors[0, 1])
    assert np.isnan(errors[32, 0])
    np.testing.assert_array_equal(marked[~partly], errors[~partly])
    assert (marked[partly] > -2 * np.nanmin(scores)).all()
    assert (marking.predict(X)[partly.any(axis=1)] == -1).all()


@pytest.mark.parametrize("features", KINDS)
def test_a_channel_that_is_missing_in_scoring_only(features):
    X = wave(300, 3)
    detector = tiny(features=features).fit(X)
    silent = X.copy()
    silent[:, 1] = np.nan
    errors = detector.transform(silent)
    assert np.isnan(errors[:, 1]).all()
    assert np.isfinite(errors[:, [0, 2]]).all()
    # What was read is as normal as before.
    assert (detector.predict(silent) == -1).mean() < 0.05
    spoilt = silent.copy()
    spoilt[100:110, 2] += 4
    assert (detector.predict(spoilt)[100:110] == -1).all()
    assert (detector.transform(spoilt)[100:110, 2] > errors[100:110, 2]).all()
    assert not np.isnan(detector.reconstruct(silent)).any()


def test_a_stretch_scores_as_if_alone():
    X = with_gaps()
    detector = tiny().fit(X)
    scores = detector.score_samples(X)
    for stretch in (slice(0, 30), slice(32, 120)):
        alone = detector.score_samples(X[stretch])
        np.testing.assert_allclose(scores[stretch], alone, rtol=1e-5)


@pytest.fixture(scope="module")
def streamed():
    """A detector of two kinds, shared: do not change it."""
    return tiny(features=("raw", "readings")).fit(wave(200, 3))


@settings(max_examples=10)
@given(begin=st.integers(0, 90), length=st.integers(1, 20))
def test_rows_and_streams_score_as_the_whole(streamed, begin, length):
    X = with_gaps()
    scores = streamed.score_samples(X)
    rows = np.arange(begin, begin + length)
    np.testing.assert_allclose(streamed.score_rows(X, rows), scores[rows], rtol=1e-4)
    stream = StreamingDetector(streamed)
    _ = stream.update_many(X[:begin]) if begin else None
    one_by_one = [stream.update(row)[0] for row in X[rows]]
    np.testing.assert_allclose(one_by_one, scores[rows], rtol=1e-4)


@pytest.mark.parametrize("row_error", ["multiscale", "multiscale_centered"])
def test_blocks_are_scored_as_one(row_error, monkeypatch):
    X = np.concatenate([with_gaps(), with_gaps()])
    detector = tiny(row_error=row_error).fit(X)
    errors = detector.transform(X)
    monkeypatch.setattr("tsanomaly._residual_detector._BLOCK", 50)
    monkeypatch.setattr("tsanomaly._neighbors._BLOCK", 30)
    monkeypatch.setattr("tsanomaly._neighbors._SHORTEST_BLOCK", 30)
    monkeypatch.setattr("tsanomaly._neighbors._BATCH", 7)
    np.testing.assert_allclose(detector.transform(X), errors, rtol=1e-4)
    again = clone(detector).fit(X)
    np.testing.assert_allclose(again.offset_, detector.offset_, rtol=1e-4)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_contamination_flags_the_stated_share_of_training_rows(share, series):
    flagged = tiny(contamination=share).fit_predict(series) == -1
    assert flagged.sum() == int(share * len(series))


@pytest.mark.parametrize("n_train", [400, 512, 1000, 1500])
def test_a_machine_that_stands_still_is_flagged(n_train, rng):
    """Single rows do not show it, and the threshold is high after few rows."""
    time = 2 * np.pi * np.arange(n_train + 700) / 60
    X = np.column_stack([np.sin(time), np.cos(time)])
    X[-300:] = X[-300]
    X += 0.02 * rng.normal(size=X.shape)
    detector = WindowNeighborsDetector(random_state=0).fit(X[:n_train])
    flagged = detector.predict(X[n_train:]) == -1
    assert flagged[-200:].all()
    if n_train >= 512:
        assert flagged[:400].mean() < 0.03


def test_few_fresh_rows_are_flagged(rng):
    X = rng.normal(size=(4000, 2))
    for t in range(1, len(X)):
        X[t] = 0.8 * X[t - 1] + 0.6 * X[t]
    detector = WindowNeighborsDetector(64, random_state=0).fit(X[:2000])
    assert (detector.predict(X[2000:]) == -1).mean() < 0.03


def test_fitting_and_scoring_at_once(series):
    detector = tiny().fit(series)
    np.testing.assert_array_equal(
        tiny().fit_transform(series), detector.transform(series)
    )
    np.testing.assert_array_equal(tiny().fit_predict(series), detector.predict(series))


@pytest.mark.parametrize("most_tested", [2000, 50])
def test_few_training_rows_are_searched_for_once(most_tested, series, monkeypatch):
    """Their distances set the scale, and are their errors; as if searched for again."""
    counts = []
    search = NeighborSearch.search

    def counting(self, features, *arguments):
        counts.append(len(features))
        return search(self, features, *arguments)

    monkeypatch.setattr(_neighbors, "_MOST_TESTED", most_tested)
    monkeypatch.setattr(NeighborSearch, "search", counting)
    detector = tiny()
    errors = detector.fit_transform(series)
    n_searches = len(detector.lengths_) * len(detector.features)
    n_searched = len(series) + (0 if most_tested >= len(series) else most_tested)
    assert sum(counts) == n_searches * n_searched
    np.testing.assert_array_equal(errors, detector.transform(series))


def test_models_of_halves_take_the_scales_of_the_whole(monkeypatch):
    """A series of more rows than the halves need; the scales are learned once."""
    calls = []
    calibrate = NeighborView.calibrate
    monkeypatch.setattr(
        NeighborView,
        "calibrate",
        lambda self, *arguments: calls.append(self) or calibrate(self, *arguments),
    )
    detector = tiny(max_samples=50)
    _, held_out = detector._fit_held_out(wave(1200, 2))
    assert held_out is not None
    assert len(calls) == 1


def test_seeds_choose_the_windows(series):
    few = tiny(max_samples=20, n_neighbors=2)
    before = np.random.get_state()[1].copy()
    scores = [
        clone(few).set_params(random_state=seed).fit(series).score_samples(series)
        for seed in (0, 0, 1, None, None)
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    for one, other in ((0, 2), (0, 3), (3, 4)):
        assert (scores[one] != scores[other]).any()
    assert (np.random.get_state()[1] == before).all()
    # A generator goes on.
    generator = np.random.RandomState(0)
    one, other = (
        clone(few).set_params(random_state=generator).fit(series).offset_
        for _ in range(2)
    )
    assert one != other
    # Where all are kept, there is no choice.
    one, other = (
        tiny(random_state=s).fit(series).score_samples(series) for s in (0, 1)
    )
    np.testing.assert_array_equal(one, other)


def test_kinds_may_be_repeated_and_listed(series):
    expected = tiny(features="raw").fit(series).score_samples(series)
    for features in (("raw",), ["raw"], ("raw", "raw")):
        found = tiny(features=features).fit(series).score_samples(series)
        np.testing.assert_array_equal(found, expected)


def test_copies_score_the_same(series):
    detector = tiny().fit(series)
    scores = detector.score_samples(series)
    for copy in (pickle.loads(pickle.dumps(detector)), clone(detector).fit(series)):
        np.testing.assert_array_equal(copy.score_samples(series), scores)


def test_readings_may_be_huge(series):
    detector = tiny(features=KINDS).fit(series)
    for value in (1e9, 1e30):
        spoilt = series.copy()
        spoilt[100, 0] = value
        scores = detector.score_samples(spoilt)
        assert np.isfinite(scores).all()
        assert scores.argmin() in range(100, 116)
        assert detector.predict(spoilt)[100] == -1


def test_unscaled_input_warns(series):
    with pytest.warns(UserWarning, match="Scale the series"):
        tiny().fit(series * [1, 1e4])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny().fit(series)


def test_frames_keep_their_names(series):
    frame = pd.DataFrame(series, columns=["flow", "pressure"])
    detector = tiny().set_output(transform="pandas").fit(frame)
    errors = detector.transform(frame)
    assert list(errors.columns) == ["flow", "pressure"]
    np.testing.assert_array_equal(errors, tiny().fit(series).transform(series))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("window_size", 4),
        ("features", "raw"),
        ("n_neighbors", 2),
        ("row_error", "multiscale_centered"),
    ],
)
def test_parameters_changed_after_fit_are_refused(name, value, series):
    detector = tiny().fit(series)
    expected = detector.score_samples(series)
    detector.set_params(max_samples=5, contamination=0.2, random_state=5)
    np.testing.assert_array_equal(detector.score_samples(series), expected)
    detector.set_params(**{name: value})
    for method in ("predict", "transform", "reconstruct"):
        with pytest.raises(ValueError, match=f"{name} was changed from .* Refit"):
            getattr(detector, method)(series)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"features": "mean"}, r"'features' .*'scaled', 'raw', 'readings'.*Got 'mean'"),
        ({"features": ()}, r"'features' parameter .* Got \(\) instead.*use"),
        ({"features": ("raw", "mean")}, r"'features' parameter .* Got \('raw', 'mean'"),
        ({"features": 3}, "'features' parameter"),
        ({"window_size": 0}, "'window_size' parameter"),
        ({"window_size": 8.0}, "'window_size' parameter"),
        ({"n_neighbors": 0}, "'n_neighbors' parameter"),
        ({"max_samples": 0}, "'max_samples' parameter"),
        ({"missing": "drop"}, "'missing' parameter"),
        ({"contamination": 0.6}, "'contamination' parameter"),
    ],
)
def test_bad_parameters(parameters, message, series):
    detector = tiny(**parameters)
    with pytest.raises(ValueError, match=message):
        detector.fit(series)
    assert not any(name.endswith("_") for name in vars(detector))
    with pytest.raises(NotFittedError):
        detector.score_samples(series)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda X: X * np.nan, "200 training rows is NaN in every"),
        (lambda X: X * [np.nan, 1], "no readings in the column at position 0"),
        (lambda X: np.where(X > 1.4, np.inf, X), "infinity in the column at"),
        (lambda X: X[0], "Expected 2D array"),
    ],
)
def test_a_series_that_cannot_be_learned(spoil, message, series):
    detector = tiny().fit(series)
    expected = detector.score_samples(series)
    with pytest.raises(ValueError, match=message):
        detector.fit(spoil(series))
    np.testing.assert_array_equal(detector.score_samples(series), expected)


def test_what_does_not_fit_into_memory(monkeypatch):
    """It is refused before memory is taken."""
    monkeypatch.setattr(_memory, "available_memory", lambda: 10**8)
    X = np.zeros((20_000, 20), np.float32)
    tracemalloc.start()
    with pytest.raises(MemoryError, match=r"20 channels with 20,000 .*Lower max_sampl"):
        WindowNeighborsDetector(max_samples=20_000).fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * X.nbytes


@pytest.mark.parametrize("features", [("scaled", "raw"), "readings"])
def test_wide_series_take_no_more_memory_than_estimated(features):
    """And no more for more rows: features are computed for fewer of them at a time."""
    X = np.random.default_rng(0).normal(size=(1500, 150)).astype(np.float32)
    detector = tiny(max_samples=100, features=features)
    tracemalloc.start()
    detector.fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    kinds = detector._kinds()
    estimate, of_longer = (
        NeighborView.memory((n, 150), kinds, detector.lengths_, 100, 5)
        for n in (len(X), 10**6)
    )
    of_errors = 3 * 8 * X.size  # not counted: as long as the series
    assert peak < estimate + of_errors + 4 * X.nbytes
    assert of_longer == estimate < 1e9


def test_more_windows_than_there_are_take_no_memory(series, monkeypatch):
    monkeypatch.setattr(_memory, "available_memory", lambda: 10**9)
    detector = tiny(max_samples=10**7).fit(series)
    np.testing.assert_array_equal(
        detector.score_samples(series), tiny().fit(series).score_samples(series)
    )


@pytest.mark.parametrize("name", ["center_", "offset_", "references"])
def test_a_state_that_holds_nan_is_refused(name, series):
    detector = tiny().fit(series)
    if name == "references":
        detector._rules[0].references[0, 0] = np.nan
    else:
        setattr(detector, name, getattr(detector, name) * np.nan)
    with pytest.raises(ValueError, match=f"{name} of the .* contains NaN.* Refit it"):
        detector.score_samples(series)
