# SPDX-License-Identifier: MIT
"""Partitions score as the whole series, wherever its borders are, on real workers."""

import os
import pickle
import signal
import sys
import time
from itertools import pairwise

import dask
import dask.array as da
import dask.dataframe as dd
import joblib
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import tsanomaly
from tests.helpers import tiny_detector, wave
from tsanomaly import (
    AlarmFilter,
    FleetDetector,
    HybridDetector,
    ReconstructionError,
    ReconstructionThreshold,
    TemporalFeatures,
    WindowTransformer,
)
from tsanomaly.datasets import insert_breaks
from tsanomaly.distributed import (
    decision_function,
    find_alarms,
    fit,
    has_drifted,
    predict,
    score_samples,
    sensor_health,
    transform,
)
from tsanomaly.metrics import make_anomaly_scorer

CHANNELS = ["flow", "pressure"]

DETECTORS = {
    "network": make_pipeline(StandardScaler(), tiny_detector()),
    "looks_ahead": make_pipeline(
        StandardScaler(), tiny_detector(row_error="multiscale_centered")
    ),
    "pca": make_pipeline(
        WindowTransformer(4), ReconstructionError(PCA(3)), ReconstructionThreshold()
    ),
    "features": make_pipeline(
        TemporalFeatures(windows=(3, 5), lags=(2,), rates=(1,)),
        StandardScaler(),
        IsolationForest(n_estimators=5, random_state=0),
    ),
    "hybrid": HybridDetector(
        make_pipeline(WindowTransformer(3), IsolationForest(random_state=0)),
        tiny_detector(),
        screen_fraction=0.2,
    ),
    "row_wise": IsolationForest(n_estimators=5, random_state=0),
}
FUNCTIONS = {
    "score_samples": score_samples,
    "decision_function": decision_function,
    "predict": predict,
    "transform": transform,
}

# Empty ones, ones shorter than a window, several of these in a row, at either end too.
CHUNKS = (0, 1, 2, 0, 1, 40, 3, 1, 0, 0, 50, 1, 1, 0)


class Slow(TransformerMixin, BaseEstimator):
    """A slow detector that records which process scores a partition."""

    n_context_ = n_lookahead_ = 0

    def __init__(self, folder, seconds):
        self.folder = folder
        self.seconds = seconds

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        name = f"{self.folder}/{os.getpid()}-{time.monotonic_ns()}"
        with open(name, "w"):
            time.sleep(self.seconds)
        return X


class Heavy(TransformerMixin, BaseEstimator):
    """A model of a megabyte."""

    n_context_ = n_lookahead_ = 0

    def fit(self, X, y=None):
        self.weights_ = np.random.default_rng(0).bytes(1_000_000)
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return X


class Noted(Slow):
    """A detector that records the process in which it is unpickled."""

    def __setstate__(self, state):
        super().__setstate__(state)
        with open(f"{self.folder}/arrived-{os.getpid()}-{time.monotonic_ns()}", "w"):
            pass


class Counting(WindowTransformer):
    """A transformer that records how many rows it receives."""

    seen = []

    def transform(self, X):
        self.seen.append(len(X))
        return super().transform(X)


def framed(X):
    index = pd.date_range("2024-01-01", periods=len(X), freq="min")
    return pd.DataFrame(X, index=index, columns=CHANNELS)


def partitioned(frame, chunks):
    """A frame of unknown divisions, which may have empty partitions."""
    edges = np.cumsum((0, *chunks))
    pieces = [frame.iloc[a:b] for a, b in pairwise(edges)]
    return dd.from_delayed(
        [dask.delayed(piece) for piece in pieces], meta=frame.iloc[:0]
    )


def in_array(X, chunks):
    """An array in chunks, some of which may have no rows."""
    return da.from_array(X, chunks=(tuple(chunks), (X.shape[1],)))


def assert_like(found, expected):
    """Equal within 1e-6 of the score, or of 1 where it is smaller."""
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.fixture(scope="module")
def X():
    """A hundred rows with some spikes and two breaks."""
    X = wave(100)
    X[[20, 60, 90]] += 4
    X[[10, 71]] = np.nan
    return X


