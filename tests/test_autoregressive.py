# SPDX-License-Identifier: MIT
import pickle
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from tests import reference
from tests.helpers import wave, whole_rows, with_start_up_rows
from tsanomaly import AutoregressiveDetector, StreamingDetector, _memory, explain

RULES = ["multiscale", "multiscale_centered", "last", "window_mean"]


def tiny(**parameters):
    """A detector for short series."""
    return AutoregressiveDetector(**{"lags": 2, "window_size": 4, **parameters})


def with_gaps(n_timestamps=90, n_channels=3):
    """A series with two breaks and missing readings, also after a break."""
    X = wave(n_timestamps, n_channels)
    X[[40, 41, 70]] = np.nan
    X[:2, 0] = X[10, 1] = X[42, 2] = np.nan
    X[20:28, 2] = np.nan
    return X


def inputs_of(detector, X, t, lags):
    """The centred rows before a row, on which its reading leaves no trace."""
    breaks = np.isnan(X).all(axis=1)
    before = reference.trailing_window(X, t, lags + 1, breaks)[:-1]
    return (reference.filler(detector)(before) - detector.center_).ravel()


def ridge(detector, X, lags, alpha):
    """Coefficients of each channel, from the rows that hold a reading of it."""
    columns = []
    for channel in range(X.shape[1]):
        rows = [t for t in range(len(X)) if not np.isnan(X[t, channel])]
        A = np.array([inputs_of(detector, X, t, lags) for t in rows])
        penalty = alpha * len(rows) * np.eye(A.shape[1])
        targets = X[rows, channel] - detector.center_[channel]
        columns.append(np.linalg.solve(A.T @ A + penalty, A.T @ targets))
    return np.column_stack(columns)


def forecasts_of(detector, X, number=0):
    """What one of the forecasts says of all rows, by the loop; NaN at breaks."""
    lags, expected = detector.lags_[number], np.full(X.shape, np.nan)
    for t in range(len(X)):
        if not np.isnan(X[t]).all():
            inputs = inputs_of(detector, X, t, lags)
            expected[t] = inputs @ detector.coefficients_[number] + detector.center_
    return expected


def errors_of(detector, X, number=0):
    """Errors of a training series by one of the forecasts, by the loop.

    NaN at breaks, and where a row that counts has fewer than `lags` rows before it.
    """
    residuals = X - forecasts_of(detector, X, number)
    rule, size = detector.row_error, detector.window_size
    breaks = np.isnan(X).all(axis=1)
    known = whole_rows(X, detector.lags_[number])
    residuals[~np.isin(np.arange(len(X)), known)] = np.nan

    def nothing(windows):
        return np.zeros_like(windows)

    if rule.startswith("multiscale"):
        return reference.multiscale_errors(
            residuals,
            nothing,
            size,
            whole_rows(X, detector.lags_[number] + size - 1),
            rule == "multiscale_centered",
            breaks,
            np.nan_to_num,
            forecasts=True,
        )
    size = 1 if rule == "last" else size
    return reference.row_errors(residuals, nothing, size, rule, breaks=breaks)


def joined(detector, X):
    """Errors of a training series by all forecasts, which count alike.

    NaN where one of them has none.
    """
    errors = [errors_of(detector, X, i) for i in range(len(detector.lags_))]
    of_rows = [np.nanmean(by_forecast, axis=1) for by_forecast in errors]
    if detector.row_error.startswith("multiscale"):
        levels = [np.log(np.expm1(mean)) for mean in of_rows]
    else:
        n_before = detector.window_size - 1 if detector.row_error != "last" else 0
        scales = [
            reference.logarithmic_scale(mean[whole_rows(X, lags + n_before)])
            for lags, mean in zip(detector.lags_, of_rows, strict=True)
        ]
        levels = [scale(mean) for scale, mean in zip(scales, of_rows, strict=True)]
    result = np.full(X.shape, np.nan)
    for t in np.flatnonzero(~np.isnan(of_rows).any(axis=0)):
        parts = [np.exp(2 * level[t]) for level in levels]
        shares = [
            by_forecast[t] / mean[t]
            for by_forecast, mean in zip(errors, of_rows, strict=True)
        ]
        level = np.log(np.mean(parts)) / 2
        result[t] = np.log(1 + np.exp(level)) * reference.joined_shares(shares, parts)
    return result


