# SPDX-License-Identifier: MIT
"""A fleet treats each machine by itself: the contract of the wrapper."""

import copy
import pickle
import sys
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError

from tests.helpers import tiny_detector, wave
from tsanomaly import (
    FleetDetector,
    HybridDetector,
    ReconstructionError,
    ReconstructionThreshold,
    StreamingDetector,
    TemporalFeatures,
    WindowTransformer,
    compare_detectors,
    explain,
    load,
    save,
)
from tsanomaly.datasets import insert_breaks

pytestmark = pytest.mark.network

CHANNELS = ["flow", "pressure"]


def windows_of_pca():
    return make_pipeline(
        StandardScaler(),
        WindowTransformer(3),
        ReconstructionError(PCA(3)),
        ReconstructionThreshold(),
    )


def forest():
    return IsolationForest(n_estimators=5, random_state=0)


def machines(*lengths, names=None):
    """A long frame, one machine after the other, each at a level of its own."""
    names = range(len(lengths)) if names is None else names
    pieces = []
    for number, (name, length) in enumerate(zip(names, lengths, strict=True)):
        piece = pd.DataFrame(wave(length) * (number + 1) + 10 * number)
        piece.columns = CHANNELS
        piece.insert(1, "machine_id", name)
        piece.index = pd.date_range("2024-01-01", periods=length, freq="min")
        pieces.append(piece)
    return pd.concat(pieces)


def rows_of(frame, name):
    return frame.loc[frame["machine_id"] == name, CHANNELS]


class Moody(OutlierMixin, BaseEstimator):
    """Fails on readings above 100 in `fit`, and above 1,000 afterwards."""

    def fit(self, X, y=None):
        if np.max(X) > 100:
            raise KeyError("too large to learn")
        self.y_ = y
        self.offset_ = -3.0
        return self

    def score_samples(self, X):
        if np.max(X) > 1000:
            raise ZeroDivisionError("too large")
        return -np.abs(np.asarray(X)).max(axis=1)

    def decision_function(self, X):
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        return np.where(self.decision_function(X) < 0, -1, 1)


class ComponentsOfPCA(Moody):
    """As many columns as explain all but a little of the variance."""

    def fit(self, X, y=None):
        self.pca_ = PCA(0.999).fit(X)
        return super().fit(X)

    def transform(self, X):
        return self.pca_.transform(X)


@pytest.fixture(scope="module")
def frame():
    return machines(40, 50, 30, names=["a", "b", "c"])


@pytest.fixture(scope="module")
def fleet(frame):
    """Shared: do not change it."""
    return FleetDetector(windows_of_pca(), min_rows=20).fit(frame)


@pytest.mark.parametrize(
    "detector",
    [
        windows_of_pca(),
        forest(),
        tiny_detector(),
        make_pipeline(StandardScaler(), LocalOutlierFactor(5, novelty=True)),
        make_pipeline(TemporalFeatures(windows=(3,), lags=(1,), rates=(1,)), forest()),
    ],
    ids=lambda d: type(d[-1] if hasattr(d, "steps") else d).__name__,
)
def test_every_machine_has_its_own_detector(detector, frame):
    fleet = FleetDetector(detector, min_rows=20).fit(frame)
    methods = ["score_samples", "decision_function", "predict"]
    methods += ["transform"] * hasattr(detector, "transform")
    for method in methods:
        expected = [
            getattr(clone(detector).fit(rows_of(frame, name)), method)(
                rows_of(frame, name)
            )
            for name in "abc"
        ]
        found = getattr(fleet, method)(frame)
        np.testing.assert_array_equal(found, np.concatenate(expected))
    assert fleet.groups_.tolist() == ["a", "b", "c"]
    assert not len(fleet.fallback_groups_)
    assert fleet.errors_ == {}
    labels = FleetDetector(detector, min_rows=20).fit_predict(frame)
    np.testing.assert_array_equal(labels, fleet.predict(frame))