@pytest.fixture(scope="module")
def detectors():
    return {name: clone(d).fit(framed(wave(200))) for name, d in DETECTORS.items()}


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes, which Dask spawns."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def in_this_process():
    """What is not given to the cluster runs here."""
    with dask.config.set(scheduler="synchronous"):
        yield


def methods_of(detector):
    return [method for method in FUNCTIONS if hasattr(detector, method)]


@pytest.mark.parametrize("name", DETECTORS)
def test_arrays(name, detectors, X):
    detector = clone(detectors[name]).fit(wave(200))
    for method in methods_of(detector):
        expected = getattr(detector, method)(X)
        found = FUNCTIONS[method](detector, in_array(X, CHUNKS))
        assert found.chunks[0] == CHUNKS
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert_like(found.compute(), expected)


@pytest.mark.parametrize("name", DETECTORS)
def test_frames(name, detectors, X):
    detector, frame = detectors[name], framed(X)
    for method in methods_of(detector):
        expected = getattr(detector, method)(frame)
        found = FUNCTIONS[method](detector, partitioned(frame, CHUNKS))
        values = found.compute()
        assert values.index.equals(frame.index)
        assert np.all(values.dtypes == found.dtypes)
        assert_like(values.to_numpy(), expected)
        assert [len(part) for part in dask.compute(*found.to_delayed())] == [*CHUNKS]
    assert score_samples(detector, partitioned(frame, CHUNKS)).name == "score"
    if "transform" in methods_of(detector):
        errors = transform(detector, partitioned(frame, CHUNKS))
        assert errors.columns.tolist() == CHANNELS


@settings(max_examples=20)
@given(
    chunks=st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(sum),
    breaks=st.sets(st.integers(0, 99), max_size=5),
    name=st.sampled_from(["looks_ahead", "pca", "hybrid"]),
    known=st.booleans(),
)
def test_borders_and_breaks_anywhere(detectors, chunks, breaks, name, known):
    X = wave(sum(chunks))
    X[[row for row in breaks if row < len(X)]] = np.nan
    detector = detectors[name]
    expected = detector.score_samples(framed(X))
    # A frame never says how long its partitions are, an array mostly does.
    if known:
        detector = clone(detector).fit(wave(200))
        found = score_samples(detector, in_array(X, chunks))
    else:
        found = score_samples(detector, partitioned(framed(X), chunks))
    assert_like(np.asarray(found.compute()), expected)


def test_chunks_of_unknown_length_and_of_columns(detectors, X):
    detector = clone(detectors["pca"]).fit(wave(200))
    expected = detector.score_samples(X)
    unknown = partitioned(framed(X), CHUNKS).to_dask_array()
    assert np.isnan(unknown.chunks[0]).all()
    assert_like(score_samples(detector, unknown).compute(), expected)
    columns = da.from_array(X, chunks=(30, 1))
    assert_like(score_samples(detector, columns).compute(), expected)


def test_divisions_stay(detectors):
    frame = framed(wave(100))
    scores = score_samples(detectors["pca"], dd.from_pandas(frame, npartitions=4))
    assert scores.known_divisions
    assert scores.loc["2024-01-01 00:30":"2024-01-01 00:39"].compute().shape == (10,)


def test_names_of_columns():
    windows = WindowTransformer(2).fit(framed(wave(50)))
    collection = partitioned(framed(wave(50)), (20, 30))
    assert transform(windows, collection).columns.tolist() == list(
        windows.get_feature_names_out()
    )
    silent = make_pipeline(PCA(1), Heavy()).fit(framed(wave(50)))
    assert transform(silent, collection).columns.tolist() == [0]


def test_gaps_between_partitions():
    """The recipe of the guide, with a gap at a border and one within a partition."""
    frame = framed(wave(60))
    frame.index += pd.to_timedelta(np.repeat([0, 60, 90], [20, 13, 27]), unit="min")
    collection = dd.from_pandas(frame, npartitions=3)
    broken = collection.map_overlap(insert_breaks, 1, 0, "5min").compute()
    expected = insert_breaks(frame, "5min")
    assert len(expected) == 62
    pd.testing.assert_frame_equal(broken, expected, check_freq=False)