@pytest.mark.parametrize("series_of", [wave, with_gaps])
@pytest.mark.parametrize("alpha", [0.0, 0.01, 1.0])
def test_coefficients_are_those_of_ridge_regression(series_of, alpha):
    X = series_of(90, 3)
    detector = tiny(lags=(3, 1), alpha=alpha).fit(X)
    assert detector.lags_ == (1, 3)
    np.testing.assert_allclose(detector.center_, np.nanmean(X, axis=0))
    for lags, found in zip((1, 3), detector.coefficients_, strict=True):
        expected = ridge(detector, X, lags, alpha)
        assert found.shape == (3 * lags, 3)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_what_is_learned_is_not_read_off_the_row(rng):
    """Where the reading before it is missing, a row of noise is not its own input."""
    X = rng.normal(size=(2000, 2))
    X[::2, 0] = np.nan
    for regressor in (None, LinearRegression()):
        detector = tiny(lags=1, regressor=regressor).fit(X)
        forecasts = detector.reconstruct(X)
        assert forecasts[:, 0].std() < 0.1
        # In the rows that hold none, the reading before is known, and tells nothing.
        if regressor is None:
            assert np.abs(detector.coefficients_[0]).max() < 0.1


def test_a_known_machine_is_learned(rng):
    """x(t) = W x(t - 1) + noise."""
    W = np.array([[0.8, 0.1], [-0.4, 0.6]])
    X = np.zeros((3000, 2))
    for t in range(1, len(X)):
        X[t] = W @ X[t - 1] + rng.normal(size=2)
    detector = tiny(lags=1, alpha=0).fit(X)
    np.testing.assert_allclose(detector.coefficients_[0].T, W, atol=0.05)


@pytest.mark.parametrize(
    ("lags", "shape", "expected"),
    [
        ((1, 20), (1000, 2), (1, 20)),
        (np.int64(3), (1000, 2), (3,)),
        ([2, 5, 2], (1000, 2), (2, 5)),
        (900, (6200, 1), (600,)),  # 600 inputs
        (300, (6200, 3), (200,)),
        ((1, 2), (40, 601), (1,)),  # but one row at least
        ((5, 50), (200, 2), (5, 10)),  # as many inputs as a tenth of the rows
        ((30, 50), (200, 2), (10,)),
        (5, (6, 2), (1,)),
    ],
)
def test_how_many_rows_a_forecast_takes(lags, shape, expected, rng):
    X = rng.normal(size=shape)
    detector = AutoregressiveDetector(lags, window_size=2).fit(X)
    assert detector.lags_ == expected
    assert detector.n_context_ == max(expected) + 1
    assert [found.shape[0] for found in detector.coefficients_] == [
        n_rows * shape[1] for n_rows in expected
    ]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("series_of", [wave, with_gaps])
def test_errors_match_the_loop(rule, series_of):
    X = series_of(90, 3)
    detector = tiny(row_error=rule).fit(X)
    expected = with_start_up_rows(detector, X, errors_of(detector, X))
    np.testing.assert_allclose(detector.transform(X), expected, rtol=1e-3, atol=1e-6)
    assert detector.n_context_ == (2 if rule == "last" else 5)
    assert detector.n_lookahead_ == (3 if rule == "multiscale_centered" else 0)


@pytest.mark.filterwarnings("ignore:Mean of empty slice:RuntimeWarning")
@pytest.mark.parametrize("rule", RULES)
def test_forecasts_are_joined_as_by_the_loop(rule):
    X = with_gaps()
    detector = tiny(lags=(1, 3), row_error=rule).fit(X)
    errors = detector.transform(X)
    expected = with_start_up_rows(detector, X, joined(detector, X))
    np.testing.assert_allclose(errors, expected, rtol=2e-3, atol=1e-6)
    means = np.nanmean(errors, axis=1)
    np.testing.assert_allclose(detector.score_samples(X), -means, rtol=1e-12)


