# SPDX-License-Identifier: MIT
"""The first rows of a series, and those after a break, which have no whole window."""

import warnings
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from tests.helpers import (
    blending_detector,
    related,
    tiny_detector,
    wave,
    whole_rows,
)
from tests.own_networks import OWN_NETWORKS
from tests.saving.helpers import alter_state, outputs
from tsanomaly import (
    AutoregressiveDetector,
    LinearAutoencoderDetector,
    ModelFileError,
    StreamingDetector,
    WindowNeighborsDetector,
    load,
    save,
)
from tsanomaly._calibration import midway_threshold
from tsanomaly._start_up import StartUpView

pytestmark = pytest.mark.network

CAUSAL = ["multiscale", "last", "window_mean"]
AHEAD = ["multiscale_centered", "overlap_mean"]

# Scores are about 1. Small ones are logarithms of squares of residuals in single
# precision, of which few digits are left.
NEARLY = {"rtol": 1e-4, "atol": 5e-5}

# Rows that the windows of the default network and its linear map lack at the start.
START = 79


def press(time, rng):
    """Force and position of a press, in strokes of 60 rows."""
    phase = (time + rng.integers(60)) % 60
    force = np.interp(phase, [0, 10, 35, 45, 60], [0, 1, 1, 0, 0])
    position = np.interp(phase, [0, 5, 30, 50, 60], [0, 1, 1, 0, 0])
    return 2.5 * np.column_stack([force, position])


def tank(time, rng):
    """Level of a tank that fills and is emptied, every 120 rows, and its valve."""
    phase = (time + rng.integers(120)) % 120
    level = np.where(phase < 100, phase / 100, (120 - phase) / 20)
    return 3.0 * np.column_stack([level, phase < 100])


def wheel(time, rng):
    angle = time / 7 + rng.uniform(0, 7)
    return 1.4 * np.column_stack([np.sin(angle), np.sin(angle + 1)])


def run_of(machine, n_timestamps, seed):
    """Readings of a machine, from a phase of its cycle that the seed draws."""
    rng = np.random.default_rng(seed)
    X = machine(np.arange(n_timestamps), rng)
    return X + 0.05 * rng.normal(size=X.shape)


def small_network(**parameters):
    """Of the default structure, and in seconds."""
    return tiny_detector(
        window_size=(16, 80),
        units=(8,),
        latent_dim="sequence",
        epochs=2,
        batch_size=32,
        **parameters,
    )


def by_run(detector, runs):
    """Which rows of series are flagged, with breaks between them: (n_runs, n_rows)."""
    gap = np.full((1, runs[0].shape[1]), np.nan)
    X = np.concatenate([part for run in runs for part in (run, gap)])
    return (detector.predict(X) == -1).reshape(len(runs), -1)[:, :-1]


OF_MACHINES = {
    "linear": LinearAutoencoderDetector(random_state=0),
    "forecasts": AutoregressiveDetector(),
    "forecasts, window_mean": AutoregressiveDetector(row_error="window_mean"),
    "network": small_network(),
    "network, centered": small_network(row_error="multiscale_centered"),
    "network, overlap_mean": small_network(row_error="overlap_mean"),
}


@pytest.fixture(scope="module", params=[press, tank, wheel], ids=lambda m: m.__name__)
def machine(request):
    return request.param


@pytest.fixture(scope="module", params=OF_MACHINES)
def of_machine(request, machine):
    """A machine, and a detector fitted on a long run of it."""
    return machine, clone(OF_MACHINES[request.param]).fit(run_of(machine, 4000, 0))


def test_few_rows_of_a_start_are_flagged(of_machine):
    """Wherever in its cycle the machine is then, in a new series or after a break."""
    machine, detector = of_machine
    runs = [run_of(machine, 120, seed) for seed in range(1, 61)]
    flagged = by_run(detector, runs)
    for run, after_a_break in zip(runs[:3], flagged, strict=False):
        np.testing.assert_array_equal(detector.predict(run) == -1, after_a_break)
    assert flagged[:, :START].mean() <= 0.02


def test_a_fault_of_a_single_row_is_found_in_a_start(of_machine):
    machine, detector = of_machine
    runs = [run_of(machine, 120, 100 + row) for row in range(0, START, 6)]
    for number, run in enumerate(runs):
        run[6 * number, 1] += 10
    flagged = by_run(detector, runs)
    assert all(flagged[number, 6 * number] for number in range(len(runs)))
    errors = detector.transform(runs[0])
    assert errors[0].argmax() == 1


# Detectors that are fitted in a moment.
SMALL = {
    "network": tiny_detector(linear_variance=0),
    "linear": tiny_detector(linear_variance=0.8),
    "both": blending_detector(),
    "forecasts": AutoregressiveDetector((1, 3), window_size=4),
    "forecaster": tiny_detector(**OWN_NETWORKS["forecaster"]),
}