def test_nothing_is_computed_before_it_is_asked_for(detectors):
    def fail(block):
        raise AssertionError("computed")

    X = da.from_array(wave(100), chunks=(30, 2)).map_blocks(fail, meta=np.empty((0, 2)))
    detector = clone(detectors["pca"]).fit(wave(200))
    scores = score_samples(detector, X)
    with pytest.raises(AssertionError, match="computed"):
        scores.compute()


def test_the_model_is_in_the_graph_once():
    model = Heavy().fit(wave(5))
    X = da.from_array(wave(200), chunks=(2, 2))
    graph = dict(transform(model, X).dask)
    assert 1_000_000 < len(pickle.dumps(graph)) < 1_500_000


def test_a_border_costs_a_window_not_the_series(monkeypatch):
    monkeypatch.setattr(Counting, "seen", [])
    windows = Counting(4).fit(wave(50))
    result = transform(windows, da.from_array(wave(100), chunks=(10, 2)))
    result.compute()
    assert sorted(Counting.seen) == [10] + [13] * 9
    # Where lengths are known, no partition waits for any but its neighbour.
    Counting.seen.clear()
    result.blocks[8].compute()
    assert Counting.seen == [13]
    graph = result.blocks[8].dask.cull(result.blocks[8].__dask_keys__()[0])
    assert sum("edge-" in str(key) for key in graph) == 1


@pytest.mark.parametrize("name", ["network", "pca"])
def test_on_workers(name, cluster, detectors, X):
    frame = framed(np.tile(X, (3, 1)))
    collection = partitioned(frame, [7, 0, 2, 91, 100, 100])
    detector = detectors[name]
    scores, labels = cluster.compute(
        [score_samples(detector, collection), predict(detector, collection)]
    )
    assert_like(scores.result(), detector.score_samples(frame))
    np.testing.assert_array_equal(labels.result(), detector.predict(frame))


def test_drift_and_sensor_health_on_workers(cluster, detectors):
    X = wave(1000)
    X[400:440, 1] = X[400, 1]
    X[840:] += np.random.default_rng(0).normal(scale=3, size=(160, 2))
    frame = framed(X)
    collection = partitioned(frame, [7, 0, 413, 500, 80])
    with dask.config.set(scheduler=cluster):
        assert has_drifted(detectors["pca"], collection)
        findings = sensor_health(collection)
    expected = tsanomaly.sensor_health(frame)
    assert "flatline" in set(expected["finding"])
    pd.testing.assert_frame_equal(findings, expected, check_exact=True)


def test_the_model_travels_once_to_each_worker(cluster, tmp_path):
    model = Noted(tmp_path, 0.01).fit(wave(5))
    X = da.from_array(wave(200), chunks=(5, 2))
    cluster.compute(transform(model, X)).result()
    notes = [note.name for note in tmp_path.glob("arrived-*")]
    assert len(notes) == 2
    arrived = {int(note.split("-")[1]) for note in notes}
    assert arrived == set(cluster.run(os.getpid).values())


def test_a_worker_that_dies(cluster, tmp_path):
    """The run goes on, and nothing is missing or twice."""
    detector = make_pipeline(Slow(tmp_path, 0.1), *DETECTORS["pca"]).fit(wave(200))
    X = wave(600)
    expected = detector.score_samples(X)
    for note in tmp_path.iterdir():  # of this process
        note.unlink()
    future = cluster.compute(score_samples(detector, da.from_array(X, chunks=(15, 2))))
    workers = set(cluster.run(os.getpid).values())
    assert len(workers) == 2

    def at_work():
        return {int(note.name.split("-")[0]) for note in tmp_path.iterdir()}

    deadline = time.monotonic() + 30
    while at_work() != workers and time.monotonic() < deadline:
        time.sleep(0.01)
    victim = min(workers)
    os.kill(victim, signal.SIGKILL)
    assert not future.done()
    assert_like(future.result(timeout=60), expected)
    assert victim in at_work()
    cluster.wait_for_workers(2, timeout=30)
    assert victim not in set(cluster.run(os.getpid).values())


def test_a_fleet_on_workers(cluster):
    frame = pd.concat(
        [framed(wave(50) + number).assign(machine_id=number) for number in range(4)]
    )
    fleet = FleetDetector(DETECTORS["pca"], min_rows=20)
    alone = clone(fleet).fit(frame)
    with joblib.parallel_config(backend="dask"):
        on_workers = clone(fleet).fit(frame)
        scores = on_workers.score_samples(frame)
    np.testing.assert_array_equal(scores, alone.score_samples(frame))