@pytest.mark.parametrize("lags", [2, (1, 3)])
def test_reconstruct_returns_the_forecasts(lags):
    X = with_gaps() * 3 + 1000  # in its unit
    detector = tiny(lags=lags).fit(X)
    numbers = range(len(detector.lags_))
    expected = np.mean([forecasts_of(detector, X, i) for i in numbers], axis=0)
    forecasts = detector.reconstruct(X)
    np.testing.assert_allclose(forecasts, expected, atol=1e-3)
    breaks = np.isnan(X).all(axis=1)
    assert (np.isnan(forecasts) == breaks[:, None]).all()
    # Of a row, whatever its reading.
    spoilt = X.copy()
    spoilt[30] += 20
    np.testing.assert_array_equal(detector.reconstruct(spoilt)[:31], forecasts[:31])
    assert not np.allclose(detector.reconstruct(spoilt)[31], forecasts[31])


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("regressor", [Ridge(alpha=0.1), SVR(C=10.0)], ids=repr)
def test_any_regressor_forecasts(regressor, n_channels):
    """One that takes a single target is fitted for each channel."""
    X = wave(120, n_channels)
    X[60] = np.nan
    if n_channels > 1:
        X[30, 1] = np.nan  # a row that lacks a reading is not learned from
    detector = tiny(lags=3, row_error="last", regressor=regressor).fit(X)
    assert not hasattr(detector, "coefficients_")
    assert not hasattr(regressor, "n_features_in_")
    (fitted,) = detector.regressors_
    centred = X - detector.center_
    rows = np.flatnonzero(~np.isnan(X).any(axis=1))
    inputs = np.array([inputs_of(detector, X, t, 3) for t in rows]).astype(np.float32)
    expected = []
    for channel in range(n_channels):
        alone = clone(regressor).fit(inputs, centred[rows, channel])
        expected.append(alone.predict(inputs) + detector.center_[channel])
    takes_several = isinstance(regressor, Ridge) or n_channels == 1
    assert type(fitted) is (type(regressor) if takes_several else MultiOutputRegressor)
    found = detector.reconstruct(X)
    np.testing.assert_allclose(found[rows], np.transpose(expected), atol=1e-3)
    squared = (X - found) ** 2
    squared[[0, 1, 2, *range(60, 64)]] = np.nan
    expected = with_start_up_rows(detector, X, squared)
    np.testing.assert_allclose(detector.transform(X), expected, rtol=1e-3, atol=1e-6)


def test_linear_regressors_forecast_as_ridge_does_without_penalty():
    X = wave(200, 3)
    own = tiny(lags=(1, 4), alpha=0).fit(X)
    regressor = LinearRegression(fit_intercept=False)
    other = clone(own).set_params(regressor=regressor).fit(X)
    np.testing.assert_allclose(other.reconstruct(X), own.reconstruct(X), atol=1e-3)
    np.testing.assert_allclose(other.transform(X), own.transform(X), rtol=0.02)


def test_a_refit_keeps_nothing_of_the_other_kind(series):
    detector = tiny().fit(series)
    detector.set_params(regressor=Ridge()).fit(series)
    assert not hasattr(detector, "coefficients_")
    detector.set_params(regressor=None).fit(series)
    assert not hasattr(detector, "regressors_")
    assert np.isfinite(detector.score_samples(series)).all()


def seeds_of(detector):
    regressor = detector.regressors_[0]
    parameters = regressor.get_params()
    return [v for k, v in parameters.items() if k.endswith("random_state")]


@pytest.mark.parametrize("wrap", [lambda r: r, lambda r: make_pipeline(None, r)])
def test_seeds_are_set_on_regressors_that_have_none(wrap, series):
    trees = wrap(ExtraTreesRegressor(n_estimators=2, max_depth=4))
    first, same, other = (
        tiny(regressor=trees, random_state=seed).fit(series) for seed in (0, 0, 1)
    )
    scores = first.score_samples(series)
    np.testing.assert_array_equal(same.score_samples(series), scores)
    assert (other.score_samples(series) != scores).any()
    assert seeds_of(first) == seeds_of(same) != seeds_of(other)
    assert None not in seeds_of(first)
    assert all(v is None for k, v in trees.get_params().items() if "random" in k)
    given = wrap(ExtraTreesRegressor(n_estimators=2, random_state=5))
    assert seeds_of(tiny(regressor=given, random_state=0).fit(series)) == [5]


