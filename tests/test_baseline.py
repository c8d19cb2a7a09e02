# SPDX-License-Identifier: MIT
"""Windows relative to a trailing median."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.helpers import blending_detector, related
from tsanomaly import (
    EnsembleDetector,
    LSTMAutoencoderDetector,
    StreamingDetector,
    _network,
    load,
    save,
)
from tsanomaly import _residual_detector as residual_detector
from tsanomaly._context import get_context
from tsanomaly._views import Series
from tsanomaly._windows import trailing_median, trailing_medians

pytestmark = pytest.mark.network

SMALL = {"units": (4,), "epochs": 1, "random_state": 0}


def detector(*baseline, **params):
    return LSTMAutoencoderDetector((4, 8, *baseline), **SMALL, **params)


@pytest.fixture(scope="module")
def series():
    rng = np.random.default_rng(0)
    rows = np.arange(400)
    X = np.column_stack([np.sin(rows / 5), np.cos(rows / 5)])
    return X + 0.1 * rng.normal(size=X.shape)


@pytest.fixture(scope="module", params=["linear map", "network"])
def fitted(request, series):
    """A detector whose linear map alone counts, or whose network counts fully."""
    if request.param == "linear map":
        return detector(201).fit(series)
    model = blending_detector(window_size=(4, 8, 201)).fit(related(1000))
    assert (model.relation_gain_ > 0.5).all()
    assert (model.baseline_relation_gain_ > 0.25).all()
    return model


def naive_medians(X, n_rows, breaks):
    """One row after the other; rows before a stretch are 0, NaN does not count."""
    medians, first = np.zeros_like(X), 0
    for row in range(len(X)):
        if breaks[row]:
            first = row + 1
            continue
        rows = X[max(row - n_rows + 1, first) : row + 1]
        for channel in range(X.shape[1]):
            known = rows[~np.isnan(rows[:, channel]), channel]
            zeros = np.zeros(n_rows - len(rows))
            values = np.concatenate([zeros, known])
            medians[row, channel] = np.median(values) if len(values) else 0
    return medians


@pytest.mark.parametrize("n_rows", [2, 5, 12])
def test_medians_are_those_of_a_loop(n_rows):
    rng = np.random.default_rng(n_rows)
    X = rng.normal(size=(60, 2)).astype(np.float32)
    X[rng.random(X.shape) < 0.2] = np.nan
    X[10:25, 1] = np.nan
    breaks = np.zeros(60, dtype=bool)
    breaks[[0, 30, 31]] = True
    X[breaks] = np.nan
    expected = naive_medians(X, n_rows, breaks)
    np.testing.assert_allclose(trailing_medians(X, n_rows, breaks), expected, rtol=1e-6)
    some = np.array([1, 5, 24, 29, 40])
    found = trailing_medians(X, n_rows, breaks, some)[some]
    np.testing.assert_allclose(found, expected[some], rtol=1e-6)
    for row in some[:-1]:
        last = trailing_median(X[1 : row + 1], n_rows)
        np.testing.assert_allclose(last, expected[row], rtol=1e-6)


def test_scores_of_rows_streams_and_blocks_are_the_same(fitted, series, monkeypatch):
    X = series.copy()
    X[150:170, 1] = np.nan
    X[250] = np.nan
    scores = fitted.score_samples(X)
    assert np.isnan(scores).tolist() == [row == 250 for row in range(400)]
    rows = np.r_[3:400:7]
    np.testing.assert_allclose(fitted.score_rows(X, rows), scores[rows], rtol=1e-5)
    np.testing.assert_allclose(fitted.score_samples(X[:200]), scores[:200], rtol=1e-5)
    stream = StreamingDetector(fitted)
    singly = [stream.update(row)[0] for row in X]
    np.testing.assert_allclose(singly, scores, rtol=1e-5)
    monkeypatch.setattr(residual_detector, "_BLOCK", 64)
    np.testing.assert_allclose(fitted.score_samples(X), scores, rtol=1e-5)


def test_a_row_depends_on_its_context_only(fitted, series):
    assert fitted.n_context_ == 200
    assert fitted.n_start_up_ == 7
    assert get_context(make_pipeline(fitted)) == (200, 0, 7)
    whole = fitted.score_samples(series)
    rows = np.arange(210, 400, 13)
    pieces = [series[row - 200 : row + 1] for row in rows]
    scores = [fitted.score_samples(piece)[-1] for piece in pieces]
    np.testing.assert_allclose(scores, whole[rows], rtol=1e-5)
    shorter = [fitted.score_samples(piece[1:])[-1] for piece in pieces]
    assert not np.allclose(shorter, whole[rows], rtol=1e-6)


def test_without_a_baseline(series):
    plain = detector().fit(series)
    assert not hasattr(plain, "baseline_mean_")
    assert plain.n_context_ == plain.n_start_up_ == 7
    again = clone(plain).set_params(window_size=(4, 8, 41)).fit(series)
    assert again.baseline_mean_.shape == (16,)
    again.set_params(window_size=(4, 8)).fit(series)
    assert not hasattr(again, "baseline_mean_")
    np.testing.assert_array_equal(
        again.score_samples(series), plain.score_samples(series)
    )


def test_it_cannot_be_changed_after_fit(series):
    changed = detector(41).fit(series).set_params(window_size=(4, 8, 21))
    with pytest.raises(ValueError, match=r"window_size was changed from .* 41"):
        changed.score_samples(series)


@pytest.mark.parametrize("keep", ["pickle", "file"])
def test_it_is_kept(fitted, series, keep, tmp_path):
    if keep == "pickle":
        other = pickle.loads(pickle.dumps(fitted))
    else:
        save(fitted, tmp_path / "model.skops")
        other = load(tmp_path / "model.skops")
    np.testing.assert_array_equal(
        other.score_samples(series), fitted.score_samples(series)
    )


@pytest.mark.parametrize("row_error", ["last", "multiscale_centered", "overlap_mean"])
def test_every_rule(series, row_error):
    model = detector(41, row_error=row_error).fit(series)
    errors = model.transform(series)
    assert (errors >= 0).all()
    np.testing.assert_allclose(model.score_samples(series), -errors.mean(axis=1))
    assert np.corrcoef(model.reconstruct(series)[:, 0], series[:, 0])[0, 1] > 0.5


def drifting(rng, shift):
    """Normal rows, of which the last 1,200 leave the level of the others."""
    rows = np.arange(3000)
    X = np.column_stack([np.sin(rows / 5), np.cos(rows / 7)])
    X += 0.1 * rng.normal(size=X.shape)
    X[1800:] += shift * np.clip((rows[1800:] - 1800) / 600, 0, 1)[:, None]
    return X


def test_drift_flags_fewer_rows():
    X = drifting(np.random.default_rng(1), 0.7)
    flagged = [
        (detector(*baseline).fit(X[:1500]).predict(X[1500:]) == -1).mean()
        for baseline in ((), (201,))
    ]
    assert flagged[0] > 0.1
    assert flagged[1] < 0.7 * flagged[0]


def test_the_network_finds_broken_relations_of_a_machine_that_drifts():
    train, X = related(1000), related(2000, seed=1)
    broken = np.zeros(2000, dtype=bool)
    for start in range(300, 2000, 300):
        broken[start : start + 20] = True
        X[start : start + 20, 1] = X[start + 100 : start + 120, 1]
    X += np.linspace(0, 3, 2000)[:, None]
    found = [
        average_precision_score(
            broken,
            -blending_detector(window_size=sizes).fit(train).score_samples(X),
        )
        for sizes in [(4, 8), (4, 8, 201)]
    ]
    assert found[1] > 1.5 * found[0]


def test_the_network_ignores_a_baseline_that_hides_what_it_knows():
    """Relative to the median of few rows, the square is no longer that of the other."""
    train, X = related(1000), related(500, seed=1)
    with_baseline, plain = (
        blending_detector(window_size=sizes).fit(train) for sizes in [(4, 8, 9), (4, 8)]
    )
    assert np.median(with_baseline.baseline_relation_gain_) < 0.25
    np.testing.assert_array_equal(with_baseline.relation_gain_, plain.relation_gain_)
    np.testing.assert_allclose(
        with_baseline.score_samples(X), plain.score_samples(X), rtol=1e-6
    )


def test_a_new_level_is_normal_to_a_stream_at_once():
    X = drifting(np.random.default_rng(2), 0.0)
    X[2000:] += 4.0
    model = make_pipeline(StandardScaler(), detector(201)).fit(X[:1500])
    stream = StreamingDetector(model)
    stream.update_many(X[1500:2100])
    assert stream.update_many(X[2100:2150])[1].all()
    stream.accept_new_normal(X[2000:2150])
    assert stream.update_many(X[2150:2400])[1].mean() < 0.1


def test_an_ensemble_goes_by_start_up_rows(series):
    """All rows have fewer than 1,000 before them, and most set the threshold."""
    X = series.copy()
    X[:7] *= 4  # start-up rows
    ensemble = EnsembleDetector([("network", detector(1001))]).fit(X)
    assert (ensemble.n_context_, ensemble.n_start_up_) == (1000, 7)
    flagged = ensemble.predict(X) == -1
    assert flagged[7:].sum() <= 4


@pytest.mark.parametrize("sizes", [(4, 8, 1), (4, 8, 41, 2), (4, 8, 41.5)])
def test_sizes_that_are_none(sizes, series):
    with pytest.raises(ValueError, match="two or three of them"):
        LSTMAutoencoderDetector(sizes).fit(series)


def test_a_baseline_accuses_no_row_that_is_normal_without_it(series):
    """After a long fault, the baseline is that of the fault for a while."""
    X = np.concatenate([series, series])
    X[300:500, 0] += 4
    plain, with_baseline = (
        -detector(*baseline).fit(series).score_samples(X) for baseline in ((), (41,))
    )
    plain, with_baseline = np.log(np.expm1(plain)), np.log(np.expm1(with_baseline))
    assert (with_baseline <= np.maximum(plain, 0) + 0.5 / 3 + 1e-6).all()
    assert (with_baseline[330:480] < 0.9 * plain[330:480]).all()


def test_the_baseline_of_the_network_confirms_high_scores_only():
    train, X = related(1000), related(1000, seed=1)
    X += np.linspace(0, 2, 1000)[:, None]
    plain, with_baseline = (
        blending_detector(window_size=sizes).fit(train)
        for sizes in [(4, 8), (4, 8, 201)]
    )
    assert (with_baseline.relation_gain_ > 0.5).all()  # the linear map does not count
    plain, with_baseline = (
        np.log(np.expm1(-model.score_samples(X)))[7:]
        for model in (plain, with_baseline)
    )
    high = plain > 0.5
    np.testing.assert_allclose(with_baseline[~high], plain[~high], rtol=1e-5)
    assert (with_baseline[high] <= plain[high] + 1e-6).all()
    least = (2 * plain[high] + 0.5) / 3
    assert (with_baseline[high] >= least - 1e-6).all()
    assert (with_baseline[high] < 0.9 * plain[high]).mean() > 0.1


def test_the_network_runs_twice_for_rows_with_high_scores_only(monkeypatch):
    train, X = related(1000), related(500, seed=1)
    model = blending_detector(window_size=(4, 8, 201)).fit(train)
    runs, original = [], _network.Network.run

    def counted(self, weights, windows, rows):
        runs.append(len(rows))
        return original(self, weights, windows, rows)

    monkeypatch.setattr(_network.Network, "run", counted)
    levels = np.log(np.expm1(-model.score_samples(X)))
    of_all, of_some = runs
    assert of_all == 500
    assert 0 < of_some < 250
    assert of_some == (levels[7:] >= 0.5).sum()


def test_a_network_that_does_not_count_is_not_tested_with_a_baseline(series):
    model = detector(201).fit(series)
    assert np.median(model.relation_gain_) < 0.25
    assert (model.baseline_relation_gain_ == 0).all()


def test_medians_are_kept_for_rows_among_those_they_were_computed_of():
    X = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    breaks = np.zeros(60, dtype=bool)
    expected = trailing_medians(X, 9, breaks)
    series = Series(X, breaks, None)
    every = np.arange(60)
    for rows in (every[10:40], every[20:30], every[5:15], every[::2], None, every[3:5]):
        found = series.windows(4, 9, rows).baseline
        among = slice(None) if rows is None else rows
        np.testing.assert_array_equal(found[among], expected[among])