def test_a_grid_search_on_workers(cluster):
    X = wave(120)
    y = np.zeros(120, dtype=int)
    y[::15] = 1
    X[::15] += 3
    search = GridSearchCV(
        make_pipeline(
            WindowTransformer(), ReconstructionError(PCA(2)), ReconstructionThreshold()
        ),
        {"windowtransformer__window_size": [2, 4]},
        scoring=make_anomaly_scorer("average_precision"),
        cv=TimeSeriesSplit(2),
    )
    alone = clone(search).fit(X, y)
    with joblib.parallel_config(backend="dask"):
        on_workers = clone(search).fit(X, y)
    np.testing.assert_array_equal(
        on_workers.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
    )
    collection = da.from_array(X, chunks=(50, 2))
    assert_like(score_samples(on_workers, collection).compute(), alone.score_samples(X))


@pytest.mark.parametrize("as_frame", [True, False])
def test_fit_on_all_of_a_short_series(as_frame):
    X = wave(100)
    rows = framed(X) if as_frame else X
    collection = partitioned(rows, CHUNKS) if as_frame else in_array(X, CHUNKS)
    detector = clone(DETECTORS["pca"])
    assert fit(detector, collection) is detector
    expected = clone(detector).fit(rows)
    np.testing.assert_array_equal(
        detector.score_samples(rows), expected.score_samples(rows)
    )
    assert hasattr(detector, "feature_names_in_") == as_frame


@pytest.mark.parametrize("chunks", [(1000,), (0, 3, 500, 7, 0, 490)])
@pytest.mark.parametrize("as_frame", [True, False])
def test_fit_on_blocks(chunks, as_frame):
    X = np.column_stack([np.arange(1000.0), np.arange(1000.0) ** 2])
    rows = framed(X) if as_frame else X
    collection = partitioned(rows, chunks) if as_frame else in_array(X, chunks)

    class Spy(WindowTransformer):
        def fit(self, X, y=None):
            self.seen_ = np.asarray(X)
            return super().fit(X)

    def blocks(random_state):
        spy = Spy(3)
        fit(spy, collection, n_blocks=5, block_size=20, random_state=random_state)
        breaks = np.flatnonzero(np.isnan(spy.seen_).all(axis=1))
        assert breaks.tolist() == [20, 41, 62, 83]
        return np.split(np.delete(spy.seen_, breaks, axis=0), 5)

    starts = []
    for number, block in enumerate(blocks(0)):
        start = int(block[0, 0])
        assert 200 * number <= start <= 200 * number + 180
        np.testing.assert_array_equal(block, X[start : start + 20])
        starts.append(start)
    assert [int(block[0, 0]) for block in blocks(0)] == starts
    assert [int(block[0, 0]) for block in blocks(1)] != starts


def test_fit_on_blocks_without_breaks_for_what_works_row_by_row():
    X = da.from_array(wave(1000), chunks=(300, 2))
    detector = fit(
        make_pipeline(StandardScaler(), PCA(1)),
        X,
        n_blocks=4,
        block_size=50,
        random_state=0,
    )
    assert detector[0].n_samples_seen_ == 200


def test_what_cannot_be_scored(detectors, X):
    array = da.from_array(X, chunks=(50, 2))
    detector = clone(detectors["pca"]).fit(wave(200))
    with pytest.raises(TypeError, match="ndarray"):
        score_samples(detector, X)
    with pytest.raises(ValueError, match="two dimensions"):
        score_samples(detector, array[:, 0])
    with pytest.raises(NotFittedError):
        score_samples(clone(detector), array)
    with pytest.raises(ValueError, match=r"has 3 features"):
        score_samples(detector, da.ones((9, 3)))
    other = dd.from_pandas(framed(X).rename(columns={"flow": "speed"}), npartitions=2)
    with pytest.raises(ValueError, match=r"feature names"):
        score_samples(detectors["pca"], other)
    with pytest.raises(ValueError, match="score_samples"):
        score_samples(StandardScaler().fit(X), array)
    with pytest.raises(ValueError, match=r"IsolationForest.*transform"):
        transform(IsolationForest(n_estimators=2).fit(wave(9)), array)
    unknown = make_pipeline(FunctionTransformer(np.sqrt), IsolationForest())
    unknown.fit(np.abs(wave(50)))
    with pytest.raises(ValueError, match=r"FunctionTransformer.* n_context_"):
        score_samples(unknown, array)
    strided = tiny_detector(row_error="overlap_mean", stride=2).fit(wave(50))
    with pytest.raises(ValueError, match=r"stride=1"):
        score_samples(strided, array)
    fleet = FleetDetector(IsolationForest(n_estimators=2), min_rows=5)
    fleet.fit(framed(wave(50)).assign(machine_id=1))
    with pytest.raises(ValueError, match=r"fleet.detectors_\[name\]"):
        score_samples(fleet, dd.from_pandas(framed(X), npartitions=2))