def test_ridge_regression_takes_no_seed():
    series = wave(1500)  # not all of its rows are kept
    before = np.random.get_state()[1].copy()
    scores = [
        AutoregressiveDetector(random_state=seed).fit(series).score_samples(series)
        for seed in (None, None, 1)
    ]
    assert (scores[0] == scores[1]).all()
    assert (scores[0] == scores[2]).all()
    assert (np.random.get_state()[1] == before).all()


def ar(n_timestamps, seed, n_channels=2):
    """A stationary machine, of which every row depends on the one before it."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_timestamps, n_channels))
    for t in range(1, n_timestamps):
        X[t] = 0.8 * X[t - 1] + 0.6 * X[t]
    return X


@pytest.mark.parametrize("parameters", [{}, {"row_error": "last"}], ids=str)
def test_about_one_percent_of_fresh_rows_are_flagged(parameters):
    shares = []
    for seed in range(4):
        X = ar(8000, seed)
        detector = AutoregressiveDetector(**parameters).fit(X[:4000])
        shares.append((detector.predict(X[4000:]) == -1).mean())
    assert 0.004 < np.mean(shares) < 0.016
    assert max(shares) < 0.03


def test_few_fresh_rows_are_flagged_where_forecasts_fit_too_well():
    """Rows that were forecast without having been learned from set the threshold."""
    X = ar(3000, 0, n_channels=10)
    detector = AutoregressiveDetector(20, window_size=10).fit(X[:600])
    assert detector.lags_ == (6,)
    flagged = detector.predict(X) == -1
    assert flagged[:600].mean() < 0.005
    assert flagged[600:].mean() < 0.03


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_contamination_flags_the_stated_share(share, series):
    detector = tiny(lags=(1, 3), contamination=share).fit(series)
    assert (detector.predict(series) == -1).sum() == int(share * len(series))
    np.testing.assert_array_equal(
        clone(detector).fit_predict(series), detector.predict(series)
    )


def test_a_fault_is_found_where_it_begins():
    X = ar(3000, 0, n_channels=3)
    spoilt = X[2000:].copy()
    spoilt[500:520, 1] += 6
    detector = AutoregressiveDetector().fit(X[:2000])
    assert detector.predict(spoilt)[500] == -1
    assert detector.score_samples(spoilt).argmin() in range(500, 521)
    assert detector.transform(spoilt)[500].argmax() == 1
    event = explain(detector, spoilt, flagged=np.arange(1000) == 500).iloc[0]
    assert event["channels"][0] == 1
    assert event["expected"] < event["reading"]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("regressor", [None, LinearRegression()], ids=repr)
def test_a_missing_reading_is_never_normal(rule, regressor):
    """Either it has no error, or one that is larger than any."""
    X = with_gaps()
    missing, breaks = np.isnan(X), np.isnan(X).all(axis=1)
    partly = missing & ~breaks[:, None]
    ignoring = tiny(row_error=rule, regressor=regressor).fit(X)
    marking = clone(ignoring).set_params(missing="anomaly").fit(X)
    assert marking.offset_ == ignoring.offset_
    errors, marked = ignoring.transform(X), marking.transform(X)
    np.testing.assert_array_equal(np.isnan(ignoring.score_samples(X)), breaks)
    assert np.isfinite(errors[~missing]).all()
    if rule == "last":
        np.testing.assert_array_equal(np.isnan(errors), missing)
    np.testing.assert_array_equal(np.isnan(marked), np.tile(breaks[:, None], 3))
    np.testing.assert_array_equal(marked[~partly], errors[~partly])
    assert (marked[partly] > -2 * np.nanmin(ignoring.score_samples(X))).all()
    assert (marking.predict(X)[partly.any(axis=1)] == -1).all()
    np.testing.assert_array_equal(marking.fit_transform(X), errors)


def test_a_gap_is_forecast_from_what_its_window_tells_of_it():
    X = wave(100)
    detector = tiny(lags=3).fit(X)
    gap, filled = X.copy(), X.copy()
    gap[50:52, 0] = np.nan
    fill = reference.filler(detector)
    filled[49:52] = fill(gap[49:52])
    assert abs(filled[51, 0] - X[49, 0]) > 0.1
    np.testing.assert_allclose(
        detector.reconstruct(gap)[52], detector.reconstruct(filled)[52], rtol=1e-5
    )


@settings(max_examples=20)
@given(
    begin=st.integers(0, 80), length=st.integers(1, 20), rule=st.sampled_from(RULES[2:])
)
def test_rows_and_streams_score_as_the_whole(begin, length, rule):
    X = with_gaps(100)
    detector = tiny(lags=(1, 3), row_error=rule).fit(X)
    scores = detector.score_samples(X)
    rows = np.arange(begin, begin + length)
    np.testing.assert_allclose(detector.score_rows(X, rows), scores[rows], rtol=1e-5)
    stream = StreamingDetector(detector)
    _ = stream.update_many(X[:begin]) if begin else None
    together, _ = stream.update_many(X[rows])
    np.testing.assert_allclose(together, scores[rows], rtol=1e-5)


def test_a_stretch_scores_as_if_alone():
    X = with_gaps()
    detector = tiny(lags=(1, 3)).fit(X)
    scores = detector.score_samples(X)
    for stretch in (slice(0, 40), slice(42, 70), slice(71, 90)):
        alone = detector.score_samples(X[stretch])
        np.testing.assert_allclose(scores[stretch], alone, rtol=1e-5)


def test_blocks_are_scored_as_one(monkeypatch):
    X = with_gaps(600)
    detector = tiny(lags=(1, 3)).fit(X)
    errors = detector.transform(X)
    monkeypatch.setattr("tsanomaly._residual_detector._BLOCK", 50)
    np.testing.assert_array_equal(detector.transform(X), errors)


def test_copies_score_the_same(series):
    detector = tiny(lags=(1, 3), regressor=Ridge()).fit(series)
    scores = detector.score_samples(series)
    for copy in (pickle.loads(pickle.dumps(detector)), clone(detector).fit(series)):
        np.testing.assert_array_equal(copy.score_samples(series), scores)


def test_constant_series():
    X = np.full((60, 2), 3.0)
    for regressor in (None, LinearRegression()):
        detector = tiny(regressor=regressor).fit(X)
        assert (detector.predict(X) == 1).all()
        np.testing.assert_allclose(detector.reconstruct(X), X)
        other = X.copy()
        other[30, 1] = 4
        assert detector.predict(other)[30] == -1
        assert detector.transform(other)[30].argmax() == 1


def test_readings_may_be_huge(series):
    detector = tiny(lags=(1, 3)).fit(series)
    spoilt = series.copy()
    spoilt[100, 0] = 1e30
    scores = detector.score_samples(spoilt)
    assert np.isfinite(scores).all()
    assert scores.argmin() == 100


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
    with pytest.raises(ValueError, match="feature names"):
        detector.predict(frame[["pressure", "flow"]])


@pytest.mark.parametrize(
    ("name", "value"),
    [("row_error", "last"), ("window_size", 7), ("lags", 5), ("regressor", Ridge())],
)
def test_parameters_changed_after_fit_are_refused(name, value, series):
    detector = tiny().fit(series).set_params(**{name: value})
    for method in ("predict", "transform", "reconstruct"):
        with pytest.raises(ValueError, match=f"{name} was changed from .* Refit"):
            getattr(detector, method)(series)


@pytest.mark.parametrize("before", [None, LinearRegression()], ids=repr)
@pytest.mark.parametrize(
    "changed",
    [
        {"alpha": 3.0},
        {"contamination": 0.2},
        {"random_state": 3},
        {"window_size": np.int64(4)},
    ],
    ids=str,
)
def test_what_only_fit_looks_at_may_be_changed(before, changed, series):
    detector = tiny(regressor=before).fit(series)
    expected = detector.decision_function(series)
    detector.set_params(**changed)
    np.testing.assert_array_equal(detector.decision_function(series), expected)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"lags": 0}, "'lags' parameter"),
        ({"lags": 2.0}, "'lags' parameter"),
        ({"lags": "2"}, "'lags' parameter"),
        ({"lags": True}, r"'lags' parameter .* Got True instead.*use .*lags=\(1, 20\)"),
        ({"lags": ()}, r"'lags' parameter .* Got \(\) instead"),
        ({"lags": (1, 0)}, r"'lags' parameter .* Got \(1, 0\) instead"),
        ({"lags": (1, 2.0)}, "'lags' parameter"),
        ({"alpha": -1.0}, "'alpha' parameter"),
        ({"window_size": 1}, "'window_size' parameter"),
        ({"window_size": (4, 5)}, "'window_size' parameter"),
        ({"row_error": "overlap_mean"}, "'row_error' parameter"),
        ({"regressor": 3}, "'regressor' parameter"),
        ({"regressor": StandardScaler()}, "'regressor' parameter"),
        ({"contamination": 0.6}, "'contamination' parameter"),
        ({"missing": "drop"}, "'missing' parameter"),
        ({"window_size": 200}, r"window_size=200 .*202 rows.*n_samples=200.*Fit on a"),
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
        (
            lambda X: X[:5],
            r"window_size=4 .* needs 5 rows.*\(n_samples=4\)|n_samples=5",
        ),
        (lambda X: np.insert(X, range(0, 200, 4), np.nan, axis=0), "longest stretch"),
        (lambda X: X * np.nan, "200 training rows is NaN in every"),
        (lambda X: X * [np.nan, 1], "no readings in the column at position 0"),
        (lambda X: np.where(X > 1.4, np.inf, X), "infinity in the column at"),
        (lambda X: X * 1e100, "too large for float32"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*Scale the series:UserWarning")
def test_a_series_that_cannot_be_learned(spoil, message, series):
    detector = tiny(lags=20, window_size=5).fit(series)
    expected = detector.score_samples(series)
    with pytest.raises(ValueError, match=message):
        detector.fit(spoil(series))
    np.testing.assert_array_equal(detector.score_samples(series), expected)


def test_the_cure_for_short_stretches_is_one():
    """A rule that looks at one row needs no shorter window, but fewer lags."""
    X = np.insert(wave(400), range(10, 400, 10), np.nan, axis=0)
    with pytest.raises(ValueError, match=r"21 rows.*n_samples=10.*lower lags"):
        AutoregressiveDetector(20, row_error="last").fit(X)
    AutoregressiveDetector(5, row_error="last").fit(X)


class Failing(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        raise RuntimeError("nothing learned")

    def predict(self, X):
        return np.zeros(len(X))


def test_a_regressor_that_fails_leaves_nothing(series):
    detector = tiny(regressor=Failing())
    with pytest.raises(RuntimeError, match="nothing learned"):
        detector.fit(series)
    assert not any(name.endswith("_") for name in vars(detector))
    fitted = tiny().fit(series)
    expected = fitted.score_samples(series)
    with pytest.raises(RuntimeError, match="nothing learned"):
        fitted.set_params(regressor=Failing()).fit(series[:50])
    fitted.set_params(regressor=None)
    np.testing.assert_array_equal(fitted.score_samples(series), expected)


def test_what_does_not_fit_into_memory(monkeypatch):
    """It is refused before memory is taken."""
    monkeypatch.setattr(_memory, "available_memory", lambda: 10**8)
    X = np.zeros((400_000, 4), np.float32)
    tracemalloc.start()
    with pytest.raises(MemoryError, match=r"400,000 rows of 4 channels .*Lower lags"):
        AutoregressiveDetector(100, window_size=500).fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * X.nbytes


@pytest.mark.parametrize("name", ["coefficients_", "center_", "offset_"])
def test_a_state_that_holds_nan_is_refused(name, series):
    detector = tiny().fit(series)
    if name == "coefficients_":
        detector.coefficients_[0][0, 0] = np.nan
    else:
        setattr(detector, name, getattr(detector, name) * np.nan)
    with pytest.raises(ValueError, match=f"{name} of the .* contains NaN.* Refit it"):
        detector.score_samples(series)


def test_channels_that_are_the_same(series):
    X = np.column_stack([series, series, np.ones(len(series))])
    for factor, alpha in ((1, 0.0), (1e6, 0.01)):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Readings of .* have a standard")
            detector = tiny(alpha=alpha).fit(X * factor)
        assert np.isfinite(detector.score_samples(X * factor)).all()


class Wrong(RegressorMixin, BaseEstimator):
    """A regressor that predicts something else."""

    def __init__(self, prediction=np.nan):
        self.prediction = prediction

    def fit(self, X, y):
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X):
        return np.full((len(X), 5), self.prediction)


@pytest.mark.parametrize("prediction", [np.nan, 1.0])
def test_regressors_that_predict_no_row(prediction, series):
    with pytest.raises(ValueError, match=r"Wrong.* must predict a finite number for"):
        tiny(regressor=Wrong(prediction)).fit(series)