def test_machines_may_alternate(fleet, frame, rng):
    """Only the order of the rows of each machine counts."""
    turn = rng.permutation(np.repeat(["a", "b", "c"], [40, 50, 30]))
    order = np.empty(len(frame), dtype=int)
    for name in "abc":
        order[turn == name] = np.flatnonzero(frame["machine_id"] == name)
    mixed = frame.iloc[order]
    np.testing.assert_array_equal(
        fleet.score_samples(mixed), fleet.score_samples(frame)[order]
    )
    again = clone(fleet).fit(mixed)
    np.testing.assert_array_equal(
        again.decision_function(mixed), fleet.decision_function(frame)[order]
    )
    assert set(again.groups_) == {"a", "b", "c"}
    np.testing.assert_array_equal(clone(fleet).fit_predict(mixed), again.predict(mixed))


def test_columns_go_by_name(fleet, frame):
    other = frame[["machine_id", "pressure", "flow"]]
    np.testing.assert_array_equal(
        fleet.score_samples(other), fleet.score_samples(frame)
    )
    assert fleet.feature_names_in_.tolist() == CHANNELS
    assert fleet.n_features_in_ == 2
    assert fleet.detectors_["b"].feature_names_in_.tolist() == CHANNELS
    with pytest.raises(ValueError, match=r"missing \['flow'\], unknown \['speed'\]"):
        fleet.predict(frame.rename(columns={"flow": "speed"}))


def test_channels_need_no_text_as_names(frame):
    numbered = frame.set_axis([0, "machine_id", 1], axis=1)
    fleet = FleetDetector(forest(), min_rows=20).fit(numbered)
    assert fleet.score_samples(numbered).shape == (120,)


@pytest.mark.parametrize(
    "convert",
    [
        lambda names: names.map({"a": 3, "b": 1, "c": 2}),
        lambda names: names.map({"a": 3, "b": 1, "c": 2}).astype("Int64"),
        lambda names: names.map({"a": 0.5, "b": 1.5, "c": 2.5}),
        lambda names: names.astype("string"),
        lambda names: names.astype(object),
        lambda names: pd.Categorical(names, categories=["z", "c", "b", "a", "y"]),
        lambda names: pd.to_datetime(
            "2024-01-" + names.map({"a": "1", "b": "2", "c": "3"})
        ),
    ],
    ids=["int", "Int64", "float", "string", "object", "category", "time"],
)
def test_names_of_any_type(convert, fleet, frame, tmp_path):
    named = frame.assign(machine_id=convert(frame["machine_id"]))
    other = clone(fleet).fit(named)
    expected = fleet.score_samples(frame)
    np.testing.assert_array_equal(other.score_samples(named), expected)
    assert len(other.groups_) == 3  # no detector for a category without rows
    assert set(other.detectors_) == set(pd.Index(other.groups_).tolist())
    save(other, tmp_path / "fleet.skops")
    loaded = load(tmp_path / "fleet.skops")
    np.testing.assert_array_equal(loaded.score_samples(named), expected)


def test_names_of_the_same_value_and_another_type(fleet, frame):
    numbered = frame.assign(
        machine_id=frame["machine_id"].map({"a": 3, "b": 1, "c": 2})
    )
    other = clone(fleet).fit(numbered)
    for dtype in ("Int64", "float64", "category", object):
        np.testing.assert_array_equal(
            other.score_samples(numbered.astype({"machine_id": dtype})),
            fleet.score_samples(frame),
        )
    with pytest.raises(ValueError, match=r"'3' .* 3 "):
        other.predict(numbered.astype({"machine_id": str}))


def test_one_machine(fleet, frame):
    alone = frame[frame["machine_id"] == "b"]
    np.testing.assert_array_equal(
        fleet.score_samples(alone),
        fleet.score_samples(frame)[(frame["machine_id"] == "b").to_numpy()],
    )
    single = FleetDetector(forest(), min_rows=20).fit(alone)
    assert single.groups_.tolist() == ["b"]