def test_what_cannot_be_fitted():
    X = da.ones((9, 2))
    for parameters in ({"n_blocks": 0}, {"block_size": 1.5}, {"n_blocks": True}):
        with pytest.raises(ValueError, match=next(iter(parameters))):
            fit(PCA(1), X, **parameters)
    with pytest.raises(ValueError, match="no rows"):
        fit(PCA(1), X[:0])
    with pytest.raises(ValueError, match=r"FleetDetector.*backend='dask'"):
        fit(FleetDetector(PCA(1)), X)
    with pytest.raises(TypeError, match="Dask array"):
        fit(PCA(1), np.ones((9, 2)))


@pytest.mark.parametrize("package", ["dask.array", "distributed"])
def test_without_dask(package, detectors, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    for call in (
        lambda: score_samples(detectors["pca"], wave(9)),
        lambda: has_drifted(detectors["pca"], wave(9)),
        lambda: sensor_health(wave(9)),
        lambda: fit(PCA(1), wave(9)),
    ):
        with pytest.raises(ImportError, match=r'pip install "dask\[dataframe\]" dist'):
            call()


def series_with_alarms(as_frame, times):
    """One that a break ends, one over several partitions, one that is still active."""
    X = wave(sum(CHUNKS) * 3)
    X[20:24] += 5
    X[24] = np.nan
    X[25:27] += 5
    X[90:160] += np.random.default_rng(0).normal(scale=6, size=(70, 2))
    X[-3:] += 7
    if not as_frame:
        return X
    index = pd.RangeIndex(1000, 1000 + len(X))
    if times != "none":
        steps = np.full(len(X), 60) + 7 * (np.arange(len(X)) % 3 == 0)
        steps[5] = -600 if times == "unordered" else 60
        index = pd.Timestamp("2024-01-01") + pd.to_timedelta(steps.cumsum(), unit="s")
    return pd.DataFrame(X, columns=CHANNELS, index=index)


@pytest.mark.filterwarnings("ignore:.*in time order:UserWarning")
@pytest.mark.parametrize(
    ("times", "chunks", "name"),
    [
        ("ordered", (300,), "pca"),
        ("ordered", (7,) * 43, "pca"),
        ("ordered", CHUNKS * 3, "pca"),
        ("ordered", CHUNKS * 3, "row_wise"),
        ("unordered", CHUNKS * 3, "pca"),
        ("none", CHUNKS * 3, "pca"),
        ("array", CHUNKS * 3, "row_wise"),
        ("array", (7,) * 43, "pca"),
    ],
    ids=lambda value: str(len(value)) if isinstance(value, tuple) else value,
)
def test_alarms_are_those_of_the_whole_series(times, chunks, name):
    """With one that knows the median error of training rows, and one that does not."""
    as_frame = times != "array"
    X = series_with_alarms(as_frame, times)
    detector = clone(DETECTORS[name]).fit(
        pd.DataFrame(wave(200), columns=CHANNELS) if as_frame else wave(200)
    )
    ends = np.minimum(np.cumsum(chunks), len(X))
    pieces = np.split(X, ends[:-1]) if not as_frame else None
    if as_frame:
        bounds = list(pairwise([0, *ends[:-1].tolist(), len(X)]))
        parts = [dask.delayed(X.iloc[a:b]) for a, b in bounds]
        collection = dd.from_delayed(parts, meta=X.iloc[:0], verify_meta=False)
    else:
        collection = da.from_array(X, chunks=(tuple(map(len, pieces)), 2))
    rules = AlarmFilter(off_delay=5)
    errors = -detector.score_samples(X)
    errors[np.isnan(np.asarray(X)).all(axis=1)] = np.nan
    last = detector[-1] if name == "pca" else detector
    expected = rules.alarms(
        errors,
        threshold=-last.offset_,
        median_error=getattr(last, "median_error_", np.nanmedian(errors)),
        index=X.index if as_frame else None,
    )
    assert len(expected) >= 3
    assert expected["state"].iloc[-1] == "active"
    with dask.config.set(scheduler="synchronous"):
        found = find_alarms(detector, collection, alarm_filter=rules)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-6)