def series_for(name):
    return related(400) if name == "both" else wave(150)


@cache
def fitted_small(name, rule):
    """A detector, which is not to be changed."""
    return clone(SMALL[name]).set_params(row_error=rule).fit(series_for(name))


def rules_of(name):
    rules = [*CAUSAL, *AHEAD]
    return [rule for rule in rules if "fore" not in name or rule != "overlap_mean"]


causal = pytest.mark.parametrize("rule", CAUSAL)
small = pytest.mark.parametrize("name", SMALL)
small_by_rule = pytest.mark.parametrize(
    ("name", "rule"), [(name, rule) for name in SMALL for rule in rules_of(name)]
)


def with_starts(draw_from, starts, holes):
    """A series with breaks at some rows, and with missing readings."""
    X = draw_from.copy()
    for row, channel in holes:
        X[row, channel] = np.nan
    X[list(starts)] = np.nan
    return X


starts_and_holes = {
    "starts": st.sets(st.integers(0, 39), max_size=5),
    "holes": st.sets(st.tuples(st.integers(0, 39), st.integers(0, 1)), max_size=12),
}


@small
@causal
@settings(max_examples=8)
@given(**starts_and_holes)
def test_streams_score_as_the_whole(name, rule, starts, holes):
    detector = fitted_small(name, rule)
    X = with_starts(series_for(name)[:40], starts, holes)
    scores = detector.score_samples(X)
    np.testing.assert_array_equal(np.isnan(scores), np.isnan(X).all(axis=1))
    stream = StreamingDetector(detector)
    found = [stream.update(row)[0] for row in X]
    np.testing.assert_allclose(found, scores, **NEARLY)
    stream = StreamingDetector(detector)
    found = [stream.update_many(X[start : start + 7])[0] for start in range(0, 40, 7)]
    np.testing.assert_allclose(np.concatenate(found), scores, **NEARLY)


@small_by_rule
@settings(max_examples=8)
@given(**starts_and_holes)
def test_rows_that_follow_change_nothing(name, rule, starts, holes):
    """A stretch scores as if alone, and its first rows as in a series that goes on."""
    detector = fitted_small(name, rule)
    X = with_starts(series_for(name)[:40], starts, holes)
    scores = detector.score_samples(X)
    for end in (1, 3, 8, 25):
        known = max(end - detector.n_lookahead_, 0)
        np.testing.assert_allclose(
            detector.score_samples(X[:end])[:known], scores[:known], **NEARLY
        )
    ends = np.flatnonzero(np.isnan(X).all(axis=1))
    for start, end in zip([0, *(ends + 1)], [*ends, 40], strict=True):
        if start < end:
            alone = detector.score_samples(X[start:end])
            np.testing.assert_allclose(scores[start:end], alone, **NEARLY)
    if not detector.n_lookahead_:
        rows = np.arange(0, 40, 3)
        of_rows = detector.score_rows(X, rows)
        np.testing.assert_allclose(of_rows, scores[rows], **NEARLY)


@small_by_rule
def test_series_that_are_shorter_than_a_window(name, rule):
    detector = fitted_small(name, rule)
    for n_rows in range(1, 10):
        X = series_for(name)[50 : 50 + n_rows]
        assert np.isfinite(detector.score_samples(X)).all()
        assert np.isfinite(detector.transform(X)).all()
        assert np.isfinite(detector.reconstruct(X)).all()
        spoilt = X.copy()
        spoilt[-1, 1] = 30
        assert detector.predict(spoilt)[-1] == -1
        assert detector.transform(spoilt)[-1].argmax() == 1


@small_by_rule
def test_training_rows_score_as_any_others(name, rule):
    X = series_for(name)
    X[60:70:5] = np.nan
    X[1, 0] = X[66, 1] = np.nan
    detector = clone(SMALL[name]).set_params(row_error=rule)
    errors = clone(detector).fit_transform(X)
    again = detector.fit(X).transform(X)
    np.testing.assert_allclose(errors, again, **NEARLY)