@pytest.mark.parametrize("detector", [windows_of_pca(), tiny_detector(), forest()])
def test_the_fallback_learns_from_all(detector, frame):
    fleet = FleetDetector(detector, min_rows=20).fit(frame)
    stranger = machines(15, names=["stranger"])
    broken = insert_breaks(frame, by="machine_id")
    if isinstance(detector, IsolationForest):
        broken = frame[CHANNELS]
    pooled = clone(detector).fit(broken)
    np.testing.assert_array_equal(
        fleet.score_samples(stranger), pooled.score_samples(stranger[CHANNELS])
    )
    # Two strangers are two series.
    others = stranger.assign(machine_id="other")
    both = fleet.score_samples(pd.concat([stranger, others, frame]))
    np.testing.assert_array_equal(both[:15], both[15:30])
    np.testing.assert_array_equal(both[30:], fleet.score_samples(frame))


def test_the_fallback_takes_what_row_wise_detectors_take(frame):
    """No break reaches a detector that does not know them."""
    neighbours = make_pipeline(
        WindowTransformer(3), LocalOutlierFactor(5, novelty=True)
    )
    fleet = FleetDetector(neighbours, min_rows=20).fit(frame)
    assert np.isfinite(fleet.score_samples(machines(9, names=["z"]))).all()


