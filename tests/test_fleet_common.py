# SPDX-License-Identifier: MIT
"""What scikit-learn checks of every estimator, with frames that a fleet takes.

Its own checks pass arrays, and a fleet needs a column of names: of them, those run here
that pass no data.
"""

import pickle
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone, is_outlier_detector
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import (
    check_param_validation,
    estimator_checks_generator,
)
from sklearn.utils.validation import check_is_fitted

from tests.helpers import tiny_detector, wave
from tsanomaly import FleetDetector, ReconstructionThreshold

FLEETS = {
    "forest": FleetDetector(IsolationForest(n_estimators=3, random_state=0)),
    "no fallback": FleetDetector(
        make_pipeline(StandardScaler(), LocalOutlierFactor(5, novelty=True)),
        min_rows=20,
        fallback=None,
    ),
    "network": FleetDetector(tiny_detector(), min_rows=30, on_error="warn"),
}
METHODS = ("predict", "score_samples", "decision_function")

with warnings.catch_warnings():
    # That the checks with arrays are left out is what the tags are for.
    warnings.simplefilter("ignore", SkipTestWarning)
    CHECKS = [
        (estimator, check)
        for fleet in FLEETS.values()
        for estimator, check in estimator_checks_generator(fleet)
    ]


@pytest.fixture
def frame():
    frame = pd.DataFrame(wave(90), columns=["flow", "pressure"])
    return frame.assign(machine_id=np.repeat(["a", "b", "c"], 30))


@pytest.fixture(params=FLEETS)
def fleet(request):
    return clone(FLEETS[request.param])


def name_of(value):
    """A name for an estimator or a check, the same in every process."""
    if isinstance(value, partial):
        return value.func.__name__
    return type(value.detector).__name__


@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=name_of)
def test_sklearn_checks(estimator, check):
    check(estimator)


def test_parameters_are_validated(fleet):
    check_param_validation(type(fleet).__name__, fleet)


def test_parameters_are_validated_in_fit_alone(frame):
    for fit in ("fit", "fit_predict"):
        fleet = FleetDetector(IsolationForest(), min_rows=0)
        with pytest.raises(ValueError, match="min_rows"):
            getattr(fleet, fit)(frame)


def test_clones_and_parameters(fleet):
    parameters = fleet.get_params(deep=False)
    assert clone(fleet).get_params(deep=False).keys() == parameters.keys()
    assert {f"detector__{n}" for n in fleet.detector.get_params()} <= {
        *fleet.get_params()
    }
    assert fleet.set_params(min_rows=25, n_jobs=2) is fleet
    assert (fleet.min_rows, fleet.n_jobs) == (25, 2)
    with pytest.raises(ValueError, match="rows"):
        fleet.set_params(rows=3)
    assert f"min_rows={fleet.min_rows}" in repr(fleet)


def test_fit_returns_self_and_keeps_parameters_and_data(fleet, frame):
    before, data = pickle.dumps(fleet.get_params(deep=False)), frame.copy()
    assert fleet.fit(frame) is fleet
    assert pickle.dumps(fleet.get_params(deep=False)) == before
    pd.testing.assert_frame_equal(frame, data)
    new = vars(fleet).keys() - fleet.get_params(deep=False).keys()
    assert all(name.endswith("_") or name.startswith("_") for name in new)


def test_fit_forgets_what_was_before(fleet, frame):
    scores = clone(fleet).fit(frame).score_samples(frame)
    assert_array_equal(fleet.fit(frame).fit(frame).score_samples(frame), scores)
    other = frame.rename(columns={"flow": "speed"})
    fleet.fit(other.assign(current=1.0))
    assert fleet.n_features_in_ == 3
    assert fleet.feature_names_in_.tolist() == ["speed", "pressure", "current"]
    assert_array_equal(fleet.fit(frame).score_samples(frame), scores)
    assert fleet.n_features_in_ == 2