@pytest.mark.parametrize("rule", CAUSAL)
@pytest.mark.parametrize("name", ["network", "linear", "forecasts"])
@settings(max_examples=6)
@given(
    size=st.floats(-60, 60),
    stretch=st.integers(1, 4),
    factor=st.sampled_from([0.0, 1e-3, 1e6]),
)
def test_start_up_rows_set_no_threshold(name, rule, size, stretch, factor):
    """Not the first row of a training series, however far off it is."""
    X = wave(150)
    X[0, 0] += size
    X[stretch] = np.nan
    X[stretch + 1] += size
    detector = clone(SMALL[name]).set_params(row_error=rule)
    detector.fit(X)
    with pytest.MonkeyPatch.context() as patch:
        score = StartUpView._errors
        patch.setattr(
            StartUpView,
            "_errors",
            lambda view, *given: factor * score(view, *given),
        )
        other = clone(detector).fit(X)
    assert other.offset_ == detector.offset_
    assert other.median_error_ == detector.median_error_
    errors = -detector.score_samples(X)[whole_rows(X, detector.n_start_up_)]
    assert detector.median_error_ == pytest.approx(np.median(errors), rel=1e-5)
    threshold = midway_threshold(errors, 0.01)
    if name == "network":
        assert -detector.offset_ == pytest.approx(threshold, rel=1e-4)
    else:  # or that of rows that were not learned from
        assert -detector.offset_ >= threshold * (1 - 1e-4)


@small_by_rule
def test_the_last_fifth_holds_no_whole_window(name, rule):
    """Which the scale of the network is learned from, where there are others."""
    X = series_for(name)
    X[4 * len(X) // 5 :: 4] = np.nan
    detector = clone(SMALL[name]).set_params(row_error=rule).fit(X)
    breaks = np.isnan(X).all(axis=1)
    scores = detector.score_samples(X)
    np.testing.assert_array_equal(np.isfinite(scores), ~breaks)
    assert (detector.predict(X) == -1).mean() < 0.1


@small_by_rule
def test_constant_series(name, rule):
    """Errors may all be 0, and a row like all others is not above them."""
    X = np.full((100, 2), 3.0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Channels|.*cannot be predicted", UserWarning)
        detector = clone(SMALL[name]).set_params(row_error=rule).fit(X)
    starts = np.insert(X[:30], [7, 20], np.nan, axis=0)
    assert np.isfinite(detector.score_samples(X)).all()
    assert (detector.predict(starts) == 1).all()
    starts[0, 1] = starts[8, 0] = 20.0
    assert (detector.predict(starts)[[0, 8]] == -1).all()


@small
def test_one_channel_and_float32(name):
    X = series_for(name)[:, :1]
    detector = clone(SMALL[name]).fit(X)
    single = detector.score_samples(X[:20].astype(np.float32))
    np.testing.assert_allclose(single, detector.score_samples(X[:20]), rtol=1e-3)
    assert np.isfinite(single).all()
    spoilt = X[:3].copy()
    spoilt[0] += 20
    assert detector.predict(spoilt)[0] == -1


@small
def test_a_missing_reading_of_a_first_row(name):
    """It has no error, or counts as an anomaly."""
    ignoring = fitted_small(name, "last")
    marking = clone(ignoring)
    vars(marking).update(vars(ignoring) | {"missing": "anomaly"})
    X = series_for(name)[50:60]
    X[0, 1] = np.nan
    errors = ignoring.transform(X)
    np.testing.assert_array_equal(np.isnan(errors), np.isnan(X))
    assert np.isfinite(ignoring.score_samples(X)).all()
    marked = marking.transform(X)
    np.testing.assert_array_equal(marked[1:], errors[1:])
    assert marked[0, 1] == marking.missing_error_
    assert marking.predict(X)[0] == -1


@pytest.mark.parametrize("name", ["network", "both", "forecasts"])
def test_files_keep_what_rows_are_compared_with(name, tmp_path):
    detector, path = fitted_small(name, "multiscale"), tmp_path / "model.zip"
    save(detector, path)
    X = series_for(name)[50:70]
    expected, found = outputs(detector, X), outputs(load(path), X)
    for method, values in expected.items():
        np.testing.assert_array_equal(found[method], values)


@pytest.mark.parametrize("name", ["network", "forecasts"])
@pytest.mark.parametrize(
    "change",
    [
        lambda array: array[:, :1],
        lambda array: np.hstack([array, array]),
        lambda array: array[:-1],
    ],
)
def test_a_forecast_of_other_columns_is_refused(name, change, tmp_path):
    detector, path = fitted_small(name, "multiscale"), tmp_path / "model.zip"
    save(detector, path)
    owner = f"tsanomaly.{type(detector).__name__}"
    alter_state(path, owner, "state", "_step_coefficients", change=change)
    with pytest.raises(ModelFileError, match="is damaged or was altered"):
        load(path)


def test_neighbours_find_a_fault_in_a_first_row():
    """They compare the row alone as well, on a scale of their own."""
    detector = WindowNeighborsDetector(random_state=0).fit(wave(500))
    assert not hasattr(detector, "_step_coefficients")
    X = wave(20)
    X[0, 1] += 10
    assert detector.predict(X)[0] == -1
    assert (detector.predict(wave(20)) == -1).mean() < 0.1