def test_the_fallback_learns_from_a_share_of_many_rows():
    frame = pd.DataFrame({"a": np.arange(60_000.0)})
    frame["machine_id"] = np.repeat(np.arange(300), 200)
    seen = []

    class Spy(Moody):
        def fit(self, X, y=None):
            seen.append(X)
            self.offset_ = 0.0
            return self

    FleetDetector(Spy(), fallback=Spy(), min_rows=1000).fit(frame)
    assert len(seen) == 1
    assert len(seen[0]) == 20_000
    starts = seen[0]["a"].to_numpy()[::200]
    assert len(np.unique(starts // 200)) == 100
    assert (starts[0], starts[-1]) == (0, 299 * 200)
    np.testing.assert_array_equal(np.diff(seen[0]["a"].to_numpy()[:200]), 1)


def test_short_machines_are_left_to_the_fallback():
    frame = machines(40, 5, 40, 1, names=list("abcd"))
    fleet = FleetDetector(windows_of_pca(), min_rows=6).fit(frame)
    assert fleet.groups_.tolist() == ["a", "c"]
    assert fleet.fallback_groups_.tolist() == ["b", "d"]
    assert fleet.errors_ == {}
    np.testing.assert_array_equal(
        fleet.score_samples(frame)[40:45],
        fleet.fallback_.score_samples(rows_of(frame, "b")),
    )
    only_fallback = FleetDetector(windows_of_pca(), min_rows=100).fit(frame)
    assert not only_fallback.detectors_
    assert np.isfinite(only_fallback.score_samples(frame)).all()


def test_another_fallback(frame):
    model = forest().fit(frame[CHANNELS])
    fleet = FleetDetector(
        windows_of_pca(), min_rows=20, fallback=FrozenEstimator(model)
    ).fit(frame)
    stranger = machines(4, names=["z"])
    np.testing.assert_array_equal(
        fleet.score_samples(stranger), model.score_samples(stranger[CHANNELS])
    )


def test_a_fallback_that_takes_no_breaks(frame):
    detector = make_pipeline(WindowTransformer(4), PCA(2), forest())
    with pytest.raises(RuntimeError, match="set fallback to None or to a detector th"):
        FleetDetector(detector, min_rows=20).fit(frame)
    assert len(
        FleetDetector(detector, min_rows=20, fallback=None).fit(frame).detectors_
    )


def test_no_fallback():
    frame = machines(40, 5, names=["a", "b"])
    with pytest.raises(RuntimeError, match=r"machine_id=b .*min_rows"):
        FleetDetector(forest(), min_rows=20, fallback=None).fit(frame)
    lenient = FleetDetector(forest(), min_rows=20, fallback=None, on_error="warn")
    with pytest.warns(UserWarning, match=r"machine_id=b .*min_rows"):
        lenient.fit(frame)
    assert not hasattr(lenient, "fallback_")
    with pytest.warns(UserWarning, match="scored: machine_id=b"):
        scores = lenient.score_samples(frame)
    np.testing.assert_array_equal(np.isnan(scores), np.arange(45) >= 40)
    lenient.set_params(on_error="raise")
    told = (
        r"machine_id=b.*no fallback(.|\n)*Lower min_rows, set a fallback, or set on_er"
    )
    with pytest.raises(RuntimeError, match=told):
        lenient.predict(frame)


def test_a_machine_that_breaks_the_fallback_as_well():
    """The others have one, and new machines."""
    frame = machines(30, 30, 30, names=list("abc"))
    frame.iloc[40, 0] = 500
    fleet = FleetDetector(Moody(), min_rows=5, on_error="warn")
    with pytest.warns(UserWarning, match="1 of 3 machines.*machine_id=b"):
        fleet.fit(frame)
    sound = fleet.fallback_.score_samples(rows_of(frame, "a"))
    assert np.isfinite(sound).all()


def test_times_as_names():
    frame = machines(30, 30, names=list("ab"))
    times = pd.to_datetime(["2024-01-01", "2024-02-01"])
    frame["machine_id"] = frame["machine_id"].map(dict(zip("ab", times, strict=True)))
    fleet = FleetDetector(forest(), min_rows=5).fit(frame)
    assert set(fleet.detectors_) == set(times)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_one_machine_that_cannot_be_fitted(n_jobs):
    frame = machines(30, 30, 30, names=list("abc"))
    frame.iloc[40, 0] = 500
    fleet = FleetDetector(Moody(), min_rows=5, fallback=forest(), n_jobs=n_jobs)
    with pytest.raises(
        RuntimeError, match=r"1 of 3 .*machine_id=b \(KeyError: .*too large to learn"
    ) as caught:
        fleet.fit(frame)
    assert "Traceback" in caught.value.__notes__[0]
    assert not hasattr(fleet, "groups_")
    fleet.set_params(on_error="warn")
    with pytest.warns(UserWarning, match="machine_id=b .*KeyError"):
        fleet.fit(frame)
    assert fleet.groups_.tolist() == ["a", "c"]
    assert fleet.fallback_groups_.tolist() == ["b"]
    assert list(fleet.errors_) == ["b"]
    assert "too large to learn" in fleet.errors_["b"]
    scores = fleet.score_samples(frame)
    np.testing.assert_array_equal(
        scores[30:60], fleet.fallback_.score_samples(rows_of(frame, "b"))
    )
    np.testing.assert_array_equal(scores[:30], -rows_of(frame, "a").abs().max(axis=1))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_one_machine_that_cannot_be_scored(n_jobs):
    frame = machines(30, 30, names=["a", "b"])
    fleet = FleetDetector(Moody(), min_rows=5, n_jobs=n_jobs).fit(frame)
    new = frame.copy()
    new.iloc[40, 0] = 5000
    with pytest.raises(
        RuntimeError, match=r"scored: machine_id=b \(ZeroDivisionError.*\)\. Correct or"
    ):
        fleet.predict(new)
    fleet.set_params(on_error="warn")
    for method, missing in (("score_samples", np.nan), ("predict", 1)):
        with pytest.warns(UserWarning, match="1 of 2 machines"):
            values = getattr(fleet, method)(new)
        expected = getattr(fleet, method)(frame)
        np.testing.assert_array_equal(values[:30], expected[:30])
        np.testing.assert_array_equal(values[30:], missing)


def test_nothing_that_can_be_fitted():
    frame = machines(30, names=["a"])
    frame["flow"] = 500.0
    fleet = FleetDetector(Moody(), min_rows=5, on_error="warn")
    with (
        pytest.warns(UserWarning, match="the fallback"),
        pytest.raises(RuntimeError, match="the fallback"),
    ):
        fleet.fit(frame)
    assert not hasattr(fleet, "groups_")


def test_columns_that_do_not_fit_together():
    frame = machines(30, 30, names=["a", "b"])
    frame.loc[frame["machine_id"] == "b", "pressure"] = 0.0  # one component does
    fleet = FleetDetector(ComponentsOfPCA(), min_rows=5).fit(frame)
    with pytest.raises(ValueError, match=r"2 for machine_id=a, 1 for machine_id=b"):
        fleet.transform(frame)


def test_labels_go_with_their_rows(frame):
    y = np.arange(120)
    order = np.r_[60:120, 0:60]
    fleet = FleetDetector(Moody(), min_rows=20).fit(frame.iloc[order], y[order])
    for name in "abc":
        expected = y[(frame["machine_id"] == name).to_numpy()]
        assert set(fleet.detectors_[name].y_) == set(expected)
    threshold = make_pipeline(
        ReconstructionError(PCA(1)), ReconstructionThreshold("f_score")
    )
    labels = (np.arange(120) % 9 == 0).astype(int)
    fleet = FleetDetector(threshold, min_rows=20)
    np.testing.assert_array_equal(
        fleet.fit_predict(frame, labels), fleet.fit(frame, labels).predict(frame)
    )
    with pytest.raises(ValueError, match=r"120 rows.* 3"):
        fleet.fit(frame, [0, 1, 0])


def test_breaks_within_a_machine(frame):
    gap = frame.drop(frame.index[10:15])
    broken = pd.concat(
        [
            insert_breaks(rows, "1min", by="machine_id").assign(machine_id=name)
            for name, rows in gap.groupby("machine_id")
        ]
    )
    assert len(broken) == len(gap) + 3
    fleet = FleetDetector(tiny_detector(), min_rows=20).fit(broken)
    scores = fleet.score_samples(broken)
    assert np.isnan(scores).sum() == 3
    assert np.isfinite(fleet.score_samples(broken.assign(machine_id="z"))[1:9]).all()


def test_rows_without_a_machine(fleet, frame):
    lost = frame.astype({"machine_id": object})
    lost.iloc[7, 1] = None
    for call in (clone(fleet).fit, fleet.score_samples, fleet.predict):
        with pytest.raises(ValueError, match=r"1 missing.* 7"):
            call(lost)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (wave(9), TypeError, "DataFrame with the column 'machine_id'.*got ndarray"),
        (pd.DataFrame({"a": [1.0]}), ValueError, "must have one column 'machine_id'"),
        (machines(0, names=["a"]), ValueError, "0 sample"),
    ],
)
def test_not_a_long_frame(X, error, message, fleet):
    for call in (clone(fleet).fit, fleet.score_samples):
        with pytest.raises(error, match=message):
            call(X)
    with pytest.raises(ValueError, match="no channels"):
        clone(fleet).fit(pd.DataFrame({"machine_id": [1, 2]}))