def test_fit_predict_is_fit_and_predict(fleet, frame):
    labels = clone(fleet).fit_predict(frame)
    assert_array_equal(labels, fleet.fit(frame).predict(frame))


@pytest.mark.parametrize("method", METHODS)
def test_results(fleet, frame, method):
    values = getattr(fleet.fit(frame), method)(frame)
    assert values.shape == (90,)
    assert values.dtype == (np.intp if method == "predict" else np.float64)
    if method == "predict":
        assert_array_equal(values, np.where(fleet.decision_function(frame) < 0, -1, 1))
    restored = pickle.loads(pickle.dumps(fleet))
    assert_array_equal(getattr(restored, method)(frame), values)


@pytest.mark.parametrize("method", METHODS)
def test_before_fit(fleet, frame, method):
    with pytest.raises(NotFittedError):
        getattr(fleet, method)(frame)
    with pytest.raises(NotFittedError):
        check_is_fitted(fleet)
    assert not hasattr(fleet, "n_features_in_")


@pytest.mark.parametrize("method", ["fit", "fit_predict", *METHODS])
@pytest.mark.parametrize(
    "convert",
    [
        pd.DataFrame.to_numpy,
        pd.DataFrame.to_dict,
        lambda frame: frame.to_dict("records"),
        lambda frame: frame["flow"],
        lambda frame: [part for _, part in frame.groupby("machine_id")],
    ],
    ids=["array", "dict", "records", "series", "list of frames"],
)
def test_what_is_no_frame(method, convert, frame):
    fleet = clone(FLEETS["forest"])
    if method in METHODS:
        fleet.fit(frame)
    with pytest.raises(TypeError, match=r"DataFrame.*'machine_id'"):
        getattr(fleet, method)(convert(frame))


@pytest.mark.parametrize("method", METHODS)
def test_frames_that_do_not_fit(fleet, frame, method):
    fleet.fit(frame)
    for wrong in (
        frame.drop(columns="machine_id"),
        frame.drop(columns="flow"),
        frame.assign(more=1.0),
        frame.iloc[:0],
    ):
        with pytest.raises(ValueError, match=r"X |array"):
            getattr(fleet, method)(wrong)


@pytest.mark.parametrize("name", FLEETS)
def test_tags_are_true(name, frame):
    fleet = clone(FLEETS[name])
    tags = get_tags(fleet)
    assert is_outlier_detector(fleet)
    assert not tags.input_tags.two_d_array
    assert tags.input_tags.string
    assert tags.requires_fit
    gap = frame.copy()
    gap.iloc[5, 0] = np.nan
    assert tags.input_tags.allow_nan == (name != "no fallback")
    if tags.input_tags.allow_nan:
        assert np.isfinite(fleet.fit(gap).score_samples(gap)).all()
    else:
        with pytest.raises(RuntimeError, match="NaN"):
            fleet.fit(gap)


def test_labels_are_required_where_the_detector_needs_them(frame):
    fleet = FleetDetector(ReconstructionThreshold("f_score"), min_rows=30)
    assert get_tags(fleet).target_tags.required
    assert not get_tags(FLEETS["forest"]).target_tags.required
    with pytest.raises(RuntimeError, match="y"):
        fleet.fit(frame)
    fleet.fit(frame, np.arange(90) % 10 == 0)


def test_warnings_point_at_the_caller(frame):
    fleet = FleetDetector(
        LocalOutlierFactor(5, novelty=True), min_rows=20, on_error="warn"
    )
    gap = frame.copy()
    gap.iloc[5, 0] = np.nan
    for run in (lambda: fleet.fit(gap), lambda: fleet.fit(frame).predict(gap)):
        with pytest.warns(UserWarning, match="machine_id=a") as caught:
            run()
        (ours,) = [w for w in caught if "machine_id=a" in str(w.message)]
        assert ours.filename == __file__