def test_no_alarms_and_no_threshold():
    X = wave(200)
    detector = clone(DETECTORS["pca"]).fit(X)
    collection = da.from_array(X, chunks=(50, 2))
    with dask.config.set(scheduler="synchronous"):
        found = find_alarms(
            detector, collection, alarm_filter=AlarmFilter(threshold=1e9)
        )
    expected = AlarmFilter().alarms(np.zeros(200), threshold=1e9, median_error=0)
    pd.testing.assert_frame_equal(found, expected)
    density = KernelDensity().fit(X)
    with pytest.raises(ValueError, match=r"has no offset_ .* Pass alarm_filter="):
        find_alarms(density, collection)


@pytest.mark.parametrize(
    ("n_rows", "last", "drifted"),
    [
        (1000, 160, True),  # more than half of the last quarter
        (1000, 100, False),  # a fault that ends, as far as is known
        (300, 70, True),  # 100 rows are more than a quarter
        (100, 98, False),  # with 98 errors, too few to tell
    ],
)
def test_drift_is_that_of_the_whole_series(n_rows, last, drifted):
    """Borders and a break lie within the drift, and some partitions have no rows."""
    X, rest = wave(n_rows), n_rows - last
    X[rest:] += np.random.default_rng(0).normal(scale=3, size=(last, 2))
    X[[n_rows - 30, n_rows // 2]] = np.nan
    detector = clone(DETECTORS["pca"]).fit(wave(400))
    errors = -detector.score_samples(X)
    errors = errors[~np.isnan(errors)]
    recent = errors[-max(100, len(errors) // 4) :]
    middle = (detector[-1].median_error_ - detector[-1].offset_) / 2
    assert drifted == (len(recent) >= 100 and np.median(recent) > middle)
    chunks = (0, rest // 2, rest - rest // 2 + 20, 0, 0, last - 30, 10, 0)
    assert has_drifted(detector, in_array(X, chunks)) is drifted
    detector = clone(detector).fit(framed(wave(400)))
    assert has_drifted(detector, partitioned(framed(X), chunks)) is drifted


@pytest.mark.parametrize(("last", "drifted"), [(60, False), (240, True)])
def test_drift_of_a_detector_without_a_median_error(last, drifted):
    """It is compared with the median of these rows, most of which are as usual."""
    X = wave(1000)
    X[1000 - last :] += 9
    detector = IsolationForest(contamination=0.01, random_state=0).fit(wave(400))
    assert has_drifted(detector, in_array(X, (300, 0, 500, 200))) is drifted


def test_drift_and_the_threshold_of_a_filter():
    X = wave(400)
    detector = clone(DETECTORS["pca"]).fit(X)
    collection = da.from_array(X, chunks=(90, 2))
    assert has_drifted(detector, collection) is False
    low = 1e-6 * detector[-1].median_error_
    assert has_drifted(detector, collection, alarm_filter=AlarmFilter(threshold=low))


def test_drift_that_cannot_be_told():
    X = wave(200)
    collection = da.from_array(X, chunks=(50, 2))
    with pytest.raises(ValueError, match=r"has no offset_ .* Pass alarm_filter="):
        has_drifted(KernelDensity().fit(X), collection)
    forest = clone(DETECTORS["row_wise"]).fit(X)
    with pytest.raises(ValueError, match="no rows with readings"):
        has_drifted(forest, collection[:0])
    with pytest.raises(TypeError, match="Dask array"):
        has_drifted(forest, X)