def test_another_column(fleet, frame):
    renamed = frame.rename(columns={"machine_id": "pump"})
    other = clone(fleet).set_params(by="pump").fit(renamed)
    np.testing.assert_array_equal(
        other.score_samples(renamed), fleet.score_samples(frame)
    )


def test_parameters(fleet):
    fleet = FleetDetector(windows_of_pca(), "pump", n_jobs=2, on_error="warn")
    parameters = fleet.get_params()
    assert parameters["by"] == "pump"
    assert parameters["detector__windowtransformer__window_size"] == 3
    fleet.set_params(detector__windowtransformer__window_size=4, min_rows=7)
    assert fleet.detector[1].window_size == 4
    copied = clone(fleet)
    assert copied.min_rows == 7
    assert copied.detector is not fleet.detector
    assert "by='pump'" in repr(fleet)
    assert "FleetDetector" in fleet._repr_html_()


@pytest.mark.parametrize(
    "parameters",
    [
        {"detector": 3},
        {"n_jobs": 1.5},
        {"min_rows": 0},
        {"fallback": "mean"},
        {"on_error": "ignore"},
        {"verbose": -1},
    ],
    ids=str,
)
def test_wrong_parameters(parameters, frame):
    fleet = FleetDetector(**{"detector": forest(), **parameters})
    with pytest.raises(InvalidParameterError, match=next(iter(parameters))):
        fleet.fit(frame)


def test_not_fitted(frame):
    fleet = FleetDetector(windows_of_pca())
    for method in ("score_samples", "decision_function", "predict"):
        with pytest.raises(NotFittedError):
            getattr(fleet, method)(frame)
    with pytest.raises(AttributeError, match="detectors_ before it is fitted"):
        _ = fleet.detectors_


def test_methods_are_those_of_the_detector():
    assert hasattr(FleetDetector(tiny_detector()), "transform")
    assert not hasattr(FleetDetector(forest()), "transform")
    assert not hasattr(FleetDetector(StandardScaler()), "score_samples")


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))]
)
def test_copies_score_the_same(copied, fleet, frame):
    np.testing.assert_array_equal(
        copied(fleet).score_samples(frame), fleet.score_samples(frame)
    )


def test_fit_changes_no_parameter(frame):
    detector = windows_of_pca()
    fleet = FleetDetector(detector, min_rows=20)
    before = repr(fleet)
    rows = frame.copy()
    first = fleet.fit(frame).score_samples(frame)
    pd.testing.assert_frame_equal(frame, rows)
    assert repr(fleet) == before
    assert fleet.detector is detector
    assert not hasattr(detector[0], "scale_")
    np.testing.assert_array_equal(fleet.fit(frame).score_samples(frame), first)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_fit_changes_nothing(interruption, frame, monkeypatch):
    fleet = FleetDetector(windows_of_pca(), min_rows=20)
    fit = PCA.fit

    def interrupted(self, X, y=None):
        if len(X) == 50:
            raise interruption
        return fit(self, X, y)

    with monkeypatch.context() as patch:
        patch.setattr(PCA, "fit", interrupted)
        with pytest.raises(interruption):
            fleet.fit(frame)
    assert not hasattr(fleet, "groups_")
    before = fleet.fit(frame).score_samples(frame)
    with monkeypatch.context() as patch:
        patch.setattr(PCA, "fit", interrupted)
        with pytest.raises(interruption):
            fleet.fit(frame.iloc[::-1])
    np.testing.assert_array_equal(fleet.score_samples(frame), before)


# What a worker loads with its first network is more than joblib expects it to grow.
@pytest.mark.filterwarnings("ignore:A worker stopped")
@pytest.mark.parametrize(
    ("backend", "detector"),
    [
        ("loky", windows_of_pca()),
        ("loky", tiny_detector()),
        ("threading", tiny_detector()),
    ],
)
def test_in_parallel(backend, detector, frame):
    with joblib.parallel_config(backend=backend):
        fleet = FleetDetector(detector, min_rows=20, n_jobs=2).fit(frame)
        scores = fleet.score_samples(frame)
    alone = FleetDetector(detector, min_rows=20).fit(frame)
    np.testing.assert_array_equal(alone.score_samples(frame), scores)


def test_progress(frame, capfd, monkeypatch):
    fleet = FleetDetector(forest(), min_rows=20)
    fleet.fit(frame).predict(frame)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
    fleet.set_params(verbose=1).fit(frame)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "4/4" in captured.err
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match="pip install tqdm"):
        fleet.fit(frame)


def test_no_warning_of_its_own(fleet, frame):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clone(fleet).fit(frame).score_samples(frame)


def test_what_looks_at_one_machine_refuses_a_fleet(fleet, frame):
    calls = [
        lambda: explain(fleet, frame),
        lambda: StreamingDetector(fleet),
        lambda: HybridDetector(detector=fleet).fit(frame),
    ]
    for call in calls:
        with pytest.raises(
            ValueError, match=r"FleetDetector.*fleet.detectors_\[name\]"
        ):
            call()
    table = compare_detectors(
        [fleet], frame, frame, np.arange(120) % 9 == 0, baselines=False
    )
    assert "FleetDetector" in table["error"].iloc[0]
    one = rows_of(frame, "b")
    assert len(StreamingDetector(fleet.detectors_["b"]).update_many(one)[0]) == 50
    assert "sentence" in explain(fleet.detectors_["b"], one)


def test_a_saved_fleet_with_networks(frame, tmp_path):
    fleet = FleetDetector(tiny_detector(), min_rows=35, on_error="warn").fit(frame)
    save(fleet, tmp_path / "fleet.skops")
    loaded = load(tmp_path / "fleet.skops")
    mixed = pd.concat([frame, machines(9, names=["z"])])
    np.testing.assert_array_equal(
        loaded.score_samples(mixed), fleet.score_samples(mixed)
    )
    assert loaded.groups_.tolist() == ["a", "b"]
    assert loaded.fallback_groups_.tolist() == ["c"]
    assert loaded.errors_ == {}
